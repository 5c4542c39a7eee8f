"""An XMPP client for the odd things: every octet is the test's own.  With it the native user who echoes what is said to
them, and the real clients (tests/e2e/clients) as child processes.

A Stream blocks; one thread at a time.  GSSAPI by python3-gssapi with the ticket of a named cache, or by gsasl (libgsasl).
"""
import base64
import hashlib
import hmac
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ET

import gssapi

import kit

CLIENT, STREAM = "jabber:client", "http://etherx.jabber.org/streams"
TLS, SASL = "urn:ietf:params:xml:ns:xmpp-tls", "urn:ietf:params:xml:ns:xmpp-sasl"
BIND, ROSTER = "urn:ietf:params:xml:ns:xmpp-bind", "jabber:iq:roster"
ERRORS, SM = "urn:ietf:params:xml:ns:xmpp-streams", "urn:xmpp:sm:3"
HOSTNAME = "urn:xmpp:domain-based-name:1"
NO_LAYER = b"\x01\x00\x00\x00"


def encode(octets):
    """As SASL writes it: what is empty is "="."""
    return base64.b64encode(octets).decode() or "="


def decode(text):
    return b"" if not text or text == "=" else base64.b64decode(text, validate=True)


class Ended(Exception):
    """The server closed the stream, with the condition of its stream error, if it gave one."""


class Refused(Exception):
    """A SASL failure; its condition."""


class Stream:
    """A connection to 127.0.0.1:port.  `read` gives what came; the sockets are the caller's to `close`."""

    def __init__(self, port, domain, authority=None, alpn=None, sni=None, host="127.0.0.1", pair=None, source=None):
        self.domain, self.authority, self.alpn, self.sni, self.pair = domain, authority, alpn, sni, pair
        self.socket = socket.create_connection((host, port), timeout=kit.PATIENCE,
                                               source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = None
        self.error = None
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """A new document begins in both directions."""
        self.parser = ET.XMLPullParser(("start", "end"))
        self.depth, self.root, self.waiting = 0, None, []

    # -- octets --

    def send(self, text):
        octets = text if isinstance(text, bytes) else text.encode()
        if not self.tls:
            self.socket.sendall(octets)
            return
        self.tls.write(octets)
        self.flush()

    def flush(self):
        if self.outgoing.pending:
            self.socket.sendall(self.outgoing.read())

    def receive(self, timeout=None):
        """Some octets, b"" at the end; AssertionError when nothing comes in time."""
        deadline = time.monotonic() + (timeout or kit.PATIENCE)
        while True:
            if self.tls:
                try:
                    return self.tls.read(65536)
                except ssl.SSLWantReadError:
                    self.flush()
                except ssl.SSLZeroReturnError:
                    return b""
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                octets = self.socket.recv(65536)
            except socket.timeout:
                raise AssertionError("nothing came in time") from None
            except ConnectionResetError:
                octets = b""
            if not self.tls or not octets:
                return octets
            self.incoming.write(octets)

    def start_tls(self, verify=True):
        """The handshake, at once."""
        context = ssl.create_default_context(cafile=self.authority)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.pair:
            context.load_cert_chain(*self.pair)
        if self.alpn:
            context.set_alpn_protocols([self.alpn])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        wrapped = context.wrap_bio(self.incoming, self.outgoing, server_hostname=self.sni or self.domain)
        self.socket.settimeout(kit.PATIENCE)
        while True:
            try:
                wrapped.do_handshake()
                break
            except ssl.SSLWantReadError:
                if self.outgoing.pending:
                    self.socket.sendall(self.outgoing.read())
                octets = self.socket.recv(65536)
                if not octets:
                    raise Ended("in the TLS handshake") from None
                self.incoming.write(octets)
            except ssl.SSLError:
                if self.outgoing.pending:
                    self.socket.sendall(self.outgoing.read())
                raise
        self.tls = wrapped
        self.flush()
        self.reset()

    # -- elements --

    def pump(self):
        for event, element in self.parser.read_events():
            if event == "start":
                self.depth += 1
                if self.depth == 1:
                    self.root = element
                    self.waiting.append(("open", element))
            else:
                self.depth -= 1
                if self.depth == 1:
                    self.root.remove(element)
                    self.waiting.append(("element", element))
                elif self.depth == 0:
                    self.waiting.append(("close", element))

    def read(self, timeout=None):
        """("open", root), ("element", it), ("close", root) or ("end", None)."""
        while not self.waiting:
            octets = self.receive(timeout)
            if not octets:
                return "end", None
            self.parser.feed(octets)
            self.pump()
        return self.waiting.pop(0)

    def expect(self, kind, timeout=None):
        what, element = self.read(timeout)
        if what == "element" and element.tag == "{%s}error" % STREAM:
            self.error = next((child.tag.split("}")[1] for child in element if child.tag.startswith("{%s}" % ERRORS)),
                              "none")
            raise Ended(self.error)
        if what != kind:
            raise Ended(self.error or what)
        return element

    def element(self, timeout=None):
        return self.expect("element", timeout)

    def ending(self, timeout=None):
        """Reads until the other side has closed: the condition of its stream error, or None."""
        try:
            while True:
                self.read_to_end(timeout)
        except Ended as ended:
            return None if str(ended) in ("close", "end") else str(ended)

    def read_to_end(self, timeout):
        what, _ = self.read(timeout) if self.error else (None, self.expect_any(timeout))
        if what == "end":
            raise Ended(self.error)

    def expect_any(self, timeout):
        what, element = self.read(timeout)
        if what == "end":
            raise Ended("end")
        if what == "element" and element.tag == "{%s}error" % STREAM:
            conditions = [child.tag.split("}")[1] for child in element if child.tag.startswith("{%s}" % ERRORS)]
            self.error = conditions[0] if conditions else "none"

    # -- the ways of a login --

    def header(self, to=None, attributes=""):
        self.send("<?xml version='1.0'?><stream:stream xmlns='%s' xmlns:stream='%s' version='1.0' to='%s' %s>"
                  % (CLIENT, STREAM, self.domain if to is None else to, attributes))

    def open(self, to=None, attributes=""):
        """Sends a header; the features that come back."""
        self.reset()
        self.header(to, attributes)
        self.expect("open")
        features = self.element()
        if features.tag != "{%s}features" % STREAM:
            raise AssertionError("expected features, not %s" % features.tag)
        return features

    def secure(self, verify=True):
        """<starttls/> and TLS, behind the first features."""
        self.send("<starttls xmlns='%s'/>" % TLS)
        answer = self.element()
        if answer.tag != "{%s}proceed" % TLS:
            raise AssertionError("expected proceed, not %s" % answer.tag)
        self.start_tls(verify)

    def prepare(self):
        """Everything up to the features after TLS."""
        self.open()
        self.secure()
        return self.open()

    def auth(self, mechanism, initial=None):
        text = "" if initial is None else encode(initial)
        self.send("<auth xmlns='%s' mechanism='%s'>%s</auth>" % (SASL, mechanism, text))

    def respond(self, octets):
        self.send("<response xmlns='%s'>%s</response>" % (SASL, encode(octets)))

    def sasl(self, timeout=None):
        """What came: ("challenge" or "success", octets).  Refused for a failure."""
        element = self.element(timeout)
        if element.tag == "{%s}failure" % SASL:
            raise Refused(element[0].tag.split("}")[1] if len(element) else "none")
        name = element.tag.split("}")[1]
        if name not in ("challenge", "success"):
            raise AssertionError("expected a SASL element, not %s" % element.tag)
        return name, decode(element.text)

    def gssapi(self, ticket, authzid=b"", layer=NO_LAYER):
        """A whole exchange of RFC 4752 with a Ticket."""
        self.auth("GSSAPI", ticket.step())
        while True:
            name, octets = self.sasl()
            if name == "success":
                return
            if not ticket.complete:
                self.respond(ticket.step(octets) or b"")
                continue
            ticket.unwrap(octets)
            self.respond(ticket.wrap(layer + authzid))

    def bind(self, resource="raw"):
        """The full JID."""
        answer = self.ask("<bind xmlns='%s'><resource>%s</resource></bind>" % (BIND, resource), kind="set")
        return answer.find("{%s}bind/{%s}jid" % (BIND, BIND)).text

    def ask(self, inside, kind="get", to=None):
        """One iq and its answer; what else comes is dropped."""
        name = base64.b32encode(os.urandom(5)).decode()
        self.send("<iq type='%s' id='%s'%s>%s</iq>" % (kind, name, " to='%s'" % to if to else "", inside))
        while True:
            answer = self.element()
            if answer.tag == "{%s}iq" % CLIENT and answer.get("id") == name:
                if answer.get("type") != "result":
                    raise AssertionError("iq: " + ET.tostring(answer).decode())
                return answer

    def roster(self):
        return self.ask("<query xmlns='%s'/>" % ROSTER).findall("{%s}query/{%s}item" % (ROSTER, ROSTER))

    def say(self, to, text):
        self.send("<message type='chat' to='%s'><body>%s</body></message>" % (to, text))

    def hear(self, timeout=None):
        """The next message with a body: (from, body)."""
        while True:
            element = self.element(timeout)
            body = element.find("{%s}body" % CLIENT)
            if element.tag == "{%s}message" % CLIENT and body is not None:
                return element.get("from"), body.text

    def log_in(self, ticket, authzid=b"", resource="raw"):
        """From the connection to the bound resource: the full JID."""
        self.prepare()
        self.gssapi(ticket, authzid)
        self.open()
        return self.bind(resource)

    def end(self):
        self.send("</stream:stream>")
        return self.ending()


class Exporting(Stream):
    """Direct TLS by OpenSSL's own client, a child process; `exported` is what RFC 9266 binds to."""

    def __init__(self, port, domain, authority):
        self.domain, self.tls, self.error = domain, None, None
        self.socket, ours = socket.socketpair()
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port, "-servername", domain, "-alpn", "xmpp-client",
             "-CAfile", authority, "-verify_return_error", "-verify_hostname", domain, "-nocommands",
             "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32"],
            stdin=ours, stdout=ours, stderr=subprocess.DEVNULL)
        ours.close()
        said = b""
        while not (found := re.search(rb"Keying material: ([0-9A-F]{64})\n---\n", said)):
            octets = self.receive()
            if not octets:
                raise Ended("in the TLS handshake")
            said += octets
        self.exported = bytes.fromhex(found[1].decode())
        self.reset()

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()


def gs2(stream, cache, service, header, binding=b""):
    """A whole exchange of RFC 5801 with that gs2-header, bound to those octets."""
    bindings = gssapi.raw.ChannelBindings(application_data=header + binding)
    context = gssapi.SecurityContext(
        name=gssapi.Name(service, gssapi.NameType.kerberos_principal), usage="initiate", channel_bindings=bindings,
        flags=gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.integrity,
        creds=gssapi.Credentials(usage="initiate", store={"ccache": "FILE:" + cache}))
    token = context.step()
    frame = 2 + (token[1] & 0x7f if token[1] & 0x80 else 0)  # of RFC 2743 section 3.1, and the mechanism's OID
    frame += 2 + token[frame + 1]
    stream.auth("GS2-KRB5-PLUS" if header.startswith(b"p=") else "GS2-KRB5", header + token[frame:])
    stream.sasl()


class Ticket:
    """A security context towards `service` ("xmpp/home.example@HOME.EXAMPLE") with a cache's ticket."""

    def __init__(self, cache, service, mutual=True, flags=None):
        store = {"ccache": "FILE:" + cache}
        wanted = gssapi.RequirementFlag.integrity | gssapi.RequirementFlag.confidentiality
        if mutual:
            wanted |= gssapi.RequirementFlag.mutual_authentication
        self.context = gssapi.SecurityContext(
            name=gssapi.Name(service, gssapi.NameType.kerberos_principal), usage="initiate",
            creds=gssapi.Credentials(usage="initiate", store=store), flags=flags or wanted)

    @property
    def complete(self):
        return self.context.complete

    def step(self, token=None):
        return self.context.step(token)

    def wrap(self, octets):
        return self.context.wrap(octets, False).message

    def unwrap(self, octets):
        return self.context.unwrap(octets).message


def gsasl(stream, cache, hostname, authzid="", mechanism="GSSAPI"):
    """The exchange as libgsasl has it, by its own program; from a prepared stream to success."""
    if not shutil.which("gsasl"):
        raise unittest.SkipTest("gsasl is not installed")
    words = ["gsasl", "--client", "--quiet", "--mechanism=" + mechanism, "--service=xmpp", "--hostname=" + hostname,
             "--authentication-id=", "--authorization-id=" + authzid]
    with subprocess.Popen(words, env=kit.Lab.shared().environment(cache), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as engine:
        try:
            def said():
                if not select.select([engine.stdout], [], [], kit.PATIENCE)[0]:
                    raise AssertionError("gsasl said nothing")
                line = engine.stdout.readline().strip()
                if not line and engine.poll() is not None:
                    raise AssertionError("gsasl ended")
                return line

            if said() != mechanism.encode():
                raise AssertionError("gsasl does not have " + mechanism)
            stream.auth(mechanism, base64.b64decode(said()))
            while True:
                name, octets = stream.sasl()
                if name == "success":
                    return
                engine.stdin.write(base64.b64encode(octets) + b"\n")
                engine.stdin.flush()
                stream.respond(base64.b64decode(said()))
        finally:
            engine.kill()


# -- native users ----------------------------------------------------------------------------------------------


def native(stream, user, password):
    """Logs a native user in: by the certificate that the stream shows, by SCRAM where it is offered, else by PLAIN."""
    features = stream.prepare()
    offered = [element.text for element in features.iter("{%s}mechanism" % SASL)]
    if stream.pair:
        stream.auth("EXTERNAL", ("%s@%s" % (user, stream.domain)).encode())
        stream.sasl()
    elif "SCRAM-SHA-1" in offered:
        scram(stream, user, password)
    else:
        stream.auth("PLAIN", b"\0" + user.encode() + b"\0" + password.encode())
        stream.sasl()
    stream.open()


def scram(stream, user, password):
    def mac(key, text):
        return hmac.new(key, text, hashlib.sha1).digest()

    nonce = base64.b64encode(os.urandom(12)).decode()
    first = "n=%s,r=%s" % (user, nonce)
    stream.auth("SCRAM-SHA-1", ("n,," + first).encode())
    _, challenge = stream.sasl()
    fields = dict(field.split("=", 1) for field in challenge.decode().split(","))
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = mac(salted, b"Client Key")
    final = "c=biws,r=" + fields["r"]
    signature = mac(hashlib.sha1(key).digest(), ",".join((first, challenge.decode(), final)).encode())
    proof = bytes(one ^ other for one, other in zip(key, signature))
    stream.respond((final + ",p=" + base64.b64encode(proof).decode()).encode())
    stream.sasl()


class Echo:
    """A user on the server itself, who answers "echo: TEXT" to whatever is said to them: a native one, with a password or
    a certificate, or one with a Ticket where the server takes that."""

    def __init__(self, port, user, password, domain, authority, pair=None, ticket=None):
        self.jid = user + "@" + domain
        self.heard = []
        self.stream = Stream(port, domain, authority, pair=pair)
        if ticket:
            self.stream.log_in(ticket, resource="echo")
        else:
            native(self.stream, user, password)
            self.stream.bind("echo")
        self.stream.send("<presence/>")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            while True:
                who, text = self.stream.hear(timeout=3600)
                self.heard.append((who, text))
                self.stream.say(who, "echo: " + text)
        except (Ended, OSError, ValueError, AssertionError):
            pass

    def stop(self):
        self.stream.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(kit.PATIENCE)
        self.stream.close()


# -- real clients ----------------------------------------------------------------------------------------------

CLIENTS = os.path.join(kit.HERE, "clients")


class Programs:
    """The clients in C, built once for the test program."""

    dir = None

    @classmethod
    def build(cls, name, package):
        """Its path; SkipTest when it cannot be built here."""
        if cls.dir is None:
            cls.dir = tempfile.mkdtemp(prefix="durward-e2e-clients-")
            unittest.addModuleCleanup(cls.remove)
        path = os.path.join(cls.dir, name)
        if os.path.exists(path):
            return path
        try:
            flags = subprocess.run(["pkg-config", "--cflags", "--libs", package], check=True, capture_output=True,
                                   text=True).stdout.replace("-I/", "-isystem /").split()
        except (OSError, subprocess.CalledProcessError):
            raise unittest.SkipTest("pkg-config knows no %s: its -dev package is not installed" % package) from None
        source = os.path.join(CLIENTS, name + ".c")
        subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Werror", source, "-o", path, *flags],
                       check=True)
        return path

    @classmethod
    def remove(cls):
        shutil.rmtree(cls.dir or "", ignore_errors=True)
        cls.dir = None


def has_modules(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def client(name):
    """The words to run a real client with, or SkipTest and why."""
    if name == "libpurple":
        if not any(os.path.exists(folder + "/sasl2/libgssapiv2.so")
                   for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")):
            raise unittest.SkipTest("Cyrus SASL has no gssapi plugin: libsasl2-modules-gssapi-mit is not installed")
        return [Programs.build("purple_client", "purple")]
    if name == "loudmouth":
        return [Programs.build("loudmouth_client", "loudmouth-1.0")]
    if name == "slixmpp":
        if not has_modules("/usr/bin/python3", "-c", "import slixmpp, kerberos"):
            raise unittest.SkipTest("python3-slixmpp or python3-kerberos is not installed")
        return ["/usr/bin/python3", os.path.join(CLIENTS, "slixmpp_client.py")]
    if name == "Net::XMPP":
        if not has_modules("perl", "-MNet::XMPP", "-MAuthen::SASL", "-MGSSAPI", "-e1"):
            raise unittest.SkipTest("libnet-xmpp-perl, libauthen-sasl-perl or libgssapi-perl is not installed")
        return ["perl", os.path.join(CLIENTS, "net_xmpp_client.pl")]
    raise ValueError(name)


def run_client(name, *words, cache, options=()):
    """Runs it to its end: (exit code, its lines)."""
    environment = kit.Lab.shared().environment(cache)
    done = subprocess.run([*client(name), *options, *map(str, words)], env=environment, capture_output=True, text=True,
                          timeout=kit.PATIENCE * 2, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr
