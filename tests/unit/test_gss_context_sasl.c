/* SASL with the library's own GSSAPI as the client: every enctype, with and without mutual authentication, GS2 with
 * channel bindings; and which keys a credential has.  Run it inside tests/realm. */
#include "gss_realm.h"

#include "sasl/sasl.h"

static const char *const zmq_home = "zmq/localhost@HOME.TEST";

static const struct dw_sasl_binding channel[] = {
    {"tls-exporter", {(const uint8_t *)"EXPORTED", 8}},
    {"tls-server-end-point", {(const uint8_t *)"\1\2\0\3", 4}},
};

/* A stock client of its own: with channel bindings, and whatever enctypes its tickets are of. */
struct client {
    gss_cred_id_t cred;
    gss_ctx_id_t ctx;
    gss_name_t service;
    struct dw_buf token;
    struct gss_channel_bindings_struct bindings;
    bool is_bound;
};

static struct client client_for(const char *cache, const char *principal, struct dw_span bound)
{
    struct client c = {.is_bound = bound.at != NULL};
    gss_key_value_element_desc element = {"ccache", cache};
    gss_key_value_set_desc store = {1, &element};
    gss_buffer_desc text = {strlen(principal), (void *)principal};
    OM_uint32 minor;
    c.bindings.application_data = (gss_buffer_desc){bound.len, (void *)bound.at};
    CHECK_INT(gss_acquire_cred_from(&minor, NULL, 0, NULL, GSS_C_INITIATE, &store, &c.cred, NULL, NULL), 0);
    CHECK_INT(gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &c.service), 0);
    return c;
}

static bool client_step(struct client *c, struct dw_span token, OM_uint32 flags)
{
    static gss_OID_desc krb5 = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
    OM_uint32 minor;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_init_sec_context(&minor, c->cred, &c->ctx, c->service, &krb5, flags, 0,
                                           c->is_bound ? &c->bindings : GSS_C_NO_CHANNEL_BINDINGS,
                                           token.len ? &in : NULL, NULL, &out, NULL, NULL);
    dw_buf_clear(&c->token, 0);
    dw_buf_put(&c->token, dw_span_make(out.value, out.length));
    gss_release_buffer(&minor, &out);
    return CHECK(!GSS_ERROR(major)) && major == GSS_S_COMPLETE;
}

static void client_end(struct client *c)
{
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &c->ctx, NULL);
    gss_release_name(&minor, &c->service);
    gss_release_cred(&minor, &c->cred);
    dw_buf_free(&c->token);
}

/* What the server wrapped; then what the client wraps, into its token. */
static void client_answers(struct client *c, struct dw_span challenge, int confidential, struct dw_span choice)
{
    OM_uint32 minor;
    int sealed = 1;
    gss_buffer_desc in = {challenge.len, (void *)challenge.at}, out = GSS_C_EMPTY_BUFFER;
    CHECK_INT(gss_unwrap(&minor, c->ctx, &in, &out, &sealed, NULL), GSS_S_COMPLETE);
    CHECK_INT(sealed, 0);
    CHECK(dw_span_equal(dw_span_make(out.value, out.length), DW_SPAN_OF("\1\0\0\0")));
    gss_release_buffer(&minor, &out);
    in = (gss_buffer_desc){choice.len, (void *)choice.at};
    CHECK_INT(gss_wrap(&minor, c->ctx, confidential, GSS_C_QOP_DEFAULT, &in, &sealed, &out), GSS_S_COMPLETE);
    CHECK_INT(sealed, confidential);
    dw_buf_clear(&c->token, 0);
    dw_buf_put(&c->token, dw_span_make(out.value, out.length));
    gss_release_buffer(&minor, &out);
}

static int step(struct dw_sasl *sasl, struct dw_span message, struct dw_buf *challenge, struct dw_error *err)
{
    dw_buf_clear(challenge, 0);
    *err = (struct dw_error){.kind = DW_ERROR_NONE};
    return dw_sasl_step(sasl, message, true, challenge, err);
}

/* One whole exchange.  The last step's answer. */
static int exchange(const struct dw_cred *cred, const char *cache, const char *service, OM_uint32 flags,
                    int confidential, struct dw_span choice, struct dw_error *err)
{
    struct dw_sasl *sasl = dw_sasl_new(DW_SPAN_OF("GSSAPI"), &(struct dw_sasl_options){.cred = cred});
    struct client c = client_for(cache, service, DW_SPAN_NONE);
    struct dw_buf challenge = {0};
    bool whole = client_step(&c, DW_SPAN_NONE, flags);
    int rc = step(sasl, dw_buf_span(&c.token), &challenge, err);
    if (rc >= 0 && (flags & GSS_C_MUTUAL_FLAG)) {
        CHECK(!whole && client_step(&c, dw_buf_span(&challenge), flags));
        CHECK_INT(dw_buf_len(&c.token), 0);
        rc = step(sasl, dw_buf_span(&c.token), &challenge, err);
    }
    if (rc == DW_SASL_CHALLENGE) {
        client_answers(&c, dw_buf_span(&challenge), confidential, choice);
        rc = step(sasl, dw_buf_span(&c.token), &challenge, err);
    }
    if (rc == DW_SASL_DONE) {
        CHECK_STR(dw_context_peer(dw_sasl_context(sasl)), "alice@HOME.TEST");
        CHECK_STR(dw_context_target(dw_sasl_context(sasl)), service);
        CHECK(dw_span_equal(dw_sasl_authzid(sasl), dw_span_make(choice.at + 4, choice.len - 4)));
    } else if (rc < 0) {
        CHECK(*err->detail);
    }
    dw_buf_free(&challenge);
    client_end(&c);
    dw_sasl_free(&sasl);
    return rc;
}

static struct dw_cred *any_key(const char *keytab)
{
    return acceptor(keytab, NULL, NULL, NULL);
}

static void stock_clients(void)
{
    struct dw_cred *cred = any_key(getenv("REALM_KEYTAB"));
    const char *cache = login("alice");
    struct dw_error err;
    CHECK(dw_cred_name(cred) == NULL);
    for (int mutual = 0; mutual < 2; mutual++)
        for (int sealed = 0; sealed < 2; sealed++) {
            OM_uint32 flags = (mutual ? GSS_C_MUTUAL_FLAG : 0) | GSS_C_CONF_FLAG;
            CHECK_INT(exchange(cred, cache, zmq_home, flags, sealed, DW_SPAN_OF("\1\0\0\0"), &err), DW_SASL_DONE);
            CHECK_INT(exchange(cred, cache, zmq_home, flags, sealed, DW_SPAN_OF("\0\xff\xff\xff"), &err),
                      DW_SASL_DONE);
            CHECK_INT(exchange(cred, cache, "other/localhost@HOME.TEST", flags | GSS_C_SEQUENCE_FLAG, sealed,
                               DW_SPAN_OF("\1\0\0\0alice@example.com"), &err),
                      DW_SASL_DONE);
            CHECK_INT(exchange(cred, cache, zmq_home, flags, sealed, DW_SPAN_OF("\2\0\0\0"), &err), -1);
            CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
            CHECK_INT(exchange(cred, cache, zmq_home, flags, sealed, DW_SPAN_OF("\4\0\0\0"), &err), -1);
            CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
        }
    dw_cred_free(&cred);
}

static void every_enctype(void)
{
    static const char *const enctypes[] = {"aes128-cts-hmac-sha1-96", "aes256-cts-hmac-sha1-96",
                                           "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha384-192"};
    const char *keytab = in_dir("enctypes.keytab");
    for (int i = 0; i < 4; i++) {
        kadmin(fmt("addprinc -randkey -e %s:normal xmpp/e%d", enctypes[i], i));
        kadmin(fmt("setstr xmpp/e%d session_enctypes %s", i, enctypes[i]));
        kadmin(fmt("ktadd -k %s -norandkey xmpp/e%d", keytab, i));
    }
    struct dw_cred *cred = any_key(keytab);
    const char *cache = login("alice");
    struct dw_error err;
    for (int i = 0; i < 4; i++)
        for (int mutual = 0; mutual < 2; mutual++)
            if (!CHECK(exchange(cred, cache, fmt("xmpp/e%d@HOME.TEST", i), mutual ? GSS_C_MUTUAL_FLAG : 0, 0,
                                DW_SPAN_OF("\1\0\0\0alice"), &err) == DW_SASL_DONE))
                printf("    %s: %s\n", enctypes[i], err.detail);
    dw_cred_free(&cred);
}

/* As Heimdal sends them: what follows the header turned right by the length of the checksum; and by anything else. */
static void turned_and_altered(void)
{
    struct dw_cred *cred = usual_acceptor();
    const char *cache = login("alice");
    for (size_t turned = 0; turned < 40; turned++) {
        struct stock s;
        struct dw_context *ctx = join(cred, &s, cache, zmq_home, LIBZMQ_FLAGS);
        OM_uint32 minor;
        int sealed;
        gss_buffer_desc in = {5, (void *)"hello"}, out = GSS_C_EMPTY_BUFFER;
        CHECK_INT(gss_wrap(&minor, s.ctx, 0, GSS_C_QOP_DEFAULT, &in, &sealed, &out), GSS_S_COMPLETE);
        size_t len = out.length, body = len - 16;
        uint8_t *token = malloc(len), *from = out.value;
        memcpy(token, from, 16);
        token[7] = (uint8_t)(token[7] + turned);
        for (size_t i = 0; i < body; i++)
            token[16 + (i + turned) % body] = from[16 + i];
        gss_release_buffer(&minor, &out);
        struct dw_error err;
        struct dw_span plain;
        bool confidential = true;
        uint8_t *copy = malloc(len);
        /* What else changes is seen, and the context goes on with the next attempt as if nothing had come. */
        for (size_t i = 0; i < len; i++) {
            memcpy(copy, token, len);
            copy[i] ^= 0x40;
            CHECK_INT(dw_context_open(ctx, copy, len, &plain, &confidential, &err), -1);
            CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
        }
        for (size_t i = 0; i < len; i++) {
            uint8_t *cut = malloc(i ? i : 1);
            memcpy(cut, token, i);
            CHECK_INT(dw_context_open(ctx, cut, i, &plain, &confidential, &err), -1);
            free(cut);
        }
        memcpy(copy, token, len);
        CHECK_INT(dw_context_open(ctx, copy, len, &plain, &confidential, &err), 0);
        CHECK_SPAN(plain, "hello");
        CHECK(!confidential);
        /* Again, and with a settled context. */
        memcpy(copy, token, len);
        CHECK_INT(dw_context_open(ctx, copy, len, &plain, &confidential, &err), -1);
        struct dw_buf sent = {0};
        CHECK_INT(dw_context_sign(ctx, DW_SPAN_OF("x"), &sent, &err), 0);
        dw_context_settle(ctx);
        CHECK_INT(dw_context_sign(ctx, DW_SPAN_OF("x"), &sent, &err), -1);
        CHECK_INT(err.kind, DW_ERROR_INTERNAL);
        CHECK_INT(dw_buf_len(&sent), 16 + 1 + body - 5);
        dw_buf_free(&sent);
        free(copy);
        free(token);
        dw_context_free(&ctx);
        stock_end(&s);
    }
    dw_cred_free(&cred);
}

/* ---- GS2. */

/* The frame of RFC 2743 section 3.1 taken off. */
static struct dw_span bare(const struct dw_buf *token)
{
    struct dw_span all = dw_buf_span(token);
    size_t head = (all.at[1] & 0x80 ? 2 + (all.at[1] & 0x7f) : 2) + 11U;
    return dw_span_make(all.at + head, all.len - head);
}

static int gs2(const struct dw_cred *cred, const char *mechanism, const char *header, struct dw_span bound,
               OM_uint32 flags, struct dw_error *err)
{
    bool is_plus = strcmp(mechanism, "GS2-KRB5-PLUS") == 0;
    struct dw_sasl_options options = {
        .cred = cred, .bindings = channel, .binding_count = 2, .plus_offered = is_plus};
    struct dw_sasl *sasl = dw_sasl_new(dw_span_str(mechanism), &options);
    struct client c = client_for(login("alice"), zmq_home, bound);
    struct dw_buf message = {0}, challenge = {0};
    bool whole = client_step(&c, DW_SPAN_NONE, flags);
    dw_buf_put(&message, dw_span_str(header));
    dw_buf_put(&message, strncmp(header, "F,", 2) == 0 ? dw_buf_span(&c.token) : bare(&c.token));
    int rc = step(sasl, dw_buf_span(&message), &challenge, err);
    if (rc == DW_SASL_DONE) {
        struct dw_event event = {.id = NULL};
        CHECK(dw_sasl_has_final(sasl) == ((flags & GSS_C_MUTUAL_FLAG) != 0));
        CHECK(whole || client_step(&c, dw_buf_span(&challenge), flags));
        CHECK_STR(dw_context_peer(dw_sasl_context(sasl)), "alice@HOME.TEST");
        CHECK(dw_sasl_channel_bound(sasl) == is_plus);
        dw_context_describe(dw_sasl_context(sasl), &event);
        CHECK(event.gss.channel_bound == is_plus);
    } else {
        CHECK(rc == -1 && dw_buf_len(&challenge) == 0);
    }
    dw_buf_free(&message);
    dw_buf_free(&challenge);
    client_end(&c);
    dw_sasl_free(&sasl);
    return rc;
}

static void gs2_clients(void)
{
    struct dw_cred *cred = any_key(getenv("REALM_KEYTAB"));
    struct dw_error err;
    static const char *const plain = "GS2-KRB5", *const plus = "GS2-KRB5-PLUS";
    const OM_uint32 mutual = GSS_C_MUTUAL_FLAG;
    CHECK_INT(gs2(cred, plain, "n,,", DW_SPAN_OF("n,,"), mutual, &err), DW_SASL_DONE);
    CHECK_INT(gs2(cred, plain, "n,,", DW_SPAN_OF("n,,"), 0, &err), DW_SASL_DONE);
    CHECK_INT(gs2(cred, plain, "y,a=alice,", DW_SPAN_OF("y,a=alice,"), mutual, &err), DW_SASL_DONE);
    CHECK_INT(gs2(cred, plain, "F,n,,", DW_SPAN_OF("n,,"), mutual, &err), DW_SASL_DONE);
    CHECK_INT(gs2(cred, plus, "p=tls-exporter,,", DW_SPAN_OF("p=tls-exporter,,EXPORTED"), mutual, &err),
              DW_SASL_DONE);
    CHECK_INT(gs2(cred, plus, "p=tls-server-end-point,a=alice,",
                  DW_SPAN_OF("p=tls-server-end-point,a=alice,\1\2\0\3"), mutual, &err),
              DW_SASL_DONE);

    CHECK_INT(gs2(cred, plain, "n,,", DW_SPAN_NONE, mutual, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    CHECK_INT(gs2(cred, plain, "n,a=bob,", DW_SPAN_OF("n,a=alice,"), mutual, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    CHECK_INT(gs2(cred, plus, "p=tls-exporter,,", DW_SPAN_OF("p=tls-exporter,,elsewhere"), mutual, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    CHECK_INT(gs2(cred, plus, "p=tls-exporter,,", DW_SPAN_NONE, mutual, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    CHECK_INT(gs2(cred, plus, "y,,", DW_SPAN_OF("y,,"), mutual, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    dw_cred_free(&cred);
}

/* ---- Keys. */

static void which_keys_there_are(void)
{
    struct dw_cred *cred = any_key(getenv("REALM_KEYTAB"));
    CHECK(dw_cred_has(cred, "zmq/localhost", NULL));
    CHECK(dw_cred_has(cred, "zmq/localhost", "HOME.TEST"));
    CHECK(dw_cred_has(cred, "zmq/localhost", "AWAY.TEST"));
    CHECK(dw_cred_has(cred, "zmq/localhost@AWAY.TEST", NULL));
    CHECK(dw_cred_has(cred, "zmq@LOCALHOST", NULL));
    CHECK(dw_cred_has(cred, "other/localhost", "HOME.TEST"));
    CHECK(!dw_cred_has(cred, "other/localhost", "AWAY.TEST"));
    CHECK(!dw_cred_has(cred, "zmq/localhost@AWAY.TEST", "HOME.TEST"));
    CHECK(!dw_cred_has(cred, "zmq/LOCALHOST", NULL));
    CHECK(!dw_cred_has(cred, "zmq/localhost/domain", NULL));
    CHECK(!dw_cred_has(cred, "zmq", NULL));
    CHECK(!dw_cred_has(cred, "", NULL));
    CHECK(!dw_cred_has(cred, "zmq/", NULL));
    CHECK(dw_cred_serves(cred, "zmq", NULL));
    CHECK(dw_cred_serves(cred, NULL, "AWAY.TEST"));
    CHECK(dw_cred_serves(cred, "other", "HOME.TEST"));
    CHECK(!dw_cred_serves(cred, "other", "AWAY.TEST"));
    CHECK(!dw_cred_serves(cred, "smtp", NULL));
    CHECK(!dw_cred_serves(cred, "", NULL));
    dw_cred_free(&cred);
    cred = any_key(getenv("REALM_USERS"));
    CHECK(!dw_cred_serves(cred, "alice", NULL));
    CHECK(dw_cred_serves(cred, NULL, NULL)); /* admin/admin */
    dw_cred_free(&cred);
}

/* As Active Directory keeps them: the names of one account have one key. */
static void names_that_share_a_key(void)
{
    const char *keytab = in_dir("shared.keytab");
    struct dw_error err;
    for (int i = 0; i < 3; i++) {
        kadmin(fmt("addprinc -e aes256-cts-hmac-sha1-96:onlyrealm -pw shared svc%d/shared", i));
        kadmin(fmt("ktadd -k %s -norandkey svc%d/shared", keytab, i));
    }
    struct dw_cred *cred = any_key(keytab);
    const char *cache = login("alice");
    for (int i = 0; i < 3; i++)
        CHECK_INT(exchange(cred, cache, fmt("svc%d/shared@HOME.TEST", i), GSS_C_MUTUAL_FLAG, 0,
                           DW_SPAN_OF("\1\0\0\0"), &err),
                  DW_SASL_DONE);
    dw_cred_free(&cred);
    /* A name that the keytab does not have is taken for the one whose key opens it. */
    kadmin("addprinc -e aes256-cts-hmac-sha1-96:onlyrealm -pw shared alias/shared");
    cred = any_key(keytab);
    struct stock s;
    struct dw_context *ctx = join(cred, &s, cache, "alias/shared@HOME.TEST", GSS_C_MUTUAL_FLAG);
    CHECK(ctx && strcmp(dw_context_target(ctx), "alias/shared@HOME.TEST") != 0);
    dw_context_free(&ctx);
    stock_end(&s);
    dw_cred_free(&cred);
}

int main(void)
{
    RUN(stock_clients);
    RUN(every_enctype);
    RUN(turned_and_altered);
    RUN(gs2_clients);
    RUN(which_keys_there_are);
    RUN(names_that_share_a_key);
    return check_done();
}
