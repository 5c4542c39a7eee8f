"""durward check: what a sound configuration finds in the world, as file:line: message, and the exit code."""
import os
import shutil
import socket
import tempfile
import unittest

import kit

GOOD = """return {
  policy = "policy.lua",
  keytab = "zmq.keytab",
  journal = "journal.jsonl",
  state_dir = "state",
  zmtp = {
    { name = "trades", listen = "tcp://127.0.0.1:0", service = "zmq@localhost",
      backend = "tcp://127.0.0.1:5571" },
  },
}
"""
POLICY = 'return { map = function() return "alice" end }\n'


class Check(unittest.TestCase):
    def setUp(self):
        self.lab = kit.Lab.shared()
        self.dir = tempfile.mkdtemp(prefix="durward-check-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.mkdir(self.path("state"), 0o700)
        shutil.copy(self.lab.keytab, self.path("zmq.keytab"))
        os.chmod(self.path("zmq.keytab"), 0o600)
        self.write("policy.lua", POLICY)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def check(self, *arguments):
        return kit.run_durward("check", *arguments, env=self.lab.environment(self.path("no.cc")))

    def expect(self, code, *wanted, config=GOOD):
        """Each wanted text is "LINE: beginning" of one line told of the configuration, and no other is told."""
        self.write("c.lua", config)
        done = self.check("-c", self.path("c.lua"))
        lines = done.stdout.replace(self.path("c.lua") + ":", "").replace(self.dir + "/", "").replace(self.dir, "").splitlines()
        self.assertEqual(len(lines), len(wanted), done.stdout)
        for line, text in zip(lines, wanted):
            self.assertTrue(line.startswith(text), "%r, wanted %r" % (line, text))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    def test_clean(self):
        self.expect(0)

    def test_mistakes_in_the_file(self):
        self.expect(1, "4: unknown key 'jornal', did you mean 'journal'?", "6: unknown key 'zmpt', did you mean 'zmtp'?",
                    config=GOOD.replace("journal =", "jornal =").replace("zmtp =", "zmpt ="))

    def test_mistakes_in_the_file_and_beyond(self):
        """What is wrong in the file hides nothing of what it names."""
        os.chmod(self.path("zmq.keytab"), 0o644)
        self.write("policy.lua", "return { authorize = function(event) return event.usr end }\n")
        broken = GOOD.replace("journal =", "jornal =").replace('backend = "tcp:', 'backend = "tpc:')
        self.write("c.lua", broken)
        done = self.check("-c", self.path("c.lua"))
        lines = done.stdout.replace(self.dir + "/", "").splitlines()
        wanted = ("c.lua:4: unknown key 'jornal'", "c.lua:8: zmtp[1].backend:", "policy.lua:1: ",
                  "c.lua:3: keytab zmq.keytab is open to anyone")
        self.assertEqual(len(lines), len(wanted), done.stdout)
        for line, text in zip(lines, wanted):
            self.assertTrue(line.startswith(text), "%r, wanted %r" % (line, text))
        self.assertIn("did you mean 'user'", lines[2])
        self.assertEqual(done.returncode, 1)

    def test_nothing_of_it_is_right(self):
        self.expect(1, "1: the configuration must return a table, not a number", config="return 7")
        done = self.check("-c", self.path("c.lua"))
        self.assertNotIn("traceback", done.stdout + done.stderr)
        for text in ('return { zmtp = { { } }, policy = 7, keytab = {}, zmtp_out = { 7, { listen = 1, ccache = true } } }',
                     'return { state_dir = 1, journal = 2, zap = { name = "x" }, limits = 3, log = { level = {} } }'):
            self.write("c.lua", text)
            done = self.check("-c", self.path("c.lua"))
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertEqual(done.stderr, "")
            for line in done.stdout.splitlines():
                self.assertRegex(line, r"^%s:1: " % self.path("c.lua"))

    def test_nothing_to_do(self):
        self.expect(0, "1: warning: no listener is configured", "1: warning: no policy is configured",
                    config='return { state_dir = "state" }')

    def test_keytab_missing_or_no_keytab(self):
        os.unlink(self.path("zmq.keytab"))
        self.expect(1, "3: keytab zmq.keytab cannot be read: No such file")
        self.write("zmq.keytab", "not a keytab", 0o600)
        self.expect(1, "3: keytab zmq.keytab")
        os.unlink(self.path("zmq.keytab"))
        os.mkdir(self.path("zmq.keytab"))
        self.expect(1, "3: keytab zmq.keytab is not a file")

    def test_keytab_open_to_others(self):
        os.chmod(self.path("zmq.keytab"), 0o644)
        self.expect(1, "3: keytab zmq.keytab is open to anyone (mode 0644)")
        os.chmod(self.path("zmq.keytab"), 0o640)
        self.expect(1, "3: keytab zmq.keytab is open to its group (mode 0640)")

    def test_service_that_the_keytab_lacks(self):
        self.expect(1, "7: keytab zmq.keytab has no key for zmx/localhost",
                    config=GOOD.replace("zmq@localhost", "zmx@localhost"))

    def test_client_side(self):
        out = GOOD.replace("zmtp = {", """zmtp_out = {
    { name = "hq", listen = "ipc://hq", connect = "tcp://127.0.0.1:5570", service = "zmq@localhost",
      ccache = "none.cc" },
    { name = "hq2", listen = "ipc://hq2", connect = "tcp://127.0.0.1:5570", service = "zmq@localhost",
      principal = "nobody@HOME.EXAMPLE" },
  },
  zmtp = {""")
        self.expect(1, "8: warning: ticket cache none.cc: No such file",
                    "10: keytab zmq.keytab has no key for nobody@HOME.EXAMPLE", config=out)

    def test_folders(self):
        os.rmdir(self.path("state"))
        self.expect(0)  # serve makes it
        self.expect(1, "5: state_dir none/state is not there and cannot be made: none: No such file",
                    config=GOOD.replace('"state"', '"none/state"'))
        self.expect(1, "5: state_dir " + "s" * 90 + " is too long",
                    config=GOOD.replace('"state"', '"%s"' % ("s" * 90)))
        self.write("state", "")
        self.expect(1, "5: state_dir state is not a folder")
        os.unlink(self.path("state"))
        os.mkdir(self.path("state"))
        os.chmod(self.path("state"), 0o777)
        self.expect(1, "5: state_dir state is open to anyone (mode 0777)")
        os.chmod(self.path("state"), 0o700)
        self.expect(1, "4: the journal's folder logs: No such file",
                    config=GOOD.replace("journal.jsonl", "logs/journal.jsonl"))
        self.write("journal.jsonl", "", 0o644)
        self.expect(0, "4: warning: journal journal.jsonl is open to others (mode 0644)")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_folder_of_another(self):
        os.chmod(self.path("state"), 0o500)
        self.expect(1, "5: state_dir state is not writable")

    def test_ipc_sockets(self):
        ipc = GOOD.replace("tcp://127.0.0.1:0", "ipc://run/trades")
        self.expect(1, "7: the socket's folder run: No such file", config=ipc)
        os.mkdir(self.path("run"), 0o700)
        self.expect(0, config=ipc)
        self.write("run/trades", "")
        self.expect(1, "7: run/trades is there already and is not a socket", config=ipc)
        os.unlink(self.path("run/trades"))
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.path("run/trades"))
        self.expect(0, config=ipc)

    def test_files_that_others_can_change(self):
        os.chmod(self.path("policy.lua"), 0o666)
        self.expect(1, "2: policy policy.lua can be changed by anyone (mode 0666)")
        os.chmod(self.path("policy.lua"), 0o664)
        self.expect(0, "2: warning: policy policy.lua can be changed by its group (mode 0664)")
        os.chmod(self.path("policy.lua"), 0o644)
        os.chmod(self.dir, 0o777)
        self.expect(1, "1: configuration c.lua can be replaced by anyone", "2: policy policy.lua can be replaced",
                    "4: the journal's folder")

    @unittest.skipUnless(os.geteuid() == 0, "root alone gives files away")
    def test_files_of_somebody_else(self):
        os.chown(self.path("policy.lua"), 12345, -1)
        self.expect(0, "2: warning: policy policy.lua belongs to user 12345, who can change it")

    def test_backend_on_another_machine(self):
        self.expect(0, "8: warning: backend tcp://192.0.2.7:5571 is on another machine",
                    config=GOOD.replace("tcp://127.0.0.1:5571", "tcp://192.0.2.7:5571"))

    def test_policies(self):
        self.write("policy.lua", "return {\n  mpa = function() end,\n}\n")
        self.expect(1, "policy.lua:")
        os.unlink(self.path("policy.lua"))
        self.expect(1, "2: policy policy.lua cannot be read: No such file")
        self.write("good.lua", POLICY)
        self.write("bad.lua", "return {\n  map = function(\n}\n")
        self.assertEqual(self.check(self.path("good.lua")).returncode, 0)
        done = self.check(self.path("good.lua"), self.path("bad.lua"), self.path("none.lua"))
        self.assertEqual(done.returncode, 1)
        first, last = done.stdout.splitlines()
        self.assertTrue(first.startswith(self.path("bad.lua:3:")), first)
        self.assertTrue(last.startswith(self.path("none.lua:1: policy")), last)

    def test_a_file_that_a_policy_wants(self):
        """Its place is told once."""
        for name in ("users", "certificates"):
            path = self.path("wants.lua")
            self.write("wants.lua", 'local zap = require("durward.zap")\n\nlocal all = zap.%s("none")\nreturn { map = all }\n'
                       % name)
            done = self.check(path)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stdout, "%s:3: zap.%s: %s: No such file or directory\n" % (path, name, self.path("none")))

    def test_hooks_and_rules_are_read(self):
        self.write("policy.lua", """local durward = require("durward")
local help = require("help")
return {
  map = durward.map.a2l({ "RULE:[1:$1](.*)s/a*/b/g", "DEFAULT" }, { default_realm = "HOME.EXAMPLE" }),
  authorize = function(event)
    return help(event) or event.usr or tostrng(event)
  end,
}
""")
        self.write("help.lua", "return function(event)\n  return event.nam\nend\n", 0o666)
        done = self.check(self.path("policy.lua"))
        lines = done.stdout.replace(self.dir + "/", "").splitlines()
        for line, text in zip(lines, ["help.lua:1: module help.lua can be changed by anyone (mode 0666)",
                                      "policy.lua:6: unknown event field 'usr', did you mean 'user'?",
                                      "policy.lua:6: undefined name 'tostrng', did you mean 'tostring'?",
                                      "help.lua:2: unknown event field 'nam'",
                                      "policy.lua:4: a2l rule 1: a* can match the empty string"]):
            self.assertTrue(line.startswith(text), "%r, wanted %r" % (line, text))
        self.assertEqual((done.returncode, len(lines)), (1, 5), done.stdout)

    def test_usage(self):
        self.write("c.lua", GOOD)
        for arguments in ([], ["-c"], ["-x"], ["-c", self.path("c.lua"), self.path("policy.lua")],
                          ["-c", self.path("c.lua"), "-c", self.path("c.lua")]):
            done = self.check(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, "")
            self.assertIn("usage: durward check", done.stderr)
        done = self.check("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("exit code: 0 clean", done.stdout)


if __name__ == "__main__":
    unittest.main()
