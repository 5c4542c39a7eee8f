/* The codecs of ZMTP, each by itself; conversations have the rest. */
#include "check.h"

#include "zmtp/command.h"
#include "zmtp/frame.h"
#include "zmtp/greeting.h"

static void frames(void)
{
    struct dw_frame_header h;
    struct dw_error err;
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF(""), 100, &err), 0);
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\0"), 100, &err), 0);
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\1\5"), 100, &err), 1);
    CHECK_INT(h.flags, DW_WIRE_MORE);
    CHECK_INT(h.header, 2);
    CHECK_INT(h.size, 5);
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\2\0\0\0\0\0\0\0"), 100, &err), 0);
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\6\0\0\0\0\0\0\0\x64"), 100, &err), 1);
    CHECK_INT(h.header, 9);
    CHECK_INT(h.size, 100);
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\6\0\0\0\0\0\0\0\x65"), 100, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_LIMIT);
    /* Flags are judged before a size has come. */
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\x08"), 100, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    CHECK_INT(dw_frame_parse(&h, DW_SPAN_OF("\5"), 100, &err), -1);
}

static void frames_written_are_read(void)
{
    const size_t sizes[] = {0, 1, 254, 255, 256, 65535, 65536, (size_t)1 << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct dw_buf out = {0};
        struct dw_frame_header h;
        struct dw_error err;
        CHECK_INT(dw_frame_begin(&out, DW_WIRE_COMMAND, sizes[i]), 0);
        CHECK_INT(dw_frame_parse(&h, dw_buf_span(&out), SIZE_MAX, &err), 1);
        CHECK_INT(h.size, sizes[i]);
        CHECK_INT(h.header, dw_buf_len(&out));
        CHECK_INT(h.header, sizes[i] > 255 ? 9 : 2);
        dw_buf_free(&out);
    }
}

static void command_names(void)
{
    struct dw_span name, rest;
    struct dw_error err;
    CHECK_INT(dw_command_parse(DW_DIALECT_LIBZMQ, DW_SPAN_OF("\5READYmeta"), &name, &rest, &err), 0);
    CHECK_SPAN(name, "READY");
    CHECK_SPAN(rest, "meta");
    CHECK_INT(dw_command_parse(DW_DIALECT_DRAFT, DW_SPAN_OF("READY   meta"), &name, &rest, &err), 0);
    CHECK_SPAN(name, "READY");
    CHECK_SPAN(rest, "meta");
    CHECK_INT(dw_command_parse(DW_DIALECT_LIBZMQ, DW_SPAN_OF("\6READY"), &name, &rest, &err), -1);
    CHECK_INT(dw_command_parse(DW_DIALECT_LIBZMQ, DW_SPAN_OF("\0READY"), &name, &rest, &err), -1);
    CHECK_INT(dw_command_parse(DW_DIALECT_LIBZMQ, DW_SPAN_OF(""), &name, &rest, &err), -1);
    CHECK_INT(dw_command_parse(DW_DIALECT_DRAFT, DW_SPAN_OF("READY  "), &name, &rest, &err), -1);
    CHECK_INT(dw_command_parse(DW_DIALECT_DRAFT, DW_SPAN_OF("        "), &name, &rest, &err), -1);

    const char *const names[] = {"HELLO", "INITIATE", "MESSAGE", "READY", "ERROR", "PING", "PONG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int dialect = DW_DIALECT_LIBZMQ; dialect <= DW_DIALECT_DRAFT; dialect++) {
            struct dw_buf out = {0};
            CHECK_INT(dw_command_name(&out, dialect, names[i]), 0);
            CHECK_INT(dw_buf_len(&out), dw_command_name_size(dialect, names[i]));
            CHECK_INT(dw_command_parse(dialect, dw_buf_span(&out), &name, &rest, &err), 0);
            CHECK_SPAN(name, names[i]);
            CHECK_INT(rest.len, 0);
            dw_buf_free(&out);
        }
}

static void tokens(void)
{
    struct dw_span token;
    struct dw_error err;
    CHECK_INT(dw_command_token(DW_SPAN_OF("\0\0\0\3abc"), &token, &err), 0);
    CHECK_SPAN(token, "abc");
    CHECK_INT(dw_command_token(DW_SPAN_OF("\0\0\0\0"), &token, &err), 0);
    CHECK_INT(token.len, 0);
    CHECK_INT(dw_command_token(DW_SPAN_OF("\0\0\0\2abc"), &token, &err), -1);
    CHECK_INT(dw_command_token(DW_SPAN_OF("\0\0\0\4abc"), &token, &err), -1);
    CHECK_INT(dw_command_token(DW_SPAN_OF("\0\0\0"), &token, &err), -1);
}

static void properties(void)
{
    struct dw_buf meta = {0};
    struct dw_error err;
    CHECK_INT(dw_properties_check(dw_buf_span(&meta), &err), 0);
    dw_property_put(&meta, DW_SPAN_OF("Socket-Type"), DW_SPAN_OF("DEALER"));
    dw_property_put(&meta, DW_SPAN_OF("Identity"), DW_SPAN_OF(""));
    dw_property_put(&meta, DW_SPAN_OF("X-App"), DW_SPAN_OF("a"));
    CHECK_INT(dw_properties_check(dw_buf_span(&meta), &err), 0);
    CHECK_SPAN(dw_properties_find(dw_buf_span(&meta), "socket-TYPE"), "DEALER");
    CHECK_SPAN(dw_properties_find(dw_buf_span(&meta), "x-app"), "a");
    CHECK(dw_properties_find(dw_buf_span(&meta), "Identity").at != NULL);
    CHECK_INT(dw_properties_find(dw_buf_span(&meta), "Identity").len, 0);
    CHECK(dw_properties_find(dw_buf_span(&meta), "X-Ap").at == NULL);
    /* Cut at every octet: whole or malformed, and never read past the end. */
    int whole = 0;
    for (size_t cut = 0; cut < dw_buf_len(&meta); cut++) {
        struct dw_buf exact = {0};
        dw_buf_put(&exact, dw_span_make(dw_buf_span(&meta).at, cut));
        whole += dw_properties_check(dw_buf_span(&exact), &err) == 0;
        dw_properties_find(dw_buf_span(&exact), "none");
        dw_buf_free(&exact);
    }
    CHECK_INT(whole, 3);
    dw_property_put(&meta, DW_SPAN_OF("x-APP"), DW_SPAN_OF("b"));
    CHECK_INT(dw_properties_check(dw_buf_span(&meta), &err), -1);
    dw_buf_free(&meta);
}

static void socket_types(void)
{
    /* RFC 28 to 31: who talks to whom, one row for each. */
    static const char *const types[] = {"REQ", "REP",  "DEALER", "ROUTER", "PUB", "XPUB",
                                        "SUB", "XSUB", "PUSH",   "PULL",   "PAIR"};
    static const char *const talks[] = {
        ".x.x.......", "x.x........", ".xxx.......", "x.xx.......", "......xx...", "......xx...",
        "....xx.....", "....xx.....", ".........x.", "........x..", "..........x",
    };
    for (size_t i = 0; i < 11; i++)
        for (size_t j = 0; j < 11; j++) {
            bool match = dw_socket_types_match(dw_span_str(types[i]), dw_span_str(types[j]));
            if (!CHECK(match == (talks[i][j] == 'x')))
                printf("    %s with %s\n", types[i], types[j]);
        }
    CHECK(!dw_socket_types_match(DW_SPAN_OF("REQ"), DW_SPAN_NONE));
    CHECK(!dw_socket_types_match(DW_SPAN_OF("req"), DW_SPAN_OF("REP")));
    CHECK(!dw_socket_type_known(DW_SPAN_NONE));
    CHECK(!dw_socket_type_known(DW_SPAN_OF("STREAM")));
    CHECK(!dw_socket_type_known(DW_SPAN_OF("RE")));
}

static void greetings(void)
{
    uint8_t raw[DW_GREETING_SIZE];
    struct dw_greeting g;
    struct dw_error err;
    dw_greeting_encode(raw, "TWENTYCHARACTERNAMES", true);
    CHECK_INT(dw_greeting_parse(&g, dw_span_make(raw, 64), &err), 1);
    CHECK_STR(g.mechanism, "TWENTYCHARACTERNAMES");
    CHECK(g.as_server);
    CHECK_INT(g.major, 3);
    CHECK_INT(g.minor, 1);
    for (size_t n = 0; n < 64; n++)
        CHECK_INT(dw_greeting_parse(&g, dw_span_make(raw, n), &err), 0);
    /* Any octets may stand in the signature's padding and in the filler. */
    memset(raw + 1, 0x55, 8);
    memset(raw + 33, 0xaa, 31);
    CHECK_INT(dw_greeting_parse(&g, dw_span_make(raw, 64), &err), 1);
    raw[9] = 0x7e;
    CHECK_INT(dw_greeting_parse(&g, dw_span_make(raw, 9), &err), 0);
    CHECK_INT(dw_greeting_parse(&g, dw_span_make(raw, 10), &err), -1);
}

int main(void)
{
    RUN(frames);
    RUN(frames_written_are_read);
    RUN(command_names);
    RUN(tokens);
    RUN(properties);
    RUN(socket_types);
    RUN(greetings);
    return check_done();
}
