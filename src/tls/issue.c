/* The small authority: see issue.h. */
#include "tls/issue.h"

#include "tls/inside.h"

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

enum { SERIAL = 16, HMAC_LEN = 32 };
static const char id_on_xmpp_addr[] = "1.3.6.1.5.5.7.8.5";

struct dw_tls_issuer {
    _Atomic unsigned holders;
    STACK_OF(X509) * chain; /* ours first */
    EVP_PKEY *key;
};

static int check_authority(X509 *ours, EVP_PKEY *key, const char *certificate, const char *key_file,
                           struct dw_error *err)
{
    if (X509_check_ca(ours) != 1)
        return dw_error_set(
            err, DW_ERROR_INTERNAL,
            "%.200s is no certificate authority: it needs basicConstraints CA:TRUE, and keyCertSign "
            "when it has keyUsage",
            certificate);
    if (X509_cmp_current_time(X509_get0_notAfter(ours)) <= 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the certificate authority %.200s has expired", certificate);
    if (!X509_check_private_key(ours, key))
        return dw_error_set(err, DW_ERROR_INTERNAL, "the key %.160s is not that of the certificate %.160s",
                            key_file, certificate);
    return 0;
}

struct dw_tls_issuer *dw_tls_issuer_new(const char *certificate, const char *key, struct dw_error *err)
{
    ERR_clear_error();
    struct dw_tls_issuer *issuer = calloc(1, sizeof *issuer);
    if (!issuer) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a certificate authority");
        return NULL;
    }
    issuer->holders = 1;
    if (!(issuer->chain = dw_tls_read_chain(certificate, err)) || !(issuer->key = dw_tls_read_key(key, err)) ||
        check_authority(sk_X509_value(issuer->chain, 0), issuer->key, certificate, key, err) < 0)
        dw_tls_issuer_release(&issuer);
    ERR_clear_error();
    return issuer;
}

struct dw_tls_issuer *dw_tls_issuer_hold(struct dw_tls_issuer *issuer)
{
    if (issuer)
        atomic_fetch_add_explicit(&issuer->holders, 1, memory_order_relaxed);
    return issuer;
}

void dw_tls_issuer_release(struct dw_tls_issuer **issuer)
{
    struct dw_tls_issuer *gone = *issuer;
    *issuer = NULL;
    if (!gone || atomic_fetch_sub_explicit(&gone->holders, 1, memory_order_acq_rel) != 1)
        return;
    sk_X509_pop_free(gone->chain, X509_free);
    EVP_PKEY_free(gone->key);
    free(gone);
}

void dw_tls_pair_free(struct dw_tls_pair **pair)
{
    struct dw_tls_pair *gone = *pair;
    *pair = NULL;
    if (!gone)
        return;
    X509_free(gone->certificate);
    EVP_PKEY_free(gone->key);
    sk_X509_pop_free(gone->chain, X509_free);
    free(gone);
}

/* RFC 6120 section 13.7.1.4.  Built by hand: a configuration string would give the address's characters meanings. */
static bool add_address(X509 *certificate, const char *jid)
{
    bool done = false;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OBJECT *type = OBJ_txt2obj(id_on_xmpp_addr, 1);
    ASN1_TYPE *value = ASN1_TYPE_new();
    ASN1_UTF8STRING *text = ASN1_UTF8STRING_new();
    if (!names || !name || !type || !value || !text || !ASN1_STRING_set(text, jid, -1))
        goto done;
    ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
    text = NULL;
    if (!GENERAL_NAME_set0_othername(name, type, value))
        goto done;
    type = NULL;
    value = NULL;
    if (!sk_GENERAL_NAME_push(names, name))
        goto done;
    name = NULL;
    done = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1;
done:
    ASN1_UTF8STRING_free(text);
    ASN1_TYPE_free(value);
    ASN1_OBJECT_free(type);
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return done;
}

static bool add_extension(X509 *certificate, X509 *authority, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, authority, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool done = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool set_serial(X509 *certificate)
{
    uint8_t octets[SERIAL];
    if (dw_tls_random(octets, sizeof octets) < 0)
        return false;
    octets[0] = (uint8_t)((octets[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(octets, sizeof octets, NULL);
    bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return done;
}

static bool fill(X509 *certificate, EVP_PKEY *key, struct dw_tls_issuer *issuer, const char *jid, unsigned seconds)
{
    X509 *authority = sk_X509_value(issuer->chain, 0);
    X509_NAME *subject = X509_get_subject_name(certificate);
    bool own_hash = EVP_PKEY_is_a(issuer->key, "ED25519") || EVP_PKEY_is_a(issuer->key, "ED448");
    time_t now = time(NULL);
    return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)"durward login", -1, -1, 0) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(authority)) &&
           X509_time_adj_ex(X509_getm_notBefore(certificate), 0, -60, &now) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), 0, (long)seconds, &now) &&
           X509_set_pubkey(certificate, key) && add_address(certificate, jid) &&
           add_extension(certificate, authority, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, authority, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, authority, NID_ext_key_usage, "clientAuth,serverAuth") &&
           add_extension(certificate, authority, NID_subject_key_identifier, "hash") &&
           (!X509_get0_subject_key_id(authority) ||
            add_extension(certificate, authority, NID_authority_key_identifier, "keyid")) &&
           X509_sign(certificate, issuer->key, own_hash ? NULL : EVP_sha256()) > 0;
}

struct dw_tls_pair *dw_tls_issue(struct dw_tls_issuer *issuer, const char *jid, unsigned seconds,
                                 struct dw_error *err)
{
    ERR_clear_error();
    char reason[200];
    struct dw_tls_pair *pair = calloc(1, sizeof *pair);
    if (pair && (pair->certificate = X509_new()) && (pair->key = EVP_EC_gen("P-256")) &&
        (pair->chain = X509_chain_up_ref(issuer->chain)) &&
        fill(pair->certificate, pair->key, issuer, jid, seconds))
        return pair;
    dw_tls_pair_free(&pair);
    dw_error_set(err, DW_ERROR_INTERNAL, "cannot issue a certificate for %.200s: %s", jid, dw_tls_reason(reason));
    return NULL;
}

int dw_tls_hmac(struct dw_span secret, struct dw_span text, struct dw_buf *out)
{
    unsigned len = 0;
    uint8_t *room = secret.len <= INT32_MAX ? dw_buf_room(out, HMAC_LEN) : NULL;
    /* With no octets at all OpenSSL would take the key of the call before. */
    const void *key = secret.len ? (const void *)secret.at : "";
    if (!room ||
        !HMAC(EVP_sha256(), key, (int)secret.len, text.at ? text.at : (const uint8_t *)"", text.len, room, &len)) {
        ERR_clear_error();
        return -1;
    }
    dw_buf_added(out, HMAC_LEN);
    return 0;
}

int dw_tls_random(uint8_t *at, size_t len)
{
    if (RAND_bytes_ex(NULL, at, len, 0) == 1)
        return 0;
    ERR_clear_error();
    return -1;
}
