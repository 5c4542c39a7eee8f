/* Channel bindings, and messages that SASL makes of a context: see context.h. */
#include "gss/session.h"

#include <gssapi/gssapi_ext.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { DIGEST = 16, HEAD = 20 };

static const uint8_t none[DIGEST];

/* RFC 4121 section 4.1.1.2: MD5 over the structure of RFC 2744 section 3.11, its numbers little-endian: both addresses'
 * type and length, which are zero, then the application data. */
static bool digest(struct dw_span data, uint8_t into[DIGEST])
{
    uint8_t head[HEAD] = {0};
    bool good = data.len <= UINT32_MAX;
    for (size_t i = 0; i < 4; i++)
        head[HEAD - 4 + i] = (uint8_t)(data.len >> 8 * i);
    EVP_MD *md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    good = good && md5 && ctx && EVP_DigestInit_ex2(ctx, md5, NULL) && EVP_DigestUpdate(ctx, head, HEAD) &&
           EVP_DigestUpdate(ctx, data.at, data.len) && EVP_DigestFinal_ex(ctx, into, NULL);
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md5);
    return good;
}

bool dw_context_is_bound_to(const struct dw_context *ctx, struct dw_span data)
{
    uint8_t wanted[DIGEST];
    return ctx->done && memcmp(ctx->bindings, none, DIGEST) != 0 && digest(data, wanted) &&
           CRYPTO_memcmp(ctx->bindings, wanted, DIGEST) == 0;
}

void dw_context_mark_bound(struct dw_context *ctx)
{
    ctx->flags |= GSS_C_CHANNEL_BOUND_FLAG;
}

int dw_context_sign(struct dw_context *ctx, struct dw_span plain, struct dw_buf *out, struct dw_error *err)
{
    if (!ctx->done)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message before the handshake was over");
    return dw_seal_sign(&ctx->seal, plain, out, err);
}

int dw_context_open(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain, bool *confidential,
                    struct dw_error *err)
{
    *plain = dw_span_make("", 0);
    if (!ctx->done)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message before the handshake was over");
    return dw_seal_open(&ctx->seal, token, len, plain, confidential, err);
}
