/* durward.secret: comparing what must not be guessed, and passwords against crypt(3) hashes.
 *
 *   equal(a, b)         two texts, or a secret and a text; in a time that does not tell how much was right
 *   verify(text, hash)  true, false, or nil and why the hash is not to be used
 *
 * Verifying takes up to a third of a second, so a hook waits for it as for any look-up, and other questions are asked
 * meanwhile.  Where nothing can wait (while a policy is loaded, in a sort) it is done at once.  What it took of this
 * thread's time is charged to the call. */
#include "policy/secret.h"

#include "policy/decision_lua.h"
#include "policy/doors.h"
#include "policy/inside.h"

#include <lauxlib.h>
#include <openssl/crypto.h>
#include <stdio.h>

enum {
    NANOSECONDS_A_UNIT =
        500, /* a call may verify for 5 seconds in all: two dozen hashes, or hundreds of cheap ones */
    WAIT_COST = 10000
};

/* NULL in a state that is no policy's. */
static struct dw_host *host_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key);
    struct dw_host *host = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return host;
}

static int push_answer(lua_State *L, const struct dw_answer *answer)
{
    if (answer->value) {
        lua_pushboolean(L, json_is_true(answer->value));
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, answer->failed ? answer->failed : "out of memory");
    return 2;
}

int dw_lua_verified(lua_State *L, lua_KContext ticket)
{
    const struct dw_answer *answer = dw_ask_answer(dw_host_of(L), ticket);
    if (!answer)
        return luaL_error(L, "this verification is over: it was another question's");
    dw_budget_charge(L, (size_t)(answer->nanoseconds / NANOSECONDS_A_UNIT));
    if (answer->is_fatal)
        return luaL_error(L, "%s", answer->failed ? answer->failed : "out of memory");
    return push_answer(L, answer);
}

/* Nothing waits: the answer is made here. */
static int verify_now(lua_State *L, const struct dw_want *want, bool counted)
{
    struct dw_answer answer = {0};
    dw_secret_answer(want, &answer);
    lua_pushboolean(L, json_is_true(answer.value));
    if (!answer.value) {
        lua_pushnil(L);
        lua_replace(L, -2);
    }
    char why[100];
    snprintf(why, sizeof why, "%s", answer.failed ? answer.failed : "out of memory");
    bool failed = !answer.value, is_fatal = answer.is_fatal;
    uint64_t nanoseconds = answer.nanoseconds;
    dw_answer_clear(&answer);
    if (counted)
        dw_budget_charge(L, (size_t)(nanoseconds / NANOSECONDS_A_UNIT));
    if (is_fatal)
        return luaL_error(L, "%s", why);
    if (failed)
        lua_pushstring(L, why);
    return failed ? 2 : 1;
}

int dw_lua_verify(lua_State *L, struct dw_span secret, int hash, const char *source, const char *key,
                  lua_KFunction then)
{
    char name[DW_SECRET_NAME];
    const char *text = luaL_checkstring(L, hash);
    const char *why = strlen(text) == lua_rawlen(L, hash) ? dw_secret_complaint(text) : "it holds a NUL";
    struct dw_host *host = host_of(L);
    struct dw_error err = {0};
    lua_KContext ticket;
    if (why) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    struct dw_want want = {.kind = DW_WANT_PASSWORD,
                           .source = source,
                           .key = key ? key : dw_secret_name(text, name),
                           .secret = secret,
                           .hash = text};
    if (!host || !host->asking || !lua_isyieldable(L))
        return verify_now(L, &want, host != NULL);
    dw_budget_charge(L, WAIT_COST);
    dw_lua_push_culprit(L);
    int rc = dw_ask_want(host, &want, lua_tostring(L, -1), &ticket, &err);
    lua_pop(L, 1);
    return rc < 0 ? verify_now(L, &want, true) : lua_yieldk(L, 0, ticket, then);
}

static int verified(lua_State *L, int status, lua_KContext ticket)
{
    (void)status;
    return dw_lua_verified(L, ticket);
}

int dw_lua_verify_secret(lua_State *L, struct dw_span secret, int hash)
{
    return dw_lua_verify(L, secret, hash, NULL, NULL, verified);
}

/* Text, or event.plain.password: that of the event in question. */
static struct dw_span check_secret(lua_State *L, int index)
{
    size_t len;
    struct dw_span secret = dw_lua_to_secret(L, index);
    if (secret.at)
        return secret;
    const char *text = luaL_checklstring(L, index, &len);
    return dw_span_make(text, len);
}

static int secret_equal(lua_State *L)
{
    struct dw_span a = check_secret(L, 1), b = check_secret(L, 2);
    if (a.at == dw_secret_unknown || b.at == dw_secret_unknown)
        return luaL_error(L, "the password is not known: it stands in no journal");
    size_t least = a.len < b.len ? a.len : b.len;
    bool same = CRYPTO_memcmp(a.at, b.at, least) == 0;
    lua_pushboolean(L, same && a.len == b.len);
    return 1;
}

static int secret_verify(lua_State *L)
{
    return dw_lua_verify_secret(L, check_secret(L, 1), 2);
}

int dw_lua_open_secret(lua_State *L)
{
    static const luaL_Reg functions[] = {{"equal", secret_equal}, {"verify", secret_verify}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
