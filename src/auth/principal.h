/* mary/admin@HOME.EXAMPLE to parts and back, quoting included, as MIT's library does it
 * (krb5_parse_name_flags and krb5_unparse_name_flags of 1.20; RFC 1964 section 2.1.1).  Pure text. */
#ifndef DW_AUTH_PRINCIPAL_H
#define DW_AUTH_PRINCIPAL_H

#include "base/buf.h"
#include "base/error.h"

struct dw_principal {
    struct dw_span realm; /* unquoted; may be empty, never absent */
    struct dw_span *components; /* unquoted */
    size_t component_count; /* at least 1 */
    bool realm_given; /* the name carried a realm, rather than the default one */
    uint8_t *storage; /* what the spans point into */
};

/* Parses `name`; a name without a realm takes `default_realm`, and is an error when that is absent.
 * 0, or -1 with `err` told.  Ends with dw_principal_free. */
int dw_principal_parse(struct dw_principal *p, struct dw_span name, struct dw_span default_realm,
                       struct dw_error *err);
/* The same for an enterprise name (RFC 6806 section 5): one component, in which '/' and the first '@' are letters like
 * others; alice@example.com@HOME.EXAMPLE has the realm HOME.EXAMPLE. */
int dw_principal_parse_enterprise(struct dw_principal *p, struct dw_span name, struct dw_span default_realm,
                                  struct dw_error *err);
void dw_principal_free(struct dw_principal *p);

enum dw_principal_form {
    DW_PRINCIPAL_FULL,
    DW_PRINCIPAL_SHORT, /* without the realm when it is the default realm */
    DW_PRINCIPAL_NO_REALM,
    DW_PRINCIPAL_DISPLAY, /* nothing quoted: for people, not to be parsed again */
};

/* Appends the printed name; -1 when memory is out (nothing was appended).  SHORT without a default realm
 * prints the full name. */
int dw_principal_format(const struct dw_principal *p, enum dw_principal_form form, struct dw_span default_realm,
                        struct dw_buf *out);

/* The same realm and components, octet for octet. */
bool dw_principal_equal(const struct dw_principal *a, const struct dw_principal *b);

/* WELLKNOWN/ANONYMOUS, or any name in the realm WELLKNOWN:ANONYMOUS (RFC 8062). */
bool dw_principal_is_anonymous(const struct dw_principal *p);

#endif
