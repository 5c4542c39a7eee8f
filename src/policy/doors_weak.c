/* Stands in while the doors are being built. */
#include "policy/doors.h"
#include <lauxlib.h>
#include <string.h>
__attribute__((weak)) const struct dw_lua_door dw_lua_doors[] = {{0, 0}};
__attribute__((weak)) int dw_lua_parse_principal(lua_State *L, struct dw_span name, struct dw_span dr,
                                                 struct dw_error *err)
{
    struct dw_principal p;
    if (dw_principal_parse(&p, name, dr, err) < 0)
        return -1;
    lua_newtable(L);
    lua_pushlstring(L, (char *)name.at, name.len);
    lua_setfield(L, -2, "name");
    lua_pushlstring(L, (char *)p.realm.at, p.realm.len);
    lua_setfield(L, -2, "realm");
    lua_pushlstring(L, (char *)p.components[0].at, p.components[0].len);
    lua_setfield(L, -2, "primary");
    if (p.component_count > 1) {
        lua_pushlstring(L, (char *)p.components[1].at, p.components[1].len);
        lua_setfield(L, -2, "instance");
    }
    dw_principal_free(&p);
    return 0;
}
