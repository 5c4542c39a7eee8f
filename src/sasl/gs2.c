/* GS2-KRB5 and GS2-KRB5-PLUS, the server's side (RFC 5801):
 *
 *   client  gs2-header, then its first token without the frame of RFC 2743 section 3.1
 *   server  its token, if mutual authentication was asked for: with success
 *
 *   gs2-header = ["F,"] ("n" / "y" / "p=" type) "," ["a=" authzid] ","
 *
 * The client binds its context to that header, and with "p" to the channel as well: so nobody on the way has changed
 * what it says. */
#include "sasl/inside.h"

struct header {
    bool is_nonstandard; /* "F": the token never had a frame */
    uint8_t flag; /* 'n', 'y' or 'p' */
    struct dw_span type; /* of 'p' */
    struct dw_span authzid; /* as written */
    struct dw_span bound; /* what of the header is bound: all but "F," */
    struct dw_span token;
};

static bool take_up_to_comma(struct dw_span *rest, struct dw_span *part)
{
    const uint8_t *comma = rest->len ? memchr(rest->at, ',', rest->len) : NULL;
    if (!comma)
        return false;
    *part = dw_span_make(rest->at, (size_t)(comma - rest->at));
    *rest = dw_span_make(comma + 1, rest->len - part->len - 1);
    return true;
}

/* cb-name of RFC 5801 section 4. */
static bool is_type(struct dw_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-'))
            return false;
    }
    return name.len > 0;
}

static int parse(struct header *h, struct dw_span message, struct dw_error *err)
{
    struct dw_span rest = message, flag, authzid;
    *h = (struct header){.is_nonstandard = message.len >= 2 && memcmp(message.at, "F,", 2) == 0};
    if (h->is_nonstandard)
        rest = dw_span_make(message.at + 2, message.len - 2);
    const uint8_t *begin = rest.at;
    bool good = take_up_to_comma(&rest, &flag) && take_up_to_comma(&rest, &authzid) && flag.len > 0;
    if (good) {
        h->flag = flag.at[0];
        h->token = rest;
        h->bound = dw_span_make(begin, (size_t)(rest.at - begin));
        if (h->flag == 'p') {
            good = flag.len > 2 && flag.at[1] == '=';
            h->type = dw_span_make(flag.at + 2, good ? flag.len - 2 : 0);
            good = good && is_type(h->type);
        } else {
            good = flag.len == 1 && (h->flag == 'n' || h->flag == 'y');
        }
    }
    if (good && authzid.len > 0) {
        good = authzid.len > 2 && memcmp(authzid.at, "a=", 2) == 0;
        h->authzid = dw_span_make(authzid.at + 2, good ? authzid.len - 2 : 0);
    }
    return good ? 0 : dw_error_set(err, DW_ERROR_PROTOCOL, "a gs2-header that is not as RFC 5801 has it");
}

/* "=2C" stands for a comma, "=3D" for "=". */
static int take_authzid(struct dw_sasl *sasl, struct dw_span written, struct dw_error *err)
{
    struct dw_buf plain = {0};
    int rc = 0;
    for (size_t i = 0; i < written.len && rc == 0; i++) {
        uint8_t c = written.at[i];
        if (c == '=') {
            bool is_comma = written.len - i >= 3 && memcmp(written.at + i, "=2C", 3) == 0;
            if (!is_comma && (written.len - i < 3 || memcmp(written.at + i, "=3D", 3) != 0)) {
                rc = dw_error_set(err, DW_ERROR_PROTOCOL, "an authorization identity that is not a saslname");
                break;
            }
            c = is_comma ? ',' : '=';
            i += 2;
        }
        if (dw_buf_put_u8(&plain, c) < 0)
            rc = dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    if (rc == 0)
        rc = dw_sasl_take_authzid(sasl, dw_buf_span(&plain), err);
    dw_buf_free(&plain);
    return rc;
}

/* RFC 5801 section 5: what the client says of channel bindings, against what there is.  `channel`: what it has to be
 * bound to besides the header. */
static int check_flag(const struct dw_sasl *sasl, const struct header *h, struct dw_span *channel,
                      struct dw_error *err)
{
    const struct dw_sasl_options *o = &sasl->options;
    *channel = DW_SPAN_NONE;
    if (sasl->is_plus != (h->flag == 'p'))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "gs2-cb-flag \"%c\" does not go with this mechanism", h->flag);
    if (h->flag == 'y' && o->plus_offered)
        return dw_error_set(err, DW_ERROR_DENIED,
                            "the client was not shown that channel binding is offered here: a downgrade");
    if (h->flag != 'p')
        return 0;
    for (size_t i = 0; i < o->binding_count; i++)
        if (dw_span_equal(h->type, dw_span_str(o->bindings[i].type))) {
            *channel = o->bindings[i].octets;
            return 0;
        }
    return dw_error_set(err, DW_ERROR_DENIED, "this connection has no channel binding of type %.*s",
                        (int)(h->type.len < 64 ? h->type.len : 64), (const char *)h->type.at);
}

/* RFC 2743 section 3.1, of Kerberos (RFC 4121 section 4.1): what the client took off. */
static int put_frame(struct dw_buf *token, struct dw_span inside)
{
    static const struct dw_span mech = DW_SPAN_OF("\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
    size_t len = mech.len + inside.len, octets = 0;
    while (len >> 8 * octets)
        octets++;
    int rc = dw_buf_put_u8(token, 0x60);
    if (len >= 0x80)
        rc |= dw_buf_put_u8(token, (uint8_t)(0x80 | octets));
    for (size_t i = len >= 0x80 ? octets : 1; i > 0; i--)
        rc |= dw_buf_put_u8(token, (uint8_t)(len >> 8 * (i - 1)));
    return rc | dw_buf_put(token, mech) | dw_buf_put(token, inside);
}

static int await_more(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge, struct dw_error *err)
{
    size_t before = dw_buf_len(challenge);
    int progress = dw_sasl_accept(sasl, message, challenge, err);
    if (progress < 0)
        return -1;
    if (progress == DW_CONTEXT_MORE) {
        sasl->state = await_more;
        return DW_SASL_CHALLENGE;
    }
    if (!dw_context_is_bound_to(sasl->context, dw_buf_span(&sasl->header))) {
        dw_buf_cut(challenge, before);
        return dw_error_set(err, DW_ERROR_DENIED, "the client's channel bindings are not those of this %s",
                            sasl->is_plus ? "connection" : "exchange");
    }
    sasl->channel_bound = sasl->is_plus;
    if (sasl->is_plus)
        dw_context_mark_bound(sasl->context);
    sasl->has_final = dw_buf_len(challenge) > before;
    return DW_SASL_DONE;
}

int dw_gs2_await_first(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge, struct dw_error *err)
{
    struct header h;
    struct dw_span channel;
    struct dw_buf token = {0};
    if (parse(&h, message, err) < 0 || check_flag(sasl, &h, &channel, err) < 0 ||
        take_authzid(sasl, h.authzid, err) < 0)
        return -1;
    int rc = dw_buf_put(&sasl->header, h.bound) | dw_buf_put(&sasl->header, channel) |
             (h.is_nonstandard ? dw_buf_put(&token, h.token) : put_frame(&token, h.token));
    if (rc < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else
        rc = await_more(sasl, dw_buf_span(&token), challenge, err);
    dw_buf_free(&token);
    return rc;
}
