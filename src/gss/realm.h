/* The realm of a host, as [domain_realm] of krb5.conf has it. */
#ifndef DW_GSS_REALM_H
#define DW_GSS_REALM_H

#include "base/buf.h"
#include "base/error.h"

/* Appends it; nothing when krb5.conf does not say.  No DNS is asked.  -1 with `err` told. */
int dw_realm_of_host(const char *host, struct dw_buf *realm, struct dw_error *err);

#endif
