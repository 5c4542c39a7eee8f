/* The other half of Dovecot's authentication protocol as a machine (auth/machine.h): a process of Dovecot's that is handed
 * a client which has logged in asks whose it is.
 *
 *   ours, at once   VERSION 1 1, SPID
 *   theirs          VERSION 1 ..                                  DW_META: it speaks as it should
 *   REQUEST id client-pid auth-id cookie ..                       DW_ASK_ADMIT: dw_dovecot_master_user, or _fail
 *
 * SPID is that of the connections where the clients log in (service.h): who asks compares the two.  Each request is
 * answered before the next call.  dw_machine_push and dw_machine_answer are not for this machine.
 *
 * Any other line ends the connection: DW_CLOSE.  USER, PASS and LIST ask for users that have not logged in, of whom we
 * know nothing. */
#ifndef DW_DOVECOT_MASTER_H
#define DW_DOVECOT_MASTER_H

#include "auth/machine.h"
#include "dovecot/line.h"

/* NULL when memory is out.  `pid`: of this process. */
struct dw_machine *dw_dovecot_master_new(uint32_t pid, struct dw_meter *meter);

/* The request that DW_ASK_ADMIT is about. */
struct dw_dovecot_request {
    uint32_t id;
    uint32_t client, exchange; /* CPID and id, where the client has logged in */
    uint8_t cookie[DW_DOVECOT_COOKIE];
};

const struct dw_dovecot_request *dw_dovecot_request(const struct dw_machine *m);

/* The answers.  `fields`: further ones of the line, each behind a TAB, as dw_dovecot_put_field writes them.  -1: memory
 * is out. */
int dw_dovecot_master_user(struct dw_machine *m, struct dw_span user, struct dw_span fields);
int dw_dovecot_master_fail(struct dw_machine *m);

#endif
