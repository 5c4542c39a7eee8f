/* Any octets, taken for a wrapped message; and any octets inside a message that the peer did wrap, with confidentiality or
 * without. */
#include "gss/seal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 16, FIRST = 17 };

static void open_copy(const struct dw_seal *seal, struct dw_span token, bool honest, bool either)
{
    struct dw_seal copy = *seal;
    struct dw_error err = {.kind = DW_ERROR_NONE};
    struct dw_span plain = DW_SPAN_NONE;
    uint8_t *exact = malloc(token.len ? token.len : 1);
    if (!exact)
        return;
    if (token.len)
        memcpy(exact, token.at, token.len);
    bool confidential, sealed = token.len > 2 && (token.at[2] & 2);
    int rc = either ? dw_seal_open(&copy, exact, token.len, &plain, &confidential, &err)
                    : dw_seal_unwrap(&copy, exact, token.len, &plain, &err);
    if (rc == 0 && (either ? confidential != sealed : !sealed))
        __builtin_trap();
    /* Without the key nothing is opened; and what is opened lies inside. */
    if (rc == 0 && (!honest || plain.at < exact || plain.at + plain.len > exact + token.len))
        __builtin_trap();
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t octets[32] = {1, 2, 3};
    struct dw_seal ours, theirs;
    struct dw_error err;
    if (size < 1)
        return 0;
    int32_t enctype = FIRST + (data[0] & 3);
    struct dw_seal_key key = {enctype, dw_span_make(octets, dw_cipher_key_len(dw_cipher_of(enctype))), true};
    if (dw_seal_make(&ours, &key, true, 0, 0, &err) < 0 || dw_seal_make(&theirs, &key, false, 0, 0, &err) < 0)
        return 0;
    open_copy(&theirs, dw_span_make(data + 1, size - 1), false, false);
    open_copy(&theirs, dw_span_make(data + 1, size - 1), false, true);

    /* The same as header, and as what stands encrypted behind it. */
    struct dw_buf token = {0};
    size_t tag = dw_cipher_tag_len(ours.cipher), inside = size - 1;
    uint8_t *at = inside >= 2 * HEADER ? dw_buf_room(&token, inside + DW_CIPHER_BLOCK + tag) : NULL;
    if (at) {
        size_t sealed = DW_CIPHER_BLOCK + inside - HEADER;
        memcpy(at, data + 1, HEADER);
        memcpy(at + HEADER + DW_CIPHER_BLOCK, data + 1 + HEADER, inside - HEADER);
        if (dw_cipher_encrypt(ours.cipher, &ours.ours, at + HEADER, sealed, at + HEADER + sealed, &err) == 0)
            open_copy(&theirs, dw_span_make(at, HEADER + sealed + tag), true, true);
    }
    dw_buf_free(&token);

    /* Without confidentiality: the header as it is given, but for what every message has. */
    at = inside >= HEADER ? dw_buf_room(&token, inside + tag) : NULL;
    if (at) {
        uint8_t bare[HEADER];
        memcpy(at, data + 1, inside);
        memcpy(at, (const uint8_t[]){5, 4, at[2] & 0xfd, 0xff}, 4);
        memcpy(bare, at, HEADER);
        memset(bare + 4, 0, 4);
        if (dw_cipher_checksum(ours.cipher, octets, 24, dw_span_make(at + HEADER, inside - HEADER),
                               dw_span_make(bare, HEADER), at + inside, &err) == 0) {
            open_copy(&theirs, dw_span_make(at, inside + tag), true, true);
            open_copy(&theirs, dw_span_make(at, inside + tag), true, false);
        }
    }
    dw_buf_free(&token);
    return 0;
}
