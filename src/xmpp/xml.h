/* One XML stream between two restarts (RFC 6120 sections 4 and 11), for either side: expat on a short leash.
 *
 * Octets go in, in any pieces; out come the header, each child of the stream as a small tree, and the end.  There is no
 * document type, no comment, no processing instruction and no entity but the five (section 11.1); UTF-8 only (11.6);
 * depth, attributes, elements and octets are bounded.  Names are resolved to namespaces.  A restart is a new parser.
 *
 * One thread at a time. */
#ifndef DW_XMPP_XML_H
#define DW_XMPP_XML_H

#include "base/buf.h"
#include "base/error.h"

#define DW_XML_STREAMS "http://etherx.jabber.org/streams"
#define DW_XML_CLIENT "jabber:client"
#define DW_XML_TLS "urn:ietf:params:xml:ns:xmpp-tls"
#define DW_XML_SASL "urn:ietf:params:xml:ns:xmpp-sasl"
#define DW_XML_STREAM_ERRORS "urn:ietf:params:xml:ns:xmpp-streams"

struct dw_xml;

struct dw_xml_limits {
    size_t bytes; /* of a header or a stanza; 0: 65536 */
    unsigned depth; /* of elements below the stream; 0: 16 */
    unsigned elements; /* in one stanza; 0: 256 */
    unsigned attributes; /* of one element; 0: 32 */
};

struct dw_xml_attribute {
    const char *ns; /* "" when it has no prefix; xml:lang is in "http://www.w3.org/XML/1998/namespace" */
    const char *name, *value;
};

struct dw_xml_node {
    const char *ns, *name; /* "" when it is in no namespace */
    const char *prefix; /* as written; "" when none is */
    struct dw_xml_attribute *attribute;
    size_t attributes;
    struct dw_buf text; /* its own character data, joined; dw_xml_text */
    struct dw_xml_node *parent, *first, *last, *next; /* first and last child, next sibling */
};

/* NULL when memory is out.  `limits` may be NULL; `meter` too. */
struct dw_xml *dw_xml_new(const struct dw_xml_limits *limits, struct dw_meter *meter);
void dw_xml_free(struct dw_xml **xml);

enum {
    DW_XML_MORE = 0, /* all was taken, nothing is whole */
    DW_XML_HEADER, /* dw_xml_node: the stream's root without children */
    DW_XML_STANZA, /* dw_xml_node: a child of the stream, whole */
    DW_XML_END, /* the stream's end tag */
};
/* Takes `*used` octets of `bytes`, no more than up to and including the last of what is given back: what follows has not
 * been looked at.  (`bytes` may be empty: an empty root element gives DW_XML_HEADER, then DW_XML_END.)  -1 with `err`
 * told: dw_xml_condition then says which stream error it is; not called again after it, nor after DW_XML_END. */
int dw_xml_feed(struct dw_xml *xml, struct dw_span bytes, size_t *used, struct dw_error *err);

/* What the last call gave; lives until the next. */
const struct dw_xml_node *dw_xml_node(const struct dw_xml *xml);
/* The default namespace that the header declared; "" when it did not. */
const char *dw_xml_content_ns(const struct dw_xml *xml);
/* "not-well-formed", "restricted-xml", "unsupported-encoding", "bad-format", "policy-violation" (a bound was passed),
 * "internal-server-error" (memory); static. */
const char *dw_xml_condition(const struct dw_xml *xml);
/* Something of a stanza or header has begun that is not whole. */
bool dw_xml_is_amid(const struct dw_xml *xml);

bool dw_xml_is(const struct dw_xml_node *node, const char *ns, const char *name);
/* Of no namespace; NULL when it is not there. */
const char *dw_xml_attribute(const struct dw_xml_node *node, const char *name);
const char *dw_xml_lang(const struct dw_xml_node *node);
/* The first child of that name; NULL when there is none. */
const struct dw_xml_node *dw_xml_child(const struct dw_xml_node *node, const char *ns, const char *name);
static inline struct dw_span dw_xml_text(const struct dw_xml_node *node)
{
    return dw_buf_span(&node->text);
}

/* Appends `text` for character data or a value in either quotes; what XML cannot hold (controls, broken UTF-8) becomes
 * U+FFFD.  -1 when memory is out. */
int dw_xml_escape(struct dw_buf *out, struct dw_span text);

#endif
