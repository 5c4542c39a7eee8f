"""What goes through an XMPP stream once it is handed over: how much of it waits in durward when one end does not read,
what is counted of it, and when a client hears of success."""
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

import kit
import ops
import test_xmpp_servers_at_fault as fault

STANZA = b"<message id='%08d'><body>" + b"x" * 4000 + b"</body></message>"
# Far more than sockets hold, far less than a machine has.
FLOOD = 64 << 20
BUFFERED = 2 << 20
CLOSED = fault.ALLOW.replace("return { map", """return { close = function(event)
    local c = event.closed
    durward.log.info("counted", { bytes_in = c.bytes_in, bytes_out = c.bytes_out, seconds = c.seconds, why = c.reason })
  end, map""")


def ids(octets):
    return [int(one) for one in re.findall(rb"<message id='(\d+)'>", octets)]


class Counted:
    """How far one end has come, and whether it still moves."""

    def __init__(self):
        self.value = 0

    def rests(self):
        """Its value, once it does not grow any more."""
        last, since = self.value, time.monotonic()
        while time.monotonic() - since < 1.0:
            time.sleep(0.05)
            if self.value != last:
                last, since = self.value, time.monotonic()
            if last >= FLOOD:
                break
        return last


class TestFloods(fault.Scene):
    def bounded(self, durward, before):
        self.assertLess(ops.status(durward)["buffered_bytes"], BUFFERED)
        self.assertLess(durward.memory() - before, 16 * BUFFERED)  # a sanitizer keeps what is freed for a while
        other = self.opened(durward, "bob")
        other.say("x@y", "nobody is disturbed")
        other.close()

    def test_a_server_floods_a_client_that_does_not_read(self):
        sent, first = Counted(), threading.Lock()

        def serve(server, connection):
            server.open(connection)
            if not first.acquire(blocking=False):
                connection.recv(9999)
                return
            connection.settimeout(kit.PATIENCE)
            while sent.value < FLOOD:
                piece = b"".join(STANZA % (sent.value // len(STANZA % 0) + n) for n in range(16))
                connection.sendall(piece)
                sent.value += len(piece)

        durward = self.durward(self.server(serve).port)
        before = durward.memory()
        stream = self.opened(durward)
        stuck = sent.rests()
        self.assertLess(stuck, FLOOD)
        self.bounded(durward, before)
        seen = b""
        while len(seen) < stuck:
            seen += stream.receive()
        numbers = ids(seen)  # the first may have come with the features
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        self.assertGreater(sent.rests(), stuck)

    def test_a_client_floods_a_server_that_does_not_read(self):
        sent, reading, seen = Counted(), threading.Event(), []

        def serve(server, connection):
            server.open(connection)
            if len(server.users) > 1:
                connection.recv(9999)
                return
            reading.wait(kit.PATIENCE)
            while True:
                piece = connection.recv(1 << 20)
                if not piece:
                    break
                seen.append(piece)

        durward = self.durward(self.server(serve).port)
        self.addCleanup(reading.set)
        before = durward.memory()
        stream = self.opened(durward)

        def flood():
            number = 0
            try:
                while sent.value < FLOOD and not reading.is_set():
                    piece = b"".join(STANZA % (number + n) for n in range(16))
                    stream.send(piece)
                    number += 16
                    sent.value += len(piece)
            except (OSError, ValueError):
                pass

        client = threading.Thread(target=flood)
        stream.socket.settimeout(kit.PATIENCE)
        client.start()
        stuck = sent.rests()
        self.assertLess(stuck, FLOOD)
        self.bounded(durward, before)
        reading.set()
        client.join()
        self.assertTrue(kit.until(lambda: sum(map(len, seen)) >= sent.value), durward.log(last=10))
        numbers = ids(b"".join(seen))
        self.assertEqual(numbers, list(range(sent.value // len(STANZA % 0))))


class TestCounters(fault.Scene):
    def test_octets_of_both_directions(self):
        durward = self.durward(self.server(fault.good).port, policy=CLOSED)
        stream = self.opened(durward)
        stream.say("x@y", "x" * 100000)
        self.assertEqual(len(stream.hear()[1]), 100000)
        stream.close()
        self.assertTrue(durward.wait_log("counted .*why=.+"), durward.log())
        line = next(line for line in durward.lines if "counted" in line)
        for name in ("bytes_in", "bytes_out"):
            octets = float(re.search(name + r"=([\d.]+)", line)[1])
            self.assertGreater(octets, 100000, line)
            self.assertLess(octets, 120000, line)  # and a login's, and what TLS adds


class TestSuccess(fault.Scene):
    def test_not_before_the_servers(self):
        """Nothing is said to the client before the server has let the user in."""
        may, said = threading.Event(), []

        def serve(server, connection):
            server.greet(connection)
            server.user(connection)
            may.wait(kit.PATIENCE)
            said.append("success")
            connection.sendall(fault.SUCCESS.encode())
            server.header(connection)
            connection.sendall(b"<stream:features/>")
            connection.recv(1)

        server = self.server(serve)
        durward = self.durward(server.port)
        self.addCleanup(may.set)
        stream = self.stream(durward)
        stream.prepare()
        ticket = self.ticket()
        stream.auth("GSSAPI", ticket.step())
        stream.respond(ticket.step(stream.sasl()[1]) or b"")
        ticket.unwrap(stream.sasl()[1])
        stream.respond(ticket.wrap(b"\1\0\0\0"))
        self.assertTrue(kit.until(lambda: server.users))
        stream.socket.settimeout(0.5)
        self.assertRaises(socket.timeout, stream.socket.recv, 1)
        may.set()
        self.assertEqual((stream.sasl()[0], said), ("success", ["success"]))
        stream.open()

    def test_what_the_server_says_is_acknowledged_at_once(self):
        """Servers write header and features apart and wait for the acknowledgement of the first."""
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        server = self.server(fault.good)
        durward = self.durward(server.port)
        trace = durward.path("trace")
        tracer = subprocess.Popen(["strace", "-f", "-e", "trace=connect,setsockopt", "-o", trace,
                                   "-p", str(durward.process.pid)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.stderr.close)
        if "attached" not in tracer.stderr.readline():
            tracer.wait()
            self.skipTest("strace may not look at other processes here")
        self.opened(durward)
        tracer.terminate()
        tracer.wait()
        with open(trace, encoding="utf-8", errors="replace") as file:
            calls = file.read()
        leg = re.search(r"connect\((\d+), \{sa_family=AF_INET, sin_port=htons\(%d\)" % server.port, calls)
        self.assertTrue(leg, calls)
        options = re.findall(r"setsockopt\(%s, SOL_TCP, (\w+), \[1\]" % leg[1], calls)
        self.assertIn("TCP_NODELAY", options)
        self.assertGreaterEqual(options.count("TCP_QUICKACK"), 2)  # its header, its success


if __name__ == "__main__":
    unittest.main()
