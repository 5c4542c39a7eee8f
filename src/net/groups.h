/* The groups of a user, as the system knows them.  NSS may ask a directory on another machine: slow, and any thread. */
#ifndef DW_NET_GROUPS_H
#define DW_NET_GROUPS_H

#include "policy/want.h"

void dw_groups_of(const char *user, struct dw_answer *answer);

#endif
