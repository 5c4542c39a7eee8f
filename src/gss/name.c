/* Names: see name.h. */
#include "gss/name.h"

#include "gss/status.h"

#include <stdio.h>
#include <stdlib.h>

int dw_service_parse(struct dw_service *service, const char *text, const char *realm, struct dw_error *err)
{
    *service = (struct dw_service){.host_based = strchr(text, '@') && !strchr(text, '/')};
    char *copy = strdup(text);
    if (!copy)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (service->host_based)
        *strchr(copy, '@') = '/'; /* RFC 4121 section 2.1 gives the principal that a host-based name stands for */
    int rc =
        dw_principal_parse(&service->name, dw_span_str(copy), realm ? dw_span_str(realm) : DW_SPAN_OF(""), err);
    free(copy);
    if (rc < 0)
        return -1;
    bool empty = false;
    for (size_t i = 0; i < service->name.component_count; i++)
        empty = empty || service->name.components[i].len == 0;
    if (!empty)
        return 0;
    dw_service_free(service);
    return dw_error_set(err, DW_ERROR_DENIED,
                        "the service name \"%s\" has an empty part; write zmq@host, zmq/host or zmq/host@REALM",
                        text);
}

void dw_service_free(struct dw_service *service)
{
    dw_principal_free(&service->name);
}

static struct dw_span span_of(const krb5_data *data)
{
    return dw_span_make(data->data ? data->data : "", data->length);
}

bool dw_service_matches(const struct dw_service *service, krb5_const_principal entry, bool nocase)
{
    const struct dw_principal *name = &service->name;
    if (name->realm.len && !dw_span_equal(name->realm, span_of(&entry->realm)))
        return false;
    if (entry->length < 0 || (size_t)entry->length != name->component_count)
        return false;
    for (size_t i = 0; i < name->component_count; i++) {
        struct dw_span theirs = span_of(&entry->data[i]);
        if (nocase && i > 0 ? !dw_span_equal_nocase(name->components[i], theirs)
                            : !dw_span_equal(name->components[i], theirs))
            return false;
    }
    return true;
}

int dw_name_display(gss_name_t name, gss_buffer_t text, bool *anonymous, struct dw_error *err)
{
    OM_uint32 minor;
    gss_OID type = GSS_C_NO_OID;
    OM_uint32 major = gss_display_name(&minor, name, text, &type);
    if (GSS_ERROR(major))
        return dw_status_tell(err, major, minor, "cannot print a Kerberos name");
    if (anonymous)
        *anonymous = type == GSS_C_NT_ANONYMOUS;
    return 0;
}

int dw_name_import(const char *principal, gss_name_t *name, struct dw_error *err)
{
    OM_uint32 minor;
    gss_buffer_desc text = {strlen(principal), (void *)principal};
    OM_uint32 major = gss_import_name(&minor, &text, dw_name_principal, name);
    if (GSS_ERROR(major))
        return dw_status_tell(err, major, minor, "\"%s\" is no principal name", principal);
    return 0;
}
