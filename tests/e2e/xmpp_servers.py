"""Private stock XMPP servers for the end-to-end tests: Prosody and ejabberd as ordinary processes, on ports of their own,
in a directory of their own, as root or as anybody else; and the certificates that they show.

    authority = Authority(directory)
    server = Prosody({"example.test": {"bob": "secret"}}, authority, login="token", secret=b"..")
    server.port ... server.stop()

`login` names how durward may log users in: "jwt" (ejabberd; a JWK file is made of `secret`), "external" (both; client
certificates of `authority`), "token" (Prosody with lua/prosody/mod_auth_durward.lua), or None: passwords alone.  The users
given are native ones, with passwords.  `missing_prosody()` and `missing_ejabberd()` say what is not installed, or None.
"""
import base64
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROVIDER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "lua", "prosody")
PATIENCE = float(os.environ.get("DURWARD_TEST_PATIENCE", "60"))
COMMUNITY = "/usr/lib/prosody/modules"
# ejabberdctl knows where Debian keeps Erlang's libraries; they lie at /usr/lib/<machine>/ejabberd-<version>.
EJABBERD = glob.glob("/usr/lib/*/ejabberd-*/ebin")
PR_SET_PDEATHSIG = 1


def missing_prosody(*modules):
    """What a Prosody with these community modules wants, or None."""
    if not shutil.which("prosody") or not shutil.which("openssl"):
        return "prosody or openssl is not installed"
    for name in modules:
        if not glob.glob(os.path.join(COMMUNITY, name)):
            return "prosody-modules is not installed: no %s" % name
    return None


def missing_ejabberd():
    there = EJABBERD and shutil.which("erl") and shutil.which("openssl")
    return None if there else "ejabberd or openssl is not installed"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Authority:
    """A certificate authority in `directory`: ca.pem and ca.key, and what it signs."""

    def __init__(self, directory, name="ca"):
        self.dir = directory
        self.certificate = os.path.join(directory, name + ".pem")
        self.key = os.path.join(directory, name + ".key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", "/CN=a test authority", "-keyout", self.key, "-out", self.certificate,
                     "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    @staticmethod
    def openssl(*arguments, text=None):
        done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise AssertionError("openssl %s: %s" % (arguments[0], done.stderr))
        return done.stdout

    def issue(self, *names, days=30, file=None):
        """A server's certificate for these names: the paths of certificate and key.  Negative days: it has ended."""
        base = os.path.join(self.dir, file or names[0])
        alternative = ",".join(name if ":" in name else "DNS:" + name for name in names)
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a server",
                     "-keyout", base + ".key", "-out", base + ".csr", "-addext", "subjectAltName=" + alternative)
        self.openssl("x509", "-req", "-in", base + ".csr", "-CA", self.certificate, "-CAkey", self.key,
                     "-CAcreateserial", "-copy_extensions", "copyall", "-days", str(days), "-out", base + ".pem")
        return base + ".pem", base + ".key"


class Server:
    """A process with its directory; what Prosody and ejabberd have in common."""

    def __init__(self, domains, authority, login=None, secret=b"", proxy=False, extra=""):
        self.domains = {name: dict(users) for name, users in domains.items()}
        self.authority, self.login, self.secret, self.proxy, self.extra = authority, login, secret, proxy, extra
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-%s-" % type(self).__name__.lower())
        self.process = self.lines = self.reader = None
        self.certificates = {name: authority.issue(name, file=self.path("server-" + name)) for name in self.domains}
        try:
            for _ in range(3):  # another process may take a port that was free
                self.port, self.direct_port = free_port(), free_port()
                self.start()
                if self.wait_ready():
                    return
                self.end_process()
            raise AssertionError("%s did not start:\n%s" % (type(self).__name__, self.log()))
        except BaseException:
            self.stop()
            raise

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def spawn(self, arguments, env):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("KRB5", "ERL"))}
        environment.update(env)
        self.lines = []
        self.process = subprocess.Popen(arguments, cwd=self.dir, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.read, args=(self.process.stdout, self.lines), daemon=True)
        self.reader.start()

    @staticmethod
    def read(pipe, lines):
        for line in pipe:
            lines.append(line.decode("utf-8", "replace").rstrip("\n"))
        pipe.close()

    def wait_ready(self):
        """By its own words: somebody else may listen on a port that it could not get."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            log = self.log()
            if re.search(self.no_port, log):
                return False
            if all(words % self.port in log if "%d" in words else words in log for words in self.ready):
                return True
            time.sleep(0.05)
        return False

    def log(self):
        return "\n".join(self.lines or [])

    def wait_log(self, pattern, seconds=None):
        regex, deadline = re.compile(pattern), time.monotonic() + (seconds or PATIENCE)
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if regex.search(line):
                    return line
            time.sleep(0.05)
        return None

    def end_process(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        self.process = None

    def kill(self):
        """Dies as in a crash; the directory stays, `start` and `wait_ready` bring it back."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.end_process()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def lua(value):
    """Text, numbers, booleans and lists as Lua source."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{ " + ", ".join(lua(one) for one in value) + " }"
    return json.dumps(value)


class Prosody(Server):
    """`extra` is Lua for the global section; direct TLS is on `direct_port`.  Debian's has no PROXY protocol."""

    ready, no_port = ["Activated service 'c2s' on [127.0.0.1]:%d"], "Failed to open server port"
    modules = ["roster", "saslauth", "tls", "disco", "ping", "smacks", "presence", "message", "iq", "time", "version"]

    def start(self):
        if self.proxy:
            raise ValueError("Debian's prosody-modules have no mod_net_proxy")
        options = {
            "run_as_root": True, "daemonize": False, "pidfile": self.path("prosody.pid"), "data_path": self.path("data"),
            "plugin_paths": [PROVIDER, COMMUNITY], "interfaces": ["127.0.0.1"],
            "modules_disabled": ["s2s", "s2s_auth_certs"], "c2s_require_encryption": True, "c2s_ports": [self.port],
            "c2s_direct_tls_ports": [self.direct_port], "s2s_ports": [], "http_ports": [], "https_ports": [],
            "authentication": "internal_hashed", "storage": "internal",
        }
        lines = ["%s = %s" % (name, lua(value)) for name, value in options.items()]
        if self.login == "token":
            with open(self.path("secret"), "wb") as file:
                file.write(self.secret)
            lines += ["authentication = \"durward\"", "durward_secret_file = " + lua(self.path("secret"))]
        elif self.login == "external":
            lines += ["authentication = \"ccert\"", "c2s_ssl = { cafile = %s; verify = { \"peer\" } }"
                      % lua(self.authority.certificate)]
        lines += ["log = { { levels = { min = \"debug\" }, to = \"console\" } }", self.extra]
        lines.append("modules_enabled = " + lua(self.modules))
        for name, users in self.domains.items():
            certificate, key = self.certificates[name]
            lines += ["VirtualHost " + lua(name), "ssl = { certificate = %s; key = %s }" % (lua(certificate), lua(key))]
            self.write_accounts(name, users)
        self.spawn(["prosody", "--config", self.write("prosody.cfg.lua", "\n".join(lines) + "\n"), "-F"],
                   {"HOME": self.dir})

    @staticmethod
    def store_name(text):
        return "".join(c if c.isalnum() else "%%%02x" % ord(c) for c in text)

    def write_accounts(self, domain, users):
        folder = self.path(os.path.join("data", self.store_name(domain), "accounts"))
        os.makedirs(folder, exist_ok=True)
        for user, password in users.items():
            with open(os.path.join(folder, self.store_name(user) + ".dat"), "w", encoding="utf-8") as file:
                file.write("return { [\"password\"] = %s; };\n" % lua(password))


class Ejabberd(Server):
    """`extra` is YAML for the top level.  Erlang runs without distribution: no node name, no epmd, no cookie."""

    ready = ["Start accepting TCP connections at 127.0.0.1:%d for ejabberd_c2s", "users are there"]
    no_port = "Failed to open socket"

    def start(self):
        os.makedirs(self.path("spool"), exist_ok=True)
        bundle = []
        for name, (certificate, key) in self.certificates.items():
            with open(certificate, encoding="ascii") as one, open(key, encoding="ascii") as other:
                bundle.append(self.write(name + ".bundle.pem", one.read() + other.read()))
        listener = {"port": self.port, "ip": "127.0.0.1", "module": "ejabberd_c2s", "max_stanza_size": 262144,
                    "starttls": True, "starttls_required": True, "use_proxy_protocol": self.proxy}
        config = {
            "hosts": list(self.domains), "loglevel": "debug", "log_rotate_count": 0, "certfiles": bundle,
            "auth_method": ["internal"], "auth_password_format": "scram", "acme": {"auto": False},
            "access_rules": {"c2s": {"allow": "all"}, "local": {"allow": "all"}},
            "modules": {"mod_roster": {}, "mod_disco": {}, "mod_ping": {}, "mod_stream_mgmt": {"resume_timeout": 60},
                        "mod_offline": {}, "mod_admin_extra": {}},
        }
        if self.login == "jwt":
            key = base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()
            jwk = self.write("jwt.key", json.dumps({"kty": "oct", "use": "sig", "alg": "HS256", "k": key}))
            config.update({"auth_method": ["jwt", "internal"], "jwt_key": jwk, "jwt_jid_field": "jid"})
        elif self.login == "external":
            listener.update({"tls_verify": True, "cafile": self.authority.certificate})
        direct = {name: value for name, value in listener.items() if not name.startswith("starttls")}
        config["listen"] = [listener, dict(direct, port=self.direct_port, tls=True)]
        # JSON is YAML.
        path = self.write("ejabberd.yml", "\n".join(json.dumps(key) + ": " + json.dumps(value)
                                                    for key, value in config.items()) + "\n" + self.extra + "\n")
        words = "case ejabberd_auth:try_register(<<%s>>, <<%s>>, <<%s>>) of ok -> ok; {error, exists} -> ok end."
        users = [words % (json.dumps(user), json.dumps(domain), json.dumps(password))
                 for domain, accounts in self.domains.items() for user, password in accounts.items()]
        script = self.write("users.script", "\n".join(users + ["io:format(\"users are there~n\")."]) + "\n")
        libraries = os.path.dirname(os.path.dirname(EJABBERD[-1]))
        self.spawn(["erl", "-noinput", "+S", "1:1", "+P", "32768", "-mnesia", "dir", json.dumps(self.path("spool")),
                    "-s", "ejabberd", "-eval", "file:script(%s)" % json.dumps(script)],
                   {"HOME": self.dir, "ERL_LIBS": libraries, "EJABBERD_CONFIG_PATH": path,
                    "EJABBERD_LOG_PATH": self.path("ejabberd.log"), "ERL_CRASH_DUMP_BYTES": "0",
                    "CONTRIB_MODULES_CONF_DIR": self.path("modules.d"), "CONTRIB_MODULES_PATH": self.path("modules")})
