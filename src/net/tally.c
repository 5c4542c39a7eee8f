/* What is counted for the whole process: see tally.h. */
#define HASH_NONFATAL_OOM 1
#include "net/tally.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

#define MOST_NOTES 200

struct entry {
    UT_hash_handle hh;
    long count;
    char name[];
};

struct dw_tally {
    pthread_mutex_t lock;
    struct entry *peers, *users, *notes[DW_NOTES];
    _Atomic long connections;
    _Atomic uint64_t counts[DW_COUNTS];
    struct dw_meter meter;
    const void *_Atomic exceeding;
};

static const char *const words[DW_COUNTS] = {
    [DW_COUNT_ACCEPTED] = "accepted",
    [DW_COUNT_ALLOWED] = "decisions.allow",
    [DW_COUNT_DENIED] = "decisions.deny",
    [DW_COUNT_TEMPORARY] = "decisions.temporary",
    [DW_COUNT_JOINED] = "joined",
    [DW_COUNT_HANDSHAKE_LOST] = "handshakes_lost",
    [DW_COUNT_BACKEND_FAILED] = "backend_failed",
    [DW_COUNT_IDENTITY_REFUSED] = "identity.refused",
    [DW_COUNT_IDENTITY_REPLACED] = "identity.replaced",
    [DW_COUNT_LIMIT_CONNECTIONS] = "limits.connections",
    [DW_COUNT_LIMIT_PER_PEER] = "limits.per_peer",
    [DW_COUNT_LIMIT_PER_USER] = "limits.per_user",
    [DW_COUNT_LIMIT_MEMORY] = "limits.memory",
    [DW_COUNT_LIMIT_FRAME] = "limits.frame_bytes",
    [DW_COUNT_LIMIT_HANDSHAKE] = "limits.handshake_seconds",
    [DW_COUNT_LIMIT_DESCRIPTORS] = "limits.descriptors",
    [DW_COUNT_JOURNAL_FAILED] = "journal_failed",
    [DW_COUNT_RELOADS] = "reloads.done",
    [DW_COUNT_RELOADS_REFUSED] = "reloads.refused",
    [DW_COUNT_ZAP_MALFORMED] = "zap.malformed",
    [DW_COUNT_SHADOW_SAME] = "shadow.same",
    [DW_COUNT_SHADOW_DIFFERS] = "shadow.differs",
    [DW_COUNT_SHADOW_LOST] = "shadow.lost",
    [DW_COUNT_BYTES_IN] = "bytes.in",
    [DW_COUNT_BYTES_OUT] = "bytes.out",
};

const char *dw_count_word(enum dw_count count)
{
    return words[count];
}

struct dw_tally *dw_tally_new(void)
{
    struct dw_tally *tally = calloc(1, sizeof *tally);
    if (tally)
        pthread_mutex_init(&tally->lock, NULL);
    return tally;
}

static void drop_all(struct entry **table)
{
    struct entry *e, *next;
    HASH_ITER(hh, *table, e, next)
    {
        HASH_DEL(*table, e);
        free(e);
    }
}

void dw_tally_free(struct dw_tally **tally)
{
    if (!*tally)
        return;
    drop_all(&(*tally)->peers);
    drop_all(&(*tally)->users);
    for (int i = 0; i < DW_NOTES; i++)
        drop_all(&(*tally)->notes[i]);
    pthread_mutex_destroy(&(*tally)->lock);
    free(*tally);
    *tally = NULL;
}

void dw_tally_add(struct dw_tally *tally, enum dw_count count, uint64_t n)
{
    atomic_fetch_add_explicit(&tally->counts[count], n, memory_order_relaxed);
}

uint64_t dw_tally_read(const struct dw_tally *tally, enum dw_count count)
{
    return atomic_load_explicit(&tally->counts[count], memory_order_relaxed);
}

/* One more under `name`, unless there are `most` already: the count, 0 when full, -1 without memory. */
static long enter(struct entry **table, const char *name, long most)
{
    struct entry *e;
    HASH_FIND_STR(*table, name, e);
    if (e && most > 0 && e->count >= most)
        return 0;
    if (!e) {
        size_t len = strlen(name);
        e = calloc(1, sizeof *e + len + 1);
        if (!e)
            return -1;
        memcpy(e->name, name, len + 1);
        HASH_ADD_STR(*table, name, e);
        if (!e->hh.tbl) {
            free(e);
            return -1;
        }
    }
    return ++e->count;
}

static void leave(struct entry **table, const char *name)
{
    struct entry *e;
    HASH_FIND_STR(*table, name, e);
    if (e && --e->count <= 0) {
        HASH_DEL(*table, e);
        free(e);
    }
}

int dw_tally_enter(struct dw_tally *tally, const char *peer, long connections, long per_peer, struct dw_error *err)
{
    if (atomic_fetch_add(&tally->connections, 1) >= connections) {
        atomic_fetch_sub(&tally->connections, 1);
        dw_tally_add(tally, DW_COUNT_LIMIT_CONNECTIONS, 1);
        return dw_error_set(err, DW_ERROR_LIMIT, "limits.connections = %ld is reached", connections);
    }
    pthread_mutex_lock(&tally->lock);
    long got = enter(&tally->peers, peer, per_peer);
    pthread_mutex_unlock(&tally->lock);
    if (got > 0)
        return 0;
    atomic_fetch_sub(&tally->connections, 1);
    if (got < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    dw_tally_add(tally, DW_COUNT_LIMIT_PER_PEER, 1);
    return dw_error_set(err, DW_ERROR_LIMIT, "limits.per_peer = %ld is reached", per_peer);
}

void dw_tally_leave(struct dw_tally *tally, const char *peer)
{
    pthread_mutex_lock(&tally->lock);
    leave(&tally->peers, peer);
    pthread_mutex_unlock(&tally->lock);
    atomic_fetch_sub(&tally->connections, 1);
}

long dw_tally_connections(const struct dw_tally *tally)
{
    return atomic_load(&tally->connections);
}

int dw_tally_enter_user(struct dw_tally *tally, const char *user, long per_user, struct dw_error *err)
{
    pthread_mutex_lock(&tally->lock);
    long got = enter(&tally->users, user, per_user);
    pthread_mutex_unlock(&tally->lock);
    if (got > 0)
        return 0;
    if (got < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    dw_tally_add(tally, DW_COUNT_LIMIT_PER_USER, 1);
    return dw_error_set(err, DW_ERROR_LIMIT, "limits.per_user = %ld is reached", per_user);
}

void dw_tally_leave_user(struct dw_tally *tally, const char *user)
{
    pthread_mutex_lock(&tally->lock);
    leave(&tally->users, user);
    pthread_mutex_unlock(&tally->lock);
}

void dw_tally_note(struct dw_tally *tally, enum dw_note note, const char *name, long delta)
{
    pthread_mutex_lock(&tally->lock);
    struct entry **table = &tally->notes[note], *e;
    HASH_FIND_STR(*table, name, e);
    if (!e && HASH_COUNT(*table) >= MOST_NOTES)
        name = "other";
    if (enter(table, name, 0) > 0) {
        HASH_FIND_STR(*table, name, e);
        e->count += delta - 1;
    }
    pthread_mutex_unlock(&tally->lock);
}

void dw_tally_notes(struct dw_tally *tally, enum dw_note note,
                    void (*each)(void *arg, const char *name, long figure), void *arg)
{
    struct entry *e, *next;
    pthread_mutex_lock(&tally->lock);
    HASH_ITER(hh, tally->notes[note], e, next)
    {
        each(arg, e->name, e->count);
    }
    pthread_mutex_unlock(&tally->lock);
}

struct dw_meter *dw_tally_meter(struct dw_tally *tally)
{
    return &tally->meter;
}

bool dw_tally_exceed(struct dw_tally *tally, const void *who)
{
    const void *nobody = NULL;
    return atomic_compare_exchange_strong(&tally->exceeding, &nobody, who) || nobody == who;
}

void dw_tally_comply(struct dw_tally *tally, const void *who)
{
    atomic_compare_exchange_strong(&tally->exceeding, &who, NULL);
}
