"""What a newcomer gets: packages, the quickstart, the README's own words, and what `cmake --install` puts where."""
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

import kit

QUICKSTART = os.path.join("examples", "quickstart")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


class TestNeed(unittest.TestCase):
    """tests/need, among programs that only look like the real ones."""

    def need(self, *packages, **programs):
        programs.setdefault("install", "cat >/dev/null")  # of policy-rc.d
        with tempfile.TemporaryDirectory(prefix="durward-e2e-need-") as folder:
            for name, text in programs.items():
                path = os.path.join(folder, name.replace("_", "-"))
                with open(path, "w", encoding="ascii") as file:
                    file.write("#!/bin/sh\n" + text.format(folder=folder))
                os.chmod(path, 0o700)
            done = subprocess.run([os.path.join(kit.ROOT, "tests", "need"), *packages], capture_output=True, text=True,
                                  env=dict(os.environ, PATH=folder + ":/usr/bin:/bin"), check=False,
                                  stdin=subprocess.DEVNULL, timeout=kit.PATIENCE)
            asked = os.path.join(folder, "asked")
            done.asked = read(asked) if os.path.exists(asked) else ""
            return done

    QUERY = 'case "$4" in lib-here) printf installed ;; *) exit 1 ;; esac'

    def test_nothing_is_missing(self):
        done = self.need("lib-here", dpkg_query=self.QUERY, apt_get='echo "$*" >>{folder}/asked')
        self.assertEqual((done.returncode, done.stdout, done.stderr, done.asked), (0, "", "", ""))

    def test_the_missing_ones_are_installed(self):
        done = self.need("lib-here", "lib-away", dpkg_query=self.QUERY, id="echo 0",
                         apt_get='echo "$*" >>{folder}/asked')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("installing: lib-away\n", done.stdout)
        self.assertRegex(done.asked, r"^install .*\blib-away\n$")
        self.assertNotIn("lib-here", done.asked)

    def test_lists_are_read_when_they_are_too_old(self):
        done = self.need("lib-away", dpkg_query=self.QUERY, id="echo 0",
                         apt_get='echo "$*" >>{folder}/asked\n[ "$1" = update ] || grep -q update {folder}/asked')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split()[0] for line in done.asked.splitlines()], ["install", "update", "install"])

    def test_who_cannot_install_is_told_which_ones(self):
        done = self.need("lib-here", "lib-away", "lib-gone", dpkg_query=self.QUERY, id="echo 1000", sudo="exit 1",
                         apt_get='echo "$*" >>{folder}/asked')
        self.assertEqual((done.returncode, done.asked), (1, ""))
        self.assertIn("missing: lib-away lib-gone\n", done.stderr)
        self.assertIn("apt-get install lib-away lib-gone\n", done.stderr)

    def test_an_installation_that_fails_says_why(self):
        done = self.need("lib-away", dpkg_query=self.QUERY, id="echo 0", apt_get="echo no such package; exit 100")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?s)no such package.*missing.*: lib-away\n$")


class TestQuickstart(unittest.TestCase):
    def check(self, root, **environment):
        with tempfile.TemporaryDirectory(prefix="durward-e2e-quickstart-") as folder:
            done = subprocess.run([os.path.join(root, QUICKSTART)], capture_output=True, text=True, check=False,
                                  env=dict(os.environ, **kit.SANITIZERS, TMPDIR=folder, **environment),
                                  stdin=subprocess.DEVNULL, timeout=kit.PATIENCE * 4)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(os.listdir(folder), [], "it leaves nothing behind")
        self.assertNotRegex(done.stdout + done.stderr, kit.REPORTS)
        return done.stdout

    def test_alice_bob_and_a_partner(self):
        told = self.check(kit.ROOT, DURWARD=kit.DURWARD)
        alice, bob, partner = re.split(r"\n== [a-z]+@", told)[1:]
        self.assertRegex(alice, r"hello, this is alice@HOME\.EXAMPLE")
        self.assertRegex(alice, r'"verdict":"allow","user":"alice"')
        self.assertRegex(bob, r'"verdict":"deny"')
        self.assertNotRegex(bob, r"hello, this is bob")
        self.assertRegex(partner, r"hello, this is alice@PARTNER\.EXAMPLE")
        user = re.search(r'"verdict":"allow","user":"([^"]+)"', partner)[1]
        self.assertNotEqual(user, "alice")
        for part in (alice, bob, partner):
            self.assertIn("durward explain", part)

    def test_usage(self):
        for words, code in ((["--help"], 0), (["--nonsense"], 2)):
            done = subprocess.run([os.path.join(kit.ROOT, QUICKSTART), *words], capture_output=True, text=True,
                                  check=False, timeout=kit.PATIENCE)
            self.assertEqual(done.returncode, code)
            self.assertIn("usage", done.stdout + done.stderr)


class TestReadme(unittest.TestCase):
    """The files of "A first login", as they stand in the README."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-readme-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        section = read(kit.ROOT, "README.md").split("\n## A first login\n")[1].split("\n## ")[0]
        for name, text in zip(("durward.lua", "policy.lua"), re.findall(r"```lua\n(.*?)```", section, re.S)):
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as file:
                file.write(text)

    def explain(self, principal):
        return kit.run_durward("explain", "-p", os.path.join(self.dir, "policy.lua"), "--front", "zmtp",
                               "--principal", principal)

    def test_its_configuration_is_clean(self):
        lab = kit.Lab(kit.HOME)
        self.addCleanup(lab.down)
        for name in ("durward.lua", "policy.lua"):
            shutil.copy(os.path.join(self.dir, name), lab.dir)
        done = kit.run_durward("check", "-c", os.path.join(lab.dir, "durward.lua"), env=lab.environment("none"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_its_policy_decides_as_it_says(self):
        done = self.explain("bob@" + kit.HOME)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("bob is on leave", done.stdout)
        done = self.explain("alice@" + kit.HOME)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = self.explain("alice/admin@" + kit.HOME)
        self.assertIn("alice-admin", done.stdout)
        self.assertEqual(self.explain("alice@ELSEWHERE.EXAMPLE").returncode, 3)


class TestInstalled(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = tempfile.mkdtemp(prefix="durward-e2e-prefix-")
        cls.addClassCleanup(shutil.rmtree, cls.prefix, True)
        subprocess.run(["cmake", "--install", os.path.dirname(kit.DURWARD), "--prefix", cls.prefix], check=True,
                       capture_output=True, timeout=120)
        cls.share = os.path.join(cls.prefix, "share", "durward")

    def run_it(self, *words):
        return subprocess.run([os.path.join(self.prefix, "bin", "durward"), *words], capture_output=True, text=True,
                              cwd=self.prefix, check=False, timeout=kit.PATIENCE, env=dict(os.environ, **kit.SANITIZERS))

    def test_everything_that_a_user_reads_or_copies(self):
        for there, here in (("share/durward/lua/durward", "lua/durward"), ("share/durward/lua/prosody", "lua/prosody"),
                            ("share/durward/policies", "policies"), ("share/durward/examples", "examples"),
                            ("share/doc/durward/docs", "docs")):
            for folder, _, files in os.walk(os.path.join(kit.ROOT, here)):
                for name in files:
                    source = os.path.join(folder, name)
                    path = os.path.join(self.prefix, there, os.path.relpath(source, os.path.join(kit.ROOT, here)))
                    if here == "docs" and not name.endswith(".md") or "__pycache__" in folder:
                        continue
                    with self.subTest(path=os.path.relpath(path, self.prefix)):
                        self.assertTrue(os.path.isfile(path))
                        self.assertEqual(os.stat(path).st_mode & stat.S_IXUSR, os.stat(source).st_mode & stat.S_IXUSR)
        for name in ("share/doc/durward/README.md", "share/man/man1/durward.1"):
            self.assertTrue(os.path.isfile(os.path.join(self.prefix, name)), name)

    def test_the_manual_page_renders(self):
        done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", os.path.join(self.prefix, "share/man/man1/durward.1")],
                              capture_output=True, text=True, check=False, timeout=kit.PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for command in ("serve", "check", "explain", "replay", "test", "lua", "probe", "spn", "lab", "status", "version"):
            self.assertIn("durward %s" % command, re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout))

    def test_the_binary_needs_nothing_else_of_the_source(self):
        done = self.run_it("version")
        self.assertRegex(done.stdout, r"^durward \d+\.\d+\.\d+ \(Lua 5\.4")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        policies = os.path.join(self.share, "policies")
        needs_files = ("zap_curve_store.lua", "zap_plain_file.lua")  # of their own, beside them
        done = self.run_it("check", *sorted(os.path.join(policies, name) for name in os.listdir(policies)
                                            if name.endswith(".lua") and name not in needs_files))
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        done = self.run_it("explain", "-p", os.path.join(policies, "same_realm.lua"), "--front", "zmtp", "--principal",
                           "alice@HOME.EXAMPLE")
        self.assertIn(done.returncode, (0, 3), done.stderr)

    def test_version_takes_nothing(self):
        done = self.run_it("version", "--long")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("unknown argument '--long'", done.stderr)
        self.assertEqual(self.run_it("version", "--help").returncode, 0)

    def test_quickstart_of_the_installed(self):
        environment = {name: value for name, value in os.environ.items() if name != "DURWARD"}
        with tempfile.TemporaryDirectory(prefix="durward-e2e-quickstart-") as folder:
            done = subprocess.run([os.path.join(self.share, QUICKSTART)], capture_output=True, text=True, check=False,
                                  env=dict(environment, **kit.SANITIZERS, TMPDIR=folder), stdin=subprocess.DEVNULL,
                                  timeout=kit.PATIENCE * 4)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("a build in", done.stdout)


if __name__ == "__main__":
    unittest.main()
