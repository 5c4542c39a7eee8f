"""Private stock mail servers for the end-to-end tests, each in a directory of its own, on a port of its own; they ask durward
who their clients are.

    server = Postfix(sasl="inet:127.0.0.1:4711")       or a path
    server = Dovecot(login="/path", master="/path")
    server.port ... server.log() ... server.stop()

Postfix runs for root alone: `missing_postfix()` and `missing_dovecot()` say what stands against them, or None.
"""
import grp
import imaplib
import os
import pwd
import shutil
import signal
import smtplib
import subprocess
import tempfile
import threading

import kit
import xmpp_servers

PROGRAMS = "/usr/lib/postfix/sbin"
QUEUES = ("incoming", "active", "deferred", "defer", "bounce", "flush", "trace", "private", "maildrop", "hold", "saved",
          "corrupt", "public")
MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = {programs}
maillog_file = /dev/stdout
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
default_transport = discard
alias_maps =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtpd_sasl_service = smtp
smtpd_sasl_security_options = noanonymous, noplaintext, mutual_auth
smtpd_sasl_authenticated_header = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_client_restrictions =
smtpd_error_sleep_time = 0
service_throttle_time = 1s
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def missing_postfix():
    if not shutil.which("postfix") or not os.path.exists(PROGRAMS):
        return "postfix is not installed"
    if os.geteuid() != 0:
        return "postfix runs for root alone"
    return None


class Postfix:
    def __init__(self, sasl):
        # Postfix wants short paths, and its users go through this one.
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-postfix-")
        os.chmod(self.dir, 0o755)
        self.process, self.lines = None, []
        try:
            self.port = kit.free_port()
            self.write("main.cf", MAIN.format(dir=self.dir, programs=PROGRAMS, sasl=sasl))
            self.write("master.cf", MASTER.format(port=self.port))
            self.make_folders()
            self.start()
        except BaseException:
            self.stop()
            raise

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="ascii") as file:
            file.write(text)

    def make_folders(self):
        """As postfix(1) makes them, which leaves a master behind that does not end with who started it."""
        owner, group = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        os.mkdir(os.path.join(self.dir, "queue"))
        for name in ("data", *("queue/" + name for name in QUEUES)):
            path = os.path.join(self.dir, name)
            os.mkdir(path, 0o700)
            os.chown(path, owner, -1)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            os.chown(os.path.join(self.dir, "queue", name), owner, group)
            os.chmod(os.path.join(self.dir, "queue", name), mode)
        os.mkdir(os.path.join(self.dir, "queue", "pid"))

    def start(self):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": self.dir, "MAIL_LOGTAG": "postfix",
               "POSTLOG_SERVICE": "postlog", "POSTLOG_HOSTNAME": "localhost"}
        self.process = subprocess.Popen([PROGRAMS + "/master", "-c", self.dir, "-s"], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                        preexec_fn=xmpp_servers.die_with_parent)
        self.reader = threading.Thread(target=xmpp_servers.Server.read, args=(self.process.stdout, self.lines), daemon=True)
        self.reader.start()
        if not kit.until(self.is_up):
            raise AssertionError("postfix did not start:\n" + self.log())

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError("postfix has ended:\n" + self.log())
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5):
                return True
        except (OSError, smtplib.SMTPException):
            return False

    def log(self):
        return "\n".join(self.lines)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.reader.join(5)
        shutil.rmtree(self.dir, ignore_errors=True)


IMAP = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = /dev/stderr
listen = 127.0.0.1
protocols = imap
ssl = no
mail_location = maildir:~/Maildir
first_valid_uid = 1
{users}
service imap-login {{
  executable = imap-login {login}
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service imap {{
  executable = imap -a {master}
}}
"""
# As anybody else than root all of it is one user's.
ROOTLESS = """
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service anvil {{
  chroot =
}}
"""


def missing_dovecot():
    if not shutil.which("dovecot") or not os.path.exists("/usr/lib/dovecot/imap-login"):
        return "dovecot-imapd is not installed"
    return None


def keeper():
    """Who owns mail: root cannot."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


class Dovecot:
    """A private stock Dovecot, IMAP alone, whose login processes ask at `login` and whose imap processes at `master`;
    `settings` are further ones."""

    def __init__(self, login, master, settings=""):
        self.dir = tempfile.mkdtemp(prefix="durward-e2e-dovecot-")
        os.chmod(self.dir, 0o755)
        self.process, self.lines = None, []
        me = keeper()
        users = "" if os.geteuid() == 0 else ROOTLESS.format(user=me.pw_name, group=grp.getgrgid(me.pw_gid).gr_name)
        try:
            self.port = kit.free_port()
            with open(os.path.join(self.dir, "dovecot.conf"), "w", encoding="ascii") as file:
                file.write(IMAP.format(dir=self.dir, users=users, login=login, master=master, port=self.port) + settings)
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", os.path.join(self.dir, "dovecot.conf")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True, preexec_fn=xmpp_servers.die_with_parent)
        self.reader = threading.Thread(target=xmpp_servers.Server.read, args=(self.process.stdout, self.lines), daemon=True)
        self.reader.start()
        if not kit.until(self.is_up):
            raise AssertionError("dovecot did not start:\n" + self.log())

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError("dovecot has ended:\n" + self.log())
        try:
            with imaplib.IMAP4("127.0.0.1", self.port, timeout=5):
                return True
        except (OSError, imaplib.IMAP4.error):
            return False

    def log(self):
        return "\n".join(self.lines)

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.reader.join(5)
        shutil.rmtree(self.dir, ignore_errors=True)
