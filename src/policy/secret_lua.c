/* durward.secret: comparing what must not be guessed, and passwords against crypt(3) hashes.
 *
 *   equal(a, b)         two texts, or a secret and a text; in a time that does not tell how much was right
 *   verify(text, hash)  true, false, or nil and why the hash is not to be used
 *
 * A hash makes its own price, and nothing interrupts libcrypt, so a hash that asks for more than a login
 * should cost is refused before it is tried; what a verification took is charged to the call. */
#include "policy/secret.h"

#include "policy/doors.h"
#include "policy/inside.h"

#include <crypt.h>
#include <lauxlib.h>
#include <openssl/crypto.h>
#include <stdlib.h>

enum {
    NANOSECONDS_A_UNIT =
        500, /* a call may verify for 5 seconds in all: two dozen hashes, or hundreds of cheap ones */
    ROUNDS_MOST = 200000, /* of SHA-256 and SHA-512 crypt; like the two below a tenth to a third of a second */
    BCRYPT_MOST = 12
};
#define YESCRYPT_MOST 'C' /* N of crypt_gensalt's cost 8, with r of 'T' */

static int digit64(char c)
{
    const char *digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
               *at = strchr(digits, c);
    return c && at ? (int)(at - digits) : -1;
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* NULL, or why not. */
static const char *complaint(const char *hash)
{
    if (starts(hash, "$5$") || starts(hash, "$6$")) {
        long rounds = starts(hash + 3, "rounds=") ? strtol(hash + 10, NULL, 10) : 5000;
        return rounds > ROUNDS_MOST ? "the hash asks for more than 200000 rounds" : NULL;
    }
    if (starts(hash, "$2a$") || starts(hash, "$2b$") || starts(hash, "$2y$"))
        return strtol(hash + 4, NULL, 10) > BCRYPT_MOST ? "the hash costs more than bcrypt's 12" : NULL;
    if (starts(hash, "$y$") || starts(hash, "$gy$")) {
        /* a flavour ('j': the one in use), N, r; crypt_gensalt's cost 5 is "j9T", its cost 11 "jFT" */
        const char *parameters = strchr(hash + 1, '$') + 1;
        int n = parameters[0] ? digit64(parameters[1]) : -1, r = n < 0 ? -1 : digit64(parameters[2]);
        if (parameters[0] != 'j' || n < 0 || r < 0 || (parameters[3] && parameters[3] != '$'))
            return "the parameters of the yescrypt hash are not those of crypt_gensalt";
        return n > digit64(YESCRYPT_MOST) || r > digit64('T') ? "the hash costs more than yescrypt's 8" : NULL;
    }
    return "it is not a hash of yescrypt ($y$), bcrypt ($2b$), SHA-512 ($6$) or SHA-256 ($5$)";
}

int dw_secret_verify(struct dw_span secret, const char *hash, const char **why)
{
    struct crypt_data *data = NULL;
    char text[CRYPT_MAX_PASSPHRASE_SIZE + 1];
    int answer = 0;
    if ((*why = complaint(hash)))
        return -1;
    if (secret.len > CRYPT_MAX_PASSPHRASE_SIZE - 1 || memchr(secret.at, 0, secret.len))
        return 0; /* no password that anybody could have set */
    if (!(data = calloc(1, sizeof *data))) {
        *why = "out of memory";
        return -1;
    }
    memcpy(text, secret.at, secret.len);
    text[secret.len] = '\0';
    const char *made = crypt_r(text, hash, data);
    size_t len = strlen(hash);
    if (!made || *made == '*') {
        *why = "it is not a whole hash";
        answer = -1;
    } else {
        answer = strlen(made) == len && CRYPTO_memcmp(made, hash, len) == 0;
    }
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(data, sizeof *data);
    free(data);
    return answer;
}

int dw_lua_verify(lua_State *L, struct dw_span secret, int hash)
{
    const char *why, *text = luaL_checkstring(L, hash);
    bool counted = lua_rawgetp(L, LUA_REGISTRYINDEX, &dw_host_key) != LUA_TNIL;
    lua_pop(L, 1);
    uint64_t since = dw_budget_clock();
    int answer =
        strlen(text) == lua_rawlen(L, hash) ? dw_secret_verify(secret, text, &why) : (why = "it holds a NUL", -1);
    if (counted)
        dw_budget_charge(L, (size_t)((dw_budget_clock() - since) / NANOSECONDS_A_UNIT));
    if (answer >= 0) {
        lua_pushboolean(L, answer);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
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
    size_t least = a.len < b.len ? a.len : b.len;
    bool same = CRYPTO_memcmp(a.at, b.at, least) == 0;
    lua_pushboolean(L, same && a.len == b.len);
    return 1;
}

static int secret_verify(lua_State *L)
{
    return dw_lua_verify(L, check_secret(L, 1), 2);
}

int dw_lua_open_secret(lua_State *L)
{
    static const luaL_Reg functions[] = {{"equal", secret_equal}, {"verify", secret_verify}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
