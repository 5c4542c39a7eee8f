/* Who holds which ZMTP identity: see identity.h. */
#define HASH_NONFATAL_OOM 1
#include "net/identity.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    struct dw_holder holder, waiter;
    bool waited;
    char *user;
    size_t key_len;
    uint8_t key[]; /* backend, NUL, identity */
};

struct dw_identities {
    pthread_mutex_t lock;
    struct entry *table;
    dw_identity_tell leave, granted;
};

struct dw_identities *dw_identities_new(dw_identity_tell leave, dw_identity_tell granted)
{
    struct dw_identities *ids = calloc(1, sizeof *ids);
    if (!ids)
        return NULL;
    pthread_mutex_init(&ids->lock, NULL);
    ids->leave = leave;
    ids->granted = granted;
    return ids;
}

static void drop(struct dw_identities *ids, struct entry *e)
{
    HASH_DEL(ids->table, e);
    free(e->user);
    free(e);
}

void dw_identities_free(struct dw_identities **identities)
{
    if (!*identities)
        return;
    struct entry *e, *next;
    HASH_ITER(hh, (*identities)->table, e, next)
    {
        drop(*identities, e);
    }
    pthread_mutex_destroy(&(*identities)->lock);
    free(*identities);
    *identities = NULL;
}

static struct entry *make(const char *backend, struct dw_span identity)
{
    size_t len = strlen(backend);
    struct entry *e = calloc(1, sizeof *e + len + 1 + identity.len);
    if (!e)
        return NULL;
    memcpy(e->key, backend, len + 1);
    memcpy(e->key + len + 1, identity.at, identity.len);
    e->key_len = len + 1 + identity.len;
    return e;
}

static bool is_same(struct dw_holder a, struct dw_holder b)
{
    return a.worker == b.worker && a.number == b.number;
}

/* Takes the place in the queue, of which there is one: whoever waited before is told to go. */
static enum dw_claim wait_for(struct dw_identities *ids, struct entry *e, struct dw_holder holder, const char *user)
{
    if (strcmp(e->user, user) != 0)
        return DW_CLAIM_REFUSED;
    ids->leave(e->waited ? e->waiter : e->holder);
    e->waiter = holder;
    e->waited = true;
    return DW_CLAIM_WAIT;
}

enum dw_claim dw_identity_claim(struct dw_identities *ids, struct dw_holder holder, const char *backend,
                                struct dw_span identity, const char *user)
{
    struct entry *fresh = make(backend, identity), *e;
    if (!fresh)
        return DW_CLAIM_FAILED;
    enum dw_claim claim = DW_CLAIM_FAILED;
    pthread_mutex_lock(&ids->lock);
    HASH_FIND(hh, ids->table, fresh->key, fresh->key_len, e);
    if (e) {
        claim = wait_for(ids, e, holder, user);
    } else if ((fresh->user = strdup(user))) {
        fresh->holder = holder;
        HASH_ADD_KEYPTR(hh, ids->table, fresh->key, fresh->key_len, fresh);
        if (fresh->hh.tbl)
            claim = DW_CLAIM_GRANTED;
    }
    pthread_mutex_unlock(&ids->lock);
    if (claim != DW_CLAIM_GRANTED) {
        free(fresh->user);
        free(fresh);
    }
    return claim;
}

void dw_identity_release(struct dw_identities *ids, struct dw_holder holder, const char *backend,
                         struct dw_span identity)
{
    struct entry *key = make(backend, identity), *e = NULL;
    pthread_mutex_lock(&ids->lock);
    if (key) {
        HASH_FIND(hh, ids->table, key->key, key->key_len, e);
    } else {
        /* Without memory for a key the table is walked: a release may not fail. */
        struct entry *next;
        size_t len = strlen(backend) + 1;
        HASH_ITER(hh, ids->table, e, next)
        {
            if (e->key_len == len + identity.len && !memcmp(e->key, backend, len) &&
                !memcmp(e->key + len, identity.at, identity.len))
                break;
        }
    }
    if (e && e->waited && is_same(e->waiter, holder)) {
        e->waited = false;
    } else if (e && is_same(e->holder, holder)) {
        if (e->waited) {
            e->holder = e->waiter;
            e->waited = false;
            ids->granted(e->holder);
        } else {
            drop(ids, e);
        }
    }
    pthread_mutex_unlock(&ids->lock);
    free(key);
}
