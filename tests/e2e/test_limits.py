"""The limits of the configuration and of the system, each reached: what is refused, what goes on, what is
said, and that every slot comes back."""
import contextlib
import os
import resource
import socket
import threading
import time
import unittest
from unittest import mock

import zmq

import kit
import ops
import wire

MIB = 1 << 20


def setUpModule():
    kit.Lab.shared()


class TestSlots(ops.Case):
    def test_connections(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"connections": 3})
        inside = [self.admitted(durward.port) for _ in range(3)]
        late = wire.Wire(durward.port)
        self.addCleanup(late.close)
        self.assertTrue(late.closes())
        self.says(durward, r"connection not taken .*limits\.connections = 3 is reached")
        told = ops.status(durward)
        self.assertEqual((told["connections"], told["counts"]["limits.connections"]), (3, 1))
        inside.pop().close()
        ops.wait_status(durward, lambda now: now["connections"] == 2)
        self.is_served(durward.port, router)

    def test_per_peer(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"per_peer": 2}, listen="tcp://*:0")
        inside = [self.admitted(durward.port) for _ in range(2)]
        late = wire.Wire(durward.port)
        self.addCleanup(late.close)
        self.assertTrue(late.closes())
        self.says(durward, r"connection not taken .*peer=127\.0\.0\.1 .*limits\.per_peer = 2 is reached")
        with contextlib.closing(wire.GssClient(durward.port, self.lab.cache("bob"), source="127.0.0.2")) as other:
            other.greet()
            other.authenticate()
            self.assertTrue(durward.wait_journal(verdict="deny"))
        self.assertEqual(ops.status(durward)["counts"]["limits.per_peer"], 1)
        inside.pop().close()
        ops.wait_status(durward, lambda now: now["connections"] == 1)
        self.is_served(durward.port, router)

    def test_per_peer_counts_both_spellings_of_an_address_as_one(self):
        """On a socket of both families IPv4 comes as ::ffff:127.0.0.1."""
        durward = self.serve({"zmtp": [ops.listener(listen="tcp://*:0"), ops.listener(name="four")],
                              "limits": {"per_peer": 1}}, kit.POLICY)
        first = wire.Wire(ops.port_of(durward, "trades"))
        self.addCleanup(first.close)
        ops.wait_status(durward, lambda now: now["connections"] == 1)
        second = wire.Wire(ops.port_of(durward, "four"))
        self.addCleanup(second.close)
        self.assertTrue(second.closes())

    def test_per_user(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, policy=kit.EVERYBODY, limits={"per_user": 1})
        first = self.admitted(durward.port)
        second = self.client(durward.port)
        self.knocks(second)
        self.assertTrue(second.closes())
        line, = durward.wait_journal(verdict="temporary")
        self.assertEqual((line["decision"]["rule"], line["decision"]["user"]), ("limits.per_user", "alice"))
        self.assertIn("limits.per_user = 1 is reached", line["decision"]["reason"])
        self.is_served(durward.port, router, "bob")
        first.close()
        ops.wait_empty(durward)
        self.is_served(durward.port, router)
        self.assertEqual(ops.status(durward)["counts"]["limits.per_user"], 1)

    def test_per_user_is_counted_over_all_workers(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"per_user": 6}, settings={"workers": 4})
        for _ in range(20):  # which worker takes a connection is the kernel's choice
            inside = [self.client(durward.port) for _ in range(6)]
            for client in inside:
                client.login()
            held = ops.wait_status(durward, lambda now: now["connections"] == 6)
            workers = {line["id"].split(".")[1] for line in durward.journal(verdict="allow")[-6:]}
            late = self.client(durward.port)
            self.knocks(late)
            self.assertTrue(late.closes())
            self.assertEqual(held["connections"], 6)
            self.assertIn("limits.per_user = 6 is reached",
                          durward.wait_journal(verdict="temporary")[-1]["decision"]["reason"])
            for client in inside:
                client.close()
            ops.wait_empty(durward)
            if len(workers) > 1:
                break
        self.assertGreater(len(workers), 1, "one worker took every connection, twenty times")
        self.is_served(durward.port, router)

    def test_a_stock_client_over_the_limit_comes_in_later(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"per_user": 1})
        first = self.admitted(durward.port)
        stock = self.peer("alice").client("DEALER").connect(durward.endpoint)
        stock.send("patience")
        self.assertTrue(durward.wait_journal(verdict="temporary"))
        first.close()
        self.assertEqual(bytes(self.recv(router)[-1]), b"patience")


class TestHandshake(ops.Case):
    def late(self, until, pattern, seconds=1, backend="tcp://127.0.0.1:9"):
        durward = self.broker(backend, limits={"handshake_seconds": seconds})
        client = self.client(durward.port)
        watch = ops.Stopwatch()
        until(client)
        self.assertTrue(client.closes())
        self.assertGreater(watch.seconds(), seconds * 0.8)
        self.says(durward, pattern)
        self.assertEqual(ops.wait_empty(durward)["counts"]["limits.handshake_seconds"], 1)

    def test_nothing_at_all(self):
        self.late(lambda client: None, r"handshake out of time .*awaiting=\S*greeting")

    def test_silence_after_the_greeting_is_most_likely_no_ticket(self):
        self.late(lambda client: client.greet(), r"greeted and then stayed silent: most likely it has no ticket")

    def test_a_stock_client_without_a_ticket(self):
        durward = self.broker("tcp://127.0.0.1:9", limits={"handshake_seconds": 1})
        self.peer().client("DEALER").connect(durward.endpoint)
        self.says(durward, r"most likely it has no ticket .*service=zmq@localhost")

    def test_drops_now_and_then(self):
        """Octets that come do not buy time."""

        def drip(client):
            deadline = time.monotonic() + kit.PATIENCE
            with contextlib.suppress(OSError):
                for octet in wire.greeting() + wire.frame(wire.COMMAND, bytes(5000)):
                    client.send(bytes([octet]))
                    time.sleep(0.02)
                    if time.monotonic() > deadline:
                        self.fail("it may drip for ever")

        self.late(drip, r"handshake out of time")

    def test_no_empty_command(self):
        def stop_short(client):
            client.greet()
            client.send(client.initiate(client.first_token()))
            client.read_command()

        self.late(stop_short, r"handshake out of time .*backend_unreachable=tcp://127.0.0.1:9")

    def test_no_ready(self):
        router = self.backend("ROUTER")

        def stop_short(client):
            client.greet()
            client.authenticate()
            client.read_ready()

        self.late(stop_short, r"handshake out of time .*awaiting=ready", backend=router)
        self.silent(router)


class TestSizes(ops.Case):
    def test_a_handshake_is_bounded_before_frame_bytes_counts(self):
        durward = self.broker("tcp://127.0.0.1:9", limits={"frame_bytes": 64 * MIB})
        client = self.client(durward.port)
        client.greet()
        client.send(bytes([wire.COMMAND | wire.LONG]) + (1 * MIB).to_bytes(8, "big") + b"\x08INITIATE")
        self.assertTrue(client.closes())
        self.says(durward, r"handshake failed")
        self.assertEqual(ops.wait_empty(durward)["counts"]["limits.frame_bytes"], 1)

    def edges(self, plaintext):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"frame_bytes": 10000},
                              protection="plaintext" if plaintext else "encrypted")
        client = self.client(durward.port)
        client.encrypted = not plaintext
        client.login()
        client.send_message(b"x" * 10000, b"y" * 10000)
        self.assertEqual([len(bytes(frame)) for frame in self.recv(router)[1:]], [10000, 10000])
        client.send_message(b"z" * 10001)
        self.assertTrue(client.closes())
        self.says(durward, r"client closed for an error .*10001")
        self.silent(router, 0.2)
        self.assertEqual(ops.wait_empty(durward)["counts"]["limits.frame_bytes"], 1)

    def test_frame_bytes_encrypted(self):
        self.edges(False)

    def test_frame_bytes_plaintext(self):
        self.edges(True)

    def test_a_backends_frames_are_bounded_too(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"frame_bytes": 10000})
        client = self.admitted(durward.port)
        client.send_message(b"hello")
        sender = bytes(self.recv(router)[0])
        router.send_multipart([sender, b"x" * 10000])
        self.assertEqual(client.read_message(), [b"x" * 10000])
        router.send_multipart([sender, b"x" * 10001])
        self.assertTrue(client.closes())
        self.says(durward, r"backend closed for an error .*10001")

    def test_a_frame_that_only_claims_to_be_large_takes_no_memory(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"frame_bytes": 64 * MIB, "memory": 1024 * MIB})
        self.is_served(durward.port, router)
        before = durward.memory()
        for _ in range(10):
            client = self.admitted(durward.port)
            client.send(bytes([wire.LONG]) + (60 * MIB).to_bytes(8, "big"))
        self.is_served(durward.port, router)
        self.assertLess(durward.memory() - before, 100 * MIB)


class TestMemory(ops.Case):
    CLIENTS, MESSAGES, SIZE, LIMIT = 8, 4, MIB, 4 * MIB

    def crowd(self, durward):
        """Clients that all send large messages at once; their threads."""
        def work(number):
            with contextlib.closing(wire.GssClient(durward.port, self.lab.cache("alice"), timeout=60)) as client:
                client.login("PUSH")
                for i in range(self.MESSAGES):
                    client.send_message(b"%d %d" % (number, i), bytes([number]) * self.SIZE)
                client.socket.shutdown(socket.SHUT_WR)
                client.closes(60)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(self.CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def test_all_complete_in_the_end(self):
        pull = self.context.socket(zmq.PULL)
        self.addCleanup(pull.close, 0)
        pull.rcvhwm = 1
        pull.setsockopt(zmq.RCVBUF, 65536)
        pull.bind("tcp://127.0.0.1:*")
        durward = self.broker(pull, limits={"memory": self.LIMIT, "frame_bytes": 2 * MIB})
        threads = self.crowd(durward)
        ops.wait_status(durward, lambda now: now["counts"]["limits.memory"] > 0)
        most = max(ops.status(durward)["buffered_bytes"] for _ in range(10))
        # One may go past the limit: by its frame as it came, and once more as it goes on.
        self.assertLessEqual(most, self.LIMIT + 3 * MIB)
        got = set()
        for _ in range(self.CLIENTS * self.MESSAGES):
            head, body = self.recv(pull, 60)
            number, i = (int(word) for word in bytes(head).split())
            self.assertEqual((len(body), bytes(body)[:1]), (self.SIZE, bytes([number])))
            got.add((number, i))
        self.assertEqual(len(got), self.CLIENTS * self.MESSAGES)
        for thread in threads:
            thread.join(kit.PATIENCE)
        self.assertEqual(ops.wait_empty(durward)["buffered_bytes"], 0)

    def test_small_logins_go_on_while_large_frames_wait(self):
        router, pull = self.backend("ROUTER"), self.context.socket(zmq.PULL)
        self.addCleanup(pull.close, 0)
        pull.rcvhwm = 1
        pull.setsockopt(zmq.RCVBUF, 65536)
        pull.bind("tcp://127.0.0.1:*")
        durward = self.serve({"zmtp": [ops.listener(self.endpoint(pull)),
                                       ops.listener(self.endpoint(router), name="small")],
                              "limits": {"memory": 8 * MIB, "frame_bytes": 2 * MIB}}, kit.POLICY)
        durward.port = ops.port_of(durward, "trades")
        threads = self.crowd(durward)
        ops.wait_status(durward, lambda now: now["counts"]["limits.memory"] > 0)
        self.is_served(ops.port_of(durward, "small"), router)
        for _ in range(self.CLIENTS * self.MESSAGES):
            self.recv(pull, 60)
        for thread in threads:
            thread.join(kit.PATIENCE)
        ops.wait_empty(durward)

    def test_one_frame_may_be_as_large_as_all_the_memory(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"memory": 4 * MIB, "frame_bytes": 4 * MIB})
        clients = [self.admitted(durward.port, timeout=60) for _ in range(2)]
        senders = [threading.Thread(target=client.send_message, args=(bytes(4 * MIB),)) for client in clients]
        for sender in senders:
            sender.start()
        for sender in senders:
            self.assertEqual(len(bytes(self.recv(router)[-1])), 4 * MIB)
        for sender in senders:
            sender.join(kit.PATIENCE)

    def test_a_crowd_whose_first_pieces_alone_are_more_than_the_memory(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"memory": 4 * MIB, "frame_bytes": 2 * MIB})
        clients = [self.admitted(durward.port, timeout=60) for _ in range(60)]
        senders = [threading.Thread(target=client.send_message, args=(bytes(MIB),)) for client in clients]
        for sender in senders:
            sender.start()
        for _ in senders:
            self.assertEqual(len(bytes(self.recv(router)[-1])), MIB)
        for sender in senders:
            sender.join(kit.PATIENCE)

    def test_a_client_that_dies_within_a_large_frame_gives_its_room_back(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, limits={"memory": 4 * MIB, "frame_bytes": 2 * MIB})
        for _ in range(6):
            client = self.admitted(durward.port)
            client.send(bytes([wire.LONG]) + (2 * MIB).to_bytes(8, "big") + b"\x07MESSAGE" + bytes(300000))
            client.close()
        self.assertEqual(ops.wait_empty(durward)["buffered_bytes"], 0)
        self.is_served(durward.port, router)


class TestDescriptors(ops.Case):
    def limited(self, count, backend, **more):
        """A broker that is allowed that many descriptors and no more."""
        path = self.lab.dir + "/few-descriptors"
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nulimit -n %d\nexec '%s' \"$@\"\n" % (count, kit.DURWARD))
        os.chmod(path, 0o700)
        with mock.patch.object(kit, "DURWARD", path):
            return self.broker(backend, **more)

    def test_connections_are_clamped_and_that_is_said(self):
        router = self.backend("ROUTER")
        durward = self.limited(148, router)
        self.says(durward, r"limits\.connections is clamped.* asked=50000 connections=10\b")
        inside = [self.admitted(durward.port) for _ in range(10)]
        late = wire.Wire(durward.port)
        self.addCleanup(late.close)
        self.assertTrue(late.closes())
        self.says(durward, r"limits\.connections = 10 is reached")
        for client in inside:
            client.close()
        ops.wait_empty(durward)
        self.is_served(durward.port, router)

    def test_the_soft_limit_is_raised(self):
        """To what the connections need, so that nothing has to be clamped."""
        path = self.lab.dir + "/soft-descriptors"
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nulimit -Sn 64\nexec '%s' \"$@\"\n" % kit.DURWARD)
        os.chmod(path, 0o700)
        router = self.backend("ROUTER")
        with mock.patch.object(kit, "DURWARD", path):
            durward = self.broker(router, limits={"connections": 60})
        self.assertNotIn("clamped", durward.log())
        self.assertGreaterEqual(resource.prlimit(durward.process.pid, resource.RLIMIT_NOFILE)[0], 120)
        inside = [self.admitted(durward.port) for _ in range(50)]
        self.assertEqual(ops.status(durward)["connections"], len(inside))

    def test_exhaustion_does_not_spin(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        inside = self.admitted(durward.port)
        most = resource.prlimit(durward.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(durward.process.pid, resource.RLIMIT_NOFILE, (durward.descriptors() + 3, most[1]))
        crowd = [wire.Wire(durward.port) for _ in range(20)]
        for one in crowd:
            self.addCleanup(one.close)
        self.says(durward, r"cannot accept, trying again shortly")
        began = ops.processor_seconds(durward)
        time.sleep(3)
        self.assertLess(ops.processor_seconds(durward) - began, 1)
        inside.send_message(b"still here")
        self.assertEqual(bytes(self.recv(router)[-1]), b"still here")
        for one in crowd:
            one.close()
        self.is_served(durward.port, router)
        self.assertGreater(ops.status(durward)["counts"]["limits.descriptors"], 0)

    def test_a_login_without_descriptors_is_closed_and_comes_later(self):
        """No fault of the client's: it is not told to stay away."""
        router = self.backend("ROUTER")
        durward = self.broker(router, on_deny="error", settings={"workers": 1})
        self.is_served(durward.port, router)
        ops.wait_empty(durward)
        client = self.client(durward.port)
        client.greet()
        most = resource.prlimit(durward.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(durward.process.pid, resource.RLIMIT_NOFILE, (3, most[1]))
        try:
            client.send(client.initiate(client.first_token()))
            self.assertTrue(client.closes())
        finally:
            resource.prlimit(durward.process.pid, resource.RLIMIT_NOFILE, most)
        self.assertNotIn(b"ERROR", client.rest)
        self.says(durward, r"(?i)too many open files")
        ops.wait_empty(durward)
        self.is_served(durward.port, router)


class TestJournal(ops.Case):
    def test_a_journal_that_cannot_be_written_lets_nobody_in(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, settings={"journal": "/dev/full"})
        for user in ("alice", "bob"):
            client = self.client(durward.port, user)
            self.knocks(client)
            self.assertTrue(client.closes(), user)
        self.says(durward, r"the journal cannot be written, the decision is temporary .*(?i:no space)", times=2)
        counts = ops.wait_empty(durward)["counts"]
        self.assertEqual([counts[key] for key in ("decisions.allow", "decisions.deny", "decisions.temporary",
                                                  "journal_failed", "joined")], [0, 0, 2, 2, 0])
        self.silent(router, 0.2)

    def test_a_stock_client_gets_in_once_the_journal_can_be_written(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, settings={"journal": "/dev/full"})
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("at last")
        self.says(durward, r"the journal cannot be written")
        self.reloads(durward, {"zmtp": [ops.listener(self.endpoint(router))]})
        self.assertEqual(bytes(self.recv(router)[-1]), b"at last")


class TestGivenBack(ops.Case):
    """Slots and descriptors, after every kind of end."""

    POLICY = """
local durward = require("durward")
return {
  connect = function(event)
    if event.listener == "no" then return durward.deny({ reason = "not here" }) end
    if event.listener == "later" then return durward.temporary({ reason = "not now" }) end
  end,
  map = function(event)
    if event.listener == "broken" then error("broken") end
    return event.principal.primary
  end,
  authorize = function(event)
    if event.user == "bob" then return durward.deny({ reason = "bob stays out" }) end
    return durward.allow({ expires = event.listener == "brief" and event.time + 1 or nil })
  end,
}
"""

    def test_every_end(self):
        router, rep = self.backend("ROUTER"), self.backend("REP")
        near = self.endpoint(router)
        listeners = [
            ops.listener(near, retry_hold_seconds=0.3), ops.listener(near, name="error", on_deny="error"),
            ops.listener(near, name="no", retry_hold_seconds=0.3), ops.listener(near, name="later"),
            ops.listener(near, name="broken"), ops.listener(near, name="brief"),
            ops.listener("tcp://127.0.0.1:9", name="absent"), ops.listener(self.endpoint(rep), name="rep"),
        ]
        durward = self.serve({"zmtp": listeners, "workers": 2,
                              "limits": {"handshake_seconds": 2, "frame_bytes": 10000}}, self.POLICY)
        ports = {one["name"]: int(one["address"].rpartition(":")[2]) for one in ops.status(durward)["listeners"]}
        self.is_served(ports["trades"], router)
        ops.wait_empty(durward)
        descriptors = durward.lasting_descriptors()

        def authenticated(name, user="alice"):
            client = self.client(ports[name], user)
            self.knocks(client)
            return client

        waiting = []
        for octets in (b"", b"garbage" * 20, wire.greeting(b"NULL"), wire.greeting()[:30], wire.greeting(),
                       wire.greeting() + wire.command(b"READY"),
                       wire.greeting() + wire.GssClient.initiate(b"no token at all")):
            raw = wire.Wire(ports["trades"])
            self.addCleanup(raw.close)
            raw.send(octets)
            waiting.append(raw)
        waiting += [authenticated("trades", "bob"), authenticated("error", "bob"), authenticated("broken"),
                    authenticated("absent"), authenticated("rep")]
        other_service = self.client(ports["trades"], service="host@localhost")
        other_service.greet()
        other_service.send(other_service.initiate(other_service.first_token()))
        waiting.append(other_service)
        for name in ("no", "later"):
            raw = wire.Wire(ports[name])
            self.addCleanup(raw.close)
            waiting.append(raw)
        too_large = self.admitted(ports["trades"])
        too_large.send_message(bytes(20000))
        waiting.append(too_large)
        waiting.append(self.admitted(ports["brief"]))
        for client in waiting:
            self.assertTrue(client.closes(), "one of them is still connected:\n" + durward.log(last=20))
            client.close()
        for user in ("alice", "bob"):
            authenticated("trades", user).close()
        leaving = self.admitted(ports["trades"])
        leaving.send_message(b"bye")
        leaving.close()
        self.recv(router)
        reset = self.admitted(ports["trades"])
        reset.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        reset.close()
        router.close(0)
        ops.wait_empty(durward)
        self.assertTrue(kit.until(lambda: durward.lasting_descriptors() <= descriptors),
                        "%d descriptors, %d before" % (durward.lasting_descriptors(), descriptors))


if __name__ == "__main__":
    unittest.main()
