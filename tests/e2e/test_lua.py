"""durward lua: scripts with the full libraries and durward's modules, and a prompt."""
import os
import pty
import select
import tempfile
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

    def test_an_error_has_its_place_and_traceback(self):
        done, name = self.script("local function f() error('boom') end\nf()")
        self.assertEqual(done.returncode, 1)
        self.assertIn(os.path.basename(name) + ":1: boom", done.stderr)
        self.assertIn("stack traceback", done.stderr)

    def test_exit_codes(self):
        self.assertEqual(self.script("os.exit(7)")[0].returncode, 7)
        self.assertEqual(self.script("syntax error here")[0].returncode, 1)
        self.assertEqual(kit.run_durward("lua", "/nonexistent.lua").returncode, 1)
        self.assertEqual(kit.run_durward("lua", "--bogus").returncode, 2)

    def test_standard_input_is_a_script(self):
        self.assertEqual(kit.run_durward("lua", text="local x = 1\nprint(x + 1)\n").stdout, "2\n")
        self.assertEqual(kit.run_durward("lua", "-", "q", text="print(...)").stdout, "q\n")

    def test_the_prompt(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(kit.SANITIZERS)
            os.execv(kit.DURWARD, [kit.DURWARD, "lua"])
        screen = b""

        def wait_for(what):
            nonlocal screen
            deadline = time.monotonic() + kit.PATIENCE
            while what not in screen and time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.2)[0]:
                    screen += os.read(terminal, 4096)
            self.assertIn(what, screen)
            screen = b""

        wait_for(b"\n> ")
        for typed, shown in ((b"6 * 7\n", b"42\r\n> "), (b"for i = 5, 5 do\n", b">> "), (b"print(i) end\n", b"5\r\n> "),
                             (b"error('oops')\n", b"oops"), (b"x = 2; return x, 'y'\n", b"2\ty\r\n> ")):
            os.write(terminal, typed)
            wait_for(shown)
        os.write(terminal, b"\x04")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        os.close(terminal)


if __name__ == "__main__":
    unittest.main()
