/* Base64: see base64.h. */
#include "base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int dw_base64_put(struct dw_buf *out, struct dw_span octets)
{
    size_t len = (octets.len + 2) / 3 * 4;
    uint8_t *at = dw_buf_room(out, len);
    if (!at)
        return -1;
    for (size_t i = 0; i < octets.len; i += 3) {
        size_t left = octets.len - i;
        uint32_t bits = (uint32_t)octets.at[i] << 16 | (left > 1 ? (uint32_t)octets.at[i + 1] << 8 : 0) |
                        (left > 2 ? octets.at[i + 2] : 0);
        *at++ = (uint8_t)letters[bits >> 18];
        *at++ = (uint8_t)letters[bits >> 12 & 63];
        *at++ = left > 1 ? (uint8_t)letters[bits >> 6 & 63] : '=';
        *at++ = left > 2 ? (uint8_t)letters[bits & 63] : '=';
    }
    dw_buf_added(out, len);
    return 0;
}

/* 64 and more: no letter. */
static uint32_t value_of(uint8_t letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26U;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52U;
    return letter == '+' ? 62 : letter == '/' ? 63 : 64;
}

int dw_base64_take(struct dw_buf *out, struct dw_span text)
{
    if (text.len % 4)
        return -1;
    size_t padding = text.len == 0 ? 0 : (text.at[text.len - 1] == '=') + (size_t)(text.at[text.len - 2] == '=');
    size_t len = text.len / 4 * 3 - padding, made = 0;
    uint8_t *at = dw_buf_room(out, len ? len : 1);
    if (!at)
        return -1;
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t bits = 0;
        for (size_t j = i; j < i + 4; j++) {
            uint32_t value = j >= text.len - padding ? 0 : value_of(text.at[j]);
            if (value > 63)
                return -1;
            bits = bits << 6 | value;
        }
        for (int shift = 16; shift >= 0; shift -= 8) {
            uint8_t octet = (uint8_t)(bits >> shift);
            if (made < len)
                at[made++] = octet;
            else if (octet)
                return -1;
        }
    }
    dw_buf_added(out, len);
    return 0;
}
