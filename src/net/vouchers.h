/* Who has logged in at Dovecot's login processes, until the process that the client is handed to asks for it
 * (dovecot/master.h): one table for the whole process, as any worker may serve either.
 *
 *   dovecot listener   AUTH .. OK        dw_vouchers_put, by the connection's cookie, its pid, the exchange's id
 *   its master         REQUEST           dw_vouchers_take: once, within DW_VOUCHER_MS, of that listener's only
 *
 * A connection's vouchers leave with it, as in Dovecot itself.  The cookie is what proves that who asks was sent by that
 * very login process: nobody else has heard it.  Any thread; times are loop time, milliseconds. */
#ifndef DW_NET_VOUCHERS_H
#define DW_NET_VOUCHERS_H

#include "auth/decision.h"
#include "dovecot/master.h"

/* Of one connection, after which the oldest give way. */
enum { DW_VOUCHERS_MOST = 1024, DW_VOUCHER_MS = 60000 };

/* All that master processes are told about a user; longer lines they do not read. */
enum { DW_VOUCHER_BYTES = 7000 };

struct dw_vouchers;
struct dw_issuer; /* a connection where clients log in */

struct dw_vouchers *dw_vouchers_new(void);
void dw_vouchers_free(struct dw_vouchers **vouchers);

/* NULL when memory is out. */
struct dw_issuer *dw_vouchers_join(struct dw_vouchers *vouchers, const uint8_t cookie[DW_DOVECOT_COOKIE],
                                   const char *listener);
void dw_vouchers_leave(struct dw_vouchers *vouchers, struct dw_issuer **issuer);

struct dw_voucher {
    uint32_t client, exchange;
    char *user;
    struct dw_buf fields; /* as they stand in the answer */
};

void dw_voucher_clear(struct dw_voucher *voucher);

/* Makes the voucher's user and fields from an allowed decision's properties.  -1 with `err` told: memory is out, or one of
 * them cannot be said. */
int dw_voucher_make(struct dw_voucher *voucher, const char *user, const struct dw_decision *d,
                    struct dw_error *err);
/* Takes the voucher; it is cleared.  -1: memory is out. */
int dw_vouchers_put(struct dw_vouchers *vouchers, struct dw_issuer *issuer, struct dw_voucher *voucher,
                    uint64_t now);
/* False when there is none. */
bool dw_vouchers_take(struct dw_vouchers *vouchers, const char *listener, const struct dw_dovecot_request *request,
                      uint64_t now, struct dw_voucher *voucher);

#endif
