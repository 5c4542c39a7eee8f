/* What is known of a peer beyond its name (RFC 8129, and what plug-ins of the library add): see session.h. */
#include "gss/library.h"
#include "gss/session.h"
#include "gss/status.h"

#include <errno.h>
#include <stdlib.h>

/* A ticket is bounded by the handshake's own limit; these bound what a policy may be shown. */
enum { MOST_VALUES = 64, MOST_OCTETS = 65536 };

/* Where a value lies in the block, which moves while it grows. */
struct place {
    size_t name, name_len, value, value_len;
};

struct gathering {
    krb5_context krb5;
    krb5_authdata_context attributes;
    struct dw_buf octets;
    struct place places[MOST_VALUES];
    size_t count;
};

static int add_value(struct gathering *g, const krb5_data *name, const krb5_data *value)
{
    if (g->count == MOST_VALUES || dw_buf_len(&g->octets) + name->length + value->length > MOST_OCTETS)
        return 0;
    struct place *p = &g->places[g->count];
    *p = (struct place){.name = dw_buf_len(&g->octets), .name_len = name->length, .value_len = value->length};
    p->value = p->name + p->name_len;
    if (dw_buf_put(&g->octets, dw_span_make(name->data, name->length)) < 0 ||
        dw_buf_put(&g->octets, dw_span_make(value->data, value->length)) < 0)
        return -1;
    g->count++;
    return 0;
}

static int add_attribute(struct gathering *g, const krb5_data *name)
{
    int more = -1, rc = 0;
    do {
        krb5_boolean authenticated = FALSE, complete = FALSE;
        krb5_data value = {.data = NULL}, shown = {.data = NULL};
        int before = more;
        krb5_error_code code = krb5_authdata_get_attribute(g->krb5, g->attributes, name, &authenticated, &complete,
                                                           &value, &shown, &more);
        if (!code && authenticated)
            rc = add_value(g, name, &value);
        krb5_free_data_contents(g->krb5, &value);
        krb5_free_data_contents(g->krb5, &shown);
        if (code == ENOMEM)
            rc = -1;
        if (code || more == before)
            break;
    } while (more != 0 && rc == 0);
    return rc;
}

/* A PAC is listed whole and once more by its parts: octets that no policy reads and no journal should fill with. */
static bool is_pac(const krb5_data *name)
{
    static const struct dw_span whole = DW_SPAN_OF("urn:mspac:");
    return name->length >= whole.len && memcmp(name->data, whole.at, whole.len) == 0;
}

static struct dw_span span_in(const struct dw_buf *octets, size_t at, size_t len)
{
    return dw_span_make(dw_buf_span(octets).at + at, len);
}

static struct dw_facts *facts_of(struct gathering *g)
{
    struct dw_facts *facts = calloc(1, sizeof *facts);
    struct dw_pair *pairs = calloc(g->count, sizeof *pairs);
    struct dw_span *indicators = calloc(g->count, sizeof *indicators);
    if (!facts || !pairs || !indicators) {
        free(facts);
        free(pairs);
        free(indicators);
        return NULL;
    }
    *facts = (struct dw_facts){.octets = g->octets, .attributes = pairs, .indicators = indicators};
    g->octets = (struct dw_buf){0};
    for (size_t i = 0; i < g->count; i++) {
        const struct place *p = &g->places[i];
        struct dw_pair pair = {span_in(&facts->octets, p->name, p->name_len),
                               span_in(&facts->octets, p->value, p->value_len)};
        pairs[facts->attribute_count++] = pair;
        if (dw_span_equal(pair.name, DW_SPAN_OF("auth-indicators")))
            indicators[facts->indicator_count++] = pair.value;
    }
    return facts;
}

int dw_facts_gather(krb5_context krb5, krb5_auth_context auth, struct dw_facts **facts, struct dw_error *err)
{
    struct gathering g = {.krb5 = krb5};
    krb5_data *names = NULL;
    int rc = 0;
    *facts = NULL;
    krb5_error_code code = krb5_auth_con_get_authdata_context(krb5, auth, &g.attributes);
    if (!code)
        code = krb5_authdata_get_attribute_types(krb5, g.attributes, &names);
    if (code) {
        rc = dw_status_tell_krb5(err, krb5, code, "cannot read the attributes of the peer's ticket");
        goto done;
    }
    for (size_t i = 0; names && names[i].data && rc == 0; i++)
        if (!is_pac(&names[i]))
            rc = add_attribute(&g, &names[i]);
    if (rc == 0 && g.count > 0 && !(*facts = facts_of(&g)))
        rc = -1;
    if (rc < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
done:
    krb5int_free_data_list(krb5, names);
    dw_buf_free(&g.octets);
    return rc;
}

void dw_facts_free(struct dw_facts **facts)
{
    struct dw_facts *gone = *facts;
    *facts = NULL;
    if (!gone)
        return;
    dw_buf_free(&gone->octets);
    free(gone->indicators);
    free(gone->attributes);
    free(gone);
}
