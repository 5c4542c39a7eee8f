/* A journal's lines, one by one, in bounded memory: see replay.h. */
#include "cmd/replay.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, LINE_MOST = 4 << 20 };

int dw_lines_open(struct dw_lines *lines, const char *path, struct dw_error *err)
{
    struct stat st;
    bool is_stdin = strcmp(path, "-") == 0;
    *lines = (struct dw_lines){.name = is_stdin ? "standard input" : path, .fd = -1};
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", lines->name, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (!is_stdin)
            close(fd);
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: this is a folder, not a journal", lines->name);
    }
    lines->fd = fd;
    return 0;
}

void dw_lines_close(struct dw_lines *lines)
{
    if (lines->fd > STDIN_FILENO)
        close(lines->fd);
    lines->fd = -1;
    dw_buf_free(&lines->ahead);
}

/* 1 when there is more than before, 0 at the end, -1 with `err` told. */
static int read_on(struct dw_lines *lines, struct dw_error *err)
{
    uint8_t *at = dw_buf_room(&lines->ahead, BLOCK);
    ssize_t got;
    if (!at)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", lines->name);
    do
        got = read(lines->fd, at, BLOCK);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", lines->name, strerror(errno));
    dw_buf_added(&lines->ahead, (size_t)got);
    lines->ended = got == 0;
    return got > 0;
}

/* Passes over the rest of a line that is too long to be held. */
static int skip(struct dw_lines *lines, struct dw_error *err)
{
    for (;;) {
        struct dw_span ahead = dw_buf_span(&lines->ahead);
        const uint8_t *end = memchr(ahead.at, '\n', ahead.len);
        dw_buf_take(&lines->ahead, end ? (size_t)(end - ahead.at) + 1 : ahead.len);
        if (end || lines->ended)
            return 0;
        if (read_on(lines, err) < 0)
            return -1;
    }
}

/* jansson quotes what it could not read: a terminal is not to obey it. */
static int not_json(const struct dw_lines *lines, const char *why, struct dw_error *err)
{
    char clean[200];
    size_t n = 0;
    for (; why[n] && n < sizeof clean - 1; n++)
        clean[n] = why[n] >= ' ' && why[n] < 0x7f ? why[n] : '?';
    clean[n] = '\0';
    return dw_error_set(err, DW_ERROR_PROTOCOL, "%s:%zu: this is not a JSON object: %s", lines->name, lines->number,
                        clean);
}

static enum dw_line parse(struct dw_lines *lines, struct dw_span line, bool is_cut, json_t **json,
                          struct dw_error *err)
{
    json_error_t where;
    *json = json_loadb((const char *)line.at, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    /* What a shadow policy would have decided is no decision to be taken again. */
    if (json_object_get(*json, "shadow") && !json_object_get(*json, "event")) {
        json_decref(*json);
        *json = NULL;
        return DW_LINE_END;
    }
    if (json_is_object(*json))
        return DW_LINE_WHOLE;
    not_json(lines, *json ? "it is some other value" : where.text, err);
    json_decref(*json);
    *json = NULL;
    if (!is_cut)
        return DW_LINE_BAD;
    dw_error_set(err, DW_ERROR_PROTOCOL, "%s:%zu: the last line is torn: it ends before its newline", lines->name,
                 lines->number);
    return DW_LINE_TORN;
}

static bool is_blank(struct dw_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!memchr(" \t\r", line.at[i], 3))
            return false;
    return true;
}

enum dw_line dw_lines_next(struct dw_lines *lines, json_t **json, struct dw_error *err)
{
    size_t seen = 0;
    *json = NULL;
    for (;;) {
        struct dw_span ahead = dw_buf_span(&lines->ahead);
        const uint8_t *end = memchr(ahead.at + seen, '\n', ahead.len - seen);
        if (end || (lines->ended && ahead.len > 0)) {
            struct dw_span line = dw_span_make(ahead.at, end ? (size_t)(end - ahead.at) : ahead.len);
            lines->number++;
            enum dw_line kind = is_blank(line) ? DW_LINE_END : parse(lines, line, !end, json, err);
            dw_buf_take(&lines->ahead, line.len + (end ? 1 : 0));
            if (kind != DW_LINE_END)
                return kind;
            seen = 0;
            continue;
        }
        if (lines->ended)
            return DW_LINE_END;
        if (ahead.len > LINE_MOST) {
            lines->number++;
            if (skip(lines, err) < 0)
                return DW_LINE_LOST;
            dw_error_set(err, DW_ERROR_LIMIT, "%s:%zu: a line of more than %d octets", lines->name, lines->number,
                         LINE_MOST);
            return DW_LINE_BAD;
        }
        seen = ahead.len;
        if (read_on(lines, err) < 0)
            return DW_LINE_LOST;
    }
}
