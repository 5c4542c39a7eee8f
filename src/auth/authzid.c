/* Authorization identities: see authzid.h. */
#include "auth/authzid.h"

#include "base/text.h"

#include <stdlib.h>

/* A bare JID's parts; without "@" all of it is the localpart, and the domain is absent. */
static void split(struct dw_span name, struct dw_span *local, struct dw_span *domain)
{
    const uint8_t *at = name.len ? memchr(name.at, '@', name.len) : NULL;
    *local = at ? dw_span_make(name.at, (size_t)(at - name.at)) : name;
    *domain = at ? dw_span_make(at + 1, name.len - local->len - 1) : DW_SPAN_NONE;
}

bool dw_authzid_is_own(struct dw_span authzid, struct dw_span user, struct dw_span domain, struct dw_span principal)
{
    struct dw_span wanted, wanted_at, local, local_at;
    if (authzid.len == 0 || dw_span_equal(authzid, user) || dw_span_equal(authzid, principal))
        return true;
    split(authzid, &wanted, &wanted_at);
    split(user, &local, &local_at);
    if (wanted.len == 0 || (wanted_at.at && wanted_at.len == 0) || !dw_span_equal(wanted, local))
        return false;
    /* What one of the two leaves out is the domain that it came to; where nobody knows which one that is, there is no
     * other that could be meant. */
    if (!wanted_at.at)
        wanted_at = domain;
    if (!local_at.at)
        local_at = domain;
    return wanted_at.len == 0 || local_at.len == 0 || dw_span_equal_nocase(wanted_at, local_at);
}

static char *in_lower_case(struct dw_span text)
{
    char *copy = dw_text_dup(text);
    for (char *c = copy; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    return copy;
}

static bool names(const struct dw_event *event, const char *user)
{
    struct dw_span named = dw_span_str(user);
    if (!user)
        return false;
    if (dw_authzid_is_own(event->authzid, named, event->domain, event->principal))
        return true;
    if (event->front != DW_FRONT_XMPP || memchr(event->authzid.at, 0, event->authzid.len))
        return false;
    char *asked = in_lower_case(event->authzid), *lower = in_lower_case(named);
    bool is_own = asked && lower &&
                  dw_authzid_is_own(dw_span_str(asked), dw_span_str(lower), event->domain, event->principal);
    free(asked);
    free(lower);
    return is_own;
}

void dw_authzid_hold(struct dw_decision *d, const struct dw_event *event)
{
    if (d->verdict != DW_ALLOW || event->authzid.len == 0 || names(event, d->user) || names(event, d->jid))
        return;
    char *user = d->user ? strdup(d->user) : NULL;
    dw_decision_step(d, "limits", NULL, "denied: the client asks to act for another, whom the policy did not name");
    dw_decision_refuse(d, DW_DENY, "the client asks to act for another, whom the policy did not name");
    dw_decision_set(&d->rule, "authzid");
    d->user = user;
}

bool dw_authzid_is_refused(const struct dw_decision *d, const struct dw_event *event)
{
    if (d->verdict != DW_DENY || event->authzid.len == 0)
        return false;
    return (d->rule && strcmp(d->rule, "authzid") == 0) || (d->user && !names(event, d->user));
}
