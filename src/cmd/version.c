/* durward version */
#include "cmd/cmd.h"

#include <jansson.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static const char help[] =
    "usage: durward version\n\nPrints the version, and those of the libraries it runs with.\n";

int dw_cmd_version(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    if (argc > 1) {
        fprintf(stderr, "durward version: unknown argument '%s'\n\n%s", argv[1], help);
        return 2;
    }
    printf("durward %s (%s, libuv %s, jansson %s)\n", DURWARD_VERSION, LUA_RELEASE, uv_version_string(),
           JANSSON_VERSION);
    return 0;
}
