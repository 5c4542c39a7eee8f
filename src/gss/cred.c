/* Acceptor and initiator credentials: see cred.h. */
#include "gss/cred.h"

#include "base/buf.h"
#include "gss/held.h"
#include "gss/keytab.h"
#include "gss/library.h"
#include "gss/status.h"

#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <profile.h>
#include <stdio.h>
#include <stdlib.h>

struct dw_cred {
    struct dw_held *held;
    char *name; /* NULL: an acceptor that is not pinned */
    /* An acceptor's options, to read its keytab again. */
    char *keytab, *service, *realm, *rcache;
    struct dw_keytab_stamp stamp;
};

static int out_of_memory(struct dw_error *err)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

/* Like strdup, of a text that may be absent; `failed` is set when memory is out. */
static char *keep(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;
    *failed = *failed || (text && !copy);
    return copy;
}

/* A name for a file as the library takes it; one that has a type already, as FILE:, stays. */
static char *with_type(const char *path)
{
    const char *colon = strchr(path, ':'), *slash = strchr(path, '/');
    bool typed = colon && (!slash || colon < slash);
    char *name = NULL;
    return asprintf(&name, "%s%s", typed ? "" : "FILE:", path) < 0 ? NULL : name;
}

static const char *without_type(const char *path)
{
    return strncmp(path, "FILE:", 5) == 0 ? path + 5 : path;
}

/* What an acceptor needs in every handshake, made once.  The keytab copy goes over to `held`. */
static int equip_acceptor(struct dw_held *held, struct dw_keytab_copy *copy, const char *rcache, const char *path,
                          struct dw_error *err)
{
    krb5_error_code code = 0;
    held->keytab_copy = copy->keytab;
    copy->keytab = NULL;
    if (copy->principals == 1)
        code = krb5_parse_name(held->krb5, copy->principal, &held->only);
    if (code)
        return dw_status_tell_krb5(err, held->krb5, code, "keytab %s", path);
    /* Another type of name the library might look up in the DNS. */
    if (held->only)
        held->only->type = KRB5_NT_PRINCIPAL;
    code = dw_ticket_keys_make(&held->keys, held->krb5, held->keytab_copy, held->only != NULL);
    if (!code && strcmp(rcache, "none:") != 0)
        code = k5_rc_resolve(held->krb5, rcache, &held->rcache);
    if (!code && strncmp(rcache, "file2:", 6) == 0)
        code = dw_rcache_make(&held->seen, held->krb5, rcache + 6);
    return code ? dw_status_tell_krb5(err, held->krb5, code, "keytab %s, replay cache %s", path, rcache) : 0;
}

/* Reads the keytab and puts what it gives in place of what `cred` held; on failure all stays as it was. */
static int load(struct dw_cred *cred, struct dw_error *err)
{
    int rc = -1;
    bool failed = false;
    struct dw_service service = {.host_based = false};
    struct dw_keytab_copy copy = {.principals = 0};
    char *name = NULL;
    struct dw_held *held = dw_held_new();
    krb5_error_code code = held ? krb5_init_context(&held->krb5) : ENOMEM;
    if (code) {
        dw_status_tell_krb5(err, NULL, code, "keytab %s", cred->keytab);
        goto done;
    }
    if (cred->service && dw_service_parse(&service, cred->service, cred->realm, err) < 0)
        goto done;
    if (dw_keytab_copy(&copy, held->krb5, cred->keytab, cred->service ? &service : NULL, cred->realm, err) < 0)
        goto done;
    if (equip_acceptor(held, &copy, cred->rcache, cred->keytab, err) < 0)
        goto done;
    name = cred->service ? keep(copy.principal, &failed) : NULL;
    if (failed) {
        out_of_memory(err);
        goto done;
    }
    dw_held_free(&cred->held);
    free(cred->name);
    cred->held = held, held = NULL;
    cred->name = name, name = NULL;
    rc = 0;
done:
    free(name);
    dw_keytab_copy_close(&copy, held ? held->krb5 : NULL);
    dw_held_free(&held);
    dw_service_free(&service);
    return rc;
}

struct dw_cred *dw_cred_acceptor(const struct dw_acceptor_options *options, struct dw_error *err)
{
    if (!options->keytab) {
        dw_error_set(err, DW_ERROR_TEMPORARY, "no keytab is named");
        return NULL;
    }
    struct dw_cred *cred = calloc(1, sizeof *cred);
    bool failed = !cred;
    if (cred) {
        cred->keytab = keep(without_type(options->keytab), &failed);
        cred->service = keep(options->service, &failed);
        cred->realm = keep(options->realm, &failed);
        cred->rcache = keep(options->rcache ? options->rcache : "none:", &failed);
    }
    if (failed)
        out_of_memory(err);
    /* Looked at before it is read: a change in between is then seen by the next refresh. */
    if (failed || dw_keytab_look(cred->keytab, &cred->stamp, err) < 0 || load(cred, err) < 0)
        dw_cred_free(&cred);
    return cred;
}

int dw_cred_refresh(struct dw_cred *cred, struct dw_error *err)
{
    struct dw_keytab_stamp now;
    if (!cred->keytab)
        return 0;
    if (dw_keytab_look(cred->keytab, &now, err) < 0) {
        bool known = cred->stamp.inode == 0;
        cred->stamp = (struct dw_keytab_stamp){.inode = 0};
        return known ? 0 : -1;
    }
    if (!dw_keytab_changed(&cred->stamp, &now))
        return 0;
    /* Taken down even if the file proves unusable: it is told once, then its next change is waited for. */
    cred->stamp = now;
    return load(cred, err);
}

/* The full name of `principal` when it names no realm: as it stands in the client's keytab. */
static char *complete(krb5_context krb5, const char *principal, const char *path, struct dw_error *err)
{
    struct dw_service service;
    struct dw_keytab_copy copy;
    char *name = NULL;
    if (dw_service_parse(&service, principal, NULL, err) < 0)
        return NULL;
    if (dw_keytab_copy(&copy, krb5, path, &service, NULL, err) == 0) {
        name = copy.principal, copy.principal = NULL;
        dw_keytab_copy_close(&copy, krb5);
    }
    dw_service_free(&service);
    return name;
}

static int initiator_tickets(struct dw_held *held, krb5_context krb5, const struct dw_initiator_options *options,
                             struct dw_error *err)
{
    /* Without a keytab an empty one is named, or the library would take the environment's. */
    held->keytab = options->keytab ? with_type(options->keytab) : strdup("MEMORY:durward.none");
    if (options->ccache) {
        held->ccache = with_type(options->ccache);
    } else {
        krb5_ccache cache = NULL;
        krb5_error_code code = krb5_cc_new_unique(krb5, "MEMORY", NULL, &cache);
        if (code)
            return dw_status_tell_krb5(err, krb5, code, "ticket cache in memory");
        if (krb5_cc_get_full_name(krb5, cache, &held->ccache))
            held->ccache = NULL;
        held->own_ccache = held->ccache != NULL;
        krb5_cc_close(krb5, cache);
    }
    return held->keytab && held->ccache ? 0 : out_of_memory(err);
}

struct dw_cred *dw_cred_initiator(const struct dw_initiator_options *options, struct dw_error *err)
{
    bool failed = false;
    krb5_context krb5 = NULL;
    gss_cred_id_t first = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    const char *path = options->keytab ? without_type(options->keytab) : NULL;
    struct dw_keytab_stamp stamp;
    if (!options->ccache && !options->keytab) {
        dw_error_set(err, DW_ERROR_TEMPORARY, "a client needs a ticket cache or a keytab; neither is named");
        return NULL;
    }
    struct dw_cred *cred = calloc(1, sizeof *cred);
    struct dw_held *held = dw_held_new();
    krb5_error_code code = cred && held ? krb5_init_context(&krb5) : ENOMEM;
    if (code) {
        dw_status_tell_krb5(err, NULL, code, "client credential");
        goto done;
    }
    cred->held = held, held = NULL;
    if (path && dw_keytab_look(path, &stamp, err) < 0)
        goto done;
    if (initiator_tickets(cred->held, krb5, options, err) < 0)
        goto done;
    if (options->principal && !strchr(options->principal, '@') && path) {
        cred->held->principal = complete(krb5, options->principal, path, err);
        if (!cred->held->principal)
            goto done;
    } else {
        cred->held->principal = keep(options->principal, &failed);
    }
    if (failed)
        out_of_memory(err);
    else
        dw_held_acquire(cred->held, &first, &cred->name, err);
done:
    gss_release_cred(&minor, &first);
    krb5_free_context(krb5);
    dw_held_free(&held);
    if (cred && !cred->name)
        dw_cred_free(&cred);
    return cred;
}

int dw_ccache_default(struct dw_buf *out, struct dw_error *err)
{
    krb5_context krb5 = NULL;
    krb5_error_code code = krb5_init_context(&krb5);
    if (code)
        return dw_status_tell_krb5(err, NULL, code, "default ticket cache");
    const char *name = krb5_cc_default_name(krb5);
    int rc = !name || dw_buf_put(out, dw_span_str(name)) < 0 ? out_of_memory(err) : 0;
    krb5_free_context(krb5);
    return rc;
}

struct dw_held *dw_cred_hold(const struct dw_cred *cred)
{
    atomic_fetch_add(&cred->held->refs, 1);
    return cred->held;
}

const char *dw_cred_name(const struct dw_cred *cred)
{
    return cred->name;
}

void dw_cred_free(struct dw_cred **cred)
{
    struct dw_cred *gone = *cred;
    *cred = NULL;
    if (!gone)
        return;
    dw_held_free(&gone->held);
    free(gone->name);
    free(gone->keytab);
    free(gone->service);
    free(gone->realm);
    free(gone->rcache);
    free(gone);
}
