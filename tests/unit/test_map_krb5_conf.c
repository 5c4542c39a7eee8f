/* Deployed rules out of krb5.conf: what is read, in which order, and how mistakes are told. */
#include "check.h"
#include "map/a2l.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/durward-conf-XXXXXX", path[64], more[64];

static void write_file(const char *where, const char *text)
{
    FILE *out = fopen(where, "w");
    CHECK(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static void maps(struct dw_a2l *a2l, const char *name, const char *wanted)
{
    struct dw_buf user = {0};
    struct dw_error err = {0};
    enum dw_a2l_code code = dw_a2l_map(a2l, dw_span_str(name), &user, NULL, &err);
    if (wanted)
        CHECK_SPAN(dw_buf_span(&user), wanted);
    CHECK_INT(code == DW_A2L_MAPPED, wanted != NULL);
    dw_buf_free(&user);
}

static void test_reads(void)
{
    struct dw_error err = {0};
    enum dw_a2l_code code;
    char text[1024];
    snprintf(text, sizeof text,
             "# rules\n[libdefaults]\n\tdefault_realm = HOME.TEST\n  default_realm = OTHER.TEST\ninclude %s\n"
             "[realms]\n HOME.TEST = {\n  auth_to_local = RULE:[1:$1@$0]([^@]*@X)s/@.*//  \t\n"
             "  auth_to_local = \"RULE:[2:$1](a\\\\.b)\"\n  auth_to_local = DEFAULT\n"
             "  auth_to_local_names =\n  {\n   zed = zoe\n   zed = zac\n  }\n }\n"
             " OTHER.TEST = {\n  auth_to_local = RULE:[1:never]\n }\n; end\n",
             more);
    write_file(more, "[realms]\nHOME.TEST = {\n auth_to_local = RULE:[3:$3]\n}\n");
    write_file(path, text);
    struct dw_a2l *a2l = dw_a2l_from_krb5_conf(path, &code, &err);
    CHECK_STR(err.detail, "");
    if (!CHECK(a2l != NULL))
        return;
    CHECK_INT(dw_a2l_count(a2l), 4);
    maps(a2l, "alice@X", "alice");
    maps(a2l, "a.b/host@X", "a.b");
    maps(a2l, "alice@HOME.TEST", "alice");
    maps(a2l, "zed", "zac");
    maps(a2l, "x/y/z@X", "z");
    maps(a2l, "alice@OTHER.TEST", NULL);
    struct dw_a2l_findings findings;
    dw_a2l_lint(a2l, &findings);
    bool found = false;
    for (size_t i = 0; i < findings.count; i++)
        found = found || dw_span_equal(findings.list[i].kind, DW_SPAN_OF("wrong-realm"));
    CHECK(found);
    dw_a2l_findings_free(&findings);
    dw_a2l_free(&a2l);
}

static void refuses(const char *text, const char *where, const char *why)
{
    struct dw_error err = {0};
    enum dw_a2l_code code;
    if (text)
        write_file(path, text);
    struct dw_a2l *a2l = dw_a2l_from_krb5_conf(text ? path : folder, &code, &err);
    CHECK(a2l == NULL);
    if (!CHECK(strstr(err.detail, where) && strstr(err.detail, why)))
        printf("    %s\n", err.detail);
    dw_a2l_free(&a2l);
}

static void test_refuses(void)
{
    char self[128], longer[6000];
    refuses("a = b\n", "krb5.conf:1:", "before the first [section]");
    refuses("[a\n", "krb5.conf:1:", "without its ']'");
    refuses("[a]\nb\n", "krb5.conf:2:", "name = value");
    refuses("[a]\n}\n", "krb5.conf:2:", "without a '{'");
    refuses("[a]\nb = {\n", "krb5.conf:2:", "missing at the end");
    refuses("[a]\nb = {\n[c]\n", "krb5.conf:3:", "missing before");
    refuses("[a]\nb =\nc = d\n", "krb5.conf:3:", "'{' was expected");
    refuses("[a]\nb = {\nc={\nd={\ne={\nf={\ng={\nh={\ni={\n", "krb5.conf:9:", "too deeply");
    refuses("[a]\nb = c\n", "krb5.conf", "default_realm");
    refuses("include /nowhere/at/all\n", "/nowhere/at/all", "No such file");
    refuses("includedir /nowhere/at/all\n", "krb5.conf:1:", "No such file");
    refuses("module x:y\n", "krb5.conf:1:", "not supported");
    snprintf(self, sizeof self, "include %s\n", path);
    refuses(self, "krb5.conf", "include each other");
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    refuses(longer, "krb5.conf:1:", "too long");
    refuses(NULL, folder, "no regular file");
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/krb5.conf", folder);
    snprintf(more, sizeof more, "%s/more.conf", folder);
    RUN(test_reads);
    RUN(test_refuses);
    unlink(path);
    unlink(more);
    rmdir(folder);
    return check_done();
}
