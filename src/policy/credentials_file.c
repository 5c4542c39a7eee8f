/* Files of credentials: see credentials_file.h. */
#include "policy/credentials_file.h"

#include "policy/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 16 << 20 };
#define LOOK_NS 1000000000u

bool dw_seen_is_due(const struct dw_seen *seen)
{
    return !seen->looked || dw_budget_clock() - seen->looked >= LOOK_NS;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

int dw_seen_changed(struct dw_seen *seen, const char *path, struct dw_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    bool same = seen->looked && seen->inode == st.st_ino && seen->size == st.st_size &&
                is_same_time(seen->changed, st.st_ctim) && is_same_time(seen->modified, st.st_mtim);
    *seen = (struct dw_seen){st.st_ctim, st.st_mtim, st.st_ino, st.st_size, dw_budget_clock()};
    return !same;
}

void dw_seen_forget(struct dw_seen *seen)
{
    *seen = (struct dw_seen){.looked = 0};
}

int dw_credentials_read(const char *path, struct dw_buf *text, struct dw_error *err)
{
    struct stat st;
    int rc = -1, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: not a regular file", path);
    } else if (st.st_size > FILE_MOST) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: larger than %d octets", path, FILE_MOST);
    } else {
        uint8_t *room = dw_buf_room(text, (size_t)st.st_size + 1);
        ssize_t got = room ? read(fd, room, (size_t)st.st_size) : -1;
        if (got < 0)
            dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, room ? strerror(errno) : "out of memory");
        else
            dw_buf_added(text, (size_t)got);
        rc = got < 0 ? -1 : 0;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}
