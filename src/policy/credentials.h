/* Who may come in by PLAIN and CURVE, read from files of the operator's own, and read again when they change.
 *
 *   users         a file of lines `name:hash`, as htpasswd and mkpasswd make them; what follows a second ':' is left out,
 *                 as are empty lines and those that start with '#'
 *   certificates  a folder of public certificates as czmq's zcert writes them (ZPL, ZeroMQ RFC 4); files whose name
 *                 starts with '.' or ends in '_secret' or '~' are left out
 *
 * A store belongs to one thread.  It looks at its files at most once a second.  One that has become wrong leaves what was
 * read before in use, and is told in the log once; a file or folder that cannot be read at all vouches for nobody. */
#ifndef DW_POLICY_CREDENTIALS_H
#define DW_POLICY_CREDENTIALS_H

#include "auth/event.h"
#include "base/error.h"

struct dw_users;

/* NULL with `err` told: file:line and what is wrong. */
struct dw_users *dw_users_open(const char *path, struct dw_error *err);
void dw_users_free(struct dw_users **users);
/* To be called before a look-up.  -1 with `err` told when the file cannot be read. */
int dw_users_refresh(struct dw_users *users, struct dw_error *err);
/* The hash of that user, borrowed until the next refresh; NULL when there is none.  With an absent name: of anybody. */
const char *dw_users_hash(const struct dw_users *users, struct dw_span name);

struct dw_certificate {
    const char *name; /* of its file, without an ending */
    const struct dw_pair *metadata;
    size_t metadata_count;
};
struct dw_certificates;

struct dw_certificates *dw_certificates_open(const char *folder, struct dw_error *err);
void dw_certificates_free(struct dw_certificates **certificates);
int dw_certificates_refresh(struct dw_certificates *certificates, struct dw_error *err);
/* NULL when nobody has that key; borrowed until the next refresh. */
const struct dw_certificate *dw_certificates_find(const struct dw_certificates *certificates,
                                                  const uint8_t key[32]);

#endif
