"""Bad input: a clear log line, the peer closed, nobody else disturbed, nothing lost."""
import itertools
import os
import random
import struct
import time
import unittest

import gssapi

import kit
import wire

GREETING = wire.greeting()


class BadInput(kit.Case):
    limits = {"handshake_seconds": 2}
    listener = {}
    # Who logs in has one of its own: a ROUTER forgets one only when its application next calls into it.
    identities = ("naughty %d" % number for number in itertools.count(1))

    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")
        self.durward = self.gateway(self.router, limits=self.limits, retry_hold_seconds=0.2, **self.listener)
        self.plaintext = self.listener.get("protection") == "plaintext"
        self.bystander = self.peer("alice").client("DEALER", plaintext=self.plaintext, IDENTITY="bystander")
        self.bystander.connect(self.durward.endpoint)
        self.undisturbed()

    def undisturbed(self):
        """The bystander's connection is the same one and works both ways."""
        self.bystander.send("ping")
        frames = self.recv(self.router)
        self.assertEqual([bytes(frames[0]), bytes(frames[-1])], [b"bystander", b"ping"])
        self.router.send_multipart([b"bystander", b"pong"])
        self.assertEqual(self.bystander.recv(), ["pong"])
        self.assertEqual([event for event in self.bystander.events() if event[0] == "DISCONNECTED"], [])

    def refused(self, client, pattern=None, lines=None):
        """durward closes the client, says why in its log, and goes on."""
        self.assertTrue(client.closes(), "not closed:\n" + self.durward.log(last=15))
        client.close()
        if pattern:
            found = self.durward.wait_log(pattern, seconds=10)
            self.assertTrue(found, "%s not in\n%s" % (pattern, self.durward.log(last=15)))
        self.undisturbed()

    def greeted(self, user="alice", **more):
        client = wire.GssClient(self.durward.port, self.lab.cache(user), **more)
        self.addCleanup(client.close)
        client.encrypted = not self.plaintext
        client.greet()
        return client

    def raw(self, octets):
        client = wire.Wire(self.durward.port)
        self.addCleanup(client.close)
        client.send(octets)
        return client


class TestGreeting(BadInput):
    def test_garbage(self):
        self.refused(self.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(64)), r"(?i)greeting|signature")

    def test_random(self):
        shake = random.Random(7)
        for _ in range(20):
            client = self.raw(bytes(shake.randrange(256) for _ in range(200)))
            self.assertTrue(client.closes())
        self.undisturbed()

    def test_nothing_at_all(self):
        self.refused(self.raw(b""))

    def test_a_client_that_closes_at_once(self):
        for _ in range(20):
            self.raw(b"").close()
        self.undisturbed()

    def test_truncated(self):
        for length in (1, 9, 10, 11, 12, 31, 32, 63):
            client = self.raw(GREETING[:length])
            client.socket.shutdown(1)
            self.assertTrue(client.closes(), length)
        self.undisturbed()

    def test_never_finished(self):
        self.refused(self.raw(GREETING[:40]), r"(?i)greeting|handshake|time")

    def test_one_octet_at_a_time_is_fine(self):
        client = wire.GssClient(self.durward.port, self.lab.cache("alice"))
        self.addCleanup(client.close)
        client.encrypted = not self.plaintext
        for octet in GREETING:
            client.send(bytes([octet]))
        client.read_greeting()
        client.authenticate()
        client.read_ready()

    def test_old_protocols(self):
        self.refused(self.raw(wire.greeting(major=2)), r"(?i)version|ZMTP")
        self.refused(self.raw(wire.greeting(major=1)))
        self.refused(self.raw(b"\x01\x00" + bytes(62)))

    def test_other_mechanisms(self):
        for mechanism in (b"NULL", b"PLAIN", b"CURVE", b"gssapi", b"GSSAPI2", b"", b"\xff" * 20):
            with self.subTest(mechanism=mechanism):
                self.refused(self.raw(wire.greeting(mechanism)), r"(?i)mechanism")

    def test_stock_clients_of_other_mechanisms(self):
        plain = self.peer().socket("DEALER").connect(self.durward.endpoint)
        plain.send("x")
        self.assertTrue(plain.wait_event("DISCONNECTED"))
        self.silent(self.router, 0.2)
        self.undisturbed()

    def test_the_paddings_last_octet_is_ignored(self):
        client = wire.GssClient(self.durward.port, self.lab.cache("alice"))
        self.addCleanup(client.close)
        client.encrypted = not self.plaintext
        client.greet(signature=b"\xff" + bytes(7) + b"\x01\x7f")
        client.authenticate()
        self.assertEqual(client.read_ready()["Socket-Type"], b"ROUTER")


class TestHandshake(BadInput):
    def test_no_initiate(self):
        for name in (b"READY", b"ERROR", b"HELLO", b"MESSAGE", b"PING", b"initiate", b"INITIATF", b""):
            with self.subTest(name=name):
                client = self.greeted()
                client.send(wire.command(name, bytes(10)))
                self.refused(client, r"(?i)INITIATE|command")

    def test_a_message_instead(self):
        client = self.greeted()
        client.send(wire.frame(0, b"hello"))
        self.refused(client)

    def test_an_empty_command(self):
        client = self.greeted()
        client.send(wire.frame(wire.COMMAND, b""))
        self.refused(client)

    def test_tokens(self):
        shake = random.Random(11)
        tokens = (b"", b"x", bytes(1000), bytes(shake.randrange(256) for _ in range(1500)),
                  bytes.fromhex("60820100") + b"\x06\x09" + bytes.fromhex("2a864886f712010202") + b"\x01\x00" + bytes(200))
        for token in tokens:
            with self.subTest(token=token[:20]):
                client = self.greeted()
                client.send(client.initiate(token))
                self.refused(client)

    def test_every_truncation_of_a_token(self):
        whole = self.greeted().first_token()
        for length in range(1, len(whole), max(1, len(whole) // 12)):
            client = self.greeted()
            client.send(client.initiate(whole[:length]))
            self.assertTrue(client.closes(), length)
        self.undisturbed()

    def test_flipped_bits_in_a_token(self):
        shake = random.Random(13)
        whole = self.greeted().first_token()
        for _ in range(15):
            at = shake.randrange(len(whole))
            client = self.greeted()
            client.send(client.initiate(whole[:at] + bytes([whole[at] ^ 1 << shake.randrange(8)]) + whole[at + 1:]))
            client.socket.shutdown(1)
            self.assertTrue(client.closes(), at)
        self.undisturbed()

    def test_a_token_length_that_lies(self):
        for claimed in (0, 5, 1 << 16, (1 << 32) - 1):
            client = self.greeted()
            token = client.first_token()
            client.send(wire.command(b"INITIATE", struct.pack(">I", claimed) + token))
            self.refused(client)

    def test_a_huge_frame_is_refused_before_it_is_read(self):
        for size in (70000, 1 << 31, (1 << 63) - 1, (1 << 64) - 1):
            with self.subTest(size=size):
                client = self.greeted()
                client.send(bytes([wire.COMMAND | wire.LONG]) + struct.pack(">Q", size) + b"\x08INITIATE")
                self.refused(client, r"(?i)large|limit|65536|64 KiB|octets")

    def test_a_truncated_frame(self):
        client = self.greeted()
        token = client.initiate(client.first_token())
        client.send(token[:len(token) // 2])
        client.socket.shutdown(1)
        self.refused(client)

    def test_reserved_flags(self):
        for flags in (0x08, 0x80, 0xff, 0x05):
            with self.subTest(flags=flags):
                client = self.greeted()
                client.send(bytes([flags, 4]) + b"\x03abc")
                self.refused(client)

    def test_a_replayed_token(self):
        client = self.greeted()
        token = client.first_token()
        client.send(client.initiate(token))
        name, _ = client.read_command()
        self.assertEqual(name, b"INITIATE")
        thief = self.greeted()
        thief.send(thief.initiate(token))
        self.refused(thief, r"(?i)replay")

    def test_a_second_initiate_where_the_empty_command_is_due(self):
        client = self.greeted()
        token = client.first_token()
        client.send(client.initiate(token) + client.initiate(token))
        self.refused(client)

    def test_a_client_that_never_goes_on(self):
        client = self.greeted()
        client.send(client.initiate(client.first_token()))
        self.refused(client, r"(?i)handshake|time|seconds")

    def test_ready_before_its_time(self):
        client = self.greeted()
        client.send(wire.command(b"READY", wire.metadata({"Socket-Type": "DEALER"})))
        self.refused(client)

    def test_an_expired_ticket(self):
        """It is refused, though clocks may differ by five minutes."""
        early = wire.GssClient(self.durward.port, self.lab.ticket("alice", "2s"))
        token = early.first_token()
        early.close()
        time.sleep(3)
        late = wire.Wire(self.durward.port)
        self.addCleanup(late.close)
        late.send(GREETING + wire.GssClient.initiate(token))
        self.refused(late)

    def test_error_from_the_client(self):
        client = self.greeted()
        client.send(wire.command(b"ERROR", b"\x04oops"))
        self.refused(client)


class TestMetadata(BadInput):
    def test_malformed(self):
        good = wire.metadata({"Socket-Type": "DEALER"})
        cases = {
            "cut": good[:-1],
            "name of no length": good + b"\x00" + struct.pack(">I", 1) + b"x",
            "value too long": good + wire.named(b"X-A") + struct.pack(">I", 1 << 31),
            "value beyond the end": good + wire.named(b"X-A") + struct.pack(">I", 10) + b"123",
            "name beyond the end": good + b"\xffX",
            "twice": good + good,
            "no socket type": wire.metadata({"Identity": "x"}),
            "an unknown socket type": wire.metadata({"Socket-Type": "TELEPHONE"}),
            "an empty socket type": wire.metadata({"Socket-Type": ""}),
            "no properties": b"",
            "an odd name": good + wire.metadata({b"a b\n": b"x"}),
        }
        for what, octets in cases.items():
            with self.subTest(what):
                client = self.greeted()
                client.authenticate()
                client.read_ready()
                ready = wire.named(b"READY", octets)
                client.send(client.wrap(b"\x02" + ready, outer=wire.COMMAND) if client.encrypted
                            else wire.frame(wire.COMMAND, ready))
                self.refused(client)

    def test_an_incompatible_socket_type(self):
        client = self.greeted()
        client.authenticate()
        client.read_ready()
        client.send_ready({"Socket-Type": "SUB"})
        self.refused(client, r"SUB")

    def test_many_properties(self):
        client = self.greeted()
        client.authenticate()
        client.read_ready()
        client.send_ready([("Socket-Type", "DEALER")] + [("X-%d" % n, "v" * 100) for n in range(2000)])
        self.refused(client, r"(?i)limit|large|octets")

    def test_a_message_instead_of_ready(self):
        client = self.greeted()
        client.authenticate()
        client.read_ready()
        client.send_message(b"hello")
        self.refused(client, r"READY|command")


class TestPlaintextMetadata(TestMetadata):
    listener = {"protection": "plaintext"}


class TestTraffic(BadInput):
    limits = {"handshake_seconds": 5, "frame_bytes": 100000}

    def logged_in(self, **more):
        client = self.greeted(**more)
        client.authenticate()
        client.read_ready()
        client.send_ready({"Socket-Type": "DEALER", "Identity": next(self.identities)})
        client.send_message(b"hello")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"hello")
        return client

    def test_a_message_without_confidentiality(self):
        client = self.logged_in()
        client.send(client.wrap(b"\x00in the clear", confidential=False))
        self.refused(client, r"(?i)confidential|encrypt")

    def test_ready_without_confidentiality(self):
        client = self.greeted()
        client.authenticate()
        client.read_ready()
        ready = wire.named(b"READY", wire.metadata({"Socket-Type": "DEALER"}))
        client.send(client.wrap(b"\x02" + ready, confidential=False, outer=wire.COMMAND))
        self.refused(client, r"(?i)confidential|encrypt")

    def test_an_empty_wrapped_plaintext(self):
        client = self.logged_in()
        client.send(client.wrap(b""))
        self.refused(client)

    def test_reserved_inner_flags(self):
        for flags in (0x10, 0x80, 0xf0):
            with self.subTest(flags=flags):
                client = self.logged_in()
                client.send(client.wrap(bytes([flags]) + b"x"))
                self.refused(client)

    def test_a_bare_frame_among_wrapped_ones(self):
        client = self.logged_in()
        client.send(wire.frame(0, b"\x00bare"))
        self.refused(client)

    def test_a_wrapped_message_that_was_touched(self):
        client = self.logged_in()
        octets = bytearray(client.wrap(b"\x00hello there"))
        octets[-3] ^= 1
        client.send(bytes(octets))
        self.refused(client)

    def test_a_wrapped_message_twice(self):
        client = self.logged_in()
        octets = client.wrap(b"\x00once")
        client.send(octets)
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"once")
        client.send(octets)
        self.assertTrue(client.closes())
        self.silent(self.router, 0.3)
        self.undisturbed()

    def test_wrapped_messages_out_of_order(self):
        flag = gssapi.RequirementFlag
        client = self.logged_in(flags=flag.mutual_authentication | flag.replay_detection | flag.out_of_sequence_detection)
        first, second = client.wrap(b"\x00first"), client.wrap(b"\x00second")
        client.send(second + first)
        self.assertTrue(client.closes())
        while self.router.poll(300):
            self.assertNotEqual(bytes(self.recv(self.router)[-1]), b"first")
        self.undisturbed()

    def test_lengths_that_lie(self):
        wrapped = self.logged_in().context.wrap(b"\x00x", True).message
        for body in (b"\x07MESSAGE", b"\x07MESSAGE\x00\x00", b"\x07MESSAGE" + struct.pack(">I", 5) + wrapped,
                     b"\x07MESSAGE" + struct.pack(">I", (1 << 32) - 1) + wrapped, b"\x08MESSAGE", b"\x00", b""):
            with self.subTest(body=body[:16]):
                client = self.logged_in()
                client.send(wire.frame(0, body))
                self.refused(client)

    def test_random_traffic(self):
        shake = random.Random(17)
        for _ in range(10):
            client = self.logged_in()
            client.send(bytes(shake.randrange(256) for _ in range(300)))
            client.socket.shutdown(1)
            self.assertTrue(client.closes())
        while self.router.poll(200):
            self.recv(self.router)
        self.undisturbed()

    def test_a_frame_beyond_the_limit(self):
        client = self.logged_in()
        client.send(b"\x02" + struct.pack(">Q", 1 << 40) + b"\x07MESSAGE")
        self.refused(client, r"(?i)limit|large|frame_bytes")
        client = self.logged_in()
        client.send(client.wrap(b"\x00" + bytes(150000)))
        self.refused(client)

    def test_unknown_commands_after_ready(self):
        client = self.logged_in()
        client.send(client.wrap(b"\x02" + wire.named(b"READY", wire.metadata({"Socket-Type": "DEALER"}))))
        self.refused(client)

    def test_slots_and_descriptors_come_back(self):
        self.logged_in().close()
        while self.router.poll(300):
            self.recv(self.router)
        before = self.durward.lasting_descriptors()
        for _ in range(15):
            self.logged_in().close()
            client = self.greeted()
            client.send(os.urandom(100))
            self.assertTrue(client.closes())
        self.assertTrue(kit.until(lambda: self.durward.lasting_descriptors() <= before),
                        self.durward.lasting_descriptors())
        self.undisturbed()


class TestPlaintextTraffic(BadInput):
    listener = {"protection": "plaintext"}
    limits = {"handshake_seconds": 5, "frame_bytes": 100000}

    def logged_in(self):
        client = self.greeted()
        client.authenticate()
        client.read_ready()
        client.send_ready({"Socket-Type": "DEALER", "Identity": next(self.identities)})
        client.send_message(b"hello")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"hello")
        return client

    def test_reserved_flags(self):
        for flags in (0x08, 0x10, 0x80, 0x05):
            with self.subTest(flags=flags):
                client = self.logged_in()
                client.send(bytes([flags, 1]) + b"x")
                self.refused(client)

    def test_a_frame_beyond_the_limit(self):
        client = self.logged_in()
        client.send(b"\x02" + struct.pack(">Q", 1 << 40) + b"x")
        self.refused(client, r"(?i)limit|large|frame_bytes")


class TestLimits(kit.Case):
    def test_connections_per_peer(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router, limits={"per_peer": 3, "handshake_seconds": 20})
        held = []
        for _ in range(3):
            held.append(wire.Wire(durward.port))
            self.addCleanup(held[-1].close)
            held[-1].send(GREETING)
            held[-1].read_greeting()
        with wire.Wire(durward.port) as over:
            self.assertTrue(over.closes())
        self.assertTrue(durward.wait_log(r"per_peer"), durward.log(last=15))
        held.pop().close()

        def again():
            with wire.Wire(durward.port, timeout=2) as client:
                client.send(GREETING)
                try:
                    return client.read_greeting()
                except (wire.Ended, OSError):
                    return None
        self.assertTrue(kit.until(again, every=0.2))

    def test_anonymous_contexts_and_missing_mutual_authentication(self):
        """A client that does not ask for mutual authentication is still a client with a name."""
        router = self.backend("ROUTER")
        durward = self.gateway(router)
        client = wire.GssClient(durward.port, self.lab.cache("alice"), flags=gssapi.RequirementFlag.replay_detection)
        self.addCleanup(client.close)
        client.greet()
        client.send(client.initiate(client.first_token()))
        client.closes(within=2)
        self.assertIsNone(durward.process.poll())


if __name__ == "__main__":
    unittest.main()
