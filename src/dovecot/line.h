/* The lines of Dovecot's authentication protocol, version 1: fields separated by TAB, and a LF.
 *
 *   VERSION major minor                      CPID pid
 *   AUTH id mechanism service=.. [name | name=value].. [resp=base64]
 *   CONT id base64                           CANCEL id
 *
 * Base64 goes on to the end of the line, so that a server which passes on what its client says cannot be made to say
 * anything else.
 *
 * Pure text. */
#ifndef DW_DOVECOT_LINE_H
#define DW_DOVECOT_LINE_H

#include "base/buf.h"
#include "base/error.h"

enum dw_dovecot_command {
    DW_DOVECOT_VERSION,
    DW_DOVECOT_CPID,
    DW_DOVECOT_AUTH,
    DW_DOVECOT_CONT,
    DW_DOVECOT_CANCEL
};

/* Spans are borrowed from the line, as written there. */
struct dw_dovecot_line {
    enum dw_dovecot_command command;
    uint32_t number; /* the id; the pid; the major version */
    struct dw_span mechanism;
    struct dw_span service, remote, remote_port, local_name; /* absent when they are not given */
    struct dw_span data; /* base64, as written; absent: no initial response at all */
};

/* `text`: a line without its LF.  -1 with `err` told when it is none that a client may send.  Parameters that are not
 * known are passed over, as the protocol has it. */
int dw_dovecot_parse(struct dw_dovecot_line *line, struct dw_span text, struct dw_error *err);

/* What a value says: SOH and a digit or letter stand for the characters that cannot be written.  -1 when memory is
 * out. */
int dw_dovecot_unescape(struct dw_buf *out, struct dw_span value);
int dw_dovecot_escape(struct dw_buf *out, struct dw_span value);

#endif
