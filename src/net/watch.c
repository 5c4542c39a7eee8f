/* Looks whether files have changed: see watch.h. */
#include "net/watch.h"

#include "policy/roster.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EVERY_MS = 500, DEPTH = 3 };

struct dw_watch {
    uv_timer_t timer;
    uv_work_t work;
    bool is_looking, is_closed;
    void (*changed)(void *arg);
    void *arg;
    struct dw_config *config; /* held */
    struct dw_config *looked_at; /* held while a look is under way */
    uint64_t known, last, seen; /* the files as they were when told, at the last look, at this one; 0: not looked */
};

/* FNV-1a: one number for the state of all files. */
static void mix(uint64_t *sum, const void *at, size_t len)
{
    const uint8_t *octets = at;
    for (size_t i = 0; i < len; i++)
        *sum = (*sum ^ octets[i]) * 0x100000001b3u;
}

static void mix_file(uint64_t *sum, const char *path)
{
    struct stat st;
    mix(sum, path, strlen(path));
    if (stat(path, &st) < 0)
        return;
    mix(sum, &st.st_ino, sizeof st.st_ino);
    mix(sum, &st.st_size, sizeof st.st_size);
    mix(sum, &st.st_mtim.tv_sec, sizeof st.st_mtim.tv_sec);
    mix(sum, &st.st_mtim.tv_nsec, sizeof st.st_mtim.tv_nsec);
}

static bool is_lua(const char *name)
{
    size_t len = strlen(name);
    return *name != '.' && len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

/* The order of a folder's entries says nothing, so each is summed by itself. */
static uint64_t sum_folder(const char *folder, int depth)
{
    uint64_t all = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char path[4096];
        uint64_t one = 0xcbf29ce484222325u;
        if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path)
            continue;
        if (is_lua(e->d_name)) {
            mix_file(&one, path);
            all += one;
        } else if (e->d_type == DT_DIR && *e->d_name != '.' && depth > 1) {
            all += sum_folder(path, depth - 1);
        }
    }
    if (dir)
        closedir(dir);
    return all;
}

static uint64_t sum_of(const struct dw_config *config)
{
    uint64_t sum = 0xcbf29ce484222325u;
    mix_file(&sum, config->file);
    for (char **policy = config->policies; policy && *policy; policy++) {
        char folder[4096];
        mix_file(&sum, *policy);
        const char *slash = strrchr(*policy, '/');
        if (!slash ||
            snprintf(folder, sizeof folder, "%.*s", (int)(slash - *policy), *policy) >= (int)sizeof folder)
            continue;
        uint64_t inside = sum_folder(folder, DEPTH);
        mix(&sum, &inside, sizeof inside);
    }
    return sum ? sum : 1;
}

static void look(uv_work_t *work)
{
    struct dw_watch *w = work->data;
    dw_roster_refresh();
    w->seen = w->looked_at && w->looked_at->reload_on_change ? sum_of(w->looked_at) : 0;
}

static void looked(uv_work_t *work, int status)
{
    struct dw_watch *w = work->data;
    bool is_current = w->looked_at == w->config;
    w->is_looking = false;
    dw_config_release(&w->looked_at);
    if (status < 0 || w->is_closed || !is_current || w->seen == 0)
        return;
    bool stands = w->seen == w->last;
    w->last = w->seen;
    if (w->known == 0)
        w->known = w->seen;
    if (!stands || w->seen == w->known)
        return;
    w->known = w->seen;
    w->changed(w->arg);
}

static void due(uv_timer_t *timer)
{
    struct dw_watch *w = timer->data;
    if (w->is_looking)
        return;
    w->looked_at = w->config ? dw_config_hold(w->config) : NULL;
    w->work.data = w;
    w->is_looking = uv_queue_work(timer->loop, &w->work, look, looked) == 0;
    if (!w->is_looking)
        dw_config_release(&w->looked_at);
}

struct dw_watch *dw_watch_new(uv_loop_t *loop, void (*changed)(void *arg), void *arg)
{
    struct dw_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->changed = changed;
    w->arg = arg;
    w->timer.data = w;
    uv_timer_init(loop, &w->timer);
    uv_timer_start(&w->timer, due, EVERY_MS, EVERY_MS);
    return w;
}

void dw_watch_mark(struct dw_watch *w)
{
    if (w->config && w->config->reload_on_change)
        w->known = sum_of(w->config);
}

void dw_watch_files(struct dw_watch *w, struct dw_config *config)
{
    struct dw_config *old = w->config;
    /* A change since the files were read is still to be told. */
    bool is_behind = old && old->reload_on_change && w->known && w->known != sum_of(old);
    if (!is_behind)
        w->known = config->reload_on_change ? sum_of(config) : 0;
    w->config = dw_config_hold(config);
    dw_config_release(&old);
}

void dw_watch_close(struct dw_watch *w)
{
    w->is_closed = true;
    uv_close((uv_handle_t *)&w->timer, NULL);
}

void dw_watch_free(struct dw_watch **watch)
{
    if (*watch)
        dw_config_release(&(*watch)->config);
    free(*watch);
    *watch = NULL;
}
