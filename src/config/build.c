/* From the table that the schema has checked to plain structs.  Everything in it has the right type. */
#include "config/state.h"

#include <lauxlib.h>
#include <stdlib.h>

static char *owned(lua_State *L, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        luaL_error(L, "memory is out");
    return copy;
}

/* Each field is assigned before anything else can raise an error, so that the configuration owns it. */
static void get_text(lua_State *L, const char *key, char **field)
{
    if (lua_getfield(L, -1, key) == LUA_TSTRING)
        *field = owned(L, lua_tostring(L, -1));
    lua_pop(L, 1);
}

static bool get_bool(lua_State *L, const char *key)
{
    lua_getfield(L, -1, key);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static double get_number(lua_State *L, const char *key)
{
    lua_getfield(L, -1, key);
    double value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static lua_Integer get_integer(lua_State *L, const char *key)
{
    lua_getfield(L, -1, key);
    lua_Integer value = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Which of `words` the field is; 0, the first, when it is none. */
static int get_word(lua_State *L, const char *key, const char *const words[])
{
    int found = 0;
    if (lua_getfield(L, -1, key) == LUA_TSTRING)
        for (int i = 0; words[i]; i++)
            if (!strcmp(words[i], lua_tostring(L, -1)))
                found = i;
    lua_pop(L, 1);
    return found;
}

static void get_list(lua_State *L, const char *key, char ***field)
{
    if (lua_getfield(L, -1, key) == LUA_TTABLE) {
        size_t count = lua_rawlen(L, -1);
        *field = calloc(count + 1, sizeof **field);
        if (!*field)
            luaL_error(L, "memory is out");
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            (*field)[i] = owned(L, luaL_checkstring(L, -1));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static void get_address(lua_State *L, const char *key, const char *folder, struct dw_address *field)
{
    struct dw_error err = {0};
    if (lua_getfield(L, -1, key) == LUA_TTABLE) {
        lua_getfield(L, -1, "text");
        if (dw_address_parse_in(field, luaL_checkstring(L, -1), folder, &err) < 0)
            luaL_error(L, "%s", err.detail);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void get_cidrs(lua_State *L, const char *key, struct dw_listener_config *one)
{
    struct dw_error err = {0};
    if (lua_getfield(L, -1, key) == LUA_TTABLE) {
        size_t count = lua_rawlen(L, -1);
        one->allow_from = calloc(count + 1, sizeof *one->allow_from);
        if (!one->allow_from)
            luaL_error(L, "memory is out");
        for (; one->allow_from_count < count; one->allow_from_count++) {
            lua_rawgeti(L, -1, (lua_Integer)one->allow_from_count + 1);
            if (dw_cidr_parse(&one->allow_from[one->allow_from_count], luaL_checkstring(L, -1), &err) < 0)
                luaL_error(L, "%s", err.detail);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static void get_backend(lua_State *L, struct dw_xmpp_backend_config *one, const char *folder)
{
    static const char *const tls[] = {"starttls", "none", NULL};
    static const char *const logins[] = {"jwt", "token", "external", NULL};
    if (lua_getfield(L, -1, "backend") != LUA_TTABLE) {
        lua_pop(L, 1);
        return;
    }
    get_address(L, "connect", folder, &one->connect);
    one->is_clear = get_word(L, "tls", tls) == 1;
    get_text(L, "ca_file", &one->ca_file);
    get_text(L, "name", &one->name);
    one->login = (enum dw_backend_login)get_word(L, "login", logins);
    get_text(L, "secret_file", &one->secret_file);
    get_text(L, "ca_certificate", &one->ca_certificate);
    get_text(L, "ca_key", &one->ca_key);
    one->proxy = (int)get_integer(L, "proxy");
    one->pool = (int)get_integer(L, "pool");
    lua_pop(L, 1);
}

static void get_domain(lua_State *L, struct dw_xmpp_domain_config *one, const char *folder)
{
    get_text(L, "at", &one->at);
    get_text(L, "domain", &one->domain);
    get_text(L, "hostname", &one->hostname);
    get_list(L, "hosts", &one->hosts);
    get_text(L, "keytab", &one->keytab);
    get_text(L, "realm", &one->realm);
    if (lua_getfield(L, -1, "tls") == LUA_TTABLE) {
        get_text(L, "certificate", &one->certificate);
        get_text(L, "key", &one->key);
    }
    lua_pop(L, 1);
    get_backend(L, &one->backend, folder);
    if (!one->backend.name)
        one->backend.name = owned(L, one->domain);
}

static void get_xmpp(lua_State *L, struct dw_listener_config *one, const char *folder)
{
    if (lua_getfield(L, -1, "served") == LUA_TTABLE) {
        size_t count = lua_rawlen(L, -1);
        one->domains = calloc(count + 1, sizeof *one->domains);
        if (!one->domains)
            luaL_error(L, "memory is out");
        while (one->domain_count < count) {
            lua_rawgeti(L, -1, (lua_Integer)one->domain_count + 1);
            get_domain(L, &one->domains[one->domain_count++], folder);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    one->direct_tls = get_bool(L, "direct_tls");
    get_list(L, "mechanisms", &one->mechanisms);
    get_list(L, "hostname_namespaces", &one->hostname_namespaces);
    one->hostname_in_features = get_bool(L, "hostname_in_features");
    one->idle_seconds = get_number(L, "idle_seconds");
}

static void get_listener(lua_State *L, struct dw_listener_config *one, const char *folder)
{
    static const char *const kinds[] = {"zmtp", "zmtp_out", "zap", "xmpp", "dovecot", "dovecot_master", NULL};
    static const char *const on_deny[] = {"close", "error", NULL};
    static const char *const identity[] = {"keep", "user", "drop", NULL};
    static const char *const protection[] = {"encrypted", "plaintext", NULL};
    one->kind = (enum dw_listener_kind)get_word(L, "kind", kinds);
    get_text(L, "name", &one->name);
    get_address(L, "listen", folder, &one->listen);
    one->mode = (mode_t)get_integer(L, "mode");
    one->has_gid = lua_getfield(L, -1, "group") == LUA_TNUMBER;
    one->gid = (gid_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    get_cidrs(L, "allow_from", one);
    get_text(L, "service", &one->service);
    get_text(L, "realm", &one->realm);
    get_text(L, "keytab", &one->keytab);
    one->plaintext = get_word(L, "protection", protection) == 1;
    one->allow_anonymous = get_bool(L, "allow_anonymous");
    if (one->kind == DW_LISTEN_ZMTP)
        get_address(L, "backend", folder, &one->backend);
    one->on_deny = (enum dw_on_deny)get_word(L, "on_deny", on_deny);
    one->retry_hold_seconds = get_number(L, "retry_hold_seconds");
    get_list(L, "forward", &one->forward);
    one->identity = (enum dw_identity_mode)get_word(L, "identity", identity);
    get_address(L, "connect", folder, &one->connect);
    get_text(L, "ccache", &one->ccache);
    get_text(L, "principal", &one->principal);
    one->require_mutual = get_bool(L, "require_mutual");
    get_list(L, "services", &one->services);
    one->has_master = get_bool(L, "has_master");
    get_text(L, "of", &one->of);
    if (one->kind == DW_LISTEN_XMPP)
        get_xmpp(L, one, folder);
}

static void get_limits(lua_State *L, struct dw_limits *limits)
{
    lua_getfield(L, -1, "limits");
    limits->handshake_seconds = get_number(L, "handshake_seconds");
    limits->decision_seconds = get_number(L, "decision_seconds");
    limits->drain_seconds = get_number(L, "drain_seconds");
    limits->connections = (long)get_integer(L, "connections");
    limits->per_peer = (long)get_integer(L, "per_peer");
    limits->per_user = (long)get_integer(L, "per_user");
    limits->frame_bytes = (size_t)get_integer(L, "frame_bytes");
    limits->memory = (size_t)get_integer(L, "memory");
    lua_pop(L, 1);
}

void dw_config_build(lua_State *L, struct dw_config *config, const char *folder)
{
    get_list(L, "policy", &config->policies);
    get_list(L, "shadow", &config->shadows);
    get_text(L, "keytab", &config->keytab);
    get_text(L, "journal", &config->journal);
    get_text(L, "state_dir", &config->state_dir);
    config->reload_on_change = get_bool(L, "reload_on_change");
    config->test_on_reload = get_bool(L, "test_on_reload");
    config->workers = (int)get_integer(L, "workers");
    lua_getfield(L, -1, "log_level");
    config->log_level = (enum dw_log_level)dw_log_level_parse(luaL_checkstring(L, -1));
    lua_pop(L, 1);
    get_list(L, "refuse_users", &config->refuse_users);
    if (lua_getfield(L, -1, "dns") == LUA_TTABLE)
        get_list(L, "servers", &config->dns_servers);
    lua_pop(L, 1);
    get_limits(L, &config->limits);
    lua_getfield(L, -1, "listeners");
    size_t count = lua_rawlen(L, -1);
    config->listeners = calloc(count + 1, sizeof *config->listeners);
    if (!config->listeners)
        luaL_error(L, "memory is out");
    for (; config->listener_count < count;) {
        lua_rawgeti(L, -1, (lua_Integer)config->listener_count + 1);
        get_listener(L, &config->listeners[config->listener_count++], folder);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}
