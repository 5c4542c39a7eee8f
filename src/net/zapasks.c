/* The questions of one ZAP socket: see zapasks.h. */
#include "net/zapasks.h"

#include "net/record.h"
#include "zap/zap.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

struct dw_zapask {
    struct dw_zapask *prev, *next;
    struct dw_zapasks *of;
    struct dw_settings *settings;
    struct dw_office *office;
    struct dw_ask *ask; /* while its policy waits for something */
    struct dw_buf message;
    struct dw_zap_request request; /* borrows from `message` */
    struct dw_event event; /* borrows from `request` */
    char id[40];
    uint64_t started; /* microseconds */
    uint64_t due; /* loop time */
    bool is_open; /* in the list */
};

static long long clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void free_ask(struct dw_zapask *q)
{
    if (q->ask)
        dw_ask_cancel(&q->ask);
    if (q->office)
        dw_office_leave(q->office);
    dw_settings_release(&q->settings);
    dw_buf_free(&q->message);
    free(q);
}

static void reply(struct dw_zapask *q, enum dw_zap_status status, const struct dw_decision *d)
{
    const struct dw_zapasks_with *with = &q->of->with;
    struct dw_buf message = {0};
    int rc = dw_zap_reply(&message, &q->request, status, d);
    struct dw_span frames = dw_buf_span(&message);
    with->reply(with->arg, rc < 0 ? NULL : &frames);
    dw_buf_free(&message);
}

static void answered(void *arg, const struct dw_decision *decision)
{
    struct dw_zapask *q = arg;
    struct dw_zapasks *asks = q->of;
    struct dw_error err = {0};
    /* The callee may change what it is given, and so may we: it is cleared right after. */
    struct dw_decision *d = (struct dw_decision *)(uintptr_t)decision;
    q->ask = NULL;
    d->took_us = (uint64_t)clock_now(CLOCK_MONOTONIC) - q->started;
    bool fits = dw_zap_check(d, &err) == 0;
    if (!fits)
        dw_decision_refuse(d, DW_TEMPORARY, "%s", err.detail);
    dw_record_decision(asks->with.tally, asks->with.shadow, q->settings->journal, &q->event, d);
    if (q->is_open) {
        DL_DELETE(asks->open, q);
        asks->open_count--;
        DL_APPEND(asks->spent, q);
    }
    reply(q, fits ? dw_zap_status_of(d) : DW_ZAP_INTERNAL, d);
}

/* By when it is due: a reload may have changed how long that takes. */
static void put_in_order(struct dw_zapasks *asks, struct dw_zapask *q)
{
    struct dw_zapask *before = asks->open ? asks->open->prev : NULL;
    while (before && before->due > q->due)
        before = before == asks->open ? NULL : before->prev;
    if (before)
        DL_APPEND_ELEM(asks->open, before, q);
    else
        DL_PREPEND(asks->open, q);
}

static void ask(struct dw_zapask *q)
{
    struct dw_zapasks *asks = q->of;
    struct dw_zapasks_with *with = &asks->with;
    snprintf(q->id, sizeof q->id, "%08x.%d.%llx", with->salt, with->index,
             (unsigned long long)++*with->next_number);
    q->event.id = q->id;
    q->event.time = clock_now(CLOCK_REALTIME);
    q->event.listener = with->listener;
    q->started = (uint64_t)clock_now(CLOCK_MONOTONIC);
    q->due = uv_now(with->loop) + (uint64_t)(q->settings->config->limits.decision_seconds * 1000);
    q->office = *with->office;
    dw_office_enter(q->office);
    q->ask = dw_ask_start(q->office->host, &q->event, DW_STAGE_MAP, answered, q);
    if (!q->ask) {
        free_ask(q);
        return;
    }
    q->is_open = true;
    asks->open_count++;
    put_in_order(asks, q);
}

static void malformed(struct dw_zapasks *asks, const char *why)
{
    dw_tally_add(asks->with.tally, DW_COUNT_ZAP_MALFORMED, 1);
    asks->with.malformed(asks->with.arg, why);
}

int dw_zapasks_take(struct dw_zapasks *asks, struct dw_buf *message)
{
    struct dw_error err = {0};
    struct dw_zapask *q = calloc(1, sizeof *q);
    if (!q)
        return -1;
    q->of = asks;
    q->settings = dw_settings_hold(*asks->with.settings);
    q->message = *message;
    *message = (struct dw_buf){.meter = q->message.meter};
    switch (dw_zap_parse(&q->request, dw_buf_span(&q->message), &err)) {
    case DW_ZAP_SOUND:
        dw_zap_describe(&q->request, &q->event);
        ask(q);
        return 0;
    case DW_ZAP_MALFORMED:
        malformed(asks, err.detail);
        reply(q, DW_ZAP_INTERNAL, NULL);
        break;
    case DW_ZAP_SENSELESS: malformed(asks, err.detail); break;
    }
    free_ask(q);
    return 0;
}

uint64_t dw_zapasks_due(const struct dw_zapasks *asks)
{
    return asks->open ? asks->open->due : 0;
}

void dw_zapasks_expire(struct dw_zapasks *asks, uint64_t now)
{
    struct dw_zapask *q, *next;
    DL_FOREACH_SAFE(asks->open, q, next)
    {
        if (q->due <= now)
            dw_ask_expire(&q->ask);
    }
}

void dw_zapasks_sweep(struct dw_zapasks *asks)
{
    struct dw_zapask *q, *next;
    DL_FOREACH_SAFE(asks->spent, q, next)
    {
        DL_DELETE(asks->spent, q);
        free_ask(q);
    }
}

void dw_zapasks_cancel(struct dw_zapasks *asks)
{
    struct dw_zapask *q, *next;
    DL_FOREACH_SAFE(asks->open, q, next)
    {
        DL_DELETE(asks->open, q);
        free_ask(q);
    }
    asks->open_count = 0;
}
