/* An XMPP client's stream over a blocking socket, for `durward probe xmpp`: whole elements in, text out, TLS worn when it
 * is asked for.  Everything ends at its deadline. */
#ifndef DW_CMD_PROBE_STREAM_H
#define DW_CMD_PROBE_STREAM_H

#include "tls/tls.h"
#include "xmpp/xml.h"

struct dw_probe_stream {
    int fd;
    double deadline; /* dw_step_now's */
    struct dw_tls *tls; /* NULL: in the clear */
    struct dw_xml *xml;
    struct dw_buf plain; /* what has come and not been read */
    bool ended; /* nothing more comes */
};

void dw_probe_stream_free(struct dw_probe_stream *s);

/* All of `text`.  -1 with `err` told. */
int dw_probe_send(struct dw_probe_stream *s, struct dw_span text, struct dw_error *err);
/* Puts TLS on, and goes through its handshake. */
int dw_probe_secure(struct dw_probe_stream *s, struct dw_tls_context *context, const char *name, const char *alpn,
                    struct dw_error *err);
/* A new document begins, with our header; the other side's header comes back. */
int dw_probe_open(struct dw_probe_stream *s, const char *domain, struct dw_error *err);
/* The next child of the stream; lives until the next call.  NULL with `err` told: a stream error is DW_ERROR_DENIED, an
 * end DW_ERROR_CLOSED, silence DW_ERROR_TEMPORARY. */
const struct dw_xml_node *dw_probe_next(struct dw_probe_stream *s, struct dw_error *err);
/* Says good-bye. */
void dw_probe_leave(struct dw_probe_stream *s);

#endif
