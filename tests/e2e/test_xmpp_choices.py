"""What a policy chooses on the XMPP front: hostname and realm for each peer and domain; and the policies that are shipped,
by what clients hear."""
import os
import unittest

import kit
import test_xmpp_servers_at_fault as fault
import xmpp_kit
import xmpp_world
from xmpp_world import DOMAIN, HOSTNAME, PARTNERS

BY_PEER = """
local durward = require("durward")
return {
  realm = function(event)
    if event.domain == "partner.example" then
      local realms = { ["127.0.0.2"] = "PARTNER.EXAMPLE", ["127.0.0.3"] = "HOME.EXAMPLE" }
      return realms[event.peer.address] or "NOWHERE.EXAMPLE"
    elseif event.peer.address == "127.0.0.2" then
      return { hostname = "elsewhere.home.example" }
    end
  end,
  map = durward.map.chain {
    durward.map.strip_realm("HOME.EXAMPLE"),
    durward.map.name("%1.partner", "PARTNER.EXAMPLE"),
  },
  authorize = function() return durward.allow({}) end,
}
"""


class TestRealm(xmpp_world.Case):
    """The same listener answers as another one, or not at all, by who comes and for which domain."""

    def setUp(self):
        backend = self.world.backend("prosody-token")
        listener = self.world.listener(backend)
        listener["domains"] = {PARTNERS: {"tls": self.world.tls(PARTNERS), "backend": backend}}
        self.durward = self.serve(listener, policy=BY_PEER)

    def told(self, domain, source):
        """A stream with its mechanisms and the hostnames that it was told."""
        stream = self.stream(self.durward, domain=domain, source=source)
        features = stream.prepare()
        return (stream, [one.text for one in features.iter("{%s}mechanism" % xmpp_kit.SASL)],
                [one.text for one in features.iter("{%s}hostname" % xmpp_kit.HOSTNAME)])

    def enters(self, stream, address, *ticket):
        stream.gssapi(self.ticket(*ticket))
        stream.open()
        self.assertEqual(stream.bind("x"), address + "/x")
        self.assertIsNone(stream.end())

    def test_the_hostname(self):
        for source, hostname in (("127.0.0.1", HOSTNAME), ("127.0.0.2", "elsewhere.home.example")):
            stream, mechanisms, hostnames = self.told(DOMAIN, source)
            self.assertEqual((mechanisms, hostnames), (["GSSAPI"], [hostname]))
            other = "elsewhere.home.example" if hostname == HOSTNAME else HOSTNAME
            with self.assertRaises(xmpp_kit.Refused) as refused:
                stream.gssapi(self.ticket("alice", "xmpp/" + other))
            self.assertEqual(str(refused.exception), "not-authorized")
            service = "xmpp/%s/%s" % (HOSTNAME, DOMAIN) if hostname == HOSTNAME else "xmpp/" + hostname
            self.enters(stream, "alice@" + DOMAIN, "alice", service)
        hostnames = [line["event"]["hostname"] for line in self.durward.journal(verdict="allow")]
        self.assertEqual(hostnames, [HOSTNAME, "elsewhere.home.example"])

    def test_the_realm(self):
        """Only its keys are answered to; where there are none, no mechanism is offered."""
        _, mechanisms, hostnames = self.told(PARTNERS, "127.0.0.1")
        self.assertEqual((mechanisms, hostnames), ([], []))
        stream, mechanisms, _ = self.told(PARTNERS, "127.0.0.3")
        self.assertEqual(mechanisms, ["GSSAPI"])  # by the key of the host's own name
        with self.assertRaises(xmpp_kit.Refused) as refused:
            stream.gssapi(self.ticket("alice@" + kit.PARTNER, "xmpp/%s/%s" % (HOSTNAME, PARTNERS), kit.PARTNER))
        self.assertEqual(str(refused.exception), "not-authorized")
        stream, mechanisms, hostnames = self.told(PARTNERS, "127.0.0.2")
        self.assertEqual((mechanisms, hostnames), (["GSSAPI"], [HOSTNAME]))
        self.enters(stream, "alice.partner@" + PARTNERS, "alice@" + kit.PARTNER, "xmpp/%s/%s" % (HOSTNAME, PARTNERS),
                    kit.PARTNER)


def shipped(name):
    """A policy of ours, for the lab's realms and domain."""
    with open(os.path.join(kit.ROOT, "policies", name + ".lua"), encoding="utf-8") as file:
        text = file.read()
    return text.replace("example.com", fault.DOMAIN).replace("EXAMPLE.COM", kit.HOME)


class TestShipped(fault.Scene):
    def front(self, *names):
        self.behind = self.server(fault.good)
        listener = self.listener(self.behind.port)
        files = {name + ".lua": shipped(name) for name in names}
        durward = kit.Durward({"xmpp": [listener], "workers": 1, "policy": list(files)}, files=files)
        durward.port = int(listener["listen"].rsplit(":", 1)[1])
        self.addCleanup(lambda: self.assertIsNone(durward.stop()))
        return durward

    def outcome(self, durward, user, authzid=b""):
        """None, or the failure's condition."""
        stream = self.stream(durward)
        stream.prepare()
        condition = self.attempt(stream, user, authzid)
        if not condition:
            stream.open()
        stream.close()
        return condition

    def test_xmpp_user(self):
        durward = self.front("xmpp_user")
        domain = fault.DOMAIN.encode()
        for own in (b"", b"alice", b"alice@" + domain, b"Alice@" + domain.upper(), b"alice@HOME.EXAMPLE"):
            with self.subTest(own=own):
                self.assertIsNone(self.outcome(durward, "alice", own))
        for other in (b"bob", b"bob@" + domain, b"alice@elsewhere.test", b"alice/admin"):
            with self.subTest(other=other):
                self.assertEqual(self.outcome(durward, "alice", other), "invalid-authzid")
        self.assertEqual(self.outcome(durward, "admin/admin"), "not-authorized")
        self.assertEqual(self.outcome(durward, "admin/admin", b"bob"), "not-authorized")
        self.assertEqual({user for user, _ in self.behind.users}, {"alice"})

    def test_xmpp_admins_before_everybody_else(self):
        durward = self.front("xmpp_admins", "xmpp_user")
        self.assertIsNone(self.outcome(durward, "admin/admin"))
        self.assertIsNone(self.outcome(durward, "admin/admin", b"carol"))
        self.assertEqual(self.outcome(durward, "admin/admin", b"root"), "invalid-authzid")
        self.assertIsNone(self.outcome(durward, "alice"))
        self.assertEqual(self.outcome(durward, "alice", b"carol"), "invalid-authzid")
        self.assertEqual([user for user, _ in self.behind.users], ["admin!admin", "carol", "alice"])

    def test_xmpp_cross_realm(self):
        durward = self.front("xmpp_cross_realm")
        self.assertIsNone(self.outcome(durward, "alice@" + kit.PARTNER))
        self.assertIsNone(self.outcome(durward, "alice"))
        self.assertEqual(self.outcome(durward, "alice", b"alice.partner"), "invalid-authzid")
        self.assertEqual(self.outcome(durward, "alice@" + kit.PARTNER, b"alice"), "invalid-authzid")
        self.assertEqual([user for user, _ in self.behind.users], ["alice.partner", "alice"])


class TestMutual(fault.Scene):
    """As Gajim does it: no mutual authentication, layer 0, its full principal for authzid, the hostname from <features/>."""

    def gajim(self, **more):
        durward = self.durward(self.server(fault.good).port, hostname_in_features=True, **more)
        stream = self.stream(durward)
        features = stream.prepare()
        hostname = features.find("{%s}hostname" % xmpp_kit.HOSTNAME).text
        service = "xmpp/%s/%s%s" % (hostname, fault.DOMAIN, fault.HOME)
        ticket = xmpp_kit.Ticket(self.lab.cache("alice"), service, mutual=False)
        stream.gssapi(ticket, b"alice@HOME.EXAMPLE", layer=b"\0\0\0\0")
        stream.open()
        return durward

    def test_a_client_that_does_not_ask_for_it(self):
        line, = self.gajim().journal(verdict="allow")
        self.assertIs(line["event"]["gss"]["mutual"], False)

    def test_where_it_is_required(self):
        with self.assertRaises(xmpp_kit.Refused) as refused:
            self.gajim(require_mutual=True)
        self.assertEqual(str(refused.exception), "not-authorized")


if __name__ == "__main__":
    unittest.main()
