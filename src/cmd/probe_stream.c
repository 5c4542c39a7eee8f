/* An XMPP client's stream over a blocking socket; see probe_stream.h. */
#include "cmd/probe_stream.h"

#include "cmd/probe_step.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void dw_probe_stream_free(struct dw_probe_stream *s)
{
    dw_tls_free(&s->tls);
    dw_xml_free(&s->xml);
    dw_buf_free(&s->plain);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static int put_out(struct dw_probe_stream *s, struct dw_span octets, struct dw_error *err)
{
    while (octets.len > 0) {
        ssize_t n = send(s->fd, octets.at, octets.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return dw_error_set(err, DW_ERROR_CLOSED, "sending: %m");
        if (n > 0)
            octets = dw_span_make(octets.at + n, octets.len - (size_t)n);
    }
    return 0;
}

int dw_probe_send(struct dw_probe_stream *s, struct dw_span text, struct dw_error *err)
{
    struct dw_buf out = {0};
    if (!s->tls)
        return put_out(s, text, err);
    int rc = dw_tls_send(s->tls, text, &out, err);
    if (rc == 0)
        rc = put_out(s, dw_buf_span(&out), err);
    dw_buf_free(&out);
    return rc;
}

/* What has come of TLS, and what it has to say to it: the state, or -1. */
static int unwrap(struct dw_probe_stream *s, struct dw_span octets, struct dw_error *err)
{
    struct dw_buf out = {0};
    struct dw_error ignored;
    int state = dw_tls_feed(s->tls, octets, &s->plain, &out, err);
    if (put_out(s, dw_buf_span(&out), state < 0 ? &ignored : err) < 0)
        state = -1;
    dw_buf_free(&out);
    s->ended = s->ended || state == DW_TLS_ENDED;
    return state;
}

/* Waits for octets and takes them in: 0, or -1 with `err` told.  At the end `ended` is set. */
static int receive(struct dw_probe_stream *s, struct dw_error *err)
{
    uint8_t octets[16384];
    struct pollfd poller = {.fd = s->fd, .events = POLLIN};
    double left = s->deadline - dw_step_now();
    int rc = poll(&poller, 1, left > 0 ? (int)left + 1 : 0);
    if (rc < 0)
        return errno == EINTR ? 0 : dw_error_set(err, DW_ERROR_INTERNAL, "poll: %m");
    if (rc == 0)
        return dw_error_set(err, DW_ERROR_TEMPORARY, "nothing more comes: out of time");
    ssize_t n = read(s->fd, octets, sizeof octets);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0) {
        s->ended = true;
        return 0;
    }
    struct dw_span came = dw_span_make(octets, (size_t)n);
    if (s->tls)
        return unwrap(s, came, err) < 0 ? -1 : 0;
    return dw_buf_put(&s->plain, came) < 0 ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
}

int dw_probe_secure(struct dw_probe_stream *s, struct dw_tls_context *context, const char *name, const char *alpn,
                    struct dw_error *err)
{
    s->tls = dw_tls_connect(context, name, alpn, NULL);
    if (!s->tls)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (unwrap(s, DW_SPAN_NONE, err) < 0)
        return -1;
    while (!dw_tls_version(s->tls)) {
        if (s->ended)
            return dw_error_set(err, DW_ERROR_CLOSED, "the server closed the connection in the TLS handshake");
        if (receive(s, err) < 0)
            return -1;
    }
    return 0;
}

/* The next thing of the stream, whatever it is: DW_XML_HEADER, .., or -1. */
static int next(struct dw_probe_stream *s, struct dw_error *err)
{
    for (;;) {
        size_t used = 0;
        int what = dw_xml_feed(s->xml, dw_buf_span(&s->plain), &used, err);
        dw_buf_take(&s->plain, used);
        if (what != DW_XML_MORE)
            return what;
        if (s->ended)
            return dw_error_set(err, DW_ERROR_CLOSED, "the server closed the connection");
        if (receive(s, err) < 0)
            return -1;
    }
}

int dw_probe_open(struct dw_probe_stream *s, const char *domain, struct dw_error *err)
{
    struct dw_buf header = {0};
    dw_xml_free(&s->xml);
    s->xml = dw_xml_new(NULL, NULL);
    int rc = s->xml ? dw_buf_printf(&header, "<?xml version='1.0'?><stream:stream xmlns='" DW_XML_CLIENT
                                             "' xmlns:stream='" DW_XML_STREAMS "' version='1.0' to='")
                    : -1;
    if (rc == 0)
        rc = dw_xml_escape(&header, dw_span_str(domain));
    if (rc == 0)
        rc = dw_buf_printf(&header, "'>");
    if (rc < 0)
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    else
        rc = dw_probe_send(s, dw_buf_span(&header), err);
    dw_buf_free(&header);
    int what = rc < 0 ? -1 : next(s, err);
    if (what < 0)
        return -1;
    if (what != DW_XML_HEADER || !dw_xml_is(dw_xml_node(s->xml), DW_XML_STREAMS, "stream"))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "what came is no XMPP stream");
    return 0;
}

static const struct dw_xml_node *stream_error(const struct dw_xml_node *node, struct dw_error *err)
{
    const struct dw_xml_node *condition = node->first, *text = dw_xml_child(node, DW_XML_STREAM_ERRORS, "text");
    struct dw_span words = text ? dw_xml_text(text) : DW_SPAN_NONE;
    dw_error_set(err, DW_ERROR_DENIED, "stream error %s%s%.*s", condition ? condition->name : "of no condition",
                 words.len ? ": " : "", (int)(words.len < 200 ? words.len : 200), (const char *)words.at);
    return NULL;
}

const struct dw_xml_node *dw_probe_next(struct dw_probe_stream *s, struct dw_error *err)
{
    int what = next(s, err);
    if (what < 0)
        return NULL;
    const struct dw_xml_node *node = dw_xml_node(s->xml);
    if (what == DW_XML_STANZA && dw_xml_is(node, DW_XML_STREAMS, "error"))
        return stream_error(node, err);
    if (what != DW_XML_STANZA)
        dw_error_set(err, DW_ERROR_CLOSED, "the server closed the stream");
    return what == DW_XML_STANZA ? node : NULL;
}

void dw_probe_leave(struct dw_probe_stream *s)
{
    struct dw_buf out = {0};
    if (s->fd < 0 || !s->xml || dw_probe_send(s, DW_SPAN_OF("</stream:stream>"), NULL) < 0)
        return;
    if (s->tls)
        dw_tls_end(s->tls, &out);
    put_out(s, dw_buf_span(&out), NULL);
    dw_buf_free(&out);
}
