/* Any octets, taken for a wrapped message; and any octets inside a message that the peer did wrap. */
#include "gss/seal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 16, FIRST = 17 };

static void open_copy(const struct dw_seal *seal, struct dw_span token, bool honest)
{
    struct dw_seal copy = *seal;
    struct dw_error err = {.kind = DW_ERROR_NONE};
    struct dw_span plain = DW_SPAN_NONE;
    uint8_t *exact = malloc(token.len ? token.len : 1);
    if (!exact)
        return;
    if (token.len)
        memcpy(exact, token.at, token.len);
    int rc = dw_seal_unwrap(&copy, exact, token.len, &plain, &err);
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
    open_copy(&theirs, dw_span_make(data + 1, size - 1), false);

    /* The same as header, and as what stands encrypted behind it. */
    struct dw_buf token = {0};
    size_t tag = dw_cipher_tag_len(ours.cipher), inside = size - 1;
    uint8_t *at = inside >= 2 * HEADER ? dw_buf_room(&token, inside + DW_CIPHER_BLOCK + tag) : NULL;
    if (at) {
        size_t sealed = DW_CIPHER_BLOCK + inside - HEADER;
        memcpy(at, data + 1, HEADER);
        memcpy(at + HEADER + DW_CIPHER_BLOCK, data + 1 + HEADER, inside - HEADER);
        if (dw_cipher_encrypt(ours.cipher, &ours.ours, at + HEADER, sealed, at + HEADER + sealed, &err) == 0)
            open_copy(&theirs, dw_span_make(at, HEADER + sealed + tag), true);
    }
    dw_buf_free(&token);
    return 0;
}
