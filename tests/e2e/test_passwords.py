"""PLAIN: whether a password is right is found out off the loop, and nothing of it is told."""
import crypt
import unittest

import test_zap


class TestPasswords(test_zap.Zap):
    def test_a_password_that_takes_its_time(self):
        """Verifying goes on in the pool: who comes after others who wait for theirs is answered before they are."""
        hashed = crypt.crypt("s3cret", "$6$rounds=200000$durward")
        policy = """
local durward = require("durward")
local users = require("durward.zap").users("users")
return {
  map = function(event)
    if event.mechanism == "NULL" then
      return "nobody"
    end
    local one, why = users:verify(event.plain.username, event.plain.password)
    local other = durward.secret.verify(event.plain.password, "%s")
    return one and other and event.plain.username or nil, why
  end,
  authorize = function() return durward.allow() end,
}
""" % hashed
        durward = self.handler(policy, files={"users": "alice:%s\n" % hashed})
        plain = self.asker(durward)
        for number in range(3):
            plain.send_multipart([b"", b"1.0", b"%d" % number, b"", b"192.0.2.7", b"", b"PLAIN", b"alice", b"s3cret"])
        plain.send_multipart([b"", b"1.0", b"wrong", b"", b"192.0.2.7", b"", b"PLAIN", b"alice", b"hunter2"])
        plain.send_multipart([b"", b"1.0", b"last", b"", b"192.0.2.7", b"", b"NULL"])
        came = [tuple(bytes(frame) for frame in self.recv(plain))[2:4] for _ in range(5)]
        self.assertEqual(came[0], (b"last", b"200"))
        self.assertEqual(sorted(came[1:]), [(b"0", b"200"), (b"1", b"200"), (b"2", b"200"), (b"wrong", b"400")])
        told = durward.wait_journal(5)
        looked = [(step["want"], step["key"][:7], step["answer"]) for step in told[1]["trace"] if "want" in step]
        self.assertEqual(looked, [("password:users", "alice", True), ("password", "$6$" + looked[1][1][3:], True)])
        with open(durward.path("journal.jsonl"), encoding="utf-8") as file:
            text = file.read() + durward.log()
        for secret in ("s3cret", "hunter2", hashed, hashed[-20:]):
            self.assertNotIn(secret, text)


if __name__ == "__main__":
    unittest.main()
