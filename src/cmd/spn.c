/* durward spn: the service name of a domain on a host.  What it is, lua/durward/spn.lua knows. */
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/given.h"
#include "cmd/script.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

struct request {
    const char *domain, *hostname, *realm, *service;
    bool sspi;
};

static int usage(FILE *out)
{
    fputs("usage: durward spn --domain D --hostname H [--realm R] [--sspi] [--service S]\n\n"
          "The name that a client asks a ticket for, and that the keytab needs a key of, when host H\n"
          "serves domain D (XEP-0233, RFC 5179): xmpp/H/D@R.\n\n"
          "  --realm R     else D in upper case\n"
          "  --sspi        as SSPI takes it, without a realm: xmpp/H/D\n"
          "  --service S   another service than xmpp\n",
          out);
    return out == stdout ? 0 : EXIT_USAGE;
}

static int complain(const char *format, const char *word, const char *nearest)
{
    dw_given_wrong("spn", format, word, nearest);
    fputs("'durward spn --help' tells more\n", stderr);
    return -1;
}

static int read_options(struct request *r, int argc, char **argv)
{
    static const char *const names[] = {"--domain", "--hostname", "--realm", "--service", "--sspi", "--help", NULL};
    const char **values[] = {&r->domain, &r->hostname, &r->realm, &r->service};
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = strchr(option, '=');
        size_t k = 0, len = value ? (size_t)(value - option) : strlen(option);
        if (!strcmp(option, "--sspi")) {
            r->sspi = true;
            continue;
        }
        while (k < 4 && (strlen(names[k]) != len || strncmp(names[k], option, len) != 0))
            k++;
        if (k == 4)
            return *option == '-' ? complain("unknown option '%s'", option, dw_text_nearest(option, names))
                                  : complain("'%s' is not an option", option, NULL);
        if (value)
            value++;
        else if (++i < argc)
            value = argv[i];
        else
            return complain("%s needs a value", option, NULL);
        *values[k] = value;
    }
    if (!r->domain || !r->hostname)
        return complain("%s is missing", r->domain ? "--hostname" : "--domain", NULL);
    return 0;
}

/* request -> name, or nil and why */
static int make(lua_State *L)
{
    const struct request *r = lua_touserdata(L, 1);
    const char *service = r->service ? r->service : "xmpp";
    lua_getglobal(L, "require");
    lua_pushliteral(L, "durward.spn");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, r->sspi ? "sspi" : "domain_based");
    if (!r->sspi)
        lua_pushstring(L, service);
    lua_pushstring(L, r->hostname);
    lua_pushstring(L, r->domain);
    lua_pushstring(L, r->sspi ? service : r->realm);
    lua_call(L, r->sspi ? 3 : 4, 2);
    return 2;
}

int dw_cmd_spn(int argc, char **argv)
{
    struct request r = {0};
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return usage(stdout);
    if (read_options(&r, argc, argv) < 0)
        return EXIT_USAGE;
    lua_State *L = dw_script_open();
    if (!L) {
        fputs("durward spn: out of memory\n", stderr);
        return EXIT_USAGE;
    }
    lua_pushcfunction(L, make);
    lua_pushlightuserdata(L, &r);
    bool failed = dw_script_call(L, 1, 2, 0) != LUA_OK;
    const char *name = failed ? NULL : lua_tostring(L, -2);
    if (name)
        puts(name);
    else
        fprintf(stderr, "durward spn: %s\n", lua_tostring(L, -1));
    int code = name && fflush(stdout) == 0 ? 0 : EXIT_USAGE;
    lua_close(L);
    return code;
}
