/* Lines typed at a terminal.
 *
 * Built with libedit they can be edited, and stand in a history that outlives the process:
 * $XDG_STATE_HOME/durward/lua_history (else under ~/.local/state), mode 0600, the last thousand lines; one that
 * starts with a space is not kept.  Without libedit, or on a terminal that cannot move its cursor, lines are
 * read as the terminal gives them. */
#ifndef DW_CMD_TYPED_H
#define DW_CMD_TYPED_H

struct dw_typed;

/* Standard input and output.  NULL when memory is out. */
struct dw_typed *dw_typed_open(void);
void dw_typed_free(struct dw_typed **typed);

enum dw_typed_end { DW_TYPED_LINE, DW_TYPED_END, DW_TYPED_INTERRUPTED };

/* Prompts and reads one line, its newline included: `line` is borrowed until the next call.  INTERRUPTED when a
 * signal's handler ran meanwhile: what was typed of the line is dropped. */
enum dw_typed_end dw_typed_line(struct dw_typed *typed, const char *prompt, const char **line);

#endif
