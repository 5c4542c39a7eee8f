"""durward probe xmpp: what it tells of a login that works, and the likely cause of one that does not."""
import os
import re
import socket
import struct
import threading
import unittest

import kit
import xmpp_world


class Names:
    """A DNS server on loopback that knows SRV records: {name: [(priority, weight, port, target)]}."""

    def __init__(self, records):
        self.records = records
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def packed(name):
        return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"

    def serve(self):
        while True:
            try:
                query, whence = self.socket.recvfrom(4096)
            except OSError:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
                at += 1 + query[at]
            question = query[12:at + 5]
            found = self.records.get(".".join(labels), [])
            answers = b""
            for priority, weight, port, target in found:
                data = struct.pack(">HHH", priority, weight, port) + self.packed(target)
                answers += b"\xc0\x0c" + struct.pack(">HHIH", 33, 1, 60, len(data)) + data
            flags = 0x8180 if found else 0x8183
            self.socket.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + question + answers, whence)

    def close(self):
        self.socket.close()


class Probe(xmpp_world.Case):
    def probe(self, *words, user="alice", cache=None, ca=True, env=None):
        environment = self.lab.environment(cache or self.lab.cache(user))
        environment.update(env or {})
        trust = ["--ca", self.world.authority.certificate] if ca else []
        return kit.run_durward("probe", "xmpp", *words, *trust, env=environment, timeout=kit.PATIENCE)

    def works(self, *words, **more):
        done = self.probe(*words, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("FAILED", done.stdout)
        self.assertIn("logged in", done.stdout)
        return done.stdout

    def fails(self, step, cause, *words, **more):
        done = self.probe(*words, **more)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        failed = re.search(r"ms  (\S+) +FAILED: .+(?:\n +likely +(.*))?", done.stdout)
        self.assertTrue(failed, done.stdout + done.stderr)
        self.assertRegex(failed[1], step, done.stdout)
        self.assertRegex(failed[2] or "", cause or "^$", done.stdout)
        self.assertNotIn("logged in", done.stdout)
        return done.stdout

    @staticmethod
    def at(durward):
        return "127.0.0.1:%d" % durward.port


class TestSuccess(Probe):
    def test_every_step_with_its_time(self):
        durward = self.front()
        told = self.works("xmpp://home.example", "--connect", self.at(durward))
        lines = told.splitlines()
        for line in lines:
            self.assertRegex(line, r"^ *\d+\.\d ms  \S+ ")
        self.assertEqual(list(dict.fromkeys(line.split()[2] for line in lines)),
                         ["connect", "stream", "STARTTLS", "TLS", "features", "hostname", "principal", "ticket",
                          "context", "SASL", "restart", "bind", "done"])
        times = [float(line.split()[0]) for line in lines]
        self.assertEqual(times, sorted(times))
        for word in ("certificate verified", "mechanisms: GSSAPI",
                     "cm1.home.example, in <mechanisms/> (urn:xmpp:domain-based-name:1)",
                     "xmpp/cm1.home.example/home.example@HOME.EXAMPLE, by XEP-0233; the realm by krb5.conf's domain_realm",
                     "the server proved itself", "alice@home.example/"):
            self.assertIn(word, told)
        line, = durward.journal(verdict="allow")
        self.assertEqual((line["event"]["service"], line["event"]["hostname"]),
                         ("xmpp/cm1.home.example/home.example@HOME.EXAMPLE", "cm1.home.example"))
        self.empty(durward)

    def test_the_element_in_every_namespace_and_place(self):
        durward = self.front(hostname_namespaces=[":1", ":0", "draft"], hostname_in_features=True)
        told = self.works("home.example", "--connect", self.at(durward))
        for place in ("mechanisms", "features"):
            for namespace in ("urn:xmpp:domain-based-name:1", "urn:xmpp:domain-based-name:0",
                              "urn:xmpp:tmp:domain-based-name"):
                if (place, namespace) != ("features", "urn:xmpp:tmp:domain-based-name"):
                    self.assertIn("in <%s/> (%s)" % (place, namespace), told)

    def test_direct_tls(self):
        durward = self.front(direct_tls=True)
        told = self.works("home.example", "--connect", self.at(durward), "--direct")
        self.assertNotIn("STARTTLS", told)

    def test_by_srv_records(self):
        durward, direct = self.front(), self.front(direct_tls=True)
        names = Names({
            "_xmpp-client._tcp.home.example": [(20, 0, durward.port, "localhost"), (5, 0, 9, "localhost")],
            "_xmpps-client._tcp.home.example": [(10, 0, direct.port, "localhost")],
            "_xmpp-client._tcp.partner.example": [(0, 0, 0, ".")],
        })
        self.addCleanup(names.close)
        told = self.probe("home.example", "--dns", names.address).stdout
        self.assertIn("nothing listens there", told)  # port 9, the first by its priority
        self.assertIn("localhost port %d, TLS at once" % direct.port, told)
        self.assertIn("logged in", told)
        self.assertEqual(len(direct.journal(verdict="allow")), 1)
        self.assertIn("it serves no clients", self.probe("partner.example", "--dns", names.address).stdout)

    def test_without_the_element(self):
        """Older servers: the host, then the domain, as older clients ask."""
        backend = self.world.backend("prosody-token")
        listener = {key: value for key, value in self.world.listener(backend).items() if key != "hostname"}
        durward = self.serve(listener)
        told = self.works("home.example", "--connect", self.at(durward))
        self.assertIn("no <hostname/>", told)
        self.assertIn("has one for xmpp/home.example", told)
        told = self.works("home.example", "--connect", "localhost:%d" % durward.port)
        self.assertIn("has one for xmpp/localhost", told)

    def test_a_derived_name_that_the_kdc_does_not_know(self):
        durward = self.front()
        told = self.works("home.example", "--connect", self.at(durward), "--hostname", "cm9.home.example")
        self.assertRegex(told, r"cm9.*not found in Kerberos database.*next: xmpp/home.example \(the domain\)")

    def test_another_realm(self):
        backend = self.world.backend("prosody-token")
        durward = self.serve(self.world.listener(backend, domain=xmpp_world.PARTNERS))
        told = self.works("partner.example", "--connect", self.at(durward))
        self.assertIn("xmpp/cm1.home.example/partner.example@HOME.EXAMPLE", told)
        told = self.works("partner.example", "--connect", self.at(durward), "--realm", kit.PARTNER)
        self.assertIn("alice@partner.example/", told)
        self.assertIn("whole with xmpp/cm1.home.example/partner.example@PARTNER.EXAMPLE", told)

    def test_the_domain_in_upper_case(self):
        """Where krb5.conf says nothing of it."""
        with open(self.lab.dir + "/krb5.conf", encoding="utf-8") as file:
            before, _, rest = file.read().partition("[domain_realm]")
        self.assertTrue(rest)
        _, bracket, rest = rest.partition("\n[")
        path = os.path.join(self.world.dir, "no-domains.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(before + bracket + rest)
        durward = self.serve(self.world.listener(self.world.backend("prosody-token"), domain=xmpp_world.PARTNERS))
        told = self.works("partner.example", "--connect", self.at(durward), env={"KRB5_CONFIG": path})
        self.assertIn("xmpp/cm1.home.example/partner.example@PARTNER.EXAMPLE, by XEP-0233; the realm is the domain in "
                      "upper case", told)

    def policy(self, text):
        path = os.path.join(self.world.dir, self.id() + ".lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write("return { realm = function(event) %s end }" % text)
        return path

    def test_a_realm_that_a_policy_chooses(self):
        durward = self.serve(self.world.listener(self.world.backend("prosody-token"), domain=xmpp_world.PARTNERS))
        choose = self.policy("return event.domain == 'partner.example' and event.front == 'xmpp'"
                             " and event.hostname == 'cm1.home.example' and 'PARTNER.EXAMPLE' or nil")
        told = self.works("partner.example", "--connect", self.at(durward), "--policy", choose)
        self.assertIn("xmpp/cm1.home.example/partner.example@PARTNER.EXAMPLE, by XEP-0233; the realm by the policy", told)
        named = self.policy("return { service = 'xmpp/partner.example@PARTNER.EXAMPLE' }")
        told = self.works("partner.example", "--connect", self.at(durward), "--policy", named)
        self.assertIn("xmpp/partner.example@PARTNER.EXAMPLE, by the policy", told)
        for text in ("return require('durward').deny({ reason = 'not from here' })", "error('broken')", "return 7"):
            self.fails("principal", "no answer for this domain", "partner.example", "--connect", self.at(durward),
                       "--policy", self.policy(text))
        self.fails("principal", "", "partner.example", "--connect", self.at(durward), "--policy", "/nowhere.lua")

    def test_a_certificate_that_is_not_trusted_here(self):
        durward = self.front()
        self.fails("TLS", "--ca FILE", "home.example", "--connect", self.at(durward), ca=False)
        told = self.works("home.example", "--connect", self.at(durward), "--no-verify", ca=False)
        self.assertIn("certificate NOT verified", told)

    def test_who_by_keytab(self):
        keytab = self.lab.dir + "/robot-xmpp.keytab"
        self.lab.run("addservice", "robot/chat.home.example", "--keytab", keytab)
        durward = self.front(policy="return { map = function(e) return 'robot' end,"
                                    "authorize = function() return require('durward').allow({}) end }")
        told = self.works("home.example", "--connect", self.at(durward), "--keytab", keytab, "--principal",
                          "robot/chat.home.example@HOME.EXAMPLE", cache="/nowhere.cc")
        self.assertIn("robot@home.example/", told)

    def test_a_stock_server_says_why_not(self):
        """It is no tool for durward alone."""
        port = self.world.server("prosody-token").port
        told = self.fails("features", "set up for Kerberos", "home.example", "--connect", "127.0.0.1:%d" % port)
        self.assertIn("SCRAM-SHA-1", told)


class TestFailure(Probe):
    def test_nothing_listens(self):
        self.fails("connect", "nothing listens there", "home.example", "--connect", "127.0.0.1:%d" % kit.free_port())

    def test_a_domain_that_does_not_exist(self):
        names = Names({})
        self.addCleanup(names.close)
        self.fails("resolve", "host name is wrong", "no-such-domain.invalid", "--dns", names.address)

    def test_a_domain_that_is_not_served(self):
        self.fails("stream", "not served there", "elsewhere.example", "--connect", self.at(self.front()))

    def test_a_certificate_for_another_name(self):
        listener = self.world.listener(self.world.backend("prosody-token"), tls=self.world.tls(xmpp_world.CHAT))
        self.fails("TLS", "for another name", "home.example", "--connect", self.at(self.serve(listener)))

    def test_no_ticket_and_an_old_one(self):
        durward = self.front()
        self.fails("ticket", "there is no ticket: kinit", "home.example", "--connect", self.at(durward),
                   cache=self.lab.dir + "/none.cc")
        cache = self.lab.ticket("alice", "1s")
        threading.Event().wait(2)
        self.fails("ticket", "expired: kinit again", "home.example", "--connect", self.at(durward), cache=cache)

    def test_a_service_that_the_kdc_does_not_know(self):
        self.fails("ticket", "service name: the KDC knows no such", "home.example", "--connect", self.at(self.front()),
                   "--service", "xmpp/nobody.example@HOME.EXAMPLE")

    def test_the_kdc_is_not_reached(self):
        path = self.lab.dir + "/lost-xmpp.conf"
        with open(self.lab.dir + "/krb5.conf", encoding="utf-8") as sound, open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(kdc = 127\.0\.0\.1:)\d+", lambda found: found[1] + "9", sound.read()))
        self.fails("ticket", "KDC is not reached", "home.example", "--connect", self.at(self.front()),
                   cache=self.lab.ticket("alice", "1h"), env={"KRB5_CONFIG": path})

    def test_a_key_that_is_not_the_listeners(self):
        """A ticket for another service of the same keytab, and one for a key that it does not have."""
        durward = self.front()
        for service in ("smtp/home.example@HOME.EXAMPLE", "host/localhost@HOME.EXAMPLE"):
            self.fails("SASL", "keytab|refused by its policy", "home.example", "--connect", self.at(durward),
                       "--service", service)

    def test_refused_by_the_policy(self):
        self.fails("SASL", "refused by its policy", "home.example", "--connect", self.at(self.front()), user="bob")

    def test_acting_for_another(self):
        durward = self.front()
        self.fails("SASL", "act as another", "home.example", "--connect", self.at(durward), "--authzid",
                   "native@home.example")
        self.works("home.example", "--connect", self.at(durward), "--authzid", "alice@home.example")

    def test_the_server_behind_it_is_not_there(self):
        listener = self.world.listener(self.world.backend("prosody-token", port=9))
        self.fails("SASL", "the server behind it is not there", "home.example", "--connect",
                   self.at(self.serve(listener, limits={"handshake_seconds": 2})))

    def test_no_key_no_mechanism(self):
        keytab = os.path.join(self.world.dir, "other.keytab")
        if not os.path.exists(keytab):
            self.lab.run("addservice", "xmpp/nothing.of.use", "--keytab", keytab)
        listener = self.world.listener(self.world.backend("prosody-token"), keytab=keytab)
        self.fails("features", "no key for this domain", "home.example", "--connect", self.at(self.serve(listener)))

    def test_starttls_where_tls_goes_at_once_and_the_other_way(self):
        self.fails("TLS", "no TLS there", "home.example", "--direct", "--connect", self.at(self.front()))
        self.fails("stream", "--direct", "home.example", "--connect", self.at(self.front(direct_tls=True)))

    def answered(self, octets, *more):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()

            def serve():
                connection, _ = server.accept()
                with connection:
                    if octets:
                        connection.sendall(octets)
                    connection.settimeout(kit.PATIENCE)
                    while connection.recv(4096):
                        pass

            serving = threading.Thread(target=serve, daemon=True)
            serving.start()
            done = self.probe("home.example", "--connect", "127.0.0.1:%d" % server.getsockname()[1], "--timeout", "1",
                              *more)
            serving.join(kit.PATIENCE)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stdout

    def test_servers_that_are_none(self):
        header = (b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
                  b"from='home.example' id='1'>")
        features = b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
        proceed = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        self.assertIn("another protocol", self.answered(b"HTTP/1.0 400 Bad Request\r\n\r\n"))
        self.assertIn("out of time", self.answered(b""))
        self.assertIn("no STARTTLS", self.answered(header + b"<stream:features/>"))
        self.assertIn("out of time", self.answered(header + features))
        self.assertIn("octets in the clear follow", self.answered(header + features + proceed + b"<stream:features>"))
        self.assertIn("no TLS", self.answered(b"hello, this is no TLS at all", "--direct"))


class TestUsage(unittest.TestCase):
    def test_mistakes(self):
        for words in ((), ("a.example", "b.example"), ("a.example:5222",), ("alice@a.example",), ("http://a.example",),
                      ("a.example", "--nonsense"), ("a.example", "--connect", "nowhere"), ("xmpp://",),
                      ("a.example", "--connect", "ipc:///x"), ("a.example", "--timeout", "soon")):
            with self.subTest(words=words):
                done = kit.run_durward("probe", "xmpp", *words)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn("usage", done.stderr)


if __name__ == "__main__":
    unittest.main()
