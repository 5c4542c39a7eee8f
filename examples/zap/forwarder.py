"""A forwarder for Python: hands a program's ZAP questions to durward.

    import forwarder
    forwarder.forward(context, "ipc:///run/durward/zap")      # before any server socket binds

libzmq asks whoever is bound to inproc://zeromq.zap.01 in its own context.  Requests go out as they are, with the
routing frame that leads the reply back (ZeroMQ RFC 27, "Proxy Handlers").  No queue of ours has a bound, so no reply is
dropped; while durward is away requests wait, and nobody is admitted.
"""
import threading

import zmq


def forward(context, handler):
    """Starts the thread, which ends with the context."""
    inside, outside = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    for end in (inside, outside):
        end.linger, end.sndhwm, end.rcvhwm = 0, 0, 0
    inside.bind("inproc://zeromq.zap.01")
    outside.connect(handler)

    def run():
        try:
            zmq.proxy(inside, outside)
        except zmq.ContextTerminated:
            pass
        inside.close()
        outside.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
