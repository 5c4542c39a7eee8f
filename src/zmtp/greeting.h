/* The greeting: the 64 octets with which both peers begin (RFC 23, RFC 37).
 *
 *   signature FF 00*8 7F | version major, minor | mechanism, 20 octets, NUL padded | as-server | filler 31
 *
 * The signature's padding is ignored: libzmq's servers set its last octet. */
#ifndef DW_ZMTP_GREETING_H
#define DW_ZMTP_GREETING_H

#include "base/error.h"
#include "base/span.h"

enum { DW_GREETING_SIZE = 64 };

struct dw_greeting {
    uint8_t major, minor;
    char mechanism[21];
    bool as_server;
};

void dw_greeting_encode(uint8_t into[DW_GREETING_SIZE], const char *mechanism, bool as_server);

/* Looks at as much as has come (up to 64 octets).  1 when whole and good, 0 when good so far, -1 with `err`
 * told as soon as an octet rules a ZMTP 3 peer out. */
int dw_greeting_parse(struct dw_greeting *greeting, struct dw_span bytes, struct dw_error *err);

#endif
