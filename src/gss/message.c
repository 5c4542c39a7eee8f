/* Messages of an established context, wrapped and unwrapped in place: see context.h and session.h.
 *
 * A token of RFC 4121 section 4.2.6.2 with confidentiality is
 *
 *   05 04 flags FF EC(2) RRC(2) sequence(8)  |  E(confounder, plaintext, first 16 octets again)  |  checksum
 *
 * and for every enctype in use today it is longer than its plaintext by a fixed amount, split into a part
 * before and a part after.  The enctypes of RFC 1964 and RFC 4757 (3DES, RC4) lay out their tokens
 * otherwise; those go the plain way through gss_wrap and gss_unwrap. */
#include "gss/session.h"
#include "gss/status.h"

#include <gssapi/gssapi_ext.h>

enum { HEADER, DATA, PADDING, TRAILER, PARTS };
enum { CFX_HEADER = 16, CFX_SEALED = 0x02 };

static void parts_of(gss_iov_buffer_desc parts[PARTS], void *data, size_t len)
{
    memset(parts, 0, PARTS * sizeof parts[0]);
    parts[HEADER].type = GSS_IOV_BUFFER_TYPE_HEADER;
    parts[DATA].type = GSS_IOV_BUFFER_TYPE_DATA;
    parts[PADDING].type = GSS_IOV_BUFFER_TYPE_PADDING;
    parts[TRAILER].type = GSS_IOV_BUFFER_TYPE_TRAILER;
    parts[DATA].buffer.value = data;
    parts[DATA].buffer.length = len;
}

static OM_uint32 measure(struct dw_context *ctx, gss_iov_buffer_desc parts[PARTS], size_t plain, OM_uint32 *minor)
{
    parts_of(parts, NULL, plain);
    return gss_wrap_iov_length(minor, ctx->gss, 1, GSS_C_QOP_DEFAULT, NULL, parts, PARTS);
}

int dw_message_shape(struct dw_context *ctx, struct dw_error *err)
{
    gss_iov_buffer_desc odd[PARTS], even[PARTS];
    OM_uint32 minor, major = measure(ctx, odd, 1, &minor);
    if (!GSS_ERROR(major))
        major = measure(ctx, even, 16, &minor);
    if (GSS_ERROR(major))
        return dw_status_tell(err, major, minor, "cannot measure this context's messages");
    size_t header = odd[HEADER].buffer.length, trailer = odd[TRAILER].buffer.length;
    ctx->cfx = trailer > 0 && odd[PADDING].buffer.length == 0 && even[PADDING].buffer.length == 0 &&
               even[HEADER].buffer.length == header && even[TRAILER].buffer.length == trailer &&
               header >= CFX_HEADER && header + trailer <= UINT16_MAX;
    if (ctx->cfx) {
        ctx->header_len = (uint16_t)header;
        ctx->trailer_len = (uint16_t)trailer;
    }
    return 0;
}

size_t dw_context_wrapped_size(struct dw_context *ctx, size_t plain)
{
    gss_iov_buffer_desc parts[PARTS];
    OM_uint32 minor;
    if (!ctx->done)
        return plain;
    if (ctx->cfx)
        return ctx->header_len + plain + ctx->trailer_len;
    if (GSS_ERROR(measure(ctx, parts, plain, &minor)))
        return plain;
    size_t size = 0;
    for (int i = 0; i < PARTS; i++)
        size += parts[i].buffer.length;
    return size;
}

/* Like dw_status_tell, but for messages: whatever the library calls it, the peer broke the stream. */
static int tell(struct dw_error *err, OM_uint32 major, OM_uint32 minor, const char *what)
{
    dw_status_tell(err, major, minor, "%s", what);
    if (err && err->kind != DW_ERROR_INTERNAL)
        err->kind = DW_ERROR_PROTOCOL;
    return -1;
}

static int out_of_memory(struct dw_error *err)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a message");
}

static void join(uint8_t *into, struct dw_span head, struct dw_span body)
{
    if (head.len)
        memcpy(into, head.at, head.len);
    if (body.len)
        memcpy(into + head.len, body.at, body.len);
}

static int wrap_in_place(struct dw_context *ctx, struct dw_span head, struct dw_span body, struct dw_buf *out,
                         struct dw_error *err)
{
    size_t plain = head.len + body.len, total = ctx->header_len + plain + ctx->trailer_len;
    uint8_t *at = dw_buf_room(out, total);
    if (!at)
        return out_of_memory(err);
    join(at + ctx->header_len, head, body);
    gss_iov_buffer_desc parts[PARTS];
    parts_of(parts, at + ctx->header_len, plain);
    parts[HEADER].buffer = (gss_buffer_desc){ctx->header_len, at};
    parts[TRAILER].buffer = (gss_buffer_desc){ctx->trailer_len, at + ctx->header_len + plain};
    int sealed = 0;
    OM_uint32 minor, major = gss_wrap_iov(&minor, ctx->gss, 1, GSS_C_QOP_DEFAULT, &sealed, parts, PARTS);
    bool as_measured = parts[HEADER].buffer.length == ctx->header_len && parts[PADDING].buffer.length == 0 &&
                       parts[TRAILER].buffer.length == ctx->trailer_len;
    if (GSS_ERROR(major) || !sealed || !as_measured) {
        dw_wipe(at, total);
        if (GSS_ERROR(major))
            return dw_status_tell(err, major, minor, "cannot wrap a message");
        return dw_error_set(err, DW_ERROR_INTERNAL, "the Kerberos library made a message unlike any before");
    }
    dw_buf_added(out, total);
    return 0;
}

static int wrap_aside(struct dw_context *ctx, struct dw_span head, struct dw_span body, struct dw_buf *out,
                      struct dw_error *err)
{
    struct dw_buf plain = {0};
    size_t len = head.len + body.len;
    uint8_t *at = dw_buf_room(&plain, len ? len : 1);
    if (!at)
        return out_of_memory(err);
    join(at, head, body);
    dw_buf_added(&plain, len);
    gss_buffer_desc in = {len, at}, token = GSS_C_EMPTY_BUFFER;
    int sealed = 0, rc = -1;
    OM_uint32 minor, major = gss_wrap(&minor, ctx->gss, 1, GSS_C_QOP_DEFAULT, &in, &sealed, &token);
    if (GSS_ERROR(major))
        dw_status_tell(err, major, minor, "cannot wrap a message");
    else if (!sealed)
        dw_error_set(err, DW_ERROR_INTERNAL, "this context's enctype gives no confidentiality");
    else if ((rc = dw_buf_put(out, dw_span_make(token.value, token.length))) < 0)
        out_of_memory(err);
    gss_release_buffer(&minor, &token);
    dw_buf_free(&plain);
    return rc;
}

int dw_context_wrap(struct dw_context *ctx, struct dw_span head, struct dw_span body, struct dw_buf *out,
                    struct dw_error *err)
{
    if (!ctx->done)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message before the handshake was over");
    /* The library counts in 32 bits here and there. */
    if (head.len > INT32_MAX || body.len > INT32_MAX - head.len)
        return dw_error_set(err, DW_ERROR_LIMIT, "a message of %zu octets is too large to wrap", body.len);
    return ctx->cfx ? wrap_in_place(ctx, head, body, out, err) : wrap_aside(ctx, head, body, out, err);
}

/* A stream loses nothing and swaps nothing, so each token follows its predecessor (RFC 4121 section 4.2.6.2:
 * the number is covered by the encrypted copy of the header).  The library looks for gaps only in contexts whose
 * initiator asked for it. */
static int check_sequence(struct dw_context *ctx, uint64_t number, struct dw_error *err)
{
    if (ctx->next_known && number != ctx->next)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "a message was lost, repeated or moved on its way: number %llu, expected %llu",
                            (unsigned long long)number, (unsigned long long)ctx->next);
    ctx->next_known = true;
    ctx->next = number + 1;
    return 0;
}

/* The library's own look at a token is not enough: a token of the other layout makes some of its versions follow
 * keys that this context does not have. */
static int check_header(const struct dw_context *ctx, const uint8_t *token, size_t len, struct dw_error *err)
{
    bool framed = len >= CFX_HEADER && token[0] == 0x05 && token[1] == 0x04 && token[3] == 0xff;
    if (framed && !(token[2] & CFX_SEALED))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a message wrapped without confidentiality");
    if (!framed || len < (size_t)ctx->header_len + ctx->trailer_len)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%zu octets that are no wrapped message", len);
    return 0;
}

static int unwrap_in_place(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain,
                           struct dw_error *err)
{
    if (check_header(ctx, token, len, err) < 0)
        return -1;
    struct dw_reader numbers = dw_reader_make(dw_span_make(token + 8, 8));
    uint64_t number = dw_reader_u64(&numbers);
    gss_iov_buffer_desc parts[2] = {
        {GSS_IOV_BUFFER_TYPE_STREAM, {len, token}},
        {GSS_IOV_BUFFER_TYPE_DATA, {0, NULL}},
    };
    int sealed = 0;
    OM_uint32 minor, major = gss_unwrap_iov(&minor, ctx->gss, &sealed, NULL, parts, 2);
    /* Anything but complete: also what the library only remarks, such as a repeated token. */
    if (major != GSS_S_COMPLETE)
        return tell(err, major, minor, "cannot unwrap a message");
    if (!sealed)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a message wrapped without confidentiality");
    if (check_sequence(ctx, number, err) < 0)
        return -1;
    *plain = dw_span_make(parts[1].buffer.value ? parts[1].buffer.value : token, parts[1].buffer.length);
    return 0;
}

/* RFC 1964 section 1.2.2: 60 length OID, then 02 01, two algorithms, and filler. */
static bool is_old_token(const uint8_t *token, size_t len)
{
    struct dw_reader r = dw_reader_make(dw_span_make(token, len));
    if (dw_reader_u8(&r) != 0x60)
        return false;
    uint8_t first = dw_reader_u8(&r);
    if (first > 0x84 || first == 0x80)
        return false;
    dw_reader_take(&r, first & 0x80 ? first & 0x7f : 0);
    struct dw_span oid = dw_reader_take(&r, 11);
    return dw_span_equal(oid, DW_SPAN_OF("\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02")) &&
           dw_reader_u16(&r) == 0x0201 && dw_reader_left(&r) >= 30;
}

static int unwrap_aside(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain,
                        struct dw_error *err)
{
    if (!is_old_token(token, len))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%zu octets that are no wrapped message", len);
    gss_buffer_desc in = {len, token}, out = GSS_C_EMPTY_BUFFER;
    int sealed = 0, rc = -1;
    OM_uint32 minor, major = gss_unwrap(&minor, ctx->gss, &in, &out, &sealed, NULL);
    if (major != GSS_S_COMPLETE)
        tell(err, major, minor, "cannot unwrap a message");
    else if (!sealed)
        dw_error_set(err, DW_ERROR_PROTOCOL, "a message wrapped without confidentiality");
    else if (out.length > len)
        dw_error_set(err, DW_ERROR_INTERNAL, "a message longer than its token");
    else
        rc = 0;
    if (rc == 0 && out.length)
        memcpy(token, out.value, out.length);
    *plain = dw_span_make(token, rc == 0 ? out.length : 0);
    if (out.length)
        dw_wipe(out.value, out.length);
    gss_release_buffer(&minor, &out);
    return rc;
}

int dw_context_unwrap(struct dw_context *ctx, uint8_t *token, size_t len, struct dw_span *plain,
                      struct dw_error *err)
{
    *plain = dw_span_make("", 0);
    if (!ctx->done)
        return dw_error_set(err, DW_ERROR_INTERNAL, "a message before the handshake was over");
    if (len > INT32_MAX)
        return dw_error_set(err, DW_ERROR_LIMIT, "a wrapped message of %zu octets is too large", len);
    return ctx->cfx ? unwrap_in_place(ctx, token, len, plain, err) : unwrap_aside(ctx, token, len, plain, err);
}
