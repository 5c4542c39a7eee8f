/* The answer: see decision.h. */
#include "auth/decision.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void drop(char **field)
{
    free(*field);
    *field = NULL;
}

/* What only an allow may carry. */
static void drop_grants(struct dw_decision *d)
{
    char **fields[] = {&d->backend, &d->identity, &d->jid, &d->realm, &d->service, &d->keytab, &d->hostname};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        drop(fields[i]);
    for (size_t i = 0; i < d->property_count; i++) {
        free(d->properties[i].name);
        free(d->properties[i].value);
    }
    free(d->properties);
    d->properties = NULL;
    d->property_count = 0;
    for (size_t i = 0; i < d->socket_count; i++)
        free(d->sockets[i]);
    free(d->sockets);
    d->sockets = NULL;
    d->socket_count = 0;
    d->expires = 0;
}

void dw_decision_clear(struct dw_decision *d)
{
    drop_grants(d);
    char **fields[] = {&d->user, &d->rule, &d->reason, &d->policy_file};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        drop(fields[i]);
    for (size_t i = 0; i < d->step_count; i++) {
        free(d->steps[i].hook);
        free(d->steps[i].text);
        free(d->steps[i].at);
        free(d->steps[i].want);
        free(d->steps[i].key);
        free(d->steps[i].failed);
        json_decref(d->steps[i].answer);
    }
    free(d->steps);
    memset(d, 0, sizeof *d);
}

int dw_decision_set(char **field, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    free(*field);
    *field = copy;
    return copy || !text ? 0 : -1;
}

void dw_decision_refuse(struct dw_decision *d, enum dw_verdict verdict, const char *format, ...)
{
    /* Formatted first: the arguments may be what is dropped next. */
    char *reason = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&reason, format, args) < 0)
        reason = NULL;
    va_end(args);
    drop_grants(d);
    drop(&d->user);
    free(d->reason);
    d->reason = reason;
    d->verdict = verdict;
}

/* Room for one more in an array that doubles. */
static int grow(void **array, size_t count, size_t size)
{
    if (count & (count - 1))
        return 0;
    void *more = reallocarray(*array, count ? count * 2 : 1, size);
    if (!more)
        return -1;
    *array = more;
    return 0;
}

int dw_decision_step(struct dw_decision *d, const char *hook, const char *at, const char *format, ...)
{
    struct dw_step step = {0};
    va_list args;
    va_start(args, format);
    if (vasprintf(&step.text, format, args) < 0)
        step.text = NULL;
    va_end(args);
    if (!step.text || dw_decision_set(&step.hook, hook) < 0 || dw_decision_set(&step.at, at) < 0)
        goto fail;
    if (grow((void **)&d->steps, d->step_count, sizeof step) < 0)
        goto fail;
    d->steps[d->step_count++] = step;
    return 0;
fail:
    free(step.text);
    free(step.hook);
    free(step.at);
    return -1;
}

int dw_decision_found(struct dw_decision *d, const char *hook, const char *at, const char *want, const char *key,
                      json_t *answer, const char *failed)
{
    char *shown = answer ? json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    bool slept = strcmp(want, "sleep") == 0;
    int rc = slept ? dw_decision_step(d, hook, at, "waited %s seconds", key)
                   : dw_decision_step(d, hook, at, "%s %s: %.400s", want, key,
                                      shown    ? shown
                                      : failed ? failed
                                               : "out of memory");
    free(shown);
    if (rc < 0)
        return -1;
    struct dw_step *step = &d->steps[d->step_count - 1];
    step->answer = json_incref(answer);
    rc |= dw_decision_set(&step->want, want);
    rc |= dw_decision_set(&step->key, key);
    rc |= dw_decision_set(&step->failed, failed);
    return rc;
}

int dw_decision_property(struct dw_decision *d, const char *name, struct dw_span value)
{
    struct dw_property p = {strdup(name), dw_text_dup(value.at ? value : DW_SPAN_OF("")), value.len};
    if (p.name && p.value && grow((void **)&d->properties, d->property_count, sizeof p) == 0) {
        d->properties[d->property_count++] = p;
        return 0;
    }
    free(p.name);
    free(p.value);
    return -1;
}

int dw_decision_socket(struct dw_decision *d, const char *type)
{
    char *copy = strdup(type);
    if (copy && grow((void **)&d->sockets, d->socket_count, sizeof copy) == 0) {
        d->sockets[d->socket_count++] = copy;
        return 0;
    }
    free(copy);
    return -1;
}

static void deny(struct dw_decision *d, const char *why)
{
    dw_decision_step(d, "limits", NULL, "denied: %s", why);
    dw_decision_refuse(d, DW_DENY, "%s", why);
}

void dw_decision_hold(struct dw_decision *d, const char *const refuse[], double ticket_ends, double now)
{
    if (d->verdict != DW_ALLOW)
        return;
    struct dw_span user = dw_span_str(d->user);
    if (user.len == 0) {
        deny(d, "allowed, but no user was named");
        return;
    }
    if (!dw_text_is_utf8(user)) {
        deny(d, "the user is not UTF-8");
        return;
    }
    if (dw_text_has_control(user)) {
        deny(d, "the user holds a control character");
        return;
    }
    for (size_t i = 0; refuse && refuse[i]; i++)
        if (strcmp(refuse[i], d->user) == 0) {
            dw_decision_step(d, "limits", NULL, "denied: the user '%s' stands in refuse_users", refuse[i]);
            dw_decision_refuse(d, DW_DENY, "the user '%s' stands in refuse_users", refuse[i]);
            return;
        }
    if (ticket_ends > 0 && (d->expires <= 0 || d->expires > ticket_ends))
        d->expires = ticket_ends;
    if (d->expires != 0 && !(d->expires > now))
        deny(d, ticket_ends > 0 && d->expires >= ticket_ends ? "the ticket has expired"
                                                             : "the admission would end in the past");
}
