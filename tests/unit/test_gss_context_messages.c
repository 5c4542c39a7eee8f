/* Messages of real contexts, to and from the library's own gss_wrap and gss_unwrap; run it inside tests/realm. */
#include "gss_realm.h"

static const char *const zmq_home = "zmq/localhost@HOME.TEST";

static const size_t sizes[] = {0,  1,  2,  14,  15,  16,  17,   30,   31,   32,    33,    47,    48,    49,    63,
                               64, 65, 79, 255, 256, 257, 4095, 4096, 4097, 65535, 65536, 65537, 70000, 100001};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static struct dw_buf noise(size_t len)
{
    struct dw_buf b = {0};
    uint8_t *at = dw_buf_room(&b, len + 1);
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(i * 31 + (i >> 8) + len);
    dw_buf_added(&b, len);
    return b;
}

/* What gss_wrap makes of `plain`. */
static struct dw_buf stock_wrap(struct stock *s, struct dw_span plain, int sealed)
{
    OM_uint32 minor;
    int got = 0;
    gss_buffer_desc in = {plain.len, (void *)plain.at}, out = GSS_C_EMPTY_BUFFER;
    struct dw_buf token = {0};
    CHECK_INT(gss_wrap(&minor, s->ctx, sealed, GSS_C_QOP_DEFAULT, &in, &got, &out), GSS_S_COMPLETE);
    CHECK_INT(got, sealed);
    dw_buf_put(&token, dw_span_make(out.value, out.length));
    gss_release_buffer(&minor, &out);
    return token;
}

static void stock_reads(struct stock *s, struct dw_span token, struct dw_span wanted)
{
    OM_uint32 minor;
    int sealed = 0;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    CHECK_INT(gss_unwrap(&minor, s->ctx, &in, &out, &sealed, NULL), GSS_S_COMPLETE);
    CHECK(sealed && dw_span_equal(dw_span_make(out.value, out.length), wanted));
    gss_release_buffer(&minor, &out);
}

/* Unwraps a copy in a block of just its size.  0, or -1 with `err` told. */
static int ours_reads(struct dw_context *ctx, struct dw_span token, struct dw_span wanted, struct dw_error *err)
{
    uint8_t *exact = malloc(token.len ? token.len : 1);
    if (token.len)
        memcpy(exact, token.at, token.len);
    struct dw_span plain = DW_SPAN_NONE;
    *err = (struct dw_error){.kind = DW_ERROR_NONE};
    int rc = dw_context_unwrap(ctx, exact, token.len, &plain, err);
    if (rc == 0)
        CHECK(plain.at && dw_span_equal(plain, wanted));
    else
        CHECK(err->kind != DW_ERROR_NONE && *err->detail);
    free(exact);
    return rc;
}

/* Both ways, every size, appended to a buffer that holds something. */
static void talk(struct dw_context *ctx, struct stock *s)
{
    struct dw_error err = {0};
    for (int i = 0; i < SIZES; i++) {
        struct dw_buf plain = noise(sizes[i]), out = {0}, stock_token = stock_wrap(s, dw_buf_span(&plain), 1);
        CHECK_INT(ours_reads(ctx, dw_buf_span(&stock_token), dw_buf_span(&plain), &err), 0);
        size_t head = sizes[i] < 10 ? sizes[i] : (size_t)i % 11, wrapped = dw_context_wrapped_size(ctx, sizes[i]);
        struct dw_span whole = dw_buf_span(&plain);
        dw_buf_put(&out, DW_SPAN_OF("before"));
        CHECK_INT(dw_context_wrap(ctx, dw_span_make(whole.at, head),
                                  dw_span_make(whole.at + head, whole.len - head), &out, &err),
                  0);
        CHECK_INT(dw_buf_len(&out), 6 + wrapped);
        CHECK_INT(wrapped, dw_buf_len(&stock_token));
        dw_buf_take(&out, 6);
        stock_reads(s, dw_buf_span(&out), whole);
        dw_buf_free(&plain);
        dw_buf_free(&out);
        dw_buf_free(&stock_token);
    }
}

static void stock_and_ours_understand_each_other(void)
{
    struct stock s;
    struct dw_cred *cred = usual_acceptor();
    const char *cache = login("alice");
    const OM_uint32 flags[] = {LIBZMQ_FLAGS, LIBZMQ_FLAGS | GSS_C_SEQUENCE_FLAG, GSS_C_MUTUAL_FLAG, 0};
    for (int i = 0; i < 4; i++) {
        struct dw_context *ctx = join(cred, &s, cache, zmq_home, flags[i]);
        talk(ctx, &s);
        dw_context_settle(ctx);
        talk(ctx, &s);
        dw_context_free(&ctx);
        stock_end(&s);
    }
    dw_cred_free(&cred);
}

/* Tokens that begin as one layout or the other does, and hold nothing. */
static void refuses_strange_layouts(struct dw_context *ctx)
{
    static const struct dw_span starts[] = {
        DW_SPAN_OF("\x02\x01\x00\x00\xff\xff\xff\xff"),
        DW_SPAN_OF("\x02\x01\x11\x00\x10\x00\xff\xff"),
        DW_SPAN_OF("\x05\x04\x02\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        DW_SPAN_OF("\x60.\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x01\x11\x00\x10\x00\xff\xff"),
        DW_SPAN_OF("\x60.\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x04\x02\xff\x00\x00\x00\x00"),
        DW_SPAN_OF("\x60\x84\xff\xff\xff\xff\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x01"),
    };
    struct dw_error err;
    for (size_t i = 0; ctx && i < sizeof starts / sizeof starts[0]; i++) {
        uint8_t token[100];
        memset(token, '.', sizeof token);
        memcpy(token, starts[i].at, starts[i].len);
        for (size_t len = 0; len <= sizeof token; len++) {
            if (token[0] == 0x60 && token[1] != 0x84)
                token[1] = (uint8_t)(len - 2) & 0x7f;
            CHECK_INT(ours_reads(ctx, dw_span_make(token, len), DW_SPAN_NONE, &err), -1);
        }
    }
}

/* Every bit of a token changed, one after the other; then it is read as it was. */
static void refuses_altered(struct dw_context *ctx, struct stock *s)
{
    struct dw_error err;
    struct dw_buf token = stock_wrap(s, DW_SPAN_OF("altered on its way"), 1);
    for (size_t bit = 0; bit < 8 * dw_buf_len(&token); bit++) {
        token.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_INT(ours_reads(ctx, dw_buf_span(&token), DW_SPAN_OF("altered on its way"), &err), -1);
        token.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_INT(ours_reads(ctx, dw_buf_span(&token), DW_SPAN_OF("altered on its way"), &err), 0);
    dw_buf_free(&token);
}

/* Both sides' configuration: this enctype before all, if any. */
static void prefer(const char *enctype)
{
    const char *path = in_dir("prefer.conf");
    CHECK_INT(run(fmt("sed 's/^.libdefaults.$/&\\n    permitted_enctypes = %s aes256-cts-hmac-sha1-96/' %s >%s",
                      enctype, in_dir("krb5.conf"), path)),
              0);
    setenv("KRB5_CONFIG", path, 1);
}

static void prefer_none(void)
{
    setenv("KRB5_CONFIG", in_dir("krb5.conf"), 1);
}

/* Our initiator, a stock acceptor. */
static void meet_stock_acceptor(const char *keytab, const char *cache, const char *service)
{
    struct stock s = {.cred = GSS_C_NO_CREDENTIAL};
    struct dw_error err = {0};
    struct dw_buf there = {0}, back = {0};
    gss_key_value_element_desc element = {"keytab", keytab};
    gss_key_value_set_desc store = {1, &element};
    OM_uint32 minor;
    CHECK_INT(gss_acquire_cred_from(&minor, NULL, 0, NULL, GSS_C_ACCEPT, &store, &s.cred, NULL, NULL), 0);
    struct dw_initiator_options options = {.ccache = cache};
    struct dw_cred *cred = dw_cred_initiator(&options, &err);
    struct dw_context *ctx = cred ? dw_context_initiate(cred, service, NULL, &err) : NULL;
    if (CHECK(ctx && dw_context_step(ctx, DW_SPAN_NONE, &there, &err) == DW_CONTEXT_MORE)) {
        gss_buffer_desc in = {dw_buf_len(&there), there.at}, out = GSS_C_EMPTY_BUFFER;
        CHECK_INT(gss_accept_sec_context(&minor, &s.ctx, s.cred, &in, NULL, NULL, NULL, &out, NULL, NULL, NULL), 0);
        CHECK_INT(dw_context_step(ctx, dw_span_make(out.value, out.length), &back, &err), DW_CONTEXT_DONE);
        gss_release_buffer(&minor, &out);
        CHECK_STR(dw_context_peer(ctx), service);
        CHECK(dw_context_expires(ctx) > 0);
        talk(ctx, &s);
        refuses_altered(ctx, &s);
        dw_context_settle(ctx);
        talk(ctx, &s);
    }
    dw_context_free(&ctx);
    dw_cred_free(&cred);
    dw_buf_free(&there);
    dw_buf_free(&back);
    stock_end(&s);
}

/* What the two sides prefer is not spoken here: a sentence for us, an error token for the peer. */
static void refused_for_its_enctype(const struct dw_cred *cred, const char *cache, const char *service)
{
    struct dw_error err = {0};
    struct dw_buf reply = {0};
    struct stock s = stock_start(cache, service, LIBZMQ_FLAGS);
    struct dw_context *ctx = accept_token(cred, dw_buf_span(&s.token), &reply, &err);
    CHECK(ctx == NULL && dw_buf_len(&reply) > 0);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    CHECK(strstr(err.detail, "not spoken here") && strstr(err.detail, "aes256-cts-hmac-sha1-96"));
    dw_context_free(&ctx);
    dw_buf_free(&reply);
    stock_end(&s);
}

static void every_enctype_serves(void)
{
    static const char *const enctypes[] = {
        "aes256-cts-hmac-sha1-96",
        "aes128-cts-hmac-sha1-96",
        "aes256-cts-hmac-sha384-192",
        "aes128-cts-hmac-sha256-128",
        "camellia256-cts-cmac",
        "camellia128-cts-cmac",
        "arcfour-hmac",
        "des3-cbc-sha1",
    };
    const char *cache = login("alice"), *keytab = in_dir("enctypes.keytab");
    for (size_t i = 0; i < sizeof enctypes / sizeof enctypes[0]; i++) {
        const char *service = fmt("zmq/enctype%zu@HOME.TEST", i);
        bool spoken = i < 4, old = i >= 6; /* which a library may well have dropped, or a host forbidden */
        int rc = run(fmt("kadmin.local -q 'addprinc -randkey -e %s:normal %s' && "
                         "kadmin.local -q 'setstr %s session_enctypes %s' && "
                         "kadmin.local -q 'ktadd -norandkey -k %s %s' && kvno -c %s %s",
                         enctypes[i], service, service, enctypes[i], keytab, service, cache, service));
        CHECK(rc == 0 || old);
        if (rc != 0) {
            printf("    %s is not offered here\n", enctypes[i]);
            continue;
        }
        /* Ticket and session key are of this enctype; the context's key is of one that both prefer. */
        struct stock s;
        struct dw_cred *cred = acceptor(keytab, service, NULL, NULL);
        struct dw_context *ctx = join(cred, &s, cache, service, LIBZMQ_FLAGS);
        if (ctx) {
            talk(ctx, &s);
            refuses_strange_layouts(ctx);
            refuses_altered(ctx, &s);
        }
        dw_context_free(&ctx);
        stock_end(&s);
        dw_cred_free(&cred);
        meet_stock_acceptor(keytab, cache, service);

        prefer(enctypes[i]);
        cred = acceptor(keytab, service, NULL, NULL);
        if (spoken) {
            /* Without an answer there is no subkey of the acceptor's. */
            for (int mutual = 0; mutual < 2; mutual++) {
                ctx = join(cred, &s, cache, service, mutual ? LIBZMQ_FLAGS : GSS_C_REPLAY_FLAG);
                talk(ctx, &s);
                refuses_altered(ctx, &s);
                dw_context_free(&ctx);
                stock_end(&s);
            }
            meet_stock_acceptor(keytab, cache, service);
        } else {
            refused_for_its_enctype(cred, cache, service);
        }
        dw_cred_free(&cred);
        prefer_none();
    }
}

/* A context of its own for each kind of wrong message, as a peer has who is then closed. */
static void expect_refused(const struct dw_cred *cred, const char *cache, const char *said,
                           struct dw_span (*spoil)(struct stock *s, struct dw_context *ctx, struct dw_buf *token))
{
    struct stock s;
    struct dw_error err;
    struct dw_context *ctx = join(cred, &s, cache, zmq_home, LIBZMQ_FLAGS);
    struct dw_buf token = {0};
    struct dw_span wrong = spoil(&s, ctx, &token);
    CHECK_INT(ours_reads(ctx, wrong, DW_SPAN_NONE, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    if (!CHECK(strstr(err.detail, said)))
        printf("    %s\n", err.detail);
    dw_buf_free(&token);
    dw_context_free(&ctx);
    stock_end(&s);
}

static struct dw_span unsealed(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    (void)ctx;
    *token = stock_wrap(s, DW_SPAN_OF("for all to read"), 0);
    return dw_buf_span(token);
}

static struct dw_span unsealed_but_says_otherwise(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    unsealed(s, ctx, token);
    struct dw_buf longer = noise(100);
    dw_buf_put(token, dw_buf_span(&longer));
    dw_buf_free(&longer);
    token->at[2] |= 2;
    return dw_buf_span(token);
}

static struct dw_span repeated(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    struct dw_error err;
    *token = stock_wrap(s, DW_SPAN_OF("once"), 1);
    CHECK_INT(ours_reads(ctx, dw_buf_span(token), DW_SPAN_OF("once"), &err), 0);
    return dw_buf_span(token);
}

static struct dw_span after_a_gap(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    struct dw_error err;
    *token = stock_wrap(s, DW_SPAN_OF("first"), 1);
    CHECK_INT(ours_reads(ctx, dw_buf_span(token), DW_SPAN_OF("first"), &err), 0);
    dw_buf_free(token);
    *token = stock_wrap(s, DW_SPAN_OF("lost"), 1);
    dw_buf_free(token);
    *token = stock_wrap(s, DW_SPAN_OF("third"), 1);
    return dw_buf_span(token);
}

static struct dw_span our_own(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    struct dw_error err;
    (void)s;
    CHECK_INT(dw_context_wrap(ctx, DW_SPAN_OF("re"), DW_SPAN_OF("flected"), token, &err), 0);
    return dw_buf_span(token);
}

static struct dw_span a_mic(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    OM_uint32 minor;
    gss_buffer_desc in = {4, (void *)"text"}, out = GSS_C_EMPTY_BUFFER;
    (void)ctx;
    CHECK_INT(gss_get_mic(&minor, s->ctx, GSS_C_QOP_DEFAULT, &in, &out), GSS_S_COMPLETE);
    dw_buf_put(token, dw_span_make(out.value, out.length));
    gss_release_buffer(&minor, &out);
    return dw_buf_span(token);
}

static struct dw_span longer_by_its_extra_count(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    (void)ctx;
    *token = stock_wrap(s, DW_SPAN_OF("not to be cut short"), 1);
    token->at[5] = 4;
    return dw_buf_span(token);
}

static struct dw_span cut_short(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    (void)ctx;
    *token = stock_wrap(s, DW_SPAN_OF("not to be cut short"), 1);
    return dw_span_make(token->at, dw_buf_len(token) - 1);
}

static struct dw_span nothing(struct stock *s, struct dw_context *ctx, struct dw_buf *token)
{
    (void)s, (void)ctx, (void)token;
    return DW_SPAN_OF("");
}

static void wrong_messages_are_refused(void)
{
    struct dw_cred *cred = usual_acceptor();
    const char *cache = login("alice");
    expect_refused(cred, cache, "without confidentiality", unsealed);
    expect_refused(cred, cache, "cannot unwrap", unsealed_but_says_otherwise);
    expect_refused(cred, cache, "lost, repeated or moved", repeated);
    expect_refused(cred, cache, "lost, repeated or moved", after_a_gap);
    expect_refused(cred, cache, "cannot unwrap", our_own);
    expect_refused(cred, cache, "no wrapped message", a_mic);
    expect_refused(cred, cache, "cannot unwrap", longer_by_its_extra_count);
    expect_refused(cred, cache, "cannot unwrap", cut_short);
    expect_refused(cred, cache, "no wrapped message", nothing);
    dw_cred_free(&cred);
}

/* RFC 4121 section 4.2.5: a sender may rotate what follows the header, by any count. */
static void rotated_messages_are_read(void)
{
    struct stock s;
    struct dw_error err;
    struct dw_cred *cred = usual_acceptor();
    struct dw_context *ctx = join(cred, &s, login("alice"), zmq_home, LIBZMQ_FLAGS);
    static const unsigned counts[] = {1, 12, 28, 44, 60, 61, 1000, 65535};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct dw_buf token = stock_wrap(&s, DW_SPAN_OF("turn, turn, turn"), 1), turned = {0};
        struct dw_span body = dw_span_make(token.at + 16, dw_buf_len(&token) - 16);
        size_t by = counts[i] % body.len;
        dw_buf_put(&turned, dw_span_make(token.at, 16));
        dw_buf_put(&turned, dw_span_make(body.at + body.len - by, by));
        dw_buf_put(&turned, dw_span_make(body.at, body.len - by));
        turned.at[6] = (uint8_t)(counts[i] >> 8);
        turned.at[7] = (uint8_t)counts[i];
        CHECK_INT(ours_reads(ctx, dw_buf_span(&turned), DW_SPAN_OF("turn, turn, turn"), &err), 0);
        dw_buf_free(&token);
        dw_buf_free(&turned);
    }
    dw_context_free(&ctx);
    stock_end(&s);
    dw_cred_free(&cred);
}

static void too_large_and_too_early_is_told(void)
{
    struct dw_error err = {0};
    struct dw_buf out = {0};
    struct dw_span plain;
    uint8_t octet = 0;
    struct dw_cred *cred = usual_acceptor();
    struct dw_context *ctx = dw_context_accept(cred);
    CHECK_INT(dw_context_wrap(ctx, DW_SPAN_NONE, DW_SPAN_OF("early"), &out, &err), -1);
    CHECK_INT(dw_context_unwrap(ctx, &octet, 1, &plain, &err), -1);
    CHECK_INT(plain.len, 0);
    dw_context_settle(ctx);
    CHECK_INT(dw_context_step(ctx, DW_SPAN_OF("x"), &out, &err), -1);
    dw_context_free(&ctx);
    struct stock s;
    ctx = join(cred, &s, login("alice"), zmq_home, LIBZMQ_FLAGS);
    CHECK_INT(dw_context_wrap(ctx, DW_SPAN_OF("x"), dw_span_make("", (size_t)INT32_MAX), &out, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_LIMIT);
    CHECK_INT(dw_context_wrap(ctx, DW_SPAN_OF("x"), dw_span_make("", SIZE_MAX), &out, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_LIMIT);
    CHECK_INT(dw_buf_len(&out), 0);
    stock_end(&s);
    dw_context_free(&ctx);
    dw_context_free(&ctx);
    dw_cred_free(&cred);
}

int main(void)
{
    if (!getenv("REALM_DIR")) {
        printf("run me inside tests/realm\n");
        return 2;
    }
    RUN(stock_and_ours_understand_each_other);
    RUN(every_enctype_serves);
    RUN(wrong_messages_are_refused);
    RUN(rotated_messages_are_read);
    RUN(too_large_and_too_early_is_told);
    return check_done();
}
