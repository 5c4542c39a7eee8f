/* A toy TLS: see toy_tls.h. */
#include "toy_tls.h"

#include <stdlib.h>

struct dw_tls_context {
    int holds;
};

struct dw_tls {
    struct dw_tls_context *context;
    const char *name;
    bool connects, greeted, up, ended, settled;
};

static int sessions;
static struct dw_tls_context context;

struct dw_tls_context *toy_tls_context(void)
{
    return &context;
}

int toy_tls_alive(void)
{
    return sessions + context.holds;
}

bool toy_tls_is_settled(const struct dw_tls *tls)
{
    return tls->settled;
}

const char *toy_tls_name(const struct dw_tls *tls)
{
    return tls->name;
}

struct dw_tls_context *dw_tls_context_hold(struct dw_tls_context *held)
{
    held->holds++;
    return held;
}

void dw_tls_context_release(struct dw_tls_context **held)
{
    if (*held)
        (*held)->holds--;
    *held = NULL;
}

static struct dw_tls *make(const char *name, bool connects)
{
    struct dw_tls *tls = calloc(1, sizeof *tls);
    if (!tls)
        return NULL;
    sessions++;
    tls->name = name;
    tls->connects = connects;
    return tls;
}

struct dw_tls *dw_tls_accept(struct dw_tls_context *unused, const char *domain)
{
    (void)unused;
    return make(domain, false);
}

struct dw_tls *dw_tls_connect(struct dw_tls_context *unused, const char *name, const char *alpn,
                              const struct dw_tls_pair *pair)
{
    (void)unused, (void)alpn, (void)pair;
    return make(name, true);
}

void dw_tls_free(struct dw_tls **tls)
{
    sessions -= *tls != NULL;
    free(*tls);
    *tls = NULL;
}

static int greet(struct dw_tls *tls, struct dw_buf *out, struct dw_error *err)
{
    if (tls->greeted)
        return 0;
    tls->greeted = true;
    return dw_buf_put_u8(out, TOY_TLS_HELLO) < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
}

int dw_tls_feed(struct dw_tls *tls, struct dw_span in, struct dw_buf *plain, struct dw_buf *out,
                struct dw_error *err)
{
    if (tls->connects && greet(tls, out, err) < 0)
        return -1;
    for (size_t i = 0; i < in.len && !tls->ended; i++) {
        uint8_t c = in.at[i];
        if (c == TOY_TLS_WRONG || (!tls->up && c != TOY_TLS_HELLO))
            return dw_error_set(err, DW_ERROR_PROTOCOL, "not TLS");
        if (c == TOY_TLS_BYE) {
            tls->ended = true;
        } else if (tls->up) {
            if (dw_buf_put_u8(plain, c ^ TOY_TLS_CHANGE) < 0)
                return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        } else {
            if (greet(tls, out, err) < 0)
                return -1;
            tls->up = true;
        }
    }
    return tls->ended ? DW_TLS_ENDED : tls->up ? DW_TLS_UP : DW_TLS_HANDSHAKE;
}

void toy_tls_put(struct dw_buf *out, struct dw_span plain)
{
    for (size_t i = 0; i < plain.len; i++)
        dw_buf_put_u8(out, plain.at[i] ^ TOY_TLS_CHANGE);
}

int dw_tls_send(struct dw_tls *tls, struct dw_span plain, struct dw_buf *out, struct dw_error *err)
{
    if (!tls->up)
        return dw_error_set(err, DW_ERROR_INTERNAL, "there is no session yet");
    uint8_t *at = dw_buf_room(out, plain.len + 1);
    if (!at)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    for (size_t i = 0; i < plain.len; i++)
        at[i] = plain.at[i] ^ TOY_TLS_CHANGE;
    dw_buf_added(out, plain.len);
    return 0;
}

void dw_tls_end(struct dw_tls *tls, struct dw_buf *out)
{
    (void)tls;
    dw_buf_put_u8(out, TOY_TLS_BYE);
}

void dw_tls_settle(struct dw_tls *tls)
{
    tls->settled = true;
}

int dw_tls_binding(const struct dw_tls *tls, const char *type, struct dw_buf *out, struct dw_error *err)
{
    (void)tls;
    if (strcmp(type, "tls-exporter") != 0 && strcmp(type, "tls-server-end-point") != 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "no binding of that type");
    if (dw_buf_put(out, DW_SPAN_OF("toy:")) < 0 || dw_buf_put(out, dw_span_str(type)) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return 0;
}
