/* The acceptor's answer: see ap_rep.h. */
#include "gss/ap_rep.h"

#include "gss/der.h"

#include <openssl/rand.h>

enum { MESSAGE = DW_DER_APPLICATION + 15, PART = DW_DER_APPLICATION + 27, MESSAGE_TYPE = 15, VERSION = 5 };

/* A sequence number that has room to grow, as the library's have. */
static int choose(struct dw_ap_rep *answer, krb5_enctype enctype, struct dw_error *err)
{
    uint8_t random[DW_CIPHER_MOST_KEY + 4];
    answer->subkey = (krb5_keyblock){.enctype = enctype,
                                     .length = (unsigned)dw_cipher_key_len(dw_cipher_of(enctype)),
                                     .contents = answer->octets};
    if (RAND_priv_bytes(random, sizeof random) != 1)
        return dw_error_set(err, DW_ERROR_INTERNAL, "OpenSSL has no random octets");
    struct dw_reader r = dw_reader_make(dw_span_make(random, sizeof random));
    memcpy(answer->octets, dw_reader_take(&r, DW_CIPHER_MOST_KEY).at, DW_CIPHER_MOST_KEY);
    answer->number = dw_reader_u32(&r) & 0x3fffffff;
    if (answer->number == 0)
        answer->number = 1;
    dw_wipe(random, sizeof random);
    return 0;
}

static void put_integer_field(struct dw_der *d, uint8_t number, uint32_t value)
{
    const uint8_t *end = d->at;
    dw_der_put_integer(d, value);
    dw_der_head(d, (uint8_t)(DW_DER_FIELD + number), end);
}

static void put_octets_field(struct dw_der *d, uint8_t number, struct dw_span octets)
{
    const uint8_t *end = d->at;
    dw_der_put(d, octets);
    dw_der_head(d, DW_DER_OCTET_STRING, end);
    dw_der_head(d, (uint8_t)(DW_DER_FIELD + number), end);
}

static void put_as_it_stands(struct dw_der *d, uint8_t number, struct dw_span element)
{
    const uint8_t *end = d->at;
    dw_der_put(d, element);
    dw_der_head(d, (uint8_t)(DW_DER_FIELD + number), end);
}

/* EncAPRepPart ::= [APPLICATION 27] SEQUENCE { [0] ctime, [1] cusec, [2] subkey, [3] seq-number }: the times are the
 * client's own words. */
static void put_part(struct dw_der *d, const struct dw_ap_rep *answer, const struct dw_ticket *ticket)
{
    const krb5_keyblock *subkey = &answer->subkey;
    const uint8_t *end = d->at;
    put_integer_field(d, 3, answer->number);
    const uint8_t *key_end = d->at;
    put_octets_field(d, 1, dw_span_make(subkey->contents, subkey->length));
    put_integer_field(d, 0, (uint32_t)subkey->enctype);
    dw_der_head(d, DW_DER_SEQUENCE, key_end);
    dw_der_head(d, DW_DER_FIELD + 2, key_end);
    put_as_it_stands(d, 1, ticket->cusec);
    put_as_it_stands(d, 0, ticket->ctime);
    dw_der_head(d, DW_DER_SEQUENCE, end);
    dw_der_head(d, PART, end);
}

/* Seals what was written, in place: a confounder before it, the tag in the room left after it. */
static int seal(struct dw_der *d, const uint8_t *end, const struct dw_ticket *ticket, struct dw_error *err)
{
    static const uint8_t room[DW_CIPHER_BLOCK];
    const struct dw_cipher *cipher = dw_cipher_of(ticket->session.enctype);
    dw_der_put(d, dw_span_make(room, sizeof room));
    if (d->failed)
        return dw_error_set(err, DW_ERROR_INTERNAL, "an answer that is longer than answers are");
    size_t len = (size_t)(end - d->at) - dw_cipher_tag_len(cipher);
    return dw_cipher_encrypt(cipher, &ticket->answer, d->at, len, d->at + len, err);
}

/* AP-REP ::= [APPLICATION 15] SEQUENCE { [0] 5, [1] 15, [2] EncryptedData { [0] etype, [2] cipher } } */
int dw_ap_rep_make(struct dw_ap_rep *answer, const struct dw_ticket *ticket, uint32_t number, struct dw_error *err)
{
    static const uint8_t room[DW_CIPHER_MOST_TAG];
    const krb5_keyblock *session = &ticket->session;
    struct dw_der d = {.start = answer->memory, .at = answer->memory + sizeof answer->memory};
    const uint8_t *end = d.at;
    if (choose(answer, ticket->negotiated, err) < 0)
        return -1;
    if (number)
        answer->number = number;
    dw_der_put(&d, dw_span_make(room, dw_cipher_tag_len(dw_cipher_of(session->enctype))));
    put_part(&d, answer, ticket);
    if (seal(&d, end, ticket, err) < 0)
        return -1;
    dw_der_head(&d, DW_DER_OCTET_STRING, end);
    dw_der_head(&d, DW_DER_FIELD + 2, end);
    put_integer_field(&d, 0, (uint32_t)session->enctype);
    dw_der_head(&d, DW_DER_SEQUENCE, end);
    dw_der_head(&d, DW_DER_FIELD + 2, end);
    put_integer_field(&d, 1, MESSAGE_TYPE);
    put_integer_field(&d, 0, VERSION);
    dw_der_head(&d, DW_DER_SEQUENCE, end);
    dw_der_head(&d, MESSAGE, end);
    if (d.failed)
        return dw_error_set(err, DW_ERROR_INTERNAL, "an answer that is longer than answers are");
    answer->message = dw_span_make(d.at, (size_t)(end - d.at));
    return 0;
}
