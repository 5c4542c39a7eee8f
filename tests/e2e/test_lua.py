"""durward lua: scripts with the full libraries and durward's modules, and a prompt."""
import os
import pty
import select
import subprocess
import tempfile
import termios
import time
import unittest

import kit


class TestLua(unittest.TestCase):
    def script(self, text, *arguments):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(text)
            file.flush()
            return kit.run_durward("lua", file.name, *arguments), file.name

    def test_arguments_and_libraries(self):
        done, name = self.script("print(arg[0], #arg, io ~= nil, os ~= nil, debug ~= nil, ...)", "a", "b c")
        self.assertEqual(done.stdout, "%s\t2\ttrue\ttrue\ttrue\ta\tb c\n" % name)
        self.assertEqual(done.returncode, 0)

    def test_durwards_modules(self):
        done, _ = self.script("print(type(require('durward.lab').main))\nprint(pcall(require, 'durward.nothing'))")
        self.assertTrue(done.stdout.startswith("function\nfalse\t"), done.stdout)
        self.assertIn("no module 'durward.nothing' in durward", done.stdout)

    def test_an_error_has_its_place_and_its_traceback_if_asked(self):
        done, name = self.script("local function f() error('boom') end\nf()")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.endswith(os.path.basename(name) + ":1: boom\n"), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        done = kit.run_durward("lua", "--traceback", "-", "a", text="assert(... == 'a') error('boom')")
        self.assertEqual(done.returncode, 1)
        self.assertIn("stdin:1: boom\nstack traceback", done.stderr)

    def test_exit_codes(self):
        self.assertEqual(self.script("os.exit(7)")[0].returncode, 7)
        self.assertEqual(self.script("syntax error here")[0].returncode, 1)
        self.assertEqual(kit.run_durward("lua", "/nonexistent.lua").returncode, 1)
        self.assertEqual(kit.run_durward("lua", "--bogus").returncode, 2)

    def test_standard_input_is_a_script(self):
        self.assertEqual(kit.run_durward("lua", text="local x = 1\nprint(x + 1)\n").stdout, "2\n")
        self.assertEqual(kit.run_durward("lua", "-", "q", text="print(...)").stdout, "q\n")

    def test_standard_input_that_is_no_terminal_has_no_prompt(self):
        with tempfile.TemporaryDirectory() as state:
            done = kit.run_durward("lua", text="print(1)\n", env={"XDG_STATE_HOME": state, "HOME": state})
            self.assertEqual((done.stdout, done.stderr, os.listdir(state)), ("1\n", "", []))


EDITS = "libedit" in subprocess.run(["ldd", kit.DURWARD], capture_output=True, text=True).stdout


class Prompt:
    """durward lua at a terminal."""

    def __init__(self, home, **environment):
        self.screen = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.pop("XDG_STATE_HOME", None)
            os.environ.update(dict(kit.SANITIZERS, HOME=home, TERM="xterm"), **environment)
            os.execv(kit.DURWARD, [kit.DURWARD, "lua"])

    def wait_for(self, what):
        deadline = time.monotonic() + kit.PATIENCE
        while what not in self.screen and time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.screen += os.read(self.terminal, 4096)
        if what not in self.screen:
            raise AssertionError("%r does not show: %r" % (what, self.screen))
        seen, self.screen = self.screen, b""
        return seen

    def type(self, typed, shown):
        os.write(self.terminal, typed)
        return self.wait_for(shown)

    def wait_for_editing(self):
        """A prompt shows a moment before the terminal is set for it."""
        if not kit.until(lambda: not termios.tcgetattr(self.terminal)[3] & termios.ICANON):
            raise AssertionError("the terminal was never set for editing")

    def interrupt(self):
        """Again and again: one that comes between a key and the wait for the next is not noticed."""
        for _ in range(10):
            os.write(self.terminal, b"\x03")
            if select.select([self.terminal], [], [], kit.PATIENCE / 10)[0]:
                break
        return self.wait_for(b"\n> ")

    def end(self):
        os.write(self.terminal, b"\x04")
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.terminal)
        return status


class TestPrompt(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="durward-prompt-")
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        self.history = os.path.join(self.home, ".local", "state", "durward", "lua_history")

    def test_values_continuation_and_errors(self):
        for terminal in ("xterm", "dumb"):
            prompt = Prompt(self.home, TERM=terminal)
            prompt.wait_for(b"\n> ")
            for typed, shown in ((b"6 * 7\n", b"42\r\n> "), (b"for i = 5, 5 do\n", b">> "),
                                 (b"print(i) end\n", b"5\r\n> "), (b"error('oops')\n", b"oops"),
                                 (b"x = 2; return x, 'y'\n", b"2\ty\r\n> "),
                                 (b"{ 1, a = { b = 2 } }\n", b"{ 1, a = { b = 2 } }\r\n> "),
                                 (b"durward.spn.sspi('h', 'd')\n", b"xmpp/h/d\r\n> ")):
                prompt.type(typed, shown)
            self.assertEqual(prompt.end(), 0)

    def test_an_interrupt_ends_what_runs_and_not_the_prompt(self):
        prompt = Prompt(self.home)
        prompt.wait_for(b"\n> ")
        prompt.type(b"print('go') while true do end\n", b"go\r\n")
        self.assertIn(b"interrupted", prompt.type(b"\x03", b"\r\n> "))
        if EDITS:
            prompt.wait_for_editing()
        prompt.type(b"not whole", b"not whole")
        prompt.interrupt()
        prompt.type(b"1 + 1\n", b"2\r\n> ")
        self.assertEqual(prompt.end(), 0)

    @unittest.skipUnless(EDITS, "built without libedit")
    def test_history(self):
        prompt = Prompt(self.home)
        prompt.wait_for(b"\n> ")
        prompt.type(b"1000 + 1\n", b"1001\r\n> ")
        prompt.type(b" 2000 + 2\n", b"2002\r\n> ")
        prompt.type(b"os.exit(0)\n", b"exit(0)\r\n")
        self.assertEqual(os.waitpid(prompt.pid, 0)[1], 0)
        os.close(prompt.terminal)
        self.assertEqual(os.stat(self.history).st_mode & 0o7777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(self.history)).st_mode & 0o7777, 0o700)
        with open(self.history, encoding="ascii") as file:
            self.assertNotIn("2000", file.read())
        prompt = Prompt(self.home)
        prompt.wait_for(b"\n> ")
        prompt.type(b"\x1b[A\x1b[A\n", b"1001\r\n> ")
        self.assertEqual(prompt.end(), 0)

    def test_a_history_that_cannot_be_written_is_no_matter(self):
        prompt = Prompt(self.home, XDG_STATE_HOME="/proc/nowhere")
        prompt.wait_for(b"\n> ")
        prompt.type(b"6 * 7\n", b"42\r\n> ")
        self.assertEqual(prompt.end(), 0)


if __name__ == "__main__":
    unittest.main()
