/* Deployed rules out of Hadoop's core-site.xml: what is read, what stands of two, and how mistakes are told. */
#include "check.h"
#include "map/a2l.h"
#include "map/core_site.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/durward-site-XXXXXX", path[64], more[64], krb5[64];

static void write_file(const char *where, const char *text)
{
    FILE *out = fopen(where, "w");
    CHECK(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static struct dw_a2l *rules_of(const char *text, struct dw_error *err)
{
    const struct dw_a2l_site options = {.default_realm = DW_SPAN_OF("HOME.TEST")};
    enum dw_a2l_code code;
    write_file(path, text);
    return dw_a2l_from_core_site(path, &options, &code, err);
}

static void maps(const char *text, const char *name, const char *wanted)
{
    struct dw_buf user = {0};
    struct dw_error err = {0};
    struct dw_a2l *a2l = rules_of(text, &err);
    CHECK_STR(err.detail, "");
    if (!CHECK(a2l != NULL))
        return;
    enum dw_a2l_code code = dw_a2l_map(a2l, dw_span_str(name), &user, NULL, &err);
    if (wanted)
        CHECK_SPAN(dw_buf_span(&user), wanted);
    CHECK_INT(code == DW_A2L_MAPPED, wanted != NULL);
    dw_buf_free(&user);
    dw_a2l_free(&a2l);
}

#define SITE(inside) "<?xml version=\"1.0\"?>\n<configuration>\n" inside "</configuration>\n"
#define PROPERTY(name, value) "<property><name>" name "</name><value>" value "</value></property>\n"
#define RULES(value) PROPERTY("hadoop.security.auth_to_local", value)
#define MECHANISM(value) PROPERTY("hadoop.security.auth_to_local.mechanism", value)

static void test_reads(void)
{
    static const char deployed[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<?xml-stylesheet type=\"text/xsl\" href=\"c.xsl\"?>\n"
        "<!-- ours -->\n<configuration>\n  <property>\n    <name>fs.defaultFS</name>\n"
        "    <value>hdfs://nn:8020</value>\n  </property>\n  <property>\n"
        "    <name>\n hadoop.security.auth_to_local </name>\n    <value>\n"
        "      RULE:[2:$1@$0]([nd]n@HOME\\.TEST)s/.*/hdfs/\n"
        "      RULE:[1:$1@$0](.*@A&amp;B\\.TEST)s/@.*// <!-- partners -->\n      DEFAULT\n    </value>\n"
        "    <description>who is who</description>\n    <final>true</final>\n  </property>\n</configuration>\n";
    maps(deployed, "nn/host@HOME.TEST", "hdfs");
    maps(deployed, "carol@A&B.TEST", "carol");
    maps(deployed, "alice@HOME.TEST", "alice");
    maps(deployed, "alice@OTHER.TEST", NULL);
    maps(SITE(RULES("<![CDATA[RULE:[1:$1@$0](.*@<X>)s/@.*//]]>")), "alice@<X>", "alice");
}

static void test_what_stands(void)
{
    maps(SITE(""), "alice@HOME.TEST", "alice");
    maps(SITE(""), "alice@OTHER.TEST", NULL);
    maps(SITE(RULES("RULE:[1:one]") RULES("RULE:[1:two]")), "alice@X", "two");
    maps(SITE(RULES("RULE:[1:one]") "<property><name>hadoop.security.auth_to_local</name><value/></property>"),
         "alice@X", "one");
    maps(SITE("<property><name>hadoop.security.auth_to_local</name><value>RULE:[1:one]</value><final>true</final>"
              "</property>" RULES("RULE:[1:two]")),
         "alice@X", "one");
    maps(SITE("<property><name>hadoop.security.auth_to_local</name><value>RULE:[1:one]</value><final>false</final>"
              "</property>" RULES("RULE:[1:two]")),
         "alice@X", "two");
    maps(SITE("<property name=\"hadoop.security.auth_to_local\" value=\"RULE:[1:one]\" final=\"true\"/>" RULES(
             "RULE:[1:two]")),
         "alice@X", "one");
    maps(SITE(RULES("RULE:[1:$1@$0](.*@${partner.realm})s/@.*//") PROPERTY("partner.realm", "${x}.TEST")
                  PROPERTY("x", "OTHER")),
         "alice@OTHER.TEST", "alice");
    maps(SITE(RULES("RULE:[1:$1](a{1,2}$)")), "aa@X", "aa");
}

static void test_mechanism(void)
{
    maps(SITE(RULES("RULE:[1:$1@$0]")), "alice@X", NULL);
    maps(SITE(RULES("RULE:[1:$1@$0]") MECHANISM("hadoop")), "alice@X", NULL);
    maps(SITE(RULES("RULE:[1:$1@$0]") MECHANISM("mit")), "alice@X", "alice@X");
    maps(SITE(RULES("RULE:[1:$1@$0]") MECHANISM("MIT")), "alice@X", "alice@X");
    struct dw_error err = {0};
    struct dw_a2l *a2l = rules_of(SITE(MECHANISM("mit")), &err);
    if (CHECK(a2l != NULL))
        CHECK_INT(dw_a2l_dialect_of(a2l), DW_A2L_HADOOP_MIT);
    dw_a2l_free(&a2l);
}

static void test_includes(void)
{
    char absolute[400];
#define INCLUDE(inside) "<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"" inside
    write_file(more, SITE(RULES("RULE:[1:more]")));
    maps(SITE(INCLUDE("more.xml\"/>")), "alice@X", "more");
    maps(SITE(RULES("RULE:[1:one]") INCLUDE("more.xml\"/>")), "alice@X", "more");
    maps(SITE(INCLUDE("more.xml\"/>") RULES("RULE:[1:one]")), "alice@X", "one");
    maps(SITE(INCLUDE("more.xml\"><xi:fallback>") RULES("RULE:[1:not]") "</xi:fallback></xi:include>"), "alice@X",
         "more");
    maps(SITE(INCLUDE("gone.xml\"><xi:fallback>") RULES("RULE:[1:else]") "</xi:fallback></xi:include>"), "alice@X",
         "else");
    maps(SITE(INCLUDE("gone.xml\"><xi:fallback/></xi:include>") RULES("RULE:[1:one]")), "alice@X", "one");
    snprintf(absolute, sizeof absolute, SITE(INCLUDE("file://%s\"/>")), more);
    maps(absolute, "alice@X", "more");
}

static void test_realm(void)
{
    struct dw_a2l_site options = {.krb5_conf = krb5};
    struct dw_error err = {0};
    struct dw_buf user = {0};
    enum dw_a2l_code code;
    write_file(krb5, "[libdefaults]\n default_realm = CONF.TEST\n");
    write_file(path, SITE(""));
    struct dw_a2l *a2l = dw_a2l_from_core_site(path, &options, &code, &err);
    if (CHECK(a2l != NULL)) {
        CHECK_INT(dw_a2l_map(a2l, DW_SPAN_OF("alice@CONF.TEST"), &user, NULL, &err), DW_A2L_MAPPED);
        CHECK_SPAN(dw_buf_span(&user), "alice");
    }
    dw_a2l_free(&a2l);
    dw_buf_free(&user);
    options.krb5_conf = NULL;
    a2l = dw_a2l_from_core_site(path, &options, &code, &err);
    if (CHECK(a2l != NULL))
        CHECK(dw_a2l_map(a2l, DW_SPAN_OF("alice@CONF.TEST"), &user, NULL, &err) != DW_A2L_MAPPED);
    dw_a2l_free(&a2l);
    dw_buf_free(&user);
    write_file(krb5, "x\n");
    options.krb5_conf = krb5;
    CHECK(dw_a2l_from_core_site(path, &options, &code, &err) == NULL);
    CHECK(strstr(err.detail, "krb5.conf:1:"));
}

static void refuses(const char *text, const char *where, const char *why)
{
    struct dw_error err = {0};
    struct dw_a2l *a2l = rules_of(text, &err);
    CHECK(a2l == NULL);
    if (!CHECK(strstr(err.detail, where) && strstr(err.detail, why)))
        printf("    %s\n", err.detail);
    dw_a2l_free(&a2l);
}

static void test_refuses(void)
{
    char deep[600] = "<configuration>";
    refuses("", "core-site.xml:", "no element");
    refuses("<configuration>\n<property>\n</configuration>", "core-site.xml:3:", "mismatched");
    refuses("<site/>", "core-site.xml:1:", "<site>, not <configuration>");
    refuses("<!DOCTYPE configuration [<!ENTITY a \"b\">]>\n<configuration/>", "core-site.xml:1:", "DTD");
    refuses("<!DOCTYPE configuration SYSTEM \"/etc/passwd\">\n<configuration/>", "core-site.xml:1:", "DTD");
    refuses(SITE("&a;"), "core-site.xml:3:", "undefined entity");
    refuses(SITE(RULES("\nRULE:[1:$1](a[)")), "core-site.xml:3:", "rule 1");
    refuses(SITE("\n" RULES("NONSENSE")), "core-site.xml:4:", "cannot be read");
    refuses(SITE(MECHANISM("posix")), "core-site.xml:3:", "\"hadoop\" or \"mit\", not posix");
    refuses(SITE(RULES("RULE:[1:${user.name}]")), "core-site.xml:3:", "${user.name} is not set in this file");
    refuses(SITE(RULES("${a}") PROPERTY("a", "${b}") PROPERTY("b", "${a}")),
            "core-site.xml:3:", "stand for each other");
    refuses(SITE(INCLUDE("gone.xml\"/>")), "core-site.xml:3:", "no fallback");
    refuses(SITE("<include/>"), "core-site.xml:3:", "without its href");
    refuses(SITE(INCLUDE("http://example.com/x.xml\"/>")), "core-site.xml:3:", "only files");
    refuses(SITE(INCLUDE("core-site.xml\"/>")), "core-site.xml", "include each other");
    write_file(more, "<configuration>\n\n<x>");
    refuses(SITE(INCLUDE("more.xml\"/>")), "more.xml:3:", "no element");
    for (int i = 0; i < 20; i++)
        strcat(deep, "<a>\n");
    refuses(deep, "core-site.xml:16:", "16 elements deep");
    refuses("<configuration/>\xff", "core-site.xml:1:", "not well-formed");
    struct dw_error err = {0};
    enum dw_a2l_code code;
    const struct dw_a2l_site options = {0};
    CHECK(dw_a2l_from_core_site(folder, &options, &code, &err) == NULL && strstr(err.detail, "no regular file"));
    CHECK(dw_a2l_from_core_site("/nowhere/x.xml", &options, &code, &err) == NULL &&
          strstr(err.detail, "/nowhere/x.xml: No such file"));
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/core-site.xml", folder);
    snprintf(more, sizeof more, "%s/more.xml", folder);
    snprintf(krb5, sizeof krb5, "%s/krb5.conf", folder);
    RUN(test_reads);
    RUN(test_what_stands);
    RUN(test_mechanism);
    RUN(test_includes);
    RUN(test_realm);
    RUN(test_refuses);
    unlink(path);
    unlink(more);
    unlink(krb5);
    rmdir(folder);
    return check_done();
}
