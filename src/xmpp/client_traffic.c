/* The open stream: octets both ways, and its end between two stanzas of the backend's. */
#include "xmpp/client_impl.h"
#include "xmpp/errors.h"

#include <stdio.h>
#include <stdlib.h>

void dw_client_forget_login(struct dw_xmpp_client *c)
{
    struct dw_client_login *login = c->login;
    if (!login)
        return;
    c->login = NULL;
    dw_xml_free(&login->xml);
    dw_sasl_free(&login->sasl);
    free(login->asked);
    dw_buf_free(&login->restart);
    dw_buf_free(&login->offered);
    for (size_t i = 0; i < DW_CLIENT_BINDINGS; i++)
        dw_buf_free(&login->binding_octets[i]);
    dw_buf_free(&login->final);
    dw_buf_free(&login->user);
    free(login);
}

enum dw_act dw_client_await_data(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    dw_client_forget_login(c);
    dw_buf_take(&c->plain, c->given);
    c->given = 0;
    if (dw_buf_len(&c->plain) == 0)
        dw_client_read(c);
    c->given = dw_buf_len(&c->plain);
    if (c->given == 0) {
        dw_buf_clear(&c->plain, 0);
        return dw_client_need(c, fx);
    }
    fx->frame = (struct dw_frame){.flags = 0, .body = dw_buf_span(&c->plain)};
    return DW_DATA;
}

/* The backend has ended its stream. */
static bool is_over(const struct dw_boundary *down)
{
    return down->opened && down->depth == 0 && dw_boundary_is_text(down);
}

static void ended(struct dw_xmpp_client *c, const char *condition)
{
    dw_client_close(c, NULL, DW_ERROR_CLOSED, "ended: %s", condition);
}

/* With what has been waiting, if there is still a place for it. */
static int end_here(struct dw_xmpp_client *c)
{
    static const size_t before = sizeof "<stream:error><" - 1;
    struct dw_span error = dw_buf_span(&c->ending);
    const uint8_t *name = error.at + before, *space = memchr(name, ' ', error.len - before);
    char condition[40];
    snprintf(condition, sizeof condition, "%.*s", space ? (int)(space - name) : 0, (const char *)name);
    if (dw_boundary_is_between(&c->down) && dw_client_say(c, error) < 0)
        return -1;
    ended(c, condition);
    return 0;
}

int dw_client_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    if (c->state == dw_client_closed)
        return 0;
    if (c->state != dw_client_await_data)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the backend speaks before the client's stream is open");
    bool ending = dw_buf_len(&c->ending) > 0;
    size_t len = frame.body.len;
    if (ending)
        len = dw_boundary_reach(&c->down, frame.body);
    else
        dw_boundary_follow(&c->down, frame.body);
    int rc = dw_client_say(c, dw_span_make(frame.body.at, len));
    if (rc == 0 && ending && (dw_boundary_is_between(&c->down) || is_over(&c->down)))
        rc = end_here(c);
    if (rc < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "%s", c->why ? c->why->detail : "memory is out");
    return rc;
}

bool dw_xmpp_client_end(struct dw_machine *m, const char *condition, const char *text)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    bool is_open = c->state == dw_client_await_data;
    bool is_silent = !c->down.opened && dw_boundary_is_text(&c->down);
    if (c->state == dw_client_closed)
        return true;
    if (is_open && is_over(&c->down)) {
        ended(c, condition);
        return true;
    }
    if (is_open && !is_silent && !dw_boundary_is_between(&c->down)) {
        if (dw_buf_len(&c->ending) == 0 && dw_stream_error_put(&c->ending, condition, text) < 0) {
            ended(c, condition);
            return true;
        }
        return false;
    }
    c->header_sent = c->header_sent || c->down.opened;
    dw_client_say_error(c, condition, text);
    ended(c, condition);
    return true;
}
