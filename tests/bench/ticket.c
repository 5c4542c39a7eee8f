/* Tickets in a memory cache: see ticket.h. */
#include "ticket.h"

#include "measure.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdio.h>
#include <string.h>

void gss_tell(OM_uint32 major, OM_uint32 minor, char *out, size_t len)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc high = GSS_C_EMPTY_BUFFER, low = GSS_C_EMPTY_BUFFER;
    gss_display_status(&ignored, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &high);
    more = 0;
    gss_display_status(&ignored, minor, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5, &more, &low);
    snprintf(out, len, "%.*s (%.*s)", (int)high.length, (char *)high.value, (int)low.length, (char *)low.value);
    gss_release_buffer(&ignored, &high);
    gss_release_buffer(&ignored, &low);
}

static void must_gss(OM_uint32 major, OM_uint32 minor, const char *what, const char *service)
{
    char text[300];
    if (!GSS_ERROR(major))
        return;
    gss_tell(major, minor, text, sizeof text);
    die("%s for %s: %s", what, service, text);
}

/* A memory cache of its own for each ticket, its name in `name`. */
static void copy_cache(const char *ccache, char *name, size_t len)
{
    krb5_context k;
    krb5_ccache from, to;
    krb5_principal who;
    krb5_error_code code = krb5_init_context(&k);
    if (code)
        die("krb5_init_context: error %ld", (long)code);
    code = ccache ? krb5_cc_resolve(k, ccache, &from) : krb5_cc_default(k, &from);
    if (!code)
        code = krb5_cc_get_principal(k, from, &who);
    if (code)
        die("cache %s: %s", ccache ? ccache : "(default)", krb5_get_error_message(k, code));
    if (!(code = krb5_cc_new_unique(k, "MEMORY", NULL, &to)) && !(code = krb5_cc_initialize(k, to, who)))
        code = krb5_cc_copy_creds(k, from, to);
    if (code)
        die("copying the cache: %s", krb5_get_error_message(k, code));
    snprintf(name, len, "MEMORY:%s", krb5_cc_get_name(k, to));
    krb5_cc_close(k, from);
    krb5_cc_close(k, to);
    krb5_free_principal(k, who);
    krb5_free_context(k);
}

void ticket_get(struct ticket *t, const char *ccache, const char *service)
{
    char cache[128];
    copy_cache(ccache, cache, sizeof cache);
    gss_key_value_element_desc element = {"ccache", cache};
    gss_key_value_set_desc store = {1, &element};
    gss_OID_set_desc mechs = {1, (gss_OID)gss_mech_krb5};
    OM_uint32 minor, major, ignored;
    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_INITIATE, &store, &t->cred,
                                  NULL, NULL);
    must_gss(major, minor, "credentials", service);
    gss_buffer_desc text = {strlen(service), (void *)service};
    gss_OID type = strchr(service, '/') ? (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME : GSS_C_NT_HOSTBASED_SERVICE;
    major = gss_import_name(&minor, &text, type, &t->target);
    must_gss(major, minor, "name", service);

    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    major = gss_init_sec_context(&minor, t->cred, &context, t->target, (gss_OID)gss_mech_krb5, TICKET_FLAGS, 0,
                                 NULL, NULL, NULL, &token, NULL, NULL);
    must_gss(major, minor, "ticket", service);
    gss_release_buffer(&ignored, &token);
    gss_delete_sec_context(&ignored, &context, NULL);
}

void ticket_free(struct ticket *t)
{
    OM_uint32 ignored;
    gss_release_cred(&ignored, &t->cred);
    gss_release_name(&ignored, &t->target);
}
