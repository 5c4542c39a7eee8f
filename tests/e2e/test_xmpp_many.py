"""Many XMPP streams and many domains: five hundred at once, three domains on one listener with their own certificates and
servers, two realms, certificates that are renewed under open streams."""
import os
import shutil
import ssl
import threading
import unittest

import kit
import ops
import xmpp_kit
import xmpp_world
from xmpp_world import CHAT, DOMAIN, HOSTNAME, PARTNERS

MANY = 500
AT_ONCE = 32

CROWD = """
local durward = require("durward")
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = function() return durward.allow({}) end,
}
"""


class TestMany(xmpp_world.Case):
    def test_five_hundred_streams(self):
        """All are logged in and stay; each has its own address; each says a word to the native user and is answered."""
        durward = self.front("prosody-token", policy=CROWD, settings={
            "limits": {"per_peer": MANY + 10, "connections": MANY + 10, "handshake_seconds": 120}})
        echo = self.world.echo("prosody-token")
        self.addCleanup(echo.stop)
        streams, problems, lock = [], [], threading.Lock()
        numbers = iter(range(MANY))

        def log_in():
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None or problems:
                    return
                try:
                    stream = xmpp_kit.Stream(durward.port, DOMAIN, self.world.authority.certificate)
                    with lock:
                        streams.append(stream)
                    stream.full = stream.log_in(self.ticket(), resource="r%d" % number)
                except Exception as problem:  # one is enough to tell of
                    problems.append("%d: %r" % (number, problem))

        crowd = [threading.Thread(target=log_in) for _ in range(AT_ONCE)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
        self.addCleanup(lambda: [stream.close() for stream in streams])
        self.assertEqual(problems, [], durward.log(last=10))
        self.assertEqual({stream.full for stream in streams}, {"alice@home.example/r%d" % n for n in range(MANY)})
        told = ops.status(durward)
        self.assertEqual(told["connections"], MANY)
        for number, stream in enumerate(streams):
            stream.say(echo.jid, "word %d" % number)
        for number, stream in enumerate(streams):
            self.assertEqual(stream.hear(), (echo.jid + "/echo", "echo: word %d" % number))
        self.assertEqual(len(durward.journal(verdict="allow")), MANY)
        idle = durward.memory()
        for stream in streams:
            stream.close()
        self.empty(durward)
        self.assertLess(idle, 2 ** 30)


class TestDomains(xmpp_world.Case):
    """One listener, three domains: each with its certificate, its keys, its realm and its server."""

    def listener(self):
        domains = {
            DOMAIN: {"tls": self.world.tls(DOMAIN), "backend": self.world.backend("prosody-token")},
            CHAT: {"tls": self.world.tls(CHAT), "backend": self.world.backend("prosody-external")},
            PARTNERS: {"tls": self.world.tls(PARTNERS), "backend": self.world.backend("prosody-token"),
                       "realm": kit.PARTNER},
        }
        return {"name": "cm", "listen": "tcp://127.0.0.1:%d" % kit.free_port(), "hostname": HOSTNAME,
                "keytab": self.world.keytab, "domains": domains}

    def names_shown(self, stream):
        return {name for kind, name in stream.tls.getpeercert()["subjectAltName"] if kind == "DNS"}

    def test_each_has_its_own(self):
        durward = self.serve(self.listener())
        for domain, user, realm in ((DOMAIN, "alice", kit.HOME), (CHAT, "bob", kit.HOME),
                                    (PARTNERS, "alice@" + kit.PARTNER, kit.PARTNER)):
            with self.subTest(domain=domain):
                stream = self.stream(durward, domain=domain)
                features = stream.prepare()
                self.assertIn(domain, self.names_shown(stream))
                self.assertEqual([one.text for one in features.iter("{%s}hostname" % xmpp_kit.HOSTNAME)], [HOSTNAME])
                if user == "bob":
                    with self.assertRaises(xmpp_kit.Refused):
                        stream.gssapi(self.ticket(user, "xmpp/%s/%s" % (HOSTNAME, domain), realm))
                    user = "alice"
                stream.gssapi(self.ticket(user, "xmpp/%s/%s" % (HOSTNAME, domain), realm))
                stream.open()
                wanted = "alice.partner@" if realm == kit.PARTNER else "alice@"
                self.assertEqual(stream.bind("x"), wanted + domain + "/x")
                self.assertIsNone(stream.end())
        self.assertEqual({line["event"]["domain"] for line in durward.journal(verdict="allow")},
                         {DOMAIN, CHAT, PARTNERS})

    def test_a_ticket_of_one_is_none_of_another(self):
        durward = self.serve(self.listener())
        for domain, asked, realm in ((DOMAIN, CHAT, kit.HOME), (CHAT, DOMAIN, kit.HOME), (DOMAIN, PARTNERS, kit.PARTNER),
                                     (PARTNERS, DOMAIN, kit.HOME)):
            with self.subTest(domain=domain, asked=asked):
                stream = self.stream(durward, domain=domain)
                stream.prepare()
                with self.assertRaises(xmpp_kit.Refused) as refused:
                    stream.gssapi(self.ticket("alice", "xmpp/%s/%s" % (HOSTNAME, asked), realm))
                self.assertEqual(str(refused.exception), "not-authorized")

    def test_who_sends_no_name(self):
        """Without SNI the stream's own `to` tells; with direct TLS the first domain's certificate is shown."""
        durward = self.serve(self.listener(), dict(self.listener(), name="direct", direct_tls=True))
        for domain in (DOMAIN, CHAT, PARTNERS):
            stream = self.stream(durward, domain=domain, sni="nobody.example")
            stream.open()
            try:
                stream.secure(verify=True)
                self.fail("the name was verified")
            except ssl.SSLCertVerificationError as problem:
                self.assertIn("nobody.example", str(problem))
        stream = self.stream(durward, port=durward.ports[1], domain=CHAT, alpn="xmpp-client")
        stream.start_tls()
        self.assertIn(CHAT, self.names_shown(stream))
        self.assertEqual(stream.tls.selected_alpn_protocol(), "xmpp-client")
        stream.open()
        stream.gssapi(self.ticket("alice", "xmpp/%s/%s" % (HOSTNAME, CHAT)))
        stream.open()
        self.assertEqual(stream.bind("x"), "alice@chat.home.example/x")
        stream = self.stream(durward, port=durward.ports[1], domain=CHAT, alpn="h2")
        with self.assertRaises((ssl.SSLError, xmpp_kit.Ended)):
            stream.start_tls()

    def test_certificates_are_renewed_under_open_streams(self):
        """SIGHUP reads them anew: who is in stays in, who comes sees the new one."""
        folder = os.path.join(self.world.dir, "renewed")
        os.makedirs(folder, exist_ok=True)
        paths = [os.path.join(folder, "front." + kind) for kind in ("pem", "key")]
        for path, source in zip(paths, self.world.certificates[DOMAIN]):
            shutil.copy(source, path)
        durward = self.front(tls={"certificate": paths[0], "key": paths[1]})
        before = self.stream(durward)
        before.log_in(self.ticket())
        serial = before.tls.getpeercert()["serialNumber"]
        for path, source in zip(paths, self.world.authority.issue(DOMAIN, "localhost", file="renewed-front")):
            shutil.copy(source, path)
        durward.reload()
        self.assertTrue(durward.wait_log("reloaded|reload"), durward.log())

        def shown():
            with xmpp_kit.Stream(durward.port, DOMAIN, self.world.authority.certificate) as stream:
                stream.prepare()
                return stream.tls.getpeercert()["serialNumber"]

        self.assertTrue(kit.until(lambda: shown() != serial), durward.log())
        self.assertEqual(before.roster(), [])
        with open(paths[0], "w", encoding="ascii") as file:
            file.write("no certificate\\n")
        durward.reload()
        self.assertTrue(durward.wait_log("front.pem"), durward.log())
        self.assertNotEqual(shown(), serial)
        self.assertEqual(before.roster(), [])


if __name__ == "__main__":
    unittest.main()
