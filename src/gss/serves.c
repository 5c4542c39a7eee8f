/* Which keys a credential has, so that nothing is offered that could not be answered (RFC 4752 section 3.2): see cred.h. */
#include "gss/cred.h"

#include "gss/held.h"
#include "gss/name.h"

static struct dw_span span_of(const krb5_data *data)
{
    return dw_span_make(data->data ? data->data : "", data->length);
}

/* `wanted`: a whole name; else a host's, of `service`, in `realm`. */
struct search {
    const struct dw_service *wanted;
    const char *service, *realm;
};

static bool matches(const struct search *s, krb5_const_principal entry)
{
    if (s->realm && !dw_span_equal(span_of(&entry->realm), dw_span_str(s->realm)))
        return false;
    if (s->wanted)
        return dw_service_matches(s->wanted, entry, s->wanted->host_based);
    return entry->length >= 2 && (!s->service || dw_span_equal(span_of(&entry->data[0]), dw_span_str(s->service)));
}

static bool find(const struct dw_cred *cred, const struct search *s)
{
    bool found = false;
    struct dw_held *held = dw_cred_hold(cred);
    krb5_keytab_entry entry;
    krb5_kt_cursor cursor;
    if (held->krb5 && krb5_kt_start_seq_get(held->krb5, held->keytab_copy, &cursor) == 0) {
        while (!found && krb5_kt_next_entry(held->krb5, held->keytab_copy, &entry, &cursor) == 0) {
            found = matches(s, entry.principal);
            krb5_free_keytab_entry_contents(held->krb5, &entry);
        }
        krb5_kt_end_seq_get(held->krb5, held->keytab_copy, &cursor);
    }
    dw_held_free(&held);
    return found;
}

bool dw_cred_has(const struct dw_cred *cred, const char *principal, const char *realm)
{
    struct dw_service service;
    struct dw_error err;
    if (dw_service_parse(&service, principal, NULL, &err) < 0)
        return false;
    bool found = find(cred, &(struct search){.wanted = &service, .realm = realm});
    dw_service_free(&service);
    return found;
}

bool dw_cred_serves(const struct dw_cred *cred, const char *service, const char *realm)
{
    return find(cred, &(struct search){.service = service, .realm = realm});
}
