/* Owned bytes: a queue that grows to a bound, and wipes what it gives back.
 *
 * Bytes are appended at the tail and taken from the head; what lies between is one span.  A buffer that
 * has a meter reports its capacity there, so that the memory of all connections together can be
 * bounded.  One thread at a time; a meter may be shared by many threads. */
#ifndef DW_BASE_BUF_H
#define DW_BASE_BUF_H

#include "base/span.h"

#include <stdatomic.h>

/* Octets held by every buffer that names this meter. */
struct dw_meter {
    _Atomic size_t held;
};

struct dw_buf {
    uint8_t *at;
    size_t head, tail, cap;
    struct dw_meter *meter; /* borrowed; may be NULL */
};

static inline size_t dw_buf_len(const struct dw_buf *b)
{
    return b->tail - b->head;
}

static inline struct dw_span dw_buf_span(const struct dw_buf *b)
{
    return dw_span_make(b->at ? b->at + b->head : (const uint8_t *)"", dw_buf_len(b));
}

/* Room for `want` octets at the tail, to be filled and then confirmed with dw_buf_added.
 * NULL when memory is out.  Moves the contents: spans into the buffer end here. */
uint8_t *dw_buf_grow(struct dw_buf *b, size_t want);
static inline uint8_t *dw_buf_room(struct dw_buf *b, size_t want)
{
    return b->at && b->cap - b->tail >= want ? b->at + b->tail : dw_buf_grow(b, want);
}
static inline void dw_buf_added(struct dw_buf *b, size_t len)
{
    b->tail += len;
}

/* Appends; 0, or -1 when memory is out (nothing was appended). */
int dw_buf_put(struct dw_buf *b, struct dw_span bytes);
int dw_buf_put_u8(struct dw_buf *b, uint8_t value);
int dw_buf_put_u32(struct dw_buf *b, uint32_t value);
int dw_buf_put_u64(struct dw_buf *b, uint64_t value);
int dw_buf_printf(struct dw_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops `len` octets from the head. */
void dw_buf_take(struct dw_buf *b, size_t len);
/* Drops what stands past `len` octets: undoes appends. */
void dw_buf_cut(struct dw_buf *b, size_t len);
/* Empties, keeping at most `keep` octets of capacity. */
void dw_buf_clear(struct dw_buf *b, size_t keep);
/* Wipes and frees; the buffer is as new, its meter kept. */
void dw_buf_free(struct dw_buf *b);

/* Overwrites memory in a way that the compiler may not leave out. */
void dw_wipe(void *at, size_t len);

#endif
