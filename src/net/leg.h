/* A leg: one socket and the machine that speaks on it.  Reads go straight to the machine, what it has to send is
 * written when the turn is over, in one write.
 *
 * A leg is part of a connection (conn.h), which is told of everything through dw_conn_pump and
 * dw_leg's flags; a leg never frees itself. */
#ifndef DW_NET_LEG_H
#define DW_NET_LEG_H

#include "auth/machine.h"

#include <uv.h>

/* Past HIGH octets waiting to be written nothing more is taken from the other side, until they are fewer than
 * LOW. */
enum { DW_LEG_HIGH = 256 * 1024, DW_LEG_LOW = 64 * 1024 };

struct dw_conn;

struct dw_leg {
    struct dw_conn *conn;
    struct dw_machine *machine;
    uint64_t heard; /* loop time of the last octet */
    uint64_t bytes_in, bytes_out;
    uv_poll_t *poll; /* while it is open */
    int fd; /* -1: none */
    int interest; /* what is polled for now */
    bool is_open;
    bool eof; /* the peer has ended its side, or the socket broke */
    bool broken; /* nothing can be written any more */
    bool finishing; /* once `out` is written, our side is shut */
    bool shut; /* it is */
    bool starved; /* waits for memory */
    bool congested; /* more than HIGH waits to be written */
    bool discarding; /* what is read is thrown away */
};

/* Takes a connected (or connecting), non-blocking socket.  -1 when the loop refuses it; the socket is
 * then closed. */
int dw_leg_open(struct dw_leg *leg, struct dw_conn *conn, uv_loop_t *loop, int fd);
/* One read(2): into the machine, or away.  1 when octets came, 0 when none were there, -1 at the end
 * (`eof` is then set). */
int dw_leg_read(struct dw_leg *leg, uint8_t *scratch, size_t size);
/* The socket is beyond use: nothing is written any more.  What has arrived can still be read; then comes the end. */
void dw_leg_break(struct dw_leg *leg);
/* What has arrived is acknowledged without delay, for this once (TCP_QUICKACK does not last). */
void dw_leg_acknowledge(const struct dw_leg *leg);
/* Writes what waits; shuts our side when all is written and the leg is finishing. */
void dw_leg_flush(struct dw_leg *leg);
/* Polls for what is wanted now. */
void dw_leg_watch(struct dw_leg *leg, bool want_read, uv_poll_cb ready);
size_t dw_leg_waiting(const struct dw_leg *leg);
/* Closes the socket, which is not polled any more. */
void dw_leg_close(struct dw_leg *leg);

/* Options of every TCP leg, set on listeners for what they accept: no delay; and keepalive after 30 s of silence, three
 * probes 10 s apart, but towards this very machine, whose kernel ends a connection when its process does. */
void dw_leg_tune(int fd, bool is_near_by);

#endif
