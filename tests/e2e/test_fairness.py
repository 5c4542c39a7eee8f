"""One worker, and clients that have all too much to say: everybody has a turn.

By how much latencies differ is for tests/bench/run; here shares are compared, and that there are any.
"""
import contextlib
import os
import re
import subprocess
import threading
import unittest

import kit
import ops
import wire

BENCH = os.environ.get("DURWARD_BENCH", os.path.join(os.path.dirname(kit.DURWARD), "tests", "bench"))


def setUpModule():
    kit.Lab.shared()


class Fairness(ops.Case):
    def echo(self):
        """A stock ROUTER that echoes, in a process of its own: its endpoint."""
        backend = subprocess.Popen([os.path.join(BENCH, "stock_backend")], stdout=subprocess.PIPE, text=True)
        self.addCleanup(backend.stdout.close)
        self.addCleanup(backend.wait)
        self.addCleanup(backend.kill)
        return "tcp://127.0.0.1:" + backend.stdout.readline().split()[1]

    def load(self, durward, **options):
        """The generator at work with large messages."""
        words = [word for key, value in options.items() for word in ("--" + key, str(value))]
        command = [os.path.join(BENCH, "load"), "echo", durward.endpoint, "--service", "zmq@localhost", "--size", "65536",
                   *words]
        process = subprocess.Popen(command, env=dict(self.lab.environment(self.lab.cache("alice")), **kit.SANITIZERS),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_equal_loads_have_equal_shares(self):
        """Four clients with eight messages in flight each, all of which come back whole and in order."""
        durward = self.broker(self.echo(), settings={"workers": 1})
        load = self.load(durward, clients=4, window=8, seconds=2)
        told, wrong = load.communicate(timeout=kit.PATIENCE * 3)
        self.assertEqual(load.returncode, 0, wrong)
        self.assertGreater(float(re.search(r"fairness=([\d.]+)", told)[1]), 0.5, told)

    def test_a_small_one_beside_a_bulky_one(self):
        """What it asks is answered while the other goes on, and a newcomer's login too."""
        durward = self.broker(self.echo(), settings={"workers": 1})
        small = self.admitted(durward.port)
        load = self.load(durward, clients=1, window=200, seconds=600)
        ops.wait_status(durward, lambda now: now["connections"] == 2 and now["buffered_bytes"] > 65536)
        for i in range(100):
            small.send_message(b"%d" % i)
            self.assertEqual(small.read_message(), [b"%d" % i])
        with contextlib.closing(wire.GssClient(durward.port, self.lab.cache("alice"))) as late:
            late.login()
            late.send_message(b"late")
            self.assertEqual(late.read_message(), [b"late"])
        self.assertIsNone(load.poll(), "the load has ended")

    def test_one_that_takes_nothing_beside_one_that_does(self):
        """A client that does not read what it is sent fills up its own way only."""
        durward = self.broker(self.echo(), settings={"workers": 1}, limits={"memory": 64 * 2**20})
        deaf = self.admitted(durward.port)
        sending = threading.Thread(target=self.talk_on, args=(deaf,))
        sending.start()
        self.addCleanup(sending.join)
        self.addCleanup(deaf.close)
        self.addCleanup(deaf.socket.shutdown, 2)
        load = self.load(durward, clients=2, window=8, seconds=1)
        told, wrong = load.communicate(timeout=kit.PATIENCE * 3)
        self.assertEqual(load.returncode, 0, wrong)
        self.assertGreater(int(re.search(r"messages=(\d+)", told)[1]), 0)

    @staticmethod
    def talk_on(client):
        with contextlib.suppress(OSError):
            client.socket.settimeout(kit.PATIENCE)
            while True:
                client.send_message(bytes(65536))


if __name__ == "__main__":
    unittest.main()
