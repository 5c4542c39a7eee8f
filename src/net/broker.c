/* The broker: see broker.h. */
#include "net/broker.h"

#include "net/control.h"
#include "net/listener.h"
#include "net/prepare.h"
#include "net/shadow.h"
#include "net/specs.h"
#include "net/vouchers.h"
#include "net/watch.h"
#include "net/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct dw_broker {
    const char *config_path;
    unsigned salt;
    struct dw_tally *tally;
    struct dw_identities *identities;
    struct dw_vouchers *vouchers;
    struct dw_archive archive;
    struct dw_shadow *shadow;
    struct dw_settings *settings;
    struct dw_door *doors[DW_MOST_LISTENERS];
    int door_count;
    struct dw_worker *workers;
    int worker_count;
    uv_loop_t loop;
    uv_signal_t hup, term, interrupt;
    uv_timer_t drain_timer, join_timer;
    struct dw_control *control;
    struct dw_watch *watch;
    struct dw_specs *specs; /* while they run, before a reload */
    bool reload_again; /* asked for meanwhile */
    _Atomic long long complained;
    char sha256[65];
    time_t started;
    bool draining;
};

struct dw_tally *dw_broker_tally(struct dw_broker *broker)
{
    return broker->tally;
}

struct dw_shadow *dw_broker_shadow(struct dw_broker *broker)
{
    return broker->shadow;
}

struct dw_vouchers *dw_broker_vouchers(struct dw_broker *broker)
{
    return broker->vouchers;
}

struct dw_identities *dw_broker_identities(struct dw_broker *broker)
{
    return broker->identities;
}

unsigned dw_broker_salt(const struct dw_broker *broker)
{
    return broker->salt;
}

void dw_broker_complain(struct dw_broker *broker, const char *what, const char *listener, const char *peer,
                        const char *why)
{
    long long now = time(NULL);
    if (atomic_exchange(&broker->complained, now) != now)
        dw_log(DW_LOG_WARN, what, "listener", listener, "peer", peer, "why", why, NULL);
}

/* -- settings --------------------------------------------------------------------------------------------- */

static struct dw_config *load(const char *path)
{
    struct dw_buf findings = {0};
    struct dw_config *config = dw_config_load(path, &findings);
    struct dw_span text = dw_buf_span(&findings);
    if (!config)
        fprintf(stderr, "%.*s", (int)text.len, (const char *)text.at);
    dw_buf_free(&findings);
    return config;
}

static struct dw_settings *make_settings(struct dw_broker *b, struct dw_config *config, struct dw_error *err)
{
    return dw_prepare_settings(config, &b->archive, b->settings, err);
}

static bool is_configured(const struct dw_config *config, const struct dw_door *door)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (!strcmp(config->listeners[i].name, door->name) && !strcmp(config->listeners[i].listen.text, door->text))
            return true;
    return false;
}

/* The one of that name and address; or one at that address whose own listener is gone: it has a new name. */
static struct dw_door *standing_door(struct dw_broker *b, const struct dw_config *config,
                                     const struct dw_listener_config *l)
{
    struct dw_door *renamed = NULL;
    for (int j = 0; j < b->door_count; j++) {
        struct dw_door *door = b->doors[j];
        if (strcmp(door->text, l->listen.text) != 0)
            continue;
        if (strcmp(door->name, l->name) == 0)
            return door;
        if (!is_configured(config, door))
            renamed = door;
    }
    /* On port 0 another name may just as well be another listener. */
    return l->listen.scheme == DW_TCP && l->listen.port == 0 ? NULL : renamed;
}

/* Those that stay keep their sockets; the new ones are bound before any old one goes. */
static int change_doors(struct dw_broker *b, const struct dw_config *config, struct dw_error *err)
{
    struct dw_door *next[DW_MOST_LISTENERS];
    int count = 0;
    if (config->listener_count > DW_MOST_LISTENERS)
        return dw_error_set(err, DW_ERROR_LIMIT, "more than %d listeners", DW_MOST_LISTENERS);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct dw_listener_config *l = &config->listeners[i];
        struct dw_door *standing = standing_door(b, config, l);
        struct dw_door *door = standing ? dw_door_keep(standing, l, err) : dw_door_open(l, err);
        if (!door) {
            while (count > 0)
                dw_door_release(&next[--count]);
            return -1;
        }
        next[count++] = door;
    }
    for (int j = 0; j < count; j++)
        dw_door_take_over(next[j]);
    for (int j = 0; j < b->door_count; j++)
        dw_door_release(&b->doors[j]);
    memcpy(b->doors, next, sizeof *next * (size_t)count);
    b->door_count = count;
    return 0;
}

static void adopt(struct dw_broker *b, struct dw_settings *settings, struct dw_host **hosts)
{
    for (int i = 0; i < b->worker_count; i++) {
        struct dw_host *host = hosts[i];
        hosts[i] = NULL;
        if (dw_worker_adopt(&b->workers[i], settings, host, b->doors, b->door_count) < 0)
            dw_log(DW_LOG_ERROR, "a worker keeps its old policy", "why", "out of memory", NULL);
    }
    struct dw_settings *old = b->settings;
    b->settings = settings;
    dw_shadow_adopt(b->shadow, settings->config);
    dw_settings_release(&old);
    dw_log_threshold(settings->config->log_level);
}

static struct dw_host **make_hosts(const struct dw_config *config, int count, struct dw_error *err)
{
    struct dw_host **hosts = calloc((size_t)count, sizeof *hosts);
    for (int i = 0; hosts && i < count; i++)
        if (!(hosts[i] = dw_office_host(config, err))) {
            while (i-- > 0)
                dw_host_free(&hosts[i]);
            free(hosts);
            return NULL;
        }
    if (!hosts)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return hosts;
}

static void free_hosts(struct dw_host **hosts, int count)
{
    for (int i = 0; hosts && i < count; i++)
        dw_host_free(&hosts[i]);
    free(hosts);
}

/* -- reload ------------------------------------------------------------------------------------------------ */

static int reload(struct dw_broker *b, struct dw_error *err)
{
    struct dw_config *config = load(b->config_path);
    if (!config)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the configuration has mistakes");
    if (strcmp(config->state_dir, b->settings->config->state_dir) != 0 ||
        config->workers != b->settings->config->workers)
        dw_log(DW_LOG_WARN, "workers and state_dir change only with a restart", NULL);
    struct dw_host **hosts = NULL;
    struct dw_settings *settings = make_settings(b, config, err);
    if (!settings)
        return -1;
    int rc = dw_prepare_credentials(config, err);
    if (rc == 0)
        rc = (hosts = make_hosts(config, b->worker_count, err)) ? change_doors(b, config, err) : -1;
    if (rc < 0) {
        dw_settings_release(&settings);
    } else {
        snprintf(b->sha256, sizeof b->sha256, "%s", dw_host_sha256(hosts[0]));
        adopt(b, settings, hosts);
    }
    free_hosts(hosts, b->worker_count);
    return rc;
}

static void refused(struct dw_broker *b, const char *why)
{
    struct dw_error lost = {0};
    /* Its file may have been rotated away: that goes on, whatever else is wrong. */
    if (b->settings->journal && dw_journal_reopen(b->settings->journal, &lost) < 0)
        dw_log(DW_LOG_ERROR, "the journal's old file goes on", "why", lost.detail, NULL);
    dw_tally_add(b->tally, DW_COUNT_RELOADS_REFUSED, 1);
    dw_log(DW_LOG_ERROR, "not reloaded, the old configuration and policy go on", "why", why, NULL);
}

static void reload_now(struct dw_broker *b)
{
    struct dw_error err = {0};
    if (reload(b, &err) < 0) {
        refused(b, err.detail);
        return;
    }
    if (b->watch)
        dw_watch_files(b->watch, b->settings->config);
    dw_tally_add(b->tally, DW_COUNT_RELOADS, 1);
    dw_log(DW_LOG_INFO, "reloaded", "policy_sha256", b->sha256, NULL);
}

static void tested(void *arg, const char *why);

/* By a signal, or by a change of files. */
static void request_reload(void *arg)
{
    struct dw_broker *b = arg;
    struct dw_error err = {0};
    if (b->draining)
        return;
    b->reload_again = b->specs != NULL;
    if (b->specs)
        return;
    if (b->watch)
        dw_watch_mark(b->watch);
    struct dw_config *config = load(b->config_path);
    if (!config) {
        refused(b, "the configuration has mistakes");
        return;
    }
    int rc = config->test_on_reload ? dw_specs_run(&b->specs, &b->loop, config, tested, b, &err) : 0;
    dw_config_release(&config);
    if (rc < 0)
        refused(b, err.detail);
    else if (rc == 0)
        reload_now(b);
}

static void tested(void *arg, const char *why)
{
    struct dw_broker *b = arg;
    b->specs = NULL;
    if (b->draining)
        return;
    if (b->reload_again)
        request_reload(b);
    else if (why)
        refused(b, why);
    else
        reload_now(b);
}

static void hung_up(uv_signal_t *signal, int number)
{
    (void)number;
    request_reload(signal->data);
}

/* -- the end ------------------------------------------------------------------------------------------------ */

static void out_of_patience(uv_timer_t *timer)
{
    struct dw_broker *b = timer->data;
    dw_log(DW_LOG_WARN, "connections are left after drain_seconds, and ended", NULL);
    for (int i = 0; i < b->worker_count; i++)
        dw_worker_stop(&b->workers[i]);
}

static void look(uv_timer_t *timer)
{
    struct dw_broker *b = timer->data;
    if (dw_tally_connections(b->tally) > 0)
        return;
    uv_stop(&b->loop);
}

static void terminate(uv_signal_t *signal, int number)
{
    struct dw_broker *b = signal->data;
    (void)number;
    if (b->draining) {
        out_of_patience(&b->drain_timer);
        return;
    }
    b->draining = true;
    dw_log(DW_LOG_INFO, "draining", NULL);
    for (int i = 0; i < b->worker_count; i++)
        dw_worker_drain(&b->workers[i]);
    /* Ours as well, or newcomers would wait in the kernel's queue for nobody. */
    while (b->door_count > 0)
        dw_door_release(&b->doors[--b->door_count]);
    uint64_t patience = (uint64_t)(b->settings->config->limits.drain_seconds * 1000);
    uv_timer_start(&b->drain_timer, out_of_patience, patience, 0);
    uv_timer_start(&b->join_timer, look, 1, 10);
}

/* -- the beginning ------------------------------------------------------------------------------------------ */

/* systemd's readiness protocol (sd_notify(3)): one datagram. */
static void notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    size_t len = strlen(path);
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        dw_log(DW_LOG_WARN, "the service manager was not told", "why", strerror(errno), NULL);
    close(fd);
}

static int make_state_dir(const char *path, struct dw_error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return dw_error_set(err, DW_ERROR_INTERNAL, "state_dir %s cannot be made: %s", path, strerror(errno));
    if (access(path, R_OK | W_OK | X_OK) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "state_dir %s cannot be used: %s", path, strerror(errno));
    return 0;
}

static int start_workers(struct dw_broker *b, struct dw_error *err)
{
    int count = b->settings->config->workers;
    struct dw_host **hosts = make_hosts(b->settings->config, count, err);
    if (!hosts)
        return -1;
    b->workers = calloc((size_t)count, sizeof *b->workers);
    if (!b->workers) {
        free_hosts(hosts, count);
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    }
    snprintf(b->sha256, sizeof b->sha256, "%s", dw_host_sha256(hosts[0]));
    int rc = change_doors(b, b->settings->config, err);
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = dw_worker_start(&b->workers[i], b, i, b->settings, err);
        b->worker_count += rc == 0;
    }
    if (rc == 0)
        adopt(b, dw_settings_hold(b->settings), hosts);
    free_hosts(hosts, count);
    return rc;
}

/* Each worker may have two things in the pool that take their time; dialling is not to wait for those. */
static void widen_pool(int workers)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%d", workers < 500 ? 2 * workers + 5 : 1024);
    setenv("UV_THREADPOOL_SIZE", threads, 0);
}

static int prepare(struct dw_broker *b, struct dw_error *err)
{
    struct dw_config *config = load(b->config_path);
    if (!config)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the configuration has mistakes");
    dw_log_threshold(config->log_level);
    widen_pool(config->workers);
    if (getrandom(&b->salt, sizeof b->salt, 0) < 0)
        b->salt = (unsigned)getpid();
    b->tally = dw_tally_new();
    b->shadow = b->tally ? dw_shadow_new(b->tally) : NULL;
    b->vouchers = dw_vouchers_new();
    b->identities = dw_identities_new(dw_worker_tell_leave, dw_worker_tell_granted);
    b->settings = make_settings(b, config, err);
    if (!b->settings || !b->tally || !b->shadow || !b->vouchers || !b->identities)
        return -1;
    if (make_state_dir(config->state_dir, err) < 0 || dw_prepare_credentials(config, err) < 0)
        return -1;
    /* Before any port: it tells whether another broker runs with this state_dir. */
    b->control = dw_control_open(&b->loop, config->state_dir, dw_broker_describe, b, err);
    return b->control ? start_workers(b, err) : -1;
}

static void watch(struct dw_broker *b)
{
    if ((b->watch = dw_watch_new(&b->loop, request_reload, b)) != NULL)
        dw_watch_files(b->watch, b->settings->config);
    b->hup.data = b->term.data = b->interrupt.data = b->drain_timer.data = b->join_timer.data = b;
    uv_signal_init(&b->loop, &b->hup);
    uv_signal_init(&b->loop, &b->term);
    uv_signal_init(&b->loop, &b->interrupt);
    uv_timer_init(&b->loop, &b->drain_timer);
    uv_timer_init(&b->loop, &b->join_timer);
    uv_signal_start(&b->hup, hung_up, SIGHUP);
    uv_signal_start(&b->term, terminate, SIGTERM);
    uv_signal_start(&b->interrupt, terminate, SIGINT);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void finish(struct dw_broker *b)
{
    for (int i = 0; i < b->worker_count; i++)
        dw_worker_join(&b->workers[i]);
    dw_control_free(&b->control);
    if (b->specs)
        dw_specs_stop(b->specs);
    uv_walk(&b->loop, close_handle, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
    dw_specs_free(&b->specs);
    dw_watch_free(&b->watch);
    for (int i = 0; i < b->door_count; i++)
        dw_door_release(&b->doors[i]);
    dw_settings_release(&b->settings);
    dw_shadow_free(&b->shadow);
    dw_archive_close(&b->archive);
    free(b->workers);
    dw_identities_free(&b->identities);
    dw_vouchers_free(&b->vouchers);
    dw_tally_free(&b->tally);
}

int dw_broker_run(const char *config_path)
{
    struct dw_broker broker = {.config_path = config_path, .started = time(NULL)}, *b = &broker;
    struct dw_error err = {0};
    if (uv_loop_init(&b->loop) < 0)
        return 1;
    int rc = prepare(b, &err);
    if (rc < 0) {
        fprintf(stderr, "durward: %s\n", err.detail);
        for (int i = 0; i < b->worker_count; i++)
            dw_worker_stop(&b->workers[i]);
        finish(b);
        return 1;
    }
    watch(b);
    fprintf(stderr, "durward: ready\n");
    notify_ready();
    uv_run(&b->loop, UV_RUN_DEFAULT);
    dw_log(DW_LOG_INFO, "ended", NULL);
    finish(b);
    return 0;
}

/* -- status -------------------------------------------------------------------------------------------------- */

static void add_note(void *arg, const char *name, long figure)
{
    json_object_set_new(arg, name, json_integer(figure));
}

static json_t *notes_of(struct dw_broker *b, enum dw_note note)
{
    json_t *all = json_object();
    dw_tally_notes(b->tally, note, add_note, all);
    return all;
}

json_t *dw_broker_describe(void *arg)
{
    struct dw_broker *b = arg;
    json_t *listeners = json_array(), *files = json_array(), *counts = json_object();
    for (int i = 0; i < b->door_count; i++)
        json_array_append_new(listeners,
                              json_pack("{s:s, s:s}", "name", b->doors[i]->name, "address", b->doors[i]->bound));
    for (char **p = b->settings->config->policies; p && *p; p++)
        json_array_append_new(files, json_string(*p));
    for (int i = 0; i < DW_COUNTS; i++)
        json_object_set_new(counts, dw_count_word((enum dw_count)i),
                            json_integer((json_int_t)dw_tally_read(b->tally, (enum dw_count)i)));
    return json_pack("{s:s, s:i, s:I, s:i, s:I, s:I, s:{s:o, s:s}, s:o, s:o, s:o, s:o}", "version", DURWARD_VERSION,
                     "pid", (int)getpid(), "uptime_seconds", (json_int_t)(time(NULL) - b->started), "workers",
                     b->worker_count, "connections", (json_int_t)dw_tally_connections(b->tally), "buffered_bytes",
                     (json_int_t)atomic_load(&dw_tally_meter(b->tally)->held), "policy", "files", files, "sha256",
                     b->sha256, "listeners", listeners, "backends", notes_of(b, DW_NOTE_BACKEND), "reasons",
                     notes_of(b, DW_NOTE_REASON), "counts", counts);
}
