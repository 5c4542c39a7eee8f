/* What a handler answers with, made ready off its thread: configuration, journal, policies. */
#ifndef DW_LIB_READY_H
#define DW_LIB_READY_H

#include "base/error.h"
#include "net/office.h"

/* Owned; starts as all zero. */
struct dw_ready {
    struct dw_settings *settings;
    struct dw_office *office;
};

/* Loads all of it.  -1: every mistake stands in `findings`, a line each, none with a newline at its end. */
int dw_ready_make(struct dw_ready *ready, const char *config_path, struct dw_archive *archive,
                  struct dw_buf *findings);
void dw_ready_clear(struct dw_ready *ready);

#endif
