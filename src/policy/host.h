/* One Lua state, its limits, its policies: the place where Lua decides.
 *
 * A host loads a list of policy files and answers questions with them.  It belongs to the thread that
 * uses it (a state may be built in one thread and handed whole to another).  It has never heard of a
 * frame, a stanza or a socket.
 *
 * Whatever the script does - an error, a wrong type, a limit reached - the answer is DW_TEMPORARY with
 * the traceback in the log, never a pass.  No policy at all denies. */
#ifndef DW_POLICY_HOST_H
#define DW_POLICY_HOST_H

#include "auth/decision.h"
#include "base/buf.h"
#include "base/error.h"
#include "policy/want.h"

struct dw_host;

struct dw_host_options {
    const char *const *policies; /* paths, NULL ends the list; none: everything is denied */
    const char *const *refuse_users; /* NULL ends the list; may be NULL */
    size_t memory; /* octets one call may add; 0: 16 MiB */
    double seconds; /* wall clock of one call of a script; 0: 5 */
    long instructions; /* of one call; 0: 10 million */
    json_t *coverage; /* not NULL: "lines" by file and "rules" that ran are noted there, for tests; borrowed */
    bool detailed; /* traces tell each step of a mapping; for tools */
    struct dw_buf *findings; /* not NULL: what is suspicious about the a2l rules that are loaded, a line each */
    const char *scope; /* hosts of one scope count together in durward.limit; NULL: the common one */
    const struct dw_keeper
        *keeper; /* fulfils what hooks wait for; copied; NULL: nobody does, or see dw_host_keep */
};

/* Loads every policy.  NULL with `err` told: file:line and what is wrong, the nearest right word for an
 * unknown hook. */
struct dw_host *dw_host_new(const struct dw_host_options *options, struct dw_error *err);
void dw_host_free(struct dw_host **host); /* after its last ask */

/* Another keeper, from the next want on. */
void dw_host_keep(struct dw_host *host, const struct dw_keeper *keeper);

const char *dw_host_sha256(const struct dw_host *host); /* of all policy files in order; "" without one */
/* Whether any policy has this hook: a front may then skip the question. */
bool dw_host_has(const struct dw_host *host, enum dw_stage stage);
size_t dw_host_memory(const struct dw_host *host); /* octets that the state holds */

#endif
