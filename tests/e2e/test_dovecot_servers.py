"""Stock servers that ask durward by Dovecot's protocol, and real Kerberos clients of theirs: Dovecot itself, Postfix, Exim,
Prosody; and a client over Java's own Kerberos."""
import base64
import imaplib
import os
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import unittest

import kit
import mail_servers
import xmpp_kit
import xmpp_servers
from dovecot_kit import Asker, Ticket

SMTP = "smtp/localhost@" + kit.HOME
POLICY = """
local durward = require("durward")
return {
  map = durward.map.chain {
    durward.map.strip_realm("HOME.EXAMPLE"),
    durward.map.name("%1.partner", "PARTNER.EXAMPLE"),
  },
  authorize = function(event)
    if event.user == "bob" then
      return durward.deny({ reason = "bob stays outside" })
    end
    return durward.allow({ ALLOW })
  end,
}
"""


def encode(octets):
    return base64.b64encode(octets).decode()


class Case(kit.Case):
    @classmethod
    def setUpClass(cls):
        lab = kit.Lab.shared()
        cls.keytab = lab.dir + "/servers.keytab"
        if not os.path.exists(cls.keytab):
            for service in ("smtp/localhost", "xmpp/example.test"):
                lab.run("addservice", service, "--keytab", cls.keytab)

    def front(self, allow="", **listener):
        """`allow`: what durward.allow is given."""
        listener = dict({"name": "sasl", "keytab": self.keytab}, **listener)
        return self.serve({"workers": 2, "dovecot": [listener]}, POLICY.replace("ALLOW", allow))


class Mail(Case):
    def setUp(self):
        super().setUp()
        missing = mail_servers.missing_postfix()
        if missing:
            self.skipTest(missing)

    def postfix(self, sasl):
        server = mail_servers.Postfix(sasl)
        self.addCleanup(server.stop)
        return server

    def log_in(self, server, ticket, authzid=b"", initial=True):
        """An smtplib session, logged in."""
        session = smtplib.SMTP("127.0.0.1", server.port, timeout=kit.PATIENCE)
        self.addCleanup(session.close)
        session.ehlo("client.example")
        self.assertEqual(session.esmtp_features["auth"].split(), ["GSSAPI"])
        word = encode(ticket.step())
        code, answer = session.docmd("AUTH", "GSSAPI " + word if initial else "GSSAPI")
        if not initial and code == 334:
            code, answer = session.docmd(word)
        while code == 334:
            code, answer = session.docmd(encode(ticket.answer(base64.b64decode(answer), authzid=authzid)))
        return session, code

    def ticket(self, user, **more):
        return Ticket(self.lab.cache(user), SMTP, **more)

    def test_over_tcp(self):
        port = kit.free_port()
        durward = self.front(listen="tcp://127.0.0.1:%d" % port)
        server = self.postfix("inet:127.0.0.1:%d" % port)
        for user, name, initial, mutual in (("alice", "alice", True, True), ("alice", "alice", False, True),
                                            ("alice@" + kit.PARTNER, "alice.partner", True, False)):
            session, code = self.log_in(server, self.ticket(user, mutual=mutual), initial=initial)
            self.assertEqual(code, 235)
            session.sendmail("a@example.com", ["b@example.com"], "Subject: one\n\nbody\n")
            self.assertTrue(kit.until(lambda: "sasl_method=GSSAPI, sasl_username=" + name in server.log()), server.log())
        event = durward.journal()[0]["event"]
        self.assertEqual((event["front"], event["service"], event["peer"]["address"]), ("dovecot", SMTP, "127.0.0.1"))
        self.assertEqual(self.log_in(server, self.ticket("bob"))[1], 535)
        self.assertEqual(self.log_in(server, self.ticket("alice"), authzid=b"carol")[1], 535)
        self.assertEqual(self.log_in(server, Ticket(self.lab.cache("alice"), "xmpp/example.test@" + kit.HOME))[1], 535)
        self.assertEqual(len(durward.journal(verdict="deny")), 2)

    def test_over_a_unix_socket(self):
        """Postfix's smtpd is nobody in particular: the socket lies where it may go."""
        durward = self.front(listen="ipc://auth", mode="0666")
        os.chmod(durward.dir, 0o711)
        server = self.postfix(durward.path("auth"))
        session, code = self.log_in(server, self.ticket("alice"))
        self.assertEqual(code, 235)
        self.assertEqual(session.docmd("MAIL FROM:<a@example.com>")[0], 250)
        self.assertEqual(session.docmd("RCPT TO:<b@example.com>")[0], 250)
        self.assertEqual(self.log_in(server, self.ticket("bob"))[1], 535)

    def test_durward_ends_and_comes_again(self):
        port = kit.free_port()
        listener = {"listen": "tcp://127.0.0.1:%d" % port}
        config = {"workers": 2, "dovecot": [dict(listener, name="sasl", keytab=self.keytab)]}
        first = kit.Durward(config, POLICY.replace("ALLOW", ""))
        server = self.postfix("inet:127.0.0.1:%d" % port)
        session, code = self.log_in(server, self.ticket("alice"))
        self.assertEqual(code, 235)
        session.quit()
        self.assertIsNone(first.stop())
        self.front(**listener)
        # A process of Postfix that had a connection needs one attempt to see that it is gone.
        self.assertTrue(kit.until(lambda: self.log_in(server, self.ticket("alice"))[1] == 235))


ACCOUNTS = """
mail_uid = UID
mail_gid = GID
mail_home = HOMES/%u
"""
PASSWORDS = """
disable_plaintext_auth = no
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=UID gid=GID home=HOMES/%u
}
service imap-login-password {
  executable = imap-login -l imap-password
  protocol = imap
  user = $default_login_user
  chroot =
  inet_listener imap {
    port = PORT
  }
}
service imap-password {
  executable = imap
  protocol = imap
  client_limit = 1
  unix_listener login/imap-password {
    mode = 0666
  }
}
"""


class Imap(Case):
    """Debian's Dovecot: a login process asks durward, then the imap process that the client is handed to."""

    def setUp(self):
        super().setUp()
        missing = mail_servers.missing_dovecot()
        if missing:
            self.skipTest(missing)

    def dovecot(self, settings, allow=""):
        """`settings` and `allow` may speak of HOMES, UID and GID: where mail is kept, and by whom."""
        keeper, place = mail_servers.keeper(), tempfile.mkdtemp(prefix="durward-e2e-imap-")
        self.addCleanup(shutil.rmtree, place, True)
        os.chmod(place, 0o711)
        self.homes = place + "/homes"
        os.mkdir(self.homes, 0o700)
        os.chown(self.homes, keeper.pw_uid, keeper.pw_gid)
        for word, value in (("HOMES", self.homes), ("UID", keeper.pw_uid), ("GID", keeper.pw_gid)):
            allow, settings = allow.replace(word, str(value)), settings.replace(word, str(value))
        listener = {"name": "sasl", "listen": "ipc://%s/auth" % place, "mode": "0666", "master": "ipc://%s/master" % place}
        self.durward = kit.Durward({"workers": 2, "dovecot": [listener]}, POLICY.replace("ALLOW", allow))
        self.addCleanup(lambda: self.assertIsNone(self.durward.stop()))
        server = mail_servers.Dovecot(place + "/auth", place + "/master", settings)
        self.addCleanup(server.stop)
        return listener, server

    def log_in(self, server, user, authzid=b"", mutual=True):
        session = imaplib.IMAP4("127.0.0.1", server.port, timeout=kit.PATIENCE)
        self.addCleanup(session.sock.close)
        self.addCleanup(session.file.close)
        self.assertIn("AUTH=GSSAPI", session.capabilities)
        ticket = Ticket(self.lab.cache(user), "imap/localhost@" + kit.HOME, mutual)
        challenges = []

        def answer(challenge):
            challenges.append(challenge)
            return ticket.step() if len(challenges) == 1 else ticket.answer(challenge, authzid=authzid)

        session.authenticate("GSSAPI", answer)
        self.assertEqual(challenges[0], b"")
        return session

    def test_mailboxes(self):
        """The accounts are Dovecot's own settings."""
        _, server = self.dovecot(ACCOUNTS)
        session = self.log_in(server, "alice")
        self.assertEqual(session.append("INBOX", None, None, b"Subject: one\r\n\r\nbody of alice's\r\n")[0], "OK")
        session.logout()
        for mutual in (True, False):
            session = self.log_in(server, "alice", mutual=mutual)
            self.assertEqual(session.select("INBOX"), ("OK", [b"1"]))
            self.assertIn(b"body of alice's", session.fetch("1", "(RFC822)")[1][0][1])
            session.logout()
        # Another's is another.
        session = self.log_in(server, "alice@" + kit.PARTNER)
        self.assertEqual(session.select("INBOX"), ("OK", [b"0"]))
        self.assertEqual(sorted(os.listdir(self.homes)), ["alice", "alice.partner"])
        for user, authzid in (("bob", b""), ("alice", b"carol")):
            with self.assertRaises(imaplib.IMAP4.error) as caught:
                self.log_in(server, user, authzid)
            self.assertRegex(str(caught.exception), "AUTH(ENTICATION|ORIZATION)FAILED")
        event = self.durward.journal()[0]["event"]
        self.assertEqual((event["front"], event["service"], event["peer"]["address"]),
                         ("dovecot", "imap/localhost@" + kit.HOME, "127.0.0.1"))
        self.assertEqual(len(self.durward.journal(verdict="deny")), 2)

    def test_the_policy_names_the_account(self):
        _, server = self.dovecot("", """properties = {
            home = "HOMES/" .. event.user, uid = "UID", gid = "GID", mail = "maildir:~/of the policy" }""")
        session = self.log_in(server, "alice")
        self.assertEqual(session.select("INBOX"), ("OK", [b"0"]))
        session.logout()
        self.assertEqual(os.listdir(self.homes), ["alice"])
        self.assertEqual(os.stat(self.homes + "/alice").st_uid, mail_servers.keeper().pw_uid)
        self.assertTrue(os.path.isdir(self.homes + "/alice/of the policy/cur"))
        self.assertEqual(len(self.durward.journal(verdict="allow")), 1)

    def test_passwords_beside_it(self):
        """On a port of their own, with Dovecot's own authentication; the mailboxes are the same."""
        port = kit.free_port()
        _, server = self.dovecot(ACCOUNTS + PASSWORDS.replace("PORT", str(port)))
        session = self.log_in(server, "alice")
        self.assertEqual(session.append("INBOX", None, None, b"Subject: one\r\n\r\nbody\r\n")[0], "OK")
        session.logout()
        with imaplib.IMAP4("127.0.0.1", port, timeout=kit.PATIENCE) as session:
            self.assertNotIn("AUTH=GSSAPI", session.capabilities)
            session.login("alice", "secret")
            self.assertEqual(session.select("INBOX"), ("OK", [b"1"]))
        self.assertEqual(len(self.durward.journal()), 1)

    def test_what_cannot_be_said_of_an_account(self):
        """No login is admitted that its mailbox then would not be found for."""
        _, server = self.dovecot(ACCOUNTS, 'properties = { home = "/x\\nuid=0" }')
        with self.assertRaises(imaplib.IMAP4.error) as caught:
            self.log_in(server, "alice")
        self.assertIn("UNAVAILABLE", str(caught.exception))
        [line] = self.durward.journal()
        self.assertEqual(line["decision"]["verdict"], "temporary")
        self.assertIn("'home'", line["decision"]["reason"])

    def test_durward_ends_and_comes_again(self):
        listener, server = self.dovecot(ACCOUNTS)
        session = self.log_in(server, "alice")
        self.assertIsNone(self.durward.stop())
        # Who is in stays in.
        self.assertEqual(session.select("INBOX"), ("OK", [b"0"]))
        self.durward = kit.Durward({"workers": 2, "dovecot": [listener]}, POLICY.replace("ALLOW", ""))

        def is_in():
            try:
                return self.log_in(server, "alice").select("INBOX") == ("OK", [b"0"])
            except (imaplib.IMAP4.error, OSError):
                return False

        self.assertTrue(kit.until(is_in), server.log())


EXIM = """
spool_directory = %(dir)s
log_file_path = %(dir)s/%%slog
auth_advertise_hosts = *
tls_advertise_hosts =
acl_smtp_mail = known
begin acl
known:
  accept authenticated = *
  deny
begin authenticators
gssapi:
  driver = dovecot
  public_name = GSSAPI
  server_socket = %(socket)s
  server_set_id = $auth1
"""


class Exim(Case):
    """Debian's has the driver in exim4-daemon-heavy, and stands in the place of Postfix: one of the two is skipped.  It
    talks on its standard input, as if to a host."""

    def setUp(self):
        super().setUp()
        if not shutil.which("exim4"):
            self.skipTest("exim4 is not installed")
        told = subprocess.run(["exim4", "-bV"], capture_output=True, text=True, timeout=kit.PATIENCE).stdout
        if not re.search("^Authenticators:.* dovecot", told, re.M):
            self.skipTest("this exim4 has no driver for Dovecot's protocol: exim4-daemon-heavy has")
        self.durward = self.front(listen="ipc://auth", mode="0666")
        os.chmod(self.durward.dir, 0o711)

    def log_in(self, user, authzid=b""):
        """Its answers to AUTH and to MAIL."""
        directory = tempfile.mkdtemp(prefix="durward-e2e-exim-")
        self.addCleanup(shutil.rmtree, directory, True)
        path = os.path.join(directory, "exim.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(EXIM % {"dir": directory, "socket": self.durward.path("auth")})
        exim = subprocess.Popen(["exim4", "-C", path, "-bh", "192.0.2.7"], text=True, bufsize=1, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ticket = Ticket(self.lab.cache(user), SMTP)
        try:
            self.hear(exim)
            self.tell(exim, "EHLO client.example")
            answer = self.tell(exim, "AUTH GSSAPI " + encode(ticket.step()))
            while answer.startswith("334"):
                answer = self.tell(exim, encode(ticket.answer(base64.b64decode(answer[4:]), authzid=authzid)))
            return answer[:3], self.tell(exim, "MAIL FROM:<a@example.com>")[:3]
        finally:
            exim.stdin.close()
            exim.stdout.close()
            exim.kill()
            exim.wait()

    def tell(self, exim, line):
        exim.stdin.write(line + "\r\n")
        exim.stdin.flush()
        return self.hear(exim)

    def hear(self, exim):
        for line in exim.stdout:
            if re.match(r"\d{3} ", line):
                return line.strip()
        raise AssertionError("exim has ended")

    def test_logins(self):
        self.assertEqual(self.log_in("alice"), ("235", "250"))
        self.assertEqual(self.log_in("bob"), ("535", "550"))
        self.assertEqual(self.log_in("alice", b"carol"), ("535", "550"))
        self.assertEqual([(line["event"]["peer"]["address"], line["decision"]["verdict"])
                          for line in self.durward.journal()], [("192.0.2.7", v) for v in ("allow", "deny", "deny")])


class Java(Case):
    def test_logins(self):
        if not shutil.which("javac"):
            self.skipTest("no Java Development Kit is installed")
        durward = self.front(listen="ipc://auth")
        folder = tempfile.mkdtemp(prefix="durward-e2e-java-")
        self.addCleanup(shutil.rmtree, folder, True)
        subprocess.run(["javac", "-nowarn", "-d", folder, os.path.join(kit.HERE, "clients", "JgssClient.java")], check=True,
                       capture_output=True, timeout=kit.PATIENCE * 2)
        asker = Asker(durward.path("auth"))
        self.addCleanup(asker.close)
        for mutual in ("true", "false"):
            for authzid, outcome in (("", "OK"), ("alice", "OK"), ("carol", "FAIL")):
                with self.subTest(mutual=mutual, authzid=authzid):
                    self.assertEqual(self.exchange(asker, folder, mutual, authzid), outcome)

    def exchange(self, asker, folder, mutual, authzid):
        client = subprocess.Popen(
            ["java", "-cp", folder, "-Djava.security.krb5.conf=%s/krb5.conf" % self.lab.dir, "JgssClient",
             self.lab.cache("alice"), "alice@" + kit.HOME, "smtp", "localhost", mutual, authzid], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            asker.auth(1, "smtp", response=base64.b64decode(client.stdout.readline()))
            verb, what = asker.reply(1)
            while verb == "CONT":
                client.stdin.write(encode(what) + "\n")
                client.stdin.flush()
                asker.cont(1, base64.b64decode(client.stdout.readline()))
                verb, what = asker.reply(1)
            return verb
        finally:
            client.stdin.close()
            client.stdout.close()
            client.kill()
            client.wait()


class Prosody(Case):
    """Debian's mod_auth_dovecot; the clients are the raw one and slixmpp."""

    DOMAIN = "example.test"

    def setUp(self):
        super().setUp()
        missing = xmpp_servers.missing_prosody("mod_auth_dovecot")
        if missing:
            self.skipTest(missing)

    def prosody(self, where, **options):
        """`where`: a path, or a port of 127.0.0.1."""
        place = ({"dovecot_auth_socket": where} if isinstance(where, str)
                 else {"dovecot_auth_host": "127.0.0.1", "dovecot_auth_port": str(where)})
        options = dict({"authentication": "dovecot", "handle_appended": "split", "validate_append_host": True}, **place,
                       **options)
        authority = xmpp_servers.Authority(self.directory())
        extra = "".join("%s = %s\n" % (name, kit.lua(value)) for name, value in options.items())
        extra += "plugin_paths = { %s }\n" % kit.lua(xmpp_servers.COMMUNITY + "/mod_auth_dovecot")
        server = xmpp_servers.Prosody({self.DOMAIN: {}}, authority, extra=extra)
        self.addCleanup(server.stop)
        return server

    def directory(self):
        path = tempfile.mkdtemp(prefix="durward-e2e-authority-")
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def log_in(self, server, user, authzid=b"", mutual=True):
        stream = xmpp_kit.Stream(server.port, self.DOMAIN, server.authority.certificate)
        self.addCleanup(stream.close)
        ticket = xmpp_kit.Ticket(self.lab.cache(user), "xmpp/%s@%s" % (self.DOMAIN, kit.HOME), mutual)
        return stream, stream.log_in(ticket, authzid)

    JID = 'jid = event.user .. "@example.test"'

    def test_logins(self):
        port = kit.free_port()
        durward = self.front(self.JID, listen="tcp://127.0.0.1:%d" % port)
        server = self.prosody(port)
        for user, name, authzid, mutual in (
                ("alice", "alice", b"", True), ("alice", "alice", b"alice", True), ("alice", "alice", b"", False),
                ("alice", "alice", b"alice@example.test", True),
                ("alice@" + kit.PARTNER, "alice.partner", b"alice@PARTNER.EXAMPLE", True)):
            stream, jid = self.log_in(server, user, authzid, mutual)
            self.assertEqual(jid, name + "@example.test/raw")
            stream.end()
        event = durward.journal()[0]["event"]
        self.assertEqual((event["front"], event["service"]), ("dovecot", "xmpp/example.test@" + kit.HOME))
        for user, authzid, condition in (("bob", b"", "not-authorized"), ("alice", b"carol", "invalid-authzid")):
            with self.assertRaises(xmpp_kit.Refused) as caught:
                self.log_in(server, user, authzid)
            self.assertEqual(str(caught.exception), condition)
        # Prosody is well after that.
        self.assertEqual(self.log_in(server, "alice")[1], "alice@example.test/raw")

    def test_an_attempt_given_up(self):
        """Prosody does not tell; the next ones have their own answers all the same."""
        durward = self.front(self.JID, listen="ipc://auth")
        server = self.prosody(durward.path("auth"))
        for _ in range(3):
            stream = xmpp_kit.Stream(server.port, self.DOMAIN, server.authority.certificate)
            self.addCleanup(stream.close)
            stream.prepare()
            stream.auth("GSSAPI", xmpp_kit.Ticket(self.lab.cache("alice"), "xmpp/example.test@" + kit.HOME).step())
            self.assertEqual(stream.sasl()[0], "challenge")
            stream.send("<abort xmlns='%s'/>" % xmpp_kit.SASL)
            with self.assertRaises(xmpp_kit.Refused):
                stream.sasl()
            stream.close()
        self.assertEqual(self.log_in(server, "alice")[1], "alice@example.test/raw")

    def test_slixmpp(self):
        durward = self.front(self.JID, listen="ipc://auth")
        server = self.prosody(durward.path("auth"))
        script = os.path.join(kit.HERE, "clients", "slixmpp_client.py")
        done = subprocess.run([sys.executable, script, "alice@example.test", "127.0.0.1", str(server.port),
                               server.authority.certificate], env=self.lab.environment(self.lab.cache("alice")),
                              capture_output=True, text=True, timeout=kit.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + server.log())
        self.assertEqual(len(durward.journal(verdict="allow", user="alice")), 1)


if __name__ == "__main__":
    unittest.main()
