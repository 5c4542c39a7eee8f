/* AP-REQs made by hand, of tickets that no KDC would give: good ones, until a test changes them.  The realm is one of the
 * mind; a service's key stands in a keytab in memory. */
#ifndef DW_TESTS_GSS_MADE_H
#define DW_TESTS_GSS_MADE_H

#include "check.h"

#include "gss/ticket.h"

#include <stdlib.h>

#define UNUSED __attribute__((unused))

/* What the library exports and does not declare. */
krb5_error_code encode_krb5_enc_tkt_part(const krb5_enc_tkt_part *part, krb5_data **code);
krb5_error_code encode_krb5_authenticator(const krb5_authenticator *authenticator, krb5_data **code);
krb5_error_code encode_krb5_ap_req(const krb5_ap_req *request, krb5_data **code);

static krb5_context krb5;
static krb5_keytab keytab;
static krb5_principal service, other_service, alice, bob;
static struct dw_ticket_keys pinned, unpinned;

enum { KVNO = 3, SERVICE_ENCTYPE = ENCTYPE_AES256_CTS_HMAC_SHA1_96 };

static krb5_octet octets[8][32];

UNUSED static krb5_keyblock key_of(int which, krb5_enctype enctype)
{
    size_t len = 0;
    memset(octets[which], which + 1, sizeof octets[which]);
    krb5_c_keylengths(krb5, enctype, NULL, &len);
    return (krb5_keyblock){.enctype = enctype, .length = (unsigned)len, .contents = octets[which]};
}

/* ---- A request, good until a case changes it. */

struct made {
    krb5_enc_tkt_part part;
    krb5_authenticator authenticator;
    krb5_ticket ticket;
    krb5_keyblock service_key, session, subkey;
    krb5_checksum checksum;
    krb5_flags options;
    krb5_authdata data[4], *ticket_data[4], *authenticator_data[4];
    krb5_address address, *addresses[2];
    /* An octet of a plaintext that is changed before it is sealed; NULL: none. */
    enum place { NEITHER, IN_TICKET, IN_AUTHENTICATOR } changed;
    size_t place;
    uint8_t value;
};

static const char unbound[] = "\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x3e\0\0";

UNUSED static krb5_timestamp now(void)
{
    krb5_timestamp t;
    krb5_timeofday(krb5, &t);
    return t;
}

UNUSED static void make(struct made *m)
{
    *m = (struct made){.options = AP_OPTS_MUTUAL_REQUIRED};
    m->service_key = key_of(0, SERVICE_ENCTYPE);
    m->session = key_of(1, ENCTYPE_AES256_CTS_HMAC_SHA1_96);
    m->part = (krb5_enc_tkt_part){
        .flags = TKT_FLG_FORWARDABLE | TKT_FLG_PRE_AUTH,
        .session = &m->session,
        .client = alice,
        .transited = {.tr_type = 1},
        .times = {.authtime = now() - 100, .starttime = now() - 50, .endtime = now() + 3600},
    };
    m->checksum =
        (krb5_checksum){.checksum_type = 0x8003, .length = 24, .contents = (krb5_octet *)(uintptr_t)unbound};
    m->authenticator = (krb5_authenticator){
        .client = alice, .checksum = &m->checksum, .ctime = now(), .cusec = 4711, .seq_number = 815};
    m->ticket = (krb5_ticket){.server = service, .enc_part = {.enctype = SERVICE_ENCTYPE, .kvno = KVNO}};
}

UNUSED static krb5_enc_data sealed(const krb5_keyblock *key, krb5_keyusage usage, krb5_data *plain,
                                   const struct made *m, enum place here)
{
    size_t len = 0;
    krb5_enc_data out = {.enctype = key->enctype};
    if (m->changed == here)
        plain->data[m->place % plain->length] = (char)m->value;
    CHECK_INT(krb5_c_encrypt_length(krb5, key->enctype, plain->length, &len), 0);
    out.ciphertext = (krb5_data){.length = (unsigned)len, .data = malloc(len)};
    CHECK_INT(krb5_c_encrypt(krb5, key, usage, NULL, plain, &out), 0);
    krb5_free_data(krb5, plain);
    return out;
}

UNUSED static struct dw_buf request_of(struct made *m)
{
    static const uint8_t frame[] = {0x60, 0x82, 0, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0};
    krb5_data *plain = NULL, *code = NULL;
    struct dw_buf token = {0};
    int32_t said = m->ticket.enc_part.enctype;
    krb5_kvno kvno = m->ticket.enc_part.kvno;
    CHECK_INT(encode_krb5_enc_tkt_part(&m->part, &plain), 0);
    m->ticket.enc_part = sealed(&m->service_key, 2, plain, m, IN_TICKET);
    m->ticket.enc_part.enctype = said;
    m->ticket.enc_part.kvno = kvno;
    CHECK_INT(encode_krb5_authenticator(&m->authenticator, &plain), 0);
    krb5_ap_req request = {.ap_options = m->options, .ticket = &m->ticket};
    request.authenticator = sealed(&m->session, 11, plain, m, IN_AUTHENTICATOR);
    CHECK_INT(encode_krb5_ap_req(&request, &code), 0);
    dw_buf_put(&token, dw_span_make(frame, sizeof frame));
    dw_buf_put(&token, dw_span_make(code->data, code->length));
    size_t inside = dw_buf_len(&token) - 4;
    token.at[2] = (uint8_t)(inside >> 8);
    token.at[3] = (uint8_t)inside;
    krb5_free_data(krb5, code);
    free(m->ticket.enc_part.ciphertext.data);
    free(request.authenticator.ciphertext.data);
    return token;
}

UNUSED static bool same_key(const krb5_keyblock *a, const krb5_keyblock *b)
{
    return (!a && !b) || (a && b && a->enctype == b->enctype && a->length == b->length &&
                          memcmp(a->contents, b->contents, a->length) == 0);
}

/* ---- */

UNUSED static krb5_principal named(const char *name)
{
    krb5_principal principal = NULL;
    CHECK_INT(krb5_parse_name(krb5, name, &principal), 0);
    return principal;
}

UNUSED static void begin(void)
{
    setenv("KRB5_CONFIG", "/dev/null", 1);
    CHECK_INT(krb5_init_context(&krb5), 0);
    service = named("zmq/localhost@HOME.TEST");
    other_service = named("imap/localhost@HOME.TEST");
    alice = named("alice/admin@HOME.TEST");
    bob = named("bob@HOME.TEST");
    service->type = KRB5_NT_PRINCIPAL;
    krb5_keytab_entry entry = {.principal = service, .vno = KVNO, .key = key_of(0, SERVICE_ENCTYPE)};
    CHECK_INT(krb5_kt_resolve(krb5, "MEMORY:test_gss_ticket", &keytab), 0);
    CHECK_INT(krb5_kt_add_entry(krb5, keytab, &entry), 0);
    CHECK_INT(dw_ticket_keys_make(&pinned, krb5, keytab, true), 0);
    CHECK_INT(dw_ticket_keys_make(&unpinned, krb5, keytab, false), 0);
}

UNUSED static void end(void)
{
    dw_ticket_keys_wipe(&pinned, krb5);
    dw_ticket_keys_wipe(&unpinned, krb5);
    krb5_kt_close(krb5, keytab);
    krb5_free_principal(krb5, service);
    krb5_free_principal(krb5, other_service);
    krb5_free_principal(krb5, alice);
    krb5_free_principal(krb5, bob);
    krb5_free_context(krb5);
}

#endif
