"""libdurward as it is installed: header, pkg-config file, shared library; a program that is built against them."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import kit

BUILD = os.path.dirname(kit.DURWARD)
EXAMPLES = os.path.join(kit.ROOT, "examples", "zap")
HEADER_ALONE = """#include <durward.h>
int main(void)
{
    struct durward_error error;
    return durward_zap_start(0, 0, &error) == 0 && error.code == DURWARD_ERROR_USE ? 0 : 1;
}
"""


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **options)
    if done.returncode:
        raise AssertionError("%s: exit %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
    return done.stdout


def cached(name):
    """What the build was configured with."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        found = re.search(r"^%s:\w+=(.*)$" % name, file.read(), re.M)
    return found.group(1) if found else ""


class TestInstalled(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = tempfile.mkdtemp(prefix="durward-e2e-prefix-")
        cls.addClassCleanup(shutil.rmtree, cls.prefix, True)
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        for folder, _, files in os.walk(cls.prefix):
            if "durward.pc" in files:
                cls.libraries = os.path.dirname(folder)
        sanitize = cached("DURWARD_SANITIZE")
        cls.flags = ["-fsanitize=" + sanitize] if sanitize else []
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(cls.libraries, "pkgconfig"))
        cls.flags += run("pkg-config", "--cflags", "--libs", "durward", env=environment).split()
        cls.version = run("pkg-config", "--modversion", "durward", env=environment).strip()
        cls.environment = dict(os.environ, LD_LIBRARY_PATH=cls.libraries, **kit.SANITIZERS)

    def build(self, language, source, *options):
        """By the compiler that the library was built with: sanitizers' runtimes are its own."""
        compiler = cached("CMAKE_C_COMPILER")
        if language == "c++":
            compiler = "clang++" if "clang" in compiler else "c++"
        program = os.path.join(self.prefix, "program")
        run(compiler, "-Wall", "-Wextra", "-Werror", *options, "-o", program, source, *self.flags)
        return program

    def test_names(self):
        """The soname, and nothing exported but what the header declares."""
        library = os.path.join(self.libraries, "libdurward.so")
        self.assertEqual(os.path.basename(os.path.realpath(library)), "libdurward.so." + self.version)
        self.assertIn("[libdurward.so.%s]" % self.version.split(".")[0], run("readelf", "-d", library))
        with open(os.path.join(self.prefix, "include", "durward.h"), encoding="utf-8") as file:
            declared = set(re.findall(r"DURWARD_API [^;]*?\b(durward_\w+)\(", file.read()))
        lines = run("nm", "-D", "--defined-only", library).splitlines()
        exported = {line.split()[2].split("@")[0] for line in lines if line.split()[1] != "A"}
        self.assertEqual(exported, declared)
        self.assertIn("durward_zap_start", exported)

    def test_header_in_c_and_cxx(self):
        for language, standard, suffix in (("c", "c99", ".c"), ("c++", "c++11", ".cc")):
            source = os.path.join(self.prefix, "alone" + suffix)
            with open(source, "w", encoding="utf-8") as file:
                file.write(HEADER_ALONE)
            run(self.build(language, source, "-std=" + standard, "-pedantic"), env=self.environment)

    def test_example(self):
        """examples/zap/inprocess.c: alice is let in, others are not; after a reload bob is."""
        program = self.build("c", os.path.join(EXAMPLES, "inprocess.c"))
        folder = tempfile.mkdtemp(prefix="durward-e2e-", dir=self.prefix)
        for name in ("durward.lua", "policy.lua", "users", "client.py"):
            shutil.copy(os.path.join(EXAMPLES, name), folder)
        server = subprocess.Popen([program, "tcp://127.0.0.1:*", "durward.lua", "trades"], cwd=folder, text=True,
                                  env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(server.kill)
        self.endpoint, self.folder = server.stdout.readline().strip(), folder
        self.assertEqual(self.visit("alice", "wonderland"), "let in")
        self.assertEqual(server.stdout.readline(), "alice hello\n")
        self.assertEqual(self.visit("alice", "looking-glass"), "kept out")
        self.assertEqual(self.visit("bob", "builder"), "kept out")
        path = os.path.join(folder, "policy.lua")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('match.user("bob")', 'match.user("admin")'))
        server.send_signal(signal.SIGHUP)
        self.assertEqual(kit.until(lambda: self.visit("bob", "builder") == "let in" and "bob"), "bob")
        self.assertEqual(server.stdout.readline(), "bob hello\n")
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=kit.PATIENCE)[1]
        self.assertEqual(server.returncode, 0, said)
        self.assertRegex(said, r"inprocess: 2 allowed, \d+ denied, 0 temporary")
        self.assertIn("listener not opened", said)
        self.assertIsNone(kit.REPORTS.search(said), said)
        self.assertEqual(os.stat(os.path.join(folder, "journal.jsonl")).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.exists(os.path.join(folder, "zap.sock")))

    def visit(self, user, password):
        done = subprocess.run([sys.executable, "client.py", self.endpoint, user, password, "hello"], cwd=self.folder,
                              capture_output=True, text=True, check=False, timeout=kit.PATIENCE)
        return done.stdout.strip()

    def test_example_without_a_policy_that_loads(self):
        program = self.build("c", os.path.join(EXAMPLES, "inprocess.c"))
        wrong = os.path.join(self.prefix, "wrong.lua")
        with open(wrong, "w", encoding="utf-8") as file:
            file.write("return {\n  polizy = 'policy.lua',\n}\n")
        done = subprocess.run([program, "tcp://127.0.0.1:*", wrong], env=self.environment, capture_output=True, text=True,
                              check=False, timeout=kit.PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"^inprocess: .*wrong\.lua:2: .*polizy.*policy")


if __name__ == "__main__":
    unittest.main()
