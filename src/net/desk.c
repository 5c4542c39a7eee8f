/* The credentials of a worker: see desk.h. */
#include "net/desk.h"

#include "base/log.h"

#include <stdlib.h>

struct seat {
    struct seat *next;
    char *keytab, *service, *realm;
    struct dw_cred *cred;
    time_t complained;
};

struct dw_outbound {
    struct dw_outbound *next;
    char *ccache, *keytab, *principal;
    struct dw_cred *cred;
    bool is_taken;
    struct dw_outbound_turn *waiting, **waiting_end;
};

struct dw_desk {
    char *rcache;
    struct seat *seats;
    struct dw_outbound *outbounds;
};

struct dw_desk *dw_desk_new(const char *rcache)
{
    struct dw_desk *desk = calloc(1, sizeof *desk);
    if (desk && rcache && !(desk->rcache = strdup(rcache))) {
        free(desk);
        return NULL;
    }
    return desk;
}

static void free_seat(struct seat *s)
{
    dw_cred_free(&s->cred);
    free(s->keytab);
    free(s->service);
    free(s->realm);
    free(s);
}

static void free_outbound(struct dw_outbound *o)
{
    dw_cred_free(&o->cred);
    free(o->ccache);
    free(o->keytab);
    free(o->principal);
    free(o);
}

void dw_desk_free(struct dw_desk **desk)
{
    if (!*desk)
        return;
    for (struct seat *s = (*desk)->seats, *next; s; s = next) {
        next = s->next;
        free_seat(s);
    }
    for (struct dw_outbound *o = (*desk)->outbounds, *next; o; o = next) {
        next = o->next;
        free_outbound(o);
    }
    free((*desk)->rcache);
    free(*desk);
    *desk = NULL;
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* NULL copies to NULL. */
static bool copy(char **into, const char *text)
{
    return !text || (*into = strdup(text));
}

static struct seat *seat_of(struct dw_desk *desk, const char *keytab, const char *service, const char *realm)
{
    for (struct seat *s = desk->seats; s; s = s->next)
        if (is_same(s->keytab, keytab) && is_same(s->service, service) && is_same(s->realm, realm))
            return s;
    return NULL;
}

/* Only what a keytab holds gets a seat: a policy may pass on what a client asked for. */
static const struct dw_cred *take_seat(struct dw_desk *desk, const char *keytab, const char *service,
                                       const char *realm, struct dw_error *err)
{
    struct dw_acceptor_options options = {keytab, service, realm, desk->rcache};
    struct seat *s = calloc(1, sizeof *s);
    if (!s || !copy(&s->keytab, keytab) || !copy(&s->service, service) || !copy(&s->realm, realm))
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else if ((s->cred = dw_cred_acceptor(&options, err))) {
        s->next = desk->seats;
        desk->seats = s;
        return s->cred;
    }
    if (s)
        free_seat(s);
    return NULL;
}

const struct dw_cred *dw_desk_acceptor(struct dw_desk *desk, const char *keytab, const char *service,
                                       const char *realm, struct dw_error *err)
{
    struct seat *s = seat_of(desk, keytab, service, realm);
    if (!s)
        return take_seat(desk, keytab, service, realm, err);
    struct dw_error stale = {0};
    time_t now = time(NULL);
    if (dw_cred_refresh(s->cred, &stale) < 0 && now != s->complained) {
        s->complained = now;
        dw_log(DW_LOG_ERROR, "keytab has changed but is unusable, the old keys go on", "keytab", keytab, "service",
               service, "why", stale.detail, NULL);
    }
    return s->cred;
}

struct dw_outbound *dw_desk_outbound(struct dw_desk *desk, const char *ccache, const char *keytab,
                                     const char *principal)
{
    for (struct dw_outbound *o = desk->outbounds; o; o = o->next)
        if (is_same(o->ccache, ccache) && is_same(o->keytab, keytab) && is_same(o->principal, principal))
            return o;
    struct dw_outbound *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    if (!copy(&o->ccache, ccache) || !copy(&o->keytab, keytab) || !copy(&o->principal, principal)) {
        free_outbound(o);
        return NULL;
    }
    o->next = desk->outbounds;
    desk->outbounds = o;
    return o;
}

bool dw_outbound_enter(struct dw_outbound *o, struct dw_outbound_turn *turn)
{
    if (!o->is_taken)
        return o->is_taken = true;
    turn->next = NULL;
    *(o->waiting ? o->waiting_end : &o->waiting) = turn;
    o->waiting_end = &turn->next;
    return false;
}

struct dw_outbound_turn *dw_outbound_leave(struct dw_outbound *o)
{
    struct dw_outbound_turn *turn = o->waiting;
    o->is_taken = turn != NULL;
    if (turn)
        o->waiting = turn->next;
    return turn;
}

static int begin_once(struct dw_outbound *o, const char *service, const char *realm, struct dw_context **context,
                      struct dw_buf *reply, struct dw_error *err)
{
    if (!o->cred) {
        struct dw_initiator_options options = {o->ccache, o->keytab, o->principal};
        o->cred = dw_cred_initiator(&options, err);
    }
    if (!o->cred || !(*context = dw_context_initiate(o->cred, service, realm, err)))
        return -1;
    int progress = dw_context_step(*context, DW_SPAN_OF(""), reply, err);
    if (progress < 0)
        dw_context_free(context);
    return progress;
}

int dw_outbound_begin(struct dw_outbound *o, const char *service, const char *realm, struct dw_context **context,
                      struct dw_buf *reply, struct dw_error *err)
{
    bool fresh = !o->cred;
    int progress = begin_once(o, service, realm, context, reply, err);
    if (progress < 0) {
        dw_cred_free(&o->cred);
        dw_buf_clear(reply, 4096);
        if (!fresh)
            progress = begin_once(o, service, realm, context, reply, err);
    }
    return progress;
}
