/* The inside of a credential: see held.h. */
#include "gss/held.h"

#include "gss/library.h"
#include "gss/name.h"
#include "gss/status.h"

#include <gssapi/gssapi_ext.h>
#include <stdlib.h>

struct dw_held *dw_held_new(void)
{
    struct dw_held *held = calloc(1, sizeof *held);
    if (held)
        atomic_init(&held->refs, 1);
    return held;
}

static void destroy_ccache(const char *name)
{
    krb5_context krb5 = NULL;
    krb5_ccache cache = NULL;
    if (krb5_init_context(&krb5))
        return;
    if (krb5_cc_resolve(krb5, name, &cache) == 0)
        krb5_cc_destroy(krb5, cache);
    krb5_free_context(krb5);
}

void dw_held_free(struct dw_held **held)
{
    struct dw_held *gone = *held;
    *held = NULL;
    if (!gone || atomic_fetch_sub(&gone->refs, 1) > 1)
        return;
    if (gone->own_ccache)
        destroy_ccache(gone->ccache);
    if (gone->krb5) {
        krb5_free_principal(gone->krb5, gone->only);
        dw_ticket_keys_wipe(&gone->keys, gone->krb5);
        dw_rcache_close(&gone->seen);
        if (gone->rcache)
            k5_rc_close(gone->krb5, gone->rcache);
        if (gone->keytab_copy)
            krb5_kt_close(gone->krb5, gone->keytab_copy);
        krb5_free_context(gone->krb5);
    }
    free(gone->ccache);
    free(gone->keytab);
    free(gone->principal);
    free(gone);
}

int dw_held_acquire(const struct dw_held *held, gss_cred_id_t *cred, char **name, struct dw_error *err)
{
    gss_key_value_element_desc elements[] = {{"ccache", held->ccache}, {"client_keytab", held->keytab}};
    const gss_key_value_set_desc store = {2, elements};
    gss_name_t wanted = GSS_C_NO_NAME, found = GSS_C_NO_NAME;
    OM_uint32 major, minor, ignored, lifetime = 0;
    int rc = -1;
    *cred = GSS_C_NO_CREDENTIAL;
    if (held->principal && dw_name_import(held->principal, &wanted, err) < 0)
        return -1;
    major = gss_acquire_cred_from(&minor, wanted, GSS_C_INDEFINITE, &dw_mech_krb5_only, GSS_C_INITIATE, &store,
                                  cred, NULL, NULL);
    /* Looking at it makes the library settle on a principal and get its tickets.  The name is asked for after the
     * lifetime: of tickets that have expired the library tells an error, and forgets the name that it made. */
    if (!GSS_ERROR(major))
        major = gss_inquire_cred(&minor, *cred, NULL, &lifetime, NULL, NULL);
    if (!GSS_ERROR(major) && name)
        major = gss_inquire_cred(&minor, *cred, &found, NULL, NULL, NULL);
    const char *source = held->own_ccache ? held->keytab : held->ccache;
    if (GSS_ERROR(major)) {
        dw_status_tell(err, major, minor, "no tickets for %s from %s",
                       held->principal ? held->principal : "a client", source);
        goto done;
    }
    if (lifetime == 0) {
        dw_error_set(err, DW_ERROR_TEMPORARY, "the tickets in %s have expired: run kinit again", source);
        goto done;
    }
    if (name) {
        gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
        if (dw_name_display(found, &text, NULL, err) < 0)
            goto done;
        *name = strndup(text.value, text.length);
        gss_release_buffer(&ignored, &text);
        if (!*name) {
            dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
            goto done;
        }
    }
    rc = 0;
done:
    gss_release_name(&ignored, &wanted);
    gss_release_name(&ignored, &found);
    if (rc < 0)
        gss_release_cred(&ignored, cred);
    return rc;
}
