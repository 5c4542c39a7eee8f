/* The half of Dovecot's authentication protocol that its masters speak: see master.h. */
#include "dovecot/master.h"

#include "base/text.h"

#include <stdlib.h>

enum { VERSION = 1, LINE_BYTES = 8192 };

struct master {
    struct dw_machine machine; /* first */
    struct dw_dovecot_request request;
    size_t looked;
    bool has_version;
    struct dw_error why; /* once it is to be closed */
};

static struct master *master_of(struct dw_machine *m)
{
    return (struct master *)(void *)m;
}

static int wrong(struct master *s, const char *why)
{
    return dw_error_set(&s->why, DW_ERROR_PROTOCOL, "%s", why);
}

static int take_request(struct master *s, const struct dw_dovecot_line *line)
{
    struct dw_buf cookie = {0};
    s->request = (struct dw_dovecot_request){line->number, line->client, line->exchange, {0}};
    int rc = dw_text_unhex(&cookie, line->cookie);
    if (rc == 0)
        memcpy(s->request.cookie, dw_buf_span(&cookie).at, sizeof s->request.cookie);
    else
        wrong(s, "REQUEST with a cookie that is not hex");
    dw_buf_free(&cookie);
    return rc;
}

static enum dw_act take_line(struct master *s, struct dw_span text)
{
    struct dw_dovecot_line line;
    if (dw_dovecot_parse_master(&line, text, &s->why) < 0)
        return DW_CLOSE;
    if (line.command == DW_DOVECOT_REQUEST) {
        if (!s->has_version)
            wrong(s, "VERSION has to come first");
        return s->has_version && take_request(s, &line) == 0 ? DW_ASK_ADMIT : DW_CLOSE;
    }
    if (s->has_version || line.number != VERSION) {
        wrong(s, s->has_version ? "VERSION for a second time" : "another major version than 1");
        return DW_CLOSE;
    }
    s->has_version = true;
    return DW_META;
}

static enum dw_act next(struct dw_machine *m, struct dw_effect *fx)
{
    struct master *s = master_of(m);
    struct dw_span line;
    *fx = (struct dw_effect){.why = {.kind = DW_ERROR_NONE}};
    enum dw_act act = DW_NEED;
    if (!s->why.kind && dw_dovecot_next_line(m, &s->looked, LINE_BYTES, &line, &s->why))
        act = take_line(s, line);
    fx->why = s->why;
    return s->why.kind ? DW_CLOSE : act;
}

static void free_master(struct dw_machine *m)
{
    free(master_of(m));
}

struct dw_machine *dw_dovecot_master_new(uint32_t pid, struct dw_meter *meter)
{
    static const struct dw_machine_ops ops = {.next = next, .free = free_master};
    struct master *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    struct dw_machine *m = &s->machine;
    dw_machine_init(m, &ops, meter);
    if (dw_buf_printf(&m->out, "VERSION\t%d\t1\nSPID\t%u\n", VERSION, pid) < 0)
        dw_machine_free(&m);
    return m;
}

const struct dw_dovecot_request *dw_dovecot_request(const struct dw_machine *m)
{
    return &((const struct master *)(const void *)m)->request;
}

static int out_of_memory(struct dw_machine *m, size_t before)
{
    dw_buf_cut(&m->out, before);
    return dw_error_set(&master_of(m)->why, DW_ERROR_INTERNAL, "out of memory");
}

int dw_dovecot_master_user(struct dw_machine *m, struct dw_span user, struct dw_span fields)
{
    size_t before = dw_buf_len(&m->out);
    int rc = dw_buf_printf(&m->out, "USER\t%u\t", master_of(m)->request.id);
    rc |= dw_dovecot_escape(&m->out, user);
    rc |= dw_buf_put(&m->out, fields);
    rc |= dw_buf_put_u8(&m->out, '\n');
    return rc < 0 ? out_of_memory(m, before) : 0;
}

int dw_dovecot_master_fail(struct dw_machine *m)
{
    size_t before = dw_buf_len(&m->out);
    return dw_buf_printf(&m->out, "FAIL\t%u\n", master_of(m)->request.id) < 0 ? out_of_memory(m, before) : 0;
}
