/* Messages of an established context: see seal.h. */
#include "gss/seal.h"

#include <stdio.h>

enum { HEADER = 16, FLAGS = 2, EC = 4, RRC = 6, NUMBER = 8 };
/* RFC 4121 section 4.2.2. */
enum { SENT_BY_ACCEPTOR = 1, SEALED = 2, ACCEPTOR_SUBKEY = 4 };
/* RFC 4121 section 2. */
enum { USAGE_ACCEPTOR_SEAL = 22, USAGE_INITIATOR_SEAL = 24 };

int dw_seal_make(struct dw_seal *seal, const struct dw_seal_key *key, bool initiator, uint64_t next_ours,
                 uint64_t next_theirs, struct dw_error *err)
{
    const struct dw_cipher *cipher = dw_cipher_of(key->enctype);
    if (!cipher)
        return dw_error_set(
            err, DW_ERROR_DENIED,
            "the session key's enctype, number %d, is not spoken here: use aes128-cts-hmac-sha1-96, "
            "aes256-cts-hmac-sha1-96, aes128-cts-hmac-sha256-128 or aes256-cts-hmac-sha384-192",
            (int)key->enctype);
    if (key->octets.len != dw_cipher_key_len(cipher))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a session key of %zu octets is none of enctype %d",
                            key->octets.len, (int)key->enctype);
    *seal = (struct dw_seal){.cipher = cipher};
    const uint32_t usages[] = {USAGE_ACCEPTOR_SEAL, USAGE_INITIATOR_SEAL};
    struct dw_cipher_keys keys[2];
    if (dw_cipher_derive(cipher, key->octets.at, usages, 2, keys, err) < 0) {
        dw_wipe(keys, sizeof keys);
        dw_seal_wipe(seal);
        return -1;
    }
    seal->ours = keys[initiator];
    seal->theirs = keys[!initiator];
    dw_wipe(keys, sizeof keys);
    seal->flags = (uint8_t)(SEALED | (initiator ? 0 : SENT_BY_ACCEPTOR) | (key->subkey ? ACCEPTOR_SUBKEY : 0));
    seal->next_ours = next_ours;
    seal->next_theirs = next_theirs;
    seal->can_sign = true;
    memcpy(seal->key, key->octets.at, key->octets.len);
    return 0;
}

void dw_seal_wipe(struct dw_seal *seal)
{
    if (seal->cipher)
        dw_cipher_forget(seal->cipher);
    dw_wipe(seal, sizeof *seal);
}

size_t dw_seal_overhead(const struct dw_seal *seal)
{
    return HEADER + DW_CIPHER_BLOCK + HEADER + dw_cipher_tag_len(seal->cipher);
}

static void lay(uint8_t *into, struct dw_span from)
{
    if (from.len)
        memcpy(into, from.at, from.len);
}

int dw_seal_wrap(struct dw_seal *seal, struct dw_span head, struct dw_span body, struct dw_buf *out,
                 struct dw_error *err)
{
    const size_t overhead = dw_seal_overhead(seal), most = INT32_MAX - overhead;
    if (head.len > most || body.len > most - head.len)
        return dw_error_set(err, DW_ERROR_LIMIT, "a message of %zu octets is too large to wrap", body.len);
    size_t plain = head.len + body.len;
    uint8_t *at = dw_buf_room(out, overhead + plain);
    if (!at)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a message");
    uint8_t *sealed = at + HEADER, *text = sealed + DW_CIPHER_BLOCK, *again = text + plain;
    memcpy(at, (const uint8_t[NUMBER]){0x05, 0x04, seal->flags, 0xff}, NUMBER);
    dw_put_u64(at + NUMBER, seal->next_ours);
    lay(text, head);
    lay(text + head.len, body);
    memcpy(again, at, HEADER);
    if (dw_cipher_encrypt(seal->cipher, &seal->ours, sealed, DW_CIPHER_BLOCK + plain + HEADER, again + HEADER,
                          err) < 0) {
        dw_wipe(at, overhead + plain);
        return -1;
    }
    seal->next_ours++;
    dw_buf_added(out, overhead + plain);
    return 0;
}

static void reverse(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        uint8_t kept = at[i];
        at[i] = at[len - 1 - i];
        at[len - 1 - i] = kept;
    }
}

void dw_seal_turn_back(uint8_t *at, size_t len, size_t count)
{
    uint8_t aside[64];
    count %= len;
    if (count == 0)
        return;
    if (count <= sizeof aside) {
        memcpy(aside, at, count);
        memmove(at, at + count, len - count);
        memcpy(at + len - count, aside, count);
        return;
    }
    reverse(at, count);
    reverse(at + count, len - count);
    reverse(at, len);
}

/* What a token says of itself in clear. */
static int check_header(const struct dw_seal *seal, const uint8_t *token, size_t len, struct dw_error *err)
{
    bool framed = len >= HEADER && token[0] == 0x05 && token[1] == 0x04 && token[3] == 0xff;
    if (framed && !(token[FLAGS] & SEALED))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a message wrapped without confidentiality");
    if (!framed || len < dw_seal_overhead(seal))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%zu octets that are no wrapped message", len);
    if ((token[FLAGS] & SENT_BY_ACCEPTOR) == (seal->flags & SENT_BY_ACCEPTOR))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "cannot unwrap a message: it is one of ours, sent back");
    return 0;
}

int dw_seal_unwrap(struct dw_seal *seal, uint8_t *token, size_t len, struct dw_span *plain, struct dw_error *err)
{
    if (len > INT32_MAX)
        return dw_error_set(err, DW_ERROR_LIMIT, "a wrapped message of %zu octets is too large", len);
    if (check_header(seal, token, len, err) < 0)
        return -1;
    struct dw_reader fields = dw_reader_make(dw_span_make(token + EC, HEADER - EC));
    size_t extra = dw_reader_u16(&fields), turned = dw_reader_u16(&fields);
    uint64_t number = dw_reader_u64(&fields);
    size_t tag = dw_cipher_tag_len(seal->cipher), inside = len - HEADER - tag;
    uint8_t *sealed = token + HEADER, *again = sealed + inside - HEADER;
    dw_seal_turn_back(sealed, len - HEADER, turned);
    struct dw_error why = {.kind = DW_ERROR_NONE};
    if (dw_cipher_decrypt(seal->cipher, &seal->theirs, sealed, inside, sealed + inside, &why) < 0)
        return dw_error_set(err, why.kind, "cannot unwrap a message: %.300s", why.detail);
    /* The header is proven by its copy inside, but for the rotation, which is the way's, not the sender's.  Which of two
     * keys the peer says it used is proven by the key. */
    if (memcmp(token, again, RRC) != 0 || memcmp(token + NUMBER, again + NUMBER, HEADER - NUMBER) != 0 ||
        extra > inside - DW_CIPHER_BLOCK - HEADER)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "cannot unwrap a message: its header was altered");
    /* A stream loses nothing and swaps nothing, so each token follows its predecessor, and the first the handshake
     * (RFC 4121 section 4.2.6.2). */
    if (number != seal->next_theirs)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "a message was lost, repeated or moved on its way: number %llu, expected %llu",
                            (unsigned long long)number, (unsigned long long)seal->next_theirs);
    seal->next_theirs++;
    *plain = dw_span_make(sealed + DW_CIPHER_BLOCK, inside - DW_CIPHER_BLOCK - HEADER - extra);
    return 0;
}
