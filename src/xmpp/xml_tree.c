/* Trees of elements, and text on its way into XML: see xml.h. */
#include "xmpp/xml_tree.h"

#include "base/text.h"

#include <stdlib.h>

#define XML_NAMESPACE "http://www.w3.org/XML/1998/namespace"

/* "namespace SEP local SEP prefix", the first and the last as far as there are any, cut into a copy. */
static char *split(const char *joined, const char **ns, const char **name, const char **prefix)
{
    char *copy = dw_text_dup(dw_span_str(joined));
    if (!copy)
        return NULL;
    char *local = strchr(copy, DW_XML_SEPARATOR);
    *ns = *prefix = "";
    *name = copy;
    if (!local)
        return copy;
    *local++ = '\0';
    char *tail = strchr(local, DW_XML_SEPARATOR);
    if (tail)
        *tail++ = '\0';
    *ns = copy;
    *name = local;
    *prefix = tail ? tail : "";
    return copy;
}

/* The copy begins where `ns` does, or where `name` does when there is no namespace. */
static void drop(const char *ns, const char *name)
{
    free((void *)(uintptr_t)(ns && ns[0] ? ns : name));
}

static int take_attributes(struct dw_xml_node *node, const char *const *pairs)
{
    size_t count = 0;
    while (pairs[2 * count])
        count++;
    if (count == 0)
        return 0;
    node->attribute = calloc(count, sizeof *node->attribute);
    if (!node->attribute)
        return -1;
    for (; node->attributes < count; node->attributes++) {
        struct dw_xml_attribute *a = &node->attribute[node->attributes];
        const char *prefix;
        if (!split(pairs[2 * node->attributes], &a->ns, &a->name, &prefix))
            return -1;
        a->value = dw_text_dup(dw_span_str(pairs[2 * node->attributes + 1]));
        if (!a->value) {
            drop(a->ns, a->name);
            return -1;
        }
    }
    return 0;
}

struct dw_xml_node *dw_xml_node_new(struct dw_xml_node *parent, const char *name, const char *const *pairs,
                                    struct dw_meter *meter)
{
    struct dw_xml_node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->text.meter = meter;
    if (!split(name, &node->ns, &node->name, &node->prefix) || take_attributes(node, pairs) < 0) {
        dw_xml_node_free(&node);
        return NULL;
    }
    node->parent = parent;
    if (parent && parent->last)
        parent->last->next = node;
    else if (parent)
        parent->first = node;
    if (parent)
        parent->last = node;
    return node;
}

void dw_xml_node_free(struct dw_xml_node **node)
{
    struct dw_xml_node *gone = *node;
    if (!gone)
        return;
    *node = NULL;
    for (struct dw_xml_node *child = gone->first; child;) {
        struct dw_xml_node *next = child->next;
        dw_xml_node_free(&child);
        child = next;
    }
    for (size_t i = 0; i < gone->attributes; i++) {
        drop(gone->attribute[i].ns, gone->attribute[i].name);
        free((void *)(uintptr_t)gone->attribute[i].value);
    }
    free(gone->attribute);
    dw_buf_free(&gone->text);
    drop(gone->ns, gone->name);
    free(gone);
}

bool dw_xml_is(const struct dw_xml_node *node, const char *ns, const char *name)
{
    return strcmp(node->ns, ns) == 0 && strcmp(node->name, name) == 0;
}

static const char *attribute_of(const struct dw_xml_node *node, const char *ns, const char *name)
{
    for (size_t i = 0; i < node->attributes; i++)
        if (strcmp(node->attribute[i].ns, ns) == 0 && strcmp(node->attribute[i].name, name) == 0)
            return node->attribute[i].value;
    return NULL;
}

const char *dw_xml_attribute(const struct dw_xml_node *node, const char *name)
{
    return attribute_of(node, "", name);
}

const char *dw_xml_lang(const struct dw_xml_node *node)
{
    return attribute_of(node, XML_NAMESPACE, "lang");
}

const struct dw_xml_node *dw_xml_child(const struct dw_xml_node *node, const char *ns, const char *name)
{
    for (const struct dw_xml_node *child = node->first; child; child = child->next)
        if (dw_xml_is(child, ns, name))
            return child;
    return NULL;
}

/* Octets of the character at `at`; 0 when XML 1.0 cannot hold what stands there. */
static size_t character(const uint8_t *at, size_t left)
{
    uint8_t c = at[0];
    if (c < 0x80)
        return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (len > left || !dw_text_is_utf8(dw_span_make(at, len)))
        return 0;
    return len == 3 && c == 0xef && at[1] == 0xbf && at[2] >= 0xbe ? 0 : len; /* U+FFFE, U+FFFF */
}

static struct dw_span escape_of(uint8_t c)
{
    switch (c) {
    case '&': return DW_SPAN_OF("&amp;");
    case '<': return DW_SPAN_OF("&lt;");
    case '>': return DW_SPAN_OF("&gt;");
    case '\'': return DW_SPAN_OF("&apos;");
    case '"': return DW_SPAN_OF("&quot;");
    case '\t': return DW_SPAN_OF("&#9;");
    case '\n': return DW_SPAN_OF("&#10;");
    case '\r': return DW_SPAN_OF("&#13;");
    default: return DW_SPAN_NONE;
    }
}

int dw_xml_escape(struct dw_buf *out, struct dw_span text)
{
    size_t before = dw_buf_len(out), start = 0, at = 0;
    while (at < text.len) {
        size_t len = character(text.at + at, text.len - at);
        struct dw_span instead = len == 0 ? DW_SPAN_OF("\xef\xbf\xbd") : escape_of(text.at[at]);
        if (!instead.at) {
            at += len;
            continue;
        }
        if (dw_buf_put(out, dw_span_make(text.at + start, at - start)) < 0 || dw_buf_put(out, instead) < 0)
            goto out_of_memory;
        start = ++at;
    }
    if (dw_buf_put(out, dw_span_make(text.at + start, at - start)) == 0)
        return 0;
out_of_memory:
    dw_buf_cut(out, before);
    return -1;
}
