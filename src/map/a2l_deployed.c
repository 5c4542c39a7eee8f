/* The rules that stand in a krb5.conf: see a2l.h. */
#include "map/a2l_engine.h"
#include "map/krb5_conf.h"

#include <stdlib.h>

enum { ORPHANS_MOST = 8 };

/* A rule or a name of some realm: which realm is the default one may be known only at the file's end. */
struct relation {
    char *realm, *name, *value; /* a rule has no name */
};

struct deployed {
    char *default_realm;
    struct relation *list;
    size_t count;
};

static int keep(struct deployed *d, const char *realm, const char *name, const char *value, struct dw_error *err)
{
    struct relation *list = realloc(d->list, (d->count + 1) * sizeof *list);
    if (!list)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    d->list = list;
    struct relation *r = &list[d->count++];
    *r = (struct relation){strdup(realm), name ? strdup(name) : NULL, strdup(value)};
    return r->realm && r->value && (!name || r->name) ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
}

static int visit(void *arg, const char *const keys[], size_t count, const char *value, struct dw_error *err)
{
    struct deployed *d = arg;
    if (count == 2 && !strcmp(keys[0], "libdefaults") && !strcmp(keys[1], "default_realm") && !d->default_realm)
        return (d->default_realm = strdup(value)) ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (count == 3 && !strcmp(keys[0], "realms") && !strcmp(keys[2], "auth_to_local"))
        return keep(d, keys[1], NULL, value, err);
    if (count == 4 && !strcmp(keys[0], "realms") && !strcmp(keys[2], "auth_to_local_names"))
        return keep(d, keys[1], keys[3], value, err);
    return 0;
}

static void forget(struct deployed *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->list[i].realm);
        free(d->list[i].name);
        free(d->list[i].value);
    }
    free(d->list);
    free(d->default_realm);
}

/* Realms whose rules nobody reads, for lint. */
static int note_orphans(struct dw_a2l *a2l, const struct deployed *d, const char *path)
{
    size_t noted = 0;
    for (size_t i = 0; i < d->count && noted < ORPHANS_MOST; i++) {
        const char *realm = d->list[i].realm;
        bool known = !strcmp(realm, d->default_realm);
        for (size_t j = 0; j < i; j++)
            known = known || !strcmp(realm, d->list[j].realm);
        if (known)
            continue;
        char *longer = NULL;
        if (asprintf(&longer, "%s%s%s", a2l->orphans ? a2l->orphans : path, a2l->orphans ? ", " : ": ", realm) < 0)
            return -1;
        free(a2l->orphans);
        a2l->orphans = longer;
        noted++;
    }
    return 0;
}

struct dw_a2l *dw_a2l_from_krb5_conf(const char *path, enum dw_a2l_code *code, struct dw_error *err)
{
    struct deployed d = {0};
    struct dw_a2l *a2l = NULL;
    struct dw_span *rules = NULL;
    struct dw_a2l_name *names = NULL;
    struct dw_a2l_options options = {.dialect = DW_A2L_MIT};
    size_t count = 0;
    *code = DW_A2L_FAILED;
    if (dw_krb5_conf_read(path, visit, &d, err) < 0)
        goto done;
    if (!d.default_realm) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: [libdefaults] has no default_realm, whose rules would be read",
                     path);
        goto done;
    }
    rules = calloc(d.count + 1, sizeof *rules);
    names = calloc(d.count + 1, sizeof *names);
    if (!rules || !names) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < d.count; i++) {
        const struct relation *r = &d.list[i];
        if (strcmp(r->realm, d.default_realm))
            continue;
        if (r->name)
            names[options.name_count++] = (struct dw_a2l_name){dw_span_str(r->name), dw_span_str(r->value)};
        else
            rules[count++] = dw_span_str(r->value);
    }
    options.default_realm = dw_span_str(d.default_realm);
    options.names = names;
    a2l = dw_a2l_compile(rules, count, &options, code, err);
    if (a2l && note_orphans(a2l, &d, path) < 0) {
        *code = DW_A2L_FAILED;
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        dw_a2l_free(&a2l);
    }
done:
    forget(&d);
    free(rules);
    free(names);
    return a2l;
}
