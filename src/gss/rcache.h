/* Which requests were seen before: a replay cache in the library's "file2" format, kept open.
 *
 * The file is the library's own (doc/formats/rcache_file_format.rst of MIT's krb5 1.18 and later): hash tables of
 * records, each the first twelve octets of an authenticator's checksum and the time it was seen.  Any number of
 * processes may use it at once, ours and the library's, under its lock.  A file that is removed or replaced is
 * taken up anew.
 *
 * Internal to this room.  One thread at a time. */
#ifndef DW_GSS_RCACHE_H
#define DW_GSS_RCACHE_H

#include "base/span.h"

#include <krb5.h>
#include <sys/types.h>

enum { DW_RCACHE_TAG = 12, DW_RCACHE_SEED = 16 };

struct dw_rcache {
    char *path; /* NULL: none is kept */
    int fd; /* -1: not open */
    dev_t device;
    ino_t inode;
    uint32_t skew; /* seconds after which a request is too old to be let in anyway */
};

/* Opens nothing yet.  The library's clockskew is read from krb5.conf. */
krb5_error_code dw_rcache_make(struct dw_rcache *rcache, krb5_context krb5, const char *path);
void dw_rcache_close(struct dw_rcache *rcache);

/* Takes down a request by its checksum.  KRB5KRB_AP_ERR_REPEAT when it stands there; another code, with the context's
 * message set, when the cache cannot be used: nobody is let in then. */
krb5_error_code dw_rcache_store(struct dw_rcache *rcache, krb5_context krb5, struct dw_span checksum);

#endif
