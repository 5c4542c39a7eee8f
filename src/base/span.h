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

struct dw_reader dw_reader_make(struct dw_span span);
size_t dw_reader_left(const struct dw_reader *r);
uint8_t dw_reader_u8(struct dw_reader *r);
uint16_t dw_reader_u16(struct dw_reader *r);
uint32_t dw_reader_u32(struct dw_reader *r);
uint64_t dw_reader_u64(struct dw_reader *r);
struct dw_span dw_reader_take(struct dw_reader *r, size_t len);
struct dw_span dw_reader_rest(struct dw_reader *r);

/* Writes a big-endian integer at `at`, which has room for it. */
void dw_put_u32(uint8_t *at, uint32_t value);
void dw_put_u64(uint8_t *at, uint64_t value);

#endif
