/* Configurations of XMPP listeners: what each mistake is told as, and what a sound one becomes. */
#include "check.h"

#include "config/config.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/durward-config-xmpp-XXXXXX";

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "w");
    if (!CHECK(file != NULL))
        return;
    fwrite(text, 1, len, file);
    fclose(file);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* Findings of the file "c.lua", which holds `text`. */
static void expect(const char *text, const char *wanted, const char *file, int line)
{
    struct dw_buf findings = {0};
    write_text("c.lua", text);
    struct dw_config *config = dw_config_load("c.lua", &findings);
    dw_buf_put_u8(&findings, 0);
    const char *got = (const char *)dw_buf_span(&findings).at;
    check_that(!config == !!*wanted, file, line, "a configuration, or findings");
    if (!check_that(!strcmp(got, wanted), file, line, "findings"))
        printf("--- got\n%s--- wanted\n%s---\n", got, wanted);
    dw_config_release(&config);
    dw_buf_free(&findings);
}
#define EXPECT(text, wanted) expect(text, wanted, __FILE__, __LINE__)

#define XMPP "name = 'x', listen = 'tcp://*:5222', keytab = 'k', tls = { certificate = 'c', key = 'k' }"
#define BACKEND "backend = { connect = 'tcp://127.0.0.1:5223', login = 'jwt', secret_file = 's' }"

static void mistakes_of_xmpp(void)
{
    EXPECT("return { xmpp = {\n { name = 'x', listen = 'tcp://*:5222' } } }",
           "c.lua:2: xmpp[1] has neither 'domain' nor 'domains'\n");
    EXPECT("return { xmpp = {\n { name = 'x', listen = 'tcp://*:5222', domain = 'a.example' } } }",
           "c.lua:2: xmpp[1] has no 'backend': the server that its users go to\n"
           "c.lua:2: xmpp[1] has no 'keytab': name one here, or one for all at the top of the configuration\n"
           "c.lua:2: xmpp[1] has no 'tls': a certificate for it, and its key\n");
    EXPECT(
        "return { xmpp = { { " XMPP ", domain = 'a.example',\n mechanisms = { 'gssapi', 'GSSAPI', 'GSSAPI' },\n"
        " hostname_namespaces = { 'none', 'urn:xmpp:domain-based-name:9', ':1', 'urn:xmpp:domain-based-name:1' },\n"
        " hostname = 'a/b', hosts = { 'x..y' },\n idle_seconds = -1, direct_tls = 1, " BACKEND " } } }",
        "c.lua:2: xmpp[1].mechanisms[1] wants \"GSSAPI\", \"GS2-KRB5\" or \"GS2-KRB5-PLUS\", not \"gssapi\"\n"
        "c.lua:2: xmpp[1].mechanisms[3]: mechanism \"GSSAPI\" stands there twice\n"
        "c.lua:3: xmpp[1].hostname_namespaces[1] wants \":1\", \":0\", \"draft\" or one of their full names, as in "
        "\"urn:xmpp:domain-based-name:1\", not \"none\"\n"
        "c.lua:3: xmpp[1].hostname_namespaces[2] wants \":1\", \":0\", \"draft\" or one of their full names, as in "
        "\"urn:xmpp:domain-based-name:1\", not \"urn:xmpp:domain-based-name:9\"; did you mean "
        "\"urn:xmpp:domain-based-name:1\"?\n"
        "c.lua:3: xmpp[1].hostname_namespaces[4]: namespace \"urn:xmpp:domain-based-name:1\" stands there twice\n"
        "c.lua:4: xmpp[1].hostname is not a host's name: \"a/b\"\n"
        "c.lua:4: xmpp[1].hosts[1]: \"x..y\" has a dot too many, or is longer than 253 characters\n"
        "c.lua:5: xmpp[1].direct_tls wants true or false, not 1\n"
        "c.lua:5: xmpp[1].idle_seconds wants a number from 0 to 2678400, not -1\n");
    EXPECT(
        "return { xmpp = { { " XMPP ", domain = 'a.example', " BACKEND ", domains = {\n"
        " ['A.Example'] = {}, ['b.example'] = { hostnme = 'x' },\n ['c example'] = {} } } } }",
        "c.lua:2: unknown key 'xmpp[1].domains[\"b.example\"].hostnme', did you mean 'hostname'?\n"
        "c.lua:2: xmpp[1].domains[\"A.Example\"]: the domain \"a.example\" is served already, by xmpp[1].domain\n"
        "c.lua:3: xmpp[1].domains[\"c example\"] has a space: \"c example\"\n");
}

static void logins_of_xmpp(void)
{
#define LOGIN(more)                                                                                                \
    "return { xmpp = { { " XMPP ", domain = 'a.example',\n backend = { connect = 'tcp://127.0.0.1:1'" more         \
    " } } } }"
    EXPECT(LOGIN(""), "c.lua:2: xmpp[1].backend has no 'login': how users are logged in: \"jwt\", \"token\" or "
                      "\"external\"\n");
    EXPECT(LOGIN(", login = 'jwt'"),
           "c.lua:2: xmpp[1].backend has no 'secret_file', which login = \"jwt\" needs: the "
           "key that the server verifies tokens with\n");
    EXPECT(LOGIN(", login = 'token', ca_key = 'k'"),
           "c.lua:2: xmpp[1].backend.ca_key means nothing for login = \"token\"\n"
           "c.lua:2: xmpp[1].backend has no 'secret_file', which login = \"token\" needs: the secret that the "
           "server's provider has as well\n");
    EXPECT(LOGIN(", login = 'external', tls = 'none',\n secret_file = 's', ca_file = 'f', pool = 1"),
           "c.lua:2: xmpp[1].backend has no 'ca_certificate', which login = \"external\" needs: the authority that "
           "the server trusts for its clients\n"
           "c.lua:2: xmpp[1].backend has no 'ca_key', which login = \"external\" needs: its key, with which each "
           "login gets a certificate\n"
           "c.lua:2: xmpp[1].backend.tls is \"none\", but login = \"external\" shows a certificate in TLS\n"
           "c.lua:3: xmpp[1].backend.secret_file means nothing for login = \"external\"\n"
           "c.lua:3: xmpp[1].backend.ca_file means nothing for tls = \"none\"\n"
           "c.lua:3: xmpp[1].backend.pool is 1, but such streams cannot wait for a user: with login = \"external\" "
           "each has its own certificate\n");
    EXPECT(LOGIN(", login = 'jwt', secret_file = 's',\n proxy = 3"),
           "c.lua:3: xmpp[1].backend.proxy wants a whole number from 1 to 2, not 3\n");
    EXPECT(LOGIN(", login = 'jwt', secret_file = 's',\n proxy = 1, pool = 3"),
           "c.lua:3: xmpp[1].backend.pool is 3, but such streams cannot wait for a user: with 'proxy' each tells "
           "where its client is\n");
    EXPECT(
        "return { xmpp = {\n { " XMPP ", domain = 'a.example',\n backend = { connect = 'tcp://localhost:5222', "
        "login = 'jwt', secret_file = 's' } } } }",
        "c.lua:2: xmpp[1]: the backend of a.example is \"tcp://localhost:5222\", where xmpp[1] listens: it would "
        "log in to itself\n");
}

static const char served[] =
    "return { keytab = 'k', xmpp = {\n"
    "  { name = 'cm7', listen = 'tcp://*:5222', domain = 'Example.com', hostname = 'CM7.us.example.com',\n"
    "    hosts = { 'xmpp.example.com' },\n"
    "    tls = { certificate = 'cm7.pem', key = 'cm7.key' },\n"
    "    backend = { connect = 'tcp://127.0.0.1:5223', ca_file = 'ca.pem', login = 'jwt',\n"
    "                secret_file = '/etc/durward/jwt.key' },\n"
    "    domains = {\n"
    "      ['z.example'] = { keytab = 'z.keytab', hostname = 'z',\n"
    "        tls = { certificate = 'z.pem',\n key = 'z.key' }, realm = 'Z.EXAMPLE' },\n"
    "      ['example.org'] = { backend = { connect = 'ipc:///run/x', tls = 'none', login = 'token', proxy = 2,\n"
    "        secret_file = 's' }, hosts = {} } } },\n"
    "  { name = 'd', listen = 'tcp://*:5226', domain = 'd.example', direct_tls = true, mechanisms = { "
    "'GS2-KRB5-PLUS',\n"
    "    'GSSAPI' }, hostname_namespaces = { 'draft', ':1', ':0' }, hostname_in_features = true,\n"
    "    require_mutual = true, idle_seconds = 300, tls = { certificate = 'c', key = 'k' }, realm = 'R',\n"
    "    backend = { connect = 'tcp://xmpp.example.com:5222', login = 'external', ca_certificate = 'a', ca_key = "
    "'b',\n"
    "      name = 'Xmpp.example.com' } } },\n"
    "  dovecot = { { name = 'sasl', listen = 'ipc:///run/auth', mode = '0660', services = { 'xmpp', 'smtp' },\n"
    "    realm = 'R', require_mutual = true } } }";

static void domains_of_xmpp(void)
{
    struct dw_buf findings = {0};
    char path[300];
    write_text("c.lua", served);
    struct dw_config *config = dw_config_load("c.lua", &findings);
    if (!CHECK(config != NULL)) {
        printf("%.*s", (int)dw_buf_len(&findings), (const char *)dw_buf_span(&findings).at);
        dw_buf_free(&findings);
        return;
    }
    const struct dw_listener_config *x = &config->listeners[0], *d = &config->listeners[1];
    CHECK_INT(x->kind, DW_LISTEN_XMPP);
    CHECK_INT(x->domain_count, 3);
    CHECK(!x->direct_tls && !x->hostname_in_features && !x->require_mutual && x->idle_seconds == 0);
    CHECK_STR(x->mechanisms[0], "GSSAPI");
    CHECK(x->mechanisms[1] == NULL);
    CHECK_STR(x->hostname_namespaces[0], "urn:xmpp:domain-based-name:1");
    CHECK(x->hostname_namespaces[1] == NULL);
    const struct dw_xmpp_domain_config *first = &x->domains[0], *org = &x->domains[1], *z = &x->domains[2];
    CHECK_STR(first->domain, "example.com");
    CHECK_STR(first->hostname, "cm7.us.example.com");
    CHECK_STR(first->hosts[0], "xmpp.example.com");
    CHECK_STR(first->backend.name, "example.com");
    CHECK_STR(first->backend.secret_file, "/etc/durward/jwt.key");
    CHECK(first->backend.login == DW_LOGIN_JWT && !first->backend.is_clear && first->backend.pool == 2);
    CHECK_INT(first->backend.connect.port, 5223);
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    CHECK_STR(first->backend.ca_file, path);
    CHECK_STR(first->at, "");
    CHECK_STR(org->domain, "example.org");
    CHECK_STR(org->hostname, "cm7.us.example.com");
    CHECK(org->hosts && org->hosts[0] == NULL);
    CHECK(org->backend.login == DW_LOGIN_TOKEN && org->backend.is_clear && org->backend.proxy == 2);
    CHECK(org->backend.pool == 0 && org->backend.connect.scheme == DW_IPC);
    CHECK_STR(org->at, "domains[\"example.org\"]");
    CHECK_STR(z->domain, "z.example");
    CHECK_STR(z->hostname, "z");
    CHECK_STR(z->realm, "Z.EXAMPLE");
    CHECK_STR(z->backend.name, "z.example");
    snprintf(path, sizeof path, "%s/z.keytab", folder);
    CHECK_STR(z->keytab, path);
    snprintf(path, sizeof path, "%s.tls.key", z->at);
    CHECK_STR(dw_config_where(config, x, path), "c.lua:10");
    CHECK(d->direct_tls && d->hostname_in_features && d->require_mutual && d->idle_seconds == 300);
    CHECK_STR(d->mechanisms[0], "GS2-KRB5-PLUS");
    CHECK_STR(d->hostname_namespaces[0], "urn:xmpp:tmp:domain-based-name");
    CHECK_STR(d->hostname_namespaces[2], "urn:xmpp:domain-based-name:0");
    CHECK_STR(d->domains[0].realm, "R");
    CHECK_STR(d->domains[0].backend.name, "xmpp.example.com");
    CHECK(d->domains[0].hostname == NULL && d->domains[0].backend.pool == 0);
    d = &config->listeners[2];
    CHECK(d->kind == DW_LISTEN_DOVECOT && d->mode == 0660 && d->require_mutual);
    CHECK_STR(d->services[1], "smtp");
    CHECK_STR(d->realm, "R");
    dw_config_release(&config);
    dw_buf_free(&findings);
}

int main(void)
{
    if (!mkdtemp(folder) || chdir(folder) < 0)
        return 1;
    RUN(mistakes_of_xmpp);
    RUN(logins_of_xmpp);
    RUN(domains_of_xmpp);
    unlink("c.lua");
    if (chdir("/") == 0)
        rmdir(folder);
    return check_done();
}
