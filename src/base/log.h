/* One fact per line, for people and for programs:
 *
 *   2026-11-22T10:00:00.123Z info admitted id=7f2a listener=trades peer=192.0.2.7:51234 user=alice
 *
 * A line is written with one write(2) to standard error.  Values are quoted and escaped when they need
 * it, so that nothing a peer sends can forge a line or move a terminal.  Any thread may call. */
#ifndef DW_BASE_LOG_H
#define DW_BASE_LOG_H

enum dw_log_level { DW_LOG_DEBUG, DW_LOG_INFO, DW_LOG_WARN, DW_LOG_ERROR };

/* Lines below `level` are dropped from now on.  Process-wide; info at the start. */
void dw_log_threshold(enum dw_log_level level);
enum dw_log_level dw_log_level_now(void);
/* "debug", "info", "warn", "error" to a level; -1 when it is none of them. */
int dw_log_level_parse(const char *word);

/* `what`, then key and value, key and value, .. and a NULL key.  A NULL value leaves its key out.
 * Every value is a `const char *`. */
void dw_log(enum dw_log_level level, const char *what, ...) __attribute__((sentinel));

/* Where lines go in place of standard error: `text` is "what key=value ..", without time and level, and is borrowed.
 * Called by any thread, by several at once. */
struct dw_log_sink {
    void (*take)(enum dw_log_level level, const char *text);
};
/* NULL: standard error again.  `sink` must live on: a line may be on its way to it still. */
void dw_log_divert(const struct dw_log_sink *sink);
/* What a configuration prints: a line as it is, or, when lines are diverted, one of level info. */
void dw_log_print(const char *text);

#endif
