"""Order, wholeness, back-pressure; backends that are late, absent, wrong, slow or dying."""
import struct
import time
import unittest

import zmq

import kit
import wire


class TestFlow(kit.Case):
    def test_order_and_multipart_hold_both_ways(self):
        router = self.backend("ROUTER", RCVHWM=0, SNDHWM=0)
        durward = self.gateway(router)
        client = self.peer("alice").client("DEALER", SNDHWM=0, RCVHWM=0).connect(durward.endpoint)
        count = 2000
        client.send_numbered(count, size=300)
        for number in range(count):
            frames = self.recv(router)
            self.assertEqual([bytes(frames[1]), len(frames[2]), len(frames)], [b"%d" % number, 300, 3])
        for number in range(count):
            router.send_multipart([bytes(frames[0]), b"%d" % number, b"y" * 70000 if number % 500 == 0 else b"y"])
        got = client.recv_numbered(count)
        self.assertEqual(got, [[number, 70000 if number % 500 == 0 else 1] for number in range(count)])

    def test_sizes_at_every_edge(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router)
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        for size in (0, 1, 254, 255, 256, 4095, 8192, 65535, 65536, 1 << 20, 5000000):
            client.send("x" * size)
            frames = self.recv(router)
            self.assertEqual(len(frames[-1]), size)
            router.send_multipart([bytes(frames[0]), b"y" * size])
            self.assertEqual(len(client.recv()[0]), size)

    def test_many_parts_stay_one_message(self):
        pull = self.backend("PULL")
        durward = self.gateway(pull)
        parts = ["%d" % number for number in range(1000)]
        self.peer("alice").client("PUSH").connect(durward.endpoint).send(*parts)
        self.assertEqual([bytes(frame).decode() for frame in self.recv(pull)], parts)

    def test_what_was_sent_before_a_close_is_delivered(self):
        for kind, backend in (("PUSH", "PULL"), ("DEALER", "ROUTER")):
            for plaintext in (False, True):
                with self.subTest(kind=kind, plaintext=plaintext):
                    plain = self.backend(backend, RCVHWM=0)
                    durward = self.gateway(plain, protection="plaintext" if plaintext else "encrypted")
                    client = self.peer("alice").client(kind, plaintext=plaintext, SNDHWM=0, monitor=False)
                    client.connect(durward.endpoint)
                    client.send_numbered(3000, size=1000)
                    client.close(linger=60000)
                    for number in range(3000):
                        self.assertEqual(bytes(self.recv(plain)[-2]), b"%d" % number)

    def test_what_the_backend_sent_before_it_closed_is_delivered(self):
        push = self.backend("PUSH", SNDHWM=0)
        durward = self.gateway(push)
        client = self.peer("alice").client("PULL", RCVHWM=0).connect(durward.endpoint)
        self.assertTrue(push.poll(kit.PATIENCE * 1000, zmq.POLLOUT))
        for number in range(3000):
            push.send_multipart([b"%d" % number, b"x" * 1000])
        push.close(60000)
        self.assertEqual(client.recv_numbered(3000), [[number, 1000] for number in range(3000)])

    def test_a_slow_backend_slows_the_client_and_grows_nothing(self):
        pull = self.backend("PULL", RCVHWM=10, RCVBUF=65536)
        durward = self.gateway(pull)
        client = self.peer("alice").client("PUSH", SNDHWM=10, SNDBUF=65536).connect(durward.endpoint)
        client.send("first")
        self.recv(pull)
        before = durward.memory()
        sent = client.try_send("x" * 50000)
        self.assertLess(sent, 4000, "no back-pressure")
        self.assertLess(durward.memory() - before, 64 << 20)
        for _ in range(sent):
            self.assertEqual(len(self.recv(pull)[0]), 50000)

    def test_a_client_that_stops_reading_is_bounded_and_disturbs_nobody(self):
        router = self.backend("ROUTER", SNDHWM=20, ROUTER_MANDATORY=1)
        durward = self.gateway(router, kit.EVERYBODY, settings={"workers": 1})
        lazy = wire.GssClient(durward.port, self.lab.cache("alice"))
        self.addCleanup(lazy.close)
        lazy.login(identity=b"lazy")
        lazy.send_message(b"hello")
        self.recv(router)
        before = durward.memory()
        blocked = 0
        for _ in range(3000):
            try:
                router.send_multipart([b"lazy", b"x" * 50000], zmq.DONTWAIT)
            except zmq.Again:
                blocked += 1
                time.sleep(0.005)
                if blocked > 60:
                    break
        self.assertGreater(blocked, 60, "the backend was never slowed")
        self.assertLess(durward.memory() - before, 64 << 20)
        other = self.peer("bob").client("DEALER").connect(durward.endpoint)
        other.send("x")
        self.assertEqual(self.recv(router)[-1].get("User-Id"), "bob")

    def test_heartbeats_notice_a_frozen_client(self):
        """Stock heartbeats between client and durward: the client's PING is answered."""
        router = self.backend("ROUTER")
        durward = self.gateway(router)
        client = self.peer("alice").client("DEALER", HEARTBEAT_IVL=200, HEARTBEAT_TIMEOUT=600, HEARTBEAT_TTL=2000)
        client.connect(durward.endpoint)
        client.send("x")
        self.recv(router)
        time.sleep(2)
        client.send("y")
        self.assertEqual(bytes(self.recv(router)[-1]), b"y")
        self.assertEqual([event for event in client.events() if event[0] == "DISCONNECTED"], [])

    def test_the_backends_heartbeats(self):
        router = self.backend("ROUTER", HEARTBEAT_IVL=200, HEARTBEAT_TIMEOUT=600, HEARTBEAT_TTL=2000)
        durward = self.gateway(router)
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        client.send("x")
        sender = bytes(self.recv(router)[0])
        time.sleep(2)
        router.send_multipart([sender, b"y"])
        self.assertEqual(client.recv(), ["y"])
        self.assertEqual([event for event in client.events() if event[0] == "DISCONNECTED"], [])

    def test_a_ping_is_answered_with_its_context(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router)
        client = wire.GssClient(durward.port, self.lab.cache("alice"))
        self.addCleanup(client.close)
        client.login()
        client.send(client.wrap(bytes([wire.INNER_COMMAND]) + wire.named(b"PING", struct.pack(">H", 100) + b"ctx")))
        flags, body = client.read_wrapped()
        self.assertEqual((flags, body), (wire.INNER_COMMAND, b"\x04PONGctx"))

    def test_a_pings_ttl_is_kept(self):
        """A peer that promised to be heard of within its TTL and is not is taken for dead."""
        router = self.backend("ROUTER")
        durward = self.gateway(router)
        client = wire.GssClient(durward.port, self.lab.cache("alice"))
        self.addCleanup(client.close)
        client.login()
        client.send(client.wrap(bytes([wire.INNER_COMMAND]) + wire.named(b"PING", struct.pack(">H", 10))))
        self.assertTrue(client.closes(within=15))


class TestBackends(kit.Case):
    def test_late_but_within_the_deadline(self):
        port = kit.free_port()
        endpoint = "tcp://127.0.0.1:%d" % port
        durward = self.gateway(endpoint, limits={"handshake_seconds": 20})
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        client.send("x")
        self.assertTrue(durward.wait_journal(verdict="allow"))
        router = self.backend("ROUTER", endpoint)
        self.assertEqual(bytes(self.recv(router)[-1]), b"x")
        self.assertEqual(len(durward.journal()), 1)

    def test_absent_is_a_close_without_error_and_nothing_is_lost(self):
        port = kit.free_port()
        endpoint = "tcp://127.0.0.1:%d" % port
        durward = self.gateway(endpoint, limits={"handshake_seconds": 1}, on_deny="error")
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        client.send("kept")
        self.assertTrue(client.wait_event("DISCONNECTED"))
        self.assertTrue(durward.wait_log(r"%d" % port))
        self.assertNotIn("HANDSHAKE_FAILED_PROTOCOL", [event[0] for event in client.events()])
        router = self.backend("ROUTER", endpoint)
        self.assertEqual(bytes(self.recv(router)[-1]), b"kept")

    def test_a_backend_that_dies_ends_its_clients_which_come_back(self):
        first = self.backend("ROUTER")
        endpoint = self.endpoint(first)
        durward = self.gateway(first, limits={"handshake_seconds": 20})
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        client.send("one")
        self.recv(first)
        first.unbind(endpoint)
        first.close(0)
        self.assertTrue(client.wait_event("DISCONNECTED"))
        second = self.context.socket(zmq.ROUTER)
        self.addCleanup(second.close, 0)
        self.assertTrue(kit.until(lambda: self.try_bind(second, endpoint)))
        deadline = time.monotonic() + kit.PATIENCE
        while time.monotonic() < deadline:
            client.send("two")
            if second.poll(300):
                break
        self.assertEqual(self.recv(second)[-1].get("User-Id"), "alice")

    @staticmethod
    def try_bind(plain, endpoint):
        try:
            plain.bind(endpoint)
            return True
        except zmq.ZMQError:
            return False

    def test_a_backend_that_dies_within_a_message(self):
        """The client gets the whole message or nothing of it."""
        plain = wire.PlainBackend("DEALER")
        self.addCleanup(plain.close)
        durward = self.gateway(plain.endpoint)
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        link = plain.accept()
        link.send(wire.frame(0, b"whole"))
        link.send(wire.frame(wire.MORE, b"first part") + wire.frame(wire.MORE, b"second part"))
        self.assertEqual(client.recv(), ["whole"])
        link.close()
        self.assertTrue(client.wait_event("DISCONNECTED"))
        link = plain.accept()
        self.addCleanup(link.close)
        link.send(wire.frame(0, b"afterwards"))
        self.assertEqual(client.recv(), ["afterwards"])

    def test_a_client_that_dies_within_a_message(self):
        """The backend gets the whole message or nothing of it."""
        pull = self.backend("PULL")
        durward = self.gateway(pull)
        client = wire.GssClient(durward.port, self.lab.cache("alice"))
        client.login("PUSH")
        client.send_message(b"whole", b"message")
        client.send(client.wrap(bytes([wire.INNER_MORE]) + b"half"))
        client.close()
        self.assertEqual([bytes(frame) for frame in self.recv(pull)], [b"whole", b"message"])
        other = self.peer("alice").client("PUSH").connect(durward.endpoint)
        other.send("next")
        self.assertEqual([bytes(frame) for frame in self.recv(pull)], [b"next"])

    def test_of_an_incompatible_socket_type(self):
        """The client sees the backend's true type in READY, and gives up as it would without a gateway."""
        rep = self.backend("REP")
        durward = self.gateway(rep)
        client = self.peer("alice").client("PUSH").connect(durward.endpoint)
        self.assertTrue(client.wait_event("HANDSHAKE_FAILED_PROTOCOL"), client.events())
        self.assertTrue(durward.wait_log("awaiting=ready"), durward.log(last=15))

    def test_that_is_no_zeromq_peer(self):
        with kit.socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            durward = self.gateway("tcp://127.0.0.1:%d" % listener.getsockname()[1],
                                   limits={"handshake_seconds": 3})
            client = self.peer("alice").client("DEALER").connect(durward.endpoint)
            client.send("x")
            listener.settimeout(kit.PATIENCE)
            link, _ = listener.accept()
            with link:
                link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 100)
                self.assertTrue(client.wait_event("DISCONNECTED"))
        self.assertTrue(durward.wait_log("no ZMTP greeting"), durward.log(last=15))

    def test_that_stays_silent(self):
        with kit.socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            durward = self.gateway("tcp://127.0.0.1:%d" % listener.getsockname()[1],
                                   limits={"handshake_seconds": 1}, on_deny="error")
            client = self.peer("alice").client("DEALER").connect(durward.endpoint)
            client.send("x")
            self.assertTrue(client.wait_event("DISCONNECTED"))
            self.assertNotIn("HANDSHAKE_FAILED_PROTOCOL", [event[0] for event in client.events()])

    def test_an_ipc_backlog_that_is_full_is_waited_for(self):
        """A burst of logins to one ipc backend: every one gets through."""
        place = self.lab.dir + "/burst-%d" % time.monotonic_ns()
        pull = self.backend("PULL", "ipc://" + place, BACKLOG=1)
        durward = self.gateway("ipc://" + place, limits={"handshake_seconds": 30})
        peer = self.peer("alice")
        sockets = [peer.client("PUSH", monitor=False) for _ in range(60)]
        for number, client in enumerate(sockets):
            client.connect(durward.endpoint)
        for number, client in enumerate(sockets):
            client.send("%d" % number)
        got = {bytes(self.recv(pull)[0]) for _ in sockets}
        self.assertEqual(got, {b"%d" % number for number in range(60)})


if __name__ == "__main__":
    unittest.main()
