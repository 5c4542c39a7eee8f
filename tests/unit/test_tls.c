/* TLS over memory: two sessions that talk, and one that talks to OpenSSL's own. */
#include "tls_files.h"

#include "base/text.h"
#include "tls/certificate.h"

static const char *const no_names[] = {NULL};

static void test_handshake_in_any_pieces(void)
{
    struct dw_tls_context *s = server_of("example", "xmpp-client"), *c = client_of("ca", false);
    for (size_t piece = 0; piece < 4000; piece += piece < 40 ? 1 : 131) {
        struct side client = {.tls = dw_tls_connect(c, "example.com", "xmpp-client", NULL)};
        struct side server = {.tls = dw_tls_accept(s, NULL)};
        talk(&client, &server, piece);
        CHECK_INT(client.state, DW_TLS_UP);
        CHECK_INT(server.state, DW_TLS_UP);
        CHECK_STR(dw_tls_version(server.tls), "TLSv1.3");
        CHECK_STR(dw_tls_cipher(server.tls), dw_tls_cipher(client.tls));
        CHECK_STR(dw_tls_sni(server.tls), "example.com");
        CHECK_STR(dw_tls_sni(client.tls), NULL);
        CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("<presence/>"), &client.out, &client.err), 0);
        CHECK_INT(dw_tls_send(server.tls, DW_SPAN_OF("<iq/>"), &server.out, &server.err), 0);
        carry(&client, &server, piece);
        carry(&server, &client, piece);
        CHECK_SPAN(dw_buf_span(&server.plain), "<presence/>");
        CHECK_SPAN(dw_buf_span(&client.plain), "<iq/>");
        free_side(&client);
        free_side(&server);
    }
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

/* What comes with the last octets of a handshake is not lost, on either side. */
static void test_data_right_behind_the_handshake(void)
{
    struct dw_tls_context *s = server_of("example", NULL), *c = client_of("ca", false);
    struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)},
                server = {.tls = dw_tls_accept(s, NULL)};
    feed(&client, DW_SPAN_NONE);
    CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("early"), &client.out, &client.err), -1);
    carry(&client, &server, 0);
    CHECK_INT(server.state, DW_TLS_HANDSHAKE);
    CHECK_INT(dw_tls_send(server.tls, DW_SPAN_OF("early"), &server.out, &server.err), -1);
    carry(&server, &client, 0);
    CHECK_INT(client.state, DW_TLS_UP);
    CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("at once"), &client.out, &client.err), 0);
    carry(&client, &server, 0);
    CHECK_INT(server.state, DW_TLS_UP);
    CHECK_SPAN(dw_buf_span(&server.plain), "at once");
    free_side(&client);
    free_side(&server);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

/* A login in which each does as it wants; whether it came about. */
static bool tried(struct dw_tls_context *c, struct dw_tls_context *s, const char *name, struct dw_error *client_err,
                  struct dw_error *server_err)
{
    struct side client = {.tls = dw_tls_connect(c, name, NULL, NULL)}, server = {.tls = dw_tls_accept(s, NULL)};
    talk(&client, &server, 0);
    bool up = client.state == DW_TLS_UP && server.state == DW_TLS_UP;
    *client_err = client.err;
    *server_err = server.err;
    if (client.state < 0) { /* the same again, whatever is tried */
        struct dw_error again = {0};
        CHECK_INT(dw_tls_feed(client.tls, DW_SPAN_OF("x"), &client.plain, &client.out, &again), -1);
        CHECK_STR(again.detail, client.err.detail);
        CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("x"), &client.out, &again), -1);
        dw_tls_end(client.tls, &client.out);
    }
    free_side(&client);
    free_side(&server);
    return up;
}

static void test_names(void)
{
    static const struct {
        const char *certificate, *name;
        bool good;
    } cases[] = {
        {"example", "example.com", true},   {"example", "EXAMPLE.com", true}, {"example", "www.example.com", false},
        {"example", "example.org", false},  {"wild", "a.example.net", true},  {"wild", "example.net", false},
        {"wild", "a.b.example.net", false}, {"srv", "example.com", true},     {"srv", "Example.Com", true},
        {"srv", "mple.com", false},         {"srv", "example.org", false},    {"xmpp", "example.com", true},
        {"xmpp", "example.org", false},     {"jid", "example.com", false},    {"nameless", "example.com", false},
        {"address", "192.0.2.1", true},     {"address", "192.0.2.2", false},  {"address", "2001:db8::1", true},
        {"odd", "example.com", false},
    };
    struct dw_tls_context *c = client_of("ca", false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_tls_context *s = server_of(cases[i].certificate, NULL);
        struct dw_error err, other;
        bool up = tried(c, s, cases[i].name, &err, &other);
        if (!CHECK(up == cases[i].good))
            printf("    %s for %s: %s\n", cases[i].certificate, cases[i].name, err.detail);
        if (!cases[i].good) {
            CHECK_INT(err.kind, DW_ERROR_DENIED);
            CHECK(strstr(err.detail, fmt("is not for %s: it holds ", cases[i].name)) != NULL);
            CHECK_INT(other.kind, DW_ERROR_PROTOCOL);
        }
        int covers = dw_tls_certificate_covers(pem(cases[i].certificate), cases[i].name, &err);
        CHECK_INT(covers, cases[i].good);
        dw_tls_context_release(&s);
    }
    dw_tls_context_release(&c);
}

static void test_certificates_that_do_not_verify(void)
{
    static const struct {
        const char *certificate, *authority, *words;
    } cases[] = {
        {"expired", "ca", "expired"},
        {"future", "ca", "not yet valid; are the clocks right?"},
        {"self", "ca", "; is its authority in ca_file?; it holds DNS example.com"},
        {"example", "other-ca", "; is its authority in ca_file?"},
        {"for-clients", "ca", "purpose"},
        {"by-no-authority", "ca", "invalid CA certificate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_tls_context *s = server_of(cases[i].certificate, NULL), *c = client_of(cases[i].authority, false);
        struct dw_tls_context *blind = client_of(cases[i].authority, true);
        struct dw_error err, other;
        CHECK(!tried(c, s, "example.com", &err, &other));
        CHECK_INT(err.kind, DW_ERROR_DENIED);
        if (!CHECK(strstr(err.detail, cases[i].words) && strstr(err.detail, "that example.com shows")))
            printf("    %s: %s\n", cases[i].certificate, err.detail);
        CHECK(strstr(other.detail, "the peer ended TLS with an alert") != NULL);
        CHECK(tried(blind, s, "example.com", &err, &other));
        dw_tls_context_release(&s);
        dw_tls_context_release(&c);
        dw_tls_context_release(&blind);
    }
    /* Whoever is named in ca_file is trusted, an authority or not. */
    struct dw_tls_context *s = server_of("self", NULL), *c = client_of("self", false);
    struct dw_error err, other;
    CHECK(tried(c, s, "example.com", &err, &other));
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

static void test_describe(void)
{
    struct dw_tls_context *s = server_of("expired", NULL), *c = client_of("ca", true);
    struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)},
                server = {.tls = dw_tls_accept(s, NULL)};
    struct dw_buf line = {0};
    CHECK_INT(dw_tls_describe_peer(client.tls, &line), -1);
    CHECK_STR(dw_tls_version(client.tls), NULL);
    talk(&client, &server, 0);
    CHECK_INT(dw_tls_describe_peer(client.tls, &line), 0);
    dw_buf_put_u8(&line, 0);
    const char *text = (const char *)dw_buf_span(&line).at;
    if (!CHECK(strstr(text, "subject CN=a test expired; issuer CN=a test ca; DNS example.com; until 20") == text &&
               strstr(text, "expired") != NULL))
        puts(text);
    dw_buf_clear(&line, 0);
    CHECK_INT(dw_tls_describe_peer(server.tls, &line), -1);
    dw_buf_free(&line);
    free_side(&client);
    free_side(&server);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

/* The CN of what the client is shown. */
static const char *shown(struct dw_tls_context *s, const char *sni, const char *domain)
{
    static char subject[300];
    struct dw_tls_context *c = client_of("ca", true);
    struct side client = {.tls = dw_tls_connect(c, sni ? sni : "192.0.2.9", NULL, NULL)};
    struct side server = {.tls = dw_tls_accept(s, domain)};
    struct dw_buf line = {0};
    talk(&client, &server, 0);
    CHECK_STR(dw_tls_sni(server.tls), sni);
    CHECK_INT(dw_tls_describe_peer(client.tls, &line), 0);
    dw_buf_put_u8(&line, 0);
    snprintf(subject, sizeof subject, "%s", (const char *)dw_buf_span(&line).at + strlen("subject CN=a test "));
    *strchrnul(subject, ';') = '\0';
    dw_buf_free(&line);
    free_side(&client);
    free_side(&server);
    dw_tls_context_release(&c);
    return subject;
}

static void test_a_certificate_for_each_name(void)
{
    const char *const com[] = {"example.com", "chat.example.com", NULL}, *const net[] = {"a.example.net", NULL};
    struct dw_tls_certificate three[] = {
        {pem("example"), key("example"), com}, {pem("wild"), key("wild"), net}, {pem("srv"), key("srv"), no_names}};
    struct dw_error err = {0};
    struct dw_tls_context *s = dw_tls_server_new(three, 3, "xmpp-client", &err);
    CHECK(s != NULL);
    CHECK_STR(shown(s, "example.com", NULL), "example");
    CHECK_STR(shown(s, "a.example.net", NULL), "wild");
    CHECK_STR(shown(s, "A.Example.NET", "example.com"), "wild");
    CHECK_STR(shown(s, "chat.example.com", "a.example.net"), "example");
    CHECK_STR(shown(s, NULL, NULL), "example");
    CHECK_STR(shown(s, NULL, "a.example.net"), "wild");
    CHECK_STR(shown(s, "nowhere.test", NULL), "example");
    CHECK_STR(shown(s, "cm7.example.org", "a.example.net"), "wild");
    CHECK_STR(shown(s, NULL, "nowhere.test"), "example");
    dw_tls_context_release(&s);
}

static void test_alpn(void)
{
    static const struct {
        const char *server, *client;
        bool good;
    } cases[] = {
        {"xmpp-client", "xmpp-client", true}, {"xmpp-client", NULL, true},
        {NULL, "xmpp-client", true},          {NULL, NULL, true},
        {"xmpp-client", "h2", false},         {"xmpp-client", "xmpp-clien", false},
    };
    struct dw_tls_context *c = client_of("ca", false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_tls_context *s = server_of("example", cases[i].server);
        struct side client = {.tls = dw_tls_connect(c, "example.com", cases[i].client, NULL)};
        struct side server = {.tls = dw_tls_accept(s, "example.com")};
        talk(&client, &server, 0);
        CHECK_INT(client.state, cases[i].good ? DW_TLS_UP : -1);
        CHECK_INT(server.state, cases[i].good ? DW_TLS_UP : -1);
        if (!cases[i].good) {
            CHECK_INT(server.err.kind, DW_ERROR_PROTOCOL);
            CHECK_STR(server.err.detail,
                      "the client speaks other protocols by its ALPN; spoken here is xmpp-client");
            CHECK_STR(client.err.detail,
                      "the peer ended TLS with an alert, \"no application protocol\": it does not "
                      "speak our ALPN protocol");
        }
        free_side(&client);
        free_side(&server);
        dw_tls_context_release(&s);
    }
    dw_tls_context_release(&c);
}

static void test_ends(void)
{
    struct dw_tls_context *s = server_of("example", NULL), *c = client_of("ca", false);
    struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)},
                server = {.tls = dw_tls_accept(s, NULL)};
    dw_tls_end(client.tls, &client.out); /* too early to say */
    CHECK_INT(dw_buf_len(&client.out), 0);
    talk(&client, &server, 0);
    /* Cut off in a record: more is to come, and nothing has ended. */
    CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("half"), &client.out, &client.err), 0);
    size_t half = dw_buf_len(&client.out) / 2;
    feed(&server, dw_span_make(dw_buf_span(&client.out).at, half));
    CHECK_INT(server.state, DW_TLS_UP);
    CHECK_INT(dw_buf_len(&server.plain), 0);
    dw_buf_take(&client.out, half);
    CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF(", whole"), &client.out, &client.err), 0);
    dw_tls_end(client.tls, &client.out);
    dw_tls_end(client.tls, &client.out);
    CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("more"), &client.out, &client.err), -1);
    dw_buf_put(&client.out, DW_SPAN_OF("what follows is dropped"));
    carry(&client, &server, 0);
    CHECK_INT(server.state, DW_TLS_ENDED);
    CHECK_SPAN(dw_buf_span(&server.plain), "half, whole");
    feed(&server, DW_SPAN_OF("and this"));
    CHECK_INT(server.state, DW_TLS_ENDED);
    /* The other way is open still. */
    CHECK_INT(dw_tls_send(server.tls, DW_SPAN_OF("</stream:stream>"), &server.out, &server.err), 0);
    dw_tls_end(server.tls, &server.out);
    carry(&server, &client, 0);
    CHECK_INT(client.state, DW_TLS_ENDED);
    CHECK_SPAN(dw_buf_span(&client.plain), "</stream:stream>");
    free_side(&client);
    free_side(&server);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

/* A record may stop anywhere when a session is settled, its header's end included. */
static void test_settled_amid_a_record(void)
{
    struct dw_tls_context *s = server_of("example", NULL), *c = client_of("ca", false);
    struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)},
                server = {.tls = dw_tls_accept(s, NULL)};
    dw_tls_settle(client.tls);
    talk(&client, &server, 0);
    for (size_t cut = 0; cut < 30; cut++) {
        CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("a record"), &client.out, &client.err), 0);
        feed(&server, dw_span_make(dw_buf_span(&client.out).at, cut));
        dw_buf_take(&client.out, cut);
        dw_tls_settle(server.tls);
        dw_tls_settle(client.tls);
        CHECK_INT(dw_tls_send(server.tls, DW_SPAN_OF("another"), &server.out, &server.err), 0);
        dw_tls_settle(server.tls);
        carry(&client, &server, 0);
        carry(&server, &client, 0);
        CHECK_SPAN(dw_buf_span(&server.plain), "a record");
        CHECK_SPAN(dw_buf_span(&client.plain), "another");
        dw_buf_clear(&server.plain, 0);
        dw_buf_clear(&client.plain, 0);
    }
    free_side(&client);
    free_side(&server);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

static void test_what_is_no_tls(void)
{
    static const struct {
        struct dw_span octets;
        const char *words;
    } cases[] = {
        {{(const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18}, "what the peer sent is no TLS"},
        {{(const uint8_t *)"<?xml version='1.0'?><stream:stream>", 36}, "what the peer sent is no TLS"},
        {{(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0", 11}, "what the peer sent is no TLS"},
        {{(const uint8_t *)"\x80\x0b\x01\x03\x01\0\x03\0\0\0\x10\0\0\x2f", 13}, ""}, /* SSLv2's hello */
        {{(const uint8_t *)"\x16\x03\x01\xff\xff\x01\x00\xff\xff", 9}, "what the peer sent is no TLS"},
        {{(const uint8_t *)"\x17\x03\x03\0\x04test", 9}, "TLS handshake failed"},
        {{(const uint8_t *)"\x15\x03\x03\0\x02\x02\x28", 7}, ""},
    };
    struct dw_tls_context *s = server_of("example", NULL), *c = client_of("ca", false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct side server = {.tls = dw_tls_accept(s, NULL)};
        struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)};
        feed(&server, cases[i].octets);
        CHECK_INT(server.state, -1);
        CHECK_INT(server.err.kind, DW_ERROR_PROTOCOL);
        if (!CHECK(strstr(server.err.detail, cases[i].words) != NULL))
            printf("    %zu: %s\n", i, server.err.detail);
        CHECK_INT(dw_buf_len(&server.plain), 0);
        feed(&client, DW_SPAN_NONE);
        feed(&client, cases[i].octets);
        CHECK_INT(client.state, -1);
        CHECK_INT(client.err.kind, DW_ERROR_PROTOCOL);
        CHECK_INT(ERR_peek_error(), 0);
        free_side(&client);
        free_side(&server);
    }
    /* Any octet of a good conversation turned over ends it, or makes it wait; it never gives other plaintext. */
    for (size_t at = 0; at < 1500; at += 17) {
        struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)};
        struct side server = {.tls = dw_tls_accept(s, NULL)};
        feed(&client, DW_SPAN_NONE);
        size_t passed = 0;
        for (int turn = 0; turn < 8; turn++) {
            struct side *from = turn % 2 ? &server : &client, *to = turn % 2 ? &client : &server;
            size_t len = dw_buf_len(&from->out);
            if (at >= passed && at < passed + len)
                from->out.at[from->out.head + at - passed] ^= 0x20;
            passed += len;
            carry(from, to, 0);
            if (turn == 2 && from->state == DW_TLS_UP)
                dw_tls_send(from->tls, DW_SPAN_OF("plain"), &from->out, &from->err);
            if (client.state < 0 || server.state < 0)
                break;
        }
        struct dw_span got = dw_buf_span(&server.plain);
        CHECK(got.len == 0 || dw_span_equal(got, DW_SPAN_OF("plain")));
        free_side(&client);
        free_side(&server);
    }
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

static void test_much(void)
{
    enum { MUCH = 1 << 20 };
    struct dw_tls_context *s = server_of("example", NULL), *c = client_of("ca", false);
    struct side client = {.tls = dw_tls_connect(c, "example.com", NULL, NULL)},
                server = {.tls = dw_tls_accept(s, NULL)};
    talk(&client, &server, 0);
    uint8_t *much = malloc(MUCH);
    for (size_t i = 0; i < MUCH; i++)
        much[i] = (uint8_t)(i * 31 + (i >> 9));
    for (size_t at = 0, piece = 1; at < MUCH; at += piece, piece = piece * 3 + 1) {
        piece = piece < MUCH - at ? piece : MUCH - at;
        CHECK_INT(dw_tls_send(client.tls, dw_span_make(much + at, piece), &client.out, &client.err), 0);
    }
    size_t before = dw_buf_len(&client.out);
    CHECK(before > MUCH && before < MUCH + MUCH / 50);
    carry(&client, &server, 4093);
    CHECK_INT(server.state, DW_TLS_UP);
    CHECK(dw_span_equal(dw_buf_span(&server.plain), dw_span_make(much, MUCH)));
    CHECK_INT(dw_tls_send(server.tls, dw_span_make(much, MUCH), &server.out, &server.err), 0);
    carry(&server, &client, 0);
    CHECK(dw_span_equal(dw_buf_span(&client.plain), dw_span_make(much, MUCH)));
    CHECK_INT(dw_tls_send(server.tls, DW_SPAN_NONE, &server.out, &server.err), 0);
    CHECK_INT(dw_buf_len(&server.out), 0);
    free(much);
    free_side(&client);
    free_side(&server);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

static void test_files(void)
{
    static const struct {
        const char *certificate, *key, *words;
    } cases[] = {
        {"nowhere", "example", "cannot read the certificate "},
        {"example", "nowhere", "cannot read the key "},
        {"example", "srv", " is not that of the certificate "},
        {"empty", "example", " holds no PEM certificate"},
        {"example", "empty", " holds no PEM key"},
        {"garbled", "example", "cannot read the certificate "},
        {"example", "garbled", " holds no PEM key"},
        {"example", "locked", " is locked with a password"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_tls_certificate one = {pem(cases[i].certificate), key(cases[i].key), no_names};
        struct dw_error err = {0};
        struct dw_tls_context *s = dw_tls_server_new(&one, 1, NULL, &err);
        CHECK(!s);
        if (!CHECK(strstr(err.detail, cases[i].words) && strstr(err.detail, tls_dir)))
            printf("    %s, %s: %s\n", cases[i].certificate, cases[i].key, err.detail);
        CHECK_INT(ERR_peek_error(), 0);
        dw_tls_context_release(&s);
    }
    struct dw_error err = {0};
    struct dw_tls_certificate both = {pem("both"), pem("both"), no_names}, folder = {tls_dir, tls_dir, no_names};
    struct dw_tls_context *in_one_file = dw_tls_server_new(&both, 1, NULL, &err);
    if (!CHECK(in_one_file != NULL))
        printf("    %s\n", err.detail);
    dw_tls_context_release(&in_one_file);
    CHECK(!dw_tls_server_new(&folder, 1, NULL, &err));
    if (!CHECK(strstr(err.detail, "Is a directory") != NULL))
        printf("    %s\n", err.detail);
    CHECK_INT(dw_tls_certificate_covers(pem("example"), ".com", &err), 0);
    CHECK_INT(dw_tls_certificate_covers(pem("example"), "", &err), 0);
    const char *const bad[] = {"nowhere", "empty", "garbled"};
    for (size_t i = 0; i < 3; i++) {
        CHECK(!dw_tls_client_new(&(struct dw_tls_client_options){.ca_file = pem(bad[i])}, &err));
        CHECK(strstr(err.detail, bad[i]) != NULL);
        double end;
        CHECK_INT(dw_tls_certificate_ends(pem(bad[i]), &end, &err), -1);
        CHECK(strstr(err.detail, bad[i]) != NULL);
        CHECK_INT(dw_tls_certificate_covers(pem(bad[i]), "example.com", &err), -1);
    }
    CHECK(!dw_tls_server_new(NULL, 0, NULL, &err));
    struct dw_tls_context *system = dw_tls_client_new(&(struct dw_tls_client_options){.ca_file = NULL}, &err);
    CHECK(system != NULL);
    dw_tls_context_release(&system);
    double end = 0, now = (double)time(NULL);
    CHECK_INT(dw_tls_certificate_ends(pem("example"), &end, &err), 0);
    CHECK(end > now + 3500 && end < now + 3700);
    CHECK_INT(dw_tls_certificate_ends(pem("expired"), &end, &err), 0);
    CHECK(end < now);
    CHECK_INT(dw_tls_certificate_ends(pem("chain"), &end, &err), 0); /* an authority in it ends first */
    CHECK(end > now + 50 && end < now + 150);
}

static void test_a_chain_is_shown_whole(void)
{
    struct dw_tls_certificate one = {pem("chain"), key("leaf"), no_names};
    struct dw_error err = {0}, other = {0};
    struct dw_tls_context *s = dw_tls_server_new(&one, 1, NULL, &err), *c = client_of("ca", false);
    CHECK(tried(c, s, "example.com", &err, &other));
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

static void copy_files(const char *into, const char *first, const char *second)
{
    /* Paths, so that a key may stand behind its certificate. */
    static char text[1 << 15];
    size_t len = 0;
    const char *from[] = {first, second};
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(from[i], "re");
        len += file ? fread(text + len, 1, sizeof text - len, file) : 0;
        if (file)
            fclose(file);
    }
    put_file(pem(into), text, len);
}

static void make_files(void)
{
    make_dir();
    make("ca", (struct wish){.authority = true});
    make("other-ca", (struct wish){.authority = true});
    make("middle", (struct wish){.authority = true, .issuer = "ca", .from = -100, .to = 100});
    make("example", (struct wish){.issuer = "ca", .names = "DNS:example.com"});
    make("wild", (struct wish){.issuer = "ca", .names = "DNS:*.example.net"});
    make("srv",
         (struct wish){.issuer = "ca", .names = "otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-client.example.com"});
    make("xmpp", (struct wish){.issuer = "ca", .names = "otherName:1.3.6.1.5.5.7.8.5;UTF8:example.com"});
    make("jid", (struct wish){.issuer = "ca", .names = "otherName:1.3.6.1.5.5.7.8.5;UTF8:alice@example.com"});
    make("odd", (struct wish){.issuer = "ca",
                              .names = "otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.example.com,"
                                       "otherName:1.3.6.1.5.5.7.8.5;BOOL:TRUE,email:a@example.com,"
                                       "URI:xmpp:example.com"});
    make("nameless", (struct wish){.issuer = "ca", .subject = "example.com"});
    make("address", (struct wish){.issuer = "ca", .names = "IP:192.0.2.1,IP:2001:db8::1"});
    make("expired", (struct wish){.issuer = "ca", .names = "DNS:example.com", .from = -7200, .to = -60});
    make("future", (struct wish){.issuer = "ca", .names = "DNS:example.com", .from = 3600, .to = 7200});
    make("self", (struct wish){.names = "DNS:example.com"});
    make("for-clients", (struct wish){.issuer = "ca", .names = "DNS:example.com", .usage = "clientAuth"});
    make("by", (struct wish){.issuer = "example", .names = "DNS:example.com"});
    make("leaf", (struct wish){.issuer = "middle", .names = "DNS:example.com"});
    copy_files("chain", pem("leaf"), pem("middle"));
    copy_files("both", pem("example"), key("example"));
    copy_files("by-no-authority", pem("by"), pem("example"));
    rename(key("by"), key("by-no-authority"));
    put_file(pem("empty"), "", 0);
    put_file(key("empty"), "", 0);
    static const char garbled[] = "-----BEGIN CERTIFICATE-----\nTm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    put_file(pem("garbled"), garbled, sizeof garbled - 1);
    static const char garbled_key[] = "-----BEGIN PRIVATE KEY-----\nTm8ga2V5\n-----END PRIVATE KEY-----\n";
    put_file(key("garbled"), garbled_key, sizeof garbled_key - 1);
    FILE *file = fopen(key("locked"), "we");
    EVP_PKEY *locked = EVP_EC_gen("P-256");
    CHECK(PEM_write_PrivateKey(file, locked, EVP_aes_128_cbc(), (const uint8_t *)"word", 4, NULL, NULL) == 1);
    EVP_PKEY_free(locked);
    fclose(file);
    ERR_clear_error();
}

int main(void)
{
    make_files();
    RUN(test_handshake_in_any_pieces);
    RUN(test_data_right_behind_the_handshake);
    RUN(test_names);
    RUN(test_certificates_that_do_not_verify);
    RUN(test_describe);
    RUN(test_a_certificate_for_each_name);
    RUN(test_alpn);
    RUN(test_ends);
    RUN(test_settled_amid_a_record);
    RUN(test_what_is_no_tls);
    RUN(test_much);
    RUN(test_files);
    RUN(test_a_chain_is_shown_whole);
    return check_done();
}
