/* Reads krb5.conf(5) text: sections, relations, braces, quoted values, include and includedir.
 *
 * Only what a mapping of names needs of MIT's profile library: no "module", no final sections ('*' is
 * passed over).  Values come in the order of the files. */
#ifndef DW_MAP_KRB5_CONF_H
#define DW_MAP_KRB5_CONF_H

#include "base/error.h"
#include "base/span.h"

#define DW_KRB5_CONF_DEPTH 8

/* keys[0] is the section, keys[count - 1] the relation's own name.  Not 0 ends the reading with -1, `err` told. */
typedef int (*dw_krb5_conf_visit)(void *arg, const char *const keys[], size_t count, const char *value,
                                  struct dw_error *err);

/* 0, or -1 with `err` told: file:line and what is wrong. */
int dw_krb5_conf_read(const char *path, dw_krb5_conf_visit visit, void *arg, struct dw_error *err);

#endif
