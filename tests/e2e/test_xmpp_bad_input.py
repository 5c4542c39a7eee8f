"""What XMPP clients and servers should not do, done to a running durward: each ends in the right stream or SASL error and a
line of the log, and a stream that is up meanwhile notices nothing."""
import base64
import re
import socket
import ssl
import threading
import unittest

import kit
import xmpp_kit
import xmpp_world

FULL = "xmpp/cm1.home.example/home.example"
HEADER = "<stream:stream xmlns='%s' xmlns:stream='%s' version='1.0' to='home.example'" % (xmpp_kit.CLIENT,
                                                                                           xmpp_kit.STREAM)
AUTH = "<auth xmlns='%s' mechanism='GSSAPI'>" % xmpp_kit.SASL
# What the log has of an attempt that came to nothing.
REFUSED = r"warn .*(login attempt failed|ticket refused|denied)"
STARTTLS = "<starttls xmlns='%s'/>" % xmpp_kit.TLS
LAUGHS = ("<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY l 'lol'>" +
          "".join("<!ENTITY l%d '%s'>" % (i, "&l%s;" % (i - 1 or "") * 10) for i in range(1, 10)) + "]>")


class Shared:
    """One durward and one stream that is up, for all tests; the stream is asked after each."""

    one = None

    @classmethod
    def get(cls, world):
        if cls.one is None:
            cls.one = cls(world)
            unittest.addModuleCleanup(cls.end)
        return cls.one

    @classmethod
    def end(cls):
        shared, cls.one = cls.one, None
        shared.canary.close()
        problem = shared.durward.stop()
        if problem:
            raise AssertionError(problem)

    def __init__(self, world):
        listener = world.listener(world.backend("prosody-token"))
        self.port = xmpp_world.port_of(listener)
        self.durward = kit.Durward({"xmpp": [listener], "workers": 1, "limits": {"handshake_seconds": 20}},
                                   xmpp_world.POLICY)
        self.canary = xmpp_kit.Stream(self.port, xmpp_world.DOMAIN, world.authority.certificate)
        self.canary.log_in(xmpp_kit.Ticket(world.lab.cache("alice"), FULL + "@HOME.EXAMPLE"), resource="canary")


class BadInput(xmpp_world.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = Shared.get(cls.world)

    def setUp(self):
        self.durward = self.shared.durward
        self.log_before = len(self.durward.lines)
        self.journal_before = len(self.durward.journal())

    def tearDown(self):
        self.assertEqual(self.shared.canary.roster(), [])
        self.assertIsNone(self.durward.process.poll(), self.durward.log(last=30))

    def new_lines(self):
        return "\n".join(self.durward.lines[self.log_before:])

    def logged(self, pattern):
        self.assertTrue(kit.until(lambda: re.search(pattern, self.new_lines())),
                        "no %r in\n%s" % (pattern, self.new_lines()))

    def raw(self, secured=False, **more):
        """A stream; what the log has before it does not count."""
        self.log_before = len(self.durward.lines)
        stream = self.stream(self.durward, port=self.shared.port, **more)
        if secured:
            stream.prepare()
        return stream

    def ends(self, stream, condition, pattern=None):
        """The stream ends with that error, and the log says so."""
        self.assertEqual(stream.ending(), condition)
        self.logged(pattern or condition)

    def fails(self, conditions, say):
        """A SASL failure with one of these, and a line of the log."""
        with self.assertRaises(xmpp_kit.Refused) as refused:
            say()
        self.assertIn(str(refused.exception), conditions)
        self.logged(REFUSED)

    def refuses(self, condition, say, pattern=None, stream=None):
        """A SASL failure; the stream itself goes on: a good login follows on it."""
        stream = stream or self.raw(secured=True)
        with self.assertRaises(xmpp_kit.Refused) as refused:
            say(stream)
        self.assertEqual(str(refused.exception), condition)
        self.logged(pattern or REFUSED)
        self.log_before = len(self.durward.lines)
        stream.gssapi(self.ticket())
        stream.open()
        self.assertEqual(stream.bind("after"), "alice@home.example/after")
        stream.end()


class TestBeforeTls(BadInput):
    def test_words_behind_starttls(self):
        """The plaintext injection: what stands behind <starttls/> in the clear must not be taken for what came by TLS."""
        for behind in (HEADER + ">", AUTH + "AAAA</auth>", "<iq/>", " " * 5):
            with self.subTest(behind=behind[:20]):
                stream = self.raw()
                stream.open()
                stream.send(STARTTLS + behind)
                self.ends(stream, "policy-violation", "handshake failed")
                self.assertIsNone(stream.tls)

    def test_sasl_before_tls(self):
        stream = self.raw()
        features = stream.open()
        self.assertEqual([child.tag for child in features], ["{%s}starttls" % xmpp_kit.TLS])
        stream.auth("GSSAPI", self.ticket().step())
        self.fails(("encryption-required",), stream.sasl)

    def test_stanzas_before_tls_and_before_sasl(self):
        stream = self.raw()
        stream.open()
        stream.send("<message to='native@home.example'><body>psst</body></message>")
        self.ends(stream, "not-authorized", "<message/> before authentication")
        stream = self.raw(secured=True)
        stream.send("<message to='native@home.example'><body>psst</body></message>")
        self.ends(stream, "not-authorized", "<message/> before authentication")

    def test_no_tls_after_proceed(self):
        stream = self.raw()
        stream.open()
        stream.send(STARTTLS)
        stream.element()
        stream.socket.sendall(b"<iq/> this is no TLS, is it?" * 10)
        while stream.socket.recv(4096):
            pass
        self.logged("no TLS|TLS")

    def test_a_client_that_does_not_trust_us(self):
        stream = self.raw()
        stream.authority = None
        stream.open()
        with self.assertRaises(ssl.SSLError):
            stream.secure()
        stream.close()
        self.logged("handshake failed")


class TestXml(BadInput):
    def headers(self, text, condition):
        for secured in (False, True):
            with self.subTest(text=text[:40], secured=secured):
                stream = self.raw()
                if secured:
                    stream.open()
                    stream.secure()
                stream.send(text)
                self.ends(stream, condition)

    def test_addresses(self):
        for attributes, condition in (("to='elsewhere.example'", "host-unknown"), ("", "improper-addressing"),
                                      ("to='home.example' from='bob@elsewhere.example'", "invalid-from")):
            stream = self.raw()
            stream.send("<stream:stream xmlns='%s' xmlns:stream='%s' version='1.0' %s>"
                        % (xmpp_kit.CLIENT, xmpp_kit.STREAM, attributes))
            self.ends(stream, condition)

    def test_another_domain_after_tls_and_after_sasl(self):
        """Not looking at the second header would let a client into a domain that it has not logged in to."""
        stream = self.raw()
        stream.open()
        stream.secure()
        stream.header(to="chat.home.example")
        self.ends(stream, "not-authorized", "its restart is for chat.home.example")
        stream = self.raw(secured=True)
        stream.gssapi(self.ticket())
        stream.reset()
        stream.header(to="chat.home.example")
        self.ends(stream, "not-authorized", "its restart is for chat.home.example")
        stream = self.raw(secured=True)
        stream.gssapi(self.ticket())
        stream.reset()
        stream.header(attributes="from='native@home.example'")
        self.ends(stream, "invalid-from")

    def test_billion_laughs_and_other_entities(self):
        for text in (LAUGHS + HEADER + ">&l9;",
                     "<?xml version='1.0'?><!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + HEADER + ">",
                     "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY % y SYSTEM 'http://127.0.0.1:1/'> %y;]>" + HEADER + ">"):
            self.headers(text, "restricted-xml")

    def test_comments_and_instructions(self):
        self.headers(HEADER + "><!-- hello -->", "restricted-xml")
        self.headers(HEADER + "><?php echo ?>", "restricted-xml")

    def test_undefined_entity(self):
        stream = self.raw()
        stream.send(HEADER + "><x>&undefined;</x>")
        self.ends(stream, "restricted-xml", "undefined entity")

    def test_octets(self):
        for octets in (b"\xc3\x28", b"\xed\xa0\x80", b"\xff\xfe", b"\x00", b"a\x00b", b"\x01"):
            stream = self.raw()
            stream.send(HEADER.encode() + b"><x>" + octets + b"</x>")
            self.ends(stream, "not-well-formed")
        stream = self.raw()
        stream.send((HEADER + ">").encode("utf-16"))
        self.ends(stream, "unsupported-encoding", "not UTF-8")

    def test_without_end(self):
        for text in (HEADER + " x='" + "x" * 100000, HEADER + "".join(" a%d=''" % i for i in range(20000)),
                     HEADER + "><x>" + "x" * 100000, HEADER + ">" + "<x>" * 50000,
                     HEADER + "><x>" + "<y/>" * 30000, "<" + "x" * 100000):
            with self.subTest(text=text[-20:]):
                stream = self.raw()
                try:
                    stream.send(text)
                except ConnectionError:
                    pass  # it was told already
                self.ends(stream, "policy-violation")

    def test_no_xml_and_no_xmpp(self):
        for text, conditions in (("GET / HTTP/1.1\r\nHost: home.example\r\n\r\n", ("not-well-formed",)),
                                 ("</stream:stream>", ("not-well-formed",)), ("<a><b></a></b>", ("invalid-namespace",)),
                                 (HEADER + "></x>", ("not-well-formed",)),
                                 (HEADER.replace("version='1.0'", "") + ">", ("unsupported-version",)),
                                 (HEADER.replace(xmpp_kit.STREAM, "urn:x") + ">", ("invalid-namespace",)),
                                 (HEADER.replace("jabber:client", "jabber:server") + ">", ("invalid-namespace",))):
            with self.subTest(text=text[:30]):
                stream = self.raw()
                stream.send(text)
                self.assertIn(stream.ending(), conditions)
                self.logged("handshake failed")


class TestSasl(BadInput):
    def test_base64_that_is_none(self):
        for text in ("!!!!", "AAA", "AAAA=", "A A A A", "=====", "QQ", "QR=="):
            with self.subTest(text=text):
                self.refuses("incorrect-encoding", lambda stream: (stream.send(AUTH + text + "</auth>"), stream.sasl()))

    def test_tokens_that_are_none(self):
        for octets in (b"x", b"\0" * 100, b"x" * 48000, b"`\x82\xff\xff" + b"\6" * 50, b"\x60\x10" + bytes(range(16))):
            with self.subTest(octets=octets[:10]):
                stream = self.raw(secured=True)
                stream.auth("GSSAPI", octets)
                self.fails(("malformed-request", "not-authorized"), stream.sasl)

    def test_a_cut_and_a_changed_token(self):
        token = self.ticket().step()
        changed = bytearray(token)
        changed[len(token) // 2] ^= 1
        for octets in (token[:-1], token[:40], token + b"x", bytes(changed)):
            stream = self.raw(secured=True)
            stream.auth("GSSAPI", octets)
            self.fails(("malformed-request", "not-authorized", "temporary-auth-failure"), stream.sasl)
            stream.close()

    def test_mechanisms(self):
        for name in ("PLAIN", "SCRAM-SHA-1", "gssapi", "GS2-KRB5", "", "EXTERNAL"):
            with self.subTest(name=name):
                condition = "mechanism-too-weak" if name == "PLAIN" else "invalid-mechanism"
                self.refuses(condition, lambda stream: (stream.auth(name, b"\0alice\0x"), stream.sasl()))

    def test_out_of_turn(self):
        def twice(stream):
            stream.auth("GSSAPI")
            stream.sasl()
            stream.auth("GSSAPI", self.ticket().step())
            stream.sasl()

        stream = self.raw(secured=True)
        self.fails(("malformed-request",), lambda: twice(stream))
        stream = self.raw(secured=True)
        stream.respond(b"nobody asked")
        self.fails(("malformed-request",), stream.sasl)

    def test_abort(self):
        def abort(stream):
            stream.auth("GSSAPI")
            stream.sasl()
            stream.send("<abort xmlns='%s'/>" % xmpp_kit.SASL)
            stream.sasl()

        self.refuses("aborted", abort)

    def test_three_attempts_and_no_more(self):
        stream = self.raw(secured=True)
        for _ in range(3):
            stream.auth("GSSAPI", b"no token")
            with self.assertRaises(xmpp_kit.Refused):
                stream.sasl()
        self.ends(stream, "policy-violation")

    def test_tickets_for_others(self):
        """Keys that the keytab has, and this front does not answer to."""
        for service in ("smtp/home.example", "xmpp/elsewhere.home.example", "xmpp/chat.home.example",
                        "xmpp/cm1.home.example/chat.home.example"):
            with self.subTest(service=service):
                self.refuses("not-authorized", lambda stream: stream.gssapi(self.ticket(service=service)))

    def test_a_replayed_token(self):
        token = self.ticket().step()
        self.raw(secured=True).auth("GSSAPI", token)
        again = self.raw(secured=True)
        again.auth("GSSAPI", token)
        self.fails(("not-authorized", "temporary-auth-failure"), again.sasl)

    def test_layers(self):
        for layer in (b"\2\0\xff\xff", b"\4\0\xff\xff", b"\6\0\0\0", b"\xff\0\0\0", b"\1", b""):
            with self.subTest(layer=layer):
                stream = self.raw(secured=True)
                self.fails(("malformed-request",), lambda: stream.gssapi(self.ticket(), layer=layer))

    def test_layers_of_real_clients(self):
        for layer in (b"\1\0\0\0", b"\0\0\0\0", b"\1\xff\xff\xff", b"\1\0\x10\0"):
            stream = self.raw(secured=True)
            stream.gssapi(self.ticket(), layer=layer)
            stream.close()

    def test_authzid_of_another(self):
        for authzid in (b"native", b"native@home.example", b"alice@chat.home.example", b"alice@", b"@home.example",
                        b"alice@home.example/resource", b"alice@PARTNER.EXAMPLE", b"root"):
            with self.subTest(authzid=authzid):
                self.refuses("invalid-authzid", lambda stream: stream.gssapi(self.ticket(), authzid))
        for authzid in (b"\xff", b"a\0b", b"x" * 4000):
            with self.subTest(authzid=authzid[:5]):
                stream = self.raw(secured=True)
                self.fails(("malformed-request", "invalid-authzid"), lambda: stream.gssapi(self.ticket(), authzid))

    def test_authzids_of_ones_own(self):
        for authzid in (b"", b"alice", b"alice@home.example", b"alice@HOME.EXAMPLE"):
            stream = self.raw(secured=True)
            stream.gssapi(self.ticket(), authzid)
            stream.close()

    def test_another_realm_without_a_policy(self):
        listener = self.world.listener(self.world.backend("prosody-token"))
        policy = """local durward = require("durward")
            return { map = durward.map.strip_realm("HOME.EXAMPLE"), authorize = function() return durward.allow {} end }"""
        durward = self.serve(listener, policy=policy)
        stream = self.stream(durward)
        stream.prepare()
        with self.assertRaises(xmpp_kit.Refused) as refused:
            stream.gssapi(self.ticket("alice@PARTNER.EXAMPLE"))
        self.assertEqual(str(refused.exception), "not-authorized")
        line, = durward.journal(verdict="deny")
        self.assertEqual(line["event"]["principal"], "alice@PARTNER.EXAMPLE")
        self.assertTrue(line["event"]["gss"]["cross_realm"])

    def test_smuggled_before_success(self):
        """What comes behind the last response, before <success/>, would be the server's to read as another's."""
        for smuggled in ("<iq type='get' id='x'/>", HEADER + ">"):
            stream = self.raw(secured=True)
            ticket = self.ticket()
            stream.auth("GSSAPI", ticket.step())
            _, octets = stream.sasl()
            stream.respond(ticket.step(octets) or b"")
            _, octets = stream.sasl()
            ticket.unwrap(octets)
            answer = base64.b64encode(ticket.wrap(xmpp_kit.NO_LAYER)).decode()
            stream.send("<response xmlns='%s'>%s</response>%s" % (xmpp_kit.SASL, answer, smuggled))
            try:
                what, element = stream.read()
                self.assertNotEqual((what, getattr(element, "tag", None)), ("element", "{%s}success" % xmpp_kit.SASL))
            except xmpp_kit.Ended:
                pass
            self.logged("handshake failed .*before it is told")

    def test_silence_is_not_waited_for_without_end(self):
        listener = self.world.listener(self.world.backend("prosody-token"))
        durward = self.serve(listener, limits={"handshake_seconds": 1})
        for at in ("nothing", "header", "tls", "sasl"):
            stream = self.stream(durward)
            if at == "header":
                stream.open()
            elif at != "nothing":
                stream.prepare()
            if at == "sasl":
                stream.auth("GSSAPI")
                stream.sasl()
            self.assertIn(stream.ending(), ("connection-timeout", "policy-violation", None), at)
            stream.close()
        self.empty(durward)


class Backend:
    """A server that does what a script says: `act(connection, nth)` in a thread of its own."""

    def __init__(self, act):
        self.act, self.count = act, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with connection:
            try:
                connection.settimeout(kit.PATIENCE)
                self.act(connection)
            except OSError:
                pass

    def close(self):
        self.socket.close()


OPEN = ("<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s' version='1.0' id='1' from='home.example'>"
        % (xmpp_kit.CLIENT, xmpp_kit.STREAM))
FEATURES = ("<stream:features><mechanisms xmlns='%s'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
            % xmpp_kit.SASL)
SUCCESS = "<success xmlns='%s'/>" % xmpp_kit.SASL
BOUND = "<stream:features><bind xmlns='%s'/></stream:features>" % xmpp_kit.BIND


def until_seen(connection, word):
    seen = b""
    while word not in seen:
        piece = connection.recv(4096)
        if not piece:
            raise OSError("it went")
        seen += piece
    return seen


def greet(connection, features=FEATURES):
    until_seen(connection, b"<stream:stream")
    connection.sendall((OPEN + features).encode())


def take_login(connection):
    greet(connection)
    return until_seen(connection, b"</auth>")


class TestBackends(xmpp_world.Case):
    """What servers say that is no XMPP, or too much of it; servers at fault otherwise are in test_xmpp_servers_at_fault."""

    def behind(self, act, **limits):
        backend = Backend(act)
        self.addCleanup(backend.close)
        config = self.world.backend("prosody-token", port=backend.port, tls="none", pool=0)
        del config["ca_file"]
        durward = self.serve(self.world.listener(config), workers=1,
                             limits=dict({"handshake_seconds": 3}, **limits))
        stream = self.stream(durward)
        stream.prepare()
        return durward, stream

    def temporary(self, act):
        durward, stream = self.behind(act)
        with self.assertRaises(xmpp_kit.Refused) as refused:
            stream.gssapi(self.ticket())
        self.assertEqual(str(refused.exception), "temporary-auth-failure", durward.log(last=10))
        stream.close()
        self.assertTrue(durward.wait_log("error .*(server|backend)"), durward.log())
        return durward.log()

    def test_slow_but_there(self):
        def act(connection):
            greeting = (OPEN + FEATURES).encode()
            until_seen(connection, b"<stream:stream")
            for octet in greeting:
                connection.sendall(bytes([octet]))
            until_seen(connection, b"</auth>")
            for octet in SUCCESS.encode():
                connection.sendall(bytes([octet]))
            until_seen(connection, b"<stream:stream")
            connection.sendall((OPEN + BOUND).encode())
            until_seen(connection, b"never")

        _, stream = self.behind(act)
        stream.gssapi(self.ticket())
        self.assertEqual([child.tag for child in stream.open()], ["{%s}bind" % xmpp_kit.BIND])

    def test_no_xmpp_and_no_mechanism(self):
        def web(connection):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        def laughing(connection):
            connection.recv(4096)
            connection.sendall((LAUGHS + OPEN[21:] + "&l9;").encode())

        def scram_only(connection):
            greet(connection, FEATURES.replace("PLAIN", "SCRAM-SHA-1"))
            connection.recv(1)

        def no_features(connection):
            greet(connection, "<stream:features/>")
            connection.recv(1)

        def without_end(connection):
            until_seen(connection, b"<stream:stream")
            connection.sendall(OPEN.encode() + b"<stream:features>")
            for _ in range(1000):
                connection.sendall(b"<x>" + b"x" * 1000)

        def of_another(connection):
            until_seen(connection, b"<stream:stream")
            connection.sendall((OPEN.replace("jabber:client", "jabber:server") + FEATURES).encode())
            connection.recv(1)

        for act in (web, laughing, scram_only, no_features, without_end, of_another):
            with self.subTest(act=act.__name__):
                self.temporary(act)

    def test_lying_about_success(self):
        """It says success instead of features; or to whom it then does not let in: its own stream error comes through."""
        def instead_of_features(connection):
            greet(connection, SUCCESS)
            connection.recv(1)

        def before_it_is_asked(connection):
            greet(connection, FEATURES + SUCCESS)
            connection.recv(1)

        def and_then_not(connection):
            take_login(connection)
            connection.sendall(SUCCESS.encode())
            until_seen(connection, b"<stream:stream")
            connection.sendall((OPEN + "<stream:error><not-authorized xmlns='%s'/></stream:error></stream:stream>"
                                % xmpp_kit.ERRORS).encode())

        self.temporary(instead_of_features)
        self.assertIn("answered before it was asked", self.temporary(before_it_is_asked))
        durward, stream = self.behind(and_then_not)
        stream.gssapi(self.ticket())
        stream.reset()
        stream.header()
        self.assertEqual(stream.ending(), "not-authorized")
        stream.close()
        self.empty(durward)


if __name__ == "__main__":
    unittest.main()
