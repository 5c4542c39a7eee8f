/* ZAP 1.0 (ZeroMQ RFC 27): the frames of a request to an event, a decision to the frames of a reply.
 *
 * A message is given and taken as its frames one after another, each led by its size in 4 octets, network byte
 * order: whoever moves it across a socket cuts it there.  Nothing here touches a socket, and everything works on what
 * it is given; a request borrows from its message.
 *
 * A request may come through any number of proxies: the routing frames before the first empty frame are kept, and
 * lead the reply.
 *
 * Released libzmq (up to 4.3.5) ignores the status of a refusal under GSSAPI and admits the peer; one whose metadata
 * is malformed makes it close the connection.  So every refusal under GSSAPI, of whatever status, carries one octet 00
 * as its metadata.  The library's development branch honours the status, and takes this form for a refusal too. */
#ifndef DW_ZAP_ZAP_H
#define DW_ZAP_ZAP_H

#include "auth/decision.h"
#include "base/error.h"

/* `DW_ZAP_BYTES`: no request is longer, sizes included; stock ones have less than 1000 octets. */
enum { DW_ZAP_BYTES = 65536, DW_ZAP_TEXT = 255, DW_ZAP_CREDENTIALS = 16 };

enum dw_zap_status { DW_ZAP_OK = 200, DW_ZAP_TEMPORARY = 300, DW_ZAP_DENIED = 400, DW_ZAP_INTERNAL = 500 };

struct dw_zap_request {
    struct dw_span envelope; /* routing frames and the delimiter, as they came */
    struct dw_span id, domain, identity;
    char mechanism[DW_ZAP_TEXT + 1], address[DW_ZAP_TEXT + 1];
    struct dw_span credentials[DW_ZAP_CREDENTIALS];
    size_t credential_count;
};

enum dw_zap_sense {
    DW_ZAP_SOUND,
    DW_ZAP_MALFORMED, /* to be answered with DW_ZAP_INTERNAL */
    DW_ZAP_SENSELESS, /* not to be answered: nobody can tell to whom or to what */
};

/* Anything but DW_ZAP_SOUND comes with `err` told, which never names a credential.  Of a malformed request so much is
 * filled in as its reply needs. */
enum dw_zap_sense dw_zap_parse(struct dw_zap_request *request, struct dw_span message, struct dw_error *err);

/* What the request says, as front "zap"; id, time and listener are the caller's to add.  The event borrows from the
 * request, which borrows from its message.  A client on a unix socket has the address "local" and its ids. */
void dw_zap_describe(const struct dw_zap_request *request, struct dw_event *event);

/* Whether the decision fits into a reply: user of 255 octets, metadata as RFC 23 has it, never a Socket-Type, which
 * libzmq would take for the client's own.  -1 with `err` told. */
int dw_zap_check(const struct dw_decision *decision, struct dw_error *err);

enum dw_zap_status dw_zap_status_of(const struct dw_decision *decision);

/* Appends the reply: envelope, version, request id, status, text, user, metadata.  `decision` is looked at for
 * DW_ZAP_OK only, and must then have been checked; else it may be NULL.  -1 when memory is out (nothing was
 * appended). */
int dw_zap_reply(struct dw_buf *out, const struct dw_zap_request *request, enum dw_zap_status status,
                 const struct dw_decision *decision);

/* Appends a frame to a message; -1 when memory is out. */
int dw_zap_put(struct dw_buf *message, struct dw_span frame);
/* Takes the next frame off a message; false at its end, or where it is cut short. */
bool dw_zap_next(struct dw_reader *message, struct dw_span *frame);

#endif
