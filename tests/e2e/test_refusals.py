"""Refusals as the refused see them, and peers that are not heard of: how a client is told, for how long it is held,
what is the fault of time alone, and who finds out that the other end is gone."""
import contextlib
import os
import socket
import struct
import subprocess
import time
import unittest

import kit
import ops
import wire


def setUpModule():
    kit.Lab.shared()


class TestHeld(ops.Case):
    def test_not_all_for_the_same_time(self):
        """Who was refused in one moment does not come back in one."""
        durward = self.broker("tcp://127.0.0.1:9", limits={"per_peer": 100}, retry_hold_seconds=2)
        clients = [self.client(durward.port, "bob") for _ in range(12)]
        for client in clients:
            client.greet()
        for client in clients:
            client.authenticate()
            client.refused = time.monotonic()
            client.socket.setblocking(False)
        held = {}

        def ended(client):
            with contextlib.suppress(BlockingIOError):
                self.assertEqual(client.socket.recv(100), b"")
                held[client] = time.monotonic() - client.refused
            return client in held

        self.assertTrue(kit.until(lambda: all([client in held or ended(client) for client in clients]), every=0.005))
        held = held.values()
        self.assertGreater(min(held), 1.2)
        self.assertGreater(max(held) - min(held), 0.1)


class TestError(ops.Case):
    def is_told(self, **more):
        """ERROR, and then an orderly end, though the client has said much that nobody will read."""
        durward = self.broker("tcp://127.0.0.1:9", on_deny="error", **more)
        client = self.client(durward.port, "bob")
        client.encrypted = more.get("protection") != "plaintext"
        client.greet()
        client.authenticate()
        self.assertTrue(durward.wait_journal(verdict="deny"))
        for _ in range(8):
            client.send(wire.frame(0, bytes(4096)))
            time.sleep(0.02)
        name, body = client.read_command()
        self.assertEqual((name, body[1:1 + body[0]]), (b"ERROR", b"access denied"))
        client.socket.settimeout(kit.PATIENCE)
        self.assertEqual(client.socket.recv(1), b"", "an end, and no reset")
        client.close()
        ops.wait_empty(durward)

    def test_is_not_lost_to_a_reset(self):
        self.is_told()

    def test_is_not_lost_where_nothing_is_encrypted(self):
        self.is_told(protection="plaintext")

    def test_one_that_never_goes_away_is_not_waited_for(self):
        durward = self.broker("tcp://127.0.0.1:9", on_deny="error")
        client = self.client(durward.port, "bob")
        client.greet()
        client.authenticate()
        self.assertEqual(client.read_command()[0], b"ERROR")
        ops.wait_empty(durward)

    def test_temporary_is_a_plain_close_all_the_same(self):
        for hook in ("map", "authorize", "connect"):
            with self.subTest(hook=hook):
                durward = self.broker("tcp://127.0.0.1:9", on_deny="error", policy="""
                    local durward = require("durward")
                    return { map = function() return "alice" end,
                             %s = function() return durward.temporary({ reason = "later" }) end }""" % hook)
                client = self.client(durward.port)
                self.knocks(client)
                self.assertTrue(client.closes())
                self.assertNotIn(b"ERROR", client.rest)
                self.assertTrue(durward.wait_journal(verdict="temporary"))


class TestClocks(ops.Case):
    def hasty(self, seconds):
        """alice's cache on a host whose clock is that far ahead, as libkrb5 notes it in the cache's header."""
        path = self.lab.ticket("alice", "10h")
        environment = self.lab.environment(path)
        subprocess.run(["kvno", "-q", "zmq/localhost"], env=environment, check=True, timeout=kit.PATIENCE)
        with open(path, "rb") as file:
            octets = file.read()
        version, size = struct.unpack(">HH", octets[:4])
        self.assertEqual(version, 0x504)
        offset = struct.pack(">HHii", 1, 8, seconds, 0)
        with open(path, "wb") as file:
            file.write(struct.pack(">HH", version, len(offset)) + offset + octets[4 + size:])
        return path

    def test_a_clock_that_is_wrong_is_cured_by_time(self):
        """Temporary: the client is neither held nor told to stay away, and the log and the probe say what it is."""
        router = self.backend("ROUTER")
        durward = self.broker(router, on_deny="error", retry_hold_seconds=600)
        cache = self.hasty(3600)
        client = self.client(durward.port, cache=cache)
        self.knocks(client)
        self.assertTrue(client.closes())
        self.assertNotIn(b"ERROR", client.rest)
        self.says(durward, r"(?i)handshake failed .*clock")
        done = kit.run_durward("probe", "zmtp", durward.endpoint, "--service", "zmq@localhost",
                               env=self.lab.environment(cache))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r"likely .*the clocks differ")
        self.assertEqual(durward.journal(verdict="allow"), [])
        self.is_served(durward.port, router)

    def test_a_small_difference_is_none(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        client = self.client(durward.port, cache=self.hasty(60))
        client.login()
        client.send_message(b"on time, nearly")
        self.assertEqual(bytes(self.recv(router)[-1]), b"on time, nearly")


class TestKeepalive(ops.Case):
    """Who sends no heartbeats is asked by the kernel whether it is still there.  A network that goes dead is beyond
    a test on one machine; that the question will be asked is not."""

    def is_watched(self, near, far):
        """The socket between these two ports, `near` None for any."""
        def timer():
            for table in ("tcp", "tcp6"):
                with open("/proc/net/" + table, encoding="ascii") as file:
                    for fields in (line.split() for line in file.readlines()[1:]):
                        ends = [int(field.rpartition(":")[2], 16) for field in fields[1:3]]
                        kind, when = fields[5].split(":")
                        if ends[1] == far and near in (None, ends[0]) and kind == "02":
                            return int(when, 16) / ops.TICKS
            return None

        left = kit.until(timer)  # what has yet to be acknowledged has the timer first
        self.assertTrue(left, "no keepalive timer")
        self.assertLessEqual(left, 60)

    def test_the_kernel_watches_clients(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        client = self.admitted(durward.port)
        client.send_message(b"x")
        self.recv(router)
        self.is_watched(durward.port, client.socket.getsockname()[1])

    def test_the_kernel_watches_backends_elsewhere(self):
        """By an address of this machine that is not the loopback's."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as some:
            try:
                some.connect(("192.0.2.1", 9))
            except OSError:
                self.skipTest("this machine has no address beside the loopback's")
            address = some.getsockname()[0]
        router = self.backend("ROUTER", "tcp://%s:*" % address)
        durward = self.broker(router)
        client = self.admitted(durward.port)
        client.send_message(b"x")
        self.recv(router)
        self.is_watched(None, int(self.endpoint(router).rpartition(":")[2]))


class TestIndicators(ops.Case):
    """How a client proved itself to its KDC (RFC 6680's auth-indicators) is the policy's to judge."""

    POLICY = """
        local durward = require("durward")
        local map, match, rule = durward.map, durward.match, durward.rule
        return {
          map = map.strip_realm("HOME.EXAMPLE"),
          authorize = rule.first { rule.allow("proved well", match.indicator("spake")) },
        }"""

    @staticmethod
    def command_line(pid):
        """Of one that has ended: nothing."""
        with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read()
        return b""

    def kdc(self, lab):
        """The lab's own KDC in another's place: one that says how users proved themselves."""
        with open(lab.dir + "/kdc.conf", encoding="utf-8") as file:
            text = file.read().replace("max_life = 24h", "max_life = 24h\n    spake_preauth_indicator = spake")
        with open(lab.dir + "/indicators.conf", "w", encoding="utf-8") as file:
            file.write(text)
        with open(lab.dir + "/krb5.conf", encoding="utf-8") as file:
            text = file.read().replace("[libdefaults]\n", "[libdefaults]\n    spake_preauth_groups = edwards25519\n")
        with open(lab.dir + "/indicators-krb5.conf", "w", encoding="utf-8") as file:
            file.write(text)
        environment = dict(lab.environment("none"), KRB5_KDC_PROFILE=lab.dir + "/indicators.conf",
                           KRB5_CONFIG=lab.dir + "/indicators-krb5.conf",
                           PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
        subprocess.run(["kadmin.local", "-r", kit.HOME, "modprinc", "+requires_preauth", "alice"], env=environment,
                       check=True, capture_output=True, timeout=kit.PATIENCE)
        with open("%s/%s.pid" % (lab.dir, kit.HOME), encoding="ascii") as file:
            pid = int(file.read())
        os.kill(pid, 15)
        self.assertTrue(kit.until(lambda: not self.command_line(pid)), "the KDC goes on")
        kdc = subprocess.Popen(["krb5kdc", "-n", "-r", kit.HOME], env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        self.addCleanup(kdc.wait)
        self.addCleanup(kdc.kill)
        return environment

    def ticket(self, lab, environment, user):
        path = "%s/%s-proved.cc" % (lab.dir, user)
        words = ["kinit", "-k", "-t", lab.dir + "/users.keytab", "-c", path, user]
        self.assertTrue(kit.until(lambda: subprocess.run(words, env=environment, capture_output=True,
                                                         check=False).returncode == 0), "no ticket")
        return path

    def test_a_policy_asks_how(self):
        lab = kit.Lab(kit.HOME)
        self.addCleanup(lab.down)
        environment = self.kdc(lab)
        router = self.backend("ROUTER")
        durward = self.broker(router, self.POLICY, retry_hold_seconds=0.1,
                              settings={"keytab": lab.keytab})
        verdicts = {}
        for user in ("alice", "bob"):
            peer = kit.Peer.__new__(kit.Peer)
            peer.process = subprocess.Popen([kit.sys.executable, kit.HERE + "/peer.py"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE,
                                            env=dict(environment, KRB5CCNAME=self.ticket(lab, environment, user)))
            peer.input = b""
            self.addCleanup(peer.end)
            peer.client("DEALER").connect(durward.endpoint).send("x")
            line = kit.until(lambda: [one for one in durward.journal() if one["event"]["principal"].startswith(user)])[0]
            verdicts[user] = line["decision"]["verdict"], line["event"]["gss"].get("indicators")
        self.assertEqual(verdicts, {"alice": ("allow", ["spake"]), "bob": ("deny", None)})
        self.assertEqual(bytes(self.recv(router)[-1]), b"x")


if __name__ == "__main__":
    unittest.main()
