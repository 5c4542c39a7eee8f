"""ZMTP spoken octet by octet: for what no stock libzmq would send, and to see what it is sent."""
import socket
import struct
import time

MORE, LONG, COMMAND = 1, 2, 4
INNER_MORE, INNER_COMMAND = 1, 2


def greeting(mechanism=b"GSSAPI", major=3, minor=1, as_server=0, signature=b"\xff" + bytes(8) + b"\x7f"):
    return signature + bytes([major, minor]) + mechanism.ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def frame(flags, body):
    if len(body) > 255:
        return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body
    return bytes([flags, len(body)]) + body


def named(name, body=b""):
    return bytes([len(name)]) + name + body


def command(name, body=b""):
    return frame(COMMAND, named(name, body))


def metadata(properties):
    """Of a dict, or of a list of pairs when a name stands twice."""
    pairs = properties.items() if isinstance(properties, dict) else properties
    out = b""
    for key, value in pairs:
        key = key.encode() if isinstance(key, str) else key
        value = value.encode() if isinstance(value, str) else value
        out += named(key) + struct.pack(">I", len(value)) + value
    return out


def parse_metadata(octets):
    properties = {}
    while octets:
        length = octets[0]
        name, octets = octets[1:1 + length].decode(), octets[1 + length:]
        size, = struct.unpack(">I", octets[:4])
        properties[name], octets = octets[4:4 + size], octets[4 + size:]
    return properties


class Ended(Exception):
    """The other side has closed."""


class Wire:
    """One connection.  Reads raise Ended at its end and TimeoutError when nothing comes."""

    def __init__(self, port, host="127.0.0.1", timeout=20.0, source=None):
        self.socket = socket.create_connection((host, port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def read(self, count):
        got = b""
        deadline = time.monotonic() + self.timeout
        while len(got) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("%d of %d octets came" % (len(got), count))
            self.socket.settimeout(left)
            try:
                piece = self.socket.recv(count - len(got))
            except socket.timeout:
                continue
            except (ConnectionResetError, BrokenPipeError) as reset:
                raise Ended("reset") from reset
            if not piece:
                raise Ended("%d of %d octets came" % (len(got), count))
            got += piece
        return got

    def read_greeting(self):
        return self.read(64)

    def read_frame(self):
        """(flags without LONG, body)"""
        flags = self.read(1)[0]
        size = struct.unpack(">Q", self.read(8))[0] if flags & LONG else self.read(1)[0]
        if size > 1 << 28:
            raise AssertionError("a frame of %d octets" % size)
        return flags & ~LONG, self.read(size)

    def read_command(self):
        """(name, body), passing over nothing"""
        flags, body = self.read_frame()
        if not flags & COMMAND:
            raise AssertionError("a message where a command was expected: %r" % body[:80])
        if not body:
            return b"", b""
        return body[1:1 + body[0]], body[1 + body[0]:]

    def closes(self, within=20.0):
        """Whether the other side ends the connection in time; what it still sent is in self.rest."""
        self.rest = b""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                piece = self.socket.recv(65536)
            except socket.timeout:
                return False
            except ConnectionError:
                return True
            if not piece:
                return True
            self.rest += piece
        return False


class GssClient(Wire):
    """A client of the GSSAPI mechanism; each step of the login may be taken alone."""

    def __init__(self, port, cache, service="zmq@localhost", flags=None, **more):
        import gssapi
        super().__init__(port, **more)
        if flags is None:
            flags = gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.replay_detection
        credentials = gssapi.Credentials(usage="initiate", store={"ccache": "FILE:" + cache})
        kind = gssapi.NameType.kerberos_principal if "/" in service else gssapi.NameType.hostbased_service
        self.context = gssapi.SecurityContext(name=gssapi.Name(service, kind), creds=credentials, usage="initiate",
                                              flags=flags)
        self.encrypted = True

    def greet(self, **how):
        self.send(greeting(**how))
        return self.read_greeting()

    def first_token(self):
        return self.context.step()

    @staticmethod
    def initiate(token):
        return command(b"INITIATE", struct.pack(">I", len(token)) + token)

    def authenticate(self):
        """Tokens both ways and the empty command; READY comes next."""
        self.send(self.initiate(self.first_token()))
        while not self.context.complete:
            name, body = self.read_command()
            if name != b"INITIATE":
                raise AssertionError("%r %r where INITIATE was expected" % (name, body))
            reply = self.context.step(body[4:])
            if reply:
                self.send(self.initiate(reply))
        self.send(frame(COMMAND, b""))

    def wrap(self, plain, confidential=True, outer=0):
        """libzmq marks READY as a command outside as well (outer=COMMAND), nothing after it."""
        wrapped = self.context.wrap(plain, confidential).message
        return frame(outer, named(b"MESSAGE", struct.pack(">I", len(wrapped)) + wrapped))

    def read_wrapped(self, outer=0):
        """(inner flags, body)"""
        flags, body = self.read_frame()
        if flags != outer or not body.startswith(b"\x07MESSAGE"):
            raise AssertionError("flags %d, %r where MESSAGE was expected" % (flags, body[:80]))
        plain = self.context.unwrap(body[12:]).message
        return plain[0], plain[1:]

    def read_ready(self):
        """The server's properties."""
        if self.encrypted:
            flags, body = self.read_wrapped(COMMAND)
            if flags != INNER_COMMAND:
                raise AssertionError("READY with inner flags %d" % flags)
        else:
            flags, body = self.read_frame()
        if not body.startswith(b"\x05READY"):
            raise AssertionError("%r where READY was expected" % body[:80])
        return parse_metadata(body[6:])

    def send_ready(self, properties):
        ready = named(b"READY", metadata(properties))
        self.send(self.wrap(bytes([INNER_COMMAND]) + ready, outer=COMMAND) if self.encrypted
                  else frame(COMMAND, ready))

    def login(self, socket_type="DEALER", identity=b"", properties=()):
        """The whole way; the server's properties."""
        self.greet()
        self.authenticate()
        theirs = self.read_ready()
        self.send_ready([("Socket-Type", socket_type), ("Identity", identity)] + list(properties))
        return theirs

    def send_message(self, *parts):
        for i, part in enumerate(parts):
            more = i + 1 < len(parts)
            self.send(self.wrap(bytes([INNER_MORE if more else 0]) + part) if self.encrypted
                      else frame(MORE if more else 0, part))

    def read_message(self):
        parts = []
        while True:
            flags, body = self.read_wrapped() if self.encrypted else self.read_frame()
            if flags & (INNER_COMMAND if self.encrypted else COMMAND):
                continue
            parts.append(body)
            if not flags & 1:
                return parts


class DraftClient(GssClient):
    """Speaks as RFC 38 is written: HELLO comes first, and a command's name takes 8 octets, padded with spaces.
    `bare`: the token follows the name without its size, which the text leaves open."""

    def __init__(self, port, cache, bare=False, **more):
        super().__init__(port, cache, **more)
        self.bare = bare

    @staticmethod
    def padded(name, body=b""):
        return name.ljust(8) + body

    def read_padded(self, outer=COMMAND):
        flags, body = self.read_frame()
        if flags != outer or len(body) < 8:
            raise AssertionError("flags %d, %r where a command was expected" % (flags, body[:80]))
        return body[:8], body[8:]

    def authenticate(self):
        name = b"HELLO"
        reply = self.first_token()
        while True:
            sized = reply if self.bare else struct.pack(">I", len(reply)) + reply
            self.send(frame(COMMAND, self.padded(name, sized)))
            answer, body = self.read_padded()
            if answer != b"INITIATE":
                raise AssertionError("%r where INITIATE was expected" % answer)
            reply, name = self.context.step(body[4:]), b"INITIATE"
            if self.context.complete:
                break
        self.send(frame(COMMAND, b""))

    def wrap(self, plain, confidential=True, outer=0):
        wrapped = self.context.wrap(plain, confidential).message
        return frame(outer, self.padded(b"MESSAGE", struct.pack(">I", len(wrapped)) + wrapped))

    def read_wrapped(self, outer=0):
        name, body = self.read_padded(outer)
        if name != b"MESSAGE ":
            raise AssertionError("%r where MESSAGE was expected" % name)
        plain = self.context.unwrap(body[4:]).message
        return plain[0], plain[1:]

    def read_ready(self):
        if self.encrypted:
            flags, body = self.read_wrapped(COMMAND)
            if flags != INNER_COMMAND:
                raise AssertionError("READY with inner flags %d" % flags)
        else:
            flags, body = self.read_frame()
        if not body.startswith(b"READY   "):
            raise AssertionError("%r where READY was expected" % body[:80])
        return parse_metadata(body[8:])

    def send_ready(self, properties):
        ready = self.padded(b"READY", metadata(properties))
        self.send(self.wrap(bytes([INNER_COMMAND]) + ready, outer=COMMAND) if self.encrypted
                  else frame(COMMAND, ready))


class PlainBackend:
    """A backend of the NULL mechanism, octet by octet: it sees what durward really sends."""

    def __init__(self, socket_type="ROUTER", port=0):
        self.socket_type = socket_type
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(50)
        self.port = self.listener.getsockname()[1]
        self.endpoint = "tcp://127.0.0.1:%d" % self.port

    def accept(self, ready=True, timeout=20.0):
        """A Wire whose .properties are those of durward's READY."""
        self.listener.settimeout(timeout)
        connection, _ = self.listener.accept()
        wire = Wire.__new__(Wire)
        wire.socket, wire.timeout = connection, timeout
        if ready:
            wire.send(greeting(b"NULL") + command(b"READY", metadata({"Socket-Type": self.socket_type,
                                                                     "Identity": b""})))
            wire.read_greeting()
            name, body = wire.read_command()
            if name != b"READY":
                raise AssertionError("%r where READY was expected" % name)
            wire.properties = parse_metadata(body)
        return wire

    def close(self):
        self.listener.close()
