"""The other direction: a plain local application reaches a kerberized peer, durward being the client."""
import os
import socket
import time
import unittest

import zmq

import kit
import ops
import wire

POLICY = """
local durward = require("durward")
return {
  connect = function(event)
    if event.peer.uid ~= %d then
      return durward.deny({ reason = "not this user" })
    end
  end,
  realm = function() return nil end,
}
"""
MINE = POLICY % os.getuid()


class Outbound(kit.Case):
    def stock_server(self, kind, plaintext=False, **options):
        """(socket, endpoint) of a stock libzmq server that takes GSSAPI clients."""
        server = self.peer().socket(kind, GSSAPI_SERVER=1, GSSAPI_PLAINTEXT=int(plaintext), **options)
        return server, server.bind()

    def local(self, connect, policy=MINE, limits=None, **listener):
        """durward with one way out; .way is where applications go."""
        listener = dict({"name": "to-hq", "listen": "ipc://hq.sock", "mode": "0600", "connect": connect,
                         "service": "zmq@localhost", "ccache": "FILE:" + self.lab.cache("alice")}, **listener)
        listener = {key: value for key, value in listener.items() if value is not None}
        config = {"zmtp_out": [listener], "workers": 2}
        if limits:
            config["limits"] = limits
        durward = self.serve(config, policy)
        durward.way = "ipc://" + durward.path("hq.sock")
        return durward

    def application(self, durward, kind, **options):
        """A plain socket of ours, connected to durward."""
        plain = self.context.socket(getattr(zmq, kind))
        self.addCleanup(plain.close, 0)
        for key, value in options.items():
            plain.setsockopt(getattr(zmq, key), value)
        plain.connect(durward.way)
        return plain

    def words(self, plain, timeout=kit.PATIENCE):
        return [bytes(frame) for frame in self.recv(plain, timeout)]


class TestStockServer(Outbound):
    def test_a_conversation(self):
        for plaintext in (False, True):
            with self.subTest(plaintext=plaintext):
                server, endpoint = self.stock_server("ROUTER", plaintext)
                durward = self.local(endpoint, protection="plaintext" if plaintext else "encrypted")
                plain = self.application(durward, "DEALER", IDENTITY=b"desk-7")
                plain.send_multipart([b"hello", b"", b"world"])
                self.assertEqual(server.recv(), ["desk-7", "hello", "", "world"])
                server.send("desk-7", "good", "day")
                self.assertEqual(self.words(plain), [b"good", b"day"])

    def test_requests(self):
        server, endpoint = self.stock_server("REP")
        plain = self.application(self.local(endpoint), "REQ")
        for word in (b"one", b"two"):
            plain.send(word)
            self.assertEqual(server.recv(), [word.decode()])
            server.send("answer to " + word.decode())
            self.assertEqual(self.words(plain), [b"answer to " + word])

    def test_order_and_an_orderly_end(self):
        server, endpoint = self.stock_server("PULL", RCVHWM=0)
        plain = self.application(self.local(endpoint), "PUSH", SNDHWM=0)
        for number in range(2000):
            plain.send_multipart([b"%d" % number, b"x" * 500])
        plain.close(60000)
        self.assertEqual(server.recv_numbered(2000), [[number, 500] for number in range(2000)])

    def test_a_subscriber_of_ours(self):
        """A stock encrypted PUB understands a subscription that carries its prefix."""
        server, endpoint = self.stock_server("XPUB")
        plain = self.application(self.local(endpoint), "SUB", SUBSCRIBE=b"news")
        self.assertEqual(server.recv(), ["\x01news"])
        server.send("news", "1")
        self.assertEqual(self.words(plain), [b"news", b"1"])

    def test_the_socket_is_private(self):
        _, endpoint = self.stock_server("ROUTER")
        durward = self.local(endpoint)
        self.assertEqual(os.stat(durward.path("hq.sock")).st_mode & 0o777, 0o600)

    def test_with_a_keytab_and_no_cache(self):
        server, endpoint = self.stock_server("PULL")
        durward = self.local(endpoint, ccache=None, keytab=self.lab.dir + "/users.keytab",
                             principal="bob@HOME.EXAMPLE")
        self.application(durward, "PUSH").send(b"x")
        self.assertEqual(server.recv(), ["x"])


class TestPolicy(Outbound):
    def test_who_may_use_it_is_the_policys_to_say(self):
        server, endpoint = self.stock_server("PULL")
        durward = self.local(endpoint, POLICY % (os.getuid() + 1))
        self.application(durward, "PUSH").send(b"x")
        line = durward.wait_journal(verdict="deny")[0]
        self.assertEqual(line["event"]["peer"]["uid"], os.getuid())
        self.assertEqual(line["event"]["peer"]["pid"], os.getpid())
        self.assertIsNone(server.recv(0.5))

    def test_the_realm_hook_chooses_whom_to_ask_for(self):
        server, endpoint = self.stock_server("PULL")
        durward = self.local(endpoint, MINE.replace("return nil end", 'return { service = "zmq@localhost" } end'),
                             service="zmq@nowhere.example")
        self.application(durward, "PUSH").send(b"x")
        self.assertEqual(server.recv(), ["x"])


class TestTwoDurwards(Outbound):
    def test_from_application_to_backend(self):
        """Plain at both ends, Kerberos between; the backend knows whose ticket it was."""
        for protection in ("encrypted", "plaintext"):
            with self.subTest(protection):
                router = self.backend("ROUTER")
                gateway = self.gateway(router, protection=protection)
                durward = self.local(gateway.endpoint, protection=protection)
                plain = self.application(durward, "DEALER")
                plain.send_multipart([b"a", b"b"])
                frames = self.recv(router)
                self.assertEqual(frames[-1].get("User-Id"), "alice")
                router.send_multipart([bytes(frames[0]), b"c"])
                self.assertEqual(self.words(plain), [b"c"])

    def test_subscriptions_are_whole(self):
        xpub = self.backend("XPUB", XPUB_VERBOSER=1)
        gateway = self.gateway(xpub)
        plain = self.application(self.local(gateway.endpoint), "SUB")
        for topic in (b"news", b"weather"):
            plain.setsockopt(zmq.SUBSCRIBE, topic)
            self.assertEqual(bytes(self.recv(xpub)[0]), b"\x01" + topic)
        plain.setsockopt(zmq.UNSUBSCRIBE, b"news")
        self.assertEqual(bytes(self.recv(xpub)[0]), b"\x00news")
        xpub.send(b"weather: fine")
        self.assertEqual(self.words(plain), [b"weather: fine"])

    def test_refused_there_is_told_here(self):
        router = self.backend("ROUTER")
        gateway = self.gateway(router, on_deny="error")
        durward = self.local(gateway.endpoint, ccache="FILE:" + self.lab.cache("bob"))
        self.application(durward, "DEALER").send(b"x")
        self.assertTrue(gateway.wait_journal(verdict="deny"))
        self.assertTrue(durward.wait_log(r"(?i)refused|ERROR"), durward.log(last=15))
        self.silent(router, 0.2)


class TestTrouble(Outbound):
    def test_no_ticket(self):
        _, endpoint = self.stock_server("PULL")
        durward = self.local(endpoint, ccache="FILE:" + self.lab.dir + "/none.cc", limits={"handshake_seconds": 2})
        self.application(durward, "PUSH").send(b"x")
        self.assertTrue(durward.wait_log(r"(?i)ticket|credential|none\.cc"), durward.log(last=15))

    def test_a_peer_that_comes_late(self):
        port = kit.free_port()
        durward = self.local("tcp://127.0.0.1:%d" % port, limits={"handshake_seconds": 3})
        plain = self.application(durward, "PUSH")
        plain.send(b"x")
        time.sleep(0.5)
        server = self.peer().socket("PULL", GSSAPI_SERVER=1)
        server.bind("tcp://127.0.0.1:%d" % port)
        self.assertEqual(server.recv(), ["x"])

    def test_a_peer_that_is_no_gssapi_server(self):
        plain = wire.PlainBackend("PULL")
        self.addCleanup(plain.close)
        durward = self.local(plain.endpoint, limits={"handshake_seconds": 2})
        self.application(durward, "PUSH").send(b"x")
        link = plain.accept(ready=False)
        self.addCleanup(link.close)
        link.send(wire.greeting(b"NULL"))
        self.assertTrue(durward.wait_log(r"(?i)mechanism"), durward.log(last=15))

    def test_a_service_that_the_kdc_does_not_know(self):
        _, endpoint = self.stock_server("PULL")
        durward = self.local(endpoint, service="zmq@nowhere.example", limits={"handshake_seconds": 2})
        self.application(durward, "PUSH").send(b"x")
        self.assertTrue(durward.wait_log(r"nowhere\.example"), durward.log(last=15))

    def test_a_kdc_that_does_not_answer_holds_nobody_elses_login(self):
        """One thread of the pool waits for it, not one for each application: the rest is there for look-ups."""
        silent = socket.socket()
        silent.bind(("127.0.0.1", 0))
        silent.listen(500)
        os.mkdir(self.lab.dir + "/silent-kdc")
        conf = self.lab.dir + "/silent-kdc/krb5.conf"
        with open(conf, "w", encoding="ascii") as file:
            file.write("[libdefaults]\n default_realm = %s\n udp_preference_limit = 1\n dns_lookup_kdc = false\n"
                       "[realms]\n %s = {\n kdc = 127.0.0.1:%d\n }\n"
                       % (kit.HOME, kit.HOME, silent.getsockname()[1]))
        router = self.backend("ROUTER")
        durward = self.serve(
            {"zmtp_out": [{"name": "to-hq", "listen": "ipc://hq.sock", "connect": "tcp://127.0.0.1:9",
                           "service": "zmq@localhost", "keytab": self.lab.keytab,
                           "principal": "zmq/localhost@" + kit.HOME}],
             "zmtp": [ops.listener(self.endpoint(router))], "workers": 1,
             "limits": {"handshake_seconds": 60, "per_peer": 1000}},
            """
            local durward = require("durward")
            return {
              realm = function() return nil end,
              map = function(event)
                assert(durward.await.groups("root"))
                return event.principal.primary
              end,
              authorize = durward.rule.allow("known", function() return true end),
            }
            """, env={"KRB5_CONFIG": conf})
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        try:
            for one in waiting:
                one.connect(durward.path("hq.sock"))
                one.sendall(wire.greeting(b"NULL"))
            ops.wait_status(durward, lambda told: told["connections"] == len(waiting))
            with wire.GssClient(ops.port_of(durward, "trades"), self.lab.cache("alice")) as client:
                client.login()
                client.send_message(b"hello")
                self.assertEqual(self.words(router)[-1], b"hello")
                self.assertEqual(ops.status(durward)["connections"], len(waiting) + 1)
        finally:
            for one in waiting:
                one.close()
            silent.close()


if __name__ == "__main__":
    unittest.main()
