"""durward probe zmtp: what it tells of a login that works, and the likely cause of one that does not."""
import os
import re
import socket
import threading
import unittest

import kit
import ops
import wire


def setUpModule():
    kit.Lab.shared()


class Probe(ops.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def probe(self, url, *options, user="alice", cache=None, env=None):
        environment = self.lab.environment(cache or self.lab.cache(user))
        environment.update(env or {})
        words = ["probe", "zmtp", url, *options]
        if "--service" not in options and "--help" not in options:
            words += ["--service", "zmq@localhost"]
        return kit.run_durward(*words, env=environment, timeout=kit.PATIENCE)

    def works(self, url, *options, **more):
        done = self.probe(url, *options, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("FAILED", done.stdout)
        return done.stdout

    def fails(self, step, cause, url, *options, **more):
        """Exit 1, the step that failed, and what most likely was the cause."""
        done = self.probe(url, *options, **more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        failed = re.search(r"ms  (\S+) +FAILED: .+\n +likely +(.*)", done.stdout)
        self.assertTrue(failed, done.stdout + done.stderr)
        self.assertRegex(failed[1], step, done.stdout)
        self.assertRegex(failed[2], cause, done.stdout)
        self.assertNotIn("logged in", done.stdout)
        return done.stdout


class TestSuccess(Probe):
    def test_every_step_with_its_time(self):
        durward = self.broker(self.router)
        told = self.works(durward.endpoint)
        lines = told.splitlines()
        for line in lines:
            self.assertRegex(line, r"^ *\d+\.\d ms  \S+ ")
        self.assertEqual(list(dict.fromkeys(line.split()[2] for line in lines)),
                         ["connect", "greeting", "ticket", "context", "READY", "done"])
        times = [float(line.split()[0]) for line in lines]
        self.assertEqual(times, sorted(times))
        for word in ("alice@HOME.EXAMPLE", "zmq/localhost@HOME.EXAMPLE", "Socket-Type", "ROUTER",
                     "the server proved itself", "logged in"):
            self.assertIn(word, told)
        line, = durward.journal(verdict="allow")
        self.assertEqual(line["event"]["principal"], "alice@HOME.EXAMPLE")
        ops.wait_empty(durward)

    def test_plaintext(self):
        self.works(self.broker(self.router, protection="plaintext").endpoint, "--plaintext")

    def test_ipc_and_abstract(self):
        for path in (self.lab.dir + "/probed", "@durward-e2e-probe-%d" % os.getpid()):
            with self.subTest(path=path):
                self.serve({"zmtp": [ops.listener(self.endpoint(self.router), listen="ipc://" + path)]}, kit.POLICY)
                self.works("ipc://" + path)

    def test_every_socket_type_is_met(self):
        for kind in ("ROUTER", "REP", "PULL", "PUSH", "PUB", "SUB", "PAIR", "DEALER"):
            with self.subTest(backend=kind):
                durward = self.broker(self.backend(kind))
                self.assertRegex(self.works(durward.endpoint), r"Socket-Type.*" + kind)

    def test_identity_and_properties(self):
        durward = self.broker(self.router, forward=["X-App"])
        self.works(durward.endpoint, "--type", "DEALER", "--identity", "probe-1", "--property", "X-App=probe")

    def test_who_by_keytab(self):
        keytab = self.lab.dir + "/robot.keytab"
        self.lab.run("addservice", "robot/home.example", "--keytab", keytab)
        durward = self.broker(self.router)
        told = self.works(durward.endpoint, "--keytab", keytab, "--principal", "robot/home.example@" + kit.HOME,
                          cache="/nowhere.cc")
        self.assertIn("robot/home.example@" + kit.HOME, told)

    def test_who_by_cache(self):
        durward = self.broker(self.router)
        self.assertIn("alice@", self.works(durward.endpoint, "--ccache", self.lab.cache("alice"), cache="/nowhere.cc"))

    def test_another_realms_service(self):
        durward = self.broker(self.router, realm=kit.PARTNER)
        self.assertIn("zmq/localhost@" + kit.PARTNER, self.works(durward.endpoint, "--realm", kit.PARTNER))

    def test_a_stock_server(self):
        """It is no tool for durward alone."""
        stock = self.peer().socket("ROUTER", GSSAPI_SERVER=1)
        told = self.works(stock.bind().rstrip("\0"))
        self.assertRegex(told, r"Socket-Type.*ROUTER")


class TestFailure(Probe):
    def test_nothing_listens(self):
        self.fails("connect", "nothing listens there", "tcp://127.0.0.1:%d" % kit.free_port())
        self.fails("connect", ".", "ipc:///nowhere/at/all")

    def test_a_host_that_does_not_exist(self):
        self.fails("resolve", "host name is wrong", "tcp://no-such-host.invalid:5570")

    def test_no_ticket(self):
        durward = self.broker(self.router)
        self.fails("ticket", "there is no ticket: kinit", durward.endpoint, cache=self.lab.dir + "/nobody.cc")

    def test_an_expired_ticket(self):
        durward = self.broker(self.router)
        cache = self.lab.ticket("alice", "1s")
        threading.Event().wait(2)
        self.fails("ticket", "expired: kinit again", durward.endpoint, cache=cache)

    def test_a_service_that_the_kdc_does_not_know(self):
        durward = self.broker(self.router)
        self.fails("ticket", "service name: the KDC knows no such", durward.endpoint, "--service",
                   "zmq/nobody.example@" + kit.HOME)

    def test_the_kdc_is_not_reached(self):
        durward = self.broker(self.router)
        path = self.lab.dir + "/lost.conf"
        with open(self.lab.dir + "/krb5.conf", encoding="utf-8") as sound, open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(kdc = 127\.0\.0\.1:)\d+", lambda found: found[1] + "9", sound.read()))
        self.fails("ticket", "KDC is not reached", durward.endpoint, cache=self.lab.ticket("alice", "1h"),
                   env={"KRB5_CONFIG": path})

    def test_another_service_than_the_listeners(self):
        durward = self.broker(self.router, retry_hold_seconds=0.2)
        self.fails(".", "it did not take the ticket", durward.endpoint, "--service", "host@localhost")

    def test_refused_by_the_policy(self):
        durward = self.broker(self.router, retry_hold_seconds=0.2)
        self.fails(".", "refused by its policy", durward.endpoint, user="bob")

    def test_refused_and_held(self):
        durward = self.broker(self.router, retry_hold_seconds=600)
        self.fails(".", "holds us: refused by its policy", durward.endpoint, "--timeout", "2", user="bob")

    def test_refused_with_error(self):
        durward = self.broker(self.router, on_deny="error")
        self.fails(".", "refused, and wants us to stay away", durward.endpoint, user="bob")

    def test_the_backend_is_not_there(self):
        durward = self.broker("tcp://127.0.0.1:9", limits={"handshake_seconds": 1})
        self.fails(".", "its backend is not there", durward.endpoint)

    def test_protection_mismatch(self):
        encrypted = self.broker(self.router)
        plaintext = self.broker(self.router, protection="plaintext")
        self.fails(".", "protection", encrypted.endpoint, "--plaintext")
        self.fails(".", "protection", plaintext.endpoint)

    def test_a_socket_type_that_the_backend_does_not_talk_to(self):
        durward = self.broker(self.router, retry_hold_seconds=0)
        self.fails(".", "socket type", durward.endpoint, "--type", "PUSH")

    def test_a_server_of_another_mechanism(self):
        self.fails(".", "another mechanism|another protocol", self.endpoint(self.router))

    def test_a_server_that_is_no_zmtp(self):
        with socket.socket() as web:
            web.bind(("127.0.0.1", 0))
            web.listen()

            def serve():
                for _ in range(2):
                    connection, _ = web.accept()
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" + bytes(100))
                    connection.close()

            serving = threading.Thread(target=serve, daemon=True)
            serving.start()
            self.fails(".", "another protocol|another mechanism", "tcp://127.0.0.1:%d" % web.getsockname()[1])

    def test_a_server_that_says_nothing(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            self.fails("greeting", ".", "tcp://127.0.0.1:%d" % silent.getsockname()[1], "--timeout", "1")

    def test_a_server_that_dies_on_the_way(self):
        with socket.socket() as dying:
            dying.bind(("127.0.0.1", 0))
            dying.listen()

            def serve():
                connection, _ = dying.accept()
                connection.sendall(wire.greeting(as_server=1))
                connection.recv(64, socket.MSG_WAITALL)
                connection.recv(100)
                connection.close()

            threading.Thread(target=serve, daemon=True).start()
            self.fails(".", ".", "tcp://127.0.0.1:%d" % dying.getsockname()[1])


class TestUsage(unittest.TestCase):
    def test_mistakes(self):
        for words in ((), ("zmtp",), ("zmtp", "tcp://a:1", "tcp://b:2"), ("zmtp", "tcp://a"), ("zmtp", "http://a:1"),
                      ("zmtp", "tcp://a:1", "--nonsense"), ("zmtp", "tcp://a:1", "--type", "DELAER"),
                      ("zmtp", "tcp://a:1", "--timeout", "soon"), ("zmtp", "tcp://a:1", "--property", "none"),
                      ("nonsense",)):
            with self.subTest(words=words):
                done = kit.run_durward("probe", *words)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertTrue(done.stderr)

    def test_help(self):
        done = kit.run_durward("probe", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--service", done.stdout)


if __name__ == "__main__":
    unittest.main()
