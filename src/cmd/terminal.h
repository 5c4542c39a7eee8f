/* Where a command's text goes: a terminal is as wide as it is and may be coloured; a pipe takes everything as it is. */
#ifndef DW_CMD_TERMINAL_H
#define DW_CMD_TERMINAL_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdio.h>

/* Columns; SIZE_MAX when `out` is no terminal. */
size_t dw_terminal_width(FILE *out);
/* Whether colour is welcome: a terminal, and NO_COLOR is not set (no-color.org). */
bool dw_terminal_has_colour(FILE *out);
/* How many columns UTF-8 text takes, each character one. */
size_t dw_terminal_columns(struct dw_span text);
/* Prints a line that begins with `indent` columns of label: what is too wide goes on below, behind as many spaces, broken
 * at spaces where there are any. */
void dw_terminal_put(FILE *out, struct dw_span line, size_t indent);

#endif
