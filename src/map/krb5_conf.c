/* krb5.conf's text: see krb5_conf.h. */
#include "map/krb5_conf.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20, LINE_MOST = 4096, INCLUDES_MOST = 8 };

struct reading {
    dw_krb5_conf_visit visit;
    void *arg;
    struct dw_error *err;
    int depth; /* of files */
};

struct place {
    const char *path;
    int line;
    char *keys[DW_KRB5_CONF_DEPTH];
    size_t count;
    bool expects_brace;
};

static int read_file(struct reading *r, const char *path);

static int wrong(struct reading *r, const struct place *at, const char *what)
{
    return dw_error_set(r->err, DW_ERROR_INTERNAL, "%s:%d: %s", at->path, at->line, what);
}

static int push_key(struct reading *r, struct place *at, const char *name, size_t len)
{
    if (at->count == DW_KRB5_CONF_DEPTH)
        return wrong(r, at, "nested too deeply");
    if (!(at->keys[at->count] = strndup(name, len)))
        return wrong(r, at, "out of memory");
    at->count++;
    return 0;
}

static void pop_keys(struct place *at, size_t left)
{
    while (at->count > left)
        free(at->keys[--at->count]);
}

/* "..." with its escapes, in place. */
static char *unquote(char *text)
{
    char *out = ++text, *start = text;
    for (; *text && *text != '"'; text++) {
        if (*text == '\\' && text[1]) {
            text++;
            *out++ = (char)(*text == 'n' ? '\n' : *text == 't' ? '\t' : *text == 'b' ? '\b' : *text);
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
    return start;
}

static char *skip_blanks(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static int relation(struct reading *r, struct place *at, char *line)
{
    size_t len = strcspn(line, "= \t");
    char *value = skip_blanks(line + len);
    if (*value != '=' || len == 0)
        return wrong(r, at, "neither a [section], a name = value, nor a '}'");
    if (at->count == 0)
        return wrong(r, at, "a relation before the first [section]");
    value = skip_blanks(value + 1);
    if (push_key(r, at, line, len) < 0)
        return -1;
    if (*value == '\0') {
        at->expects_brace = true;
        return 0;
    }
    if (*value == '{')
        return value[1] == '\0' ? 0 : wrong(r, at, "something behind a '{'");
    if (*value == '"')
        value = unquote(value);
    int result = r->visit(r->arg, (const char *const *)at->keys, at->count, value, r->err) ? -1 : 0;
    pop_keys(at, at->count - 1);
    return result;
}

static bool is_include_name(const char *name)
{
    size_t len = strlen(name);
    if (name[0] == '.')
        return false;
    if (len > 5 && !strcmp(name + len - 5, ".conf"))
        return true;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '-' && *name != '_')
            return false;
    return true;
}

static int include_folder(struct reading *r, struct place *at, const char *folder)
{
    struct dirent **list = NULL;
    int count = scandir(folder, &list, NULL, alphasort), result = 0;
    if (count < 0)
        return dw_error_set(r->err, DW_ERROR_INTERNAL, "%s:%d: %s: %s", at->path, at->line, folder,
                            strerror(errno));
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (result == 0 && is_include_name(list[i]->d_name)) {
            if (asprintf(&path, "%s/%s", folder, list[i]->d_name) < 0)
                result = wrong(r, at, "out of memory");
            else
                result = read_file(r, path);
            free(path);
        }
        free(list[i]);
    }
    free(list);
    return result;
}

static bool is_word(const char *line, const char *word)
{
    size_t len = strlen(word);
    return !strncmp(line, word, len) && isspace((unsigned char)line[len]);
}

static int take_line(struct reading *r, struct place *at, char *line)
{
    line = skip_blanks(line);
    for (size_t len = strlen(line); len > 0 && isspace((unsigned char)line[len - 1]); len--)
        line[len - 1] = '\0';
    if (!*line || *line == '#' || *line == ';')
        return 0;
    if (at->expects_brace) {
        at->expects_brace = false;
        return !strcmp(line, "{") ? 0 : wrong(r, at, "a '{' was expected after an empty value");
    }
    if (is_word(line, "include"))
        return read_file(r, skip_blanks(line + strlen("include")));
    if (is_word(line, "includedir"))
        return include_folder(r, at, skip_blanks(line + strlen("includedir")));
    if (is_word(line, "module"))
        return wrong(r, at, "\"module\" is not supported here");
    if (*line == '[') {
        char *end = strchr(line, ']');
        if (!end || end == line + 1 || at->count > 1)
            return wrong(r, at,
                         at->count > 1 ? "a '}' is missing before this section" : "a [section] without its ']'");
        pop_keys(at, 0);
        return push_key(r, at, line + 1, (size_t)(end - line - 1));
    }
    if (*line == '}') {
        if (at->count < 2)
            return wrong(r, at, "a '}' without a '{'");
        pop_keys(at, at->count - 1);
        return 0;
    }
    return relation(r, at, line);
}

static FILE *open_plain(struct reading *r, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    FILE *in = NULL;
    if (fd < 0 || fstat(fd, &st) < 0)
        dw_error_set(r->err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MOST)
        dw_error_set(r->err, DW_ERROR_INTERNAL, "%s: no regular file of at most %d octets", path, FILE_MOST);
    else if (!(in = fdopen(fd, "r")))
        dw_error_set(r->err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    if (!in && fd >= 0)
        close(fd);
    return in;
}

static int read_file(struct reading *r, const char *path)
{
    char line[LINE_MOST];
    struct place at = {.path = path};
    int result = 0;
    if (r->depth == INCLUDES_MOST)
        return dw_error_set(r->err, DW_ERROR_INTERNAL, "%s: files include each other too deeply", path);
    FILE *in = open_plain(r, path);
    if (!in)
        return -1;
    r->depth++;
    while (result == 0 && fgets(line, sizeof line, in)) {
        at.line++;
        if (strlen(line) == sizeof line - 1 && line[sizeof line - 2] != '\n')
            result = wrong(r, &at, "the line is too long");
        else
            result = take_line(r, &at, line);
    }
    if (result == 0 && ferror(in))
        result = dw_error_set(r->err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    else if (result == 0 && at.count > 1)
        result = wrong(r, &at, "a '}' is missing at the end");
    pop_keys(&at, 0);
    fclose(in);
    r->depth--;
    return result;
}

int dw_krb5_conf_read(const char *path, dw_krb5_conf_visit visit, void *arg, struct dw_error *err)
{
    struct reading r = {.visit = visit, .arg = arg, .err = err};
    return read_file(&r, path);
}
