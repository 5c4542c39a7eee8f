/* Fulfils what policies wait for, on a loop: DNS, time; and in the pool, one at a time of each, the system's groups, since
 * what NSS asks may be slow, and whether a password is right, since a hash is slow by design.  It belongs to the loop's
 * thread. */
#ifndef DW_NET_WANTS_H
#define DW_NET_WANTS_H

#include "policy/want.h"

#include <uv.h>

struct dw_wants;

struct dw_wants *dw_wants_new(uv_loop_t *loop);
/* DNS servers from now on, copied; NULL: the system's, which are looked up anew.  -1: memory is out. */
int dw_wants_servers(struct dw_wants *wants, char *const *servers);
/* What a host is given. */
void dw_wants_keeper(struct dw_wants *wants, struct dw_keeper *keeper);
/* The loop is to end: nothing is asked any more. */
void dw_wants_close(struct dw_wants *wants);
void dw_wants_free(struct dw_wants **wants); /* after the loop's end */

/* The same for a command, which has no loop: answers at once, however long that takes.  Nobody sleeps: what a policy
 * would have waited is added up, and past `seconds` it is too late. */
struct dw_lookup;
struct dw_lookup *dw_lookup_new(double seconds, char *const *servers);
void dw_lookup_keeper(struct dw_lookup *lookup, struct dw_keeper *keeper);
void dw_lookup_free(struct dw_lookup **lookup);

#endif
