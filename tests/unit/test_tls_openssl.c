/* Sessions of ours with OpenSSL's own on the other side: what only the other side can do, and what it sees. */
#include "tls_files.h"

/* The other side: an SSL over two memory BIOs, as s_client and s_server have it over a socket. */
struct stock {
    SSL_CTX *ctx;
    SSL *ssl;
    struct side ours;
};

static void begin(struct stock *t, bool stock_is_client, const char *certificate, struct dw_tls_context *context)
{
    *t = (struct stock){.ctx = SSL_CTX_new(stock_is_client ? TLS_client_method() : TLS_server_method())};
    if (!stock_is_client) {
        SSL_CTX_use_certificate_file(t->ctx, pem(certificate), SSL_FILETYPE_PEM);
        SSL_CTX_use_PrivateKey_file(t->ctx, key(certificate), SSL_FILETYPE_PEM);
    }
    t->ours.tls =
        stock_is_client ? dw_tls_accept(context, NULL) : dw_tls_connect(context, "example.com", NULL, NULL);
}

static void start(struct stock *t)
{
    t->ssl = SSL_new(t->ctx);
    SSL_set_bio(t->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(t->ssl), -1);
    if (SSL_CTX_get_ssl_method(t->ctx) == TLS_client_method())
        SSL_set_connect_state(t->ssl);
    else
        SSL_set_accept_state(t->ssl);
}

/* Carries what each has said to the other, until both are silent.  What the stock side reads is appended to `read`. */
static void exchange(struct stock *t, struct dw_buf *read)
{
    feed(&t->ours, DW_SPAN_NONE);
    for (int still = 0; still < 2;) {
        char plain[4096], *text;
        struct dw_span said = dw_buf_span(&t->ours.out);
        if (said.len)
            BIO_write(SSL_get_rbio(t->ssl), said.at, (int)said.len);
        still = said.len ? 0 : still + 1;
        dw_buf_take(&t->ours.out, said.len);
        ERR_clear_error();
        for (int n; (n = SSL_read(t->ssl, plain, sizeof plain)) > 0;)
            dw_buf_put(read, dw_span_make(plain, (size_t)n));
        long len = BIO_get_mem_data(SSL_get_wbio(t->ssl), &text);
        if (len > 0) {
            still = 0;
            if (t->ours.state >= 0)
                feed(&t->ours, dw_span_make(text, (size_t)len));
            (void)BIO_reset(SSL_get_wbio(t->ssl));
        }
    }
}

static void end(struct stock *t)
{
    free_side(&t->ours);
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    ERR_clear_error();
}

static void check_binding(struct stock *t, const char *type, const uint8_t *wanted, size_t len)
{
    struct dw_buf ours = {0};
    struct dw_error err = {0};
    dw_buf_put(&ours, DW_SPAN_OF("before"));
    CHECK_INT(dw_tls_binding(t->ours.tls, type, &ours, &err), 0);
    dw_buf_take(&ours, 6);
    CHECK(dw_span_equal(dw_buf_span(&ours), dw_span_make(wanted, len)));
    dw_buf_free(&ours);
}

static void check_exporter(struct stock *t)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    uint8_t wanted[32];
    CHECK_INT(SSL_export_keying_material(t->ssl, wanted, 32, label, strlen(label), (const uint8_t *)"", 0, 1), 1);
    check_binding(t, "tls-exporter", wanted, sizeof wanted);
}

static void check_end_point(struct stock *t, const char *certificate, const EVP_MD *hash)
{
    uint8_t wanted[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_PKEY *pkey;
    X509 *server = load_pem(pem(certificate), &pkey, key(certificate));
    X509_digest(server, hash, wanted, &len);
    check_binding(t, "tls-server-end-point", wanted, len);
    X509_free(server);
    EVP_PKEY_free(pkey);
}

static void check_no_binding(struct stock *t, const char *type, const char *words)
{
    struct dw_buf none = {0};
    struct dw_error err = {0};
    CHECK_INT(dw_tls_binding(t->ours.tls, type, &none, &err), -1);
    CHECK_INT(dw_buf_len(&none), 0);
    if (!CHECK(strstr(err.detail, words) != NULL))
        printf("    %s\n", err.detail);
    dw_buf_free(&none);
}

static void test_bindings(void)
{
    static const struct {
        const char *certificate;
        int version;
        const EVP_MD *(*hash)(void);
    } cases[] = {
        {"example", TLS1_3_VERSION, EVP_sha256}, {"example", TLS1_2_VERSION, EVP_sha256},
        {"sha384", TLS1_3_VERSION, EVP_sha384},  {"rsa", TLS1_2_VERSION, EVP_sha512},
        {"ed25519", TLS1_3_VERSION, NULL},
    };
    struct dw_buf read = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int stock_is_client = 0; stock_is_client < 2; stock_is_client++) {
            struct dw_tls_context *context =
                stock_is_client ? server_of(cases[i].certificate, NULL) : client_of(cases[i].certificate, true);
            struct stock t;
            begin(&t, stock_is_client, cases[i].certificate, context);
            SSL_CTX_set_max_proto_version(t.ctx, cases[i].version);
            start(&t);
            check_no_binding(&t, "tls-exporter", "before TLS is up");
            exchange(&t, &read);
            if (!CHECK(t.ours.state == DW_TLS_UP))
                printf("    %s: %s\n", cases[i].certificate, t.ours.err.detail);
            CHECK_STR(dw_tls_version(t.ours.tls), SSL_get_version(t.ssl));
            check_exporter(&t);
            if (cases[i].hash)
                check_end_point(&t, cases[i].certificate, cases[i].hash());
            else
                check_no_binding(&t, "tls-server-end-point", "not defined");
            check_no_binding(&t, "tls-unique", "no channel binding of type tls-unique");
            end(&t);
            dw_tls_context_release(&context);
        }
    dw_buf_free(&read);
}

static void test_no_exporter_without_the_extended_master_secret(void)
{
    struct dw_tls_context *context = server_of("example", NULL);
    struct dw_buf read = {0};
    struct stock t;
    begin(&t, true, NULL, context);
    SSL_CTX_set_max_proto_version(t.ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(t.ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    start(&t);
    exchange(&t, &read);
    CHECK_INT(t.ours.state, DW_TLS_UP);
    check_no_binding(&t, "tls-exporter", "extended master secret");
    check_end_point(&t, "example", EVP_sha256());
    end(&t);
    dw_tls_context_release(&context);
    dw_buf_free(&read);
}

static void test_old_versions(void)
{
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    struct dw_tls_context *s = server_of("example", NULL), *c = client_of("example", true);
    struct dw_buf read = {0};
    for (int i = 0; i < 4; i++) {
        struct stock t;
        begin(&t, i % 2 == 0, "example", i % 2 == 0 ? s : c);
        SSL_CTX_set_security_level(t.ctx, 0);
        SSL_CTX_set_min_proto_version(t.ctx, versions[i / 2]);
        SSL_CTX_set_max_proto_version(t.ctx, versions[i / 2]);
        start(&t);
        exchange(&t, &read);
        CHECK_INT(t.ours.state, -1);
        CHECK(!SSL_is_init_finished(t.ssl));
        if (i % 2 == 0)
            CHECK_STR(t.ours.err.detail, "the peer speaks no TLS 1.2 or later");
        CHECK_INT(t.ours.err.kind, DW_ERROR_PROTOCOL);
        end(&t);
    }
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
    dw_buf_free(&read);
}

static void test_no_common_cipher(void)
{
    struct dw_tls_context *s = server_of("example", NULL);
    struct dw_buf read = {0};
    struct stock t;
    begin(&t, true, NULL, s);
    SSL_CTX_set_max_proto_version(t.ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(t.ctx, "ECDHE-RSA-AES128-GCM-SHA256"); /* our key is of another kind */
    start(&t);
    exchange(&t, &read);
    CHECK_INT(t.ours.state, -1);
    CHECK(strstr(t.ours.err.detail, "no cipher in common") == t.ours.err.detail);
    end(&t);
    dw_tls_context_release(&s);
    dw_buf_free(&read);
}

/* A client that wants to renegotiate is told no. */
static void test_no_renegotiation(void)
{
    struct dw_tls_context *s = server_of("example", NULL);
    struct dw_buf read = {0};
    struct stock t;
    begin(&t, true, NULL, s);
    SSL_CTX_set_max_proto_version(t.ctx, TLS1_2_VERSION);
    start(&t);
    exchange(&t, &read);
    CHECK_INT(t.ours.state, DW_TLS_UP);
    CHECK_INT(SSL_renegotiate(t.ssl), 1);
    SSL_do_handshake(t.ssl);
    exchange(&t, &read);
    CHECK(!SSL_is_init_finished(t.ssl));
    CHECK_INT(t.ours.state, -1); /* it does not take no for an answer */
    CHECK(strstr(t.ours.err.detail, "the peer ended TLS with an alert") != NULL);
    CHECK_INT(dw_buf_len(&t.ours.plain), 0);
    end(&t);
    dw_tls_context_release(&s);
    dw_buf_free(&read);
}

static void test_no_tickets(void)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct dw_tls_context *s = server_of("example", NULL);
    struct dw_buf read = {0};
    for (int i = 0; i < 2; i++) {
        struct stock t;
        begin(&t, true, NULL, s);
        SSL_CTX_set_max_proto_version(t.ctx, versions[i]);
        start(&t);
        exchange(&t, &read);
        CHECK_INT(t.ours.state, DW_TLS_UP);
        CHECK_INT(SSL_SESSION_is_resumable(SSL_get_session(t.ssl)), 0);
        end(&t);
    }
    dw_tls_context_release(&s);
    dw_buf_free(&read);
}

/* New keys may be asked for at any time, and as often as octets come: what we answer is bounded by what came. */
static void test_new_keys(void)
{
    struct dw_tls_context *s = server_of("example", NULL);
    struct dw_buf read = {0};
    struct stock t;
    begin(&t, true, NULL, s);
    start(&t);
    exchange(&t, &read);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(SSL_key_update(t.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        CHECK_INT(SSL_write(t.ssl, "new", 3), 3);
    }
    exchange(&t, &read);
    CHECK_INT(t.ours.state, DW_TLS_UP);
    CHECK_INT(dw_buf_len(&t.ours.plain), 60);
    CHECK_INT(dw_tls_send(t.ours.tls, DW_SPAN_OF("answered"), &t.ours.out, &t.ours.err), 0);
    exchange(&t, &read);
    CHECK_SPAN(dw_buf_span(&read), "answered");
    end(&t);
    dw_tls_context_release(&s);
    dw_buf_free(&read);
}

static void test_a_certificate_of_our_own_is_asked_for(void)
{
    struct dw_tls_context *c = client_of("example", true);
    struct dw_buf read = {0};
    struct stock t;
    begin(&t, false, "example", c);
    SSL_CTX_set_verify(t.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    start(&t);
    exchange(&t, &read);
    CHECK_INT(t.ours.state, -1); /* up it was, until the server looked */
    CHECK(strstr(t.ours.err.detail, "the peer ended TLS with an alert") != NULL);
    end(&t);
    dw_tls_context_release(&c);
    dw_buf_free(&read);
}

int main(void)
{
    make_dir();
    make("example", (struct wish){.names = "DNS:example.com"});
    make("sha384", (struct wish){.names = "DNS:example.com", .hash = EVP_sha384()});
    make("rsa", (struct wish){.names = "DNS:example.com", .algorithm = "RSA", .hash = EVP_sha512()});
    make("ed25519", (struct wish){.names = "DNS:example.com", .algorithm = "ED25519"});
    RUN(test_bindings);
    RUN(test_no_exporter_without_the_extended_master_secret);
    RUN(test_old_versions);
    RUN(test_no_common_cipher);
    RUN(test_no_renegotiation);
    RUN(test_no_tickets);
    RUN(test_new_keys);
    RUN(test_a_certificate_of_our_own_is_asked_for);
    return check_done();
}
