/* Which realm a host is in, and by which realms one realm is reached from another.
 *
 * As MIT's library has it: [domain_realm] of krb5.conf, the fallback by domain name, [capaths], and the
 * hierarchical path when no capath is given.  Pure text: nothing is looked up on the network. */
#ifndef DW_MAP_REALMS_H
#define DW_MAP_REALMS_H

#include "base/buf.h"
#include "base/error.h"

/* The longest host name that is looked at; longer ones are in no realm. */
#define DW_REALM_HOST_MAX 1024

struct dw_realm_table; /* may be read by many threads */

struct dw_realm_entry {
    struct dw_span domain; /* "db.example.com", a host; ".example.com", what is below it */
    struct dw_span realm;
};

/* Copies the entries; of two with the same domain the first stands.  NULL when memory is out. */
struct dw_realm_table *dw_realm_table_new(const struct dw_realm_entry *entries, size_t count);
void dw_realm_table_free(struct dw_realm_table **table);

/* The realm of `host`, compared in lower case and without a trailing dot: the whole name, then each
 * shorter suffix (for a.b.c: "a.b.c", ".b.c", "b.c", ".c", "c").  Numeric addresses have none.
 * Absent when nothing matches; else borrowed from the table. */
struct dw_span dw_realm_lookup(const struct dw_realm_table *table, struct dw_span host);

struct dw_realm_fallback {
    struct dw_span default_realm;
    int try_domains; /* realm_try_domains: -1 none, 0 the name itself, 1 its parent too, .. */
    const struct dw_span *known; /* the realms that exist, for try_domains */
    size_t known_count;
};

/* What is tried when no table and no KDC knows the host: a known realm of the host's name in upper case,
 * its parent domain in upper case, or the default realm.  Appends to `realm` (nothing when there is no
 * default realm either); 0, or -1 when memory is out. */
int dw_realm_fallback(struct dw_span host, const struct dw_realm_fallback *with, struct dw_buf *realm);

/* How many spans dw_realm_path may fill in. */
size_t dw_realm_path_max(struct dw_span client, struct dw_span server, size_t hop_count);

/* The realms that a client of `client` passes on its way to `server`, both included; `hops` are what
 * capaths has for the pair (NULL when it has nothing; a first hop that begins with '.': directly), else
 * the path goes up to the longest common parent domain, then down.  The spans point into the arguments.
 * Returns their number. */
size_t dw_realm_path(struct dw_span client, struct dw_span server, const struct dw_span *hops, size_t hop_count,
                     struct dw_span *path);

#endif
