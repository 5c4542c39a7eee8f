/* What a failure of the GSSAPI or of Kerberos means: its kind, its text in one line, what to do about it.
 *
 * Internal to this room.  The library keeps the text of a failure per thread, so these are called in the
 * thread that failed, before its next call into the library. */
#ifndef DW_GSS_STATUS_H
#define DW_GSS_STATUS_H

#include "base/error.h"

#include <gssapi/gssapi.h>
#include <krb5.h>

/* Tells `err` "<what>: <the library's words> (<advice>)", `what` being given by the format. */
int dw_status_tell(struct dw_error *err, OM_uint32 major, OM_uint32 minor, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int dw_status_tell_krb5(struct dw_error *err, krb5_context krb5, krb5_error_code code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The mechanism, and the form of names, that this room speaks. */
extern const gss_OID dw_mech_krb5;
extern gss_OID_set_desc dw_mech_krb5_only;
extern const gss_OID dw_name_principal;

#endif
