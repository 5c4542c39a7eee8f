/* The small authority: what it issues verifies, says what it has to, and nothing of what an address holds changes it. */
#include "tls_files.h"

#include "base/text.h"
#include "tls/inside.h"
#include "tls/issue.h"

static struct dw_tls_issuer *issuer_of(const char *name)
{
    struct dw_error err = {0};
    struct dw_tls_issuer *issuer = dw_tls_issuer_new(pem(name), key(name), &err);
    if (!issuer)
        printf("%s: %s\n", name, err.detail);
    return issuer;
}

/* The one xmppAddr of a certificate, as OpenSSL's own reader sees it; NULL when there is another number of names. */
static const char *address_of(X509 *certificate)
{
    static char text[4096];
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const char *found = NULL;
    char type[64];
    if (sk_GENERAL_NAME_num(names) == 1) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, 0);
        if (one->type == GEN_OTHERNAME && one->d.otherName->value->type == V_ASN1_UTF8STRING &&
            OBJ_obj2txt(type, sizeof type, one->d.otherName->type_id, 1) > 0 &&
            !strcmp(type, "1.3.6.1.5.5.7.8.5")) {
            const ASN1_STRING *value = one->d.otherName->value->value.utf8string;
            snprintf(text, sizeof text, "%.*s", ASN1_STRING_length(value),
                     (const char *)ASN1_STRING_get0_data(value));
            found = text;
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool verifies(X509 *certificate, const char *authority, int purpose, long from_now)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    EVP_PKEY *unused;
    X509 *trusted = load_pem(pem(authority), &unused, key(authority));
    X509_STORE_add_cert(store, trusted);
    X509_STORE_CTX_init(ctx, store, certificate, NULL);
    X509_STORE_CTX_set_purpose(ctx, purpose);
    X509_STORE_CTX_set_time(ctx, 0, time(NULL) + from_now);
    bool good = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(trusted);
    EVP_PKEY_free(unused);
    return good;
}

static void test_what_is_issued(void)
{
    static const char *const authorities[] = {"ca", "rsa", "ed25519"};
    static const char *const addresses[] = {
        "alice@example.com",
        "alice@example.com,DNS:evil.example",
        "a;b=c/d@example.com",
        "J\xc3\xbcrgen@example.com",
    };
    struct dw_error err = {0};
    for (size_t i = 0; i < 3; i++) {
        struct dw_tls_issuer *issuer = issuer_of(authorities[i]);
        for (size_t j = 0; j < sizeof addresses / sizeof *addresses; j++) {
            struct dw_tls_pair *pair = dw_tls_issue(issuer, addresses[j], 60, &err);
            if (!CHECK(pair != NULL)) {
                printf("    %s: %s\n", authorities[i], err.detail);
                continue;
            }
            CHECK_STR(address_of(pair->certificate), addresses[j]);
            CHECK(verifies(pair->certificate, authorities[i], X509_PURPOSE_SSL_CLIENT, 0));
            CHECK(verifies(pair->certificate, authorities[i], X509_PURPOSE_SSL_SERVER, 0));
            CHECK(verifies(pair->certificate, authorities[i], X509_PURPOSE_SSL_CLIENT, -50));
            CHECK(verifies(pair->certificate, authorities[i], X509_PURPOSE_SSL_CLIENT, 50));
            CHECK(!verifies(pair->certificate, authorities[i], X509_PURPOSE_SSL_CLIENT, 70));
            CHECK(!verifies(pair->certificate, authorities[i], X509_PURPOSE_SSL_CLIENT, -70));
            CHECK(!verifies(pair->certificate, authorities[(i + 1) % 3], X509_PURPOSE_SSL_CLIENT, 0));
            CHECK(X509_check_private_key(pair->certificate, pair->key) == 1);
            CHECK_INT(X509_check_ca(pair->certificate), 0);
            dw_tls_pair_free(&pair);
            CHECK(!pair);
        }
        dw_tls_issuer_release(&issuer);
        CHECK(!issuer);
    }
}

/* A long address has its place; two certificates differ in number and key. */
static void test_long_and_unlike(void)
{
    struct dw_tls_issuer *issuer = issuer_of("ca"), *held = dw_tls_issuer_hold(issuer);
    struct dw_error err = {0};
    char address[3100];
    memset(address, 'a', sizeof address);
    memcpy(address + 1023, "@example.com", 13);
    dw_tls_issuer_release(&issuer);
    struct dw_tls_pair *one = dw_tls_issue(held, address, 5, &err), *other = dw_tls_issue(held, address, 5, &err);
    if (!CHECK(one && other)) {
        puts(err.detail);
        return;
    }
    CHECK_STR(address_of(one->certificate), address);
    CHECK(ASN1_INTEGER_cmp(X509_get0_serialNumber(one->certificate), X509_get0_serialNumber(other->certificate)) !=
          0);
    CHECK(EVP_PKEY_eq(one->key, other->key) != 1);
    dw_tls_pair_free(&one);
    dw_tls_pair_free(&other);
    dw_tls_pair_free(&other);
    dw_tls_issuer_release(&held);
}

/* It is shown in a handshake, with what it stands on. */
static void test_shown(void)
{
    struct dw_tls_issuer *issuer = issuer_of("middle");
    struct dw_error err = {0};
    struct dw_tls_pair *pair = dw_tls_issue(issuer, "alice@example.com", 60, &err);
    struct dw_tls_context *c = client_of("server", true);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_file(ctx, pem("server"), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(ctx, key("server"), SSL_FILETYPE_PEM);
    SSL_CTX_load_verify_file(ctx, pem("ca"));
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL *ssl = SSL_new(ctx);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
    SSL_set_accept_state(ssl);
    struct side ours = {.tls = dw_tls_connect(c, "example.com", NULL, pair)};
    dw_tls_pair_free(&pair); /* the session holds what it needs; the contract asks for more than this */
    feed(&ours, DW_SPAN_NONE);
    for (int turn = 0; turn < 3; turn++) {
        char *text;
        struct dw_span said = dw_buf_span(&ours.out);
        BIO_write(SSL_get_rbio(ssl), said.at, (int)said.len);
        dw_buf_take(&ours.out, said.len);
        SSL_do_handshake(ssl);
        long len = BIO_get_mem_data(SSL_get_wbio(ssl), &text);
        feed(&ours, dw_span_make(text, (size_t)len));
        (void)BIO_reset(SSL_get_wbio(ssl));
    }
    CHECK_INT(ours.state, DW_TLS_UP);
    CHECK(SSL_is_init_finished(ssl));
    CHECK_INT(SSL_get_verify_result(ssl), X509_V_OK);
    X509 *seen = SSL_get0_peer_certificate(ssl);
    CHECK(seen != NULL);
    CHECK_STR(seen ? address_of(seen) : NULL, "alice@example.com");
    free_side(&ours);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    dw_tls_context_release(&c);
    dw_tls_issuer_release(&issuer);
}

static void test_no_authority(void)
{
    static const struct {
        const char *certificate, *key, *words;
    } cases[] = {
        {"server", "server", " is no certificate authority"},
        {"old", "old", " has expired"},
        {"ca", "rsa", " is not that of the certificate "},
        {"nowhere", "ca", "cannot read the certificate "},
        {"ca", "nowhere", "cannot read the key "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_error err = {0};
        struct dw_tls_issuer *issuer = dw_tls_issuer_new(pem(cases[i].certificate), key(cases[i].key), &err);
        CHECK(!issuer);
        if (!CHECK(strstr(err.detail, cases[i].words) != NULL))
            printf("    %s\n", err.detail);
        CHECK_INT(ERR_peek_error(), 0);
    }
}

/* RFC 4231, test cases 1, 2, 6 and 7. */
static void test_hmac(void)
{
    static const char long_key[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    static const char longer[] =
        "This is a test using a larger than block-size key and a larger than block-size data. "
        "The key needs to be hashed before being used by the HMAC algorithm.";
    uint8_t b[20], a[131];
    memset(b, 0x0b, sizeof b);
    memset(a, 0xaa, sizeof a);
    const struct {
        struct dw_span secret, text;
        const char *hex;
    } cases[] = {
        {{b, 20}, DW_SPAN_OF("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {DW_SPAN_OF("Jefe"), DW_SPAN_OF("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {{a, 131}, DW_SPAN_OF(long_key), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {{a, 131}, DW_SPAN_OF(longer), "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
        {DW_SPAN_OF(""), DW_SPAN_OF(""), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
        {DW_SPAN_NONE, DW_SPAN_NONE, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_buf mac = {0}, hex = {0};
        CHECK_INT(dw_tls_hmac(cases[i].secret, cases[i].text, &mac), 0);
        dw_text_hex(&hex, dw_buf_span(&mac));
        CHECK_SPAN(dw_buf_span(&hex), cases[i].hex);
        dw_buf_free(&mac);
        dw_buf_free(&hex);
    }
    uint8_t one[16] = {0}, other[16] = {0};
    CHECK_INT(dw_tls_random(one, 16), 0);
    CHECK_INT(dw_tls_random(other, 16), 0);
    CHECK(memcmp(one, other, 16) != 0);
}

int main(void)
{
    make_dir();
    make("ca", (struct wish){.authority = true});
    make("rsa", (struct wish){.authority = true, .unnumbered = true, .algorithm = "RSA"});
    make("ed25519", (struct wish){.authority = true, .algorithm = "ED25519"});
    make("middle", (struct wish){.authority = true, .issuer = "ca"});
    make("old", (struct wish){.authority = true, .from = -100, .to = -10});
    make("server", (struct wish){.issuer = "ca", .names = "DNS:example.com"});
    RUN(test_what_is_issued);
    RUN(test_long_and_unlike);
    RUN(test_shown);
    RUN(test_no_authority);
    RUN(test_hmac);
    return check_done();
}
