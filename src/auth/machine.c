/* What all protocol cores share: see machine.h. */
#include "auth/machine.h"

/* Kept for the next turn of a busy connection; an idle one keeps nothing. */
#define SMALL_ROOM 512

void dw_machine_init(struct dw_machine *m, const struct dw_machine_ops *ops, struct dw_meter *meter)
{
    m->ops = ops;
    m->out.meter = meter;
    m->held.meter = meter;
}

size_t dw_machine_growth(const struct dw_machine *m)
{
    size_t len = dw_buf_len(&m->held);
    if (len == 0)
        return 0;
    size_t need = m->wanted > len ? m->wanted : len + SMALL_ROOM;
    return need > m->held.cap - m->held.head ? need : 0;
}

uint8_t *dw_machine_room(struct dw_machine *m, uint8_t *scratch, size_t size, size_t *len)
{
    size_t have = dw_buf_len(&m->held);
    if (have == 0) {
        *len = size;
        return scratch;
    }
    size_t want = m->wanted > have ? m->wanted - have : SMALL_ROOM;
    uint8_t *room = dw_buf_room(&m->held, want);
    m->at = m->held.at + m->held.head;
    *len = want < size ? want : size;
    return room;
}

void dw_machine_filled(struct dw_machine *m, uint8_t *room, size_t len)
{
    if (dw_buf_len(&m->held) == 0) {
        m->at = room;
        m->left = len;
        m->in_held = false;
        return;
    }
    dw_buf_added(&m->held, len);
    m->at = m->held.at + m->held.head;
    m->left = dw_buf_len(&m->held);
    m->in_held = true;
}

int dw_machine_settle(struct dw_machine *m)
{
    if (m->in_held) {
        dw_buf_take(&m->held, dw_buf_len(&m->held) - m->left);
    } else if (m->left > 0) {
        if (dw_buf_put(&m->held, dw_span_make(m->at, m->left)) < 0)
            return -1;
    }
    if (m->left == 0) {
        dw_buf_clear(&m->held, 0);
        m->at = NULL;
        m->in_held = false;
        return 0;
    }
    m->at = m->held.at + m->held.head;
    m->in_held = true;
    return 0;
}

bool dw_machine_has_input(const struct dw_machine *m)
{
    return m->left > 0;
}

enum dw_act dw_machine_next(struct dw_machine *m, struct dw_effect *fx)
{
    return m->ops->next(m, fx);
}

int dw_machine_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err)
{
    return m->ops->push(m, frame, err);
}

void dw_machine_answer(struct dw_machine *m, bool allowed)
{
    m->ops->answer(m, allowed);
}

void dw_machine_free(struct dw_machine **m)
{
    if (!*m)
        return;
    struct dw_machine *gone = *m;
    *m = NULL;
    dw_buf_free(&gone->out);
    dw_buf_free(&gone->held);
    gone->ops->free(gone);
}
