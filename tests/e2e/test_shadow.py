"""A shadow policy: asked beside the live one, with no effect; where they differ stands in the journal."""
import os
import shutil
import tempfile
import unittest

import kit
import ops

LIVE = """local durward = require("durward")
return { map = durward.map.strip_realm("HOME.EXAMPLE"), authorize = durward.rule.allow("everybody") }
"""
SHADOW = """local durward = require("durward")
local match, rule = durward.match, durward.rule
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = rule.first {
    rule.deny("not bob", match.user("bob")),
    rule.allow("the rest"),
  },
}
"""


def setUpModule():
    kit.Lab.shared()


class Shadow(ops.Case):
    def setUp(self):
        super().setUp()
        self.router = self.backend("ROUTER")

    def shadowed(self, text):
        made = tempfile.mkdtemp(prefix="durward-shadow-")
        self.addCleanup(shutil.rmtree, made, ignore_errors=True)
        path = os.path.join(made, "next.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.broker(self.router, policy=LIVE, settings={"shadow": path}), path

    def test_differences_are_told_and_have_no_effect(self):
        durward, path = self.shadowed(SHADOW)
        self.is_served(durward.port, self.router, user="alice")
        self.is_served(durward.port, self.router, user="bob")
        ops.wait_status(durward, lambda told: told["counts"]["shadow.differs"] == 1 and told["counts"]["shadow.same"] == 1)
        lines = durward.journal()
        self.assertEqual([line["decision"]["verdict"] for line in lines if "event" in line], ["allow", "allow"])
        shadow, = [line for line in lines if "shadow" in line]
        self.assertEqual(shadow["id"], lines[1]["id"])
        self.assertEqual(shadow["shadow"]["live"]["verdict"], "allow")
        self.assertEqual(shadow["shadow"]["live"]["user"], "bob")
        self.assertEqual((shadow["shadow"]["decision"]["verdict"], shadow["shadow"]["decision"]["rule"]),
                         ("deny", "not bob"))
        self.assertEqual(shadow["shadow"]["policy"]["file"], path)
        self.assertTrue(any("not bob" in step["text"] for step in shadow["shadow"]["trace"]))
        done = kit.run_durward("replay", "-p", durward.path("policy.lua"), durward.path("journal.jsonl"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_one_that_fails_never_ends_or_does_not_load_disturbs_nobody(self):
        for text, told in (("return { map = function(event) return event.usr end }", "temporary"),
                           ("return { map = function() while true do end end }", "temporary"),
                           ("return { map = 1 }", None)):
            with self.subTest(text=text):
                durward, _ = self.shadowed(text)
                self.is_served(durward.port, self.router)
                if told:
                    ops.wait_status(durward, lambda told: told["counts"]["shadow.differs"] == 1)
                    line, = [line for line in durward.journal() if "shadow" in line]
                    self.assertEqual(line["shadow"]["decision"]["verdict"], told)
                else:
                    self.says(durward, "there is no shadow policy")


if __name__ == "__main__":
    unittest.main()
