/* A file of users and their hashes: see credentials.h. */
#define HASH_NONFATAL_OOM 1
#include "policy/credentials.h"
#include "policy/credentials_file.h"

#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <uthash.h>

struct user {
    UT_hash_handle hh;
    char *hash; /* behind the name */
    char name[];
};

struct dw_users {
    char *path;
    struct dw_seen seen;
    struct user *all;
};

static void clear(struct user **all)
{
    struct user *user, *next;
    HASH_ITER(hh, *all, user, next)
    {
        HASH_DEL(*all, user);
        dw_wipe(user->hash, strlen(user->hash));
        free(user);
    }
}

static int add(struct user **all, struct dw_span name, struct dw_span hash)
{
    struct user *user = calloc(1, sizeof *user + name.len + hash.len + 2);
    if (!user)
        return -1;
    memcpy(user->name, name.at, name.len);
    user->hash = user->name + name.len + 1;
    memcpy(user->hash, hash.at, hash.len);
    HASH_ADD_KEYPTR(hh, *all, user->name, name.len, user);
    if (user->hh.tbl)
        return 0;
    free(user);
    return -1;
}

static int take_line(struct user **all, const char *path, size_t number, struct dw_span line, struct dw_error *err)
{
    struct user *known;
    if (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || line.at[0] == '#')
        return 0;
    const uint8_t *colon = memchr(line.at, ':', line.len);
    struct dw_span name = dw_span_make(line.at, colon ? (size_t)(colon - line.at) : 0);
    if (name.len == 0 || memchr(line.at, 0, line.len))
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s:%zu: expected name:hash", path, number);
    struct dw_span hash = dw_span_make(colon + 1, line.len - name.len - 1);
    colon = memchr(hash.at, ':', hash.len);
    hash.len = colon ? (size_t)(colon - hash.at) : hash.len;
    if (hash.len == 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s:%zu: expected name:hash", path, number);
    HASH_FIND(hh, *all, name.at, name.len, known);
    if (known)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s:%zu: this user is there already", path, number);
    return add(all, name, hash) < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
}

static int take_text(struct user **all, const char *path, struct dw_span text, struct dw_error *err)
{
    size_t number = 1;
    for (const uint8_t *at = text.at, *end = text.at + text.len; at < end; number++) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        if (take_line(all, path, number, dw_span_make(at, (size_t)(stop - at)), err) < 0)
            return -1;
        at = stop + 1;
    }
    return 0;
}

/* 1 when it has been read, 0 when it is wrong, -1 when it cannot be read; `err` is told. */
static int load(struct dw_users *users, struct dw_error *err)
{
    struct dw_buf text = {0};
    struct user *all = NULL;
    if (dw_credentials_read(users->path, &text, err) < 0)
        return -1;
    int rc = take_text(&all, users->path, dw_buf_span(&text), err);
    dw_buf_free(&text);
    if (rc < 0) {
        clear(&all);
        return 0;
    }
    clear(&users->all);
    users->all = all;
    return 1;
}

struct dw_users *dw_users_open(const char *path, struct dw_error *err)
{
    struct dw_users *users = calloc(1, sizeof *users);
    if (!users || !(users->path = strdup(path))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    } else if (dw_seen_changed(&users->seen, path, err) >= 0 && load(users, err) > 0) {
        return users;
    }
    dw_users_free(&users);
    return NULL;
}

void dw_users_free(struct dw_users **users)
{
    if (!*users)
        return;
    clear(&(*users)->all);
    free((*users)->path);
    free(*users);
    *users = NULL;
}

int dw_users_refresh(struct dw_users *users, struct dw_error *err)
{
    if (!dw_seen_is_due(&users->seen))
        return 0;
    int changed = dw_seen_changed(&users->seen, users->path, err), read = changed > 0 ? load(users, err) : changed;
    if (read < 0) {
        dw_seen_forget(&users->seen);
        return -1;
    }
    if (changed)
        dw_log(read ? DW_LOG_INFO : DW_LOG_ERROR,
               read ? "users read again" : "a file of users is wrong now, what was read before goes on", "file",
               users->path, "why", read ? NULL : err->detail, NULL);
    return 0;
}

const char *dw_users_hash(const struct dw_users *users, struct dw_span name)
{
    struct user *user = users->all;
    if (name.at)
        HASH_FIND(hh, users->all, name.at, name.len, user);
    return user ? user->hash : NULL;
}
