/* Who has logged in, until a master asks: once, in time, of its own listener and of nobody else's connection. */
#include "check.h"

#include "net/vouchers.h"

#include <pthread.h>
#include <stdlib.h>

static const uint8_t ours[DW_DOVECOT_COOKIE] = {1, 2, 3}, theirs[DW_DOVECOT_COOKIE] = {1, 2, 4};

static int put(struct dw_vouchers *all, struct dw_issuer *issuer, uint32_t exchange, const char *user, uint64_t now)
{
    struct dw_decision d = {.verdict = DW_ALLOW};
    struct dw_voucher voucher;
    struct dw_error err = {0};
    dw_decision_property(&d, "home", DW_SPAN_OF("/srv/a b"));
    int rc = dw_voucher_make(&voucher, user, &d, &err);
    dw_decision_clear(&d);
    voucher.client = 7;
    voucher.exchange = exchange;
    return rc < 0 ? rc : dw_vouchers_put(all, issuer, &voucher, now);
}

/* Whether `user` is who it is told. */
static bool take(struct dw_vouchers *all, const char *listener, const uint8_t *cookie, uint32_t client,
                 uint32_t exchange, uint64_t now, const char *user)
{
    struct dw_dovecot_request request = {1, client, exchange, {0}};
    struct dw_voucher voucher = {0};
    memcpy(request.cookie, cookie, sizeof request.cookie);
    bool found = dw_vouchers_take(all, listener, &request, now, &voucher);
    if (found) {
        CHECK_STR(voucher.user, user);
        CHECK_SPAN(dw_buf_span(&voucher.fields), "\thome=/srv/a b");
    }
    dw_voucher_clear(&voucher);
    return found;
}

static void once(void)
{
    struct dw_vouchers *all = dw_vouchers_new();
    struct dw_issuer *issuer = dw_vouchers_join(all, ours, "one"), *other = dw_vouchers_join(all, theirs, "one");
    CHECK_INT(put(all, issuer, 5, "alice", 1000), 0);
    CHECK(!take(all, "two", ours, 7, 5, 1000, NULL));
    CHECK(!take(all, "one", theirs, 7, 5, 1000, NULL));
    CHECK(!take(all, "one", ours, 8, 5, 1000, NULL));
    CHECK(!take(all, "one", ours, 7, 6, 1000, NULL));
    CHECK(take(all, "one", ours, 7, 5, 1000, "alice"));
    CHECK(!take(all, "one", ours, 7, 5, 1000, NULL));
    dw_vouchers_leave(all, &issuer);
    dw_vouchers_leave(all, &other);
    CHECK(!issuer);
    dw_vouchers_free(&all);
    CHECK(!all);
}

static void for_a_minute(void)
{
    struct dw_vouchers *all = dw_vouchers_new();
    struct dw_issuer *issuer = dw_vouchers_join(all, ours, "one");
    CHECK_INT(put(all, issuer, 1, "alice", 1000), 0);
    CHECK_INT(put(all, issuer, 2, "bob", 2000), 0);
    CHECK(!take(all, "one", ours, 7, 1, 1000 + DW_VOUCHER_MS, NULL));
    CHECK(take(all, "one", ours, 7, 2, 1999 + DW_VOUCHER_MS, "bob"));
    dw_vouchers_leave(all, &issuer);
    dw_vouchers_free(&all);
}

static void as_long_as_the_connection(void)
{
    struct dw_vouchers *all = dw_vouchers_new();
    struct dw_issuer *issuer = dw_vouchers_join(all, ours, "one");
    CHECK_INT(put(all, issuer, 1, "alice", 0), 0);
    dw_vouchers_leave(all, &issuer);
    CHECK(!take(all, "one", ours, 7, 1, 0, NULL));
    dw_vouchers_free(&all);
}

/* An id that comes again is the later one's; the oldest gives way when there are too many. */
static void bounded(void)
{
    struct dw_vouchers *all = dw_vouchers_new();
    struct dw_issuer *issuer = dw_vouchers_join(all, ours, "one");
    CHECK_INT(put(all, issuer, 1, "alice", 0), 0);
    CHECK_INT(put(all, issuer, 1, "bob", 0), 0);
    CHECK(take(all, "one", ours, 7, 1, 0, "bob"));
    CHECK(!take(all, "one", ours, 7, 1, 0, NULL));
    for (uint32_t id = 1; id <= DW_VOUCHERS_MOST + 1; id++)
        CHECK_INT(put(all, issuer, id, "alice", 0), 0);
    CHECK(!take(all, "one", ours, 7, 1, 0, NULL));
    CHECK(take(all, "one", ours, 7, 2, 0, "alice"));
    CHECK(take(all, "one", ours, 7, DW_VOUCHERS_MOST + 1, 0, "alice"));
    dw_vouchers_leave(all, &issuer);
    dw_vouchers_free(&all);
}

static void made_of_a_decision(void)
{
    const struct {
        const char *name;
        struct dw_span value;
        const char *why;
    } wrongs[] = {
        {"home", DW_SPAN_OF("a\tb"), "control character"},
        {"home", DW_SPAN_OF("a\nb"), "control character"},
        {"home", DW_SPAN_OF("a\0b"), "control character"},
        {"home", DW_SPAN_OF("\xff"), "not UTF-8"},
        {"a=b", DW_SPAN_OF("c"), "a=b"},
        {"", DW_SPAN_OF("c"), "''"},
    };
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct dw_decision d = {.verdict = DW_ALLOW};
        struct dw_voucher voucher;
        struct dw_error err = {0};
        dw_decision_property(&d, wrongs[i].name, wrongs[i].value);
        CHECK_INT(dw_voucher_make(&voucher, "alice", &d, &err), -1);
        CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
        CHECK(strstr(err.detail, wrongs[i].why) != NULL);
        dw_decision_clear(&d);
    }
    char *user = calloc(1, DW_VOUCHER_BYTES + 2);
    struct dw_decision d = {.verdict = DW_ALLOW};
    struct dw_voucher voucher;
    struct dw_error err = {0};
    memset(user, 'a', DW_VOUCHER_BYTES);
    CHECK_INT(dw_voucher_make(&voucher, user, &d, &err), 0);
    dw_voucher_clear(&voucher);
    user[DW_VOUCHER_BYTES] = 'a';
    CHECK_INT(dw_voucher_make(&voucher, user, &d, &err), -1);
    free(user);
}

/* Each thread's own connection, all in one table. */
static struct dw_vouchers *shared;

static void *busy(void *arg)
{
    const uint8_t cookie[DW_DOVECOT_COOKIE] = {(uint8_t)(uintptr_t)arg};
    long found = 0;
    for (uint32_t i = 0; i < 500; i++) {
        struct dw_issuer *issuer = dw_vouchers_join(shared, cookie, "one");
        found += put(shared, issuer, i, "alice", i) == 0 && take(shared, "one", cookie, 7, i, i, "alice");
        dw_vouchers_leave(shared, &issuer);
    }
    return (void *)(uintptr_t)found;
}

static void any_thread(void)
{
    pthread_t threads[4];
    void *found;
    shared = dw_vouchers_new();
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, busy, (void *)(i + 1));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &found);
        CHECK_INT((long)(uintptr_t)found, 500);
    }
    dw_vouchers_free(&shared);
}

int main(void)
{
    RUN(once);
    RUN(for_a_minute);
    RUN(as_long_as_the_connection);
    RUN(bounded);
    RUN(made_of_a_decision);
    RUN(any_thread);
    return check_done();
}
