/* Certificates, trust and secrets of xmpp listeners: see xmpp_means.h. */
#include "net/xmpp_means.h"

#include "base/text.h"
#include "net/xmpp_secret.h"
#include "tls/certificate.h"

#include <stdlib.h>
#include <time.h>

/* A certificate that ends sooner is told of, at each reload. */
#define SOON_SECONDS (14 * 86400)

struct dw_xmpp_means {
    struct dw_config *config;
    struct dw_xmpp_entrance *entrances;
    size_t count;
};

static void clear_way(struct dw_xmpp_way *way)
{
    dw_tls_context_release(&way->tls);
    dw_tls_issuer_release(&way->issuer);
    dw_buf_free(&way->secret);
}

void dw_xmpp_means_free(struct dw_xmpp_means **means)
{
    struct dw_xmpp_means *m = *means;
    *means = NULL;
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++) {
        struct dw_xmpp_entrance *e = &m->entrances[i];
        for (size_t d = 0; e->ways && d < e->listener->domain_count; d++)
            clear_way(&e->ways[d]);
        dw_tls_context_release(&e->tls);
        free(e->ways);
        free(e->domains);
    }
    free(m->entrances);
    dw_config_release(&m->config);
    free(m);
}

const struct dw_xmpp_entrance *dw_xmpp_means_of(const struct dw_xmpp_means *m,
                                                const struct dw_listener_config *listener)
{
    for (size_t i = 0; m && i < m->count; i++)
        if (m->entrances[i].listener == listener)
            return &m->entrances[i];
    return NULL;
}

/* -- what stood before ---------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const struct dw_xmpp_entrance *old_entrance(const struct dw_xmpp_means *old, const char *name)
{
    for (size_t i = 0; old && i < old->count; i++)
        if (strcmp(old->entrances[i].listener->name, name) == 0)
            return &old->entrances[i];
    return NULL;
}

/* The same domains with the same files. */
static bool shows_the_same(const struct dw_listener_config *a, const struct dw_listener_config *b)
{
    if (a->domain_count != b->domain_count || a->direct_tls != b->direct_tls)
        return false;
    for (size_t i = 0; i < a->domain_count; i++)
        if (!is_same(a->domains[i].domain, b->domains[i].domain) ||
            !is_same(a->domains[i].certificate, b->domains[i].certificate) ||
            !is_same(a->domains[i].key, b->domains[i].key))
            return false;
    return true;
}

static const struct dw_xmpp_way *old_way(const struct dw_xmpp_entrance *old, const struct dw_xmpp_domain_config *d)
{
    for (size_t i = 0; old && i < old->listener->domain_count; i++) {
        const struct dw_xmpp_domain_config *was = &old->listener->domains[i];
        const struct dw_xmpp_backend_config *a = &was->backend, *b = &d->backend;
        if (is_same(was->domain, d->domain) && a->is_clear == b->is_clear && a->login == b->login &&
            is_same(a->ca_file, b->ca_file) && is_same(a->secret_file, b->secret_file) &&
            is_same(a->ca_certificate, b->ca_certificate) && is_same(a->ca_key, b->ca_key))
            return &old->ways[i];
    }
    return NULL;
}

/* -- reading -------------------------------------------------------------------------------------------- */

static int read_entrance(struct dw_xmpp_entrance *e, struct dw_error *err)
{
    const struct dw_listener_config *l = e->listener;
    struct dw_tls_certificate *certificates = calloc(l->domain_count + 1, sizeof *certificates);
    const char **names = calloc(2 * l->domain_count + 1, sizeof *names);
    if (certificates && names) {
        for (size_t i = 0; i < l->domain_count; i++) {
            names[2 * i] = l->domains[i].domain;
            certificates[i] =
                (struct dw_tls_certificate){l->domains[i].certificate, l->domains[i].key, &names[2 * i]};
        }
        e->tls = dw_tls_server_new(certificates, l->domain_count, l->direct_tls ? "xmpp-client" : NULL, err);
    } else {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    free(certificates);
    free(names);
    return e->tls ? 0 : -1;
}

static int read_way(struct dw_xmpp_way *way, const struct dw_xmpp_backend_config *b, struct dw_error *err)
{
    struct dw_tls_client_options options = {.ca_file = b->ca_file};
    if (!b->is_clear && !(way->tls = dw_tls_client_new(&options, err)))
        return -1;
    if (b->login == DW_LOGIN_EXTERNAL)
        return (way->issuer = dw_tls_issuer_new(b->ca_certificate, b->ca_key, err)) ? 0 : -1;
    return dw_xmpp_secret_read(b->secret_file, &way->secret, err);
}

static void complain(const char *listener, const char *domain, const char *why)
{
    dw_log(DW_LOG_ERROR, "a file has changed but is unusable, what was read before goes on", "listener", listener,
           "domain", domain, "why", why, NULL);
}

static int take_way(struct dw_xmpp_way *way, const struct dw_xmpp_domain_config *d, const struct dw_xmpp_way *was,
                    const char *listener, struct dw_error *err)
{
    struct dw_error why = {0};
    if (read_way(way, &d->backend, &why) == 0)
        return 0;
    clear_way(way);
    if (!was)
        return dw_error_set(err, why.kind, "listener '%s', backend of %s: %s", listener, d->domain, why.detail);
    complain(listener, d->domain, why.detail);
    way->tls = was->tls ? dw_tls_context_hold(was->tls) : NULL;
    way->issuer = was->issuer ? dw_tls_issuer_hold(was->issuer) : NULL;
    if (dw_buf_put(&way->secret, dw_buf_span(&was->secret)) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return 0;
}

/* It is shown all the same: clients will say what they think of it. */
static void look_at(const char *listener, const struct dw_xmpp_domain_config *d)
{
    struct dw_error why = {0};
    double ends, now = (double)time(NULL);
    const char *what = NULL;
    char until[32];
    if (dw_tls_certificate_ends(d->certificate, &ends, &why) == 0 && ends < now + SOON_SECONDS)
        what = ends < now ? "certificate has ended" : "certificate ends soon";
    if (what)
        dw_log(DW_LOG_WARN, what, "listener", listener, "domain", d->domain, "certificate", d->certificate, "ends",
               dw_text_time(until, (long long)(ends * 1e6)), NULL);
    if (dw_tls_certificate_covers(d->certificate, d->domain, &why) == 0)
        dw_log(DW_LOG_WARN, "certificate is for others", "listener", listener, "domain", d->domain, "why",
               why.detail, NULL);
}

static int take_entrance(struct dw_xmpp_entrance *e, const struct dw_xmpp_entrance *was, struct dw_error *err)
{
    const struct dw_listener_config *l = e->listener;
    struct dw_error why = {0};
    e->domains = calloc(l->domain_count + 1, sizeof *e->domains);
    e->ways = calloc(l->domain_count + 1, sizeof *e->ways);
    if (!e->domains || !e->ways)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (read_entrance(e, &why) < 0) {
        if (!was || !shows_the_same(was->listener, l))
            return dw_error_set(err, why.kind, "listener '%s': %s", l->name, why.detail);
        complain(l->name, NULL, why.detail);
        e->tls = dw_tls_context_hold(was->tls);
    }
    for (size_t i = 0; i < l->domain_count; i++) {
        e->domains[i] = l->domains[i].domain;
        look_at(l->name, &l->domains[i]);
        if (take_way(&e->ways[i], &l->domains[i], old_way(was, &l->domains[i]), l->name, err) < 0)
            return -1;
    }
    return 0;
}

struct dw_xmpp_means *dw_xmpp_means_new(struct dw_config *config, const struct dw_xmpp_means *old,
                                        struct dw_error *err)
{
    struct dw_xmpp_means *m = calloc(1, sizeof *m);
    if (m)
        m->entrances = calloc(config->listener_count + 1, sizeof *m->entrances);
    if (!m || !m->entrances) {
        free(m);
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    m->config = dw_config_hold(config);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct dw_listener_config *l = &config->listeners[i];
        if (l->kind != DW_LISTEN_XMPP)
            continue;
        struct dw_xmpp_entrance *e = &m->entrances[m->count++];
        e->listener = l;
        if (take_entrance(e, old_entrance(old, l->name), err) < 0) {
            dw_xmpp_means_free(&m);
            return NULL;
        }
    }
    return m;
}
