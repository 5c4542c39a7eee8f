/* Look-up tables read from files: rosters (JSON lines, or columns with a header) and group files.
 *
 * Tables are kept for the whole process and shared by every host that names the same file.  dw_roster_refresh
 * reads again what has changed; it does file I/O and belongs on a thread that may be slow.  A file that has
 * become wrong, or cannot be read, leaves its old table in use and is told in the log once.
 *
 *   DW_ROSTER_ROWS     *.jsonl: {"key":"alice","shift":"now"} a line; else columns between tabs, of which the first
 *                      is the key, under a header line; lines that are empty or start with '#' are left out
 *   DW_ROSTER_GROUPS   group(5): name:password:gid:user,user; the table gives a user's groups */
#ifndef DW_POLICY_ROSTER_H
#define DW_POLICY_ROSTER_H

#include "base/error.h"

#include <jansson.h>

struct dw_roster; /* any thread */

enum dw_roster_kind { DW_ROSTER_ROWS, DW_ROSTER_GROUPS };

/* The table of that file, read if it has changed since.  `key` names the field that is the key of JSON lines, or
 * the column; NULL: "key", or the first column.  NULL with `err` told: file:line and what is wrong. */
struct dw_roster *dw_roster_open(enum dw_roster_kind kind, const char *path, const char *key, struct dw_error *err);
void dw_roster_close(struct dw_roster **roster);

/* A new reference to a row (an object), to a user's groups (an array), or null when there is none; NULL when memory
 * is out.  What it gives is not to be changed. */
json_t *dw_roster_get(struct dw_roster *roster, const char *key);

/* Looks at every open file, and reads those that have changed. */
void dw_roster_refresh(void);

#endif
