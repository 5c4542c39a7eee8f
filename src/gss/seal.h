/* Messages of an established context: wrap tokens, as RFC 4121 section 4.2 lays them out
 *
 *   05 04 flags FF EC(2) RRC(2) sequence(8)  |  E(confounder, plaintext, the first 16 octets again)  |  tag
 *   05 04 flags FF EC(2) RRC(2) sequence(8)  |  plaintext  |  checksum               without confidentiality (sign.c)
 *
 * with the context's key (the acceptor's subkey, when it asserted one) and the enctypes of cipher.h.
 *
 * Internal to this room.  One thread at a time. */
#ifndef DW_GSS_SEAL_H
#define DW_GSS_SEAL_H

#include "base/buf.h"
#include "gss/cipher.h"

struct dw_seal {
    const struct dw_cipher *cipher; /* NULL until made */
    struct dw_cipher_keys ours, theirs;
    uint64_t next_ours, next_theirs; /* the sequence number of the next token each way */
    uint8_t flags; /* of our tokens */
    bool can_sign; /* `key` is there: until dw_seal_settle */
    uint8_t key[DW_CIPHER_MOST_KEY]; /* which messages without confidentiality are checked by */
};

struct dw_seal_key {
    int32_t enctype;
    struct dw_span octets;
    bool subkey; /* which the acceptor asserted */
};

/* -1 with `err` told: DW_ERROR_DENIED for a key of an enctype that is not spoken, and which are. */
int dw_seal_make(struct dw_seal *seal, const struct dw_seal_key *key, bool initiator, uint64_t next_ours,
                 uint64_t next_theirs, struct dw_error *err);
void dw_seal_wipe(struct dw_seal *seal);

/* What a token is longer than its plaintext. */
size_t dw_seal_overhead(const struct dw_seal *seal);

/* Appends a token of head || body; see dw_context_wrap. */
int dw_seal_wrap(struct dw_seal *seal, struct dw_span head, struct dw_span body, struct dw_buf *out,
                 struct dw_error *err);
/* Opens a token in place; see dw_context_unwrap. */
int dw_seal_unwrap(struct dw_seal *seal, uint8_t *token, size_t len, struct dw_span *plain, struct dw_error *err);

/* The same without confidentiality; `confidential` tells how a token was made.  Not after dw_seal_settle. */
int dw_seal_sign(struct dw_seal *seal, struct dw_span plain, struct dw_buf *out, struct dw_error *err);
int dw_seal_open(struct dw_seal *seal, uint8_t *token, size_t len, struct dw_span *plain, bool *confidential,
                 struct dw_error *err);
/* No more messages without confidentiality: wipes what only they need. */
void dw_seal_settle(struct dw_seal *seal);

/* For sign.c.  RFC 4121 section 4.2.5: the sender may have turned what follows the header right, by any count. */
void dw_seal_turn_back(uint8_t *at, size_t len, size_t count);

#endif
