/* The AP-REQ parser: good tokens, cut ones, altered ones, and each rule of DER on its own. */
#include "check.h"

#include "gss/request.h"

#include <stdlib.h>

/* An AP-REQ is built inside out: `wrap` puts a tag and a length before what `b` holds. */
static void wrap(struct dw_buf *b, uint8_t tag)
{
    size_t len = dw_buf_len(b);
    uint8_t head[6] = {tag};
    size_t n = 1;
    if (len < 0x80) {
        head[n++] = (uint8_t)len;
    } else if (len < 0x100) {
        head[n++] = 0x81;
        head[n++] = (uint8_t)len;
    } else {
        head[n++] = 0x82;
        head[n++] = (uint8_t)(len >> 8);
        head[n++] = (uint8_t)len;
    }
    struct dw_buf whole = {0};
    dw_buf_put(&whole, dw_span_make(head, n));
    dw_buf_put(&whole, dw_buf_span(b));
    dw_buf_free(b);
    *b = whole;
}

static void add(struct dw_buf *into, struct dw_buf *part)
{
    dw_buf_put(into, dw_buf_span(part));
    dw_buf_free(part);
}

static void add_raw(struct dw_buf *into, int field, uint8_t tag, struct dw_span contents)
{
    struct dw_buf b = {0};
    dw_buf_put(&b, contents);
    wrap(&b, tag);
    if (field >= 0)
        wrap(&b, (uint8_t)(0xa0 + field));
    add(into, &b);
}

struct recipe {
    struct dw_span version, type, options, realm, kvno, etype, cipher, oid, tok_id;
    const char *const *components;
    struct dw_span extra; /* after the authenticator */
};

static const char *const zmq_localhost[] = {"zmq", "localhost", NULL};

static struct recipe usual(void)
{
    return (struct recipe){
        .version = DW_SPAN_OF("\x05"),
        .type = DW_SPAN_OF("\x0e"),
        .options = DW_SPAN_OF("\x00\x20\x00\x00\x00"),
        .realm = DW_SPAN_OF("HOME.TEST"),
        .kvno = DW_SPAN_OF("\x02"),
        .etype = DW_SPAN_OF("\x12"),
        .cipher =
            DW_SPAN_OF("a ticket or an authenticator that only its keys can open; it is somewhat long, as they "
                       "are, so that lengths of more than one octet come about as they do in life as well"),
        .oid = DW_SPAN_OF("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"),
        .tok_id = DW_SPAN_OF("\x01\x00"),
        .components = zmq_localhost,
    };
}

static void add_encrypted(struct dw_buf *into, int field, const struct recipe *r)
{
    struct dw_buf b = {0};
    add_raw(&b, 0, 0x02, r->etype);
    if (r->kvno.len)
        add_raw(&b, 1, 0x02, r->kvno);
    add_raw(&b, 2, 0x04, r->cipher);
    wrap(&b, 0x30);
    wrap(&b, (uint8_t)(0xa0 + field));
    add(into, &b);
}

static struct dw_buf cook(const struct recipe *r)
{
    struct dw_buf ticket = {0}, name = {0}, list = {0}, body = {0}, token = {0};
    for (size_t i = 0; r->components[i]; i++)
        add_raw(&list, -1, 0x1b, dw_span_str(r->components[i]));
    wrap(&list, 0x30);
    wrap(&list, 0xa1);
    add_raw(&name, 0, 0x02, DW_SPAN_OF("\x01"));
    add(&name, &list);
    wrap(&name, 0x30);
    wrap(&name, 0xa2);

    add_raw(&ticket, 0, 0x02, DW_SPAN_OF("\x05"));
    add_raw(&ticket, 1, 0x1b, r->realm);
    add(&ticket, &name);
    add_encrypted(&ticket, 3, r);
    wrap(&ticket, 0x30);
    wrap(&ticket, 0x61);
    wrap(&ticket, 0xa3);

    add_raw(&body, 0, 0x02, r->version);
    add_raw(&body, 1, 0x02, r->type);
    add_raw(&body, 2, 0x03, r->options);
    add(&body, &ticket);
    add_encrypted(&body, 4, r);
    dw_buf_put(&body, r->extra);
    wrap(&body, 0x30);
    wrap(&body, 0x6e);

    add_raw(&token, -1, 0x06, r->oid);
    dw_buf_put(&token, r->tok_id);
    add(&token, &body);
    wrap(&token, 0x60);
    return token;
}

/* Parses from a block of just the token's size, so that a sanitizer sees the first octet read past it. */
static int parse(struct dw_span token, struct dw_request *request, struct dw_error *err)
{
    static uint8_t *exact;
    free(exact);
    exact = malloc(token.len ? token.len : 1);
    if (token.len)
        memcpy(exact, token.at, token.len);
    return dw_request_parse(request, dw_span_make(exact, token.len), err);
}

static int parse_recipe(const struct recipe *r)
{
    struct dw_request request;
    struct dw_error err = {0};
    struct dw_buf token = cook(r);
    int rc = parse(dw_buf_span(&token), &request, &err);
    CHECK(rc == 0 || err.kind == DW_ERROR_PROTOCOL);
    CHECK(rc == 0 || (request.component_count == 0 && request.realm.len == 0));
    dw_buf_free(&token);
    return rc;
}

static void reads_service_and_realm(void)
{
    struct recipe r = usual();
    struct dw_buf token = cook(&r), name = {0};
    struct dw_request request;
    struct dw_error err = {0};
    CHECK_INT(parse(dw_buf_span(&token), &request, &err), 0);
    CHECK_SPAN(request.realm, "HOME.TEST");
    CHECK_INT(request.component_count, 2);
    CHECK_SPAN(request.components[0], "zmq");
    CHECK_SPAN(request.components[1], "localhost");
    CHECK_INT(dw_request_format(&request, &name), 0);
    CHECK_SPAN(dw_buf_span(&name), "zmq/localhost@HOME.TEST");
    dw_buf_free(&name);
    /* The message without its frame, and whether it waits for an answer. */
    CHECK(request.mutual && request.ap_req.at[0] == 0x6e);
    dw_buf_free(&token);
    r.options = DW_SPAN_OF("\x00\xdf\xff\xff\xff");
    token = cook(&r);
    CHECK_INT(parse(dw_buf_span(&token), &request, &err), 0);
    CHECK(!request.mutual);
    dw_buf_free(&token);
}

static void quotes_what_a_peer_made_up(void)
{
    static const char *const odd[] = {"a/b", "c@d\n", NULL};
    struct recipe r = usual();
    r.components = odd;
    struct dw_buf token = cook(&r), name = {0};
    struct dw_request request;
    CHECK_INT(parse(dw_buf_span(&token), &request, NULL), 0);
    CHECK_INT(dw_request_format(&request, &name), 0);
    CHECK_SPAN(dw_buf_span(&name), "a\\/b/c\\@d\\n@HOME.TEST");
    dw_buf_free(&name);
    dw_buf_free(&token);
}

static void cut_anywhere_is_refused(void)
{
    struct recipe r = usual();
    struct dw_buf token = cook(&r);
    struct dw_request request;
    for (size_t len = 0; len < dw_buf_len(&token); len++) {
        struct dw_error err = {0};
        CHECK_INT(parse(dw_span_make(dw_buf_span(&token).at, len), &request, &err), -1);
        CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    }
    dw_buf_put_u8(&token, 0);
    CHECK_INT(parse(dw_buf_span(&token), &request, NULL), -1);
    dw_buf_free(&token);
}

static void one_bit_flipped_never_reads_outside(void)
{
    struct recipe r = usual();
    struct dw_buf token = cook(&r);
    struct dw_request request;
    int accepted = 0, total = 0;
    for (size_t bit = 0; bit < 8 * dw_buf_len(&token); bit++, total++) {
        token.at[token.head + bit / 8] ^= (uint8_t)(1 << bit % 8);
        accepted += parse(dw_buf_span(&token), &request, NULL) == 0;
        token.at[token.head + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* Only what a value may be is free: names, options, numbers, ciphertext. */
    CHECK(accepted > 0 && accepted < total);
    dw_buf_free(&token);
}

static void noise_never_reads_outside(void)
{
    struct recipe r = usual();
    struct dw_buf token = cook(&r);
    struct dw_request request;
    unsigned seed = 7;
    for (int round = 0; round < 20000; round++) {
        struct dw_buf copy = {0};
        dw_buf_put(&copy, dw_buf_span(&token));
        for (int i = 0; i <= round % 4; i++) {
            seed = seed * 1103515245 + 12345;
            copy.at[(seed >> 8) % dw_buf_len(&copy)] = (uint8_t)(seed >> 24);
        }
        parse(dw_buf_span(&copy), &request, NULL);
        dw_buf_free(&copy);
    }
    CHECK(request.component_count <= 8);
    dw_buf_free(&token);
}

static void keeps_to_the_rules(void)
{
    static const char *const eight[] = {"1", "2", "3", "4", "5", "6", "7", "8", NULL};
    static const char *const nine[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", NULL};
    static const char *const none[] = {NULL};
    struct recipe r = usual();
    CHECK_INT(parse_recipe(&r), 0);
    r.kvno = DW_SPAN_NONE; /* optional */
    CHECK_INT(parse_recipe(&r), 0);
    r.kvno = DW_SPAN_OF("\x00\xff\xff\xff\xff"); /* unsigned, as RFC 4120 has it */
    CHECK_INT(parse_recipe(&r), 0);
    r.kvno = DW_SPAN_OF("\xff\x7f\xff\xff"); /* negative, as some KDCs write it */
    CHECK_INT(parse_recipe(&r), 0);
    r.etype = DW_SPAN_OF("\xff\x7b"); /* -133 */
    CHECK_INT(parse_recipe(&r), 0);
    r.components = eight;
    CHECK_INT(parse_recipe(&r), 0);

    r = usual(), r.components = nine;
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.components = none;
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.version = DW_SPAN_OF("\x04");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.version = DW_SPAN_OF("\x00\x05"); /* padded */
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.type = DW_SPAN_OF("\x0f"); /* an AP-REP's number */
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.options = DW_SPAN_OF("\x00\x20");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.realm = DW_SPAN_OF("");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.etype = DW_SPAN_OF("");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.kvno = DW_SPAN_OF("\x01\x00\x00\x00\x00\x00");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.cipher = DW_SPAN_OF("");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.extra = DW_SPAN_OF("\x05\x00");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.tok_id = DW_SPAN_OF("\x02\x00");
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.oid = DW_SPAN_OF("\x2b\x06\x01\x05\x05\x02"); /* SPNEGO */
    CHECK_INT(parse_recipe(&r), -1);
    r = usual(), r.oid = DW_SPAN_OF("\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"); /* an old misprint of Kerberos */
    CHECK_INT(parse_recipe(&r), -1);
}

static void lengths_are_in_their_shortest_form(void)
{
    struct dw_request request;
    CHECK_INT(parse(DW_SPAN_OF("\x60\x80\x00\x00"), &request, NULL), -1); /* indefinite */
    CHECK_INT(parse(DW_SPAN_OF("\x60\x81\x05..............."), &request, NULL),
              -1); /* short enough for one octet */
    CHECK_INT(parse(DW_SPAN_OF("\x60\x84\xff\xff\xff\xff"), &request, NULL), -1); /* far past the end */
    CHECK_INT(parse(DW_SPAN_OF("\x60\x88\1\1\1\1\1\1\1\1"), &request, NULL), -1); /* too long a length */
    CHECK_INT(parse(DW_SPAN_NONE, &request, NULL), -1);
    /* The whole frame with a length of three octets where two do. */
    struct recipe r = usual();
    struct dw_buf token = cook(&r), padded = {0};
    struct dw_span whole = dw_buf_span(&token);
    CHECK_INT(whole.at[1], 0x82);
    dw_buf_put(&padded, DW_SPAN_OF("\x60\x83\x00"));
    dw_buf_put(&padded, dw_span_make(whole.at + 2, whole.len - 2));
    CHECK_INT(parse(dw_buf_span(&padded), &request, NULL), -1);
    dw_buf_free(&padded);
    dw_buf_free(&token);
}

int main(void)
{
    RUN(reads_service_and_realm);
    RUN(quotes_what_a_peer_made_up);
    RUN(cut_anywhere_is_refused);
    RUN(one_bit_flipped_never_reads_outside);
    RUN(noise_never_reads_outside);
    RUN(keeps_to_the_rules);
    RUN(lengths_are_in_their_shortest_form);
    return check_done();
}
