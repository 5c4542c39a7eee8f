/* One fact per line: see log.h. */
#include "base/log.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static const char *const words[] = {"debug", "info", "warn", "error"};
static _Atomic int threshold = DW_LOG_INFO;
static const struct dw_log_sink *_Atomic diverted;

void dw_log_threshold(enum dw_log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum dw_log_level dw_log_level_now(void)
{
    return (enum dw_log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

int dw_log_level_parse(const char *word)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

void dw_log_divert(const struct dw_log_sink *sink)
{
    atomic_store(&diverted, sink);
}

static void put_head(enum dw_log_level level, struct dw_buf *line, const char *what)
{
    struct timespec now;
    char when[32];
    clock_gettime(CLOCK_REALTIME, &now);
    dw_text_time(when, now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    dw_buf_printf(line, "%s %s %s", when, words[level], what);
}

static void put_out(struct dw_buf *line)
{
    dw_buf_put_u8(line, '\n');
    struct dw_span all = dw_buf_span(line);
    /* A log that cannot be written has nowhere to be reported. */
    if (write(STDERR_FILENO, all.at, all.len) < 0)
        (void)0;
}

void dw_log(enum dw_log_level level, const char *what, ...)
{
    if (level < dw_log_level_now())
        return;
    const struct dw_log_sink *sink = atomic_load(&diverted);
    struct dw_buf line = {0};
    if (sink)
        dw_buf_printf(&line, "%s", what);
    else
        put_head(level, &line, what);
    va_list args;
    va_start(args, what);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (!value)
            continue;
        dw_buf_printf(&line, " %s=", key);
        dw_text_quote(&line, dw_span_str(value));
    }
    va_end(args);
    if (!sink)
        put_out(&line);
    else if (dw_buf_put_u8(&line, '\0') == 0)
        sink->take(level, (const char *)dw_buf_span(&line).at);
    else
        sink->take(level, what);
    dw_buf_free(&line);
}

void dw_log_print(const char *text)
{
    const struct dw_log_sink *sink = atomic_load(&diverted);
    struct dw_buf line = {0};
    if (sink) {
        sink->take(DW_LOG_INFO, text);
        return;
    }
    dw_buf_printf(&line, "%s", text);
    put_out(&line);
    dw_buf_free(&line);
}
