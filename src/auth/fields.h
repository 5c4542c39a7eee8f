/* The event as a table of named fields: one list that the journal writes from, that JSON is read by, and
 * that policies index.  What is not in this list does not exist for an operator.
 *
 * Offsets count from the start of struct dw_event, for the fields of a group too. */
#ifndef DW_AUTH_FIELDS_H
#define DW_AUTH_FIELDS_H

#include "auth/event.h"

enum dw_field_kind {
    DW_FIELD_TEXT, /* const char *: text of our own */
    DW_FIELD_OCTETS, /* struct dw_span: what a peer sent */
    DW_FIELD_SECRET, /* struct dw_span that is never printed */
    DW_FIELD_KEY, /* struct dw_span of 32 octets, shown as Z85 (ZeroMQ RFC 32) */
    DW_FIELD_RAW, /* the same octets as they are, for scripts only */
    DW_FIELD_TIME, /* long long microseconds, shown as seconds since 1970 */
    DW_FIELD_FRONT,
    DW_FIELD_STAGE,
    DW_FIELD_PORT, /* int; 0: absent */
    DW_FIELD_ID, /* long, when peer.has_ids; negative: absent */
    DW_FIELD_LIFETIME, /* uint32_t; UINT32_MAX, which is without end: absent */
    DW_FIELD_MOMENT, /* double seconds since 1970; 0: absent */
    DW_FIELD_SECONDS, /* double */
    DW_FIELD_FLAG, /* bool */
    DW_FIELD_COUNT, /* uint64_t */
    DW_FIELD_INDICATORS, /* gss.indicators: a list of text */
    DW_FIELD_FRAMES, /* credentials: a list of octets, never printed */
    DW_FIELD_ATTRIBUTES, /* gss.attributes: name to list of text */
    DW_FIELD_PRINCIPAL, /* struct dw_span, shown by its parts */
    DW_FIELD_GROUP,
};

struct dw_field {
    const char *name; /* NULL ends a list */
    enum dw_field_kind kind;
    size_t offset; /* of the value; of a group: its `present` flag, or 0 when it has none */
    const struct dw_field *fields; /* of a group */
};

extern const struct dw_field dw_event_fields[];
extern const char *const dw_principal_fields[]; /* "name", "realm", ..; NULL ends the list */

/* Where the value of `field` lies in `event`. */
static inline const void *dw_field_at(const struct dw_event *event, const struct dw_field *field)
{
    return (const uint8_t *)event + field->offset;
}

/* Whether the event knows it.  A group without a flag is there when one of its fields is. */
bool dw_field_present(const struct dw_event *event, const struct dw_field *field);
const struct dw_field *dw_field_find(const struct dw_field *fields, const char *name);
/* The name nearest to a mistyped one, or NULL. */
const char *dw_field_nearest(const struct dw_field *fields, const char *name);

/* 32 octets as 40 characters and back (ZeroMQ RFC 32); -1 when the text is none. */
void dw_z85_encode(char text[41], const uint8_t key[32]);
int dw_z85_decode(uint8_t key[32], struct dw_span text);

#endif
