"""How connections end when they do not end well: what had arrived is still delivered, and nothing waits for ever."""
import fcntl
import socket
import struct
import termios
import time
import unittest

import kit
import ops
import wire

SOCKETS = """
local durward = require("durward")
return { map = function(event) return event.principal.primary end,
  authorize = function() return durward.allow{ sockets = { "SUB" } } end }
"""


def setUpModule():
    kit.Lab.shared()


def arrives(client, seconds):
    """Whether all that was sent is in the other side's hands, or its kernel's, in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if struct.unpack("i", fcntl.ioctl(client.socket, termios.TIOCOUTQ, b"\0" * 4))[0] == 0:
            return True
        time.sleep(0.005)
    return False


class TestDelivered(ops.Case):
    """A backend that does not read for a while, and a client that does not wait for it."""

    def stage(self, kind="PULL", client_type="PUSH"):
        """All that the client has sent has arrived, and durward can take in no more of it."""
        backend = wire.PlainBackend(kind)
        self.addCleanup(backend.close)
        backend.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        durward = self.broker(backend.endpoint)
        client = self.client(durward.port)
        client.greet()
        client.authenticate()
        far = backend.accept(ready=False)
        self.addCleanup(far.close)
        far.send(wire.greeting(b"NULL") + wire.command(b"READY", wire.metadata({"Socket-Type": kind})))
        client.read_ready()
        client.send_ready({"Socket-Type": client_type})
        far.read_greeting()
        self.assertEqual(far.read_command()[0], b"READY")
        self.sent = self.heard = 0
        while arrives(client, 0.5):
            for _ in range(20):
                client.send_message(b"%06d" % self.sent + b"x" * 5000)
                self.sent += 1
        while not arrives(client, 0.1):
            self.hear(far)
        return client, far

    def hear(self, far):
        self.assertEqual(far.read_frame()[1][:6], b"%06d" % self.heard)
        self.heard += 1

    def all_come(self, far):
        while self.heard < self.sent:
            self.hear(far)
        self.assertTrue(far.closes())

    def test_a_reset_after_the_last_message(self):
        client, far = self.stage()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        time.sleep(0.3)
        self.all_come(far)

    def test_a_client_that_is_written_to_after_it_closed(self):
        client, far = self.stage("ROUTER", "DEALER")
        client.close()
        for _ in range(5):
            far.send(wire.frame(0, b"for nobody"))
            time.sleep(0.05)
        self.all_come(far)


class TestIdentities(ops.Case):
    def stage(self):
        backend = wire.PlainBackend("ROUTER")
        self.addCleanup(backend.close)
        return backend, self.broker(backend.endpoint, settings={"workers": 1})

    def begin(self, durward, backend):
        """A client that has been told READY, and the backend's side of it, which has not."""
        client = self.client(durward.port)
        client.greet()
        client.authenticate()
        far = backend.accept(ready=False)
        self.addCleanup(far.close)
        far.send(wire.greeting(b"NULL") + wire.command(b"READY", wire.metadata({"Socket-Type": "ROUTER"})))
        client.read_ready()
        far.read_greeting()
        return client, far

    def test_a_backend_that_comes_back_does_not_end_a_wait(self):
        backend, durward = self.stage()
        first, first_far = self.begin(durward, backend)
        first.send_ready([("Socket-Type", "DEALER"), ("Identity", b"desk-7")])
        self.assertEqual(first_far.read_command()[0], b"READY")
        second, second_far = self.begin(durward, backend)
        second.send_ready([("Socket-Type", "DEALER"), ("Identity", b"desk-7")])
        self.says(durward, "waits until the backend has let go")
        second_far.close()
        third_far = backend.accept(ready=False)
        self.addCleanup(third_far.close)
        third_far.send(wire.greeting(b"NULL") + wire.command(b"READY", wire.metadata({"Socket-Type": "ROUTER"})))
        third_far.read_greeting()
        third_far.timeout = 0.7
        with self.assertRaises(TimeoutError):
            third_far.read_command()
        first_far.close()
        third_far.timeout = 10
        self.assertEqual(third_far.read_command()[0], b"READY")

    def test_what_a_frozen_client_does_not_take_keeps_no_newer_login_waiting(self):
        backend, durward = self.stage()
        frozen, frozen_far = self.begin(durward, backend)
        frozen.send_ready([("Socket-Type", "DEALER"), ("Identity", b"desk-7")])
        self.assertEqual(frozen_far.read_command()[0], b"READY")
        frozen_far.socket.settimeout(0.5)
        with self.assertRaises(socket.timeout):
            while True:
                frozen_far.send(wire.frame(0, b"x" * 60000))
        frozen_far.close()
        time.sleep(0.3)
        newer, newer_far = self.begin(durward, backend)
        newer.send_ready([("Socket-Type", "DEALER"), ("Identity", b"desk-7")])
        newer_far.timeout = 5
        self.assertEqual(newer_far.read_command()[0], b"READY")


class TestRefused(ops.Case):
    def test_is_held_when_there_is_no_error_to_send(self):
        """After READY a client would not understand ERROR, and would be back at once."""
        backend = wire.PlainBackend("ROUTER")
        self.addCleanup(backend.close)
        durward = self.broker(backend.endpoint, SOCKETS, on_deny="error", retry_hold_seconds=2)
        client = self.client(durward.port)
        client.greet()
        client.authenticate()
        far = backend.accept(ready=False)
        self.addCleanup(far.close)
        far.send(wire.greeting(b"NULL") + wire.command(b"READY", wire.metadata({"Socket-Type": "ROUTER"})))
        client.read_ready()
        client.send_ready({"Socket-Type": "DEALER"})
        self.assertTrue(durward.wait_journal(verdict="deny"))
        self.assertFalse(client.closes(within=0.8))
        self.assertTrue(client.closes(within=10))

    def test_one_that_goes_on_sending_is_not_held(self):
        backend = wire.PlainBackend("ROUTER")
        self.addCleanup(backend.close)
        durward = self.broker(backend.endpoint, "return { authorize = nil }", retry_hold_seconds=60)
        client = self.client(durward.port)
        self.knocks(client)
        self.assertTrue(durward.wait_journal(verdict="deny"))
        with self.assertRaises(OSError):
            for _ in range(400):
                client.send(b"x" * 65536)
                time.sleep(0.001)


class TestBackends(ops.Case):
    def test_a_name_with_more_addresses_than_the_backend_has(self):
        backend = wire.PlainBackend("ROUTER")
        self.addCleanup(backend.close)
        durward = self.broker("tcp://localhost:%d" % backend.port)
        client = self.client(durward.port)
        client.greet()
        client.authenticate()
        far = backend.accept(ready=False)
        self.addCleanup(far.close)


class TestMemory(ops.Case):
    def test_a_frame_as_large_as_all_memory_has_its_turn(self):
        pull = self.backend("PULL")
        durward = self.broker(pull, limits={"memory": 4 << 20, "frame_bytes": 4 << 20})
        client = self.client(durward.port)
        client.login("PUSH")
        for size in (4 << 20, (4 << 20) - 1, 3 << 20):
            client.send_message(b"x" * size)
            self.assertEqual(len(self.recv(pull)[0]), size)

    def test_one_that_stands_still_does_not_keep_the_others_waiting(self):
        pull = self.backend("PULL")
        durward = self.broker(pull, limits={"memory": 1 << 20, "frame_bytes": 1 << 20})
        idle, busy = self.client(durward.port), self.client(durward.port)
        idle.login("PUSH")
        busy.login("PUSH")
        message = idle.wrap(b"\0" + b"x" * (1 << 20)) # past the limit by itself, in whatever pieces it comes
        idle.send(message[:300000])
        ops.wait_status(durward, lambda now: now["buffered_bytes"] > 900000)
        busy.send_message(b"y" * 500000)
        self.assertEqual(len(self.recv(pull, 30)[0]), 500000)
        self.says(durward, "stands still")
        self.assertTrue(idle.closes())


if __name__ == "__main__":
    unittest.main()
