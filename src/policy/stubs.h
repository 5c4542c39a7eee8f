/* A keeper with answers that are known before: those that a spec made up, or that a journal recorded. */
#ifndef DW_POLICY_STUBS_H
#define DW_POLICY_STUBS_H

#include "policy/want.h"

/* Starts as all zero.  Keys are want and key as the trace has them: "TXT _kerberos.example.com". */
struct dw_stubs {
    json_t *answers; /* key to answer */
    json_t *failed; /* key to why it failed */
    json_t *tables; /* sources that are answered whole: what is not in `answers` is not in them */
    const char *missing; /* what is said, before the key, of what is not known */
    double slept, seconds; /* nobody sleeps: it is added up, and past `seconds` too late */
};

/* Takes the look-ups from the trace of a journal's line.  -1 when memory is out. */
int dw_stubs_record(struct dw_stubs *stubs, const json_t *trace);
void dw_stubs_clear(struct dw_stubs *stubs);
void dw_stubs_keeper(struct dw_stubs *stubs, struct dw_keeper *keeper); /* `stubs` outlives the host */

#endif
