"""ZAP: stock libzmq servers ask durward, through the forwarders in examples/zap, who may come in."""
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

import kit

EXAMPLES = os.path.join(kit.ROOT, "examples", "zap")
POLICY = """
local durward = require("durward")
local known = { alice = "s3cret", bob = "hunter2", carol = "later" }
return {
  map = function(event)
    if event.mechanism == "PLAIN" then
      local password = known[event.plain.username]
      if password and event.plain.password:equals(password) then
        return event.plain.username
      end
      return nil, "unknown user or wrong password"
    elseif event.mechanism == "CURVE" then
      return ({ [%s] = "alice", [%s] = "bob", [%s] = "carol" })[event.curve.key], "unknown key"
    elseif event.mechanism == "GSSAPI" then
      return event.principal.realm == "HOME.EXAMPLE" and event.principal.primary or nil, "another realm"
    elseif event.mechanism == "NULL" then
      return ({ open = "alice", shut = "bob", later = "carol", broken = "dave" })[event.domain]
    end
    return "other-" .. event.mechanism .. "-" .. table.concat(event.credentials, "+")
  end,
  authorize = function(event)
    if event.user == "bob" then
      return durward.deny({ reason = "bob stays out" })
    elseif event.user == "carol" or event.user == "admin" then
      return durward.temporary({ reason = "not now" })
    elseif event.user == "dave" then
      error("the policy is broken")
    end
    return durward.allow({ properties = { ["X-Team"] = "ops" } })
  end,
}
"""


class Server:
    """A server program of examples/zap: .endpoint, .key, and the lines it prints."""

    def __init__(self, command, environment=None, folder=None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
        self.endpoint = self.process.stdout.readline().strip()
        self.lines = queue.Queue()
        self.key = self.process.stdout.readline().strip() if command[0] == sys.executable else "-"
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self, timeout=kit.PATIENCE):
        try:
            return self.lines.get(timeout=timeout)
        except queue.Empty:
            return None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()


class Zap(kit.Case):
    def setUp(self):
        super().setUp()
        self.keys = {user: zmq.curve_keypair() for user in ("alice", "bob", "carol", "nobody")}
        self.policy = POLICY % tuple(kit.lua(self.keys[user][0]) for user in ("alice", "bob", "carol"))

    def handler(self, policy=None, limits=None, files=None, **listener):
        listener = dict({"name": "zap", "listen": "ipc://zap.sock"}, **listener)
        config = {"zap": [listener], "workers": 2, "keytab": kit.Raw("nil")}
        if limits:
            config["limits"] = limits
        durward = self.serve(config, policy or self.policy, files=files)
        if listener["listen"].startswith("ipc://zap"):
            durward.way = "ipc://" + durward.path("zap.sock")
        else:
            durward.way = listener["listen"]
        return durward

    def server(self, way, mechanism="null", domain="", endpoint="tcp://127.0.0.1:*"):
        environment = dict(self.lab.environment(self.lab.dir + "/nobody.cc"), PYTHONUNBUFFERED="1")
        words = [sys.executable, os.path.join(EXAMPLES, "server.py"), endpoint, way, mechanism, domain]
        server = Server(words, environment)
        self.addCleanup(server.end)
        return server

    def client(self, server, text, **options):
        """A stock PUSH with a message to send; .events is its monitor."""
        push = self.context.socket(zmq.PUSH)
        push.linger = 0
        self.addCleanup(push.close, 0)
        for key, value in options.items():
            setattr(push, key, value)
        push.monitor("inproc://events-%d" % id(push), zmq.EVENT_ALL)
        events = self.context.socket(zmq.PAIR)
        self.addCleanup(events.close, 0)
        events.connect("inproc://events-%d" % id(push))
        push.connect(server.endpoint)
        push.send(text.encode(), zmq.NOBLOCK)
        return events

    def event(self, events, *names, timeout=kit.PATIENCE):
        """(name, value) of the first of these that comes."""
        deadline = time.monotonic() + timeout
        while events.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            seen = recv_monitor_message(events)
            name = zmq.Event(seen["event"]).name
            if name in names:
                return name, seen["value"]
        self.fail("none of %s came%s" % (names, self.told()))

    def asker(self, durward, kind=zmq.DEALER):
        plain = self.context.socket(kind)
        plain.linger, plain.sndhwm, plain.rcvhwm = 0, 0, 0
        self.addCleanup(plain.close, 0)
        plain.connect(durward.way)
        return plain

    def ask(self, plain, *frames):
        """The reply's frames."""
        plain.send_multipart([frame.encode() if isinstance(frame, str) else frame for frame in frames])
        return [bytes(frame) for frame in self.recv(plain)]

    def assert_in(self, server, text, user="alice"):
        self.assertEqual(server.line(), "%s %s" % (user, text), self.told())

    def assert_out(self, server):
        self.assertIsNone(server.line(0.5), self.told())


class TestMechanisms(Zap):
    def test_plain(self):
        durward = self.handler()
        server = self.server(durward.way, "plain", "trades")
        self.client(server, "hello", plain_username=b"alice", plain_password=b"s3cret")
        self.assert_in(server, "hello")
        for user, password in ((b"alice", b"wrong"), (b"mallory", b"s3cret"), (b"bob", b"hunter2")):
            events = self.client(server, "no", plain_username=user, plain_password=password)
            self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH"),
                             ("HANDSHAKE_FAILED_AUTH", 400))
        # RFC 26: a temporary refusal is told as a mere disconnection.
        events = self.client(server, "later", plain_username=b"carol", plain_password=b"later")
        self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_NO_DETAIL", "DISCONNECTED")[0],
                         "HANDSHAKE_FAILED_NO_DETAIL")
        self.assert_out(server)
        first = durward.wait_journal(user="alice")[0]
        self.assertEqual(first["event"]["domain"], "trades")
        self.assertEqual(first["event"]["peer"], {"address": "127.0.0.1"})
        self.assertEqual(first["event"]["plain"], {"username": "alice"})
        with open(durward.path("journal.jsonl"), encoding="utf-8") as file:
            told = file.read() + durward.log()
        for secret in ("s3cret", "hunter2", "wrong"):
            self.assertNotIn(secret, told.replace("wrong password", ""))

    def test_curve(self):
        durward = self.handler()
        server = self.server(durward.way, "curve")
        for user in ("alice", "bob", "carol", "nobody"):
            public, secret = self.keys[user]
            events = self.client(server, "from " + user, curve_publickey=public, curve_secretkey=secret,
                                 curve_serverkey=server.key.encode())
            if user == "alice":
                self.assert_in(server, "from alice")
            elif user != "carol":
                self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH"),
                                 ("HANDSHAKE_FAILED_AUTH", 400))
        self.assertTrue(durward.wait_journal(verdict="temporary"))
        self.assert_out(server)
        self.assertEqual(durward.journal(user="alice")[0]["event"]["curve"],
                         {"key": self.keys["alice"][0].decode()})

    def test_null_by_domain(self):
        durward = self.handler()
        for domain, user in (("open", "alice"), ("shut", None), ("later", None), ("broken", None)):
            server = self.server(durward.way, "null", domain)
            self.client(server, "to " + domain)
            if user:
                self.assert_in(server, "to " + domain, user)
            else:
                self.assertTrue(durward.wait_journal(domain=domain))
                self.assert_out(server)
        self.assertEqual([line["decision"]["verdict"] for line in durward.journal(domain="broken")][0], "temporary")

    def test_clients_on_unix_sockets(self):
        durward = self.handler()
        way = "ipc://" + os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "server")
        server = self.server(durward.way, "null", "open", endpoint=way)
        self.client(server, "hello")
        self.assert_in(server, "hello")
        self.assertEqual(durward.wait_journal(user="alice")[0]["event"]["peer"],
                         {"address": "local", "uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid()})

    def test_null_without_a_domain_asks_nobody(self):
        durward = self.handler()
        server = self.server(durward.way, "null")
        self.client(server, "hello")
        self.assertEqual(server.line(), "- hello")
        self.assertEqual(durward.journal(), [])

    def test_gssapi(self):
        """A refused principal is out, whether the library honours the status or not."""
        durward = self.handler()
        server = self.server(durward.way, "gssapi", "kerberos")
        for user, verdict in (("bob", "deny"), ("admin/admin", "temporary"), ("alice@" + kit.PARTNER, "deny")):
            name = user if "@" in user else user + "@" + kit.HOME
            push = self.peer(user).client("PUSH")
            push.connect(server.endpoint)
            push.call("try_send", parts=["from " + user])
            lines = durward.wait_journal(principal=name)
            self.assertTrue(lines, self.told())
            self.assertEqual(lines[0]["decision"]["verdict"], verdict)
            self.assertNotIn("gss", lines[0]["event"])
        self.assert_out(server)
        push = self.peer("alice").client("PUSH")
        push.connect(server.endpoint)
        push.send("from alice")
        self.assert_in(server, "from alice")


class TestHandlers(Zap):
    def test_dead_and_restarted(self):
        """While nobody answers nobody is admitted; whoever still waits is when somebody does."""
        durward = self.handler()
        server = self.server(durward.way, "plain", "trades")
        way, ways = {"plain_username": b"alice", "plain_password": b"s3cret"}, []
        self.client(server, "one", **way)
        self.assert_in(server, "one")
        self.assertIsNone(self.stop_keeping(durward))
        for number in range(3):
            ways.append(self.client(server, "waiting", **way))
        self.assert_out(server)
        again = kit.Durward({"zap": [{"name": "zap", "listen": durward.way}], "keytab": kit.Raw("nil")}, self.policy)
        self.brokers.append(again)
        self.addCleanup(self.end, again)
        for number in range(3):
            self.assert_in(server, "waiting")

    def stop_keeping(self, durward):
        """Stops it; its folder, where servers look for the socket, is made again."""
        folder = durward.dir
        self.brokers.remove(durward)
        problem = durward.stop()
        os.mkdir(folder)
        durward.stop = lambda: os.rmdir(folder) if not os.listdir(folder) else None
        return problem

    def test_no_handler_at_all(self):
        server = self.server("ipc://" + os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "nobody"), "plain")
        events = self.client(server, "hello", plain_username=b"alice", plain_password=b"s3cret", handshake_ivl=500)
        self.event(events, "HANDSHAKE_FAILED_NO_DETAIL", "DISCONNECTED")
        self.assert_out(server)

    def test_reload(self):
        durward = self.handler()
        plain = self.asker(durward)
        request = ("", "1.0", "1", "shut", "192.0.2.7", "", "NULL")
        self.assertEqual(self.ask(plain, *request)[3], b"400")
        durward.write("policy.lua", self.policy.replace('event.user == "bob"', "false"))
        durward.reload()
        self.assertTrue(durward.wait_log("reloaded"))
        self.assertEqual(self.ask(plain, *request)[3:6], [b"200", b"OK", b"bob"])

    def test_a_listener_that_goes(self):
        durward = self.handler()
        plain = self.asker(durward)
        request = ("", "1.0", "1", "open", "192.0.2.7", "", "NULL")
        self.assertEqual(self.ask(plain, *request)[3], b"200")
        with open(durward.path("durward.lua"), encoding="utf-8") as file:
            text = file.read()
        durward.write("durward.lua", text.replace("zap.sock", "new.sock").replace('["name"] = "zap"', '["name"] = "new"'))
        durward.reload()
        self.assertTrue(durward.wait_log("reloaded"))
        plain.send_multipart([part.encode() for part in request])
        self.assertTrue(durward.wait_log("ZAP forwarder left"), self.told())


class TestRequests(Zap):
    def test_ten_thousand_at_once(self):
        durward = self.handler()
        plain = self.asker(durward)
        count = 10000
        for number in range(count):
            domain = b"open" if number % 2 else b"shut"
            plain.send_multipart([b"%d" % (number * 7), b"", b"1.0", b"%d" % number, domain, b"192.0.2.7", b"", b"NULL"])
        for _ in range(count):
            route, empty, version, number, status, _, user, _ = [bytes(frame) for frame in self.recv(plain)]
            self.assertEqual((int(route), empty, version), (int(number) * 7, b"", b"1.0"))
            self.assertEqual((status, user), (b"200", b"alice") if int(number) % 2 else (b"400", b""))
        self.silent(plain, 0.2)
        self.assertEqual(len(durward.journal()), count)

    def test_a_sender_that_reads_late(self):
        """Queues with bounds all the way: everything stalls, and nothing is lost."""
        durward = self.handler()
        plain = self.context.socket(zmq.DEALER)
        self.addCleanup(plain.close, 0)
        plain.connect(durward.way)
        count, sent = 5000, 0
        for number in range(count):
            if not plain.poll(5000, zmq.POLLOUT):
                break
            plain.send_multipart([b"", b"1.0", b"%d" % number, b"open", b"192.0.2.7", b"i" * 255, b"NULL"])
            sent += 1
        self.assertEqual(sent, count)
        time.sleep(0.3)
        self.assertEqual([int(self.recv(plain)[2].bytes) for _ in range(count)], list(range(count)))

    def test_through_proxies(self):
        durward = self.handler()
        way, middle = durward.way, []
        for _ in range(2):
            inside, outside = self.context.socket(zmq.ROUTER), self.context.socket(zmq.DEALER)
            inside.bind("tcp://127.0.0.1:*")
            outside.connect(way)
            way = self.endpoint(inside)
            middle.append(threading.Thread(target=self.proxy, args=(inside, outside), daemon=True))
            middle[-1].start()
        durward.way = way
        request = ("1.0", "abc", "open", "192.0.2.7", "", "NULL")
        self.assertEqual(self.ask(self.asker(durward, zmq.REQ), *request)[:3], [b"1.0", b"abc", b"200"])
        self.assertEqual(self.ask(self.asker(durward), "a", "b", "", *request)[:6],
                         [b"a", b"b", b"", b"1.0", b"abc", b"200"])

    @staticmethod
    def proxy(inside, outside):
        try:
            zmq.proxy(inside, outside)
        except zmq.ZMQError:
            pass
        inside.close(0)
        outside.close(0)

    def test_malformed(self):
        durward = self.handler()
        plain = self.asker(durward)
        sound = ["", "1.0", "7", "open", "192.0.2.7", "", "NULL"]
        changes = [(1, "1.1"), (3, "d" * 256), (3, "d\xf6"), (4, "\xe9"), (5, "i" * 256), (6, ""), (6, "n" * 256),
                   (6, "PLAIN"), (6, "CURVE")]
        for place, value in changes:
            frames = [frame.encode("latin-1") for frame in sound[:place] + [value] + sound[place + 1:]]
            self.assertEqual(self.ask(plain, *frames), [b"", b"1.0", b"7", b"500", b"internal error", b"", b""])
        # GSSAPI's 500 has the form that holds, too.
        self.assertEqual(self.ask(plain, *sound[:6], "GSSAPI", "a@b@c")[3:], [b"500", b"internal error", b"", b"\0"])
        self.assertTrue(durward.wait_log("malformed ZAP request", times=len(changes) + 1))
        self.assertEqual(durward.journal(), [])
        for frames in (["1.0", "7", "open"], ["", "1.0"], ["x" * 70000, "", "1.0", "7"]):
            plain.send_multipart([frame.encode() for frame in frames])
        self.assertEqual(self.ask(plain, *sound)[2:4], [b"7", b"200"])
        self.assertTrue(durward.wait_log("malformed ZAP request", times=len(changes) + 4))

    def test_an_unknown_mechanism(self):
        durward = self.handler()
        plain = self.asker(durward)
        reply = self.ask(plain, "", "1.0", "7", "open", "192.0.2.7", "", "SCRAM", "one", "two")
        self.assertEqual(reply[3:], [b"200", b"OK", b"other-SCRAM-one+two", b"\6X-Team\0\0\0\3ops"])
        self.assertNotIn("credentials", durward.journal()[0]["event"])

    def test_a_user_that_does_not_fit(self):
        durward = self.handler(self.policy.replace('open = "alice"', 'open = ("u"):rep(256)'))
        reply = self.ask(self.asker(durward), "", "1.0", "7", "open", "192.0.2.7", "", "NULL")
        self.assertEqual(reply[3:], [b"500", b"internal error", b"", b""])
        self.assertEqual(durward.journal()[0]["decision"]["verdict"], "temporary")

    def test_a_journal_that_cannot_be_written(self):
        durward = self.serve({"zap": [{"name": "zap", "listen": "ipc://zap.sock"}], "journal": "/dev/full",
                              "keytab": kit.Raw("nil")}, self.policy)
        durward.way = "ipc://" + durward.path("zap.sock")
        reply = self.ask(self.asker(durward), "", "1.0", "7", "open", "192.0.2.7", "", "NULL")
        self.assertEqual(reply[3:], [b"300", b"temporary failure", b"", b""])

    def test_allow_from(self):
        port = kit.free_port()
        durward = self.handler(listen="tcp://*:%d" % port, allow_from=["192.0.2.0/24"])
        durward.way = "tcp://127.0.0.1:%d" % port
        plain = self.asker(durward)
        plain.send_multipart([b"", b"1.0", b"7", b"open", b"192.0.2.7", b"", b"NULL"])
        self.assertTrue(durward.wait_log("connection not taken .*allow_from"))
        self.silent(plain)

    def test_not_a_forwarder(self):
        durward = self.handler()
        pull = self.context.socket(zmq.PULL)
        self.addCleanup(pull.close, 0)
        pull.connect(durward.way)
        self.assertTrue(durward.wait_log("not a ZAP forwarder .*PULL|ZAP forwarder left during the handshake"))

    def test_heartbeats(self):
        durward = self.handler()
        plain = self.context.socket(zmq.DEALER)
        self.addCleanup(plain.close, 0)
        plain.heartbeat_ivl, plain.heartbeat_timeout = 100, 300
        plain.connect(durward.way)
        time.sleep(1)
        self.assertEqual(self.ask(plain, "", "1.0", "7", "open", "192.0.2.7", "", "NULL")[3], b"200")
        self.assertFalse(durward.wait_log("forwarder left", 0.1))


SLEEPY = """
local durward = require("durward")
return {
  map = function(event) return event.domain end,
  authorize = function(event)
    local seconds = tonumber(event.domain:match("%d.*"))
    if seconds then
      durward.await.sleep(seconds)
    end
    return durward.allow()
  end,
}
"""


class TestWaiting(Zap):
    """Policies that yield."""

    def send_all(self, plain, domains):
        for number, domain in enumerate(domains):
            plain.send_multipart([b"", b"1.0", b"%d" % number, domain, b"192.0.2.7", b"", b"NULL"])

    def test_each_in_its_own_time(self):
        plain = self.asker(self.handler(SLEEPY))
        self.send_all(plain, [b"1.5", b"0.5", b"now", b"1.0"])
        came = [[bytes(frame) for frame in self.recv(plain)][2:6] for _ in range(4)]
        self.assertEqual(came, [[b"2", b"200", b"OK", b"now"], [b"1", b"200", b"OK", b"0.5"],
                                [b"3", b"200", b"OK", b"1.0"], [b"0", b"200", b"OK", b"1.5"]])

    def test_more_than_are_open_at_once(self):
        durward = self.handler(SLEEPY)
        plain = self.asker(durward)
        count = 3000
        self.send_all(plain, [b"0.2"] * count)
        numbers = sorted(int(bytes(self.recv(plain)[2])) for _ in range(count))
        self.assertEqual(numbers, list(range(count)))

    def test_too_late(self):
        plain = self.asker(self.handler(SLEEPY, limits={"decision_seconds": 0.5}))
        self.send_all(plain, [b"30", b"0.1"])
        self.assertEqual([bytes(frame) for frame in self.recv(plain)][2:4], [b"1", b"200"])
        self.assertEqual([bytes(frame) for frame in self.recv(plain)][2:4], [b"0", b"300"])

    def test_a_forwarder_that_leaves_in_between(self):
        durward = self.handler(SLEEPY)
        plain = self.asker(durward)
        self.send_all(plain, [b"0.5"] * 50 + [b"now"])
        self.recv(plain)
        plain.close(0)
        self.assertTrue(durward.wait_log("ZAP forwarder left"))
        self.send_all(self.asker(durward), [b"now"])
        self.assertTrue(durward.wait_journal(2))

    def test_answered_before_the_end(self):
        durward = self.handler(SLEEPY)
        plain = self.asker(durward)
        self.send_all(plain, [b"0.7"] * 20 + [b"now"])
        self.recv(plain)
        durward.process.terminate()
        for _ in range(20):
            self.assertEqual(bytes(self.recv(plain)[3]), b"200")
        self.assertEqual(durward.process.wait(kit.PATIENCE), 0)
        durward.stop = lambda: None


class TestProbe(Zap):
    """Whether a given server honours refusals."""

    def probe(self, server, user):
        return kit.run_durward("probe", "zap", server.endpoint, "--service", "zmq@localhost",
                               env=self.lab.environment(self.lab.cache(user)))

    def test_refusals_that_hold(self):
        server = self.server(self.handler().way, "gssapi")
        for user, code, verdict in (("bob", 0, "kept out"), ("admin/admin", 0, "kept out"), ("alice", 1, "LET IN")):
            done = self.probe(server, user)
            self.assertEqual((done.returncode, verdict in done.stdout), (code, True), done.stdout)
        self.assertEqual(self.probe(server, "nobody").returncode, 4)

    def test_a_refusal_that_does_not(self):
        """What the library does with an ordinary handler's refusal: released versions let the client in."""
        naive = self.context.socket(zmq.ROUTER)
        self.addCleanup(naive.close, 0)
        way = "ipc://" + os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "naive")
        naive.bind(way)
        server = self.server(way, "gssapi")
        thread = threading.Thread(target=self.refuse, args=(naive,))
        thread.start()
        done = self.probe(server, "alice")
        thread.join()
        self.assertEqual(done.returncode, 1 if zmq.zmq_version_info() <= (4, 3, 5) else 0, done.stdout)

    @staticmethod
    def refuse(naive):
        if naive.poll(int(kit.PATIENCE * 1000)):
            frames = naive.recv_multipart()
            delimiter = frames.index(b"", 1)
            naive.send_multipart(frames[:delimiter + 3] + [b"400", b"no", b"", b""])

    def test_usage(self):
        done = kit.run_durward("probe", "zap", "nonsense")
        self.assertEqual(done.returncode, 2)
        self.assertIn("durward probe zap:", done.stderr)


class TestExamples(Zap):
    def test_forwarder_in_c(self):
        program = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "server")
        subprocess.run(["cc", "-Wall", "-Werror", "-o", program, "server.c", "forwarder.c", "-lzmq", "-lpthread"],
                       cwd=EXAMPLES, check=True)
        durward = self.handler()
        server = Server([program, "tcp://127.0.0.1:*", durward.way, "trades"])
        self.addCleanup(server.end)
        self.client(server, "hello", plain_username=b"alice", plain_password=b"s3cret")
        self.assert_in(server, "hello")
        events = self.client(server, "no", plain_username=b"bob", plain_password=b"hunter2")
        self.assertEqual(self.event(events, "HANDSHAKE_SUCCEEDED", "HANDSHAKE_FAILED_AUTH"),
                         ("HANDSHAKE_FAILED_AUTH", 400))
        self.assert_out(server)

    def test_forwarder_in_lua(self):
        durward = self.handler()
        server = Server(["luajit", "server.lua", "tcp://127.0.0.1:*", durward.way, "trades"], folder=EXAMPLES)
        self.addCleanup(server.end)
        for number in range(20):
            self.client(server, "hello %d" % number, plain_username=b"alice", plain_password=b"s3cret")
        self.assertEqual({server.line() for _ in range(20)}, {"alice hello %d" % number for number in range(20)})
        events = self.client(server, "no", plain_username=b"bob", plain_password=b"hunter2")
        self.event(events, "HANDSHAKE_FAILED_AUTH")
        self.assert_out(server)

    def test_as_it_stands(self):
        folder = os.path.join(tempfile.mkdtemp(dir=self.lab.dir), "zap")
        shutil.copytree(EXAMPLES, folder)
        self.assertEqual(kit.run_durward("check", "-c", os.path.join(folder, "durward.lua")).returncode, 0)
        files = {}
        for name in ("policy.lua", "users"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                files[name] = file.read()
        durward = self.handler(files.pop("policy.lua"), files=files)
        server = self.server(durward.way, "plain", "trades")
        for user, password, word in (("alice", "wonderland", "let in"), ("alice", "looking-glass", "kept out"),
                                     ("bob", "builder", "kept out")):
            done = subprocess.run([sys.executable, "client.py", server.endpoint, user, password, "hello"], cwd=folder,
                                  capture_output=True, text=True, check=False, timeout=kit.PATIENCE)
            self.assertEqual((done.stdout.strip(), done.returncode), (word, word != "let in"), done.stderr)
        self.assert_in(server, "hello")
        self.assert_out(server)


class TestRawKey(Zap):
    def test_both_forms_of_a_key(self):
        policy = """return {
          map = function(event) return event.curve.raw == %s and event.curve.key == %s and "alice" or nil end,
          authorize = function() return require("durward").allow() end }"""
        key = bytes(range(32))
        durward = self.handler(policy % (kit.lua(key), kit.lua(z85.encode(key))))
        reply = self.ask(self.asker(durward), "", "1.0", "7", "", "", "", "CURVE", key)
        self.assertEqual(reply[3:6], [b"200", b"OK", b"alice"])


if __name__ == "__main__":
    unittest.main()
