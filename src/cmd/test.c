/* durward test: policy specs, run by busted with durward.kit to require. */
#include "cmd/cmd.h"
#include "cmd/script.h"

#include "base/text.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { ARGUMENTS_MOST = 256 };

static int usage(FILE *out)
{
    fputs("usage: durward test [--coverage] [--filter PATTERN] [--output HANDLER] PATH...\n\n"
          "Runs the specs in PATHs (files, or folders with *_spec.lua) with busted; they may\n"
          "require(\"durward.kit\") and every other module of durward.\n\n"
          "  --coverage         tells which lines and rules of the policies have run (never rounded up)\n"
          "  --filter PATTERN   only the tests whose name matches this Lua pattern\n"
          "  --output HANDLER   utfTerminal, plainTerminal, TAP, junit, json, ..\n\n"
          "exit: 0 all passed, 1 a test failed, 2 usage, or busted is missing\n",
          out);
    return out == stdout ? 0 : 2;
}

static int wrong_option(const char *option)
{
    static const char *const options[] = {"--coverage", "--filter", "--output", "--help", NULL};
    const char *nearest = dw_text_nearest(option, options);
    fprintf(stderr, "durward test: unknown option '%s'%s%s%s\n", option, nearest ? ", did you mean '" : "",
            nearest ? nearest : "", nearest ? "'?" : "");
    return usage(stderr);
}

/* A missing module is told with the package that has it; every other error as it is. */
static const char runner[] =
    "local ok, runner = pcall(require, 'busted.runner')\n"
    "if not ok then\n"
    "  io.stderr:write('durward test: busted is missing; on Debian: apt install lua-busted\\n')\n"
    "  if os.getenv('DURWARD_DEBUG') then io.stderr:write(tostring(runner), '\\n') end\n"
    "  os.exit(2, true)\n"
    "end\n"
    "if COVERAGE then\n"
    "  local exit, cover = os.exit, require('durward.cover')\n"
    "  require('durward.kit.host').cover()\n"
    "  os.exit = function(...)\n"
    "    io.stdout:flush()\n"
    "    io.stdout:write('\\n', cover.report())\n"
    "    io.stdout:flush()\n"
    "    exit(...)\n"
    "  end\n"
    "end\n"
    "runner({ standalone = false })\n"
    "if COVERAGE then os.exit(0, true) end\n";

int dw_cmd_test(int argc, char **argv)
{
    char name[] = "durward test", recursive[] = "--recursive";
    char *out[ARGUMENTS_MOST];
    int count = 0, paths = 0;
    bool coverage = false;
    struct stat st;
    out[count++] = name;
    out[count++] = recursive;
    for (int i = 1; i < argc && count < ARGUMENTS_MOST - 2; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return usage(stdout);
        if (argv[i][0] != '-') {
            if (stat(argv[i], &st) < 0) {
                fprintf(stderr, "durward test: '%s': no such file or folder\n", argv[i]);
                return 2;
            }
            paths++;
            out[count++] = argv[i];
            continue;
        }
        if (!strcmp(argv[i], "--coverage")) {
            coverage = true;
            continue;
        }
        const char *value = strchr(argv[i], '=');
        size_t len = value ? (size_t)(value - argv[i]) : strlen(argv[i]);
        if ((len != 8 || strncmp(argv[i], "--filter", 8) != 0) &&
            (len != 8 || strncmp(argv[i], "--output", 8) != 0))
            return wrong_option(argv[i]);
        out[count++] = argv[i];
        if (!value) {
            if (i + 1 == argc) {
                fprintf(stderr, "durward test: %s needs a value\n", argv[i]);
                return usage(stderr);
            }
            out[count++] = argv[++i];
        }
    }
    if (paths == 0)
        return usage(stderr);
    lua_State *L = dw_script_open();
    if (!L) {
        fputs("durward test: out of memory\n", stderr);
        return 2;
    }
    dw_script_arg(L, count, out);
    if (coverage) {
        lua_pushboolean(L, 1);
        lua_setglobal(L, "COVERAGE");
    }
    int code = 0;
    /* busted leaves through os.exit when a test failed. */
    if (luaL_loadbufferx(L, runner, sizeof runner - 1, "=durward", "t") != LUA_OK ||
        dw_script_call(L, 0, 0, 1) != LUA_OK) {
        fprintf(stderr, "durward test: %s\n", lua_tostring(L, -1));
        code = 1;
    }
    lua_close(L);
    return code;
}
