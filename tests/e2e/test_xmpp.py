"""The xmpp front: through durward to a stock Prosody and a stock ejabberd, by octets of the test's own (xmpp_kit)."""
import hashlib
import os
import shutil
import tempfile
import time
import unittest

import kit
import ops
import xmpp_kit
import xmpp_servers

DOMAIN, HOSTNAME = "example.test", "cm7.example.test"
SECRET = b"shared by durward and its server"
HOME = "@" + kit.HOME
FULL = "xmpp/%s/%s" % (HOSTNAME, DOMAIN)

POLICY = """
local durward = require("durward")
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = function(event)
    if event.user == "bob" then return durward.deny { reason = "bob stays outside" } end
    if event.user == "admin" then return durward.temporary { reason = "come back later" } end
    return durward.allow {}
  end,
}
"""


def service_keys(lab):
    """A keytab with every name that clients ask for, made once for the lab."""
    path = os.path.join(lab.dir, "xmpp.keytab")
    if not os.path.exists(path):
        for name in (FULL, "xmpp/" + HOSTNAME, "xmpp/" + DOMAIN, "imap/" + HOSTNAME):
            lab.run("addservice", name + HOME, "--keytab", path)
        lab.run("addservice", "xmpp/elsewhere.test" + HOME, "--keytab", os.path.join(lab.dir, "elsewhere.keytab"))
    return path


class Scene(unittest.TestCase):
    """A lab, an authority, a stock server with carol for a native user, and durward before it."""

    server_kind, login, proxy = xmpp_servers.Prosody, "token", False

    @classmethod
    def setUpClass(cls):
        missing = (xmpp_servers.missing_prosody if cls.server_kind is xmpp_servers.Prosody
                   else xmpp_servers.missing_ejabberd)()
        if missing:
            raise unittest.SkipTest(missing)
        cls.lab = kit.Lab.shared()
        cls.dir = tempfile.mkdtemp(prefix="durward-e2e-xmpp-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.keytab = service_keys(cls.lab)
        cls.authority = xmpp_servers.Authority(cls.dir)
        cls.certificate, cls.key = cls.authority.issue(DOMAIN, HOSTNAME, file="durward")
        cls.secret = os.path.join(cls.dir, "secret")
        with open(cls.secret, "wb") as file:
            file.write(SECRET)
        os.chmod(cls.secret, 0o600)
        cls.server = cls.server_kind({DOMAIN: {"carol": "her password"}}, cls.authority, login=cls.login, secret=SECRET,
                                     proxy=cls.proxy)
        cls.addClassCleanup(cls.server.stop)

    def listener(self, backend=None, **more):
        port = kit.free_port()
        login = {"login": self.login, "ca_file": self.authority.certificate,
                 "connect": "tcp://127.0.0.1:%d" % self.server.port}
        login.update({"ca_certificate": self.authority.certificate, "ca_key": self.authority.key}
                     if self.login == "external" else {"secret_file": self.secret})
        login.update(backend or {})
        return port, dict({"name": "cm7", "listen": "tcp://127.0.0.1:%d" % port, "domain": DOMAIN, "hostname": HOSTNAME,
                           "keytab": self.keytab, "tls": {"certificate": self.certificate, "key": self.key},
                           "backend": {key: value for key, value in login.items() if value is not None}}, **more)

    def durward(self, policy=POLICY, backend=None, limits=None, ends=False, **more):
        """`ends`: the test ends it, and judges that itself."""
        port, listener = self.listener(backend, **more)
        durward = kit.Durward({"xmpp": [listener], "limits": limits or {}, "workers": 1, "log": {"level": "debug"}},
                              policy)
        durward.port = port
        self.addCleanup(durward.kill if ends else lambda: self.assertIsNone(durward.stop()))
        return durward

    def stream(self, durward, **more):
        stream = xmpp_kit.Stream(durward.port, DOMAIN, self.authority.certificate, **more)
        self.addCleanup(stream.close)
        return stream

    def ticket(self, user="alice", service=FULL, **more):
        return xmpp_kit.Ticket(self.lab.cache(user), service + HOME, **more)

    def logged_in(self, durward, user="alice", **more):
        stream = self.stream(durward)
        stream.log_in(self.ticket(user), **more)
        return stream

    def refused(self, stream, ticket, authzid=b""):
        with self.assertRaises(xmpp_kit.Refused) as refused:
            stream.gssapi(ticket, authzid)
        return str(refused.exception)

    def talks(self, stream, text="hello"):
        """A message to a native user and the answer."""
        echo = xmpp_kit.Echo(self.server.port, "carol", "her password", DOMAIN, self.authority.certificate)
        try:
            stream.say(echo.jid, text)
            return stream.hear()[1]
        finally:
            echo.stop()


class Logins:
    def test_a_kerberos_user_talks_to_a_native_one(self):
        durward = self.durward()
        stream = self.stream(durward)
        features = stream.prepare()
        self.assertEqual([one.text for one in features.iter("{%s}mechanism" % xmpp_kit.SASL)], ["GSSAPI"])
        self.assertEqual([one.text for one in features.iter("{%s}hostname" % xmpp_kit.HOSTNAME)], [HOSTNAME])
        stream.gssapi(self.ticket())
        stream.open()
        self.assertEqual(stream.bind("raw"), "alice@%s/raw" % DOMAIN)
        self.assertEqual(self.talks(stream), "echo: hello")
        self.assertIsNone(stream.end())
        line, = durward.wait_journal(verdict="allow")
        event = line["event"]
        self.assertEqual((event["front"], event["mechanism"], event["domain"], event["hostname"], event["service"]),
                         ("xmpp", "GSSAPI", DOMAIN, HOSTNAME, FULL + HOME))
        self.assertEqual(event["tls"]["version"], "TLSv1.3")
        self.assertTrue(durward.wait_log(r"ended .*user=alice reason=\"?backend closed"), durward.log())

    def test_every_name_that_clients_ask_for(self):
        durward = self.durward()
        for service in (FULL, "xmpp/" + HOSTNAME, "xmpp/" + DOMAIN):
            stream = self.stream(durward)
            stream.prepare()
            stream.gssapi(self.ticket(service=service))
            stream.open()
            self.assertEqual(stream.bind("x"), "alice@%s/x" % DOMAIN)
            stream.end()

    def test_streams_wait_in_the_pool_and_serve_several(self):
        durward = self.durward(backend={"pool": None if self.login == "external" else 2})
        streams = []
        for turn in range(6):
            stream = self.logged_in(durward, resource="r%d" % turn)
            streams.append(stream)
            time.sleep(0.1)
        for stream in streams:
            self.assertEqual(len(stream.roster()), 0)


class TestProsodyToken(Logins, Scene):
    def test_refusals_and_another_attempt_on_the_same_stream(self):
        durward = self.durward()
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket("bob")), "not-authorized")
        self.assertEqual(self.refused(stream, self.ticket("alice"), b"carol"), "invalid-authzid")
        stream.gssapi(self.ticket("alice"), b"alice@" + DOMAIN.encode())
        stream.open()
        self.assertEqual(stream.bind("x"), "alice@%s/x" % DOMAIN)
        decisions = [(line["decision"]["verdict"], line["decision"].get("rule")) for line in durward.journal()]
        self.assertEqual(decisions, [("deny", None), ("deny", "authzid"), ("allow", None)])
        self.assertEqual(durward.journal(verdict="deny")[1]["event"]["authzid"], "carol")

    def test_a_policy_that_asks_to_come_back(self):
        durward = self.durward(policy=POLICY.replace('event.user == "admin"', 'event.user == "alice"'))
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket()), "temporary-auth-failure")

    def test_acting_for_another_is_the_policys_to_allow(self):
        durward = self.durward(policy="""
            local durward = require("durward")
            return {
              map = durward.map.strip_realm("HOME.EXAMPLE"),
              authorize = function(event)
                if event.user == "alice" and event.authzid == "carol" then return durward.allow { jid = "carol" } end
                return durward.allow {}
              end,
            }""")
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket("bob"), b"carol"), "invalid-authzid")
        stream.gssapi(self.ticket("alice"), b"carol")
        stream.open()
        self.assertEqual(stream.bind("x"), "carol@%s/x" % DOMAIN)

    def test_the_realm_hook_refuses_a_domain_before_any_login(self):
        durward = self.durward(policy="""
            local durward = require("durward")
            return { realm = function(event)
              assert(event.domain == "example.test" and event.tls.version and event.hostname == "cm7.example.test")
              return durward.deny { reason = "closed today" }
            end }""")
        stream = self.stream(durward)
        stream.open()
        stream.secure()
        with self.assertRaises(xmpp_kit.Ended) as ended:
            stream.open()
        self.assertEqual(str(ended.exception), "policy-violation")
        self.assertEqual(len(durward.wait_journal(verdict="deny")), 1)

    def test_no_key_no_mechanism(self):
        durward = self.durward(keytab=os.path.join(self.lab.dir, "elsewhere.keytab"))
        features = self.stream(durward).prepare()
        self.assertEqual([one.text for one in features.iter("{%s}mechanism" % xmpp_kit.SASL)], [])
        self.assertTrue(durward.wait_log(r"no mechanism is offered .*no key for any of xmpp/cm7"), durward.log())
        self.assertTrue(durward.wait_log(r"no key for a domain"))

    def test_a_ticket_for_another_service_of_the_same_keytab(self):
        durward = self.durward()
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket(service="imap/" + HOSTNAME)), "not-authorized")
        self.assertTrue(durward.wait_log(r"ticket refused .*imap/cm7"), durward.log())
        self.assertEqual(durward.journal(), [])

    def test_no_server_is_a_temporary_failure_within_the_handshakes_time(self):
        durward = self.durward(backend={"connect": "tcp://127.0.0.1:%d" % kit.free_port()},
                               limits={"handshake_seconds": 4})
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket()), "temporary-auth-failure")
        self.assertTrue(durward.wait_log(r"cannot be reached"), durward.log())

    def test_a_server_that_does_not_know_our_secret(self):
        wrong = os.path.join(self.dir, "wrong")
        with open(wrong, "wb") as file:
            file.write(b"another secret, not the server's")
        durward = self.durward(backend={"secret_file": wrong})
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket()), "temporary-auth-failure")

    def test_a_server_whose_certificate_is_not_trusted(self):
        other = xmpp_servers.Authority(self.dir, name="other")
        durward = self.durward(backend={"ca_file": other.certificate})
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.refused(stream, self.ticket()), "temporary-auth-failure")

    def test_the_ticket_ends_and_so_does_the_stream(self):
        durward = self.durward()
        cache = self.lab.ticket("alice", "6s")
        stream = self.stream(durward)
        stream.log_in(xmpp_kit.Ticket(cache, FULL + HOME))
        self.assertEqual(stream.ending(), "reset")
        self.assertTrue(durward.wait_log(r"ended .*reason=expired"), durward.log())

    def test_an_idle_stream(self):
        durward = self.durward(idle_seconds=1.5)
        stream = self.logged_in(durward)
        for _ in range(4):
            time.sleep(0.7)
            stream.send(" ")
        self.assertEqual(stream.ending(), "connection-timeout")

    def test_drain(self):
        durward = self.durward(ends=True)
        stream = self.logged_in(durward)
        waiting = self.stream(durward)
        waiting.prepare()
        durward.process.terminate()
        self.assertEqual(stream.ending(), "system-shutdown")
        self.assertEqual(waiting.ending(), "system-shutdown")
        stream.close()
        waiting.close()
        self.assertEqual(durward.process.wait(kit.PATIENCE), 0, durward.log(last=30))
        self.assertFalse(kit.REPORTS.search(durward.log()), durward.log())

    def test_the_server_dies(self):
        server = self.server_kind({DOMAIN: {}}, self.authority, login=self.login, secret=SECRET)
        self.addCleanup(server.stop)
        durward = self.durward(backend={"connect": "tcp://127.0.0.1:%d" % server.port})
        stream = self.logged_in(durward)
        server.kill()
        self.assertEqual(stream.ending(), "internal-server-error")

    def test_a_certificate_is_read_again(self):
        certificate, key = self.authority.issue(DOMAIN, file="turn")
        durward = self.durward(tls={"certificate": certificate, "key": key})
        before = self.stream(durward)
        before.prepare()
        old = before.tls.getpeercert(True)
        self.authority.issue(DOMAIN, file="turn")
        durward.reload()
        self.assertTrue(durward.wait_log(r"reloaded"))
        after = self.stream(durward)
        after.prepare()
        self.assertNotEqual(after.tls.getpeercert(True), old)
        good = after.tls.getpeercert(True)
        with open(certificate, "w", encoding="ascii") as file:
            file.write("this is no certificate\n")
        durward.reload()
        self.assertTrue(durward.wait_log(r"unusable, what was read before goes on"), durward.log())
        self.assertTrue(durward.wait_log(r"info reloaded", times=2))
        last = self.stream(durward)
        last.prepare()
        self.assertEqual(last.tls.getpeercert(True), good)
        self.assertEqual(before.gssapi(self.ticket()), None)  # a stream from before both goes on
        before.open()
        self.assertEqual(before.bind("x"), "alice@%s/x" % DOMAIN)

    def test_a_client_without_a_ticket_is_told_of(self):
        durward = self.durward(limits={"handshake_seconds": 1})
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(stream.ending(), "connection-timeout")
        self.assertTrue(durward.wait_log(r"most likely it has no ticket .*services=.*xmpp/cm7\.example\.test/example"),
                        durward.log())

    def test_gs2(self):
        durward = self.durward(mechanisms=["GS2-KRB5-PLUS", "GS2-KRB5", "GSSAPI"])
        stream = self.stream(durward)
        features = stream.prepare()
        self.assertEqual([one.text for one in features.iter("{%s}mechanism" % xmpp_kit.SASL)],
                         ["GS2-KRB5-PLUS", "GS2-KRB5", "GSSAPI"])
        xmpp_kit.gsasl(stream, self.lab.cache("alice"), HOSTNAME, authzid="alice", mechanism="GS2-KRB5")
        stream.open()
        self.assertEqual(stream.bind("x"), "alice@%s/x" % DOMAIN)
        self.assertEqual(durward.journal()[0]["event"]["mechanism"], "GS2-KRB5")

    def bound(self, stream, header, binding=b""):
        """GS2 with that gs2-header (RFC 5801): the failure's condition, or None."""
        try:
            xmpp_kit.gs2(stream, self.lab.cache("alice"), FULL + HOME, header, binding)
        except xmpp_kit.Refused as refused:
            return str(refused)
        return None

    def test_gs2_is_bound_to_the_channel(self):
        durward = self.durward(mechanisms=["GS2-KRB5-PLUS", "GS2-KRB5"])
        stream = self.stream(durward)
        features = stream.prepare()
        types = [one.get("type") for one in features.iter("{urn:xmpp:sasl-cb:0}channel-binding")]
        self.assertEqual(types, ["tls-exporter", "tls-server-end-point"])
        header = b"p=tls-server-end-point,,"
        right = hashlib.sha256(stream.tls.getpeercert(True)).digest()
        self.assertEqual(self.bound(stream, header, b"x" * 32), "not-authorized")
        self.assertEqual(self.bound(stream, b"y,,"), "not-authorized")  # somebody took -PLUS off the list
        self.assertIsNone(self.bound(stream, header, right))
        stream.open()
        self.assertEqual(stream.bind("x"), "alice@%s/x" % DOMAIN)
        self.assertEqual([line["event"]["gss"]["channel_bound"] for line in durward.journal()], [True])

    def test_gs2_is_bound_to_what_tls_exports(self):
        """RFC 9266, by OpenSSL's own client: another connection's octets are no good."""
        durward = self.durward(mechanisms=["GS2-KRB5-PLUS", "GS2-KRB5"], direct_tls=True)
        streams = [xmpp_kit.Exporting(durward.port, DOMAIN, self.authority.certificate) for _ in range(2)]
        for stream in streams:
            self.addCleanup(stream.close)
            stream.open()
        self.assertNotEqual(streams[0].exported, streams[1].exported)
        header = b"p=tls-exporter,,"
        self.assertEqual(self.bound(streams[0], header, streams[1].exported), "not-authorized")
        self.assertEqual(self.bound(streams[0], b"p=tls-server-end-point,,", streams[0].exported), "not-authorized")
        self.assertIsNone(self.bound(streams[0], header, streams[0].exported))
        streams[0].open()
        self.assertEqual(streams[0].bind("x"), "alice@%s/x" % DOMAIN)
        line, = durward.journal()
        self.assertEqual((line["event"]["mechanism"], line["event"]["gss"]["channel_bound"]), ("GS2-KRB5-PLUS", True))

    def test_back_pressure_and_bounded_memory(self):
        durward = self.durward()
        sender, receiver = self.logged_in(durward, resource="s"), self.logged_in(durward, resource="r")
        receiver.send("<presence/>")
        receiver.element()
        text = "<message type='chat' to='alice@%s/r' id='%%d'><body>%s</body></message>" % (DOMAIN, "x" * 8000)
        for number in range(1000):  # the receiver does not read
            sender.send(text % number)
        sender.roster()
        self.assertLess(ops.status(durward)["buffered_bytes"], 2 << 20)
        for number in range(1000):
            element = receiver.element()
            while element.get("type") != "chat":
                element = receiver.element()
            self.assertEqual(element.get("id"), str(number))


class TestProsodyExternal(Logins, Scene):
    login = "external"

    def talks(self, stream, text="hello"):
        """This one lets nobody in by a password: another stream of the same user hears it."""
        other = self.logged_in(self.durward(), resource="other")
        other.send("<presence/>")
        other.element()
        stream.say("alice@%s/other" % DOMAIN, text)
        return "echo: " + other.hear()[1]


class TestEjabberdJwt(Logins, Scene):
    server_kind, login = xmpp_servers.Ejabberd, "jwt"


class TestEjabberdProxy(Scene):
    """The server is told where its client is, in either version of the PROXY protocol."""

    server_kind, login, proxy = xmpp_servers.Ejabberd, "jwt", True

    def test_it_sees_the_clients_address(self):
        for version, source in ((1, "127.0.0.7"), (2, "127.0.0.9")):
            with self.subTest(version=version):
                durward = self.durward(backend={"proxy": version})
                stream = self.stream(durward, source=source)
                self.assertEqual(stream.log_in(self.ticket()), "alice@%s/raw" % DOMAIN)
                self.assertEqual(len(stream.roster()), 0)
                self.assertIsNotNone(self.server.wait_log("PLAIN authentication for alice@.* from %s" % source),
                                     self.server.log()[-3000:])


if __name__ == "__main__":
    unittest.main()
