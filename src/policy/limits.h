/* What policies count, for the whole process: token buckets and failures, by key.
 *
 * One table with one lock, shared by every host, so that a limit holds however many workers there are and
 * stays over a reload.  It has a fixed number of places; when all are taken, the one that was used least
 * lately goes.  A key is kept as a digest, never as text.  Threads: any.
 *
 * Time is the event's, in seconds since 1970; when it goes back, nothing is refilled and nothing forgotten. */
#ifndef DW_POLICY_LIMITS_H
#define DW_POLICY_LIMITS_H

#include "base/span.h"

enum { DW_LIMITS_PLACES = 1 << 16, DW_LIMITS_KEY = 16 };

/* Who counts what for whom. */
struct dw_limits_key {
    uint8_t digest[DW_LIMITS_KEY];
};
/* `scope` keeps apart what must not share: a shadow policy, a test.  -1 when there is no digest to be had. */
int dw_limits_key(struct dw_limits_key *key, struct dw_span scope, struct dw_span name, struct dw_span who);

/* A bucket of `most` tokens that `rate` a second refill.  Takes one and returns 0; or, when there is none, takes
 * nothing and returns the seconds until there is. */
double dw_limits_take(const struct dw_limits_key *key, double most, double rate, double now);

/* A count that is forgotten `seconds` after it last grew.  Adds `n` (0: only looks)
 * and returns the count. */
double dw_limits_add(const struct dw_limits_key *key, double n, double seconds, double now);
void dw_limits_clear(const struct dw_limits_key *key);

#endif
