/* The realm that an XMPP service's ticket is asked for in, "by network policy" (XEP-0233): --realm, else the hook
 * realm(event) of --policy, else [domain_realm] of krb5.conf, else the domain in upper case. */
#include "cmd/probe_xmpp.h"

#include "gss/realm.h"
#include "net/wants.h"
#include "policy/ask.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct asked {
    struct dw_probe_xmpp *p;
    enum dw_verdict verdict;
    char reason[300];
};

static void copy(char into[256], const char *text)
{
    if (text)
        snprintf(into, 256, "%s", text);
}

static void on_done(void *arg, const struct dw_decision *decision)
{
    struct asked *asked = arg;
    struct dw_probe_xmpp *p = asked->p;
    asked->verdict = decision->verdict;
    snprintf(asked->reason, sizeof asked->reason, "%s", decision->reason ? decision->reason : "");
    if (decision->verdict != DW_ALLOW)
        return;
    copy(p->policy_realm, decision->realm);
    copy(p->policy_service, decision->service);
    copy(p->told, decision->hostname);
}

static int ask_policy(struct dw_probe_xmpp *p)
{
    const char *const files[] = {p->policy, NULL};
    struct dw_keeper keeper;
    struct dw_lookup *lookup = dw_lookup_new(5, p->servers[0] ? p->servers : NULL);
    struct dw_host_options options = {.policies = files};
    struct dw_error err = {0};
    struct timeval now;
    gettimeofday(&now, NULL);
    struct dw_event event = {.id = "probe",
                             .time = now.tv_sec * 1000000LL + now.tv_usec,
                             .front = DW_FRONT_XMPP,
                             .stage = DW_STAGE_REALM,
                             .mechanism = "GSSAPI",
                             .domain = dw_span_str(p->domain),
                             .hostname = p->told[0] ? p->told : NULL};
    struct asked asked = {.p = p, .verdict = DW_TEMPORARY};
    if (lookup) {
        dw_lookup_keeper(lookup, &keeper);
        options.keeper = &keeper;
    }
    struct dw_host *host = dw_host_new(&options, &err);
    if (host) {
        struct dw_ask *ask = dw_ask_start(host, &event, DW_STAGE_REALM, on_done, &asked);
        dw_ask_expire(&ask);
    }
    dw_host_free(&host);
    dw_lookup_free(&lookup);
    if (asked.verdict == DW_ALLOW)
        return 0;
    return dw_step_failed(&p->steps, "principal", asked.reason[0] ? asked.reason : err.detail,
                          err.detail[0] ? NULL : "the policy has no answer for this domain");
}

/* What krb5.conf has for the hostname or the domain, if anything. */
static void map_domain(const struct dw_probe_xmpp *p, char realm[256])
{
    const char *const hosts[] = {p->told, p->domain};
    struct dw_buf found = {0};
    for (size_t i = 0; i < 2 && dw_buf_len(&found) == 0; i++)
        if (hosts[i][0])
            dw_realm_of_host(hosts[i], &found, NULL);
    struct dw_span mapped = dw_buf_span(&found);
    snprintf(realm, 256, "%.*s", (int)mapped.len, (const char *)mapped.at);
    dw_buf_free(&found);
}

int dw_probe_realm(struct dw_probe_xmpp *p, char realm[256], const char **why)
{
    if (p->policy && ask_policy(p) < 0)
        return -1;
    realm[0] = '\0';
    if (p->realm) {
        snprintf(realm, 256, "%s", p->realm);
        *why = "the realm by --realm";
    } else if (p->policy_realm[0]) {
        memcpy(realm, p->policy_realm, 256);
        *why = "the realm by the policy";
    } else {
        map_domain(p, realm);
        *why = "the realm by krb5.conf's domain_realm";
    }
    if (realm[0])
        return 0;
    *why = "the realm is the domain in upper case";
    for (size_t i = 0; p->domain[i]; i++) {
        realm[i] = (char)toupper((unsigned char)p->domain[i]);
        realm[i + 1] = '\0';
    }
    return 0;
}
