/* What `durward check` has to say, and what the world makes of a sound configuration.
 *
 * A finding is a mistake: serve would not start, or a login would fail, or a secret is open.  A warning
 * is a risk that somebody may have chosen; warnings alone leave the exit code at 0. */
#ifndef DW_CMD_CHECK_H
#define DW_CMD_CHECK_H

#include "config/config.h"

enum dw_check_weight { DW_CHECK_FINDING, DW_CHECK_WARNING };

struct dw_check {
    struct dw_buf told; /* every line so far: one is told once */
    size_t findings, warnings;
};

/* Prints "where: message" to standard output, unless that line was printed before. */
void dw_check_tell(struct dw_check *check, enum dw_check_weight weight, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Files and folders that the configuration names: there, ours to use, and nobody else's. */
void dw_check_world(struct dw_check *check, const struct dw_config *config);
/* Of it: what an xmpp or a dovecot listener names. */
void dw_check_xmpp(struct dw_check *check, const struct dw_config *config,
                   const struct dw_listener_config *listener);
void dw_check_dovecot(struct dw_check *check, const struct dw_config *config,
                      const struct dw_listener_config *listener);
/* A file with a secret: there, and nobody else's to read. */
void dw_check_secret(struct dw_check *check, const char *where, const char *what, const char *path);
/* The same of a keytab, and whether it holds any key. */
bool dw_check_keytab(struct dw_check *check, const char *where, const char *path);
/* A policy: it loads, its hooks name only what there is, its rules hold no trap, nobody else can change it.
 * `named_at` is where the configuration names it, or NULL. */
void dw_check_policy(struct dw_check *check, const char *path, const char *named_at,
                     const char *const *refuse_users);
/* A file of code or configuration that others could change is a finding; `what` names it. */
void dw_check_trust(struct dw_check *check, const char *where, const char *what, const char *path);

#endif
