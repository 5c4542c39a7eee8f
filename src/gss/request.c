/* What a first token says in clear: see request.h. */
#include "gss/request.h"

#include "auth/principal.h"
#include "gss/der.h"

enum { FRAME = DW_DER_APPLICATION, TICKET = DW_DER_APPLICATION + 1, AP_REQ = DW_DER_APPLICATION + 14 };

enum { MUTUAL_REQUIRED = 0x20000000 }; /* bit 2 of the ap-options */

/* EncryptedData ::= SEQUENCE { [0] etype, [1] kvno OPTIONAL, [2] cipher } */
static void encrypted_field(struct dw_reader *r, uint8_t number, struct dw_encrypted *encrypted)
{
    struct dw_reader in = dw_der_field(r, number), data = dw_der_element(&in, DW_DER_SEQUENCE);
    encrypted->enctype = (int32_t)dw_der_integer_field(&data, 0, INT32_MIN, INT32_MAX);
    encrypted->has_kvno = dw_der_has_field(&data, 1);
    if (encrypted->has_kvno)
        encrypted->kvno = (uint32_t)dw_der_integer_field(&data, 1, INT32_MIN, UINT32_MAX);
    encrypted->octets = dw_der_string_field(&data, 2, DW_DER_OCTET_STRING);
    if (encrypted->octets.len == 0)
        data.failed = true;
    dw_der_close(&in, &data);
    dw_der_close(r, &in);
}

/* Ticket ::= [APPLICATION 1] SEQUENCE { [0] 5, [1] realm, [2] sname, [3] enc-part } */
static void ticket_field(struct dw_reader *r, uint8_t number, struct dw_request *request)
{
    struct dw_reader in = dw_der_field(r, number), outer = dw_der_element(&in, TICKET),
                     ticket = dw_der_element(&outer, DW_DER_SEQUENCE);
    dw_der_integer_field(&ticket, 0, 5, 5);
    request->realm = dw_der_string_field(&ticket, 1, DW_DER_GENERAL_STRING);
    if (request->realm.len == 0)
        ticket.failed = true;
    request->component_count = dw_der_name_field(&ticket, 2, request->components, DW_REQUEST_COMPONENTS);
    encrypted_field(&ticket, 3, &request->ticket);
    dw_der_close(&outer, &ticket);
    dw_der_close(&in, &outer);
    dw_der_close(r, &in);
}

/* AP-REQ ::= [APPLICATION 14] SEQUENCE { [0] 5, [1] 14, [2] ap-options, [3] ticket, [4] authenticator } */
static void ap_req(struct dw_reader *r, struct dw_request *request)
{
    struct dw_reader outer = dw_der_element(r, AP_REQ), body = dw_der_element(&outer, DW_DER_SEQUENCE);
    dw_der_integer_field(&body, 0, 5, 5);
    dw_der_integer_field(&body, 1, 14, 14);
    struct dw_reader options = dw_der_field(&body, 2),
                     bits = dw_reader_make(dw_der_string(&options, DW_DER_BIT_STRING));
    /* KerberosFlags: at least 32 bits, none of them unused (RFC 4120 section 5.2.8). */
    if (dw_reader_u8(&bits) != 0)
        options.failed = true;
    request->options = dw_reader_u32(&bits);
    request->mutual = (request->options & MUTUAL_REQUIRED) != 0;
    if (bits.failed)
        options.failed = true;
    dw_der_close(&body, &options);
    ticket_field(&body, 3, request);
    encrypted_field(&body, 4, &request->authenticator);
    dw_der_close(&outer, &body);
    dw_der_close(r, &outer);
}

int dw_request_parse(struct dw_request *request, struct dw_span token, struct dw_error *err)
{
    static const struct dw_span krb5 = DW_SPAN_OF("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
    *request = (struct dw_request){.realm = dw_span_make("", 0)};
    struct dw_reader r = dw_reader_make(token), frame = dw_der_element(&r, FRAME);
    if (r.failed || dw_reader_left(&r))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%zu octets that are no GSSAPI token", token.len);
    struct dw_span mech = dw_der_string(&frame, DW_DER_OID);
    if (frame.failed || !dw_span_equal(mech, krb5))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a token of another mechanism than Kerberos 5%s",
                            dw_span_equal(mech, DW_SPAN_OF("\x2b\x06\x01\x05\x05\x02")) ? " (SPNEGO)" : "");
    /* RFC 4121 section 4.1: 01 00 is KRB_AP_REQ. */
    if (dw_reader_u16(&frame) != 0x0100)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a Kerberos token that is not an AP-REQ");
    request->ap_req = dw_span_make(frame.at, dw_reader_left(&frame));
    ap_req(&frame, request);
    dw_der_close(&r, &frame);
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
