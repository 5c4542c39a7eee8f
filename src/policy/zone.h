/* Time zones, as the system's tzdata has them: how far local time is ahead of UTC at a moment.
 *
 * The C library knows one zone for the whole process, and changing it means changing the environment of
 * every thread; so the compiled file (TZif, RFC 8536) is read here.  Pure: no file, no clock.  A zone
 * borrows from the octets that it was read from. */
#ifndef DW_POLICY_ZONE_H
#define DW_POLICY_ZONE_H

#include "base/error.h"
#include "base/span.h"

/* A day of the year and a moment on it, of the rule that goes on after the last transition (RFC 8536,
 * section 3.3). */
struct dw_zone_turn {
    char kind; /* 'M' month.week.day, 'J' day of the year without February 29th, 'N' with it */
    int month, week, day;
    long at; /* seconds after local midnight */
};

struct dw_zone {
    const uint8_t *moments, *kinds, *types; /* of the file: when, which type from then on, the types */
    size_t moment_count, type_count;
    bool has_rule, has_summer;
    long standard, summer; /* seconds ahead of UTC, by the rule */
    struct dw_zone_turn begins, ends;
};

/* -1 with `err` told when `file` is not a whole TZif file of version 2 or later. */
int dw_zone_read(struct dw_zone *zone, struct dw_span file, struct dw_error *err);
/* Seconds that local time is ahead of UTC; `when` in seconds since 1970. */
long dw_zone_offset(const struct dw_zone *zone, long long when);

#endif
