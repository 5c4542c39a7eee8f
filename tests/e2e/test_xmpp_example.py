"""examples/xmpp/run, as somebody who tries it would: from nothing to a message, and nothing is left of it."""
import os
import subprocess
import tempfile
import unittest

import kit
import xmpp_kit
import xmpp_servers

EXAMPLE = os.path.join(kit.ROOT, "examples", "xmpp")


class Example(unittest.TestCase):
    def run_it(self, missing, *words):
        if missing:
            self.skipTest(missing)
        if not xmpp_kit.has_modules("/usr/bin/python3", "-c", "import slixmpp, kerberos"):
            self.skipTest("python3-slixmpp or python3-kerberos is not installed")
        with tempfile.TemporaryDirectory(prefix="durward-e2e-example-") as folder:
            done = subprocess.run([os.path.join(EXAMPLE, "run"), *words], capture_output=True, text=True, check=False,
                                  env=dict(os.environ, **kit.SANITIZERS, DURWARD=kit.DURWARD, TMPDIR=folder),
                                  timeout=kit.PATIENCE * 4)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(os.listdir(folder), [])
        self.assertIn("heard from alice@home.example: hello, this is alice", done.stdout)
        self.assertIn("heard from alice.partner@home.example: hello, this is alice@PARTNER.EXAMPLE", done.stdout)
        self.assertIn("heard from carol@home.example: welcome, alice", done.stdout)
        self.assertIn("bob is on holiday", done.stdout)
        self.assertNotRegex(done.stdout + done.stderr, kit.REPORTS)

    def test_prosody(self):
        self.run_it(xmpp_servers.missing_prosody())

    def test_ejabberd(self):
        self.run_it(xmpp_servers.missing_ejabberd(), "--backend", "ejabberd")

    def test_its_files_are_sound(self):
        for name in ("durward.lua", "policy.lua", "prosody.cfg.lua"):
            done = kit.run_durward("lua", "-", text="assert(loadfile(%s))" % kit.lua(os.path.join(EXAMPLE, name)))
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_usage(self):
        for words in (["--backend", "jabberd"], ["--nonsense"]):
            done = subprocess.run([os.path.join(EXAMPLE, "run"), *words], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage", done.stderr)


if __name__ == "__main__":
    unittest.main()
