/* Owned bytes: see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void dw_wipe(void *at, size_t len)
{
    if (len)
        explicit_bzero(at, len);
}

static void account(struct dw_buf *b, size_t old_cap, size_t new_cap)
{
    if (b->meter && new_cap > old_cap)
        atomic_fetch_add_explicit(&b->meter->held, new_cap - old_cap, memory_order_relaxed);
    else if (b->meter && new_cap < old_cap)
        atomic_fetch_sub_explicit(&b->meter->held, old_cap - new_cap, memory_order_relaxed);
}

/* A fresh block rather than realloc, which would leave an unwiped copy behind. */
static int move_to(struct dw_buf *b, size_t cap)
{
    uint8_t *at = malloc(cap);
    if (!at)
        return -1;
    size_t len = dw_buf_len(b);
    if (len)
        memcpy(at, b->at + b->head, len);
    dw_wipe(b->at, b->tail);
    free(b->at);
    account(b, b->cap, cap);
    b->at = at;
    b->head = 0;
    b->tail = len;
    b->cap = cap;
    return 0;
}

uint8_t *dw_buf_grow(struct dw_buf *b, size_t want)
{
    size_t len = dw_buf_len(b);
    if (want > SIZE_MAX / 2 - len)
        return NULL;
    size_t need = len + want;
    if (b->at && b->cap >= need && b->head >= len) {
        memmove(b->at, b->at + b->head, len);
        b->head = 0;
        b->tail = len;
        return b->at + b->tail;
    }
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap < need)
        cap += cap < (size_t)1 << 20 ? cap : cap / 4;
    /* One large request on an empty buffer is a frame of known size: give just that. */
    if (len == 0 && need > 4096)
        cap = need;
    return move_to(b, cap) < 0 ? NULL : b->at + b->tail;
}

int dw_buf_put(struct dw_buf *b, struct dw_span bytes)
{
    if (bytes.len == 0)
        return 0;
    uint8_t *room = dw_buf_room(b, bytes.len);
    if (!room)
        return -1;
    memcpy(room, bytes.at, bytes.len);
    b->tail += bytes.len;
    return 0;
}

int dw_buf_put_u8(struct dw_buf *b, uint8_t value)
{
    return dw_buf_put(b, dw_span_make(&value, 1));
}

int dw_buf_put_u32(struct dw_buf *b, uint32_t value)
{
    uint8_t raw[4];
    dw_put_u32(raw, value);
    return dw_buf_put(b, dw_span_make(raw, sizeof raw));
}

int dw_buf_put_u64(struct dw_buf *b, uint64_t value)
{
    uint8_t raw[8];
    dw_put_u64(raw, value);
    return dw_buf_put(b, dw_span_make(raw, sizeof raw));
}

int dw_buf_printf(struct dw_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *room = len < 0 ? NULL : dw_buf_room(b, (size_t)len + 1);
    if (room) {
        vsnprintf((char *)room, (size_t)len + 1, format, again);
        b->tail += (size_t)len;
    }
    va_end(again);
    return room ? 0 : -1;
}

void dw_buf_take(struct dw_buf *b, size_t len)
{
    b->head += len;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

void dw_buf_cut(struct dw_buf *b, size_t len)
{
    if (len < dw_buf_len(b))
        b->tail = b->head + len;
}

void dw_buf_clear(struct dw_buf *b, size_t keep)
{
    if (b->cap > keep) {
        dw_buf_free(b);
        return;
    }
    b->head = b->tail = 0;
}

void dw_buf_free(struct dw_buf *b)
{
    /* Everything ever written may still lie there, also before the head. */
    dw_wipe(b->at, b->cap);
    free(b->at);
    account(b, b->cap, 0);
    *b = (struct dw_buf){.meter = b->meter};
}
