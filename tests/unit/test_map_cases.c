/* The case files of tests/cases, each case as its line says: names, auth_to_local, realms of hosts, paths.
 *
 * One case is counted as skipped: "lnsize", for there is no buffer of the caller's to overflow. */
#include "auth/principal.h"
#include "base/text.h"
#include "check.h"
#include "map/a2l.h"
#include "map/realms.h"

#include <jansson.h>
#include <stdlib.h>

static int cases, skipped;
static const char *id;

/* A string, or {"hex": ".."}; freed with the others at the end of a case. */
static struct dw_buf kept[64];
static size_t kept_count;

static struct dw_span text_of(const json_t *value)
{
    if (!value || json_is_null(value))
        return DW_SPAN_NONE;
    if (json_is_string(value))
        return dw_span_make(json_string_value(value), json_string_length(value));
    struct dw_buf *buf = &kept[kept_count++];
    const char *hex = json_string_value(json_object_get(value, "hex"));
    dw_buf_room(buf, 1);
    if (!hex || dw_text_unhex(buf, dw_span_str(hex)) < 0)
        abort();
    return dw_buf_span(buf);
}

static struct dw_span field(const json_t *object, const char *name)
{
    return text_of(json_object_get(object, name));
}

static bool same(const char *what, struct dw_span got, struct dw_span wanted)
{
    bool ok = got.at && wanted.at && dw_span_equal(got, wanted);
    if (!ok)
        printf("%s: %s: got \"%.*s\", wanted \"%.*s\"\n", id, what, (int)got.len,
               got.at ? (const char *)got.at : "", (int)wanted.len, wanted.at ? (const char *)wanted.at : "");
    return ok;
}

static bool told(bool ok, const char *what)
{
    if (!ok)
        printf("%s: %s\n", id, what);
    return ok;
}

static bool each_line(const char *path, void (*run)(json_t *one))
{
    char *line = NULL;
    size_t room = 0;
    FILE *in = fopen(path, "r");
    if (!CHECK(in != NULL))
        return false;
    while (getline(&line, &room, in) > 0) {
        json_t *one = json_loads(line, JSON_ALLOW_NUL, NULL);
        if (!CHECK(one != NULL))
            break;
        id = json_string_value(json_object_get(one, "id"));
        cases++;
        run(one);
        json_decref(one);
        while (kept_count > 0)
            dw_buf_free(&kept[--kept_count]);
    }
    free(line);
    fclose(in);
    return true;
}

static bool has_flag(const json_t *one, const char *flag)
{
    size_t i;
    json_t *each;
    json_array_foreach(json_object_get(one, "flags"), i,
                       each) if (!strcmp(json_string_value(each), flag)) return true;
    return false;
}

/* The parser's flags are what its caller does with the default realm, and with a realm that was given. */
static int parse(const json_t *one, const char *name, struct dw_principal *p)
{
    struct dw_span realm = field(one, "default_realm");
    struct dw_error err = {0};
    if (has_flag(one, "require_realm"))
        realm = DW_SPAN_NONE;
    if (has_flag(one, "no_def_realm") || has_flag(one, "no_realm") || has_flag(one, "ignore_realm"))
        realm = DW_SPAN_OF("");
    bool is_enterprise = has_flag(one, "enterprise");
    if ((is_enterprise ? dw_principal_parse_enterprise : dw_principal_parse)(p, field(one, name), realm, &err) <
        0) {
        told(err.detail[0] != '\0', "no reason was told");
        return -1;
    }
    if (has_flag(one, "no_realm") && p->realm_given) {
        dw_principal_free(p);
        return -1;
    }
    if (has_flag(one, "ignore_realm"))
        p->realm.len = 0;
    return 0;
}

static bool printed_as(const struct dw_principal *p, enum dw_principal_form form, const json_t *one,
                       const char *what)
{
    struct dw_span wanted = field(json_object_get(one, "expect"), what), home = field(one, "default_realm");
    struct dw_buf out = {0};
    if (!wanted.at || (wanted.len && wanted.at[0] == '!')) /* no default realm: the caller's to refuse */
        return true;
    dw_buf_room(&out, 1);
    bool ok = dw_principal_format(p, form, home, &out) == 0;
    struct dw_span got = dw_buf_span(&out);
    if (form == DW_PRINCIPAL_DISPLAY) /* the library's answer is a C string */
        got.len = strnlen((const char *)got.at, got.len);
    ok = ok && same(what, got, wanted);
    dw_buf_free(&out);
    return ok;
}

static bool as_expected(const struct dw_principal *p, const json_t *one)
{
    const json_t *expect = json_object_get(one, "expect"), *list = json_object_get(expect, "components");
    bool ok = same("realm", p->realm, field(expect, "realm")) &&
              told(p->component_count == json_array_size(list), "wrong number of components");
    for (size_t i = 0; ok && i < p->component_count; i++)
        ok = same("component", p->components[i], text_of(json_array_get(list, i)));
    return printed_as(p, DW_PRINCIPAL_FULL, one, "unparse") &&
           printed_as(p, DW_PRINCIPAL_SHORT, one, "unparse_short") &&
           printed_as(p, DW_PRINCIPAL_NO_REALM, one, "unparse_no_realm") &&
           printed_as(p, DW_PRINCIPAL_DISPLAY, one, "unparse_display") && ok;
}

static void compare_case(const json_t *one)
{
    const json_t *expect = json_object_get(one, "expect");
    struct dw_principal a = {0}, b = {0};
    if (told(parse(one, "name", &a) == 0 && parse(one, "name2", &b) == 0, "does not parse")) {
        CHECK(told(dw_principal_equal(&a, &b) == json_is_true(json_object_get(expect, "equal")), "equal"));
        CHECK(told(dw_span_equal(a.realm, b.realm) == json_is_true(json_object_get(expect, "same_realm")),
                   "same realm"));
        struct dw_principal moved = b;
        moved.realm = a.realm;
        CHECK(told(dw_principal_equal(&a, &moved) == json_is_true(json_object_get(expect, "equal_any_realm")),
                   "equal in any realm"));
    }
    dw_principal_free(&a);
    dw_principal_free(&b);
}

static void principal_case(json_t *one)
{
    const char *op = json_string_value(json_object_get(one, "op"));
    struct dw_principal p = {0};
    struct dw_span parts[32];
    if (op && !strcmp(op, "compare")) {
        compare_case(one);
    } else if (op && !strcmp(op, "unparse")) {
        const json_t *list = json_object_get(one, "components");
        p = (struct dw_principal){.realm = field(one, "realm"), .components = parts, .realm_given = true};
        for (p.component_count = 0; p.component_count < json_array_size(list) && p.component_count < 32;
             p.component_count++)
            parts[p.component_count] = text_of(json_array_get(list, p.component_count));
        CHECK(as_expected(&p, one));
    } else if (parse(one, "name", &p) < 0) {
        CHECK(told(json_object_get(json_object_get(one, "expect"), "error") != NULL, "does not parse"));
    } else {
        CHECK(told(!json_object_get(json_object_get(one, "expect"), "error"), "parses, and should not"));
        CHECK(as_expected(&p, one));
        dw_principal_free(&p);
    }
}

static size_t names_of(const json_t *one, struct dw_a2l_name names[16])
{
    const char *name;
    json_t *value, *each;
    size_t count = 0, i;
    json_object_foreach(json_object_get(one, "names"), name, value)
    {
        if (json_is_string(value))
            names[count++] = (struct dw_a2l_name){dw_span_str(name), text_of(value)};
        json_array_foreach(value, i, each) names[count++] = (struct dw_a2l_name){dw_span_str(name), text_of(each)};
    }
    return count;
}

/* The steps must tell the same as the answer does. */
static bool explained(struct dw_a2l *a2l, struct dw_span name, enum dw_a2l_code wanted, struct dw_span user)
{
    struct dw_a2l_report report = {0};
    struct dw_error err = {0};
    struct dw_buf again = {0};
    bool ok = told(dw_a2l_map(a2l, name, &again, &report, &err) == wanted, "the explained answer differs");
    const struct dw_a2l_step *last = report.count ? &report.steps[report.count - 1] : NULL;
    if (wanted == DW_A2L_MAPPED)
        ok = told(last && last->outcome == DW_A2L_MATCHED, "the last step matches") &&
             same("step", last->user, user) && ok;
    for (size_t i = 0; i < report.count; i++)
        ok = told(report.steps[i].why.len > 0, "a step without a why") && ok;
    dw_a2l_report_free(&report);
    dw_buf_free(&again);
    return ok;
}

static bool answered(const json_t *one, struct dw_a2l *a2l, enum dw_a2l_code code, struct dw_error *err)
{
    const json_t *expect = json_object_get(one, "expect");
    const char *error = json_string_value(json_object_get(expect, "error"));
    struct dw_span name = field(one, "principal");
    struct dw_buf user = {0};
    bool ok = true;
    dw_buf_room(&user, 1);
    if (a2l) {
        code = dw_a2l_map(a2l, name, &user, NULL, err);
        ok = explained(a2l, name, code, dw_buf_span(&user));
    }
    if (json_object_get(one, "op")) { /* kuserok: may this name log in as that user */
        bool may = code == DW_A2L_MAPPED && dw_span_equal(dw_buf_span(&user), field(one, "local"));
        ok = told(may == json_is_true(json_object_get(expect, "ok")), "kuserok") && ok;
    } else if (json_object_get(expect, "hang")) {
        ok = told(code == DW_A2L_ENDLESS, "should be endless") && ok;
    } else if (error) {
        ok = same("error", dw_span_str(dw_a2l_code_word(code)), dw_span_str(error)) && ok;
        ok = told(err->detail[0] != '\0', "no reason was told") && ok;
    } else {
        ok = told(code == DW_A2L_MAPPED, err->detail) &&
             same("local", dw_buf_span(&user), field(expect, "local")) && ok;
    }
    dw_buf_free(&user);
    return ok;
}

static void a2l_case(json_t *one)
{
    const json_t *list = json_object_get(one, "rules");
    struct dw_span rules[16];
    struct dw_a2l_name names[16];
    struct dw_error err = {0};
    enum dw_a2l_code code;
    size_t count = 0;
    if (json_object_get(one, "lnsize")) {
        skipped++;
        return;
    }
    for (; count < json_array_size(list) && count < 16; count++)
        rules[count] = text_of(json_array_get(list, count));
    struct dw_a2l_options options = {
        .dialect = (enum dw_a2l_dialect)dw_a2l_dialect_parse(json_string_value(json_object_get(one, "impl"))),
        .default_realm = field(one, "default_realm"),
        .names = names,
        .name_count = names_of(one, names),
    };
    struct dw_a2l *a2l = dw_a2l_compile(rules, count, &options, &code, &err);
    CHECK(answered(one, a2l, code, &err));
    dw_a2l_free(&a2l);
}

static void host_case(json_t *one)
{
    struct dw_realm_entry entries[32];
    struct dw_span known[16], host = field(one, "host");
    const char *domain;
    json_t *value;
    size_t count = 0, i;
    json_object_foreach(json_object_get(one, "domain_realm"), domain, value) entries[count++] =
        (struct dw_realm_entry){dw_span_str(domain), text_of(value)};
    struct dw_realm_fallback with = {field(one, "default_realm"), -1, known, 0};
    json_array_foreach(json_object_get(one, "realms"), i, value) known[with.known_count++] = text_of(value);
    const char *tries =
        json_string_value(json_object_get(json_object_get(one, "libdefaults"), "realm_try_domains"));
    with.try_domains = tries ? atoi(tries) : -1;

    const json_t *expect = json_object_get(one, "expect");
    struct dw_realm_table *table = dw_realm_table_new(entries, count);
    struct dw_span got = dw_realm_lookup(table, host);
    struct dw_buf fallback = {0};
    if (strcmp(json_string_value(json_object_get(expect, "via")), "fallback")) {
        CHECK(same("realm", got, field(expect, "realm")));
    } else {
        CHECK(told(!got.at, "is in the table, and should not be"));
        CHECK(dw_realm_fallback(host, &with, &fallback) == 0 &&
              same("realm", dw_buf_span(&fallback), field(expect, "realm")));
    }
    dw_buf_free(&fallback);
    dw_realm_table_free(&table);
}

/* The tickets that a path asks for: one for each realm after the first, and the client's own. */
static bool tickets(const json_t *one, const struct dw_span *path, size_t count)
{
    const json_t *list = json_object_get(json_object_get(one, "expect"), "tgts");
    struct dw_buf made = {0};
    size_t at = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        struct dw_span from = path[i ? i - 1 : 0];
        if (i == 0 && from.len == 0)
            continue;
        dw_buf_clear(&made, 4096);
        dw_buf_printf(&made, "krbtgt/%.*s@%.*s", (int)path[i].len, (const char *)path[i].at, (int)from.len,
                      (const char *)from.at);
        ok = same("ticket", dw_buf_span(&made), text_of(json_array_get(list, at++)));
    }
    dw_buf_free(&made);
    return ok && told(at == json_array_size(list), "wrong number of tickets");
}

static void path_case(json_t *one)
{
    struct dw_span hops[16], *path;
    struct dw_span client = field(one, "client"), server = field(one, "server");
    const json_t *of_client = json_object_get(json_object_get(one, "capaths"), (const char *)client.at);
    const json_t *list = json_object_get(of_client, (const char *)server.at);
    size_t count = 0;
    for (; count < json_array_size(list) && count < 16; count++)
        hops[count] = text_of(json_array_get(list, count));
    path = calloc(dw_realm_path_max(client, server, count), sizeof *path);
    size_t got = dw_realm_path(client, server, list ? hops : NULL, count, path);
    CHECK(tickets(one, path, got));
    free(path);
}

static void principals(void)
{
    each_line("tests/cases/principal_parse.jsonl", principal_case);
}

static void auth_to_local(void)
{
    each_line("tests/cases/auth_to_local.jsonl", a2l_case);
}

static void hosts(void)
{
    each_line("tests/cases/host_realm.jsonl", host_case);
}

static void paths(void)
{
    each_line("tests/cases/realm_path.jsonl", path_case);
}

int main(void)
{
    RUN(principals);
    RUN(auth_to_local);
    RUN(hosts);
    RUN(paths);
    printf("%d cases, %d of them skipped (a caller's buffer)\n", cases, skipped);
    CHECK_INT(skipped, 1);
    return check_done();
}
