/* The small trees that xml.c builds of a header or a stanza. */
#ifndef DW_XMPP_XML_TREE_H
#define DW_XMPP_XML_TREE_H

#include "xmpp/xml.h"

/* Between a namespace, a local name and a prefix, as the parser hands them over: an octet that XML cannot hold. */
#define DW_XML_SEPARATOR '\1'

/* A node of what the parser calls `name`, with the attributes in `pairs` (name, value, .., NULL), appended to `parent`,
 * which may be NULL.  NULL when memory is out (nothing has changed). */
struct dw_xml_node *dw_xml_node_new(struct dw_xml_node *parent, const char *name, const char *const *pairs,
                                    struct dw_meter *meter);
/* With all that is below it; its depth is bounded by the parser.  It is taken out of no parent. */
void dw_xml_node_free(struct dw_xml_node **node);

#endif
