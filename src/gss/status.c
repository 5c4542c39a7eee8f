/* What a failure means: see status.h. */
#include "gss/status.h"

#include <gssapi/gssapi_krb5.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* RFC 4121 section 4: 1.2.840.113554.1.2.2; and RFC 1964 section 2.1.1: 1.2.840.113554.1.2.2.1. */
static gss_OID_desc krb5_oid = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
static gss_OID_desc principal_oid = {10, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01"};
const gss_OID dw_mech_krb5 = &krb5_oid;
const gss_OID dw_name_principal = &principal_oid;
gss_OID_set_desc dw_mech_krb5_only = {1, &krb5_oid};

struct meaning {
    krb5_error_code code;
    enum dw_error_kind kind;
    const char *advice;
};

static const struct meaning meanings[] = {
    /* What time or a new ticket cures. */
    {KRB5KRB_AP_ERR_TKT_EXPIRED, DW_ERROR_TEMPORARY, "a new ticket cures it, or the clocks differ"},
    {KRB5KRB_AP_ERR_TKT_NYV, DW_ERROR_TEMPORARY, "the clocks differ, or the ticket is postdated"},
    {KRB5KRB_AP_ERR_TKT_INVALID, DW_ERROR_TEMPORARY, "a postdated ticket that was never validated"},
    {KRB5KRB_AP_ERR_SKEW, DW_ERROR_TEMPORARY, "set the clocks of client and server"},
    {KRB5KRB_AP_ERR_REPEAT, DW_ERROR_TEMPORARY, "this very token was seen before"},
    {KRB5KRB_AP_ERR_BADKEYVER, DW_ERROR_TEMPORARY, "the key was changed: a new ticket or a new keytab cures it"},
    {KRB5_KT_KVNONOTFOUND, DW_ERROR_TEMPORARY, "the key was changed: a new ticket or a new keytab cures it"},
    {KRB5KRB_AP_ERR_NOKEY, DW_ERROR_TEMPORARY, "export this service's keys to the keytab again"},
    {KRB5_KT_NOTFOUND, DW_ERROR_TEMPORARY, "export this principal's keys to the keytab again"},
    {KRB5KRB_AP_ERR_BAD_INTEGRITY, DW_ERROR_TEMPORARY,
     "the keytab's key does not open it: exported before the KDC changed it, or the token was altered"},
    {KRB5_KDC_UNREACH, DW_ERROR_TEMPORARY, "no KDC answers: network, firewall, or [realms] in krb5.conf"},
    {KRB5_REALM_UNKNOWN, DW_ERROR_TEMPORARY, "name its KDC in [realms] of krb5.conf, or in the DNS"},
    {KRB5_REALM_CANT_RESOLVE, DW_ERROR_TEMPORARY, "its KDC's name does not resolve"},
    {KRB5KDC_ERR_SVC_UNAVAILABLE, DW_ERROR_TEMPORARY, "the KDC is busy or its database is locked"},
    {KRB5KDC_ERR_NEVER_VALID, DW_ERROR_TEMPORARY, "the clocks differ, or the ticket would end before it starts"},
    {KRB5_FCC_NOFILE, DW_ERROR_TEMPORARY,
     "no ticket cache there: kinit has not run, or its tickets were destroyed"},
    {KRB5_CC_NOTFOUND, DW_ERROR_TEMPORARY, "no ticket there: kinit has not run"},
    {KRB5_CC_FORMAT, DW_ERROR_TEMPORARY, "the ticket cache is damaged: run kinit again"},
    {KRB5_CONFIG_BADFORMAT, DW_ERROR_TEMPORARY, "repair krb5.conf"},
    {KRB5_CONFIG_CANTOPEN, DW_ERROR_TEMPORARY, "krb5.conf cannot be read"},
    {KRB5_RC_IO, DW_ERROR_INTERNAL, "the replay cache cannot be used"},
    {KRB5_RC_IO_PERM, DW_ERROR_INTERNAL, "the replay cache cannot be used"},
    {KRB5_RC_IO_SPACE, DW_ERROR_INTERNAL, "the replay cache cannot be used"},
    {KRB5_RC_IO_UNKNOWN, DW_ERROR_INTERNAL, "the replay cache cannot be used"},

    /* What it does not. */
    {KRB5KRB_AP_ERR_NOT_US, DW_ERROR_DENIED, "the ticket is for another service than this listener's"},
    {KRB5KRB_AP_WRONG_PRINC, DW_ERROR_DENIED, "the ticket is for another service than this listener's"},
    {KRB5KRB_AP_ERR_ILL_CR_TKT, DW_ERROR_DENIED, "it came by a realm that [capaths] in krb5.conf does not trust"},
    {KRB5KRB_AP_PATH_NOT_ACCEPTED, DW_ERROR_DENIED, "it came by a realm that [capaths] does not trust"},
    {KRB5KRB_AP_ERR_BADADDR, DW_ERROR_DENIED, "the ticket is bound to another network address"},
    {KRB5KRB_AP_ERR_BADMATCH, DW_ERROR_DENIED, "ticket and authenticator name different clients"},
    {KRB5_NOPERM_ETYPE, DW_ERROR_DENIED, "its enctype is not among permitted_enctypes in krb5.conf"},
    {KRB5_PROG_ETYPE_NOSUPP, DW_ERROR_DENIED, "its enctype is unknown to this host's Kerberos library"},
    {KRB5_BAD_ENCTYPE, DW_ERROR_DENIED, "its enctype is unknown to this host's Kerberos library"},
    {KRB5KDC_ERR_ETYPE_NOSUPP, DW_ERROR_DENIED, "no enctype that client, service and KDC have in common"},
    {KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, DW_ERROR_DENIED, "the KDC knows no such service: check name and realm"},
    {KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, DW_ERROR_DENIED, "the KDC knows no such client: check name and realm"},
    {KRB5KDC_ERR_PREAUTH_FAILED, DW_ERROR_DENIED, "the client keytab's key is not the KDC's: export it again"},
    {KRB5KDC_ERR_CLIENT_REVOKED, DW_ERROR_DENIED, "the client's account is locked"},
    {KRB5KDC_ERR_NAME_EXP, DW_ERROR_DENIED, "the client's account has expired"},
    {KRB5KDC_ERR_SERVICE_EXP, DW_ERROR_DENIED, "the service's account has expired"},
    {KRB5KDC_ERR_KEY_EXP, DW_ERROR_DENIED, "the client's password has expired"},
    {KRB5KDC_ERR_POLICY, DW_ERROR_DENIED, "the KDC's policy forbids it"},
    {KRB5_MUTUAL_FAILED, DW_ERROR_DENIED, "the peer did not prove that it holds the service's key"},

    /* What is no Kerberos token, or an altered one. */
    {KRB5KRB_AP_ERR_BADVERSION, DW_ERROR_PROTOCOL, NULL},
    {KRB5KRB_AP_ERR_MSG_TYPE, DW_ERROR_PROTOCOL, NULL},
    {KRB5KRB_AP_ERR_MODIFIED, DW_ERROR_PROTOCOL, NULL},
    {KRB5KRB_AP_ERR_INAPP_CKSUM, DW_ERROR_PROTOCOL, NULL},
    {KRB5_BAD_MSIZE, DW_ERROR_PROTOCOL, NULL},
    {KRB5_PARSE_MALFORMED, DW_ERROR_PROTOCOL, NULL},
};

/* ASN.1 errors are a table of their own: com_err gives a table 256 codes. */
static bool is_asn1(krb5_error_code code)
{
    return code >= ASN1_BAD_TIMEFORMAT && code < ASN1_BAD_TIMEFORMAT + 256;
}

/* Small codes are errno: the system's trouble, not the peer's. */
static bool is_errno(krb5_error_code code)
{
    return code > 0 && code < 4096;
}

static enum dw_error_kind kind_of_major(OM_uint32 major)
{
    switch (GSS_ROUTINE_ERROR(major)) {
    case GSS_S_DEFECTIVE_TOKEN:
    case GSS_S_BAD_SIG:
    case GSS_S_BAD_MECH:
    case GSS_S_DEFECTIVE_CREDENTIAL: return DW_ERROR_PROTOCOL;
    case GSS_S_BAD_BINDINGS:
    case GSS_S_UNAUTHORIZED: return DW_ERROR_DENIED;
    default: return DW_ERROR_TEMPORARY;
    }
}

static struct meaning meaning_of(OM_uint32 major, krb5_error_code code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].code == code)
            return meanings[i];
    if (is_asn1(code))
        return (struct meaning){code, DW_ERROR_PROTOCOL, NULL};
    if (is_errno(code))
        return (struct meaning){code, DW_ERROR_INTERNAL, NULL};
    return (struct meaning){code, kind_of_major(major), NULL};
}

/* Appends the words of one status value, without line ends, and gives how much of `into` is used. */
static size_t add_words(char *into, size_t size, size_t used, OM_uint32 value, int type)
{
    OM_uint32 more = 0, minor;
    do {
        gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_display_status(&minor, value, type, dw_mech_krb5, &more, &text)))
            break;
        size_t room = size - used;
        int len = snprintf(into + used, room, "%s%.*s", used ? ": " : "", (int)text.length, (char *)text.value);
        used = len < 0 ? used : (size_t)len < room ? used + (size_t)len : size - 1;
        gss_release_buffer(&minor, &text);
    } while (more);
    return used;
}

static int tell(struct dw_error *err, struct meaning meaning, const char *words, const char *format, va_list args)
{
    char what[200], line[400];
    vsnprintf(what, sizeof what, format, args);
    snprintf(line, sizeof line, "%s: %s%s%s%s", what, words, meaning.advice ? " (" : "",
             meaning.advice ? meaning.advice : "", meaning.advice ? ")" : "");
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return dw_error_set(err, meaning.kind, "%s", line);
}

int dw_status_tell(struct dw_error *err, OM_uint32 major, OM_uint32 minor, const char *format, ...)
{
    char words[300] = "";
    size_t used = 0;
    /* GSS_S_FAILURE's own words only say that the minor code has some. */
    if (GSS_ROUTINE_ERROR(major) != GSS_S_FAILURE || minor == 0)
        used = add_words(words, sizeof words, used, major, GSS_C_GSS_CODE);
    if (minor != 0)
        add_words(words, sizeof words, used, minor, GSS_C_MECH_CODE);
    va_list args;
    va_start(args, format);
    int told = tell(err, meaning_of(major, (krb5_error_code)minor), words, format, args);
    va_end(args);
    return told;
}

int dw_status_tell_krb5(struct dw_error *err, krb5_context krb5, krb5_error_code code, const char *format, ...)
{
    const char *words = krb5_get_error_message(krb5, code);
    va_list args;
    va_start(args, format);
    int told = tell(err, meaning_of(GSS_S_FAILURE, code), words, format, args);
    va_end(args);
    krb5_free_error_message(krb5, words);
    return told;
}
