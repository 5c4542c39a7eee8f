/* The table behind durward.limit: one for all threads and hosts, and bounded. */
#include "check.h"

#include "policy/ask.h"
#include "policy/limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static struct dw_limits_key key_of(const char *name, int who)
{
    struct dw_limits_key key;
    char text[32];
    snprintf(text, sizeof text, "%d", who);
    CHECK_INT(dw_limits_key(&key, dw_span_str("test"), dw_span_str(name), dw_span_str(text)), 0);
    return key;
}

static atomic_int taken;

static void *take_many(void *arg)
{
    (void)arg;
    struct dw_limits_key key = key_of("threads", 1);
    for (int i = 0; i < 1000; i++)
        if (dw_limits_take(&key, 1500, 0.001, 1) == 0)
            atomic_fetch_add(&taken, 1);
    return NULL;
}

static void test_all_threads_share(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_many, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(taken, 1500);
}

/* Whoever is used stays; of the others the oldest go. */
static void test_oldest_goes(void)
{
    struct dw_limits_key kept = key_of("kept", 0), lost = key_of("lost", 0);
    dw_limits_add(&kept, 1, 1e9, 1);
    dw_limits_add(&lost, 1, 1e9, 1);
    for (int i = 0; i < DW_LIMITS_PLACES + 100; i++) {
        struct dw_limits_key key = key_of("flood", i);
        dw_limits_add(&key, 1, 1e9, 1);
        if (i % 1000 == 0)
            dw_limits_add(&kept, 1, 1e9, 1);
    }
    CHECK_INT(dw_limits_add(&lost, 0, 1e9, 1), 0);
    CHECK_INT(dw_limits_add(&kept, 0, 1e9, 1), 1 + (DW_LIMITS_PLACES + 100 + 999) / 1000);
    for (int i = 0; i < 1000; i++) {
        struct dw_limits_key key = key_of("flood", DW_LIMITS_PLACES + 99 - i);
        CHECK_INT(dw_limits_add(&key, 0, 1e9, 1), 1);
        dw_limits_clear(&key);
        CHECK_INT(dw_limits_add(&key, 0, 1e9, 1), 0);
    }
    for (int i = 0; i < 2000; i++) {
        struct dw_limits_key key = key_of("again", i);
        dw_limits_add(&key, 1, 1e9, 1);
    }
    struct dw_limits_key first = key_of("again", 0);
    CHECK_INT(dw_limits_add(&first, 0, 1e9, 1), 1);
}

static void test_parts_do_not_run_together(void)
{
    struct dw_limits_key a, b;
    dw_limits_key(&a, dw_span_str(""), dw_span_str("ab"), dw_span_str("c"));
    dw_limits_key(&b, dw_span_str(""), dw_span_str("a"), dw_span_str("bc"));
    CHECK(memcmp(&a, &b, sizeof a) != 0);
    dw_limits_key(&b, dw_span_str("ab"), dw_span_str(""), dw_span_str("c"));
    CHECK(memcmp(&a, &b, sizeof a) != 0);
}

/* Two hosts, as two workers have them. */

static void on_done(void *arg, const struct dw_decision *d)
{
    *(enum dw_verdict *)arg = d->verdict;
}

static enum dw_verdict ask(struct dw_host *host)
{
    enum dw_verdict verdict = DW_ALLOW;
    struct dw_event event = {.id = "1", .time = 1000000, .peer.address = "192.0.2.1"};
    dw_ask_start(host, &event, DW_STAGE_CONNECT, on_done, &verdict);
    return verdict;
}

static void test_hosts_share_by_scope(void)
{
    char path[] = "/tmp/dw_limits_XXXXXX";
    int fd = mkstemp(path);
    static const char text[] = "local d = require('durward') return { connect = d.rule.temporary('slow', "
                               "d.match.none(d.limit.bucket { name = 'x', count = 3, per = 60, key = 'peer' })) }";
    CHECK(write(fd, text, sizeof text - 1) == sizeof text - 1);
    close(fd);
    const char *const files[] = {path, NULL};
    struct dw_host_options options = {.policies = files};
    struct dw_error err = {0};
    struct dw_host *one = dw_host_new(&options, &err), *two = dw_host_new(&options, &err);
    options.scope = "shadow";
    struct dw_host *shadow = dw_host_new(&options, &err);
    if (CHECK(one && two && shadow)) {
        CHECK_INT(ask(one), DW_ALLOW);
        CHECK_INT(ask(two), DW_ALLOW);
        for (int i = 0; i < 3; i++)
            CHECK_INT(ask(shadow), DW_ALLOW);
        CHECK_INT(ask(shadow), DW_TEMPORARY);
        CHECK_INT(ask(one), DW_ALLOW);
        CHECK_INT(ask(one), DW_TEMPORARY);
        CHECK_INT(ask(two), DW_TEMPORARY);
        /* A reload keeps the count. */
        dw_host_free(&one);
        options.scope = NULL;
        one = dw_host_new(&options, &err);
        CHECK_INT(ask(one), DW_TEMPORARY);
    } else {
        printf("    %s\n", err.detail);
    }
    dw_host_free(&one);
    dw_host_free(&two);
    dw_host_free(&shadow);
    unlink(path);
}

int main(void)
{
    RUN(test_all_threads_share);
    RUN(test_oldest_goes);
    RUN(test_parts_do_not_run_together);
    RUN(test_hosts_share_by_scope);
    return check_done();
}
