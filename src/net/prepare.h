/* What a configuration needs before it comes into force: descriptors, certificates and secrets, credentials. */
#ifndef DW_NET_PREPARE_H
#define DW_NET_PREPARE_H

#include "net/office.h"

/* Takes `config`.  `old`: the settings in force, whose certificates go on where the new are unusable; NULL at the start.
 * NULL with `err` told. */
struct dw_settings *dw_prepare_settings(struct dw_config *config, struct dw_archive *archive,
                                        const struct dw_settings *old, struct dw_error *err);

/* Whether every listener's keytab has what it answers with.  -1 with `err` told. */
int dw_prepare_credentials(const struct dw_config *config, struct dw_error *err);

#endif
