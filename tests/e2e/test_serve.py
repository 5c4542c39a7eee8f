"""durward serve as an operator runs it: its beginning, its listeners, its end, `durward status`."""
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import kit
import ops
import wire


def setUpModule():
    kit.Lab.shared()


class Serve(ops.Case):
    def folder(self):
        made = tempfile.TemporaryDirectory(prefix="durward-e2e-serve-")
        self.addCleanup(made.cleanup)
        return made.name

    def fails(self, config, policy=kit.POLICY, files=None, **more):
        """serve ends with 1; what it said."""
        durward = kit.Durward(config, policy, files=files, wait=False, **more)
        self.addCleanup(durward.kill)
        self.assertEqual(durward.process.wait(kit.PATIENCE), 1, durward.log())
        durward.reader.join(5)
        self.assertIsNone(kit.REPORTS.search(durward.log()), durward.log())
        self.assertNotIn("durward: ready", durward.log())
        return durward.log()


class TestBeginning(Serve):
    def told(self, address):
        teller = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(teller.close)
        teller.bind(address)
        teller.settimeout(kit.PATIENCE)
        return teller

    def test_the_service_manager_is_told_when_every_listener_is_bound(self):
        path = self.folder() + "/notify"
        manager = self.told(path)
        durward = self.serve({"zmtp": [ops.listener()]}, kit.POLICY, env={"NOTIFY_SOCKET": path})
        self.assertEqual(manager.recv(100), b"READY=1")
        self.assertTrue(ops.greets(socket.AF_INET, ("127.0.0.1", ops.port_of(durward))))

    def test_an_abstract_notify_socket(self):
        name = "durward-e2e-notify-%d" % os.getpid()
        manager = self.told("\0" + name)
        self.serve({"zmtp": [ops.listener()]}, kit.POLICY, env={"NOTIFY_SOCKET": "@" + name})
        self.assertEqual(manager.recv(100), b"READY=1")

    def test_nobody_is_told_of_a_start_that_fails(self):
        path = self.folder() + "/notify"
        manager = self.told(path)
        self.fails({"zmtp": [ops.listener()]}, "return 5\n", env={"NOTIFY_SOCKET": path})
        manager.setblocking(False)
        with self.assertRaises(BlockingIOError):
            manager.recv(100)


class TestMistakes(Serve):
    """The port is taken by the test: had durward opened it, it would say so instead."""

    def setUp(self):
        super().setUp()
        self.taken = socket.socket()
        self.addCleanup(self.taken.close)
        self.taken.bind(("127.0.0.1", 0))
        self.taken.listen()
        self.address = "tcp://127.0.0.1:%d" % self.taken.getsockname()[1]

    def says_instead_of_the_port(self, pattern, config=None, policy=kit.POLICY, **more):
        log = self.fails(config or {"zmtp": [ops.listener(listen=self.address)]}, policy, **more)
        self.assertRegex(log, pattern)
        self.assertNotIn("cannot listen", log)
        self.assertNotIn("listening", log)

    def test_the_port_would_be_missed(self):
        log = self.fails({"zmtp": [ops.listener(listen=self.address)]})
        self.assertRegex(log, "durward: listener 'trades' cannot listen on " + self.address)

    def test_configuration(self):
        lines = ("return {\n  policy = 'policy.lua', state_dir = 'state', keytab = '%s',\n  zmtp = {\n"
                 "    { name = 'trades', service = 'zmq@localhost',\n      lisen = '%s',\n"
                 "      backend = 'tcp://127.0.0.1:9' },\n  },\n}\n" % (self.lab.keytab, self.address))
        durward = kit.Durward({}, kit.POLICY, wait=False, files={"policy.lua": kit.POLICY})
        durward.process.kill()
        durward.process.wait()
        self.addCleanup(durward.kill)
        durward.write("durward.lua", lines)
        done = kit.run_durward("serve", "-c", durward.path("durward.lua"), timeout=kit.PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"durward\.lua:5: .*lisen.*listen")
        self.assertNotIn("cannot listen", done.stderr)

    def test_a_configuration_that_is_not_there(self):
        done = kit.run_durward("serve", "-c", "/nowhere/durward.lua")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere/durward.lua", done.stderr)

    def test_usage(self):
        for arguments in ((), ("-c",), ("durward.lua",), ("-c", "a", "b")):
            self.assertEqual(kit.run_durward("serve", *arguments).returncode, 2, arguments)

    def test_policy_syntax(self):
        self.says_instead_of_the_port(r"policy\.lua:2: ", policy="return {\n  map = = 1\n}\n")

    def test_policy_of_another_type(self):
        self.says_instead_of_the_port(r"policy\.lua.*table", policy="return 5\n")

    def test_policy_that_fails_to_load(self):
        self.says_instead_of_the_port(r"policy\.lua:1: too bad", policy="error('too bad')\n")

    def test_policy_that_is_not_there(self):
        self.says_instead_of_the_port(r"second\.lua", {"zmtp": [ops.listener(listen=self.address)],
                                                       "policy": ["policy.lua", "second.lua"]},
                                      files={"policy.lua": kit.POLICY})

    def test_keytab_that_is_not_there(self):
        self.says_instead_of_the_port(r"listener 'trades'.*/nowhere\.keytab.*(?i:no such file)",
                                      {"zmtp": [ops.listener(listen=self.address, keytab="/nowhere.keytab")]})

    def test_keytab_that_is_garbage(self):
        self.says_instead_of_the_port(r"listener 'trades'.*bad\.keytab",
                                      {"zmtp": [ops.listener(listen=self.address, keytab="bad.keytab")]},
                                      files={"bad.keytab": "this is no keytab\n"})

    def test_keytab_without_the_service(self):
        self.says_instead_of_the_port(r"listener 'trades'.*elsewhere\.example",
                                      {"zmtp": [ops.listener(listen=self.address, service="zmq@elsewhere.example")]})

    def test_journal_that_cannot_be_opened(self):
        self.says_instead_of_the_port(r"/nowhere/journal", {"zmtp": [ops.listener(listen=self.address)],
                                                            "journal": "/nowhere/journal"})

    def test_state_dir_that_cannot_be_made(self):
        self.says_instead_of_the_port(r"/nowhere/state", {"zmtp": [ops.listener(listen=self.address)],
                                                          "state_dir": "/nowhere/state"})


class TestListeners(Serve):
    def test_port_0_is_told_in_log_and_status(self):
        durward = self.serve({"zmtp": [ops.listener(), ops.listener(name="second")]}, kit.POLICY)
        ports = {ops.port_of(durward, "trades"), ops.port_of(durward, "second")}
        self.assertEqual(len(ports), 2)
        for name in ("trades", "second"):
            port = ops.port_of(durward, name)
            self.assertRegex(durward.log(), r"listening listener=%s address=tcp://127\.0\.0\.1:%d\b" % (name, port))
            self.assertTrue(ops.greets(socket.AF_INET, ("127.0.0.1", port)))

    def test_every_address_is_both_families(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, listen="tcp://*:0")
        self.is_served(durward.port, router)
        if not socket.has_ipv6:
            return
        with contextlib.closing(wire.GssClient(durward.port, self.lab.cache("alice"), host="::1")) as six:
            six.login()
            six.send_message(b"six")
            self.recv(router)
        addresses = [line["event"]["peer"]["address"] for line in durward.journal(verdict="allow")]
        self.assertEqual(addresses, ["127.0.0.1", "::1"])

    def test_an_ipv6_address(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, listen="tcp://[::1]:0")
        with contextlib.closing(wire.GssClient(durward.port, self.lab.cache("alice"), host="::1")) as six:
            six.login()
            six.send_message(b"six")
            self.recv(router)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", durward.port), 5).close()

    def ipc(self, path, **more):
        router = self.backend("ROUTER")
        durward = self.serve({"zmtp": [ops.listener(self.endpoint(router), listen="ipc://" + path, **more)]},
                             kit.POLICY)
        alice = self.peer("alice").client("DEALER").connect("ipc://" + path)
        alice.send("by ipc")
        self.assertEqual(bytes(self.recv(router)[-1]), b"by ipc")
        return durward

    def test_an_ipc_socket_is_the_owners_alone(self):
        path = self.folder() + "/door"
        durward = self.ipc(path)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        peer = durward.journal(verdict="allow")[0]["event"]["peer"]
        self.assertEqual((peer["uid"], peer["gid"]), (os.getuid(), os.getgid()))
        self.assertTrue(os.path.exists("/proc/%d" % peer["pid"]))

    def test_mode_and_group(self):
        path = self.folder() + "/door"
        group = next((g for g in os.getgroups() if g != os.getegid()), 1 if os.geteuid() == 0 else os.getegid())
        self.ipc(path, mode="0660", group=group)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        self.assertEqual(os.stat(path).st_gid, group)

    def test_an_abstract_name(self):
        self.ipc("@durward-e2e-%d" % os.getpid())

    def test_the_socket_goes_with_the_broker(self):
        path = self.folder() + "/door"
        durward = self.serve({"zmtp": [ops.listener(listen="ipc://" + path)]}, kit.POLICY)
        self.assertTrue(os.path.exists(path))
        durward.process.send_signal(signal.SIGTERM)
        self.assertEqual(durward.process.wait(kit.PATIENCE), 0)
        self.assertFalse(os.path.exists(path))
        durward.stop = durward.kill

    def test_a_stale_socket_is_removed(self):
        path = self.folder() + "/door"
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.listen()
        left.close()
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
        self.ipc(path)

    def test_a_live_socket_is_an_error_and_stays(self):
        path = self.folder() + "/door"
        live = socket.socket(socket.AF_UNIX)
        self.addCleanup(live.close)
        live.bind(path)
        live.listen()
        self.assertRegex(self.fails({"zmtp": [ops.listener(listen="ipc://" + path)]}), "'trades'.*" + path)
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(path)

    def test_what_is_no_socket_is_an_error_and_stays(self):
        path = self.folder() + "/door"
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        self.assertRegex(self.fails({"zmtp": [ops.listener(listen="ipc://" + path)]}), "'trades'.*" + path)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_a_listener_that_fails_leaves_no_other_behind(self):
        folder = self.folder()
        self.fails({"zmtp": [ops.listener(listen="ipc://%s/good" % folder),
                             ops.listener(name="bad", listen="ipc://%s/no/such" % folder)]})
        self.assertEqual(os.listdir(folder), [])


class TestEnd(Serve):
    def ends(self, durward, within):
        """It ends by itself, with exit code 0."""
        code = durward.process.wait(within)
        durward.reader.join(10)
        self.assertIsNone(kit.REPORTS.search(durward.log()), durward.report())
        self.assertEqual(code, 0, durward.report())
        durward.stop = durward.kill

    def test_an_idle_broker_ends_at_once(self):
        durward = self.broker("tcp://127.0.0.1:9")
        durward.process.send_signal(signal.SIGTERM)
        self.ends(durward, 10)
        self.assertFalse(os.path.exists(durward.path("state/control.sock")))

    def test_interrupt_is_the_same(self):
        durward = self.broker("tcp://127.0.0.1:9")
        durward.process.send_signal(signal.SIGINT)
        self.ends(durward, 10)

    def test_messages_in_flight_are_delivered(self):
        backend = wire.PlainBackend("PULL")
        self.addCleanup(backend.close)
        durward = self.broker(backend.endpoint)
        client = self.client(durward.port)
        client.greet()
        client.authenticate()
        far = self.joined(client, backend, "PUSH")
        body, count = b"x" * 50000, 60
        sender = threading.Thread(target=lambda: [client.send_message(b"%d" % i, body) for i in range(count)])
        sender.start()
        flags, first = far.read_frame()
        durward.process.send_signal(signal.SIGTERM)
        self.says(durward, "draining")
        got = [first]
        self.assertEqual(far.read_frame()[1], body)
        sender.join(0.5)
        for _ in range(count - 1):
            got.append(far.read_frame()[1])
            self.assertEqual(far.read_frame()[1], body)
        sender.join(kit.PATIENCE)
        self.assertEqual(got, [b"%d" % i for i in range(count)])
        self.assertTrue(client.closes())
        client.close()
        self.assertTrue(far.closes())
        far.close()
        self.ends(durward, 20)

    def joined(self, client, backend, socket_type):
        """The far end of a client that has authenticated."""
        far = []
        accepting = threading.Thread(target=lambda: far.append(backend.accept()))
        accepting.start()
        client.read_ready()
        client.send_ready([("Socket-Type", socket_type), ("Identity", b"")])
        accepting.join(kit.PATIENCE)
        self.addCleanup(far[0].close)
        return far[0]

    def test_stock_peers_lose_nothing_that_was_taken(self):
        """What a stock client's messages that came through before the end are, is a prefix of what it sent."""
        pull = self.backend("PULL")
        durward = self.broker(pull)
        alice = self.peer("alice").client("PUSH").connect(durward.endpoint)
        alice.send_numbered(200)
        self.recv(pull)
        durward.process.send_signal(signal.SIGTERM)
        self.ends(durward, 20)
        numbers = [0]
        while pull.poll(300):
            numbers.append(int(pull.recv_multipart()[0]))
        self.assertEqual(numbers, list(range(len(numbers))))

    def stuck(self, **limits):
        """A broker with a client that never leaves."""
        router = self.backend("ROUTER")
        durward = self.broker(router, limits=limits)
        client = self.admitted(durward.port)
        client.send_message(b"x")
        self.recv(router)
        return durward, client

    def test_a_client_that_never_leaves_delays_the_end_for_drain_seconds(self):
        durward, _ = self.stuck(drain_seconds=1.5)
        watch = ops.Stopwatch()
        durward.process.send_signal(signal.SIGTERM)
        self.ends(durward, 20)
        self.assertGreater(watch.seconds(), 1)
        self.assertIn("after drain_seconds", durward.log())

    def test_a_second_signal_ends_at_once(self):
        durward, _ = self.stuck(drain_seconds=600)
        durward.process.send_signal(signal.SIGTERM)
        self.says(durward, "draining")
        with self.assertRaises(subprocess.TimeoutExpired):
            durward.process.wait(0.7)
        durward.process.send_signal(signal.SIGTERM)
        self.ends(durward, 10)

    def test_nobody_new_is_taken_while_it_drains(self):
        """A client is not left waiting in a queue that nobody looks at: it is refused, and may go elsewhere."""
        durward, client = self.stuck(drain_seconds=600)
        durward.process.send_signal(signal.SIGTERM)
        self.says(durward, "draining")

        def refused():
            with socket.socket() as late:
                late.settimeout(5)
                return late.connect_ex(("127.0.0.1", durward.port)) != 0

        self.assertTrue(kit.until(refused, 10))
        client.close()
        self.ends(durward, 20)

    def test_a_reload_while_it_drains_changes_nothing(self):
        durward, client = self.stuck(drain_seconds=600)
        durward.process.send_signal(signal.SIGTERM)
        self.says(durward, "draining")
        durward.reload()
        time.sleep(0.3)
        client.close()
        self.ends(durward, 20)
        self.assertNotIn("reloaded", durward.log())

    def test_handshakes_and_held_clients_do_not_delay_it(self):
        durward = self.broker("tcp://127.0.0.1:9", retry_hold_seconds=600,
                              limits={"handshake_seconds": 600, "drain_seconds": 600})
        half = wire.Wire(durward.port)
        self.addCleanup(half.close)
        half.send(wire.greeting())
        half.read_greeting()
        held = self.client(durward.port, "bob")
        held.greet()
        held.authenticate()
        dialling = self.client(durward.port)
        dialling.greet()
        dialling.authenticate()
        self.assertTrue(durward.wait_journal(verdict="deny"))
        self.assertTrue(durward.wait_journal(verdict="allow"))
        durward.process.send_signal(signal.SIGTERM)
        self.ends(durward, 20)


class TestStatus(Serve):
    def test_fields(self):
        router = self.backend("ROUTER")
        durward = self.broker(router, retry_hold_seconds=600)
        empty = ops.status(durward)
        self.assertEqual((empty["connections"], empty["backends"], empty["reasons"]), (0, {}, {}))
        alice = self.admitted(durward.port)
        alice.send_message(b"x")
        self.recv(router)
        bob = self.client(durward.port, "bob")
        bob.greet()
        bob.authenticate()
        self.assertTrue(durward.wait_journal(verdict="deny"))
        told = ops.status(durward)
        self.assertEqual(told["pid"], durward.process.pid)
        self.assertEqual(told["workers"], 2)
        self.assertGreaterEqual(told["uptime_seconds"], 0)
        self.assertEqual(told["connections"], 2)
        self.assertEqual(told["listeners"], [{"name": "trades", "address": durward.endpoint}])
        self.assertEqual(told["policy"]["files"], [durward.path("policy.lua")])
        self.assertEqual(told["policy"]["sha256"], durward.journal()[0]["policy"]["sha256"])
        self.assertEqual(told["backends"], {self.endpoint(router): 1})
        self.assertEqual(told["reasons"], {"known here": 1, "bob stays out": 1})
        counts = told["counts"]
        self.assertEqual([counts[key] for key in ("accepted", "decisions.allow", "decisions.deny",
                                                  "decisions.temporary", "joined")], [2, 1, 1, 0, 1])
        self.assertEqual({key: value for key, value in counts.items() if key.startswith("limits.") and value}, {})
        self.assertTrue(told["version"])
        alice.close()
        bob.close()
        after = ops.wait_empty(durward)
        self.assertGreater(after["counts"]["bytes.in"], 0)
        self.assertGreater(after["counts"]["bytes.out"], 0)

    def test_a_worker_for_each_core(self):
        durward = self.serve({"zmtp": [ops.listener()]}, kit.POLICY)
        self.assertEqual(ops.status(durward)["workers"], len(os.sched_getaffinity(0)))

    def test_every_log_line_is_one_fact(self):
        """Time, level, words, and key=value pairs, whatever clients and policies say of themselves."""
        router = self.backend("ROUTER")
        policy = kit.POLICY.replace("bob stays out", "no\\nway = \\27[31m\\\"out\\\"")
        durward = self.broker(router, policy, retry_hold_seconds=0.1, settings={"log": {"level": "debug"}})
        self.is_served(durward.port, router)
        self.knocks(self.client(durward.port, "bob"))
        durward.wait_journal(verdict="deny")
        for octets in (b"GET / HTTP/1.1\r\n\r\n\x1b[2J", wire.greeting(b"\x1b[2J\n error no"), wire.greeting() + b"\x04\x00"):
            with wire.Wire(durward.port) as some:
                some.send(octets)
                self.assertTrue(some.closes())
        self.says(durward, r" ended ", times=4)
        value = r'(?:"(?:[^"\\]|\\.)*"|[^\s"]+)'
        for line in durward.log().splitlines():
            if line != "durward: ready":
                self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug|info|warn|error) [^=\x00-\x1f]+?( \w+=%s)*$"
                                 % value)

    def test_a_broker_that_does_not_run(self):
        durward = self.broker("tcp://127.0.0.1:9")
        config = durward.path("durward.lua")
        durward.process.send_signal(signal.SIGTERM)
        durward.process.wait(kit.PATIENCE)
        done = kit.run_durward("status", "-c", config)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"no broker answers at .*control\.sock")
        durward.stop = durward.kill

    def test_the_control_socket_is_the_owners_alone(self):
        durward = self.broker("tcp://127.0.0.1:9")
        self.assertEqual(stat.S_IMODE(os.stat(durward.path("state/control.sock")).st_mode), 0o600)

    def test_clients_of_the_control_socket_that_do_not_read(self):
        durward = self.broker("tcp://127.0.0.1:9")
        for _ in range(30):
            idle = socket.socket(socket.AF_UNIX)
            self.addCleanup(idle.close)
            idle.connect(durward.path("state/control.sock"))
        self.assertEqual(ops.status(durward)["connections"], 0)

    def test_two_brokers_on_one_state_dir(self):
        router = self.backend("ROUTER")
        durward = self.broker(router)
        log = self.fails({"zmtp": [ops.listener()], "state_dir": durward.path("state")})
        self.assertRegex(log, r"another broker runs with state_dir " + durward.path("state"))
        self.assertNotIn("listening", log)
        self.is_served(durward.port, router)
        self.assertEqual(ops.status(durward)["pid"], durward.process.pid)

    def test_a_control_socket_left_by_a_crash(self):
        durward = self.broker("tcp://127.0.0.1:9")
        left = tempfile.mkdtemp(prefix="durward-e2e-state-")
        self.addCleanup(shutil.rmtree, left)
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(left + "/control.sock")
        stale.listen()
        stale.close()
        second = self.serve({"zmtp": [ops.listener()], "state_dir": left}, kit.POLICY)
        self.assertEqual(ops.status(second)["pid"], second.process.pid)
        self.assertEqual(ops.status(durward)["pid"], durward.process.pid)


if __name__ == "__main__":
    unittest.main()
