"""What stock libzmq makes of ZAP replies, case by case: the ground that durward's own replies stand on."""
import json
import os
import threading
import time
import unittest

import zmq
from zmq.utils.monitor import recv_monitor_message

import kit

CASES = os.path.join(kit.ROOT, "tests", "cases", "zap_replies.jsonl")
FAILED = {"failed_auth": "HANDSHAKE_FAILED_AUTH", "failed_protocol": "HANDSHAKE_FAILED_PROTOCOL"}


def frame(value, request):
    if value == "$ID":
        return request
    if isinstance(value, str):
        return value.encode()
    if "repeat" in value:
        return value["repeat"].encode() * value["size"]
    return bytes.fromhex(value["hex"])


class TestReplies(unittest.TestCase):
    def play(self, case):
        """(the server's first word on the handshake, the message or None)"""
        context = zmq.Context()
        handler = context.socket(zmq.ROUTER)
        handler.bind("inproc://zeromq.zap.01")
        thread = threading.Thread(target=self.answer, args=(handler, case["reply"]))
        server, client = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        server.zap_domain = b"global"
        if case["mechanism"] == "PLAIN":
            server.plain_server = True
            client.plain_username, client.plain_password = b"alice", b"x"
        events = server.get_monitor_socket()
        server.bind("tcp://127.0.0.1:*")
        client.connect(server.last_endpoint.decode().rstrip("\0"))
        client.send(b"hello")
        thread.start()
        try:
            word = self.word(events)
            message = None
            if word == "HANDSHAKE_SUCCEEDED" and server.poll(int(kit.PATIENCE * 1000)):
                message = server.recv(copy=False)
                message = {name: message.get(name) for name in case["expect"].get("metadata", {})}
            return word, message
        finally:
            thread.join()
            context.destroy(0)

    @staticmethod
    def answer(handler, reply):
        if handler.poll(int(kit.PATIENCE * 1000)):
            frames = handler.recv_multipart()
            handler.send_multipart(frames[:2] + [frame(value, frames[3]) for value in reply])

    @staticmethod
    def word(events):
        deadline = time.monotonic() + kit.PATIENCE
        while events.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            name = zmq.Event(recv_monitor_message(events)["event"]).name
            if name.startswith("HANDSHAKE"):
                return name
        return None

    def test_cases(self):
        with open(CASES, encoding="utf-8") as file:
            cases = [json.loads(line) for line in file]
        for case in cases:
            with self.subTest(case["id"], name=case["name"]):
                word, message = self.play(case)
                expect = case["expect"]
                first = expect["events"][0].split()[0]
                self.assertEqual(word, FAILED.get(first, "HANDSHAKE_SUCCEEDED"))
                self.assertEqual(message is not None, expect["message"])
                for name, value in expect.get("metadata", {}).items():
                    if not value.endswith(" bytes"):
                        self.assertEqual(message[name], value)


if __name__ == "__main__":
    unittest.main()
