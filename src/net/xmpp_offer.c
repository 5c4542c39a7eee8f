/* What an xmpp listener answers as, and which mechanisms it offers: as far as there are keys.  See xmpp.h. */
#include "net/xmpp.h"

#include "base/text.h"
#include "net/desk.h"

#include <stdio.h>
#include <stdlib.h>

/* -- names ---------------------------------------------------------------------------------------------- */

static void free_list(char ***list)
{
    for (char **one = *list; one && *one; one++)
        free(*one);
    free(*list);
    *list = NULL;
}

static bool holds(char *const *list, const char *text)
{
    for (; *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

/* "xmpp/A" or "xmpp/A/B", once. */
static int add(char **list, const char *a, const char *b)
{
    char *name = NULL;
    if (asprintf(&name, b ? "xmpp/%s/%s" : "xmpp/%s", a, b) < 0)
        return -1;
    if (holds(list, name)) {
        free(name);
        return 0;
    }
    while (*list)
        list++;
    *list = name;
    return 0;
}

/* What clients ask tickets for: XEP-0233's name, and what those ask for that do not read it. */
static char **names_of(const struct dw_xmpp_domain_config *d, const char *hostname)
{
    size_t count = 4;
    for (char **host = d->hosts; host && *host; host++)
        count++;
    char **list = calloc(count, sizeof *list);
    if (!list)
        return NULL;
    int rc = hostname ? add(list, hostname, d->domain) : 0;
    if (rc == 0 && hostname)
        rc = add(list, hostname, NULL);
    if (rc == 0)
        rc = add(list, d->domain, NULL);
    for (char **host = d->hosts; rc == 0 && host && *host; host++)
        rc = add(list, *host, NULL);
    if (rc < 0)
        free_list(&list);
    return list;
}

/* The one that a policy has chosen, without its realm. */
static char **only(const char *full)
{
    char **list = calloc(2, sizeof *list);
    const char *at = strrchr(full, '@');
    if (list && !(list[0] = strndup(full, at ? (size_t)(at - full) : strlen(full))))
        free_list(&list);
    return list;
}

void dw_xmpp_offer_forget(struct dw_xmpp_own *own)
{
    free_list(&own->targets);
    free(own->realm);
    own->realm = NULL;
}

void dw_xmpp_targets(const struct dw_xmpp_own *own, char *into, size_t size)
{
    size_t used = 0;
    *into = '\0';
    for (char **name = own->targets; name && *name && used < size; name++)
        used += (size_t)snprintf(into + used, size - used, "%s%s", used ? ", " : "", *name);
}

/* struct dw_sasl_options, is_ours: the ticket may be for any key of the keytab, but only these are answered to. */
static bool is_ours(void *arg, const char *target)
{
    const struct dw_xmpp_own *own = arg;
    for (char **name = own->targets; name && *name; name++) {
        size_t len = strlen(*name);
        if (strncmp(target, *name, len) == 0 && target[len] == '@')
            return !own->realm || strcmp(target + len + 1, own->realm) == 0;
    }
    return false;
}

/* -- the offer ------------------------------------------------------------------------------------------ */

static bool has_key(const struct dw_cred *cred, char *const *targets, const char *realm)
{
    for (; *targets; targets++)
        if (dw_cred_has(cred, *targets, realm))
            return true;
    return false;
}

static int replace(char **field, const char *text)
{
    free(*field);
    *field = text ? strdup(text) : NULL;
    return !text || *field ? 0 : -1;
}

/* A policy may have put it together from what a client sent. */
static bool is_host(const char *text)
{
    struct dw_span name = dw_span_str(text);
    return !text || (name.len > 0 && name.len < 256 && dw_text_is_utf8(name) && !dw_text_has_control(name) &&
                     !strpbrk(text, " /@\\<>&\"'"));
}

static const struct dw_cred *choose(struct dw_conn *conn, const struct dw_decision *d, struct dw_error *err)
{
    struct dw_xmpp_own *own = conn->own;
    const char *keytab = d->keytab ? d->keytab : own->domain->keytab;
    const char *hostname = d->hostname ? d->hostname : own->domain->hostname;
    const char *realm = d->realm ? d->realm : own->domain->realm;
    if (!dw_config_names_keytab(conn->settings->config, keytab)) {
        dw_error_set(err, DW_ERROR_INTERNAL, "the policy names keytab %s, which the configuration does not",
                     keytab);
        return NULL;
    }
    if (!is_host(hostname)) {
        dw_error_set(err, DW_ERROR_INTERNAL, "the policy names a hostname that is none");
        return NULL;
    }
    const struct dw_cred *cred = dw_desk_acceptor(conn->worker->desk, keytab, d->service, realm, err);
    if (!cred)
        return NULL;
    free_list(&own->targets);
    const char *pinned = d->service ? dw_cred_name(cred) : NULL;
    own->targets = pinned ? only(pinned) : names_of(own->domain, hostname);
    if (!own->targets || replace(&own->hostname, hostname) < 0 || replace(&own->realm, realm) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    if (!pinned && !has_key(cred, own->targets, realm)) {
        char names[300];
        dw_xmpp_targets(own, names, sizeof names);
        dw_error_set(err, DW_ERROR_INTERNAL, "keytab %s has no key for any of %s%s%s", keytab, names,
                     realm ? " in realm " : "", realm ? realm : "");
        return NULL;
    }
    return cred;
}

static bool has_plus(const struct dw_listener_config *l)
{
    for (char **word = l->mechanisms; *word; word++)
        if (strcmp(*word, "GS2-KRB5-PLUS") == 0)
            return true;
    return false;
}

void dw_xmpp_offer(struct dw_conn *conn, const struct dw_decision *d)
{
    static const char *const nothing[] = {NULL};
    const struct dw_listener_config *l = conn->listener;
    struct dw_xmpp_own *own = conn->own;
    struct dw_error err = {0};
    if (d->verdict == DW_DENY) {
        dw_xmpp_end(conn, "policy-violation", NULL, "refused");
        return;
    }
    if (d->verdict == DW_TEMPORARY) {
        dw_xmpp_end(conn, "internal-server-error", NULL, "temporary");
        return;
    }
    const struct dw_cred *cred = choose(conn, d, &err);
    if (!cred)
        dw_conn_log(conn, DW_LOG_ERROR, "no mechanism is offered", "why", err.detail);
    own->is_offered = cred != NULL;
    bool plus = has_plus(l);
    struct dw_xmpp_offer offer = {
        .mechanisms = cred ? (const char *const *)l->mechanisms : nothing,
        .hostname = cred ? own->hostname : NULL,
        .hostname_namespaces = (const char *const *)l->hostname_namespaces,
        .hostname_in_features = l->hostname_in_features,
        .binding_types = cred && plus,
        .sasl = {.cred = cred,
                 .is_ours = is_ours,
                 .arg = own,
                 .require_mutual = l->require_mutual,
                 .plus_offered = plus},
    };
    if (dw_xmpp_client_offer(conn->near.machine, &offer) < 0) {
        dw_conn_log(conn, DW_LOG_ERROR, "nothing can be offered", "why", "out of memory");
        dw_conn_doom(conn, "temporary");
    }
}

int dw_xmpp_check_keys(const struct dw_listener_config *l, struct dw_error *err)
{
    for (size_t i = 0; i < l->domain_count; i++) {
        const struct dw_xmpp_domain_config *d = &l->domains[i];
        struct dw_acceptor_options options = {d->keytab, NULL, d->realm, NULL};
        struct dw_error why = {0};
        struct dw_cred *cred = dw_cred_acceptor(&options, &why);
        if (!cred)
            return dw_error_set(err, why.kind, "listener '%s', domain %s: %s", l->name, d->domain, why.detail);
        char **names = names_of(d, d->hostname);
        if (names && !has_key(cred, names, d->realm))
            dw_log(DW_LOG_WARN, "no key for a domain: its clients are offered no mechanism", "listener", l->name,
                   "domain", d->domain, "keytab", d->keytab, "first", names[0], NULL);
        free_list(&names);
        dw_cred_free(&cred);
    }
    return 0;
}
