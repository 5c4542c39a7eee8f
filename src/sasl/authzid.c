/* Authorization identities: see authzid.h. */
#include "sasl/authzid.h"

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
