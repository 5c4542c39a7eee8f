"""Users logged in at stock servers, as durward's own stream does it: each server by each method, and what they refuse."""
import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import xmpp_kit
from xmpp_servers import Authority, Ejabberd, Prosody, missing_ejabberd, missing_prosody

DRIVER = os.environ.get("DURWARD_XMPP_LOGIN", "drive_xmpp_login")
DOMAIN, SECRET = "example.test", b"thirty-two octets of a secret..."
NATIVE = {DOMAIN: {"bob": "a native password"}}
DENIED, FAILED = 3, 4


class Case(unittest.TestCase):
    """One server for a class."""

    server = directory = None

    @classmethod
    def setUpClass(cls):
        why = cls.missing()
        if why:
            raise unittest.SkipTest(why)
        cls.directory = tempfile.mkdtemp(prefix="durward-e2e-backends-")
        try:
            cls.authority = Authority(cls.directory)
            cls.stranger = Authority(cls.directory, "stranger")
            cls.write("secret", SECRET)
            cls.write("other-secret", b"another secret of 32 octets.....")
            cls.server = cls.begin()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.server:
            cls.server.stop()
        shutil.rmtree(cls.directory, ignore_errors=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory, name)

    @classmethod
    def write(cls, name, octets):
        with open(cls.path(name), "wb") as file:
            file.write(octets)
        return cls.path(name)

    def log_in(self, user, *method, domain=DOMAIN, authority=None, port=None):
        """The driver's exit code and what it said."""
        done = subprocess.run([DRIVER, str(port or self.server.port), domain,
                               "-" if authority == "-" else (authority or self.authority).certificate, user, *method],
                              capture_output=True, text=True, timeout=90)
        if done.returncode not in (0, DENIED, FAILED):
            raise AssertionError("the driver: exit %d\n%s%s\n%s" % (done.returncode, done.stdout, done.stderr,
                                                                    self.server.log()[-3000:]))
        return done.returncode, done.stdout

    def assert_in(self, user, *method, **options):
        code, said = self.log_in(user, *method, **options)
        self.assertEqual(code, 0, said)
        self.assertIn("<jid>%s@%s/r</jid>" % (user, options.get("domain", DOMAIN)), said)
        clear = options.get("authority") == "-"
        self.assertRegex(said, r"(?m)^ready in the clear$" if clear else r"(?m)^ready TLSv1\.[23]$")

    def assert_refused(self, code, pattern, user, *method, **options):
        got, said = self.log_in(user, *method, **options)
        self.assertEqual(got, code, said)
        self.assertRegex(said, pattern)

    def assert_native(self, mechanism):
        """A native user still gets in by a password, as the server offers it."""
        with xmpp_kit.Stream(self.server.port, DOMAIN, self.authority.certificate) as stream:
            features = stream.prepare()
            offered = [one.text for one in features.iter("{%s}mechanism" % xmpp_kit.SASL)]
            self.assertIn(mechanism, offered)
        with xmpp_kit.Stream(self.server.port, DOMAIN, self.authority.certificate) as stream:
            xmpp_kit.native(stream, "bob", NATIVE[DOMAIN]["bob"])
            stream.bind()


class EjabberdJwt(Case):
    missing = staticmethod(missing_ejabberd)

    @classmethod
    def begin(cls):
        return Ejabberd(NATIVE, cls.authority, login="jwt", secret=SECRET)

    def test_in(self):
        self.assert_in("alice", "jwt", self.path("secret"))

    def test_one_file_serves_both(self):
        self.assert_in("alice", "jwt", self.server.path("jwt.key"))

    def test_native(self):
        self.assert_native("PLAIN")

    def test_expired(self):
        self.assert_refused(DENIED, "not-authorized", "alice", "jwt", self.path("secret"), "-", "5", "60")

    def test_another_secret(self):
        self.assert_refused(DENIED, "not-authorized", "alice", "jwt", self.path("other-secret"))

    def test_a_domain_that_it_does_not_serve(self):
        self.assert_refused(FAILED, "does not serve nowhere.test", "alice", "jwt", self.path("secret"),
                            domain="nowhere.test")

    def test_an_authority_that_did_not_sign(self):
        self.assert_refused(FAILED, "does not verify: .*ca_file", "alice", "jwt", self.path("secret"),
                            authority=self.stranger)

    def test_no_tls_to_a_server_that_requires_it(self):
        self.assert_refused(FAILED, "requires STARTTLS", "alice", "jwt", self.path("secret"), authority="-")

    def test_external_where_it_is_not_offered(self):
        self.assert_refused(FAILED, "does not offer SASL EXTERNAL; it offers .*PLAIN", "alice", "external",
                            self.authority.certificate, self.authority.key)


class EjabberdExternal(Case):
    missing = staticmethod(missing_ejabberd)

    @classmethod
    def begin(cls):
        return Ejabberd(NATIVE, cls.authority, login="external")

    def test_in(self):
        self.assert_in("alice", "external", self.authority.certificate, self.authority.key)

    def test_native(self):
        self.assert_native("SCRAM-SHA-1")

    def test_a_stranger_signed(self):
        self.assert_refused(DENIED, "not-authorized: self.signed certificate", "alice", "external",
                            self.stranger.certificate, self.stranger.key)


class EjabberdProxy(Case):
    missing = staticmethod(missing_ejabberd)

    @classmethod
    def begin(cls):
        return Ejabberd(NATIVE, cls.authority, login="jwt", secret=SECRET, proxy=True)

    def test_it_sees_where_the_client_is(self):
        for version, user in (("v1", "alice"), ("v2", "carol")):
            self.assert_in(user, "jwt", self.path("secret"), version)
            self.assertIsNotNone(self.server.wait_log("PLAIN authentication for %s@.* from 192.0.2.77" % user))


class ProsodyExternal(Case):
    @staticmethod
    def missing():
        return missing_prosody("mod_auth_ccert")

    @classmethod
    def begin(cls):
        return Prosody(NATIVE, cls.authority, login="external")

    def test_in(self):
        self.assert_in("alice", "external", self.authority.certificate, self.authority.key)

    def test_a_stranger_signed(self):
        self.assert_refused(DENIED, "account-disabled", "alice", "external", self.stranger.certificate,
                            self.stranger.key)


class ProsodyToken(Case):
    missing = staticmethod(missing_prosody)

    @classmethod
    def begin(cls):
        return Prosody(NATIVE, cls.authority, login="token", secret=SECRET + b"\n")

    def token(self, user="alice", lifetime=30, secret=SECRET, nonce=None, mac=None):
        """One made here: what the C side makes is held to it by its logging in."""
        head = "v1.%d.%s" % (time.time() + lifetime, nonce or os.urandom(16).hex())
        code = hmac.new(secret, ("%s.%s@%s" % (head, user, DOMAIN)).encode(), hashlib.sha256).hexdigest()
        return self.write("token-" + os.urandom(4).hex(), ("%s.%s" % (head, mac or code)).encode())

    def test_in(self):
        self.assert_in("alice", "token", self.path("secret"))
        self.assert_in("alice", "token", self.path("secret"))

    def test_a_token_is_good_once(self):
        token = self.token()
        self.assert_in("alice", "password", token)
        self.assert_refused(DENIED, "not-authorized", "alice", "password", token)
        self.assertIsNotNone(self.server.wait_log("token for alice from 127.0.0.1 is refused: it has been used before"))

    def test_refused(self):
        for why, token in (
                ("it has expired", self.token(lifetime=-5)), ("it is good for too long", self.token(lifetime=86400)),
                ("it is not for this user", self.token(user="carol")),
                ("it is not for this user", self.token(secret=b"x" * 32)),
                ("it is not for this user", self.token(mac="00")),
        ):
            self.assert_refused(DENIED, "not-authorized", "alice", "password", token)
            self.assertIsNotNone(self.server.wait_log("is refused: " + why), why)

    def test_expired_of_ours(self):
        self.assert_refused(DENIED, "not-authorized", "alice", "token", self.path("secret"), "-", "5", "60")

    def test_what_only_looks_like_a_token_is_a_password(self):
        for text in (b"v1.12.zz.ff", b"v1...", b"v1.%s.aa.bb" % (b"9" * 400), b"v2.1.aa.bb"):
            self.assert_refused(DENIED, "not-authorized", "alice", "password", self.write("odd", text))

    def test_native(self):
        self.assert_native("SCRAM-SHA-1")
        self.assert_in("bob", "password", self.write("native", NATIVE[DOMAIN]["bob"].encode()))
        self.assert_refused(DENIED, "not-authorized", "bob", "password", self.write("wrong", b"another"))

    def test_who_came_by_a_token_has_an_account_that_no_password_opens(self):
        self.assert_in("dave", "token", self.path("secret"))
        self.assertTrue(os.path.exists(self.server.path("data/example%2etest/accounts/dave.dat")))
        for guess in (b"nil", b" ", b"0"):
            self.assert_refused(DENIED, "not-authorized", "dave", "password", self.write("guess", guess))


class ProsodyTokenElsewhere(Case):
    missing = staticmethod(missing_prosody)

    @classmethod
    def begin(cls):
        return Prosody(NATIVE, cls.authority, login="token", secret=SECRET,
                       extra="durward_addresses = { \"192.0.2.0/24\", \"2001:db8::1\" }\n"
                             "durward_native = \"internal_plain\"")

    def test_only_named_addresses(self):
        self.assert_refused(DENIED, "not-authorized", "alice", "token", self.path("secret"))
        self.assertIsNotNone(self.server.wait_log("from an address that durward_addresses does not name"))

    def test_a_provider_that_keeps_passwords(self):
        self.assert_native("SCRAM-SHA-1")
        self.assert_in("bob", "password", self.write("native", NATIVE[DOMAIN]["bob"].encode()))
        self.assert_refused(DENIED, "not-authorized", "bob", "password", self.write("wrong", b"another"))


class ProsodyInTheClear(Case):
    """As it may be done on one machine."""

    missing = staticmethod(missing_prosody)

    @classmethod
    def begin(cls):
        return Prosody(NATIVE, cls.authority, login="token", secret=SECRET,
                       extra="c2s_require_encryption = false\nallow_unencrypted_plain_auth = true")

    def test_in(self):
        self.assert_in("alice", "token", self.path("secret"), authority="-")
        self.assert_in("alice", "token", self.path("secret"))


class ProsodyTokenJwk(Case):
    """The file that an ejabberd reads as its key serves Prosody and durward too."""

    missing = staticmethod(missing_prosody)
    key = SECRET + b"\xfb\xff"  # "-" and "_" in base64url

    @classmethod
    def begin(cls):
        text = base64.urlsafe_b64encode(cls.key).rstrip(b"=").decode()
        cls.write("jwk", json.dumps({"kty": "oct", "alg": "HS256", "k": text}).encode())
        return Prosody(NATIVE, cls.authority, login="token", secret=json.dumps({"kty": "oct", "k": text}).encode())

    def test_in(self):
        self.assert_in("alice", "token", self.path("jwk"))
        self.assert_in("carol", "token", self.write("octets", self.key))

    def test_another_secret(self):
        self.assert_refused(DENIED, "not-authorized", "alice", "token", self.path("secret"))


class ProsodyTokenMisconfigured(unittest.TestCase):
    """Nobody gets in, and the log says what to mend."""

    def test_nobody(self):
        if missing_prosody():
            self.skipTest(missing_prosody())
        with tempfile.TemporaryDirectory(prefix="durward-e2e-backends-") as directory:
            authority = Authority(directory)
            for secret, words in ((b"short", "holds 5 octets, at least 16 are needed"),
                                  (b'{"kty":"RSA","n":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}', "holds 0 octets"),
                                  (b'{"kty":"oct","k":"!!!"}', "holds 0 octets")):
                with Prosody(NATIVE, authority, login="token", secret=secret) as server:
                    self.assertIsNotNone(server.wait_log("durward_secret_file: .* " + words), server.log()[-2000:])
                    with xmpp_kit.Stream(server.port, DOMAIN, authority.certificate) as stream:
                        self.assertRaises((xmpp_kit.Ended, AssertionError), stream.prepare)


if __name__ == "__main__":
    unittest.main()
