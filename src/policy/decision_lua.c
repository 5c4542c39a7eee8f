/* The door through which a policy answers: durward.allow, deny and temporary, checked field by field where
 * they are written, and copied into a struct dw_decision when they come back. */
#include "policy/decision_lua.h"
#include "base/embed.h"
#include "base/text.h"
#include "policy/inside.h"

#include <lauxlib.h>

static const char decision_key;

enum kind { TEXT, NUMBER, PROPERTIES, SOCKETS, ADDRESS };

struct option {
    const char *name;
    enum kind kind;
    size_t offset; /* of the char * in struct dw_decision */
    bool refusals; /* deny and temporary have it too */
};

#define AT(member) offsetof(struct dw_decision, member)

static const struct option options[] = {
    {"user", TEXT, AT(user), false},
    {"backend", ADDRESS, AT(backend), false},
    {"properties", PROPERTIES, 0, false},
    {"expires", NUMBER, 0, false},
    {"jid", TEXT, AT(jid), false},
    {"identity", TEXT, AT(identity), false},
    {"reason", TEXT, AT(reason), true},
    {"sockets", SOCKETS, 0, false},
    {NULL, 0, 0, false},
};

static const struct option realm_options[] = {
    {"realm", TEXT, AT(realm), false},
    {"service", TEXT, AT(service), false},
    {"keytab", TEXT, AT(keytab), false},
    {"hostname", TEXT, AT(hostname), false},
    {NULL, 0, 0, false},
};

static const char *const socket_types[] = {"PAIR",   "PUB",  "SUB",  "REQ",  "REP",  "DEALER",
                                           "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", NULL};
/* durward's own; nobody else sets them. */
static const char *const reserved[] = {"Socket-Type", "Identity", "User-Id", "X-Peer-Address", "Resource", NULL};

void dw_lua_push_culprit(lua_State *L)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        bool own = ar.currentline < 0 || *ar.source != '@';
        for (const struct dw_lua_file *f = dw_lua_files; !own && f->module; f++)
            own = strcmp(f->path, ar.source + 1) == 0;
        if (!own) {
            lua_pushfstring(L, "%s:%d", ar.source + 1, ar.currentline);
            return;
        }
    }
    lua_pushnil(L);
}

static const struct option *find_option(const struct option *list, const char *name)
{
    for (; list->name; list++)
        if (strcmp(list->name, name) == 0)
            return list;
    return NULL;
}

/* Raises at the line of the policy that made the mistake, whichever of our modules stand in between. */
static int complain(lua_State *L, const char *message)
{
    lua_pushstring(L, message);
    dw_lua_push_culprit(L);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else {
        lua_insert(L, -2);
        lua_pushliteral(L, ": ");
        lua_insert(L, -2);
        lua_concat(L, 3);
    }
    return lua_error(L);
}

static int unknown_option(lua_State *L, const char *what, const struct option *list, bool refusal, const char *name)
{
    const char *names[16];
    size_t count = 0;
    for (const struct option *o = list; o->name; o++)
        if (!refusal || o->refusals)
            names[count++] = o->name;
    names[count] = NULL;
    const char *nearest = dw_text_nearest(name, names);
    return complain(L, nearest
                           ? lua_pushfstring(L, "%s: unknown field '%s', did you mean '%s'?", what, name, nearest)
                           : lua_pushfstring(L, "%s: unknown field '%s'", what, name));
}

static int wrong_type(lua_State *L, const char *what, const char *field, const char *wanted, int got)
{
    return complain(
        L, lua_pushfstring(L, "%s: field '%s': expected %s, got %s", what, field, wanted, luaL_typename(L, got)));
}

static void check_text(lua_State *L, const char *what, const char *field, int index)
{
    size_t len;
    if (lua_type(L, index) != LUA_TSTRING)
        wrong_type(L, what, field, "a string", index);
    const char *text = lua_tolstring(L, index, &len);
    if (memchr(text, 0, len))
        complain(L, lua_pushfstring(L, "%s: field '%s' holds a NUL", what, field));
}

/* RFC 23: a property's name is 1 to 255 of letters, digits and "-_.+". */
static void check_property_name(lua_State *L, const char *what, int index)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+";
    size_t len = 0;
    const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &len) : "";
    if (len == 0 || len > 255 || strspn(name, letters) != len)
        complain(L, lua_pushfstring(L, "%s: field 'properties': '%s' is not a property's name", what, name));
    for (size_t i = 0; reserved[i]; i++)
        if (dw_span_equal_nocase(dw_span_make(name, len), dw_span_str(reserved[i])))
            complain(L, lua_pushfstring(L, "%s: field 'properties': '%s' is durward's own to set", what, name));
}

static void check_properties(lua_State *L, const char *what, int index)
{
    if (lua_type(L, index) != LUA_TTABLE)
        wrong_type(L, what, "properties", "a table", index);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        check_property_name(L, what, -2);
        if (lua_type(L, -1) != LUA_TSTRING)
            wrong_type(L, what, lua_pushfstring(L, "properties.%s", lua_tostring(L, -2)), "a string", -2);
    }
}

static void check_sockets(lua_State *L, const char *what, int index)
{
    if (lua_type(L, index) != LUA_TTABLE)
        wrong_type(L, what, "sockets", "a list of socket types", index);
    for (lua_Integer i = 1; lua_rawgeti(L, index, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
        const char *type = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?", *nearest = NULL;
        bool known = false;
        for (size_t s = 0; socket_types[s]; s++)
            known |= strcmp(socket_types[s], type) == 0;
        if (!known && !(nearest = dw_text_nearest(type, socket_types)))
            complain(L, lua_pushfstring(L, "%s: field 'sockets': there is no socket type '%s'", what, type));
        if (!known)
            complain(L, lua_pushfstring(L, "%s: field 'sockets': there is no socket type '%s', did you mean '%s'?",
                                        what, type, nearest));
    }
    lua_pop(L, 1);
}

static void check_value(lua_State *L, const char *what, const struct option *o, int index)
{
    switch (o->kind) {
    case TEXT: check_text(L, what, o->name, index); break;
    case ADDRESS:
        check_text(L, what, o->name, index);
        if (strncmp(lua_tostring(L, index), "tcp://", 6) != 0 && strncmp(lua_tostring(L, index), "ipc://", 6) != 0)
            complain(L, lua_pushfstring(L, "%s: field '%s': '%s' is not a tcp:// or ipc:// address", what, o->name,
                                        lua_tostring(L, index)));
        break;
    case NUMBER:
        if (lua_type(L, index) != LUA_TNUMBER)
            wrong_type(L, what, o->name, "seconds since 1970", index);
        if (!(lua_tonumber(L, index) > 0))
            complain(L, lua_pushfstring(L, "%s: field '%s' must be above 0", what, o->name));
        break;
    case PROPERTIES: check_properties(L, what, index); break;
    case SOCKETS: check_sockets(L, what, index); break;
    }
}

static void check_options(lua_State *L, const char *what, const struct option *list, bool refusal, int index)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        bool text = lua_type(L, -2) == LUA_TSTRING;
        const char *name = text ? lua_tostring(L, -2) : luaL_tolstring(L, -2, NULL);
        const struct option *o = text ? find_option(list, name) : NULL;
        if (!o || (refusal && !o->refusals))
            unknown_option(L, what, list, refusal, name);
        check_value(L, what, o, lua_gettop(L));
    }
}

/* A copy, so that the table may change afterwards; what is in it is checked already. */
static void push_copy(lua_State *L, int index)
{
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, index);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        if (lua_istable(L, -1)) {
            push_copy(L, lua_gettop(L));
            lua_remove(L, -2);
        }
        lua_rawset(L, -4);
    }
}

void dw_lua_push_decision(lua_State *L, enum dw_verdict verdict, int fields, const char *rule)
{
    const char *what = dw_verdict_word(verdict);
    int type = lua_type(L, fields);
    luaL_checkstack(L, 12, NULL);
    if (type != LUA_TNIL && type != LUA_TNONE && type != LUA_TTABLE)
        complain(L, lua_pushfstring(L, "%s: expected a table of fields, got %s", what, luaL_typename(L, fields)));
    if (type == LUA_TTABLE)
        check_options(L, what, options, verdict != DW_ALLOW, fields);
    enum dw_verdict *self = lua_newuserdatauv(L, sizeof *self, 2);
    *self = verdict;
    if (type == LUA_TTABLE) {
        push_copy(L, fields);
        lua_setiuservalue(L, -2, 1);
    }
    lua_pushstring(L, rule);
    lua_setiuservalue(L, -2, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &decision_key);
    lua_setmetatable(L, -2);
}

static int allow(lua_State *L)
{
    dw_lua_push_decision(L, DW_ALLOW, 1, NULL);
    return 1;
}

static int deny(lua_State *L)
{
    dw_lua_push_decision(L, DW_DENY, 1, NULL);
    return 1;
}

static int temporary(lua_State *L)
{
    dw_lua_push_decision(L, DW_TEMPORARY, 1, NULL);
    return 1;
}

bool dw_lua_is_decision(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &decision_key);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is;
}

static int decision_index(lua_State *L)
{
    const enum dw_verdict *self = lua_touserdata(L, 1);
    const char *key = luaL_checkstring(L, 2);
    if (strcmp(key, "verdict") == 0) {
        lua_pushstring(L, dw_verdict_word(*self));
    } else if (strcmp(key, "rule") == 0) {
        lua_getiuservalue(L, 1, 2);
    } else {
        if (!find_option(options, key))
            unknown_option(L, "decision", options, false, key);
        if (lua_getiuservalue(L, 1, 1) == LUA_TTABLE)
            lua_getfield(L, -1, key);
        if (lua_istable(L, -1))
            push_copy(L, lua_gettop(L));
    }
    return 1;
}

static int decision_newindex(lua_State *L)
{
    return luaL_error(L, "a decision cannot be changed: give its fields to allow, deny or temporary");
}

static int decision_tostring(lua_State *L)
{
    const enum dw_verdict *self = lua_touserdata(L, 1);
    lua_pushstring(L, dw_verdict_word(*self));
    return 1;
}

static int take_table(lua_State *L, const char *name, struct dw_decision *d, bool properties)
{
    int failed = 0;
    if (lua_getfield(L, -1, name) == LUA_TTABLE) {
        size_t len;
        if (properties) {
            for (lua_pushnil(L); !failed && lua_next(L, -2); lua_pop(L, 1)) {
                const char *value = lua_tolstring(L, -1, &len);
                failed = dw_decision_property(d, lua_tostring(L, -2), dw_span_make(value, len));
            }
            lua_settop(L, lua_gettop(L) - (failed ? 1 : 0));
        } else {
            for (lua_Integer i = 1; !failed && lua_rawgeti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1))
                failed = dw_decision_socket(d, lua_tostring(L, -1));
            lua_pop(L, failed ? 0 : 1);
        }
    }
    lua_pop(L, 1);
    return failed;
}

static int take_texts(lua_State *L, const struct option *list, struct dw_decision *d)
{
    int failed = 0;
    for (const struct option *o = list; o->name; o++) {
        if (o->kind != TEXT && o->kind != ADDRESS)
            continue;
        if (lua_getfield(L, -1, o->name) == LUA_TSTRING)
            failed |= dw_decision_set((char **)((char *)d + o->offset), lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return failed;
}

int dw_lua_take_decision(lua_State *L, int index, struct dw_decision *d)
{
    int top = lua_gettop(L), failed = 0;
    const enum dw_verdict *self = lua_touserdata(L, index);
    d->verdict = *self;
    if (lua_getiuservalue(L, index, 2) == LUA_TSTRING)
        failed |= dw_decision_set(&d->rule, lua_tostring(L, -1));
    if (lua_getiuservalue(L, index, 1) == LUA_TTABLE) {
        failed |= take_texts(L, options, d);
        if (lua_getfield(L, -1, "expires") == LUA_TNUMBER)
            d->expires = lua_tonumber(L, -1);
        lua_pop(L, 1);
        failed |= take_table(L, "properties", d, true);
        failed |= take_table(L, "sockets", d, false);
    }
    lua_settop(L, top);
    return failed ? -1 : 0;
}

int dw_lua_take_realm(lua_State *L, int index, struct dw_decision *d)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        bool text = lua_type(L, -2) == LUA_TSTRING;
        const char *name = text ? lua_tostring(L, -2) : luaL_tolstring(L, -2, NULL);
        const struct option *o = text ? find_option(realm_options, name) : NULL;
        if (!o)
            unknown_option(L, "realm", realm_options, false, name);
        check_text(L, "realm", name, -1);
    }
    lua_pushvalue(L, index);
    int failed = take_texts(L, realm_options, d);
    lua_pop(L, 1);
    return failed;
}

void dw_lua_open_decisions(lua_State *L)
{
    static const luaL_Reg makers[] = {{"allow", allow}, {"deny", deny}, {"temporary", temporary}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__index", decision_index},
                                    {"__newindex", decision_newindex},
                                    {"__tostring", decision_tostring},
                                    {NULL, NULL}};
    luaL_newlib(L, meta);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "durward.Decision");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &decision_key);
    luaL_newlib(L, makers);
}
