"""The dovecot front, asked line by line: what it offers, decides and says, and what it does not take."""
import os
import socket
import threading
import unittest

import kit
from dovecot_kit import Asker, Ended, Ticket, decode

IMAP, XMPP = "imap/localhost@" + kit.HOME, "xmpp/localhost@" + kit.HOME
DENIED = ("FAIL", [])
AUTHZID = ("FAIL", ["reason=Not authorized to act as that user", "authz", "code=authz_fail"])
TEMPORARY = ("FAIL", ["reason=Temporary authentication failure", "temp", "code=temp_fail"])

POLICY = """
local durward = require("durward")
return {
  map = durward.map.chain {
    durward.map.strip_realm("HOME.EXAMPLE"),
    durward.map.name("%1-%2", "HOME.EXAMPLE"),
  },
  authorize = function(event)
    if event.user == "bob" then
      return durward.deny({ reason = "bob stays outside" })
    end
    return durward.allow({})
  end,
}
"""


class Case(kit.Case):
    def front(self, policy=POLICY, limits=None, **listener):
        """durward with one dovecot listener on a unix socket, at .where."""
        listener = dict({"name": "sasl", "listen": "ipc://auth"}, **listener)
        config = {"dovecot": [listener], "workers": 2}
        if limits:
            config["limits"] = limits
        durward = self.serve(config, policy)
        durward.where = durward.path("auth")
        return durward

    def asker(self, durward, **more):
        asker = Asker(durward.where, **more)
        self.addCleanup(asker.close)
        return asker

    def ticket(self, user="alice", service=IMAP, **more):
        return Ticket(self.lab.cache(user), service, **more)


class Logins(Case):
    def test_handshake(self):
        durward = self.front()
        told = self.asker(durward).told
        self.assertEqual(told[0], ["VERSION", "1", "1"])
        self.assertIn(["MECH", "GSSAPI", "mutual-auth"], told)
        self.assertEqual(told[-1], ["DONE"])
        words = {line[0]: line[1] for line in told if len(line) == 2}
        self.assertTrue(int(words["SPID"]) > 0 and int(words["CUID"]) > 0)
        self.assertEqual(len(bytes.fromhex(words["COOKIE"])), 16)
        other = {line[0]: line[1] for line in self.asker(durward).told if len(line) == 2}
        self.assertNotEqual(words["COOKIE"], other["COOKIE"])

    def test_one_event_one_decision(self):
        durward = self.front()
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), "rip=192.0.2.7", "rport=4711", "lip=192.0.2.1",
                                        "lport=143", "local_name=mail.example.com", "secured", "no-penalty"),
                         ("OK", ["user=alice"]))
        [line] = durward.journal()
        event = line["event"]
        self.assertEqual([event[key] for key in ("front", "mechanism", "listener", "service", "domain", "principal")],
                         ["dovecot", "GSSAPI", "sasl", IMAP, "mail.example.com", "alice@" + kit.HOME])
        self.assertEqual(event["peer"], {"address": "192.0.2.7", "port": 4711})
        self.assertTrue(event["gss"]["mutual"] and not event["gss"]["channel_bound"])
        self.assertEqual(line["decision"]["verdict"], "allow")
        self.assertIsNotNone(durward.wait_log("authenticated .*principal=alice@HOME.EXAMPLE user=alice"))

    def test_who_does_not_say_where_its_client_is(self):
        durward = self.front()
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket("admin/admin")), ("OK", ["user=admin-admin"]))
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), "rip=a name"), ("OK", ["user=alice"]))
        for line in durward.journal():
            peer = line["event"]["peer"]
            self.assertEqual((peer["address"], peer["uid"], peer["pid"]), ("local", os.getuid(), os.getpid()))
            self.assertNotIn("domain", line["event"])

    def test_clients_as_they_are(self):
        asker = self.asker(self.front())
        for number, (mutual, initial, answers) in enumerate([
                (True, True, {}), (True, False, {}), (False, True, {"choice": b"\0\0\0\0"}),
                (True, True, {"choice": b"\1\xff\xff\xff"}), (True, True, {"sealed": True}),
                (True, True, {"authzid": b"alice"}), (True, True, {"authzid": b"alice@mail.example.com"}),
                (False, False, {"authzid": b"alice@HOME.EXAMPLE"})]):
            with self.subTest(number=number):
                self.assertEqual(asker.exchange(number, "imap", self.ticket(mutual=mutual), "local_name=mail.example.com",
                                                initial=initial, **answers), ("OK", ["user=alice"]))

    def test_services_by_the_names_that_they_go_by(self):
        for service in ("pop/localhost", "smtp/localhost"):
            self.lab.run("addservice", service, "--keytab", self.lab.dir + "/mail.keytab")
        durward = self.front(keytab=self.lab.dir + "/mail.keytab")
        asker = self.asker(durward)
        for asked, key in (("pop3", "pop"), ("POP3", "pop"), ("smtp", "smtp"), ("submission", "smtp")):
            ticket = self.ticket(service="%s/localhost@%s" % (key, kit.HOME))
            self.assertEqual(asker.exchange(1, asked, ticket), ("OK", ["user=alice"]))
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), TEMPORARY)
        self.assertIsNotNone(durward.wait_log("no credential to answer with .*has no key for imap/"))

    def test_many_at_once(self):
        asker = self.asker(self.front())
        tickets = {number: self.ticket("bob" if number % 3 == 0 else "alice") for number in range(1, 61)}
        for number, ticket in tickets.items():
            asker.auth(number, "imap", response=ticket.step())
        outcomes = {}
        while len(outcomes) < len(tickets):
            verb, about, *rest = asker.line()
            number = int(about)
            if verb == "CONT":
                asker.cont(number, tickets[number].answer(decode(rest[0])))
            else:
                outcomes[number] = verb
        self.assertEqual(outcomes, {number: "FAIL" if number % 3 == 0 else "OK" for number in tickets})

    def test_jid(self):
        durward = self.front(POLICY.replace("durward.allow({})", 'durward.allow({ jid = event.user .. "@example.test" })'))
        asker = self.asker(durward)
        for authzid in (b"", b"alice", b"alice@example.test", b"alice@HOME.EXAMPLE"):
            self.assertEqual(asker.exchange(1, "xmpp", self.ticket(service=XMPP), authzid=authzid),
                             ("OK", ["user=alice@example.test"]))
        self.assertEqual(asker.exchange(1, "xmpp", self.ticket(service=XMPP), authzid=b"bob@example.test"), AUTHZID)


class Refusals(Case):
    def test_by_the_policy(self):
        durward = self.front()
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket("bob")), DENIED)
        [line] = durward.journal()
        self.assertEqual((line["decision"]["verdict"], line["decision"]["reason"]), ("deny", "bob stays outside"))
        self.assertIsNotNone(durward.wait_log("denied .*bob stays outside"))
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))

    def test_names_that_a_server_would_take_for_another(self):
        """refuse_users in another writing: an XMPP server folds it, and others may."""
        for service, name, answer in (("xmpp", "ROOT@example.test", DENIED), ("imap", "Root", DENIED),
                                      ("xmpp", "\uff52oot", TEMPORARY), ("xmpp", "ro\u00adot", TEMPORARY),
                                      ("xmpp", "zo\u00eb", ("OK", ["user=zo\u00eb"])), ("imap", "\uff52oot",
                                                                                       ("OK", ["user=\uff52oot"]))):
            with self.subTest(service=service, name=name):
                durward = self.front(POLICY.replace("durward.allow({})", 'durward.allow({ jid = "%s" })' % name))
                ticket = self.ticket(service=XMPP if service == "xmpp" else IMAP)
                self.assertEqual(self.asker(durward).exchange(1, service, ticket), answer)

    def test_cross_realm_without_a_word_for_it(self):
        asker = self.asker(self.front())
        self.assertEqual(asker.exchange(1, "imap", self.ticket("alice@" + kit.PARTNER)), DENIED)

    def test_cross_realm_with_one(self):
        policy = POLICY.replace("durward.map.name(", 'durward.map.name("%1.partner", "PARTNER.EXAMPLE"),\n'
                                "    durward.map.name(", 1)
        durward = self.front(policy)
        self.assertEqual(self.asker(durward).exchange(1, "imap", self.ticket("alice@" + kit.PARTNER)),
                         ("OK", ["user=alice.partner"]))
        self.assertTrue(durward.journal()[0]["event"]["gss"]["cross_realm"])

    def test_to_act_for_another(self):
        policy = POLICY.replace("return durward.allow({})", """
          if event.authzid == "carol" and event.user == "admin-admin" then
            return durward.allow({ user = "carol" })
          end
          return durward.allow({})""")
        durward = self.front(policy)
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket("admin/admin"), authzid=b"carol"), ("OK", ["user=carol"]))
        self.assertEqual(asker.exchange(1, "imap", self.ticket("admin/admin"), authzid=b"dave"), AUTHZID)
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), authzid=b"carol"), AUTHZID)
        self.assertEqual([line["decision"].get("rule") for line in durward.journal(verdict="deny")],
                         ["authzid", "authzid"])
        self.assertEqual(durward.journal(verdict="allow")[0]["event"]["authzid"], "carol")

    def test_to_act_for_another_where_the_policy_says_no(self):
        durward = self.front(POLICY.replace("return durward.allow({})", """
          if event.authzid == "carol" then return durward.deny({ reason = "not for carol" }) end
          return durward.allow({})"""))
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), authzid=b"carol"), AUTHZID)
        self.assertEqual(durward.journal(verdict="deny")[0]["decision"]["reason"], "not for carol")

    def test_tickets_for_others(self):
        durward = self.front(services=["imap", "smtp"])
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket(service=XMPP)), DENIED)
        self.assertIsNotNone(durward.wait_log("authentication failed .*xmpp/localhost@HOME.EXAMPLE, which does not"))
        self.assertEqual(asker.exchange(2, "xmpp", self.ticket(service=XMPP)), DENIED)
        self.assertIsNotNone(durward.wait_log("denied .*not among 'services'"))
        self.assertEqual(asker.exchange(3, "imap", self.ticket()), ("OK", ["user=alice"]))
        self.assertEqual(len(durward.journal()), 1)

    def test_layers(self):
        asker = self.asker(self.front())
        for layer in (b"\2\0\x10\0", b"\4\0\x10\0", b"\6\0\x10\0"):
            self.assertEqual(asker.exchange(1, "imap", self.ticket(), choice=layer), DENIED)
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))

    def test_mutual_authentication_required(self):
        asker = self.asker(self.front(require_mutual=True))
        self.assertEqual(asker.exchange(1, "imap", self.ticket(mutual=False)), DENIED)
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))

    def test_a_token_twice(self):
        durward = self.front()
        token = self.ticket().step()
        asker = self.asker(durward)
        asker.auth(1, "imap", response=token)
        self.assertEqual(asker.reply(1)[0], "CONT")
        asker.auth(2, "imap", response=token)
        self.assertEqual(asker.reply(2)[0], "FAIL")

    def test_garbage_ends_its_exchange_alone(self):
        durward = self.front()
        asker = self.asker(durward)
        good = self.ticket()
        asker.auth(1, "imap", response=good.step())
        challenge = asker.reply(1)[1]
        asker.say("AUTH", 2, "GSSAPI", "service=imap", "resp=!!!!")
        self.assertEqual(asker.reply(2), DENIED)
        asker.auth(3, "imap", response=b"\x60\x82garbage")
        self.assertEqual(asker.reply(3), DENIED)
        asker.cont(4, b"")
        self.assertEqual(asker.reply(4), DENIED)
        asker.auth(5, "imap", response=b"\0alice\0secret", mechanism="PLAIN")
        self.assertEqual(asker.reply(5), DENIED)
        asker.cont(1, good.answer(challenge))
        verb, layers = asker.reply(1)
        asker.cont(1, good.answer(layers))
        self.assertEqual(asker.reply(1), ("OK", ["user=alice"]))
        self.assertIsNotNone(durward.wait_log("authentication failed", times=4))

    def test_a_policy_that_fails(self):
        durward = self.front("return { map = function(event) return event.nothing end }")
        self.assertEqual(self.asker(durward).exchange(1, "imap", self.ticket()), TEMPORARY)
        self.assertEqual(durward.journal()[0]["decision"]["verdict"], "temporary")

    def test_wrong_lines_end_the_connection(self):
        durward = self.front()
        bystander = self.asker(durward)
        for line in (b"GET / HTTP/1.1\r\n", b"VERSION\t2\t0\n", b"CPID\t1\n", b"\n", b"VERSION\t1\t1\nAUTH\t1\tGSSAPI\n",
                     b"VERSION\t1\t1\nCPID\t1\nAUTH\t1\tGSSAPI\tservice=imap\nAUTH\t1\tGSSAPI\tservice=imap\n",
                     b"VERSION\t1\t1\nCPID\t1\nAUTH\t1\tGSSAPI\tservice=" + b"x" * 300000):
            asker = Asker(durward.where, hello=False)
            try:
                asker.raw(line)
            except OSError:
                pass  # it did not wait for the end of an endless line
            with self.assertRaises(Ended):
                while True:
                    asker.line()
            asker.close()
        self.assertIsNotNone(durward.wait_log("server closed for an error", times=7))
        self.assertEqual(bystander.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))


class Hooks(Case):
    def test_connect_sees_the_client(self):
        policy = POLICY.replace("return {", """return {
          connect = function(event)
            if event.peer.address == "192.0.2.66" then
              return durward.deny({ reason = "not from there" })
            end
          end,""", 1)
        durward = self.front(policy)
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), "rip=192.0.2.66"), DENIED)
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), "rip=192.0.2.65"), ("OK", ["user=alice"]))
        self.assertEqual([line["event"]["stage"] for line in durward.journal()][0], "connect")

    def test_realm_is_asked_with_the_service(self):
        policy = POLICY.replace("return {", """return {
          realm = function(event)
            if event.service == "xmpp" then
              return "PARTNER.EXAMPLE"
            elseif event.service == "imap" then
              return { service = "imap@localhost", realm = "HOME.EXAMPLE" }
            end
            return durward.deny({ reason = "no such service here" })
          end,""", 1)
        asker = self.asker(self.front(policy))
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))
        self.assertEqual(asker.exchange(2, "xmpp", self.ticket(service=XMPP))[0], "FAIL")
        self.assertEqual(asker.exchange(3, "host", self.ticket(service="host/localhost@" + kit.HOME)), DENIED)

    def test_replayed_and_explained(self):
        """What was decided is decided again, by the very hooks; and one rule more tells itself."""
        policy = POLICY.replace("return {", """return {
          connect = function(event)
            return event.service == "xmpp" and durward.deny({ reason = "no chat" }) or nil
          end,
          realm = function(event)
            return event.service == "imap" and event.domain == "mail.example.com" and "HOME.EXAMPLE"
              or durward.deny({ reason = "nobody" })
          end,""", 1)
        durward = self.front(policy)
        asker = self.asker(durward)
        name = "local_name=mail.example.com"
        self.assertEqual(asker.exchange(1, "imap", self.ticket(), name), ("OK", ["user=alice"]))
        self.assertEqual(asker.exchange(1, "imap", self.ticket("bob"), name), DENIED)
        self.assertEqual(asker.exchange(1, "imap", self.ticket("bob"), name, authzid=b"carol"), AUTHZID)
        self.assertEqual(asker.exchange(1, "xmpp", self.ticket(service=XMPP), name), DENIED)
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), DENIED)
        same = kit.run_durward("replay", "-p", durward.path("policy.lua"), durward.path("journal.jsonl"))
        self.assertEqual(same.returncode, 0, same.stdout + same.stderr)
        durward.write("other.lua", policy.replace('event.user == "bob"', "false"))
        other = kit.run_durward("replay", "-p", durward.path("other.lua"), durward.path("journal.jsonl"))
        self.assertEqual(other.returncode, 3, other.stdout)
        self.assertRegex(other.stdout, "(?i)newly allowed.*1")
        told = kit.run_durward("explain", "-p", durward.path("policy.lua"), "--principal", "alice@" + kit.HOME, "--front",
                               "dovecot", "--mechanism", "GSSAPI", "--service", IMAP, "--authzid", "carol")
        self.assertEqual(told.returncode, 3, told.stdout)
        self.assertIn("authzid", told.stdout)

    def test_answers_that_come_late(self):
        """Every hook waits; exchanges overtake one another, and one is given up."""
        policy = """
        local durward = require("durward")
        return {
          connect = function() durward.await.sleep(0.05) end,
          realm = function() durward.await.sleep(0.05) end,
          map = function(event)
            durward.await.sleep(event.principal.primary == "bob" and 1.5 or 0.05)
            return event.principal.primary
          end,
          authorize = function() return durward.allow({}) end,
        }"""
        durward = self.front(policy)
        asker = self.asker(durward)
        slow, quick = self.ticket("bob"), self.ticket("alice")
        tickets = {1: slow, 2: quick, 3: self.ticket("alice")}
        for number, ticket in tickets.items():
            asker.auth(number, "imap", response=ticket.step())
        order, given_up = [], False
        while len(order) < 2:
            verb, about, *rest = asker.line()
            number = int(about)
            if verb == "OK":
                order.append((number, rest[0]))
            elif number == 3:
                asker.say("CANCEL", 3)
                given_up = True
            else:
                asker.cont(number, tickets[number].answer(decode(rest[0])))
        self.assertTrue(given_up)
        self.assertEqual(order, [(2, "user=alice"), (1, "user=bob")])
        self.assertTrue(asker.is_silent())
        self.assertIsNotNone(durward.wait_log("given up by the client"))

    def test_a_question_out_of_time(self):
        policy = """
        local durward = require("durward")
        return { map = function() durward.await.sleep(30) return "alice" end }"""
        durward = self.front(policy, limits={"decision_seconds": 0.3})
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), TEMPORARY)
        self.assertEqual(durward.journal()[0]["decision"]["verdict"], "temporary")
        policy = """
        local durward = require("durward")
        return { realm = function() durward.await.sleep(30) end }"""
        asker = self.asker(self.front(policy, limits={"decision_seconds": 0.3}))
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), TEMPORARY)

    def test_an_exchange_out_of_time(self):
        """Nothing is said of it: who asks one thing at a time would take that for the next one's answer."""
        durward = self.front(limits={"handshake_seconds": 0.5})
        asker = self.asker(durward)
        asker.auth(1, "imap", response=self.ticket().step())
        self.assertEqual(asker.reply(1)[0], "CONT")
        self.assertIsNotNone(durward.wait_log("authentication failed .*out of time"))
        self.assertTrue(asker.is_silent(0.2))
        asker.cont(1, b"")
        self.assertEqual(asker.reply(1), DENIED)
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))
        idle = Asker(durward.where, hello=False)
        self.addCleanup(idle.close)
        with self.assertRaises(Ended):
            while True:
                idle.line()
        self.assertIsNotNone(durward.wait_log("handshake out of time"))


class Lives(Case):
    def test_tcp_with_allow_from(self):
        port, closed = kit.free_port(), kit.free_port()
        durward = self.serve({"workers": 1, "dovecot": [
            {"name": "open", "listen": "tcp://*:%d" % port, "allow_from": ["127.0.0.0/8"]},
            {"name": "closed", "listen": "tcp://*:%d" % closed, "allow_from": ["192.0.2.0/24"]}]}, POLICY)
        with Asker(port) as asker:
            self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))
        self.assertEqual(durward.journal()[0]["event"]["peer"]["address"], "127.0.0.1")
        with self.assertRaises((Ended, ConnectionResetError, BrokenPipeError)):
            Asker(closed)
        self.assertIsNotNone(durward.wait_log("connection not taken .*listener=closed .*allow_from"))

    def test_the_socket_is_ours_alone_unless_said_otherwise(self):
        durward = self.front()
        self.assertEqual(os.stat(durward.where).st_mode & 0o777, 0o600)
        durward = self.front(mode="0666")
        self.assertEqual(os.stat(durward.where).st_mode & 0o777, 0o666)

    def test_per_peer(self):
        durward = self.front(limits={"per_peer": 2})
        one, two = self.asker(durward), self.asker(durward)
        with self.assertRaises((Ended, ConnectionResetError, BrokenPipeError)):
            Asker(durward.where)
        one.close()
        self.assertTrue(kit.until(lambda: self.is_taken(durward)))
        self.assertEqual(two.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))

    @staticmethod
    def is_taken(durward):
        try:
            Asker(durward.where).close()
        except (Ended, OSError):
            return False
        return True

    def test_no_key_no_mechanism(self):
        self.lab.run("addservice", "zmq/nobody", "--keytab", self.lab.dir + "/zmq.keytab")
        durward = self.front(keytab=self.lab.dir + "/zmq.keytab", services=["smtp", "imap"])
        asker = self.asker(durward)
        self.assertEqual(asker.mechanisms(), [])
        self.assertIsNotNone(durward.wait_log("no mechanism is offered .*no key for any"))
        self.lab.run("addservice", "smtp/nobody", "--keytab", self.lab.dir + "/zmq.keytab")
        self.assertEqual(self.asker(durward).mechanisms(), ["GSSAPI"])

    def test_no_keytab_no_start(self):
        config = {"dovecot": [{"name": "sasl", "listen": "ipc://auth", "keytab": "never"}]}
        durward = kit.Durward(config, POLICY, wait=False)
        self.addCleanup(durward.kill)
        self.assertEqual(durward.process.wait(kit.PATIENCE), 1)
        self.assertRegex(durward.log(), "listener 'sasl': keytab .*never")

    def test_a_new_policy_is_asked_by_old_connections(self):
        durward = self.front()
        asker = self.asker(durward)
        self.assertEqual(asker.exchange(1, "imap", self.ticket("bob")), DENIED)
        durward.write("policy.lua", POLICY.replace('event.user == "bob"', "false"))
        durward.reload()
        self.assertIsNotNone(durward.wait_log("reloaded"))
        self.assertEqual(asker.exchange(2, "imap", self.ticket("bob")), ("OK", ["user=bob"]))

    def test_a_policy_that_is_replaced_while_it_is_asked(self):
        """It has the last word on what it was asked."""
        policy = """
        local durward = require("durward")
        return {
          realm = function() durward.await.sleep(0.4) end,
          map = function(event) durward.await.sleep(0.4) return "%s" end,
          authorize = function() return durward.allow({}) end,
        }"""
        durward = self.front(policy % "before")
        asker = self.asker(durward)
        ticket = self.ticket()
        asker.auth(1, "imap", response=ticket.step())
        durward.write("policy.lua", policy % "after")
        durward.reload()
        self.assertIsNotNone(durward.wait_log("reloaded"))
        asker.cont(1, ticket.answer(asker.reply(1)[1]))
        asker.cont(1, ticket.answer(asker.reply(1)[1]))
        self.assertEqual(asker.reply(1), ("OK", ["user=before"]))
        self.assertEqual(asker.exchange(1, "imap", self.ticket()), ("OK", ["user=after"]))

    def test_a_server_that_leaves_while_it_is_asked(self):
        policy = """
        local durward = require("durward")
        return { %s = function() durward.await.sleep(0.3) end }"""
        for hook in ("connect", "realm", "map"):
            durward = self.front(policy % hook)
            with Asker(durward.where) as asker:
                ticket = self.ticket()
                asker.auth(1, "imap", response=ticket.step())
                if hook == "map":
                    asker.cont(1, ticket.answer(asker.reply(1)[1]))
                    asker.cont(1, ticket.answer(asker.reply(1)[1]))
                    asker.raw(b"CPID")
            self.assertIsNotNone(durward.wait_log("server left"))
            self.assertEqual(durward.journal(), [])

    def test_a_listener_that_goes(self):
        durward = self.front()
        asker = self.asker(durward)
        ticket = self.ticket()
        asker.auth(1, "imap", response=ticket.step())
        _, challenge = asker.reply(1)
        durward.write("durward.lua", "return " + kit.lua({
            "keytab": self.lab.keytab, "journal": "journal.jsonl", "state_dir": "state", "policy": "policy.lua",
            "dovecot": [{"name": "other", "listen": "ipc://other"}]}))
        durward.reload()
        self.assertIsNotNone(durward.wait_log("reloaded"))
        asker.cont(1, ticket.answer(challenge))
        _, layers = asker.reply(1)
        asker.cont(1, ticket.answer(layers))
        self.assertEqual(asker.reply(1), ("OK", ["user=alice"]))
        with self.assertRaises(Ended):
            asker.line()
        with Asker(durward.path("other")) as other:
            self.assertEqual(other.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))

    def test_the_end_waits_for_what_was_asked(self):
        policy = """
        local durward = require("durward")
        return {
          map = function(event) durward.await.sleep(0.5) return event.principal.primary end,
          authorize = function() return durward.allow({}) end,
        }"""
        durward = kit.Durward({"dovecot": [{"name": "sasl", "listen": "ipc://auth"}]}, policy)
        self.addCleanup(durward.kill)
        asker = Asker(durward.path("auth"))
        self.addCleanup(asker.close)
        ticket = self.ticket()
        asker.auth(1, "imap", response=ticket.step())
        asker.cont(1, ticket.answer(asker.reply(1)[1]))
        asker.cont(1, ticket.answer(asker.reply(1)[1]))
        durward.process.terminate()
        self.assertEqual(asker.reply(1), ("OK", ["user=alice"]))
        with self.assertRaises(Ended):
            asker.line()
        asker.close()
        self.assertEqual(durward.process.wait(kit.PATIENCE), 0, durward.log())
        durward.reader.join(5)
        self.assertIsNone(kit.REPORTS.search(durward.log()), durward.log())

    def test_who_does_not_read_is_not_listened_to(self):
        """Answers that pile up stop the reading; nothing is lost, and others are served."""
        durward = self.front()
        deaf = self.asker(durward)
        other = self.asker(durward)
        count, line = 60000, b"CONT\t%d\t=\n"
        writer = threading.Thread(target=lambda: deaf.raw(b"".join(line % n for n in range(count))))
        writer.start()
        self.assertEqual(other.exchange(1, "imap", self.ticket()), ("OK", ["user=alice"]))
        heard = 0
        while heard < count:
            verb, about, *_ = deaf.line()
            self.assertEqual((verb, int(about)), ("FAIL", heard))
            heard += 1
        writer.join()

    def test_connections_that_come_and_go(self):
        durward = self.front()
        before = durward.lasting_descriptors()
        for _ in range(50):
            asker = Asker(durward.where)
            asker.auth(1, "imap", response=self.ticket().step())
            asker.reply(1)
            asker.close()
        with socket.socket(socket.AF_UNIX) as half:
            half.connect(durward.where)
        self.assertTrue(kit.until(lambda: durward.lasting_descriptors() <= before + 2))


if __name__ == "__main__":
    unittest.main()
