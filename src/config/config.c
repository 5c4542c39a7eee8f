/* Loading, holding and letting go of a configuration: see config.h. */
#include "config/state.h"

#include "base/text.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct place {
    char *key, *where;
};

/* What callers hold is the first member. */
struct held {
    struct dw_config config;
    _Atomic unsigned holders;
    char **at; /* "zmtp[1]" of each listener */
    struct place *places;
    size_t place_count;
};

struct load {
    const char *path, *folder;
    struct dw_buf text;
    struct dw_buf *findings;
    struct held *held;
    bool takes_parts; /* of a file with mistakes: what is sound */
    bool built;
};

static void free_list(char **list)
{
    for (char **item = list; item && *item; item++)
        free(*item);
    free(list);
}

static void clear_domain(struct dw_xmpp_domain_config *one)
{
    free(one->at);
    free(one->domain);
    free(one->hostname);
    free_list(one->hosts);
    free(one->certificate);
    free(one->key);
    free(one->keytab);
    free(one->realm);
    dw_address_clear(&one->backend.connect);
    free(one->backend.ca_file);
    free(one->backend.name);
    free(one->backend.secret_file);
    free(one->backend.ca_certificate);
    free(one->backend.ca_key);
}

static void clear_listener(struct dw_listener_config *one)
{
    free(one->name);
    dw_address_clear(&one->listen);
    free(one->allow_from);
    free(one->service);
    free(one->realm);
    free(one->keytab);
    dw_address_clear(&one->backend);
    free_list(one->forward);
    dw_address_clear(&one->connect);
    free(one->ccache);
    free(one->principal);
    for (size_t i = 0; i < one->domain_count; i++)
        clear_domain(&one->domains[i]);
    free(one->domains);
    free_list(one->mechanisms);
    free_list(one->hostname_namespaces);
    free_list(one->services);
    free(one->of);
}

static void free_held(struct held *held)
{
    if (!held)
        return;
    struct dw_config *config = &held->config;
    for (size_t i = 0; i < config->listener_count; i++) {
        clear_listener(&config->listeners[i]);
        if (held->at)
            free(held->at[i]);
    }
    free(config->listeners);
    free(held->at);
    for (size_t i = 0; i < held->place_count; i++) {
        free(held->places[i].key);
        free(held->places[i].where);
    }
    free(held->places);
    free(config->file);
    free_list(config->policies);
    free_list(config->shadows);
    free(config->keytab);
    free(config->journal);
    free(config->state_dir);
    free_list(config->dns_servers);
    free_list(config->refuse_users);
    free(held);
}

struct dw_config *dw_config_hold(struct dw_config *config)
{
    atomic_fetch_add_explicit(&((struct held *)config)->holders, 1, memory_order_relaxed);
    return config;
}

void dw_config_release(struct dw_config **config)
{
    struct held *held = (struct held *)*config;
    *config = NULL;
    if (held && atomic_fetch_sub_explicit(&held->holders, 1, memory_order_acq_rel) == 1)
        free_held(held);
}

static char *copied(lua_State *L, int index)
{
    char *copy = strdup(luaL_checkstring(L, index));
    if (!copy)
        luaL_error(L, "memory is out");
    return copy;
}

/* Where keys stand, from whole.places and each listener's `at`. */
static void keep_places(lua_State *L, struct held *held)
{
    size_t count = 0;
    lua_getfield(L, -1, "places");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        count++;
    held->places = calloc(count + 1, sizeof *held->places);
    if (!held->places)
        luaL_error(L, "memory is out");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        struct place *place = &held->places[held->place_count++];
        place->key = copied(L, -2);
        place->where = copied(L, -1);
    }
    lua_pop(L, 1);
    held->at = calloc(held->config.listener_count + 1, sizeof *held->at);
    if (!held->at)
        luaL_error(L, "memory is out");
    lua_getfield(L, -1, "listeners");
    for (size_t i = 0; i < held->config.listener_count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        lua_getfield(L, -1, "shown");
        held->at[i] = copied(L, -1);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

/* Everything that may raise a Lua error, run by lua_pcall. */
static int load_protected(lua_State *L)
{
    struct load *load = lua_touserdata(L, 1);
    dw_config_state_libraries(L);
    lua_getglobal(L, "require");
    lua_pushstring(L, "durward.config");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "load");
    dw_config_state_door(L);
    lua_pushstring(L, load->path);
    struct dw_span text = dw_buf_span(&load->text);
    lua_pushlstring(L, (const char *)text.at, text.len);
    lua_call(L, 3, 2);
    size_t count = lua_rawlen(L, -2);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i);
        if (dw_buf_printf(load->findings, "%s\n", luaL_checkstring(L, -1)) < 0)
            luaL_error(L, "memory is out");
        lua_pop(L, 1);
    }
    if (!lua_istable(L, -1) || (count > 0 && !load->takes_parts))
        return 0;
    load->held = calloc(1, sizeof *load->held);
    if (!load->held)
        luaL_error(L, "memory is out");
    dw_config_build(L, &load->held->config, load->folder);
    keep_places(L, load->held);
    load->built = true;
    return 0;
}

/* The file's absolute path; symbolic links stay as they are named. */
static char *absolute(const char *path)
{
    char *whole = NULL, *here = NULL;
    if (path[0] == '/')
        return strdup(path);
    here = getcwd(NULL, 0);
    if (!here || asprintf(&whole, "%s/%s", strcmp(here, "/") ? here : "", path) < 0)
        whole = NULL;
    free(here);
    return whole;
}

static struct dw_config *load_file(const char *path, struct dw_buf *findings, bool takes_parts)
{
    struct load load = {.path = path, .findings = findings, .takes_parts = takes_parts};
    struct dw_config_state state = {0};
    struct dw_error err = {0};
    char *file = absolute(path), *folder = file ? strdup(file) : NULL;
    if (!folder) {
        dw_buf_printf(findings, "%s:1: memory is out, or the current folder is gone\n", path);
        goto done;
    }
    char *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    load.folder = folder;
    if (dw_config_read(path, &load.text, &err) < 0) {
        dw_buf_printf(findings, "%s:1: the configuration cannot be read: %s\n", path, err.detail);
        goto done;
    }
    if (dw_config_state_open(&state, folder) < 0) {
        dw_buf_printf(findings, "%s:1: memory is out\n", path);
        goto done;
    }
    lua_pushcfunction(state.L, load_protected);
    lua_pushlightuserdata(state.L, &load);
    if (lua_pcall(state.L, 1, 0, 0) != LUA_OK) {
        load.built = false;
        const char *why = lua_tostring(state.L, -1);
        dw_buf_printf(findings, "%s:1: the configuration could not be checked: %s\n", path,
                      why ? why : "no reason told");
    }
done:
    dw_config_state_close(&state);
    dw_buf_free(&load.text);
    free(folder);
    if (!load.built) {
        free_held(load.held);
        free(file);
        return NULL;
    }
    load.held->config.file = file;
    atomic_init(&load.held->holders, 1);
    return &load.held->config;
}

struct dw_config *dw_config_load(const char *path, struct dw_buf *findings)
{
    return load_file(path, findings, false);
}

struct dw_config *dw_config_load_sound(const char *path, struct dw_buf *findings)
{
    return load_file(path, findings, true);
}

static const char *find_place(const struct held *held, const char *key)
{
    for (size_t i = 0; i < held->place_count; i++)
        if (!strcmp(held->places[i].key, key))
            return held->places[i].where;
    return NULL;
}

const char *dw_config_where(const struct dw_config *config, const struct dw_listener_config *listener,
                            const char *key)
{
    const struct held *held = (const struct held *)config;
    const char *where;
    char path[512];
    if (listener)
        snprintf(path, sizeof path, "%s.%s", held->at[listener - config->listeners], key);
    else
        snprintf(path, sizeof path, "%s", key);
    while (!(where = find_place(held, path)) && *path) {
        char *dot = strrchr(path, '.'), *bracket = strrchr(path, '['), *cut = dot > bracket ? dot : bracket;
        *(cut ? cut : path) = '\0';
    }
    return where ? where : config->file;
}

bool dw_config_names_keytab(const struct dw_config *config, const char *keytab)
{
    bool found = config->keytab && strcmp(config->keytab, keytab) == 0;
    for (size_t i = 0; i < config->listener_count && !found; i++) {
        const struct dw_listener_config *l = &config->listeners[i];
        found = l->keytab && strcmp(l->keytab, keytab) == 0;
        for (size_t d = 0; d < l->domain_count && !found; d++)
            found = strcmp(l->domains[d].keytab, keytab) == 0;
    }
    return found;
}
