/* The xmpp front: an XMPP client comes in, is secured and authenticated with Kerberos, decided on, and handed to a stock
 * server that is logged in to for it.  From there on octets go both ways as they are.
 *
 *   header, TLS, header -> realm hook -> xmpp_offer.c: what to answer as, which mechanisms -> SASL -> map and authorize
 *   -> xmpp_jid.c: who that is at the server -> xmpp_backend.c: a stream from the pool, or dialled, and its login
 *   -> <success/>, the client's next header -> traffic
 *
 * An attempt that is refused, or that the server fails, leaves the stream open: the client may try again within the
 * handshake's time, and everything of the attempt is given back first. */
#ifndef DW_NET_XMPP_H
#define DW_NET_XMPP_H

#include "net/conn.h"
#include "net/xmpp_means.h"
#include "xmpp/client.h"

enum dw_xmpp_stage {
    DW_XMPP_ALONE, /* no server yet */
    DW_XMPP_DIALLED, /* a stream is being opened */
    DW_XMPP_LOGGING_IN, /* credentials have been sent */
    DW_XMPP_IN, /* the server has let the user in */
};

/* What a connection of this front has besides; conn->own. */
struct dw_xmpp_own {
    const struct dw_xmpp_entrance *entrance;
    /* From DW_ASK_REALM on. */
    const struct dw_xmpp_domain_config *domain;
    const struct dw_xmpp_way *way;
    const char *tls_version, *tls_cipher;
    char *hostname;
    char **targets; /* service names that are answered to, without realm; NULL ends the list */
    char *realm; /* the realm that tickets must be of; NULL: any that the keytab has */
    bool is_offered; /* a mechanism was */
    /* Of one attempt. */
    char mechanism[24];
    char *authzid, *jid;
    unsigned attempts;
    unsigned failures; /* of SASL, that the log has been told of */
    enum dw_xmpp_stage stage;
    bool is_pooled; /* the stream came from the pool */
    struct dw_tls_pair *pair; /* external */
    /* The end. */
    bool is_parting; /* has been told to say its last words */
    bool is_cut; /* and has had its time */
};

/* -- xmpp_offer.c -- */

/* The realm hook has spoken: offers what there are keys for, or ends the stream. */
void dw_xmpp_offer(struct dw_conn *conn, const struct dw_decision *decision);
/* The client is in: what only its ticket was held to is let go. */
void dw_xmpp_offer_forget(struct dw_xmpp_own *own);
/* The names answered to, for a log. */
void dw_xmpp_targets(const struct dw_xmpp_own *own, char *into, size_t size);
/* Whether every domain's keytab can be used; tells the log which of them have no key of theirs.  -1 with `err` told. */
int dw_xmpp_check_keys(const struct dw_listener_config *listener, struct dw_error *err);

/* -- xmpp_backend.c -- */

/* The user is admitted: has the server let it in. */
void dw_xmpp_backend_start(struct dw_conn *conn);
int dw_xmpp_backend_connected(struct dw_conn *conn);
void dw_xmpp_backend_effect(struct dw_conn *conn, enum dw_act act);
void dw_xmpp_backend_lost(struct dw_conn *conn, const struct dw_error *why);
/* The server had its time. */
void dw_xmpp_backend_late(struct dw_conn *conn);
/* Lets go of the server's stream and what was made for it. */
void dw_xmpp_backend_drop(struct dw_conn *conn);

/* -- xmpp.c -- */

/* The attempt failed for a reason that is not the client's; it may try again. */
void dw_xmpp_temporary(struct dw_conn *conn, const char *what, const char *why);
/* The server has let the user in. */
void dw_xmpp_welcome(struct dw_conn *conn);
/* Ends the stream with a stream error. */
void dw_xmpp_end(struct dw_conn *conn, const char *condition, const char *text, const char *reason);

#endif
