/* durward.a2l: auth_to_local rules for scripts.
 *
 * A set of rules is one object that owns what the engine made, and the results of its last call, so that
 * nothing is lost when Lua raises while they are handed over. */
#include "base/text.h"
#include "map/a2l.h"
#include "policy/decision_lua.h"
#include "policy/doors.h"
#include "policy/inside.h"

#include <lauxlib.h>
#include <stdio.h>
#include <unistd.h>

#define TYPE "durward.a2l.rules"

struct object {
    struct dw_a2l *a2l;
    struct dw_buf user;
    struct dw_a2l_report report;
    struct dw_a2l_findings findings;
};

enum { NANOSECONDS_A_UNIT = 10 }; /* what an instruction of Lua takes, roughly */

static struct dw_span span_at(lua_State *L, int index)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    return dw_span_make(text, len);
}

static void *scratch(lua_State *L, size_t count, size_t size)
{
    return lua_newuserdatauv(L, (count + 1) * size, 0);
}

static void push_span(lua_State *L, struct dw_span span)
{
    if (span.at)
        lua_pushlstring(L, (const char *)span.at, span.len);
    else
        lua_pushnil(L);
}

static void set_span(lua_State *L, const char *name, struct dw_span span)
{
    push_span(L, span);
    lua_setfield(L, -2, name);
}

static int fail(lua_State *L, enum dw_a2l_code code, const struct dw_error *err)
{
    lua_pushnil(L);
    lua_pushstring(L, err->detail);
    lua_pushstring(L, dw_a2l_code_word(code));
    return 3;
}

/* Time spent in C counts as instructions; in a state without a host nothing is counted. */
static void charge(lua_State *L, uint64_t since)
{
    bool counted = lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) != LUA_TNIL;
    lua_pop(L, 1);
    if (counted)
        dw_budget_charge(L, (size_t)((dw_budget_clock() - since) / NANOSECONDS_A_UNIT));
}

static void forget(struct object *o)
{
    dw_buf_clear(&o->user, DW_A2L_NAME_MAX);
    dw_a2l_report_free(&o->report);
    dw_a2l_findings_free(&o->findings);
}

static struct object *push_object(lua_State *L)
{
    struct object *o = lua_newuserdatauv(L, sizeof *o, 0);
    memset(o, 0, sizeof *o);
    luaL_setmetatable(L, TYPE);
    return o;
}

/* One rule a line, blanks at both ends dropped, as the library reads its file; a single line stays as it is. */
static size_t split_lines(struct dw_span text, struct dw_span *into, size_t most)
{
    size_t count = 0, start = 0;
    if (!text.len || !memchr(text.at, '\n', text.len)) {
        into[0] = text;
        return 1;
    }
    for (size_t i = 0; i <= text.len && count < most; i++) {
        if (i < text.len && text.at[i] != '\n')
            continue;
        size_t from = start, to = i;
        while (from < to && strchr(" \t\r\f\v", text.at[from]))
            from++;
        while (to > from && strchr(" \t\r\f\v", text.at[to - 1]))
            to--;
        if (to > from)
            into[count++] = dw_span_make(text.at + from, to - from);
        start = i + 1;
    }
    return count;
}

/* The rules at `index` as spans, in a scratch block that is pushed. */
static struct dw_span *read_rules(lua_State *L, int index, enum dw_a2l_dialect dialect, size_t *count)
{
    struct dw_span *rules;
    if (lua_type(L, index) == LUA_TSTRING) {
        struct dw_span text = span_at(L, index);
        size_t lines = 1;
        for (size_t i = 0; i < text.len && lines <= DW_A2L_RULES_MAX; i++)
            lines += text.at[i] == '\n';
        rules = scratch(L, lines, sizeof *rules);
        rules[0] = text;
        *count = dialect == DW_A2L_MIT ? split_lines(text, rules, lines) : 1;
        return rules;
    }
    if (!lua_istable(L, index))
        luaL_typeerror(L, index, "string or list of strings");
    lua_Integer len = (lua_Integer)lua_rawlen(L, index);
    size_t most = len > DW_A2L_RULES_MAX ? DW_A2L_RULES_MAX + 1 : (size_t)len;
    rules = scratch(L, most, sizeof *rules);
    for (size_t i = 0; i < most; i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "a2l.compile: rule %d is a %s, not a string", (int)i + 1, luaL_typename(L, -1));
        rules[i] = span_at(L, -1);
        lua_pop(L, 1);
    }
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1 || lua_tointeger(L, -2) > len)
            luaL_error(L, "a2l.compile: the rules are a list; [%s] does not belong there",
                       luaL_tolstring(L, -2, NULL));
    *count = most;
    return rules;
}

static void name_error(lua_State *L)
{
    luaL_error(
        L, "a2l.compile: names takes [\"principal\"] = \"user\" (or a list of users, of which the last counts)");
}

/* options.names at the top of the stack. */
static void read_names(lua_State *L, struct dw_a2l_options *options)
{
    int names = lua_gettop(L);
    size_t most = 0;
    for (lua_pushnil(L); lua_next(L, names); lua_pop(L, 1))
        most++;
    struct dw_a2l_name *list = scratch(L, most, sizeof *list);
    for (lua_pushnil(L); lua_next(L, names); lua_pop(L, 1)) {
        int value = lua_gettop(L);
        if (lua_type(L, value - 1) != LUA_TSTRING)
            name_error(L);
        if (lua_istable(L, value))
            lua_rawgeti(L, value, (lua_Integer)lua_rawlen(L, value));
        if (lua_type(L, -1) != LUA_TSTRING)
            name_error(L);
        list[options->name_count++] = (struct dw_a2l_name){span_at(L, value - 1), span_at(L, -1)};
        lua_settop(L, value);
    }
    options->names = list;
    /* The table of names and the list stay on the stack until the rules are compiled. */
}

static void check_options(lua_State *L, int index, const char *function, const char *const known[])
{
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_tolstring(L, -2, NULL);
        bool found = false;
        for (size_t i = 0; known[i]; i++)
            found = found || !strcmp(key, known[i]);
        if (!found) {
            const char *nearest = dw_text_nearest(key, known);
            luaL_error(L, "a2l.%s: unknown option '%s'%s%s%s", function, key, nearest ? ", did you mean '" : "",
                       nearest ? nearest : "", nearest ? "'?" : "");
        }
    }
}

static void read_options(lua_State *L, int index, struct dw_a2l_options *options)
{
    static const char *const known[] = {"dialect", "default_realm", "names", NULL};
    static const char *const dialects[] = {"mit", "hadoop", "hadoop-mit", NULL};
    check_options(L, index, "compile", known);
    if (lua_getfield(L, index, "dialect") != LUA_TNIL) {
        int dialect = lua_type(L, -1) == LUA_TSTRING ? dw_a2l_dialect_parse(lua_tostring(L, -1)) : -1;
        if (dialect < 0) {
            const char *got = luaL_tolstring(L, -1, NULL), *nearest = dw_text_nearest(got, dialects);
            luaL_error(L, "a2l.compile: dialect is \"mit\", \"hadoop\" or \"hadoop-mit\", not \"%s\"%s%s%s", got,
                       nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        }
        options->dialect = (enum dw_a2l_dialect)dialect;
    }
    int type = lua_getfield(L, index, "default_realm");
    if (type != LUA_TNIL && type != LUA_TSTRING)
        luaL_error(L, "a2l.compile: default_realm is a %s, not a string", luaL_typename(L, -1));
    if (type == LUA_TSTRING)
        options->default_realm = span_at(L, -1);
    type = lua_getfield(L, index, "names");
    if (type != LUA_TNIL && type != LUA_TTABLE)
        luaL_error(L, "a2l.compile: names is a %s, not a table", luaL_typename(L, -1));
    if (type == LUA_TTABLE)
        read_names(L, options);
}

static bool refuses(const struct dw_host *host, const char *user)
{
    for (size_t i = 0; host->refuse_users && host->refuse_users[i]; i++)
        if (strcmp(host->refuse_users[i], user) == 0)
            return true;
    return false;
}

/* What is suspicious about rules, to be told by `durward check`.  Its time is not the policy's. */
static void note_findings(lua_State *L, struct object *o)
{
    bool inside = lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) != LUA_TNIL;
    lua_pop(L, 1);
    struct dw_host *host = inside ? dw_host_of(L) : NULL;
    if (!host || !host->findings || !o->a2l)
        return;
    dw_lua_push_culprit(L);
    const char *where = lua_isnil(L, -1) ? host->policies[host->policy_count - 1].file : lua_tostring(L, -1);
    dw_a2l_lint(o->a2l, &o->findings);
    for (size_t i = 0; i < o->findings.count; i++) {
        const struct dw_a2l_finding *f = &o->findings.list[i];
        char rule[32] = "";
        /* That some name becomes root is no trap where root is refused, whatever the rules say. */
        if (dw_span_equal(f->kind, dw_span_str("root")) && refuses(host, "root"))
            continue;
        if (f->rule)
            snprintf(rule, sizeof rule, " rule %zu", f->rule);
        dw_buf_printf(host->findings, "%s: a2l%s: %.*s\n", where, rule, (int)f->message.len, f->message.at);
    }
    lua_pop(L, 1);
    forget(o);
}

static int compile(lua_State *L)
{
    struct dw_a2l_options options = {.dialect = DW_A2L_MIT};
    struct dw_error err = {0};
    enum dw_a2l_code code;
    size_t count;
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        read_options(L, 2, &options);
    struct dw_span *rules = read_rules(L, 1, options.dialect, &count);
    struct object *o = push_object(L);
    uint64_t since = dw_budget_clock();
    o->a2l = dw_a2l_compile(rules, count, &options, &code, &err);
    charge(L, since);
    note_findings(L, o);
    return o->a2l ? 1 : fail(L, code, &err);
}

/* A relative path is relative to the file of the script that names it. */
static const char *beside_caller(lua_State *L, const char *path)
{
    lua_Debug ar;
    if (*path == '/' || !lua_getstack(L, 1, &ar) || !lua_getinfo(L, "S", &ar) || ar.source[0] != '@')
        return path;
    const char *slash = strrchr(ar.source, '/');
    if (!slash)
        return path;
    lua_pushlstring(L, ar.source + 1, (size_t)(slash - ar.source));
    return lua_pushfstring(L, "%s%s", lua_tostring(L, -1), path);
}

static const char *check_path(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TSTRING);
    luaL_argcheck(L, strlen(lua_tostring(L, index)) == lua_rawlen(L, index), index,
                  "a path without NUL octets expected");
    return beside_caller(L, lua_tostring(L, index));
}

static int from_krb5_conf(lua_State *L)
{
    struct dw_error err = {0};
    enum dw_a2l_code code;
    const char *path = check_path(L, 1);
    struct object *o = push_object(L);
    uint64_t since = dw_budget_clock();
    o->a2l = dw_a2l_from_krb5_conf(path, &code, &err);
    charge(L, since);
    note_findings(L, o);
    return o->a2l ? 1 : fail(L, code, &err);
}

/* from_core_site(path [, { default_realm = "R" or krb5_conf = "/etc/krb5.conf" }]) */
static int from_core_site(lua_State *L)
{
    static const char *const known[] = {"default_realm", "krb5_conf", NULL};
    static const char standard[] = "/etc/krb5.conf";
    struct dw_a2l_site options = {.krb5_conf = access(standard, R_OK) == 0 ? standard : NULL};
    struct dw_error err = {0};
    enum dw_a2l_code code;
    lua_settop(L, 2);
    const char *path = check_path(L, 1);
    if (!lua_isnil(L, 2)) {
        check_options(L, 2, "from_core_site", known);
        for (size_t i = 0; known[i]; i++) {
            int type = lua_getfield(L, 2, known[i]);
            if (type != LUA_TNIL && type != LUA_TSTRING)
                luaL_error(L, "a2l.from_core_site: %s is a %s, not a string", known[i], luaL_typename(L, -1));
        }
        if (!lua_isnil(L, -2))
            options.default_realm = span_at(L, -2);
        if (!lua_isnil(L, -1))
            options.krb5_conf = check_path(L, -1);
    }
    struct object *o = push_object(L);
    uint64_t since = dw_budget_clock();
    o->a2l = dw_a2l_from_core_site(path, &options, &code, &err);
    charge(L, since);
    note_findings(L, o);
    return o->a2l ? 1 : fail(L, code, &err);
}

static struct object *check_self(lua_State *L)
{
    struct object *o = luaL_checkudata(L, 1, TYPE);
    if (!o->a2l)
        luaL_error(L, "these rules are closed");
    forget(o);
    return o;
}

/* The name to be mapped: a string, or a principal's full name (which then stands at 2). */
static struct dw_span check_name(lua_State *L)
{
    if (dw_lua_to_principal(L, 2)) {
        luaL_tolstring(L, 2, NULL);
        lua_replace(L, 2);
    } else if (lua_type(L, 2) != LUA_TSTRING) {
        luaL_typeerror(L, 2, "string or principal");
    }
    return span_at(L, 2);
}

static int map(lua_State *L)
{
    struct object *o = check_self(L);
    struct dw_span name = check_name(L);
    struct dw_error err = {0};
    uint64_t since = dw_budget_clock();
    enum dw_a2l_code code = dw_a2l_map(o->a2l, name, &o->user, NULL, &err);
    charge(L, since);
    if (code)
        return fail(L, code, &err);
    push_span(L, dw_buf_span(&o->user));
    return 1;
}

static void push_edits(lua_State *L, const struct dw_a2l_step *step)
{
    lua_createtable(L, (int)step->edit_count, 0);
    for (size_t i = 0; i < step->edit_count; i++) {
        const struct dw_a2l_edit *edit = &step->edits[i];
        lua_createtable(L, 0, 6);
        set_span(L, "pattern", edit->pattern);
        set_span(L, "with", edit->with);
        lua_pushboolean(L, edit->global);
        lua_setfield(L, -2, "global");
        lua_pushinteger(L, (lua_Integer)edit->count);
        lua_setfield(L, -2, "count");
        set_span(L, "before", edit->before);
        set_span(L, "after", edit->after);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_step(lua_State *L, const struct dw_a2l_step *step)
{
    lua_createtable(L, 0, 8);
    if (step->rule) {
        lua_pushinteger(L, (lua_Integer)step->rule);
        lua_setfield(L, -2, "rule");
    }
    set_span(L, "text", step->text);
    lua_pushstring(L, dw_a2l_outcome_word(step->outcome));
    lua_setfield(L, -2, "outcome");
    set_span(L, "why", step->why);
    set_span(L, "selection", step->selection);
    set_span(L, "pattern", step->pattern);
    set_span(L, "user", step->user);
    push_edits(L, step);
    lua_setfield(L, -2, "substitutions");
}

/* -> the steps, and what map would give */
static int explain(lua_State *L)
{
    struct object *o = check_self(L);
    struct dw_span name = check_name(L);
    struct dw_error err = {0};
    uint64_t since = dw_budget_clock();
    enum dw_a2l_code code = dw_a2l_map(o->a2l, name, &o->user, &o->report, &err);
    charge(L, since);
    if (o->report.incomplete)
        return luaL_error(L, "a2l.explain: out of memory");
    lua_createtable(L, (int)o->report.count, 0);
    for (size_t i = 0; i < o->report.count; i++) {
        push_step(L, &o->report.steps[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    int results = 1;
    if (code) {
        results += fail(L, code, &err);
    } else {
        push_span(L, dw_buf_span(&o->user));
        results++;
    }
    forget(o);
    return results;
}

static int lint(lua_State *L)
{
    struct object *o = check_self(L);
    uint64_t since = dw_budget_clock();
    dw_a2l_lint(o->a2l, &o->findings);
    charge(L, since);
    if (o->findings.notes.incomplete)
        return luaL_error(L, "a2l.lint: out of memory");
    lua_createtable(L, (int)o->findings.count, 0);
    for (size_t i = 0; i < o->findings.count; i++) {
        const struct dw_a2l_finding *finding = &o->findings.list[i];
        lua_createtable(L, 0, 3);
        if (finding->rule) {
            lua_pushinteger(L, (lua_Integer)finding->rule);
            lua_setfield(L, -2, "rule");
        }
        set_span(L, "kind", finding->kind);
        set_span(L, "message", finding->message);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    forget(o);
    return 1;
}

static int collect(lua_State *L)
{
    struct object *o = luaL_checkudata(L, 1, TYPE);
    forget(o);
    dw_buf_free(&o->user);
    dw_a2l_free(&o->a2l);
    return 0;
}

static int to_string(lua_State *L)
{
    struct object *o = luaL_checkudata(L, 1, TYPE);
    lua_pushfstring(L, TYPE ": %d rules (%s)", o->a2l ? (int)dw_a2l_count(o->a2l) : 0,
                    o->a2l ? dw_a2l_dialect_word(dw_a2l_dialect_of(o->a2l)) : "closed");
    return 1;
}

static int index_of(lua_State *L)
{
    static const luaL_Reg methods[] = {{"map", map}, {"explain", explain}, {"lint", lint}, {NULL, NULL}};
    static const char *const names[] = {"map", "explain", "lint", NULL};
    luaL_checkudata(L, 1, TYPE);
    const char *name = luaL_tolstring(L, 2, NULL);
    for (const luaL_Reg *m = methods; m->name; m++) {
        if (!strcmp(m->name, name)) {
            lua_pushcfunction(L, m->func);
            return 1;
        }
    }
    const char *nearest = dw_text_nearest(name, names);
    return luaL_error(L, "rules have no '%s'%s%s%s", name, nearest ? ", did you mean '" : "",
                      nearest ? nearest : "", nearest ? "'?" : "");
}

int dw_lua_open_a2l(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"compile", compile}, {"from_krb5_conf", from_krb5_conf}, {"from_core_site", from_core_site}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__index", index_of},
        {"__gc", collect},
        {"__tostring", to_string},
        {NULL, NULL},
    };
    dw_lua_open_principal(L); /* its type is known to rules:map */
    lua_pop(L, 1);
    if (luaL_newmetatable(L, TYPE)) {
        luaL_setfuncs(L, meta, 0);
        lua_pushliteral(L, TYPE);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return 1;
}
