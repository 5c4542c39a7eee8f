/* The parser of one stream: see xml.h.  Expat is given whole markup only, as boundary.h finds it: what it hands back is
 * then at an end that is known, and no attribute is scanned twice, in whatever pieces it arrives. */
#include "xmpp/xml.h"

#include "base/text.h"
#include "xmpp/boundary.h"
#include "xmpp/xml_tree.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* Later expats hold back what they think is unfinished; earlier ones do not have the call. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
XMLPARSEAPI(XML_Bool) XML_SetReparseDeferralEnabled(XML_Parser parser, XML_Bool enabled) __attribute__((weak));
#pragma GCC diagnostic pop

struct dw_xml {
    XML_Parser parser;
    struct dw_xml_limits limits;
    struct dw_meter *meter;
    struct dw_boundary scan;
    struct dw_buf pending; /* text in a stanza, and markup that is not whole */
    struct dw_xml_node *top, *in; /* the header or stanza, and its innermost open element */
    char *content_ns;
    unsigned depth, elements;
    size_t bytes; /* of the unit in hand */
    uint8_t looked; /* octets of the stream that were looked at for its encoding: at most two */
    int got;
    bool ended_too; /* the header's element was empty */
    const char *condition; /* once failed */
    enum dw_error_kind kind;
    char detail[200];
};

static int failed(struct dw_xml *x, enum dw_error_kind kind, const char *condition, const char *detail)
{
    if (!x->condition) {
        x->condition = condition;
        x->kind = kind;
        snprintf(x->detail, sizeof x->detail, "%s", detail);
    }
    return -1;
}

/* From inside a handler. */
static void stop(struct dw_xml *x, enum dw_error_kind kind, const char *condition, const char *detail)
{
    failed(x, kind, condition, detail);
    XML_StopParser(x->parser, XML_FALSE);
}

static void out_of_memory(struct dw_xml *x)
{
    stop(x, DW_ERROR_INTERNAL, "internal-server-error", "memory is out");
}

static void on_declaration(void *arg, const char *version, const char *encoding, int standalone)
{
    struct dw_xml *x = arg;
    (void)standalone;
    if (version && strcmp(version, "1.0") != 0)
        stop(x, DW_ERROR_PROTOCOL, "not-well-formed", "it declares another version of XML than 1.0");
    else if (encoding && !dw_span_equal_nocase(dw_span_str(encoding), DW_SPAN_OF("UTF-8")))
        stop(x, DW_ERROR_PROTOCOL, "unsupported-encoding", "it declares another encoding than UTF-8");
}

static void on_doctype(void *arg, const char *name, const char *sysid, const char *pubid, int has_internal)
{
    (void)name, (void)sysid, (void)pubid, (void)has_internal;
    stop(arg, DW_ERROR_PROTOCOL, "restricted-xml", "it declares a document type");
}

static void on_instruction(void *arg, const char *target, const char *data)
{
    (void)target, (void)data;
    stop(arg, DW_ERROR_PROTOCOL, "restricted-xml", "it holds a processing instruction");
}

static void on_comment(void *arg, const char *data)
{
    (void)data;
    stop(arg, DW_ERROR_PROTOCOL, "restricted-xml", "it holds a comment");
}

static void on_namespace(void *arg, const char *prefix, const char *uri)
{
    struct dw_xml *x = arg;
    if (prefix || x->depth > 0 || x->content_ns)
        return;
    x->content_ns = dw_text_dup(dw_span_str(uri ? uri : ""));
    if (!x->content_ns)
        out_of_memory(x);
}

static void on_start(void *arg, const char *name, const char **pairs)
{
    struct dw_xml *x = arg;
    size_t attributes = 0;
    while (pairs[2 * attributes])
        attributes++;
    if (x->condition)
        return;
    if (x->got) {
        stop(x, DW_ERROR_PROTOCOL, "not-well-formed", "an element begins inside another's tag");
    } else if (attributes > x->limits.attributes) {
        stop(x, DW_ERROR_LIMIT, "policy-violation", "an element has too many attributes");
    } else if (x->depth > x->limits.depth) {
        stop(x, DW_ERROR_LIMIT, "policy-violation", "elements are nested too deep");
    } else if (++x->elements > x->limits.elements) {
        stop(x, DW_ERROR_LIMIT, "policy-violation", "a stanza has too many elements");
    } else {
        struct dw_xml_node *node =
            dw_xml_node_new(x->depth > 1 ? x->in : NULL, name, (const char *const *)pairs, x->meter);
        if (!node) {
            out_of_memory(x);
            return;
        }
        x->in = node;
        if (x->depth <= 1)
            x->top = node;
        if (x->depth++ == 0)
            x->got = DW_XML_HEADER;
    }
}

static void on_end(void *arg, const char *name)
{
    struct dw_xml *x = arg;
    (void)name;
    if (x->condition)
        return;
    x->depth--;
    if (x->depth == 0 && x->got == DW_XML_HEADER)
        x->ended_too = true;
    else if (x->got)
        stop(x, DW_ERROR_PROTOCOL, "not-well-formed", "an element ends inside another's tag");
    else if (x->depth == 0)
        x->got = DW_XML_END;
    else if (x->depth == 1)
        x->got = DW_XML_STANZA;
    else
        x->in = x->in->parent;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

static void on_text(void *arg, const char *text, int len)
{
    struct dw_xml *x = arg;
    if (x->condition)
        return;
    if (x->depth > 1) {
        if (dw_buf_put(&x->in->text, dw_span_make(text, (size_t)len)) < 0)
            out_of_memory(x);
    } else if (!is_blank(text, (size_t)len)) { /* a reference, or a CDATA section */
        stop(x, DW_ERROR_PROTOCOL, "bad-format", "there is text between stanzas");
    }
}

static void set_up(struct dw_xml *x)
{
    unsigned long salt = 0;
    if (getrandom(&salt, sizeof salt, GRND_NONBLOCK) == (ssize_t)sizeof salt)
        XML_SetHashSalt(x->parser, salt);
    if (XML_SetReparseDeferralEnabled)
        XML_SetReparseDeferralEnabled(x->parser, XML_FALSE);
    XML_SetParamEntityParsing(x->parser, XML_PARAM_ENTITY_PARSING_NEVER);
    XML_SetReturnNSTriplet(x->parser, 1);
    XML_SetUserData(x->parser, x);
    XML_SetXmlDeclHandler(x->parser, on_declaration);
    XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
    XML_SetProcessingInstructionHandler(x->parser, on_instruction);
    XML_SetCommentHandler(x->parser, on_comment);
    XML_SetStartNamespaceDeclHandler(x->parser, on_namespace);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
}

struct dw_xml *dw_xml_new(const struct dw_xml_limits *limits, struct dw_meter *meter)
{
    static const XML_Memory_Handling_Suite memory = {malloc, realloc, free};
    static const char separator[] = {DW_XML_SEPARATOR, '\0'};
    struct dw_xml *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    if (limits)
        x->limits = *limits;
    x->limits.bytes = x->limits.bytes ? x->limits.bytes : 65536;
    x->limits.depth = x->limits.depth ? x->limits.depth : 16;
    x->limits.elements = x->limits.elements ? x->limits.elements : 256;
    x->limits.attributes = x->limits.attributes ? x->limits.attributes : 32;
    x->meter = x->pending.meter = meter;
    x->parser = XML_ParserCreate_MM("UTF-8", &memory, separator);
    if (!x->parser) {
        free(x);
        return NULL;
    }
    set_up(x);
    return x;
}

void dw_xml_free(struct dw_xml **xml)
{
    struct dw_xml *gone = *xml;
    if (!gone)
        return;
    *xml = NULL;
    XML_ParserFree(gone->parser);
    dw_xml_node_free(&gone->top);
    dw_buf_free(&gone->pending);
    free(gone->content_ns);
    free(gone);
}

/* What the parser itself has found. */
static int not_parsed(struct dw_xml *x)
{
    enum XML_Error code = XML_GetErrorCode(x->parser);
    char detail[160];
    snprintf(detail, sizeof detail, "%s (line %lu, column %lu)", XML_ErrorString(code),
             XML_GetCurrentLineNumber(x->parser), XML_GetCurrentColumnNumber(x->parser));
    switch (code) {
    case XML_ERROR_NO_MEMORY: return failed(x, DW_ERROR_INTERNAL, "internal-server-error", "memory is out");
    case XML_ERROR_UNDEFINED_ENTITY:
    case XML_ERROR_ENTITY_DECLARED_IN_PE:
    case XML_ERROR_PARAM_ENTITY_REF: return failed(x, DW_ERROR_PROTOCOL, "restricted-xml", detail);
    case XML_ERROR_UNKNOWN_ENCODING:
    case XML_ERROR_INCORRECT_ENCODING: return failed(x, DW_ERROR_PROTOCOL, "unsupported-encoding", detail);
    default: return failed(x, DW_ERROR_PROTOCOL, "not-well-formed", detail);
    }
}

static int parse(struct dw_xml *x, struct dw_span bytes)
{
    enum XML_Status status = XML_Parse(x->parser, (const char *)bytes.at, (int)bytes.len, XML_FALSE);
    if (x->condition)
        return -1;
    return status == XML_STATUS_OK ? 0 : not_parsed(x);
}

/* Around stanzas there is nothing but white space: said here, since the parser would wait for the other quote of a
 * literal, looking at all of it again at every turn. */
static int check_blank(struct dw_xml *x, struct dw_span text)
{
    if (x->depth > 1 || is_blank((const char *)text.at, text.len))
        return 0;
    if (x->depth == 1)
        return failed(x, DW_ERROR_PROTOCOL, "bad-format", "there is text between stanzas");
    return failed(x, DW_ERROR_PROTOCOL, "not-well-formed", "there is text before the stream");
}

/* Text and markup up to an end that the scanner has found; or a part of them, which is kept.  `in_text`: how it began. */
static int take(struct dw_xml *x, struct dw_span bytes, bool in_text)
{
    const uint8_t *markup = in_text ? memchr(bytes.at, '<', bytes.len) : bytes.at;
    bool is_whole = dw_boundary_is_text(&x->scan) && (markup || x->depth <= 1);
    if (in_text && check_blank(x, dw_span_make(bytes.at, markup ? (size_t)(markup - bytes.at) : bytes.len)) < 0)
        return -1;
    x->bytes += bytes.len;
    if (x->bytes > x->limits.bytes)
        return failed(x, DW_ERROR_LIMIT, "policy-violation", "a header or stanza is too large");
    if (x->scan.declaration)
        return failed(x, DW_ERROR_PROTOCOL, "restricted-xml", "it holds a comment or a document type");
    if (!is_whole || dw_buf_len(&x->pending) > 0)
        if (dw_buf_put(&x->pending, bytes) < 0)
            return failed(x, DW_ERROR_INTERNAL, "internal-server-error", "memory is out");
    if (!is_whole)
        return 0;
    if (dw_buf_len(&x->pending) > 0)
        bytes = dw_buf_span(&x->pending);
    int rc = parse(x, bytes);
    dw_buf_clear(&x->pending, 0);
    if (x->got || x->depth == 1)
        x->bytes = 0;
    return rc;
}

/* UTF-16 and UTF-32 show in the first two octets, with a mark or without. */
static int look_at_encoding(struct dw_xml *x, struct dw_span bytes)
{
    for (; bytes.len > 0 && x->looked < 2; x->looked++) {
        uint8_t c = *bytes.at;
        if (c == 0 || (x->looked == 0 && c >= 0xfe))
            return failed(x, DW_ERROR_PROTOCOL, "unsupported-encoding", "it is not UTF-8");
        bytes = dw_span_make(bytes.at + 1, bytes.len - 1);
    }
    return 0;
}

static void begin_anew(struct dw_xml *x)
{
    dw_xml_node_free(&x->top);
    x->in = NULL;
    x->got = DW_XML_MORE;
    x->elements = 0;
}

int dw_xml_feed(struct dw_xml *x, struct dw_span bytes, size_t *used, struct dw_error *err)
{
    *used = 0;
    if (x->got)
        begin_anew(x);
    if (x->ended_too) {
        x->ended_too = false;
        return x->got = DW_XML_END;
    }
    int rc = look_at_encoding(x, bytes);
    while (rc == 0 && !x->got && *used < bytes.len) {
        struct dw_span rest = dw_span_make(bytes.at + *used, bytes.len - *used);
        bool in_text = dw_boundary_is_text(&x->scan);
        rest.len = dw_boundary_markup(&x->scan, rest);
        *used += rest.len;
        rc = take(x, rest, in_text);
    }
    if (rc < 0)
        return dw_error_set(err, x->kind, "%s: %s", x->condition, x->detail);
    return x->got;
}

const struct dw_xml_node *dw_xml_node(const struct dw_xml *x)
{
    return x->top;
}

const char *dw_xml_content_ns(const struct dw_xml *x)
{
    return x->content_ns ? x->content_ns : "";
}

const char *dw_xml_condition(const struct dw_xml *x)
{
    return x->condition ? x->condition : "";
}

bool dw_xml_is_amid(const struct dw_xml *x)
{
    return !dw_boundary_is_text(&x->scan) || x->depth > 1;
}
