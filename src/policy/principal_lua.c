/* durward.principal: names as objects that cannot be changed.
 *
 * An object is one block of Lua's own memory - the principal, its spans, their octets, its printed name - so
 * that nothing has to be freed. */
#include "base/text.h"
#include "policy/doors.h"

#include <lauxlib.h>
#include <stdlib.h>

#define TYPE "durward.principal"

struct object {
    struct dw_principal p;
    struct dw_span name; /* as printed in full */
};

static const char *const fields[] = {"name", "realm", "primary", "instance", "components", NULL};

/* Printing at most doubles an octet. */
static size_t printed_most(const struct dw_principal *p)
{
    size_t most = p->component_count + 1 + 2 * p->realm.len;
    for (size_t i = 0; i < p->component_count; i++)
        most += 2 * p->components[i].len;
    return most;
}

/* An object with room for `octets` and `components`. */
static struct object *make_room(lua_State *L, size_t components, size_t octets)
{
    struct object *o = lua_newuserdatauv(L, sizeof *o + components * sizeof(struct dw_span) + octets + 1, 0);
    *o = (struct object){.p.components = (struct dw_span *)(o + 1)};
    luaL_setmetatable(L, TYPE);
    return o;
}

static struct dw_span keep(uint8_t **at, struct dw_span text)
{
    struct dw_span kept = dw_span_make(*at, text.len);
    if (text.len)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return kept;
}

/* Copies `p` and its printed name into the object; -1 when memory is out. */
static int fill(struct object *o, const struct dw_principal *p)
{
    struct dw_buf name = {0};
    if (dw_principal_format(p, DW_PRINCIPAL_FULL, DW_SPAN_NONE, &name) < 0)
        return -1;
    uint8_t *at = (uint8_t *)(o->p.components + p->component_count);
    for (size_t i = 0; i < p->component_count; i++)
        o->p.components[i] = keep(&at, p->components[i]);
    o->p.component_count = p->component_count;
    o->p.realm = keep(&at, p->realm);
    o->p.realm_given = p->realm_given;
    o->name = keep(&at, dw_buf_span(&name));
    dw_buf_free(&name);
    return 0;
}

void dw_lua_push_principal(lua_State *L, const struct dw_principal *p)
{
    struct object *o = make_room(L, p->component_count, 2 * printed_most(p));
    if (fill(o, p) < 0)
        luaL_error(L, "out of memory for a principal");
}

static int parse_as(lua_State *L, struct dw_span name, struct dw_span default_realm, bool is_enterprise,
                    struct dw_error *err)
{
    struct dw_principal p;
    size_t components = 1;
    for (size_t i = 0; i < name.len; i++)
        components += name.at[i] == '/';
    struct object *o = make_room(L, components, 3 * (name.len + default_realm.len) + components + 1);
    if ((is_enterprise ? dw_principal_parse_enterprise : dw_principal_parse)(&p, name, default_realm, err) < 0) {
        lua_pop(L, 1);
        return -1;
    }
    int filled = fill(o, &p);
    dw_principal_free(&p);
    return filled < 0 ? luaL_error(L, "out of memory for a principal") : 0;
}

int dw_lua_parse_principal(lua_State *L, struct dw_span name, struct dw_span default_realm, struct dw_error *err)
{
    return parse_as(L, name, default_realm, false, err);
}

const struct dw_principal *dw_lua_to_principal(lua_State *L, int index)
{
    struct object *o = luaL_testudata(L, index, TYPE);
    return o ? &o->p : NULL;
}

static struct dw_span check_span(lua_State *L, int index)
{
    size_t len;
    luaL_checktype(L, index, LUA_TSTRING);
    const char *text = lua_tolstring(L, index, &len);
    return dw_span_make(text, len);
}

static struct dw_span optional_span(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? DW_SPAN_NONE : check_span(L, index);
}

static int push_span(lua_State *L, struct dw_span span)
{
    lua_pushlstring(L, (const char *)span.at, span.len);
    return 1;
}

/* parse(name [, default_realm [, "enterprise"]]) */
static int parse(lua_State *L)
{
    static const char *const kinds[] = {"principal", "enterprise", NULL};
    struct dw_error err = {0};
    struct dw_span name = check_span(L, 1), realm = optional_span(L, 2);
    if (parse_as(L, name, realm, luaL_checkoption(L, 3, "principal", kinds) == 1, &err) == 0)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, err.detail);
    return 2;
}

/* A principal, or a name that is parsed and then replaces it on the stack; NULL with `err` told. */
static const struct dw_principal *principal_at(lua_State *L, int index, struct dw_span realm, struct dw_error *err)
{
    const struct dw_principal *p = dw_lua_to_principal(L, index);
    if (p)
        return p;
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_typeerror(L, index, "principal or string");
    if (dw_lua_parse_principal(L, check_span(L, index), realm, err) < 0)
        return NULL;
    lua_replace(L, index);
    return dw_lua_to_principal(L, index);
}

static int format(lua_State *L)
{
    static const char *const forms[] = {"full", "short", "no_realm", "display", NULL};
    struct dw_error err = {0};
    struct dw_buf text = {0};
    lua_settop(L, 3);
    enum dw_principal_form form = (enum dw_principal_form)luaL_checkoption(L, 2, "full", forms);
    struct dw_span realm = optional_span(L, 3);
    const struct dw_principal *p = principal_at(L, 1, realm, &err);
    if (p && form == DW_PRINCIPAL_SHORT && !realm.at) {
        dw_error_set(&err, DW_ERROR_DENIED, "the short form leaves out the default realm, and none is given");
        p = NULL;
    }
    if (!p) {
        lua_pushnil(L);
        lua_pushstring(L, err.detail);
        return 2;
    }
    /* Lua's memory first, so that nothing of ours is held when it raises. */
    char *copy = lua_newuserdatauv(L, printed_most(p) + 1, 0);
    if (dw_principal_format(p, form, realm, &text) < 0)
        return luaL_error(L, "out of memory for a principal");
    size_t len = dw_buf_len(&text);
    memcpy(copy, dw_buf_span(&text).at, len);
    dw_buf_free(&text);
    lua_pushlstring(L, copy, len);
    return 1;
}

static int index_of(lua_State *L)
{
    struct object *o = luaL_checkudata(L, 1, TYPE);
    const char *field = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
    if (!field)
        return luaL_error(L, "a principal has no field %s", luaL_tolstring(L, 2, NULL));
    if (!strcmp(field, "name"))
        return push_span(L, o->name);
    if (!strcmp(field, "realm"))
        return push_span(L, o->p.realm);
    if (!strcmp(field, "primary"))
        return push_span(L, o->p.components[0]);
    if (!strcmp(field, "instance"))
        return o->p.component_count > 1 ? push_span(L, o->p.components[1]) : (lua_pushnil(L), 1);
    if (!strcmp(field, "components")) {
        lua_createtable(L, (int)o->p.component_count, 0);
        for (size_t i = 0; i < o->p.component_count; i++) {
            push_span(L, o->p.components[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return 1;
    }
    const char *nearest = dw_text_nearest(field, fields);
    return luaL_error(L, "a principal has no field '%s'%s%s%s", field, nearest ? ", did you mean '" : "",
                      nearest ? nearest : "", nearest ? "'?" : "");
}

static int refuse_change(lua_State *L)
{
    return luaL_error(L, "a principal cannot be changed");
}

static int to_string(lua_State *L)
{
    struct object *o = luaL_checkudata(L, 1, TYPE);
    return push_span(L, o->name);
}

static int equal(lua_State *L)
{
    const struct dw_principal *a = dw_lua_to_principal(L, 1), *b = dw_lua_to_principal(L, 2);
    lua_pushboolean(L, a && b && dw_principal_equal(a, b));
    return 1;
}

int dw_lua_open_principal(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", parse}, {"format", format}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__index", index_of}, {"__newindex", refuse_change}, {"__tostring", to_string}, {"__eq", equal},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, TYPE)) {
        luaL_setfuncs(L, meta, 0);
        lua_pushliteral(L, TYPE);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
