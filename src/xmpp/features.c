/* <stream:features/>: see features.h. */
#include "xmpp/features.h"

#include "xmpp/xml.h"

/* The draft that became XEP-0233 named the mechanism. */
#define DRAFT_NAMESPACE "urn:xmpp:tmp:domain-based-name"
#define BINDINGS_NAMESPACE "urn:xmpp:sasl-cb:0"

int dw_features_put_starttls(struct dw_buf *out)
{
    return dw_buf_printf(out, "<stream:features><starttls xmlns='" DW_XML_TLS "'><required/></starttls>"
                              "</stream:features>");
}

static int put_hostnames(struct dw_buf *out, const struct dw_features *f)
{
    int rc = 0;
    for (size_t i = 0; f->hostname && f->hostname_namespaces && f->hostname_namespaces[i]; i++) {
        const char *ns = f->hostname_namespaces[i];
        rc |= dw_buf_printf(out, "<hostname xmlns='");
        rc |= dw_xml_escape(out, dw_span_str(ns));
        rc |= dw_buf_printf(out, "'%s>", strcmp(ns, DRAFT_NAMESPACE) == 0 ? " mechanism='GSSAPI'" : "");
        rc |= dw_xml_escape(out, dw_span_str(f->hostname));
        rc |= dw_buf_printf(out, "</hostname>");
    }
    return rc;
}

static int put_mechanisms(struct dw_buf *out, const struct dw_features *f)
{
    struct dw_span rest = f->mechanisms;
    int rc = dw_buf_printf(out, "<mechanisms xmlns='" DW_XML_SASL "'>");
    while (rest.len > 0) {
        const uint8_t *space = memchr(rest.at, ' ', rest.len);
        size_t len = space ? (size_t)(space - rest.at) : rest.len;
        rc |= dw_buf_printf(out, "<mechanism>%.*s</mechanism>", (int)len, (const char *)rest.at);
        rest = space ? dw_span_make(space + 1, rest.len - len - 1) : DW_SPAN_NONE;
    }
    rc |= put_hostnames(out, f);
    return rc | dw_buf_printf(out, "</mechanisms>");
}

static int put_bindings(struct dw_buf *out, const struct dw_features *f)
{
    int rc = dw_buf_printf(out, "<sasl-channel-binding xmlns='" BINDINGS_NAMESPACE "'>");
    for (size_t i = 0; f->binding_types[i]; i++)
        rc |= dw_buf_printf(out, "<channel-binding type='%s'/>", f->binding_types[i]);
    return rc | dw_buf_printf(out, "</sasl-channel-binding>");
}

int dw_features_put(struct dw_buf *out, const struct dw_features *f)
{
    size_t before = dw_buf_len(out);
    int rc = dw_buf_printf(out, "<stream:features>");
    if (f->mechanisms.len > 0) {
        rc |= put_mechanisms(out, f);
        if (f->binding_types && f->binding_types[0])
            rc |= put_bindings(out, f);
        if (f->hostname_in_features)
            rc |= put_hostnames(out, f);
    }
    rc |= dw_buf_printf(out, "</stream:features>");
    if (rc < 0)
        dw_buf_cut(out, before);
    return rc < 0 ? -1 : 0;
}
