/* The broker: its workers, what they share, and the main thread that starts, reloads, drains and answers
 * `durward status`.
 *
 * Everything here but dw_broker_run may be called from any thread. */
#ifndef DW_NET_BROKER_H
#define DW_NET_BROKER_H

#include "net/identity.h"
#include "net/tally.h"

#include <jansson.h>

struct dw_broker;

/* Runs until SIGTERM or SIGINT has drained it.  The exit code: 0, or 1 when it could not start (the reasons
 * have been logged). */
int dw_broker_run(const char *config_path);

struct dw_tally *dw_broker_tally(struct dw_broker *broker);
/* Lives as long as the broker; NULL when there was no memory for one. */
struct dw_shadow *dw_broker_shadow(struct dw_broker *broker);
struct dw_vouchers *dw_broker_vouchers(struct dw_broker *broker);
struct dw_identities *dw_broker_identities(struct dw_broker *broker);
/* Sets this process's event ids apart from those of others. */
unsigned dw_broker_salt(const struct dw_broker *broker);
/* What `durward status` prints (a new reference); main thread. */
json_t *dw_broker_describe(void *broker);
/* Logs a trouble at the door, at most once a second; `peer` may be NULL. */
void dw_broker_complain(struct dw_broker *broker, const char *what, const char *listener, const char *peer,
                        const char *why);

#endif
