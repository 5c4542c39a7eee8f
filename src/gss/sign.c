/* Messages without confidentiality (RFC 4121 section 4.2.4): see seal.h.
 *
 * Few are made, in the negotiation of SASL's GSSAPI (RFC 4752), so their key is derived for each. */
#include "gss/seal.h"

#include <openssl/crypto.h>

enum { HEADER = 16, FLAGS = 2, EC = 4, NUMBER = 8 };
/* RFC 4121 section 4.2.2. */
enum { SENT_BY_ACCEPTOR = 1, SEALED = 2 };
/* RFC 4121 section 2: a wrap token is a SEAL, with and without confidentiality. */
enum { USAGE_ACCEPTOR_SEAL = 22, USAGE_INITIATOR_SEAL = 24 };

/* Over the plaintext and the header, in which EC and RRC are zero. */
static int sum_of(const struct dw_seal *seal, uint8_t flags, const uint8_t *header, struct dw_span plain,
                  uint8_t sum[DW_CIPHER_MOST_TAG], struct dw_error *err)
{
    uint8_t bare[HEADER];
    uint32_t usage = flags & SENT_BY_ACCEPTOR ? USAGE_ACCEPTOR_SEAL : USAGE_INITIATOR_SEAL;
    if (!seal->can_sign)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message without confidentiality after the handshake");
    memcpy(bare, header, HEADER);
    memset(bare + EC, 0, NUMBER - EC);
    return dw_cipher_checksum(seal->cipher, seal->key, usage, plain, dw_span_make(bare, HEADER), sum, err);
}

int dw_seal_sign(struct dw_seal *seal, struct dw_span plain, struct dw_buf *out, struct dw_error *err)
{
    size_t tag = dw_cipher_tag_len(seal->cipher), before = dw_buf_len(out);
    uint8_t header[HEADER] = {0x05, 0x04, seal->flags & (uint8_t)~SEALED, 0xff, 0, (uint8_t)tag},
            sum[DW_CIPHER_MOST_TAG];
    dw_put_u64(header + NUMBER, seal->next_ours);
    if (sum_of(seal, seal->flags, header, plain, sum, err) < 0)
        return -1;
    if (dw_buf_put(out, dw_span_make(header, HEADER)) < 0 || dw_buf_put(out, plain) < 0 ||
        dw_buf_put(out, dw_span_make(sum, tag)) < 0) {
        dw_buf_cut(out, before);
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a message");
    }
    seal->next_ours++;
    return 0;
}

static int open_signed(struct dw_seal *seal, uint8_t *token, size_t len, struct dw_span *plain,
                       struct dw_error *err)
{
    size_t tag = dw_cipher_tag_len(seal->cipher);
    struct dw_reader fields = dw_reader_make(dw_span_make(token + EC, HEADER - EC));
    size_t extra = dw_reader_u16(&fields), turned = dw_reader_u16(&fields);
    uint64_t number = dw_reader_u64(&fields);
    uint8_t sum[DW_CIPHER_MOST_TAG];
    if (len < HEADER + tag || extra != tag)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%zu octets that are no wrapped message", len);
    if ((token[FLAGS] & SENT_BY_ACCEPTOR) == (seal->flags & SENT_BY_ACCEPTOR))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "cannot unwrap a message: it is one of ours, sent back");
    dw_seal_turn_back(token + HEADER, len - HEADER, turned);
    struct dw_span text = dw_span_make(token + HEADER, len - HEADER - tag);
    if (sum_of(seal, token[FLAGS], token, text, sum, err) < 0)
        return -1;
    if (CRYPTO_memcmp(sum, token + len - tag, tag) != 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "cannot unwrap a message: it was not made with this context's key, or was altered");
    if (number != seal->next_theirs)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "a message was lost, repeated or moved on its way: number %llu, expected %llu",
                            (unsigned long long)number, (unsigned long long)seal->next_theirs);
    seal->next_theirs++;
    *plain = text;
    return 0;
}

int dw_seal_open(struct dw_seal *seal, uint8_t *token, size_t len, struct dw_span *plain, bool *confidential,
                 struct dw_error *err)
{
    bool framed = len >= HEADER && token[0] == 0x05 && token[1] == 0x04 && token[3] == 0xff;
    *confidential = !framed || (token[FLAGS] & SEALED);
    if (*confidential || len > INT32_MAX)
        return dw_seal_unwrap(seal, token, len, plain, err);
    return open_signed(seal, token, len, plain, err);
}

void dw_seal_settle(struct dw_seal *seal)
{
    seal->can_sign = false;
    dw_wipe(seal->key, sizeof seal->key);
}
