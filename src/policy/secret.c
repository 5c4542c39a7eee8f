/* Passwords against hashes of crypt(3): see secret.h.
 *
 * A hash makes its own price, and nothing interrupts libcrypt, so a hash that asks for more than a login should cost is
 * refused before it is tried. */
#include "policy/secret.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
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

const char *dw_secret_complaint(const char *hash)
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
    if ((*why = dw_secret_complaint(hash)))
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

const char *dw_secret_name(const char *hash, char into[DW_SECRET_NAME])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    const char *end = *hash == '$' ? strchr(hash + 1, '$') : NULL;
    EVP_Digest(hash, strlen(hash), digest, NULL, EVP_sha256(), NULL);
    snprintf(into, DW_SECRET_NAME, "%.*s%02x%02x%02x%02x%02x%02x",
             end && end - hash < 4 ? (int)(end - hash) + 1 : 0, hash, digest[0], digest[1], digest[2], digest[3],
             digest[4], digest[5]);
    return into;
}

void dw_secret_answer(const struct dw_want *want, struct dw_answer *answer)
{
    struct timespec from, to;
    const char *why;
    if (want->secret.at == dw_secret_unknown) {
        dw_answer_fail(answer, "nobody knows the password any more, nor whether it was right");
        answer->is_fatal = true;
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    int right = dw_secret_verify(want->secret, want->hash, &why);
    clock_gettime(CLOCK_MONOTONIC, &to);
    answer->nanoseconds = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000 + (uint64_t)(to.tv_nsec - from.tv_nsec);
    if (right >= 0)
        answer->value = json_boolean(right);
    else
        dw_answer_fail(answer, "%s", why);
}

const uint8_t dw_secret_unknown[1];
