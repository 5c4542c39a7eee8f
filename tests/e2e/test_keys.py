"""Keys and tickets: roll-over without a restart, keytabs that go bad, tickets that are not for us, replays,
nobody in particular."""
import itertools
import os
import shutil
import subprocess
import unittest

import kit
import ops
import wire


def setUpModule():
    kit.Lab.shared()


class Keys(ops.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")


class TestRollOver(Keys):
    """Each test has a service and a keytab of its own, so that its new keys touch no other."""

    numbers = itertools.count(1)

    def setUp(self):
        super().setUp()
        self.service = "zmq/keys-%d.home.example" % next(self.numbers)
        self.keytab = "%s/%s.keytab" % (self.lab.dir, self.id().rpartition(".")[2])
        self.lab.run("addservice", self.service, "--keytab", self.keytab)
        shutil.copyfile(self.keytab, self.keytab + ".first")

    def with_keytab(self, env=None, **more):
        entry = ops.listener(self.endpoint(self.router), keytab=self.keytab, retry_hold_seconds=0.2,
                             service=self.service + "@" + kit.HOME, **more)
        durward = self.serve({"zmtp": [entry], "workers": 1}, kit.POLICY, env=env)
        durward.port = ops.port_of(durward)
        durward.endpoint = "tcp://127.0.0.1:%d" % durward.port
        return durward

    def fresh(self, user="alice"):
        return self.lab.ticket(user, "1h")

    def logs_in(self, durward, cache, text):
        client = self.client(durward.port, cache=cache, service=self.service + "@" + kit.HOME)
        client.login()
        client.send_message(text)
        self.assertEqual(bytes(self.recv(self.router)[-1]), text)
        client.close()

    def replace(self, source):
        """As a careful tool does: a new file in the place of the old one."""
        shutil.copyfile(source, self.keytab + ".new")
        os.replace(self.keytab + ".new", self.keytab)


    def test_new_key_without_a_restart_and_old_tickets_still_good(self):
        durward = self.with_keytab()
        old = self.fresh()
        self.logs_in(durward, old, b"old key")
        self.lab.run("roll", self.service, "--keytab", self.keytab)
        self.logs_in(durward, self.fresh(), b"new key")
        self.logs_in(durward, old, b"old ticket, old key")
        allowed = durward.journal(verdict="allow")
        self.assertEqual(len(allowed), 3)
        self.assertNotRegex(durward.log(), r" (warn|error) (?!limits\.connections)")

    def test_a_key_that_the_keytab_has_not_yet_is_temporary(self):
        """The client is not told to stay away: it gets in as soon as the key is there."""
        durward = self.with_keytab(on_deny="error")
        self.lab.run("roll", self.service, "--keytab", self.keytab)
        os.rename(self.keytab, self.keytab + ".rolled")
        shutil.copyfile(self.keytab + ".first", self.keytab)
        stock = self.peer(cache=self.fresh()).client("DEALER", self.service.replace("/", "@"))
        stock.connect(durward.endpoint)
        stock.send("patience")
        self.says(durward, r"handshake failed .*(?i:kvno|key version|keytab)")
        self.silent(self.router, 0.2)
        self.replace(self.keytab + ".rolled")
        self.assertEqual(bytes(self.recv(self.router)[-1]), b"patience")

    def test_a_keytab_that_turns_to_garbage(self):
        durward = self.with_keytab()
        cache = self.fresh()
        self.logs_in(durward, cache, b"before")
        with open(self.keytab + ".bad", "wb") as file:
            file.write(os.urandom(500))
        self.replace(self.keytab + ".bad")
        self.logs_in(durward, cache, b"the old keys go on")
        self.says(durward, r"error keytab has changed but is unusable, the old keys go on .*" + self.keytab)
        self.replace(self.keytab + ".first")
        self.logs_in(durward, cache, b"after")

    def test_a_keytab_that_is_gone(self):
        durward = self.with_keytab()
        cache = self.fresh()
        self.logs_in(durward, cache, b"before")
        os.unlink(self.keytab)
        self.logs_in(durward, cache, b"the old keys go on")
        self.says(durward, r"the old keys go on .*" + self.keytab)
        shutil.copyfile(self.keytab + ".first", self.keytab)
        self.logs_in(durward, cache, b"after")

    def test_a_keytab_cut_short_in_the_writing(self):
        """libkrb5 1.20 leaks what it has read of an entry that is cut short."""
        path = self.keytab + ".suppressions"
        with open(path, "w", encoding="ascii") as file:
            file.write("leak:libkrb5.so\n")
        durward = self.with_keytab(env={"LSAN_OPTIONS": "print_suppressions=0:suppressions=" + path})
        cache = self.fresh()
        self.logs_in(durward, cache, b"before")
        with open(self.keytab + ".first", "rb") as file:
            whole = file.read()
        with open(self.keytab, "wb") as file:
            file.write(whole[:-10])
        self.logs_in(durward, cache, b"the old keys go on")
        with open(self.keytab, "wb") as file:
            file.write(whole)
        self.logs_in(durward, cache, b"after")

    def test_a_reload_with_a_keytab_that_is_garbage_keeps_the_old(self):
        durward = self.with_keytab()
        cache = self.fresh()
        self.logs_in(durward, cache, b"before")
        with open(self.keytab + ".bad", "wb") as file:
            file.write(b"garbage")
        self.replace(self.keytab + ".bad")
        durward.reload()
        self.says(durward, r"not reloaded, the old configuration and policy go on .*" + self.keytab)
        self.logs_in(durward, cache, b"the old keys go on")


class TestTickets(Keys):
    def another_service(self, **more):
        durward = self.broker(self.router, retry_hold_seconds=3, **more)
        client = self.client(durward.port, service="host@localhost")
        client.greet()
        watch = ops.Stopwatch()
        client.send(client.initiate(client.first_token()))
        self.says(durward, r"ticket refused .*host/localhost.*the ticket is for another service than this listener's")
        self.assertEqual(ops.status(durward)["connections"], 1)
        self.assertTrue(client.closes())
        self.assertGreater(watch.seconds(), 2)
        self.assertEqual(client.rest, b"")
        self.assertEqual(durward.journal(verdict="allow"), [])
        client.close()
        ops.wait_empty(durward)

    def test_a_ticket_for_another_service_of_the_keytab_is_refused_and_held(self):
        self.another_service()

    def test_so_it_is_where_the_denied_are_sent_error(self):
        self.another_service(on_deny="error")

    def test_a_replayed_token(self):
        """What an eavesdropper saw opens nothing, on whichever worker it comes in."""
        durward = self.broker(self.router, settings={"workers": 2}, retry_hold_seconds=0.2)
        client = self.client(durward.port)
        client.greet()
        token = client.first_token()
        client.send(client.initiate(token))
        client.read_command()
        for _ in range(6):
            thief = wire.Wire(durward.port)
            self.addCleanup(thief.close)
            thief.send(wire.greeting() + client.initiate(token))
            self.assertTrue(thief.closes())
            self.assertNotIn(b"INITIATE", thief.rest[64:])
        self.says(durward, r"handshake failed .*(?i:replay)", times=6)
        self.assertEqual(len(durward.journal(verdict="allow")), 1)

    def test_a_token_replayed_after_a_restart(self):
        durward = self.broker(self.router)
        client = self.client(durward.port)
        client.greet()
        token = client.first_token()
        client.send(client.initiate(token))
        client.read_command()
        client.close()
        state = self.lab.dir + "/kept-state"
        self.addCleanup(shutil.rmtree, state)
        shutil.copytree(durward.path("state"), state, ignore=shutil.ignore_patterns("control.sock"))
        second = self.serve({"zmtp": [ops.listener(self.endpoint(self.router))], "state_dir": state}, kit.POLICY)
        thief = wire.Wire(ops.port_of(second))
        self.addCleanup(thief.close)
        thief.send(wire.greeting() + client.initiate(token))
        self.assertTrue(thief.closes())
        self.says(second, r"handshake failed .*(?i:replay)")

    def test_the_replay_cache_is_our_own_and_private(self):
        elsewhere = self.lab.dir + "/elsewhere"
        os.makedirs(elsewhere, exist_ok=True)
        durward = self.serve({"zmtp": [ops.listener(self.endpoint(self.router))]}, kit.POLICY,
                             env={"KRB5RCACHENAME": "none:", "KRB5RCACHEDIR": elsewhere, "TMPDIR": elsewhere})
        self.is_served(ops.port_of(durward), self.router)
        cache = durward.path("state/rcache")
        self.assertGreater(os.stat(cache).st_size, 0)
        self.assertEqual(os.stat(cache).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(elsewhere), [])

    def test_a_replay_cache_that_cannot_be_used_lets_nobody_in(self):
        """Time cures it, once somebody has made room: no client is told to stay away."""
        durward = self.broker(self.router, on_deny="error")
        self.is_served(durward.port, self.router)
        cache = durward.path("state/rcache")
        os.remove(cache)
        os.mkdir(cache)
        client = self.client(durward.port)
        self.knocks(client)
        self.assertTrue(client.closes())
        self.assertNotIn(b"ERROR", client.rest)
        self.says(durward, r"handshake failed .*rcache")
        self.assertEqual(len(durward.journal(verdict="allow")), 1)
        os.rmdir(cache)
        self.is_served(durward.port, self.router)

    def test_a_replay_cache_of_noise_or_cut_short(self):
        """It is no protection against what was seen before; what is seen from now on is kept in it all the same."""
        durward = self.broker(self.router, retry_hold_seconds=0.1)
        for octets in (os.urandom(200000), os.urandom(7), b"\xff" * 60000, b""):
            with open(durward.path("state/rcache"), "wb") as file:
                file.write(octets)
            client = self.client(durward.port)
            client.greet()
            token = client.first_token()
            client.send(client.initiate(token))
            self.assertEqual(client.read_command()[0], b"INITIATE")
            thief = wire.Wire(durward.port)
            self.addCleanup(thief.close)
            thief.send(wire.greeting() + client.initiate(token))
            self.assertTrue(thief.closes())
            self.assertNotIn(b"INITIATE", thief.rest[64:])

    def test_a_realm_that_nobody_trusts(self):
        """The KDC of another lab gives tickets with keys that are not ours."""
        stranger = kit.Lab(kit.HOME)
        self.addCleanup(stranger.down)
        durward = self.broker(self.router, retry_hold_seconds=0.2)
        peer = kit.Peer.__new__(kit.Peer)
        peer.process = subprocess.Popen([kit.sys.executable, kit.HERE + "/peer.py"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=stranger.environment(stranger.cache("alice")))
        peer.input = b""
        self.addCleanup(peer.end)
        peer.client("DEALER").connect(durward.endpoint).send("let me in")
        self.says(durward, r"(handshake failed|ticket refused) .*why=")
        self.silent(self.router, 0.3)
        self.assertEqual(durward.journal(verdict="allow"), [])


class TestAnonymous(Keys):
    """Anonymous PKINIT needs certificates; a service may also get a ticket to itself in anyone's name."""

    @classmethod
    def setUpClass(cls):
        lab = kit.Lab.shared()
        own, cls.cache = lab.dir + "/service.cc", lab.dir + "/anonymous.cc"
        lab.run("addservice", "WELLKNOWN/ANONYMOUS", "--keytab", lab.dir + "/anonymous.keytab")
        for words in (["kinit", "-k", "-t", lab.keytab, "-c", own, "zmq/localhost"],
                      ["kvno", "-c", own, "-I", "WELLKNOWN/ANONYMOUS", "--out-cache", cls.cache, "zmq/localhost"]):
            subprocess.run(words, env=lab.environment(own), check=True, capture_output=True, timeout=kit.PATIENCE)

    POLICY = kit.POLICY.replace("return event.principal.primary", 'return "guest"')

    def test_refused_unless_allowed_by_name(self):
        durward = self.broker(self.router, policy=self.POLICY, retry_hold_seconds=0.2)
        client = self.client(durward.port, cache=self.cache)
        self.knocks(client)
        self.assertTrue(client.closes())
        line, = durward.wait_journal(verdict="deny")
        self.assertEqual(line["decision"]["rule"], "anonymous")
        self.assertIn("allow_anonymous", line["decision"]["reason"])
        self.silent(self.router, 0.2)

    def test_let_in_where_allowed(self):
        durward = self.broker(self.router, policy=self.POLICY, allow_anonymous=True)
        client = self.client(durward.port, cache=self.cache)
        client.login()
        client.send_message(b"hello")
        self.assertEqual(self.recv(self.router)[-1].get("User-Id"), "guest")
        line, = durward.journal(verdict="allow")
        self.assertRegex(line["event"]["principal"], "^WELLKNOWN/ANONYMOUS@")


if __name__ == "__main__":
    unittest.main()
