/* Hadoop's XML configuration: see core_site.h.  Expat reads it on a short leash: no DTD (so no entities of the file's
 * own), bounded in size, depth and number of files. */
#include "map/core_site.h"

#include <errno.h>
#include <expat.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MOST = 1 << 20,
    DEPTH_MOST = 16, /* of elements */
    INCLUDES_MOST = 8, /* of files in each other */
    FILES_MOST = 64,
    PROPERTIES_MOST = 10000,
    VARIABLES_MOST = 20, /* put in one after the other, as Hadoop does it */
    VALUE_MOST = 1 << 20
};

struct property {
    char *name, *value, *where;
    bool is_final;
};

struct dw_core_site {
    struct property *list;
    size_t count, files;
};

/* One file under way. */
struct reading {
    struct dw_core_site *site;
    const char *path;
    XML_Parser parser;
    struct dw_error *err;
    int includes, depth;
    bool failed;
    bool takes_text;
    struct dw_buf text;
    char *name, *value; /* of the property that is open */
    bool is_open, is_final;
    int line; /* of its value */
    bool is_missing, has_fallback; /* the file of the xi:include that is open; its fallback has begun */
};

static int read_file(struct dw_core_site *site, const char *path, int includes, struct dw_error *err);

static void __attribute__((format(printf, 2, 3))) wrong(struct reading *r, const char *format, ...)
{
    char what[300];
    va_list args;
    if (r->failed)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    r->failed = true;
    dw_error_set(r->err, DW_ERROR_INTERNAL, "%s:%lu: %s", r->path, XML_GetCurrentLineNumber(r->parser), what);
    XML_StopParser(r->parser, XML_FALSE);
}

/* "xi:include" is an include whatever its prefix is, as Hadoop sees it. */
static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static const char *attribute(const char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i]; i += 2)
        if (!strcmp(local_name(attributes[i]), name))
            return attributes[i + 1];
    return NULL;
}

static void replace(struct reading *r, char **kept, const char *text, size_t len)
{
    char *copy = strndup(text, len);
    if (!copy)
        wrong(r, "out of memory");
    free(*kept);
    *kept = copy;
}

static void include(struct reading *r, const char *href)
{
    static const char scheme[] = "file:";
    const char *slash = strrchr(r->path, '/');
    char *path = NULL;
    if (!href || !*href) {
        wrong(r, "an include without its href");
        return;
    }
    if (!strncmp(href, scheme, sizeof scheme - 1)) {
        href += sizeof scheme - 1;
        while (href[0] == '/' && href[1] == '/')
            href++;
    } else if (strstr(href, "://")) {
        wrong(r, "only files are included here, not %s", href);
        return;
    }
    int len = *href == '/' || !slash ? 0 : (int)(slash - r->path) + 1;
    if (asprintf(&path, "%.*s%s", len, r->path, href) < 0) {
        wrong(r, "out of memory");
        return;
    }
    r->is_missing = access(path, F_OK) < 0;
    r->has_fallback = false;
    if (!r->is_missing && read_file(r->site, path, r->includes + 1, r->err) < 0) {
        r->failed = true; /* told with that file's place */
        XML_StopParser(r->parser, XML_FALSE);
    }
    free(path);
}

static void XMLCALL begin(void *arg, const char *full, const char **attributes)
{
    struct reading *r = arg;
    const char *name = local_name(full), *given;
    if (r->failed)
        return;
    if (++r->depth > DEPTH_MOST) {
        wrong(r, "nested more than %d elements deep", DEPTH_MOST);
    } else if (r->depth == 1 && strcmp(name, "configuration")) {
        wrong(r, "the outermost element is <%s>, not <configuration>", name);
    } else if (!strcmp(name, "include")) {
        include(r, attribute(attributes, "href"));
    } else if (!strcmp(name, "fallback")) {
        r->has_fallback = true;
    } else if (!strcmp(name, "property")) {
        r->is_open = true;
        r->line = (int)XML_GetCurrentLineNumber(r->parser);
        r->is_final = (given = attribute(attributes, "final")) && !strcmp(given, "true");
        if ((given = attribute(attributes, "name")))
            replace(r, &r->name, given, strlen(given));
        if ((given = attribute(attributes, "value")))
            replace(r, &r->value, given, strlen(given));
    } else if (!strcmp(name, "name") || !strcmp(name, "value") || !strcmp(name, "final")) {
        dw_buf_cut(&r->text, 0);
        r->takes_text = true;
        if (!strcmp(name, "value"))
            r->line = (int)XML_GetCurrentLineNumber(r->parser);
    }
}

static void close_property(struct reading *r)
{
    struct dw_core_site *site = r->site;
    bool counts = r->name && *r->name && (r->is_missing || !r->has_fallback);
    struct property *list = NULL;
    char *where = NULL;
    if (counts && site->count == PROPERTIES_MOST) {
        wrong(r, "more than %d properties", PROPERTIES_MOST);
    } else if (counts && (!(list = realloc(site->list, (site->count + 1) * sizeof *list)) ||
                          asprintf(&where, "%s:%d", r->path, r->line) < 0)) {
        site->list = list ? list : site->list;
        wrong(r, "out of memory");
    } else if (counts) {
        site->list = list;
        list[site->count++] = (struct property){r->name, r->value, where, r->is_final};
        r->name = r->value = NULL;
    }
    free(r->name);
    free(r->value);
    r->name = r->value = NULL;
    r->is_open = r->is_final = false;
}

static void XMLCALL finish(void *arg, const char *full)
{
    struct reading *r = arg;
    const char *name = local_name(full);
    struct dw_span text = dw_buf_span(&r->text);
    if (r->failed)
        return;
    r->depth--;
    if (!strcmp(name, "property"))
        close_property(r);
    else if (!strcmp(name, "include") && r->is_missing && !r->has_fallback)
        wrong(r, "the included file is missing, and there is no fallback");
    if (!strcmp(name, "include"))
        r->is_missing = r->has_fallback = false;
    if (!r->takes_text)
        return;
    r->takes_text = false;
    if (!r->is_open || text.len == 0)
        return;
    if (!strcmp(name, "final")) {
        r->is_final = dw_span_equal(text, dw_span_str("true"));
    } else if (!strcmp(name, "value")) {
        replace(r, &r->value, (const char *)text.at, text.len);
    } else if (!strcmp(name, "name")) {
        while (text.len && text.at[text.len - 1] <= ' ')
            text.len--;
        while (text.len && *text.at <= ' ')
            text = dw_span_make(text.at + 1, text.len - 1);
        replace(r, &r->name, (const char *)text.at, text.len);
    }
}

static void XMLCALL characters(void *arg, const char *text, int len)
{
    struct reading *r = arg;
    if (r->takes_text && !r->failed && dw_buf_put(&r->text, dw_span_make(text, (size_t)len)) < 0)
        wrong(r, "out of memory");
}

static void XMLCALL document_type(void *arg, const char *name, const char *system, const char *public, int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    wrong(arg, "a document type (DTD) is not taken");
}

/* The whole file; NULL with `err` told. */
static char *slurp(const char *path, size_t *len, struct dw_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = NULL;
    ssize_t got = 0;
    *len = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MOST)
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: no regular file of at most %d octets", path, FILE_MOST);
    else if (!(text = malloc(FILE_MOST + 1)))
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", path);
    while (text && *len <= FILE_MOST && (got = read(fd, text + *len, FILE_MOST + 1 - *len)) > 0)
        *len += (size_t)got;
    if (text && (got < 0 || *len > FILE_MOST)) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", path, got < 0 ? strerror(errno) : "it grew past its limit");
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

static int read_file(struct dw_core_site *site, const char *path, int includes, struct dw_error *err)
{
    struct reading r = {.site = site, .path = path, .err = err, .includes = includes};
    size_t len;
    if (includes > INCLUDES_MOST || site->files++ >= FILES_MOST)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: files include each other too deeply, or too many", path);
    char *text = slurp(path, &len, err);
    if (!text)
        return -1;
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser) {
        free(text);
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: out of memory", path);
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, begin, finish);
    XML_SetCharacterDataHandler(r.parser, characters);
    XML_SetStartDoctypeDeclHandler(r.parser, document_type);
    if (XML_Parse(r.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK)
        wrong(&r, "%s", XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    dw_buf_free(&r.text);
    free(r.name);
    free(r.value);
    free(text);
    return r.failed ? -1 : 0;
}

struct dw_core_site *dw_core_site_read(const char *path, struct dw_error *err)
{
    struct dw_core_site *site = calloc(1, sizeof *site);
    if (!site)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else if (read_file(site, path, 0, err) < 0)
        dw_core_site_free(&site);
    return site;
}

void dw_core_site_free(struct dw_core_site **site)
{
    struct dw_core_site *gone = *site;
    *site = NULL;
    for (size_t i = 0; gone && i < gone->count; i++) {
        free(gone->list[i].name);
        free(gone->list[i].value);
        free(gone->list[i].where);
    }
    if (gone)
        free(gone->list);
    free(gone);
}

static const struct property *find(const struct dw_core_site *site, const char *name, size_t len)
{
    const struct property *found = NULL;
    bool is_final = false;
    for (size_t i = 0; i < site->count && !is_final; i++) {
        const struct property *one = &site->list[i];
        if (strlen(one->name) != len || memcmp(one->name, name, len))
            continue;
        found = one->value ? one : found;
        is_final = one->is_final;
    }
    return found;
}

/* Where a ${name} begins; its length, braces and all, in `len`.  NULL: there is none. */
static const char *find_variable(const char *text, size_t *len)
{
    for (const char *at = strstr(text, "${"); at; at = strstr(at + 1, "${")) {
        size_t inside = strcspn(at + 2, "}$ ");
        *len = inside + 3;
        if (inside && at[2 + inside] == '}')
            return at;
    }
    return NULL;
}

/* `text` is ours to replace. */
static int put_in(const struct dw_core_site *site, const struct property *of, char **text, struct dw_error *err)
{
    const char *at;
    size_t len;
    for (int i = 0; (at = find_variable(*text, &len)); i++) {
        const struct property *variable = find(site, at + 2, len - 3);
        char *longer = NULL;
        if (!variable)
            return dw_error_set(err, DW_ERROR_INTERNAL, "%s: %.*s is not set in this file", of->where, (int)len,
                                at);
        if (i == VARIABLES_MOST || strlen(*text) + strlen(variable->value) > VALUE_MOST)
            return dw_error_set(err, DW_ERROR_INTERNAL, "%s: too many variables stand for each other", of->where);
        if (asprintf(&longer, "%.*s%s%s", (int)(at - *text), *text, variable->value, at + len) < 0)
            return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        free(*text);
        *text = longer;
    }
    return 0;
}

int dw_core_site_get(const struct dw_core_site *site, const char *name, struct dw_buf *value, struct dw_error *err)
{
    const struct property *found = find(site, name, strlen(name));
    if (!found)
        return 0;
    char *text = strdup(found->value);
    int rc = text ? put_in(site, found, &text, err) : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (rc == 0 && dw_buf_put(value, dw_span_str(text)) < 0)
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    free(text);
    return rc < 0 ? -1 : 1;
}

const char *dw_core_site_where(const struct dw_core_site *site, const char *name)
{
    const struct property *found = find(site, name, strlen(name));
    return found ? found->where : NULL;
}
