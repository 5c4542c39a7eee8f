/* What the world makes of xmpp and dovecot listeners: certificates, keys, secrets; see check.h.  Of a configuration with
 * mistakes anything may be missing. */
#include "cmd/check.h"

#include "gss/cred.h"
#include "net/xmpp_secret.h"
#include "tls/certificate.h"
#include "tls/issue.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A certificate that ends sooner is told of. */
#define SOON_DAYS 14

/* One domain under check. */
struct place {
    struct dw_check *check;
    const struct dw_config *config;
    const struct dw_listener_config *listener;
    const struct dw_xmpp_domain_config *domain; /* NULL: the listener itself */
};

#define FINDING(p, where, ...) dw_check_tell((p)->check, DW_CHECK_FINDING, where, __VA_ARGS__)
#define WARNING(p, where, ...) dw_check_tell((p)->check, DW_CHECK_WARNING, where, __VA_ARGS__)

/* Where the domain's entry has the key, or else the listener, from which it then comes. */
static const char *where_of(const struct place *p, const char *key)
{
    const char *at = p->domain ? p->domain->at : "", *entry, *own;
    char path[400];
    if (!*at)
        return dw_config_where(p->config, p->listener, key);
    snprintf(path, sizeof path, "%s.%.*s", at, (int)strcspn(key, "."), key);
    entry = dw_config_where(p->config, p->listener, at);
    own = dw_config_where(p->config, p->listener, path);
    if (own == entry)
        return dw_config_where(p->config, p->listener, key);
    snprintf(path, sizeof path, "%s.%s", at, key);
    return dw_config_where(p->config, p->listener, path);
}

static const char *keytab_where(const struct place *p, const char *keytab)
{
    bool shared = p->config->keytab && strcmp(p->config->keytab, keytab) == 0;
    return shared ? dw_config_where(p->config, NULL, "keytab") : where_of(p, "keytab");
}

/* -- certificates --------------------------------------------------------------------------------------- */

static void check_end(const struct place *p, const char *where, const char *what, const char *path)
{
    struct dw_error err = {0};
    double ends;
    char until[32];
    if (dw_tls_certificate_ends(path, &ends, &err) < 0) {
        FINDING(p, where, "%s", err.detail);
        return;
    }
    time_t when = (time_t)ends, now = time(NULL);
    struct tm parts;
    strftime(until, sizeof until, "%Y-%m-%d %H:%M UTC", gmtime_r(&when, &parts));
    if (ends <= (double)now)
        FINDING(p, where, "%s %s has ended, on %s", what, path, until);
    else if (ends < (double)now + SOON_DAYS * 86400.0)
        WARNING(p, where, "%s %s ends soon, on %s", what, path, until);
}

static void check_certificate(const struct place *p)
{
    const struct dw_xmpp_domain_config *d = p->domain;
    const char *where = where_of(p, "tls.certificate");
    struct dw_error err = {0};
    if (!d->certificate || !d->key)
        return;
    dw_check_secret(p->check, where_of(p, "tls.key"), "key", d->key);
    const char *names[] = {d->domain, NULL};
    struct dw_tls_certificate one = {d->certificate, d->key, names};
    struct dw_tls_context *tls = access(d->key, R_OK) == 0 ? dw_tls_server_new(&one, 1, NULL, &err) : NULL;
    if (!tls && err.kind) {
        FINDING(p, where, "%s", err.detail);
        return;
    }
    dw_tls_context_release(&tls);
    check_end(p, where, "certificate", d->certificate);
    if (dw_tls_certificate_covers(d->certificate, d->domain, &err) == 0)
        FINDING(p, where, "%s", err.detail);
}

/* -- keys ----------------------------------------------------------------------------------------------- */

static bool has(const struct dw_cred *cred, const struct dw_xmpp_domain_config *d, const char *a, const char *b)
{
    char name[600];
    snprintf(name, sizeof name, b ? "xmpp/%s/%s" : "xmpp/%s", a, b);
    return dw_cred_has(cred, name, d->realm);
}

static void check_keys(const struct place *p)
{
    const struct dw_xmpp_domain_config *d = p->domain;
    struct dw_error err = {0};
    if (!d->keytab || !dw_check_keytab(p->check, keytab_where(p, d->keytab), d->keytab))
        return;
    struct dw_acceptor_options options = {.keytab = d->keytab, .realm = d->realm};
    struct dw_cred *cred = dw_cred_acceptor(&options, &err);
    if (!cred) {
        FINDING(p, keytab_where(p, d->keytab), "%s", err.detail);
        return;
    }
    bool full = d->hostname && has(cred, d, d->hostname, d->domain);
    bool any = full || has(cred, d, d->domain, NULL) || (d->hostname && has(cred, d, d->hostname, NULL));
    for (char **host = d->hosts; host && *host && !any; host++)
        any = has(cred, d, *host, NULL);
    const char *where = *d->at ? dw_config_where(p->config, p->listener, d->at) : where_of(p, "domain");
    if (!any)
        FINDING(p, where, "keytab %s has no xmpp key for %s%s%s%s: no client could log in", d->keytab, d->domain,
                d->hostname ? " (xmpp/" : "", d->hostname ? d->hostname : "", d->hostname ? "/..)" : "");
    else if (d->hostname && !full)
        WARNING(p, where,
                "keytab %s has no key for xmpp/%s/%s, which clients that read <hostname/> (XEP-0233) ask for",
                d->keytab, d->hostname, d->domain);
    dw_cred_free(&cred);
}

/* -- the backend ---------------------------------------------------------------------------------------- */

static void check_secret_file(const struct place *p, const char *path)
{
    const char *where = where_of(p, "backend.secret_file");
    struct dw_buf secret = {0};
    struct dw_error err = {0};
    dw_check_secret(p->check, where, "secret_file", path);
    if (access(path, R_OK) == 0 && dw_xmpp_secret_read(path, &secret, &err) < 0)
        FINDING(p, where, "%s", err.detail);
    dw_buf_free(&secret);
}

static void check_authority(const struct place *p, const struct dw_xmpp_backend_config *b)
{
    const char *where = where_of(p, "backend.ca_certificate");
    struct dw_error err = {0};
    dw_check_secret(p->check, where_of(p, "backend.ca_key"), "ca_key", b->ca_key);
    if (access(b->ca_key, R_OK) < 0)
        return;
    struct dw_tls_issuer *issuer = dw_tls_issuer_new(b->ca_certificate, b->ca_key, &err);
    if (!issuer)
        FINDING(p, where, "%s", err.detail);
    else
        check_end(p, where, "ca_certificate", b->ca_certificate);
    dw_tls_issuer_release(&issuer);
}

static void check_backend(const struct place *p)
{
    const struct dw_xmpp_backend_config *b = &p->domain->backend;
    struct dw_tls_client_options options = {.ca_file = b->ca_file};
    struct dw_error err = {0};
    if (b->ca_file) {
        struct dw_tls_context *tls = dw_tls_client_new(&options, &err);
        if (!tls)
            FINDING(p, where_of(p, "backend.ca_file"), "%s", err.detail);
        dw_tls_context_release(&tls);
    }
    if (b->secret_file)
        check_secret_file(p, b->secret_file);
    if (b->ca_certificate && b->ca_key)
        check_authority(p, b);
}

void dw_check_xmpp(struct dw_check *check, const struct dw_config *config,
                   const struct dw_listener_config *listener)
{
    for (size_t i = 0; i < listener->domain_count; i++) {
        struct place p = {check, config, listener, &listener->domains[i]};
        check_certificate(&p);
        check_keys(&p);
        check_backend(&p);
    }
}

void dw_check_dovecot(struct dw_check *check, const struct dw_config *config,
                      const struct dw_listener_config *listener)
{
    struct place p = {check, config, listener, NULL};
    struct dw_error err = {0};
    if (!listener->keytab || !dw_check_keytab(check, keytab_where(&p, listener->keytab), listener->keytab))
        return;
    struct dw_acceptor_options options = {.keytab = listener->keytab, .realm = listener->realm};
    struct dw_cred *cred = dw_cred_acceptor(&options, &err);
    if (!cred)
        FINDING(&p, keytab_where(&p, listener->keytab), "%s", err.detail);
    for (char **service = listener->services; cred && service && *service; service++)
        if (!dw_cred_serves(cred, *service, listener->realm))
            FINDING(&p, dw_config_where(config, listener, "services"), "keytab %s has no key for service '%s'",
                    listener->keytab, *service);
    dw_cred_free(&cred);
}
