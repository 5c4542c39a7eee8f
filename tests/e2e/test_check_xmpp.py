"""durward check: what xmpp and dovecot listeners find in the world: certificates, keys, secrets."""
import os
import shutil
import tempfile
import unittest

import kit
import xmpp_servers

DOMAIN = "example.test"
GOOD = """return { policy = "policy.lua", state_dir = "state", xmpp = {
  { name = "cm7", listen = "tcp://127.0.0.1:0", domain = "example.test",
    hostname = "cm7.test",
    keytab = "xmpp.keytab",
    tls = { certificate = "mine.pem",
            key = "mine.key" },
    backend = { connect = "tcp://127.0.0.1:1", ca_file = "ca.pem", login = "jwt",
                secret_file = "secret" } } } }
"""


class CheckXmpp(unittest.TestCase):
    def setUp(self):
        self.lab = kit.Lab.shared()
        self.dir = tempfile.mkdtemp(prefix="durward-check-xmpp-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.mkdir(self.path("state"), 0o700)
        self.write("policy.lua", 'return { map = function() return "alice" end }\n', 0o644)
        self.authority = xmpp_servers.Authority(self.dir)
        self.authority.issue(DOMAIN, file="mine")
        os.chmod(self.path("mine.key"), 0o600)
        os.chmod(self.path("ca.key"), 0o600)
        self.keys("xmpp.keytab", "xmpp/cm7.test/" + DOMAIN, "xmpp/" + DOMAIN)
        self.write("secret", "sixteen octets and more")

    def keys(self, file, *services):
        """A keytab; each service is made once for the lab."""
        made = os.path.join(self.lab.dir, "-".join(services).replace("/", "_") + ".keytab")
        for service in services if not os.path.exists(made) else ():
            self.lab.run("addservice", "%s@%s" % (service, kit.HOME), "--keytab", made)
        shutil.copy(made, self.path(file))
        os.chmod(self.path(file), 0o600)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o600):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def expect(self, code, *wanted, config=GOOD):
        """Each wanted text is "LINE: beginning" of one line, in whichever order, and no other is told."""
        self.write("c.lua", config, 0o644)
        done = kit.run_durward("check", "-c", self.path("c.lua"), env=self.lab.environment(self.path("no.cc")))
        lines = done.stdout.replace(self.path("c.lua") + ":", "").replace(self.dir + "/", "").splitlines()
        self.assertEqual(len(lines), len(wanted), done.stdout)
        for text in wanted:
            self.assertTrue(any(line.startswith(text) for line in lines), "%r in\n%s" % (text, done.stdout))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    def test_clean(self):
        self.expect(0)

    def test_files_that_are_not_there(self):
        for name in ("mine.pem", "mine.key", "ca.pem", "secret", "xmpp.keytab"):
            os.remove(self.path(name))
        self.expect(1, "4: keytab xmpp.keytab cannot be read", "5: cannot read the certificate mine.pem",
                    "6: key mine.key cannot be read", "7: cannot read the certificate authority ca.pem", "8: secret_file secret cannot be read")

    def test_secrets_that_others_can_read(self):
        for name in ("mine.key", "secret", "xmpp.keytab"):
            os.chmod(self.path(name), 0o644)
        self.expect(1, "4: keytab xmpp.keytab is open to anyone", "6: key mine.key is open to anyone",
                    "8: secret_file secret is open to anyone")

    def test_a_short_secret(self):
        self.write("secret", "short\n")
        self.expect(1, "8: secret_file secret: ")

    def test_a_key_of_another_certificate(self):
        self.authority.issue(DOMAIN, file="other")
        os.chmod(self.path("other.key"), 0o600)
        self.expect(1, "5: ", config=GOOD.replace("mine.key", "other.key"))

    def test_a_certificate_of_another_domain(self):
        self.authority.issue("elsewhere.test", file="mine")
        os.chmod(self.path("mine.key"), 0o600)
        self.expect(1, "5: the certificate mine.pem is not for example.test: it holds DNS elsewhere.test")

    def test_certificates_that_end(self):
        self.authority.issue(DOMAIN, file="mine", days=3)
        os.chmod(self.path("mine.key"), 0o600)
        self.expect(0, "5: warning: certificate mine.pem ends soon, on 2")
        self.authority.issue(DOMAIN, file="mine", days=-1)
        os.chmod(self.path("mine.key"), 0o600)
        self.expect(1, "5: certificate mine.pem has ended, on 2")

    def test_keys_that_are_missing(self):
        self.expect(0, "2: warning: keytab xmpp.keytab has no key for xmpp/cm8.test/example.test, which clients that read",
                    config=GOOD.replace("cm7.test", "cm8.test"))
        self.keys("xmpp.keytab", "zmq/elsewhere.test")
        self.expect(1, "2: keytab xmpp.keytab has no xmpp key for example.test")

    def test_an_authority_of_our_own(self):
        external = GOOD.replace('login = "jwt"', 'login = "external"').replace(
            'secret_file = "secret"', 'ca_certificate = "ca.pem", ca_key = "ca.key"')
        self.expect(0, config=external)
        self.expect(1, "8: ", config=external.replace('ca_certificate = "ca.pem"', 'ca_certificate = "mine.pem"'))
        os.chmod(self.path("ca.key"), 0o640)
        self.expect(1, "8: ca_key ca.key is open to its group", config=external)

    def test_one_of_several_domains(self):
        self.keys("xmpp.keytab", "xmpp/cm7.test/own.test", "xmpp/own.test", "xmpp/other.test")
        self.authority.issue("own.test", file="mine")
        os.chmod(self.path("mine.key"), 0o600)
        config = GOOD.replace("example.test", "own.test").replace("} } } }\n", "},\n    domains = {\n      ['other.test'] = {\n        tls = {\n"
                              "          certificate = 'none.pem', key = 'mine.key' } } } } } }\n")
        self.expect(1, "12: cannot read the certificate none.pem", "10: warning: keytab xmpp.keytab has no key for xmpp/cm7.test/other.test",
                    config=config)

    def test_dovecot(self):
        config = """return { policy = "policy.lua", state_dir = "state", keytab = "xmpp.keytab", dovecot = {
  { name = "sasl", listen = "ipc://auth",
    services = { "xmpp", "smtp" } } } }
"""
        self.expect(1, "3: keytab xmpp.keytab has no key for service 'smtp'", config=config)
        os.chmod(self.path("xmpp.keytab"), 0o644)
        self.expect(1, "1: keytab xmpp.keytab is open to anyone", config=config.replace(', "smtp"', ""))


if __name__ == "__main__":
    unittest.main()
