/* The question that is put to a policy: who stands at which door, and what is known of them so far.
 *
 * A front fills an event as it learns; the policy only reads it.  Fields that are absent are NULL (text),
 * absent spans, or have their `has_` flag down, and are nil to Lua.  Text that a peer sent may hold any
 * octet, so it is a span; text of our own (addresses, listener names) is a C string.
 *
 * The event owns nothing: everything in it is borrowed from the connection, which outlives the question. */
#ifndef DW_AUTH_EVENT_H
#define DW_AUTH_EVENT_H

#include "base/span.h"

enum dw_stage { DW_STAGE_CONNECT, DW_STAGE_REALM, DW_STAGE_MAP, DW_STAGE_AUTHORIZE, DW_STAGE_CLOSE };
enum dw_front { DW_FRONT_ZMTP, DW_FRONT_ZAP, DW_FRONT_XMPP, DW_FRONT_DOVECOT };

/* A name with one or more values: an RFC 6680 attribute, a property. */
struct dw_pair {
    struct dw_span name, value;
};

struct dw_event_peer {
    const char *address; /* "192.0.2.7", "::1", "local" for a unix socket; NULL when unknown */
    int port; /* 0 when there is none */
    bool has_ids; /* uid, gid and pid are known (SO_PEERCRED) */
    long uid, gid, pid;
};

struct dw_event_gss {
    bool present;
    uint32_t lifetime; /* seconds left of the ticket when the context was made; UINT32_MAX: without end */
    double expires; /* seconds since 1970; 0 when without end */
    bool mutual, confidential, delegated, channel_bound;
    bool cross_realm; /* the client's realm is not the acceptor's */
    const struct dw_span *indicators; /* authentication indicators (RFC 8129) */
    size_t indicator_count;
    const struct dw_pair *attributes; /* RFC 6680; a name stands once for each of its values */
    size_t attribute_count;
};

struct dw_event {
    const char *id; /* unique for this process's life; the same at every stage of a connection */
    long long time; /* microseconds since 1970, set once for a question */
    enum dw_front front;
    enum dw_stage stage;
    const char *mechanism; /* "GSSAPI", "NULL", "PLAIN", "CURVE", .. */
    const char *listener; /* its configured name */
    struct dw_event_peer peer;
    struct dw_span principal; /* full name as MIT's library prints it, quoting included */
    struct dw_span user; /* set from stage authorize on */
    struct dw_span
        service; /* "zmq/broker.example.com@HOME.EXAMPLE": the key that the token is for, or ours to ask for */
    struct dw_span domain; /* XMPP `to`, ZAP domain */
    const char *hostname; /* XMPP: the connection manager's name */
    struct dw_span authzid;
    struct dw_event_gss gss;
    struct {
        bool present;
        struct dw_span identity, request_id;
    } zap;
    struct {
        bool present;
        struct dw_span username, password; /* the password is a secret: never printed */
    } plain;
    struct dw_span curve_key; /* 32 octets */
    /* ZAP: the raw frames of an unknown mechanism, not decoded; NULL for those that are known.  One of them may be a
     * secret: never printed. */
    const struct dw_span *credentials;
    size_t credential_count;
    struct {
        const char *version, *cipher;
    } tls;
    struct {
        bool present;
        const char *reason;
        double seconds;
        uint64_t bytes_in, bytes_out;
    } closed;
};

/* The words of the operator's manual: "connect", "realm", ..; "zmtp", "zap", .. */
const char *dw_stage_word(enum dw_stage stage);
const char *dw_front_word(enum dw_front front);
/* The other way; -1 when it is none of them. */
int dw_front_parse(const char *word);
int dw_stage_parse(const char *word);

#endif
