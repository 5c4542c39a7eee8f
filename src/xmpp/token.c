/* Short-lived passwords: see token.h. */
#include "xmpp/token.h"

#include "base/base64.h"
#include "base/text.h"
#include "tls/issue.h"

#include <jansson.h>
#include <stdlib.h>

enum { NONCE = 16, LEAST_SECRET = 16 };

static int no_memory(struct dw_error *err)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a token");
}

/* RFC 7515 section 2: base64url without padding. */
static int put_base64url(struct dw_buf *out, struct dw_span octets)
{
    size_t start = dw_buf_len(out);
    if (dw_base64_put(out, octets) < 0)
        return -1;
    uint8_t *at = out->at + out->head;
    size_t len = dw_buf_len(out);
    for (size_t i = start; i < len; i++)
        at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
    while (len > start && at[len - 1] == '=')
        len--;
    dw_buf_cut(out, len);
    return 0;
}

static int take_base64url(struct dw_buf *out, const char *text)
{
    struct dw_buf plain = {0};
    int rc = 0;
    for (const char *c = text; rc == 0 && *c && *c != '='; c++)
        rc = dw_buf_put_u8(&plain, (uint8_t)(*c == '-' ? '+' : *c == '_' ? '/' : *c));
    while (rc == 0 && dw_buf_len(&plain) % 4)
        rc = dw_buf_put_u8(&plain, '=');
    if (rc == 0)
        rc = dw_base64_take(out, dw_buf_span(&plain));
    dw_buf_free(&plain);
    return rc;
}

/* ---- Secrets. */

static int take_jwk(json_t *jwk, struct dw_buf *out, struct dw_error *err)
{
    const char *kind = json_string_value(json_object_get(jwk, "kty"));
    const char *key = json_string_value(json_object_get(jwk, "k"));
    if (!kind || strcmp(kind, "oct") != 0 || !key)
        return dw_error_set(
            err, DW_ERROR_INTERNAL,
            "the secret is a JWK, but none of kty \"oct\" with a \"k\": HS256 is what is signed with");
    int rc = take_base64url(out, key);
    dw_wipe((char *)(uintptr_t)key, strlen(key)); /* or it stays behind in freed memory */
    if (rc < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the secret is a JWK whose \"k\" is no base64url");
    return 0;
}

int dw_token_secret(struct dw_span file, struct dw_buf *out, struct dw_error *err)
{
    size_t start = dw_buf_len(out);
    json_t *jwk = json_loadb((const char *)file.at, file.len, JSON_REJECT_DUPLICATES, NULL);
    int rc = 0;
    if (json_is_object(jwk)) {
        rc = take_jwk(jwk, out, err);
    } else {
        while (file.len && (file.at[file.len - 1] == '\n' || file.at[file.len - 1] == '\r'))
            file.len--;
        if (dw_buf_put(out, file) < 0)
            rc = no_memory(err);
    }
    json_decref(jwk);
    if (rc == 0 && dw_buf_len(out) - start < LEAST_SECRET)
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "the secret has %zu octets: at least %d are needed, 32 are good",
                          dw_buf_len(out) - start, LEAST_SECRET);
    if (rc < 0)
        dw_buf_cut(out, start);
    return rc;
}

/* ---- Tokens. */

static int check(struct dw_span secret, const char *jid, struct dw_error *err)
{
    if (secret.len == 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a token cannot be signed without a secret");
    if (!*jid || !dw_text_is_utf8(dw_span_str(jid)))
        return dw_error_set(err, DW_ERROR_INTERNAL, "a token is for an address, and this is none");
    return 0;
}

int dw_token_jwt(struct dw_span secret, const char *jid, double now, unsigned seconds, struct dw_buf *out,
                 struct dw_error *err)
{
    if (check(secret, jid, err) < 0)
        return -1;
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    struct dw_buf mac = {0};
    size_t start = dw_buf_len(out);
    json_t *claims = json_pack("{s:s, s:I}", "jid", jid, "exp", (json_int_t)now + (json_int_t)seconds);
    char *text = claims ? json_dumps(claims, JSON_COMPACT) : NULL;
    int rc = -1;
    if (text && put_base64url(out, dw_span_str(header)) == 0 && dw_buf_put_u8(out, '.') == 0 &&
        put_base64url(out, dw_span_str(text)) == 0 &&
        dw_tls_hmac(secret, dw_span_make(out->at + out->head + start, dw_buf_len(out) - start), &mac) == 0 &&
        dw_buf_put_u8(out, '.') == 0 && put_base64url(out, dw_buf_span(&mac)) == 0)
        rc = 0;
    if (rc < 0)
        dw_buf_cut(out, start);
    free(text);
    json_decref(claims);
    dw_buf_free(&mac);
    return rc < 0 ? no_memory(err) : 0;
}

int dw_token_one_use(struct dw_span secret, const char *jid, double now, unsigned seconds, struct dw_buf *out,
                     struct dw_error *err)
{
    uint8_t nonce[NONCE];
    if (check(secret, jid, err) < 0)
        return -1;
    if (dw_tls_random(nonce, sizeof nonce) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the system gives no random octets for a token");
    struct dw_buf head = {0}, mac = {0};
    size_t start = dw_buf_len(out);
    int rc = -1;
    if (dw_buf_printf(&head, "v1.%lld.", (long long)now + (long long)seconds) == 0 &&
        dw_text_hex(&head, dw_span_make(nonce, sizeof nonce)) == 0 && dw_buf_put_u8(&head, '.') == 0 &&
        dw_buf_put(out, dw_buf_span(&head)) == 0 && dw_buf_put(&head, dw_span_str(jid)) == 0 &&
        dw_tls_hmac(secret, dw_buf_span(&head), &mac) == 0 && dw_text_hex(out, dw_buf_span(&mac)) == 0)
        rc = 0;
    if (rc < 0)
        dw_buf_cut(out, start);
    dw_buf_free(&head);
    dw_buf_free(&mac);
    return rc < 0 ? no_memory(err) : 0;
}
