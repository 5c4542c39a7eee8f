/* The encryption of Kerberos messages by OpenSSL: AES with ciphertext stealing and an HMAC, as RFC 3962
 * (aes128-, aes256-cts-hmac-sha1-96) and RFC 8009 (aes128-cts-hmac-sha256-128, aes256-cts-hmac-sha384-192) have it.
 *
 * Internal to this room.  Older enctypes (DES3, RC4) and Camellia are not spoken: dw_cipher_of gives NULL.
 *
 * What is encrypted is a confounder of one block and the plaintext after it, in place; what proves it is a tag that
 * stands apart.  The cipher state is always the initial one, as in every Kerberos message.
 *
 * Any thread may call.  Each thread has tools of its own, made at its first call and ended with it, so that a pair of
 * keys is no more than its octets; nothing is allocated later. */
#ifndef DW_GSS_CIPHER_H
#define DW_GSS_CIPHER_H

#include "base/error.h"
#include "base/span.h"

enum { DW_CIPHER_BLOCK = 16, DW_CIPHER_MOST_KEY = 32, DW_CIPHER_MOST_TAG = 24 };

struct dw_cipher; /* an enctype */

/* By its number (RFC 3961 section 8); NULL when it is none of the four. */
const struct dw_cipher *dw_cipher_of(int32_t enctype);
size_t dw_cipher_tag_len(const struct dw_cipher *cipher);
size_t dw_cipher_key_len(const struct dw_cipher *cipher);

/* Ke and Ki of one key usage (RFC 3961 section 5.3, RFC 8009 section 5). */
struct dw_cipher_keys {
    uint8_t seal[DW_CIPHER_MOST_KEY];
    uint8_t prove[DW_CIPHER_MOST_KEY];
};

/* The keys of `count` usages, into as many places.  `key` is a protocol key of the enctype's length.  -1 with `err` told
 * when memory is out. */
int dw_cipher_derive(const struct dw_cipher *cipher, const uint8_t *key, const uint32_t *usages, size_t count,
                     struct dw_cipher_keys *keys, struct dw_error *err);

/* Fills the first block at `at` with a new confounder, encrypts the `len` octets in place and writes the tag.
 * `len` is two blocks at least and INT32_MAX at most, here and below. */
int dw_cipher_encrypt(const struct dw_cipher *cipher, const struct dw_cipher_keys *keys, uint8_t *at, size_t len,
                      uint8_t *tag, struct dw_error *err);

/* Decrypts in place.  -1 with `err` told: DW_ERROR_PROTOCOL when the tag is not the ciphertext's. */
int dw_cipher_decrypt(const struct dw_cipher *cipher, const struct dw_cipher_keys *keys, uint8_t *at, size_t len,
                      const uint8_t *tag, struct dw_error *err);

/* The checksum of `first` and `rest` with the key Kc of `usage` (RFC 3961 section 5.4, RFC 8009 section 6), of as many
 * octets as a tag; for what goes in clear.  The key is derived anew at each call. */
int dw_cipher_checksum(const struct dw_cipher *cipher, const uint8_t *key, uint32_t usage, struct dw_span first,
                       struct dw_span rest, uint8_t *sum, struct dw_error *err);

/* Takes what keys were last used out of this thread's tools: when the keys' owner ends. */
void dw_cipher_forget(const struct dw_cipher *cipher);

#endif
