/* Runs the specs that stand beside policies (policies/duty_spec.lua beside policies/duty.lua) in a process of its own, as
 * `durward test` does, in the folder of the configuration. */
#ifndef DW_NET_SPECS_H
#define DW_NET_SPECS_H

#include "config/config.h"

#include <uv.h>

struct dw_specs;

/* 1: they run, and `done` is called from the loop, `why` NULL when all passed, after which the specs are gone; 0:
 * there are none; -1 with `err` told. */
int dw_specs_run(struct dw_specs **specs, uv_loop_t *loop, const struct dw_config *config,
                 void (*done)(void *arg, const char *why), void *arg, struct dw_error *err);
/* The end: nobody is told. */
void dw_specs_stop(struct dw_specs *specs);
void dw_specs_free(struct dw_specs **specs); /* after the loop's end, when `done` was not called */

#endif
