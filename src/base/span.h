/* Borrowed bytes, and a reader over them that is safe after its first overrun.
 *
 * A span owns nothing: it lives until the next call on whoever gave it.  An absent value is a span
 * whose `at` is NULL; an empty one has length 0 and a pointer. */
#ifndef DW_BASE_SPAN_H
#define DW_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dw_span {
    const uint8_t *at;
    size_t len;
};

#define DW_SPAN_NONE ((struct dw_span){NULL, 0})
#define DW_SPAN_OF(literal) ((struct dw_span){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct dw_span dw_span_make(const void *at, size_t len)
{
    return (struct dw_span){at, len};
}

/* The octets of a C string; NULL gives an absent span. */
static inline struct dw_span dw_span_str(const char *text)
{
    return (struct dw_span){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool dw_span_equal(struct dw_span a, struct dw_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* ASCII letters compared without case, as ZMTP compares property names (RFC 23). */
bool dw_span_equal_nocase(struct dw_span a, struct dw_span b);

/* Reads big-endian integers and runs of octets.  The first overrun sets `failed`; from then on every
 * read gives zero or an empty span, so a parser checks once, at its end. */
struct dw_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct dw_reader dw_reader_make(struct dw_span span)
{
    return (struct dw_reader){span.at, span.at ? span.at + span.len : NULL, false};
}

static inline size_t dw_reader_left(const struct dw_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

static inline struct dw_span dw_reader_take(struct dw_reader *r, size_t len)
{
    if (r->failed || (size_t)(r->end - r->at) < len) {
        r->failed = true;
        return dw_span_make("", 0);
    }
    struct dw_span got = dw_span_make(r->at, len);
    r->at += len;
    return got;
}

static inline struct dw_span dw_reader_rest(struct dw_reader *r)
{
    return dw_reader_take(r, dw_reader_left(r));
}

static inline uint8_t dw_reader_u8(struct dw_reader *r)
{
    struct dw_span raw = dw_reader_take(r, 1);
    return raw.len ? raw.at[0] : 0;
}

static inline uint16_t dw_reader_u16(struct dw_reader *r)
{
    struct dw_span raw = dw_reader_take(r, 2);
    return raw.len ? (uint16_t)(raw.at[0] << 8 | raw.at[1]) : 0;
}

static inline uint32_t dw_reader_u32(struct dw_reader *r)
{
    struct dw_span raw = dw_reader_take(r, 4);
    return raw.len ? (uint32_t)raw.at[0] << 24 | (uint32_t)raw.at[1] << 16 | (uint32_t)raw.at[2] << 8 | raw.at[3]
                   : 0;
}

static inline uint64_t dw_reader_u64(struct dw_reader *r)
{
    struct dw_span raw = dw_reader_take(r, 8);
    uint64_t value = 0;
    for (size_t i = 0; i < raw.len; i++)
        value = value << 8 | raw.at[i];
    return value;
}

/* Writes a big-endian integer at `at`, which has room for it. */
static inline void dw_put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void dw_put_u64(uint8_t *at, uint64_t value)
{
    dw_put_u32(at, (uint32_t)(value >> 32));
    dw_put_u32(at + 4, (uint32_t)value);
}

#endif
