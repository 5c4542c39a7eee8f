"""Policies that wait: for DNS, for time, for groups; while others log in, within the time of a decision."""
import contextlib
import os
import socket
import struct
import threading
import time

import zmq

import kit
import ops


def setUpModule():
    kit.Lab.shared()


class Dns:
    """A DNS server on loopback that answers TXT queries: a text, None (no such name), or nothing at all (SILENT)."""

    SILENT = object()

    def __init__(self, names):
        self.names = names
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(2000)
            except OSError:
                return
            if not query:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name = ".".join(labels)
            self.asked.append(name)
            text = self.names.get(name)
            if text is self.SILENT:
                continue
            found = text is not None
            answer = query[:2] + struct.pack(">HHHHH", 0x8180 if found else 0x8183, 1, found, 0, 0) + query[12:at + 5]
            if found:
                data = bytes([len(text)]) + text.encode()
                answer += b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, len(data)) + data
            self.socket.sendto(answer, client)

    def close(self):
        with contextlib.suppress(OSError):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()


POLICY = """
local durward = require("durward")
return {
  map = function(event)
    local names, why = durward.await.resolve(event.principal.primary .. ".users.example", "TXT")
    return names and names[1], why
  end,
  authorize = durward.rule.allow("known"),
}
"""


class TestAwait(ops.Case):
    def dns(self, **names):
        server = Dns({name + ".users.example": text for name, text in names.items()})
        self.addCleanup(server.close)
        return server

    def waiting(self, server, policy=POLICY, limits=None, **settings):
        """One worker: whoever waits there must not hold the others."""
        router = self.backend("ROUTER")
        settings = dict({"workers": 1, "dns": {"servers": [server.address]}}, **settings)
        return self.broker(router, policy, limits=limits, settings=settings), router

    def test_an_answer_from_the_dns(self):
        server = self.dns(alice="al")
        durward, router = self.waiting(server)
        self.is_served(durward.port, router)
        line = durward.wait_journal(verdict="allow")[0]
        self.assertEqual(line["decision"]["user"], "al")
        step = line["trace"][0]
        self.assertEqual((step["hook"], step["want"], step["key"], step["answer"]),
                         ("map", "TXT", "alice.users.example", ["al"]))
        self.assertRegex(step["at"], r"policy\.lua:5$")

    def test_replay_takes_the_recorded_answers(self):
        server = self.dns(alice="al")
        durward, router = self.waiting(server)
        self.is_served(durward.port, router)
        self.knocks(self.client(durward.port, "bob"))
        self.assertTrue(durward.wait_journal(verdict="deny"))
        asked = list(server.asked)
        journal = durward.path("journal.jsonl")
        done = kit.run_durward("replay", "-p", durward.path("policy.lua"), journal)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        durward.write("other.lua", POLICY.replace(".users.", ".people."))
        done = kit.run_durward("replay", "-p", durward.path("other.lua"), journal)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("the journal has no answer to TXT alice.people.example", done.stdout)
        self.assertEqual(server.asked, asked)

    def test_a_name_that_is_not_there(self):
        durward, _ = self.waiting(self.dns(alice="al"))
        self.knocks(self.client(durward.port, "bob"))
        line = durward.wait_journal(verdict="deny")[0]
        self.assertEqual(line["decision"]["reason"], "not mapped: no such name")
        self.assertEqual(line["trace"][0]["failed"], "no such name")

    def test_who_waits_does_not_hold_others(self):
        server = self.dns(alice="al", bob=Dns.SILENT)
        durward, router = self.waiting(server, limits={"decision_seconds": 60, "handshake_seconds": 60})
        bob = self.client(durward.port, "bob")
        thread = threading.Thread(target=self.knocks, args=(bob,))
        thread.start()
        self.assertTrue(kit.until(lambda: "bob.users.example" in server.asked))
        for _ in range(3):
            self.is_served(durward.port, router)
        self.assertEqual(durward.journal(user="bob"), [])
        bob.close()
        thread.join(kit.PATIENCE)
        ops.wait_empty(durward)

    def test_too_late_is_temporary(self):
        server = self.dns(alice="al", bob=Dns.SILENT)
        durward, router = self.waiting(server, limits={"decision_seconds": 0.7})
        self.knocks(self.client(durward.port, "bob"))
        line = durward.wait_journal(verdict="temporary")[0]
        self.assertEqual(line["decision"]["reason"], "map: no answer in time to TXT bob.users.example")
        self.is_served(durward.port, router)

    def test_time_and_groups(self):
        policy = """
local durward = require("durward")
return {
  connect = function() durward.await.sleep(0.05) end,
  map = function(event)
    durward.await.sleep(0.1)
    local mine = assert(durward.await.groups("root"))
    return mine[1] .. "-" .. event.principal.primary
  end,
  authorize = durward.rule.allow("known", function() durward.await.sleep(0.05) return true end),
}
"""
        durward, router = self.waiting(self.dns(), policy)
        clients = [self.client(durward.port) for _ in range(8)]
        threads = [threading.Thread(target=client.login) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(kit.PATIENCE)
        self.assertEqual(len(durward.wait_journal(8, verdict="allow", user="root-alice")), 8)
        self.is_served(durward.port, router)

    def test_clients_that_leave_while_they_wait(self):
        server = self.dns(alice=Dns.SILENT)
        durward, _ = self.waiting(server, limits={"decision_seconds": 60, "handshake_seconds": 60})
        for _ in range(5):
            client = self.client(durward.port)
            thread = threading.Thread(target=self.knocks, args=(client,))
            before = len(server.asked)
            thread.start()
            kit.until(lambda: len(server.asked) > before)
            client.close()
            thread.join(kit.PATIENCE)
        ops.wait_empty(durward)

    def test_a_question_in_flight_ends_with_the_old_policy(self):
        server = self.dns(alice="al")
        durward, router = self.waiting(server, POLICY.replace("local names", "durward.await.sleep(1) local names"),
                                       limits={"decision_seconds": 60, "handshake_seconds": 60})
        client = self.client(durward.port)
        thread = threading.Thread(target=client.login)
        thread.start()
        time.sleep(0.4)
        durward.write("policy.lua", POLICY.replace('"known"', '"new"'))
        self.reloads(durward)
        self.assertEqual(durward.journal(), [])
        self.is_served(durward.port, router)
        thread.join(kit.PATIENCE)
        rules = [line["decision"]["rule"] for line in durward.wait_journal(2, verdict="allow")]
        self.assertEqual(rules, ["new", "known"])

    def test_the_end_while_somebody_waits(self):
        server = self.dns(alice=Dns.SILENT)
        durward, _ = self.waiting(server, limits={"decision_seconds": 60, "handshake_seconds": 60})
        client = self.client(durward.port)
        thread = threading.Thread(target=self.knocks, args=(client,))
        thread.start()
        self.assertTrue(kit.until(lambda: server.asked))
        self.reloads(durward)
        watch = ops.Stopwatch()
        self.end(durward)
        self.assertLess(watch.seconds(), 5)
        self.addCleanup(thread.join, kit.PATIENCE)
        durward.stop = lambda: None

    def test_a_roster_is_read_again_when_it_changes(self):
        policy = """
local durward = require("durward")
local staff = durward.roster("staff", "staff.tsv")
return {
  map = function(event)
    local row = staff:get(event.principal.primary)
    return row and row.user, "not in the roster"
  end,
  authorize = durward.rule.allow("known"),
}
"""
        router = self.backend("ROUTER")
        durward = self.serve({"zmtp": [ops.listener(self.endpoint(router))], "workers": 2}, policy,
                             files={"staff.tsv": "name\tuser\nalice\tal\n"})
        port = ops.port_of(durward)
        self.is_served(port, router)
        self.assertEqual(len(durward.wait_journal(1, user="al")), 1)
        durward.write("staff.tsv", "name\tuser\nalice\n")
        self.says(durward, r"the old table goes on .*staff\.tsv:2")
        self.is_served(port, router)
        self.assertEqual(len(durward.wait_journal(2, user="al")), 2)
        durward.write("staff.tsv", "name\tuser\nalice\tally\n")
        self.says(durward, r"table read again")
        self.is_served(port, router)
        self.assertEqual(len(durward.wait_journal(1, user="ally")), 1)

    def test_zap_requests_wait_one_by_one(self):
        """What comes after one that waits is answered before it; too late is temporary (300)."""
        policy = """
local durward = require("durward")
return {
  map = function(event)
    local names, why = durward.await.resolve(event.plain.username .. ".users.example", "TXT")
    return names and names[1], why
  end,
  authorize = durward.rule.allow("known"),
}
"""
        server = self.dns(alice="al", bob=Dns.SILENT)
        port = kit.free_port()
        self.serve({"zap": [{"name": "zap", "listen": "tcp://127.0.0.1:%d" % port}], "workers": 1,
                    "dns": {"servers": [server.address]}, "limits": {"decision_seconds": 1}}, policy)
        dealer = self.context.socket(zmq.DEALER)
        dealer.linger = 0
        self.addCleanup(dealer.close, 0)
        dealer.connect("tcp://127.0.0.1:%d" % port)
        for number, user in enumerate((b"bob", b"alice", b"bob", b"nobody")):
            dealer.send_multipart([b"", b"1.0", b"%d" % number, b"d", b"192.0.2.7", b"", b"PLAIN", user, b"pw"])
        got = [[bytes(frame) for frame in self.recv(dealer)[2:6]] for _ in range(4)]
        self.assertEqual(sorted(reply[:2] for reply in got[:2]), [[b"1", b"200"], [b"3", b"400"]])
        self.assertEqual(sorted(reply[:2] for reply in got[2:]), [[b"0", b"300"], [b"2", b"300"]])

    def test_explain_makes_the_look_ups(self):
        server = self.dns(alice="al")
        path = os.path.join(self.lab.dir, "await-policy.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write(POLICY)
        done = kit.run_durward("explain", "-p", path, "--principal", "alice@HOME.EXAMPLE", "--dns", server.address)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('TXT alice.users.example: ["al"]', done.stdout)
        self.assertTrue(done.stdout.startswith("allow al\n"))


SPEC = """
local policy = require("durward.kit").load("policy.lua", { dns = { ["alice.users.example"] = { TXT = { "al" } } } })
describe("the policy", function()
  it("lets alice in as al", function()
    assert.same("al", policy:decide({ principal = "alice@HOME.EXAMPLE" }).user)
  end)
end)
"""
SIMPLE = """
local durward = require("durward")
return {
  map = function(event) return "%s" end,
  authorize = durward.rule.allow("known"),
}
"""


class TestReload(ops.Case):
    def reloading(self, policy=SIMPLE % "al", files=None, **settings):
        router = self.backend("ROUTER")
        config = dict({"zmtp": [ops.listener(self.endpoint(router))], "workers": 2}, **settings)
        durward = self.serve(config, policy, files=files)
        return durward, router, ops.port_of(durward)

    def user(self, durward, router, port):
        before = len(durward.journal())
        self.is_served(port, router)
        return durward.wait_journal(before + 1)[-1]["decision"]["user"]

    def test_a_change_is_seen(self):
        files = {"names.lua": 'return { name = "al" }\n'}
        policy = 'local names = require("names")\n' + SIMPLE.replace('"%s"', "names.name")
        durward, router, port = self.reloading(policy, files, reload_on_change=True)
        self.assertEqual(self.user(durward, router, port), "al")
        durward.write("names.lua", 'return { name = "ally" }\n')
        self.says(durward, r" info reloaded ")
        self.assertEqual(self.user(durward, router, port), "ally")
        durward.write("policy.lua", "return {{\n")
        self.says(durward, r"not reloaded, the old configuration and policy go on")
        self.assertEqual(self.user(durward, router, port), "ally")
        durward.write("policy.lua", SIMPLE % "bob")
        self.says(durward, r" info reloaded ", times=2)
        self.assertEqual(self.user(durward, router, port), "bob")
        time.sleep(1.5)
        self.assertEqual(len([line for line in durward.lines if " info reloaded " in line]), 2)

    def test_specs_that_fail_keep_the_old_policy(self):
        durward, router, port = self.reloading(files={"policy_spec.lua": SPEC}, test_on_reload=True)
        durward.write("policy.lua", SIMPLE % "mallory")
        durward.reload()
        self.says(durward, r"a spec failed test=.*lets alice in as al")
        self.says(durward, r"not reloaded.* why=\"the policies' specs fail\"")
        self.assertEqual(self.user(durward, router, port), "al")
        durward.write("policy.lua", POLICY)
        self.reloads(durward)
        self.assertEqual(ops.status(durward)["counts"]["reloads.refused"], 1)

    def test_the_end_while_specs_run(self):
        durward, _, _ = self.reloading(files={"policy_spec.lua": "while true do end\n"}, test_on_reload=True)
        durward.reload()
        time.sleep(0.5)
        self.end(durward)
        durward.stop = lambda: None

    def test_fifty_reloads_under_load_fail_no_login(self):
        server = Dns({"alice.users.example": "al"})
        self.addCleanup(server.close)
        durward, _, port = self.reloading(POLICY.replace("local names", "durward.await.sleep(0.02) local names"),
                                          dns={"servers": [server.address]}, limits={"decision_seconds": 60})
        over, failed, count = threading.Event(), [], []

        def log_in():
            while not over.is_set():
                try:
                    with contextlib.closing(ops.wire.GssClient(port, self.lab.cache("alice"))) as client:
                        client.login()
                    count.append(1)
                except (ops.wire.Ended, OSError) as error:
                    failed.append(repr(error))

        threads = [threading.Thread(target=log_in) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(50):
            before = len(count)
            durward.write("policy.lua", POLICY.replace('"known"', '"known %d"' % i)
                          .replace("local names", "durward.await.sleep(0.02) local names"))
            self.reloads(durward, times=i + 1)
            kit.until(lambda: len(count) > before)
        over.set()
        for thread in threads:
            thread.join(kit.PATIENCE)
        self.assertEqual(failed, [])
        self.assertGreaterEqual(len(count), 50)
        self.assertEqual({line["decision"]["verdict"] for line in durward.journal()}, {"allow"})
        ops.wait_empty(durward)
