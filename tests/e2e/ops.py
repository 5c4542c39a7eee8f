"""For tests of durward as an operated daemon: what `status` says, raw logins one after the other, its use of
the processor."""
import contextlib
import json
import os
import socket
import time

import kit
import wire

TICKS = os.sysconf("SC_CLK_TCK")


def status(durward):
    """What `durward status` prints, parsed."""
    done = kit.run_durward("status", "-c", durward.path("durward.lua"))
    if done.returncode:
        raise AssertionError("status: exit %d\n%s%s" % (done.returncode, done.stderr, durward.log(last=15)))
    return json.loads(done.stdout)


def wait_status(durward, what, seconds=None):
    """The first status of which `what` is true, or a failure that shows the last."""
    last = []

    def look():
        last[:] = [status(durward)]
        return what(last[0])

    if not kit.until(look, seconds, every=0.1):
        raise AssertionError("status stays\n%s\n%s" % (json.dumps(last[0], indent=1), durward.log(last=15)))
    return last[0]


def wait_empty(durward, seconds=None):
    """Every slot has come back."""
    return wait_status(durward, lambda told: told["connections"] == 0 and not any(told["backends"].values()),
                       seconds)


def processor_seconds(durward):
    with open("/proc/%d/stat" % durward.process.pid, encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def port_of(durward, listener=None):
    """The port that a listener on port 0 was given, as `status` has it."""
    for one in status(durward)["listeners"]:
        if listener in (None, one["name"]):
            return int(one["address"].rpartition(":")[2])
    raise AssertionError("no listener %s" % listener)


def greets(family, address):
    """A connection is taken and answered with a greeting."""
    with socket.socket(family) as raw:
        raw.settimeout(kit.PATIENCE)
        raw.connect(address)
        raw.sendall(wire.greeting())
        return raw.recv(1)[:1] == b"\xff"


def rewrite(durward, config):
    """Another configuration in the place of the one that runs; reload() makes it take effect."""
    full = dict({"keytab": kit.Lab.shared().keytab, "journal": "journal.jsonl", "state_dir": "state",
                 "policy": "policy.lua"}, **config)
    durward.write("durward.lua", "return " + kit.lua(full) + "\n")


def listener(backend="tcp://127.0.0.1:9", name="trades", listen="tcp://127.0.0.1:0", **more):
    return dict({"name": name, "listen": listen, "service": "zmq@localhost", "backend": backend}, **more)


class Case(kit.Case):
    """durward on a port of its own choice, and clients that are raw sockets."""

    def broker(self, backend, policy=kit.POLICY, limits=None, settings=None, **more):
        """Like gateway(), on port 0."""
        if not isinstance(backend, str):
            backend = self.endpoint(backend)
        config = {"zmtp": [listener(backend, **more)], "workers": 2}
        config.update({"limits": limits} if limits else {}, **(settings or {}))
        durward = self.serve(config, policy)
        durward.port = port_of(durward)
        durward.endpoint = "tcp://127.0.0.1:%d" % durward.port
        return durward

    def client(self, port, user="alice", cache=None, **more):
        """A GssClient that has done nothing yet."""
        client = wire.GssClient(port, cache or self.lab.cache(user), **more)
        self.addCleanup(client.close)
        return client

    @staticmethod
    def knocks(client):
        """Goes as far as it is let: a temporary refusal may close before our last token has come back."""
        with contextlib.suppress(wire.Ended, OSError):
            client.greet()
            client.authenticate()

    def admitted(self, port, user="alice", **more):
        client = self.client(port, user, **more)
        client.login()
        return client

    def is_served(self, port, backend, user="alice", text=b"still here?"):
        """A fresh client's message comes to the backend."""
        with contextlib.closing(wire.GssClient(port, self.lab.cache(user))) as client:
            client.login()
            client.send_message(text)
            frames = self.recv(backend)
            self.assertEqual(bytes(frames[-1]), text)
            return frames

    def says(self, durward, pattern, times=1):
        line = durward.wait_log(pattern, times=times)
        self.assertTrue(line, "nothing in the log matches %s:\n%s" % (pattern, durward.log(last=30)))
        return line

    def reloads(self, durward, config=None, times=1):
        if config:
            rewrite(durward, config)
        durward.reload()
        return self.says(durward, r" info reloaded ", times)


class Stopwatch:
    def __init__(self):
        self.began = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.began
