/* One Lua state, its limits, its policies: see host.h. */
#include "base/log.h"
#include "base/text.h"
#include "policy/doors.h"
#include "policy/inside.h"

#include <ctype.h>
#include <lauxlib.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const hook_names[] = {"connect", "realm", "map", "authorize", "close", NULL};

/* Loading.  Runs protected: whatever fails raises, and dw_host_new tells. */

/* Where `name` is set in the text: the first line that holds it before a single '='. */
static int line_of(const char *text, const char *name)
{
    size_t len = strlen(name);
    int line = 1;
    for (const char *at = text; *at; at++) {
        if (*at == '\n')
            line++;
        if (strncmp(at, name, len) != 0 || (at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_')))
            continue;
        const char *after = at + len + strspn(at + len, " \t\"']");
        if (*after == '=' && after[1] != '=')
            return line;
    }
    return 1;
}

static int complain(lua_State *L, const struct dw_policy *p, const char *name, const char *message)
{
    return luaL_error(L, "%s:%d: %s", p->file, line_of(p->text, name), message);
}

static int take_hook(lua_State *L, struct dw_policy *p)
{
    /* Key and value are on top; the value is taken. */
    lua_Debug ar;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (!key)
        return luaL_error(L, "%s: a policy is a table of hooks by name, not a list", p->file);
    int hook = dw_stage_parse(key);
    if (hook < 0) {
        const char *nearest = dw_text_nearest(key, hook_names);
        return complain(
            L, p, key,
            nearest
                ? lua_pushfstring(L, "unknown hook '%s', did you mean '%s'?", key, nearest)
                : lua_pushfstring(L, "unknown hook '%s': there are connect, realm, map, authorize and close", key));
    }
    if (lua_type(L, -1) != LUA_TFUNCTION)
        return complain(L, p, key,
                        lua_pushfstring(L, "hook '%s' must be a function, not a %s", key, luaL_typename(L, -1)));
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    /* A hook that one of our modules built stands where the policy names it. */
    bool own = *ar.source == '@' && strcmp(ar.source + 1, p->file) == 0;
    if (asprintf(&p->at[hook], "%s:%d", p->file, own ? ar.linedefined : line_of(p->text, key)) < 0) {
        p->at[hook] = NULL;
        return luaL_error(L, "out of memory");
    }
    p->hooks[hook] = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int load_policy(lua_State *L)
{
    struct dw_policy *p = lua_touserdata(L, 1);
    const char *slash = strrchr(p->file, '/');
    const char *folder = slash == p->file ? "/"
                         : slash          ? lua_pushlstring(L, p->file, (size_t)(slash - p->file))
                                          : ".";
    if (dw_modules_compile(L, p->text, p->len, p->file, folder) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "%s: a policy returns a table of hooks; this returned %s", p->file,
                          luaL_typename(L, -1));
    for (lua_pushnil(L); lua_next(L, -2);)
        take_hook(L, p);
    return 0;
}

/* A traceback helps the log, not the sentence. */
static int on_load_error(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    dw_log(DW_LOG_DEBUG, "policy does not load", "traceback", lua_tostring(L, -1), NULL);
    lua_pop(L, 1);
    return 1;
}

static int open_state(lua_State *L)
{
    struct dw_host *host = lua_touserdata(L, 1);
    lua_pushlightuserdata(L, host);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &dw_host_key);
    dw_sandbox_open(L);
    dw_lua_open_event(L);
    dw_lua_open_principal(L); /* events make principals before any script asks for the module */
    lua_settop(L, 0);
    return 0;
}

static int run(struct dw_host *host, lua_CFunction function, void *arg, const char *what, struct dw_error *err)
{
    lua_State *L = host->L;
    char sentence[80];
    lua_settop(L, 0);
    dw_budget_begin(&host->budget);
    lua_pushcfunction(L, on_load_error);
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, 1);
    dw_budget_sentence(&host->budget, sentence);
    dw_budget_end(&host->budget);
    if (status == LUA_OK && !*sentence)
        return 0;
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "unknown error";
    bool placed = strstr(message, what) || strstr(message, ".lua:");
    return dw_error_set(err, DW_ERROR_INTERNAL, "%s%s%s", placed ? "" : what, placed ? "" : ": ",
                        *sentence && !placed ? sentence : message);
}

static int load_all(struct dw_host *host, const char *const *files, struct dw_error *err)
{
    size_t count = 0;
    while (files && files[count])
        count++;
    if (count && !(host->policies = calloc(count, sizeof *host->policies)))
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct dw_policy *p = &host->policies[host->policy_count++];
        for (int hook = 0; hook < DW_HOOK_COUNT; hook++)
            p->hooks[hook] = LUA_NOREF;
        if (!(p->file = strdup(files[i])))
            return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        if (!(p->text = dw_modules_read(host, p->file, &p->len, err)) ||
            run(host, load_policy, p, p->file, err) < 0)
            return -1;
        free(p->text);
        p->text = NULL;
    }
    return 0;
}

static int finish_digest(struct dw_host *host)
{
    uint8_t digest[32];
    struct dw_buf hex = {0};
    if (EVP_DigestFinal_ex(host->digest, digest, NULL) != 1 || dw_text_hex(&hex, dw_span_make(digest, 32)) < 0)
        return -1;
    memcpy(host->sha256, dw_buf_span(&hex).at, 64);
    dw_buf_free(&hex);
    return 0;
}

static int copy_refused(struct dw_host *host, const char *const *users)
{
    size_t count = 0;
    while (users && users[count])
        count++;
    if (!(host->refuse_users = calloc(count + 1, sizeof *host->refuse_users)))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!(host->refuse_users[i] = strdup(users[i])))
            return -1;
    return 0;
}

static int panic(lua_State *L)
{
    /* Everything runs protected, so this is memory that ran out where Lua cannot say so. */
    (void)L;
    dw_log(DW_LOG_ERROR, "policy state lost", NULL);
    return 0;
}

struct dw_host *dw_host_new(const struct dw_host_options *options, struct dw_error *err)
{
    struct dw_error unread;
    err = err ? err : &unread;
    *err = (struct dw_error){0};
    struct dw_host *host = calloc(1, sizeof *host);
    if (!host)
        goto memory;
    struct dw_budget *b = &host->budget;
    b->memory = options->memory ? options->memory : 16u << 20;
    b->total = b->memory > SIZE_MAX / 8 ? SIZE_MAX : 4 * b->memory;
    b->seconds = options->seconds > 0 ? options->seconds : 5;
    b->instructions = options->instructions > 0 ? options->instructions : 10000000;
    dw_budget_end(b);
    if (options->keeper)
        host->keeper = *options->keeper;
    host->detailed = options->detailed;
    host->findings = options->findings;
    host->coverage = options->coverage;
    snprintf(host->scope, sizeof host->scope, "%s", options->scope ? options->scope : "");
    host->loading = true;
    if (copy_refused(host, options->refuse_users) < 0 || !(host->L = lua_newstate(dw_budget_alloc, b)))
        goto memory;
    *(struct dw_host **)lua_getextraspace(host->L) = host;
    lua_atpanic(host->L, panic);
    dw_budget_watch(host->L);
    host->digest = EVP_MD_CTX_new();
    if (!host->digest || EVP_DigestInit_ex(host->digest, EVP_sha256(), NULL) != 1)
        goto memory;
    if (run(host, open_state, host, "policy libraries", err) < 0 || load_all(host, options->policies, err) < 0)
        goto fail;
    if (host->policy_count && finish_digest(host) < 0)
        goto memory;
    EVP_MD_CTX_free(host->digest);
    host->digest = NULL;
    host->loading = false;
    host->findings = NULL;
    lua_settop(host->L, 0);
    lua_gc(host->L, LUA_GCCOLLECT);
    return host;
memory:
    dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
fail:
    dw_host_free(&host);
    return NULL;
}

void dw_host_free(struct dw_host **host)
{
    struct dw_host *h = *host;
    if (!h)
        return;
    if (h->L)
        lua_close(h->L);
    for (size_t i = 0; i < h->policy_count; i++) {
        free(h->policies[i].file);
        free(h->policies[i].text);
        for (int hook = 0; hook < DW_HOOK_COUNT; hook++)
            free(h->policies[i].at[hook]);
    }
    free(h->policies);
    for (size_t i = 0; h->refuse_users && h->refuse_users[i]; i++)
        free(h->refuse_users[i]);
    free(h->refuse_users);
    EVP_MD_CTX_free(h->digest);
    free(h);
    *host = NULL;
}

void dw_host_keep(struct dw_host *host, const struct dw_keeper *keeper)
{
    host->keeper = *keeper;
}

/* What cannot be noted for want of memory was not covered. */
void dw_host_cover_line(struct dw_host *host, const char *file, int line)
{
    char number[16];
    json_t *lines = json_object_get(json_object_get(host->coverage, "lines"), file);
    snprintf(number, sizeof number, "%d", line);
    if (lines && !json_object_get(lines, number))
        json_object_set_new(lines, number, json_true());
}

void dw_host_cover_rule(struct dw_host *host, const char *at, const char *name, bool decided)
{
    char *key;
    json_t *rules = json_object_get(host->coverage, "rules");
    if (!rules || asprintf(&key, "%s: %s", at, name) < 0)
        return;
    if (decided || !json_object_get(rules, key))
        json_object_set_new(rules, key, json_boolean(decided));
    free(key);
}

const char *dw_host_sha256(const struct dw_host *host)
{
    return host->sha256;
}

bool dw_host_has(const struct dw_host *host, enum dw_stage stage)
{
    for (size_t i = 0; i < host->policy_count; i++) {
        const int *hooks = host->policies[i].hooks;
        if (hooks[stage] != LUA_NOREF || (stage == DW_STAGE_MAP && hooks[DW_STAGE_AUTHORIZE] != LUA_NOREF))
            return true;
    }
    return false;
}

size_t dw_host_memory(const struct dw_host *host)
{
    return host->budget.held;
}
