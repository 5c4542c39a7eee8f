"""Worlds for the XMPP tests: stock servers that are started once for a test program, the keys and certificates that a
front needs, and durward before them all.

Domains: home.example and chat.home.example (realm HOME.EXAMPLE by krb5.conf), partner.example (PARTNER.EXAMPLE).  Each has
the native user `native`.
"""
import os
import shutil
import tempfile
import unittest

import kit
import ops
import xmpp_kit
import xmpp_servers

DOMAIN, CHAT, PARTNERS = "home.example", "chat.home.example", "partner.example"
HOSTNAME = "cm1.home.example"
NATIVE, PASSWORD = "native", "native password"
SECRET = b"a secret of thirty-two octets!!!"
BACKENDS = ("prosody-token", "prosody-external", "ejabberd-jwt", "ejabberd-external")

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
    return durward.allow({})
  end,
}
"""


class World:
    """What all tests of a program share; made on first use."""

    one = None

    @classmethod
    def shared(cls):
        if cls.one is None:
            cls.one = cls()
            unittest.addModuleCleanup(cls.end)
        return cls.one

    @classmethod
    def end(cls):
        world, cls.one = cls.one, None
        if world:
            for server in world.servers.values():
                server.stop()
            shutil.rmtree(world.dir, ignore_errors=True)

    def __init__(self):
        self.lab = kit.Lab.shared()
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-xmpp-")
        self.servers = {}
        self.keytab = self.path("xmpp.keytab")
        for name in ("xmpp/" + DOMAIN, "xmpp/" + HOSTNAME, "xmpp/%s/%s" % (HOSTNAME, DOMAIN), "xmpp/" + CHAT,
                     "xmpp/%s/%s" % (HOSTNAME, CHAT), "smtp/" + DOMAIN, "xmpp/elsewhere." + DOMAIN):
            self.lab.run("addservice", name, "--keytab", self.keytab)
        for name in ("xmpp/" + PARTNERS, "xmpp/%s/%s" % (HOSTNAME, PARTNERS)):
            self.lab.run("addservice", name + "@" + kit.PARTNER, "--keytab", self.keytab)
        self.lab.run("roll", "xmpp/localhost", "--keytab", self.keytab)
        self.authority = xmpp_servers.Authority(self.dir)
        self.certificates = {name: self.authority.issue(name, "localhost", file="front-" + name)
                             for name in (DOMAIN, CHAT, PARTNERS)}
        with open(self.path("secret"), "wb") as file:
            file.write(SECRET)
        os.chmod(self.path("secret"), 0o600)

    def path(self, name):
        return os.path.join(self.dir, name)

    def server(self, kind):
        """A stock server by one of BACKENDS; SkipTest when it is not installed."""
        if kind not in self.servers:
            software, login = kind.split("-")
            missing = (xmpp_servers.missing_ejabberd() if software == "ejabberd"
                       else xmpp_servers.missing_prosody(*["mod_auth_ccert"] * (login == "external")))
            if missing:
                raise unittest.SkipTest(missing)
            make = xmpp_servers.Ejabberd if software == "ejabberd" else xmpp_servers.Prosody
            self.servers[kind] = make({name: {NATIVE: PASSWORD} for name in (DOMAIN, CHAT, PARTNERS)}, self.authority,
                                      login=login, secret=SECRET)
        return self.servers[kind]

    def backend(self, kind, port=None, **more):
        """The configuration's `backend`; `port` of a server of the test's own."""
        login = kind.split("-")[1]
        keys = ({"ca_certificate": self.authority.certificate, "ca_key": self.authority.key} if login == "external"
                else {"secret_file": self.path("secret")})
        return dict({"connect": "tcp://127.0.0.1:%d" % (port or self.server(kind).port), "login": login,
                     "ca_file": self.authority.certificate}, **keys, **more)

    def tls(self, domain):
        certificate, key = self.certificates[domain]
        return {"certificate": certificate, "key": key}

    def listener(self, backend, name="cm", domain=DOMAIN, **more):
        return dict({"name": name, "listen": "tcp://127.0.0.1:%d" % kit.free_port(), "domain": domain,
                     "hostname": HOSTNAME, "hosts": ["localhost"], "keytab": self.keytab, "tls": self.tls(domain),
                     "backend": backend}, **more)

    def echo(self, kind, domain=DOMAIN):
        """The native user, who comes with a certificate where passwords are not taken (Prosody's mod_auth_ccert)."""
        pair = None
        if kind == "prosody-external":
            name = "otherName:1.3.6.1.5.5.7.8.5;UTF8:%s@%s" % (NATIVE, domain)
            pair = self.authority.issue(name, file="native-" + domain)
        return xmpp_kit.Echo(self.server(kind).port, NATIVE, PASSWORD, domain, self.authority.certificate, pair)


def port_of(listener):
    return int(listener["listen"].rpartition(":")[2])


class Case(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.world = World.shared()
        cls.lab = cls.world.lab

    def serve(self, *listeners, policy=POLICY, **settings):
        config = dict({"xmpp": list(listeners), "workers": 2}, **settings)
        durward = kit.Durward(config, policy)
        durward.ports = [port_of(listener) for listener in listeners]
        durward.port = durward.ports[0]
        self.addCleanup(self.end, durward)
        return durward

    def end(self, durward):
        problem = durward.stop()
        if problem:
            self.fail(problem)

    def front(self, kind="prosody-token", policy=POLICY, settings=None, backend=None, **more):
        """durward before one stock server."""
        return self.serve(self.world.listener(self.world.backend(kind, **(backend or {})), **more), policy=policy,
                          **(settings or {}))

    def stream(self, durward, domain=DOMAIN, port=None, **more):
        stream = xmpp_kit.Stream(port or durward.port, domain, self.world.authority.certificate, **more)
        self.addCleanup(stream.close)
        return stream

    def ticket(self, user="alice", service=None, realm=kit.HOME, **more):
        service = service or "xmpp/%s/%s" % (HOSTNAME, DOMAIN)
        return xmpp_kit.Ticket(self.lab.cache(user), service + "@" + realm, **more)

    def empty(self, durward):
        """Nothing is left of what the test did."""
        ops.wait_status(durward, lambda told: told["connections"] == 0)
