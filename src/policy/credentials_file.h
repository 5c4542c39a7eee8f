/* What both stores of credentials need of the file system; see credentials.h. */
#ifndef DW_POLICY_CREDENTIALS_FILE_H
#define DW_POLICY_CREDENTIALS_FILE_H

#include "base/buf.h"
#include "base/error.h"

#include <sys/stat.h>

/* What was seen of a file when it was read. */
struct dw_seen {
    struct timespec changed, modified;
    ino_t inode;
    off_t size;
    uint64_t looked; /* nanoseconds of the monotonic clock; 0: not yet */
};

/* Whether a second has passed since the last look. */
bool dw_seen_is_due(const struct dw_seen *seen);
/* Looks: 1 when it is not what was seen before, which it then is; 0 when it is; -1 with `err` told. */
int dw_seen_changed(struct dw_seen *seen, const char *path, struct dw_error *err);
/* The next look is due at once, and finds a change. */
void dw_seen_forget(struct dw_seen *seen);

/* Appends a regular file of at most 16 MiB.  -1 with `err` told. */
int dw_credentials_read(const char *path, struct dw_buf *text, struct dw_error *err);

#endif
