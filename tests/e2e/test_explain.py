"""durward explain at a terminal and in a pipe, and what operators get wrong with every tool that reads files."""
import fcntl
import json
import os
import pty
import struct
import subprocess
import tempfile
import termios
import unittest

import kit

POLICY = """
local durward = require("durward")
local match, rule = durward.match, durward.rule
return {
  map = durward.map.strip_realm("HOME.EXAMPLE"),
  authorize = rule.first {
    rule.deny("bob stays out", match.user("bob")),
    rule.allow("staff", match.realm("HOME.EXAMPLE")),
  },
}
"""


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="durward-explain-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.policy = self.write("policy.lua", POLICY)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        return path


class TestTerminal(Files):
    def screen(self, *arguments, columns=200, **environment):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 50, columns, 0, 0))
        env = dict(os.environ, **kit.SANITIZERS)
        env.pop("NO_COLOR", None)
        env.update(environment)
        process = subprocess.Popen([kit.DURWARD, "explain", "-p", self.policy, *arguments], stdout=follower,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(leader)
        self.assertEqual((process.wait() in (0, 3), process.stderr.read()), (True, b""))
        process.stderr.close()
        return shown.decode().replace("\r\n", "\n")

    def test_colour_at_a_terminal_only(self):
        alice, bob = ("--principal", "alice@HOME.EXAMPLE"), ("--principal", "bob@HOME.EXAMPLE")
        self.assertTrue(self.screen(*alice).startswith("\x1b[32mallow\x1b[0m alice\n"))
        self.assertTrue(self.screen(*bob).startswith("\x1b[31mdeny\x1b[0m bob\n"))
        piped = kit.run_durward("explain", "-p", self.policy, *alice).stdout
        self.assertTrue(piped.startswith("allow alice\n"))
        self.assertEqual(self.screen(*alice, NO_COLOR="1"), piped)
        self.assertIn("\x1b[32m", self.screen(*alice, NO_COLOR=""))

    def test_a_line_that_is_too_wide_goes_on_below(self):
        alice = ("--principal", "alice@HOME.EXAMPLE")
        piped = kit.run_durward("explain", "-p", self.policy, *alice).stdout
        lines = self.screen(*alice, columns=50, NO_COLOR="1").splitlines()
        self.assertLessEqual(max(map(len, lines)), 50)
        self.assertGreater(len(lines), len(piped.splitlines()))
        whole = []
        for line in lines:
            if line.startswith(" " * 13):
                whole[-1] += line.strip()
            else:
                whole.append(line.strip())
        self.assertEqual([line.replace(" ", "") for line in whole],
                         [line.replace(" ", "") for line in piped.splitlines()])

    def test_json_is_one_line_in_a_pipe(self):
        alice = ("--principal", "alice@HOME.EXAMPLE", "--json")
        shown, piped = self.screen(*alice), kit.run_durward("explain", "-p", self.policy, *alice).stdout
        self.assertGreater(shown.count("\n"), 10)
        self.assertEqual(piped.count("\n"), 1)
        self.assertEqual(json.loads(shown)["decision"], json.loads(piped)["decision"])

    def test_a_name_cannot_move_the_terminal(self):
        shown = self.screen("--principal", "x\x1b[2J@ELSE.EXAMPLE", "--listener", "\x1b]0;y\x07", NO_COLOR="1")
        self.assertNotIn("\x1b", shown)


class TestBadFiles(Files):
    """Whatever an operator gives a tool: a sentence that names the file, an exit code, never a traceback."""

    BAD = (b"", b"\0", b"return", b"return 7", b"return {", b"x = = 1", b"\x1bLua", b"\xff\xfe", b"return { map = 7 }",
           b"return { mpa = print }", b"error('no')", b"error({})", b"error()", b"while true do end",
           b"return setmetatable({}, { __index = error, __pairs = error })", b"local t = {} t.t = t return t",
           b"return require('none')", b"return require('durward.none')", b"#!/bin/sh\n", b"{}", b"[1, 2", b"null",
           b'{"event": 7}', b'{"event": {}, "decision": 7}', b"-- " + b"x" * 100000, b"return " + b"(" * 1000,
           b"return " + b"{" * 250, b"goto x", b"break", b"::a:: goto a", b"return ...", b"\n" * 100000)

    def tools(self, bad):
        event, journal = self.write("event.json", '{"principal": "alice@HOME.EXAMPLE"}'), self.write("journal", "")
        yield "check", (bad,), (0, 1)
        yield "check", ("-c", bad), (0, 1)
        yield "explain", ("-p", bad, "--event", event), (2, 3, 4)
        yield "explain", ("-c", bad, "--event", event), (2, 3)
        yield "explain", ("-p", self.policy, "--event", bad), (2, 3)
        yield "replay", ("-p", bad, journal), (0, 2)
        yield "replay", ("-c", bad, journal), (2,)
        yield "replay", ("-p", self.policy, bad), (0, 2)
        yield "serve", ("-c", bad), (1,)

    def test_no_tool_shows_a_traceback(self):
        for number, text in enumerate(self.BAD):
            bad = self.write("bad%d.lua" % number, text)
            for tool, arguments, codes in self.tools(bad):
                if tool == "serve" and b"setmetatable" in text:
                    continue  # a configuration without a key is one: it would be served
                with self.subTest(tool=tool, arguments=arguments, text=text[:40]):
                    done = kit.run_durward(tool, *arguments)
                    told = done.stdout + done.stderr
                    self.assertIn(done.returncode, codes, told[:2000])
                    self.assertNotIn("traceback", told)
                    self.assertNotIn("[C]", told)
                    self.assertNotIn("[string", told)
                    if done.returncode in (1, 2):
                        self.assertIn(os.path.basename(bad), told)

    def test_what_is_no_file_at_all(self):
        for bad in (self.dir, os.path.join(self.dir, "none"), "/dev/zero", "/dev/full", ""):
            for tool, arguments, _ in self.tools(bad):
                if bad.startswith("/dev/") and arguments[-1] == bad and tool == "replay":
                    continue  # a journal may be a pipe, which has no end either
                with self.subTest(tool=tool, arguments=arguments):
                    done = kit.run_durward(tool, *arguments)
                    told = done.stdout + done.stderr
                    self.assertIn(done.returncode, (1, 2), told[:2000])
                    self.assertTrue(told.strip())
                    self.assertNotIn("traceback", told)


if __name__ == "__main__":
    unittest.main()
