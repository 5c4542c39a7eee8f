/* The login of `durward probe xmpp`: the names to ask a ticket for, in turn, and SASL GSSAPI with the first that the KDC
 * knows. */
#include "cmd/probe_xmpp.h"

#include "base/base64.h"
#include "sasl/initiator.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NAMES = 6, NAME_ROOM = 900 };

struct candidate {
    char name[NAME_ROOM];
    const char *why;
};

struct login {
    struct dw_probe_xmpp *p;
    struct dw_cred *cred;
    struct dw_context *context;
    struct dw_sasl_initiator *sasl;
    struct dw_buf response;
};

/* -- the names ------------------------------------------------------------------------------------------------ */

static bool is_address(const char *host)
{
    uint8_t octets[16];
    return inet_pton(AF_INET, host, octets) == 1 || inet_pton(AF_INET6, host, octets) == 1;
}

static int put(struct candidate names[MOST_NAMES], int count, const char *why, const char *first,
               const char *second, const char *realm)
{
    struct candidate *c = &names[count];
    snprintf(c->name, sizeof c->name, "xmpp/%s%s%s%s%s", first, second ? "/" : "", second ? second : "",
             realm ? "@" : "", realm ? realm : "");
    c->why = why;
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i].name, c->name))
            return count;
    return count + 1;
}

/* Their number, or -1, told. */
static int name_candidates(struct dw_probe_xmpp *p, struct candidate names[MOST_NAMES])
{
    char realm[256];
    const char *why, *service = p->service;
    int count = 0;
    if (!service && dw_probe_realm(p, realm, &why) < 0)
        return -1;
    if (!service && p->policy_service[0])
        service = p->policy_service;
    if (service) {
        snprintf(names[0].name, sizeof names[0].name, "%s", service);
        names[0].why = p->service ? "--service" : "the policy";
        dw_step_tell(&p->steps, "principal", "%s, by %s", names[0].name, names[0].why);
        return 1;
    }
    if (p->told[0]) {
        count = put(names, count, why, p->told, p->domain, realm);
        dw_step_tell(&p->steps, "principal", "%s, by XEP-0233; %s", names[0].name, why);
    } else {
        dw_step_tell(&p->steps, "principal", "no <hostname/>: the names that older clients ask for are tried");
    }
    const char *said = p->realm ? p->realm : p->policy_realm[0] ? p->policy_realm : NULL;
    if (!is_address(p->host))
        count = put(names, count, "the host that we are connected to", p->host, NULL, said);
    count = put(names, count, "the domain", p->domain, NULL, said);
    return count;
}

/* -- the ticket ----------------------------------------------------------------------------------------------- */

/* What a next name may cure. */
static bool is_unknown(const struct dw_error *err)
{
    return strcasestr(err->detail, "not found in Kerberos database") ||
           strcasestr(err->detail, "cannot find KDC") || strcasestr(err->detail, "KDC policy rejects") ||
           strcasestr(err->detail, "Realm not local");
}

static int begin(struct login *l, const char *service, struct dw_error *err)
{
    l->context = dw_context_initiate(l->cred, service, NULL, err);
    if (!l->context)
        return -1;
    l->sasl = dw_sasl_initiator_new(l->context, dw_span_str(l->p->authzid));
    if (!l->sasl)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    return dw_sasl_initiator_step(l->sasl, DW_SPAN_NONE, &l->response, err);
}

static void drop(struct login *l)
{
    dw_sasl_initiator_free(&l->sasl);
    dw_context_free(&l->context);
    dw_buf_clear(&l->response, 0);
}

static int get_ticket(struct login *l)
{
    struct dw_error err = {0};
    struct candidate names[MOST_NAMES];
    const struct dw_steps *steps = &l->p->steps;
    l->cred = dw_step_credential(&l->p->who, &err);
    if (!l->cred)
        return dw_step_failed(steps, "ticket", err.detail, dw_step_cause_of_ticket(&err));
    int count = name_candidates(l->p, names);
    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        if (begin(l, names[i].name, &err) == 0) {
            const char *who = dw_cred_name(l->cred);
            dw_step_tell(steps, "ticket", "%s has one for %s%s%s%s", who ? who : "", names[i].name,
                         i > 0 ? " (" : "", i > 0 ? names[i].why : "", i > 0 ? ")" : "");
            return 0;
        }
        drop(l);
        if (i + 1 == count || !is_unknown(&err))
            break;
        dw_step_tell(steps, "ticket", "%s; next: %s (%s)", err.detail, names[i + 1].name, names[i + 1].why);
    }
    return dw_step_failed(steps, "ticket", err.detail, dw_step_cause_of_ticket(&err));
}

/* -- the exchange --------------------------------------------------------------------------------------------- */

static int send_sasl(struct login *l, const char *element, const char *attributes, struct dw_error *err)
{
    struct dw_buf text = {0};
    struct dw_span octets = dw_buf_span(&l->response);
    int rc = dw_buf_printf(&text, "<%s xmlns='" DW_XML_SASL "'%s>", element, attributes);
    if (rc == 0)
        rc = octets.len ? dw_base64_put(&text, octets) : dw_buf_printf(&text, "=");
    if (rc == 0)
        rc = dw_buf_printf(&text, "</%s>", element);
    rc = rc < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory")
                : dw_probe_send(&l->p->stream, dw_buf_span(&text), err);
    dw_buf_free(&text);
    dw_buf_clear(&l->response, 0);
    return rc;
}

static const char *cause_of_failure(const struct login *l, const char *condition)
{
    bool is_whole = dw_context_peer(l->context) != NULL;
    if (!strcmp(condition, "invalid-authzid"))
        return "nobody may act as another there: leave --authzid out, or name your own address";
    if (!strcmp(condition, "temporary-auth-failure"))
        return "the server behind it is not there or did not let us in, or its policy has failed; its log says "
               "which";
    if (!strcmp(condition, "not-authorized"))
        return is_whole
                   ? "authenticated, and then refused by its policy; its log says why"
                   : "it did not take the ticket: its keytab has not this key, the clocks differ, or the realm "
                     "is not trusted; its log says which";
    if (!strcmp(condition, "invalid-mechanism") || !strcmp(condition, "mechanism-too-weak"))
        return "the server does not take GSSAPI from us";
    return NULL;
}

static int refused(struct login *l, const struct dw_xml_node *failure)
{
    char told[600];
    const struct dw_xml_node *first = failure->first, *text = dw_xml_child(failure, DW_XML_SASL, "text");
    const char *condition = first ? first->name : "no condition";
    struct dw_span words = text ? dw_xml_text(text) : DW_SPAN_OF("");
    snprintf(told, sizeof told, "the server refused: %s%s%.*s", condition, words.len ? ": " : "",
             (int)(words.len < 300 ? words.len : 300), words.len ? (const char *)words.at : "");
    return dw_step_failed(&l->p->steps, "SASL", told, cause_of_failure(l, condition));
}

/* What a challenge or success carries. */
static int take_data(const struct dw_xml_node *node, struct dw_buf *data, struct dw_error *err)
{
    struct dw_span text = dw_xml_text(node);
    dw_buf_clear(data, 0);
    if (text.len == 0 || (text.len == 1 && text.at[0] == '='))
        return 0;
    return dw_base64_take(data, text) < 0 ? dw_error_set(err, DW_ERROR_PROTOCOL, "a challenge is no base64") : 0;
}

static void tell_context(const struct login *l)
{
    struct dw_event event = {0};
    dw_context_describe(l->context, &event);
    dw_step_tell(&l->p->steps, "context", "whole with %s%s, %u s left", dw_context_target(l->context),
                 event.gss.mutual ? ", the server proved itself" : "", event.gss.lifetime);
}

static int challenged(struct login *l, struct dw_span data, struct dw_error *err)
{
    bool was_whole = dw_context_peer(l->context) != NULL;
    if (dw_sasl_initiator_step(l->sasl, data, &l->response, err) < 0)
        return dw_step_failed(&l->p->steps, was_whole ? "SASL" : "context", err->detail,
                              dw_step_cause_of_ticket(err));
    if (!was_whole && dw_context_peer(l->context))
        tell_context(l);
    if (dw_sasl_initiator_is_done(l->sasl))
        dw_step_tell(&l->p->steps, "SASL", "layers offered %u, taken 1 (none)%s%s",
                     dw_sasl_initiator_layers(l->sasl), l->p->authzid ? ", acting as " : "",
                     l->p->authzid ? l->p->authzid : "");
    return send_sasl(l, "response", "", err) < 0 ? dw_step_failed(&l->p->steps, "SASL", err->detail, NULL) : 0;
}

/* 1 when more comes, 0 at success, -1 told. */
static int exchange(struct login *l, struct dw_buf *data)
{
    struct dw_error err = {0};
    const struct dw_steps *steps = &l->p->steps;
    const struct dw_xml_node *node = dw_probe_next(&l->p->stream, &err);
    if (!node)
        return dw_step_failed(steps, "SASL", err.detail, "its log says why");
    if (dw_xml_is(node, DW_XML_SASL, "failure"))
        return refused(l, node);
    bool is_success = dw_xml_is(node, DW_XML_SASL, "success");
    if (!is_success && !dw_xml_is(node, DW_XML_SASL, "challenge"))
        return dw_step_failed(steps, "SASL", "the server sent something that is no part of SASL", NULL);
    if (take_data(node, data, &err) < 0)
        return dw_step_failed(steps, "SASL", err.detail, NULL);
    if (!is_success)
        return challenged(l, dw_buf_span(data), &err) < 0 ? -1 : 1;
    if (!dw_sasl_initiator_is_done(l->sasl))
        return dw_step_failed(steps, "SASL", "the server tells of success before it has proved itself",
                              "it is not the server that it says it is");
    dw_step_tell(steps, "SASL", "success");
    return 0;
}

int dw_probe_login(struct dw_probe_xmpp *p)
{
    struct login l = {.p = p};
    struct dw_buf data = {0};
    struct dw_error err = {0};
    int rc = get_ticket(&l);
    if (rc == 0 && send_sasl(&l, "auth", " mechanism='GSSAPI'", &err) < 0)
        rc = dw_step_failed(&p->steps, "SASL", err.detail, NULL);
    if (rc == 0)
        while ((rc = exchange(&l, &data)) > 0)
            ;
    drop(&l);
    dw_cred_free(&l.cred);
    dw_buf_free(&l.response);
    dw_buf_free(&data);
    return rc;
}
