"""Real XMPP clients, through durward, to stock servers by every way of handing a user over: bind, roster, a message to a
native user and its answer; and the stream taken up again (XEP-0198)."""
import unittest

import kit
import xmpp_kit
import xmpp_servers
import xmpp_world

# What each asks a ticket for: see what the journal says of its service.
CLIENTS = {
    "libpurple": ("localhost", "xmpp/localhost@HOME.EXAMPLE"),
    "loudmouth": ("localhost", "xmpp/home.example@HOME.EXAMPLE"),
    "slixmpp": ("127.0.0.1", "xmpp/home.example@HOME.EXAMPLE"),
    "Net::XMPP": ("localhost", "xmpp/home.example@HOME.EXAMPLE"),
}


class Broker:
    """One durward with a listener for each stock server, and a native user who echoes on each; for all tests."""

    one = None

    @classmethod
    def shared(cls, world):
        if cls.one is None:
            cls.one = cls(world)
            unittest.addModuleCleanup(cls.end)
        return cls.one

    @classmethod
    def end(cls):
        broker, cls.one = cls.one, None
        for echo in broker.echoes.values():
            echo.stop()
        problem = broker.durward.stop()
        if problem:
            raise AssertionError(problem)

    def __init__(self, world):
        self.missing, self.echoes, self.ports, listeners = {}, {}, {}, []
        for kind in xmpp_world.BACKENDS:
            try:
                backend = world.backend(kind)
            except unittest.SkipTest as skipped:
                self.missing[kind] = str(skipped)
                continue
            listener = world.listener(backend, name=kind, hostname_in_features=True)
            self.ports[kind] = xmpp_world.port_of(listener)
            self.echoes[kind] = world.echo(kind)
            listeners.append(listener)
        if not listeners:
            raise unittest.SkipTest("; ".join(self.missing.values()))
        self.durward = kit.Durward({"xmpp": listeners, "workers": 2}, xmpp_world.POLICY)


class Clients(xmpp_world.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker = Broker.shared(cls.world)

    def at(self, kind):
        if kind in self.broker.missing:
            self.skipTest(self.broker.missing[kind])
        return self.broker.ports[kind], self.broker.echoes[kind].jid

    def run_client(self, name, kind, user="alice", address=None, options=()):
        host, service = CLIENTS[name]
        port, recipient = self.at(kind)
        cache = self.lab.cache(user)
        before = len(self.broker.durward.journal(listener=kind, verdict="allow"))
        address = address or user + "@" + xmpp_world.DOMAIN
        code, lines, said = xmpp_kit.run_client(name, address, host, port, self.world.authority.certificate, recipient,
                                                "hello", cache=cache, options=options)
        told = "%s through %s:\n%s\n%s\n%s" % (name, kind, "\n".join(lines), said, self.broker.durward.log(last=8))
        self.assertEqual(code, 0, told)
        bound = next(line.split()[1] for line in lines if line.startswith("bound "))
        self.assertEqual(bound.partition("/")[0], address, told)
        self.assertTrue(any(line.startswith("roster ") for line in lines), told)
        self.assertIn("received %s/echo echo: hello" % recipient, lines, told)
        line = self.broker.durward.journal(listener=kind, verdict="allow")[before]
        self.assertEqual((line["event"]["service"], line["event"]["mechanism"]), (service, "GSSAPI"))
        return lines

    def each(self, name):
        for kind in xmpp_world.BACKENDS:
            with self.subTest(backend=kind):
                self.run_client(name, kind)

    def test_libpurple(self):
        self.each("libpurple")

    def test_loudmouth(self):
        self.each("loudmouth")

    def test_slixmpp(self):
        self.each("slixmpp")

    def test_net_xmpp(self):
        self.each("Net::XMPP")

    def test_libgsasl(self):
        for kind in xmpp_world.BACKENDS:
            for authzid in ("", "alice@" + xmpp_world.DOMAIN):
                with self.subTest(backend=kind, authzid=authzid):
                    self.libgsasl(kind, authzid)

    def libgsasl(self, kind, authzid):
        port, recipient = self.at(kind)
        stream = self.stream(self.broker.durward, port=port)
        stream.prepare()
        xmpp_kit.gsasl(stream, self.lab.cache("alice"), xmpp_world.DOMAIN, authzid)
        stream.open()
        self.assertEqual(stream.bind("gsasl"), "alice@home.example/gsasl")
        self.assertEqual(stream.roster(), [])
        stream.say(recipient, "hello")
        self.assertEqual(stream.hear(), (recipient + "/echo", "echo: hello"))
        stream.end()

    def test_gs2(self):
        """RFC 5801 as libgsasl has it, without a channel to bind to; and whatever libpurple makes of the offer."""
        self.at("prosody-token")
        durward = self.front(mechanisms=["GS2-KRB5-PLUS", "GS2-KRB5", "GSSAPI"])
        stream = self.stream(durward)
        features = stream.prepare()
        self.assertEqual([one.text for one in features.iter("{%s}mechanism" % xmpp_kit.SASL)],
                         ["GS2-KRB5-PLUS", "GS2-KRB5", "GSSAPI"])
        xmpp_kit.gsasl(stream, self.lab.cache("alice"), xmpp_world.DOMAIN, "alice@home.example", "GS2-KRB5")
        stream.open()
        self.assertEqual(stream.bind("gs2"), "alice@home.example/gs2")
        stream.end()
        line, = durward.journal(mechanism="GS2-KRB5")
        self.assertEqual((line["decision"]["verdict"], line["event"]["service"]),
                         ("allow", "xmpp/home.example@HOME.EXAMPLE"))
        code, lines, said = xmpp_kit.run_client("libpurple", "alice@home.example", "localhost", durward.port,
                                                self.world.authority.certificate, cache=self.lab.cache("alice"))
        self.assertEqual(code, 0, "\n".join(lines) + said + durward.log(last=8))

    def test_the_stream_is_taken_up_again(self):
        """By another connection, with another login: it is the server that knows the session."""
        for kind in ("prosody-token", "ejabberd-jwt"):
            with self.subTest(backend=kind):
                lines = self.run_client("slixmpp", kind, options=["--resume"])
                self.assertTrue(any(line.startswith("resumed ") for line in lines), lines)
                self.assertEqual(sum(line.endswith("echo: hello") for line in lines), 2, lines)

    def test_users_of_another_realm(self):
        for name in CLIENTS:
            with self.subTest(client=name):
                self.run_client(name, "prosody-token", user="alice@PARTNER.EXAMPLE",
                                address="alice.partner@home.example")

    def test_a_user_of_another_realm(self):
        """alice@PARTNER.EXAMPLE is alice.partner, with a ticket over the trust between the realms."""
        port, recipient = self.at("prosody-token")
        stream = self.stream(self.broker.durward, port=port)
        full = stream.log_in(self.ticket("alice@PARTNER.EXAMPLE"))
        self.assertEqual(full, "alice.partner@home.example/raw")
        stream.say(recipient, "hello")
        self.assertEqual(stream.hear(), (recipient + "/echo", "echo: hello"))
        self.assertIsNone(stream.end())

    def test_what_clients_refuse_to_take(self):
        """Without a ticket none of them gets in, or hangs."""
        port, _ = self.at("prosody-token")
        for name, (host, _) in CLIENTS.items():
            with self.subTest(client=name):
                code, lines, _ = xmpp_kit.run_client(name, "alice@home.example", host, port,
                                                     self.world.authority.certificate, cache=self.lab.dir + "/no.cc")
                self.assertEqual(code, 1, lines)
                self.assertFalse(any(line.startswith("bound") for line in lines), lines)

    def test_whom_the_policy_refuses(self):
        port, _ = self.at("prosody-token")
        for name, (host, _) in CLIENTS.items():
            with self.subTest(client=name):
                code, lines, _ = xmpp_kit.run_client(name, "bob@home.example", host, port,
                                                     self.world.authority.certificate, cache=self.lab.cache("bob"))
                self.assertEqual(code, 1, lines)
                self.assertFalse(any(line.startswith("bound") for line in lines), lines)


class Asking(xmpp_servers.Prosody):
    """Debian's Prosody, which asks durward by Dovecot's protocol (mod_auth_dovecot): no relay between it and its clients."""

    def __init__(self, world, port):
        self.world = world
        super().__init__({xmpp_world.DOMAIN: {}}, world.authority, extra="""
            plugin_paths = { %s }
            authentication, handle_appended, validate_append_host = "dovecot", "split", true
            dovecot_auth_host, dovecot_auth_port = "127.0.0.1", "%d"
            """ % (kit.lua(xmpp_servers.COMMUNITY + "/mod_auth_dovecot"), port))

    def start(self):
        self.certificates = {xmpp_world.DOMAIN: self.world.certificates[xmpp_world.DOMAIN]}
        super().start()


class WithoutRelay(xmpp_world.Case):
    def test_every_client(self):
        missing = xmpp_servers.missing_prosody("mod_auth_dovecot")
        if missing:
            self.skipTest(missing)
        port = kit.free_port()
        policy = xmpp_world.POLICY.replace("durward.allow({})",
                                           "durward.allow({ jid = event.user .. '@home.example' })")
        durward = kit.Durward({"workers": 1, "dovecot": [{"name": "sasl", "listen": "tcp://127.0.0.1:%d" % port,
                                                          "keytab": self.world.keytab}]}, policy)
        self.addCleanup(lambda: self.assertIsNone(durward.stop()))
        server = Asking(self.world, port)
        self.addCleanup(server.stop)
        authority = self.world.authority.certificate
        echo = xmpp_kit.Echo(server.port, "alice.partner", None, xmpp_world.DOMAIN, authority,
                             ticket=self.ticket("alice@PARTNER.EXAMPLE"))
        self.addCleanup(echo.stop)
        for name, (host, service) in CLIENTS.items():
            with self.subTest(client=name):
                code, lines, said = xmpp_kit.run_client(name, "alice@home.example", host, server.port, authority, echo.jid,
                                                        "hello", cache=self.lab.cache("alice"))
                told = "%s\n%s\n%s" % ("\n".join(lines), said, durward.log(last=8))
                self.assertEqual(code, 0, told)
                self.assertIn("received %s/echo echo: hello" % echo.jid, lines, told)
                event = durward.journal(user="alice", verdict="allow")[-1]["event"]
                self.assertEqual((event["front"], event["service"]), ("dovecot", service))
        stream = self.stream(durward, port=server.port)
        stream.prepare()
        xmpp_kit.gsasl(stream, self.lab.cache("alice"), xmpp_world.DOMAIN)
        stream.open()
        self.assertEqual(stream.bind("gsasl"), "alice@home.example/gsasl")


if __name__ == "__main__":
    unittest.main()
