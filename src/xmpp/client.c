/* The client machine as its driver sees it: see client.h. */
#include "xmpp/client.h"

#include "xmpp/client_impl.h"

#include <stdlib.h>

static enum dw_act client_next(struct dw_machine *m, struct dw_effect *fx)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    return c->state(c, fx);
}

static void client_answer(struct dw_machine *m, bool allowed)
{
    if (!allowed)
        dw_xmpp_client_refuse(m, DW_XMPP_NOT_AUTHORIZED);
}

static void client_free(struct dw_machine *m)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    dw_client_forget_login(c);
    dw_tls_free(&c->tls);
    dw_tls_context_release(&c->options.tls);
    dw_buf_free(&c->plain);
    dw_buf_free(&c->ending);
    free(c->from);
    free(c->lang);
    free(c->why);
    free(c);
}

static const struct dw_machine_ops ops = {client_next, dw_client_push, client_answer, client_free};

struct dw_machine *dw_xmpp_client_new(const struct dw_xmpp_client_options *options)
{
    struct dw_xmpp_client *c = calloc(1, sizeof *c);
    struct dw_machine *m = c ? &c->machine : NULL;
    if (!c)
        return NULL;
    dw_machine_init(m, &ops, options->meter);
    c->options = *options;
    c->options.tls = dw_tls_context_hold(options->tls);
    c->plain.meter = c->ending.meter = options->meter;
    c->login = calloc(1, sizeof *c->login);
    if (options->direct_tls)
        c->tls = dw_tls_accept(c->options.tls, NULL);
    c->state = options->direct_tls ? dw_client_handshake : dw_client_await_header;
    if (!c->login || (options->direct_tls ? !c->tls : dw_client_begin(c) < 0))
        dw_machine_free(&m);
    else
        c->login->restart.meter = c->login->final.meter = options->meter;
    return m;
}

const char *dw_xmpp_client_domain(const struct dw_machine *m)
{
    return ((const struct dw_xmpp_client *)(const void *)m)->domain;
}

static struct dw_span or_empty(const char *text)
{
    return text ? dw_span_str(text) : DW_SPAN_OF("");
}

struct dw_span dw_xmpp_client_from(const struct dw_machine *m)
{
    return or_empty(((const struct dw_xmpp_client *)(const void *)m)->from);
}

struct dw_span dw_xmpp_client_lang(const struct dw_machine *m)
{
    return or_empty(((const struct dw_xmpp_client *)(const void *)m)->lang);
}

const struct dw_tls *dw_xmpp_client_tls(const struct dw_machine *m)
{
    return ((const struct dw_xmpp_client *)(const void *)m)->tls;
}

const char *dw_xmpp_client_mechanism(const struct dw_machine *m)
{
    const struct dw_xmpp_client *c = (const struct dw_xmpp_client *)(const void *)m;
    return c->login ? c->login->mechanism : "";
}

const struct dw_sasl *dw_xmpp_client_sasl(const struct dw_machine *m)
{
    const struct dw_xmpp_client *c = (const struct dw_xmpp_client *)(const void *)m;
    return c->login ? c->login->sasl : NULL;
}

unsigned dw_xmpp_client_failures(const struct dw_machine *m, const struct dw_error **last)
{
    const struct dw_xmpp_client *c = (const struct dw_xmpp_client *)(const void *)m;
    *last = c->login ? &c->login->failed : NULL;
    return c->login ? c->login->failures : 0;
}

const char *dw_xmpp_client_state(const struct dw_machine *m)
{
    const struct dw_xmpp_client *c = (const struct dw_xmpp_client *)(const void *)m;
    if (c->state == dw_client_closed)
        return "closed";
    if (c->state == dw_client_await_data)
        return "open";
    if (c->state == dw_client_await_starttls)
        return "starttls";
    if (c->state == dw_client_handshake)
        return "tls";
    if (c->state == dw_client_await_verdict)
        return "backend";
    if (c->state == dw_client_await_sasl)
        return "sasl";
    return c->welcome ? "restart" : "header";
}
