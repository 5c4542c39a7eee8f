#!/usr/bin/python3
"""A client over slixmpp (with python3-kerberos): logs in with the ticket of KRB5CCNAME, fetches the roster, sends one
message and waits for its echo.

    slixmpp_client.py [--resume] JID HOST PORT CA-FILE [TO TEXT]

--resume: cuts its connection after the first echo and takes its session up again (XEP-0198), "resumed N", then sends
once more.  Says what happened as purple_client does; the same exit codes.
"""
import logging
import os
import sys

import slixmpp

FINE, FAILED, USAGE, LATE, PATIENCE = 0, 1, 2, 4, 30


def say(*words):
    print(*words, flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, authority, recipient, text, resume):
        super().__init__(jid + "/slixmpp", "", plugin_config={"feature_mechanisms": {"use_mech": "GSSAPI"}})
        self.recipient, self.text, self.resume, self.outcome = recipient, text, resume, LATE
        self.where, self.resuming, self.is_asked = None, False, False
        self.credentials["service-name"] = self.boundjid.domain  # what the DNS would have given
        self.ca_certs = authority
        self.register_plugin("xep_0198")
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("session_resumed", self.resumed)
        self.add_event_handler("message", self.received)
        self.add_event_handler("failed_auth", lambda stanza: self.fail("not authenticated: " + stanza["condition"]))
        self.add_event_handler("failed_all_auth", lambda _: self.fail("not authenticated"))
        self.add_event_handler("no_auth", lambda _: self.fail("no mechanism"))
        self.add_event_handler("stream_error", lambda stanza: self.fail("stream error " + stanza["condition"]))
        self.add_event_handler("ssl_invalid_cert", lambda _: self.fail("the certificate"))
        self.add_event_handler("connection_failed", lambda why: self.fail(str(why)))
        self.add_event_handler("disconnected", lambda _: self.lost())

    async def get_dns_records(self, _domain, _port=None):
        return iter(())  # the address is given

    def end(self, code):
        self.outcome = code
        self.resume = False
        self.loop.stop()

    def fail(self, why):
        say("failed", why)
        self.end(FAILED)

    def lost(self):
        if not self.resume and not self.resuming:
            self.fail("disconnected")

    async def start(self, _event):
        say("bound", self.boundjid.full)
        self.send_presence()
        roster = await self.get_roster()
        say("roster", len(roster["roster"]["items"]))
        self.go_on()

    def go_on(self):
        if not self.recipient:
            self.end(FINE)
            return
        self.is_asked = True
        self.send_message(self.recipient, self.text, mtype="chat")
        say("sent", self.recipient, self.text)

    def received(self, message):
        # A server may first give what a session before this one has left without acknowledgement.
        if not self.is_asked or message["body"] != "echo: " + self.text:
            return
        say("received", message["from"].full, message["body"])
        self.is_asked = False
        if not self.resume:
            self.end(FINE)
        elif not self["xep_0198"].allow_resume or not self["xep_0198"].sm_id:
            self.fail("the server gave no session to resume")
        else:
            self.resume, self.resuming = False, True
            self.add_event_handler("disconnected", lambda _: self.connect(self.where), disposable=True)
            self.abort()

    def resumed(self, stanza):
        say("resumed", stanza["h"])
        self.resuming = False
        self.go_on()


def main():
    words = sys.argv[1:]
    resume = words[:1] == ["--resume"]
    words = words[resume:]
    if len(words) not in (4, 6):
        print(__doc__, file=sys.stderr)
        return USAGE
    if os.environ.get("SLIXMPP_CLIENT_DEBUG"):
        logging.basicConfig(level=logging.DEBUG)
    jid, host, port, authority, recipient, text = (words + [None, None])[:6]
    client = Client(jid, authority, recipient, text, resume)
    client.where = (host, int(port))
    client.connect(client.where)
    client.loop.call_later(PATIENCE, client.end, LATE)
    client.loop.run_forever()
    if client.outcome == LATE:
        say("failed nothing more came in time")
    return client.outcome


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # what is left of a cut connection is of no interest
