/* durward version */
#include "cmd/cmd.h"

#include <jansson.h>
#include <lua.h>
#include <stdio.h>
#include <uv.h>

int dw_cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("durward %s (%s, libuv %s, jansson %s)\n", DURWARD_VERSION, LUA_RELEASE, uv_version_string(),
           JANSSON_VERSION);
    return 0;
}
