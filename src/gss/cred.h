/* Acceptor and initiator credentials, each from a named keytab or cache, never from the environment.
 *
 * An acceptor's credential is pinned to one service principal (or, for fronts that answer to several
 * names, to none: then the caller checks dw_context_target).  It holds the keys of its keytab in memory,
 * read once and again when the file has changed, so a key roll-over needs no restart and an old kvno
 * that is still in the keytab is still accepted.
 *
 * A context keeps what it was made of: its credential may be refreshed, or freed, under it.  The clock skew that
 * krb5.conf tells an acceptor is read when its keytab is; which enctypes it permits is seen at once, as is all of it by
 * an initiator.
 *
 * A credential belongs to one thread, except that an initiator's may be used by a pool thread while its
 * owner waits for it. */
#ifndef DW_GSS_CRED_H
#define DW_GSS_CRED_H

#include "base/error.h"
#include "base/span.h"

struct dw_cred;

struct dw_acceptor_options {
    const char *keytab; /* path; required */
    const char *service; /* "zmq@host" (host-based), "zmq/host@REALM", "zmq/host"; NULL: any key in the keytab */
    /* The realm to answer in, for a service that names none.  NULL: whichever the keytab has; if it has several, a
     * ticket for any of them is good, and dw_context_target tells which. */
    const char *realm;
    const char *rcache; /* "file2:/var/lib/durward/rcache"; NULL: "none:" */
};

/* Reads the keytab and acquires.  NULL with `err` told: which keytab, which principal, and what stands
 * there instead. */
struct dw_cred *dw_cred_acceptor(const struct dw_acceptor_options *options, struct dw_error *err);

/* Whether the keytab has a key for `principal` ("xmpp/host/domain", "xmpp@host"; a host-based name's host in any case) in
 * `realm` (NULL: any); and whether it has any for a host of `service` ("smtp"; NULL: of any).  What the credential was
 * made of right now is looked at. */
bool dw_cred_has(const struct dw_cred *cred, const char *principal, const char *realm);
bool dw_cred_serves(const struct dw_cred *cred, const char *service, const char *realm);

/* Looks whether the keytab file has changed since it was read and, if so, acquires again.  One stat(2)
 * when it has not.  -1 with `err` told when the new file is unusable: the old keys then go on serving, and
 * it is not told again before the file changes again. */
int dw_cred_refresh(struct dw_cred *cred, struct dw_error *err);

struct dw_initiator_options {
    const char *ccache; /* "FILE:/run/x", a path, or NULL */
    const char *keytab; /* client keytab, from which tickets are got (and renewed) as needed; or NULL */
    const char *principal; /* who we are; NULL: the cache's, or the keytab's first */
};
/* Acquires; may talk to the KDC, so call it off the loop.  With a keytab and no cache the tickets live
 * in a memory cache of the credential's own. */
struct dw_cred *dw_cred_initiator(const struct dw_initiator_options *options, struct dw_error *err);

/* Full name of the principal that the credential is pinned to, or of the initiator; NULL when not pinned. */
const char *dw_cred_name(const struct dw_cred *cred);
void dw_cred_free(struct dw_cred **cred);

/* Appends the name of the ticket cache that the environment or krb5.conf names: for commands that a person runs. */
struct dw_buf;
int dw_ccache_default(struct dw_buf *out, struct dw_error *err);

/* Appends to `out` the principals in a keytab, one a line with kvno and enctype, for `check` and messages. */
int dw_keytab_list(const char *path, struct dw_buf *out, struct dw_error *err);

#endif
