/* The exchanges of one connection that speaks Dovecot's authentication protocol: each a login of somebody else's client.
 *
 *   AUTH -> connect and realm hooks, as far as there are any -> credential -> tokens -> map and authorize
 *        -> the authorization identity against the user -> journal -> OK or FAIL
 *
 * An exchange is put to the policy, and its answer written to the journal, of the settings that were in force when it
 * began.  It ends with limits.handshake_seconds, and each question with limits.decision_seconds.  Everything runs on the
 * loop's thread. */
#ifndef DW_NET_EXCHANGE_H
#define DW_NET_EXCHANGE_H

#include "dovecot/service.h"
#include "net/caller.h"
#include "net/desk.h"
#include "net/office.h"
#include "net/shadow.h"
#include "net/vouchers.h"

/* What it is done with; everything is borrowed and outlives the exchanges. */
struct dw_exchanges_with {
    uv_loop_t *loop;
    struct dw_settings *const *settings; /* those for new exchanges; so too the office */
    struct dw_office *const *office;
    struct dw_desk *const *desk;
    struct dw_tally *tally;
    struct dw_shadow *shadow;
    struct dw_vouchers *vouchers;
    struct dw_issuer *issuer; /* this connection among them */
    /* Exchanges' ids: of this process, this thread, this exchange. */
    unsigned salt;
    int index;
    uint64_t *next_number;
    const char *listener;
    const struct dw_caller *caller; /* the server that asks */
    struct dw_machine *machine; /* dovecot/service.h */
    /* Called from the loop when an answer came late: the owner calls dw_exchanges_turn and pumps, in a turn of its own. */
    void *arg;
    void (*stir)(void *arg);
};

struct dw_exchange;

struct dw_exchanges {
    struct dw_exchanges_with with;
    struct dw_exchange *open, *spent; /* spent: to be freed when nothing of them is in use */
    int asking; /* how many the policy has */
};

/* The machine's effects: DW_ASK_REALM, DW_ASK_ADMIT and DW_DATA. */
void dw_exchanges_begin(struct dw_exchanges *exchanges, struct dw_dovecot_exchange *x);
void dw_exchanges_admit(struct dw_exchanges *exchanges, struct dw_dovecot_exchange *x);
void dw_exchanges_over(struct dw_exchanges *exchanges, struct dw_dovecot_exchange *x, const struct dw_error *why);

/* Those that had an answer go on, and what is over is freed: at the beginning of a turn, when no answer is under way. */
void dw_exchanges_turn(struct dw_exchanges *exchanges);
/* Loop time at which the first is too late; 0: none is open. */
uint64_t dw_exchanges_due(const struct dw_exchanges *exchanges);
/* Ends those that are due at `now`; UINT64_MAX: all. */
void dw_exchanges_expire(struct dw_exchanges *exchanges, uint64_t now);
/* Nobody waits any more. */
void dw_exchanges_cancel(struct dw_exchanges *exchanges);

#endif
