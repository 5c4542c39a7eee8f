/* Lines of text as auth_to_local rules, the last as a name, put to our code and to the installed libkrb5: names are parsed
 * and printed alike, and mapped alike.  The first octet is passed over, so that seeds serve fuzz_a2l too.
 *
 * What ours answers with ENDLESS or LIMIT is not put to the library, which might not come back. */
#include "auth/principal.h"
#include "map/a2l.h"

#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HOME "HOME.TEST"
enum { LINES_MOST = 8, LINE_MOST = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "differs from libkrb5: %s\n", what);
    abort();
}

static size_t split(const uint8_t *data, size_t size, char lines[LINES_MOST][LINE_MOST + 1])
{
    size_t count = 0;
    while (count < LINES_MOST) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;
        if (len > LINE_MOST || memchr(data, 0, len) || memchr(data, '\r', len))
            return 0; /* no line of a file */
        memcpy(lines[count], data, len);
        lines[count++][len] = '\0';
        if (!end)
            return count;
        data += len + 1;
        size -= len + 1;
    }
    return 0;
}

/* A context that has read the rules; NULL when the library does not read them.  The library looks at the file now and
 * then: it is closed after the context. */
static krb5_context context_of(char rules[LINES_MOST][LINE_MOST + 1], size_t count, FILE **file)
{
    krb5_context context = NULL;
    char path[64];
    int fd = memfd_create("krb5.conf", 0);
    FILE *out = *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out)
        return NULL;
    fputs("[libdefaults]\n default_realm = " HOME "\n[realms]\n " HOME " = {\n", out);
    for (size_t i = 0; i < count; i++) {
        fputs("  auth_to_local = \"", out);
        for (const char *at = rules[i]; *at; at++)
            fprintf(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
        fputs("\"\n", out);
    }
    fputs(" }\n", out);
    fflush(out);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    setenv("KRB5_CONFIG", path, 1);
    if (krb5_init_context(&context))
        context = NULL;
    return context;
}

static void compare_forms(krb5_context context, krb5_principal theirs, const struct dw_principal *ours)
{
    static const struct {
        enum dw_principal_form form;
        int flags;
    } forms[] = {{DW_PRINCIPAL_FULL, 0},
                 {DW_PRINCIPAL_SHORT, KRB5_PRINCIPAL_UNPARSE_SHORT},
                 {DW_PRINCIPAL_NO_REALM, KRB5_PRINCIPAL_UNPARSE_NO_REALM},
                 {DW_PRINCIPAL_DISPLAY, KRB5_PRINCIPAL_UNPARSE_DISPLAY}};
    for (size_t i = 0; i < 4; i++) {
        char *text = NULL;
        struct dw_buf out = {0};
        must(krb5_unparse_name_flags(context, theirs, forms[i].flags, &text) == 0 &&
                 dw_principal_format(ours, forms[i].form, DW_SPAN_OF(HOME), &out) == 0 &&
                 dw_buf_put_u8(&out, 0) == 0,
             "printing fails");
        bool is_same = forms[i].form == DW_PRINCIPAL_DISPLAY /* the library's answer is a C string */
                           ? !strcmp((const char *)dw_buf_span(&out).at, text)
                           : dw_span_equal(dw_buf_span(&out), dw_span_make(text, strlen(text) + 1));
        must(is_same, "how a name is printed");
        krb5_free_unparsed_name(context, text);
        dw_buf_free(&out);
    }
}

static void compare_name(krb5_context context, const char *name, bool is_enterprise)
{
    krb5_principal theirs = NULL;
    struct dw_principal ours = {0};
    krb5_error_code ret =
        krb5_parse_name_flags(context, name, is_enterprise ? KRB5_PRINCIPAL_PARSE_ENTERPRISE : 0, &theirs);
    int rc = (is_enterprise ? dw_principal_parse_enterprise : dw_principal_parse)(&ours, dw_span_str(name),
                                                                                  DW_SPAN_OF(HOME), NULL);
    must((ret != 0) == (rc != 0), "whether a name parses");
    if (rc == 0) {
        must((size_t)theirs->length == ours.component_count, "the number of components");
        must(dw_span_equal(ours.realm, dw_span_make(theirs->realm.data, theirs->realm.length)), "the realm");
        for (int i = 0; i < theirs->length; i++)
            must(dw_span_equal(ours.components[i], dw_span_make(theirs->data[i].data, theirs->data[i].length)),
                 "a component");
        compare_forms(context, theirs, &ours);
    }
    krb5_free_principal(context, theirs);
    dw_principal_free(&ours);
}

static void compare_mapping(krb5_context context, struct dw_a2l *a2l, const char *name)
{
    static char theirs[1 << 16];
    struct dw_buf user = {0};
    struct dw_error err = {0};
    krb5_principal principal = NULL;
    enum dw_a2l_code code = dw_a2l_map(a2l, dw_span_str(name), &user, NULL, &err);
    if (code != DW_A2L_ENDLESS && code != DW_A2L_LIMIT && krb5_parse_name(context, name, &principal) == 0) {
        krb5_error_code ret = krb5_aname_to_localname(context, principal, sizeof theirs, theirs);
        must((code == DW_A2L_MAPPED) == (ret == 0), "whether a name is mapped");
        must((code == DW_A2L_NO_TRANSLATION) == (ret == KRB5_LNAME_NOTRANS), "that there is no translation");
        must((code == DW_A2L_BAD_FORMAT) == (ret == KRB5_CONFIG_BADFORMAT), "that a rule cannot be read");
        must(ret || dw_span_equal(dw_buf_span(&user), dw_span_str(theirs)), "the user");
    }
    krb5_free_principal(context, principal);
    dw_buf_free(&user);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char lines[LINES_MOST][LINE_MOST + 1];
    struct dw_a2l_options options = {.default_realm = DW_SPAN_OF(HOME)};
    struct dw_span rules[LINES_MOST];
    struct dw_error err = {0};
    enum dw_a2l_code code;
    size_t count = size > 1 ? split(data + 1, size - 1, lines) : 0;
    if (count == 0)
        return 0;
    const char *name = lines[--count];
    for (size_t i = 0; i < count; i++)
        rules[i] = dw_span_str(lines[i]);
    struct dw_a2l *a2l = dw_a2l_compile(rules, count, &options, &code, &err);
    must(a2l || code == DW_A2L_LIMIT, "rules are not taken");
    FILE *file;
    krb5_context context = context_of(lines, count, &file);
    if (context) {
        compare_name(context, name, false);
        compare_name(context, name, true);
        if (a2l)
            compare_mapping(context, a2l, name);
        krb5_free_context(context);
    }
    if (file)
        fclose(file);
    dw_a2l_free(&a2l);
    return 0;
}
