/* One live connection for each identity and backend: grants, waits, refusals, and who is told what. */
#include "check.h"

#include "net/identity.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TRADES "tcp://127.0.0.1:5571"
#define QUOTES "tcp://127.0.0.1:5572"
#define DESK DW_SPAN_OF("desk-7")

/* What the registry told, as words: "leave 1", "granted 2", .. */
static char told[512];

static void tell(const char *what, struct dw_holder holder)
{
    size_t len = strlen(told);
    snprintf(told + len, sizeof told - len, "%s%s %llu", len ? ", " : "", what, (unsigned long long)holder.number);
}

static void leave(struct dw_holder holder)
{
    tell("leave", holder);
}

static void granted(struct dw_holder holder)
{
    tell("granted", holder);
}

static const char *said(void)
{
    static char copy[sizeof told];
    memcpy(copy, told, sizeof told);
    told[0] = '\0';
    return copy;
}

static int worker;

static struct dw_holder conn(uint64_t number)
{
    return (struct dw_holder){&worker, number};
}

static void test_granted_until_released(void)
{
    struct dw_identities *ids = dw_identities_new(leave, granted);
    CHECK_INT(dw_identity_claim(ids, conn(1), TRADES, DESK, "alice"), DW_CLAIM_GRANTED);
    CHECK_INT(dw_identity_claim(ids, conn(2), TRADES, DESK, "bob"), DW_CLAIM_REFUSED);
    dw_identity_release(ids, conn(2), TRADES, DESK);
    CHECK_INT(dw_identity_claim(ids, conn(3), TRADES, DESK, "bob"), DW_CLAIM_REFUSED);
    dw_identity_release(ids, conn(1), TRADES, DESK);
    CHECK_INT(dw_identity_claim(ids, conn(4), TRADES, DESK, "bob"), DW_CLAIM_GRANTED);
    CHECK_STR(said(), "");
    dw_identities_free(&ids);
    CHECK(!ids);
}

static void test_backends_and_octets_tell_identities_apart(void)
{
    struct dw_identities *ids = dw_identities_new(leave, granted);
    CHECK_INT(dw_identity_claim(ids, conn(1), TRADES, DESK, "alice"), DW_CLAIM_GRANTED);
    CHECK_INT(dw_identity_claim(ids, conn(2), QUOTES, DESK, "bob"), DW_CLAIM_GRANTED);
    CHECK_INT(dw_identity_claim(ids, conn(3), TRADES, DW_SPAN_OF("desk-70"), "bob"), DW_CLAIM_GRANTED);
    CHECK_INT(dw_identity_claim(ids, conn(4), TRADES, DW_SPAN_OF("desk-7\0"), "bob"), DW_CLAIM_GRANTED);
    CHECK_INT(dw_identity_claim(ids, conn(5), TRADES, DW_SPAN_OF("desk-7\0"), "alice"), DW_CLAIM_REFUSED);
    CHECK_INT(dw_identity_claim(ids, conn(6), TRADES, DW_SPAN_OF("desk"), "bob"), DW_CLAIM_GRANTED);
    dw_identity_release(ids, conn(1), QUOTES, DESK);
    CHECK_INT(dw_identity_claim(ids, conn(7), QUOTES, DESK, "alice"), DW_CLAIM_REFUSED);
    CHECK_STR(said(), "");
    dw_identities_free(&ids);
}

static void test_the_same_users_newer_login_waits(void)
{
    struct dw_identities *ids = dw_identities_new(leave, granted);
    dw_identity_claim(ids, conn(1), TRADES, DESK, "alice");
    CHECK_INT(dw_identity_claim(ids, conn(2), TRADES, DESK, "alice"), DW_CLAIM_WAIT);
    CHECK_STR(said(), "leave 1");
    CHECK_INT(dw_identity_claim(ids, conn(3), TRADES, DESK, "bob"), DW_CLAIM_REFUSED);
    dw_identity_release(ids, conn(1), TRADES, DESK);
    CHECK_STR(said(), "granted 2");
    /* It is the holder now, and a late word from the first changes nothing. */
    dw_identity_release(ids, conn(1), TRADES, DESK);
    CHECK_INT(dw_identity_claim(ids, conn(4), TRADES, DESK, "alice"), DW_CLAIM_WAIT);
    CHECK_STR(said(), "leave 2");
    dw_identity_release(ids, conn(2), TRADES, DESK);
    CHECK_STR(said(), "granted 4");
    dw_identity_release(ids, conn(4), TRADES, DESK);
    CHECK_INT(dw_identity_claim(ids, conn(5), TRADES, DESK, "bob"), DW_CLAIM_GRANTED);
    dw_identities_free(&ids);
}

static void test_a_waiter_gives_way_to_a_newer_one(void)
{
    struct dw_identities *ids = dw_identities_new(leave, granted);
    dw_identity_claim(ids, conn(1), TRADES, DESK, "alice");
    dw_identity_claim(ids, conn(2), TRADES, DESK, "alice");
    CHECK_INT(dw_identity_claim(ids, conn(3), TRADES, DESK, "alice"), DW_CLAIM_WAIT);
    CHECK_STR(said(), "leave 1, leave 2");
    /* The one that was sent away is no longer in the queue. */
    dw_identity_release(ids, conn(2), TRADES, DESK);
    CHECK_STR(said(), "");
    dw_identity_release(ids, conn(1), TRADES, DESK);
    CHECK_STR(said(), "granted 3");
    dw_identities_free(&ids);
}

static void test_a_waiter_that_gives_up_leaves_the_holder_alone(void)
{
    struct dw_identities *ids = dw_identities_new(leave, granted);
    dw_identity_claim(ids, conn(1), TRADES, DESK, "alice");
    dw_identity_claim(ids, conn(2), TRADES, DESK, "alice");
    dw_identity_release(ids, conn(2), TRADES, DESK);
    CHECK_STR(said(), "leave 1");
    CHECK_INT(dw_identity_claim(ids, conn(3), TRADES, DESK, "bob"), DW_CLAIM_REFUSED);
    dw_identity_release(ids, conn(1), TRADES, DESK);
    CHECK_STR(said(), "");
    CHECK_INT(dw_identity_claim(ids, conn(4), TRADES, DESK, "bob"), DW_CLAIM_GRANTED);
    dw_identities_free(&ids);
}

static void test_numbers_count_within_a_worker(void)
{
    static int another;
    struct dw_identities *ids = dw_identities_new(leave, granted);
    struct dw_holder twin = {&another, 1};
    dw_identity_claim(ids, conn(1), TRADES, DESK, "alice");
    dw_identity_release(ids, twin, TRADES, DESK);
    CHECK_INT(dw_identity_claim(ids, conn(2), TRADES, DESK, "bob"), DW_CLAIM_REFUSED);
    CHECK_INT(dw_identity_claim(ids, twin, TRADES, DESK, "alice"), DW_CLAIM_WAIT);
    dw_identity_release(ids, conn(1), TRADES, DESK);
    CHECK_STR(said(), "leave 1, granted 1");
    dw_identities_free(&ids);
}

/* Logins on several threads, all of one user and identity: never two at the backend, and nobody waits for ever. */
enum { THREADS = 4, LOGINS = 3000 };

struct client {
    _Atomic uint64_t granted, sent_away; /* by number */
};

static struct client clients[THREADS];
static struct dw_identities *shared;
static _Atomic int at_backend;
static _Atomic long joined, clashes;

static void note_leave(struct dw_holder holder)
{
    atomic_store(&((struct client *)holder.worker)->sent_away, holder.number);
}

static void note_granted(struct dw_holder holder)
{
    atomic_store(&((struct client *)holder.worker)->granted, holder.number);
}

static void use(void)
{
    if (atomic_fetch_add(&at_backend, 1) != 0)
        atomic_fetch_add(&clashes, 1);
    atomic_fetch_add(&joined, 1);
    sched_yield();
    atomic_fetch_sub(&at_backend, 1);
}

static void *log_in(void *arg)
{
    struct client *c = arg;
    for (uint64_t number = 1; number <= LOGINS; number++) {
        struct dw_holder me = {c, number};
        enum dw_claim claim = dw_identity_claim(shared, me, TRADES, DESK, "alice");
        while (claim == DW_CLAIM_WAIT && atomic_load(&c->granted) != number && atomic_load(&c->sent_away) != number)
            sched_yield();
        if (claim == DW_CLAIM_GRANTED || atomic_load(&c->granted) == number)
            use();
        dw_identity_release(shared, me, TRADES, DESK);
    }
    return NULL;
}

static void test_many_threads(void)
{
    pthread_t threads[THREADS];
    shared = dw_identities_new(note_leave, note_granted);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, log_in, &clients[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(clashes, 0);
    CHECK(joined > 0);
    CHECK_INT(dw_identity_claim(shared, conn(1), TRADES, DESK, "bob"), DW_CLAIM_GRANTED);
    dw_identities_free(&shared);
}

int main(void)
{
    RUN(test_granted_until_released);
    RUN(test_backends_and_octets_tell_identities_apart);
    RUN(test_the_same_users_newer_login_waits);
    RUN(test_a_waiter_gives_way_to_a_newer_one);
    RUN(test_a_waiter_that_gives_up_leaves_the_holder_alone);
    RUN(test_numbers_count_within_a_worker);
    RUN(test_many_threads);
    return check_done();
}
