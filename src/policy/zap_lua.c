/* durward.zap: credentials that policies hold clients to, from files beside the policy.
 *
 *   users(path):verify(name, password)      true, or false and why
 *   certificates(folder):find(key)          { name = "alice", metadata = { .. } }, or nil and why; the key is
 *                                           event.curve.key or event.curve.raw
 *
 * Both are declared while the policy is loaded, where what is wrong with them is an error; later a file that
 * cannot be read is one, which makes the decision temporary. */
#include "auth/fields.h"
#include "policy/credentials.h"
#include "policy/decision_lua.h"
#include "policy/doors.h"
#include "policy/inside.h"
#include "policy/secret.h"

#include <lauxlib.h>
#include <stdio.h>

#define USERS "durward.Users"
#define CERTIFICATES "durward.Certificates"
enum { LOOKUP_COST = 1000, NAME_MOST = 256 };

static int complain(lua_State *L, const char *message)
{
    dw_lua_push_culprit(L);
    if (lua_isnil(L, -1))
        lua_pushstring(L, message);
    else
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), message);
    return lua_error(L);
}

/* `path`, taken from the folder of the policy that names it, is pushed. */
static const char *push_path(lua_State *L, const char *path)
{
    dw_lua_push_culprit(L);
    const char *culprit = lua_tostring(L, -1), *slash = culprit ? strrchr(culprit, '/') : NULL;
    if (*path == '/' || !slash) {
        lua_pushstring(L, path);
    } else {
        lua_pushlstring(L, culprit, (size_t)(slash - culprit) + 1);
        lua_pushstring(L, path);
        lua_concat(L, 2);
    }
    return lua_tostring(L, -1);
}

/* NULL in a state that is no policy's. */
static const struct dw_host *host_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key);
    const struct dw_host *host = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return host;
}

static void charge(lua_State *L)
{
    if (host_of(L))
        dw_budget_charge(L, LOOKUP_COST);
}

static const char *check_path(lua_State *L, const char *what)
{
    const struct dw_host *host = host_of(L);
    if (host && !host->loading)
        complain(L, lua_pushfstring(L, "zap.%s: declare it while the policy is loaded, not in a hook", what));
    if (lua_type(L, 1) != LUA_TSTRING || *lua_tostring(L, 1) == '\0')
        complain(L, lua_pushfstring(L, "zap.%s: expected a path, got %s", what, luaL_typename(L, 1)));
    lua_settop(L, 1);
    return push_path(L, lua_tostring(L, 1));
}

struct users_box {
    struct dw_users *users;
    char source[256]; /* the file, as the policy names it: what a trace calls it */
};

static int zap_users(lua_State *L)
{
    struct dw_error err = {0};
    const char *path = check_path(L, "users");
    struct users_box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct users_box){0};
    snprintf(box->source, sizeof box->source, "%s", lua_tostring(L, 1));
    luaL_setmetatable(L, USERS);
    box->users = dw_users_open(path, &err);
    return box->users ? 1 : complain(L, lua_pushfstring(L, "zap.users: %s", err.detail));
}

static int users_free(lua_State *L)
{
    struct users_box *box = luaL_checkudata(L, 1, USERS);
    dw_users_free(&box->users);
    return 0;
}

enum { NAME = 2, KNOWN = 4, HASH }; /* on the stack of users_verify */

/* What came of it is on top, as many values as `results`. */
static int users_told(lua_State *L, int results)
{
    bool known = lua_toboolean(L, KNOWN), right = results == 1 && lua_toboolean(L, -1);
    if (known && right)
        return 1;
    const char *trouble = known && results == 2 ? lua_tostring(L, -1) : NULL;
    lua_pushboolean(L, 0);
    if (trouble)
        lua_pushfstring(L, "the hash of '%s' cannot be used: %s", lua_tostring(L, NAME), trouble);
    else
        lua_pushstring(L, known ? "wrong password" : "unknown user");
    return 2;
}

static int users_verified(lua_State *L, int status, lua_KContext ticket)
{
    (void)status;
    return users_told(L, dw_lua_verified(L, ticket));
}

/* An unknown user costs as much time as a known one. */
static int users_verify(lua_State *L)
{
    struct dw_error err = {0};
    struct users_box *box = luaL_checkudata(L, 1, USERS);
    size_t len;
    const char *name = luaL_checklstring(L, 2, &len);
    struct dw_span secret = dw_lua_to_secret(L, 3);
    if (!secret.at)
        secret.at = (const uint8_t *)luaL_checklstring(L, 3, &secret.len);
    lua_settop(L, 3);
    charge(L);
    if (dw_users_refresh(box->users, &err) < 0)
        return luaL_error(L, "%s", err.detail);
    const char *hash = dw_users_hash(box->users, dw_span_make(name, len));
    const char *tried = hash ? hash : dw_users_hash(box->users, DW_SPAN_NONE);
    lua_pushboolean(L, hash != NULL);
    lua_pushstring(L, tried ? tried : "");
    bool names_fit = strlen(name) == len && len <= NAME_MOST;
    return users_told(
        L, tried ? dw_lua_verify(L, secret, HASH, box->source, names_fit ? name : NULL, users_verified) : 0);
}

static int zap_certificates(lua_State *L)
{
    struct dw_error err = {0};
    const char *path = check_path(L, "certificates");
    struct dw_certificates **all = lua_newuserdatauv(L, sizeof(struct dw_certificates *), 0);
    *all = NULL;
    luaL_setmetatable(L, CERTIFICATES);
    *all = dw_certificates_open(path, &err);
    return *all ? 1 : complain(L, lua_pushfstring(L, "zap.certificates: %s", err.detail));
}

static int certificates_free(lua_State *L)
{
    dw_certificates_free(luaL_checkudata(L, 1, CERTIFICATES));
    return 0;
}

static int certificates_find(lua_State *L)
{
    struct dw_error err = {0};
    uint8_t key[32];
    size_t len;
    struct dw_certificates *all = *(struct dw_certificates **)luaL_checkudata(L, 1, CERTIFICATES);
    const char *text = luaL_checklstring(L, 2, &len);
    if (len == sizeof key)
        memcpy(key, text, len);
    else if (dw_z85_decode(key, dw_span_make(text, len)) < 0)
        return luaL_error(L, "expected a key as event.curve.key or event.curve.raw has it");
    charge(L);
    if (dw_certificates_refresh(all, &err) < 0)
        return luaL_error(L, "%s", err.detail);
    const struct dw_certificate *found = dw_certificates_find(all, key);
    if (!found) {
        lua_pushnil(L);
        lua_pushliteral(L, "no certificate has this key");
        return 2;
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, found->name);
    lua_setfield(L, -2, "name");
    lua_createtable(L, 0, (int)found->metadata_count);
    for (size_t i = 0; i < found->metadata_count; i++) {
        const struct dw_pair *p = &found->metadata[i];
        lua_pushlstring(L, (const char *)p->name.at, p->name.len);
        lua_pushlstring(L, (const char *)p->value.at, p->value.len);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "metadata");
    return 1;
}

static void make_type(lua_State *L, const char *type, lua_CFunction gc, const char *verb, lua_CFunction function)
{
    if (luaL_newmetatable(L, type)) {
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, function);
        lua_setfield(L, -2, verb);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

int dw_lua_open_zap(lua_State *L)
{
    static const luaL_Reg functions[] = {{"users", zap_users}, {"certificates", zap_certificates}, {NULL, NULL}};
    make_type(L, USERS, users_free, "verify", users_verify);
    make_type(L, CERTIFICATES, certificates_free, "find", certificates_find);
    luaL_newlib(L, functions);
    return 1;
}
