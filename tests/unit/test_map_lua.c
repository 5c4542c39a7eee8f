/* durward.principal, .a2l and .realms as scripts see them: what they answer, that misuse is an error and never
 * more, and that memory may run out at any allocation of Lua's. */
#include "check.h"
#include "policy/doors.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

static long allowance; /* allocations left; negative: no end */

static void *scarce(void *ud, void *at, size_t old, size_t size)
{
    (void)ud;
    (void)old;
    if (size == 0) {
        free(at);
        return NULL;
    }
    if (allowance == 0)
        return NULL;
    if (allowance > 0)
        allowance--;
    return realloc(at, size);
}

static int open_all(lua_State *L)
{
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (const struct dw_lua_door *d = dw_lua_doors; d->module; d++) {
        lua_pushcfunction(L, d->open);
        lua_setfield(L, -2, d->module);
    }
    return 0;
}

static int run(const char *script, long allocations, char why[300])
{
    allowance = -1;
    lua_State *L = lua_newstate(scarce, NULL);
    lua_pushcfunction(L, open_all);
    int status = lua_pcall(L, 0, 0, 0);
    allowance = allocations;
    if (status == LUA_OK && (status = luaL_loadstring(L, script)) == LUA_OK)
        status = lua_pcall(L, 0, 0, 0);
    allowance = -1;
    snprintf(why, 300, "%s", status == LUA_OK ? "" : luaL_tolstring(L, -1, NULL));
    lua_close(L);
    return status;
}

#define PRELUDE                                                                                                    \
    "local principal, a2l, realms = require 'durward.principal', require 'durward.a2l', require "                  \
    "'durward.realms'\n"                                                                                           \
    "local function same(got, wanted)\n"                                                                           \
    "  if got ~= wanted then error(('got %s, wanted %s'):format(tostring(got), tostring(wanted)), 2) end end\n"    \
    "local function fails(wanted, f, ...)\n"                                                                       \
    "  local ok, message = pcall(f, ...)\n"                                                                        \
    "  if ok then error('no error: ' .. wanted, 2) end\n"                                                          \
    "  if not tostring(message):find(wanted, 1, true) then error(message, 2) end end\n"                            \
    "local function refuses(wanted, got, message)\n"                                                               \
    "  if got ~= nil or not tostring(message):find(wanted, 1, true) then error(tostring(message), 2) end end\n"

static const char principals[] = PRELUDE
    "local p = principal.parse('mary/admin@HOME.TEST')\n"
    "same(tostring(p), 'mary/admin@HOME.TEST') same(p.name, tostring(p)) same(p.realm, 'HOME.TEST')\n"
    "same(p.primary, 'mary') same(p.instance, 'admin') same(#p.components, 2)\n"
    "same(principal.parse('a@R').instance, nil)\n"
    "same(p == principal.parse('mary/admin', 'HOME.TEST'), true) same(p == principal.parse('mary@R'), false)\n"
    "same(principal.parse('a\\\\0b@R').primary, 'a\\0b') same(principal.format('a\\\\/b@R', 'display'), 'a/b@R')\n"
    "same(principal.format(p), p.name) same(principal.format(p, 'no_realm'), 'mary/admin')\n"
    "same(principal.format(p, 'short', 'HOME.TEST'), 'mary/admin') same(principal.format(p, 'short', 'X'), "
    "p.name)\n"
    "refuses('default realm', principal.format(p, 'short')) refuses('no default realm', principal.parse('a'))\n"
    "local e = principal.parse('alice/x@example.com', 'HOME.TEST', 'enterprise')\n"
    "same(#e.components, 1) same(e.primary, 'alice/x@example.com') same(e.realm, 'HOME.TEST')\n"
    "same(tostring(e), 'alice\\\\/x\\\\@example.com@HOME.TEST') same(principal.parse(tostring(e)) == e, true)\n"
    "same(principal.parse('a@b@R', nil, 'enterprise').realm, 'R') refuses('third', principal.parse('a@b@c@d', nil, "
    "'enterprise'))\n"
    "fails('invalid option', principal.parse, 'a', 'R', 'entreprise')\n"
    "refuses('second', principal.parse('a@b@c')) refuses('NUL', principal.parse('a\\0b@R'))\n"
    "refuses('backslash', principal.parse(('x'):rep(1e6) .. '\\\\'))\n"
    "fails('string expected', principal.parse) fails('string expected', principal.parse, 7)\n"
    "fails('string expected', principal.parse, 'a', {}) fails('principal or string', principal.format, nil)\n"
    "fails('invalid option', principal.format, p, 'long')\n"
    "fails(\"did you mean 'instance'\", function() return p.instanc end)\n"
    "fails('no field 1', function() return p[1] end) fails('cannot be changed', function() p.realm = 'X' end)\n"
    "same(getmetatable(p), 'durward.principal') same(#principal.parse(('/'):rep(9999) .. '@R').components, "
    "10000)\n";

static const char mappings[] = PRELUDE
    "local r = a2l.compile({ 'RULE:[1:$1@$0](.*@X)s/@.*//', 'RULE:[2:$1](a)s/x*/y/g', 'RULE:[2:$1](b)', 'DEFAULT' "
    "},\n"
    "  { default_realm = 'HOME.TEST', names = { zed = 'named', yan = { 'one', 'two' } } })\n"
    "same(r:map('alice@X'), 'alice') same(r:map(principal.parse('bob@HOME.TEST')), 'bob')\n"
    "same(r:map('zed@HOME.TEST'), 'named') same(r:map('yan'), 'two') same(r:map('b/q@Q'), 'b')\n"
    "local user, message, code = r:map('alice@Y') same(user, nil) same(code, 'KRB5_LNAME_NOTRANS')\n"
    "same(message, 'no rule maps alice@Y to a user (KRB5_LNAME_NOTRANS)')\n"
    "same(select(3, r:map('a/b@X')), 'ENDLESS') same(select(3, r:map('a@b@c')), 'MALFORMED_NAME')\n"
    "same(select(3, r:map('a\\0b')), 'MALFORMED_NAME') same(select(3, r:map(('x'):rep(1e6))), 'LIMIT')\n"
    "local steps, who = r:explain('alice@X') same(#steps, 2) same(who, 'alice')\n"
    "same(steps[1].rule, nil) same(steps[2].rule, 1) same(steps[2].outcome, 'matched')\n"
    "same(steps[2].selection, 'alice@X') same(steps[2].pattern, '.*@X') same(steps[2].user, 'alice')\n"
    "local edit = steps[2].substitutions[1] same(edit.before, 'alice@X') same(edit.after, 'alice')\n"
    "same(edit.count, 1) same(edit.global, false) same(edit.pattern, '@.*') same(edit.with, '')\n"
    "same(#r:explain('a@b@c'), 0) same(select(4, r:explain('alice@Y')), 'KRB5_LNAME_NOTRANS')\n"
    "same(a2l.compile('RULE:[1:x]\\n  DEFAULT  \\n\\n'):map('a@R'), 'x') same(a2l.compile({}):map('a@R'), nil)\n"
    "same(a2l.compile({}, { default_realm = 'R' }):map('a@R'), 'a') same(a2l.compile('BOGUS'):map('a@R'), nil)\n"
    "for _, dialect in ipairs { 'hadoop', 'hadoop-mit' } do\n"
    "  local h = a2l.compile('RULE:[2:$1@$0]\\nRULE:[1:$1]/L', { dialect = dialect, default_realm = 'R' })\n"
    "  same(h:map('Alice@X'), 'alice') same(h:map('nn/host@X'), dialect == 'hadoop-mit' and 'nn@X' or nil)\n"
    "  same(select(3, a2l.compile('RULE:[1:$1](a[)', { dialect = dialect })), 'INVALID_REGEX')\n"
    "  same(select(3, a2l.compile({ 'x' }, { dialect = dialect })), 'INVALID_RULE')\n"
    "  same(select(3, a2l.compile('DEFAULT', { dialect = dialect, names = { a = 'b' } })), 'INVALID_RULE')\n"
    "end\n"
    "refuses('NUL', a2l.compile('RULE:\\0')) refuses('1000', a2l.compile(('DEFAULT\\n'):rep(2000)))\n"
    "refuses('octets', a2l.compile(('x'):rep(1e6)))\n"
    "fails(\"did you mean 'dialect'\", a2l.compile, 'x', { dialct = 'mit' })\n"
    "fails(\"did you mean 'hadoop'\", a2l.compile, 'x', { dialect = 'hadop' })\n"
    "fails('string or list', a2l.compile) fails('rule 2 is a number', a2l.compile, { 'x', 2 })\n"
    "fails('does not belong', a2l.compile, { 'x', y = 'z' }) fails('table expected', a2l.compile, 'x', 'mit')\n"
    "fails('names takes', a2l.compile, 'x', { names = { 'a' } }) fails('names takes', a2l.compile, 'x', { names = "
    "{ a = {} } })\n"
    "fails('default_realm is a number', a2l.compile, 'x', { default_realm = 1 })\n"
    "fails('rules expected', r.map, nil, 'x') fails('rules expected', r.map, principal.parse('a@R'), 'x')\n"
    "fails('string or principal', r.map, r) fails('string or principal', r.explain, r, {})\n"
    "fails(\"did you mean 'lint'\", function() return r.lnt end) same(tostring(r), 'durward.a2l.rules: 4 rules "
    "(mit)')\n";

static const char traps[] = PRELUDE
    "local function kinds(rules, options)\n"
    "  local list, seen = {}, {}\n"
    "  for _, f in ipairs(a2l.compile(rules, options or { default_realm = 'HOME.TEST' }):lint()) do\n"
    "    assert(#f.message > 0) seen[f.kind .. (f.rule or '')] = true list[#list + 1] = f.kind end\n"
    "  return seen, #list end\n"
    "same(select(2, kinds('DEFAULT')), 0) same(select(2, kinds({})), 0)\n"
    "same(select(2, kinds('RULE:[2:$1.$2@$0]([a-z]*[.]host@HOME\\\\.TEST)s/@.*//\\nDEFAULT')), 0)\n"
    "same(kinds('RULE:[1:$1](b)s/x*/y/g').endless1, true) same(kinds('BOGUS')['invalid1'], true)\n"
    "same(kinds('RULE:[1:$1](a[)')['never-matches1'], true) same(kinds('RULE:[0:x]')['never-matches1'], true)\n"
    "same(kinds('RULE:[2:$2](^.*;root)')['never-matches1'], true)\n"
    "same(kinds('RULE:[2:$1;$2](^.*;root)')['never-matches1'], nil)\n"
    "same(kinds('RULE:(.*@X)')['never-matches1'], true)\n"
    "same(kinds('RULE:[1:$1]\\nRULE:[1:$1](x)')['unreachable2'], true)\n"
    "same(kinds('RULE:[1:$1]\\nDEFAULT')['unreachable2'], nil) same(kinds('DEFAULT\\nDEFAULT')['unreachable2'], "
    "true)\n"
    "same(kinds('RULE:[1:$1]\\nRULE:[2:$1]\\nDEFAULT')['unreachable3'], true)\n"
    "same(kinds('RULE:[1:$1]')['any-realm1'], true) same(kinds('RULE:[2:$1@$0]')['collision1'], true)\n"
    "same(kinds('RULE:[2:$1/$2@$0]')['collision1'], nil)\n"
    "same(kinds('RULE:[1:$1@$0](.*@home\\\\.test)s/@.*//')['wrong-realm1'], true)\n"
    "same(kinds('RULE:[2:root]')['root1'], true)\n"
    "same(kinds('RULE:[1:$1@$0](.*@HOME\\\\.TEST)s/@.*//')['quoted1'], true)\n"
    "same(kinds('RULE:[1:$1](alice)')['nul1'], true) same(kinds('DEFAULT:x')['suffix1'], true)\n"
    "same(kinds('RULE:[1:$1](a\\\\d)')['foreign1'], true) same(kinds('RULE:[1:$1]s/(a)/$1/')['foreign1'], true)\n"
    "same(kinds('RULE:[2:$1@$0]', { dialect = 'hadoop' })['error1'], true)\n"
    "same(kinds('RULE:[1:$1]s/a/$9/', { dialect = 'hadoop' })['error1'], true)\n"
    "same(kinds('RULE:[3:$1]', { dialect = 'hadoop' })['never-matches1'], true)\n"
    "same(kinds('DEFAULT', {})['never-matches1'], true)\n";

static const char hosts[] = PRELUDE
    "local t = realms.table { ['.eu.example.com'] = 'EU', ['host'] = 'H', ['.example.com'] = 'E' }\n"
    "same(t:lookup('A.EU.example.com.'), 'EU') same(t:lookup('x.example.com'), 'E') same(t:lookup('host'), 'H')\n"
    "same(t:lookup('example.com'), nil) same(t:lookup(''), nil) same(t:lookup('host\\0'), nil)\n"
    "same(t:lookup(('a.'):rep(1e5)), nil) same(t:lookup('10.0.0.1'), nil)\n"
    "local function way(...) return table.concat(realms.path(...), ' ') end\n"
    "same(way('A.B.C', 'D.C'), 'A.B.C B.C C D.C') same(way('A', 'A'), 'A')\n"
    "same(way('A', 'B', { A = { B = 'H' } }), 'A H B') same(way('A', 'B', { A = { B = { 'H', 'I' } } }), 'A H I "
    "B')\n"
    "same(way('A', 'B', { A = { B = '.' } }), 'A B') same(way('A', 'B', { A = {} }), 'A B')\n"
    "same(realms.path(('a'):rep(2000), 'B'), nil)\n"
    "same(realms.fallback('a.b.c'), 'B.C') same(realms.fallback('a', { default_realm = 'D' }), 'D')\n"
    "same(realms.fallback('a.b.c', { try_domains = 0, known = { 'A.B.C' } }), 'A.B.C')\n"
    "fails('no string', realms.path, 'A', 'B', { A = { B = { 1 } } }) fails('not a table', realms.path, 'A', 'B', "
    "{ A = 1 })\n"
    "fails('string expected', realms.path, 'A') fails('table expected', realms.path, 'A', 'B', 7)\n"
    "fails('takes', realms.table, { 'x' }) fails('table expected', realms.table)\n"
    "fails('table expected', t.lookup, principal.parse('a@R'), 'x') fails('string expected', t.lookup, t)\n"
    "fails('only lookup', function() return t.find end) fails('option', realms.fallback, 'a', { realm = 'x' })\n"
    "fails('known[1]', realms.fallback, 'a', { known = { 1 } })\n";

static void answers(const char *script)
{
    char why[300];
    CHECK_INT(run(script, -1, why), LUA_OK);
    CHECK_STR(why, "");
}

static void test_principals(void)
{
    answers(principals);
}

static void test_mappings(void)
{
    answers(mappings);
}

static void test_traps(void)
{
    answers(traps);
}

static void test_hosts(void)
{
    answers(hosts);
}

/* Every allocation fails once; the script's own pcalls may swallow that, so only the end is judged. */
static void test_scarcity(void)
{
    static const char script[] =
        "local principal, a2l, realms = require 'durward.principal', require 'durward.a2l', require "
        "'durward.realms'\n"
        "local p = principal.parse('mary/admin@HOME.TEST') local _ = principal.format(p, 'no_realm') .. p.name\n"
        "_ = p.components\n"
        "for _, dialect in ipairs { 'mit', 'hadoop' } do\n"
        "  local r = a2l.compile({ 'RULE:[2:$1@$0](.*@HOME.TEST)s/@.*//g', 'DEFAULT' }, { dialect = dialect })\n"
        "  local _ = r:map(p), r:map('x@Y'), r:explain(p), r:explain('x@Y'), r:lint()\n"
        "  a2l.compile('RULE:[', { dialect = dialect })\n"
        "end\n"
        "local t = realms.table { ['.x'] = 'X', y = 'Y' } t:lookup('a.x') realms.path('A.B', 'C.B', { D = { E = "
        "'F' } })\n"
        "realms.fallback('a.b')\n";
    char why[300];
    long at = 0;
    int status = LUA_ERRMEM;
    for (; status != LUA_OK && at < 20000; at++) {
        status = run(script, at, why);
        if (status != LUA_OK && !CHECK(status == LUA_ERRMEM || strstr(why, "memory"))) {
            printf("    after %ld allocations: %s\n", at, why);
            break;
        }
    }
    CHECK_INT(status, LUA_OK);
    CHECK(at > 50);
}

int main(void)
{
    RUN(test_principals);
    RUN(test_mappings);
    RUN(test_traps);
    RUN(test_hosts);
    RUN(test_scarcity);
    return check_done();
}
