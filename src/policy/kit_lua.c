/* durward.kit.host: a policy host as a Lua value, for tools and specs that put events to a policy.  Events and
 * decisions cross as tables, in the journal's shape. */
#include "auth/fields.h"
#include "auth/journal.h"
#include "base/text.h"
#include "policy/ask.h"
#include "policy/doors.h"
#include "policy/json_lua.h"
#include "policy/stubs.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TYPE "durward.kit.host"
enum { DECISION_SECONDS = 5 };

/* The host. */

struct bench {
    struct dw_host *host;
    struct dw_stubs stubs;
};

static int host_free(lua_State *L)
{
    struct bench *b = luaL_checkudata(L, 1, TYPE);
    dw_host_free(&b->host);
    dw_stubs_clear(&b->stubs);
    return 0;
}

static void take_stubs(lua_State *L, const char *field, json_t **into)
{
    json_t **box = dw_lua_push_json_box(L);
    lua_getfield(L, 3, field);
    *box = dw_lua_to_json(L, -1);
    *into = json_incref(*box);
    lua_pop(L, 2);
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

/* Of all hosts of this process, which is a test run; made by cover(). */
static json_t *covered;

/* open(policies, refuse_users, { answers =, failed =, tables = }): a host, or nil and why. */
static int kit_open(lua_State *L)
{
    struct dw_error err;
    lua_settop(L, 3);
    luaL_checktype(L, 3, LUA_TTABLE);
    const char **policies = push_list(L, 1), **refuse = push_list(L, 2);
    struct bench *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct bench){.stubs = {.missing = "no stub for ", .seconds = DECISION_SECONDS}};
    luaL_setmetatable(L, TYPE);
    take_stubs(L, "answers", &b->stubs.answers);
    take_stubs(L, "failed", &b->stubs.failed);
    take_stubs(L, "tables", &b->stubs.tables);
    struct dw_keeper keeper;
    dw_stubs_keeper(&b->stubs, &keeper);
    /* What one spec counts is nothing to another. */
    static atomic_uint opened;
    char scope[32];
    snprintf(scope, sizeof scope, "kit %u", atomic_fetch_add(&opened, 1) + 1);
    struct dw_host_options options = {.policies = policies,
                                      .refuse_users = refuse,
                                      .coverage = covered,
                                      .detailed = true,
                                      .scope = scope,
                                      .keeper = &keeper};
    b->host = dw_host_new(&options, &err);
    if (b->host)
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
    struct bench *b = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, b->host, 1, "this host is closed");
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    json_t **in = dw_lua_push_json_box(L), **out = dw_lua_push_json_box(L);
    struct dw_event event;
    struct dw_event_store *store;
    struct dw_error err;
    *in = dw_lua_to_json(L, 2);
    if (dw_event_from_json(&event, *in, &store, &err) < 0) {
        lua_pushnil(L);
        lua_pushstring(L, err.detail);
        return 2;
    }
    if (event.time == 0)
        event.time = (long long)time(NULL) * 1000000;
    b->stubs.slept = 0;
    dw_ask_start(b->host, &event, event.stage == DW_STAGE_AUTHORIZE ? DW_STAGE_MAP : event.stage, on_done, out);
    dw_event_store_free(&store);
    if (!*out)
        return luaL_error(L, "out of memory");
    dw_lua_push_json(L, *out);
    return 1;
}

static int kit_sha256(lua_State *L)
{
    struct bench *b = luaL_checkudata(L, 1, TYPE);
    luaL_argcheck(L, b->host, 1, "this host is closed");
    lua_pushstring(L, dw_host_sha256(b->host));
    return 1;
}

/* cover(): from now on what hosts run is noted. */
static int kit_cover(lua_State *L)
{
    if (!covered && !(covered = json_pack("{s:{}, s:{}}", "lines", "rules")))
        return luaL_error(L, "out of memory");
    return 0;
}

/* covered(): { lines = { file = { ["12"] = true } }, rules = { ["file:12: name"] = decided } } */
static int kit_covered(lua_State *L)
{
    luaL_argcheck(L, covered, 0, "cover() comes first");
    dw_lua_push_json(L, covered);
    return 1;
}

/* json(text): the value, or nil and why it is none. */
static int kit_json(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    json_error_t where;
    json_t **box = dw_lua_push_json_box(L);
    *box = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &where);
    if (*box) {
        dw_lua_push_json(L, *box);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, where.text);
    return 2;
}

static void push_fields(lua_State *L, const struct dw_field *fields)
{
    lua_newtable(L);
    for (const struct dw_field *f = fields; f->name; f++) {
        if (f->kind == DW_FIELD_GROUP) {
            push_fields(L, f->fields);
        } else if (f->kind == DW_FIELD_PRINCIPAL) {
            lua_newtable(L);
            for (const char *const *part = dw_principal_fields; *part; part++) {
                lua_pushboolean(L, 1);
                lua_setfield(L, -2, *part);
            }
        } else {
            lua_pushboolean(L, 1);
        }
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
    static const luaL_Reg functions[] = {{"open", kit_open},       {"ask", kit_ask},   {"sha256", kit_sha256},
                                         {"fields", kit_fields},   {"json", kit_json}, {"cover", kit_cover},
                                         {"covered", kit_covered}, {NULL, NULL}};
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
