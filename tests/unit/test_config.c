/* Configurations: what each mistake is told as, and what a sound file becomes. */
#include "check.h"

#include "config/config.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/durward-config-XXXXXX";

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "w");
    if (!CHECK(file != NULL))
        return;
    fwrite(text, 1, len, file);
    fclose(file);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* Findings of the file "c.lua", which holds `text`. */
static void expect(const char *text, const char *wanted, const char *file, int line)
{
    struct dw_buf findings = {0};
    write_text("c.lua", text);
    struct dw_config *config = dw_config_load("c.lua", &findings);
    dw_buf_put_u8(&findings, 0);
    const char *got = (const char *)dw_buf_span(&findings).at;
    check_that(!config == !!*wanted, file, line, "a configuration, or findings");
    if (!check_that(!strcmp(got, wanted), file, line, "findings"))
        printf("--- got\n%s--- wanted\n%s---\n", got, wanted);
    dw_config_release(&config);
    dw_buf_free(&findings);
}
#define EXPECT(text, wanted) expect(text, wanted, __FILE__, __LINE__)

#define ZMTP "name = 'a', listen = 'tcp://*:5570', service = 'zmq@h', backend = 'tcp://127.0.0.1:5571'"
#define OUT "name = 'o', listen = 'ipc:///run/o', connect = 'tcp://h:1', service = 'zmq@h'"

static void unknown_keys(void)
{
    EXPECT("return {\n  polcy = 'x',\n}", "c.lua:2: unknown key 'polcy', did you mean 'policy'?\n");
    EXPECT("return {\n  limits = {\n    conections = 5 } }",
           "c.lua:3: unknown key 'limits.conections', did you mean 'connections'?\n");
    EXPECT("return { keytab = 'k', zmtp = { {\n " ZMTP ",\n on_dney = 'close' } } }",
           "c.lua:3: unknown key 'zmtp[1].on_dney', did you mean 'on_deny'?\n");
    EXPECT("return { log = {\n file = 'x' } }", "c.lua:2: unknown key 'log.file': known are level\n");
    EXPECT("return {\n per_peer = 5 }", "c.lua:2: unknown key 'per_peer': it belongs in 'limits'\n");
    EXPECT("return { limits = {\n journal = 'x' } }",
           "c.lua:2: unknown key 'limits.journal': it belongs at the top of the configuration\n");
    EXPECT("return { limits = {\n retry_hold_seconds = 5 } }",
           "c.lua:2: unknown key 'limits.retry_hold_seconds': it belongs to 'zmtp' listeners\n");
    EXPECT("return {\n 'policy.lua' }", "c.lua:2: the configuration has a value without a key: 1\n");
    EXPECT("return {\n POLICY = 'x' }", "c.lua:2: unknown key 'POLICY', did you mean 'policy'?\n");
    EXPECT("return { dns = {\n servers = { '192.0.2.53', '[2001:db8::1]:5353', '::1', 'a.example',\n "
           "'192.0.2.53:0' } } }",
           "c.lua:2: dns.servers[4] is \"a.example\", which is no address, as in \"192.0.2.53\" or "
           "\"[2001:db8::53]:5353\"\n"
           "c.lua:3: dns.servers[5] is \"192.0.2.53:0\": a port is 1 to 65535\n");
    EXPECT("return { reload_on_change = 1 }", "c.lua:1: reload_on_change wants true or false, not 1\n");
    EXPECT(
        "return { ['a\\nb'] = 1 }",
        "c.lua:1: unknown key '[\"a\\x0ab\"]': known are dns, dovecot, journal, keytab, limits, log, policy, "
        "refuse_users, reload_on_change, shadow, state_dir, test_on_reload, workers, xmpp, zap, zmtp, zmtp_out\n");
}

static void wrong_types(void)
{
    EXPECT("return {\n policy = 5,\n keytab = {},\n workers = '2',\n limits = 3,\n zmtp = 'x' }",
           "c.lua:2: policy wants a string or a list of strings, not 5\n"
           "c.lua:3: keytab wants a string, not a table\n"
           "c.lua:4: workers wants a whole number from 1 to 1024, not \"2\"\n"
           "c.lua:5: limits wants a table, not 3\n"
           "c.lua:6: zmtp wants a list of listeners, not \"x\"\n");
    EXPECT("return { zmtp = { " ZMTP " } }",
           "c.lua:1: zmtp wants a list of listeners, as in zmtp = { { backend = .. } }\n");
    EXPECT("return { keytab = 'k', zmtp = { {" ZMTP ",\n allow_anonymous = 'no',\n forward = 'X-App',\n"
           " mode = 600 } } }",
           "c.lua:2: zmtp[1].allow_anonymous wants true or false, not \"no\"\n"
           "c.lua:3: zmtp[1].forward wants a list, not \"X-App\"\n"
           "c.lua:4: zmtp[1].mode wants octal digits in a string, as in \"0660\", not 600\n");
    EXPECT("return {\n policy = { 'a', 5, '' },\n refuse_users = { a = 1 } }",
           "c.lua:2: policy[2] wants a string, not 5\n"
           "c.lua:2: policy[3] is empty\n"
           "c.lua:3: refuse_users wants a list, which has no key \"a\"\n");
    EXPECT("return {\n policy = { 'a', nil, 'b' } }", "c.lua:2: policy[2] is missing in the list (nil)\n");
    EXPECT("return {\n policy = {} }", "c.lua:2: policy is empty: leave it out, or name one\n");
    EXPECT("return {\n keytab = print }", "c.lua:2: keytab wants a string, not a function\n");
    EXPECT("return { keytab = 'a\\0b' }", "c.lua:1: keytab has a control character: \"a\\x00b\"\n");
    EXPECT("return { keytab = '\\xff' }", "c.lua:1: keytab is not UTF-8\n");
    EXPECT("return { keytab = '~/k' }",
           "c.lua:1: keytab is \"~/k\", but '~' is not expanded: write the whole path, or "
           "os.getenv(\"HOME\") .. \"/k\"\n");
}

static void ranges_and_words(void)
{
    EXPECT("return { workers = 0 }", "c.lua:1: workers wants a whole number from 1 to 1024, not 0\n");
    EXPECT("return { workers = 1.5 }", "c.lua:1: workers wants a whole number from 1 to 1024, not 1.5\n");
    EXPECT("return { limits = {\n handshake_seconds = 0/0,\n connections = -1,\n memory = 2^70,\n"
           " frame_bytes = 1 } }",
           "c.lua:2: limits.handshake_seconds wants a number from 0.1 to 3600, not nan\n"
           "c.lua:3: limits.connections wants a whole number from 1 to 10000000, not -1\n"
           "c.lua:4: limits.memory wants a whole number from 1048576 to 1125899906842624, not 1.1805916207174e+21\n"
           "c.lua:5: limits.frame_bytes wants a whole number from 1024 to 1099511627776, not 1\n");
    EXPECT("return { limits = { memory = 2^20,\n frame_bytes = 2^21 } }",
           "c.lua:2: limits.frame_bytes is 2097152, more than limits.memory, which is 1048576\n");
    EXPECT("return { log = { level = 'Debug' } }",
           "c.lua:1: log.level wants \"debug\", \"info\", \"warn\" or \"error\", not \"Debug\"; did you mean "
           "\"debug\"?\n");
    EXPECT("return { keytab = 'k', zmtp = { {" ZMTP
           ",\n identity = 'users',\n protection = 'none',\n on_deny = 1,\n"
           " retry_hold_seconds = -1 } } }",
           "c.lua:2: zmtp[1].identity wants \"keep\", \"user\" or \"drop\", not \"users\"; did you mean \"user\"?\n"
           "c.lua:3: zmtp[1].protection wants \"encrypted\" or \"plaintext\", not \"none\"\n"
           "c.lua:4: zmtp[1].on_deny wants \"close\" or \"error\", not 1\n"
           "c.lua:5: zmtp[1].retry_hold_seconds wants a number from 0 to 3600, not -1\n");
}

static void listeners(void)
{
    EXPECT("return { keytab = 'k', zmtp = {\n {} } }",
           "c.lua:2: zmtp[1] has no 'backend': where admitted clients go, as in \"tcp://127.0.0.1:5571\"\n"
           "c.lua:2: zmtp[1] has no 'listen': as in \"tcp://*:5570\" or \"ipc:///run/durward/app\"\n"
           "c.lua:2: zmtp[1] has no 'name': what logs and events call it, as in \"trades\"\n"
           "c.lua:2: zmtp[1] has no 'service': who clients ask tickets for, as in \"zmq@broker.example.com\"\n");
    EXPECT("return { zmtp = {\n {" ZMTP "} } }",
           "c.lua:2: zmtp[1] has no 'keytab': name one here, or one for all at the top of the configuration\n");
    EXPECT("return { zmtp_out = {\n {" OUT "} } }",
           "c.lua:2: zmtp_out[1] has neither 'ccache' nor 'keytab': it could not log in\n");
    EXPECT("return { keytab = 'k', zmtp = { {" ZMTP " } },\n zmtp_out = { {" OUT ",\n name = 'a' } } }",
           "c.lua:3: 'name' is given twice; the first stands in line 2\n"
           "c.lua:3: zmtp_out[1].name is 'a', as zmtp[1] is already called\n");
    EXPECT("return { keytab = 'k', zmtp = { {" ZMTP "},\n {name = 'b', listen = 'tcp://127.0.0.1:5570', service = "
           "'zmq@h', backend = 'ipc://b'} } }",
           "c.lua:2: zmtp[2].listen is \"tcp://127.0.0.1:5570\", where zmtp[1] listens already\n");
    EXPECT("return { keytab = 'k', zmtp_out = { {" OUT "}, {name = 'p', connect = 'tcp://h:1', service = 'zmq@h',\n"
           " listen = 'ipc:///run/o'} } }",
           "c.lua:2: zmtp_out[2].listen is \"ipc:///run/o\", where zmtp_out[1] listens already\n");
    EXPECT("return { keytab = 'k', zmtp = { {name = 'b', listen = 'tcp://*:1', service = 'zmq@h',\n"
           " backend = 'tcp://127.0.0.1:1'} } }",
           "c.lua:2: zmtp[1].backend is \"tcp://127.0.0.1:1\", where zmtp[1] listens: a backend speaks ZMTP "
           "without a login\n");
    EXPECT(
        "return { keytab = 'k', zmtp = { {" ZMTP ",\n forward = { 'X-App', 'user-id', 'Socket-Type',\n"
        " 'IDENTITY', 'x-peer-address', 'Peer-Address', 'x-app', 'a b' } } } }",
        "c.lua:2: zmtp[1].forward[2]: 'user-id' is durward's own property: it says who the user is, so no client "
        "may set it\n"
        "c.lua:2: zmtp[1].forward[3]: 'Socket-Type' is durward's to pass on: it always does, held to the decision\n"
        "c.lua:3: zmtp[1].forward[4]: 'IDENTITY' is durward's to pass on, as the listener's 'identity' says\n"
        "c.lua:3: zmtp[1].forward[5]: 'x-peer-address' is durward's own property: it says where the client is, so "
        "no client may set it\n"
        "c.lua:3: zmtp[1].forward[6]: 'Peer-Address' is set by the backend's own library, whatever a client says\n"
        "c.lua:3: zmtp[1].forward[8]: \"a b\" is not a property's name: letters, digits, '-', '_', '.' and '+'\n"
        "c.lua:3: zmtp[1].forward[7]: 'x-app' stands there twice; case makes no difference\n");
    EXPECT("return { keytab = 'k', zmtp = { {name = 'a b', listen = 'tcp://*:1', service = 'zmq', realm = 'A B',\n"
           " backend = 'ipc://b', mode = '0600', group = 'no-such-group' } } }",
           "c.lua:1: zmtp[1].name: \"a b\" is not a name: at most 64 letters, digits, '-', '_' and '.'\n"
           "c.lua:1: zmtp[1].realm has a space: \"A B\"\n"
           "c.lua:1: zmtp[1].service: \"zmq\" names no host, as in \"zmq@broker.example.com\"\n"
           "c.lua:2: zmtp[1].group: this machine has no group \"no-such-group\"\n"
           "c.lua:2: zmtp[1].mode means nothing for \"tcp://*:1\": it is for ipc listeners with a path\n");
    EXPECT("return { keytab = 'k', zmtp = { {name = 'a', listen = 'tcp://*:1', service = 'zmq/h@ONE',\n"
           " realm = 'TWO', backend = 'ipc://b' } } }",
           "c.lua:2: zmtp[1].realm is 'TWO', but 'service' names 'ONE'\n");
    EXPECT("return { keytab = 'k', zmtp_out = { {name = 'o', connect = 'tcp://h:1', service = 'zmq@h',\n"
           " listen = 'tcp://*:9'}, {name = 'p', connect = 'tcp://h:1', service = 'zmq@h',\n"
           " listen = 'tcp://[::1]:8', allow_from = { '10.0.0.1/8', 'x', '10.0.0.0/33' } } } }",
           "c.lua:2: zmtp_out[1].listen is open to other machines without any login: name who may connect, as in "
           "allow_from = { \"192.0.2.0/24\" }\n"
           "c.lua:3: zmtp_out[2].allow_from[1]: '10.0.0.1/8' has bits past its prefix, did you mean '10.0.0.0/8'?\n"
           "c.lua:3: zmtp_out[2].allow_from[2]: 'x' is no address range, as in 192.0.2.0/24 or 2001:db8::/32\n"
           "c.lua:3: zmtp_out[2].allow_from[3]: '10.0.0.0/33' has a prefix that is not a number from 0 to 32\n");
}

/* Two listeners, at `one` and `two`: whether the second is told to be in the first's way. */
static bool collide(const char *one, const char *two)
{
    struct dw_buf text = {0}, findings = {0};
    dw_buf_printf(
        &text,
        "return { keytab = 'k', zmtp = { { name = 'a', service = 'zmq@h', backend = 'ipc://b', listen = '%s' },"
        " { name = 'b', service = 'zmq@h', backend = 'ipc://b', listen = '%s' } } }",
        one, two);
    write_file("c.lua", (const char *)text.at, dw_buf_len(&text));
    struct dw_config *config = dw_config_load("c.lua", &findings);
    dw_buf_put_u8(&findings, 0);
    bool told = strstr((const char *)findings.at, "zmtp[2].listen is ") != NULL;
    CHECK(told == !config);
    dw_config_release(&config);
    dw_buf_free(&text);
    dw_buf_free(&findings);
    return told;
}

static void listeners_in_each_others_way(void)
{
    CHECK(collide("tcp://*:5", "tcp://*:5") && !collide("tcp://*:5", "tcp://*:6") &&
          !collide("tcp://*:0", "tcp://*:0"));
    CHECK(collide("tcp://*:5", "tcp://h:5") && collide("tcp://[::1]:5", "tcp://*:5"));
    CHECK(collide("tcp://0.0.0.0:5", "tcp://127.0.0.1:5") && !collide("tcp://0.0.0.0:5", "tcp://[::1]:5"));
    CHECK(collide("tcp://[::]:5", "tcp://[::1]:5") && collide("tcp://localhost:5", "tcp://127.0.0.1:5"));
    CHECK(collide("tcp://[::1]:5", "tcp://[0:0::1]:5") && !collide("tcp://127.0.0.1:5", "tcp://127.0.0.2:5"));
    CHECK(collide("ipc://x", "ipc://x"));
    CHECK(!collide("ipc://x", "ipc://y") && collide("ipc://@x", "ipc://@x") && !collide("ipc://@x", "ipc://x"));
    EXPECT("return { keytab = 'k', zmtp = { {name = 'a', service = 'zmq@h', listen = 'tcp://*:5',\n"
           " backend = 'tcp://other:5' }, { name = 'b', service = 'zmq@h', listen = 'tcp://here:6',\n"
           " backend = 'tcp://here:6' }, { name = 'c', service = 'zmq@h', listen = 'tcp://*:7',\n"
           " backend = 'tcp://localhost:5' } } }",
           "c.lua:3: zmtp[2].backend is \"tcp://here:6\", where zmtp[2] listens: a backend speaks ZMTP "
           "without a "
           "login\n"
           "c.lua:4: zmtp[3].backend is \"tcp://localhost:5\", where zmtp[1] listens: a backend speaks ZMTP "
           "without a login\n");
}

static void addresses_in_files(void)
{
    EXPECT("return { keytab = 'k', zmtp = { {name = 'a', service = 'zmq@h',\n listen = 'tcp://*',\n"
           " backend = 'tcp://*:5' }, {name = 'b', service = 'zmq@h',\n listen = 5,\n backend = 'tcp://h:0' } } }",
           "c.lua:2: zmtp[1].listen: 'tcp://*' is no address: a port is missing, as in tcp://*:5570\n"
           "c.lua:3: zmtp[1].backend is \"tcp://*:5\", but '*' is no host to connect to\n"
           "c.lua:4: zmtp[2].listen wants an address, as in \"tcp://*:5570\", not 5\n"
           "c.lua:5: zmtp[2].backend is \"tcp://h:0\", but 0 is no port to connect to\n");
}

static void later_fronts(void)
{
    EXPECT(
        "return {\n zap = { { name = 'z', listen = 'ipc:///run/z' } },\n"
        " dovecot = { { name = 'd', listen = 'tcp://*:1', services = {} }, { name = 'e', listen = 'ipc://e',\n"
        "  keytab = 'k', services = { 'xmpp', 'smtp@h' } } },\n"
        " xmpp = { { name = 'x', listen = 'tcp://*:5222', keytab = 'k', domains = { ['example.org'] = {\n"
        "   tls = { certificate = 'c' },\n"
        "   backend = { connect = 'tcp://h:5223', tls = 'none', login = 'jtw' } } } } } }",
        "c.lua:3: dovecot[1].services is empty: no key would serve\n"
        "c.lua:3: dovecot[1] has no 'keytab': name one here, or one for all at the top of the configuration\n"
        "c.lua:3: dovecot[1].listen is open to other machines without any login: name who may connect, as in "
        "allow_from = { \"192.0.2.0/24\" }\n"
        "c.lua:4: dovecot[2].services[2] is \"smtp@h\": a service alone is wanted, as in \"xmpp\" or \"smtp\"\n"
        "c.lua:6: xmpp[1].domains[\"example.org\"].tls has no 'key': a file with its key\n"
        "c.lua:7: xmpp[1].domains[\"example.org\"].backend.login wants \"jwt\", \"token\" or \"external\", not "
        "\"jtw\"; did you mean \"jwt\"?\n"
        "c.lua:7: xmpp[1].domains[\"example.org\"].backend.tls is \"none\", which is for backends on this machine "
        "only\n");
}

static void masters(void)
{
    EXPECT(
        "return { keytab = 'k', dovecot = {\n { name = 'a', listen = 'ipc://a', master = 'ipc://m', master_mode = "
        "'0660' },\n"
        " { name = 'b', listen = 'ipc://b', master = 'tcp://127.0.0.1:5' },\n"
        " { name = 'c', listen = 'ipc://c', master = 'ipc://@c' },\n"
        " { name = 'd', listen = 'ipc://d', master = 'ipc://a' },\n"
        " { name = 'e', listen = 'ipc://m' },\n"
        " { name = 'f', listen = 'ipc://f', master_mode = '0660', master_group = 0 } } }",
        "c.lua:3: dovecot[2].master is \"tcp://127.0.0.1:5\": it wants an ipc socket with a path, whose mode keeps "
        "others out\n"
        "c.lua:4: dovecot[3].master is \"ipc://@c\": it wants an ipc socket with a path, whose mode keeps others "
        "out\n"
        "c.lua:5: dovecot[4].master is \"ipc://a\", where dovecot[1] listens already\n"
        "c.lua:6: dovecot[5].listen is \"ipc://m\", where dovecot[1].master listens already\n"
        "c.lua:7: dovecot[6].master_mode means nothing without 'master'\n"
        "c.lua:7: dovecot[6].master_group means nothing without 'master'\n");
}

static void code_that_fails(void)
{
    EXPECT("return {\n zmtp = {\n}", "c.lua:3: '}' expected (to close '{' at line 1) near <eof>\n");
    EXPECT("local t = {}\nlocal function f()\n  return t.x.y\nend\nreturn { policy = f() }",
           "c.lua:3: attempt to index a nil value (field 'x')\n");
    EXPECT("\nerror('no host name known')", "c.lua:2: no host name known\n");
    EXPECT("\nerror('no host name known', 0)", "c.lua:2: no host name known\n");
    EXPECT("\nerror({})", "c.lua:2: the error's value is not a message but a table\n");
    EXPECT("return nil", "c.lua:1: the configuration must return a table, not nothing\n");
    EXPECT("\n\nreturn 5", "c.lua:3: the configuration must return a table, not a number\n");
    EXPECT("while true do end", "c.lua:1: the configuration ran more than 10 million instructions: does it end?\n");
    EXPECT("while true do\n pcall(function() while true do end end) end",
           "c.lua:2: the configuration ran more than 10 million instructions: does it end?\n");
    EXPECT("local s = 'x' while true do s = s .. s end",
           "c.lua:1: the configuration needs more than 128 MiB of memory\n");
    EXPECT("local function f() return 1 + f() end f()", "c.lua:1: stack overflow\n");
    EXPECT("\033Lua", "c.lua:1: attempt to load a binary chunk (mode is 't')\n");
    EXPECT("return {\n keytab = keytb,\n journal = strng }",
           "c.lua:2: undefined name 'keytb'\n"
           "c.lua:3: undefined name 'strng', did you mean 'string'?\n");
    EXPECT("io.open('x')", "c.lua:1: undefined name 'io'\n"
                           "c.lua:1: attempt to index a nil value (global 'io')\n");
    EXPECT("os.execute('true')", "c.lua:1: attempt to call a nil value (field 'execute')\n");
    EXPECT("setmetatable({}, { __gc = print })", "c.lua:1: a configuration's table cannot have __gc\n");
    EXPECT("getmetatable('').__index = nil", "c.lua:1: attempt to index a boolean value\n");
    EXPECT("string.format = nil\nreturn { workers = 0 }",
           "c.lua:2: workers wants a whole number from 1 to 1024, not 0\n");
    EXPECT("load('x x', '=@7')() return { }", "c.lua:1: attempt to call a nil value\n");
    EXPECT("error('@9:5: odd')", "c.lua:1: @9:5: odd\n");
    EXPECT("require('nothing')", "c.lua:1: there is no module 'nothing': nothing.lua: No such file or directory\n");
    EXPECT("require('../c')", "c.lua:1: require wants the name of a file beside the configuration, as in "
                              "require(\"listeners\")\n");
    EXPECT("require('c')", "c.lua:1: module 'c' requires itself\n");
}

static void lines_of_computed_values(void)
{
    EXPECT(
        "local one = {\n  name = 'a',\n  listen = 'tcp://*:x',\n  service = 'zmq@h',\n  backend = 'ipc://b' }\n"
        "one.keytab = 5\n"
        "local all = { one }\n"
        "all[#all + 1] = {\n  nme = 'b' }\n"
        "local config = { zmtp = all }\n"
        "config.workers = 0\n"
        "table.insert(config.zmtp, {\n  name = 'a', listen = 'ipc://y', service = 'zmq@h', backend = 'ipc://b',\n"
        "  mode = '9' })\n"
        "-- [[ workers = 7 ]]\n"
        "local text = [==[ workers = 8 ]==]\n"
        "config.keytab = 'k'\n"
        "return config",
        "c.lua:3: zmtp[1].listen: 'tcp://*:x' is no address: its port is not a number from 0 to 65535\n"
        "c.lua:6: zmtp[1].keytab wants a string, not 5\n"
        "c.lua:8: zmtp[2] has no 'backend': where admitted clients go, as in \"tcp://127.0.0.1:5571\"\n"
        "c.lua:8: zmtp[2] has no 'listen': as in \"tcp://*:5570\" or \"ipc:///run/durward/app\"\n"
        "c.lua:8: zmtp[2] has no 'service': who clients ask tickets for, as in \"zmq@broker.example.com\"\n"
        "c.lua:9: unknown key 'zmtp[2].nme', did you mean 'name'?\n"
        "c.lua:11: workers wants a whole number from 1 to 1024, not 0\n"
        "c.lua:13: zmtp[3].name is 'a', as zmtp[1] is already called\n"
        "c.lua:14: zmtp[3].mode wants octal digits in a string, as in \"0660\", not \"9\"\n");
    EXPECT("local function listener(n)\n  return { name = n, listen = 'x' }\nend\n"
           "return { keytab = 'k', zmtp = {\n  listener('a'),\n  listener('b') } }",
           "c.lua:5: zmtp[1].listen: 'x' is no address: it starts with neither tcp:// nor ipc://\n"
           "c.lua:5: zmtp[1] has no 'backend': where admitted clients go, as in \"tcp://127.0.0.1:5571\"\n"
           "c.lua:5: zmtp[1] has no 'service': who clients ask tickets for, as in \"zmq@broker.example.com\"\n"
           "c.lua:6: zmtp[2].listen: 'x' is no address: it starts with neither tcp:// nor ipc://\n"
           "c.lua:6: zmtp[2] has no 'backend': where admitted clients go, as in \"tcp://127.0.0.1:5571\"\n"
           "c.lua:6: zmtp[2] has no 'service': who clients ask tickets for, as in \"zmq@broker.example.com\"\n");
    EXPECT("local function with(t) t.zz = 1 return t end\n"
           "return { limits = with {\n  memory = 1 } }",
           "c.lua:2: unknown key 'limits.zz': known are connections, decision_seconds, drain_seconds, frame_bytes, "
           "handshake_seconds, memory, per_peer, per_user\n"
           "c.lua:3: limits.memory wants a whole number from 1048576 to 1125899906842624, not 1\n");
    write_text("parts.lua", "\nreturn {\n  { name = 'a',\n    listn = 'x' } }\n");
    EXPECT("return { keytab = 'k', zmtp = require('parts') }",
           "parts.lua:3: zmtp[1] has no 'backend': where admitted clients go, as in \"tcp://127.0.0.1:5571\"\n"
           "parts.lua:3: zmtp[1] has no 'service': who clients ask tickets for, as in \"zmq@broker.example.com\"\n"
           "parts.lua:4: unknown key 'zmtp[1].listn', did you mean 'listen'?\n");
    write_text("parts.lua", "\nx x");
    EXPECT("\nreturn { zmtp = require 'parts' }", "c.lua:2: module 'parts' has a mistake of its own\n"
                                                  "parts.lua:2: syntax error near 'x'\n");
    EXPECT("return { workers = 1,\n workers = 2,\n limits = { per_user = 0 / 1,\n ['per_user'] = 1 } }",
           "c.lua:2: 'workers' is given twice; the first stands in line 1\n"
           "c.lua:4: 'per_user' is given twice; the first stands in line 3\n");
    EXPECT("local limits <const> = {\n memory = 1 }\nlocal a, b = {\n memory = 2 }, {\n workers = 3 }\n"
           "local function f() local limits = {\n\n memory = b } return limits end\n"
           "return { limits = limits,\n log = a, journal = f() }",
           "c.lua:2: limits.memory wants a whole number from 1048576 to 1125899906842624, not 1\n"
           "c.lua:10: journal wants a string, not a table\n"
           "c.lua:10: unknown key 'log.memory': it belongs in 'limits'\n");
    EXPECT(
        "local t = {}\nt.self = t\nt = t\nt.workers = t\nreturn t",
        "c.lua:2: unknown key 'self': known are dns, dovecot, journal, keytab, limits, log, policy, refuse_users, "
        "reload_on_change, shadow, state_dir, test_on_reload, workers, xmpp, zap, zmtp, zmtp_out\n"
        "c.lua:4: workers wants a whole number from 1 to 1024, not a table\n");
    EXPECT("#!/usr/bin/env durward\nreturn {\n workers = 0 }",
           "c.lua:3: workers wants a whole number from 1 to 1024, not 0\n");
}

static void files_that_cannot_be_read(void)
{
    struct dw_buf findings = {0};
    CHECK(dw_config_load("none.lua", &findings) == NULL);
    CHECK(dw_config_load(".", &findings) == NULL);
    CHECK_SPAN(dw_buf_span(&findings), "none.lua:1: the configuration cannot be read: No such file or directory\n"
                                       ".:1: the configuration cannot be read: Is a directory\n");
    dw_buf_free(&findings);
}

static void an_empty_one(void)
{
    struct dw_buf findings = {0};
    write_text("c.lua", "return {}");
    struct dw_config *config = dw_config_load("c.lua", &findings);
    CHECK_INT(dw_buf_len(&findings), 0);
    if (!CHECK(config != NULL))
        return;
    CHECK(config->policies == NULL && config->keytab == NULL && config->journal == NULL);
    CHECK_STR(config->state_dir, "/var/lib/durward");
    CHECK(config->workers >= 1);
    CHECK_INT(config->log_level, DW_LOG_INFO);
    CHECK_STR(config->refuse_users[0], "root");
    CHECK(config->refuse_users[1] == NULL);
    CHECK(config->limits.handshake_seconds == 10 && config->limits.decision_seconds == 5);
    CHECK(config->limits.drain_seconds == 30);
    CHECK_INT(config->limits.connections, 50000);
    CHECK_INT(config->limits.per_peer, 1000);
    CHECK_INT(config->limits.per_user, 0);
    CHECK_INT(config->limits.frame_bytes, 64 << 20);
    CHECK_INT(config->limits.memory, 1 << 30);
    CHECK_INT(config->listener_count, 0);
    dw_config_release(&config);
    CHECK(config == NULL);
}

static const char sound[] =
    "\xef\xbb\xbf"
    "local port = 5570\n"
    "return {\n"
    "  policy = { 'policies/one.lua', '/etc/two.lua' },\n"
    "  keytab = './durward.keytab', journal = 'journal.jsonl', state_dir = 'state',\n"
    "  workers = 2.0, log = { level = 'warn' }, refuse_users = {},\n"
    "  limits = { frame_bytes = 2^20, per_user = 3 },\n"
    "  zmtp = {\n"
    "    { name = 'trades', listen = ('tcp://[::1]:%d'):format(port), service = 'zmq@h', backend = 'ipc://app',\n"
    "      on_deny = 'error', retry_hold_seconds = 0.5, forward = { 'X-App', 'X-B' }, identity = 'user',\n"
    "      protection = 'plaintext', realm = 'HOME.EXAMPLE', allow_anonymous = true, allow_from = { "
    "'192.0.2.0/24', "
    "'2001:db8::/32' } },\n"
    "    { name = 'more', listen = 'tcp://*:0', service = 'zmq/h@HOME.EXAMPLE', keytab = 'own.keytab',\n"
    "      backend = 'tcp://127.0.0.1:5571' },\n"
    "    { name = 'again', listen = 'tcp://*:0', service = 'zmq@h', backend = 'tcp://[::1]:5571' },\n"
    "  },\n"
    "  zmtp_out = {\n"
    "    { name = 'hq', listen = 'ipc://hq', mode = '660', group = '0', connect = 'tcp://hq:1', service = "
    "'zmq@hq',\n"
    "      ccache = 'FILE:cc', principal = 'app@HOME.EXAMPLE' },\n"
    "    { name = 'hq2', listen = 'ipc://@hq2', connect = 'tcp://hq:1', service = 'zmq@hq' },\n"
    "  },\n"
    "}\n";

static void a_sound_one(void)
{
    struct dw_buf findings = {0};
    char path[256];
    write_text("c.lua", sound);
    snprintf(path, sizeof path, "%s/c.lua", folder);
    struct dw_config *config = dw_config_load(path, &findings);
    CHECK_SPAN(dw_buf_span(&findings), "");
    dw_buf_free(&findings);
    if (!CHECK(config != NULL))
        return;
#define HERE(name) (snprintf(path, sizeof path, "%s/%s", folder, name), path)
    CHECK_STR(config->file, HERE("c.lua"));
    CHECK_STR(config->policies[0], HERE("policies/one.lua"));
    CHECK_STR(config->policies[1], "/etc/two.lua");
    CHECK(config->policies[2] == NULL);
    CHECK_STR(config->keytab, HERE("durward.keytab"));
    CHECK_STR(config->journal, HERE("journal.jsonl"));
    CHECK_STR(config->state_dir, HERE("state"));
    CHECK_INT(config->workers, 2);
    CHECK_INT(config->log_level, DW_LOG_WARN);
    CHECK(config->refuse_users && config->refuse_users[0] == NULL);
    CHECK_INT(config->limits.frame_bytes, 1 << 20);
    CHECK_INT(config->limits.per_user, 3);
    CHECK_INT(config->listener_count, 5);

    const struct dw_listener_config *one = &config->listeners[0];
    CHECK_INT(one->kind, DW_LISTEN_ZMTP);
    CHECK_STR(one->name, "trades");
    CHECK_STR(one->listen.text, "tcp://[::1]:5570");
    CHECK_STR(one->listen.host, "::1");
    CHECK_INT(one->listen.port, 5570);
    CHECK_STR(one->service, "zmq@h");
    CHECK_STR(one->realm, "HOME.EXAMPLE");
    CHECK_STR(one->keytab, HERE("durward.keytab"));
    CHECK(one->plaintext && one->allow_anonymous);
    CHECK_INT(one->backend.scheme, DW_IPC);
    CHECK_STR(one->backend.path, HERE("app"));
    CHECK_INT(one->on_deny, DW_ON_DENY_ERROR);
    CHECK(one->retry_hold_seconds == 0.5);
    CHECK_STR(one->forward[1], "X-B");
    CHECK(one->forward[2] == NULL);
    CHECK_INT(one->identity, DW_IDENTITY_USER);
    CHECK_INT(one->allow_from_count, 2);
    CHECK_INT(one->allow_from[0].bits, 24);
    CHECK_INT(one->allow_from[1].family, AF_INET6);

    const struct dw_listener_config *more = &config->listeners[1];
    CHECK_STR(more->keytab, HERE("own.keytab"));
    CHECK(!more->plaintext && !more->allow_anonymous && more->forward == NULL);
    CHECK_INT(more->on_deny, DW_ON_DENY_CLOSE);
    CHECK(more->retry_hold_seconds == 5);
    CHECK_INT(more->identity, DW_IDENTITY_KEEP);
    CHECK_STR(more->listen.host, "*");

    const struct dw_listener_config *out = &config->listeners[3];
    CHECK_INT(out->kind, DW_LISTEN_ZMTP_OUT);
    CHECK_INT(out->mode, 0660);
    CHECK(out->has_gid && out->gid == 0);
    CHECK_STR(out->ccache, (snprintf(path, sizeof path, "FILE:%s/cc", folder), path));
    CHECK(out->keytab == NULL);
    CHECK_STR(out->principal, "app@HOME.EXAMPLE");
    CHECK_STR(out->connect.host, "hq");
    CHECK_INT(config->listeners[4].mode, 0600);
    CHECK_STR(config->listeners[4].keytab, HERE("durward.keytab"));
    CHECK_STR(config->listeners[4].listen.path, "@hq2");

    CHECK_STR(dw_config_where(config, NULL, "journal"), HERE("c.lua:4"));
    CHECK_STR(dw_config_where(config, NULL, "policy[2]"), HERE("c.lua:3"));
    CHECK_STR(dw_config_where(config, one, "allow_from[2]"), HERE("c.lua:10"));
    CHECK_STR(dw_config_where(config, one, "keytab"), HERE("c.lua:8"));
    CHECK_STR(dw_config_where(config, out, "ccache"), HERE("c.lua:17"));
    CHECK_STR(dw_config_where(config, NULL, "nothing"), HERE("c.lua:2"));
    dw_config_release(&config);
}

static void *hold_and_release(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        struct dw_config *mine = dw_config_hold(arg);
        dw_config_release(&mine);
    }
    struct dw_config *last = arg;
    dw_config_release(&last);
    return NULL;
}

static void many_holders(void)
{
    struct dw_buf findings = {0};
    pthread_t threads[4];
    write_text("c.lua", "return {}");
    struct dw_config *config = dw_config_load("c.lua", &findings);
    if (!CHECK(config != NULL))
        return;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, hold_and_release, dw_config_hold(config)) == 0);
    dw_config_release(&config);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    dw_config_release(&config);
}

/* A configuration cut anywhere, or with one octet changed, is found wrong or sound; it never crashes. */
static void damaged_files(void)
{
    char text[sizeof sound];
    size_t len = sizeof sound - 1;
    unsigned random = 1;
    for (size_t round = 0; round < len / 4 + 400; round++) {
        struct dw_buf findings = {0};
        size_t used = round < len / 4 ? round * 4 : len;
        memcpy(text, sound, len);
        for (int changes = 0; round >= len / 4 && changes < 2; changes++) {
            random = random * 1103515245 + 12345;
            text[random / 65536 % len] = "{}[]=,.#'\"\\()-x0\n\0\xff:"[random / 256 % 20];
        }
        write_file("c.lua", text, used);
        struct dw_config *config = dw_config_load("c.lua", &findings);
        if (!config && !CHECK(dw_buf_len(&findings) > 0))
            printf("    nothing told of round %zu\n", round);
        if (config)
            CHECK_INT(dw_buf_len(&findings), 0);
        dw_config_release(&config);
        dw_buf_free(&findings);
    }
}

int main(void)
{
    if (!mkdtemp(folder) || chdir(folder) < 0)
        return 1;
    RUN(unknown_keys);
    RUN(wrong_types);
    RUN(ranges_and_words);
    RUN(listeners);
    RUN(listeners_in_each_others_way);
    RUN(addresses_in_files);
    RUN(later_fronts);
    RUN(masters);
    RUN(code_that_fails);
    RUN(lines_of_computed_values);
    RUN(files_that_cannot_be_read);
    RUN(an_empty_one);
    RUN(a_sound_one);
    RUN(many_holders);
    RUN(damaged_files);
    unlink("c.lua");
    unlink("parts.lua");
    if (chdir("/") == 0)
        rmdir(folder);
    return check_done();
}
