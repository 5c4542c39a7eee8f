/* A folder of CURVE certificates: see credentials.h. */
#define HASH_NONFATAL_OOM 1
#include "policy/credentials.h"
#include "policy/credentials_file.h"

#include "auth/fields.h"
#include "base/log.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

enum { METADATA_MOST = 32 };

struct file {
    UT_hash_handle hh; /* by name */
    UT_hash_handle by_key;
    char *name;
    struct dw_seen seen;
    bool is_there, has_key;
    uint8_t key[32];
    struct dw_buf text; /* what `metadata` points into */
    struct dw_pair metadata[METADATA_MOST];
    struct dw_certificate certificate;
    char *stem;
};

struct dw_certificates {
    char *folder;
    struct dw_seen seen;
    struct file *files, *keys;
};

/* Another file that had to stand back for it is looked at again. */
static void give_up_key(struct dw_certificates *c, struct file *file)
{
    if (!file->has_key)
        return;
    HASH_DELETE(by_key, c->keys, file);
    file->has_key = false;
    for (struct file *f = c->files; f; f = f->hh.next)
        if (!f->has_key && f != file)
            dw_seen_forget(&f->seen);
}

static void drop(struct dw_certificates *c, struct file *file)
{
    give_up_key(c, file);
    HASH_DEL(c->files, file);
    dw_buf_free(&file->text);
    free(file->name);
    free(file->stem);
    free(file);
}

/* -- ZPL (ZeroMQ RFC 4), as much of it as zcert writes: sections, and values under them ------------------------ */

static struct dw_span trim(struct dw_span text)
{
    while (text.len > 0 && strchr(" \t\r", text.at[0]))
        text = dw_span_make(text.at + 1, text.len - 1);
    while (text.len > 0 && strchr(" \t\r", text.at[text.len - 1]))
        text.len--;
    return text;
}

/* In quotes of either kind, or bare up to a comment. */
static struct dw_span value_of(struct dw_span text)
{
    text = trim(text);
    if (text.len > 0 && (text.at[0] == '"' || text.at[0] == '\'')) {
        const uint8_t *end = memchr(text.at + 1, text.at[0], text.len - 1);
        return end ? dw_span_make(text.at + 1, (size_t)(end - text.at) - 1) : DW_SPAN_NONE;
    }
    const uint8_t *comment = memchr(text.at, '#', text.len);
    return trim(dw_span_make(text.at, comment ? (size_t)(comment - text.at) : text.len));
}

static void take_line(struct file *f, struct dw_span line, struct dw_span *section)
{
    struct dw_span text = trim(line);
    if (text.len == 0 || text.at[0] == '#')
        return;
    const uint8_t *equals = memchr(text.at, '=', text.len);
    if (!equals && text.at == line.at)
        *section = text;
    if (!equals || text.at == line.at)
        return;
    struct dw_span name = trim(dw_span_make(text.at, (size_t)(equals - text.at)));
    struct dw_span value = value_of(dw_span_make(equals + 1, text.len - (size_t)(equals + 1 - text.at)));
    if (dw_span_equal(*section, DW_SPAN_OF("curve")) && dw_span_equal(name, DW_SPAN_OF("public-key")))
        f->has_key = value.at && dw_z85_decode(f->key, value) == 0;
    else if (dw_span_equal(*section, DW_SPAN_OF("metadata")) && value.at &&
             f->certificate.metadata_count < METADATA_MOST)
        f->metadata[f->certificate.metadata_count++] = (struct dw_pair){name, value};
}

static void take_text(struct file *f)
{
    struct dw_span text = dw_buf_span(&f->text), section = DW_SPAN_OF("");
    f->certificate = (struct dw_certificate){.name = f->stem, .metadata = f->metadata};
    for (const uint8_t *at = text.at, *end = text.at + text.len; at < end;) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        take_line(f, dw_span_make(at, (size_t)(stop - at)), &section);
        at = stop + 1;
    }
}

/* -- the folder ------------------------------------------------------------------------------------------------ */

/* Reads it if it has changed; a file that is no certificate stands for nobody. */
static int look_at(struct dw_certificates *c, struct file *f, struct dw_error *err)
{
    char path[4400];
    struct file *other = NULL;
    struct dw_error why = {0};
    snprintf(path, sizeof path, "%s/%s", c->folder, f->name);
    f->is_there = true;
    int changed = dw_seen_changed(&f->seen, path, &why);
    if (changed == 0)
        return 0;
    give_up_key(c, f);
    dw_buf_free(&f->text);
    if (changed > 0 && dw_credentials_read(path, &f->text, &why) == 0)
        take_text(f);
    if (f->has_key)
        HASH_FIND(by_key, c->keys, f->key, sizeof f->key, other);
    if (!f->has_key || other) {
        dw_log(DW_LOG_WARN, "not a certificate of its own", "file", path, "why",
               other           ? "another file has the same key"
               : why.detail[0] ? why.detail
                               : "it has no curve/public-key of 40 characters",
               NULL);
        f->has_key = false;
        return 0;
    }
    HASH_ADD(by_key, c->keys, key, sizeof f->key, f);
    f->has_key = f->by_key.tbl != NULL;
    return f->has_key ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

static bool is_public(const char *name)
{
    size_t len = strlen(name), secret = sizeof "_secret" - 1;
    return name[0] != '.' && name[len - 1] != '~' &&
           !(len >= secret && strcmp(name + len - secret, "_secret") == 0);
}

static struct file *file_of(struct dw_certificates *c, const char *name)
{
    struct file *f;
    HASH_FIND_STR(c->files, name, f);
    if (f)
        return f;
    const char *dot = strrchr(name, '.');
    f = calloc(1, sizeof *f);
    if (f && (f->name = strdup(name)) && (f->stem = strndup(name, dot ? (size_t)(dot - name) : strlen(name)))) {
        HASH_ADD_KEYPTR(hh, c->files, f->name, strlen(f->name), f);
        if (f->hh.tbl)
            return f;
    }
    if (f) {
        free(f->name);
        free(f->stem);
    }
    free(f);
    return NULL;
}

static int scan(struct dw_certificates *c, struct dw_error *err)
{
    struct file *f, *next;
    DIR *folder = opendir(c->folder);
    int rc = 0;
    if (!folder)
        return dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", c->folder, strerror(errno));
    for (f = c->files; f; f = f->hh.next)
        f->is_there = false;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(folder));) {
        if (!is_public(entry->d_name) || entry->d_type == DT_DIR)
            continue;
        f = file_of(c, entry->d_name);
        rc = f ? look_at(c, f, err) : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    closedir(folder);
    HASH_ITER(hh, c->files, f, next)
    {
        if (rc == 0 && !f->is_there)
            drop(c, f);
    }
    return rc;
}

struct dw_certificates *dw_certificates_open(const char *folder, struct dw_error *err)
{
    struct dw_certificates *c = calloc(1, sizeof *c);
    if (!c || !(c->folder = strdup(folder)))
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else if (dw_seen_changed(&c->seen, folder, err) >= 0 && scan(c, err) == 0)
        return c;
    dw_certificates_free(&c);
    return NULL;
}

void dw_certificates_free(struct dw_certificates **certificates)
{
    struct dw_certificates *c = *certificates;
    if (!c)
        return;
    struct file *f, *next;
    HASH_ITER(hh, c->files, f, next)
    {
        drop(c, f);
    }
    free(c->folder);
    free(c);
    *certificates = NULL;
}

int dw_certificates_refresh(struct dw_certificates *c, struct dw_error *err)
{
    if (!dw_seen_is_due(&c->seen))
        return 0;
    int rc = dw_seen_changed(&c->seen, c->folder, err) < 0 ? -1 : scan(c, err);
    if (rc < 0)
        dw_seen_forget(&c->seen);
    return rc;
}

const struct dw_certificate *dw_certificates_find(const struct dw_certificates *c, const uint8_t key[32])
{
    struct file *f;
    HASH_FIND(by_key, c->keys, key, 32, f);
    return f ? &f->certificate : NULL;
}
