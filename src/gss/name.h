/* Names: what an operator writes for a service, and Kerberos principals as the library holds them.
 *
 * Internal to this room.  No name is looked up anywhere: what is written is what is meant, whatever the DNS
 * or krb5.conf would make of it. */
#ifndef DW_GSS_NAME_H
#define DW_GSS_NAME_H

#include "auth/principal.h"

#include <gssapi/gssapi.h>
#include <krb5.h>

struct dw_service {
    struct dw_principal name; /* its realm is empty when none was given */
    bool host_based; /* "zmq@host": the host is compared without case */
};

/* "zmq@host", "zmq/host" or "zmq/host@REALM"; `realm` (may be NULL) is for a name that has none. */
int dw_service_parse(struct dw_service *service, const char *text, const char *realm, struct dw_error *err);
void dw_service_free(struct dw_service *service);

/* Whether a key of `entry` answers for `service`: the same components, and the same realm if it has one.
 * `nocase`: host names that differ in case alone are the same. */
bool dw_service_matches(const struct dw_service *service, krb5_const_principal entry, bool nocase);

/* The printed name of a name of the krb5 mechanism, in `text`, which is the caller's to gss_release_buffer.
 * `anonymous` (may be NULL) is told what the library thinks of it. */
int dw_name_display(gss_name_t name, gss_buffer_t text, bool *anonymous, struct dw_error *err);

/* A name for the library, of a full principal name in text. */
int dw_name_import(const char *principal, gss_name_t *name, struct dw_error *err);

#endif
