"""What the end-to-end tests stand on: a lab realm, durward itself, and stock libzmq peers.

DURWARD names the binary under test.  Whatever a test starts is stopped with it, and durward's end is
judged: an exit code, a sanitizer's report or a line that tells of a crash fails the test.
"""
import itertools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DURWARD = os.path.abspath(os.environ.get("DURWARD", os.path.join(ROOT, "build", "durward")))
HOME, PARTNER = "HOME.EXAMPLE", "PARTNER.EXAMPLE"
PATIENCE = float(os.environ.get("DURWARD_TEST_PATIENCE", "30"))

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "exitcode=99:second_deadlock_stack=1",
    "LSAN_OPTIONS": "print_suppressions=0",
}
REPORTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|MemorySanitizer|Assertion")


def until(what, seconds=None, every=0.02):
    """Waits until `what()` is true and returns its value; None when time is up."""
    deadline = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            return None
        time.sleep(every)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Raw(str):
    """Lua text that lua() leaves as it is."""


def lua(value):
    """A Python value as Lua source."""
    if isinstance(value, Raw):
        return str(value)
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, bytes)):
        octets = value.encode() if isinstance(value, str) else value
        return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else "\\%03d" % c for c in octets) + '"'
    if isinstance(value, dict):
        return "{ " + ", ".join("[%s] = %s" % (lua(key), lua(item)) for key, item in value.items()) + " }"
    return "{ " + ", ".join(lua(item) for item in value) + " }"


def run_durward(*arguments, env=None, text=None, timeout=60):
    """One command to its end: a CompletedProcess.  A sanitizer's report is an error."""
    environment = dict(os.environ, **SANITIZERS)
    environment.update(env or {})
    done = subprocess.run([DURWARD, *arguments], env=environment, input=text, capture_output=True, text=True,
                          timeout=timeout)
    if REPORTS.search(done.stderr) or done.returncode == 99 or done.returncode < 0:
        raise AssertionError("durward %s: exit %d\n%s" % (" ".join(arguments), done.returncode, done.stderr))
    return done


def end_early(number, _frame):
    """Stopped from outside: nothing that was started stays."""
    for broker in list(Durward.running):
        broker.process.kill()
        shutil.rmtree(broker.dir, ignore_errors=True)
    Lab.end_shared()
    os._exit(128 + number)


signal.signal(signal.SIGTERM, end_early)


class Lab:
    """Throwaway realms.  One stands for the whole test program: Lab.shared()."""

    one = None

    def __init__(self, *realms):
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-lab-")
        words = [word for realm in realms for word in ("--realm", realm)]
        try:
            done = run_durward("lab", "up", "--dir", self.dir, *words)
            if done.returncode:
                raise AssertionError("lab up: " + done.stderr)
        except BaseException:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        self.keytab = os.path.join(self.dir, "durward.keytab")

    @classmethod
    def shared(cls):
        if cls.one is None:
            lab = cls(HOME, PARTNER)
            unittest.addModuleCleanup(cls.end_shared)
            os.environ["KRB5_CONFIG"] = lab.dir + "/krb5.conf"
            os.environ["KRB5CCNAME"] = "FILE:" + lab.dir + "/nobody.cc"
            cls.one = lab
        return cls.one

    @classmethod
    def end_shared(cls):
        lab, cls.one = cls.one, None
        if lab:
            lab.down()

    def run(self, verb, *arguments):
        done = run_durward("lab", verb, *arguments, "--dir", self.dir)
        if done.returncode:
            raise AssertionError("lab %s %s: %s" % (verb, " ".join(arguments), done.stderr))
        return done.stdout.strip()

    def cache(self, user):
        """The path of the cache of "alice" or "alice@PARTNER.EXAMPLE"."""
        name = user[:-len("@" + HOME)] if user.endswith("@" + HOME) else user
        return os.path.join(self.dir, name.replace("/", "-") + ".cc")

    def ticket(self, user, lifetime):
        """A cache of its own with a ticket of that lifetime ("5s")."""
        path = tempfile.mktemp(prefix="ticket-", suffix=".cc", dir=self.dir)
        return self.run("ticket", user, "--lifetime", lifetime, "--cache", path)

    def environment(self, cache):
        """What a client process needs to be the owner of that cache."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("KRB5")}
        env["KRB5_CONFIG"] = self.dir + "/krb5.conf"
        env["KRB5CCNAME"] = "FILE:" + cache
        return env

    def down(self):
        run_durward("lab", "down", "--dir", self.dir)


class Durward:
    """`durward serve` with a configuration and a policy of the test's own."""

    running = set()

    def __init__(self, config, policy=None, files=None, wait=True, env=None):
        lab = Lab.shared()
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-")
        self.lines = []
        self.changed = threading.Condition()
        for name, text in (files or {}).items():
            self.write(name, text)
        config = dict({"keytab": lab.keytab, "journal": "journal.jsonl", "state_dir": "state"}, **config)
        os.mkdir(os.path.join(self.dir, "state"), 0o700)
        if policy is not None:
            self.write("policy.lua", policy)
            config.setdefault("policy", "policy.lua")
        self.write("durward.lua", "return " + lua(config) + "\n")
        environment = dict(lab.environment(self.dir + "/no.cc"), **SANITIZERS)
        environment["KRB5_KTNAME"] = "FILE:" + self.dir + "/never.keytab"
        environment.update(env or {})
        self.process = subprocess.Popen([DURWARD, "serve", "-c", self.path("durward.lua")], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.running.add(self)
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        if wait and not self.wait_log(r"durward: ready"):
            self.kill()
            raise AssertionError("durward serve did not get ready:\n" + self.log())

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read_log(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def log(self, last=None):
        with self.changed:
            return "\n".join(self.lines[-last:] if last else self.lines)

    def wait_log(self, pattern, seconds=None, times=1):
        """The first line that matches, or None."""
        regex = re.compile(pattern)
        deadline = time.monotonic() + (seconds or PATIENCE)
        with self.changed:
            while True:
                found = [line for line in self.lines if regex.search(line)]
                if len(found) >= times:
                    return found[-1]
                left = deadline - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    return None
                self.changed.wait(min(left, 0.2))

    def journal(self, **want):
        """Its decisions, those whose event or decision has these values: verdict="deny", user="alice"."""
        try:
            with open(self.path("journal.jsonl"), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return []
        lines = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        return [line for line in lines
                if all(line["decision"].get(key, line["event"].get(key)) == value for key, value in want.items())]

    def wait_journal(self, count=1, seconds=None, **want):
        until(lambda: len(self.journal(**want)) >= count, seconds)
        return self.journal(**want)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def lasting_descriptors(self):
        """Those that stay, but for the replay caches: a worker opens its own at its first login, and keeps it."""
        folder = "/proc/%d/fd" % self.process.pid
        count = 0
        for number in os.listdir(folder):
            try:
                count += os.path.basename(os.readlink(os.path.join(folder, number))) != "rcache"
            except FileNotFoundError:
                pass
        return count

    def memory(self):
        """Resident octets."""
        with open("/proc/%d/statm" % self.process.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def report(self):
        """Its log from a sanitizer's first word on, or its last lines."""
        log = self.log()
        found = REPORTS.search(log)
        return log[max(0, found.start() - 400):found.start() + 8000] if found else self.log(last=30)

    def kill(self):
        self.running.discard(self)
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self):
        """Ends it with SIGTERM; what is wrong with its end, or None."""
        self.running.discard(self)
        started = self.process.poll()
        if started is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE * 2)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            self.reader.join(5)
            shutil.rmtree(self.dir, ignore_errors=True)
            return "durward did not end on SIGTERM:\n" + self.log(last=60)
        self.reader.join(10)
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        if started is not None:
            return "durward had ended by itself, exit %d:\n%s" % (started, self.report())
        if code != 0 or REPORTS.search(self.log()):
            return "durward ended with %d:\n%s" % (code, self.report())
        return None


class Remote:
    """A socket in a Peer."""

    def __init__(self, peer, name):
        self.peer, self.name = peer, name

    def call(self, op, patience=PATIENCE, **arguments):
        return self.peer.call(op, patience, name=self.name, **arguments)

    def connect(self, endpoint):
        self.call("connect", endpoint=endpoint)
        return self

    def bind(self, endpoint="tcp://127.0.0.1:*"):
        return self.call("bind", endpoint=endpoint)

    def subscribe(self, topic):
        self.call("set", option="SUBSCRIBE", value=topic)

    def unsubscribe(self, topic):
        self.call("set", option="UNSUBSCRIBE", value=topic)

    def send(self, *parts, times=1):
        self.call("send", parts=parts, timeout=PATIENCE, times=times, patience=PATIENCE + 5)

    def send_numbered(self, count, size=16):
        self.call("send_numbered", count=count, size=size, timeout=PATIENCE * 2, patience=PATIENCE * 2 + 5)

    def try_send(self, *parts):
        return self.call("try_send", parts=parts, patience=PATIENCE * 3)

    def recv(self, timeout=PATIENCE):
        """A list of parts, or None when nothing came."""
        message = self.call("recv", timeout=timeout, patience=timeout + 5)
        return message and message["parts"]

    def recv_full(self, timeout=PATIENCE):
        return self.call("recv", timeout=timeout, patience=timeout + 5)

    def recv_numbered(self, count, timeout=PATIENCE * 2):
        return self.call("recv_numbered", count=count, timeout=timeout, patience=timeout + 5)

    def events(self):
        return self.call("events")

    def wait_event(self, event, times=1, timeout=PATIENCE):
        return self.call("wait_event", event=event, times=times, timeout=timeout, patience=timeout + 5)

    def close(self, linger=0):
        self.call("close", linger=linger, patience=PATIENCE + linger / 1000)


class Peer:
    """A process with stock libzmq, as one user; see peer.py."""

    names = itertools.count(1)

    def __init__(self, user=None, cache=None):
        lab = Lab.shared()
        cache = cache or (lab.cache(user) if user else lab.dir + "/nobody.cc")
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "peer.py")], env=lab.environment(cache),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.input = b""

    def call(self, op, patience=PATIENCE, **arguments):
        line = json.dumps(dict(arguments, op=op)) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()
        deadline = time.monotonic() + patience
        while b"\n" not in self.input:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise AssertionError("a peer did not answer to %s in time" % op)
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                raise AssertionError("a peer died at %s: exit %s" % (op, self.process.wait()))
            self.input += piece
        line, _, self.input = self.input.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError("a peer's %s: %s" % (op, answer["error"]))
        return answer["result"]

    def socket(self, kind, monitor=True, **options):
        name = "s%d" % next(self.names)
        self.call("socket", name=name, type=kind, options=options, monitor=monitor)
        return Remote(self, name)

    def client(self, kind, service="zmq@localhost", plaintext=False, **options):
        """A socket that logs in by GSSAPI."""
        return self.socket(kind, GSSAPI_SERVICE_PRINCIPAL=service, GSSAPI_PLAINTEXT=int(plaintext), **options)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


POLICY = """
local durward = require("durward")
return {
  map = function(event)
    if event.principal.realm == "HOME.EXAMPLE" then
      return event.principal.primary
    elseif event.principal.realm == "PARTNER.EXAMPLE" then
      return "partner-" .. event.principal.primary
    end
    return nil, "an unknown realm"
  end,
  authorize = function(event)
    if event.user == "bob" then
      return durward.deny({ reason = "bob stays out" })
    end
    return durward.allow({ properties = { ["X-Team"] = "ops" }, reason = "known here" })
  end,
}
"""
EVERYBODY = POLICY.replace('event.user == "bob"', "false")


class Case(unittest.TestCase):
    """A test with peers, plain backends and a durward, all of which end with it."""

    maxDiff = None

    def setUp(self):
        self.lab = Lab.shared()
        self.brokers = []
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)

    def backend(self, kind, endpoint=None, **options):
        """A stock plain socket, bound."""
        plain = self.context.socket(getattr(zmq, kind))
        plain.linger = 0
        self.addCleanup(plain.close, 0)
        for key, value in options.items():
            plain.setsockopt(getattr(zmq, key), value)
        plain.bind(endpoint or "tcp://127.0.0.1:*")
        return plain

    @staticmethod
    def endpoint(plain):
        return plain.last_endpoint.rstrip(b"\0").decode()

    def peer(self, user=None, cache=None):
        peer = Peer(user, cache)
        self.addCleanup(peer.end)
        return peer

    def serve(self, config, policy=None, **more):
        durward = Durward(config, policy, **more)
        self.brokers.append(durward)
        self.addCleanup(self.end, durward)
        return durward

    def gateway(self, backend, policy=POLICY, limits=None, settings=None, **listener):
        """durward between clients and `backend` (a socket, or an endpoint); clients go to .endpoint."""
        port = free_port()
        if not isinstance(backend, str):
            backend = self.endpoint(backend)
        listener = dict({"name": "trades", "listen": "tcp://127.0.0.1:%d" % port, "service": "zmq@localhost",
                         "backend": backend}, **listener)
        config = dict({"zmtp": [listener], "workers": 2}, **(settings or {}))
        if limits:
            config["limits"] = limits
        durward = self.serve(config, policy)
        durward.port, durward.endpoint = port, "tcp://127.0.0.1:%d" % port
        return durward

    def end(self, durward):
        problem = durward.stop()
        if problem:
            self.fail(problem)

    def recv(self, plain, timeout=PATIENCE):
        """Frames of one message (zmq.Frame), or a failure."""
        if not plain.poll(int(timeout * 1000), zmq.POLLIN):
            self.fail("nothing came to the backend in time" + self.told())
        return plain.recv_multipart(copy=False)

    def told(self):
        return "".join("\ndurward said last:\n" + durward.log(last=15) for durward in self.brokers)

    def silent(self, plain, seconds=0.5):
        self.assertFalse(plain.poll(int(seconds * 1000), zmq.POLLIN), "a message came where none should")
