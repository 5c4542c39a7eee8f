/* XML that may be anything, from a client or a backend: the parser gives the same out of it in whatever pieces it comes,
 * and the scanner of tags is where the parser is. */
#include "xmpp/boundary.h"
#include "xmpp/xml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static void tell_node(struct dw_buf *out, const struct dw_xml_node *node)
{
    dw_buf_printf(out, "(%s|%s|%s", node->ns, node->name, node->prefix);
    for (size_t i = 0; i < node->attributes; i++)
        dw_buf_printf(out, " %s|%s=%s", node->attribute[i].ns, node->attribute[i].name, node->attribute[i].value);
    dw_buf_put_u8(out, ' ');
    dw_buf_put(out, dw_xml_text(node));
    for (const struct dw_xml_node *child = node->first; child; child = child->next) {
        must(child->parent == node);
        tell_node(out, child);
    }
    dw_buf_put_u8(out, ')');
}

/* What text means, escaped, is what it was. */
static void write_again(const struct dw_xml_node *node)
{
    struct dw_buf out = {0};
    struct dw_error err;
    size_t used;
    struct dw_xml *xml = dw_xml_new(NULL, NULL);
    dw_buf_printf(&out, "<s><a b='");
    must(dw_xml_escape(&out, dw_xml_text(node)) == 0);
    dw_buf_printf(&out, "'/>");
    must(dw_xml_feed(xml, dw_buf_span(&out), &used, &err) == DW_XML_HEADER);
    int got = dw_xml_feed(xml, dw_span_make(out.at + used, dw_buf_len(&out) - used), &used, &err);
    must(got == DW_XML_STANZA || strcmp(dw_xml_condition(xml), "policy-violation") == 0);
    if (got == DW_XML_STANZA)
        must(dw_span_equal(dw_span_str(dw_xml_attribute(dw_xml_node(xml), "b")), dw_xml_text(node)));
    dw_xml_free(&xml);
    dw_buf_free(&out);
}

/* True when it failed. */
static bool parse(struct dw_span text, size_t piece, struct dw_buf *told)
{
    const struct dw_xml_limits limits = {.bytes = 3000, .depth = 5, .elements = 20, .attributes = 5};
    struct dw_xml *xml = dw_xml_new(&limits, NULL);
    struct dw_boundary scan = {0};
    struct dw_error err = {0};
    int got = DW_XML_MORE;
    for (size_t at = 0; got >= 0 && got != DW_XML_END && (at < text.len || got != DW_XML_MORE);) {
        size_t len = text.len - at < piece ? text.len - at : piece, used;
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, text.at + at, len);
        got = dw_xml_feed(xml, dw_span_make(exact, len), &used, &err);
        free(exact);
        must(used <= len && (got != DW_XML_MORE || used == len));
        dw_boundary_follow(&scan, dw_span_make(text.at + at, used));
        at += used;
        if (got == DW_XML_HEADER || got == DW_XML_STANZA) {
            dw_buf_printf(told, "%c", got == DW_XML_HEADER ? 'H' : 'S');
            tell_node(told, dw_xml_node(xml));
            must(dw_boundary_is_text(&scan));
            must(got == DW_XML_HEADER ? scan.depth <= 1 : dw_boundary_is_between(&scan));
            if (got == DW_XML_STANZA)
                write_again(dw_xml_node(xml));
        } else if (got == DW_XML_END) {
            must(scan.depth == 0 && dw_boundary_is_text(&scan));
        }
    }
    must(got >= 0 || (err.kind != DW_ERROR_NONE && dw_xml_condition(xml)[0]));
    dw_xml_free(&xml);
    return got < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_buf whole = {0}, cut = {0};
    if (size < 1 || size > 20000)
        return 0;
    struct dw_span text = dw_span_make(data + 1, size - 1);
    bool failed = parse(text, SIZE_MAX / 2, &whole), cut_failed = parse(text, 1u + data[0] % 9, &cut);
    /* A part of what comes is looked at sooner when it comes by itself: then it is also refused sooner. */
    size_t least = dw_buf_len(&whole) < dw_buf_len(&cut) ? dw_buf_len(&whole) : dw_buf_len(&cut);
    must(least == 0 || memcmp(whole.at, cut.at, least) == 0);
    must(failed || cut_failed || dw_buf_len(&whole) == dw_buf_len(&cut));
    must(!failed || cut_failed);
    dw_buf_free(&whole);
    dw_buf_free(&cut);
    return 0;
}
