#!/usr/bin/python3
"""A stock libzmq client with PLAIN: client.py ENDPOINT USER PASSWORD TEXT; says whether it was let in."""
import sys

import zmq
from zmq.utils.monitor import recv_monitor_message

LET_IN, KEPT_OUT = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    endpoint, user, password, text = sys.argv[1:]
    context = zmq.Context()
    client = context.socket(zmq.PUSH)
    client.plain_username, client.plain_password = user.encode(), password.encode()
    events = client.get_monitor_socket(LET_IN | KEPT_OUT)
    client.connect(endpoint)
    client.send(text.encode())
    event = recv_monitor_message(events)["event"] if events.poll(10000) else None
    print({LET_IN: "let in", KEPT_OUT: "kept out"}.get(event, "no answer"))
    context.destroy(linger=1000 if event == LET_IN else 0)
    sys.exit(event != LET_IN)


if __name__ == "__main__":
    main()
