"""ZAP through a forwarder, mechanism by mechanism: while durward is dead nobody is admitted; whoever waits is when it is
back; a policy that waits holds nobody else."""
import os
import sys
import tempfile
import unittest

import zmq

import kit
import test_zap

sys.path.append(test_zap.EXAMPLES)
import forwarder

ALICE = {"plain_username": b"alice", "plain_password": b"s3cret"}


class Forwarded(test_zap.Zap):
    def setUp(self):
        super().setUp()
        self.way = "ipc://" + os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "zap")

    def come(self, server, mechanism, text):
        """alice, with what the mechanism asks for."""
        if mechanism == "gssapi":
            push = self.peer("alice").client("PUSH")
            push.connect(server.endpoint)
            push.call("try_send", parts=[text])
            return
        public, secret = self.keys["alice"]
        ways = {"plain": ALICE, "null": {},
                "curve": {"curve_publickey": public, "curve_secretkey": secret, "curve_serverkey": server.key.encode()}}
        self.client(server, text, **ways[mechanism])

    def dead_then_alive(self, mechanism):
        server = self.server(self.way, mechanism, "open")
        self.come(server, mechanism, "waiting")
        self.assertIsNone(server.line(1), "nobody is there who would let it in")
        self.handler(listen=self.way)
        self.assert_in(server, "waiting")

    def test_null(self):
        self.dead_then_alive("null")

    def test_plain(self):
        self.dead_then_alive("plain")

    def test_curve(self):
        self.dead_then_alive("curve")

    def test_gssapi(self):
        self.dead_then_alive("gssapi")

    def test_a_policy_that_waits(self):
        policy = self.policy.replace("authorize = function(event)", """authorize = function(event)
          if event.user == "bob" then durward.await.sleep(2) return durward.allow() end""")
        durward = self.handler(policy)
        server = self.server(durward.way, "plain", "trades")
        self.client(server, "slow", plain_username=b"bob", plain_password=b"hunter2")
        self.client(server, "quick", **ALICE)
        self.assert_in(server, "quick")
        self.assert_in(server, "slow", "bob")
        self.assertGreater(durward.journal(user="bob")[0]["took_us"], 1900000)

    def test_too_late(self):
        policy = self.policy.replace("authorize = function(event)", """authorize = function(event)
          if event.user == "bob" then durward.await.sleep(3600) return durward.allow() end""")
        for mechanism in ("plain", "gssapi"):
            durward = self.handler(policy, limits={"decision_seconds": 0.5})
            server = self.server(durward.way, mechanism, "trades")
            if mechanism == "plain":
                self.client(server, "never", plain_username=b"bob", plain_password=b"hunter2")
            else:
                push = self.peer("bob").client("PUSH")
                push.connect(server.endpoint)
                push.call("try_send", parts=["never"])
            self.assertTrue(durward.wait_journal(verdict="temporary"))
            self.assert_out(server)
            self.come(server, mechanism, "hello")
            self.assert_in(server, "hello")

    def test_ten_thousand_at_once(self):
        """In the program's context, as libzmq's servers ask: none of the replies is dropped on the way."""
        durward = self.handler()
        context = zmq.Context()
        self.addCleanup(context.term)       # which ends the forwarder
        forwarder.forward(context, durward.way)
        asker = context.socket(zmq.DEALER)
        asker.linger, asker.sndhwm, asker.rcvhwm = 0, 0, 0
        self.addCleanup(asker.close, 0)
        asker.connect("inproc://zeromq.zap.01")
        count, seen = 10000, {}
        for number in range(count):
            domain = b"open" if number % 2 else b"shut"
            asker.send_multipart([b"", b"1.0", b"%d" % number, domain, b"192.0.2.7", b"", b"NULL"])
        for _ in range(count):
            frames = [bytes(frame) for frame in self.recv(asker)]
            seen[int(frames[2])] = frames[3]
        self.assertEqual(seen, {number: b"200" if number % 2 else b"400" for number in range(count)})
        self.assertEqual(len(durward.journal()), count)


if __name__ == "__main__":
    unittest.main()
