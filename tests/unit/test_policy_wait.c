/* Questions that wait: answered later and in any order, cancelled, late, with limits that go on counting. */
#include "auth/journal.h"
#include "base/log.h"
#include "check.h"
#include "policy/ask.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/dw-wait-XXXXXX";
static const char *const files[] = {path, NULL};

/* A keeper that keeps: what is waited for stands here until the test answers. */
enum { MOST = 8 };
static struct dw_ask *asking[MOST];
static char wanted[MOST][128];
static int begun, dropped;

static enum dw_fulfilment begin(void *arg, struct dw_ask *ask, const struct dw_want *want, struct dw_answer *answer,
                                void **job)
{
    char word[100];
    (void)arg, (void)answer;
    if (want->kind == DW_WANT_ROW)
        return DW_FULFIL_NOT_MINE;
    int slot = begun++ % MOST;
    asking[slot] = ask;
    snprintf(wanted[slot], sizeof wanted[slot], "%s %s", dw_want_word(want, word, sizeof word), want->key);
    *job = &asking[slot];
    return DW_FULFIL_LATER;
}

static void drop(void *job)
{
    *(struct dw_ask **)job = NULL;
    dropped++;
}

struct seen {
    int times;
    enum dw_verdict verdict;
    char reason[300];
    size_t steps;
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct seen *seen = arg;
    seen->times++;
    seen->verdict = d->verdict;
    seen->steps = d->step_count;
    snprintf(seen->reason, sizeof seen->reason, "%s", d->reason ? d->reason : "");
}

static struct dw_host *host_of(const char *policy)
{
    static const struct dw_keeper keeper = {.begin = begin, .drop = drop};
    struct dw_host_options options = {
        .policies = files, .keeper = &keeper, .memory = 4 << 20, .instructions = 1000000, .seconds = 0.2};
    struct dw_error err = {0};
    FILE *f = fopen(path, "w");
    fputs("local await = require('durward.await') ", f);
    fputs(policy, f);
    fclose(f);
    struct dw_host *host = dw_host_new(&options, &err);
    CHECK_STR(err.detail, "");
    begun = dropped = 0;
    return host;
}

static struct dw_event events[MOST];

static struct dw_ask *start(struct dw_host *host, int i, enum dw_stage stage, struct seen *seen)
{
    static char names[MOST][40], ids[MOST][8];
    snprintf(names[i], sizeof names[i], "user%d@HOME.EXAMPLE", i);
    snprintf(ids[i], sizeof ids[i], "%d", i);
    events[i] = (struct dw_event){.id = ids[i], .time = 1763805600000000, .principal = dw_span_str(names[i])};
    *seen = (struct seen){0};
    return dw_ask_start(host, &events[i], stage, on_done, seen);
}

static void answer(int slot, const char *text)
{
    struct dw_answer a = {.value = json_pack("[s]", text)};
    dw_ask_resume(asking[slot], &a);
    CHECK(!a.value);
}

#define TELL(what) "return { map = function(e) " what " end }"

static void answers_come_in_any_order(void)
{
    struct seen seen[3];
    struct dw_host *host = host_of(TELL("local t = await.resolve(e.id .. '.example', 'TXT') local g = "
                                        "await.groups(e.principal.primary) return nil, e.id .. t[1] .. g[1]"));
    for (int i = 0; i < 3; i++)
        CHECK(start(host, i, DW_STAGE_MAP, &seen[i]));
    CHECK_STR(wanted[1], "TXT 1.example");
    answer(1, "a");
    CHECK_STR(wanted[3], "groups user1");
    answer(2, "b");
    answer(0, "c");
    answer(4, "x");
    CHECK_INT(seen[2].times, 1);
    CHECK_INT(seen[0].times + seen[1].times, 0);
    CHECK_STR(seen[2].reason, "not mapped: 2bx");
    answer(5, "y");
    answer(3, "z");
    CHECK_STR(seen[0].reason, "not mapped: 0cy");
    CHECK_STR(seen[1].reason, "not mapped: 1az");
    CHECK_INT(seen[1].steps, 3);
    CHECK_INT(dropped, 0);
    dw_host_free(&host);
}

static void a_question_may_be_given_up(void)
{
    struct seen seen, other;
    struct dw_host *host = host_of("local kept " TELL(
        "if e.id == '1' then return nil, tostring(pcall(function() return kept.id end)) end kept = e "
        "local never <close> = setmetatable({}, { __close = function() error('closed') end }) await.sleep(1)"));
    struct dw_ask *ask = start(host, 0, DW_STAGE_MAP, &seen);
    CHECK(ask);
    dw_ask_cancel(&ask);
    CHECK(!ask);
    CHECK_INT(dropped, 1);
    CHECK_INT(seen.times, 0);
    CHECK(!start(host, 1, DW_STAGE_MAP, &other));
    CHECK_STR(other.reason, "not mapped: false");
    /* Or be still there when the state ends: its owner gives it up first. */
    ask = start(host, 2, DW_STAGE_MAP, &seen);
    dw_ask_cancel(&ask);
    dw_host_free(&host);
}

static void what_is_late_is_temporary(void)
{
    struct seen seen;
    struct dw_host *host = host_of(TELL("await.sleep(0) await.resolve('slow.example', 'SRV')"));
    struct dw_ask *ask = start(host, 0, DW_STAGE_MAP, &seen);
    answer(0, "x");
    CHECK_INT(seen.times, 0);
    dw_ask_expire(&ask);
    CHECK(!ask);
    CHECK_INT(seen.times, 1);
    CHECK_INT(dropped, 1);
    CHECK_INT(seen.verdict, DW_TEMPORARY);
    CHECK_STR(seen.reason, "map: no answer in time to SRV slow.example");
    CHECK_INT(seen.steps, 2);
    dw_host_free(&host);
}

static void errors_after_a_wait_are_errors(void)
{
    struct seen seen;
    dw_log_threshold((enum dw_log_level)4);
    struct dw_host *host = host_of(TELL("local ok, e2 = pcall(function() await.sleep(0) error('one') end) "
                                        "await.sleep(1) error(e2, 0)"));
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    answer(0, "x");
    answer(1, "x");
    CHECK_INT(seen.verdict, DW_TEMPORARY);
    CHECK(strstr(seen.reason, "one"));
    /* A failure is for the script to judge; a fatal one is not. */
    dw_host_free(&host);
    host = host_of(TELL("local v, why = await.resolve('x') return nil, tostring(v) .. why"));
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    struct dw_answer failed = {.failed = strdup("no such name")};
    dw_ask_resume(asking[0], &failed);
    CHECK_STR(seen.reason, "not mapped: nilno such name");
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    failed = (struct dw_answer){.failed = strdup("cannot be"), .is_fatal = true};
    dw_ask_resume(asking[1], &failed);
    CHECK_INT(seen.verdict, DW_TEMPORARY);
    /* Nothing at all is memory that ran out. */
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    failed = (struct dw_answer){0};
    dw_ask_resume(asking[2], &failed);
    CHECK_INT(seen.verdict, DW_TEMPORARY);
    CHECK(strstr(seen.reason, "out of memory"));
    dw_host_free(&host);
    dw_log_threshold(DW_LOG_INFO);
}

static void limits_go_on_counting(void)
{
    struct seen seen, other;
    dw_log_threshold((enum dw_log_level)4);
    /* 1000000 instructions over all of it, whoever was served in between. */
    struct dw_host *host = host_of(TELL("if e.id == '1' then return nil, 'served' end "
                                        "for i = 1, 120000 do end await.sleep(0) for i = 1, 900000 do end "
                                        "return nil, 'through'"));
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    CHECK(!start(host, 1, DW_STAGE_MAP, &other));
    CHECK_STR(other.reason, "not mapped: served");
    answer(0, "x");
    CHECK_STR(seen.reason, "map: instruction limit (1000000) reached");
    dw_host_free(&host);
    /* The script's clock stands still meanwhile: 0.2 seconds are its own. */
    host = host_of(TELL("await.sleep(0) for i = 1, 1000 do end return nil, 'through'"));
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    usleep(300000);
    answer(0, "x");
    CHECK_STR(seen.reason, "not mapped: through");
    dw_host_free(&host);
    host = host_of(
        TELL("local s = ('x'):rep(1200000) await.sleep(0) local t = ('y'):rep(1900000) return nil, #s + #t"));
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    answer(0, "x");
    CHECK_STR(seen.reason, "map: memory limit (4194304 octets) reached");
    dw_host_free(&host);
    dw_log_threshold(DW_LOG_INFO);
}

static void coroutines_of_another_question(void)
{
    struct seen seen, other;
    dw_log_threshold((enum dw_log_level)4);
    struct dw_host *host = host_of(
        "local kept " TELL("if kept then local ok, why = coroutine.resume(kept) return nil, tostring(why) end "
                           "kept = coroutine.create(function() return await.resolve('x', 'TXT')[1] end) "
                           "local ok, v = coroutine.resume(kept) return nil, tostring(v)"));
    CHECK(start(host, 0, DW_STAGE_MAP, &seen));
    CHECK(!start(host, 1, DW_STAGE_MAP, &other));
    CHECK(strstr(other.reason, "this wait is over"));
    answer(0, "x");
    CHECK_INT(seen.times, 1);
    CHECK(strstr(seen.reason, "cannot resume dead coroutine"));
    dw_host_free(&host);
    dw_log_threshold(DW_LOG_INFO);
}

static void other_hooks(void)
{
    struct seen seen;
    dw_log_threshold((enum dw_log_level)4);
    struct dw_host *host = host_of(
        "return { connect = function() await.sleep(0) end, close = function() await.sleep(0) end, "
        "authorize = function(e) await.groups('x') return require('durward.core').allow{ user = 'u' } end }");
    struct dw_ask *ask = start(host, 0, DW_STAGE_CONNECT, &seen);
    CHECK(ask);
    answer(0, "x");
    CHECK_INT(seen.verdict, DW_ALLOW);
    CHECK(!start(host, 1, DW_STAGE_CLOSE, &seen));
    CHECK_INT(seen.times, 1);
    CHECK(start(host, 2, DW_STAGE_MAP, &seen));
    answer(1, "x");
    CHECK_INT(seen.verdict, DW_ALLOW);
    dw_host_free(&host);
    dw_log_threshold(DW_LOG_INFO);
}

static struct dw_want asked;
static char secret_asked[32], hash_asked[64];

static enum dw_fulfilment keep_password(void *arg, struct dw_ask *ask, const struct dw_want *want,
                                        struct dw_answer *a, void **job)
{
    asked = *want;
    snprintf(secret_asked, sizeof secret_asked, "%.*s", (int)want->secret.len, (const char *)want->secret.at);
    snprintf(hash_asked, sizeof hash_asked, "%s", want->hash ? want->hash : "");
    return begin(arg, ask, want, a, job);
}

static void trace_of(void *arg, const struct dw_decision *d)
{
    json_t **trace = arg;
    *trace = dw_decision_trace_to_json(d);
}

/* A password and a hash go to the keeper and nowhere else; the trace has who, and what came of it. */
static void passwords_are_waited_for(void)
{
    static const struct dw_keeper keeper = {.begin = keep_password, .drop = drop};
    struct dw_host *host =
        host_of(TELL("local v = require('durward.secret').verify local h = '$5$rounds=1000$salt$hash' "
                     "local one, two = v(e.plain.password, h), e.plain.password:verify(h) "
                     "return nil, tostring(one) .. tostring(two)"));
    json_t *trace = NULL;
    struct dw_event event = {.id = "1", .time = 1};
    event.plain.present = true;
    event.plain.username = DW_SPAN_OF("alice");
    event.plain.password = DW_SPAN_OF("s3cret");
    dw_host_keep(host, &keeper);
    struct dw_ask *ask = dw_ask_start(host, &event, DW_STAGE_MAP, trace_of, &trace);
    if (CHECK(ask)) {
        CHECK_INT(asked.kind, DW_WANT_PASSWORD);
        CHECK_STR(secret_asked, "s3cret");
        CHECK_STR(hash_asked, "$5$rounds=1000$salt$hash");
        struct dw_answer yes = {.value = json_true()}, no = {.value = json_false()};
        dw_ask_resume(asking[0], &yes);
        CHECK(!trace);
        dw_ask_resume(asking[1], &no);
    }
    char *text = trace ? json_dumps(trace, JSON_COMPACT) : NULL;
    if (CHECK(text)) {
        CHECK(strstr(text, "truefalse") && strstr(text, "\"want\":\"password\",\"key\":\"$5$"));
        CHECK(!strstr(text, "s3cret") && !strstr(text, "salt") && !strstr(text, "hash"));
    }
    free(text);
    json_decref(trace);
    dw_host_free(&host);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    RUN(answers_come_in_any_order);
    RUN(a_question_may_be_given_up);
    RUN(what_is_late_is_temporary);
    RUN(errors_after_a_wait_are_errors);
    RUN(limits_go_on_counting);
    RUN(coroutines_of_another_question);
    RUN(other_hooks);
    RUN(passwords_are_waited_for);
    unlink(path);
    return check_done();
}
