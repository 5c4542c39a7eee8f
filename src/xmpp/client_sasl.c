/* Authentication (RFC 6120 section 6): base64 both ways, the exchange, its failures and its end. */
#include "base/base64.h"
#include "xmpp/client_impl.h"
#include "xmpp/errors.h"
#include "xmpp/features.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const binding_types[DW_CLIENT_BINDINGS] = {"tls-exporter", "tls-server-end-point"};

/* ---- The offer. */

/* -1 when memory is out. */
static int find_bindings(struct dw_xmpp_client *c)
{
    struct dw_client_login *login = c->login;
    struct dw_error err = {0};
    size_t count = 0;
    for (size_t i = 0; i < DW_CLIENT_BINDINGS; i++) {
        struct dw_buf *octets = &login->binding_octets[count];
        if (dw_tls_binding(c->tls, binding_types[i], octets, &err) == 0)
            login->binding[count++] = (struct dw_sasl_binding){binding_types[i], dw_buf_span(octets)};
        else if (err.kind == DW_ERROR_INTERNAL)
            return -1;
    }
    login->sasl_options.bindings = login->binding;
    login->sasl_options.binding_count = count;
    return 0;
}

static bool is_plus(const char *mechanism)
{
    size_t len = strlen(mechanism);
    return len > 5 && strcmp(mechanism + len - 5, "-PLUS") == 0;
}

static int keep_mechanisms(struct dw_client_login *login, const char *const *mechanisms)
{
    int rc = 0;
    login->sasl_options.plus_offered = false;
    for (size_t i = 0; mechanisms && mechanisms[i]; i++) {
        bool plus = is_plus(mechanisms[i]);
        if (!dw_sasl_knows(dw_span_str(mechanisms[i])) || (plus && login->sasl_options.binding_count == 0))
            continue;
        login->sasl_options.plus_offered = login->sasl_options.plus_offered || plus;
        rc |= dw_buf_printf(&login->offered, "%s%s", dw_buf_len(&login->offered) ? " " : "", mechanisms[i]);
    }
    return rc;
}

int dw_xmpp_client_offer(struct dw_machine *m, const struct dw_xmpp_offer *offer)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    struct dw_buf out = {.meter = c->options.meter};
    struct dw_effect fx;
    const char *types[DW_CLIENT_BINDINGS + 1] = {NULL};
    if (c->state != dw_client_await_offer)
        return 0;
    c->login->sasl_options = offer->sasl;
    int rc = find_bindings(c);
    rc |= keep_mechanisms(c->login, offer->mechanisms);
    for (size_t i = 0; i < c->login->sasl_options.binding_count; i++)
        types[i] = c->login->binding[i].type;
    const struct dw_features features = {
        .mechanisms = dw_buf_span(&c->login->offered),
        .hostname = offer->hostname,
        .hostname_namespaces = offer->hostname_namespaces,
        .hostname_in_features = offer->hostname_in_features,
        .binding_types = offer->binding_types && c->login->sasl_options.plus_offered ? types : NULL,
    };
    rc |= dw_features_put(&out, &features);
    if (dw_client_say_text(c, &out, rc < 0) < 0) {
        dw_client_close(c, &fx, DW_ERROR_INTERNAL, "memory is out");
        return -1;
    }
    c->state = dw_client_await_sasl;
    return 0;
}

static bool is_offered(const struct dw_client_login *login, struct dw_span mechanism)
{
    struct dw_span rest = dw_buf_span(&login->offered);
    while (rest.len > 0) {
        const uint8_t *space = memchr(rest.at, ' ', rest.len);
        struct dw_span one = dw_span_make(rest.at, space ? (size_t)(space - rest.at) : rest.len);
        if (dw_span_equal(one, mechanism))
            return true;
        rest = dw_span_make(rest.at + one.len + (space != NULL), rest.len - one.len - (space != NULL));
    }
    return false;
}

/* ---- Failures. */

/* `fx` may be NULL. */
static enum dw_act fail_attempt(struct dw_xmpp_client *c, struct dw_effect *fx, const char *condition,
                                const struct dw_error *why)
{
    struct dw_client_login *login = c->login;
    struct dw_buf out = {.meter = c->options.meter};
    struct dw_error last = *why;
    dw_sasl_free(&login->sasl);
    dw_buf_free(&login->final);
    login->failed = last;
    login->failures++;
    bool failed = dw_sasl_failure_put(&out, condition) < 0;
    if (dw_client_say_text(c, &out, failed) < 0)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    if (last.kind == DW_ERROR_INTERNAL)
        return dw_client_fail(c, fx, last.kind, "internal-server-error", "%s", last.detail);
    if (login->failures >= DW_CLIENT_ATTEMPTS)
        return dw_client_fail(c, fx, last.kind, "policy-violation", "%u attempts to authenticate have failed: %s",
                              login->failures, last.detail);
    if (c->tls)
        c->state = dw_client_await_sasl;
    return DW_NEED;
}

static enum dw_act refuse(struct dw_xmpp_client *c, struct dw_effect *fx, const char *condition,
                          enum dw_error_kind kind, const char *detail)
{
    struct dw_error why = {.kind = kind};
    snprintf(why.detail, sizeof why.detail, "%s: %s", condition, detail);
    return fail_attempt(c, fx, condition, &why);
}

/* What the exchange itself has refused. */
static enum dw_act refuse_as_told(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_error *err)
{
    const char *condition = err->kind == DW_ERROR_PROTOCOL || err->kind == DW_ERROR_LIMIT ? "malformed-request"
                            : err->kind == DW_ERROR_DENIED                                ? "not-authorized"
                                                           : "temporary-auth-failure";
    return refuse(c, fx, condition, err->kind, err->detail);
}

/* ---- The exchange. */

static enum dw_act put_challenge(struct dw_xmpp_client *c, struct dw_effect *fx, struct dw_span challenge)
{
    struct dw_buf out = {.meter = c->options.meter};
    bool failed = dw_buf_printf(&out, "<challenge xmlns='" DW_XML_SASL "'>") < 0 ||
                  dw_base64_put(&out, challenge) < 0 || dw_buf_printf(&out, "</challenge>") < 0;
    if (dw_client_say_text(c, &out, failed) < 0)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    return DW_NEED;
}

static enum dw_act step(struct dw_xmpp_client *c, struct dw_effect *fx, struct dw_span message, bool has_message)
{
    struct dw_buf challenge = {.meter = c->options.meter};
    struct dw_error err = {0};
    enum dw_act act;
    int rc = dw_sasl_step(c->login->sasl, message, has_message, &challenge, &err);
    if (rc < 0) {
        act = refuse_as_told(c, fx, &err);
    } else if (rc == DW_SASL_CHALLENGE) {
        act = put_challenge(c, fx, dw_buf_span(&challenge));
    } else {
        c->login->final = challenge;
        challenge = (struct dw_buf){0};
        c->state = dw_client_await_verdict;
        fx->token = DW_SPAN_NONE;
        act = DW_ASK_ADMIT;
    }
    dw_buf_free(&challenge);
    return act;
}

/* RFC 6120 section 6.4.2: nothing at all is no message, "=" is an empty one; base64 as RFC 4648 section 4 has it, with
 * nothing else in it. */
static enum dw_act step_encoded(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_xml_node *node)
{
    struct dw_span text = dw_xml_text(node);
    struct dw_buf message = {.meter = c->options.meter};
    bool is_empty = text.len == 0 || (text.len == 1 && text.at[0] == '=');
    enum dw_act act;
    if (!is_empty && !dw_buf_room(&message, text.len))
        return refuse(c, fx, "temporary-auth-failure", DW_ERROR_INTERNAL, "memory is out");
    if (!is_empty && dw_base64_take(&message, text) < 0)
        act = refuse(c, fx, "incorrect-encoding", DW_ERROR_PROTOCOL, "the data is not base64");
    else
        act = step(c, fx, dw_buf_span(&message), text.len > 0 || strcmp(node->name, "response") == 0);
    dw_buf_free(&message);
    return act;
}

/* Known, and never offered here: each of them lets the password, or what stands for it, be taken or guessed. */
static bool is_weak(const char *mechanism)
{
    static const char *const weak[] = {"PLAIN", "LOGIN", "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5"};
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++)
        if (strcmp(weak[i], mechanism) == 0)
            return true;
    return false;
}

static enum dw_act take_auth(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_xml_node *node)
{
    struct dw_client_login *login = c->login;
    const char *mechanism = dw_xml_attribute(node, "mechanism");
    char shown[96];
    /* RFC 6120 section 6.5.4. */
    if (!c->tls)
        return refuse(c, fx, "encryption-required", DW_ERROR_PROTOCOL, "authentication before TLS");
    if (login->sasl)
        return refuse(c, fx, "malformed-request", DW_ERROR_PROTOCOL, "<auth/> during an exchange");
    if (!mechanism || (!is_offered(login, dw_span_str(mechanism)) && !is_weak(mechanism)))
        return refuse(c, fx, "invalid-mechanism", DW_ERROR_PROTOCOL,
                      mechanism ? dw_client_shown(shown, mechanism) : "none is named");
    if (!is_offered(login, dw_span_str(mechanism)))
        return refuse(c, fx, "mechanism-too-weak", DW_ERROR_PROTOCOL, mechanism);
    snprintf(login->mechanism, sizeof login->mechanism, "%s", mechanism);
    login->sasl = dw_sasl_new(dw_span_str(mechanism), &login->sasl_options);
    if (!login->sasl)
        return refuse(c, fx, "temporary-auth-failure", DW_ERROR_INTERNAL, "memory is out");
    return step_encoded(c, fx, node);
}

enum dw_act dw_client_sasl_stanza(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_xml_node *node)
{
    bool is_auth = strcmp(node->name, "auth") == 0, is_response = strcmp(node->name, "response") == 0;
    if (strcmp(node->name, "abort") == 0)
        return refuse(c, fx, "aborted", DW_ERROR_CLOSED, "by the client");
    if (!is_auth && !is_response)
        return dw_client_unexpected(c, fx, DW_XML_STANZA);
    if (node->first)
        return refuse(c, fx, "malformed-request", DW_ERROR_PROTOCOL, "elements where data should be");
    if (is_auth)
        return take_auth(c, fx, node);
    if (!c->login->sasl)
        return refuse(c, fx, "malformed-request", DW_ERROR_PROTOCOL, "<response/> without <auth/>");
    return step_encoded(c, fx, node);
}

enum dw_act dw_client_await_sasl(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    while (c->state == dw_client_await_sasl) {
        enum dw_act act = DW_NEED;
        int got = dw_client_take(c, fx, &act);
        if (got == DW_XML_MORE)
            return act;
        const struct dw_xml_node *node = dw_xml_node(c->login->xml);
        if (got == DW_XML_STANZA && strcmp(node->ns, DW_XML_SASL) == 0)
            act = dw_client_sasl_stanza(c, fx, node);
        else
            act = dw_client_unexpected(c, fx, got);
        if (act != DW_NEED)
            return act;
    }
    return c->state(c, fx);
}

/* ---- The verdict. */

/* Something but white space has come where only we are to speak: it would be taken for the user's. */
static bool is_smuggled(struct dw_xmpp_client *c)
{
    dw_client_read(c);
    struct dw_span in = dw_client_input(c);
    for (size_t i = 0; i < in.len; i++)
        if (!memchr(" \t\r\n", in.at[i], 4))
            return true;
    dw_client_consume(c, in.len);
    return false;
}

static enum dw_act fail_smuggled(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "policy-violation",
                          "the client goes on before it is told how its authentication went");
}

enum dw_act dw_client_await_verdict(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    return is_smuggled(c) ? fail_smuggled(c, fx) : dw_client_need(c, fx);
}

void dw_xmpp_client_refuse(struct dw_machine *m, enum dw_xmpp_refusal how)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    if (c->state != dw_client_await_verdict)
        return;
    if (is_smuggled(c))
        fail_smuggled(c, NULL);
    else if (how == DW_XMPP_TEMPORARY)
        refuse(c, NULL, "temporary-auth-failure", DW_ERROR_TEMPORARY, "refused for now");
    else if (how == DW_XMPP_INVALID_AUTHZID)
        refuse(c, NULL, "invalid-authzid", DW_ERROR_DENIED, "refused");
    else
        refuse(c, NULL, "not-authorized", DW_ERROR_DENIED, "refused");
}

int dw_xmpp_client_user(struct dw_machine *m, struct dw_span jid)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    if (c->state != dw_client_await_verdict)
        return 0;
    dw_buf_clear(&c->login->user, SIZE_MAX);
    return dw_buf_put(&c->login->user, jid);
}

static int put_success(struct dw_buf *out, struct dw_span final, bool has_final)
{
    int rc = dw_buf_printf(out, "<success xmlns='" DW_XML_SASL "'>");
    if (has_final)
        rc |= final.len ? dw_base64_put(out, final) : dw_buf_printf(out, "=");
    return rc | dw_buf_printf(out, "</success>");
}

void dw_xmpp_client_welcome(struct dw_machine *m)
{
    struct dw_xmpp_client *c = dw_client_of(m);
    struct dw_buf out = {.meter = c->options.meter};
    if (c->state != dw_client_await_verdict)
        return;
    if (is_smuggled(c)) {
        fail_smuggled(c, NULL);
        return;
    }
    struct dw_client_login *login = c->login;
    bool failed = put_success(&out, dw_buf_span(&login->final), dw_sasl_has_final(login->sasl)) < 0;
    if (dw_client_say_text(c, &out, failed) < 0 || dw_client_begin(c) < 0) {
        dw_client_close(c, NULL, DW_ERROR_INTERNAL, "memory is out");
        return;
    }
    c->welcome = true;
    c->state = dw_client_await_header;
}
