"""ZAP in process: stock libzmq servers that have libdurward's handler in their own context, and stock clients."""
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import types
import unittest

import zmq

import kit
import test_zap

SERVER = os.path.join(os.path.dirname(kit.DURWARD), "tests", "lib_server")
ALICE = {"plain_username": b"alice", "plain_password": b"s3cret"}


class Server:
    """tests/e2e/lib_server.c: .endpoint, .key; what it prints, its messages and its answers to commands apart."""

    def __init__(self, words, environment):
        self.process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.messages, self.answers, self.said = queue.Queue(), queue.Queue(), []
        self.readers = [threading.Thread(target=self.read, daemon=True),
                        threading.Thread(target=self.read_log, daemon=True)]
        for reader in self.readers:
            reader.start()
        self.started = self.answer()
        self.endpoint, self.key = self.line(), self.line()

    def read(self):
        for line in self.process.stdout:
            (self.answers if line[0] == "." else self.messages).put(line.rstrip("\n"))

    def read_log(self):
        for line in self.process.stderr:
            self.said.append(line)

    @staticmethod
    def take(lines, timeout):
        try:
            return lines.get(timeout=timeout)
        except queue.Empty:
            return None

    def line(self, timeout=kit.PATIENCE):
        return self.take(self.messages, timeout)

    def answer(self):
        return self.take(self.answers, kit.PATIENCE)

    def do(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        """What is wrong with its end, or None."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            code = self.process.wait(kit.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for reader in self.readers:
            reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()
        log = "".join(self.said)
        return None if code == 0 and not kit.REPORTS.search(log) else "the server ended with %s:\n%s" % (code, log)


class InProcess(test_zap.Zap):
    def server(self, mechanism="null", domain="", policy=None, limits=None, endpoint=None):
        """A server with a folder of its own: .journal(..) are its handler's decisions."""
        folder = tempfile.mkdtemp(prefix="durward-e2e-")
        self.addCleanup(shutil.rmtree, folder, True)
        config = {"policy": "policy.lua", "journal": "journal.jsonl", "limits": limits or {}}
        self.write(folder, "policy.lua", policy or self.policy)
        self.write(folder, "durward.lua", "return %s\n" % kit.lua(config))
        environment = dict(self.lab.environment(self.lab.dir + "/nobody.cc"), **kit.SANITIZERS)
        environment["LSAN_OPTIONS"] += ":suppressions=" + self.suppressions()
        environment["KRB5_KTNAME"] = "FILE:" + self.lab.keytab
        words = [SERVER, os.path.join(folder, "durward.lua"), mechanism, domain]
        server = Server(words + ([endpoint] if endpoint else []), environment)
        self.addCleanup(self.judge, server)
        self.assertEqual(server.started, ".start done", "".join(server.said))
        server.dir = folder
        server.path = lambda name: os.path.join(folder, name)
        server.journal = lambda **want: kit.Durward.journal(server, **want)
        server.wait_journal = lambda **want: kit.until(lambda: server.journal(**want)) or []
        return server

    def suppressions(self):
        """libzmq forgets the names of GSSAPI clients that it turns away."""
        path = os.path.join(self.lab.dir, "lsan.supp")
        with open(path, "w", encoding="ascii") as file:
            file.write("leak:libzmq.so\n")
        return path

    def judge(self, server):
        wrong = server.end()
        if wrong:
            self.fail(wrong)

    @staticmethod
    def write(folder, name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def assert_in(self, server, text, user="alice"):
        self.assertEqual(server.line(), "%s ops %s" % (user, text), "".join(server.said))

    def assert_out(self, server):
        self.assertIsNone(server.line(0.5), "".join(server.said))


class TestMechanisms(InProcess):
    def test_plain(self):
        server = self.server("plain", "trades")
        self.client(server, "hello", **ALICE)
        self.assert_in(server, "hello")
        for user, password in ((b"alice", b"wrong"), (b"mallory", b"s3cret"), (b"bob", b"hunter2")):
            events = self.client(server, "no", plain_username=user, plain_password=password)
            self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH"),
                             ("HANDSHAKE_FAILED_AUTH", 400))
        events = self.client(server, "later", plain_username=b"carol", plain_password=b"later")
        self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_NO_DETAIL", "DISCONNECTED")[0],
                         "HANDSHAKE_FAILED_NO_DETAIL")
        self.assert_out(server)
        event = server.wait_journal(user="alice")[0]["event"]
        self.assertEqual((event["front"], event["listener"], event["domain"], event["peer"], event["plain"]),
                         ("zap", "inproc", "trades", {"address": "127.0.0.1"}, {"username": "alice"}))
        with open(server.path("journal.jsonl"), encoding="utf-8") as file:
            told = file.read() + "".join(server.said)
        for secret in ("s3cret", "hunter2"):
            self.assertNotIn(secret, told)
        allowed, denied, temporary, waiting = map(int, server.do("statistics").split()[1:])
        self.assertEqual((allowed, denied, waiting), (1, 3, 0))
        self.assertGreater(temporary, 0)

    def test_curve(self):
        server = self.server("curve")
        for user in ("alice", "bob", "carol", "nobody"):
            public, secret = self.keys[user]
            events = self.client(server, "from " + user, curve_publickey=public, curve_secretkey=secret,
                                 curve_serverkey=server.key.encode())
            if user == "alice":
                self.assert_in(server, "from alice")
            elif user != "carol":
                self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH"),
                                 ("HANDSHAKE_FAILED_AUTH", 400))
        self.assertTrue(server.wait_journal(verdict="temporary"))
        self.assert_out(server)

    def test_null_by_domain(self):
        for domain, user in (("open", "alice"), ("shut", None), ("later", None), ("broken", None)):
            server = self.server("null", domain)
            self.client(server, "to " + domain)
            if user:
                self.assert_in(server, "to " + domain, user)
            else:
                self.assertTrue(server.wait_journal(domain=domain))
                self.assert_out(server)

    def test_null_without_a_domain_asks_nobody(self):
        server = self.server("null")
        self.client(server, "hello")
        self.assertEqual(server.line(), "- - hello")
        self.assertEqual(server.journal(), [])

    def test_gssapi(self):
        server = self.server("gssapi", "kerberos")
        for user, verdict in (("bob", "deny"), ("admin/admin", "temporary"), ("alice@" + kit.PARTNER, "deny")):
            push = self.peer(user).client("PUSH")
            push.connect(server.endpoint)
            push.call("try_send", parts=["from " + user])
            lines = server.wait_journal(principal=user if "@" in user else user + "@" + kit.HOME)
            self.assertTrue(lines, "".join(server.said))
            self.assertEqual(lines[0]["decision"]["verdict"], verdict)
        self.assert_out(server)
        push = self.peer("alice").client("PUSH")
        push.connect(server.endpoint)
        push.send("from alice")
        self.assert_in(server, "from alice")

    def test_clients_on_unix_sockets(self):
        way = "ipc://" + os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "server")
        server = self.server("null", "open", endpoint=way)
        self.client(server, "hello")
        self.assert_in(server, "hello")
        self.assertEqual(server.wait_journal(user="alice")[0]["event"]["peer"],
                         {"address": "local", "uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid()})


class TestHandler(InProcess):
    def test_stopped_while_clients_wait_and_started_again(self):
        waits = self.policy.replace("authorize = function(event)", """authorize = function(event)
          if event.user == "alice" then durward.await.sleep(3600) end""")
        server = self.server("plain", "trades", policy=waits, limits={"decision_seconds": 600})
        for _ in range(3):
            self.client(server, "waiting", **ALICE)
        self.assertTrue(kit.until(lambda: server.do("statistics") == ".statistics 0 0 0 3"))
        self.assertEqual(server.do("stop"), ".stop done")
        self.assertEqual(len(server.journal(verdict="temporary")), 3)
        self.assert_out(server)
        self.write(server.dir, "policy.lua", self.policy)
        self.assertEqual(server.do("start"), ".start done")
        for _ in range(3):
            self.assert_in(server, "waiting")

    def stop(self, server, **options):
        """Whoever comes to a server whose handler was stopped stays out, and comes in when it is started again."""
        self.assertEqual(server.do("stop"), ".stop done")
        self.client(server, "late", **options)
        self.assert_out(server)
        self.assertEqual(server.do("start"), ".start done")
        self.assert_in(server, "late")

    def test_stopped_with_plain(self):
        self.stop(self.server("plain", "trades"), **ALICE)

    def test_stopped_with_curve(self):
        server = self.server("curve")
        public, secret = self.keys["alice"]
        self.stop(server, curve_publickey=public, curve_secretkey=secret, curve_serverkey=server.key.encode())

    def test_stopped_with_null(self):
        self.stop(self.server("null", "open"))

    def test_stopped_with_gssapi(self):
        """With nobody at the endpoint released libzmq would let everybody in."""
        server = self.server("gssapi", "kerberos")
        self.assertEqual(server.do("stop"), ".stop done")
        push = self.peer("alice").client("PUSH")
        push.connect(server.endpoint)
        push.call("try_send", parts=["late"])
        self.assert_out(server)
        self.assertEqual(server.do("start"), ".start done")
        push.send("early")
        self.assertIn(server.line(), ("alice ops early", "alice ops late"))

    def test_reload(self):
        server = self.server("plain", "trades")
        bob = {"plain_username": b"bob", "plain_password": b"hunter2"}
        events = self.client(server, "no", **bob)
        self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH")[0], "HANDSHAKE_FAILED_AUTH")
        self.write(server.dir, "policy.lua", self.policy.replace('event.user == "bob"', "false"))
        self.assertEqual(server.do("reload"), ".reload done")
        self.client(server, "yes", **bob)
        self.assert_in(server, "yes", "bob")
        self.write(server.dir, "policy.lua", "return {")
        self.assertIn("policy.lua:1:", server.do("reload"))
        self.client(server, "still", **bob)
        self.assert_in(server, "still", "bob")

    def test_a_policy_that_waits_holds_nobody_else(self):
        policy = self.policy.replace("authorize = function(event)", """authorize = function(event)
          if event.user == "bob" then durward.await.sleep(1) return durward.allow({ properties = { ["X-Team"] = "ops" } }) end""")
        server = self.server("plain", "trades", policy=policy)
        self.client(server, "slow", plain_username=b"bob", plain_password=b"hunter2")
        self.assertTrue(kit.until(lambda: server.do("statistics") == ".statistics 0 0 0 1"))
        self.client(server, "quick", **ALICE)
        self.assert_in(server, "quick")
        self.assert_in(server, "slow", "bob")

    def test_hundreds_of_clients_at_once(self):
        server = self.server("plain", "trades")
        for number in range(200):
            self.client(server, "from %d" % number, **ALICE)
        got = {server.line() for _ in range(200)}
        self.assertEqual(got, {"alice ops from %d" % number for number in range(200)})
        self.assertEqual(server.do("statistics"), ".statistics 200 0 0 0")


class TestNobodyAtTheEndpoint(test_zap.Zap):
    """What libzmq itself does where no handler was ever started: why one is started first, and guarded when it ends."""

    def bound(self, enforce, **options):
        server = self.context.socket(zmq.PULL)
        self.addCleanup(server.close, 0)
        server.zap_enforce_domain = enforce
        server.zap_domain, server.handshake_ivl = b"open", 500
        for key, value in options.items():
            setattr(server, key, value)
        server.bind("tcp://127.0.0.1:*")
        return types.SimpleNamespace(socket=server, endpoint=self.endpoint(server), enforce=enforce)

    def comes_in(self, server, **options):
        self.client(server, "hello", **options)
        return bool(server.socket.poll(1500 if server.enforce else int(kit.PATIENCE * 1000)))

    def test_unless_it_is_told_to_enforce_domains_it_lets_in(self):
        (public, secret), (key, hidden) = self.keys["alice"], zmq.curve_keypair()
        curve = {"curve_publickey": public, "curve_secretkey": secret, "curve_serverkey": key}
        for enforce in (False, True):
            null = self.bound(enforce)
            self.assertEqual(self.comes_in(null), not enforce)
            server = self.bound(enforce, curve_server=True, curve_secretkey=hidden)
            self.assertEqual(self.comes_in(server, **curve), not enforce)
        self.assertFalse(self.comes_in(self.bound(True, plain_server=True), **ALICE))


if __name__ == "__main__":
    unittest.main()
