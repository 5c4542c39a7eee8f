/* What went wrong, and to whom we say how much.
 *
 * What can fail returns 0 or -1 and tells a `struct dw_error`: a kind, which decides what the peer is
 * told, and a detail for the log alone.  A detail names what, where and the cure; it never holds a
 * secret. */
#ifndef DW_BASE_ERROR_H
#define DW_BASE_ERROR_H

enum dw_error_kind {
    DW_ERROR_NONE,
    DW_ERROR_PROTOCOL, /* the peer broke the protocol */
    DW_ERROR_LIMIT, /* a size, time or count that we agreed to was passed */
    DW_ERROR_DENIED, /* known and refused: policy, or a ticket that no new ticket cures */
    DW_ERROR_TEMPORARY, /* time, a new ticket or a repaired part of ours cures it */
    DW_ERROR_CLOSED, /* the other side ended the connection; nobody's fault */
    DW_ERROR_INTERNAL, /* memory, descriptors, a bug of ours: told to the peer as temporary */
};

struct dw_error {
    enum dw_error_kind kind;
    char detail[400]; /* one line; cut at its end when it would not fit */
};

/* Tells `err` (which may be NULL) and returns -1, so that a caller may `return dw_error_set(...)`. */
int dw_error_set(struct dw_error *err, enum dw_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The word for logs: "protocol", "limit", "denied", ... */
const char *dw_error_word(enum dw_error_kind kind);
/* The one fixed phrase that a peer is told; it says nothing about why. */
const char *dw_error_phrase(enum dw_error_kind kind);

#endif
