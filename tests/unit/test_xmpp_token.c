/* Tokens held to vectors that were made elsewhere (Python's hmac and json), and to their own form. */
#include "check.h"

#include "base/base64.h"
#include "base/text.h"
#include "tls/issue.h"
#include "xmpp/token.h"

#define SECRET DW_SPAN_OF("thirty-two octets of a secret...")

static void test_jwt(void)
{
    static const struct {
        const char *jid;
        double now;
        unsigned seconds;
        const char *token;
    } cases[] = {
        {"alice@example.com", 1700000000.9, 20,
         "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqaWQiOiJhbGljZUBleGFtcGxlLmNvbSIsImV4cCI6MTcwMDAwMDAyMH0."
         "GnNZsGGPsaFqKrlwsUwpOmeIus5c1Vg4h6Ml995L92E"},
        {"a@b", 0, 1,
         "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqaWQiOiJhQGIiLCJleHAiOjF9.3Oz4AiE3HNh01xu5OK5394PCYwtZPM7aSe-"
         "KOYTDHRM"},
        {"o\"b\\o@example.com", 1, 4294967295u,
         "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqaWQiOiJvXCJiXFxvQGV4YW1wbGUuY29tIiwiZXhwIjo0Mjk0OTY3Mjk2fQ."
         "WjL0cDvVWP6p6pRPFWKRpKdhR2Nc93jfpsYcpGVlPo8"},
        {"jürgen@bücher.example", 253402300799.0, 30,
         "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
         "eyJqaWQiOiJqw7xyZ2VuQGLDvGNoZXIuZXhhbXBsZSIsImV4cCI6MjUzNDAyMzAwODI5fQ.Ypww3s-wzbFzwfu1Iw_"
         "wKozirU3iZpPOtyrezmP7zfo"},
        {"alice@example.org", 1700000000, 7,
         "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJqaWQiOiJhbGljZUBleGFtcGxlLm9yZyIsImV4cCI6MTcwMDAwMDAwN30."
         "l1vXxPpgWOWIYE3IzONCQOeAZk0TZQthKWTHysDFRIQ"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_buf out = {0};
        struct dw_error err = {0};
        dw_buf_put(&out, DW_SPAN_OF("before "));
        CHECK_INT(dw_token_jwt(SECRET, cases[i].jid, cases[i].now, cases[i].seconds, &out, &err), 0);
        dw_buf_take(&out, 7);
        CHECK_SPAN(dw_buf_span(&out), cases[i].token);
        dw_buf_free(&out);
    }
}

static void test_one_use(void)
{
    struct dw_buf one = {0}, other = {0}, signed_text = {0}, mac = {0}, hex = {0};
    struct dw_error err = {0};
    CHECK_INT(dw_token_one_use(SECRET, "alice@example.com", 1700000000.9, 20, &one, &err), 0);
    CHECK_INT(dw_token_one_use(SECRET, "alice@example.com", 1700000000.9, 20, &other, &err), 0);
    struct dw_span all = dw_buf_span(&one);
    /* "v1." 10 digits "." 32 hex "." 64 hex */
    CHECK_INT(all.len, 3 + 10 + 1 + 32 + 1 + 64);
    CHECK(memcmp(all.at, "v1.1700000020.", 14) == 0);
    CHECK(!dw_span_equal(all, dw_buf_span(&other)));
    CHECK(memcmp(all.at + 14, dw_buf_span(&other).at + 14, 32) != 0); /* the nonce */
    dw_buf_put(&signed_text, dw_span_make(all.at, 47));
    dw_buf_put(&signed_text, DW_SPAN_OF("alice@example.com"));
    dw_tls_hmac(SECRET, dw_buf_span(&signed_text), &mac);
    dw_text_hex(&hex, dw_buf_span(&mac));
    CHECK(dw_span_equal(dw_buf_span(&hex), dw_span_make(all.at + 47, 64)));
    dw_buf_free(&one);
    dw_buf_free(&other);
    dw_buf_free(&signed_text);
    dw_buf_free(&mac);
    dw_buf_free(&hex);
}

static void test_what_cannot_be_signed(void)
{
    static const char *const bad[] = {"", "\xff@example.com"};
    struct dw_buf out = {0};
    struct dw_error err = {0};
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(dw_token_jwt(SECRET, bad[i], 0, 1, &out, &err), -1);
        CHECK_INT(dw_token_one_use(SECRET, bad[i], 0, 1, &out, &err), -1);
    }
    CHECK_INT(dw_token_jwt(DW_SPAN_NONE, "alice@example.com", 0, 1, &out, &err), -1);
    CHECK_INT(dw_token_one_use(DW_SPAN_NONE, "alice@example.com", 0, 1, &out, &err), -1);
    CHECK(strstr(err.detail, "secret") != NULL);
    CHECK_INT(dw_buf_len(&out), 0);
    dw_buf_free(&out);
}

static void test_secrets(void)
{
    static const struct {
        const char *file, *secret, *words;
    } cases[] = {
        {"0123456789abcdef", "0123456789abcdef", NULL},
        {"0123456789abcdef\n", "0123456789abcdef", NULL},
        {"0123456789abcdef\r\n\n", "0123456789abcdef", NULL},
        {" 0123456789abcdef ", " 0123456789abcdef ", NULL},
        {"{ 0123456789abcdef", "{ 0123456789abcdef", NULL},
        {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg\"}", "0123456789abcdef", NULL},
        {"{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}\n", "0123456789abcdef", NULL},
        {"{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"Pj4-Pz8_Pj4-Pz8_Pj4-Pz8_\"}", ">>>?\?\?>>>?\?\?>>>?\?\?",
         NULL},
        {"{\"kty\":\"RSA\",\"n\":\"MDEy\"}", NULL, "none of kty \"oct\""},
        {"{\"kty\":\"oct\"}", NULL, "none of kty \"oct\""},
        {"{\"kty\":\"oct\",\"k\":\"MDEy*MDEyMzQ1Njc4OWFiY2RlZg\"}", NULL, "no base64url"},
        {"{\"kty\":\"oct\",\"k\":\"MDEy\"}", NULL, "has 3 octets"},
        {"0123456789abcde\n", NULL, "has 15 octets"},
        {"", NULL, "has 0 octets"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_buf out = {0};
        struct dw_error err = {0};
        dw_buf_put(&out, DW_SPAN_OF("kept"));
        CHECK_INT(dw_token_secret(dw_span_str(cases[i].file), &out, &err), cases[i].secret ? 0 : -1);
        dw_buf_take(&out, 4);
        CHECK_SPAN(dw_buf_span(&out), cases[i].secret ? cases[i].secret : "");
        if (cases[i].words && !CHECK(strstr(err.detail, cases[i].words) && !strstr(err.detail, "0123")))
            printf("    %s\n", err.detail);
        dw_buf_free(&out);
    }
}

int main(void)
{
    RUN(test_jwt);
    RUN(test_one_use);
    RUN(test_what_cannot_be_signed);
    RUN(test_secrets);
    return check_done();
}
