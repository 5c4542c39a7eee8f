/* Poll handles of a loop: see polls.h. */
#include "net/polls.h"

#include <stdlib.h>

enum { MOST_IDLE = 4096 };

struct entry {
    uv_poll_t poll; /* first: its address is the entry's */
    int fd;
};

struct dw_polls {
    struct entry **at; /* by descriptor; those that are idle */
    size_t size, idle;
};

int dw_polls_new(uv_loop_t *loop)
{
    loop->data = calloc(1, sizeof(struct dw_polls));
    return loop->data ? 0 : -1;
}

uv_poll_t *dw_polls_take(uv_loop_t *loop, int fd)
{
    struct dw_polls *polls = loop->data;
    struct entry *entry = (size_t)fd < polls->size ? polls->at[fd] : NULL;
    if (entry) {
        polls->at[fd] = NULL;
        polls->idle--;
        return &entry->poll;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry || uv_poll_init(loop, &entry->poll, fd) < 0) {
        free(entry);
        return NULL;
    }
    entry->fd = fd;
    return &entry->poll;
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static int make_room(struct dw_polls *polls, size_t fd)
{
    size_t size = polls->size ? polls->size : 256;
    while (size <= fd)
        size *= 2;
    struct entry **at = fd < polls->size ? polls->at : realloc(polls->at, size * sizeof *at);
    if (!at)
        return -1;
    for (polls->at = at; polls->size < size; polls->size++)
        at[polls->size] = NULL;
    return 0;
}

void dw_polls_give(uv_poll_t *poll)
{
    struct dw_polls *polls = poll->loop->data;
    struct entry *entry = (struct entry *)poll;
    poll->data = NULL;
    if (polls->idle >= MOST_IDLE || make_room(polls, (size_t)entry->fd) < 0) {
        uv_close((uv_handle_t *)poll, closed);
        return;
    }
    uv_poll_stop(poll);
    polls->at[entry->fd] = entry;
    polls->idle++;
}

void dw_polls_free(uv_loop_t *loop)
{
    struct dw_polls *polls = loop->data;
    loop->data = NULL;
    for (size_t i = 0; polls && i < polls->size; i++)
        if (polls->at[i])
            uv_close((uv_handle_t *)&polls->at[i]->poll, closed);
    if (polls)
        free(polls->at);
    free(polls);
}
