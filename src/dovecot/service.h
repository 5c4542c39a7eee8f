/* The server's side of Dovecot's authentication protocol as a machine (auth/machine.h): one connection of a mail or chat
 * server, which has many exchanges of its own clients under way at once.
 *
 *   ours, at once   VERSION 1 1, MECH .., SPID, CUID, COOKIE, DONE
 *   theirs          VERSION 1 .., CPID                      DW_META: it speaks as it should
 *   AUTH            a new exchange                          DW_ASK_REALM: dw_dovecot_begin, or dw_dovecot_refuse
 *   CONT ..         tokens both ways, by dw_sasl
 *                   principal and authzid are known         DW_ASK_ADMIT: dw_dovecot_pass, or dw_dovecot_refuse
 *                   it failed, or the client gave it up     DW_DATA: it is over; fx->why, DW_ERROR_CLOSED when given up
 *
 * Which exchange an effect is about tells dw_dovecot_exchange.  The driver answers at once or later; after an answer it
 * calls `next` again, where an exchange that was begun goes on.  dw_machine_push and dw_machine_answer are not for this
 * machine.
 *
 * A line that no client may send ends the connection: DW_CLOSE.  A token or an authorization identity that is wrong ends
 * its exchange with FAIL.  FAIL is one of three fixed lines. */
#ifndef DW_DOVECOT_SERVICE_H
#define DW_DOVECOT_SERVICE_H

#include "auth/machine.h"
#include "dovecot/line.h"
#include "sasl/sasl.h"

/* A line: a first token with a PAC, in base64, and some parameters.  At once: exchanges that are open. */
enum { DW_DOVECOT_LINE_BYTES = 128 * 1024, DW_DOVECOT_MOST_OPEN = 1024 };

struct dw_dovecot_options {
    const char *const *mechanisms; /* as offered; NULL ends the list; borrowed for the machine's life */
    uint32_t pid, number; /* of this process, of this connection: neither is 0 */
    uint8_t cookie[DW_DOVECOT_COOKIE]; /* random */
    struct dw_meter *meter; /* may be NULL */
};

/* NULL when memory is out. */
struct dw_machine *dw_dovecot_new(const struct dw_dovecot_options *options);

/* A client of the server that asks us.  Text that was not given is NULL; control characters and what is not UTF-8 are
 * taken for not given. */
struct dw_dovecot_exchange {
    uint32_t id;
    const char *mechanism; /* one of those offered */
    char *service; /* as asked for: "smtp", "xmpp", "imap", .. */
    char *remote; /* the address that its client comes from, as the server says it */
    int remote_port; /* 0: not given */
    char *local_name; /* the name that its client called it by */
    void *of; /* the driver's */
};

/* The one that the last effect was about; after DW_DATA until the next call, else until it is over.  NULL after DW_DATA
 * that is about an id without an exchange. */
struct dw_dovecot_exchange *dw_dovecot_exchange(const struct dw_machine *m);
/* The pid that the server has told; 0 before DW_META. */
uint32_t dw_dovecot_client(const struct dw_machine *m);
/* Of one that got DW_ASK_ADMIT. */
const struct dw_sasl *dw_dovecot_sasl(const struct dw_dovecot_exchange *exchange);

/* The answer to DW_ASK_REALM: the exchange goes on at the next `next`.  -1: memory is out, and it is over. */
int dw_dovecot_begin(struct dw_machine *m, struct dw_dovecot_exchange *exchange,
                     const struct dw_sasl_options *options);

enum dw_dovecot_refusal { DW_DOVECOT_DENIED, DW_DOVECOT_AUTHZID, DW_DOVECOT_TEMPORARY };
/* The answers to DW_ASK_ADMIT, after which the exchange is over.  -1: memory is out. */
int dw_dovecot_pass(struct dw_machine *m, struct dw_dovecot_exchange *exchange, struct dw_span user);
int dw_dovecot_refuse(struct dw_machine *m, struct dw_dovecot_exchange *exchange, enum dw_dovecot_refusal how);
/* It took too long: it is over.  One that a line of the client's is due for gets no answer, which would be taken for that
 * of another (servers that ask one thing at a time read as many lines as they write); a later CONT fails. */
int dw_dovecot_expire(struct dw_machine *m, struct dw_dovecot_exchange *exchange);

#endif
