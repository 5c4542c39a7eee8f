/* DNS by c-ares on a loop.  A resolver belongs to its loop's thread; names are taken whole, no search list is tried. */
#ifndef DW_NET_DNS_H
#define DW_NET_DNS_H

#include "base/error.h"
#include "policy/want.h"

#include <uv.h>

struct dw_dns;

/* Takes what `answer` holds. */
typedef void (*dw_dns_done)(void *arg, struct dw_answer *answer);

/* `servers`: "192.0.2.53", "[2001:db8::1]:5353", NULL ends the list; NULL or none: those that the system names (and
 * that the system may have changed since the last resolver was made). */
struct dw_dns *dw_dns_new(uv_loop_t *loop, char *const *servers, struct dw_error *err);
/* A, AAAA, TXT or SRV.  `done` is called from the loop, or, when it fails at once, before this returns. */
void dw_dns_ask(struct dw_dns *dns, enum dw_want_kind kind, const char *name, dw_dns_done done, void *arg);
/* No more is asked; it goes with its last answer, and stands in `list` until then.  NULL: what is still asked fails at
 * once. */
void dw_dns_retire(struct dw_dns **dns, struct dw_dns **list);
/* What is asked of those in the list fails at once. */
void dw_dns_end_all(struct dw_dns **list);

#endif
