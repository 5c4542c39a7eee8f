/* The usual AP-REQ, proven with keys that were derived when the keytab was read.
 *
 * libkrb5 derives the keys of the keytab anew for every ticket, and copies all that it reads several times.  So what
 * nearly every client sends is read here; and nothing but that.  The rule of this file: it only ever says yes, and
 * never where krb5_rd_req would not.  A ticket or authenticator that is in any way unusual or wrong, or holds what is
 * not known here (authorization data other than a PAC, addresses, a path through other realms that the KDC did not
 * check, an old enctype, user-to-user), is none of ours: krb5_rd_req reads it then from the start, and says what there
 * is to say.  Where plug-ins of the library have a word on authorization data, nothing is read here at all.
 *
 * A PAC is as krb5_pac_parse takes it, or krb5_rd_req's; whether it is the KDC's does not matter to who is let in (nor
 * does it to krb5_rd_req), and nothing in it is told to anyone.
 *
 * Internal to this room. */
#ifndef DW_GSS_TICKET_H
#define DW_GSS_TICKET_H

#include "base/buf.h"
#include "gss/cipher.h"
#include "gss/request.h"

#include <krb5.h>

/* One key of the keytab, derived for tickets (RFC 4120 section 7.5.1: usage 2). */
struct dw_ticket_key {
    krb5_principal principal;
    krb5_kvno kvno;
    const struct dw_cipher *cipher;
    struct dw_cipher_keys keys;
};

struct dw_ticket_keys {
    struct dw_ticket_key *at;
    size_t count; /* none: nothing is read here */
    bool pinned; /* they are one principal's: the name that a ticket bears need not be it */
    struct dw_buf room; /* for what is decrypted; empty between one request and the next */
};

/* Derives the keys in `keytab`.  Keys of other enctypes than ours are left out. */
krb5_error_code dw_ticket_keys_make(struct dw_ticket_keys *keys, krb5_context krb5, krb5_keytab keytab,
                                    bool pinned);
void dw_ticket_keys_wipe(struct dw_ticket_keys *keys, krb5_context krb5);

enum { DW_TICKET_AUTHDATA = 8 };

/* What was proven, as libkrb5 would have it.  Everything points into the struct itself or the keys: it stays where it
 * is, it is the only one of its keys until it is wiped, and nothing in it is libkrb5's to free. */
struct dw_ticket {
    krb5_ticket
        ticket; /* its server is the key's principal; of the decrypted part there are flags, client and times */
    krb5_authenticator authenticator;
    krb5_enctype negotiated; /* what an answer's subkey is to be (RFC 4537) */
    krb5_keyblock session, subkey;
    struct dw_span ctime, cusec; /* as they stand in the authenticator */
    struct dw_cipher_keys answer; /* of the session key, for an AP-REP */

    krb5_enc_tkt_part part;
    krb5_principal_data client;
    krb5_data components[DW_REQUEST_COMPONENTS];
    krb5_checksum checksum;
    krb5_authdata data[DW_TICKET_AUTHDATA], *list[DW_TICKET_AUTHDATA + 1];
    struct dw_buf *plain; /* lent by the keys */
};

/* True: it is as `ticket` says, but for whether it was seen before.  False: ask krb5_rd_req; `ticket` is wiped. */
bool dw_ticket_read(struct dw_ticket *ticket, struct dw_ticket_keys *keys, krb5_context krb5,
                    const struct dw_request *request);
void dw_ticket_wipe(struct dw_ticket *ticket);

#endif
