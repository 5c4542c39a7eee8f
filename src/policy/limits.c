/* Counters of the whole process: see limits.h. */
#include "policy/limits.h"

#include "base/buf.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

enum { NONE = 0, BUCKETS = DW_LIMITS_PLACES };

/* Places are numbered from 1 on; 0 is none. */
struct place {
    struct dw_limits_key key;
    double value; /* tokens left, or failures */
    double at; /* when that was so */
    uint32_t next; /* in its bucket */
    uint32_t newer, older;
};

static struct {
    pthread_mutex_t lock;
    struct place *places; /* made at first use, for as long as the process lives */
    uint32_t *buckets;
    uint32_t used, newest, oldest, spare;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

int dw_limits_key(struct dw_limits_key *key, struct dw_span scope, struct dw_span name, struct dw_span who)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint64_t lengths[] = {scope.len, name.len};
    struct dw_buf text = {0};
    int failed = dw_buf_put(&text, dw_span_make(lengths, sizeof lengths)) | dw_buf_put(&text, scope) |
                 dw_buf_put(&text, name) | dw_buf_put(&text, who);
    struct dw_span whole = dw_buf_span(&text);
    failed |= failed ? 0 : EVP_Digest(whole.at, whole.len, digest, NULL, EVP_sha256(), NULL) != 1;
    if (!failed)
        memcpy(key->digest, digest, sizeof key->digest);
    dw_buf_free(&text);
    return failed ? -1 : 0;
}

static uint32_t *bucket_of(const struct dw_limits_key *key)
{
    uint32_t hash;
    memcpy(&hash, key->digest, sizeof hash);
    return &table.buckets[hash % BUCKETS];
}

static void unlink_age(uint32_t n)
{
    struct place *p = &table.places[n];
    *(p->newer ? &table.places[p->newer].older : &table.newest) = p->older;
    *(p->older ? &table.places[p->older].newer : &table.oldest) = p->newer;
}

static void make_newest(uint32_t n)
{
    struct place *p = &table.places[n];
    p->newer = NONE;
    p->older = table.newest;
    *(table.newest ? &table.places[table.newest].newer : &table.oldest) = n;
    table.newest = n;
}

static uint32_t find(const struct dw_limits_key *key)
{
    uint32_t n = table.places ? *bucket_of(key) : NONE;
    while (n && memcmp(table.places[n].key.digest, key->digest, sizeof key->digest) != 0)
        n = table.places[n].next;
    return n;
}

static void forget(uint32_t n)
{
    uint32_t *link = bucket_of(&table.places[n].key);
    while (*link != n)
        link = &table.places[*link].next;
    *link = table.places[n].next;
    unlink_age(n);
    table.places[n].next = table.spare;
    table.spare = n;
}

static bool make_table(void)
{
    if (table.places)
        return true;
    struct place *places = calloc(DW_LIMITS_PLACES + 1, sizeof *places);
    uint32_t *buckets = calloc(BUCKETS, sizeof *buckets);
    if (!places || !buckets) {
        free(places);
        free(buckets);
        return false;
    }
    table.places = places;
    table.buckets = buckets;
    return true;
}

/* The key's place, made with `value` when there is none; NONE when memory is out. */
static uint32_t place_for(const struct dw_limits_key *key, double value, double now)
{
    uint32_t n = find(key);
    if (n) {
        unlink_age(n);
        make_newest(n);
        return n;
    }
    if (!make_table())
        return NONE;
    if (table.used == DW_LIMITS_PLACES && !table.spare)
        forget(table.oldest);
    if (table.spare) {
        n = table.spare;
        table.spare = table.places[n].next;
    } else {
        n = ++table.used;
    }
    uint32_t *bucket = bucket_of(key);
    table.places[n] = (struct place){.key = *key, .value = value, .at = now, .next = *bucket};
    *bucket = n;
    make_newest(n);
    return n;
}

double dw_limits_take(const struct dw_limits_key *key, double most, double rate, double now)
{
    double wait = 1 / rate;
    pthread_mutex_lock(&table.lock);
    uint32_t n = place_for(key, most, now);
    if (n) {
        struct place *p = &table.places[n];
        double passed = now > p->at ? now - p->at : 0;
        p->value = p->value + passed * rate < most ? p->value + passed * rate : most;
        p->at = now > p->at ? now : p->at;
        /* What was refilled in parts may lack a rounding error of a whole token. */
        wait = p->value > 1 - 1e-9 ? 0 : (1 - p->value) / rate;
        if (wait == 0)
            p->value = p->value > 1 ? p->value - 1 : 0;
    }
    pthread_mutex_unlock(&table.lock);
    return wait;
}

double dw_limits_add(const struct dw_limits_key *key, double n_more, double seconds, double now)
{
    double count = n_more;
    pthread_mutex_lock(&table.lock);
    uint32_t n = n_more > 0 ? place_for(key, 0, now) : find(key);
    if (n) {
        struct place *p = &table.places[n];
        if (now - p->at >= seconds)
            p->value = 0;
        if (n_more > 0 && now > p->at)
            p->at = now;
        count = p->value += n_more;
    }
    pthread_mutex_unlock(&table.lock);
    return count;
}

void dw_limits_clear(const struct dw_limits_key *key)
{
    pthread_mutex_lock(&table.lock);
    uint32_t n = find(key);
    if (n)
        forget(n);
    pthread_mutex_unlock(&table.lock);
}
