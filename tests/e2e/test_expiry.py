"""Connections end when the ticket or the decision does, and never later than the ticket."""
import contextlib
import time
import unittest

import kit
import ops
import wire

# Two seconds into the future, at most; what the policy says is in seconds since 1970, as event.time is.
EXPIRES = """
local durward = require("durward")
return {
  map = function(event) return event.principal.primary end,
  authorize = function(event) return durward.allow({ expires = %s }) end,
}
"""


def setUpModule():
    kit.Lab.shared()


class TestExpiry(ops.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def lives(self, policy, cache=None, settings=None):
        """Seconds from READY until the connection of a client that talks all the time ends; the durward."""
        durward = self.broker(self.router, policy=policy, settings=settings)
        client = self.client(durward.port, cache=cache)
        client.login()
        watch = ops.Stopwatch()
        client.socket.settimeout(kit.PATIENCE)
        while watch.seconds() < kit.PATIENCE:
            with contextlib.suppress(OSError):
                client.send_message(b"still here")
            if client.closes(within=0.2):
                client.close()
                return watch.seconds(), durward
        self.fail("it lives for ever")

    def expired(self, durward):
        self.says(durward, r"ticket or decision expired .*principal=alice@HOME\.EXAMPLE user=alice")
        self.says(durward, r" info ended .*user=alice reason=expired")
        ops.wait_empty(durward)

    def test_with_the_ticket(self):
        """No clock skew is granted on top once the login is over."""
        cache = self.lab.ticket("alice", "5s")
        seconds, durward = self.lives(kit.POLICY, cache)
        self.expired(durward)
        self.assertLess(seconds, 8)
        event = durward.journal(verdict="allow")[0]["event"]
        self.assertLessEqual(event["gss"]["lifetime"], 5)
        self.assertLess(event["gss"]["expires"], time.time() + 1)

    def test_with_the_decision(self):
        """alice's own ticket lasts for hours."""
        seconds, durward = self.lives(EXPIRES % "event.time + 2")
        self.expired(durward)
        self.assertGreater(seconds, 1)
        self.assertLess(seconds, 10)

    def test_never_later_than_the_ticket(self):
        cache = self.lab.ticket("alice", "5s")
        seconds, durward = self.lives(EXPIRES % "event.time + 86400", cache)
        self.expired(durward)
        self.assertLess(seconds, 8)
        line, = durward.journal(verdict="allow")
        self.assertLessEqual(line["decision"].get("expires", 0), line["event"]["gss"]["expires"])

    def test_the_earlier_of_both(self):
        cache = self.lab.ticket("alice", "20s")
        seconds, durward = self.lives(EXPIRES % "event.time + 2", cache)
        self.expired(durward)
        self.assertLess(seconds, 10)

    def test_a_decision_that_has_expired_already(self):
        """It is over before it begins: no message gets through."""
        durward = self.broker(self.router, policy=EXPIRES % "event.time - 10")
        client = self.client(durward.port)
        self.knocks(client)
        self.assertTrue(client.closes())
        client.close()
        ops.wait_empty(durward)
        self.silent(self.router, 0.3)

    def test_expiry_that_is_no_time(self):
        for text in ("0/0", "-1", "'soon'"):
            with self.subTest(expires=text):
                durward = self.broker(self.router, policy=EXPIRES % text)
                client = self.client(durward.port)
                self.knocks(client)
                self.assertTrue(client.closes())
                client.close()
                ops.wait_empty(durward)
                self.assertEqual(ops.status(durward)["counts"]["joined"], 0)
        self.silent(self.router, 0.2)

    def test_without_expiry_it_lasts(self):
        durward = self.broker(self.router)
        client = self.admitted(durward.port)
        self.assertFalse(client.closes(within=4))
        client.send_message(b"still here")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"still here")

    def test_messages_before_the_end_are_delivered(self):
        durward = self.broker(self.router, policy=EXPIRES % "event.time + 2")
        client = self.admitted(durward.port)
        for i in range(100):
            client.send_message(b"%d" % i)
        self.assertTrue(client.closes())
        client.close()
        self.expired(durward)
        self.assertEqual([bytes(self.recv(self.router)[-1]) for _ in range(100)], [b"%d" % i for i in range(100)])

    def test_a_stock_client_comes_back_with_a_fresh_ticket(self):
        durward = self.broker(self.router, policy=EXPIRES % "event.time + 2")
        alice = self.peer("alice").client("DEALER").connect(durward.endpoint)
        alice.send("first")
        self.recv(self.router)
        self.expired(durward)
        alice.send("second")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"second")
        self.assertGreaterEqual(len(durward.journal(verdict="allow")), 2)

    def late(self, durward):
        """A client whose ticket has ended a second ago or two, which has sent its token."""
        client = self.client(durward.port, cache=self.lab.ticket("alice", "2s"))
        token = client.first_token()
        client.greet()
        time.sleep(3.5)
        client.send(client.initiate(token))
        return client

    def test_an_expired_ticket(self):
        """However much clocks may differ.  A new one cures it: the client is not held, and not told to stay away."""
        durward = self.broker(self.router, on_deny="error")
        client = self.late(durward)
        self.assertTrue(client.closes())
        self.assertNotIn(b"ERROR", client.rest)
        client.close()
        self.says(durward, r"handshake failed .*(?i:expired|skew)")
        ops.wait_empty(durward)
        self.silent(self.router, 0.2)


if __name__ == "__main__":
    unittest.main()
