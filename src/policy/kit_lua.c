/* durward.kit.host: a policy host as a Lua value, for tools and specs that put events to a policy.  Events and
 * decisions cross as tables, in the journal's shape. */
#include "auth/fields.h"
#include "auth/journal.h"
#include "base/text.h"
#include "policy/ask.h"
#include "policy/doors.h"

#include <lauxlib.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TYPE "durward.kit.host"
enum { DEPTH = 16 };

/* Lua to JSON.  Runs protected by the caller's own pcall; what was made is kept in a box until then. */

static json_t *from_lua(lua_State *L, int index, int depth);

static int box_free(lua_State *L)
{
    json_t **box = lua_touserdata(L, 1);
    json_decref(*box);
    *box = NULL;
    return 0;
}

static json_t **push_box(lua_State *L)
{
    json_t **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    if (luaL_newmetatable(L, "durward.kit.json")) {
        lua_pushcfunction(L, box_free);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return box;
}

static json_t *table_from_lua(lua_State *L, int index, int depth)
{
    json_t **box = push_box(L), *value;
    luaL_checkstack(L, 8, "event nested too deeply");
    if (lua_rawlen(L, index) > 0) {
        *box = json_array();
        for (lua_Integer i = 1; lua_rawgeti(L, index, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
            value = from_lua(L, lua_gettop(L), depth - 1);
            if (json_array_append_new(*box, value) < 0)
                luaL_error(L, "out of memory");
        }
        lua_pop(L, 1);
    } else {
        *box = json_object();
        for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING)
                luaL_error(L, "an event's field is named by a string, not a %s", luaL_typename(L, -2));
            value = from_lua(L, lua_gettop(L), depth - 1);
            if (json_object_set_new(*box, lua_tostring(L, -2), value) < 0)
                luaL_error(L, "the field name is not UTF-8");
        }
    }
    json_t *out = *box;
    *box = NULL;
    lua_pop(L, 1);
    return out;
}

static json_t *from_lua(lua_State *L, int index, int depth)
{
    size_t len;
    const char *text;
    if (depth == 0)
        luaL_error(L, "an event is not nested that deeply");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return json_integer(lua_tointeger(L, index));
        if (!isfinite(lua_tonumber(L, index)))
            luaL_error(L, "a number of the event is not finite");
        return json_real(lua_tonumber(L, index));
    case LUA_TSTRING: text = lua_tolstring(L, index, &len); return dw_text_to_json(dw_span_make(text, len));
    case LUA_TTABLE: return table_from_lua(L, index, depth);
    case LUA_TUSERDATA:
        if (dw_lua_to_principal(L, index)) {
            text = luaL_tolstring(L, index, &len);
            json_t *name = dw_text_to_json(dw_span_make(text, len));
            lua_pop(L, 1);
            return name;
        }
        break;
    }
    luaL_error(L, "an event cannot hold a %s", luaL_typename(L, index));
    return NULL;
}

/* JSON to Lua; octets that JSON cannot carry become a string again. */
static void to_lua(lua_State *L, const json_t *json)
{
    const char *key;
    json_t *value, *hex;
    size_t i;
    struct dw_buf bytes = {0};
    luaL_checkstack(L, 4, NULL);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        hex = json_object_size(json) == 1 ? json_object_get(json, "hex") : NULL;
        if (hex) {
            int failed = dw_text_unhex(&bytes, dw_span_make(json_string_value(hex), json_string_length(hex)));
            lua_pushlstring(L, (const char *)dw_buf_span(&bytes).at, failed ? 0 : dw_buf_len(&bytes));
            dw_buf_free(&bytes);
            return;
        }
        lua_newtable(L);
        json_object_foreach((json_t *)(uintptr_t)json, key, value)
        {
            to_lua(L, value);
            lua_setfield(L, -2, key);
        }
        return;
    case JSON_ARRAY:
        lua_newtable(L);
        json_array_foreach(json, i, value)
        {
            to_lua(L, value);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    case JSON_STRING: lua_pushlstring(L, json_string_value(json), json_string_length(json)); return;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(json)); return;
    case JSON_REAL: lua_pushnumber(L, json_real_value(json)); return;
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(json)); return;
    case JSON_NULL: lua_pushnil(L); return;
    }
}

/* The host. */

static int host_free(lua_State *L)
{
    dw_host_free(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static const char **push_list(lua_State *L, int index)
{
    lua_Integer count = lua_istable(L, index) ? luaL_len(L, index) : 0;
    const char **list = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *list, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_geti(L, index, i);
        list[i - 1] = luaL_checkstring(L, -1); /* lives on in the table */
        lua_pop(L, 1);
    }
    list[count] = NULL;
    return list;
}

/* open(policies, refuse_users): a host, or nil and why. */
static int kit_open(lua_State *L)
{
    struct dw_error err;
    lua_settop(L, 2);
    const char **policies = push_list(L, 1), **refuse = push_list(L, 2);
    struct dw_host **host = lua_newuserdatauv(L, sizeof *host, 0);
    *host = NULL;
    luaL_setmetatable(L, TYPE);
    /* What one spec counts is nothing to another. */
    static atomic_uint opened;
    char scope[32];
    snprintf(scope, sizeof scope, "kit %u", atomic_fetch_add(&opened, 1) + 1);
    struct dw_host_options options = {.policies = policies, .refuse_users = refuse, .scope = scope};
    *host = dw_host_new(&options, &err);
    if (*host)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, err.detail);
    return 2;
}

static void on_done(void *arg, const struct dw_decision *d)
{
    json_t *all = dw_decision_to_json(d), **out = arg;
    if (json_object_set_new(all, "trace", dw_decision_trace_to_json(d)) == 0 &&
        (!d->policy_file || json_object_set_new(all, "policy", dw_text_to_json(dw_span_str(d->policy_file))) == 0))
        *out = all;
    else
        json_decref(all);
}

/* ask(host, event): the decision as a table, or nil and why the event is none. */
static int kit_ask(lua_State *L)
{
    struct dw_host **host = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, *host, 1, "this host is closed");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    json_t **in = push_box(L), **out = push_box(L);
    struct dw_event event;
    struct dw_event_store *store;
    struct dw_error err;
    *in = table_from_lua(L, 2, DEPTH);
    if (dw_event_from_json(&event, *in, &store, &err) < 0) {
        lua_pushnil(L);
        lua_pushstring(L, err.detail);
        return 2;
    }
    if (event.time == 0)
        event.time = (long long)time(NULL) * 1000000;
    dw_ask_start(*host, &event, event.stage == DW_STAGE_AUTHORIZE ? DW_STAGE_MAP : event.stage, on_done, out);
    dw_event_store_free(&store);
    if (!*out)
        return luaL_error(L, "out of memory");
    to_lua(L, *out);
    return 1;
}

static int kit_sha256(lua_State *L)
{
    struct dw_host **host = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, *host, 1, "this host is closed");
    lua_pushstring(L, dw_host_sha256(*host));
    return 1;
}

static void push_fields(lua_State *L, const struct dw_field *fields)
{
    lua_newtable(L);
    for (const struct dw_field *f = fields; f->name; f++) {
        if (f->kind == DW_FIELD_GROUP)
            push_fields(L, f->fields);
        else
            lua_pushboolean(L, 1);
        lua_setfield(L, -2, f->name);
    }
}

/* fields(): the names of an event's fields; a group's value is the table of its own. */
static int kit_fields(lua_State *L)
{
    push_fields(L, dw_event_fields);
    return 1;
}

int dw_lua_open_kit(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open", kit_open}, {"ask", kit_ask}, {"sha256", kit_sha256}, {"fields", kit_fields}, {NULL, NULL}};
    if (luaL_newmetatable(L, TYPE)) {
        lua_pushcfunction(L, host_free);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    dw_lua_open_principal(L); /* so that principals are known in events */
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
