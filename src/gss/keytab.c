/* Keytab files: see keytab.h. */
#include "gss/keytab.h"

#include "base/text.h"
#include "gss/cred.h"
#include "gss/status.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Longer than the tick in which a file system may stamp two changes alike. */
#define TICK_NS 50000000LL

static bool is_young(const struct timespec *changed)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - changed->tv_sec) * 1000000000LL + (now.tv_nsec - changed->tv_nsec) < TICK_NS;
}

int dw_keytab_look(const char *path, struct dw_keytab_stamp *stamp, struct dw_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return dw_error_set(err, DW_ERROR_TEMPORARY, "keytab %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return dw_error_set(err, DW_ERROR_TEMPORARY, "keytab %s: not a regular file", path);
    *stamp = (struct dw_keytab_stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim, is_young(&st.st_mtim)};
    return 0;
}

bool dw_keytab_changed(const struct dw_keytab_stamp *then, const struct dw_keytab_stamp *now)
{
    return then->device != now->device || then->inode != now->inode || then->size != now->size ||
           then->changed.tv_sec != now->changed.tv_sec || then->changed.tv_nsec != now->changed.tv_nsec ||
           (then->young && !now->young);
}

/* A walk over the entries of a keytab file; `told` says that it failed and why. */
struct walk {
    krb5_context krb5;
    const char *path;
    krb5_keytab file;
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    bool started, held, told;
};

static int walk_start(struct walk *w, krb5_context krb5, const char *path, struct dw_error *err)
{
    *w = (struct walk){.krb5 = krb5, .path = path};
    struct dw_buf name = {0};
    krb5_error_code code = ENOMEM;
    if (dw_buf_printf(&name, "FILE:%s", path) == 0)
        code = krb5_kt_resolve(krb5, (const char *)name.at, &w->file);
    dw_buf_free(&name);
    if (!code)
        code = krb5_kt_start_seq_get(krb5, w->file, &w->cursor);
    w->started = !code;
    w->told = code != 0;
    return code ? dw_status_tell_krb5(err, krb5, code, "keytab %s", path) : 0;
}

static const krb5_keytab_entry *walk_next(struct walk *w, struct dw_error *err)
{
    if (w->held)
        krb5_free_keytab_entry_contents(w->krb5, &w->entry);
    w->held = false;
    krb5_error_code code = krb5_kt_next_entry(w->krb5, w->file, &w->entry, &w->cursor);
    if (code && code != KRB5_KT_END) {
        dw_status_tell_krb5(err, w->krb5, code, "keytab %s", w->path);
        w->told = true;
    }
    w->held = !code;
    return code ? NULL : &w->entry;
}

static void walk_end(struct walk *w)
{
    if (w->held)
        krb5_free_keytab_entry_contents(w->krb5, &w->entry);
    if (w->started)
        krb5_kt_end_seq_get(w->krb5, w->file, &w->cursor);
    if (w->file)
        krb5_kt_close(w->krb5, w->file);
}

/* The distinct principals of a keytab, in its order; for messages, so a shortage just shortens it. */
struct roll {
    char *names[64];
    size_t count;
    bool more;
};

static void roll_add(struct roll *roll, krb5_context krb5, krb5_const_principal principal)
{
    char *name = NULL;
    if (krb5_unparse_name(krb5, principal, &name))
        return;
    bool known = false;
    for (size_t i = 0; i < roll->count && !known; i++)
        known = strcmp(roll->names[i], name) == 0;
    bool full = roll->count + 1 >= sizeof roll->names / sizeof roll->names[0]; /* a NULL ends the list */
    if (!known && !full)
        roll->names[roll->count++] = strdup(name);
    if (roll->count && !roll->names[roll->count - 1])
        roll->count--;
    roll->more = roll->more || (!known && full);
    krb5_free_unparsed_name(krb5, name);
}

static void roll_free(struct roll *roll)
{
    for (size_t i = 0; i < roll->count; i++)
        free(roll->names[i]);
}

/* Which of them is nearest to `wanted`; names are compared without their realms when `bare`. */
static const char *nearest_in(const struct roll *roll, const char *wanted, bool bare)
{
    char *shorter[sizeof roll->names / sizeof roll->names[0]] = {NULL};
    const char *nearest = NULL;
    size_t count = 0;
    for (; count < roll->count; count++) {
        const char *name = roll->names[count], *realm = bare ? strrchr(name, '@') : NULL;
        shorter[count] = realm ? strndup(name, (size_t)(realm - name)) : strdup(name);
        if (!shorter[count])
            break;
    }
    const char *found = dw_text_nearest(wanted, (const char *const *)shorter);
    for (size_t i = 0; i < count; i++) {
        if (shorter[i] == found)
            nearest = roll->names[i];
        free(shorter[i]);
    }
    return nearest;
}

static int tell_absent(const struct roll *roll, const char *path, const struct dw_service *service,
                       const char *realm, struct dw_error *err)
{
    if (roll->count == 0)
        return dw_error_set(err, DW_ERROR_TEMPORARY, "keytab %s holds no key at all", path);
    struct dw_buf wanted = {0}, there = {0};
    bool bare = service && service->name.realm.len == 0;
    if (service)
        dw_principal_format(&service->name, bare ? DW_PRINCIPAL_NO_REALM : DW_PRINCIPAL_FULL, DW_SPAN_NONE,
                            &wanted);
    else
        dw_buf_printf(&wanted, "the realm %s", realm);
    dw_buf_put_u8(&wanted, 0);
    const char *nearest = wanted.at ? nearest_in(roll, (const char *)wanted.at, bare) : NULL;
    if (nearest)
        dw_buf_printf(&there, " (is %s meant?)", nearest);
    for (size_t i = 0; i < roll->count && dw_buf_len(&there) < 200; i++)
        dw_buf_printf(&there, "%s%s", i ? ", " : "; it holds ", roll->names[i]);
    if (roll->more)
        dw_buf_printf(&there, " and more");
    dw_buf_put_u8(&there, 0);
    dw_error_set(err, DW_ERROR_TEMPORARY, "keytab %s has no key for %s%s", path,
                 wanted.at ? (char *)wanted.at : "it", there.at ? (char *)there.at : "");
    dw_buf_free(&wanted);
    dw_buf_free(&there);
    return -1;
}

static bool answers(krb5_const_principal entry, const struct dw_service *service, const char *realm, bool nocase)
{
    if (service)
        return dw_service_matches(service, entry, nocase);
    return !realm || dw_span_equal(dw_span_make(entry->realm.data, entry->realm.length), dw_span_str(realm));
}

static int copy_open(struct dw_keytab_copy *copy, krb5_context krb5, struct dw_error *err)
{
    static atomic_uint serial;
    snprintf(copy->name, sizeof copy->name, "MEMORY:durward.%u", atomic_fetch_add(&serial, 1));
    krb5_error_code code = krb5_kt_resolve(krb5, copy->name, &copy->keytab);
    return code ? dw_status_tell_krb5(err, krb5, code, "keytab in memory") : 0;
}

static int copy_entry(struct dw_keytab_copy *copy, krb5_context krb5, const krb5_keytab_entry *entry,
                      struct roll *copied)
{
    krb5_keytab_entry same = *entry;
    if (krb5_kt_add_entry(krb5, copy->keytab, &same))
        return -1;
    roll_add(copied, krb5, entry->principal);
    return 0;
}

int dw_keytab_copy(struct dw_keytab_copy *copy, krb5_context krb5, const char *path,
                   const struct dw_service *service, const char *realm, struct dw_error *err)
{
    int rc = -1;
    struct roll all = {{NULL}, 0, false}, copied = {{NULL}, 0, false};
    *copy = (struct dw_keytab_copy){.principals = 0};
    if (copy_open(copy, krb5, err) < 0)
        goto done;
    /* A host-based name that is there as written is meant as written; else its case may differ. */
    for (int nocase = 0; nocase <= (service && service->host_based) && copied.count == 0; nocase++) {
        struct walk w;
        const krb5_keytab_entry *entry = NULL;
        int added = 0;
        if (walk_start(&w, krb5, path, err) == 0)
            while (added == 0 && (entry = walk_next(&w, err))) {
                roll_add(&all, krb5, entry->principal);
                if (answers(entry->principal, service, realm, nocase))
                    added = copy_entry(copy, krb5, entry, &copied);
            }
        if (added < 0)
            dw_error_set(err, DW_ERROR_INTERNAL, "keytab %s: out of memory", path);
        walk_end(&w);
        if (added < 0 || w.told)
            goto done;
    }
    if (copied.count == 0) {
        tell_absent(&all, path, service, realm, err);
        goto done;
    }
    copy->principals = copied.count + copied.more;
    copy->principal = strdup(copied.names[0]);
    if (copy->principal)
        rc = 0;
    else
        dw_error_set(err, DW_ERROR_INTERNAL, "keytab %s: out of memory", path);
done:
    roll_free(&all);
    roll_free(&copied);
    if (rc < 0)
        dw_keytab_copy_close(copy, krb5);
    return rc;
}

void dw_keytab_copy_close(struct dw_keytab_copy *copy, krb5_context krb5)
{
    if (copy->keytab)
        krb5_kt_close(krb5, copy->keytab);
    free(copy->principal);
    *copy = (struct dw_keytab_copy){.principals = 0};
}

int dw_keytab_list(const char *path, struct dw_buf *out, struct dw_error *err)
{
    size_t before = dw_buf_len(out);
    krb5_context krb5 = NULL;
    krb5_error_code code = krb5_init_context(&krb5);
    if (code)
        return dw_status_tell_krb5(err, NULL, code, "keytab %s", path);
    int rc = -1;
    struct dw_keytab_stamp stamp;
    struct walk w = {.told = true};
    if (dw_keytab_look(path, &stamp, err) < 0 || walk_start(&w, krb5, path, err) < 0)
        goto done;
    const krb5_keytab_entry *entry;
    while ((entry = walk_next(&w, err))) {
        char *name = NULL, enctype[64];
        if (krb5_enctype_to_name(entry->key.enctype, FALSE, enctype, sizeof enctype))
            snprintf(enctype, sizeof enctype, "%d", (int)entry->key.enctype);
        if (krb5_unparse_name(krb5, entry->principal, &name) ||
            dw_buf_printf(out, "%s kvno=%u enctype=%s\n", name, (unsigned)entry->vno, enctype) < 0) {
            dw_error_set(err, DW_ERROR_INTERNAL, "keytab %s: out of memory", path);
            w.told = true;
        }
        krb5_free_unparsed_name(krb5, name);
        if (w.told)
            break;
    }
    rc = w.told ? -1 : 0;
done:
    walk_end(&w);
    krb5_free_context(krb5);
    if (rc < 0)
        dw_buf_cut(out, before);
    return rc;
}
