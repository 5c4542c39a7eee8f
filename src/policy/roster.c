/* Look-up tables read from files: see roster.h. */
#include "policy/roster.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST (64u << 20)

/* What tells one state of a file from another. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct dw_roster {
    struct dw_roster *next;
    enum dw_roster_kind kind;
    char *path, *key;
    int holders; /* under `shelf` */
    json_t *table; /* under `lock`: replaced whole, never changed */
    struct stamp stamp; /* of what was read last, sound or not; under `reading` */
};

/* Taken in this order. */
static pthread_mutex_t shelf = PTHREAD_MUTEX_INITIALIZER, reading = PTHREAD_MUTEX_INITIALIZER,
                       lock = PTHREAD_MUTEX_INITIALIZER;
static struct dw_roster *rosters;

/* -- reading ------------------------------------------------------------------------------------------------ */

struct parser {
    const struct dw_roster *roster;
    json_t *table;
    json_t *columns; /* of the header */
    size_t key_column;
    int line;
    struct dw_error *err;
};

static int wrong(struct parser *p, const char *what)
{
    return dw_error_set(p->err, DW_ERROR_INTERNAL, "%s:%d: %s", p->roster->path, p->line, what);
}

static int add(struct parser *p, const char *key, json_t *taken)
{
    if (taken && json_object_get(p->table, key)) {
        json_decref(taken);
        return dw_error_set(p->err, DW_ERROR_INTERNAL, "%s:%d: '%.64s' stands there twice", p->roster->path,
                            p->line, key);
    }
    return json_object_set_new(p->table, key, taken) < 0 ? wrong(p, "out of memory, or a key that is not UTF-8")
                                                         : 0;
}

static int take_json(struct parser *p, char *text, size_t len)
{
    json_error_t where;
    const char *field = p->roster->key ? p->roster->key : "key";
    json_t *row = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!row)
        return wrong(p, where.text);
    const char *key = json_string_value(json_object_get(row, field));
    if (key)
        return add(p, key, row);
    bool is_object = json_is_object(row);
    json_decref(row);
    return dw_error_set(p->err, DW_ERROR_INTERNAL, "%s:%d: %s '%s'", p->roster->path, p->line,
                        is_object ? "the row has no text in its field" : "a row is a JSON object with a field",
                        field);
}

static json_t *split(const char *text, char at)
{
    json_t *list = json_array();
    for (const char *end; list; text = end + 1) {
        end = strchrnul(text, at);
        if (json_array_append_new(list, json_stringn(text, (size_t)(end - text))) < 0) {
            json_decref(list);
            return NULL;
        }
        if (!*end)
            break;
    }
    return list;
}

static int take_header(struct parser *p, json_t *columns)
{
    size_t i, other;
    json_t *name, *second;
    p->columns = columns;
    p->key_column = p->roster->key ? SIZE_MAX : 0;
    json_array_foreach(columns, i, name)
    {
        if (json_string_length(name) == 0)
            return wrong(p, "a column without a name");
        for (other = 0; other < i; other++)
            if (json_equal(second = json_array_get(columns, other), name))
                return dw_error_set(p->err, DW_ERROR_INTERNAL, "%s:%d: two columns are named '%s'", p->roster->path,
                                    p->line, json_string_value(second));
        if (p->roster->key && strcmp(json_string_value(name), p->roster->key) == 0)
            p->key_column = i;
    }
    if (p->key_column == SIZE_MAX)
        return dw_error_set(p->err, DW_ERROR_INTERNAL, "%s:%d: there is no column '%s'", p->roster->path, p->line,
                            p->roster->key);
    return 0;
}

static int take_columns(struct parser *p, const char *text)
{
    json_t *fields = split(text, '\t'), *row = NULL, *field;
    size_t i;
    int rc = -1;
    if (!fields) {
        wrong(p, "not UTF-8, or out of memory");
        goto done;
    }
    if (!p->columns) {
        rc = take_header(p, json_incref(fields));
        goto done;
    }
    if (json_array_size(fields) != json_array_size(p->columns)) {
        dw_error_set(p->err, DW_ERROR_INTERNAL, "%s:%d: %zu columns, but the header has %zu", p->roster->path,
                     p->line, json_array_size(fields), json_array_size(p->columns));
        goto done;
    }
    row = json_object();
    json_array_foreach(fields, i, field)
    {
        if (json_string_length(field) > 0 &&
            json_object_set(row, json_string_value(json_array_get(p->columns, i)), field) < 0) {
            wrong(p, "out of memory");
            goto done;
        }
    }
    const char *key = json_string_value(json_array_get(fields, p->key_column));
    rc = *key ? add(p, key, json_incref(row)) : wrong(p, "the key is empty");
done:
    json_decref(fields);
    json_decref(row);
    return rc;
}

static int take_group(struct parser *p, char *text)
{
    char *part[4], *rest = text;
    for (int i = 0; i < 4; i++)
        part[i] = strsep(&rest, ":");
    if (!part[3] || rest || !*part[0])
        return wrong(p, "a group is name:password:gid:user,user,..");
    for (char *user; (user = strsep(&part[3], ",")) != NULL;) {
        if (!*user)
            continue;
        json_t *groups = json_object_get(p->table, user);
        if (!groups && (add(p, user, json_array()) < 0 || !(groups = json_object_get(p->table, user))))
            return -1;
        if (json_array_append_new(groups, json_string(part[0])) < 0)
            return wrong(p, "not UTF-8, or out of memory");
    }
    return 0;
}

static int take_line(struct parser *p, char *text, size_t len)
{
    bool is_json = p->roster->kind == DW_ROSTER_ROWS && strlen(p->roster->path) > 6 &&
                   strcmp(p->roster->path + strlen(p->roster->path) - 6, ".jsonl") == 0;
    if (len > 0 && text[len - 1] == '\r')
        text[--len] = '\0';
    if (len == 0 || *text == '#')
        return 0;
    if (memchr(text, 0, len))
        return wrong(p, "a NUL");
    if (p->roster->kind == DW_ROSTER_GROUPS)
        return take_group(p, text);
    return is_json ? take_json(p, text, len) : take_columns(p, text);
}

static json_t *parse(const struct dw_roster *roster, char *text, size_t len, struct dw_error *err)
{
    struct parser p = {.roster = roster, .table = json_object(), .err = err};
    int rc = p.table ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", roster->path);
    for (char *at = text, *end; rc == 0 && at < text + len; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + len - at));
        end = end ? end : text + len;
        *end = '\0';
        p.line++;
        rc = take_line(&p, at, (size_t)(end - at));
    }
    json_decref(p.columns);
    if (rc == 0)
        return p.table;
    json_decref(p.table);
    return NULL;
}

static char *read_file(const char *path, size_t *len, struct stamp *stamp, struct dw_error *err)
{
    struct stat st;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    *stamp = (struct stamp){0};
    if (fd < 0 || fstat(fd, &st) < 0) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
        goto done;
    }
    *stamp = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    if (!S_ISREG(st.st_mode)) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: not a regular file", path);
    } else if (st.st_size > FILE_MOST) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: larger than %u octets", path, FILE_MOST);
    } else if (!(text = malloc((size_t)st.st_size + 1))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", path);
    } else {
        ssize_t got = 0;
        for (*len = 0; *len < (size_t)st.st_size; *len += (size_t)got)
            if ((got = read(fd, text + *len, (size_t)st.st_size - *len)) <= 0)
                break;
        if (got < 0) {
            dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
            free(text);
            text = NULL;
        }
    }
done:
    if (fd >= 0)
        close(fd);
    return text;
}

/* Under `reading`. */
static int load(struct dw_roster *r, struct dw_error *err)
{
    size_t len = 0;
    char *text = read_file(r->path, &len, &r->stamp, err);
    json_t *table = text ? parse(r, text, len, err) : NULL, *old;
    free(text);
    if (!table)
        return -1;
    pthread_mutex_lock(&lock);
    old = r->table;
    r->table = table;
    pthread_mutex_unlock(&lock);
    json_decref(old);
    return 0;
}

static bool has_changed(const struct dw_roster *r)
{
    struct stat st;
    const struct stamp *s = &r->stamp;
    if (stat(r->path, &st) < 0)
        return s->ino != 0;
    return st.st_dev != s->dev || st.st_ino != s->ino || st.st_size != s->size ||
           st.st_mtim.tv_sec != s->changed.tv_sec || st.st_mtim.tv_nsec != s->changed.tv_nsec;
}

/* -- the shelf ---------------------------------------------------------------------------------------------- */

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void destroy(struct dw_roster *r)
{
    json_decref(r->table);
    free(r->path);
    free(r->key);
    free(r);
}

static struct dw_roster *find(enum dw_roster_kind kind, const char *path, const char *key, struct dw_error *err)
{
    for (struct dw_roster *r = rosters; r; r = r->next)
        if (r->kind == kind && is_same(r->path, path) && is_same(r->key, key)) {
            r->holders++;
            return r;
        }
    struct dw_roster *r = calloc(1, sizeof *r);
    if (!r || !(r->path = strdup(path)) || (key && !(r->key = strdup(key)))) {
        if (r)
            destroy(r);
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", path);
        return NULL;
    }
    r->kind = kind;
    r->holders = 1;
    r->next = rosters;
    rosters = r;
    return r;
}

struct dw_roster *dw_roster_open(enum dw_roster_kind kind, const char *path, const char *key, struct dw_error *err)
{
    pthread_mutex_lock(&shelf);
    struct dw_roster *r = find(kind, path, key, err);
    pthread_mutex_unlock(&shelf);
    if (!r)
        return NULL;
    pthread_mutex_lock(&reading);
    /* One whose file is wrong still has to be told of, however often it is opened. */
    int rc = !r->table || has_changed(r) ? load(r, err) : 0;
    if (rc < 0)
        r->stamp = (struct stamp){0};
    pthread_mutex_unlock(&reading);
    if (rc < 0)
        dw_roster_close(&r);
    return r;
}

void dw_roster_close(struct dw_roster **roster)
{
    struct dw_roster *r = *roster;
    *roster = NULL;
    if (!r)
        return;
    pthread_mutex_lock(&shelf);
    if (--r->holders > 0)
        r = NULL;
    for (struct dw_roster **at = &rosters; r && *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    pthread_mutex_unlock(&shelf);
    if (r)
        destroy(r);
}

json_t *dw_roster_get(struct dw_roster *roster, const char *key)
{
    pthread_mutex_lock(&lock);
    json_t *table = json_incref(roster->table);
    pthread_mutex_unlock(&lock);
    json_t *row = json_object_get(table, key);
    row = row ? json_incref(row) : json_null();
    json_decref(table);
    return row;
}

/* The next one after `last`, held; `last` is let go. */
static struct dw_roster *step(struct dw_roster *last)
{
    pthread_mutex_lock(&shelf);
    struct dw_roster *r = last ? last->next : rosters;
    if (r)
        r->holders++;
    pthread_mutex_unlock(&shelf);
    dw_roster_close(&last);
    return r;
}

void dw_roster_refresh(void)
{
    for (struct dw_roster *r = step(NULL); r; r = step(r)) {
        struct dw_error err = {0};
        pthread_mutex_lock(&reading);
        bool changed = r->table && has_changed(r);
        int rc = changed ? load(r, &err) : 0;
        pthread_mutex_unlock(&reading);
        if (rc < 0)
            dw_log(DW_LOG_ERROR, "the old table goes on", "file", r->path, "why", err.detail, NULL);
        else if (changed)
            dw_log(DW_LOG_INFO, "table read again", "file", r->path, NULL);
    }
}
