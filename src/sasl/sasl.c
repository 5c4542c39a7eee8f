/* What the mechanisms have in common: see sasl.h. */
#include "sasl/sasl.h"

#include "base/text.h"
#include "sasl/inside.h"

#include <stdlib.h>

enum { MOST_AUTHZID = 3071 }; /* a JID's (RFC 7622 section 3.1) */

static const struct mechanism {
    const char *name;
    dw_sasl_state first;
    bool is_plus;
} mechanisms[] = {
    {"GSSAPI", dw_gssapi_await_token, false},
    {"GS2-KRB5", dw_gs2_await_first, false},
    {"GS2-KRB5-PLUS", dw_gs2_await_first, true},
};

static const struct mechanism *find(struct dw_span name)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++)
        if (dw_span_equal(name, dw_span_str(mechanisms[i].name)))
            return &mechanisms[i];
    return NULL;
}

bool dw_sasl_knows(struct dw_span mechanism)
{
    return find(mechanism) != NULL;
}

/* One block: the list, and behind it types and octets. */
static struct dw_sasl_binding *copy_bindings(const struct dw_sasl_options *options)
{
    size_t size = options->binding_count * sizeof *options->bindings;
    for (size_t i = 0; i < options->binding_count; i++)
        size += strlen(options->bindings[i].type) + 1 + options->bindings[i].octets.len;
    struct dw_sasl_binding *copy = malloc(size);
    if (!copy)
        return NULL;
    uint8_t *at = (uint8_t *)(copy + options->binding_count);
    for (size_t i = 0; i < options->binding_count; i++) {
        const struct dw_sasl_binding *b = &options->bindings[i];
        size_t name = strlen(b->type) + 1;
        copy[i] = (struct dw_sasl_binding){(const char *)at, dw_span_make(at + name, b->octets.len)};
        memcpy(at, b->type, name);
        if (b->octets.len)
            memcpy(at + name, b->octets.at, b->octets.len);
        at += name + b->octets.len;
    }
    return copy;
}

struct dw_sasl *dw_sasl_new(struct dw_span mechanism, const struct dw_sasl_options *options)
{
    const struct mechanism *m = find(mechanism);
    struct dw_sasl *sasl = m ? calloc(1, sizeof *sasl) : NULL;
    if (!sasl)
        return NULL;
    sasl->state = m->first;
    sasl->is_plus = m->is_plus;
    sasl->options = *options;
    sasl->options.bindings = NULL;
    if ((options->binding_count && !(sasl->options.bindings = copy_bindings(options))) ||
        !(sasl->context = dw_context_accept(options->cred)))
        dw_sasl_free(&sasl);
    return sasl;
}

void dw_sasl_free(struct dw_sasl **sasl)
{
    struct dw_sasl *gone = *sasl;
    *sasl = NULL;
    if (!gone)
        return;
    if (gone->context)
        dw_context_free(&gone->context);
    free((void *)(uintptr_t)gone->options.bindings);
    dw_buf_free(&gone->authzid);
    dw_buf_free(&gone->header);
    free(gone);
}

int dw_sasl_step(struct dw_sasl *sasl, struct dw_span message, bool has_message, struct dw_buf *challenge,
                 struct dw_error *err)
{
    bool is_first = !sasl->asked;
    if (!sasl->state)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a message after the exchange was over");
    sasl->asked = true;
    /* All three mechanisms begin with a token of the client's.  Those who have to say something at once send an empty
     * initial response, though there is such a thing as none. */
    if (is_first && (!has_message || message.len == 0))
        return DW_SASL_CHALLENGE;
    int rc = sasl->state(sasl, message, challenge, err);
    if (rc != DW_SASL_CHALLENGE)
        sasl->state = NULL;
    return rc;
}

int dw_sasl_accept(struct dw_sasl *sasl, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    const struct dw_sasl_options *o = &sasl->options;
    size_t before = dw_buf_len(reply);
    int progress = dw_context_step(sasl->context, token, reply, err);
    if (progress == DW_CONTEXT_DONE) {
        const char *target = dw_context_target(sasl->context);
        struct dw_event event = {.id = NULL};
        dw_context_describe(sasl->context, &event);
        if (o->is_ours && !o->is_ours(o->arg, target))
            progress =
                dw_error_set(err, DW_ERROR_DENIED, "the ticket is for %s, which does not answer here", target);
        else if (o->require_mutual && !event.gss.mutual)
            progress = dw_error_set(err, DW_ERROR_DENIED,
                                    "the client does not ask for mutual authentication, which is required");
    }
    /* SASL has words of its own for a failure: an error token stays here. */
    if (progress < 0)
        dw_buf_cut(reply, before);
    return progress;
}

int dw_sasl_take_authzid(struct dw_sasl *sasl, struct dw_span authzid, struct dw_error *err)
{
    if (authzid.len > MOST_AUTHZID)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "an authorization identity of %zu octets", authzid.len);
    if (!dw_text_is_utf8(authzid) || (authzid.len && memchr(authzid.at, 0, authzid.len)))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "an authorization identity that is not UTF-8, or holds NUL");
    if (dw_buf_put(&sasl->authzid, authzid) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return 0;
}

const struct dw_context *dw_sasl_context(const struct dw_sasl *sasl)
{
    return sasl->context;
}

struct dw_span dw_sasl_authzid(const struct dw_sasl *sasl)
{
    return dw_buf_span(&sasl->authzid);
}

bool dw_sasl_has_final(const struct dw_sasl *sasl)
{
    return sasl->has_final;
}

bool dw_sasl_channel_bound(const struct dw_sasl *sasl)
{
    return sasl->channel_bound;
}
