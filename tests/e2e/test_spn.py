"""durward spn: the service names of RFC 5179 and XEP-0233."""
import unittest

import kit


class TestSpn(unittest.TestCase):
    def spn(self, *arguments):
        return kit.run_durward("spn", *arguments)

    def test_names(self):
        for arguments, name in (
                (("--domain", "example.com", "--hostname", "cm7.us.example.com"),
                 "xmpp/cm7.us.example.com/example.com@EXAMPLE.COM"),
                (("--domain=example.com", "--hostname=cm7", "--realm=HOME.EXAMPLE"), "xmpp/cm7/example.com@HOME.EXAMPLE"),
                (("--domain", "example.com", "--hostname", "cm7", "--sspi"), "xmpp/cm7/example.com"),
                (("--domain", "example.com", "--hostname", "cm7", "--sspi", "--realm", "R"), "xmpp/cm7/example.com"),
                (("--domain", "example.com", "--hostname", "db", "--service", "ldap"), "ldap/db/example.com@EXAMPLE.COM"),
                (("--domain", "Example.COM.", "--hostname", "CM7.Example.com"),
                 "xmpp/cm7.example.com/example.com@EXAMPLE.COM"),
                (("--domain", "xn--bcher-kva.example", "--hostname", "h"),
                 "xmpp/h/xn--bcher-kva.example@XN--BCHER-KVA.EXAMPLE"),
                (("--domain", "d.example", "--hostname", "h", "--realm", "A/B@C"), r"xmpp/h/d.example@A\/B\@C"),
                (("--domain", "d.example", "--hostname", "h", "--realm", "Mixed.Case"), "xmpp/h/d.example@Mixed.Case")):
            with self.subTest(arguments=arguments):
                done = self.spn(*arguments)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, name + "\n", ""))

    def test_what_is_no_name(self):
        for hostname, said in (("", "hostname is empty"), ("a_b", "holds '_'"), ("a b", "holds ' '"),
                               ("a..b", "empty label"), (".a", "empty label"), ("-a.example", "starts or ends with '-'"),
                               ("a-.example", "starts or ends with '-'"), ("a" * 64, "more than 63"),
                               (".".join(["a" * 60] * 5), "longer than 253"), ("192.0.2.7", "an address"),
                               ("2001:db8::1", "an address"), ("b\u00fccher.example", "A-label form, xn--"),
                               ("a/b", "holds '/'"), ("a@b", "holds '@'"), ("a\x1b[2J", "holds '?'")):
            with self.subTest(hostname=hostname):
                done = self.spn("--domain", "example.com", "--hostname", hostname)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertTrue(done.stderr.startswith("durward spn: hostname"), done.stderr)
                self.assertIn(said, done.stderr)
                self.assertNotIn("\x1b", done.stderr)

    def test_wrong_usage(self):
        for arguments, said in (((), "--domain is missing"), (("--domain", "d"), "--hostname is missing"),
                                (("--domain", "d", "--hostname"), "--hostname needs a value"),
                                (("--domian", "d"), "did you mean '--domain'?"), (("d",), "'d' is not an option"),
                                (("--domain", "d", "--hostname", "h", "--realm", ""), "realm is empty"),
                                (("--domain", "d", "--hostname", "h", "--service", ""), "service is empty")):
            with self.subTest(arguments=arguments):
                done = self.spn(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(said, done.stderr)

    def test_help(self):
        done = self.spn("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--sspi", done.stdout)


if __name__ == "__main__":
    unittest.main()
