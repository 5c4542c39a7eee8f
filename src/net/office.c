/* What questions are asked with: see office.h. */
#include "net/office.h"

#include <stdlib.h>
#include <string.h>

/* -- the archive -------------------------------------------------------------------------------------------- */

struct dw_archived {
    struct dw_archived *next;
    char *path;
    struct dw_journal *journal;
};

static int open_journal(struct dw_archive *archive, const char *path, struct dw_journal **journal,
                        struct dw_error *err)
{
    *journal = NULL;
    if (!path)
        return 0;
    for (struct dw_archived *a = archive->journals; a; a = a->next)
        if (strcmp(a->path, path) == 0) {
            *journal = a->journal;
            return dw_journal_reopen(a->journal, err);
        }
    struct dw_archived *a = calloc(1, sizeof *a);
    if (!a || !(a->path = strdup(path)))
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else
        a->journal = dw_journal_open(path, err);
    if (!a || !a->journal) {
        if (a)
            free(a->path);
        free(a);
        return -1;
    }
    a->next = archive->journals;
    archive->journals = a;
    *journal = a->journal;
    return 0;
}

void dw_archive_close(struct dw_archive *archive)
{
    for (struct dw_archived *a = archive->journals, *next; a; a = next) {
        next = a->next;
        dw_journal_free(&a->journal);
        free(a->path);
        free(a);
    }
    archive->journals = NULL;
}

/* -- settings ----------------------------------------------------------------------------------------------- */

struct dw_settings *dw_settings_new(struct dw_config *config, struct dw_archive *archive, struct dw_error *err)
{
    struct dw_settings *s = calloc(1, sizeof *s);
    if (!s) {
        dw_config_release(&config);
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    atomic_init(&s->holders, 1);
    s->config = config;
    s->connections = config->limits.connections;
    if (open_journal(archive, config->journal, &s->journal, err) < 0)
        dw_settings_release(&s);
    return s;
}

struct dw_settings *dw_settings_hold(struct dw_settings *settings)
{
    atomic_fetch_add(&settings->holders, 1);
    return settings;
}

void dw_settings_release(struct dw_settings **settings)
{
    struct dw_settings *s = *settings;
    *settings = NULL;
    if (!s || atomic_fetch_sub(&s->holders, 1) > 1)
        return;
    if (s->xmpp)
        s->free_xmpp(&s->xmpp);
    dw_config_release(&s->config);
    free(s);
}

/* -- offices ------------------------------------------------------------------------------------------------ */

struct dw_host *dw_office_host(const struct dw_config *config, struct dw_error *err)
{
    struct dw_host_options options = {
        .policies = (const char *const *)config->policies,
        .refuse_users = (const char *const *)config->refuse_users,
        .seconds = config->limits.decision_seconds,
    };
    return dw_host_new(&options, err);
}

struct dw_office *dw_office_new(struct dw_host *taken)
{
    struct dw_office *office = calloc(1, sizeof *office);
    if (office)
        office->host = taken;
    return office;
}

static void close_if_idle(struct dw_office *office)
{
    if (office->asks > 0 || !office->retired)
        return;
    dw_host_free(&office->host);
    free(office);
}

void dw_office_enter(struct dw_office *office)
{
    office->asks++;
}

void dw_office_leave(struct dw_office *office)
{
    office->asks--;
    close_if_idle(office);
}

void dw_office_retire(struct dw_office *office)
{
    office->retired = true;
    close_if_idle(office);
}
