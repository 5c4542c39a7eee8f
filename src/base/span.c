/* Borrowed bytes: see span.h. */
#include "base/span.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool dw_span_equal_nocase(struct dw_span a, struct dw_span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

struct dw_reader dw_reader_make(struct dw_span span)
{
    return (struct dw_reader){span.at, span.at ? span.at + span.len : NULL, false};
}

size_t dw_reader_left(const struct dw_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

struct dw_span dw_reader_take(struct dw_reader *r, size_t len)
{
    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        return dw_span_make("", 0);
    }
    struct dw_span got = dw_span_make(r->at, len);
    r->at += len;
    return got;
}

struct dw_span dw_reader_rest(struct dw_reader *r)
{
    return dw_reader_take(r, dw_reader_left(r));
}

static uint64_t big_endian(struct dw_reader *r, size_t octets)
{
    struct dw_span raw = dw_reader_take(r, octets);
    uint64_t value = 0;
    for (size_t i = 0; i < raw.len; i++)
        value = value << 8 | raw.at[i];
    return value;
}

uint8_t dw_reader_u8(struct dw_reader *r)
{
    return (uint8_t)big_endian(r, 1);
}

uint16_t dw_reader_u16(struct dw_reader *r)
{
    return (uint16_t)big_endian(r, 2);
}

uint32_t dw_reader_u32(struct dw_reader *r)
{
    return (uint32_t)big_endian(r, 4);
}

uint64_t dw_reader_u64(struct dw_reader *r)
{
    return big_endian(r, 8);
}

void dw_put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

void dw_put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}
