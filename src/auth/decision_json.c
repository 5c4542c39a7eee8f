/* Decisions as JSON: see writer.h and journal.h. */
#include "auth/journal.h"
#include "auth/writer.h"

static void put_properties(struct dw_writer *w, const struct dw_decision *d)
{
    if (d->property_count == 0)
        return;
    dw_writer_name(w, "properties");
    dw_writer_object(w);
    for (size_t i = 0; i < d->property_count; i++) {
        const struct dw_property *p = &d->properties[i];
        dw_writer_name_span(w, dw_span_str(p->name));
        dw_writer_text(w, dw_span_make(p->value, p->value_len));
    }
    dw_writer_end_object(w);
}

static void put_sockets(struct dw_writer *w, const struct dw_decision *d)
{
    if (d->socket_count == 0)
        return;
    dw_writer_name(w, "sockets");
    dw_writer_list(w);
    for (size_t i = 0; i < d->socket_count; i++)
        dw_writer_text(w, dw_span_str(d->sockets[i]));
    dw_writer_end_list(w);
}

void dw_decision_write(struct dw_writer *w, const struct dw_decision *d)
{
    dw_writer_object(w);
    dw_writer_put(w, "verdict", dw_verdict_word(d->verdict));
    dw_writer_put(w, "user", d->user);
    dw_writer_put(w, "rule", d->rule);
    dw_writer_put(w, "reason", d->reason);
    dw_writer_put(w, "backend", d->backend);
    dw_writer_put(w, "identity", d->identity);
    dw_writer_put(w, "jid", d->jid);
    dw_writer_put(w, "realm", d->realm);
    dw_writer_put(w, "service", d->service);
    dw_writer_put(w, "keytab", d->keytab);
    dw_writer_put(w, "hostname", d->hostname);
    if (d->expires != 0) {
        dw_writer_name(w, "expires");
        dw_writer_real(w, d->expires);
    }
    put_properties(w, d);
    put_sockets(w, d);
    dw_writer_end_object(w);
}

void dw_decision_trace_write(struct dw_writer *w, const struct dw_decision *d)
{
    dw_writer_list(w);
    for (size_t i = 0; i < d->step_count; i++) {
        const struct dw_step *step = &d->steps[i];
        dw_writer_object(w);
        dw_writer_put(w, "hook", step->hook);
        dw_writer_put(w, "text", step->text);
        dw_writer_put(w, "at", step->at);
        dw_writer_put(w, "want", step->want);
        dw_writer_put(w, "key", step->key);
        dw_writer_put(w, "failed", step->failed);
        if (step->answer) {
            dw_writer_name(w, "answer");
            dw_writer_tree(w, step->answer);
        }
        dw_writer_end_object(w);
    }
    dw_writer_end_list(w);
}

static void write_decision(struct dw_writer *w, const void *d)
{
    dw_decision_write(w, d);
}

static void write_trace(struct dw_writer *w, const void *d)
{
    dw_decision_trace_write(w, d);
}

json_t *dw_decision_to_json(const struct dw_decision *d)
{
    return dw_writer_tree_of(write_decision, d);
}

json_t *dw_decision_trace_to_json(const struct dw_decision *d)
{
    return dw_writer_tree_of(write_trace, d);
}
