/* What commands make of what they are given: how they complain of it, and configurations whose policies they ask. */
#ifndef DW_CMD_GIVEN_H
#define DW_CMD_GIVEN_H

#include "config/config.h"

#include <stdio.h>

/* "durward COMMAND: .., did you mean 'NEAREST'?" on standard error; `format` has one %s for `word`, and `nearest` may be
 * NULL.  Returns -1. */
int dw_given_wrong(const char *command, const char *format, const char *word, const char *nearest);

/* The configuration, or NULL with its mistakes told on standard error. */
struct dw_config *dw_given_config(const char *command, const char *path);

/* Adds the items of a list that NULL ends to one of `most`; -1 with a complaint when there are more of `what`. */
int dw_given_list(const char *command, const char *what, char *const *items, const char **list, size_t *count,
                  size_t most);

#endif
