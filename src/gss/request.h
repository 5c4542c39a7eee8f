/* What a first token says in clear: the service and realm that it is for.
 *
 * A Kerberos initial token is a framed AP-REQ (RFC 4121 section 4.1, RFC 4120 section 5.5.1), whose ticket
 * names its realm and service outside the encrypted part.  Nothing here is proven yet: it serves to choose
 * a credential, and to name the mistake in a log. */
#ifndef DW_GSS_REQUEST_H
#define DW_GSS_REQUEST_H

#include "base/buf.h"
#include "base/error.h"

enum { DW_REQUEST_COMPONENTS = 8 };

/* EncryptedData (RFC 4120 section 5.2.9); borrowed from the token. */
struct dw_encrypted {
    int32_t enctype;
    bool has_kvno;
    uint32_t kvno;
    struct dw_span octets;
};

struct dw_request {
    struct dw_span realm; /* borrowed from the token */
    struct dw_span components[DW_REQUEST_COMPONENTS]; /* of the service's name; borrowed */
    size_t component_count;
    bool mutual; /* the client waits for an answer, be it an error */
    uint32_t options; /* as libkrb5 has them: AP_OPTS_.. */
    struct dw_encrypted ticket, authenticator;
    struct dw_span ap_req; /* the message without its frame; borrowed */
};

/* -1 with `err` told (DW_ERROR_PROTOCOL) when the token is not a well-formed AP-REQ.  Strict DER. */
int dw_request_parse(struct dw_request *request, struct dw_span token, struct dw_error *err);

/* Appends "zmq/host@REALM", quoted as MIT's library prints names. */
int dw_request_format(const struct dw_request *request, struct dw_buf *out);

#endif
