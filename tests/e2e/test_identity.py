"""What a client says of itself, and what durward lets the backend hear: properties and identities."""
import time
import unittest

import kit
import wire


class TestProperties(kit.Case):
    """Forged by a client that speaks the octets itself; released libzmq cannot set them."""

    def through(self, properties, backend="DEALER", client_type="DEALER", **listener):
        """What the backend reads in READY of a client that sent these properties."""
        plain = wire.PlainBackend(backend)
        self.addCleanup(plain.close)
        durward = self.gateway(plain.endpoint, **listener)
        client = wire.GssClient(durward.port, self.lab.cache("alice"))
        self.addCleanup(client.close)
        client.greet()
        client.authenticate()
        link = plain.accept(ready=False)
        self.addCleanup(link.close)
        link.send(wire.greeting(b"NULL") + wire.command(b"READY", wire.metadata({"Socket-Type": backend})))
        self.server_properties = client.read_ready()
        client.send_ready([("Socket-Type", client_type)] + properties)
        link.read_greeting()
        name, body = link.read_command()
        self.assertEqual(name, b"READY")
        return wire.parse_metadata(body)

    def test_forged_properties_are_dropped_in_any_case(self):
        for spell in (str, str.lower, str.upper):
            with self.subTest(spell=spell.__name__):
                names = ("User-Id", "X-Peer-Address", "X-Team", "Peer-Address", "X-Else", "Resource")
                got = self.through([(spell(name), "root") for name in names])
                self.assertEqual(got["User-Id"], b"alice")
                self.assertTrue(got["X-Peer-Address"].startswith(b"127.0.0.1"))
                self.assertEqual(got["X-Team"], b"ops")
                self.assertEqual(got["Socket-Type"], b"DEALER")
                self.assertNotIn(b"root", got.values())

    def test_forward_names_what_passes_in_any_case(self):
        got = self.through([("x-app", "terminal"), ("X-Other", "no"), ("User-Id", "root")], forward=["X-App"])
        self.assertIn(b"terminal", got.values())
        self.assertNotIn(b"no", got.values())
        self.assertEqual(got["User-Id"], b"alice")

    def test_forward_cannot_forge(self):
        """A decision's property stands, even when the configuration forwards the name."""
        got = self.through([("X-Team", "root")], forward=["X-Team"])
        self.assertEqual([value for name, value in got.items() if name.lower() == "x-team"], [b"ops"])

    def test_the_backends_true_socket_type_is_told(self):
        self.through([("Identity", "")], backend="PULL", client_type="PUSH")
        self.assertEqual(self.server_properties["Socket-Type"], b"PULL")


class TestModes(kit.Case):
    def identity(self, mode, **options):
        router = self.backend("ROUTER")
        durward = self.gateway(router, **({"identity": mode} if mode else {}))
        client = self.peer("alice").client("DEALER", **options).connect(durward.endpoint)
        client.send("x")
        return bytes(self.recv(router)[0])

    def test_keep(self):
        self.assertEqual(self.identity("keep", IDENTITY="desk-7"), b"desk-7")

    def test_keep_is_the_default(self):
        self.assertEqual(self.identity(None, IDENTITY="desk-7"), b"desk-7")

    def test_user(self):
        self.assertEqual(self.identity("user", IDENTITY="desk-7"), b"alice")

    def test_drop(self):
        self.assertEqual(self.identity("drop", IDENTITY="desk-7")[:1], b"\0")

    def test_none_claimed(self):
        self.assertEqual(self.identity("keep")[:1], b"\0")

    def test_a_decision_may_hold_a_client_to_one_identity(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router, kit.POLICY.replace("properties =", 'identity = "seat-1", properties ='),
                               retry_hold_seconds=0.2)
        self.peer("alice").client("DEALER", IDENTITY="desk-7").connect(durward.endpoint).send("x")
        line = durward.wait_journal(verdict="deny")[0]
        self.assertIn("identity", line["decision"]["reason"])
        self.silent(router, 0.2)
        self.peer("alice").client("DEALER", IDENTITY="seat-1").connect(durward.endpoint).send("y")
        self.assertEqual([bytes(frame) for frame in self.recv(router)], [b"seat-1", b"y"])


class TestOneEach(kit.Case):
    """One live connection per identity and backend."""

    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")
        self.durward = self.gateway(self.router, kit.EVERYBODY, retry_hold_seconds=0.3)

    def desk(self, user, identity="desk-7"):
        return self.peer(user).client("DEALER", IDENTITY=identity).connect(self.durward.endpoint)

    def hear(self):
        frames = self.recv(self.router)
        return bytes(frames[0]), frames[-1].get("User-Id"), bytes(frames[-1])

    def heard_of(self, client):
        """Says "y" until it is heard.  A claim comes after our READY, when libzmq sends at once: what it sent to
        a connection that is refused for its identity is gone with that connection."""
        deadline = time.monotonic() + kit.PATIENCE
        while time.monotonic() < deadline:
            client.send("y")
            if self.router.poll(300):
                return self.hear()
        self.fail("it was never heard" + self.told())

    def test_another_users_claim_is_refused_and_journalled(self):
        alice = self.desk("alice")
        alice.send("first")
        self.assertEqual(self.hear(), (b"desk-7", "alice", b"first"))
        bob = self.desk("bob")
        bob.send("mine now")
        line = self.durward.wait_journal(verdict="deny")[0]
        self.assertIn("identity", line["decision"]["reason"])
        self.assertEqual(line["decision"].get("user", line["event"].get("user")), "bob")
        self.router.send_multipart([b"desk-7", b"for alice"])
        self.assertEqual(alice.recv(), ["for alice"])
        alice.send("still here")
        self.assertEqual(self.hear(), (b"desk-7", "alice", b"still here"))
        self.silent(self.router, 0.2)

    def test_the_same_users_new_login_takes_over(self):
        old = self.desk("alice")
        old.send("old")
        self.assertEqual(self.hear(), (b"desk-7", "alice", b"old"))
        new = self.desk("alice")
        new.send("new")
        self.assertEqual(self.hear(), (b"desk-7", "alice", b"new"))
        self.assertTrue(old.wait_event("DISCONNECTED"))
        old.close()
        time.sleep(0.5)
        for word in ("a", "b", "c"):
            new.send(word)
            self.assertEqual(self.hear(), (b"desk-7", "alice", word.encode()))

    def test_a_frozen_client_is_replaced_and_may_come_back(self):
        frozen = self.desk("alice")
        frozen.send("old")
        self.hear()
        frozen.peer.freeze()
        new = self.desk("alice")
        new.send("new")
        self.assertEqual(self.hear(), (b"desk-7", "alice", b"new"))
        new.peer.end()
        frozen.peer.thaw()
        self.assertTrue(frozen.wait_event("DISCONNECTED"))
        self.assertEqual(self.heard_of(frozen), (b"desk-7", "alice", b"y"))

    def test_a_login_storm_of_one_identity_ends_with_one(self):
        sockets = [self.desk("alice") for _ in range(4)]
        for socket in sockets:
            socket.send("x")
        self.hear()
        for socket in sockets[:-1]:
            socket.close()
        last = sockets[-1]
        deadline = time.monotonic() + kit.PATIENCE
        while time.monotonic() < deadline:
            last.send("the last")
            if self.router.poll(500) and self.hear()[2] == b"the last":
                break
        else:
            self.fail("the last one was not heard")

    def test_different_identities_side_by_side(self):
        alice, bob = self.desk("alice", "desk-1"), self.desk("bob", "desk-2")
        alice.send("a")
        bob.send("b")
        self.assertEqual({self.hear(), self.hear()}, {(b"desk-1", "alice", b"a"), (b"desk-2", "bob", b"b")})

    def test_an_identity_is_free_once_its_owner_has_gone(self):
        alice = self.desk("alice")
        alice.send("x")
        self.hear()
        alice.close()
        bob = self.desk("bob")
        self.assertEqual(self.heard_of(bob), (b"desk-7", "bob", b"y"))

    def test_an_identity_that_no_backend_may_have(self):
        """RFC 23 keeps a leading zero octet for the router's own; 255 octets is the most."""
        client = wire.GssClient(self.durward.port, self.lab.cache("alice"))
        self.addCleanup(client.close)
        client.greet()
        client.authenticate()
        client.read_ready()
        client.send_ready([("Socket-Type", "DEALER"), ("Identity", b"x" * 256)])
        self.assertTrue(client.closes())
        self.silent(self.router, 0.2)


if __name__ == "__main__":
    unittest.main()
