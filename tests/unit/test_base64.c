/* Base64, written and read strictly. */
#include "check.h"

#include "base/base64.h"

#include <stdlib.h>

/* RFC 4648 section 10. */
static const struct {
    const char *plain, *coded;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

static void the_rfcs_own(void)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct dw_buf out = {0};
        CHECK_INT(dw_base64_put(&out, dw_span_str(vectors[i].plain)), 0);
        CHECK_SPAN(dw_buf_span(&out), vectors[i].coded);
        dw_buf_clear(&out, 0);
        CHECK_INT(dw_base64_take(&out, dw_span_str(vectors[i].coded)), 0);
        CHECK_SPAN(dw_buf_span(&out), vectors[i].plain);
        dw_buf_free(&out);
    }
}

static void there_and_back(void)
{
    uint8_t octets[300];
    for (size_t len = 0; len < sizeof octets; len++) {
        struct dw_buf coded = {0}, plain = {0};
        for (size_t i = 0; i < len; i++)
            octets[i] = (uint8_t)(i * 37 + len);
        CHECK_INT(dw_base64_put(&coded, dw_span_make(octets, len)), 0);
        /* A block of just its size, so that a read past its end is seen. */
        struct dw_span text = dw_buf_span(&coded);
        uint8_t *exact = malloc(text.len ? text.len : 1);
        memcpy(exact, text.at, text.len);
        CHECK_INT(dw_base64_take(&plain, dw_span_make(exact, text.len)), 0);
        CHECK(dw_span_equal(dw_buf_span(&plain), dw_span_make(octets, len)));
        free(exact);
        dw_buf_free(&coded);
        dw_buf_free(&plain);
    }
}

static void what_is_none(void)
{
    static const char *const wrong[] = {"Z",      "Zg",   "Zg=",  "=",       "==",    "===",          "====",
                                        "Z===",   "Zg=g", "Zm9=", "Zh==",    "Zm9v=", "Zm9vYg==Zm9v", "Zm 9v",
                                        "Zm9v\n", "Zm-v", "Zm_v", "Zm9\x80", "=m9v",  "Zm==v",        "A=AA"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct dw_buf out = {0};
        dw_buf_put(&out, DW_SPAN_OF("x"));
        if (!CHECK(dw_base64_take(&out, dw_span_str(wrong[i])) < 0))
            printf("    %s\n", wrong[i]);
        CHECK_SPAN(dw_buf_span(&out), "x");
        dw_buf_free(&out);
    }
    struct dw_buf out = {0};
    CHECK(dw_base64_take(&out, DW_SPAN_OF("Zm\0v")) < 0);
    dw_buf_free(&out);
}

int main(void)
{
    RUN(the_rfcs_own);
    RUN(there_and_back);
    RUN(what_is_none);
    return check_done();
}
