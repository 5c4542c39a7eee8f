/* The groups of a user, as the system knows them.  NSS may ask a directory on another machine: slow, and any thread.
 *
 * That the user is unknown is an answer; that it cannot be told is fatal, since a rule that bars a group must not pass
 * whom the directory did not get to name. */
#ifndef DW_NET_GROUPS_H
#define DW_NET_GROUPS_H

#include "policy/want.h"

void dw_groups_of(const char *user, struct dw_answer *answer);

#endif
