/* Decisions, and events as JSON: strict in, complete out, no secret anywhere. */
#include "auth/journal.h"

#include "base/text.h"
#include "check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct dw_event sample(void)
{
    static const struct dw_span indicators[] = {{(const uint8_t *)"otp", 3}};
    static const struct dw_pair attributes[] = {{{(const uint8_t *)"team", 4}, {(const uint8_t *)"ops", 3}},
                                                {{(const uint8_t *)"team", 4}, {(const uint8_t *)"\xff", 1}}};
    struct dw_event e = {
        .id = "7f2a", .time = 1763805600123456, .front = DW_FRONT_ZMTP, .stage = DW_STAGE_AUTHORIZE};
    e.mechanism = "GSSAPI";
    e.listener = "trades";
    e.peer.address = "192.0.2.7";
    e.peer.port = 51234;
    e.principal = DW_SPAN_OF("alice@HOME.EXAMPLE");
    e.gss.present = true;
    e.gss.lifetime = 3600;
    e.gss.expires = 1763809200;
    e.gss.indicators = indicators;
    e.gss.indicator_count = 1;
    e.gss.attributes = attributes;
    e.gss.attribute_count = 2;
    e.zap.present = true;
    e.zap.identity = dw_span_make("\0\xff", 2);
    e.plain.present = true;
    e.plain.username = DW_SPAN_OF("alice");
    e.plain.password = DW_SPAN_OF("hunter2");
    e.curve_key = dw_span_make("\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B"
                               "\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B",
                               32);
    return e;
}

static void goes_out_and_in_again(void)
{
    struct dw_event e = sample(), back;
    struct dw_event_store *store = NULL;
    struct dw_error err = {0};
    json_t *json = dw_event_to_json(&e);
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(16));
    CHECK_STR(
        text,
        "{\"id\":\"7f2a\",\"time\":1763805600.123456,\"front\":\"zmtp\",\"stage\":\"authorize\","
        "\"mechanism\":\"GSSAPI\",\"listener\":\"trades\",\"peer\":{\"address\":\"192.0.2.7\",\"port\":51234},"
        "\"principal\":\"alice@HOME.EXAMPLE\",\"gss\":{\"lifetime\":3600,\"expires\":1763809200.0,"
        "\"indicators\":[\"otp\"],\"attributes\":{\"team\":[\"ops\",{\"hex\":\"ff\"}]},\"mutual\":false,"
        "\"confidential\":false,\"delegated\":false,\"channel_bound\":false,\"cross_realm\":false},"
        "\"zap\":{\"identity\":{\"hex\":\"00ff\"}},\"plain\":{\"username\":\"alice\"},"
        "\"curve\":{\"key\":\"HelloWorldHelloWorldHelloWorldHelloWorld\"}}");
    CHECK_INT(dw_event_from_json(&back, json, &store, &err), 0);
    CHECK_STR(err.detail, "");
    json_t *again = dw_event_to_json(&back);
    CHECK(json_equal(json, again));
    CHECK_INT(back.time, e.time);
    CHECK(back.plain.present && !back.plain.password.at);
    dw_event_store_free(&store);
    json_decref(json);
    json_decref(again);
    free(text);
}

static void refuses(const char *text, const char *why)
{
    struct dw_event e;
    struct dw_event_store *store = NULL;
    struct dw_error err = {0};
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    CHECK(json);
    CHECK_INT(dw_event_from_json(&e, json, &store, &err), -1);
    CHECK_STR(err.detail, why);
    CHECK(!store);
    json_decref(json);
}

static void reads_strictly(void)
{
    refuses("[]", "an event is a JSON object");
    refuses("{\"princpal\":\"a@B\"}", "unknown event field 'princpal', did you mean 'principal'?");
    refuses("{\"peer\":{\"adress\":\"::1\"}}", "unknown event field 'peer.adress', did you mean 'peer.address'?");
    refuses("{\"xyzzyplugh\":1}", "unknown event field 'xyzzyplugh'");
    refuses("{\"front\":\"zmpt\"}", "event field 'front': there is no front 'zmpt', did you mean 'zmtp'?");
    refuses("{\"stage\":\"authorise\"}",
            "event field 'stage': there is no stage 'authorise', did you mean 'authorize'?");
    refuses("{\"peer\":\"::1\"}", "event field 'peer': expected an object, got a string");
    refuses("{\"peer\":{\"port\":65536}}", "event field 'peer.port': 65536 is not between 0 and 65535");
    refuses("{\"peer\":{\"port\":1.5}}", "event field 'peer.port': 1.5 is not whole");
    refuses("{\"user\":{\"hex\":\"0g\"}}", "event field 'user': this is not hexadecimal");
    refuses("{\"listener\":\"a\\u0000b\"}", "event field 'listener' holds a NUL");
    refuses("{\"gss\":{\"mutual\":1}}", "event field 'gss.mutual': expected true or false, got an integer");
    refuses("{\"gss\":{\"indicators\":\"otp\"}}",
            "event field 'gss.indicators': expected a list of strings, got a string");
    refuses("{\"principal\":{\"relm\":\"X\"}}",
            "unknown event field 'principal.relm', did you mean 'principal.realm'?");
    refuses("{\"principal\":{\"realm\":\"X\"}}",
            "event field 'principal': expected a name, or 'realm' with 'primary' or 'components'");
    refuses("{\"time\":\"yesterday\"}",
            "event field 'time': expected seconds since 1970 or \"2026-11-22T10:00:00.123Z\"");
    refuses("{\"curve\":{\"key\":\"short\"}}", "event field 'curve.key': expected 40 characters of Z85");
}

static void reads_principals_and_times(void)
{
    struct dw_event e;
    struct dw_event_store *store = NULL;
    json_t *json = json_loads("{\"principal\":{\"realm\":\"HOME.EXAMPLE\",\"components\":[\"a/b\",\"admin\"]},"
                              "\"time\":\"2026-11-22T10:00:00.250Z\",\"user\":null,\"peer\":{\"uid\":0},"
                              "\"gss\":{\"attributes\":{\"one\":\"1\",\"two\":[\"2\",\"3\"]}}}",
                              0, NULL);
    CHECK_INT(dw_event_from_json(&e, json, &store, NULL), 0);
    CHECK_SPAN(e.principal, "a\\/b/admin@HOME.EXAMPLE");
    CHECK_INT(e.time, 1795341600250000);
    CHECK(!e.user.at);
    CHECK(e.peer.has_ids && e.peer.uid == 0 && e.peer.gid == -1);
    CHECK_INT(e.gss.attribute_count, 3);
    CHECK_SPAN(e.gss.attributes[2].name, "two");
    dw_event_store_free(&store);
    json_decref(json);
}

static void held(const char *user, double expires, double ticket, enum dw_verdict verdict, const char *reason)
{
    static const char *const refuse[] = {"root", NULL};
    struct dw_decision d = {.verdict = DW_ALLOW, .expires = expires};
    dw_decision_set(&d.user, user);
    dw_decision_set(&d.backend, "tcp://127.0.0.1:1");
    dw_decision_hold(&d, refuse, ticket, 1000);
    CHECK_INT(d.verdict, verdict);
    CHECK_STR(d.reason, reason);
    CHECK(verdict == DW_ALLOW ? d.user && d.backend : !d.user && !d.backend);
    dw_decision_clear(&d);
}

static void holds_what_a_policy_says(void)
{
    held("alice", 0, 0, DW_ALLOW, NULL);
    held("alice", 2000, 0, DW_ALLOW, NULL);
    held("alice", 1000, 0, DW_DENY, "the admission would end in the past");
    held("alice", 0, 900, DW_DENY, "the ticket has expired");
    held("alice", __builtin_nan(""), 2000, DW_DENY, "the admission would end in the past");
    held("", 0, 0, DW_DENY, "allowed, but no user was named");
    held(NULL, 0, 0, DW_DENY, "allowed, but no user was named");
    held("root", 0, 0, DW_DENY, "the user 'root' stands in refuse_users");
    held("a\x1b[2J", 0, 0, DW_DENY, "the user holds a control character");
    held("\xff", 0, 0, DW_DENY, "the user is not UTF-8");
    struct dw_decision d = {.verdict = DW_ALLOW, .expires = 5000};
    dw_decision_set(&d.user, "alice");
    dw_decision_hold(&d, NULL, 3000, 1000);
    CHECK(d.verdict == DW_ALLOW && d.expires == 3000);
    dw_decision_clear(&d);
}

static char *contents(const char *path)
{
    static char text[8192];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    return text;
}

static void writes_whole_lines(void)
{
    char folder[] = "/tmp/dw-journal-XXXXXX", path[64];
    struct dw_error err = {0};
    struct dw_event e = sample();
    struct dw_decision d = {.verdict = DW_ALLOW, .took_us = 12};
    struct stat st;
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/journal", folder);
    dw_decision_set(&d.user, "alice");
    dw_decision_set(&d.policy_file, "p.lua");
    dw_decision_property(&d, "X-Team", DW_SPAN_OF("o\0s"));
    dw_decision_socket(&d, "SUB");
    dw_decision_step(&d, "map", "p.lua:3", "mapped to %s", "alice");
    struct dw_journal *j = dw_journal_open(path, &err);
    CHECK(j);
    CHECK_INT(dw_journal_write(j, &e, &d, &err), 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);

    json_t *line = json_loads(contents(path), JSON_ALLOW_NUL, NULL);
    CHECK_STR(json_string_value(json_object_get(line, "time")), "2025-11-22T10:00:00.123Z");
    char *decision = json_dumps(json_object_get(line, "decision"), JSON_COMPACT);
    CHECK_STR(decision, "{\"verdict\":\"allow\",\"user\":\"alice\",\"properties\":{\"X-Team\":\"o\\u0000s\"},"
                        "\"sockets\":[\"SUB\"]}");
    char *trace = json_dumps(json_object_get(line, "trace"), JSON_COMPACT);
    CHECK_STR(trace, "[{\"hook\":\"map\",\"text\":\"mapped to alice\",\"at\":\"p.lua:3\"}]");
    CHECK(!strstr(contents(path), "hunter2"));
    free(decision);
    free(trace);
    json_decref(line);

    /* A disk that fills in the middle of a line: told, and the next line is whole. */
    struct rlimit old, small = {(rlim_t)st.st_size + 20, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_INT(dw_journal_write(j, &e, &d, &err), -1);
    CHECK(strstr(err.detail, "only a part of the line fitted"));
    CHECK_INT(dw_journal_write(j, &e, &d, &err), -1);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_INT(dw_journal_write(j, &e, &d, &err), 0);
    int whole = 0, torn = 0;
    for (char *at = strtok(contents(path), "\n"); at; at = strtok(NULL, "\n")) {
        line = json_loads(at, JSON_ALLOW_NUL, NULL);
        line ? whole++ : torn++;
        json_decref(line);
    }
    CHECK_INT(whole, 2);
    CHECK_INT(torn, 1);

    /* Rotated away, then reopened. */
    char moved[80];
    snprintf(moved, sizeof moved, "%s.1", path);
    CHECK_INT(rename(path, moved), 0);
    CHECK_INT(dw_journal_reopen(j, &err), 0);
    CHECK_INT(dw_journal_write(j, &e, &d, &err), 0);
    CHECK(contents(path)[0] == '{');
    dw_journal_free(&j);
    CHECK(!j);
    unlink(path);
    unlink(moved);
    CHECK(!dw_journal_open(folder, &err));
    rmdir(folder);
    CHECK(!dw_journal_open(path, &err));
    CHECK(strstr(err.detail, "No such file"));
    dw_decision_clear(&d);
}

int main(void)
{
    RUN(goes_out_and_in_again);
    RUN(reads_strictly);
    RUN(reads_principals_and_times);
    RUN(holds_what_a_policy_says);
    RUN(writes_whole_lines);
    return check_done();
}
