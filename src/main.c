/* durward: which command, and nothing else. */
#include "cmd/cmd.h"

#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct dw_command commands[] = {
    {"serve", dw_cmd_serve, "the broker, in the foreground"},
    {"check", dw_cmd_check, "finds mistakes in a configuration or in policies before they run"},
    {"explain", dw_cmd_explain, "decides one event and tells why, rule by rule"},
    {"lab", dw_cmd_lab, "a throwaway realm: up, down, env, status"},
    {"lua", dw_cmd_lua, "Lua with durward's modules; without a file: a prompt"},
    {"probe", dw_cmd_probe, "logs in as a client and tells each step"},
    {"replay", dw_cmd_replay, "puts recorded events to another policy and tells what changes"},
    {"spn", dw_cmd_spn, "the service name of an XMPP domain on a host, and others of its form"},
    {"status", dw_cmd_status, "what a running broker counts"},
    {"test", dw_cmd_test, "runs policy specs with busted and durward.kit"},
    {"version", dw_cmd_version, "the version, and the libraries it runs with"},
    {NULL, NULL, NULL},
};

static int usage(FILE *out)
{
    fputs("durward - a Lua-scriptable authentication broker\n\nusage: durward COMMAND [OPTIONS]\n\n", out);
    for (const struct dw_command *c = commands; c->name; c++)
        fprintf(out, "  %-9s %s\n", c->name, c->summary);
    fputs("\n'durward COMMAND --help' tells more of each.\n", out);
    return out == stdout ? 0 : 2;
}

static int unknown(const char *word)
{
    const char *words[sizeof commands / sizeof *commands];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        words[i] = commands[i].name;
    const char *nearest = dw_text_nearest(word, words);
    fprintf(stderr, "durward: unknown command '%s'%s%s%s; 'durward --help' lists them\n", word,
            nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return 2;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return usage(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return usage(stdout);
    if (!strcmp(argv[1], "--version"))
        return dw_cmd_version(argc - 1, argv + 1);
    for (const struct dw_command *c = commands; c->name; c++)
        if (!strcmp(argv[1], c->name))
            return c->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
