/* The rules that stand in a krb5.conf, or in Hadoop's core-site.xml: see a2l.h. */
#include "map/a2l_engine.h"
#include "map/core_site.h"
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

static int visit_realm(void *arg, const char *const keys[], size_t count, const char *value, struct dw_error *err)
{
    char **realm = arg;
    if (count == 2 && !strcmp(keys[0], "libdefaults") && !strcmp(keys[1], "default_realm") && !*realm)
        return (*realm = strdup(value)) ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return 0;
}

/* The property's value, or an absent span. */
static int get(const struct dw_core_site *site, const char *name, struct dw_buf *room, struct dw_span *value,
               struct dw_error *err)
{
    int found = dw_core_site_get(site, name, room, err);
    *value = found > 0 ? dw_buf_span(room) : DW_SPAN_NONE;
    return found < 0 ? -1 : 0;
}

struct dw_a2l *dw_a2l_from_core_site(const char *path, const struct dw_a2l_site *options, enum dw_a2l_code *code,
                                     struct dw_error *err)
{
    static const char rules_name[] = "hadoop.security.auth_to_local",
                      mechanism_name[] = "hadoop.security.auth_to_local.mechanism";
    struct dw_buf rules = {0}, mechanism = {0};
    struct dw_a2l_options compiled = {.dialect = DW_A2L_HADOOP, .default_realm = options->default_realm};
    struct dw_span text, word;
    struct dw_error why = {0};
    struct a2l_shown shown;
    struct dw_a2l *a2l = NULL;
    char *realm = NULL;
    struct dw_core_site *site = dw_core_site_read(path, err);
    *code = DW_A2L_FAILED;
    if (!site || get(site, rules_name, &rules, &text, err) < 0 ||
        get(site, mechanism_name, &mechanism, &word, err) < 0)
        goto done;
    if (word.at && dw_span_equal_nocase(word, DW_SPAN_OF("mit"))) {
        compiled.dialect = DW_A2L_HADOOP_MIT;
    } else if (word.at && !dw_span_equal_nocase(word, DW_SPAN_OF("hadoop"))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s is \"hadoop\" or \"mit\", not %s",
                     dw_core_site_where(site, mechanism_name), mechanism_name, a2l_show(&shown, word));
        goto done;
    }
    if (options->krb5_conf && !compiled.default_realm.at) {
        if (dw_krb5_conf_read(options->krb5_conf, visit_realm, &realm, err) < 0)
            goto done;
        compiled.default_realm = dw_span_str(realm);
    }
    a2l = dw_a2l_compile(&text, text.at ? 1 : 0, &compiled, code, &why);
    if (!a2l)
        dw_error_set(err, DW_ERROR_INTERNAL, "%s: %s", text.at ? dw_core_site_where(site, rules_name) : path,
                     why.detail);
done:
    dw_core_site_free(&site);
    dw_buf_free(&rules);
    dw_buf_free(&mechanism);
    free(realm);
    return a2l;
}
