/* PROXY preambles, octet by octet. */
#include "check.h"

#include "base/text.h"
#include "xmpp/proxy.h"

#define TEN_V2 "0d0a0d0a000d0a515549540a"

static void test_text(void)
{
    static const struct {
        const char *from;
        int from_port;
        const char *to;
        int to_port;
        const char *line;
    } cases[] = {
        {"192.0.2.7", 51234, "198.51.100.1", 5222, "PROXY TCP4 192.0.2.7 198.51.100.1 51234 5222\r\n"},
        {"2001:db8::7", 1, "2001:DB8:0::1", 65535, "PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n"},
        {"::ffff:192.0.2.7", 51234, "198.51.100.1", 5222, "PROXY TCP4 192.0.2.7 198.51.100.1 51234 5222\r\n"},
        {"::ffff:192.0.2.7", 51234, "::ffff:198.51.100.1", 5222,
         "PROXY TCP4 192.0.2.7 198.51.100.1 51234 5222\r\n"},
        {"fe80::1%eth0", 5, "fe80::2", 6, "PROXY TCP6 fe80::1 fe80::2 5 6\r\n"},
        {"192.0.2.7", 51234, "2001:db8::1", 5222, "PROXY UNKNOWN\r\n"},
        {"somewhere", 1, "192.0.2.1", 2, "PROXY UNKNOWN\r\n"},
        {"192.0.2.7\r\nX", 1, "192.0.2.1", 2, "PROXY UNKNOWN\r\n"},
        {NULL, 0, NULL, 0, "PROXY UNKNOWN\r\n"},
        {"", 0, "", 0, "PROXY UNKNOWN\r\n"},
        {"192.0.2.7", 70000, "192.0.2.1", 2, "PROXY UNKNOWN\r\n"},
        {"192.0.2.7", 1, "192.0.2.1", -2, "PROXY UNKNOWN\r\n"},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", 1, "::1", 2, "PROXY UNKNOWN\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_buf out = {0};
        CHECK_INT(dw_proxy_put(&out, 1, cases[i].from, cases[i].from_port, cases[i].to, cases[i].to_port), 0);
        CHECK_SPAN(dw_buf_span(&out), cases[i].line);
        CHECK(dw_buf_len(&out) <= 107); /* section 2.1: the longest there is */
        dw_buf_free(&out);
    }
}

static void test_octets(void)
{
    static const struct {
        const char *from;
        int from_port;
        const char *to;
        int to_port;
        const char *hex;
    } cases[] = {
        {"192.0.2.7", 51234, "198.51.100.1", 5222, TEN_V2 "2111000cc0000207c6336401c8221466"},
        {"2001:db8::7", 51234, "2001:db8::1", 5222,
         TEN_V2 "2121002420010db800000000000000000000000720010db8000000000000000000000001c8221466"},
        {"::ffff:192.0.2.7", 51234, "198.51.100.1", 5222, TEN_V2 "2111000cc0000207c6336401c8221466"},
        {"192.0.2.7", 51234, "2001:db8::1", 5222, TEN_V2 "20000000"},
        {NULL, 0, NULL, 0, TEN_V2 "20000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_buf out = {0}, hex = {0};
        CHECK_INT(dw_proxy_put(&out, 2, cases[i].from, cases[i].from_port, cases[i].to, cases[i].to_port), 0);
        dw_text_hex(&hex, dw_buf_span(&out));
        CHECK_SPAN(dw_buf_span(&hex), cases[i].hex);
        dw_buf_free(&out);
        dw_buf_free(&hex);
    }
}

int main(void)
{
    RUN(test_text);
    RUN(test_octets);
    return check_done();
}
