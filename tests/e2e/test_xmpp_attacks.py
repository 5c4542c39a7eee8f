"""Attacks on the XMPP front that need timing or volume: each costs the attacker his stream, and nobody else anything."""
import socket
import threading
import time
import unittest

import kit
import test_xmpp_servers_at_fault as fault
import xmpp_kit
import xmpp_world

SLOW = """
local durward = require("durward")
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = function(event)
    durward.await.sleep(0.4)
    local seen = 0
    for name, value in pairs(event.gss.attributes or {}) do seen = seen + #name + #tostring(value) end
    for _, name in ipairs(event.gss.indicators or {}) do seen = seen + #name end
    return durward.allow({})
  end,
}
"""


class TestSmuggling(xmpp_world.Case):
    def test_words_while_the_policy_thinks(self):
        """The stream ends at once; what was being asked is asked no more, and nobody is admitted."""
        durward = self.front(policy=SLOW)
        for last in ("<presence/>", None):
            with self.subTest(last=last):
                stream = self.stream(durward)
                stream.prepare()
                ticket = self.ticket()
                stream.auth("GSSAPI", ticket.step())
                ticket.step(stream.sasl()[1])
                stream.respond(b"")
                ticket.unwrap(stream.sasl()[1])
                stream.respond(ticket.wrap(xmpp_kit.NO_LAYER))
                if last:
                    time.sleep(0.1)
                    stream.send(last)
                    self.assertEqual(stream.ending(), "policy-violation")
                    time.sleep(0.8)  # and keeps its socket open
                else:
                    stream.socket.shutdown(socket.SHUT_WR)
                stream.close()
        time.sleep(0.8)
        self.empty(durward)
        self.assertNotRegex(durward.log(), "admitted")
        self.assertEqual([line for line in durward.journal() if line["decision"]["verdict"] == "allow"], [])


class TestDeaf(fault.Scene):
    def test_a_server_that_takes_nothing_more_keeps_nobody_beyond_the_end(self):
        """The client has filled everything up to a server that no longer reads, when what it was admitted for expires."""
        done = threading.Event()
        self.addCleanup(done.set)

        def deaf(server, connection):
            server.open(connection)
            done.wait(60)

        durward = self.durward(self.server(deaf).port, policy=fault.EXPIRES % 3)
        stream = self.stream(durward)
        stream.prepare()
        stream.gssapi(self.ticket())
        stream.open()
        stream.socket.settimeout(0.5)
        flood = b"<message to='native@%s'><body>%s</body></message>" % (fault.DOMAIN.encode(), b"x" * 60000)
        with self.assertRaises(OSError):
            while True:
                stream.send(flood)
        self.assertTrue(kit.until(lambda: "decision expired" in durward.log()))
        self.assertTrue(kit.until(lambda: self.is_over(stream), seconds=15), durward.log(last=10))
        done.set()

    @staticmethod
    def is_over(stream):
        stream.socket.setblocking(False)
        try:
            return stream.socket.recv(65536) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


if __name__ == "__main__":
    unittest.main()
