/* Secrets shared with a backend, from their files. */
#ifndef DW_NET_XMPP_SECRET_H
#define DW_NET_XMPP_SECRET_H

#include "base/buf.h"
#include "base/error.h"

/* Reads a file and takes from it what dw_token_secret does.  -1 with `err` told. */
int dw_xmpp_secret_read(const char *path, struct dw_buf *secret, struct dw_error *err);

#endif
