"""The hooks of a policy in a running broker: connect, realm and close, and scripts that fail or never end."""
import re
import time
import unittest

import kit
import ops

HEAD = 'local durward = require("durward")\n'
ADMIT = """
  map = function(event) return event.principal.primary end,
  authorize = function() return durward.allow({}) end,
"""


def setUpModule():
    kit.Lab.shared()


class Hooks(ops.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def policy(self, hooks, **more):
        """A broker with these hooks before map and authorize."""
        return self.broker(self.router, policy=HEAD + "return {\n" + hooks + "," + ADMIT + "}\n",
                           **dict({"retry_hold_seconds": 2}, **more))

    def turned_away(self, durward, user="alice", **more):
        client = self.client(durward.port, user, **more)
        watch = ops.Stopwatch()
        self.knocks(client)
        self.assertTrue(client.closes())
        client.close()
        ops.wait_empty(durward)
        return watch.seconds()


class TestConnect(Hooks):
    def test_nil_goes_on(self):
        durward = self.policy("connect = function(event) assert(event.stage == 'connect') end")
        self.is_served(durward.port, self.router)
        self.assertEqual([line["decision"]["verdict"] for line in durward.journal()], ["allow"])

    def test_deny_holds_and_is_journalled(self):
        durward = self.policy("connect = function() return durward.deny({ reason = 'not from here' }) end")
        self.assertGreater(self.turned_away(durward), 1.3)
        line, = durward.journal()
        self.assertEqual((line["decision"]["verdict"], line["decision"]["reason"], line["event"]["stage"]),
                         ("deny", "not from here", "connect"))
        self.assertNotIn("principal", line["event"])
        self.silent(self.router, 0.2)

    def test_temporary_closes_at_once(self):
        durward = self.policy("connect = function() return durward.temporary({ reason = 'too busy' }) end",
                              retry_hold_seconds=600)
        self.turned_away(durward)
        line, = durward.journal()
        self.assertEqual((line["decision"]["verdict"], line["decision"]["reason"]), ("temporary", "too busy"))

    def test_it_sees_the_peer(self):
        durward = self.policy("connect = function(event)\n  if event.peer.address ~= '127.0.0.2' then"
                              " return durward.deny({ reason = 'from ' .. event.peer.address }) end\nend")
        self.turned_away(durward)
        self.assertEqual(durward.journal()[0]["decision"]["reason"], "from 127.0.0.1")
        client = self.admitted(durward.port, source="127.0.0.2")
        client.send_message(b"from the other")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"from the other")

    def test_what_is_no_answer(self):
        """true, a string, allow with a user: nonsense for connect, and so nobody's pass."""
        for answer in ("true", "'yes'", "42", "{}"):
            with self.subTest(answer=answer):
                durward = self.policy("connect = function() return %s end" % answer)
                self.turned_away(durward)
                self.assertEqual([line["decision"]["verdict"] for line in durward.journal()], ["temporary"])


class TestRealm(Hooks):
    """The lab's keytab has zmq/localhost of two realms."""

    FOLLOWS = "realm = function(event) return event.service:match('@(.+)$') end"

    def test_it_is_told_the_tickets_service_and_chooses_the_realm(self):
        durward = self.policy(self.FOLLOWS)
        for realm in (kit.HOME, kit.PARTNER):
            client = self.admitted(durward.port, service="zmq/localhost@" + realm)
            client.send_message(realm.encode())
            self.assertEqual(bytes(self.recv(self.router)[-1]), realm.encode())
        self.assertEqual([line["event"]["service"] for line in durward.journal(verdict="allow")],
                         ["zmq/localhost@" + kit.HOME, "zmq/localhost@" + kit.PARTNER])

    def test_as_configured_without_it(self):
        durward = self.policy("realm = function() return nil end", realm=kit.HOME)
        self.is_served(durward.port, self.router)
        self.turned_away(durward, service="zmq/localhost@" + kit.PARTNER)
        self.says(durward, r"ticket refused .*PARTNER\.EXAMPLE")

    def test_it_holds_to_what_it_chose(self):
        durward = self.policy("realm = function() return '%s' end" % kit.PARTNER)
        self.turned_away(durward, service="zmq/localhost@" + kit.HOME)
        self.says(durward, r"ticket refused .*HOME\.EXAMPLE")
        self.admitted(durward.port, service="zmq/localhost@" + kit.PARTNER)

    def test_it_chooses_the_service(self):
        durward = self.policy("realm = function() return { service = 'host@localhost', realm = '%s' } end" % kit.HOME)
        self.admitted(durward.port, service="host@localhost").close()
        self.turned_away(durward)

    def test_it_chooses_a_keytab_that_the_configuration_names(self):
        second = self.lab.dir + "/second.keytab"
        self.lab.run("addservice", "zmq/second.home.example", "--keytab", second)
        hook = ("realm = function(event)\n  if event.service:find('second', 1, true) then\n    return { keytab = %s,"
                " service = 'zmq/second.home.example@%s' }\n  end\nend" % (kit.lua(second), kit.HOME))
        named = ops.listener(name="names-it", keytab=second, service="zmq/second.home.example@" + kit.HOME)
        durward = self.serve({"zmtp": [ops.listener(self.endpoint(self.router), realm=kit.HOME), named]},
                             HEAD + "return {\n" + hook + "," + ADMIT + "}\n")
        self.admitted(ops.port_of(durward, "trades"), service="zmq/second.home.example@" + kit.HOME)
        self.is_served(ops.port_of(durward, "trades"), self.router)

    def test_a_keytab_that_the_configuration_does_not_name(self):
        other = self.lab.dir + "/unnamed.keytab"
        with open(self.lab.keytab, "rb") as source, open(other, "wb") as file:
            file.write(source.read())
        durward = self.policy("realm = function() return { keytab = %s } end" % kit.lua(other))
        self.turned_away(durward)
        self.says(durward, r"the policy names a keytab that the configuration does not .*unnamed\.keytab")
        self.assertEqual(durward.journal(verdict="allow"), [])

    def test_a_realm_without_a_key(self):
        durward = self.policy("realm = function() return 'NOWHERE.EXAMPLE' end")
        self.turned_away(durward)
        self.says(durward, r"no credential to answer with .*NOWHERE\.EXAMPLE")

    def test_deny_and_temporary(self):
        durward = self.policy("realm = function(event) return durward.deny({ reason = 'not ' .. event.service }) end")
        self.turned_away(durward)
        line, = durward.journal()
        self.assertEqual((line["decision"]["verdict"], line["event"]["stage"]), ("deny", "realm"))
        self.assertEqual(line["decision"]["reason"], "not zmq/localhost@" + kit.HOME)
        durward = self.policy("realm = function() return durward.temporary({ reason = 'later' }) end")
        self.turned_away(durward)
        self.assertEqual([line["decision"]["reason"] for line in durward.journal()], ["later"])

    def test_garbage_never_reaches_it(self):
        durward = self.policy("realm = function() return durward.deny({ reason = 'asked' }) end")
        client = self.client(durward.port)
        client.greet()
        client.send(client.initiate(b"no token at all"))
        self.assertTrue(client.closes())
        self.assertEqual(durward.journal(), [])


class TestClose(Hooks):
    HOOK = """close = function(event)
    local closed = event.closed
    durward.log.info("left", { user = event.user, stage = event.stage, reason = closed.reason,
      seconds = closed.seconds, into = closed.bytes_in, out = closed.bytes_out })
  end"""

    def test_it_is_told_of_every_end_of_the_admitted(self):
        durward = self.policy(self.HOOK)
        client = self.admitted(durward.port)
        client.send_message(b"x" * 5000)
        sender = bytes(self.recv(self.router)[0])
        self.router.send_multipart([sender, b"y" * 3000])
        client.read_message()
        client.close()
        line = self.says(durward, r"left")
        self.assertRegex(line, r"user=\W?alice")
        self.assertRegex(line, r"stage=\W?close")
        self.assertIn("client closed", line)
        figures = {key: float(value) for key, value in re.findall(r"(seconds|into|out)=\W?([0-9.]+)", line)}
        self.assertGreater(figures["into"], 5000)
        self.assertGreater(figures["out"], 3000)
        self.assertLess(figures["seconds"], 60)
        ops.wait_empty(durward)

    def test_its_failure_changes_nothing(self):
        durward = self.policy("close = function() error('badly closed') end", settings={"workers": 1})
        self.is_served(durward.port, self.router)
        self.says(durward, r"policy\.lua.*badly closed")
        ops.wait_empty(durward)
        self.is_served(durward.port, self.router)

    def test_it_is_not_called_where_there_is_no_user_to_speak_of(self):
        durward = self.policy(self.HOOK)
        raw = self.client(durward.port)
        raw.greet()
        raw.close()
        ops.wait_empty(durward)
        self.is_served(durward.port, self.router)
        self.says(durward, r"left")
        ops.wait_empty(durward)
        self.assertEqual(len(re.findall(r"policy says what=\W?left", durward.log())), 1)


class TestFailures(Hooks):
    """One worker: whatever one script does, the next login is served by the same."""

    def fails(self, body, pattern, limits=None, seconds=None):
        durward = self.broker(self.router, settings={"workers": 1}, limits=limits, retry_hold_seconds=600, policy=HEAD +
                              "return {\n  map = function(event)\n    if event.principal.primary ~= 'bob' then"
                              " return event.principal.primary end\n" + body + "\n  end,\n"
                              "  authorize = function() return durward.allow({}) end,\n}\n")
        took = self.turned_away(durward, "bob")
        line, = durward.journal()
        self.assertEqual(line["decision"]["verdict"], "temporary")
        self.says(durward, pattern)
        self.assertLess(took, seconds or kit.PATIENCE)
        self.is_served(durward.port, self.router)
        return durward

    def test_an_error_and_its_traceback(self):
        durward = self.fails("    local function deep() error('out of order') end\n    deep()",
                             r"policy\.lua:5: out of order")
        self.assertIn("traceback", durward.log())
        self.assertRegex(durward.log(), r"policy\.lua:5: in .*deep")

    def test_an_unknown_field(self):
        self.fails("    return event.usr", r"policy\.lua:5: .*usr.*user")

    def test_a_wrong_type(self):
        self.fails("    return 42", r"(?i)map.*(string|number)")

    def test_no_end(self):
        self.fails("    while true do end", r"(?i)limit .*reached", {"decision_seconds": 3}, 15)

    def test_no_end_of_slow_steps(self):
        self.fails("    local long = ('x'):rep(2^20)\n    while true do long:find('y', 1, true) end",
                   r"(?i)limit .*reached", {"decision_seconds": 1}, 15)

    def test_all_the_memory(self):
        self.fails("    local all = {}\n    while true do all[#all + 1] = ('x'):rep(2^16) .. #all end",
                   r"(?i)(memory|not enough)")

    def test_a_deep_recursion(self):
        self.fails("    local function down(n) return 1 + down(n + 1) end\n    return down(1)",
                   r"(?i)(stack overflow|limit .*reached)")

    def test_others_wait_no_longer_than_the_limit(self):
        """One worker, and scripts that never end, one after the other: what an admitted client sends meanwhile is
        passed on at most decision_seconds later.  Measured."""
        limit, slack = 1.0, 1.5
        durward = self.broker(self.router, settings={"workers": 1}, limits={"decision_seconds": limit},
                              retry_hold_seconds=600, policy=HEAD + """
local long = ("x"):rep(2^20)
return {
  map = function(event)
    if event.principal.primary == "bob" then
      pcall(function() while true do local _ = long .. event.id end end)
      while true do pcall(string.find, long, "y", 1, true) end
    end
    return event.principal.primary
  end,
  authorize = function() return durward.allow({}) end,
}
""")
        client = self.admitted(durward.port)
        client.send_message(b"hello")
        self.recv(self.router)
        worst = 0
        for attempt in range(1, 4):
            bob = self.client(durward.port, "bob")
            bob.greet()
            bob.send(bob.initiate(bob.first_token()))
            while len(durward.journal(verdict="temporary")) < attempt:
                sent = time.monotonic()
                client.send_message(b"is anybody there?")
                self.recv(self.router)
                worst = max(worst, time.monotonic() - sent)
            bob.close()
        self.assertLess(worst, limit + slack)
        reasons = {line["decision"]["reason"] for line in durward.journal(verdict="temporary")}
        self.assertTrue(all("limit" in reason and "reached" in reason for reason in reasons), reasons)

    def test_one_worker_that_is_busy_does_not_stop_another(self):
        """While bob's script runs on one worker, a client of the other is answered: seen once, it is shown."""
        durward = self.broker(self.router, policy=HEAD + """
return {
  map = function(event)
    while event.principal.primary == "bob" do end
    return event.principal.primary
  end,
  authorize = function() return durward.allow({}) end,
}
""")
        clients = {}
        for i in range(100):
            client = self.admitted(durward.port)
            client.send_message(b"hello")
            sender = bytes(self.recv(self.router)[0])
            clients.setdefault(self.worker_of(durward.journal()[-1]), sender)
            if sender in clients.values():
                clients[sender] = client
            if len(clients) == 4:
                break
        self.assertEqual(len(clients), 4, "all connections went to one worker")
        overtaken = 0
        for attempt in range(1, 21):
            bob = self.client(durward.port, "bob")
            bob.greet()
            bob.send(bob.initiate(bob.first_token()))
            for sender in ("0", "1"):
                clients[clients[sender]].send_message(b"is anybody there?")
            first = bytes(self.recv(self.router)[0])
            still_busy = len(durward.journal(verdict="temporary")) < attempt
            second = bytes(self.recv(self.router)[0])
            self.assertTrue(bob.closes())
            bob.close()
            busy = self.worker_of(durward.wait_journal(attempt, verdict="temporary")[-1])
            self.assertEqual({first, second}, {clients["0"], clients["1"]})
            overtaken += still_busy and first != clients[busy]
            if overtaken:
                return
        self.fail("nobody was answered while a script ran on the other worker")

    @staticmethod
    def worker_of(line):
        return line["id"].split(".")[1]


if __name__ == "__main__":
    unittest.main()
