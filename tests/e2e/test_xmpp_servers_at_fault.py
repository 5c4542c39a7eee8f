"""The xmpp front before servers of the test's own, in the clear: absent, silent, lying, early, dying; the PROXY line; what
a policy says of servers, names and users; several domains."""
import base64
import json
import os
import re
import shutil
import socket
import tempfile
import threading
import time
import unittest

import kit
import ops
import test_xmpp
import xmpp_kit
import xmpp_servers

DOMAIN, HOSTNAME, HOME, FULL = test_xmpp.DOMAIN, test_xmpp.HOSTNAME, test_xmpp.HOME, test_xmpp.FULL
HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' from='%s' id='%s' version='1.0'>")
FEATURES = ("<stream:features><mechanisms xmlns='%s'><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
            % xmpp_kit.SASL)
SUCCESS = "<success xmlns='%s'/>" % xmpp_kit.SASL
ALLOW = """
local durward = require("durward")
return { map = durward.map.strip_realm("HOME.EXAMPLE"), authorize = function() return durward.allow {} end }
"""
EXPIRES = ALLOW.replace("function() return durward.allow {}",
                        "function(event) return durward.allow { expires = event.time + %d }")


class Server:
    """A TCP server: each connection is handed to `serve`, in a thread of its own."""

    def __init__(self, serve, domain=DOMAIN):
        self.serve, self.domain = serve, domain
        self.users, self.firsts, self.connections = [], [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection):
        try:
            self.serve(self, connection)
        except (OSError, IndexError, ValueError):
            pass
        connection.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # -- what a server does --

    def header(self, connection):
        self.firsts.append(self.until(connection, rb"<stream:stream[^>]*>"))
        connection.sendall((HEADER % (xmpp_kit.STREAM, self.domain, len(self.firsts))).encode())

    @staticmethod
    def until(connection, pattern):
        octets = b""
        while not re.search(pattern, octets):
            more = connection.recv(4096)
            if not more:
                raise OSError("closed")
            octets += more
        return octets

    def user(self, connection):
        auth = self.until(connection, rb"</auth>")
        _, user, token = base64.b64decode(re.search(rb">([^<]+)</auth>", auth)[1]).split(b"\0")
        self.users.append((user.decode(), token.decode()))

    def greet(self, connection):
        self.header(connection)
        connection.sendall(FEATURES.encode())

    def admit(self, connection):
        self.greet(connection)
        self.user(connection)
        connection.sendall(SUCCESS.encode())

    def open(self, connection):
        self.admit(connection)
        self.header(connection)
        connection.sendall(b"<stream:features/>")


def good(server, connection):
    """Answers each octet with itself, from the features on."""
    server.open(connection)
    while True:
        octets = connection.recv(4096)
        if not octets:
            return
        connection.sendall(octets)


class Scene(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = kit.Lab.shared()
        cls.keytab = test_xmpp.service_keys(cls.lab)
        cls.dir = tempfile.mkdtemp(prefix="durward-e2e-fault-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.authority = xmpp_servers.Authority(cls.dir)
        cls.certificate, cls.key = cls.authority.issue(DOMAIN, file="durward")
        cls.secret = os.path.join(cls.dir, "secret")
        with open(cls.secret, "w", encoding="ascii") as file:
            file.write("shared by durward and its server")

    def server(self, serve, **more):
        server = Server(serve, **more)
        self.addCleanup(server.stop)
        return server

    def listener(self, port, **more):
        backend = dict({"connect": "tcp://127.0.0.1:%d" % port, "tls": "none", "login": "jwt",
                        "secret_file": self.secret}, **more.pop("backend", {}))
        return dict({"name": "cm7", "listen": "tcp://127.0.0.1:%d" % kit.free_port(), "domain": DOMAIN,
                     "hostname": HOSTNAME, "keytab": self.keytab,
                     "tls": {"certificate": self.certificate, "key": self.key}, "backend": backend}, **more)

    def durward(self, port, policy=ALLOW, limits=None, workers=1, **more):
        listener = self.listener(port, **more)
        durward = kit.Durward({"xmpp": [listener], "limits": limits or {}, "workers": workers}, policy)
        durward.port = int(listener["listen"].rsplit(":", 1)[1])
        self.addCleanup(lambda: self.assertIsNone(durward.stop()))
        return durward

    def stream(self, durward, domain=DOMAIN, **more):
        stream = xmpp_kit.Stream(durward.port, domain, self.authority.certificate, **more)
        self.addCleanup(stream.close)
        return stream

    def ticket(self, user="alice", service=FULL):
        return xmpp_kit.Ticket(self.lab.cache(user), service + HOME)

    def attempt(self, stream, user="alice", authzid=b""):
        """The condition of the failure, or None."""
        try:
            stream.gssapi(self.ticket(user), authzid)
        except xmpp_kit.Refused as refused:
            return str(refused)
        return None

    def opened(self, durward, user="alice"):
        stream = self.stream(durward)
        stream.prepare()
        self.assertIsNone(self.attempt(stream, user))
        stream.open()
        return stream


class TestFaults(Scene):
    def fails(self, serve, log, **more):
        server = self.server(serve)
        durward = self.durward(server.port, **more)
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.attempt(stream), "temporary-auth-failure", durward.log())
        self.assertTrue(durward.wait_log(log), durward.log())
        return durward, server, stream

    def test_one_that_is_good(self):
        server = self.server(good)
        durward = self.durward(server.port)
        stream = self.opened(durward)
        stream.say("x@y", "to and fro")
        self.assertEqual(stream.hear()[1], "to and fro")
        (user, token), = server.users
        self.assertEqual(user, "alice")
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        self.assertEqual(claims["jid"], "alice@" + DOMAIN)
        self.assertLess(claims["exp"], time.time() + 40)
        told = ops.status(durward)
        self.assertEqual(told["backends"], {"tcp://127.0.0.1:%d" % server.port: 1})
        self.assertEqual(told["counts"]["joined"], 1)

    def test_silent_from_the_start(self):
        self.fails(lambda server, connection: connection.recv(1) and time.sleep(60), r"does not offer a login in time",
                   limits={"handshake_seconds": 3})

    def test_silent_about_the_login(self):
        def serve(server, connection):
            server.greet(connection)
            server.user(connection)
            time.sleep(60)

        self.fails(serve, r"does not answer the login", limits={"handshake_seconds": 3})

    def test_closes_at_once(self):
        self.fails(lambda server, connection: None, r"backend not reached|does not offer", limits={"handshake_seconds": 3})

    def test_closes_when_it_hears_of_the_user(self):
        def serve(server, connection):
            server.greet(connection)
            server.user(connection)

        durward, server, stream = self.fails(serve, r"closed the connection during the login")
        server.serve = good
        self.assertIsNone(self.attempt(stream))
        stream.open()
        self.assertEqual(len(server.users), 2)
        self.assertNotEqual(server.users[0][1], "")
        self.assertEqual(len(durward.journal(verdict="allow")), 2)

    def test_refuses(self):
        def serve(server, connection):
            server.greet(connection)
            server.user(connection)
            connection.sendall(b"<failure xmlns='%s'><not-authorized/></failure>" % xmpp_kit.SASL.encode())
            connection.recv(1)

        self.fails(serve, r"the server did not take the user.*not-authorized")

    def test_is_no_xmpp_server(self):
        self.fails(lambda server, connection: connection.sendall(b"220 mail.example ESMTP\r\n") or connection.recv(9999)
                   and time.sleep(60), r"the server did not take the user")

    def test_offers_nothing_that_we_need(self):
        def serve(server, connection):
            server.header(connection)
            connection.sendall(FEATURES.replace("PLAIN", "SCRAM-SHA-1").encode())
            connection.recv(1)

        self.fails(serve, r"the server did not take the user")

    def test_speaks_between_success_and_restart(self):
        def serve(server, connection):
            server.admit(connection)
            connection.sendall(b"<message/>")
            connection.recv(1)

        server = self.server(serve)
        durward = self.durward(server.port)
        stream = self.stream(durward)
        stream.prepare()
        self.attempt(stream)  # it may have heard of success before the server spoke
        self.assertTrue(durward.wait_log(r"the server (was lost|did not take)"), durward.log())

    def test_dies_after_success(self):
        def serve(server, connection):
            server.admit(connection)

        server = self.server(serve)
        durward = self.durward(server.port)
        stream = self.stream(durward)
        stream.prepare()
        if not self.attempt(stream):
            stream.reset()
            try:
                stream.header()
            except OSError:
                pass
            self.assertEqual(stream.ending(), "internal-server-error")
        self.assertTrue(durward.wait_log(r"the server (was lost|did not take)"), durward.log())

    def test_dies_within_a_stanza(self):
        def serve(server, connection):
            server.open(connection)
            connection.sendall(b"<message><body>half")

        server = self.server(serve)
        stream = self.opened(self.durward(server.port))
        self.assertIsNone(stream.ending())

    def test_ends_its_stream(self):
        def serve(server, connection):
            server.open(connection)
            connection.sendall(b"<message><body>whole</body></message></stream:stream>")

        stream = self.opened(self.durward(self.server(serve).port))
        self.assertEqual(stream.hear()[1], "whole")
        self.assertIsNone(stream.ending())

    def test_an_expiry_waits_for_the_end_of_a_stanza(self):
        going = threading.Event()

        def serve(server, connection):
            server.open(connection)
            connection.sendall(b"<message><body>half")
            going.wait(kit.PATIENCE)
            connection.sendall(b" and half</body></message><message><body>more</body></message>")
            connection.recv(9999)

        policy = EXPIRES % 2
        durward = self.durward(self.server(serve).port, policy=policy)
        stream = self.opened(durward)
        self.assertTrue(durward.wait_log(r"ticket or decision expired"), durward.log())
        going.set()
        self.assertEqual(stream.hear()[1], "half and half")
        self.assertEqual(stream.ending(), "reset")

    def test_an_expiry_does_not_wait_for_ever(self):
        def serve(server, connection):
            server.open(connection)
            connection.sendall(b"<message><body>half")
            connection.recv(9999)

        policy = EXPIRES % 1
        stream = self.opened(self.durward(self.server(serve).port, policy=policy))
        self.assertIsNone(stream.ending())


class TestPool(Scene):
    def test_waiting_streams_are_taken_and_replaced(self):
        server = self.server(good)
        durward = self.durward(server.port, backend={"pool": 2})
        self.opened(durward)
        self.assertTrue(kit.until(lambda: len(server.firsts) == 4), server.firsts)  # two headers of the login, two wait
        self.opened(durward)
        self.assertTrue(kit.until(lambda: len(server.firsts) == 6), server.firsts)  # one restart, one that replaces
        self.assertEqual(len(server.connections), 4)
        self.assertEqual([user for user, _ in server.users], ["alice", "alice"])

    def test_streams_that_their_server_has_ended(self):
        server = self.server(good)
        durward = self.durward(server.port, backend={"pool": 2})
        self.opened(durward)
        self.assertTrue(kit.until(lambda: len(server.firsts) == 4), server.firsts)
        for connection in server.connections[1:3]:
            connection.shutdown(socket.SHUT_RDWR)
        self.opened(durward, "bob")
        self.assertEqual([user for user, _ in server.users], ["alice", "bob"])

    def test_a_stream_that_ends_when_it_hears_of_the_user(self):
        for words in (b"", b"<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                           b"</stream:error></stream:stream>"):
            with self.subTest(words):
                self.ends_when_it_hears(words)

    def ends_when_it_hears(self, words):
        def once(server, connection):
            if len(server.connections) == 2:
                server.greet(connection)
                server.until(connection, rb"</auth>")
                connection.sendall(words)
                return
            good(server, connection)

        server = self.server(once)
        durward = self.durward(server.port, backend={"pool": 1})
        self.opened(durward)
        self.assertTrue(kit.until(lambda: len(server.firsts) == 3), server.firsts)
        self.opened(durward, "bob")
        self.assertEqual([user for user, _ in server.users], ["alice", "bob"])

    def test_a_reload_and_the_end_let_them_go(self):
        def ended(number):
            def gone():
                try:
                    return server.connections[number].fileno() < 0
                except OSError:
                    return True
            return kit.until(gone)

        server = self.server(good)
        durward = self.durward(server.port, backend={"pool": 1})
        first = self.opened(durward)
        self.assertTrue(kit.until(lambda: len(server.firsts) == 3), server.firsts)
        durward.reload()
        self.assertTrue(durward.wait_log(r"info reloaded"))
        self.assertTrue(ended(1))
        second = self.opened(durward)
        self.assertTrue(kit.until(lambda: len(server.connections) == 4), server.firsts)
        first.say("x@y", "still here")
        self.assertEqual(first.hear()[1], "still here")
        second.close()

    def test_none_wait_behind_a_proxy_line(self):
        def serve(server, connection):
            server.lines = getattr(server, "lines", []) + [server.until(connection, rb"\r\n")]
            rest = server.lines[-1].split(b"\r\n", 1)[1]
            server.lines[-1] = server.lines[-1].split(b"\r\n", 1)[0]
            if not re.search(rb"<stream:stream[^>]*>", rest):
                server.until(connection, rb"<stream:stream[^>]*>")
            connection.sendall((HEADER % (xmpp_kit.STREAM, DOMAIN, 1) + FEATURES).encode())
            server.user(connection)
            connection.sendall(SUCCESS.encode())
            server.header(connection)
            connection.sendall(b"<stream:features/>")
            connection.recv(1)

        server = self.server(serve)
        durward = self.durward(server.port, backend={"proxy": 1})
        stream = self.opened(durward)
        host, port = stream.socket.getsockname()
        self.assertEqual(server.lines, [b"PROXY TCP4 %s 127.0.0.1 %d %d" % (host.encode(), port, durward.port)])


class TestPolicy(Scene):
    def test_a_server_of_the_policys_choice(self):
        first, second = self.server(good), self.server(good)
        policy = ALLOW.replace("durward.allow {}", "durward.allow { backend = 'tcp://127.0.0.1:%d' }" % second.port)
        self.opened(self.durward(first.port, policy=policy))
        self.assertEqual((len(first.users), len(second.users)), (0, 1))

    def test_a_server_that_is_no_address_or_too_far(self):
        server = self.server(good)
        for backend in ("tcp://nowhere", "tcp://192.0.2.1:5222"):
            policy = ALLOW.replace("durward.allow {}", "durward.allow { backend = '%s' }" % backend)
            stream = self.stream(self.durward(server.port, policy=policy))
            stream.prepare()
            self.assertEqual(self.attempt(stream), "temporary-auth-failure")
        self.assertEqual(server.users, [])

    def test_names_that_are_no_jid(self):
        server = self.server(good)
        policy = """
            local durward = require("durward")
            return { map = function(event) return event.principal.primary end, authorize = function(event)
              return durward.allow { jid = event.user == "alice" and "alice@elsewhere.test" or "root@example.test" }
            end }"""
        stream = self.stream(self.durward(server.port, policy=policy))
        stream.prepare()
        self.assertEqual(self.attempt(stream), "temporary-auth-failure")
        self.assertEqual(self.attempt(stream, "bob"), "not-authorized")
        self.assertEqual(server.users, [])

    def test_a_hostname_and_a_service_by_the_hook(self):
        server = self.server(good)
        policy = ALLOW.replace("return { map", """return { realm = function(event)
              return { hostname = "other.example.test", service = "xmpp/cm7.example.test", realm = "HOME.EXAMPLE" }
            end, map""")
        durward = self.durward(server.port, policy=policy)
        stream = self.stream(durward)
        features = stream.prepare()
        self.assertEqual([one.text for one in features.iter("{%s}hostname" % xmpp_kit.HOSTNAME)], ["other.example.test"])
        with self.assertRaises(xmpp_kit.Refused):
            stream.gssapi(self.ticket(service=FULL))
        stream.gssapi(self.ticket(service="xmpp/" + HOSTNAME))
        stream.open()

    def test_a_hostname_that_is_none(self):
        policy = ALLOW.replace("return { map", "return { realm = function() return { hostname = 'a b' } end, map")
        durward = self.durward(self.server(good).port, policy=policy)
        features = self.stream(durward).prepare()
        self.assertEqual(list(features.iter("{%s}mechanism" % xmpp_kit.SASL)), [])
        self.assertTrue(durward.wait_log(r"no mechanism is offered .*a hostname that is none"), durward.log())

    def test_the_connect_hook(self):
        policy = ALLOW.replace("return { map", """return { connect = function(event)
              assert(event.front == "xmpp" and event.domain == nil)
              return durward.deny { reason = "not from here" }
            end, map""")
        durward = self.durward(self.server(good).port, policy=policy)
        with self.assertRaises(xmpp_kit.Ended):
            self.stream(durward).open()
        self.assertEqual(durward.wait_journal(verdict="deny")[0]["decision"]["reason"], "not from here")

    def test_connections_of_one_user(self):
        server = self.server(good)
        durward = self.durward(server.port, limits={"per_user": 1})
        first = self.opened(durward)
        second = self.stream(durward)
        second.prepare()
        self.assertEqual(self.attempt(second), "temporary-auth-failure")
        self.assertIsNone(self.attempt(second, "bob"))
        first.close()
        self.assertTrue(durward.wait_log(r"ended .*user=alice"))
        self.opened(durward)

    def test_three_attempts(self):
        server = self.server(good)
        durward = self.durward(server.port, policy="return {}")
        stream = self.stream(durward)
        stream.prepare()
        self.assertEqual(self.attempt(stream), "not-authorized")
        self.assertEqual(self.attempt(stream), "not-authorized")
        self.assertEqual(self.attempt(stream), "not-authorized")
        self.assertEqual(stream.ending(), "policy-violation")
        self.assertEqual(len(durward.journal(verdict="deny")), 3)

    def test_a_policy_that_waits(self):
        server = self.server(good)
        policy = ALLOW.replace("function() return", "function() durward.await.sleep(0.2) return")
        self.opened(self.durward(server.port, policy=policy))
        self.assertEqual(len(server.users), 1)

    def test_the_close_hook(self):
        server = self.server(good)
        policy = ALLOW.replace("return { map", """return { close = function(event)
              durward.log.info("closed", { domain = event.domain, reason = event.closed.reason })
            end, map""")
        durward = self.durward(server.port, policy=policy)
        self.opened(durward).close()
        self.assertTrue(durward.wait_log(r"closed.*domain=example\.test"), durward.log())


class TestDomains(Scene):
    def test_several_on_one_listener(self):
        second = "second.test"
        certificate, key = self.authority.issue(second, file="second")
        keytab = os.path.join(self.lab.dir, "second.keytab")
        if not os.path.exists(keytab):
            self.lab.run("addservice", "xmpp/" + second + HOME, "--keytab", keytab)
        one, other = self.server(good), self.server(good, domain=second)
        durward = self.durward(one.port, domains={second: {
            "keytab": keytab, "tls": {"certificate": certificate, "key": key},
            "backend": {"connect": "tcp://127.0.0.1:%d" % other.port, "tls": "none", "login": "token",
                        "secret_file": self.secret}}})
        self.opened(durward)
        stream = self.stream(durward, domain=second)
        stream.prepare()
        stream.gssapi(self.ticket(service="xmpp/" + second))
        stream.open()
        self.assertEqual(([user for user, _ in one.users], [user for user, _ in other.users]), (["alice"], ["alice"]))
        self.assertTrue(other.users[0][1].startswith("v1."))
        foreign = self.stream(durward, domain=second)
        foreign.prepare()
        with self.assertRaises(xmpp_kit.Refused):
            foreign.gssapi(self.ticket(service=FULL))

    def test_certificates_that_clients_will_not_like(self):
        old, other = self.authority.issue(DOMAIN, file="old", days=2), self.authority.issue("other.test", file="other")
        for (certificate, key), told in ((old, r"certificate ends soon .*domain=example\.test"),
                                         (other, r"certificate is for others .*other\.test")):
            durward = self.durward(self.server(good).port, tls={"certificate": certificate, "key": key})
            self.assertTrue(durward.wait_log(told), durward.log())

    def test_one_that_is_not_served(self):
        stream = self.stream(self.durward(self.server(good).port), domain="elsewhere.test")
        with self.assertRaises(xmpp_kit.Ended) as ended:
            stream.open()
        self.assertEqual(str(ended.exception), "host-unknown")

    def test_direct_tls(self):
        durward = self.durward(self.server(good).port, direct_tls=True)
        stream = self.stream(durward, alpn="xmpp-client")
        stream.start_tls()
        stream.open()
        self.assertIsNone(self.attempt(stream))
        stream.open()


if __name__ == "__main__":
    unittest.main()
