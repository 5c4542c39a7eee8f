#!/usr/bin/python3
"""A plain backend: stock libzmq, no security of its own.  It reads who is there from each message."""
import sys

import zmq

endpoint = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5571"
context = zmq.Context()
socket = context.socket(zmq.ROUTER)
socket.bind(endpoint)
print("backend: listening on %s" % endpoint, flush=True)
while True:
    sender, text = socket.recv_multipart(copy=False)
    user = text.get("User-Id")  # zmq_msg_gets(msg, "User-Id"): set by durward, and by nobody else
    print('backend: %s (from %s) says "%s"' % (user, text.get("X-Peer-Address"), text.bytes.decode()), flush=True)
    socket.send_multipart([sender.bytes, ("good day, %s" % user).encode()])
