"""durward lab: throwaway realms that work, stand side by side, and leave nothing behind."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import kit


def lab(*arguments, **more):
    return kit.run_durward("lab", *arguments, **more)


class LabCase(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="durward-e2e-lab-")
        self.addCleanup(shutil.rmtree, self.base, True)
        self.dir = os.path.join(self.base, "lab")
        self.addCleanup(lab, "down", "--dir", self.dir)

    def up(self, *arguments):
        done = lab("up", "--dir", self.dir, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)

    def environment(self, *arguments):
        """What a shell has after eval of `lab env`."""
        script = 'eval "$("$0" lab env "$@")" && env -0'
        done = subprocess.run(["bash", "-c", script, kit.DURWARD, "--dir", self.dir, *arguments], check=True,
                              capture_output=True, text=True)
        return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)

    def shell(self, command, env):
        done = subprocess.run(["bash", "-c", command], env=dict(env, LC_ALL="C"), capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, command + ": " + done.stderr)
        return done.stdout

    def kdcs(self):
        status = lab("status", "--dir", self.dir).stdout
        return [int(line.split()[-1]) for line in status.splitlines() if line.startswith("realm") and " pid " in line]


class TestLab(LabCase):
    def test_users_get_tickets_for_services_here_and_across(self):
        self.up("--realm", kit.HOME, "--realm", kit.PARTNER)
        for user in ("alice", "bob@HOME.EXAMPLE", "admin/admin", "alice@PARTNER.EXAMPLE"):
            env = self.environment("--user", user)
            self.assertIn("kvno = 1", self.shell("kvno zmq/localhost@HOME.EXAMPLE", env))
            self.assertIn("kvno = 1", self.shell("kvno -S xmpp localhost", env))
            wanted = user if "@" in user else user + "@" + kit.HOME
            self.assertIn("Default principal: " + wanted, self.shell("klist", env))
        self.assertIn("kvno = 1", self.shell("kvno zmq/localhost@PARTNER.EXAMPLE", self.environment()))

    def test_passwords_are_those_that_status_prints(self):
        self.up()
        status = lab("status", "--dir", self.dir)
        self.assertEqual(status.returncode, 0)
        line = next(line for line in status.stdout.splitlines() if line.startswith("user    bob@"))
        password = line.split("  password ")[1].split()[0]
        env = dict(self.environment(), KRB5CCNAME="FILE:" + self.base + "/typed.cc")
        self.shell("echo %s | kinit bob" % password, env)
        self.assertIn("bob@HOME.EXAMPLE", self.shell("klist", env))

    def test_the_keytab_is_private_and_has_the_services(self):
        self.up()
        keytab = self.dir + "/durward.keytab"
        self.assertEqual(os.stat(keytab).st_mode & 0o777, 0o600)
        listing = self.shell("klist -k " + keytab, self.environment())
        for service in ("zmq/localhost", "xmpp/localhost", "host/localhost", "zmq/" + os.uname().nodename.lower()):
            self.assertIn(service + "@HOME.EXAMPLE", listing)

    def test_up_is_idempotent_and_starts_again_what_died(self):
        self.up("--realm", kit.HOME, "--realm", kit.PARTNER)
        first = self.kdcs()
        done = lab("up", "--dir", self.dir)
        self.assertIn("already up", done.stdout)
        self.assertEqual(self.kdcs(), first)
        os.kill(first[0], signal.SIGKILL)
        self.assertTrue(kit.until(lambda: len(self.kdcs()) == 1))
        self.assertEqual(lab("status", "--dir", self.dir).returncode, 3)
        self.up()
        self.assertEqual(len(self.kdcs()), 2)
        self.assertIn("kvno", self.shell("kvno host/localhost", self.environment()))

    def test_other_realms_than_those_up_are_an_error(self):
        self.up()
        done = lab("up", "--dir", self.dir, "--realm", "OTHER.EXAMPLE")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is up with HOME.EXAMPLE", done.stderr)

    def test_two_labs_at_once(self):
        self.up()
        other = os.path.join(self.base, "other lab's")
        self.addCleanup(lab, "down", "--dir", other)
        self.assertEqual(lab("up", "--dir", other).returncode, 0)
        mine, self.dir = self.dir, other
        self.assertIn("kvno", self.shell("kvno zmq/localhost", self.environment()))
        self.assertEqual(lab("down", "--dir", other).returncode, 0)
        self.dir = mine
        self.assertIn("kvno", self.shell("kvno zmq/localhost", self.environment()))

    def test_down_stops_and_removes_but_only_a_lab(self):
        self.up()
        pids = self.kdcs()
        self.assertEqual(lab("down", "--dir", self.dir).returncode, 0)
        self.assertFalse(os.path.exists(self.dir))
        for pid in pids:
            with self.subTest(pid=pid):
                try:
                    with open("/proc/%d/cmdline" % pid, "rb") as file:
                        self.assertNotIn(b"krb5kdc", file.read())
                except FileNotFoundError:
                    pass
        self.assertEqual(lab("status", "--dir", self.dir).returncode, 3)
        self.assertEqual(lab("env", "--dir", self.dir).returncode, 3)
        self.assertEqual(lab("down", "--dir", self.dir).returncode, 0)
        os.mkdir(self.dir)
        precious = os.path.join(self.dir, "precious")
        with open(precious, "w", encoding="ascii") as file:
            file.write("x")
        self.assertEqual(lab("down", "--dir", self.dir).returncode, 1)
        self.assertEqual(lab("up", "--dir", self.dir).returncode, 1)
        self.assertEqual(os.listdir(self.dir), ["precious"])
        os.remove(precious)

    def test_an_up_that_fails_leaves_nothing(self):
        fake = os.path.join(self.base, "bin")
        os.mkdir(fake)
        with open(fake + "/kinit", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho 'the sky fell' >&2\nexit 7\n")
        os.chmod(fake + "/kinit", 0o755)
        done = lab("up", "--dir", self.dir, env={"PATH": fake + ":" + os.environ["PATH"]})
        self.assertEqual(done.returncode, 1)
        self.assertIn("the sky fell", done.stderr)
        self.assertFalse(os.path.exists(self.dir))
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    self.assertNotIn(self.dir.encode(), file.read())
            except OSError:
                pass

    def test_short_tickets_new_users_new_services_new_keys(self):
        self.up()
        cache = self.base + "/short.cc"
        lab("ticket", "bob", "--lifetime", "5s", "--cache", cache, "--dir", self.dir)
        env = self.environment()
        self.assertIn("bob@HOME.EXAMPLE", self.shell("klist -c " + cache, env))
        lab("adduser", "carol", "--dir", self.dir)
        lab("addservice", "imap/mail.example", "--dir", self.dir)
        self.assertIn("kvno = 1", self.shell("kvno imap/mail.example", self.environment("--user", "carol")))
        lab("roll", "zmq/localhost", "--dir", self.dir)
        keys = self.shell("klist -k", env).split("\n")
        self.assertEqual({line.split()[0] for line in keys if "zmq/localhost@" in line}, {"1", "2"})
        self.assertIn("kvno = 2", self.shell("kvno zmq/localhost", env))

    def test_services_that_up_is_asked_for(self):
        self.up("--realm", kit.HOME, "--realm", kit.PARTNER, "--service", "xmpp/cm1.home.example/home.example",
                "--service", "smtp/mail.example@" + kit.PARTNER)
        env = self.environment()
        for name in ("xmpp/cm1.home.example/home.example@HOME.EXAMPLE", "smtp/mail.example@PARTNER.EXAMPLE"):
            self.assertIn("kvno = 1", self.shell("kvno " + name, env))
            self.assertIn(name, self.shell("klist -k", env))
        again = lab("up", "--dir", self.dir, "--service", "imap/mail.example")
        self.assertEqual(again.returncode, 1)
        self.assertIn("durward lab addservice imap/mail.example", again.stderr)

    def test_mistakes_are_told(self):
        for arguments, word in ((("upp",), "unknown verb"), (("up", "--relm", "X"), "unknown option '--relm'"),
                                (("up", "--realm", "a/b"), "not a realm's name"),
                                (("up", "--service", "a b"), "not a principal's name"), (("up", "--dir"), "needs a value"),
                                (("status", "x"), "unexpected 'x'")):
            done = lab(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
