/* JSON as text: see writer.h. */
#include "auth/writer.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <yajl/yajl_gen.h>

/* The library does not look whether it was given memory, so it never asks for any: what it needs is known and here. */
static void *lend(void *at, size_t size)
{
    struct dw_writer *w = at;
    size_t step = alignof(max_align_t), start = (w->used + step - 1) / step * step;
    if (start + size > sizeof w->memory)
        return NULL;
    w->used = start + size;
    return w->memory + start;
}

static void *lend_more(void *at, void *old, size_t size)
{
    (void)at, (void)old, (void)size;
    return NULL;
}

static void take_back(void *at, void *old)
{
    (void)at, (void)old;
}

static void append(void *at, const char *text, size_t len)
{
    struct dw_writer *w = at;
    struct dw_buf *out = w->out;
    /* Most of what comes is a quote, a colon or a comma. */
    if (len == 1 && out->tail < out->cap && !w->failed) {
        out->at[out->tail++] = (uint8_t)*text;
        return;
    }
    uint8_t *room = w->failed ? NULL : dw_buf_room(out, len);
    w->failed = w->failed || !room;
    if (w->failed)
        return;
    memcpy(room, text, len);
    dw_buf_added(out, len);
}

static void check(struct dw_writer *w, yajl_gen_status status)
{
    w->failed = w->failed || status != yajl_gen_status_ok;
}

void dw_writer_begin(struct dw_writer *w, struct dw_buf *out, int digits)
{
    const yajl_alloc_funcs memory = {lend, lend_more, take_back, w};
    w->out = out;
    w->digits = digits;
    w->failed = false;
    w->used = 0;
    w->gen = yajl_gen_alloc(&memory);
    if (!w->gen || !yajl_gen_config(w->gen, yajl_gen_print_callback, append, w))
        w->failed = true;
}

int dw_writer_end(struct dw_writer *w)
{
    return w->failed ? -1 : 0;
}

void dw_writer_object(struct dw_writer *w)
{
    check(w, yajl_gen_map_open(w->gen));
}

void dw_writer_end_object(struct dw_writer *w)
{
    check(w, yajl_gen_map_close(w->gen));
}

void dw_writer_list(struct dw_writer *w)
{
    check(w, yajl_gen_array_open(w->gen));
}

void dw_writer_end_list(struct dw_writer *w)
{
    check(w, yajl_gen_array_close(w->gen));
}

static void string(struct dw_writer *w, struct dw_span text)
{
    check(w, yajl_gen_string(w->gen, text.at ? text.at : (const uint8_t *)"", text.len));
}

void dw_writer_name(struct dw_writer *w, const char *name)
{
    string(w, dw_span_str(name));
}

void dw_writer_name_span(struct dw_writer *w, struct dw_span name)
{
    w->failed = w->failed || !dw_text_is_utf8(name);
    string(w, name);
}

void dw_writer_text(struct dw_writer *w, struct dw_span text)
{
    if (dw_text_is_utf8(text)) {
        string(w, text);
        return;
    }
    struct dw_buf hex = {0};
    w->failed = w->failed || dw_text_hex(&hex, text) < 0;
    dw_writer_object(w);
    dw_writer_name(w, "hex");
    string(w, dw_buf_span(&hex));
    dw_writer_end_object(w);
    dw_buf_free(&hex);
}

static void number(struct dw_writer *w, const char *digits, size_t len)
{
    check(w, yajl_gen_number(w->gen, digits, len));
}

/* printf would take longer than all the rest of a line. */
static size_t decimal(char *into, long long value)
{
    char reversed[24];
    size_t len = 0, count = 0;
    unsigned long long left = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
    if (value < 0)
        into[len++] = '-';
    do
        reversed[count++] = (char)('0' + left % 10);
    while (left /= 10);
    while (count)
        into[len++] = reversed[--count];
    return len;
}

void dw_writer_integer(struct dw_writer *w, long long value)
{
    char digits[24];
    number(w, digits, decimal(digits, value));
}

void dw_writer_real(struct dw_writer *w, double value)
{
    char digits[40];
    size_t len;
    if (fabs(value) < 1e15 && value == (double)(long long)value) {
        len = decimal(digits, (long long)value);
    } else {
        w->failed = w->failed || !isfinite(value);
        len = (size_t)snprintf(digits, sizeof digits, "%.*g", w->digits, value);
    }
    /* It stays a real number to whoever reads it. */
    if (!memchr(digits, '.', len) && !memchr(digits, 'e', len)) {
        digits[len++] = '.';
        digits[len++] = '0';
    }
    number(w, digits, len);
}

void dw_writer_time(struct dw_writer *w, long long microseconds)
{
    char digits[40];
    if (microseconds < 0) {
        dw_writer_real(w, (double)microseconds / 1e6);
        return;
    }
    /* A million more keeps the zeros that a fraction begins with. */
    size_t whole = decimal(digits, microseconds / 1000000);
    size_t len = whole + decimal(digits + whole, microseconds % 1000000 + 1000000);
    digits[whole] = '.';
    while (digits[len - 1] == '0' && digits[len - 2] != '.')
        len--;
    number(w, digits, len);
}

void dw_writer_flag(struct dw_writer *w, bool value)
{
    check(w, yajl_gen_bool(w->gen, value));
}

static void object(struct dw_writer *w, const json_t *value)
{
    const char *name;
    json_t *part;
    dw_writer_object(w);
    json_object_foreach((json_t *)(uintptr_t)value, name, part)
    {
        dw_writer_name(w, name);
        dw_writer_tree(w, part);
    }
    dw_writer_end_object(w);
}

static void list(struct dw_writer *w, const json_t *value)
{
    dw_writer_list(w);
    for (size_t i = 0; i < json_array_size(value); i++)
        dw_writer_tree(w, json_array_get(value, i));
    dw_writer_end_list(w);
}

void dw_writer_tree(struct dw_writer *w, const json_t *value)
{
    if (w->failed || !value) {
        w->failed = true;
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT: object(w, value); break;
    case JSON_ARRAY: list(w, value); break;
    case JSON_STRING: string(w, dw_span_make(json_string_value(value), json_string_length(value))); break;
    case JSON_INTEGER: dw_writer_integer(w, json_integer_value(value)); break;
    case JSON_REAL: dw_writer_real(w, json_real_value(value)); break;
    case JSON_TRUE: dw_writer_flag(w, true); break;
    case JSON_FALSE: dw_writer_flag(w, false); break;
    case JSON_NULL: check(w, yajl_gen_null(w->gen)); break;
    }
}

void dw_writer_put(struct dw_writer *w, const char *name, const char *text)
{
    if (!text)
        return;
    dw_writer_name(w, name);
    dw_writer_text(w, dw_span_str(text));
}

json_t *dw_writer_tree_of(void (*write)(struct dw_writer *w, const void *what), const void *what)
{
    struct dw_buf text = {0};
    struct dw_writer w;
    json_t *tree = NULL;
    dw_writer_begin(&w, &text, DW_WRITER_EXACT);
    write(&w, what);
    if (dw_writer_end(&w) == 0)
        tree = json_loadb((const char *)dw_buf_span(&text).at, dw_buf_len(&text), JSON_ALLOW_NUL, NULL);
    dw_buf_free(&text);
    return tree;
}
