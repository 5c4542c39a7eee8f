#!/usr/bin/python3
"""A stock XMPP client (slixmpp).  With the Kerberos ticket in its credential cache (KRB5CCNAME), or, when PASSWORD is set,
as a native user of the server.

usage: client.py JID PORT CA-FILE                      waits for one message, answers it
       client.py JID PORT CA-FILE TO TEXT              says TEXT to TO, waits for the answer
exit 0 done, 3 refused, 4 out of time
"""
import os
import sys

import slixmpp

DONE, REFUSED, LATE = 0, 3, 4


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, authority, recipient, text):
        password = os.environ.get("PASSWORD", "")
        settings = {} if password else {"feature_mechanisms": {"use_mech": "GSSAPI"}}
        super().__init__(jid, password, plugin_config=settings)
        self.ca_certs, self.recipient, self.text, self.code = authority, recipient, text, LATE
        self.credentials["service-name"] = self.boundjid.domain  # a ticket for xmpp/DOMAIN
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.hear)
        for problem in ("failed_all_auth", "no_auth", "stream_error", "ssl_invalid_cert", "connection_failed"):
            self.add_event_handler(problem, lambda told, problem=problem: self.leave(REFUSED, problem))

    async def get_dns_records(self, _domain, _port=None):
        return iter(())  # the address is given

    def say(self, *words):
        print("%s:" % self.boundjid.bare, *words, flush=True)

    def leave(self, code, why=None):
        if why:
            self.say("not logged in,", why)
        self.code = code
        self.loop.call_later(0.2, self.loop.stop)

    async def start(self, _event):
        self.say("logged in as", self.boundjid.full)
        self.send_presence()
        await self.get_roster()
        if self.recipient:
            self.send_message(self.recipient, self.text, mtype="chat")
            self.say("said to %s: %s" % (self.recipient, self.text))

    def hear(self, message):
        if message["type"] not in ("chat", "normal") or not message["body"]:
            return
        self.say("heard from %s: %s" % (message["from"].bare, message["body"]))
        if not self.recipient:
            self.send_message(message["from"], "welcome, " + message["from"].user, mtype="chat")
        self.leave(DONE)


if len(sys.argv) not in (4, 6):
    sys.exit(__doc__)
client = Client(sys.argv[1], sys.argv[3], *(sys.argv[4:] or (None, None)))
client.connect(("127.0.0.1", int(sys.argv[2])))
client.loop.call_later(30, client.loop.stop)
client.loop.run_forever()
if client.code == LATE:
    client.say("nothing came in time")
sys.stdout.flush()
os._exit(client.code)
