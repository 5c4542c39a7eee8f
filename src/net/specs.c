/* Runs the specs beside policies: see specs.h. */
#include "net/specs.h"

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, SPECS_MOST = 64, TOLD_MOST = 65536 };

struct dw_specs {
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t timer;
    int handles;
    bool is_late, is_stopped;
    int64_t code;
    int signal;
    char *arguments[SPECS_MOST + 5];
    size_t count;
    char told[TOLD_MOST + 1], buffer[4096];
    size_t told_len;
    void (*done)(void *arg, const char *why);
    void *arg;
};

static void destroy(struct dw_specs *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->arguments[i]);
    free(s);
}

/* Tells each test that failed; the last line, when it was none. */
static void tell(struct dw_specs *s)
{
    size_t failures = 0;
    char *last = NULL;
    s->told[s->told_len] = '\0';
    for (char *rest = s->told, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strncmp(line, "not ok ", 7) == 0 && ++failures)
            dw_log(DW_LOG_ERROR, "a spec failed", "test", line + 7, NULL);
        else if (strncmp(line, "# Failure message: ", 19) == 0)
            dw_log(DW_LOG_ERROR, "a spec failed", "message", line + 19, NULL);
        if (*line)
            last = line;
    }
    if (failures == 0)
        dw_log(DW_LOG_ERROR, "the specs did not run", "said", last, NULL);
}

static void closed(uv_handle_t *handle)
{
    struct dw_specs *s = handle->data;
    if (--s->handles > 0 || s->is_stopped)
        return;
    const char *why = s->is_late                   ? "the policies' specs take more than a minute"
                      : s->code == 0 && !s->signal ? NULL
                                                   : "the policies' specs fail";
    if (why)
        tell(s);
    void (*done)(void *, const char *) = s->done;
    void *arg = s->arg;
    destroy(s);
    done(arg, why);
}

static void close_it(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, closed);
}

static void ended(uv_process_t *process, int64_t code, int number)
{
    struct dw_specs *s = process->data;
    s->code = code;
    s->signal = number;
    close_it((uv_handle_t *)process);
    close_it((uv_handle_t *)&s->timer);
}

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct dw_specs *s = handle->data;
    (void)wanted;
    *room = uv_buf_init(s->buffer, sizeof s->buffer);
}

static void heard(uv_stream_t *stream, ssize_t got, const uv_buf_t *room)
{
    struct dw_specs *s = stream->data;
    if (got < 0) {
        close_it((uv_handle_t *)stream);
        return;
    }
    size_t fits = TOLD_MOST - s->told_len < (size_t)got ? TOLD_MOST - s->told_len : (size_t)got;
    memcpy(s->told + s->told_len, room->base, fits);
    s->told_len += fits;
}

static void late(uv_timer_t *timer)
{
    struct dw_specs *s = timer->data;
    s->is_late = true;
    uv_process_kill(&s->process, SIGKILL);
}

static int add(struct dw_specs *s, char *taken)
{
    if (taken)
        s->arguments[s->count++] = taken;
    return taken ? 0 : -1;
}

/* The specs that are there, as arguments of `durward test`. */
static int gather(struct dw_specs *s, const struct dw_config *config)
{
    int found = 0;
    if (add(s, strdup("durward")) < 0 || add(s, strdup("test")) < 0 || add(s, strdup("--output")) < 0 ||
        add(s, strdup("TAP")) < 0)
        return -1;
    for (char **policy = config->policies; policy && *policy && found < SPECS_MOST; policy++) {
        size_t len = strlen(*policy);
        char *spec;
        if (len > 4 && strcmp(*policy + len - 4, ".lua") == 0)
            len -= 4;
        if (asprintf(&spec, "%.*s_spec.lua", (int)len, *policy) < 0)
            return -1;
        if (access(spec, F_OK) == 0) {
            add(s, spec);
            found++;
        } else {
            free(spec);
        }
    }
    return found;
}

static void lost(uv_handle_t *handle)
{
    struct dw_specs *s = handle->data;
    if (--s->handles == 0)
        destroy(s);
}

static int start(struct dw_specs *s, uv_loop_t *loop, const struct dw_config *config, struct dw_error *err)
{
    char folder[4096];
    const char *slash = strrchr(config->file, '/');
    snprintf(folder, sizeof folder, "%.*s", slash > config->file ? (int)(slash - config->file) : 1, config->file);
    uv_pipe_init(loop, &s->pipe, 0);
    uv_timer_init(loop, &s->timer);
    s->process.data = s->pipe.data = s->timer.data = s;
    s->handles = 3;
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&s->pipe},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    uv_process_options_t options = {.exit_cb = ended,
                                    .file = "/proc/self/exe",
                                    .args = s->arguments,
                                    .cwd = folder,
                                    .stdio = stdio,
                                    .stdio_count = 3};
    int rc = uv_spawn(loop, &s->process, &options);
    if (rc < 0) {
        uv_close((uv_handle_t *)&s->process, lost);
        uv_close((uv_handle_t *)&s->pipe, lost);
        uv_close((uv_handle_t *)&s->timer, lost);
        return dw_error_set(err, DW_ERROR_INTERNAL, "the policies' specs cannot be run: %s", uv_strerror(rc));
    }
    uv_read_start((uv_stream_t *)&s->pipe, give_room, heard);
    uv_timer_start(&s->timer, late, PATIENCE_MS, 0);
    return 1;
}

int dw_specs_run(struct dw_specs **specs, uv_loop_t *loop, const struct dw_config *config,
                 void (*done)(void *arg, const char *why), void *arg, struct dw_error *err)
{
    struct dw_specs *s = calloc(1, sizeof *s);
    int found = s ? gather(s, config) : -1;
    if (found <= 0) {
        if (s)
            destroy(s);
        return found < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
    }
    s->done = done;
    s->arg = arg;
    int rc = start(s, loop, config, err);
    *specs = rc > 0 ? s : NULL;
    return rc;
}

void dw_specs_stop(struct dw_specs *s)
{
    s->is_stopped = true;
    uv_process_kill(&s->process, SIGKILL);
}

void dw_specs_free(struct dw_specs **specs)
{
    if (*specs)
        destroy(*specs);
    *specs = NULL;
}
