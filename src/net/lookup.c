/* Wants fulfilled for a command, while it waits: see wants.h. */
#include "net/wants.h"

#include "net/dns.h"
#include "net/groups.h"

#include <stdlib.h>

struct dw_lookup {
    uv_loop_t loop;
    char *const *servers; /* borrowed */
    double seconds, slept;
};

static void resolved(void *arg, struct dw_answer *answer)
{
    struct dw_answer *into = arg;
    *into = *answer;
    *answer = (struct dw_answer){0};
}

static enum dw_fulfilment begin(void *arg, struct dw_ask *ask, const struct dw_want *want, struct dw_answer *answer,
                                void **job)
{
    struct dw_lookup *l = arg;
    struct dw_error err = {0};
    (void)ask, (void)job;
    if (want->kind == DW_WANT_ROW || want->kind == DW_WANT_PASSWORD || want->source)
        return DW_FULFIL_NOT_MINE;
    if (want->kind == DW_WANT_SLEEP) {
        l->slept += want->seconds;
        answer->value = json_true();
        return l->slept < l->seconds ? DW_FULFIL_NOW : DW_FULFIL_LATE;
    }
    if (want->kind == DW_WANT_GROUPS) {
        dw_groups_of(want->key, answer);
        return DW_FULFIL_NOW;
    }
    struct dw_dns *retired = NULL, *dns = dw_dns_new(&l->loop, l->servers, &err);
    if (!dns) {
        dw_answer_fail(answer, "%s", err.detail);
        return DW_FULFIL_NOW;
    }
    dw_dns_ask(dns, want->kind, want->key, resolved, answer);
    dw_dns_retire(&dns, &retired);
    uv_run(&l->loop, UV_RUN_DEFAULT);
    return DW_FULFIL_NOW;
}

struct dw_lookup *dw_lookup_new(double seconds, char *const *servers)
{
    struct dw_lookup *l = calloc(1, sizeof *l);
    if (!l || uv_loop_init(&l->loop) < 0) {
        free(l);
        return NULL;
    }
    l->seconds = seconds;
    l->servers = servers;
    return l;
}

void dw_lookup_keeper(struct dw_lookup *lookup, struct dw_keeper *keeper)
{
    *keeper = (struct dw_keeper){.arg = lookup, .begin = begin};
}

void dw_lookup_free(struct dw_lookup **lookup)
{
    if (*lookup)
        uv_loop_close(&(*lookup)->loop);
    free(*lookup);
    *lookup = NULL;
}
