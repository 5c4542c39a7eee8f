"""A soak: thousands of connections that behave and misbehave at random, against several workers.

The generator is tests/bench/load: honest clients have to be served to the last octet, the others have to be
shed in time, every descriptor has to come back.  Under ThreadSanitizer or AddressSanitizer, durward's own end
is judged as well.  DURWARD_SOAK names how many connections, DURWARD_SOAK_SEED which ones.
"""
import os
import subprocess
import unittest

import kit

BENCH = os.environ.get("DURWARD_BENCH", os.path.join(os.path.dirname(kit.DURWARD), "tests", "bench"))
COUNT = os.environ.get("DURWARD_SOAK", "1500")
SEED = os.environ.get("DURWARD_SOAK_SEED", "1")

POLICY = """
local durward = require("durward")
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = function(event)
    if event.user == "alice" then return durward.allow{} end
    return durward.deny{ reason = "only alice" }
  end,
}
"""


class TestSoak(kit.Case):
    def echo(self):
        """A stock ROUTER that echoes, in a process of its own: its endpoint."""
        backend = subprocess.Popen([os.path.join(BENCH, "stock_backend")], stdout=subprocess.PIPE, text=True)
        self.addCleanup(backend.stdout.close)
        self.addCleanup(backend.wait)
        self.addCleanup(backend.kill)
        return "tcp://127.0.0.1:" + backend.stdout.readline().split()[1]

    def soak(self, protection):
        port = kit.free_port()
        durward = self.serve({
            "workers": 3,
            "limits": {"handshake_seconds": 5, "per_peer": 2000, "frame_bytes": 2**20},
            "zmtp": [{"name": "soak", "listen": "tcp://127.0.0.1:%d" % port, "service": "zmq@localhost",
                      "backend": self.echo(), "retry_hold_seconds": 0.5, "protection": protection}],
        }, POLICY)
        command = [os.path.join(BENCH, "load"), "soak", "tcp://127.0.0.1:%d" % port, "--service", "zmq@localhost",
                   "--count", COUNT, "--clients", "64", "--seed", SEED, "--deadline", str(kit.PATIENCE),
                   "--pid", "durward=%d" % durward.process.pid,
                   "--refused-ccache", "FILE:" + self.lab.cache("bob")]
        if protection == "plaintext":
            command.append("--plaintext")
        done = subprocess.run(command, env=dict(self.lab.environment(self.lab.cache("alice")), **kit.SANITIZERS),
                              capture_output=True, text=True, timeout=280, check=False)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout + durward.log()[-4000:])
        self.assertGreater(len(durward.journal(verdict="allow")), 0)
        self.assertGreater(len(durward.journal(verdict="deny")), 0)

    def test_encrypted(self):
        self.soak("encrypted")

    def test_plaintext(self):
        self.soak("plaintext")


if __name__ == "__main__":
    unittest.main()
