"""durward replay: a journal put to another policy.  Most journals here are written by hand; the last class replays what
a broker wrote."""
import json
import os
import pty
import subprocess
import tempfile
import unittest

import kit

OLD = """
local durward = require("durward")
local match, rule = durward.match, durward.rule
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = rule.first {
    rule.deny("bob stays out", match.user("bob")),
    rule.allow("staff", match.realm("HOME.EXAMPLE")),
  },
}
"""
START = 1600000000.0


def event(principal="alice@HOME.EXAMPLE", **more):
    return dict({"id": "a1", "time": START, "front": "zmtp", "stage": "authorize", "mechanism": "GSSAPI",
                 "listener": "trades", "peer": {"address": "192.0.2.7", "port": 4711}, "principal": principal,
                 "gss": {"expires": START + 3600, "mutual": True}}, **more)


def line(principal="alice@HOME.EXAMPLE", verdict="allow", user=None, rule="staff", at="old.lua:7", decision=None, **more):
    told = {"verdict": verdict, "user": user or principal.split("@")[0], "rule": rule}
    if verdict == "allow":
        told["expires"] = START + 3600
    told.update(decision or {})
    return {"time": "2020-09-13T12:26:40.000Z", "id": "a1", "policy": {"file": "old.lua", "sha256": "0" * 64},
            "event": event(principal, **more), "decision": told,
            "trace": [{"hook": "authorize", "text": "as it was", "at": at}], "took_us": 12}


class Replay(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="durward-replay-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        return path

    def journal(self, *lines, name="journal.jsonl"):
        return self.write(name, "".join(json.dumps(each) + "\n" for each in lines))

    def policy(self, text=OLD, name="new.lua"):
        return self.write(name, text)

    def replay(self, *arguments, policy=OLD, **more):
        return kit.run_durward("replay", "-p", self.policy(policy), *arguments, **more)

    def summary(self, *arguments, policy=OLD, **more):
        """Exit code and what --json told."""
        done = self.replay("--json", *arguments, policy=policy, **more)
        self.assertEqual(done.stderr, "")
        return done.returncode, json.loads(done.stdout)

    def counts(self, *lines, policy=OLD, options=()):
        code, told = self.summary(self.journal(*lines), *options, policy=policy)
        return code, {name: group["count"] for name, group in told["groups"].items() if group["count"]}


class TestGroups(Replay):
    def test_nothing_changes(self):
        done = self.replay(self.journal(line(), line("bob@HOME.EXAMPLE", "deny", rule="bob stays out")))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "2 decisions replayed: all the same\n")

    def test_verdicts(self):
        policy = """local durward = require("durward")
        return { map = function(event) return event.principal.primary end,
          authorize = function(event) return durward[event.listener] {} end }"""
        for old in ("allow", "deny", "temporary"):
            for new, group in (("allow", "newly-allowed"), ("deny", "newly-denied"), ("temporary", "newly-temporary")):
                want = {}
                if new != old:
                    want[group] = 1
                    if old == "temporary":
                        want["no-longer-temporary"] = 1
                with self.subTest(old=old, new=new):
                    recorded = line(verdict=old, rule=None, listener=new)
                    self.assertEqual(self.counts(recorded, policy=policy), (3 if want else 0, want))

    def test_other_user_backend_and_details(self):
        policy = """local durward = require("durward")
        return { map = function(event) return event.principal.primary end,
          authorize = function(event) return durward.allow %s end }"""
        recorded = line(rule=None, decision={"backend": "tcp://127.0.0.1:1", "properties": {"X-Team": "ops"},
                                             "expires": START + 60})
        grants = 'backend = "tcp://127.0.0.1:1", properties = { ["X-Team"] = "ops" }, expires = event.time + 60'
        for fields, want in (
                ("{ %s }" % grants, {}),
                ('{ user = "robert", %s }' % grants, {"other-user": 1}),
                ("{ %s }" % grants.replace(":1", ":2"), {"other-backend": 1}),
                ("{ %s }" % grants.replace('backend = "tcp://127.0.0.1:1",', ""), {"other-backend": 1}),
                ("{ %s }" % grants.replace("ops", "dev"), {"other-details": 1}),
                ("{ %s }" % grants.replace("+ 60", "+ 61"), {"other-details": 1}),
                ('{ identity = "x", %s }' % grants, {"other-details": 1}),
                ('{ sockets = { "SUB" }, %s }' % grants, {"other-details": 1}),
                ('{ user = "robert", identity = "x" }', {"other-user": 1, "other-backend": 1, "other-details": 1})):
            with self.subTest(fields=fields):
                self.assertEqual(self.counts(recorded, policy=policy % fields), (3 if want else 0, want))

    def test_what_a_refusal_would_have_granted_is_no_difference(self):
        policy = "return { map = function() return 'else' end, authorize = require('durward').rule.deny('no') }"
        self.assertEqual(self.counts(line(verdict="deny", rule="no", decision={"backend": "tcp://h:1"}), policy=policy),
                         (0, {}))

    def test_another_rule_alone_is_told_and_no_difference(self):
        policy = OLD.replace('"staff"', '"home"')
        journal = self.journal(line())
        done = self.replay(journal, policy=policy)
        self.assertEqual(done.returncode, 0)
        self.assertIn("all the same\n1 is the same by another rule\n", done.stdout)
        done = self.replay(journal, "--fail-on", "other-rule", policy=policy)
        self.assertEqual(done.returncode, 3)
        self.assertIn('by rule "staff" (old.lua:7) -> rule "home" (', done.stdout)

    def test_a_text_for_people(self):
        policy = OLD.replace('match.user("bob")', 'match.user("alice")').replace("bob stays", "alice stays")
        barred = line("bob@HOME.EXAMPLE", "deny", rule="bob stays out")
        done = self.replay(self.journal(barred, line(), barred), policy=policy)
        self.assertEqual(done.returncode, 3)
        here = os.path.join(self.dir, "journal.jsonl")
        there = os.path.join(self.dir, "new.lua")
        self.assertEqual(done.stdout, f"""newly allowed  2
  bob@HOME.EXAMPLE  GSSAPI  trades  2 times, first at {here}:1
    deny -> allow bob
    by rule "bob stays out" (old.lua:7) -> rule "staff" ({there}:8)

newly denied  1
  alice@HOME.EXAMPLE  GSSAPI  trades  {here}:2
    allow alice -> deny
    by rule "staff" (old.lua:7) -> rule "alice stays out" ({there}:7)

3 decisions replayed: 0 the same, 3 differ
""")

    def test_a_failing_policy_is_told_once_a_line_without_tracebacks(self):
        done = self.replay(self.journal(line(), line()),
                           policy="return { map = function(event) return event.principl.name end }")
        self.assertEqual((done.returncode, done.stderr), (3, ""))
        self.assertIn("allow alice -> temporary", done.stdout)
        self.assertIn("did you mean 'principal'?", done.stdout)
        self.assertIn("2 times", done.stdout)


class TestEvents(Replay):
    def test_an_event_is_decided_at_its_own_time(self):
        """Its ticket ended years ago; what the policy reads as now is then."""
        policy = """local durward = require("durward")
        return { map = function() return "alice" end,
          authorize = function(event) return durward.allow { expires = event.time + 5 } end }"""
        recorded = line(rule=None, decision={"expires": START + 5})
        self.assertEqual(self.counts(recorded, policy=policy), (0, {}))
        del recorded["event"]["time"]  # the line's stands in
        self.assertEqual(self.counts(recorded, policy=policy), (0, {}))

    def test_octets_that_are_no_text(self):
        recorded = line(decision={"user": "x"}, rule=None)
        recorded["event"]["principal"] = {"hex": "78ff40484f4d45"}
        policy = """local durward = require("durward")
        return { map = function(event) return event.principal.realm == "HOME" and "x" or nil end,
          authorize = function() return durward.allow {} end }"""
        self.assertEqual(self.counts(recorded, policy=policy), (0, {}))
        done = self.replay(self.journal(recorded), policy="return {}")
        self.assertIn('{"hex":"78ff40484f4d45"}', done.stdout)

    def test_the_recorded_user_is_not_taken_for_granted(self):
        self.assertEqual(self.counts(line(), policy="return { authorize = function(event)"
                                     " return require('durward').allow { user = event.user or 'nobody' } end }"),
                         (3, {"other-user": 1}))

    def test_several_policies_and_journals(self):
        first = self.policy("return { map = function() end }", "first.lua")
        one, two = self.journal(line()), self.journal(line("x@ELSE.EXAMPLE", "deny", rule=None), name="two.jsonl")
        done = kit.run_durward("replay", "-p", first, "-p", self.policy(), one, two)
        self.assertEqual((done.returncode, done.stdout), (0, "2 decisions replayed: all the same\n"))

    def test_refusals_before_the_admission_are_asked_at_their_stage(self):
        early = line("", "deny", rule="networks", at="old.lua:3", decision={"user": None})
        early["event"] = {key: early["event"][key] for key in ("id", "time", "front", "listener", "peer")}
        early["event"].update(stage="connect", mechanism="GSSAPI")
        code, told = self.summary(self.journal(early))
        self.assertEqual((code, told["groups"]["newly-allowed"]["count"]), (3, 1))
        self.assertIn("deny at connect -> goes on at connect", self.replay(self.journal(early)).stdout)
        same = """local durward = require("durward")
        return { connect = durward.rule.deny("networks", durward.match.peer("192.0.2.0/24")) }"""
        self.assertEqual(self.counts(early, policy=same), (0, {}))

    def test_an_admission_passes_connect_and_realm_first(self):
        for hook in ("connect", "realm"):
            policy = OLD.replace("return {", "return { %s = function(event) assert(not rawequal(event.peer, nil))"
                                 " if event.principal then error('known') end"
                                 " return durward.deny { reason = 'shut' } end," % hook)
            done = self.replay(self.journal(line()), policy=policy)
            self.assertEqual(done.returncode, 3)
            self.assertIn("allow alice -> deny at %s\n" % hook, done.stdout)
        asked = line(front="zap", mechanism="PLAIN", principal="")
        del asked["event"]["principal"], asked["event"]["gss"]
        policy = """local durward = require("durward")
        return { connect = durward.rule.deny("never asked for ZAP"), map = function() return "alice" end,
          authorize = durward.rule.allow("staff") }"""
        asked["decision"] = {"verdict": "allow", "user": "alice", "rule": "staff"}
        self.assertEqual(self.counts(asked, policy=policy), (0, {}))

    def test_the_brokers_own_refusals_are_no_policys(self):
        own = line(verdict="deny", rule="sockets", decision={"reason": "socket type PUB"})
        own.update(policy={}, trace=[])
        without = line(verdict="deny", rule=None, decision={"reason": "there is no policy"})
        without.update(policy={}, trace=[])
        code, told = self.summary(self.journal(own, without))
        self.assertEqual((code, told["replayed"], told["not_policy"]), (3, 1, 1))
        self.assertEqual(told["groups"]["newly-allowed"]["count"], 1)

    def test_a_password_is_not_in_a_journal_and_that_is_said(self):
        asked = line(front="zap", mechanism="PLAIN", plain={"username": "alice"})
        del asked["event"]["principal"], asked["event"]["gss"]
        done = self.replay(self.journal(asked), policy="return { map = function(e) return e.plain.username end,"
                           " authorize = function(e) return require('durward').allow {} end }")
        self.assertIn("1 log-in was by password, which no journal holds", done.stdout)

    def test_a_verified_password_is_known_by_what_came_of_it(self):
        """No journal has the password, but whether it was right."""
        self.write("users", "alice:$5$rounds=1000$durward$93YPEPzxYH/C/NLb9Ls3dgaEgXoeHOh0VxFsa19nVi2\n")
        policy = """local users = require("durward.zap").users("users")
        return { map = function(e)
            local right, why = users:verify(e.plain.username, e.plain.password)
            return right and e.plain.username or nil, why
          end,
          authorize = require("durward").rule.allow("staff") }"""
        asked = line(front="zap", mechanism="PLAIN", plain={"username": "alice"})
        del asked["event"]["principal"], asked["event"]["gss"]
        wrong, unheard = json.loads(json.dumps(asked)), json.loads(json.dumps(asked))
        for told, answer in ((asked, True), (wrong, False)):
            told["trace"][:0] = [{"hook": "map", "text": "asked", "want": "password:users", "key": "alice",
                                  "answer": answer}]
        asked["decision"] = {"verdict": "allow", "user": "alice", "rule": "staff"}
        for told in (wrong, unheard):
            told["decision"] = {"verdict": "deny"}
        self.assertEqual(self.counts(asked, wrong, policy=policy), (0, {}))
        code, told = self.summary(self.journal(unheard), policy=policy)
        self.assertEqual((code, told["without_password"]), (3, 1))
        new = told["groups"]["newly-temporary"]["examples"][0]["new"]
        self.assertIn("nobody knows the password any more", new["reason"])
        self.assertEqual(self.counts(unheard, policy=policy.replace("users:verify(e.plain.username, e.plain.password)",
                                                                    "e.plain.password:equals('')"))[1],
                         {"newly-temporary": 1})

    def test_a_configuration_says_who_is_refused_and_which_policies_are_asked(self):
        self.write("old.lua", OLD)
        self.write("c.lua", 'return { policy = "old.lua", refuse_users = { "alice" } }')
        journal = self.journal(line(), line("root@HOME.EXAMPLE", "deny", rule=None))
        wanted = {"newly-denied": 1, "newly-allowed": 1}
        for options in (["-c", os.path.join(self.dir, "c.lua")],
                        ["-c", os.path.join(self.dir, "c.lua"), "-p", os.path.join(self.dir, "old.lua")]):
            done = kit.run_durward("replay", *options, "--json", journal)
            told = json.loads(done.stdout)["groups"]
            self.assertEqual({name: group["count"] for name, group in told.items() if group["count"]}, wanted)
        done = kit.run_durward("replay", *options, "--refuse-user", "root", "--json", journal)
        self.assertEqual(json.loads(done.stdout)["groups"]["newly-allowed"]["count"], 0)
        self.write("c.lua", 'return { policy = "old.lua", refuse_user = { "alice" } }')
        done = kit.run_durward("replay", *options, journal)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("c.lua:1: unknown key 'refuse_user', did you mean 'refuse_users'?", done.stderr)

    def test_look_ups_are_answered_as_they_were_then(self):
        policy = """local durward = require("durward")
        return { map = function(event)
            local names, why = durward.await.resolve("_kerberos.%s", "TXT")
            return names and names[1], why
          end,
          authorize = durward.rule.allow("staff") }"""
        recorded = line(decision={"user": "ANSWER.EXAMPLE"})
        recorded["trace"][:0] = [
            {"hook": "map", "text": "asked", "want": "TXT", "key": "_kerberos.known.example", "answer": ["ANSWER.EXAMPLE"]},
            {"hook": "map", "text": "asked", "want": "TXT", "key": "_kerberos.none.example", "failed": "no such name"},
            {"hook": "map", "text": "asked", "want": "TXT", "key": "_kerberos.cut.example"}]
        self.assertEqual(self.counts(recorded, policy=policy % "known.example"), (0, {}))
        done = self.replay(self.journal(recorded), policy=policy % "none.example")
        self.assertIn("allow ANSWER.EXAMPLE -> deny\n", done.stdout)
        self.assertIn("no such name", done.stdout)
        for unknown in ("cut.example", "else.example"):
            done = self.replay(self.journal(recorded), policy=policy % unknown)
            self.assertIn("-> temporary\n", done.stdout)
            self.assertIn("the journal has no answer to TXT _kerberos.%s" % unknown, done.stdout)

    def test_users_that_are_refused(self):
        recorded = line("admin@HOME.EXAMPLE", "deny")
        self.assertEqual(self.counts(recorded), (3, {"newly-allowed": 1}))
        self.assertEqual(self.counts(recorded, options=("--refuse-user", "admin")), (0, {}))
        self.assertEqual(self.counts(line("root@HOME.EXAMPLE", "deny")), (0, {}))


class TestOptions(Replay):
    def test_fail_on(self):
        journal = self.journal(line("bob@HOME.EXAMPLE"), line("eve@HOME.EXAMPLE", "temporary"))
        for groups, code in (("newly-denied", 3), ("other-user", 0), ("other-user,newly-allowed", 3),
                             ("newly-temporary", 0), ("no-longer-temporary", 3), ("other-backend,other-details", 0)):
            with self.subTest(groups=groups):
                done = self.replay(journal, "--fail-on=" + groups)
                self.assertEqual(done.returncode, code)
                self.assertIn("0 the same, 2 differ", done.stdout)

    def test_examples(self):
        lines = [line("u%d@HOME.EXAMPLE" % (i % 30), "deny", rule="old") for i in range(90)]
        done = self.replay(self.journal(*lines), "--examples", "3")
        self.assertIn("newly allowed  90\n  u0@HOME.EXAMPLE", done.stdout)
        self.assertEqual(done.stdout.count("3 times"), 3)
        self.assertIn("  and 81 more\n", done.stdout)
        self.assertEqual(self.replay(self.journal(*lines), "--examples=0").stdout,
                         "newly allowed  90\n\n90 decisions replayed: 0 the same, 90 differ\n")

    def test_verbose_tells_every_one(self):
        lines = [line("u%d@HOME.EXAMPLE" % i, "deny", rule="old") for i in range(25)]
        journal = self.journal(*lines, line())
        done = self.replay(journal, "--verbose")
        self.assertEqual(done.stdout.count("    deny -> allow u"), 25)
        done = self.replay(journal, "--verbose", "--json")
        told = [json.loads(each) for each in done.stdout.splitlines()]
        self.assertEqual((len(told), told[0]["line"], told[24]["changes"]), (26, 1, ["newly-allowed"]))
        self.assertEqual(told[25]["groups"]["newly-allowed"], {"count": 25, "examples": []})

    def test_json(self):
        code, told = self.summary(self.journal(line(), line("bob@HOME.EXAMPLE")))
        self.assertEqual(code, 3)
        self.assertEqual((told["replayed"], told["same"], told["differ"], told["bad"], told["torn"]), (2, 1, 1, 0, 0))
        self.assertRegex(told["policy"]["sha256"], "^[0-9a-f]{64}$")
        example, = told["groups"]["newly-denied"]["examples"]
        self.assertEqual((example["principal"], example["line"], example["count"]), ("bob@HOME.EXAMPLE", 2, 1))
        self.assertEqual((example["old"]["verdict"], example["new"]["verdict"], example["new"]["rule"]),
                         ("allow", "deny", "bob stays out"))

    def test_the_same_answer_each_time(self):
        journal = self.journal(*(line("u%d@HOME.EXAMPLE" % (i % 7), "deny", rule="old") for i in range(50)))
        self.assertEqual(len({self.replay(journal, "--json").stdout for _ in range(3)}), 1)

    def test_wrong_usage(self):
        journal, policy = self.journal(line()), self.policy()
        for arguments, said in (((), "name a policy"), (("-p", policy), "name a journal"),
                                (("-p", policy, journal, "--fail-on", "newly-alowed"), "did you mean 'newly-allowed'?"),
                                (("-p", policy, journal, "--fail-on="), "there is no group ''"),
                                (("-p", policy, journal, "--verbos"), "did you mean '--verbose'?"),
                                (("-p", policy, journal, "--json=1"), "--json takes no value"),
                                (("-p", policy, journal, "--examples", "many"), "'many' is not a number"),
                                (("-p", policy, journal, "--fail-on"), "--fail-on needs a value"),
                                (("-p", policy, journal, "/nonexistent.jsonl"), "/nonexistent.jsonl: No such file"),
                                (("-p", policy, self.dir), "this is a folder"),
                                (("-p", "/nonexistent.lua", journal), "/nonexistent.lua: No such file")):
            with self.subTest(arguments=arguments):
                done = kit.run_durward("replay", *arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(said, done.stderr)
                self.assertTrue(done.stderr.startswith("durward replay: "), done.stderr)

    def test_a_policy_that_does_not_load(self):
        done = self.replay(self.journal(line()), policy="return { mapp = function() end }")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("new.lua:1: unknown hook 'mapp', did you mean 'map'?", done.stderr)

    def test_help(self):
        done = kit.run_durward("replay", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--fail-on", done.stdout)


class TestJournals(Replay):
    def test_standard_input(self):
        text = json.dumps(line("bob@HOME.EXAMPLE")) + "\n"
        done = self.replay("-", text=text)
        self.assertEqual(done.returncode, 3)
        self.assertIn("standard input:1\n", done.stdout)

    def test_a_torn_last_line_is_told_and_left_out(self):
        whole = json.dumps(line()) + "\n"
        path = self.write("torn.jsonl", whole + whole[:100])
        done = self.replay(path)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "durward replay: %s:2: the last line is torn: it ends before its newline\n" % path)
        self.assertIn("1 decision replayed: all the same\n1 torn line", done.stdout)

    def test_a_last_line_that_lacks_but_its_newline_counts(self):
        done = self.replay(self.write("whole.jsonl", json.dumps(line()) + "\n" + json.dumps(line())))
        self.assertEqual((done.returncode, done.stdout), (0, "2 decisions replayed: all the same\n"))

    def test_an_empty_journal(self):
        done = self.replay(self.write("empty.jsonl", "\n\n"))
        self.assertEqual((done.returncode, done.stdout), (0, "0 decisions replayed: nothing to compare\n"))

    def test_bad_lines(self):
        good = json.dumps(line())
        mistaken = line()
        mistaken["event"]["principl"] = "x"
        verdict = line()
        verdict["decision"]["verdict"] = "perhaps"
        for bad, said in (("{oops", "this is not a JSON object"), ("[1]", "some other value"), ("{}", "an event and a"),
                          (json.dumps(mistaken), "did you mean 'principal'?"), (json.dumps(verdict), "none of allow"),
                          ('{"a":1,"a":2}', "not a JSON object"), ("\x00\x1b[31m", "not a JSON object"),
                          ("[" * 100000, "not a JSON object")):
            path = self.write("bad.jsonl", "%s\n%s\n%s\n" % (good, bad, good))
            with self.subTest(bad=bad[:40]):
                done = self.replay(path)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertTrue(done.stderr.startswith("durward replay: %s:2: " % path), done.stderr)
                self.assertIn(said, done.stderr)
                self.assertNotIn("\x1b", done.stderr)
                done = self.replay(path, "--skip-bad")
                self.assertEqual(done.returncode, 0)
                self.assertIn("2 decisions replayed: all the same\n1 bad line was skipped\n", done.stdout)

    def test_octets_that_are_no_utf8(self):
        path = self.write("bad.jsonl", b'{"event":"\xff\xfe"}\n')
        done = self.replay(path)
        self.assertEqual(done.returncode, 2)
        self.assertIn("bad.jsonl:1: this is not a JSON object", done.stderr)

    def test_a_line_without_end(self):
        good = json.dumps(line()) + "\n"
        path = self.write("long.jsonl", good + '{"event":"' + "x" * (6 << 20) + '"}\n' + good)
        done = self.replay(path, "--skip-bad")
        self.assertEqual(done.returncode, 0)
        self.assertIn("long.jsonl:2: a line of more than 4194304 octets", done.stderr)
        self.assertIn("2 decisions replayed", done.stdout)

    def test_memory_is_bounded(self):
        """Twenty times the lines, all of them different: the same memory, a little aside."""
        def peak(count):
            path = os.path.join(self.dir, "many.jsonl")
            with open(path, "w", encoding="ascii") as file:
                for i in range(count):
                    file.write(json.dumps(line("user%d@HOME.EXAMPLE" % i, "deny", rule="old")) + "\n")
            script = ("import resource, subprocess, sys\n"
                      "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
                      "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n")
            environment = dict(os.environ, **kit.SANITIZERS)
            environment["ASAN_OPTIONS"] += ":quarantine_size_mb=1"
            done = subprocess.run(["/usr/bin/python3", "-c", script, kit.DURWARD, "replay", "-p", self.policy(), path],
                                  capture_output=True, text=True, env=environment, check=True)
            code, size = map(int, done.stdout.split())
            self.assertEqual(code, 3)
            return size

        few, many = peak(1000), peak(20000)
        self.assertLess(many, few + 16 * 1024)


class TestTerminal(Replay):
    def screen(self, journal, **environment):
        leader, follower = pty.openpty()
        env = dict(os.environ, **kit.SANITIZERS)
        env.pop("NO_COLOR", None)
        env.update(environment)
        process = subprocess.Popen([kit.DURWARD, "replay", "-p", self.policy(), journal], stdout=follower,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(leader)
        self.assertEqual((process.wait(), process.stderr.read()), (3, b""))
        process.stderr.close()
        return shown.decode()

    def test_colour_and_width_on_a_terminal_only(self):
        long = "a" * 300 + "@HOME.EXAMPLE"
        journal = self.journal(line("bob@HOME.EXAMPLE"), line(long, "deny"))
        shown = self.screen(journal)
        self.assertIn("\x1b[1;31mnewly denied\x1b[0m", shown)
        self.assertTrue(all(len(each) <= 80 for each in shown.replace("\x1b[1;31m", "").split("\r\n")), shown)
        self.assertIn("\u2026", shown)
        self.assertNotIn("\x1b", self.screen(journal, NO_COLOR="1"))
        done = self.replay(journal)
        self.assertIn(long, done.stdout)
        self.assertNotIn("\x1b", done.stdout)

    def test_a_name_cannot_move_the_terminal(self):
        done = self.replay(self.journal(line("x\x1b[2J@ELSE.EXAMPLE")))
        self.assertNotIn("\x1b", done.stdout)


class TestBroker(kit.Case):
    def test_what_a_broker_wrote_is_the_same_again(self):
        durward = self.gateway(self.backend("ROUTER"), retry_hold_seconds=0.2)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("hello")
        self.peer("bob").client("DEALER").connect(durward.endpoint)
        self.assertTrue(durward.wait_journal(verdict="allow") and durward.wait_journal(verdict="deny"))
        journal = durward.path("journal.jsonl")
        done = kit.run_durward("replay", "-p", durward.path("policy.lua"), journal)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertRegex(done.stdout, r"^\d+ decisions? replayed: all the same\n$")
        durward.write("next.lua", kit.EVERYBODY)
        done = kit.run_durward("replay", "-p", durward.path("next.lua"), journal, "--fail-on", "newly-allowed")
        self.assertEqual(done.returncode, 3)
        self.assertIn("bob@HOME.EXAMPLE", done.stdout)
        self.assertNotIn("alice@HOME.EXAMPLE", done.stdout)


if __name__ == "__main__":
    unittest.main()
