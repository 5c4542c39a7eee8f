#!/usr/bin/python3
"""A stock libzmq client that logs in with the Kerberos ticket in its credential cache (KRB5CCNAME).

usage: client.py ENDPOINT [TEXT]       exit 0 answered, 3 refused, 4 no answer
"""
import sys
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

endpoint = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5570"
text = sys.argv[2] if len(sys.argv) > 2 else "hello"

context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.linger = 0
socket.setsockopt(zmq.GSSAPI_SERVICE_PRINCIPAL, b"zmq@localhost")  # the one line that a client needs
monitor = socket.get_monitor_socket()
socket.connect(endpoint)
socket.send_string(text)

poller = zmq.Poller()
poller.register(socket, zmq.POLLIN)
poller.register(monitor, zmq.POLLIN)
deadline = time.monotonic() + 10
while True:
    ready = dict(poller.poll(max(0, deadline - time.monotonic()) * 1000))
    if not ready:
        print("client: no answer within 10 seconds (is there a ticket? klist tells)")
        sys.exit(4)
    if socket in ready:
        print("client: the answer is \"%s\"" % socket.recv_string())
        sys.exit(0)
    if recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        print("client: refused")
        sys.exit(3)
