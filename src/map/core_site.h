/* Reads Hadoop's XML configuration (core-site.xml), as far as it says what is set to what.
 *
 * As Hadoop 3 reads it: of a property that is set twice the last stands, unless an earlier one was final; an empty
 * <value/> sets nothing; names and values may be attributes; xi:include with href, and xi:fallback where a file
 * is missing; ${name} is what that property is set to.  Not taken: a DTD, an address that is no file, and a variable
 * that only the Java process or its environment would know. */
#ifndef DW_MAP_CORE_SITE_H
#define DW_MAP_CORE_SITE_H

#include "base/buf.h"
#include "base/error.h"

struct dw_core_site;

/* NULL with `err` told: file:line and what is wrong. */
struct dw_core_site *dw_core_site_read(const char *path, struct dw_error *err);
void dw_core_site_free(struct dw_core_site **site);

/* 1 with the value appended, its variables put in; 0 when it is not set; -1 with `err` told. */
int dw_core_site_get(const struct dw_core_site *site, const char *name, struct dw_buf *value, struct dw_error *err);
/* "file:12", where it is set; NULL when it is not. */
const char *dw_core_site_where(const struct dw_core_site *site, const char *name);

#endif
