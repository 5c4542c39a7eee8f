/* Our stream to a stock server, until a user is in: see login.h. */
#include "xmpp/login.h"

#include "base/base64.h"
#include "base/text.h"
#include "xmpp/xml.h"

#include <stdlib.h>

enum state {
    AWAIT_HEADER,
    AWAIT_FEATURES,
    AWAIT_PROCEED,
    AWAIT_TLS,
    READY, /* features are there, nobody has logged in */
    AWAIT_SUCCESS,
    IN, /* the user is in; the restart has not been pushed */
    OPEN,
    CLOSED,
};

struct login {
    struct dw_machine machine;
    enum state state;
    struct dw_tls_context *context;
    const struct dw_tls_pair *pair;
    struct dw_tls *tls;
    bool tls_ended;
    char *domain, *name; /* what it serves, and what its certificate has to be for */
    struct dw_xml *xml; /* of the header that is under way; none once the user is in */
    bool begun; /* its first octet is there */
    struct dw_buf plain; /* what TLS gave; in the clear the machine's own input is parsed */
    size_t lent; /* octets of `plain` that the last effect showed */
    struct dw_buf offered; /* mechanisms, each with a space behind it */
    struct dw_error why;
};

static struct login *login_of(const struct dw_machine *m)
{
    return (struct login *)(uintptr_t)m;
}

/* ---- Ends. */

static enum dw_act closed(struct login *l, struct dw_effect *fx)
{
    l->state = CLOSED;
    fx->why = l->why;
    return DW_CLOSE;
}

#define refuse(l, fx, kind, ...) (dw_error_set(&(l)->why, kind, __VA_ARGS__), closed(l, fx))

static enum dw_act no_memory(struct login *l, struct dw_effect *fx)
{
    return refuse(l, fx, DW_ERROR_INTERNAL, "out of memory for a login at the backend");
}

/* What a server does wrong, its certificate included, is nothing against the user. */
static enum dw_act as_told(struct login *l, struct dw_effect *fx, const struct dw_error *why)
{
    enum dw_error_kind kind = why->kind == DW_ERROR_INTERNAL ? DW_ERROR_INTERNAL : DW_ERROR_TEMPORARY;
    return refuse(l, fx, kind, "the backend of %.80s: %s", l->domain, why->detail);
}

/* ---- Octets. */

static struct dw_span input(const struct login *l)
{
    return l->tls ? dw_buf_span(&l->plain) : dw_span_make(l->machine.at, l->machine.left);
}

static void consume(struct login *l, size_t len)
{
    if (l->tls)
        dw_buf_take(&l->plain, len);
    else
        dw_machine_consume(&l->machine, len);
}

static int send_text(struct login *l, struct dw_span text)
{
    if (l->tls)
        return dw_tls_send(l->tls, text, &l->machine.out, &l->why);
    if (dw_buf_put(&l->machine.out, text) < 0)
        return dw_error_set(&l->why, DW_ERROR_INTERNAL, "out of memory for the backend");
    return 0;
}

/* All that has been fed, decrypted. */
static int decrypt(struct login *l, struct dw_error *err)
{
    dw_buf_take(&l->plain, l->lent);
    l->lent = 0;
    if (dw_buf_len(&l->plain) == 0)
        dw_buf_clear(&l->plain, 0);
    struct dw_span ciphertext = dw_span_make(l->machine.at, l->machine.left);
    if (ciphertext.len == 0)
        return 0;
    int rc = dw_tls_feed(l->tls, ciphertext, &l->plain, &l->machine.out, err);
    dw_machine_consume(&l->machine, ciphertext.len);
    if (rc == DW_TLS_ENDED)
        l->tls_ended = true;
    if (rc == DW_TLS_UP && l->state == AWAIT_TLS)
        return 1;
    return rc < 0 ? -1 : 0;
}

/* ---- What we say. */

/* RFC 6120 section 4.3.3: each header begins anew, and so does the parser. */
static int send_header(struct login *l)
{
    struct dw_buf text = {0};
    dw_xml_free(&l->xml);
    l->xml = dw_xml_new(NULL, l->machine.out.meter);
    int rc = -1;
    if (l->xml && dw_buf_printf(&text, "<?xml version='1.0'?><stream:stream to='") == 0 &&
        dw_xml_escape(&text, dw_span_str(l->domain)) == 0 &&
        dw_buf_printf(&text, "' version='1.0' xml:lang='en' xmlns='" DW_XML_CLIENT "' xmlns:stream='" DW_XML_STREAMS
                             "'>") == 0)
        rc = send_text(l, dw_buf_span(&text));
    else
        dw_error_set(&l->why, DW_ERROR_INTERNAL, "out of memory for a stream to the backend");
    dw_buf_free(&text);
    l->state = AWAIT_HEADER;
    l->begun = false;
    return rc;
}

static bool offers(const struct login *l, const char *mechanism)
{
    struct dw_span left = dw_buf_span(&l->offered);
    size_t len = strlen(mechanism);
    while (left.len) {
        const uint8_t *space = memchr(left.at, ' ', left.len);
        size_t one = space ? (size_t)(space - left.at) : left.len - 1;
        if (one == len && memcmp(left.at, mechanism, len) == 0)
            return true;
        left = dw_span_make(left.at + one + 1, left.len - one - 1);
    }
    return false;
}

/* A NUL would make two fields of one. */
static bool is_whole(struct dw_span field)
{
    return field.len == 0 || !memchr(field.at, 0, field.len);
}

/* RFC 4616 section 2; RFC 4422 appendix A: EXTERNAL is the authorization identity alone. */
static int put_message(struct dw_buf *raw, const struct dw_xmpp_credentials *c, struct dw_error *why)
{
    static const struct dw_span nul = {(const uint8_t *)"", 1};
    if (!is_whole(c->authzid) || !is_whole(c->authcid) || !is_whole(c->password))
        return dw_error_set(why, DW_ERROR_INTERNAL, "a NUL in what the backend is to be told of a user");
    int rc = dw_buf_put(raw, c->authzid);
    if (rc == 0 && strcmp(c->mechanism, "PLAIN") == 0 &&
        (dw_buf_put(raw, nul) < 0 || dw_buf_put(raw, c->authcid) < 0 || dw_buf_put(raw, nul) < 0 ||
         dw_buf_put(raw, c->password) < 0))
        rc = -1;
    return rc < 0 ? dw_error_set(why, DW_ERROR_INTERNAL, "out of memory for a login at the backend") : 0;
}

static int send_auth(struct login *l, const struct dw_xmpp_credentials *c)
{
    struct dw_buf raw = {0}, text = {0};
    int rc = put_message(&raw, c, &l->why);
    if (rc == 0 && (dw_buf_printf(&text, "<auth xmlns='" DW_XML_SASL "' mechanism='%s'>", c->mechanism) < 0 ||
                    (dw_buf_len(&raw) ? dw_base64_put(&text, dw_buf_span(&raw)) : dw_buf_put_u8(&text, '=')) < 0 ||
                    dw_buf_printf(&text, "</auth>") < 0))
        rc = dw_error_set(&l->why, DW_ERROR_INTERNAL, "out of memory for a login at the backend");
    if (rc == 0)
        rc = send_text(l, dw_buf_span(&text));
    dw_buf_free(&raw);
    dw_buf_free(&text);
    return rc;
}

/* White space keeps a stream alive and says nothing. */
static bool says_more(const struct login *l)
{
    struct dw_span waiting = input(l);
    for (size_t i = 0; i < waiting.len; i++)
        if (!strchr(" \t\r\n", waiting.at[i]))
            return true;
    return false;
}

void dw_xmpp_login_go(struct dw_machine *m, const struct dw_xmpp_credentials *credentials)
{
    struct login *l = login_of(m);
    int all = (int)dw_buf_len(&l->offered);
    if (l->state != READY)
        return;
    if (!offers(l, credentials->mechanism)) {
        dw_error_set(&l->why, DW_ERROR_TEMPORARY, "the backend of %.80s does not offer SASL %.20s; it offers %.*s",
                     l->domain, credentials->mechanism, all ? all - 1 : 7,
                     all ? (const char *)dw_buf_span(&l->offered).at : "nothing");
        l->state = CLOSED;
    } else if (says_more(l)) {
        dw_error_set(&l->why, DW_ERROR_TEMPORARY, "the backend of %.80s answered before it was asked", l->domain);
        l->state = CLOSED;
    } else {
        l->state = send_auth(l, credentials) < 0 ? CLOSED : AWAIT_SUCCESS;
    }
}

/* ---- What the server says. */

/* The name of a condition, and the text beside it, of <failure/> or <stream:error/>. */
static void tell_condition(const struct dw_xml_node *error, const char **condition, struct dw_span *text,
                           struct dw_span *about)
{
    *condition = "no condition";
    *text = *about = DW_SPAN_OF("");
    for (const struct dw_xml_node *child = error->first; child; child = child->next) {
        if (strcmp(child->ns, DW_XML_SASL) != 0 && strcmp(child->ns, DW_XML_STREAM_ERRORS) != 0)
            continue;
        if (strcmp(child->name, "text") == 0) {
            *text = dw_xml_text(child);
        } else {
            *condition = child->name;
            *about = dw_xml_text(child);
        }
    }
}

enum { MOST_SHOWN = 120 };

static int shown(struct dw_span text)
{
    return (int)(text.len < MOST_SHOWN ? text.len : MOST_SHOWN);
}

static enum dw_act take_stream_error(struct login *l, struct dw_effect *fx, const struct dw_xml_node *error)
{
    const char *condition;
    struct dw_span text, about;
    tell_condition(error, &condition, &text, &about);
    if (strcmp(condition, "see-other-host") == 0)
        return refuse(l, fx, DW_ERROR_TEMPORARY,
                      "the backend of %.80s sends us elsewhere (see-other-host): name %.*s in backend.connect",
                      l->domain, shown(about), (const char *)about.at);
    if (strcmp(condition, "host-unknown") == 0)
        return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend does not serve %.80s (host-unknown)", l->domain);
    return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s ended the stream: %.60s%s%.*s", l->domain,
                  condition, text.len ? ": " : "", shown(text), (const char *)text.at);
}

static enum dw_act take_failure(struct login *l, struct dw_effect *fx, const struct dw_xml_node *failure)
{
    static const char *const of_the_user[] = {"not-authorized", "account-disabled", "credentials-expired",
                                              "invalid-authzid"};
    const char *condition;
    struct dw_span text, about;
    enum dw_error_kind kind = DW_ERROR_TEMPORARY;
    tell_condition(failure, &condition, &text, &about);
    for (size_t i = 0; i < sizeof of_the_user / sizeof *of_the_user; i++)
        if (strcmp(condition, of_the_user[i]) == 0)
            kind = DW_ERROR_DENIED;
    return refuse(l, fx, kind, "the backend of %.80s refused the login: %.60s%s%.*s", l->domain, condition,
                  text.len ? ": " : "", shown(text), (const char *)text.at);
}

static enum dw_act unexpected(struct login *l, struct dw_effect *fx, const struct dw_xml_node *node,
                              const char *wanted)
{
    return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s sent <%.60s xmlns='%.80s'/> where %s was due",
                  l->domain, node->name, node->ns, wanted);
}

static enum dw_act take_header(struct login *l, struct dw_effect *fx, const struct dw_xml_node *header)
{
    const char *from = dw_xml_attribute(header, "from"), *version = dw_xml_attribute(header, "version");
    if (!dw_xml_is(header, DW_XML_STREAMS, "stream") || strcmp(dw_xml_content_ns(l->xml), DW_XML_CLIENT) != 0)
        return refuse(l, fx, DW_ERROR_TEMPORARY,
                      "the backend of %.80s is no XMPP server for clients: is backend.connect its client port?",
                      l->domain);
    if (from && !dw_span_equal_nocase(dw_span_str(from), dw_span_str(l->domain)))
        return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s answers as %.80s", l->domain, from);
    /* RFC 6120 section 4.7.5: without a version there are no features; what comes is an error, or nothing. */
    l->state = AWAIT_FEATURES;
    if (version && atoi(version) < 1)
        return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s speaks no XMPP 1.0", l->domain);
    return DW_NEED;
}

static int note_mechanisms(struct login *l, const struct dw_xml_node *features)
{
    const struct dw_xml_node *list = dw_xml_child(features, DW_XML_SASL, "mechanisms");
    dw_buf_clear(&l->offered, 0);
    for (const struct dw_xml_node *one = list ? list->first : NULL; one; one = one->next) {
        struct dw_span name = dw_xml_text(one);
        if (!dw_xml_is(one, DW_XML_SASL, "mechanism") || name.len == 0 || name.len > 20)
            continue;
        if (dw_buf_len(&l->offered) < 200 &&
            (dw_buf_put(&l->offered, name) < 0 || dw_buf_put_u8(&l->offered, ' ') < 0))
            return -1;
    }
    return 0;
}

static enum dw_act take_features(struct login *l, struct dw_effect *fx, const struct dw_xml_node *features)
{
    if (!dw_xml_is(features, DW_XML_STREAMS, "features"))
        return unexpected(l, fx, features, "<stream:features/>");
    const struct dw_xml_node *starttls = dw_xml_child(features, DW_XML_TLS, "starttls");
    if (l->context && !l->tls) {
        if (!starttls)
            return refuse(l, fx, DW_ERROR_TEMPORARY,
                          "the backend of %.80s offers no STARTTLS: is a certificate set up there? (over loopback, "
                          "backend.tls = \"none\" does without)",
                          l->domain);
        l->state = AWAIT_PROCEED;
        return send_text(l, DW_SPAN_OF("<starttls xmlns='" DW_XML_TLS "'/>")) < 0 ? closed(l, fx) : DW_NEED;
    }
    if (!l->tls && starttls && dw_xml_child(starttls, DW_XML_TLS, "required"))
        return refuse(l, fx, DW_ERROR_TEMPORARY,
                      "the backend of %.80s requires STARTTLS, and backend.tls is \"none\"", l->domain);
    if (note_mechanisms(l, features) < 0)
        return no_memory(l, fx);
    l->state = READY;
    fx->meta = DW_SPAN_OF("");
    return DW_META;
}

static enum dw_act start_tls(struct login *l, struct dw_effect *fx, const struct dw_xml_node *answer)
{
    if (dw_xml_is(answer, DW_XML_TLS, "failure"))
        return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s cannot do STARTTLS just now", l->domain);
    if (!dw_xml_is(answer, DW_XML_TLS, "proceed"))
        return unexpected(l, fx, answer, "<proceed/>");
    if (input(l).len)
        return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s sent octets in the clear behind <proceed/>",
                      l->domain);
    dw_xml_free(&l->xml);
    l->tls = dw_tls_connect(l->context, l->name, NULL, l->pair);
    if (!l->tls)
        return no_memory(l, fx);
    l->state = AWAIT_TLS;
    struct dw_error why;
    if (dw_tls_feed(l->tls, DW_SPAN_NONE, &l->plain, &l->machine.out, &why) < 0)
        return as_told(l, fx, &why);
    return DW_NEED;
}

/* RFC 6120 section 6.4.6: from here on the server waits for our header; what it says before it is not for the user. */
static enum dw_act take_result(struct login *l, struct dw_effect *fx, const struct dw_xml_node *result)
{
    if (dw_xml_is(result, DW_XML_SASL, "failure"))
        return take_failure(l, fx, result);
    if (!dw_xml_is(result, DW_XML_SASL, "success"))
        return unexpected(l, fx, result, "<success/>");
    dw_xml_free(&l->xml);
    dw_buf_free(&l->offered);
    l->state = IN;
    fx->meta = DW_SPAN_OF("");
    return DW_META;
}

static enum dw_act take_stanza(struct login *l, struct dw_effect *fx, const struct dw_xml_node *node)
{
    if (dw_xml_is(node, DW_XML_STREAMS, "error"))
        return take_stream_error(l, fx, node);
    switch (l->state) {
    case AWAIT_FEATURES: return take_features(l, fx, node);
    case AWAIT_PROCEED: return start_tls(l, fx, node);
    case AWAIT_SUCCESS: return take_result(l, fx, node);
    default: return unexpected(l, fx, node, "nothing");
    }
}

/* ---- The machine. */

/* SSH, SMTP and many more greet with a word: it is told at once, not when a deadline has passed. */
static bool is_no_xml(struct login *l)
{
    struct dw_span first = input(l);
    if (l->state != AWAIT_HEADER || l->begun || first.len == 0)
        return false;
    l->begun = true;
    return !memchr("< \t\r\n", first.at[0], 5);
}

static enum dw_act parse(struct login *l, struct dw_effect *fx)
{
    enum dw_act act = DW_NEED;
    if (is_no_xml(l))
        return refuse(
            l, fx, DW_ERROR_TEMPORARY,
            "the backend of %.80s speaks no XMPP: is backend.connect its client port, and one without direct "
            "TLS?",
            l->domain);
    while (act == DW_NEED && l->xml) {
        struct dw_error why;
        size_t used = 0;
        int what = dw_xml_feed(l->xml, input(l), &used, &why);
        consume(l, used);
        if (what < 0)
            return as_told(l, fx, &why);
        if (what == DW_XML_MORE)
            break;
        if (what == DW_XML_END)
            return refuse(l, fx, DW_ERROR_TEMPORARY, "the backend of %.80s ended the stream before the user was in",
                          l->domain);
        const struct dw_xml_node *node = dw_xml_node(l->xml);
        act = what == DW_XML_HEADER ? take_header(l, fx, node) : take_stanza(l, fx, node);
    }
    return act;
}

static enum dw_act pass(struct login *l, struct dw_effect *fx)
{
    struct dw_span all = input(l);
    if (all.len && l->state == IN)
        return refuse(l, fx, DW_ERROR_TEMPORARY,
                      "the backend of %.80s sent octets between <success/> and the restart of the stream",
                      l->domain);
    if (all.len == 0)
        return DW_NEED;
    fx->frame = (struct dw_frame){.body = all};
    if (l->tls)
        l->lent = all.len;
    else
        consume(l, all.len);
    return DW_DATA;
}

static enum dw_act login_next(struct dw_machine *m, struct dw_effect *fx)
{
    struct login *l = login_of(m);
    struct dw_error why;
    if (l->state == CLOSED)
        return closed(l, fx);
    int up = l->tls ? decrypt(l, &why) : 0;
    if (up < 0)
        return as_told(l, fx, &why);
    if (up > 0 && send_header(l) < 0)
        return closed(l, fx);
    enum dw_act act = l->state == IN || l->state == OPEN ? pass(l, fx) : parse(l, fx);
    if (act == DW_NEED && l->tls_ended)
        return refuse(l, fx, l->state == OPEN ? DW_ERROR_CLOSED : DW_ERROR_TEMPORARY,
                      "the backend of %.80s ended TLS", l->domain);
    return act;
}

static int login_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err)
{
    struct login *l = login_of(m);
    if (l->state == IN) {
        l->state = OPEN;
        if (l->tls)
            dw_tls_settle(l->tls);
    }
    if (l->state != OPEN)
        return dw_error_set(err, DW_ERROR_INTERNAL, "nothing can be sent to the backend before the user is in");
    if (send_text(l, frame.body) == 0)
        return 0;
    if (err)
        *err = l->why;
    return -1;
}

static void login_answer(struct dw_machine *m, bool allowed)
{
    (void)m, (void)allowed; /* it asks nothing */
}

static void login_free(struct dw_machine *m)
{
    struct login *l = login_of(m);
    dw_xml_free(&l->xml);
    dw_tls_free(&l->tls);
    dw_tls_context_release(&l->context);
    dw_buf_free(&l->plain);
    dw_buf_free(&l->offered);
    free(l->domain);
    free(l->name);
    free(l);
}

struct dw_machine *dw_xmpp_login_new(const struct dw_xmpp_login_options *options)
{
    static const struct dw_machine_ops ops = {login_next, login_push, login_answer, login_free};
    struct login *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    struct dw_machine *m = &l->machine;
    dw_machine_init(m, &ops, options->meter);
    l->plain.meter = l->offered.meter = options->meter;
    l->context = dw_tls_context_hold(options->tls);
    l->pair = options->pair;
    l->domain = strdup(options->domain);
    l->name = strdup(options->name ? options->name : options->domain);
    if (!l->domain || !l->name || dw_buf_put(&m->out, options->preamble) < 0 || send_header(l) < 0)
        dw_machine_free(&m);
    return m;
}

const struct dw_tls *dw_xmpp_login_tls(const struct dw_machine *m)
{
    return login_of(m)->tls;
}

const char *dw_xmpp_login_state(const struct dw_machine *m)
{
    switch (login_of(m)->state) {
    case AWAIT_HEADER: return "header";
    case AWAIT_FEATURES: return "features";
    case AWAIT_PROCEED: return "starttls";
    case AWAIT_TLS: return "tls";
    case READY: return "ready";
    case AWAIT_SUCCESS: return "sasl";
    case IN: return "restart";
    case OPEN: return "open";
    default: return "closed";
    }
}
