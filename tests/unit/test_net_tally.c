/* What is counted for the whole process: bounds that hold, slots that come back, whoever asks. */
#include "check.h"

#include "net/tally.h"

#include <pthread.h>
#include <stdlib.h>

static void test_connections_are_bounded(void)
{
    struct dw_tally *tally = dw_tally_new();
    struct dw_error err = {0};
    CHECK_INT(dw_tally_enter(tally, "192.0.2.1", 2, 10, &err), 0);
    CHECK_INT(dw_tally_enter(tally, "192.0.2.2", 2, 10, &err), 0);
    CHECK_INT(dw_tally_enter(tally, "192.0.2.3", 2, 10, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_LIMIT);
    CHECK_STR(err.detail, "limits.connections = 2 is reached");
    CHECK_INT(dw_tally_connections(tally), 2);
    CHECK_INT(dw_tally_read(tally, DW_COUNT_LIMIT_CONNECTIONS), 1);
    dw_tally_leave(tally, "192.0.2.1");
    CHECK_INT(dw_tally_enter(tally, "192.0.2.3", 2, 10, &err), 0);
    dw_tally_free(&tally);
    CHECK(!tally);
}

static void test_a_peer_is_bounded_by_itself(void)
{
    struct dw_tally *tally = dw_tally_new();
    struct dw_error err = {0};
    CHECK_INT(dw_tally_enter(tally, "192.0.2.1", 100, 2, &err), 0);
    CHECK_INT(dw_tally_enter(tally, "192.0.2.1", 100, 2, &err), 0);
    CHECK_INT(dw_tally_enter(tally, "192.0.2.1", 100, 2, &err), -1);
    CHECK_STR(err.detail, "limits.per_peer = 2 is reached");
    CHECK_INT(dw_tally_enter(tally, "192.0.2.10", 100, 2, &err), 0);
    CHECK_INT(dw_tally_connections(tally), 3);
    CHECK_INT(dw_tally_read(tally, DW_COUNT_LIMIT_PER_PEER), 1);
    /* A lower bound after a reload: nobody new until there is room. */
    dw_tally_leave(tally, "192.0.2.1");
    CHECK_INT(dw_tally_enter(tally, "192.0.2.1", 100, 1, &err), -1);
    CHECK_INT(dw_tally_enter(tally, "192.0.2.1", 100, 2, &err), 0);
    for (int i = 0; i < 2; i++)
        dw_tally_leave(tally, "192.0.2.1");
    dw_tally_leave(tally, "192.0.2.10");
    CHECK_INT(dw_tally_connections(tally), 0);
    dw_tally_free(&tally);
}

static void test_users(void)
{
    struct dw_tally *tally = dw_tally_new();
    struct dw_error err = {0};
    for (int i = 0; i < 50; i++)
        CHECK_INT(dw_tally_enter_user(tally, "alice", 0, &err), 0);
    /* Counted while there was no bound: one that comes with a reload finds them. */
    CHECK_INT(dw_tally_enter_user(tally, "alice", 50, &err), -1);
    CHECK_STR(err.detail, "limits.per_user = 50 is reached");
    CHECK_INT(dw_tally_enter_user(tally, "bob", 1, &err), 0);
    CHECK_INT(dw_tally_enter_user(tally, "bob", 1, &err), -1);
    dw_tally_leave_user(tally, "bob");
    CHECK_INT(dw_tally_enter_user(tally, "bob", 1, &err), 0);
    dw_tally_leave_user(tally, "nobody");
    CHECK_INT(dw_tally_read(tally, DW_COUNT_LIMIT_PER_USER), 2);
    CHECK_INT(dw_tally_connections(tally), 0);
    dw_tally_free(&tally);
}

struct figures {
    long names, sum, other;
};

static void add(void *arg, const char *name, long figure)
{
    struct figures *f = arg;
    f->names++;
    f->sum += figure;
    if (strcmp(name, "other") == 0)
        f->other = figure;
}

static struct figures figures_of(struct dw_tally *tally, enum dw_note note)
{
    struct figures f = {0};
    dw_tally_notes(tally, note, add, &f);
    return f;
}

static void test_notes_are_bounded_and_lose_nothing(void)
{
    struct dw_tally *tally = dw_tally_new();
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "reason %d", i);
        dw_tally_note(tally, DW_NOTE_REASON, name, 1);
        dw_tally_note(tally, DW_NOTE_REASON, name, 2);
    }
    struct figures f = figures_of(tally, DW_NOTE_REASON);
    CHECK(f.names <= 201);
    CHECK_INT(f.sum, 3000);
    CHECK_INT(f.other, 3 * (1000 - (f.names - 1)));
    CHECK_INT(figures_of(tally, DW_NOTE_BACKEND).names, 0);
    /* What was counted under "other" is taken off there again. */
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "reason %d", i);
        dw_tally_note(tally, DW_NOTE_REASON, name, -3);
    }
    f = figures_of(tally, DW_NOTE_REASON);
    CHECK_INT(f.sum, 0);
    CHECK_INT(f.other, 0);
    dw_tally_free(&tally);
}

static void test_every_count_has_a_word_of_its_own(void)
{
    for (int i = 0; i < DW_COUNTS; i++) {
        CHECK(dw_count_word((enum dw_count)i) && *dw_count_word((enum dw_count)i));
        for (int j = 0; j < i; j++)
            CHECK(strcmp(dw_count_word((enum dw_count)i), dw_count_word((enum dw_count)j)) != 0);
    }
}

enum { ROUNDS = 4000, ROOM = 3 };

static _Atomic long inside;
static _Atomic bool over;

static void *come_and_go(void *arg)
{
    struct dw_tally *tally = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct dw_error err = {0};
        char peer[32];
        snprintf(peer, sizeof peer, "192.0.2.%d", i % 7);
        if (dw_tally_enter(tally, peer, ROOM, 2, &err) == 0) {
            if (atomic_fetch_add(&inside, 1) >= ROOM)
                atomic_store(&over, true);
            if (dw_tally_enter_user(tally, "alice", 2, &err) == 0)
                dw_tally_leave_user(tally, "alice");
            dw_tally_note(tally, DW_NOTE_BACKEND, peer, 1);
            dw_tally_note(tally, DW_NOTE_BACKEND, peer, -1);
            atomic_fetch_sub(&inside, 1);
            dw_tally_leave(tally, peer);
        }
        dw_tally_add(tally, DW_COUNT_ACCEPTED, 1);
    }
    return NULL;
}

static void test_many_threads(void)
{
    struct dw_tally *tally = dw_tally_new();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, come_and_go, tally);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(!over);
    CHECK_INT(dw_tally_connections(tally), 0);
    CHECK_INT(dw_tally_read(tally, DW_COUNT_ACCEPTED), 4 * ROUNDS);
    CHECK_INT(figures_of(tally, DW_NOTE_BACKEND).sum, 0);
    struct dw_error err = {0};
    for (int i = 0; i < ROOM; i++)
        CHECK_INT(dw_tally_enter(tally, "192.0.2.1", ROOM, ROOM, &err), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(dw_tally_enter_user(tally, "alice", 2, &err), 0);
    dw_tally_free(&tally);
}

int main(void)
{
    RUN(test_connections_are_bounded);
    RUN(test_a_peer_is_bounded_by_itself);
    RUN(test_users);
    RUN(test_notes_are_bounded_and_lose_nothing);
    RUN(test_every_count_has_a_word_of_its_own);
    RUN(test_many_threads);
    return check_done();
}
