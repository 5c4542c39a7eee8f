/* Who an admitted user is at the server: see xmpp_jid.h. */
#include "net/xmpp_jid.h"

#include "xmpp/localpart.h"

#include <stdlib.h>

static char *refuse(struct dw_decision *d, enum dw_verdict verdict, const char *rule, const char *format,
                    const char *what)
{
    char *kept = what ? strdup(what) : NULL;
    dw_decision_refuse(d, verdict, format, kept ? kept : "");
    if (rule)
        dw_decision_set(&d->rule, rule);
    free(kept);
    return NULL;
}

static char *make(struct dw_span local, const char *domain)
{
    size_t rest = strlen(domain);
    char *jid = malloc(local.len + 1 + rest + 1);
    if (!jid)
        return NULL;
    for (size_t i = 0; i < local.len; i++)
        jid[i] = (char)(local.at[i] >= 'A' && local.at[i] <= 'Z' ? local.at[i] | 0x20 : local.at[i]);
    jid[local.len] = '@';
    memcpy(jid + local.len + 1, domain, rest + 1);
    return jid;
}

/* What stands before the "@", or all. */
static struct dw_span local_of(const char *named)
{
    const char *at = strchr(named, '@');
    return dw_span_make(named, at ? (size_t)(at - named) : strlen(named));
}

static bool is_refused(const char *jid, size_t local, char *const list[])
{
    for (char *const *word = list; word && *word; word++)
        if (dw_span_equal_nocase(dw_span_make(jid, local), dw_span_str(*word)))
            return true;
    return false;
}

char *dw_xmpp_jid_decide(struct dw_decision *d, const char *domain, char *const refused[])
{
    const char *named = d->jid ? d->jid : d->user, *at = strchr(named, '@');
    struct dw_span local = local_of(named);
    struct dw_span of = dw_span_str(domain);
    if (at && !dw_span_equal_nocase(dw_span_str(at + 1), of))
        return refuse(d, DW_TEMPORARY, NULL, "the policy names %s, which is not of the stream's domain", named);
    const char *mistake = dw_localpart_mistake(local);
    if (mistake)
        return refuse(d, DW_TEMPORARY, NULL, "the policy names a user whose localpart %s", mistake);
    char *jid = make(local, domain);
    if (!jid)
        return refuse(d, DW_TEMPORARY, NULL, "out of memory%s", "");
    if (is_refused(jid, local.len, refused)) {
        refuse(d, DW_DENY, "refuse_users", "'%s' stands in refuse_users", jid);
        free(jid);
        return NULL;
    }
    return jid;
}

void dw_xmpp_name_hold(struct dw_decision *d, bool is_xmpp, char *const refused[])
{
    const char *named = d->jid ? d->jid : d->user;
    struct dw_span local = local_of(named);
    const char *mistake = is_xmpp ? dw_localpart_mistake(local) : NULL;
    if (mistake)
        refuse(d, DW_TEMPORARY, NULL, "the policy names a user whose localpart %s", mistake);
    else if (is_refused(named, local.len, refused))
        refuse(d, DW_DENY, "refuse_users", "'%s' stands in refuse_users", named);
}
