/* The encryption of Kerberos messages by OpenSSL: see cipher.h. */
#include "gss/cipher.h"

#include "base/buf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

struct dw_cipher {
    int32_t enctype;
    const char *cts, *block, *hash;
    size_t key, prove, tag; /* octets */
    size_t hash_block, hash_len;
    bool sha2; /* RFC 8009: the tag is over the ciphertext, and keys are derived by the HMAC */
};

enum { CIPHERS = 4, MOST_HASH_BLOCK = 128, MOST_HASH = 48, POOL = 512, USAGES = 32 };

static const struct dw_cipher ciphers[CIPHERS] = {
    {17, "AES-128-CBC-CTS", "AES-128-ECB", "SHA1", 16, 16, 12, 64, 20, false},
    {18, "AES-256-CBC-CTS", "AES-256-ECB", "SHA1", 32, 32, 12, 64, 20, false},
    {19, "AES-128-CBC-CTS", "AES-128-ECB", "SHA256", 16, 16, 16, 64, 32, true},
    {20, "AES-256-CBC-CTS", "AES-256-ECB", "SHA384", 32, 24, 24, 128, 48, true},
};

const struct dw_cipher *dw_cipher_of(int32_t enctype)
{
    for (size_t i = 0; i < CIPHERS; i++)
        if (ciphers[i].enctype == enctype)
            return &ciphers[i];
    return NULL;
}

size_t dw_cipher_tag_len(const struct dw_cipher *cipher)
{
    return cipher->tag;
}

size_t dw_cipher_key_len(const struct dw_cipher *cipher)
{
    return cipher->key;
}

/* ---- A thread's tools. */

struct tools {
    struct {
        EVP_CIPHER_CTX *cts, *block;
        EVP_MD_CTX *hash;
    } of[CIPHERS];
    /* Confounders are taken from here, each once: asking for a block at a time costs as much as using it. */
    uint8_t pool[POOL];
    size_t pooled;
    /* Constants of key usages, folded. */
    struct folded {
        bool known;
        uint8_t seal_and_prove[2 * DW_CIPHER_BLOCK];
    } folded[USAGES];
};

static pthread_key_t tools_key;
static pthread_once_t tools_once = PTHREAD_ONCE_INIT;
static bool tools_kept;
static _Thread_local struct tools *tools_here;

static void tools_free(void *at)
{
    struct tools *tools = at;
    for (size_t i = 0; i < CIPHERS; i++) {
        EVP_CIPHER_CTX_free(tools->of[i].cts);
        EVP_CIPHER_CTX_free(tools->of[i].block);
        EVP_MD_CTX_free(tools->of[i].hash);
    }
    dw_wipe(tools->pool, sizeof tools->pool);
    free(tools);
    tools_here = NULL;
}

static void tools_prepare(void)
{
    tools_kept = pthread_key_create(&tools_key, tools_free) == 0;
}

static int no_tools(struct dw_error *err)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "OpenSSL failed: out of memory, or without AES or SHA");
}

static EVP_CIPHER_CTX *cipher_tool(const char *name, bool stealing)
{
    OSSL_PARAM cs3[] = {
        OSSL_PARAM_utf8_string(OSSL_CIPHER_PARAM_CTS_MODE, (char *)OSSL_CIPHER_CTS_MODE_CS3, 3),
        OSSL_PARAM_END,
    };
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
    if (ctx && !EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, 1, stealing ? cs3 : NULL)) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_CIPHER_free(cipher);
    return ctx;
}

static EVP_MD_CTX *hash_tool(const char *name)
{
    EVP_MD *hash = EVP_MD_fetch(NULL, name, NULL);
    EVP_MD_CTX *ctx = hash ? EVP_MD_CTX_new() : NULL;
    if (ctx && !EVP_DigestInit_ex2(ctx, hash, NULL)) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_MD_free(hash);
    return ctx;
}

/* This thread's tools, with those of `cipher` made; NULL with `err` told. */
static struct tools *tools_for(const struct dw_cipher *cipher, struct dw_error *err)
{
    size_t i = (size_t)(cipher - ciphers);
    struct tools *tools = tools_here;
    if (tools && tools->of[i].cts && tools->of[i].block && tools->of[i].hash)
        return tools;
    pthread_once(&tools_once, tools_prepare);
    if (!tools) {
        tools = calloc(1, sizeof *tools);
        if (!tools || !tools_kept || pthread_setspecific(tools_key, tools) != 0) {
            free(tools);
            no_tools(err);
            return NULL;
        }
        tools_here = tools;
    }
    if (!tools->of[i].cts)
        tools->of[i].cts = cipher_tool(cipher->cts, true);
    if (!tools->of[i].block)
        tools->of[i].block = cipher_tool(cipher->block, false);
    if (!tools->of[i].hash)
        tools->of[i].hash = hash_tool(cipher->hash);
    if (tools->of[i].cts && tools->of[i].block && tools->of[i].hash)
        return tools;
    no_tools(err);
    return NULL;
}

static bool fill_confounder(struct tools *tools, uint8_t *at)
{
    if (tools->pooled < DW_CIPHER_BLOCK) {
        if (RAND_bytes(tools->pool, POOL) != 1)
            return false;
        tools->pooled = POOL;
    }
    tools->pooled -= DW_CIPHER_BLOCK;
    memcpy(at, tools->pool + tools->pooled, DW_CIPHER_BLOCK);
    dw_wipe(tools->pool + tools->pooled, DW_CIPHER_BLOCK);
    return true;
}

/* ---- HMAC (RFC 2104) and the derivation of keys. */

/* OpenSSL's own keeps each key in memory that it allocates. */
static bool hmac(EVP_MD_CTX *hash, const struct dw_cipher *cipher, const uint8_t *key, size_t key_len,
                 struct dw_span first, struct dw_span rest, uint8_t out[MOST_HASH])
{
    uint8_t pad[MOST_HASH_BLOCK];
    memset(pad, 0x36, cipher->hash_block);
    for (size_t i = 0; i < key_len; i++)
        pad[i] ^= key[i];
    bool good = EVP_DigestInit_ex2(hash, NULL, NULL) && EVP_DigestUpdate(hash, pad, cipher->hash_block) &&
                EVP_DigestUpdate(hash, first.at, first.len) && EVP_DigestUpdate(hash, rest.at, rest.len) &&
                EVP_DigestFinal_ex(hash, out, NULL);
    for (size_t i = 0; i < cipher->hash_block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    good = good && EVP_DigestInit_ex2(hash, NULL, NULL) && EVP_DigestUpdate(hash, pad, cipher->hash_block) &&
           EVP_DigestUpdate(hash, out, cipher->hash_len) && EVP_DigestFinal_ex(hash, out, NULL);
    dw_wipe(pad, sizeof pad);
    return good;
}

/* RFC 3961 section 5.1: `in`, five octets, folded to sixteen.  Sixteen copies of it, each turned right by thirteen bits
 * more than the one before, are five blocks, which are added with the carry brought round. */
static void fold(const uint8_t in[5], uint8_t out[DW_CIPHER_BLOCK])
{
    enum { BITS = 40, COPIES = 16, WORDS = DW_CIPHER_BLOCK / 4 };
    uint8_t copies[5 * COPIES];
    uint64_t word = (uint64_t)in[0] << 32, sum[WORDS] = {0}, carry = 0;
    for (int i = 1; i < 5; i++)
        word |= (uint64_t)in[i] << (32 - 8 * i);
    for (unsigned copy = 0; copy < COPIES; copy++) {
        unsigned turn = copy * 13 % BITS;
        uint64_t turned = word >> turn | word << (BITS - turn);
        copies[5 * copy] = (uint8_t)(turned >> 32);
        dw_put_u32(copies + 5 * copy + 1, (uint32_t)turned);
    }
    struct dw_reader r = dw_reader_make(dw_span_make(copies, sizeof copies));
    for (size_t i = 0; i < sizeof copies / 4; i++)
        sum[i % WORDS] += dw_reader_u32(&r);
    do {
        for (int i = WORDS - 1; i >= 0; i--) {
            carry += sum[i];
            sum[i] = (uint32_t)carry;
            carry >>= 32;
        }
    } while (carry);
    for (size_t i = 0; i < WORDS; i++)
        dw_put_u32(out + 4 * i, (uint32_t)sum[i]);
}

static void fold_usage(struct tools *tools, uint32_t usage, uint8_t out[2 * DW_CIPHER_BLOCK])
{
    struct folded here = {.known = false}, *kept = usage < USAGES ? &tools->folded[usage] : &here;
    if (!kept->known) {
        uint8_t seal[5] = {0, 0, 0, 0, 0xaa}, prove[5] = {0, 0, 0, 0, 0x55};
        dw_put_u32(seal, usage);
        dw_put_u32(prove, usage);
        fold(seal, kept->seal_and_prove);
        fold(prove, kept->seal_and_prove + DW_CIPHER_BLOCK);
        kept->known = true;
    }
    memcpy(out, kept->seal_and_prove, sizeof kept->seal_and_prove);
}

/* DK of RFC 3961 section 5.1, of one or two folded constants at once; the context holds the protocol key. */
static bool derive_by_folding(EVP_CIPHER_CTX *block, const struct dw_cipher *cipher, uint8_t *folded, size_t count,
                              uint8_t *const out[])
{
    bool good = true;
    for (size_t done = 0; good && done < cipher->key; done += DW_CIPHER_BLOCK) {
        int len = 0, all = (int)count * DW_CIPHER_BLOCK;
        good = EVP_CipherUpdate(block, folded, &len, folded, all) && len == all;
        for (size_t i = 0; i < count; i++)
            memcpy(out[i] + done, folded + i * DW_CIPHER_BLOCK, DW_CIPHER_BLOCK);
    }
    dw_wipe(folded, count * DW_CIPHER_BLOCK);
    return good;
}

/* KDF-HMAC-SHA2 of RFC 8009 section 3. */
static bool derive_by_hmac(EVP_MD_CTX *hash, const struct dw_cipher *cipher, const uint8_t *key,
                           const uint8_t label[5], size_t len, uint8_t *out)
{
    uint8_t input[14] = {0, 0, 0, 1}, made[MOST_HASH];
    memcpy(input + 4, label, 5);
    dw_put_u32(input + 10, (uint32_t)len * 8);
    bool good = hmac(hash, cipher, key, cipher->key, dw_span_make(input, sizeof input), dw_span_make("", 0), made);
    memcpy(out, made, len);
    dw_wipe(made, sizeof made);
    return good;
}

static bool derive_by_label(EVP_MD_CTX *hash, const struct dw_cipher *cipher, const uint8_t *key, uint32_t usage,
                            struct dw_cipher_keys *keys)
{
    uint8_t seal[5] = {0, 0, 0, 0, 0xaa}, prove[5] = {0, 0, 0, 0, 0x55};
    dw_put_u32(seal, usage);
    dw_put_u32(prove, usage);
    return derive_by_hmac(hash, cipher, key, seal, cipher->key, keys->seal) &&
           derive_by_hmac(hash, cipher, key, prove, cipher->prove, keys->prove);
}

int dw_cipher_derive(const struct dw_cipher *cipher, const uint8_t *key, const uint32_t *usages, size_t count,
                     struct dw_cipher_keys *keys, struct dw_error *err)
{
    size_t i = (size_t)(cipher - ciphers);
    struct tools *tools = tools_for(cipher, err);
    if (!tools)
        return -1;
    EVP_CIPHER_CTX *block = tools->of[i].block;
    bool good = cipher->sha2 || EVP_CipherInit_ex2(block, NULL, key, NULL, 1, NULL);
    for (size_t k = 0; good && k < count; k++) {
        uint8_t folded[2 * DW_CIPHER_BLOCK], *const out[] = {keys[k].seal, keys[k].prove};
        if (!cipher->sha2)
            fold_usage(tools, usages[k], folded);
        good = cipher->sha2 ? derive_by_label(tools->of[i].hash, cipher, key, usages[k], &keys[k])
                            : derive_by_folding(block, cipher, folded, 2, out);
    }
    return good ? 0 : no_tools(err);
}

/* ---- Messages. */

static const uint8_t initial[DW_CIPHER_BLOCK];

static bool turn(EVP_CIPHER_CTX *cts, const struct dw_cipher_keys *keys, uint8_t *at, size_t len, int encrypt)
{
    int done = 0;
    return EVP_CipherInit_ex2(cts, NULL, keys->seal, initial, encrypt, NULL) &&
           EVP_CipherUpdate(cts, at, &done, at, (int)len) && (size_t)done == len;
}

/* RFC 3962 section 6: over the plaintext.  RFC 8009 section 5: over the cipher state and the ciphertext. */
static bool tag_of(EVP_MD_CTX *hash, const struct dw_cipher *cipher, const struct dw_cipher_keys *keys,
                   const uint8_t *at, size_t len, uint8_t tag[MOST_HASH])
{
    struct dw_span state = dw_span_make(initial, cipher->sha2 ? sizeof initial : 0);
    return hmac(hash, cipher, keys->prove, cipher->prove, state, dw_span_make(at, len), tag);
}

int dw_cipher_encrypt(const struct dw_cipher *cipher, const struct dw_cipher_keys *keys, uint8_t *at, size_t len,
                      uint8_t *tag, struct dw_error *err)
{
    size_t i = (size_t)(cipher - ciphers);
    uint8_t whole[MOST_HASH];
    struct tools *tools = tools_for(cipher, err);
    if (!tools)
        return -1;
    bool good = fill_confounder(tools, at);
    if (!cipher->sha2)
        good = good && tag_of(tools->of[i].hash, cipher, keys, at, len, whole);
    good = good && turn(tools->of[i].cts, keys, at, len, 1);
    if (cipher->sha2)
        good = good && tag_of(tools->of[i].hash, cipher, keys, at, len, whole);
    if (!good)
        return no_tools(err);
    memcpy(tag, whole, cipher->tag);
    return 0;
}

int dw_cipher_decrypt(const struct dw_cipher *cipher, const struct dw_cipher_keys *keys, uint8_t *at, size_t len,
                      const uint8_t *tag, struct dw_error *err)
{
    size_t i = (size_t)(cipher - ciphers);
    uint8_t whole[MOST_HASH];
    struct tools *tools = tools_for(cipher, err);
    if (!tools)
        return -1;
    bool good = true, same = false;
    if (cipher->sha2) {
        good = tag_of(tools->of[i].hash, cipher, keys, at, len, whole);
        same = good && CRYPTO_memcmp(whole, tag, cipher->tag) == 0;
        good = good && (!same || turn(tools->of[i].cts, keys, at, len, 0));
    } else {
        good = turn(tools->of[i].cts, keys, at, len, 0) && tag_of(tools->of[i].hash, cipher, keys, at, len, whole);
        same = good && CRYPTO_memcmp(whole, tag, cipher->tag) == 0;
    }
    if (!good)
        return no_tools(err);
    if (!same)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "it was not made with this context's key, or was altered");
    return 0;
}

int dw_cipher_checksum(const struct dw_cipher *cipher, const uint8_t *key, uint32_t usage, struct dw_span first,
                       struct dw_span rest, uint8_t *sum, struct dw_error *err)
{
    size_t i = (size_t)(cipher - ciphers);
    uint8_t label[5] = {0, 0, 0, 0, 0x99}, check[DW_CIPHER_MOST_KEY], whole[MOST_HASH], folded[DW_CIPHER_BLOCK];
    uint8_t *const out[] = {check};
    struct tools *tools = tools_for(cipher, err);
    if (!tools)
        return -1;
    dw_put_u32(label, usage);
    fold(label, folded);
    bool good = cipher->sha2 ? derive_by_hmac(tools->of[i].hash, cipher, key, label, cipher->prove, check)
                             : EVP_CipherInit_ex2(tools->of[i].block, NULL, key, NULL, 1, NULL) &&
                                   derive_by_folding(tools->of[i].block, cipher, folded, 1, out);
    good = good && hmac(tools->of[i].hash, cipher, check, cipher->prove, first, rest, whole);
    dw_wipe(check, sizeof check);
    if (!good)
        return no_tools(err);
    memcpy(sum, whole, cipher->tag);
    return 0;
}

void dw_cipher_forget(const struct dw_cipher *cipher)
{
    static const uint8_t none[DW_CIPHER_MOST_KEY];
    size_t i = (size_t)(cipher - ciphers);
    if (!tools_here)
        return;
    if (tools_here->of[i].cts)
        EVP_CipherInit_ex2(tools_here->of[i].cts, NULL, none, initial, 1, NULL);
    if (tools_here->of[i].block)
        EVP_CipherInit_ex2(tools_here->of[i].block, NULL, none, NULL, 1, NULL);
    if (tools_here->of[i].hash)
        EVP_DigestInit_ex2(tools_here->of[i].hash, NULL, NULL);
}
