/* The lines of Dovecot's authentication protocol, version 1: fields separated by TAB, and a LF.
 *
 *   VERSION major minor                      CPID pid
 *   AUTH id mechanism service=.. [name | name=value].. [resp=base64]
 *   CONT id base64                           CANCEL id
 *   REQUEST id pid id cookie [name | name=value]..                 (from a master: master.h)
 *
 * Base64 goes on to the end of the line, so that a server which passes on what its client says cannot be made to say
 * anything else.
 *
 * Pure text, but for dw_dovecot_next_line. */
#ifndef DW_DOVECOT_LINE_H
#define DW_DOVECOT_LINE_H

#include "auth/machine.h"

enum { DW_DOVECOT_COOKIE = 16 };

enum dw_dovecot_command {
    DW_DOVECOT_VERSION,
    DW_DOVECOT_CPID,
    DW_DOVECOT_AUTH,
    DW_DOVECOT_CONT,
    DW_DOVECOT_CANCEL,
    DW_DOVECOT_REQUEST
};

/* Spans are borrowed from the line, as written there. */
struct dw_dovecot_line {
    enum dw_dovecot_command command;
    uint32_t number; /* the id; the pid; the major version */
    struct dw_span mechanism;
    struct dw_span service, remote, remote_port, local_name; /* absent when they are not given */
    struct dw_span data; /* base64, as written; absent: no initial response at all */
    uint32_t client, exchange; /* of a REQUEST */
    struct dw_span cookie; /* hex */
};

/* `text`: a line without its LF.  -1 with `err` told when it is none that a client may send.  Parameters that are not
 * known are passed over, as the protocol has it. */
int dw_dovecot_parse(struct dw_dovecot_line *line, struct dw_span text, struct dw_error *err);
/* The same for a master, who may send VERSION and REQUEST. */
int dw_dovecot_parse_master(struct dw_dovecot_line *line, struct dw_span text, struct dw_error *err);

/* The next line that has come whole, without its LF, consumed; its octets stay until the machine is fed again.  False when
 * there is none yet, or with `err` told when it is longer than `most`.  `looked`: octets known to hold no LF, the caller's
 * to keep. */
bool dw_dovecot_next_line(struct dw_machine *m, size_t *looked, size_t most, struct dw_span *line,
                          struct dw_error *err);

/* What a value says: SOH and a digit or letter stand for the characters that cannot be written.  -1 when memory is
 * out. */
int dw_dovecot_unescape(struct dw_buf *out, struct dw_span value);
int dw_dovecot_escape(struct dw_buf *out, struct dw_span value);
/* TAB, name=value. */
int dw_dovecot_put_field(struct dw_buf *out, struct dw_span name, struct dw_span value);

#endif
