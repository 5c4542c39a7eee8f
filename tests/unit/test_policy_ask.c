/* The policy host: what a policy may say, what becomes of nonsense, and how a list of policies is asked. */
#include "base/log.h"
#include "check.h"
#include "policy/ask.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/dw-policy-XXXXXX";

struct answer {
    int times;
    enum dw_verdict verdict;
    char user[64], rule[64], reason[400], realm[64], backend[64], file[64], event_user[64];
    size_t steps;
};

static void copy(char *into, size_t size, const char *text)
{
    snprintf(into, size, "%s", text ? text : "");
}

static struct dw_event *asked;

static void on_done(void *arg, const struct dw_decision *d)
{
    struct answer *a = arg;
    a->times++;
    a->verdict = d->verdict;
    copy(a->user, sizeof a->user, d->user);
    copy(a->rule, sizeof a->rule, d->rule);
    copy(a->reason, sizeof a->reason, d->reason);
    copy(a->realm, sizeof a->realm, d->realm);
    copy(a->backend, sizeof a->backend, d->backend);
    copy(a->file, sizeof a->file, d->policy_file ? strrchr(d->policy_file, '/') + 1 : "");
    copy(a->event_user, sizeof a->event_user, (const char *)asked->user.at);
    a->steps = d->step_count;
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *put(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static struct dw_host *host_of(const char *first, const char *second, struct dw_error *err)
{
    static const char *const refuse[] = {"root", NULL};
    const char *files[] = {put("first.lua", first), second ? put("second.lua", second) : NULL, NULL};
    struct dw_host_options options = {
        .policies = files, .refuse_users = refuse, .memory = 4 << 20, .instructions = 1000000};
    return dw_host_new(&options, err);
}

static struct dw_event alice(void)
{
    struct dw_event e = {.id = "1", .time = 1763805600000000, .mechanism = "GSSAPI", .listener = "trades"};
    e.principal = DW_SPAN_OF("alice@HOME.EXAMPLE");
    e.peer.address = "192.0.2.7";
    return e;
}

static struct answer ask(struct dw_host *host, enum dw_stage stage)
{
    struct dw_event event = alice();
    struct answer a = {0};
    asked = &event;
    CHECK(!dw_ask_start(host, &event, stage, on_done, &a));
    CHECK_INT(a.times, 1);
    return a;
}

/* One policy, one question. */
static struct answer decide(const char *policy)
{
    struct dw_error err = {0};
    struct dw_host *host = host_of(policy, NULL, &err);
    struct answer a = {.verdict = (enum dw_verdict)99};
    CHECK_STR(err.detail, "");
    if (host) {
        dw_log_threshold((enum dw_log_level)4);
        a = ask(host, DW_STAGE_MAP);
        /* Whatever happened, the host goes on. */
        struct answer again = ask(host, DW_STAGE_MAP);
        CHECK_INT(again.verdict, a.verdict);
        dw_log_threshold(DW_LOG_INFO);
    }
    dw_host_free(&host);
    return a;
}

static void does_not_load(const char *policy, const char *why)
{
    struct dw_error err = {0};
    struct dw_host *host = host_of(policy, NULL, &err);
    CHECK(!host);
    const char *detail = err.detail;
    if (!strncmp(detail, folder, strlen(folder)))
        detail += strlen(folder) + 1;
    else if (strstr(detail, "first.lua"))
        detail = strstr(detail, "first.lua");
    CHECK_STR(detail, why);
    dw_host_free(&host);
}

#define MAP "map = function(e) return e.principal.primary end, "
#define CORE "local core = require('durward.core') "

static void answers_as_the_policy_says(void)
{
    struct answer a = decide(CORE "return { " MAP "authorize = function(e) assert(e.user == 'alice') "
                                  "return core.allow{ backend = 'tcp://127.0.0.1:1', reason = 'r' } end }");
    CHECK_INT(a.verdict, DW_ALLOW);
    CHECK_STR(a.user, "alice");
    CHECK_STR(a.event_user, "alice");
    CHECK_STR(a.backend, "tcp://127.0.0.1:1");
    CHECK_STR(a.file, "first.lua");
    CHECK_INT(a.steps, 2);
    a = decide(CORE "return { " MAP "authorize = function(e) return core.deny{ reason = 'not today' } end }");
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.reason, "not today");
    CHECK_STR(a.user, "alice");
    a = decide(CORE "return { " MAP "authorize = function(e) return core.temporary() end }");
    CHECK_INT(a.verdict, DW_TEMPORARY);
    a = decide(CORE "return { " MAP "authorize = function(e) return core.allow{ user = 'bob' } end }");
    CHECK_STR(a.user, "bob");
}

static void nothing_decided_is_denied(void)
{
    struct answer a = decide("return {}");
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.reason, "not mapped");
    a = decide("return { map = function() return nil, 'a stranger' end }");
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.reason, "not mapped: a stranger");
    a = decide("return { " MAP "authorize = function() end }");
    CHECK_STR(a.reason, "no policy decided on user 'alice'");
    CHECK_STR(a.user, "alice");
    a = decide("return { " MAP "}");
    CHECK_INT(a.verdict, DW_DENY);

    struct dw_error err = {0};
    struct dw_host_options none = {0};
    struct dw_host *host = dw_host_new(&none, &err);
    CHECK(host);
    CHECK_STR(dw_host_sha256(host), "");
    a = ask(host, DW_STAGE_MAP);
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.reason, "there is no policy");
    CHECK_INT(ask(host, DW_STAGE_CONNECT).verdict, DW_ALLOW);
    CHECK_INT(ask(host, DW_STAGE_REALM).verdict, DW_ALLOW);
    dw_host_free(&host);
}

static void wrong(const char *policy, const char *reason)
{
    struct answer a = decide(policy);
    CHECK_INT(a.verdict, DW_TEMPORARY);
    CHECK_STR(a.user, "");
    if (!strstr(a.reason, reason))
        CHECK_STR(a.reason, reason);
}

static void nonsense_is_temporary(void)
{
    wrong("return { map = function() return 7 end }", "map returned number; expected a user, or nil and a reason");
    wrong("return { map = function() return nil, {} end }", "map returned nil and table");
    wrong("return { map = function() error('oops') end }", "first.lua:1: oops");
    wrong("return { map = function() error({}) end }", "map: an error that is a table");
    wrong("return { map = function() error() end }", "an error that is a nil");
    wrong("return { " MAP "authorize = function() return true end }",
          "authorize returned boolean; expected durward.allow");
    wrong("return { " MAP "authorize = function() return {} end }", "authorize returned table");
    wrong("return { " MAP "authorize = function() coroutine.yield(1) end }", "authorize: the policy yielded");
    wrong(CORE "return { map = function() return core.allow() end }", "map returned durward.allow");
    wrong(CORE "return { map = function() return core.allow{ usr = 'x' } end }",
          "first.lua:1: allow: unknown field 'usr', did you mean 'user'?");
    wrong(CORE "return { map = function() return core.deny{ user = 'x' } end }", "deny: unknown field 'user'");
    wrong(CORE "return { map = function() return core.allow{ expires = 'soon' } end }",
          "allow: field 'expires': expected seconds since 1970, got string");
    wrong(CORE "return { map = function() return core.allow{ sockets = { 'SUBB' } } end }", "did you mean 'SUB'?");
    wrong(CORE "return { map = function() return core.allow{ properties = { ['user-id'] = 'x' } } end }",
          "'user-id' is durward's own to set");
    wrong(CORE "return { map = function() return core.allow{ properties = { a = 1 } } end }",
          "field 'properties.a': expected a string, got number");
    wrong(CORE "return { map = function() return core.allow{ user = 'a\\0b' } end }", "field 'user' holds a NUL");
    wrong(CORE "return { map = function() return core.allow{ backend = 'http://x' } end }",
          "not a tcp:// or ipc:// address");
    wrong("return { map = function(e) return e.princpal end }",
          "unknown event field 'princpal', did you mean 'principal'?");
    wrong("return { map = function(e) return e.peer.adress end }",
          "unknown event field 'peer.adress', did you mean 'peer.address'?");
    wrong("return { map = function(e) e.user = 'root' end }", "event field 'user' cannot be set");
    wrong("return { map = function(e) return setmetatable(e, {}) end }", "table expected");
    wrong("local kept return { map = function(e) if kept then return kept.id end kept = e error('first') end }",
          "");
    wrong("local kept return { map = function(e) if kept then return kept.address end kept = e.peer error('first') "
          "end }",
          "");
    wrong("return { map = function() x = 1 end }", "first.lua:1: assignment to global 'x'");
    wrong("return { map = function() return prnt() end }", "undefined name 'prnt', did you mean 'print'?");
    wrong("return { map = function() return rawset(string, 'rep', 1) end }", "read-only");
    wrong("return { map = function() string.rep = 1 end }", "'rep' cannot be set: this table is read-only");
    wrong("return { map = function() setmetatable({}, { __gc = function() end }) end }",
          "a policy may not set __gc");
    wrong("return { map = function() return require('beside') end }",
          "must be required while the policy is loaded");
    wrong("return { map = function() return ('x') + 1 end }", "arithmetic");
}

static void a_kept_event_is_over(void)
{
    struct dw_error err = {0};
    struct dw_host *host = host_of("local event, peer return { map = function(e) "
                                   "if not event then event, peer = e, e.peer return nil, e.peer.address end "
                                   "local a, b = pcall(function() return event.id end) "
                                   "local c, d = pcall(function() return peer.address end) "
                                   "return nil, tostring(a) .. tostring(c) .. b .. tostring(event) end }",
                                   NULL, &err);
    CHECK(host);
    struct answer a = ask(host, DW_STAGE_MAP);
    CHECK_STR(a.reason, "not mapped: 192.0.2.7");
    a = ask(host, DW_STAGE_MAP);
    CHECK(strstr(a.reason, "falsefalse"));
    CHECK(strstr(a.reason, "this event is over"));
    CHECK(strstr(a.reason, "event (over)"));
    dw_host_free(&host);
}

static void c_has_the_last_word(void)
{
    CHECK_STR(
        decide(CORE "return { map = function() return 'root' end, authorize = function() return core.allow() end }")
            .reason,
        "the user 'root' stands in refuse_users");
    CHECK_STR(
        decide(CORE "return { map = function() return '' end, authorize = function() return core.allow() end }")
            .reason,
        "allowed, but no user was named");
    struct answer a = decide(CORE "return { map = function() return 'root\\0x' end, authorize = function() return "
                                  "core.allow{user='x'} end }");
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.reason, "the user holds a control character");
    a = decide(CORE "return { authorize = function() return core.allow() end }");
    CHECK_INT(a.verdict, DW_DENY);
    a = decide(CORE
               "return { authorize = function(e) assert(e.user == nil) return core.allow{ user = 'alice' } end }");
    CHECK_INT(a.verdict, DW_ALLOW);
    a = decide(CORE "return { " MAP "authorize = function(e) return core.allow{ expires = e.time - 1 } end }");
    CHECK_INT(a.verdict, DW_DENY);
}

static struct answer decide_two(const char *first, const char *second)
{
    struct dw_error err = {0};
    struct dw_host *host = host_of(first, second, &err);
    CHECK_STR(err.detail, "");
    dw_log_threshold((enum dw_log_level)4);
    struct answer a = ask(host, DW_STAGE_MAP);
    dw_log_threshold(DW_LOG_INFO);
    dw_host_free(&host);
    return a;
}

static void policies_are_asked_in_order(void)
{
    static const char yes[] =
        CORE "return { map = function() return 'two' end, authorize = function() return core.allow() end }";
    static const char no[] = CORE
        "return { map = function() return 'one' end, authorize = function() return core.deny{reason='no'} end }";
    struct answer a = decide_two("return { map = function() return nil, 'not mine' end }", yes);
    CHECK_INT(a.verdict, DW_ALLOW);
    CHECK_STR(a.user, "two");
    CHECK_STR(a.file, "second.lua");
    a = decide_two("return { " MAP "authorize = function() end }", yes);
    CHECK_STR(a.user, "two");
    a = decide_two(no, yes);
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.file, "first.lua");
    a = decide_two("return { map = function() error('x') end }", yes);
    CHECK_INT(a.verdict, DW_TEMPORARY);
    /* The second's authorize, which has no map, does not see the first's user. */
    a = decide_two("return { " MAP "}", "return { authorize = function(e) assert(e.user == nil) end }");
    CHECK_INT(a.verdict, DW_DENY);
    /* Nor does an error in one environment leak into the other. */
    a = decide_two("local t = { 1 } return { map = function() return nil, 'x' end }", yes);
    CHECK_INT(a.verdict, DW_ALLOW);
}

static void other_stages(void)
{
    struct dw_error err = {0};
    struct dw_host *host =
        host_of(CORE "return { connect = function(e) if e.peer.address == '192.0.2.7' then return "
                     "core.deny{reason='banned'} end end, "
                     "realm = function(e) return { realm = 'HOME.EXAMPLE', service = 'zmq/host' } end, "
                     "close = function(e) error('at the end') end }",
                "return { close = function(e) return 1 end }", &err);
    CHECK_STR(err.detail, "");
    CHECK(dw_host_has(host, DW_STAGE_CONNECT) && dw_host_has(host, DW_STAGE_CLOSE) &&
          !dw_host_has(host, DW_STAGE_MAP));
    struct answer a = ask(host, DW_STAGE_CONNECT);
    CHECK_INT(a.verdict, DW_DENY);
    CHECK_STR(a.reason, "banned");
    a = ask(host, DW_STAGE_REALM);
    CHECK_INT(a.verdict, DW_ALLOW);
    CHECK_STR(a.realm, "HOME.EXAMPLE");
    dw_log_threshold((enum dw_log_level)4);
    CHECK_INT(ask(host, DW_STAGE_CLOSE).times, 1);
    dw_log_threshold(DW_LOG_INFO);
    dw_host_free(&host);

    host = host_of("return { connect = function() end, realm = function() return 'A' end }",
                   "return { realm = function() return 'B' end }", &err);
    CHECK_INT(ask(host, DW_STAGE_CONNECT).verdict, DW_ALLOW);
    CHECK_STR(ask(host, DW_STAGE_REALM).realm, "A");
    dw_host_free(&host);

    dw_log_threshold((enum dw_log_level)4);
    host = host_of(
        CORE
        "return { connect = function() return core.allow() end, realm = function() return { relm = 'X' } end }",
        NULL, &err);
    CHECK_INT(ask(host, DW_STAGE_CONNECT).verdict, DW_TEMPORARY);
    a = ask(host, DW_STAGE_REALM);
    CHECK_INT(a.verdict, DW_TEMPORARY);
    CHECK(strstr(a.reason, "realm: unknown field 'relm', did you mean 'realm'?"));
    dw_log_threshold(DW_LOG_INFO);
    dw_host_free(&host);
}

static void mistakes_are_told_at_load(void)
{
    does_not_load("return {\n  mpa = function() end,\n}", "first.lua:2: unknown hook 'mpa', did you mean 'map'?");
    does_not_load("return {\n\n  authorize = true }",
                  "first.lua:3: hook 'authorize' must be a function, not a boolean");
    does_not_load("return 1", "first.lua: a policy returns a table of hooks; this returned number");
    does_not_load("return { function() end }", "first.lua: a policy is a table of hooks by name, not a list");
    does_not_load("\nlocal = 3", "first.lua:2: <name> expected near '='");
    does_not_load("users = {}\nreturn {}", "first.lua:1: assignment to global 'users': declare it with 'local'");
    does_not_load("return { map = requir('x') }", "first.lua:1: undefined name 'requir', did you mean 'require'?");
    does_not_load("return io.open('/etc/passwd')", "first.lua:1: undefined name 'io'");
    does_not_load("return os.execute('id')", "first.lua:1: undefined name 'os'");
    does_not_load("return load('return 1')()", "first.lua:1: undefined name 'load'");
    does_not_load("return require('durward.rul')",
                  "first.lua:1: there is no module 'durward.rul', did you mean 'durward.rule'?");
    does_not_load("return require('durward.lab')",
                  "first.lua:1: there is no module 'durward.lab', did you mean 'durward.map'?");
    does_not_load(
        "return require('../first')",
        "first.lua:1: module '../first': a name is letters, digits, '_' and '-', with dots between folders");
    does_not_load(
        "return require('/etc/passwd')",
        "first.lua:1: module '/etc/passwd': a name is letters, digits, '_' and '-', with dots between folders");
    does_not_load("\x1bLuaS", "first.lua: attempt to load a binary chunk (mode is 't')");
    does_not_load("while true do end", "first.lua: instruction limit (1000000) reached");
    does_not_load("while true do pcall(error) end", "first.lua: instruction limit (1000000) reached");
    struct dw_error err = {0};
    const char *const missing[] = {path_of("missing.lua"), NULL};
    struct dw_host_options options = {.policies = missing};
    CHECK(!dw_host_new(&options, &err));
    CHECK(strstr(err.detail, "missing.lua: No such file or directory"));
}

static void files_beside_the_policy(void)
{
    put("beside.lua", "local M = { list = { 'alice' } } function M.has(u) for _, v in ipairs(M.list) do if u == v "
                      "then return true end end end return M");
    put("loop.lua", "return require('loop')");
    struct answer a = decide(
        CORE
        "local beside = require('beside') assert(beside == require('beside')) "
        "return { " MAP
        "authorize = function(e) if beside.has(e.user) and #beside.list == 1 then return core.allow() end end }");
    CHECK_INT(a.verdict, DW_ALLOW);
    wrong("local beside = require('beside') return { map = function() beside.list[2] = 'mallory' end }",
          "this table is read-only");
    wrong("local beside = require('beside') return { map = function() table.insert(beside.list, 'x') end }",
          "this table is read-only");
    does_not_load("return require('loop')", "loop.lua:1: module 'loop' requires itself");
    unlink(path_of("beside.lua"));
    unlink(path_of("loop.lua"));
}

static void end_event(void *arg, const struct dw_decision *d)
{
    struct dw_event *event = arg;
    CHECK_INT(d->verdict, DW_ALLOW);
    CHECK_SPAN(event->user, "alice");
    memset(event, 0xff, sizeof *event);
    free(event);
}

static void the_event_may_end_with_its_answer(void)
{
    struct dw_error err = {0};
    struct dw_event *event = malloc(sizeof *event);
    struct dw_host *host =
        host_of(CORE "return { " MAP "authorize = function(e) return core.allow{} end }", NULL, &err);
    *event = alice();
    CHECK(!dw_ask_start(host, event, DW_STAGE_MAP, end_event, event));
    dw_host_free(&host);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    RUN(answers_as_the_policy_says);
    RUN(nothing_decided_is_denied);
    RUN(nonsense_is_temporary);
    RUN(a_kept_event_is_over);
    RUN(c_has_the_last_word);
    RUN(policies_are_asked_in_order);
    RUN(other_stages);
    RUN(mistakes_are_told_at_load);
    RUN(files_beside_the_policy);
    RUN(the_event_may_end_with_its_answer);
    unlink(path_of("first.lua"));
    unlink(path_of("second.lua"));
    rmdir(folder);
    return check_done();
}
