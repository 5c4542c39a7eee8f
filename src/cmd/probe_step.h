/* What all probes have: a line for each step with its time, the likely cause of a failure, and the way to a server. */
#ifndef DW_CMD_PROBE_STEP_H
#define DW_CMD_PROBE_STEP_H

#include "base/error.h"
#include "gss/cred.h"

struct dw_steps {
    double started; /* dw_step_now */
};

/* Milliseconds of a clock that only goes forward. */
double dw_step_now(void);
void dw_step_tell(const struct dw_steps *steps, const char *step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Tells of the failure and, when `cause` is given, what most likely is behind it; returns -1. */
int dw_step_failed(const struct dw_steps *steps, const char *step, const char *what, const char *cause);

/* A blocking TCP connection, or -1, told; the name, and whether there is anything at all, may be what is wrong.
 * `deadline`: dw_step_now's. */
int dw_step_dial(const struct dw_steps *steps, const char *host, int port, double deadline);

/* What a ticket that is not got is due to, or NULL. */
const char *dw_step_cause_of_ticket(const struct dw_error *err);
/* The credential that `who` names, or the environment's cache when it names none.  NULL with `err` told. */
struct dw_cred *dw_step_credential(const struct dw_initiator_options *who, struct dw_error *err);

#endif
