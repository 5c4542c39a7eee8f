/* A client's tickets, fetched once, so that a benchmark does not measure the KDC. */
#ifndef DW_BENCH_TICKET_H
#define DW_BENCH_TICKET_H

#include <gssapi/gssapi.h>

struct ticket {
    gss_cred_id_t cred;
    gss_name_t target;
};

/* Copies the cache (NULL: the default one) into memory and gets the ticket for `service` ("zmq@host" or
 * a principal with a slash) into the copy.  Ends the program, saying why, when that fails. */
void ticket_get(struct ticket *t, const char *ccache, const char *service);
void ticket_free(struct ticket *t);
/* A sentence of at most `len` octets on what GSSAPI says. */
void gss_tell(OM_uint32 major, OM_uint32 minor, char *out, size_t len);

/* What libzmq's client asks for, and nothing else. */
#define TICKET_FLAGS (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG)

#endif
