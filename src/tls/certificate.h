/* What a certificate's file says of itself, for `check` and for the log. */
#ifndef DW_TLS_CERTIFICATE_H
#define DW_TLS_CERTIFICATE_H

#include "base/error.h"

/* When the first of the certificates in a PEM file ends, in seconds since 1970.  -1 with `err` told. */
int dw_tls_certificate_ends(const char *path, double *ends, struct dw_error *err);
/* Whether the leaf is for `name`, as a client of the domain would have it: 1, 0 with `err` told (the names that it
 * holds), -1 with `err` told when it cannot be read. */
int dw_tls_certificate_covers(const char *path, const char *name, struct dw_error *err);

#endif
