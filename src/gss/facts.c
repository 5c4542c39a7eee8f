/* What is known of a peer beyond its name (RFC 6680, RFC 8129): see session.h. */
#include "gss/session.h"
#include "gss/status.h"

#include <gssapi/gssapi_ext.h>
#include <stdlib.h>

/* A ticket is bounded by the handshake's own limit; these bound what a policy may be shown. */
enum { MOST_VALUES = 64, MOST_OCTETS = 65536 };

/* Where a value lies in the block, which moves while it grows. */
struct place {
    size_t name, name_len, value, value_len;
};

struct gathering {
    gss_name_t name;
    struct dw_buf octets;
    struct place places[MOST_VALUES];
    size_t count;
};

static int add_value(struct gathering *g, const gss_buffer_desc *name, const gss_buffer_desc *value)
{
    if (g->count == MOST_VALUES || dw_buf_len(&g->octets) + name->length + value->length > MOST_OCTETS)
        return 0;
    struct place *p = &g->places[g->count];
    *p = (struct place){.name = dw_buf_len(&g->octets), .name_len = name->length, .value_len = value->length};
    p->value = p->name + p->name_len;
    if (dw_buf_put(&g->octets, dw_span_make(name->value, name->length)) < 0 ||
        dw_buf_put(&g->octets, dw_span_make(value->value, value->length)) < 0)
        return -1;
    g->count++;
    return 0;
}

static int add_attribute(struct gathering *g, gss_buffer_t name)
{
    int more = -1, rc = 0;
    do {
        OM_uint32 minor;
        int authenticated = 0, complete = 0, before = more;
        gss_buffer_desc value = GSS_C_EMPTY_BUFFER, shown = GSS_C_EMPTY_BUFFER;
        OM_uint32 major =
            gss_get_name_attribute(&minor, g->name, name, &authenticated, &complete, &value, &shown, &more);
        if (!GSS_ERROR(major) && authenticated)
            rc = add_value(g, name, &value);
        gss_release_buffer(&minor, &value);
        gss_release_buffer(&minor, &shown);
        if (GSS_ERROR(major) || more == before)
            break;
    } while (more != 0 && rc == 0);
    return rc;
}

/* A PAC is listed whole and once more by its parts: octets that no policy reads and no journal should fill with,
 * and each costs the library a context of its own. */
static bool is_pac(const gss_buffer_desc *name)
{
    static const struct dw_span whole = DW_SPAN_OF("urn:mspac:");
    return name->length >= whole.len && memcmp(name->value, whole.at, whole.len) == 0;
}

static struct dw_span span_in(const struct dw_buf *octets, size_t at, size_t len)
{
    return dw_span_make(dw_buf_span(octets).at + at, len);
}

static struct dw_facts *facts_of(struct gathering *g)
{
    struct dw_facts *facts = calloc(1, sizeof *facts);
    struct dw_pair *pairs = calloc(g->count + 1, sizeof *pairs);
    struct dw_span *indicators = calloc(g->count + 1, sizeof *indicators);
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

struct dw_facts *dw_facts_gather(gss_name_t name, struct dw_error *err)
{
    struct gathering g = {.name = name};
    struct dw_facts *facts = NULL;
    gss_buffer_set_t names = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor, major = gss_inquire_name(&minor, name, NULL, NULL, &names);
    if (GSS_ERROR(major)) {
        dw_status_tell(err, major, minor, "cannot read the attributes of the peer's name");
        goto done;
    }
    int rc = 0;
    for (size_t i = 0; names && i < names->count && rc == 0; i++)
        if (!is_pac(&names->elements[i]))
            rc = add_attribute(&g, &names->elements[i]);
    facts = rc == 0 ? facts_of(&g) : NULL;
    if (!facts)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
done:
    gss_release_buffer_set(&minor, &names);
    dw_buf_free(&g.octets);
    return facts;
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
