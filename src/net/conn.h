/* A connection: the leg towards the one who came to us (`near`), the leg towards where it is joined to (`far`),
 * and the way between: handshake, questions, decision, dialling, joining, traffic, an orderly end.
 *
 *   listener -> dw_conn_new -> connect hook -> the front's `begin` -> its `effect` for each effect of a
 *   machine -> dw_conn_open -> frames across until one side ends -> the other side gets all that was sent
 *
 * Everything runs on the worker's thread.  Entry points from the loop end with dw_conn_leave, which writes what
 * has gathered, sets what is polled for and when the timer fires, and takes the connection down once it is
 * `doomed` and nothing of it is in use: only there is anything freed. */
#ifndef DW_NET_CONN_H
#define DW_NET_CONN_H

#include "gss/context.h"
#include "net/leg.h"
#include "net/worker.h"

#include <uthash.h>

enum dw_deadline {
    DW_AT_HANDSHAKE, /* the way to traffic takes no longer */
    DW_AT_ASK, /* nor does a decision */
    DW_AT_DIAL, /* when the backend is tried again */
    DW_AT_HOLD, /* a refused client is let go */
    DW_AT_EXPIRY, /* ticket or decision end */
    DW_AT_LINGER, /* an orderly end takes no longer */
    DW_AT_PROGRESS, /* it has got on, or must not go past limits.memory any longer */
    DW_AT_SETTLE, /* the backend has had time to let go of an identity */
    DW_AT_BACKEND, /* the front's: the backend's answer takes no longer */
    DW_AT_IDLE, /* the front's: too long without traffic */
    DW_AT_FAREWELL, /* the front's: its last words take no longer */
    DW_DEADLINES,
};

enum dw_phase {
    DW_PHASE_HANDSHAKE,
    DW_PHASE_OPEN, /* traffic */
    DW_PHASE_HELD, /* refused, and kept waiting */
    DW_PHASE_ENDING, /* what was sent is being delivered */
    DW_PHASE_DOOMED, /* to be freed as soon as nothing uses it */
};

/* Why a connection with traffic is to end. */
enum dw_parting { DW_PARTING_EXPIRED, DW_PARTING_DRAIN, DW_PARTING_FAR_LOST };

/* What one front does differently. */
struct dw_front_ops {
    enum dw_front front;
    const char *mechanism;
    size_t handshake_bytes; /* a machine that holds more is not fed before there is traffic */
    /* A leg on whose own way more waits is not read: TLS makes answers of what comes in, and may be asked for them by who
     * never takes one.  0: no bound.  More than traffic from the other leg comes to, or both could wait for ever. */
    size_t unsent_bytes;
    bool is_eager; /* what the far side sends before traffic is acknowledged at once */
    /* The connect hook let it pass: make the near machine.  -1 with `err` told. */
    int (*begin)(struct dw_conn *conn, struct dw_error *err);
    /* An effect other than DW_NEED, DW_DATA and DW_CLOSE. */
    void (*effect)(struct dw_conn *conn, struct dw_leg *leg, enum dw_act act, struct dw_effect *fx);
    /* The far leg's socket is connected: make its machine.  -1: memory is out. */
    int (*connected)(struct dw_conn *conn);
    /* The far side ended before there was traffic: its machine, or (`why` NULL) its socket. */
    void (*far_lost)(struct dw_conn *conn, const struct dw_error *why);
    /* There is traffic from now on. */
    void (*opened)(struct dw_conn *conn);
    /* What `from` has to pass on.  -1 with `err` told. */
    int (*pass)(struct dw_conn *conn, struct dw_leg *from, struct dw_frame frame, struct dw_error *err);
    /* What a leg that has a machine awaits, for a log. */
    const char *(*state)(const struct dw_conn *conn, const struct dw_leg *leg);
    /* Out of time before there was traffic: tells the log, and whom it likes. */
    void (*late)(struct dw_conn *conn);
    /* All that follow may be NULL. */
    /* Why, most likely, the client left before there was traffic; NULL when nothing is known. */
    const char *(*likely)(const struct dw_conn *conn);
    /* The near machine ended before there was traffic. */
    void (*near_lost)(struct dw_conn *conn, const struct dw_error *why);
    /* The near machine has looked at all that came, and there is no traffic yet. */
    void (*looked)(struct dw_conn *conn);
    /* Milliseconds that a leg may be silent; 0: for ever. */
    unsigned (*ttl)(const struct dw_leg *leg);
    /* One of the front's own deadlines has come. */
    void (*due)(struct dw_conn *conn, enum dw_deadline which);
    /* Ends with words of its own.  False: there are none to be said, the socket is shut. */
    bool (*farewell)(struct dw_conn *conn, enum dw_parting why);
    /* What the front knows, for an event. */
    void (*describe)(const struct dw_conn *conn, struct dw_event *event);
    /* The front's word on an admission that is about to be journalled. */
    void (*hold)(struct dw_conn *conn, struct dw_decision *decision);
    /* Frees conn->own. */
    void (*forget)(struct dw_conn *conn);
};
extern const struct dw_front_ops dw_front_gateway, dw_front_outbound, dw_front_xmpp;

/* What is known of a login until it is joined: the event and what it borrows from. */
struct dw_question {
    struct dw_event event;
    struct dw_buf service;
    struct dw_ask *ask;
    struct dw_office *office;
    uint64_t started; /* microseconds of the monotonic clock */
    void (*then)(struct dw_conn *conn, struct dw_decision *decision);
    bool is_verdict, is_waiting;
};

/* How long a backend gets, after it has closed its side, to forget an identity: libzmq drops it when the
 * application next calls into the socket. */
#define DW_IDENTITY_SETTLE_SECONDS 0.1

struct dw_conn {
    UT_hash_handle hh;
    uint64_t number;
    struct dw_worker *worker;
    struct dw_settings *settings;
    const struct dw_listener_config *listener;
    const struct dw_front_ops *front;
    enum dw_phase phase;
    struct dw_leg near, far;
    uv_timer_t timer;
    uint64_t deadlines[DW_DEADLINES]; /* loop time; 0: none */
    uint64_t armed; /* what the timer is set to */
    uint64_t born;
    int depth; /* entry points on the stack */
    int works; /* pool jobs under way */
    char id[24];
    char *slot; /* what limits.per_peer counts it under, when that is not the address */
    char *peer; /* address, as events and limits have it */
    int port;
    bool has_ids;
    long uid, gid, pid;
    struct dw_question *question; /* until joined */
    struct dw_office *past_office; /* where an answer has just come from */
    char *principal, *user;
    struct dw_decision *decision; /* the allow, until joined */
    struct dw_dial *dial;
    struct dw_address backend_address; /* when the decision names one */
    double ticket_ends; /* seconds since 1970; 0: never */
    char *backend; /* where the far leg goes, as text */
    struct dw_buf far_meta; /* the far READY's properties, until joined */
    struct dw_buf near_meta; /* the near's, while it waits */
    struct dw_span identity; /* claimed at the backend; owned */
    bool claimed; /* the identity, or a place in the queue for it */
    bool is_waiting; /* in that queue */
    bool user_counted;
    bool far_ready; /* the far READY has come, once */
    bool far_present; /* and the far leg is still the one that sent it */
    bool is_answered; /* to be pumped by the timer */
    bool is_noted; /* counted at its backend */
    bool all_shut; /* at the end: our sides of both legs are */
    bool exceeding; /* it is the one that goes past limits.memory */
    uint64_t passed; /* octets in and out, when that was last looked at */
    /* Outbound: the context and its first token, until the peer's greeting has come. */
    struct dw_context *context;
    struct dw_buf first_token;
    int first_progress;
    bool step_wanted;
    struct dw_xmpp_own *own; /* the xmpp front's; else NULL */
    const char *reason; /* why it ended, for the log and the close hook */
};

/* Takes the accepted socket.  Everything that goes wrong is logged and the socket closed. */
void dw_conn_new(struct dw_worker *worker, const struct dw_listener_config *listener, int fd);

static inline const char *dw_conn_slot(const struct dw_conn *conn)
{
    return conn->slot ? conn->slot : conn->peer;
}

void dw_conn_enter(struct dw_conn *conn);
void dw_conn_leave(struct dw_conn *conn);
/* Leaves now, and does from the loop what leaving does: for a callback whose caller still uses what is the
 * connection's.  The near side is pumped then. */
void dw_conn_leave_soon(struct dw_conn *conn);
/* Takes effects off the leg's machine until it needs more, or the other side is full. */
void dw_conn_pump(struct dw_conn *conn, struct dw_leg *leg);
/* Traffic from now on: both machines are open. */
void dw_conn_open(struct dw_conn *conn);

/* Ends without more ado: the far side is still given all that was sent to it, the near side what waits
 * for it, unless it is gone. */
void dw_conn_end(struct dw_conn *conn, const char *reason);
/* Ends a connection that was refused for good: held for a while first if its listener says so. */
void dw_conn_refused(struct dw_conn *conn, const char *reason);
/* Ends before there was traffic: what waits for the near side is still written, the far side is let go. */
void dw_conn_part(struct dw_conn *conn, const char *reason);
/* Ends at once. */
void dw_conn_doom(struct dw_conn *conn, const char *reason);
/* Asks it to end by itself: no more is taken in than what is on its way. */
void dw_conn_drain(struct dw_conn *conn);

struct dw_leg *dw_conn_other(struct dw_conn *conn, struct dw_leg *leg);
/* The other side is over: `leg` is given what has been sent to it, then told. */
void dw_conn_finish_towards(struct dw_conn *conn, struct dw_leg *leg, const char *reason);
void dw_conn_close_leg(struct dw_leg *leg);
/* Closes the far leg, which may be opened again. */
void dw_conn_close_far(struct dw_conn *conn);

/* A line in the log with what is known of the connection. */
void dw_conn_log(const struct dw_conn *conn, enum dw_log_level level, const char *what, const char *key,
                 const char *value);
void dw_conn_deadline(struct dw_conn *conn, enum dw_deadline which, double seconds);
/* It ends when the clock says `when`, in seconds since 1970; 0: never. */
void dw_conn_expire_at(struct dw_conn *conn, double when);
void dw_conn_no_deadline(struct dw_conn *conn, enum dw_deadline which);
/* It goes past limits.memory from now on: looks whether it gets on. */
void dw_conn_watch_progress(struct dw_conn *conn);
/* Sets the timer for the earliest of them. */
void dw_conn_arm(struct dw_conn *conn);

/* The socket is ready: leg.c's poll callback. */
void dw_conn_ready(uv_poll_t *poll, int status, int events);
/* Gives back an identity that was claimed. */
void dw_conn_release_identity(struct dw_conn *conn);
/* Outbound: goes on when both the peer's greeting and our first token are there. */
void dw_outbound_go(struct dw_conn *conn);
/* The backend let go, or another login wants the identity: posted by the registry. */
void dw_conn_granted(struct dw_conn *conn);
void dw_conn_superseded(struct dw_conn *conn);

#endif
