/* What tests of TLS share: certificates of any kind as files in a directory of their own, and two sessions that talk.
 * Made with OpenSSL itself, not with what is under test. */
#ifndef DW_TESTS_TLS_FILES_H
#define DW_TESTS_TLS_FILES_H

#include "check.h"

#include "tls/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static char tls_dir[] = "/tmp/durward-test-tls-XXXXXX";

/* Text that lives until the 64th next call. */
UNUSED __attribute__((format(printf, 1, 2))) static const char *fmt(const char *format, ...)
{
    static char texts[64][512];
    static int turn;
    char *text = texts[turn++ % 64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    return text;
}

UNUSED static const char *in_dir(const char *name)
{
    return fmt("%s/%s", tls_dir, name);
}

static const char *pem(const char *name)
{
    return fmt("%s/%s.pem", tls_dir, name);
}

static const char *key(const char *name)
{
    return fmt("%s/%s.key", tls_dir, name);
}

UNUSED static void put_file(const char *path, const void *at, size_t len)
{
    FILE *file = fopen(path, "we");
    if (!file || fwrite(at, 1, len, file) != len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void remove_dir(void)
{
    const char *command = fmt("rm -rf '%s'", tls_dir);
    if (system(command) != 0)
        puts(command);
}

static void make_dir(void)
{
    if (!mkdtemp(tls_dir)) {
        perror(tls_dir);
        exit(1);
    }
    atexit(remove_dir);
}

struct wish {
    const char *issuer; /* NULL: it signs itself */
    const char *names; /* subjectAltName as openssl.cnf spells it; NULL: none */
    const char *subject; /* CN; NULL: "a test" */
    const char *usage; /* extendedKeyUsage; NULL: none */
    long from, to; /* seconds from now; both 0: an hour around now */
    bool authority, unnumbered; /* without subjectKeyIdentifier */
    const char *algorithm; /* "RSA", "ED25519"; NULL: P-256 */
    const EVP_MD *hash; /* NULL: SHA-256 */
};

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!extension || !X509_add_ext(certificate, extension, -1)) {
        printf("cannot add %s\n", value);
        exit(1);
    }
    X509_EXTENSION_free(extension);
}

static X509 *load_pem(const char *path, EVP_PKEY **pkey, const char *key_path)
{
    FILE *file = fopen(path, "re"), *key_file = fopen(key_path, "re");
    X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    *pkey = key_file ? PEM_read_PrivateKey(key_file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose(file);
    if (key_file)
        fclose(key_file);
    return certificate;
}

static void make(const char *name, struct wish wish)
{
    static long serial = 1000;
    const char *algorithm = wish.algorithm ? wish.algorithm : "EC";
    EVP_PKEY *mine = !strcmp(algorithm, "EC")    ? EVP_EC_gen("P-256")
                     : !strcmp(algorithm, "RSA") ? EVP_RSA_gen(2048)
                                                 : EVP_PKEY_Q_keygen(NULL, NULL, algorithm);
    EVP_PKEY *signer = mine;
    X509 *made = X509_new(), *issuer = made;
    if (wish.issuer)
        issuer = load_pem(pem(wish.issuer), &signer, key(wish.issuer));
    time_t now = time(NULL);
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_time_adj_ex(X509_getm_notBefore(made), 0, wish.from || wish.to ? wish.from : -3600, &now);
    X509_time_adj_ex(X509_getm_notAfter(made), 0, wish.from || wish.to ? wish.to : 3600, &now);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                               (const uint8_t *)(wish.subject ? wish.subject : fmt("a test %s", name)), -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(issuer));
    X509_set_pubkey(made, mine);
    extend(made, issuer, NID_basic_constraints, wish.authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wish.unnumbered)
        extend(made, issuer, NID_subject_key_identifier, "hash");
    if (wish.names)
        extend(made, issuer, NID_subject_alt_name, wish.names);
    if (wish.usage)
        extend(made, issuer, NID_ext_key_usage, wish.usage);
    const EVP_MD *hash = wish.hash ? wish.hash : EVP_sha256();
    if (!X509_sign(made, signer, EVP_PKEY_get_id(signer) == EVP_PKEY_ED25519 ? NULL : hash)) {
        ERR_print_errors_fp(stdout);
        exit(1);
    }
    FILE *file = fopen(pem(name), "we"), *key_file = fopen(key(name), "we");
    if (!file || !key_file || !PEM_write_X509(file, made) ||
        !PEM_write_PrivateKey(key_file, mine, NULL, NULL, 0, NULL, NULL)) {
        perror(name);
        exit(1);
    }
    fclose(file);
    fclose(key_file);
    if (wish.issuer) {
        X509_free(issuer);
        EVP_PKEY_free(signer);
    }
    X509_free(made);
    EVP_PKEY_free(mine);
}

/* ---- Two sessions. */

struct side {
    struct dw_tls *tls;
    struct dw_buf plain, out;
    int state;
    struct dw_error err;
};

static void free_side(struct side *side)
{
    dw_tls_free(&side->tls);
    dw_buf_free(&side->plain);
    dw_buf_free(&side->out);
}

static void feed(struct side *side, struct dw_span octets)
{
    side->state = dw_tls_feed(side->tls, octets, &side->plain, &side->out, &side->err);
}

/* Carries what stands in one's `out` to the other, in pieces of `piece` octets (0: whole); how many they were. */
static size_t carry(struct side *from, struct side *to, size_t piece)
{
    size_t total = 0;
    while (dw_buf_len(&from->out) > 0) {
        struct dw_span all = dw_buf_span(&from->out);
        size_t len = piece && piece < all.len ? piece : all.len;
        uint8_t *copy = malloc(len); /* of just that size: a read past it is seen */
        memcpy(copy, all.at, len);
        dw_buf_take(&from->out, len);
        feed(to, dw_span_make(copy, len));
        free(copy);
        total += len;
        if (to->state < 0)
            break;
    }
    return total;
}

/* Until neither has anything to say. */
UNUSED static void talk(struct side *client, struct side *server, size_t piece)
{
    feed(client, DW_SPAN_NONE);
    while (client->state >= 0 && server->state >= 0 &&
           carry(client, server, piece) + carry(server, client, piece) > 0)
        ;
    /* An alert of whoever broke is for the other to read. */
    if (server->state < 0 && client->state >= 0)
        carry(server, client, piece);
    if (client->state < 0 && server->state >= 0)
        carry(client, server, piece);
}

UNUSED static struct dw_tls_context *server_of(const char *name, const char *alpn)
{
    struct dw_error err = {0};
    struct dw_tls_certificate one = {.certificate = pem(name), .key = key(name), .names = NULL};
    struct dw_tls_context *context = dw_tls_server_new(&one, 1, alpn, &err);
    if (!context)
        printf("%s: %s\n", name, err.detail);
    return context;
}

UNUSED static struct dw_tls_context *client_of(const char *authority, bool verify_nothing)
{
    struct dw_error err = {0};
    struct dw_tls_context *context = dw_tls_client_new(
        &(struct dw_tls_client_options){.ca_file = pem(authority), .verify_nothing = verify_nothing}, &err);
    if (!context)
        printf("%s: %s\n", authority, err.detail);
    return context;
}

#endif
