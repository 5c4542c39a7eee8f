/* Stream errors and SASL failures: see errors.h. */
#include "xmpp/errors.h"

#include "xmpp/xml.h"

static const char *const conditions[] = {
    "bad-format",
    "bad-namespace-prefix",
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "improper-addressing",
    "internal-server-error",
    "invalid-from",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "not-well-formed",
    "policy-violation",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "restricted-xml",
    "system-shutdown",
    "undefined-condition",
    "unsupported-encoding",
    "unsupported-feature",
    "unsupported-stanza-type",
    "unsupported-version",
};

bool dw_stream_error_knows(const char *condition)
{
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (strcmp(conditions[i], condition) == 0)
            return true;
    return false;
}

int dw_stream_error_put(struct dw_buf *out, const char *condition, const char *text)
{
    size_t before = dw_buf_len(out);
    if (!dw_stream_error_knows(condition))
        condition = "undefined-condition";
    int rc = dw_buf_printf(out, "<stream:error><%s xmlns='" DW_XML_STREAM_ERRORS "'/>", condition);
    if (rc == 0 && text) {
        rc = dw_buf_printf(out, "<text xmlns='" DW_XML_STREAM_ERRORS "' xml:lang='en'>");
        if (rc == 0)
            rc = dw_xml_escape(out, dw_span_str(text));
        if (rc == 0)
            rc = dw_buf_printf(out, "</text>");
    }
    if (rc == 0)
        rc = dw_buf_printf(out, "</stream:error></stream:stream>");
    if (rc < 0)
        dw_buf_cut(out, before);
    return rc;
}

int dw_sasl_failure_put(struct dw_buf *out, const char *condition)
{
    return dw_buf_printf(out, "<failure xmlns='" DW_XML_SASL "'><%s/></failure>", condition);
}
