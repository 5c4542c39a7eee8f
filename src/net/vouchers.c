/* Logins that a master may ask for: see vouchers.h. */
#define HASH_NONFATAL_OOM 1
#include "net/vouchers.h"

#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct entry {
    struct entry *prev, *next; /* the oldest first */
    struct dw_voucher voucher;
    uint64_t ends;
};

struct dw_issuer {
    UT_hash_handle hh;
    uint8_t cookie[DW_DOVECOT_COOKIE];
    char *listener;
    struct entry *entries;
    int count;
};

struct dw_vouchers {
    pthread_mutex_t lock;
    struct dw_issuer *by_cookie;
};

void dw_voucher_clear(struct dw_voucher *voucher)
{
    free(voucher->user);
    dw_buf_free(&voucher->fields);
    *voucher = (struct dw_voucher){.user = NULL};
}

static void drop(struct dw_issuer *c, struct entry *e)
{
    DL_DELETE(c->entries, e);
    c->count--;
    dw_voucher_clear(&e->voucher);
    free(e);
}

static void free_issuer(struct dw_issuer *c)
{
    while (c->entries)
        drop(c, c->entries);
    free(c->listener);
    free(c);
}

struct dw_vouchers *dw_vouchers_new(void)
{
    struct dw_vouchers *vouchers = calloc(1, sizeof *vouchers);
    if (vouchers)
        pthread_mutex_init(&vouchers->lock, NULL);
    return vouchers;
}

void dw_vouchers_free(struct dw_vouchers **vouchers)
{
    if (!*vouchers)
        return;
    pthread_mutex_destroy(&(*vouchers)->lock);
    free(*vouchers);
    *vouchers = NULL;
}

struct dw_issuer *dw_vouchers_join(struct dw_vouchers *vouchers, const uint8_t cookie[DW_DOVECOT_COOKIE],
                                   const char *listener)
{
    struct dw_issuer *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    memcpy(c->cookie, cookie, sizeof c->cookie);
    c->listener = strdup(listener);
    if (c->listener) {
        pthread_mutex_lock(&vouchers->lock);
        HASH_ADD(hh, vouchers->by_cookie, cookie, sizeof c->cookie, c);
        pthread_mutex_unlock(&vouchers->lock);
    }
    if (!c->listener || !c->hh.tbl) {
        free_issuer(c);
        c = NULL;
    }
    return c;
}

void dw_vouchers_leave(struct dw_vouchers *vouchers, struct dw_issuer **issuer)
{
    if (!*issuer)
        return;
    pthread_mutex_lock(&vouchers->lock);
    HASH_DEL(vouchers->by_cookie, *issuer);
    pthread_mutex_unlock(&vouchers->lock);
    free_issuer(*issuer);
    *issuer = NULL;
}

/* Letters, digits and what else stands in names of Dovecot's settings. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.");
    return len > 0 && name[len] == '\0';
}

static int put_fields(struct dw_voucher *voucher, const struct dw_decision *d, struct dw_error *err)
{
    for (size_t i = 0; i < d->property_count; i++) {
        const struct dw_property *p = &d->properties[i];
        struct dw_span value = dw_span_make(p->value, p->value_len);
        if (!is_name(p->name) || !dw_text_is_utf8(value) || dw_text_has_control(value))
            return dw_error_set(err, DW_ERROR_TEMPORARY,
                                "the property '%s' is not UTF-8, or holds a control character", p->name);
        if (dw_dovecot_put_field(&voucher->fields, dw_span_str(p->name), value) < 0)
            return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    return 0;
}

int dw_voucher_make(struct dw_voucher *voucher, const char *user, const struct dw_decision *d, struct dw_error *err)
{
    *voucher = (struct dw_voucher){.user = strdup(user)};
    int rc = voucher->user ? put_fields(voucher, d, err) : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (rc == 0 && strlen(user) + dw_buf_len(&voucher->fields) > DW_VOUCHER_BYTES)
        rc =
            dw_error_set(err, DW_ERROR_TEMPORARY, "user and properties have more than %d octets", DW_VOUCHER_BYTES);
    if (rc < 0)
        dw_voucher_clear(voucher);
    return rc;
}

int dw_vouchers_put(struct dw_vouchers *vouchers, struct dw_issuer *c, struct dw_voucher *voucher, uint64_t now)
{
    struct entry *fresh = calloc(1, sizeof *fresh), *e, *next;
    if (!fresh) {
        dw_voucher_clear(voucher);
        return -1;
    }
    *fresh = (struct entry){.voucher = *voucher, .ends = now + DW_VOUCHER_MS};
    *voucher = (struct dw_voucher){.user = NULL};
    pthread_mutex_lock(&vouchers->lock);
    DL_FOREACH_SAFE(c->entries, e, next)
    {
        if (e->ends <= now || e->voucher.exchange == fresh->voucher.exchange)
            drop(c, e);
    }
    if (c->count >= DW_VOUCHERS_MOST)
        drop(c, c->entries);
    DL_APPEND(c->entries, fresh);
    c->count++;
    pthread_mutex_unlock(&vouchers->lock);
    return 0;
}

bool dw_vouchers_take(struct dw_vouchers *vouchers, const char *listener, const struct dw_dovecot_request *request,
                      uint64_t now, struct dw_voucher *voucher)
{
    struct dw_issuer *c;
    struct entry *e = NULL;
    pthread_mutex_lock(&vouchers->lock);
    HASH_FIND(hh, vouchers->by_cookie, request->cookie, sizeof request->cookie, c);
    for (e = c && strcmp(c->listener, listener) == 0 ? c->entries : NULL; e; e = e->next)
        if (e->voucher.exchange == request->exchange && e->voucher.client == request->client)
            break;
    bool found = e && e->ends > now;
    if (found) {
        *voucher = e->voucher;
        e->voucher = (struct dw_voucher){.user = NULL};
        drop(c, e);
    }
    pthread_mutex_unlock(&vouchers->lock);
    return found;
}
