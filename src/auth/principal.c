/* Kerberos names to parts and back: see principal.h. */
#include "auth/principal.h"

#include "base/text.h"

#include <stdlib.h>

static int malformed(struct dw_error *err, struct dw_span name, const char *why)
{
    struct dw_buf quoted = {0};
    struct dw_span shown = dw_span_make(name.at, name.len < 120 ? name.len : 120);
    dw_text_quote(&quoted, shown);
    dw_error_set(err, DW_ERROR_DENIED, "malformed principal name %.*s%s: %s", (int)dw_buf_len(&quoted),
                 (const char *)dw_buf_span(&quoted).at, shown.len < name.len ? ".." : "", why);
    dw_buf_free(&quoted);
    return -1;
}

/* Counts components and checks the shape; the second pass then cannot fail. */
static int survey(struct dw_span name, bool is_enterprise, size_t *components, bool *has_realm,
                  struct dw_error *err)
{
    bool is_address = is_enterprise; /* the first '@' is part of the name */
    *components = 1;
    *has_realm = false;
    for (size_t i = 0; i < name.len; i++) {
        switch (name.at[i]) {
        case '\0': return malformed(err, name, "it holds a NUL octet (a quoted one is written \\0)");
        case '/':
            if (is_enterprise)
                break;
            if (*has_realm)
                return malformed(err, name, "a '/' in the realm must be quoted with a backslash");
            ++*components;
            break;
        case '@':
            if (*has_realm)
                return malformed(err, name,
                                 is_enterprise ? "it holds a third '@'; quote the second with a backslash"
                                               : "it holds a second '@'; quote the first with a backslash");
            *has_realm = !is_address;
            is_address = false;
            break;
        case '\\':
            if (++i == name.len)
                return malformed(err, name, "it ends in a backslash");
            if (name.at[i] == '\0')
                return malformed(err, name, "it holds a NUL octet (a quoted one is written \\0)");
            break;
        default: break;
        }
    }
    return 0;
}

static uint8_t unquoted(uint8_t c)
{
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'b': return '\b';
    case '0': return '\0';
    default: return c;
    }
}

static void split(struct dw_principal *p, struct dw_span name, bool is_enterprise)
{
    bool is_address = is_enterprise;
    uint8_t *out = p->storage;
    struct dw_span *part = p->components;
    *part = dw_span_make(out, 0);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        if (c == '/' && !is_enterprise) {
            *++part = dw_span_make(out, 0);
            continue;
        }
        if (c == '@' && !is_address) {
            part = &p->realm;
            *part = dw_span_make(out, 0);
            continue;
        }
        is_address = is_address && c != '@';
        *out++ = c == '\\' ? unquoted(name.at[++i]) : c;
        part->len++;
    }
    if (!p->realm_given) {
        memcpy(out, p->realm.at, p->realm.len);
        p->realm.at = out;
    }
}

static int parse(struct dw_principal *p, struct dw_span name, struct dw_span default_realm, bool is_enterprise,
                 struct dw_error *err)
{
    *p = (struct dw_principal){0};
    if (!name.at)
        return dw_error_set(err, DW_ERROR_DENIED, "malformed principal name: there is none");
    if (survey(name, is_enterprise, &p->component_count, &p->realm_given, err) < 0)
        return -1;
    if (!p->realm_given) {
        if (!default_realm.at)
            return malformed(err, name, "it has no realm, and no default realm is set");
        p->realm = default_realm;
    }
    p->components = calloc(p->component_count, sizeof *p->components);
    p->storage = malloc(name.len + p->realm.len + 1);
    if (!p->components || !p->storage) {
        dw_principal_free(p);
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory for a principal name");
    }
    split(p, name, is_enterprise);
    return 0;
}

int dw_principal_parse(struct dw_principal *p, struct dw_span name, struct dw_span default_realm,
                       struct dw_error *err)
{
    return parse(p, name, default_realm, false, err);
}

int dw_principal_parse_enterprise(struct dw_principal *p, struct dw_span name, struct dw_span default_realm,
                                  struct dw_error *err)
{
    return parse(p, name, default_realm, true, err);
}

void dw_principal_free(struct dw_principal *p)
{
    free(p->components);
    free(p->storage);
    *p = (struct dw_principal){0};
}

/* Without a realm behind it an '@' needs no quoting; the library leaves it bare, and so do we. */
static int put_quoted(struct dw_buf *out, struct dw_span part, bool quote_at)
{
    for (size_t i = 0; i < part.len; i++) {
        uint8_t c = part.at[i], escape = 0;
        switch (c) {
        case '@': escape = quote_at ? c : 0; break;
        case '/':
        case '\\': escape = c; break;
        case '\t': escape = 't'; break;
        case '\n': escape = 'n'; break;
        case '\b': escape = 'b'; break;
        case '\0': escape = '0'; break;
        default: break;
        }
        if (escape && dw_buf_put_u8(out, '\\') < 0)
            return -1;
        if (dw_buf_put_u8(out, escape ? escape : c) < 0)
            return -1;
    }
    return 0;
}

static int put_part(struct dw_buf *out, struct dw_span part, enum dw_principal_form form)
{
    if (form == DW_PRINCIPAL_DISPLAY)
        return dw_buf_put(out, part);
    return put_quoted(out, part, form != DW_PRINCIPAL_NO_REALM);
}

int dw_principal_format(const struct dw_principal *p, enum dw_principal_form form, struct dw_span default_realm,
                        struct dw_buf *out)
{
    size_t before = dw_buf_len(out);
    bool local = form == DW_PRINCIPAL_SHORT && default_realm.at && dw_span_equal(p->realm, default_realm);
    for (size_t i = 0; i < p->component_count; i++) {
        if (i > 0 && dw_buf_put_u8(out, '/') < 0)
            goto failed;
        if (put_part(out, p->components[i], form) < 0)
            goto failed;
    }
    if (form == DW_PRINCIPAL_NO_REALM || local)
        return 0;
    if (dw_buf_put_u8(out, '@') < 0 || put_part(out, p->realm, form) < 0)
        goto failed;
    return 0;
failed:
    dw_buf_cut(out, before);
    return -1;
}

bool dw_principal_equal(const struct dw_principal *a, const struct dw_principal *b)
{
    if (a->component_count != b->component_count || !dw_span_equal(a->realm, b->realm))
        return false;
    for (size_t i = 0; i < a->component_count; i++)
        if (!dw_span_equal(a->components[i], b->components[i]))
            return false;
    return true;
}

bool dw_principal_is_anonymous(const struct dw_principal *p)
{
    if (dw_span_equal(p->realm, DW_SPAN_OF("WELLKNOWN:ANONYMOUS")))
        return true;
    return p->component_count == 2 && dw_span_equal(p->components[0], DW_SPAN_OF("WELLKNOWN")) &&
           dw_span_equal(p->components[1], DW_SPAN_OF("ANONYMOUS"));
}
