/* What a first token says in clear: see request.h. */
#include "gss/request.h"

#include "auth/principal.h"

/* The ASN.1 tags that an AP-REQ is made of (RFC 4120 section 5 and appendix A; X.690). */
enum {
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_GENERAL_STRING = 0x1b,
    TAG_SEQUENCE = 0x30,
    TAG_FRAME = 0x60, /* APPLICATION 0: RFC 2743 section 3.1 */
    TAG_TICKET = 0x61, /* APPLICATION 1 */
    TAG_AP_REQ = 0x6e, /* APPLICATION 14 */
    TAG_FIELD = 0xa0, /* context 0, 1, .. */
};

enum { MUTUAL_REQUIRED = 0x20 }; /* bit 2 of the ap-options */

/* Takes one element's contents.  DER: definite lengths in their shortest form, and none past the end. */
static struct dw_reader element(struct dw_reader *r, uint8_t tag)
{
    struct dw_span none = dw_span_make("", 0);
    if (dw_reader_u8(r) != tag)
        r->failed = true;
    size_t len = dw_reader_u8(r);
    if (len >= 0x80) {
        size_t octets = len & 0x7f;
        struct dw_span raw = dw_reader_take(r, octets);
        if (octets == 0 || octets > 4 || raw.len != octets || raw.at[0] == 0)
            r->failed = true;
        len = 0;
        for (size_t i = 0; !r->failed && i < octets; i++)
            len = len << 8 | raw.at[i];
        if (len < 0x80)
            r->failed = true;
    }
    struct dw_span inside = dw_reader_take(r, len);
    return dw_reader_make(r->failed ? none : inside);
}

static struct dw_reader field(struct dw_reader *r, uint8_t number)
{
    return element(r, (uint8_t)(TAG_FIELD + number));
}

/* Every container is read to its end: what is left over, or went wrong inside, is its parent's failure. */
static void close_into(struct dw_reader *parent, const struct dw_reader *inner)
{
    if (inner->failed || inner->at != inner->end)
        parent->failed = true;
}

/* A two's complement integer of at most five octets (an unsigned 32-bit value may need the fifth). */
static int64_t integer(struct dw_reader *r)
{
    struct dw_reader in = element(r, TAG_INTEGER);
    struct dw_span raw = dw_reader_rest(&in);
    bool padded = raw.len > 1 && ((raw.at[0] == 0 && raw.at[1] < 0x80) || (raw.at[0] == 0xff && raw.at[1] >= 0x80));
    if (raw.len < 1 || raw.len > 5 || padded)
        r->failed = true;
    uint64_t value = raw.len && raw.at[0] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; !r->failed && i < raw.len; i++)
        value = value << 8 | raw.at[i];
    return r->failed ? 0 : (int64_t)value;
}

static void integer_field(struct dw_reader *r, uint8_t number, int64_t low, int64_t high)
{
    struct dw_reader in = field(r, number);
    int64_t value = integer(&in);
    if (value < low || value > high)
        r->failed = true;
    close_into(r, &in);
}

static struct dw_span string_element(struct dw_reader *r, uint8_t tag)
{
    struct dw_reader in = element(r, tag);
    return dw_reader_rest(&in);
}

/* EncryptedData ::= SEQUENCE { [0] etype, [1] kvno OPTIONAL, [2] cipher } */
static void encrypted_field(struct dw_reader *r, uint8_t number)
{
    struct dw_reader in = field(r, number), data = element(&in, TAG_SEQUENCE);
    integer_field(&data, 0, INT32_MIN, INT32_MAX);
    if (dw_reader_left(&data) && *data.at == TAG_FIELD + 1)
        integer_field(&data, 1, INT32_MIN, UINT32_MAX);
    struct dw_reader cipher = field(&data, 2);
    if (string_element(&cipher, TAG_OCTET_STRING).len == 0)
        cipher.failed = true;
    close_into(&data, &cipher);
    close_into(&in, &data);
    close_into(r, &in);
}

/* PrincipalName ::= SEQUENCE { [0] name-type, [1] SEQUENCE OF KerberosString } */
static void name_field(struct dw_reader *r, uint8_t number, struct dw_request *request)
{
    const size_t most = sizeof request->components / sizeof request->components[0];
    struct dw_reader in = field(r, number), name = element(&in, TAG_SEQUENCE);
    integer_field(&name, 0, INT32_MIN, INT32_MAX);
    struct dw_reader list = field(&name, 1), parts = element(&list, TAG_SEQUENCE);
    while (dw_reader_left(&parts) && request->component_count < most)
        request->components[request->component_count++] = string_element(&parts, TAG_GENERAL_STRING);
    if (request->component_count == 0)
        parts.failed = true;
    close_into(&list, &parts);
    close_into(&name, &list);
    close_into(&in, &name);
    close_into(r, &in);
}

/* Ticket ::= [APPLICATION 1] SEQUENCE { [0] 5, [1] realm, [2] sname, [3] enc-part } */
static void ticket_field(struct dw_reader *r, uint8_t number, struct dw_request *request)
{
    struct dw_reader in = field(r, number), outer = element(&in, TAG_TICKET),
                     ticket = element(&outer, TAG_SEQUENCE);
    integer_field(&ticket, 0, 5, 5);
    struct dw_reader realm = field(&ticket, 1);
    request->realm = string_element(&realm, TAG_GENERAL_STRING);
    if (request->realm.len == 0)
        realm.failed = true;
    close_into(&ticket, &realm);
    name_field(&ticket, 2, request);
    encrypted_field(&ticket, 3);
    close_into(&outer, &ticket);
    close_into(&in, &outer);
    close_into(r, &in);
}

/* AP-REQ ::= [APPLICATION 14] SEQUENCE { [0] 5, [1] 14, [2] ap-options, [3] ticket, [4] authenticator } */
static void ap_req(struct dw_reader *r, struct dw_request *request)
{
    struct dw_reader outer = element(r, TAG_AP_REQ), body = element(&outer, TAG_SEQUENCE);
    integer_field(&body, 0, 5, 5);
    integer_field(&body, 1, 14, 14);
    struct dw_reader options = field(&body, 2);
    struct dw_span bits = string_element(&options, TAG_BIT_STRING);
    /* KerberosFlags: at least 32 bits, none of them unused (RFC 4120 section 5.2.8). */
    if (bits.len < 5 || bits.at[0] != 0)
        options.failed = true;
    request->mutual = !options.failed && (bits.at[1] & MUTUAL_REQUIRED);
    close_into(&body, &options);
    ticket_field(&body, 3, request);
    encrypted_field(&body, 4);
    close_into(&outer, &body);
    close_into(r, &outer);
}

int dw_request_parse(struct dw_request *request, struct dw_span token, struct dw_error *err)
{
    static const struct dw_span krb5 = DW_SPAN_OF("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
    *request = (struct dw_request){.realm = dw_span_make("", 0)};
    struct dw_reader r = dw_reader_make(token), frame = element(&r, TAG_FRAME);
    if (r.failed || dw_reader_left(&r))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%zu octets that are no GSSAPI token", token.len);
    struct dw_span mech = string_element(&frame, TAG_OID);
    if (frame.failed || !dw_span_equal(mech, krb5))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a token of another mechanism than Kerberos 5%s",
                            dw_span_equal(mech, DW_SPAN_OF("\x2b\x06\x01\x05\x05\x02")) ? " (SPNEGO)" : "");
    /* RFC 4121 section 4.1: 01 00 is KRB_AP_REQ. */
    if (dw_reader_u16(&frame) != 0x0100)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a Kerberos token that is not an AP-REQ");
    request->ap_req = dw_span_make(frame.at, dw_reader_left(&frame));
    ap_req(&frame, request);
    close_into(&r, &frame);
    if (r.failed) {
        *request = (struct dw_request){.realm = dw_span_make("", 0)};
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a malformed AP-REQ of %zu octets", token.len);
    }
    return 0;
}

int dw_request_format(const struct dw_request *request, struct dw_buf *out)
{
    struct dw_span components[sizeof request->components / sizeof request->components[0]];
    memcpy(components, request->components, sizeof components);
    const struct dw_principal name = {
        .realm = request->realm,
        .components = components,
        .component_count = request->component_count,
        .realm_given = true,
    };
    return dw_principal_format(&name, DW_PRINCIPAL_FULL, DW_SPAN_NONE, out);
}
