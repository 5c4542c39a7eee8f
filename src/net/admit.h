/* The questions of a connection, put to the policy and journalled: event out, decision in. */
#ifndef DW_NET_ADMIT_H
#define DW_NET_ADMIT_H

#include "net/conn.h"

/* The question of this connection, made if there is none yet; NULL when memory is out. */
struct dw_question *dw_admit_question(struct dw_conn *conn);

/* Asks; `then` is called with the decision, at once or later (from the loop).  The decision has then been
 * journalled, if it is one that is (every allow, deny and temporary of an admission; of the other stages, the
 * refusals and, where `is_verdict`, the passes), and may have become temporary for that.  It is the
 * callee's to change until it returns. */
typedef void (*dw_admit_then)(struct dw_conn *conn, struct dw_decision *decision);
void dw_admit_ask(struct dw_conn *conn, enum dw_stage stage, bool is_verdict, dw_admit_then then);

/* A refusal of our own (identity, socket type, a limit): journalled as a decision about the admission. */
void dw_admit_refuse(struct dw_conn *conn, enum dw_verdict verdict, const char *rule, const char *reason);

/* Of every front: journals a decision before its effect, counts it, and logs a refusal.  One that cannot be
 * written becomes temporary.  `journal` may be NULL. */
void dw_admit_record(struct dw_broker *broker, struct dw_journal *journal, const struct dw_event *event,
                     struct dw_decision *decision);

/* After an answer that came later, from the loop: what it was asked with is let go. */
void dw_admit_settle(struct dw_conn *conn);
/* Gives up what is being asked: no answer comes any more. */
void dw_admit_cancel(struct dw_conn *conn);
/* The same; forgets the question. */
void dw_admit_forget(struct dw_conn *conn);
/* The question took too long. */
void dw_admit_expire(struct dw_conn *conn);
/* Runs the close hook, if the policy has one. */
void dw_admit_closed(struct dw_conn *conn);

#endif
