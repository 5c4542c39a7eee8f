/* durward.core: what the modules in lua/durward need of C.  Usable in any state; where there is a host, steps
 * go into the trace of its question. */
#include "base/log.h"
#include "base/text.h"
#include "policy/decision_lua.h"
#include "policy/doors.h"
#include "policy/inside.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <stdlib.h>

const char dw_host_key;

/* Counts work done here, when it is a host's policy that asked for it. */
static void charge(lua_State *L, size_t units)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) != LUA_TNIL)
        dw_budget_charge(L, units);
    lua_pop(L, 1);
}

/* step(text, at) */
static int core_step(lua_State *L)
{
    struct dw_host *host = lua_touserdata(L, lua_upvalueindex(1));
    const char *text = luaL_checkstring(L, 1), *at = luaL_optstring(L, 2, NULL);
    if (host)
        dw_ask_note(host, text, at);
    return 0;
}

/* is_detailed(): whether whoever asks wants each step told */
static int core_is_detailed(lua_State *L)
{
    const struct dw_host *host = lua_touserdata(L, lua_upvalueindex(1));
    lua_pushboolean(L, host && host->detailed);
    return 1;
}

/* cover(at, name, decided): a rule was built, or has decided */
static int core_cover(lua_State *L)
{
    struct dw_host *host = lua_touserdata(L, lua_upvalueindex(1));
    if (host && host->coverage)
        dw_host_cover_rule(host, luaL_checkstring(L, 1), luaL_checkstring(L, 2), lua_toboolean(L, 3));
    return 0;
}

/* decision(verdict, fields, rule) */
static int core_decision(lua_State *L)
{
    static const char *const verdicts[] = {"deny", "allow", "temporary", NULL};
    enum dw_verdict verdict = (enum dw_verdict)luaL_checkoption(L, 1, NULL, verdicts);
    const char *rule = luaL_optstring(L, 3, NULL);
    dw_lua_push_decision(L, verdict, 2, rule);
    return 1;
}

static int core_is_decision(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, dw_lua_is_decision(L, 1));
    return 1;
}

/* where(): "file:line" of the policy that called our module, or nil. */
static int core_where(lua_State *L)
{
    dw_lua_push_culprit(L);
    return 1;
}

/* misuse(message): an error at that line. */
static int core_misuse(lua_State *L)
{
    luaL_checkstring(L, 1);
    dw_lua_push_culprit(L);
    if (lua_isnil(L, -1))
        lua_pushvalue(L, 1);
    else
        lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, 1));
    return lua_error(L);
}

/* nearest(word, list) */
static int core_nearest(lua_State *L)
{
    const char *words[128];
    size_t count = 0;
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    for (lua_Integer i = 1; count < 127 && lua_rawgeti(L, 2, i) == LUA_TSTRING; i++) {
        words[count++] = lua_tostring(L, -1); /* lives on in the list */
        lua_pop(L, 1);
    }
    words[count] = NULL;
    lua_pushstring(L, dw_text_nearest(word, words));
    return 1;
}

/* log(level, what, keys and values in turn, all text ..) */
static int core_log(lua_State *L)
{
    int level = dw_log_level_parse(luaL_checkstring(L, 1));
    luaL_argcheck(L, level >= 0, 1, "expected debug, info, warn or error");
    luaL_checkstring(L, 2);
    if (level < (int)dw_log_level_now())
        return 0;
    charge(L, DW_LINE_COST);
    struct dw_buf line = {0};
    int failed = 0;
    for (int i = 3; i + 1 <= lua_gettop(L); i += 2) {
        size_t len;
        const char *value = lua_tolstring(L, i + 1, &len);
        if (!value || !lua_tostring(L, i))
            continue;
        failed |= dw_buf_printf(&line, "%s%s=", i > 3 ? " " : "", lua_tostring(L, i));
        failed |= dw_text_quote(&line, dw_span_make(value, len));
    }
    failed |= dw_buf_put_u8(&line, 0);
    dw_log((enum dw_log_level)level, "policy says", "what", lua_tostring(L, 2), "with",
           failed || dw_buf_len(&line) == 1 ? NULL : (const char *)dw_buf_span(&line).at, NULL);
    dw_buf_free(&line);
    return 0;
}

/* A network as a matcher: 16 octets (IPv4 mapped, RFC 4291 section 2.5.5.2) and how many bits count. */
struct network {
    uint8_t at[16];
    int bits;
};

static bool parse_address(const char *text, uint8_t into[16], bool *v4)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char bare[INET6_ADDRSTRLEN + 1];
    struct in_addr four;
    *v4 = inet_pton(AF_INET, text, &four) == 1;
    if (*v4) {
        memcpy(into, mapped, 12);
        memcpy(into + 12, &four, 4);
        return true;
    }
    size_t len = strcspn(text, "%"); /* a link-local address may carry its interface */
    if (len >= sizeof bare)
        return false;
    memcpy(bare, text, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, into) == 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, int bits)
{
    if (memcmp(a, b, (size_t)bits / 8) != 0)
        return false;
    int rest = bits % 8;
    return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

/* Upvalue: the network.  Takes an address as text. */
static int network_has(lua_State *L)
{
    const struct network *n = lua_touserdata(L, lua_upvalueindex(1));
    uint8_t at[16];
    bool v4;
    const char *text = luaL_checkstring(L, 1);
    lua_pushboolean(L, parse_address(text, at, &v4) && same_bits(at, n->at, n->bits));
    return 1;
}

/* network("192.0.2.0/24"): a function of an address; or nil and why. */
static int core_network(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1), *slash = strchr(text, '/');
    lua_pushlstring(L, text, slash ? (size_t)(slash - text) : strlen(text));
    struct network *n = lua_newuserdatauv(L, sizeof *n, 0);
    bool v4;
    if (!parse_address(lua_tostring(L, -2), n->at, &v4) || strchr(text, '%')) {
        lua_pushnil(L);
        lua_pushfstring(L, "'%s' is not an address or a network such as 192.0.2.0/24 or 2001:db8::/32", text);
        return 2;
    }
    int most = v4 ? 32 : 128, bits = most;
    if (slash) {
        char *end;
        long value = slash[1] >= '0' && slash[1] <= '9' ? strtol(slash + 1, &end, 10) : -1;
        if (value < 0 || value > most || *end) {
            lua_pushnil(L);
            lua_pushfstring(L, "'%s': the prefix length is between 0 and %d", text, most);
            return 2;
        }
        bits = (int)value;
    }
    n->bits = v4 ? bits + 96 : bits;
    for (int i = n->bits; i < 128; i++)
        if (n->at[i / 8] & (0x80 >> i % 8)) {
            lua_pushnil(L);
            lua_pushfstring(L, "'%s': an address bit beyond the prefix is set", text);
            return 2;
        }
    lua_pushcclosure(L, network_has, 1);
    return 1;
}

/* Upvalue: the pattern; '*' stands for any run, '?' for one octet. */
static int glob_matches(lua_State *L)
{
    size_t text_len, pattern_len, t = 0, p = 0, star = SIZE_MAX, mark = 0;
    const char *text = luaL_checklstring(L, 1, &text_len);
    const char *pattern = lua_tolstring(L, lua_upvalueindex(1), &pattern_len);
    if (text_len > 64)
        charge(L, text_len * pattern_len / 4);
    while (t < text_len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern_len && (pattern[p] == '?' || pattern[p] == text[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            break;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    lua_pushboolean(L, t == text_len && p == pattern_len);
    return 1;
}

/* glob(pattern): a function of a text. */
static int core_glob(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, len <= 256, 1, "a pattern of more than 256 octets");
    lua_settop(L, 1);
    lua_pushcclosure(L, glob_matches, 1);
    return 1;
}

int dw_lua_open_core(lua_State *L)
{
    static const luaL_Reg functions[] = {{"decision", core_decision},
                                         {"is_decision", core_is_decision},
                                         {"where", core_where},
                                         {"misuse", core_misuse},
                                         {"nearest", core_nearest},
                                         {"log", core_log},
                                         {"network", core_network},
                                         {"glob", core_glob},
                                         {NULL, NULL}};
    dw_lua_open_decisions(L);
    luaL_setfuncs(L, functions, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key);
    lua_pushcclosure(L, core_step, 1);
    lua_setfield(L, -2, "step");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key);
    lua_pushcclosure(L, core_is_detailed, 1);
    lua_setfield(L, -2, "is_detailed");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key);
    lua_pushcclosure(L, core_cover, 1);
    lua_setfield(L, -2, "cover");
    return 1;
}
