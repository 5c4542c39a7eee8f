"""Who is admitted, who is refused, and what is said of it: stock clients, durward, a stock backend."""
import os
import re
import time

import kit
import wire


class TestAdmission(kit.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def test_alice_is_known_to_the_backend(self):
        durward = self.gateway(self.router)
        client = self.peer("alice").client("DEALER").connect(durward.endpoint)
        client.send("hello", "world")
        frames = self.recv(self.router)
        self.assertEqual([bytes(frame) for frame in frames[1:]], [b"hello", b"world"])
        for frame in frames[1:]:
            self.assertEqual(frame.get("User-Id"), "alice")
            self.assertEqual(frame.get("X-Team"), "ops")
            self.assertTrue(frame.get("X-Peer-Address").startswith("127.0.0.1"), frame.get("X-Peer-Address"))
        self.router.send_multipart([bytes(frames[0]), b"good", b"day"])
        self.assertEqual(client.recv(), ["good", "day"])
        self.assertTrue(client.wait_event("HANDSHAKE_SUCCEEDED"))

    def test_the_journal_has_the_decision_before_its_effect(self):
        durward = self.gateway(self.router)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("x")
        self.recv(self.router)
        line, = durward.journal()
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertRegex(line["policy"]["sha256"], r"^[0-9a-f]{64}$")
        self.assertTrue(line["policy"]["file"].endswith("policy.lua"))
        self.assertEqual(line["event"]["front"], "zmtp")
        self.assertEqual(line["event"]["listener"], "trades")
        self.assertEqual(line["event"]["peer"]["address"], "127.0.0.1")
        principal = line["event"]["principal"]
        self.assertEqual(principal if isinstance(principal, str) else principal["name"], "alice@HOME.EXAMPLE")
        self.assertEqual(line["decision"]["verdict"], "allow")
        self.assertEqual(line["decision"]["user"], "alice")
        self.assertEqual(line["decision"]["reason"], "known here")
        self.assertGreaterEqual(line["took_us"], 0)
        self.assertEqual(os.stat(durward.path("journal.jsonl")).st_mode & 0o777, 0o600)

    def test_a_user_of_the_trusted_realm_is_mapped(self):
        durward = self.gateway(self.router)
        self.peer("alice@PARTNER.EXAMPLE").client("DEALER").connect(durward.endpoint).send("x")
        self.assertEqual(self.recv(self.router)[-1].get("User-Id"), "partner-alice")
        line, = durward.journal(user="partner-alice")
        self.assertTrue(line["event"]["gss"]["cross_realm"])

    def test_an_instance_is_somebody_else(self):
        durward = self.gateway(self.router, kit.POLICY.replace("return event.principal.primary", """
            if event.principal.instance then return nil, "people only" end
            return event.principal.primary"""), retry_hold_seconds=0.2)
        self.peer("admin/admin").client("DEALER").connect(durward.endpoint).send("x")
        line = durward.wait_journal(verdict="deny")[0]
        self.assertIn("people only", str(line["decision"]))
        self.silent(self.router)

    def test_bob_is_held_and_closed(self):
        durward = self.gateway(self.router, on_deny="close", retry_hold_seconds=0.6)
        bob = self.peer("bob").client("DEALER").connect(durward.endpoint)
        bob.send("x")
        line = durward.wait_journal(verdict="deny")[0]
        self.assertEqual(line["decision"]["reason"], "bob stays out")
        self.assertTrue(bob.wait_event("DISCONNECTED"))
        self.assertGreaterEqual(len(durward.wait_journal(count=2, verdict="deny")), 2)
        self.assertNotIn("HANDSHAKE_SUCCEEDED", [event[0] for event in bob.events()])
        self.assertNotIn("HANDSHAKE_FAILED_PROTOCOL", [event[0] for event in bob.events()])
        self.silent(self.router)

    def test_a_held_client_makes_no_storm(self):
        durward = self.gateway(self.router, on_deny="close", retry_hold_seconds=30)
        self.peer("bob").client("DEALER").connect(durward.endpoint).send("x")
        durward.wait_journal(verdict="deny")
        time.sleep(1.5)
        self.assertEqual(len(durward.journal()), 1)

    def test_bob_is_sent_error_and_stays_away(self):
        durward = self.gateway(self.router, on_deny="error")
        bob = self.peer("bob").client("DEALER").connect(durward.endpoint)
        bob.send("x")
        self.assertTrue(bob.wait_event("HANDSHAKE_FAILED_PROTOCOL"), bob.events())
        time.sleep(1.5)
        self.assertEqual(len(durward.journal()), 1)
        self.silent(self.router, 0.1)

    def test_the_refused_disturb_nobody(self):
        durward = self.gateway(self.router, retry_hold_seconds=0.2)
        alice = self.peer("alice").client("DEALER").connect(durward.endpoint)
        alice.send("one")
        self.recv(self.router)
        self.peer("bob").client("DEALER").connect(durward.endpoint).send("x")
        durward.wait_journal(count=2, verdict="deny")
        alice.send("two")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"two")

    def test_without_a_policy_nobody_passes(self):
        durward = self.gateway(self.router, policy=None)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("x")
        self.assertTrue(durward.wait_journal(verdict="deny"))
        self.silent(self.router)

    def test_root_is_never_mapped_to(self):
        durward = self.gateway(self.router, 'return { map = function() return "root" end, '
                               'authorize = function() return require("durward").allow({}) end }')
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("x")
        self.assertTrue(durward.wait_journal(verdict="deny"))
        self.silent(self.router)

    def test_a_policy_that_fails_is_temporary_and_a_plain_close(self):
        durward = self.gateway(self.router, kit.POLICY.replace('event.user == "bob"', 'event.user.x.y'),
                               on_deny="error")
        alice = self.peer("alice").client("DEALER").connect(durward.endpoint)
        alice.send("x")
        self.assertTrue(durward.wait_journal(count=2, verdict="temporary"))
        self.assertTrue(durward.wait_log(r"policy\.lua"))
        self.assertNotIn("HANDSHAKE_FAILED_PROTOCOL", [event[0] for event in alice.events()])
        self.silent(self.router, 0.2)

    def test_an_endless_policy_is_temporary(self):
        durward = self.gateway(self.router, kit.POLICY.replace('event.user == "bob"',
                               '(function() while true do end end)()'))
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("x")
        self.assertTrue(durward.wait_journal(verdict="temporary"))
        self.silent(self.router, 0.2)

    def test_a_policy_chooses_the_backend(self):
        other = self.backend("ROUTER")
        policy = kit.POLICY.replace("properties =", 'backend = "%s", properties =' % self.endpoint(other))
        durward = self.gateway(self.router, policy)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("x")
        self.assertEqual(self.recv(other)[-1].get("User-Id"), "alice")
        self.assertEqual(durward.journal()[0]["decision"]["backend"], self.endpoint(other))

    def test_an_ipc_backend(self):
        place = self.lab.dir + "/backend-%d" % time.monotonic_ns()
        router = self.backend("ROUTER", "ipc://" + place)
        durward = self.gateway("ipc://" + place)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("x")
        self.assertEqual(self.recv(router)[-1].get("User-Id"), "alice")


class TestTickets(kit.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def test_a_ticket_for_another_service_is_refused(self):
        """Its key stands in the same keytab; the listener answers to its own name only."""
        durward = self.gateway(self.router, retry_hold_seconds=0.2)
        other = self.peer("alice").client("DEALER", service="host@localhost").connect(durward.endpoint)
        other.send("x")
        self.assertTrue(other.wait_event("DISCONNECTED"))
        self.assertTrue(durward.wait_log(r"host/localhost"), durward.log(last=15))
        self.silent(self.router)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("y")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"y")

    def test_the_policy_chooses_the_realm_that_answers(self):
        """The keytab has keys of zmq/localhost in both realms; only the chosen one is answered for."""
        for realm, other in ((kit.HOME, kit.PARTNER), (kit.PARTNER, kit.HOME)):
            with self.subTest(realm=realm):
                durward = self.gateway(self.router, retry_hold_seconds=0.2, policy=kit.POLICY.replace(
                    "return {\n  map", 'return {\n  realm = function() return "%s" end,\n  map' % realm))
                for name, admitted in ((realm, True), (other, False)):
                    client = wire.GssClient(durward.port, self.lab.cache("alice"), service="zmq/localhost@" + name)
                    with client:
                        client.greet()
                        client.send(client.initiate(client.first_token()))
                        if admitted:
                            self.assertEqual(client.read_command()[0], b"INITIATE")
                        else:
                            self.assertTrue(client.closes(within=10))
                            self.assertNotIn(b"INITIATE", client.rest)

    def test_the_connection_ends_with_the_ticket(self):
        durward = self.gateway(self.router)
        cache = self.lab.ticket("alice", "7s")
        client = self.peer(cache=cache).client("DEALER").connect(durward.endpoint)
        client.send("x")
        self.recv(self.router)
        self.assertTrue(client.wait_event("DISCONNECTED", timeout=30))

    def test_without_a_ticket_the_log_says_so(self):
        durward = self.gateway(self.router, limits={"handshake_seconds": 1})
        self.peer().client("DEALER").connect(durward.endpoint)
        self.assertTrue(durward.wait_log(r"ticket"), durward.log(last=15))

    def test_key_roll_over_without_restart(self):
        keytab = self.lab.dir + "/rolling-%d.keytab" % time.monotonic_ns()
        host = "rolling%d.example" % time.monotonic_ns()
        self.lab.run("addservice", "zmq/" + host, "--keytab", keytab)
        durward = self.gateway(self.router, service="zmq@" + host, keytab=keytab)
        old = self.peer(cache=self.lab.ticket("alice", "1h"))
        old.client("DEALER", service="zmq@" + host).connect(durward.endpoint).send("before")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"before")
        self.lab.run("roll", "zmq/" + host, "--keytab", keytab)
        fresh = self.peer(cache=self.lab.ticket("alice", "1h"))
        fresh.client("DEALER", service="zmq@" + host).connect(durward.endpoint).send("new key")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"new key")
        old.client("DEALER", service="zmq@" + host).connect(durward.endpoint).send("old ticket")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"old ticket")

    def test_a_key_that_durward_has_not_yet_is_temporary(self):
        keytab = self.lab.dir + "/behind-%d.keytab" % time.monotonic_ns()
        host = "behind%d.example" % time.monotonic_ns()
        self.lab.run("addservice", "zmq/" + host, "--keytab", keytab)
        durward = self.gateway(self.router, service="zmq@" + host, keytab=keytab, on_deny="error")
        self.lab.run("roll", "zmq/" + host, "--kdc-only")
        client = self.peer(cache=self.lab.ticket("alice", "1h")).client("DEALER", service="zmq@" + host)
        client.connect(durward.endpoint)
        client.send("x")
        self.assertTrue(client.wait_event("DISCONNECTED", times=2), client.events())
        self.assertNotIn("HANDSHAKE_FAILED_PROTOCOL", [event[0] for event in client.events()])
        self.silent(self.router, 0.2)

    def test_the_environment_is_never_asked_for_keys(self):
        """KRB5_KTNAME and krb5.conf's default keytab hold the right key; the configuration's does not."""
        keytab = self.lab.dir + "/other-%d.keytab" % time.monotonic_ns()
        self.lab.run("addservice", "zmq/other%d" % time.monotonic_ns(), "--keytab", keytab)
        port = kit.free_port()
        durward = self.serve({"keytab": keytab, "zmtp": [
            {"name": "trades", "listen": "tcp://127.0.0.1:%d" % port, "service": "zmq@localhost",
             "backend": self.endpoint(self.router), "retry_hold_seconds": 0.2}]}, kit.POLICY, wait=False,
            env={"KRB5_KTNAME": "FILE:" + self.lab.keytab})
        if durward.wait_log(r"durward: ready", seconds=5):
            self.peer("alice").client("DEALER").connect("tcp://127.0.0.1:%d" % port).send("x")
            self.silent(self.router, 2)
        else:
            self.assertTrue(durward.wait_log("keytab"))
            durward.process.wait(kit.PATIENCE)
            self.doCleanups_of(durward)

    def doCleanups_of(self, durward):
        """A durward that rightly ended by itself is no failure."""
        durward.stop = lambda: None


class TestProtection(kit.Case):
    def test_plaintext_is_authenticated_and_not_encrypted(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router, protection="plaintext")
        client = self.peer("alice").client("DEALER", plaintext=True).connect(durward.endpoint)
        client.send("x", "y")
        frames = self.recv(router)
        self.assertEqual(frames[-1].get("User-Id"), "alice")
        router.send_multipart([bytes(frames[0]), b"z"])
        self.assertEqual(client.recv(), ["z"])

    def test_a_mismatch_delivers_nothing_and_is_told(self):
        for protection in ("encrypted", "plaintext"):
            with self.subTest(listener=protection):
                router = self.backend("ROUTER")
                durward = self.gateway(router, protection=protection, limits={"handshake_seconds": 2})
                client = self.peer("alice").client("DEALER", plaintext=protection == "encrypted")
                client.connect(durward.endpoint)
                client.send("x")
                self.assertTrue(durward.wait_log(r"(?i)plaintext|protection|awaiting=ready"), durward.log(last=15))
                self.silent(router)


class TestReload(kit.Case):
    def test_a_new_policy_serves_the_next_login_and_a_broken_one_does_not(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router, retry_hold_seconds=0.2)
        alice = self.peer("alice").client("DEALER").connect(durward.endpoint)
        alice.send("one")
        self.recv(router)
        bob = self.peer("bob").client("DEALER").connect(durward.endpoint)
        bob.send("let me in")
        self.assertTrue(durward.wait_journal(verdict="deny"))
        durward.write("policy.lua", "return { authorise = 1 }")
        durward.reload()
        self.assertTrue(durward.wait_log(r"policy\.lua.*authori[sz]e"), durward.log(last=15))
        alice.send("two")
        self.assertEqual(bytes(self.recv(router)[-1]), b"two")
        durward.write("policy.lua", kit.EVERYBODY)
        durward.reload()
        self.assertEqual(self.recv(router)[-1].get("User-Id"), "bob")
        hashes = {line["policy"]["sha256"] for line in durward.journal()}
        self.assertEqual(len(hashes), 2)
        alice.send("three")
        self.assertEqual(bytes(self.recv(router)[-1]), b"three")

    def test_the_journal_is_reopened(self):
        router = self.backend("ROUTER")
        durward = self.gateway(router)
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("one")
        self.recv(router)
        os.rename(durward.path("journal.jsonl"), durward.path("journal.old"))
        durward.reload()
        self.assertTrue(kit.until(lambda: os.path.exists(durward.path("journal.jsonl"))))
        self.peer("alice").client("DEALER").connect(durward.endpoint).send("two")
        self.recv(router)
        self.assertEqual(len(durward.journal(verdict="allow")), 1)


class TestMistakes(kit.Case):
    def refused(self, config, policy, pattern):
        """serve ends with 1 before any port opens, and says where and what; so does check, by findings."""
        durward = kit.Durward(config, policy, wait=False)
        self.addCleanup(durward.kill)
        self.assertEqual(durward.process.wait(kit.PATIENCE), 1)
        durward.reader.join(5)
        self.assertRegex(durward.log(), pattern)
        self.assertIsNone(re.search(kit.REPORTS, durward.log()))
        done = kit.run_durward("check", "-c", durward.path("durward.lua"))
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout + done.stderr, pattern)

    @staticmethod
    def config(**more):
        listener = {"name": "trades", "listen": "tcp://127.0.0.1:%d" % kit.free_port(), "service": "zmq@localhost",
                    "backend": "tcp://127.0.0.1:9"}
        return {"zmtp": [dict(listener, **more)]}

    def test_an_unknown_key_names_its_place_and_the_nearest_word(self):
        self.refused(self.config(bakend="tcp://127.0.0.1:9"), kit.POLICY, r"durward\.lua:1: .*bakend.*backend")

    def test_a_wrong_value(self):
        self.refused(self.config(on_deny="clsoe"), kit.POLICY, r"durward\.lua:1: .*clsoe.*close")

    def test_a_policy_that_does_not_load(self):
        self.refused(self.config(), "return {\n  map = function( end\n}\n", r"policy\.lua:2: ")

    def test_an_unknown_hook(self):
        self.refused(self.config(), "return { authorise = function() end }\n", r"policy\.lua.*authorise.*authorize")

    def test_a_port_that_is_taken(self):
        with kit.socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            endpoint = "tcp://127.0.0.1:%d" % taken.getsockname()[1]
            durward = kit.Durward(self.config(listen=endpoint), kit.POLICY, wait=False)
            self.addCleanup(durward.kill)
            self.assertEqual(durward.process.wait(kit.PATIENCE), 1)
            durward.reader.join(5)
            self.assertIn(endpoint, durward.log())


if __name__ == "__main__":
    kit.unittest.main()
