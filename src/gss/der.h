/* The little of ASN.1 that Kerberos messages are made of (X.690, RFC 4120 section 5.1), read strictly and written.
 *
 * Internal to this room.  Reading goes by dw_reader: an element's contents are a reader of their own, which its parent
 * closes over; what is missing, left over or not in its shortest form fails every reader up to the outermost one, where
 * the caller looks once.  Writing goes from the end of a block towards its start, so that lengths are known. */
#ifndef DW_GSS_DER_H
#define DW_GSS_DER_H

#include "base/span.h"

enum dw_der_tag {
    DW_DER_INTEGER = 0x02,
    DW_DER_BIT_STRING = 0x03,
    DW_DER_OCTET_STRING = 0x04,
    DW_DER_OID = 0x06,
    DW_DER_TIME = 0x18,
    DW_DER_GENERAL_STRING = 0x1b,
    DW_DER_SEQUENCE = 0x30,
    DW_DER_APPLICATION = 0x60, /* and the number */
    DW_DER_FIELD = 0xa0, /* context 0, 1, .. */
};

/* Takes one element's contents: definite lengths in their shortest form, and none past the end. */
struct dw_reader dw_der_element(struct dw_reader *r, uint8_t tag);
struct dw_reader dw_der_field(struct dw_reader *r, uint8_t number);
/* Every container is read to its end: what is left over, or went wrong inside, is its parent's failure. */
void dw_der_close(struct dw_reader *parent, const struct dw_reader *inner);
/* Whether the next element is field `number`: for those that may be left out. */
bool dw_der_has_field(const struct dw_reader *r, uint8_t number);

/* A two's complement integer of at most five octets (an unsigned 32-bit value may need the fifth). */
int64_t dw_der_integer(struct dw_reader *r);
/* The contents of a primitive element. */
struct dw_span dw_der_string(struct dw_reader *r, uint8_t tag);
/* The same as the only contents of a field. */
int64_t dw_der_integer_field(struct dw_reader *r, uint8_t number, int64_t low, int64_t high);
struct dw_span dw_der_string_field(struct dw_reader *r, uint8_t number, uint8_t tag);
/* KerberosFlags of exactly 32 bits (RFC 4120 section 5.2.8). */
uint32_t dw_der_flags_field(struct dw_reader *r, uint8_t number);
/* Seconds since 1970 of a KerberosTime (RFC 4120 section 5.2.3). */
int64_t dw_der_time_field(struct dw_reader *r, uint8_t number);
/* PrincipalName (RFC 4120 section 5.2.2): the components, of which there are one to `most`; their count. */
size_t dw_der_name_field(struct dw_reader *r, uint8_t number, struct dw_span *components, size_t most);

/* A block that is filled from its end. */
struct dw_der {
    uint8_t *start, *at; /* what is written stands from `at` on */
    bool failed; /* it did not fit */
};

void dw_der_put(struct dw_der *d, struct dw_span octets);
/* Puts a head before all that was written since `end`, which is `at` as it was then. */
void dw_der_head(struct dw_der *d, uint8_t tag, const uint8_t *end);
void dw_der_put_integer(struct dw_der *d, uint32_t value);

#endif
