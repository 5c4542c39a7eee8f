/* The answer: verdict, user, where to, until when, and which sentence of the policy said so.
 *
 * A decision owns its text (malloc'ed); it starts as all zero and ends with dw_decision_clear.
 * A zeroed decision is a denial: nothing decided means denied. */
#ifndef DW_AUTH_DECISION_H
#define DW_AUTH_DECISION_H

#include "auth/event.h"
#include "base/buf.h"

#include <jansson.h>

enum dw_verdict { DW_DENY = 0, DW_ALLOW, DW_TEMPORARY };

struct dw_property {
    char *name, *value;
    size_t value_len; /* the value may hold any octet; a NUL follows it */
};

/* One step on the way to the verdict, for the journal and for `durward explain`. */
struct dw_step {
    char *hook; /* "connect", "realm", "map", "authorize", "limits", .. */
    char *text; /* "rule \"staff on duty\" did not match: realm is HOME.EXAMPLE" */
    char *at; /* "policies/duty.lua:14", or NULL */
    /* A look-up: what was asked for, and what was found.  Else NULL. */
    char *want, *key; /* "TXT", "_kerberos.example.com" */
    json_t *answer; /* NULL: it failed */
    char *failed; /* why */
};

struct dw_decision {
    enum dw_verdict verdict;
    char *user;
    char *backend; /* overrides the listener's, or NULL */
    char *identity; /* the ZMTP identity that the client is held to, or NULL */
    char *jid;
    char *rule; /* name of the rule that decided, or NULL */
    char *reason; /* for the log and journal, never for the peer */
    double expires; /* seconds since 1970; 0: no end of its own */
    struct dw_property *properties;
    size_t property_count;
    char **sockets; /* socket types that may pass; none: all */
    size_t socket_count;
    /* Stage realm: what to answer as, or to ask for; NULL: as configured. */
    char *realm, *service, *keytab, *hostname;
    struct dw_step *steps;
    size_t step_count;
    char *policy_file; /* the file whose word stands, or NULL */
    char policy_sha256[65]; /* of all policy files, in order; "" without a policy */
    uint64_t took_us;
};

void dw_decision_clear(struct dw_decision *d);

/* Sets a text field to a copy of `text`; -1 when memory is out (the field is then NULL). */
int dw_decision_set(char **field, const char *text);
/* Turns it into `verdict` with a reason, dropping what an allow would have granted. */
void dw_decision_refuse(struct dw_decision *d, enum dw_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int dw_decision_step(struct dw_decision *d, const char *hook, const char *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The step of a look-up: `answer`, or why it failed. */
int dw_decision_found(struct dw_decision *d, const char *hook, const char *at, const char *want, const char *key,
                      json_t *answer, const char *failed);
int dw_decision_property(struct dw_decision *d, const char *name, struct dw_span value);
int dw_decision_socket(struct dw_decision *d, const char *type);

/* Whatever a policy says, C has the last word: a user that is empty, not UTF-8, holds control
 * characters or stands in `refuse` (NULL ends it; may be NULL) is denied; `ticket_ends` (seconds since
 * 1970, 0: never) bounds `expires`; an expiry in the past at `now` (seconds since 1970) denies.
 * Only an allow changes. */
void dw_decision_hold(struct dw_decision *d, const char *const refuse[], double ticket_ends, double now);

const char *dw_verdict_word(enum dw_verdict verdict); /* "allow", "deny", "temporary" */

#endif
