/* The list of the modules in C that need nothing but the state: see doors.h. */
#include "policy/doors.h"

const struct dw_lua_door dw_lua_doors[] = {
    {"durward.principal", dw_lua_open_principal},
    {"durward.a2l", dw_lua_open_a2l},
    {"durward.realms", dw_lua_open_realms},
    {"durward.core", dw_lua_open_core},
    {"durward.zone", dw_lua_open_zone},
    {"durward.limit.counts", dw_lua_open_limit},
    {"durward.secret", dw_lua_open_secret},
    {"durward.kit.host", dw_lua_open_kit},
    {"durward.await.door", dw_lua_open_await},
    {"durward.files", dw_lua_open_files},
    {"durward.zap", dw_lua_open_zap},
    {NULL, NULL},
};
