"""A stock libzmq peer in a process of its own, driven by lines of JSON.

libkrb5 inside libzmq takes its credential cache from the environment, so each user needs a process.
One request a line on stdin, one answer a line on stdout; octets travel as latin-1 text.
"""
import json
import sys
import time

import zmq
from zmq.utils.monitor import recv_monitor_message


def text(octets):
    return octets.decode("latin-1")


def octets(value):
    return value.encode("latin-1") if isinstance(value, str) else value


class Peer:
    def __init__(self):
        self.context = zmq.Context()
        self.sockets = {}
        self.monitors = {}
        self.seen = {}

    def op_socket(self, name, type, options=None, monitor=True):
        socket = self.context.socket(getattr(zmq, type))
        socket.linger = 0
        self.sockets[name] = socket
        self.seen[name] = []
        if monitor:
            self.monitors[name] = socket.get_monitor_socket()
        for key, value in (options or {}).items():
            socket.setsockopt(getattr(zmq, key), octets(value))

    def op_connect(self, name, endpoint):
        self.sockets[name].connect(endpoint)

    def op_disconnect(self, name, endpoint):
        self.sockets[name].disconnect(endpoint)

    def op_bind(self, name, endpoint):
        self.sockets[name].bind(endpoint)
        return text(self.sockets[name].last_endpoint)

    def op_set(self, name, option, value):
        self.sockets[name].setsockopt(getattr(zmq, option), octets(value))

    def op_send(self, name, parts, timeout=20.0, times=1):
        socket = self.sockets[name]
        frames = [octets(part) for part in parts]
        deadline = time.monotonic() + timeout
        for _ in range(times):
            left = max(0, deadline - time.monotonic())
            if not socket.poll(int(left * 1000), zmq.POLLOUT):
                raise TimeoutError("nobody takes the message")
            socket.send_multipart(frames)

    def op_send_numbered(self, name, count, size=16, timeout=60.0):
        """Messages of two parts: the number in decimal, and `size` octets."""
        socket = self.sockets[name]
        deadline = time.monotonic() + timeout
        for number in range(count):
            left = max(0, deadline - time.monotonic())
            if not socket.poll(int(left * 1000), zmq.POLLOUT):
                raise TimeoutError("nobody takes message %d" % number)
            socket.send_multipart([b"%d" % number, b"x" * size], copy=False)

    def op_try_send(self, name, parts):
        """How many copies are taken before the socket would block; at most 100000."""
        sent = 0
        frames = [octets(part) for part in parts]
        while sent < 100000 and self.sockets[name].poll(300, zmq.POLLOUT):
            self.sockets[name].send_multipart(frames)
            sent += 1
        return sent

    def op_recv(self, name, timeout=20.0):
        """{parts=, user=} or None when nothing came in time."""
        socket = self.sockets[name]
        if not socket.poll(int(timeout * 1000), zmq.POLLIN):
            return None
        frames = socket.recv_multipart(copy=False)
        try:
            user = frames[-1].get("User-Id")
        except zmq.ZMQError:
            user = None
        return {"parts": [text(bytes(frame)) for frame in frames], "user": user}

    def op_recv_numbered(self, name, count, timeout=60.0):
        """The numbers that came, each with the size of its second part."""
        socket = self.sockets[name]
        deadline = time.monotonic() + timeout
        got = []
        while len(got) < count:
            left = max(0, deadline - time.monotonic())
            if not socket.poll(int(left * 1000), zmq.POLLIN):
                break
            parts = socket.recv_multipart()
            got.append([int(parts[-2]), len(parts[-1])])
        return got

    def drain(self, name, timeout):
        monitor = self.monitors[name]
        while monitor.poll(timeout):
            timeout = 0
            event = recv_monitor_message(monitor)
            word = zmq.Event(event["event"]).name if hasattr(zmq, "Event") else str(event["event"])
            self.seen[name].append([word, int(event["value"])])

    def op_events(self, name):
        """Every monitor event since the socket was made: [name, value] each."""
        self.drain(name, 0)
        return self.seen[name]

    def op_wait_event(self, name, event, timeout=20.0, times=1):
        deadline = time.monotonic() + timeout
        while sum(seen[0] == event for seen in self.seen[name]) < times:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.drain(name, int(left * 1000))
        return True

    def op_close(self, name, linger=0):
        """Closes the socket; with a linger the context is ended too, which waits until all is sent."""
        socket = self.sockets.pop(name)
        if name in self.monitors:
            socket.disable_monitor()
            self.monitors.pop(name).close(0)
        socket.close(linger)
        if linger and not self.sockets:
            self.context.term()
            self.context = zmq.Context()

    def run(self):
        for line in sys.stdin:
            request = json.loads(line)
            try:
                result = getattr(self, "op_" + request.pop("op"))(**request)
                answer = {"result": result}
            except Exception as problem:  # told to the test, which fails with it
                answer = {"error": "%s: %s" % (type(problem).__name__, problem)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    Peer().run()
