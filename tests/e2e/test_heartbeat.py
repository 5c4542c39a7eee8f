"""Heartbeats through durward: stock ones stay quiet company, PINGs reach the backend and its PONGs the client,
and whoever falls silent is noticed on both legs."""
import struct
import threading
import time
import unittest

import zmq
from zmq.utils.monitor import recv_monitor_message

import kit
import ops
import wire

STOCK = {"HEARTBEAT_IVL": 200, "HEARTBEAT_TIMEOUT": 3000, "HEARTBEAT_TTL": 3000}


def setUpModule():
    kit.Lab.shared()


def ping(client, ttl, context=b""):
    """`ttl` in tenths of a second."""
    body = wire.named(b"PING", struct.pack(">H", ttl) + context)
    client.send(client.wrap(bytes([wire.INNER_COMMAND]) + body) if client.encrypted
                else wire.frame(wire.COMMAND, body))


class Heartbeat:
    protection = None

    def through(self, backend, **more):
        return self.broker(backend, protection=self.protection, **more)

    def raw(self, durward):
        client = self.client(durward.port)
        client.encrypted = self.protection == "encrypted"
        return client

    def stock(self, user="alice", **options):
        peer = self.peer(user)
        return peer, peer.client("DEALER", plaintext=self.protection == "plaintext", **options)

    def read_any(self, client):
        """(is a command, body) of the next frame."""
        if client.encrypted:
            flags, body = client.read_wrapped()
            return bool(flags & wire.INNER_COMMAND), body
        flags, body = client.read_frame()
        return bool(flags & wire.COMMAND), body

    def joined(self, durward, backend):
        """A raw client and the raw backend that it was joined to."""
        client, far = self.raw(durward), []
        accepting = threading.Thread(target=lambda: far.append(backend.accept()))
        accepting.start()
        client.login()
        accepting.join(kit.PATIENCE)
        self.addCleanup(far[0].close)
        return client, far[0]

    def raw_backend(self):
        backend = wire.PlainBackend()
        self.addCleanup(backend.close)
        return backend

    def watched(self, **options):
        """A stock ROUTER and its monitor."""
        router = self.backend("ROUTER", **options)
        monitor = router.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.addCleanup(monitor.close, 0)
        self.addCleanup(router.disable_monitor)
        return router, monitor

    # What stays up.

    def test_stock_heartbeats_of_both_sides_disturb_nothing(self):
        router, monitor = self.watched(**STOCK)
        durward = self.through(router)
        _, client = self.stock(**STOCK)
        client.connect(durward.endpoint)
        client.send("before")
        sender = bytes(self.recv(router)[0])
        time.sleep(4)
        router.send_multipart([sender, b"after"])
        self.assertEqual(client.recv(), ["after"])
        client.send("and back")
        self.assertEqual(bytes(self.recv(router)[-1]), b"and back")
        self.assertEqual([event for event in client.events() if event[0] == "DISCONNECTED"], [])
        self.assertFalse(monitor.poll(0))
        self.assertEqual(ops.status(durward)["counts"]["accepted"], 1)

    def test_pings_within_their_ttl_keep_a_client(self):
        durward = self.through(self.backend("ROUTER"))
        client = self.raw(durward)
        client.login()
        for number in range(10):
            ping(client, 15, b"%d" % number)
            self.assertEqual(self.read_any(client), (True, b"\x04PONG%d" % number))
            time.sleep(0.3)

    # What passes.

    def test_a_ping_goes_to_the_backend_and_its_pong_to_the_client(self):
        backend = self.raw_backend()
        durward = self.through(backend.endpoint)
        client, far = self.joined(durward, backend)
        ping(client, 300, b"sixteen octets!!")
        self.assertEqual(far.read_command(), (b"PING", struct.pack(">H", 300) + b"sixteen octets!!"))
        client.timeout = 0.7
        with self.assertRaises(TimeoutError):
            self.read_any(client)  # durward does not speak for the backend
        client.timeout = kit.PATIENCE
        far.send(wire.command(b"PONG", b"sixteen octets!!"))
        self.assertEqual(self.read_any(client), (True, b"\x04PONGsixteen octets!!"))

    def test_the_backends_ping_and_the_clients_pong(self):
        backend = self.raw_backend()
        durward = self.through(backend.endpoint)
        client, far = self.joined(durward, backend)
        far.send(wire.command(b"PING", struct.pack(">H", 300) + b"ctx"))
        self.assertEqual(self.read_any(client), (True, b"\x04PING" + struct.pack(">H", 300) + b"ctx"))

    def test_pings_between_the_parts_of_a_message(self):
        router = self.backend("ROUTER")
        durward = self.through(router)
        client = self.raw(durward)
        client.login()
        parts = [b"one", b"two", b"three"]
        for i, part in enumerate(parts):
            more = i + 1 < len(parts)
            client.send(client.wrap(bytes([wire.INNER_MORE if more else 0]) + part) if client.encrypted
                        else wire.frame(wire.MORE if more else 0, part))
            ping(client, 300)
        self.assertEqual([bytes(frame) for frame in self.recv(router)[1:]], parts)
        for _ in parts:
            self.assertEqual(self.read_any(client), (True, b"\x04PONG"))

    def test_malformed(self):
        durward = self.through(self.backend("ROUTER"))
        for body in (b"\x04PING", b"\x04PING\x00", b"\x04PING\x00\x01" + bytes(17), b"\x04PONG" + bytes(17)):
            with self.subTest(body=body):
                client = self.raw(durward)
                client.login()
                client.send(client.wrap(bytes([wire.INNER_COMMAND]) + body) if client.encrypted
                            else wire.frame(wire.COMMAND, body))
                self.assertTrue(client.closes())

    # What is noticed.

    def test_a_ttl_and_then_silence_ends_the_connection_and_the_backend_is_told(self):
        backend = self.raw_backend()
        durward = self.through(backend.endpoint)
        client, far = self.joined(durward, backend)
        ping(client, 10)
        self.assertEqual(far.read_command()[0], b"PING")
        watch = ops.Stopwatch()
        self.assertTrue(far.closes())
        self.assertGreater(watch.seconds(), 0.5)
        far.close()
        self.says(durward, r"client silent past its heartbeat's TTL")
        self.assertTrue(client.closes())
        client.close()
        ops.wait_empty(durward)

    def test_a_ttl_of_zero_promises_nothing(self):
        backend = self.raw_backend()
        durward = self.through(backend.endpoint)
        client, far = self.joined(durward, backend)
        ping(client, 10)
        ping(client, 0)
        self.assertFalse(client.closes(within=2.5))
        client.send_message(b"still here")
        for name in (b"PING", b"PING"):
            self.assertEqual(far.read_command()[0], name)
        self.assertEqual(far.read_frame(), (0, b"still here"))

    def test_the_backends_ttl_and_then_silence(self):
        backend = self.raw_backend()
        durward = self.through(backend.endpoint)
        client, far = self.joined(durward, backend)
        far.send(wire.command(b"PING", struct.pack(">H", 10)))
        self.assertTrue(client.closes())
        self.says(durward, r"backend silent past its TTL")
        client.close()
        far.close()
        ops.wait_empty(durward)

    def test_a_frozen_backend_is_noticed_by_the_clients_heartbeats(self):
        """durward does not answer in its place: the client finds out, and comes back when it can."""
        owner = self.peer()
        router = owner.socket("ROUTER", monitor=False)
        endpoint = router.bind().rstrip("\0")
        durward = self.through(endpoint)
        _, client = self.stock(HEARTBEAT_IVL=200, HEARTBEAT_TIMEOUT=1500)
        client.connect(durward.endpoint)
        client.send("before")
        self.assertEqual(router.recv()[-1], "before")
        owner.freeze()
        self.assertTrue(client.wait_event("DISCONNECTED"), durward.log(last=15))
        owner.thaw()
        client.send("after")
        self.assertEqual(router.recv()[-1], "after")

    def test_a_frozen_client_is_noticed_by_its_ttl_and_the_backend_is_told(self):
        router, monitor = self.watched()
        durward = self.through(router)
        peer, client = self.stock(HEARTBEAT_IVL=200, HEARTBEAT_TTL=1500, HEARTBEAT_TIMEOUT=60000)
        client.connect(durward.endpoint)
        client.send("before")
        self.recv(router)
        time.sleep(0.6)  # its first PING has told the TTL
        self.assertFalse(monitor.poll(0))
        peer.freeze()
        self.assertTrue(monitor.poll(kit.PATIENCE * 1000), durward.log(last=15))
        self.assertEqual(recv_monitor_message(monitor)["event"], zmq.EVENT_DISCONNECTED)
        # The backend has been told the same TTL, and may be the first to act on it.
        self.says(durward, r"client silent past its heartbeat's TTL .*user=alice|user=alice reason=\"backend closed\"")
        peer.thaw()
        client.send("after")
        self.assertEqual(bytes(self.recv(router)[-1]), b"after")

    def test_a_frozen_client_is_noticed_by_the_backends_heartbeats(self):
        router, monitor = self.watched(HEARTBEAT_IVL=200, HEARTBEAT_TIMEOUT=1500)
        durward = self.through(router)
        peer, client = self.stock()
        client.connect(durward.endpoint)
        client.send("before")
        self.recv(router)
        peer.freeze()
        self.assertTrue(monitor.poll(kit.PATIENCE * 1000), durward.log(last=15))
        peer.thaw()


class TestEncrypted(Heartbeat, ops.Case):
    protection = "encrypted"


class TestPlaintext(Heartbeat, ops.Case):
    protection = "plaintext"


if __name__ == "__main__":
    unittest.main()
