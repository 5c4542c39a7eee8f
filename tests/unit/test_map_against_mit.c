/* Names, mappings and realms put to our code and to the installed libkrb5: they must agree.  The questions are
 * made from a seed, so that a difference can be had again: DURWARD_SEED=n test_map_against_mit.
 *
 * The library reads its configuration from a file; each round writes one with random rules.  Mappings that
 * ours answers with ENDLESS or LIMIT are not put to the library, which might not come back. */
#include "auth/principal.h"
#include "check.h"
#include "map/a2l.h"
#include "map/realms.h"

#include <krb5.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define HOME "HOME.TEST"

static unsigned long long seed;
static char folder[] = "/tmp/durward-map-XXXXXX", path[64];
static struct timespec started;

static unsigned dice(unsigned sides)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % sides;
}

static bool time_left(double share)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - started.tv_sec) + (double)(now.tv_nsec - started.tv_nsec) / 1e9 < share;
}

static void add(char *text, size_t size, const char *more)
{
    size_t len = strlen(text);
    snprintf(text + len, size - len, "%s", more);
}

#define PICK(list) (list)[dice(sizeof(list) / sizeof *(list))]

static void random_name(char text[128])
{
    static const char *const bits[] = {"a",  "b",        "ab",  "alice", "root", "admin", "-",   ".",
                                       "01", "\\/",      "\\@", "\\\\",  "\\n",  "\\0",   "\\x", " ",
                                       ";",  "\xc3\xa9", "A",   "$1",    "/",    "@"};
    static const char *const realms[] = {"", "@" HOME, "@" HOME, "@X", "@", "@OTHER.TEST", "@home.test", "@X\\/Y"};
    text[0] = '\0';
    for (unsigned i = 1 + dice(3); i > 0; i--)
        add(text, 128, bits[dice(dice(8) ? 20 : 22)]);
    for (unsigned i = dice(3); i > 0; i--) {
        add(text, 128, "/");
        add(text, 128, dice(5) ? bits[dice(20)] : HOME);
    }
    add(text, 128, PICK(realms));
    if (!dice(60))
        add(text, 128, "\\");
}

static void random_pattern(char *text, size_t size, bool groups)
{
    static const char *const bits[] = {
        "a",      "b",      ".",     ".*",   ".+",  "[a-z]*",       "[^@]*",    "^",    "$",     "a|b", "x?", "-",
        "[0-9]+", "a{1,2}", "alice", "root", "@",   "@X",           "\\.",      "\\\\", "admin", " ",   ";",  "\\w",
        "\\<",    "[",      "a**",   "{",    "\\b", "[[:alpha:]]*", "\xc3\xa9", "\\@"};
    for (unsigned i = 1 + dice(3); i > 0; i--) {
        if (groups && !dice(8))
            add(text, size, dice(2) ? "(a)\\1" : "(ab|a)(b*)");
        else
            add(text, size, PICK(bits));
    }
}

static void random_rule(char *text, size_t size)
{
    static const char *const counts[] = {
        "1", "1", "1", "2", "2", "3", " 1", "+1", "", "x", "-1", "01", "99999999999999999999"};
    static const char *const pieces[] = {"$1", "$1", "$2",  "$0",  "@$0", "-",  ";",
                                         "$",  "$x", "$+1", "$10", "$-1", "lit"};
    static const char *const odd[] = {"DEFAULT", "DEFAULT:x", "BOGUS", "RULE", "RULE: [1:$1]", "default"};
    text[0] = '\0';
    if (!dice(8)) {
        add(text, size, odd[dice(dice(3) ? 2 : 6)]);
        return;
    }
    add(text, size, "RULE:");
    if (dice(6)) {
        add(text, size, "[");
        add(text, size, dice(8) ? counts[dice(5)] : PICK(counts));
        add(text, size, dice(40) ? ":" : "");
        for (unsigned i = 1 + dice(3); i > 0; i--)
            add(text, size, dice(6) ? pieces[dice(5)] : PICK(pieces));
        add(text, size, dice(40) ? "]" : "");
    }
    if (dice(2)) {
        add(text, size, "(");
        random_pattern(text, size, false);
        add(text, size, dice(40) ? ")" : "");
    }
    for (unsigned i = dice(3); i > 0; i--) {
        static const char *const with[] = {"", "", "x", "a", "$1", "\\1", "&", "aa", "guest"};
        static const char *const ends[] = {"/", "/", "/", "/g", "/g", "/ ", "/i", ""};
        add(text, size, "s/");
        random_pattern(text, size, true);
        add(text, size, "/");
        add(text, size, PICK(with));
        add(text, size, dice(8) ? ends[dice(5)] : PICK(ends));
    }
}

/* In double quotes, as the profile library reads them. */
static void put_value(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++)
        fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    fputc('"', out);
}

struct rules {
    char text[4][256];
    struct dw_span spans[4];
    size_t count;
};

static void random_rules(struct rules *rules)
{
    rules->count = dice(8) ? 1 + dice(4) : 0;
    for (size_t i = 0; i < rules->count; i++) {
        random_rule(rules->text[i], sizeof rules->text[i]);
        rules->spans[i] = dw_span_str(rules->text[i]);
    }
}

static bool configure(const struct rules *rules)
{
    FILE *out = fopen(path, "w");
    if (!CHECK(out != NULL))
        return false;
    fprintf(out, "[libdefaults]\n default_realm = " HOME "\n dns_lookup_kdc = false\n[realms]\n " HOME " = {\n");
    for (size_t i = 0; i < rules->count; i++) {
        fputs("  auth_to_local = ", out);
        put_value(out, rules->text[i]);
        fputc('\n', out);
    }
    fputs("  auth_to_local_names = {\n   alice = named\n   a = one\n   a = two\n  }\n }\n", out);
    return CHECK(fclose(out) == 0);
}

static enum dw_a2l_code code_of(krb5_error_code ret)
{
    return ret == 0                       ? DW_A2L_MAPPED
           : ret == KRB5_LNAME_NOTRANS    ? DW_A2L_NO_TRANSLATION
           : ret == KRB5_CONFIG_BADFORMAT ? DW_A2L_BAD_FORMAT
                                          : DW_A2L_FAILED;
}

static void tell_rules(const struct rules *rules, const char *name)
{
    printf("    name '%s', rules:\n", name);
    for (size_t i = 0; i < rules->count; i++)
        printf("      %s\n", rules->text[i]);
}

static void compare_mapping(krb5_context context, struct dw_a2l *a2l, const struct rules *rules)
{
    char name[128], theirs[16384] = "";
    struct dw_buf user = {0};
    struct dw_error err = {0};
    krb5_principal principal = NULL;
    random_name(name);
    enum dw_a2l_code code = dw_a2l_map(a2l, dw_span_str(name), &user, NULL, &err);
    krb5_error_code ret = krb5_parse_name(context, name, &principal);
    if (ret || code == DW_A2L_MALFORMED_NAME) {
        CHECK_INT(code, ret ? DW_A2L_MALFORMED_NAME : DW_A2L_MAPPED);
    } else if (code != DW_A2L_ENDLESS && code != DW_A2L_LIMIT) {
        ret = krb5_aname_to_localname(context, principal, sizeof theirs, theirs);
        bool same = CHECK(code == code_of(ret));
        if (same && code == DW_A2L_MAPPED)
            same = CHECK(dw_span_equal(dw_buf_span(&user), dw_span_str(theirs)));
        if (!same) {
            printf("    libkrb5: %d '%s', durward: %s '%.*s'\n", (int)ret, theirs, dw_a2l_code_word(code),
                   (int)dw_buf_len(&user), (const char *)dw_buf_span(&user).at);
            tell_rules(rules, name);
        }
    }
    krb5_free_principal(context, principal);
    dw_buf_free(&user);
}

static void mappings(void)
{
    struct dw_a2l_name names[] = {{DW_SPAN_OF("alice"), DW_SPAN_OF("named")},
                                  {DW_SPAN_OF("a"), DW_SPAN_OF("one")},
                                  {DW_SPAN_OF("a"), DW_SPAN_OF("two")}};
    for (int round = 0; time_left(3.5) && check_failed < 20; round++) {
        struct rules rules;
        struct dw_a2l_options options = {DW_A2L_MIT, DW_SPAN_OF(HOME), names, 3};
        struct dw_error err = {0};
        enum dw_a2l_code code;
        krb5_context context = NULL;
        random_rules(&rules);
        struct dw_a2l *a2l = dw_a2l_compile(rules.spans, rules.count, &options, &code, &err);
        if (CHECK(a2l != NULL) && configure(&rules) && CHECK(krb5_init_context(&context) == 0))
            for (int i = 0; i < 25; i++)
                compare_mapping(context, a2l, &rules);
        krb5_free_context(context);
        dw_a2l_free(&a2l);
    }
}

static void compare_form(krb5_context context, krb5_principal theirs, const struct dw_principal *ours, int flags,
                         enum dw_principal_form form)
{
    char *text = NULL;
    struct dw_buf out = {0};
    if (CHECK(krb5_unparse_name_flags(context, theirs, flags, &text) == 0) &&
        CHECK(dw_principal_format(ours, form, DW_SPAN_OF(HOME), &out) == 0)) {
        struct dw_span got = dw_buf_span(&out);
        if (form == DW_PRINCIPAL_DISPLAY)
            got.len = strnlen((const char *)got.at, got.len);
        if (!CHECK(dw_span_equal(got, dw_span_str(text))))
            printf("    libkrb5 '%s', durward '%.*s'\n", text, (int)got.len, (const char *)got.at);
    }
    krb5_free_unparsed_name(context, text);
    dw_buf_free(&out);
}

static void compare_name(krb5_context context, const char *name)
{
    krb5_principal theirs = NULL;
    struct dw_principal ours = {0};
    krb5_error_code ret = krb5_parse_name(context, name, &theirs);
    int got = dw_principal_parse(&ours, dw_span_str(name), DW_SPAN_OF(HOME), NULL);
    if (!CHECK((ret != 0) == (got != 0)))
        printf("    name '%s'\n", name);
    if (ret == 0 && got == 0) {
        bool same = CHECK((size_t)theirs->length == ours.component_count);
        same = same && CHECK(dw_span_equal(ours.realm, dw_span_make(theirs->realm.data, theirs->realm.length)));
        for (int i = 0; same && i < theirs->length; i++)
            same = CHECK(
                dw_span_equal(ours.components[i], dw_span_make(theirs->data[i].data, theirs->data[i].length)));
        compare_form(context, theirs, &ours, 0, DW_PRINCIPAL_FULL);
        compare_form(context, theirs, &ours, KRB5_PRINCIPAL_UNPARSE_SHORT, DW_PRINCIPAL_SHORT);
        compare_form(context, theirs, &ours, KRB5_PRINCIPAL_UNPARSE_NO_REALM, DW_PRINCIPAL_NO_REALM);
        compare_form(context, theirs, &ours, KRB5_PRINCIPAL_UNPARSE_DISPLAY, DW_PRINCIPAL_DISPLAY);
        if (!same)
            printf("    name '%s'\n", name);
    }
    krb5_free_principal(context, theirs);
    dw_principal_free(&ours);
}

static void names(void)
{
    struct rules none = {.count = 0};
    krb5_context context = NULL;
    if (!configure(&none) || !CHECK(krb5_init_context(&context) == 0))
        return;
    for (int i = 0; i < 20000 && time_left(4.5) && check_failed < 20; i++) {
        char name[128];
        random_name(name);
        compare_name(context, name);
    }
    krb5_free_context(context);
}

static void hosts(void)
{
    static const char *const domains[] = {"a.test", ".a.test", "b.a.test", ".test",  "test",
                                          "x",      ".x",      ".1",       "1.2.3.4"};
    static const char *const labels[] = {"a", "b", "A", "test", "x", "1", "2", "", "TEST", "a-b"};
    struct dw_realm_entry entries[9];
    krb5_context context = NULL;
    FILE *out = fopen(path, "w");
    if (!CHECK(out != NULL))
        return;
    fputs("[libdefaults]\n default_realm = " HOME "\n[domain_realm]\n", out);
    for (size_t i = 0; i < 9; i++) {
        entries[i] = (struct dw_realm_entry){dw_span_str(domains[i]), dw_span_str(domains[i])};
        fprintf(out, " %s = %s\n", domains[i], domains[i]);
    }
    fclose(out);
    struct dw_realm_table *table = dw_realm_table_new(entries, 9);
    if (!CHECK(krb5_init_context(&context) == 0))
        goto done;
    for (int i = 0; i < 5000 && check_failed < 20; i++) {
        char host[64] = "", **realms = NULL;
        for (unsigned n = 1 + dice(4); n > 0; n--) {
            add(host, sizeof host, PICK(labels));
            add(host, sizeof host, n > 1 || !dice(6) ? "." : "");
        }
        if (!*host || !CHECK(krb5_get_host_realm(context, host, &realms) == 0))
            continue;
        struct dw_span got = dw_realm_lookup(table, dw_span_str(host));
        if (!CHECK(dw_span_equal(got, dw_span_str(realms[0]))))
            printf("    host '%s': libkrb5 '%s', durward '%.*s'\n", host, realms[0], (int)got.len,
                   got.at ? (const char *)got.at : "");
        krb5_free_host_realm(context, realms);
    }
done:
    krb5_free_context(context);
    dw_realm_table_free(&table);
}

int main(void)
{
    const char *given = getenv("DURWARD_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = given ? strtoull(given, NULL, 10) : (unsigned long long)now.tv_sec;
    printf("seed %llu\n", seed);
    clock_gettime(CLOCK_MONOTONIC, &started);
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/krb5.conf", folder);
    setenv("KRB5_CONFIG", path, 1);
    RUN(names);
    RUN(hosts);
    RUN(mappings);
    unlink(path);
    rmdir(folder);
    return check_done();
}
