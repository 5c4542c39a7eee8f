/* What durward.h declares, by what the other files of this room do. */
#include "lib/durward.h"

#include "base/log.h"
#include "lib/guard.h"
#include "lib/handler.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct durward_zap {
    pid_t pid; /* whose thread it is */
    void *context;
    struct dw_handler *handler;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int live; /* handlers, of the process `owner` */
static pid_t owner;

static int fail(struct durward_error *error, enum durward_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct durward_error *error, enum durward_code code, const char *format, ...)
{
    va_list args;
    if (!error)
        return -1;
    error->code = (int)code;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return -1;
}

static int fail_as_found(struct durward_error *error, enum durward_code code, const struct dw_buf *findings)
{
    struct dw_span text = dw_buf_span(findings);
    return fail(error, code, "%.*s", (int)text.len, text.len ? (const char *)text.at : "");
}

static void clear(struct durward_error *error)
{
    if (error)
        *error = (struct durward_error){.code = DURWARD_OK};
}

const char *durward_version(void)
{
    return DURWARD_VERSION;
}

/* -- the handler --------------------------------------------------------------------------------------------- */

/* What threads of the parent held when it was forked is held in the child for ever. */
static int enter(struct durward_error *error)
{
    pthread_mutex_lock(&lock);
    bool is_foreign = owner != 0 && owner != getpid() && (live > 0 || dw_guard_count() > 0);
    if (!is_foreign) {
        owner = getpid();
        live++;
    }
    pthread_mutex_unlock(&lock);
    return is_foreign
               ? fail(error, DURWARD_ERROR_USE,
                      "this process was forked from one whose ZAP handlers were running: fork before they start")
               : 0;
}

static void leave(void)
{
    pthread_mutex_lock(&lock);
    live--;
    pthread_mutex_unlock(&lock);
}

/* Of the guard that stands there since another handler was stopped, or a new one. */
static int open_endpoint(struct dw_inproc *endpoint, void *context, struct durward_error *error)
{
    struct dw_error err = {0};
    if (dw_guard_relieve(context, endpoint)) {
        if (dw_inproc_stands(endpoint))
            return 0;
        dw_inproc_close(endpoint);
        return fail(error, DURWARD_ERROR_CONTEXT, "this ZeroMQ context is being terminated");
    }
    switch (dw_inproc_open(endpoint, context, &err)) {
    case DW_INPROC_TAKEN: return 0;
    case DW_INPROC_BOUND: return fail(error, DURWARD_ERROR_BOUND, "%s", err.detail);
    case DW_INPROC_NO_CONTEXT: return fail(error, DURWARD_ERROR_CONTEXT, "%s", err.detail);
    case DW_INPROC_NO_MEANS: break;
    }
    return fail(error, DURWARD_ERROR_SYSTEM, "%s", err.detail);
}

/* The endpoint is bound last: libzmq would free it only by and by. */
static int start(struct durward_zap *zap, const char *config_path, struct durward_error *error)
{
    struct dw_inproc endpoint;
    struct dw_buf findings = {0};
    bool is_config;
    zap->handler = dw_handler_new(config_path, &findings, &is_config);
    if (!zap->handler && dw_buf_len(&findings) > 0)
        fail_as_found(error, is_config ? DURWARD_ERROR_CONFIG : DURWARD_ERROR_SYSTEM, &findings);
    else if (!zap->handler)
        fail(error, DURWARD_ERROR_SYSTEM, "out of memory");
    dw_buf_free(&findings);
    if (!zap->handler)
        return -1;
    if (open_endpoint(&endpoint, zap->context, error) < 0) {
        dw_handler_free(&zap->handler);
        return -1;
    }
    if (dw_handler_run(zap->handler, &endpoint) == 0)
        return 0;
    dw_handler_free(&zap->handler);
    dw_guard_post(zap->context, &endpoint);
    return fail(error, DURWARD_ERROR_SYSTEM, "the ZAP handler cannot start: out of memory, descriptors or threads");
}

struct durward_zap *durward_zap_start(void *zmq_context, const char *config_path, struct durward_error *error)
{
    clear(error);
    if (!zmq_context || !config_path) {
        fail(error, DURWARD_ERROR_USE, "durward_zap_start wants a ZeroMQ context and the path of a configuration");
        return NULL;
    }
    if (enter(error) < 0)
        return NULL;
    struct durward_zap *zap = calloc(1, sizeof *zap);
    if (!zap) {
        fail(error, DURWARD_ERROR_SYSTEM, "out of memory");
    } else {
        *zap = (struct durward_zap){.pid = getpid(), .context = zmq_context};
        if (start(zap, config_path, error) == 0)
            return zap;
    }
    free(zap);
    leave();
    return NULL;
}

static int check(const struct durward_zap *zap, struct durward_error *error)
{
    if (!zap)
        return fail(error, DURWARD_ERROR_USE, "there is no handler: it is NULL");
    if (zap->pid != getpid())
        return fail(error, DURWARD_ERROR_USE, "this process was forked: the handler is in its parent");
    return 0;
}

int durward_zap_reload(struct durward_zap *zap, struct durward_error *error)
{
    struct dw_buf findings = {0};
    clear(error);
    if (check(zap, error) < 0)
        return -1;
    int rc = dw_handler_reload(zap->handler, &findings);
    if (rc < 0)
        fail_as_found(error, DURWARD_ERROR_CONFIG, &findings);
    dw_buf_free(&findings);
    return rc;
}

void durward_zap_stop(struct durward_zap **handle)
{
    struct durward_zap *zap = handle ? *handle : NULL;
    struct dw_inproc endpoint;
    if (!zap)
        return;
    *handle = NULL;
    if (zap->pid != getpid())
        return;
    dw_handler_end(&zap->handler, &endpoint);
    if (endpoint.socket)
        dw_guard_post(zap->context, &endpoint);
    free(zap);
    leave();
}

/* -- statistics ---------------------------------------------------------------------------------------------- */

int durward_zap_statistics(struct durward_zap *zap, struct durward_zap_statistics *statistics, size_t size)
{
    struct durward_zap_statistics all = {0};
    struct dw_handler_figures figures;
    if (!statistics)
        return -1;
    memset(statistics, 0, size);
    if (check(zap, NULL) < 0)
        return -1;
    const struct dw_tally *tally = dw_handler_tally(zap->handler);
    dw_handler_figures(zap->handler, &figures);
    all.allowed = dw_tally_read(tally, DW_COUNT_ALLOWED);
    all.denied = dw_tally_read(tally, DW_COUNT_DENIED);
    all.temporary = dw_tally_read(tally, DW_COUNT_TEMPORARY);
    all.malformed = dw_tally_read(tally, DW_COUNT_ZAP_MALFORMED);
    all.waiting = figures.waiting;
    all.unreachable = figures.unreachable;
    all.journal_failed = dw_tally_read(tally, DW_COUNT_JOURNAL_FAILED);
    all.reloads = dw_tally_read(tally, DW_COUNT_RELOADS);
    all.reloads_refused = dw_tally_read(tally, DW_COUNT_RELOADS_REFUSED);
    snprintf(all.policy_sha256, sizeof all.policy_sha256, "%s", figures.policy_sha256);
    memcpy(statistics, &all, size < sizeof all ? size : sizeof all);
    return 0;
}

/* -- log ----------------------------------------------------------------------------------------------------- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static durward_log_function *log_function;
static void *log_argument;

static void take(enum dw_log_level level, const char *text)
{
    pthread_mutex_lock(&log_lock);
    durward_log_function *function = log_function;
    void *argument = log_argument;
    pthread_mutex_unlock(&log_lock);
    if (function)
        function((int)level, text, argument);
}

void durward_log(durward_log_function *function, void *arg)
{
    static const struct dw_log_sink sink = {take};
    pthread_mutex_lock(&log_lock);
    log_function = function;
    log_argument = arg;
    pthread_mutex_unlock(&log_lock);
    dw_log_divert(function ? &sink : NULL);
}
