/* The four enctypes beside libkrb5's own, and what a token has to be to be opened; no KDC is needed. */
#include "check.h"

#include "gss/seal.h"

#include <krb5.h>
#include <stdlib.h>

static krb5_context krb5;

static const int32_t enctypes[] = {17, 18, 19, 20};
enum { ENCTYPES = 4, BLOCK = DW_CIPHER_BLOCK };

static krb5_keyblock key_of(int32_t enctype)
{
    static krb5_octet octets[32];
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (krb5_octet)(i * 7 + (size_t)enctype);
    return (krb5_keyblock){
        .enctype = enctype, .length = (unsigned)dw_cipher_key_len(dw_cipher_of(enctype)), .contents = octets};
}

static void fill(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(i * 31 + (i >> 8) + len);
}

/* One message each way between libkrb5 and us, in blocks of just its size. */
static void exchange(int32_t enctype, uint32_t usage, size_t len)
{
    const struct dw_cipher *cipher = dw_cipher_of(enctype);
    krb5_keyblock key = key_of(enctype);
    struct dw_cipher_keys keys;
    struct dw_error err = {0};
    size_t tag = dw_cipher_tag_len(cipher), whole = BLOCK + len + tag;
    uint8_t *plain = malloc(len), *sealed = malloc(whole), *opened = malloc(len);
    fill(plain, len);
    CHECK_INT(dw_cipher_derive(cipher, key.contents, &usage, 1, &keys, &err), 0);

    krb5_data in = {.data = (char *)plain, .length = (unsigned)len};
    krb5_enc_data theirs = {.ciphertext = {.data = (char *)sealed, .length = (unsigned)whole}};
    CHECK_INT(krb5_c_encrypt(krb5, &key, (krb5_keyusage)usage, NULL, &in, &theirs), 0);
    CHECK_INT(theirs.ciphertext.length, whole);
    CHECK_INT(dw_cipher_decrypt(cipher, &keys, sealed, BLOCK + len, sealed + BLOCK + len, &err), 0);
    CHECK(memcmp(sealed + BLOCK, plain, len) == 0);

    memcpy(sealed + BLOCK, plain, len);
    CHECK_INT(dw_cipher_encrypt(cipher, &keys, sealed, BLOCK + len, sealed + BLOCK + len, &err), 0);
    krb5_enc_data ours = {.enctype = enctype, .ciphertext = {.data = (char *)sealed, .length = (unsigned)whole}};
    krb5_data out = {.data = (char *)opened, .length = (unsigned)len};
    CHECK_INT(krb5_c_decrypt(krb5, &key, (krb5_keyusage)usage, NULL, &ours, &out), 0);
    CHECK(out.length == len && memcmp(opened, plain, len) == 0);
    free(plain);
    free(sealed);
    free(opened);
}

static void each_enctype_is_as_the_library_has_it(void)
{
    static const size_t large[] = {255, 256, 257, 1000, 4095, 4096, 4097, 65535, 65536, 65537, 70000};
    for (int i = 0; i < ENCTYPES; i++) {
        for (size_t len = BLOCK; len <= 130; len++)
            exchange(enctypes[i], 24, len);
        for (size_t j = 0; j < sizeof large / sizeof large[0]; j++)
            exchange(enctypes[i], 22, large[j]);
        for (uint32_t usage = 1; usage < 70; usage++)
            exchange(enctypes[i], usage, 40);
        exchange(enctypes[i], 0x7fffffff, 40);
    }
    CHECK(dw_cipher_of(0) == NULL && dw_cipher_of(16) == NULL && dw_cipher_of(23) == NULL &&
          dw_cipher_of(26) == NULL && dw_cipher_of(-1) == NULL);
}

static void confounders_differ(void)
{
    struct dw_cipher_keys keys = {.seal = {1}};
    uint8_t seen[200][48], tag[DW_CIPHER_MOST_TAG];
    struct dw_error err;
    for (int i = 0; i < 200; i++) {
        memset(seen[i], 0, sizeof seen[i]);
        CHECK_INT(dw_cipher_encrypt(dw_cipher_of(18), &keys, seen[i], sizeof seen[i], tag, &err), 0);
        for (int j = 0; j < i; j++)
            CHECK(memcmp(seen[i], seen[j], BLOCK) != 0);
    }
}

/* ---- Tokens. */

static struct dw_seal ours, theirs;

static void meet(int32_t enctype, bool subkey)
{
    krb5_keyblock key = key_of(enctype);
    struct dw_seal_key taken = {enctype, dw_span_make(key.contents, key.length), subkey};
    struct dw_error err;
    CHECK_INT(dw_seal_make(&ours, &taken, true, 0xfffffffe, 7, &err), 0);
    CHECK_INT(dw_seal_make(&theirs, &taken, false, 7, 0xfffffffe, &err), 0);
}

static struct dw_buf token_of(struct dw_seal *seal, size_t len)
{
    uint8_t *plain = malloc(len ? len : 1);
    struct dw_buf token = {0};
    struct dw_error err;
    fill(plain, len);
    CHECK_INT(dw_seal_wrap(seal, dw_span_make(plain, len / 3), dw_span_make(plain + len / 3, len - len / 3), &token,
                           &err),
              0);
    CHECK_INT(dw_buf_len(&token), len + dw_seal_overhead(seal));
    free(plain);
    return token;
}

/* Opens a copy in a block of just its size; the seal's count stays as it was.  Whether it gave `len` octets. */
static bool opens(const struct dw_seal *seal, const uint8_t *token, size_t token_len, size_t len)
{
    struct dw_seal copy = *seal;
    struct dw_span plain = DW_SPAN_NONE;
    struct dw_error err = {.kind = DW_ERROR_NONE};
    uint8_t *exact = malloc(token_len ? token_len : 1), *wanted = malloc(len ? len : 1);
    fill(wanted, len);
    if (token_len)
        memcpy(exact, token, token_len);
    int rc = dw_seal_unwrap(&copy, exact, token_len, &plain, &err);
    bool good = rc == 0 && dw_span_equal(plain, dw_span_make(wanted, len));
    CHECK(rc == 0 ? good : err.kind == DW_ERROR_PROTOCOL && *err.detail);
    free(exact);
    free(wanted);
    return good;
}

static void tokens_go_both_ways_past_thirty_two_bits(void)
{
    struct dw_error err;
    struct dw_span plain;
    for (int i = 0; i < 2 * ENCTYPES; i++) {
        meet(enctypes[i / 2], i % 2);
        for (size_t len = 0; len < 70; len++) {
            struct dw_buf there = token_of(&ours, len), back = token_of(&theirs, len);
            CHECK_INT(there.at[2], 2 | (i % 2 ? 4 : 0));
            CHECK_INT(back.at[2], 3 | (i % 2 ? 4 : 0));
            CHECK(opens(&theirs, there.at, dw_buf_len(&there), len));
            CHECK_INT(dw_seal_unwrap(&theirs, there.at, dw_buf_len(&there), &plain, &err), 0);
            CHECK_INT(dw_seal_unwrap(&ours, back.at, dw_buf_len(&back), &plain, &err), 0);
            CHECK_INT(plain.len, len);
            dw_buf_free(&there);
            dw_buf_free(&back);
        }
        CHECK(ours.next_ours == 0xfffffffe + 70ULL && theirs.next_theirs == ours.next_ours);
    }
}

static void nothing_altered_is_opened(void)
{
    static const size_t lens[] = {0, 1, 15, 16, 40};
    for (int i = 0; i < ENCTYPES; i++)
        for (size_t j = 0; j < sizeof lens / sizeof lens[0]; j++) {
            meet(enctypes[i], true);
            struct dw_buf token = token_of(&ours, lens[j]);
            size_t len = dw_buf_len(&token), turning = len - 16;
            CHECK(opens(&theirs, token.at, len, lens[j]));
            for (size_t bit = 0; bit < 8 * len; bit++) {
                token.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
                /* A whole turn is none. */
                size_t turned = (size_t)token.at[6] << 8 | token.at[7];
                CHECK(opens(&theirs, token.at, len, lens[j]) == (turned > 0 && turned % turning == 0));
                token.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            }
            for (size_t cut = 1; cut <= len; cut++) {
                CHECK(!opens(&theirs, token.at, len - cut, lens[j]));
                CHECK(!opens(&theirs, token.at + cut, len - cut, lens[j]));
            }
            dw_buf_put_u8(&token, 0);
            CHECK(!opens(&theirs, token.at, len + 1, lens[j]));
            dw_buf_free(&token);
        }
}

static void numbers_follow_each_other(void)
{
    struct dw_error err;
    struct dw_span plain;
    meet(18, true);
    struct dw_buf first = token_of(&ours, 5), second = token_of(&ours, 5), kept = {0};
    CHECK(!opens(&theirs, second.at, dw_buf_len(&second), 5));
    CHECK(!opens(&ours, first.at, dw_buf_len(&first), 5));
    dw_buf_put(&kept, dw_buf_span(&first));
    CHECK_INT(dw_seal_unwrap(&theirs, first.at, dw_buf_len(&first), &plain, &err), 0);
    CHECK(!opens(&theirs, kept.at, dw_buf_len(&kept), 5));
    CHECK(opens(&theirs, second.at, dw_buf_len(&second), 5));
    dw_buf_free(&first);
    dw_buf_free(&second);
    dw_buf_free(&kept);
}

/* A token made by hand: any header inside and out, any extra count. */
static struct dw_buf made(const uint8_t outside[16], const uint8_t inside[16], size_t len, size_t filler)
{
    struct dw_buf token = {0};
    struct dw_error err;
    size_t tag = dw_cipher_tag_len(ours.cipher), sealed = BLOCK + len + filler + 16;
    uint8_t *at = dw_buf_room(&token, 16 + sealed + tag);
    memcpy(at, outside, 16);
    memset(at + 16, 'x', sealed);
    fill(at + 16 + BLOCK, len);
    memcpy(at + 16 + BLOCK + len + filler, inside, 16);
    CHECK_INT(dw_cipher_encrypt(ours.cipher, &ours.ours, at + 16, sealed, at + 16 + sealed, &err), 0);
    dw_buf_added(&token, 16 + sealed + tag);
    return token;
}

static void headers_inside_and_out_agree(void)
{
    /* number 0xfffffffe; EC, RRC */
    uint8_t header[16] = {5, 4, 6, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe}, other[16];
    for (int i = 0; i < ENCTYPES; i++) {
        meet(enctypes[i], true);
        struct dw_buf token = made(header, header, 20, 0);
        CHECK(opens(&theirs, token.at, dw_buf_len(&token), 20));
        dw_buf_free(&token);
        /* Filler, as many octets as the extra count says (RFC 4121 section 4.2.4). */
        memcpy(other, header, 16);
        other[5] = 9;
        token = made(other, other, 20, 9);
        CHECK(opens(&theirs, token.at, dw_buf_len(&token), 20));
        dw_buf_free(&token);
        other[4] = 1;
        token = made(other, other, 20, 9);
        CHECK(!opens(&theirs, token.at, dw_buf_len(&token), 20));
        dw_buf_free(&token);
        /* An initiator that knows of no acceptor's subkey, where the keys are the same. */
        memcpy(other, header, 16);
        other[2] = 2;
        token = made(other, other, 20, 0);
        CHECK(opens(&theirs, token.at, dw_buf_len(&token), 20));
        dw_buf_free(&token);
        for (size_t at = 0; at < 16; at++) {
            memcpy(other, header, 16);
            other[at] ^= 0x10;
            token = made(header, other, 20, 0);
            CHECK(opens(&theirs, token.at, dw_buf_len(&token), 20) == (at == 6 || at == 7));
            dw_buf_free(&token);
        }
    }
}

static void turned_tokens_are_opened(void)
{
    meet(20, true);
    struct dw_buf token = token_of(&ours, 300);
    size_t body = dw_buf_len(&token) - 16;
    uint8_t *turned = malloc(16 + body);
    for (size_t count = 0; count < 0x10000; count += count < 400 ? 1 : 911) {
        size_t by = count % body;
        memcpy(turned, token.at, 16);
        turned[6] = (uint8_t)(count >> 8);
        turned[7] = (uint8_t)count;
        memcpy(turned + 16, token.at + 16 + body - by, by);
        memcpy(turned + 16 + by, token.at + 16, body - by);
        CHECK(opens(&theirs, turned, 16 + body, 300));
    }
    free(turned);
    dw_buf_free(&token);
}

static void strange_keys_are_refused(void)
{
    static const uint8_t octets[32];
    static const int32_t strange[] = {0, 1, 16, 23, 25, 26, 99, -128};
    struct dw_seal seal;
    struct dw_error err;
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        struct dw_seal_key key = {strange[i], dw_span_make(octets, 16), true};
        CHECK_INT(dw_seal_make(&seal, &key, false, 0, 0, &err), -1);
        CHECK_INT(err.kind, DW_ERROR_DENIED);
        CHECK(strstr(err.detail, "aes256-cts-hmac-sha1-96"));
    }
    for (int i = 0; i < ENCTYPES; i++) {
        struct dw_seal_key key = {enctypes[i], dw_span_make(octets, 24), true};
        CHECK_INT(dw_seal_make(&seal, &key, false, 0, 0, &err), -1);
        CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    }
}

int main(void)
{
    if (krb5_init_context(&krb5)) {
        printf("no Kerberos library\n");
        return 2;
    }
    RUN(each_enctype_is_as_the_library_has_it);
    RUN(confounders_differ);
    RUN(tokens_go_both_ways_past_thirty_two_bits);
    RUN(nothing_altered_is_opened);
    RUN(numbers_follow_each_other);
    RUN(headers_inside_and_out_agree);
    RUN(turned_tokens_are_opened);
    RUN(strange_keys_are_refused);
    krb5_free_context(krb5);
    return check_done();
}
