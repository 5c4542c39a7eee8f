"""RFC 38 as it is written, which no library speaks: HELLO and padded names, with a ticket from a real KDC."""
import unittest

import kit
import ops
import wire


def setUpModule():
    kit.Lab.shared()


class Draft(ops.Case):
    def draft(self, durward, user="alice", **more):
        client = wire.DraftClient(durward.port, self.lab.cache(user), **more)
        self.addCleanup(client.close)
        return client

    def is_joined(self, durward, client):
        theirs = client.login(identity=b"draft")
        self.assertEqual(theirs["Socket-Type"], b"ROUTER")
        client.send_message(b"one", b"two")
        frames = self.recv(self.router)
        self.assertEqual([bytes(f) for f in frames], [b"draft", b"one", b"two"])
        self.assertEqual(frames[-1].get("User-Id"), "alice")
        self.router.send_multipart([b"draft", b"back"])
        self.assertEqual(client.read_message(), [b"back"])
        line, = durward.wait_journal(verdict="allow")
        self.assertEqual(line["event"]["principal"], "alice@" + kit.HOME)

    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def test_a_sized_token(self):
        durward = self.broker(self.router)
        self.is_joined(durward, self.draft(durward))

    def test_a_bare_token(self):
        durward = self.broker(self.router)
        self.is_joined(durward, self.draft(durward, bare=True))

    def test_authenticated_only(self):
        durward = self.broker(self.router, protection="plaintext")
        client = self.draft(durward)
        client.encrypted = False
        self.is_joined(durward, client)

    def test_refused_with_its_own_form_of_error(self):
        durward = self.broker(self.router, on_deny="error")
        client = self.draft(durward, "bob")
        client.greet()
        client.authenticate()
        name, body = client.read_padded()
        self.assertEqual(name, b"ERROR   ")
        self.assertEqual(body[1:1 + body[0]], b"access denied")
        self.assertTrue(client.closes())
        self.assertEqual(len(durward.wait_journal(verdict="deny")), 1)
        self.silent(self.router)

    def test_beside_a_stock_client(self):
        durward = self.broker(self.router)
        self.is_joined(durward, self.draft(durward))
        stock = self.peer("alice").client("DEALER").connect(durward.endpoint)
        stock.send("hello")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"hello")


if __name__ == "__main__":
    unittest.main()
