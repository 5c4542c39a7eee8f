"""SIGHUP: what changes, what stays, and what is said of what cannot be."""
import os
import socket
import stat
import threading
import unittest

import kit
import ops
import wire

NOBODY = "return { map = function() return nil, 'nobody today' end }\n"


def setUpModule():
    kit.Lab.shared()


class TestReload(ops.Case):
    def test_decisions_change_and_connections_live_on(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, retry_hold_seconds=0)
        before = self.admitted(durward.port)
        before.send_message(b"before")
        sender = bytes(self.recv(router)[0])
        durward.write("policy.lua", NOBODY)
        self.reloads(durward)
        refused = self.client(durward.port)
        refused.greet()
        refused.authenticate()
        self.assertTrue(refused.closes())
        self.assertTrue(durward.wait_journal(verdict="deny", user=None))
        before.send_message(b"after")
        self.assertEqual(bytes(self.recv(router)[-1]), b"after")
        router.send_multipart([sender, b"and back"])
        self.assertEqual(before.read_message(), [b"and back"])
        hashes = [line["policy"]["sha256"] for line in durward.journal()]
        self.assertEqual(len(set(hashes)), 2)
        self.assertEqual(ops.status(durward)["policy"]["sha256"], hashes[-1])
        self.assertEqual(ops.status(durward)["counts"]["reloads.done"], 1)

    def test_listeners_come_stay_and_go(self):
        router, other = self.backend("ROUTER"), self.backend("ROUTER")
        durward = self.broker(router)
        kept = self.admitted(durward.port)
        stays = ops.listener(self.endpoint(router))
        more = ops.listener(self.endpoint(other), name="more")
        self.reloads(durward, {"zmtp": [stays, more], "workers": 2})
        self.assertEqual(ops.port_of(durward, "trades"), durward.port)
        added = ops.port_of(durward, "more")
        on_added = self.admitted(added)
        self.is_served(added, other)
        self.is_served(durward.port, router)
        self.reloads(durward, {"zmtp": [stays], "workers": 2}, times=2)
        gone = kit.until(lambda: not self.is_open(added))
        self.assertTrue(gone, "the removed listener still takes connections")
        self.assertEqual([one["name"] for one in ops.status(durward)["listeners"]], ["trades"])
        on_added.send_message(b"through a door that is gone")
        self.assertEqual(bytes(self.recv(other)[-1]), b"through a door that is gone")
        kept.send_message(b"kept")
        self.assertEqual(bytes(self.recv(router)[-1]), b"kept")

    @staticmethod
    def is_open(port):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionError:
            return False
        return True

    def test_a_kept_listener_never_refuses(self):
        durward = self.broker("tcp://127.0.0.1:9", limits={"per_peer": 100000})
        stop, failures, count = threading.Event(), [], [0]

        def knock():
            while not stop.is_set():
                try:
                    if not ops.greets(socket.AF_INET, ("127.0.0.1", durward.port)):
                        failures.append("closed without a greeting")
                except OSError as problem:
                    failures.append(str(problem))
                count[0] += 1

        knocker = threading.Thread(target=knock)
        knocker.start()
        try:
            for i in range(8):
                extra = [ops.listener(name="extra%d" % i)] if i % 2 else []
                self.reloads(durward, {"zmtp": [ops.listener()] + extra, "workers": 2}, times=i + 1)
        finally:
            stop.set()
            knocker.join(kit.PATIENCE)
        self.assertEqual(failures, [])
        self.assertGreater(count[0], 8)

    def test_a_kept_listener_takes_on_its_new_settings(self):
        router, other = self.backend("ROUTER"), self.backend("ROUTER")
        durward = self.broker(router)
        self.is_served(durward.port, router)
        self.reloads(durward, {"zmtp": [ops.listener(self.endpoint(other))], "workers": 2})
        self.is_served(durward.port, other)

    def test_a_kept_listener_takes_on_its_new_name_and_mode(self):
        router, path = self.backend("ROUTER"), self.lab.dir + "/renamed.sock"
        listener = ops.listener(self.endpoint(router), listen="ipc://" + path)
        durward = self.serve({"zmtp": [listener], "workers": 2}, kit.POLICY)
        before = os.stat(path).st_ino
        self.reloads(durward, {"zmtp": [dict(listener, name="others", mode="0660")], "workers": 2})
        now = os.stat(path)
        self.assertEqual((now.st_ino, stat.S_IMODE(now.st_mode)), (before, 0o660))
        self.assertEqual([one["name"] for one in ops.status(durward)["listeners"]], ["others"])
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(path)
            self.assertEqual(link.recv(1), b"\xff")
        self.reloads(durward, {"zmtp": [], "workers": 2}, times=2)
        self.assertTrue(kit.until(lambda: not os.path.exists(path)))

    def test_limits_are_those_of_the_new_configuration(self):
        durward = self.broker("tcp://127.0.0.1:9")
        self.reloads(durward, {"zmtp": [ops.listener()], "workers": 2, "limits": {"handshake_seconds": 0.3}})
        silent = wire.Wire(durward.port)
        self.addCleanup(silent.close)
        silent.send(wire.greeting())
        self.assertTrue(silent.closes(within=8))

    def refused_reload(self, durward, pattern):
        durward.reload()
        self.says(durward, r"not reloaded, the old configuration and policy go on")
        self.assertRegex(durward.log(), pattern)
        self.assertNotRegex(durward.log(), r" info reloaded ")
        self.assertEqual(ops.status(durward)["counts"]["reloads.refused"], 1)

    def test_a_broken_configuration(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        with open(durward.path("durward.lua"), encoding="utf-8") as file:
            sound = file.read()
        durward.write("durward.lua", "return {\n  zmtp = {},\n  wokers = 2,\n}\n")
        durward.reload()
        self.says(durward, r"not reloaded, the old configuration and policy go on")
        self.assertRegex(durward.log(), r"durward\.lua:3: .*wokers.*workers")
        self.is_served(durward.port, router)
        durward.write("durward.lua", sound)
        self.reloads(durward)
        self.assertEqual(ops.status(durward)["counts"]["reloads.refused"], 1)
        self.is_served(durward.port, router)

    def test_a_broken_policy(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        durward.write("policy.lua", "return {\n\n  authorise = function() end }\n")
        self.refused_reload(durward, r"policy\.lua.*authorise.*authorize")
        self.is_served(durward.port, router)

    def test_a_new_listener_that_cannot_be_bound(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "tcp://127.0.0.1:%d" % taken.getsockname()[1]
            ops.rewrite(durward, {"zmtp": [ops.listener(name="fine"), ops.listener(name="bad", listen=address)]})
            self.refused_reload(durward, "'bad' cannot listen on " + address)
        ops.rewrite(durward, {"zmtp": [ops.listener(self.endpoint(router))]})
        self.assertEqual([one["name"] for one in ops.status(durward)["listeners"]], ["trades"])
        self.is_served(durward.port, router)

    def test_a_new_listener_without_a_key(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        sound = [ops.listener(self.endpoint(router))]
        ops.rewrite(durward, {"zmtp": sound + [ops.listener(name="bad", service="zmq@elsewhere.example")]})
        self.refused_reload(durward, r"listener 'bad'.*elsewhere\.example")
        self.is_served(durward.port, router)

    def test_the_journal_moved_away(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        self.is_served(durward.port, router)
        os.rename(durward.path("journal.jsonl"), durward.path("journal.1"))
        self.reloads(durward)
        self.assertEqual(stat.S_IMODE(os.stat(durward.path("journal.jsonl")).st_mode), 0o600)
        self.is_served(durward.port, router)
        self.assertEqual(len(durward.journal(verdict="allow")), 1)
        with open(durward.path("journal.1"), encoding="utf-8") as file:
            self.assertEqual(len(file.readlines()), 1)

    def test_the_journal_moved_away_while_the_policy_is_broken(self):
        """Rotation goes on, whatever else is wrong."""
        router = self.backend("ROUTER")
        durward = self.broker(router)
        self.is_served(durward.port, router)
        os.rename(durward.path("journal.jsonl"), durward.path("journal.1"))
        durward.write("durward.lua", "return {\n")
        durward.reload()
        self.says(durward, r"not reloaded")
        self.is_served(durward.port, router)
        self.assertEqual(len(durward.journal(verdict="allow")), 1)

    def test_many_reloads_at_once_under_load(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        for i in range(10):
            durward.reload()
            self.is_served(durward.port, router, text=b"%d" % i)
        self.says(durward, r" info reloaded ")
        ops.wait_empty(durward)


if __name__ == "__main__":
    unittest.main()
