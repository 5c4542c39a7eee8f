"""A server that asks durward by Dovecot's authentication protocol, every line of it the test's own; and GSSAPI clients
behind it."""
import base64
import socket

import gssapi

import kit

NO_LAYER = b"\x01\x00\x00\x00"


class Ended(Exception):
    """durward closed the connection."""


class Ticket:
    """A security context towards `service` ("imap/localhost@HOME.EXAMPLE") with a cache's ticket."""

    def __init__(self, cache, service, mutual=True):
        wanted = gssapi.RequirementFlag.integrity | gssapi.RequirementFlag.confidentiality
        if mutual:
            wanted |= gssapi.RequirementFlag.mutual_authentication
        self.context = gssapi.SecurityContext(
            name=gssapi.Name(service, gssapi.NameType.kerberos_principal), usage="initiate", flags=wanted,
            creds=gssapi.Credentials(usage="initiate", store={"ccache": "FILE:" + cache}))

    def step(self, token=None):
        return self.context.step(token)

    def answer(self, challenge, choice=NO_LAYER, authzid=b"", sealed=False):
        """What the client says to a challenge: to the server's token nothing, to the layers its choice."""
        if not self.context.complete:
            return self.context.step(challenge) or b""
        layers = self.context.unwrap(challenge)
        if layers.message != NO_LAYER or layers.encrypted:
            raise AssertionError("offered were the layers %r" % layers.message)
        return self.context.wrap(choice + authzid, sealed).message


class Asker:
    """A connection to durward.  `where`: a path, or a port of 127.0.0.1."""

    def __init__(self, where, hello=True):
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(kit.PATIENCE)
        self.socket.connect(where if isinstance(where, str) else ("127.0.0.1", where))
        self.input = b""
        self.told = []
        if not hello:
            return
        try:
            self.say("VERSION", 1, 1)
            self.say("CPID", 4711)
            self.handshake()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def handshake(self):
        """Its lines, up to DONE."""
        while not self.told or self.told[-1] != ["DONE"]:
            self.told.append(self.line())
        return self.told

    def mechanisms(self):
        return [words[1] for words in self.told if words[0] == "MECH"]

    def raw(self, octets):
        self.socket.sendall(octets)

    def say(self, *words):
        self.raw(("\t".join(str(word) for word in words) + "\n").encode())

    def line(self, timeout=None):
        """The words of the next line; Ended at the end."""
        self.socket.settimeout(timeout or kit.PATIENCE)
        while b"\n" not in self.input:
            try:
                octets = self.socket.recv(65536)
            except ConnectionResetError:
                octets = b""
            if not octets:
                raise Ended()
            self.input += octets
        line, _, self.input = self.input.partition(b"\n")
        return line.decode().split("\t")

    def is_silent(self, seconds=0.3):
        try:
            self.line(seconds)
        except socket.timeout:
            return True
        return False

    def auth(self, number, service, *parameters, response=None, mechanism="GSSAPI"):
        last = [] if response is None else ["resp=" + base64.b64encode(response).decode()]
        self.say("AUTH", number, mechanism, "service=" + service, *parameters, *last)

    def cont(self, number, octets):
        self.say("CONT", number, base64.b64encode(octets).decode() or "=")

    def reply(self, number):
        """(verb, octets or words) of the next line, which is about that exchange."""
        verb, about, *rest = self.line()
        if int(about) != number:
            raise AssertionError("expected a line about %d, not %s %s" % (number, verb, about))
        return (verb, decode(rest[0])) if verb == "CONT" else (verb, rest)

    def exchange(self, number, service, ticket, *parameters, initial=True, **answers):
        """A whole one: ("OK" or "FAIL", its words)."""
        token = ticket.step()
        self.auth(number, service, *parameters, response=token if initial else None)
        verb, what = self.reply(number)
        if not initial and verb == "CONT":
            if what:
                raise AssertionError("the first challenge is %r" % what)
            self.cont(number, token)
            verb, what = self.reply(number)
        while verb == "CONT":
            self.cont(number, ticket.answer(what, **answers))
            verb, what = self.reply(number)
        return verb, what


def decode(text):
    return b"" if text == "=" else base64.b64decode(text, validate=True)
