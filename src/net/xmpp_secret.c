/* Secrets shared with a backend: see xmpp_secret.h. */
#include "net/xmpp_secret.h"

#include "xmpp/token.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { MOST = 65536 };

static int read_all(const char *path, struct dw_buf *text, struct dw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "secret_file %s cannot be read: %s", path, strerror(errno));
    ssize_t got = 0;
    do {
        uint8_t *room = dw_buf_room(text, 4096);
        got = room ? read(fd, room, 4096) : -1;
        if (got > 0)
            dw_buf_added(text, (size_t)got);
        else if (!room)
            errno = ENOMEM;
    } while ((got > 0 || (got < 0 && errno == EINTR)) && dw_buf_len(text) <= MOST);
    int error = errno;
    close(fd);
    if (got < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "secret_file %s cannot be read: %s", path, strerror(error));
    if (dw_buf_len(text) > MOST)
        return dw_error_set(err, DW_ERROR_INTERNAL, "secret_file %s is larger than 64 KiB", path);
    return 0;
}

int dw_xmpp_secret_read(const char *path, struct dw_buf *secret, struct dw_error *err)
{
    struct dw_buf text = {0};
    struct dw_error why = {0};
    int rc = read_all(path, &text, err);
    if (rc == 0 && dw_token_secret(dw_buf_span(&text), secret, &why) < 0)
        rc = dw_error_set(err, why.kind, "secret_file %s: %s", path, why.detail);
    dw_buf_free(&text);
    return rc;
}
