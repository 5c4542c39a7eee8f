/* Keytab files: copied into memory, watched for change, listed.
 *
 * Internal to this room.  A copy holds only the keys that answer for the wanted service, so a credential
 * made of it cannot accept a ticket for any other. */
#ifndef DW_GSS_KEYTAB_H
#define DW_GSS_KEYTAB_H

#include "gss/name.h"

#include <time.h>

/* What tells one state of a file from the next. */
struct dw_keytab_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
    bool young; /* read within a tick of the file system's clock: a further change might leave no trace */
};

int dw_keytab_look(const char *path, struct dw_keytab_stamp *stamp, struct dw_error *err);
/* Whether the file that was read at `then` needs to be read again, now that it looks like `now`. */
bool dw_keytab_changed(const struct dw_keytab_stamp *then, const struct dw_keytab_stamp *now);

struct dw_keytab_copy {
    krb5_keytab keytab; /* the keys live as long as this or a credential refers to them */
    char name[48]; /* "MEMORY:.." */
    char *principal; /* the first principal copied */
    size_t principals; /* how many different ones were copied */
};

/* Copies the keys that answer for `service` (NULL: all) in `realm` (NULL: any; not looked at with a service).
 * -1 with `err` told: the file cannot be read, or what was wanted and what stands there instead. */
int dw_keytab_copy(struct dw_keytab_copy *copy, krb5_context krb5, const char *path,
                   const struct dw_service *service, const char *realm, struct dw_error *err);
/* Ends the copy, but for credentials that were made of it. */
void dw_keytab_copy_close(struct dw_keytab_copy *copy, krb5_context krb5);

#endif
