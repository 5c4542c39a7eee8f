/* Certificates and keys as files, and what they are for: see certificate.h and inside.h. */
#include "tls/certificate.h"

#include "base/text.h"
#include "tls/inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* RFC 6120 section 13.7.1.4; RFC 4985. */
static const char id_on_xmpp_addr[] = "1.3.6.1.5.5.7.8.5", id_on_dns_srv[] = "1.3.6.1.5.5.7.8.7";
enum { MOST_NAMES = 20, MOST_CHAIN = 16 };

const char *dw_tls_reason(char into[200])
{
    unsigned long code = ERR_peek_error();
    const char *words = code ? ERR_reason_error_string(code) : NULL;
    if (ERR_SYSTEM_ERROR(code))
        words = strerror(ERR_GET_REASON(code));
    snprintf(into, 200, "%s", words ? words : "no reason is given");
    ERR_clear_error();
    return into;
}

int dw_tls_file_error(struct dw_error *err, const char *what, const char *path)
{
    unsigned long first = ERR_peek_error();
    int lib = ERR_GET_LIB(first), reason = ERR_GET_REASON(first);
    char words[200];
    if (reason == ERR_R_MALLOC_FAILURE) {
        ERR_clear_error();
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for the %s %.200s", what, path);
    }
    if ((lib == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) ||
        (lib == ERR_LIB_OSSL_DECODER && reason == ERR_R_UNSUPPORTED)) {
        ERR_clear_error();
        return dw_error_set(err, DW_ERROR_INTERNAL, "%.200s holds no PEM %s", path, what);
    }
    return dw_error_set(err, DW_ERROR_INTERNAL, "cannot read the %s %.200s: %s", what, path, dw_tls_reason(words));
}

int dw_tls_no_password(char *into, int size, int writing, void *arg)
{
    (void)into, (void)size, (void)writing, (void)arg;
    return -1;
}

BIO *dw_tls_open(const char *what, const char *path, struct dw_error *err)
{
    ERR_clear_error();
    struct stat seen;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe shall not hold us up */
    int rc = fd < 0 ? -1 : fstat(fd, &seen);
    if (rc == 0 && S_ISDIR(seen.st_mode)) {
        errno = EISDIR;
        rc = -1;
    }
    FILE *file = rc == 0 ? fdopen(fd, "r") : NULL;
    BIO *bio = file ? BIO_new_fp(file, BIO_CLOSE) : NULL;
    if (bio)
        return bio;
    dw_error_set(err, DW_ERROR_INTERNAL, "cannot read the %s %.200s: %s", what, path, strerror(errno));
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    ERR_clear_error();
    return NULL;
}

STACK_OF(X509) * dw_tls_read_chain(const char *path, struct dw_error *err)
{
    BIO *bio = dw_tls_open("certificate", path, err);
    if (!bio)
        return NULL;
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *one = NULL;
    while (chain && sk_X509_num(chain) < MOST_CHAIN &&
           (one = PEM_read_bio_X509(bio, NULL, dw_tls_no_password, NULL)))
        if (!sk_X509_push(chain, one)) {
            X509_free(one);
            break;
        }
    unsigned long last = ERR_peek_last_error();
    bool at_end = !one && ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (chain && sk_X509_num(chain) == MOST_CHAIN)
        dw_error_set(err, DW_ERROR_INTERNAL, "%.200s holds more than %d certificates: a chain is meant", path,
                     MOST_CHAIN - 1);
    else if (!chain || !at_end || sk_X509_num(chain) == 0)
        dw_tls_file_error(err, "certificate", path);
    else {
        ERR_clear_error();
        return chain;
    }
    ERR_clear_error();
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}

EVP_PKEY *dw_tls_read_key(const char *path, struct dw_error *err)
{
    BIO *bio = dw_tls_open("key", path, err);
    if (!bio)
        return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, dw_tls_no_password, NULL);
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_REASON(code);
    bool locked = !key && ERR_GET_LIB(code) == ERR_LIB_PEM &&
                  (reason == PEM_R_BAD_PASSWORD_READ || reason == PEM_R_BAD_DECRYPT);
    BIO_free(bio);
    if (locked)
        dw_error_set(err, DW_ERROR_INTERNAL,
                     "the key %.200s is locked with a password: give one without (openssl pkey -in .. -out ..)",
                     path);
    else if (!key)
        dw_tls_file_error(err, "key", path);
    ERR_clear_error();
    return key;
}

double dw_tls_end_of(const X509 *certificate)
{
    struct tm end;
    if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end))
        return 0;
    return (double)timegm(&end);
}

int dw_tls_certificate_ends(const char *path, double *ends, struct dw_error *err)
{
    STACK_OF(X509) *chain = dw_tls_read_chain(path, err);
    if (!chain)
        return -1;
    *ends = dw_tls_end_of(sk_X509_value(chain, 0));
    for (int i = 1; i < sk_X509_num(chain); i++) {
        double end = dw_tls_end_of(sk_X509_value(chain, i));
        if (end < *ends)
            *ends = end;
    }
    sk_X509_pop_free(chain, X509_free);
    return 0;
}

int dw_tls_certificate_covers(const char *path, const char *name, struct dw_error *err)
{
    STACK_OF(X509) *chain = dw_tls_read_chain(path, err);
    if (!chain)
        return -1;
    X509 *leaf = sk_X509_value(chain, 0);
    bool covers = dw_tls_is_for(leaf, name);
    if (!covers) {
        struct dw_buf names = {0};
        dw_tls_put_names(leaf, &names);
        dw_error_set(err, DW_ERROR_INTERNAL, "the certificate %.120s is not for %.80s: it holds %.*s", path, name,
                     (int)(dw_buf_len(&names) < 160 ? dw_buf_len(&names) : 160),
                     (const char *)dw_buf_span(&names).at);
        dw_buf_free(&names);
    }
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return covers;
}

/* ---- Names. */

static struct dw_span octets_of(const ASN1_STRING *text)
{
    int len = text ? ASN1_STRING_length(text) : 0;
    return len > 0 ? dw_span_make(ASN1_STRING_get0_data(text), (size_t)len) : DW_SPAN_NONE;
}

/* The text of a subjectAltName's otherName of type `oid`; absent when it is another. */
static struct dw_span other_name(const GENERAL_NAME *name, const char *oid)
{
    char type[64];
    if (name->type != GEN_OTHERNAME || OBJ_obj2txt(type, sizeof type, name->d.otherName->type_id, 1) <= 0 ||
        strcmp(type, oid) != 0)
        return DW_SPAN_NONE;
    const ASN1_TYPE *value = name->d.otherName->value;
    bool text = value->type == V_ASN1_UTF8STRING || value->type == V_ASN1_IA5STRING;
    return text ? octets_of(value->value.asn1_string) : DW_SPAN_NONE;
}

bool dw_tls_is_for(X509 *certificate, const char *name)
{
    uint8_t address[16];
    if (*name == '\0' || *name == '.') /* a leading dot would stand for any subdomain */
        return false;
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_check_ip_asc(certificate, name, 0) == 1;
    if (X509_check_host(certificate, name, strlen(name),
                        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1)
        return true;
    static const char service[] = "_xmpp-client.";
    bool found = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        struct dw_span srv = other_name(one, id_on_dns_srv), address_of = other_name(one, id_on_xmpp_addr);
        size_t prefix = sizeof service - 1;
        if (srv.len > prefix && dw_span_equal_nocase(dw_span_make(srv.at, prefix), DW_SPAN_OF(service)))
            found = dw_span_equal_nocase(dw_span_make(srv.at + prefix, srv.len - prefix), dw_span_str(name));
        else if (address_of.len)
            found = dw_span_equal_nocase(address_of, dw_span_str(name));
    }
    GENERAL_NAMES_free(names);
    return found;
}

static int put_address(struct dw_span raw, struct dw_buf *out)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (raw.len == 4 || raw.len == 16)
        inet_ntop(raw.len == 4 ? AF_INET : AF_INET6, raw.at, text, sizeof text);
    return dw_buf_printf(out, "IP %s", text);
}

int dw_tls_put_names(X509 *certificate, struct dw_buf *out)
{
    size_t start = dw_buf_len(out);
    int rc = 0, shown = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; rc == 0 && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        struct dw_span srv = other_name(one, id_on_dns_srv), address = other_name(one, id_on_xmpp_addr), text;
        const char *kind = NULL;
        if (one->type == GEN_DNS)
            kind = "DNS ", text = octets_of(one->d.dNSName);
        else if (one->type == GEN_IPADD)
            kind = "", text = octets_of(one->d.iPAddress);
        else if (srv.at)
            kind = "SRV ", text = srv;
        else if (address.at)
            kind = "XMPP ", text = address;
        if (!kind)
            continue;
        if (shown == MOST_NAMES) {
            rc = dw_buf_printf(out, ", ..");
            break;
        }
        rc = dw_buf_printf(out, "%s%s", shown++ ? ", " : "", kind);
        if (rc == 0)
            rc = *kind ? dw_text_quote(out, text) : put_address(text, out);
    }
    GENERAL_NAMES_free(names);
    if (rc == 0 && dw_buf_len(out) == start)
        rc = dw_buf_printf(out, "no names (subjectAltName)");
    return rc;
}
