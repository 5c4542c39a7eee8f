/* The stream until SASL and at its restarts (RFC 6120 sections 4 and 5): headers, STARTTLS, and every way to end. */
#include "base/text.h"
#include "xmpp/client_impl.h"
#include "xmpp/errors.h"
#include "xmpp/features.h"
#include "xmpp/jid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    MOST_WAITING = 65536, /* octets that may wait, unread, for an answer of the driver's */
    MOST_JID = 3071, /* RFC 7622 section 3.1 */
    MOST_LANGUAGE = 63,
};

const char *dw_client_shown(char into[96], const char *text)
{
    size_t len = strnlen(text, 92);
    bool is_cut = text[len] != '\0';
    while (is_cut && len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++)
        into[i] = (uint8_t)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    memcpy(into + len, is_cut ? ".." : "", is_cut ? 3 : 1);
    return into;
}

/* ---- The ends. */

enum dw_act dw_client_closed(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    if (c->why)
        fx->why = *c->why;
    else
        dw_error_set(&fx->why, DW_ERROR_INTERNAL, "memory is out");
    return DW_CLOSE;
}

static void tell_why(struct dw_xmpp_client *c, const struct dw_error *why)
{
    if (!c->why)
        c->why = malloc(sizeof *c->why);
    if (c->why && c->why != why)
        *c->why = *why;
}

static enum dw_act close_for(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_error *why)
{
    tell_why(c, why);
    if (c->tls_up)
        dw_tls_end(c->tls, &c->machine.out);
    dw_client_forget_login(c);
    dw_buf_free(&c->plain);
    dw_buf_free(&c->ending);
    c->state = dw_client_closed;
    return fx ? dw_client_closed(c, fx) : DW_CLOSE;
}

enum dw_act dw_client_close(struct dw_xmpp_client *c, struct dw_effect *fx, enum dw_error_kind kind,
                            const char *format, ...)
{
    struct dw_error why = {.kind = kind};
    va_list args;
    va_start(args, format);
    vsnprintf(why.detail, sizeof why.detail, format, args);
    va_end(args);
    return close_for(c, fx, &why);
}

enum dw_act dw_client_fail(struct dw_xmpp_client *c, struct dw_effect *fx, enum dw_error_kind kind,
                           const char *condition, const char *format, ...)
{
    struct dw_error why = {.kind = kind};
    int at = snprintf(why.detail, sizeof why.detail, "%s: ", condition);
    va_list args;
    va_start(args, format);
    vsnprintf(why.detail + at, sizeof why.detail - (size_t)at, format, args);
    va_end(args);
    dw_client_say_error(c, condition, NULL);
    return close_for(c, fx, &why);
}

enum dw_act dw_client_need(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    if (c->tls_failed && c->why)
        return close_for(c, fx, c->why);
    if (c->tls_failed)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    if (c->tls_ended)
        return dw_client_close(c, fx, DW_ERROR_CLOSED, "the client has ended TLS");
    return DW_NEED;
}

/* ---- Octets in and out. */

void dw_client_read(struct dw_xmpp_client *c)
{
    struct dw_machine *m = &c->machine;
    struct dw_error err = {0};
    if (!c->tls || m->left == 0)
        return;
    if (!c->tls_ended && !c->tls_failed) {
        int rc = dw_tls_feed(c->tls, dw_span_make(m->at, m->left), &c->plain, &m->out, &err);
        if (rc < 0) {
            c->tls_failed = true;
            tell_why(c, &err);
        }
        c->tls_up = c->tls_up || rc == DW_TLS_UP;
        c->tls_ended = rc == DW_TLS_ENDED;
    }
    dw_machine_consume(m, m->left);
}

struct dw_span dw_client_input(const struct dw_xmpp_client *c)
{
    return c->tls ? dw_buf_span(&c->plain) : dw_span_make(c->machine.at, c->machine.left);
}

void dw_client_consume(struct dw_xmpp_client *c, size_t len)
{
    if (c->tls)
        dw_buf_take(&c->plain, len);
    else if (len > 0)
        dw_machine_consume(&c->machine, len);
    if (c->tls && dw_buf_len(&c->plain) == 0)
        dw_buf_clear(&c->plain, 0);
}

int dw_client_say(struct dw_xmpp_client *c, struct dw_span octets)
{
    struct dw_error err = {0};
    if (c->tls_up ? dw_tls_send(c->tls, octets, &c->machine.out, &err) == 0
                  : dw_buf_put(&c->machine.out, octets) == 0)
        return 0;
    if (err.kind == DW_ERROR_NONE)
        dw_error_set(&err, DW_ERROR_INTERNAL, "memory is out");
    tell_why(c, &err);
    return -1;
}

int dw_client_say_text(struct dw_xmpp_client *c, struct dw_buf *text, bool failed)
{
    int rc = -1;
    if (failed)
        tell_why(c, &(struct dw_error){DW_ERROR_INTERNAL, "memory is out"});
    else
        rc = dw_client_say(c, dw_buf_span(text));
    dw_buf_free(text);
    return rc;
}

/* ---- Headers. */

static int put_attribute(struct dw_buf *out, const char *name, const char *value)
{
    if (!value)
        return 0;
    int rc = dw_buf_printf(out, " %s='", name) | dw_xml_escape(out, dw_span_str(value));
    return rc | dw_buf_printf(out, "'");
}

/* RFC 6120 section 4.7: an id that nobody can guess, `to` when the client has said who it is. */
static int put_header(struct dw_xmpp_client *c, struct dw_buf *out)
{
    uint8_t id[12];
    const char *from = c->domain ? c->domain : c->login ? c->login->asked : NULL;
    if (from && strlen(from) > MOST_JID)
        from = NULL;
    if (c->header_sent)
        return 0;
    c->header_sent = true;
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
        return -1;
    int rc = dw_buf_printf(out, "<?xml version='1.0'?><stream:stream xmlns='" DW_XML_CLIENT
                                "' xmlns:stream='" DW_XML_STREAMS "' id='");
    rc |= dw_text_hex(out, dw_span_make(id, sizeof id)) | dw_buf_printf(out, "'");
    rc |= put_attribute(out, "from", from) | put_attribute(out, "to", c->from);
    return rc | dw_buf_printf(out, " version='1.0' xml:lang='en'>");
}

void dw_client_say_error(struct dw_xmpp_client *c, const char *condition, const char *text)
{
    struct dw_buf out = {.meter = c->options.meter};
    if (c->tls && !c->tls_up)
        return;
    bool failed = put_header(c, &out) < 0 || dw_stream_error_put(&out, condition, text) < 0;
    dw_client_say_text(c, &out, failed);
}

int dw_client_begin(struct dw_xmpp_client *c)
{
    const struct dw_xml_limits limits = {
        .bytes = c->options.pre_auth_bytes, .depth = 8, .elements = 64, .attributes = 32};
    dw_xml_free(&c->login->xml);
    c->login->begun = c->header_sent = false;
    c->login->xml = dw_xml_new(&limits, c->options.meter);
    if (c->login->xml)
        return 0;
    tell_why(c, &(struct dw_error){DW_ERROR_INTERNAL, "memory is out"});
    return -1;
}

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

int dw_client_take(struct dw_xmpp_client *c, struct dw_effect *fx, enum dw_act *act)
{
    struct dw_error err = {0};
    struct dw_client_login *login = c->login;
    size_t used;
    dw_client_read(c);
    while (!login->begun && dw_client_input(c).len > 0 && is_blank(*dw_client_input(c).at))
        dw_client_consume(c, 1);
    struct dw_span in = dw_client_input(c);
    login->begun = login->begun || in.len > 0;
    int got = dw_xml_feed(login->xml, in, &used, &err);
    if (got < 0)
        *act = dw_client_fail(c, fx, err.kind, dw_xml_condition(login->xml), "%s",
                              err.detail + strlen(dw_xml_condition(login->xml)) + 2);
    else if (c->welcome && dw_buf_put(&login->restart, dw_span_make(in.at, used)) < 0)
        *act = dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    else if (dw_client_consume(c, used), got == DW_XML_MORE)
        *act = dw_client_need(c, fx);
    else
        return got;
    return DW_XML_MORE;
}

enum dw_act dw_client_unexpected(struct dw_xmpp_client *c, struct dw_effect *fx, int got)
{
    const struct dw_xml_node *node = dw_xml_node(c->login->xml);
    char name[96];
    if (got == DW_XML_END || dw_xml_is(node, DW_XML_STREAMS, "error")) {
        dw_client_say(c, DW_SPAN_OF("</stream:stream>"));
        return dw_client_close(c, fx, DW_ERROR_CLOSED, "the client has ended its stream%s%s",
                               got == DW_XML_END ? "" : " with an error: ",
                               got == DW_XML_END ? ""
                               : node->first     ? dw_client_shown(name, node->first->name)
                                                 : "none named");
    }
    if (dw_xml_is(node, DW_XML_TLS, "starttls")) { /* RFC 6120 section 5.4.2.2 */
        dw_client_say(c, DW_SPAN_OF("<failure xmlns='" DW_XML_TLS "'/></stream:stream>"));
        return dw_client_close(c, fx, DW_ERROR_PROTOCOL, "STARTTLS within TLS");
    }
    dw_client_shown(name, node->name);
    /* RFC 6120 sections 4.9.3.12 and 4.9.3.24. */
    if (dw_xml_is(node, DW_XML_CLIENT, "message") || dw_xml_is(node, DW_XML_CLIENT, "presence") ||
        dw_xml_is(node, DW_XML_CLIENT, "iq"))
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "not-authorized", "<%s/> before authentication", name);
    return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "unsupported-stanza-type", "<%s/> has no place here", name);
}

static int keep(char **where, const char *value)
{
    free(*where);
    *where = value ? dw_text_dup(dw_span_str(value)) : NULL;
    return value && !*where ? -1 : 0;
}

/* "1.0", and whatever else is of a major version that is not below 1 (RFC 6120 section 4.7.5). */
static bool is_version(const char *version)
{
    size_t major = strspn(version, "0123456789");
    if (major == 0 || version[major] != '.')
        return false;
    size_t minor = strspn(version + major + 1, "0123456789");
    return minor > 0 && version[major + 1 + minor] == '\0' && strspn(version, "0") < major;
}

static const char *served(const struct dw_xmpp_client *c, const char *to)
{
    for (const char *const *domain = c->options.domains; *domain; domain++)
        if (dw_jid_same_domain(dw_span_str(to), dw_span_str(*domain)))
            return *domain;
    return NULL;
}

/* RFC 6120 section 4.7.1: who the client says it is may not be somebody of elsewhere, nor, once it is known, another.  A
 * name without a localpart is nobody's: XML::Stream (sendxmpp) tells its own host's. */
static bool is_from_fit(const struct dw_xmpp_client *c, const char *from)
{
    struct dw_span local, domain, resource, user = dw_buf_span(&c->login->user), user_local, user_domain, none;
    if (!dw_jid_split(dw_span_str(from), &local, &domain, &resource))
        return false;
    if (!local.at)
        return !resource.at;
    if (!dw_jid_same_domain(domain, dw_span_str(c->domain)))
        return false;
    return !c->welcome || user.len == 0 ||
           (dw_jid_split(user, &user_local, &user_domain, &none) && dw_span_equal_nocase(local, user_local));
}

/* RFC 6120 section 4.8: namespaces. */
static enum dw_act check_namespaces(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_xml_node *node)
{
    char shown[96];
    if (strcmp(node->ns, DW_XML_STREAMS) != 0)
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "invalid-namespace", "the stream's is %s",
                              dw_client_shown(shown, node->ns));
    if (strcmp(node->name, "stream") != 0)
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "bad-format", "<%s/> is no stream header",
                              dw_client_shown(shown, node->name));
    if (strcmp(node->prefix, "stream") != 0)
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "bad-namespace-prefix", "the stream's is %s",
                              dw_client_shown(shown, node->prefix));
    if (strcmp(dw_xml_content_ns(c->login->xml), DW_XML_CLIENT) != 0)
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "invalid-namespace", "the content's is %s",
                              dw_client_shown(shown, dw_xml_content_ns(c->login->xml)));
    return DW_NEED;
}

static enum dw_act check_addresses(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    char shown[96];
    const char *to = c->login->asked, *domain = to ? served(c, to) : NULL;
    if (!to || !to[0])
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "improper-addressing", "the header has no \"to\"");
    if (c->domain && (!domain || strcmp(domain, c->domain) != 0))
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "not-authorized",
                              "the stream was for %s, and its restart is for %s", c->domain,
                              dw_client_shown(shown, to));
    if (!domain)
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "host-unknown", "%s is not served here",
                              dw_client_shown(shown, to));
    c->domain = domain;
    if (c->from && !is_from_fit(c, c->from))
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "invalid-from", "the header is from %s",
                              dw_client_shown(shown, c->from));
    return DW_NEED;
}

static enum dw_act check_header(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    const struct dw_xml_node *node = dw_xml_node(c->login->xml);
    const char *version = dw_xml_attribute(node, "version");
    char shown[96];
    const char *from = dw_xml_attribute(node, "from"), *lang = dw_xml_lang(node);
    bool is_from_long = from && strlen(from) > MOST_JID;
    /* They are kept as long as the stream. */
    if (keep(&c->login->asked, dw_xml_attribute(node, "to")) < 0 ||
        keep(&c->from, is_from_long ? NULL : from) < 0 ||
        keep(&c->lang, lang && strlen(lang) > MOST_LANGUAGE ? NULL : lang) < 0)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    if (is_from_long)
        return dw_client_fail(c, fx, DW_ERROR_LIMIT, "invalid-from", "it is no address, being %zu octets long",
                              strlen(from));
    enum dw_act act = check_namespaces(c, fx, node);
    if (act == DW_NEED)
        act = check_addresses(c, fx);
    if (act == DW_NEED && (!version || !is_version(version)))
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "unsupported-version", "the header's is %s",
                              version ? dw_client_shown(shown, version) : "none: a client from before SASL");
    return act;
}

static enum dw_act open_traffic(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    dw_tls_settle(c->tls);
    fx->meta = dw_buf_span(&c->login->restart);
    c->state = dw_client_await_data;
    return DW_META;
}

enum dw_act dw_client_await_header(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    struct dw_buf out = {.meter = c->options.meter};
    enum dw_act act = DW_NEED;
    if (dw_client_take(c, fx, &act) == DW_XML_MORE || (act = check_header(c, fx)) != DW_NEED)
        return act;
    if (c->welcome)
        return open_traffic(c, fx);
    bool failed = put_header(c, &out) < 0 || (!c->tls && dw_features_put_starttls(&out) < 0);
    if (dw_client_say_text(c, &out, failed) < 0)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    c->state = c->tls ? dw_client_await_offer : dw_client_await_starttls;
    return c->tls ? DW_ASK_REALM : c->state(c, fx);
}

enum dw_act dw_client_await_offer(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    if (c->machine.left + dw_buf_len(&c->plain) > MOST_WAITING)
        return dw_client_fail(c, fx, DW_ERROR_LIMIT, "policy-violation",
                              "the client does not wait for its features");
    return dw_client_need(c, fx);
}

/* ---- STARTTLS (RFC 6120 section 5). */

static enum dw_act starttls(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    /* What follows in the clear could be anybody's: it would otherwise be taken for what came by TLS. */
    if (c->machine.left > 0)
        return dw_client_fail(c, fx, DW_ERROR_PROTOCOL, "policy-violation",
                              "octets follow <starttls/> in the clear");
    if (dw_client_say(c, DW_SPAN_OF("<proceed xmlns='" DW_XML_TLS "'/>")) < 0)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    dw_xml_free(&c->login->xml);
    c->tls = dw_tls_accept(c->options.tls, c->domain);
    if (!c->tls)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    c->state = dw_client_handshake;
    return DW_NEED;
}

enum dw_act dw_client_await_starttls(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    for (;;) {
        enum dw_act act = DW_NEED;
        int got = dw_client_take(c, fx, &act);
        if (got == DW_XML_MORE)
            return act;
        const struct dw_xml_node *node = dw_xml_node(c->login->xml);
        if (got == DW_XML_STANZA && dw_xml_is(node, DW_XML_TLS, "starttls"))
            return starttls(c, fx);
        if (got == DW_XML_STANZA && strcmp(node->ns, DW_XML_SASL) == 0)
            act = dw_client_sasl_stanza(c, fx, node);
        else
            act = dw_client_unexpected(c, fx, got);
        if (act != DW_NEED)
            return act;
    }
}

enum dw_act dw_client_handshake(struct dw_xmpp_client *c, struct dw_effect *fx)
{
    dw_client_read(c);
    if (!c->tls_up)
        return dw_client_need(c, fx);
    if (dw_client_begin(c) < 0)
        return dw_client_close(c, fx, DW_ERROR_INTERNAL, "memory is out");
    c->state = dw_client_await_header;
    return c->state(c, fx);
}
