/* Memory runs out at every allocation of a policy's life: loading fails and says so, a question is temporary,
 * and the host goes on once there is memory again.  Linked with malloc and its kin wrapped. */
#include "base/log.h"
#include "check.h"
#include "policy/ask.h"

#include <stdlib.h>
#include <unistd.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static bool armed, for_good; /* once, or from then on */
static long left;

static bool fails(void)
{
    if (!armed || left > 1) {
        left -= armed;
        return false;
    }
    if (left == 1 && !for_good) {
        left = 0;
        return true;
    }
    return left == 1;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return fails() ? NULL : __real_realloc(at, size);
}

static char path[] = "/tmp/dw-memory-XXXXXX";
static const char *const files[] = {path, NULL};
static const struct dw_host_options options = {.policies = files};

static const char policy[] =
    "local durward = require('durward') local map, match, rule = durward.map, durward.match, durward.rule\n"
    "return { map = map.chain { map.strip_realm('OTHER'), map.name('%1-%0', 'HOME.EXAMPLE') },\n"
    "authorize = rule.first { rule.deny('x', match.peer('192.0.2.0/24')),\n"
    "  rule.allow('y', function(e) return (('%s-%d'):format(e.user, 7)):gsub('a', 'b') == 'blice-HOME.EXAMPLE-7' "
    "end,\n"
    "    { properties = { ['X-A'] = 'b' }, sockets = { 'SUB' }, backend = 'tcp://127.0.0.1:1', reason = 'r' }) } "
    "}\n";

struct answer {
    int times;
    enum dw_verdict verdict;
    bool whole;
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct answer *a = arg;
    a->times++;
    a->verdict = d->verdict;
    a->whole = d->user && d->backend && d->property_count == 1 && d->socket_count == 1;
}

static struct answer ask(struct dw_host *host)
{
    struct answer a = {0};
    struct dw_event event = {.id = "1", .time = 1, .principal = DW_SPAN_OF("alice@HOME.EXAMPLE")};
    dw_ask_start(host, &event, DW_STAGE_MAP, on_done, &a);
    return a;
}

static void loading_fails_and_says_so(void)
{
    struct dw_error err;
    for (int mode = 0; mode < 2; mode++) {
        long n = 1;
        for (bool reached = true; reached; n += 1 + n / 24) {
            armed = true;
            for_good = mode;
            left = n;
            struct dw_host *host = dw_host_new(&options, &err);
            reached = left < 2;
            armed = false;
            if (!host)
                CHECK(err.detail[0]);
            else
                CHECK_INT(ask(host).verdict, DW_ALLOW);
            dw_host_free(&host);
        }
        CHECK(n > 500);
    }
}

static void a_question_is_temporary(void)
{
    struct dw_error err;
    for (int mode = 0; mode < 2; mode++) {
        struct dw_host *host = dw_host_new(&options, &err);
        int refused = 0;
        long n = 1;
        for (bool reached = true; reached && host; n++) {
            armed = true;
            for_good = mode;
            left = n;
            struct answer a = ask(host);
            reached = left < 2;
            armed = false;
            CHECK_INT(a.times, 1);
            CHECK(a.verdict == DW_TEMPORARY || (a.verdict == DW_ALLOW && a.whole));
            refused += a.verdict == DW_TEMPORARY;
            a = ask(host);
            CHECK(a.verdict == DW_ALLOW && a.whole);
        }
        CHECK(refused > 0 || !for_good); /* Lua collects and asks again, so one failure alone may do no harm */
        dw_host_free(&host);
    }
}

/* A question that waits twice, answered from here. */
static struct dw_ask *waiting;

static enum dw_fulfilment begin(void *arg, struct dw_ask *asked, const struct dw_want *want,
                                struct dw_answer *answer, void **job)
{
    (void)arg, (void)want, (void)answer;
    waiting = asked;
    *job = NULL;
    return DW_FULFIL_LATER;
}

static void drop(void *job)
{
    (void)job;
    waiting = NULL;
}

static struct answer ask_and_wait(struct dw_host *host)
{
    struct answer a = {0};
    struct dw_event event = {.id = "1", .time = 1, .principal = DW_SPAN_OF("alice@HOME.EXAMPLE")};
    struct dw_ask *asked = dw_ask_start(host, &event, DW_STAGE_MAP, on_done, &a);
    for (int i = 0; asked && a.times == 0 && i < 3; i++) {
        bool was = armed;
        armed = false;
        struct dw_answer answer = {.value = json_pack("[s]", "alice")};
        armed = was;
        dw_ask_resume(asked, &answer);
    }
    return a;
}

static void waiting_is_temporary_too(void)
{
    static const char waits[] =
        "local durward = require('durward') local await = durward.await\n"
        "return { map = function() return (await.resolve('a.example', 'TXT'))[1] end,\n"
        "authorize = function(e) local ok = pcall(coroutine.wrap(function() await.groups(e.user) end))\n"
        "  if not ok then return durward.temporary() end\n"
        "  return durward.allow { properties = { ['X-A'] = 'b' }, sockets = { 'SUB' }, backend = "
        "'tcp://127.0.0.1:1' } "
        "end }\n";
    struct dw_keeper keeper = {.begin = begin, .drop = drop};
    struct dw_host_options patient = {.policies = files, .keeper = &keeper};
    struct dw_error err;
    FILE *f = fopen(path, "w");
    fputs(waits, f);
    fclose(f);
    for (int mode = 0; mode < 2; mode++) {
        struct dw_host *host = dw_host_new(&patient, &err);
        CHECK(host);
        long n = 1;
        for (bool reached = true; reached && host; n++) {
            armed = true;
            for_good = mode;
            left = n;
            struct answer a = ask_and_wait(host);
            reached = left < 2;
            armed = false;
            CHECK_INT(a.times, 1);
            CHECK(a.verdict == DW_TEMPORARY || (a.verdict == DW_ALLOW && a.whole));
            a = ask_and_wait(host);
            CHECK(a.verdict == DW_ALLOW && a.whole);
        }
        CHECK(n > 20);
        dw_host_free(&host);
    }
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, policy, sizeof policy - 1) < 0)
        return 1;
    close(fd);
    dw_log_threshold((enum dw_log_level)(DW_LOG_ERROR + 1));
    RUN(loading_fails_and_says_so);
    RUN(a_question_is_temporary);
    RUN(waiting_is_temporary_too);
    unlink(path);
    return check_done();
}
