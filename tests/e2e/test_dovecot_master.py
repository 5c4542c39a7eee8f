"""A dovecot listener's master, asked line by line: it tells who has logged in, once, and to whom the login process has told
its cookie; to nobody else."""
import os
import unittest

import kit
from dovecot_kit import Asker, Ended, Ticket

IMAP = "imap/localhost@" + kit.HOME
POLICY = """
local durward = require("durward")
return {
  map = durward.map.chain { durward.map.strip_realm("HOME.EXAMPLE") },
  authorize = function(event)
    if event.user == "bob" then
      return durward.deny({ reason = "bob stays outside" })
    end
    return durward.allow(ALLOW)
  end,
}
"""


class Case(kit.Case):
    def front(self, allow="{}", **listener):
        """One listener with a master, and another."""
        listeners = [dict({"name": name, "listen": "ipc://" + name, "master": "ipc://%s.master" % name}, **listener)
                     for name in ("one", "two")]
        return self.serve({"dovecot": listeners, "workers": 2}, POLICY.replace("ALLOW", allow))

    def asker(self, durward, name="one"):
        asker = Asker(durward.path(name))
        self.addCleanup(asker.close)
        asker.words = {line[0]: line[1] for line in asker.told if len(line) == 2}
        return asker

    def master(self, durward, name="one"):
        master = Asker(durward.path(name + ".master"), hello=False)
        self.addCleanup(master.close)
        master.say("VERSION", 1, 0)
        self.assertEqual(master.line(), ["VERSION", "1", "1"])
        master.told = master.line()
        return master

    def log_in(self, asker, number=1, user="alice"):
        return asker.exchange(number, "imap", Ticket(self.lab.cache(user), IMAP))[0]

    def request(self, master, asker, number=1, client=4711, cookie=None):
        master.say("REQUEST", 77, client, number, cookie or asker.words["COOKIE"], "session_pid=12", "request_auth_token")
        return master.line()


class Requests(Case):
    def test_once(self):
        durward = self.front()
        asker, master = self.asker(durward), self.master(durward)
        self.assertEqual(master.told, ["SPID", asker.words["SPID"]])
        self.assertEqual(self.log_in(asker, 1), "OK")
        self.assertEqual(self.log_in(asker, 2), "OK")
        self.assertEqual(self.request(master, asker, 2), ["USER", "77", "alice"])
        self.assertEqual(self.request(master, asker, 2), ["FAIL", "77"])
        self.assertEqual(self.request(self.master(durward), asker, 1), ["USER", "77", "alice"])
        self.assertEqual(self.request(self.master(durward), asker, 1), ["FAIL", "77"])
        self.assertTrue(durward.wait_log("warn a master was refused .*listener=one:master"))

    def test_nobody_elses(self):
        durward = self.front()
        asker, other, master = self.asker(durward), self.asker(durward), self.master(durward)
        self.assertEqual(self.log_in(asker), "OK")
        for wrong in ({"client": 4712}, {"number": 2}, {"cookie": "00" * 16}, {"cookie": other.words["COOKIE"]}):
            with self.subTest(wrong):
                self.assertEqual(self.request(master, asker, **wrong), ["FAIL", "77"])
        self.assertEqual(self.request(self.master(durward, "two"), asker), ["FAIL", "77"])
        # None of these has used it up.
        self.assertEqual(self.request(master, asker), ["USER", "77", "alice"])

    def test_who_is_not_in(self):
        durward = self.front()
        asker, master = self.asker(durward), self.master(durward)
        self.assertEqual(self.log_in(asker, 1, "bob"), "FAIL")
        self.assertEqual(self.request(master, asker, 1), ["FAIL", "77"])
        asker.auth(2, "imap", response=Ticket(self.lab.cache("alice"), IMAP).step())
        self.assertEqual(asker.reply(2)[0], "CONT")
        self.assertEqual(self.request(master, asker, 2), ["FAIL", "77"])

    def test_a_login_process_that_has_left(self):
        durward = self.front()
        asker, master = self.asker(durward), self.master(durward)
        self.assertEqual(self.log_in(asker), "OK")
        open_ones = durward.descriptors()
        asker.close()
        self.assertTrue(kit.until(lambda: durward.descriptors() < open_ones))
        self.assertEqual(self.request(master, asker), ["FAIL", "77"])

    def test_properties(self):
        """The master is told, the login process is not."""
        durward = self.front('{ user = "al=i", properties = { home = "/srv/m=1/ä", uid = "5000" } }')
        asker, master = self.asker(durward), self.master(durward)
        self.assertEqual(asker.exchange(1, "imap", Ticket(self.lab.cache("alice"), IMAP)), ("OK", ["user=al=i"]))
        verb, number, user, *fields = self.request(master, asker)
        self.assertEqual((verb, number, user, sorted(fields)),
                         ("USER", "77", "al=i", ["home=/srv/m=1/ä", "uid=5000"]))

    def test_properties_that_cannot_be_told(self):
        for value in ('"a\\tb"', '"a\\nb"', '"\\255"', '("x"):rep(8000)'):
            with self.subTest(value):
                durward = self.front("{ properties = { home = %s } }" % value)
                asker = self.asker(durward)
                self.assertEqual(self.log_in(asker), "FAIL")
                self.assertEqual(durward.journal()[0]["decision"]["verdict"], "temporary")
                self.assertEqual(self.request(self.master(durward), asker), ["FAIL", "77"])


class Sockets(Case):
    def test_for_its_owner_alone(self):
        durward = self.front(mode="0666")
        self.assertEqual(os.stat(durward.path("one")).st_mode & 0o777, 0o666)
        self.assertEqual(os.stat(durward.path("one.master")).st_mode & 0o777, 0o600)
        durward = self.front(master_mode="0660", master_group=os.getegid())
        self.assertEqual(os.stat(durward.path("one.master")).st_mode & 0o777, 0o660)

    def test_each_socket_takes_its_own_lines(self):
        durward = self.front()
        for line, why in ((("CPID", 7), "not known"), (("AUTH", 1, "GSSAPI", "service=imap"), "not known"),
                          (("USER", 1, "alice", "service=lmtp"), "own userdb"), (("LIST", 1), "own userdb"),
                          (("REQUEST", 1, 2), "three numbers"), (("REQUEST", 1, 2, 3, "00"), "cookie"),
                          (("REQUEST", 1, 2, 3, "xy" * 16), "not hex"), (("VERSION", 1, 0), "second time"),
                          (("x" * 9000,), "8192 octets")):
            with self.subTest(line):
                master = self.master(durward)
                master.say(*line)
                with self.assertRaises(Ended):
                    master.line()
                self.assertTrue(durward.wait_log("closed for an error .*listener=one:master .*" + why))
        asker = self.asker(durward)
        asker.say("REQUEST", 1, 4711, 1, asker.words["COOKIE"])
        with self.assertRaises(Ended):
            asker.line()

    def test_version_comes_first(self):
        durward = self.front()
        for line in (("REQUEST", 1, 2, 3, "00" * 16), ("VERSION", 2, 0)):
            master = Asker(durward.path("one.master"), hello=False)
            self.addCleanup(master.close)
            self.assertEqual([master.line()[0], master.line()[0]], ["VERSION", "SPID"])
            master.say(*line)
            with self.assertRaises(Ended):
                master.line()

    def test_a_reload_takes_it_away(self):
        durward = self.front()
        asker, master = self.asker(durward), self.master(durward)
        self.assertEqual(self.log_in(asker), "OK")
        durward.write("durward.lua", "return " + kit.lua({
            "keytab": self.lab.keytab, "journal": "journal.jsonl", "state_dir": "state", "policy": "policy.lua",
            "dovecot": [{"name": "one", "listen": "ipc://one"}]}))
        durward.reload()
        self.assertIsNotNone(durward.wait_log("reloaded"))
        with self.assertRaises((Ended, OSError)):
            self.request(master, asker)
            master.line()
        self.assertTrue(kit.until(lambda: not os.path.exists(durward.path("one.master"))))
        # The properties of decisions are nobody's then.
        self.assertEqual(self.log_in(asker, 2), "OK")


if __name__ == "__main__":
    unittest.main()
