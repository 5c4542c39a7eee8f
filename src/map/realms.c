/* Hosts to realms: see realms.h; paths stand in realm_path.c. */
#include "map/realms.h"

#include <stdlib.h>

struct row {
    struct dw_span domain, realm;
    size_t order;
};

struct dw_realm_table {
    size_t count;
    uint8_t *text;
    struct row rows[];
};

static int compare_spans(struct dw_span a, struct dw_span b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least ? memcmp(a.at, b.at, least) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    int order = compare_spans(left->domain, right->domain);
    return order ? order : (left->order > right->order) - (left->order < right->order);
}

static struct dw_span keep(uint8_t **at, struct dw_span text)
{
    struct dw_span kept = dw_span_make(*at, text.len);
    if (text.len)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return kept;
}

struct dw_realm_table *dw_realm_table_new(const struct dw_realm_entry *entries, size_t count)
{
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        size += entries[i].domain.len + entries[i].realm.len;
    struct dw_realm_table *table = calloc(1, sizeof *table + count * sizeof *table->rows);
    if (!table || !(table->text = malloc(size))) {
        free(table);
        return NULL;
    }
    uint8_t *at = table->text;
    for (size_t i = 0; i < count; i++)
        table->rows[i] = (struct row){keep(&at, entries[i].domain), keep(&at, entries[i].realm), i};
    table->count = count;
    if (count)
        qsort(table->rows, count, sizeof *table->rows, compare_rows);
    return table;
}

void dw_realm_table_free(struct dw_realm_table **table)
{
    if (*table)
        free((*table)->text);
    free(*table);
    *table = NULL;
}

/* The first of the rows with this domain. */
static const struct row *find(const struct dw_realm_table *table, struct dw_span domain)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_spans(table->rows[middle].domain, domain) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == table->count || !dw_span_equal(table->rows[low].domain, domain))
        return NULL;
    return &table->rows[low];
}

/* Lower case, without one trailing dot; false when it is no name that could be looked up. */
static bool clean(struct dw_span host, uint8_t into[DW_REALM_HOST_MAX], struct dw_span *name)
{
    if (!host.at || host.len > DW_REALM_HOST_MAX || memchr(host.at, '\0', host.len))
        return false;
    for (size_t i = 0; i < host.len; i++)
        into[i] = host.at[i] >= 'A' && host.at[i] <= 'Z' ? host.at[i] + 32 : host.at[i];
    *name = dw_span_make(into, host.len);
    if (name->len > 0 && into[name->len - 1] == '.')
        name->len--;
    return true;
}

/* Digits and three dots, or a colon anywhere. */
static bool is_address(struct dw_span name)
{
    size_t dots = 0, digits = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == ':')
            return true;
        dots += name.at[i] == '.';
        digits += name.at[i] >= '0' && name.at[i] <= '9';
    }
    return dots == 3 && dots + digits == name.len;
}

static struct dw_span from_dot(struct dw_span name)
{
    const uint8_t *dot = name.len ? memchr(name.at, '.', name.len) : NULL;
    return dot ? dw_span_make(dot, (size_t)(name.at + name.len - dot)) : DW_SPAN_NONE;
}

static struct dw_span after_dot(struct dw_span name)
{
    struct dw_span rest = from_dot(name);
    return rest.at ? dw_span_make(rest.at + 1, rest.len - 1) : DW_SPAN_NONE;
}

struct dw_span dw_realm_lookup(const struct dw_realm_table *table, struct dw_span host)
{
    uint8_t text[DW_REALM_HOST_MAX];
    struct dw_span name;
    if (!clean(host, text, &name) || is_address(name))
        return DW_SPAN_NONE;
    while (name.at) {
        const struct row *row = find(table, name);
        if (row)
            return row->realm;
        name = name.len && name.at[0] == '.' ? after_dot(name) : from_dot(name);
    }
    return DW_SPAN_NONE;
}

static bool is_known(const struct dw_realm_fallback *with, struct dw_span realm)
{
    for (size_t i = 0; i < with->known_count; i++)
        if (dw_span_equal(with->known[i], realm))
            return true;
    return false;
}

int dw_realm_fallback(struct dw_span host, const struct dw_realm_fallback *with, struct dw_buf *realm)
{
    uint8_t text[DW_REALM_HOST_MAX];
    struct dw_span name;
    if (!clean(host, text, &name) || is_address(name))
        return with->default_realm.at ? dw_buf_put(realm, with->default_realm) : 0;
    for (size_t i = 0; i < name.len; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] -= 32;
    struct dw_span suffix = name;
    for (int left = with->try_domains; left >= 0 && from_dot(suffix).at; left--) {
        if (is_known(with, suffix))
            return dw_buf_put(realm, suffix);
        suffix = after_dot(suffix);
    }
    struct dw_span parent = after_dot(name);
    if (parent.at)
        return dw_buf_put(realm, parent);
    return with->default_realm.at ? dw_buf_put(realm, with->default_realm) : 0;
}
