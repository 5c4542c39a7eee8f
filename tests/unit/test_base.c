/* The ground: spans and readers, buffers, errors, text. */
#include "check.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>

static void readers(void)
{
    struct dw_reader r =
        dw_reader_make(DW_SPAN_OF("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0frest"));
    CHECK_INT(dw_reader_u8(&r), 0x01);
    CHECK_INT(dw_reader_u16(&r), 0x0203);
    CHECK_INT(dw_reader_u32(&r), 0x04050607);
    CHECK_INT(dw_reader_u64(&r), 0x08090a0b0c0d0e0f);
    CHECK_INT(dw_reader_left(&r), 4);
    CHECK_SPAN(dw_reader_rest(&r), "rest");
    CHECK(!r.failed);
    CHECK_INT(dw_reader_take(&r, 0).len, 0);
    CHECK(!r.failed);
}

static void an_overrun_is_remembered(void)
{
    struct dw_reader r = dw_reader_make(DW_SPAN_OF("\x01\x02\x03"));
    CHECK_INT(dw_reader_u32(&r), 0);
    CHECK(r.failed);
    CHECK_INT(dw_reader_u8(&r), 0);
    CHECK_INT(dw_reader_left(&r), 0);
    CHECK_INT(dw_reader_take(&r, SIZE_MAX).len, 0);
    CHECK_INT(dw_reader_rest(&r).len, 0);

    r = dw_reader_make(DW_SPAN_NONE);
    CHECK_INT(dw_reader_left(&r), 0);
    CHECK_INT(dw_reader_take(&r, 0).len, 0);
    CHECK_INT(dw_reader_rest(&r).len, 0);
    CHECK(!r.failed);
    CHECK_INT(dw_reader_u8(&r), 0);
    CHECK(r.failed);
}

static void spans(void)
{
    CHECK(dw_span_equal(DW_SPAN_NONE, DW_SPAN_OF("")));
    CHECK(!dw_span_equal(DW_SPAN_OF("a"), DW_SPAN_OF("b")));
    CHECK(dw_span_equal_nocase(DW_SPAN_OF("Socket-Type"), DW_SPAN_OF("sOCKET-tYPE")));
    CHECK(!dw_span_equal_nocase(DW_SPAN_OF("a"), DW_SPAN_OF("ab")));
    /* Only letters have a case: @ and `, [ and { are not one. */
    CHECK(!dw_span_equal_nocase(DW_SPAN_OF("@["), DW_SPAN_OF("`{")));
    CHECK(dw_span_str(NULL).at == NULL);
}

static void a_queue_keeps_order(void)
{
    struct dw_meter meter = {0};
    struct dw_buf b = {.meter = &meter};
    unsigned in = 0, out = 0, seed = 1;
    for (int turn = 0; turn < 20000; turn++) {
        seed = seed * 1103515245u + 12345u;
        uint8_t bytes[64];
        size_t n = seed >> 16 & 63;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)in++;
        CHECK_INT(dw_buf_put(&b, dw_span_make(bytes, n)), 0);
        n = (seed >> 22 & 63) < dw_buf_len(&b) ? seed >> 22 & 63 : dw_buf_len(&b);
        bool same = true;
        for (size_t i = 0; i < n; i++)
            same = same && dw_buf_span(&b).at[i] == (uint8_t)out++;
        CHECK(same);
        dw_buf_take(&b, n);
        if (meter.held != b.cap)
            CHECK_INT(meter.held, b.cap);
    }
    CHECK_INT(dw_buf_len(&b), in - out);
    dw_buf_free(&b);
    CHECK_INT(meter.held, 0);
    CHECK(b.meter == &meter);
}

static void buffers(void)
{
    struct dw_buf b = {0};
    CHECK_INT(dw_buf_span(&b).len, 0);
    CHECK(dw_buf_span(&b).at != NULL);
    CHECK_INT(dw_buf_put(&b, DW_SPAN_NONE), 0);
    CHECK_INT(b.cap, 0);
    dw_buf_put_u8(&b, 1);
    dw_buf_put_u32(&b, 0x02030405);
    dw_buf_put_u64(&b, 0x060708090a0b0c0d);
    CHECK_SPAN(dw_buf_span(&b), "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d");
    dw_buf_cut(&b, 100);
    CHECK_INT(dw_buf_len(&b), 13);
    dw_buf_take(&b, 1);
    dw_buf_cut(&b, 2);
    CHECK_SPAN(dw_buf_span(&b), "\x02\x03");
    dw_buf_printf(&b, "%s-%d", "x", 7);
    CHECK_SPAN(dw_buf_span(&b), "\x02\x03x-7");
    /* More than there is: told, and nothing is changed. */
    CHECK(dw_buf_room(&b, SIZE_MAX) == NULL);
    CHECK(dw_buf_room(&b, SIZE_MAX / 2) == NULL);
    CHECK_SPAN(dw_buf_span(&b), "\x02\x03x-7");
    dw_buf_clear(&b, 4096);
    CHECK(b.cap > 0);
    CHECK_INT(dw_buf_len(&b), 0);
    dw_buf_clear(&b, 0);
    CHECK_INT(b.cap, 0);
    CHECK(b.at == NULL);
    dw_buf_free(&b);
}

static void one_large_request_gets_just_that(void)
{
    struct dw_buf b = {0};
    CHECK(dw_buf_room(&b, 1000000) != NULL);
    CHECK_INT(b.cap, 1000000);
    dw_buf_free(&b);
}

static void errors(void)
{
    struct dw_error err = {0};
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK_INT(dw_error_set(NULL, DW_ERROR_LIMIT, "nobody listens"), -1);
    CHECK_INT(dw_error_set(&err, DW_ERROR_LIMIT, "%s", text), -1);
    CHECK_INT(strlen(err.detail), sizeof err.detail - 1);
    CHECK_STR(dw_error_word(DW_ERROR_TEMPORARY), "temporary");
    CHECK_STR(dw_error_word((enum dw_error_kind)99), "unknown");
    /* What the peer is told gives away nothing. */
    CHECK_STR(dw_error_phrase(DW_ERROR_INTERNAL), dw_error_phrase(DW_ERROR_TEMPORARY));
    CHECK_STR(dw_error_phrase(DW_ERROR_DENIED), "access denied");
    CHECK_INT(dw_log_level_parse("warn"), DW_LOG_WARN);
    CHECK_INT(dw_log_level_parse("warning"), -1);
}

static void utf8(void)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x94\x91",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80"};
    static const char *const bad[] = {
        "\x80",         "\xc3",         "\xc0\x80",      "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xe2\x82",     "\xed\xa0\x80", "\xed\xbf\xbf",  "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80", "\xff",         "a\xe2\x28\xa1",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(dw_text_is_utf8(dw_span_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!dw_text_is_utf8(dw_span_str(bad[i])));
    CHECK(dw_text_has_control(DW_SPAN_OF("a\0b")));
    CHECK(dw_text_has_control(DW_SPAN_OF("a\x7f")));
    CHECK(dw_text_has_control(DW_SPAN_OF("a\xc2\x85")));
    CHECK(!dw_text_has_control(DW_SPAN_OF("a\xc2\xa0 b")));
    CHECK(!dw_text_has_control(DW_SPAN_OF("")));
}

static void quote_as(const char *file_line, struct dw_span text, const char *wanted)
{
    struct dw_buf out = {0};
    CHECK_INT(dw_text_quote(&out, text), 0);
    struct dw_span got = dw_buf_span(&out);
    if (!CHECK(dw_span_equal(got, dw_span_str(wanted))))
        printf("    line %s: got %.*s, wanted %s\n", file_line, (int)got.len, (const char *)got.at, wanted);
    dw_buf_free(&out);
}

#define TEXT_OF(x) #x
#define LINE_OF(x) TEXT_OF(x)
#define QUOTED(text, wanted) quote_as(LINE_OF(__LINE__), DW_SPAN_OF(text), wanted)

static void quotes(void)
{
    QUOTED("plain", "plain");
    QUOTED("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5570");
    QUOTED("k\xc3\xb6nig", "k\xc3\xb6nig");
    QUOTED("", "\"\"");
    QUOTED("two words", "\"two words\"");
    QUOTED("a=b", "\"a=b\"");
    QUOTED("say \"hi\" \\", "\"say \\\"hi\\\" \\\\\"");
    QUOTED("line\nnext\tx\r", "\"line\\nnext\\tx\\x0d\"");
    QUOTED("\x1b[31m", "\"\\x1b[31m\"");
    QUOTED("\0", "\"\\x00\"");
    QUOTED("\xff\xfe", "\"\\xff\\xfe\"");
    QUOTED("\xc2\x85", "\"\\xc2\\x85\"");
    QUOTED("\xe2\x82", "\"\\xe2\\x82\"");
}

static void hex(void)
{
    struct dw_buf out = {0};
    CHECK_INT(dw_text_hex(&out, DW_SPAN_OF("\x00\x7f\xff")), 0);
    CHECK_SPAN(dw_buf_span(&out), "007fff");
    dw_buf_clear(&out, 4096);
    CHECK_INT(dw_text_unhex(&out, DW_SPAN_OF("61Bc7A")), 0);
    CHECK_SPAN(dw_buf_span(&out), "a\xbcz");
    CHECK_INT(dw_text_unhex(&out, DW_SPAN_OF("6")), -1);
    CHECK_INT(dw_text_unhex(&out, DW_SPAN_OF("6g")), -1);
    CHECK_INT(dw_text_unhex(&out, DW_SPAN_OF("\x10\x11")), -1);
    CHECK_INT(dw_text_unhex(&out, DW_SPAN_OF("")), 0);
    dw_buf_free(&out);
}

static void nearest(void)
{
    static const char *const words[] = {"keytab", "journal", "policy", "listen", "service", NULL};
    CHECK_STR(dw_text_nearest("keytabs", words), "keytab");
    CHECK_STR(dw_text_nearest("polciy", words), "policy");
    CHECK_STR(dw_text_nearest("lisen", words), "listen");
    CHECK(dw_text_nearest("banana", words) == NULL);
    CHECK(dw_text_nearest("", words) == NULL);
    CHECK(dw_text_nearest("a word that is so long that no option could ever have been meant by it, surely",
                          words) == NULL);
}

static void times(void)
{
    char into[32];
    CHECK_STR(dw_text_time(into, 0), "1970-01-01T00:00:00.000Z");
    CHECK_STR(dw_text_time(into, 1795341600123456LL), "2026-11-22T10:00:00.123Z");
    CHECK_STR(dw_text_time(into, -1000), "1969-12-31T23:59:59.999Z");
    CHECK_STR(dw_text_time(into, -1000000), "1969-12-31T23:59:59.000Z");
    CHECK(strlen(dw_text_time(into, INT64_MAX)) < sizeof into);
}

static void duplicates(void)
{
    char *copy = dw_text_dup(DW_SPAN_OF("abc"));
    CHECK_STR(copy, "abc");
    free(copy);
    CHECK(dw_text_dup(DW_SPAN_NONE) == NULL);
}

int main(void)
{
    RUN(readers);
    RUN(an_overrun_is_remembered);
    RUN(spans);
    RUN(a_queue_keeps_order);
    RUN(buffers);
    RUN(one_large_request_gets_just_that);
    RUN(errors);
    RUN(utf8);
    RUN(quotes);
    RUN(hex);
    RUN(nearest);
    RUN(times);
    RUN(duplicates);
    return check_done();
}
