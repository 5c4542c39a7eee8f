#!/usr/bin/python3
"""A stock libzmq server whose clients durward lets in, or not: prints each message with its sender.

    server.py ENDPOINT HANDLER [null|plain|curve|gssapi [DOMAIN]]

    server.py tcp://127.0.0.1:5580 ipc:///run/durward/zap plain trades

The first line it prints is the endpoint it is bound to, the second its public key (CURVE) or a dash.  NULL needs a
domain: without one libzmq asks nobody.  GSSAPI takes its key from the default keytab (KRB5_KTNAME).
"""
import sys

import zmq

import forwarder


def secure(server, mechanism, domain):
    """Sets the server's side of the mechanism; returns the public key of CURVE."""
    if domain:
        server.zap_domain = domain.encode()
    if mechanism == "plain":
        server.plain_server = True
    elif mechanism == "gssapi":
        server.gssapi_server = True
    elif mechanism == "curve":
        public, server.curve_secretkey = zmq.curve_keypair()
        server.curve_server = True
        return public.decode()
    return "-"


def sender(message):
    try:
        return message.get("User-Id")
    except zmq.ZMQError:        # nobody was asked
        return "-"


def main():
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    endpoint, handler, mechanism, domain = (sys.argv[1:] + ["null", "global"][len(sys.argv) - 3:])[:4]
    context = zmq.Context()
    forwarder.forward(context, handler)
    server = context.socket(zmq.PULL)
    server.handshake_ivl = 5000     # how long a client may wait for durward, in milliseconds
    key = secure(server, mechanism, domain)
    server.bind(endpoint)
    print(server.last_endpoint.decode().rstrip("\0"), key, sep="\n", flush=True)
    while True:
        message = server.recv(copy=False)
        print(sender(message), message.bytes.decode(errors="replace"), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
