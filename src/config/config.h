/* Runs the configuration file (it is Lua) and gives plain structs.
 *
 * A configuration is immutable once made, and counted: workers hold the one they were given until their
 * last connection under it is gone.  Everything in it is valid: addresses parse, numbers are in range,
 * paths are absolute (resolved against the file's folder), names are unique. */
#ifndef DW_CONFIG_CONFIG_H
#define DW_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"

#include <sys/types.h>

enum dw_scheme { DW_TCP, DW_IPC };

struct dw_address {
    enum dw_scheme scheme;
    char *text; /* as written: "tcp://127.0.0.1:5570", "ipc:///run/x", "ipc://@name" */
    char *host; /* tcp: "*" for every IPv4 and IPv6 address; brackets taken off */
    int port; /* tcp */
    char *path; /* ipc: absolute, or "@name" for the abstract namespace */
};

/* "192.0.2.0/24", "2001:db8::/32" */
struct dw_cidr {
    uint8_t address[16];
    int family; /* AF_INET, AF_INET6 */
    int bits;
};

enum dw_listener_kind {
    DW_LISTEN_ZMTP,
    DW_LISTEN_ZMTP_OUT,
    DW_LISTEN_ZAP,
    DW_LISTEN_XMPP,
    DW_LISTEN_DOVECOT,
    DW_LISTEN_DOVECOT_MASTER /* made of a dovecot listener's `master` */
};
enum dw_on_deny { DW_ON_DENY_CLOSE, DW_ON_DENY_ERROR };
enum dw_identity_mode { DW_IDENTITY_KEEP, DW_IDENTITY_USER, DW_IDENTITY_DROP };

enum dw_backend_login { DW_LOGIN_JWT, DW_LOGIN_TOKEN, DW_LOGIN_EXTERNAL };

/* The stock XMPP server that a domain's users are handed to. */
struct dw_xmpp_backend_config {
    struct dw_address connect;
    bool is_clear; /* tls = "none": on this machine only; else STARTTLS, verified */
    char *ca_file; /* NULL: the system's authorities */
    char *name; /* what its certificate is verified against; the domain unless said otherwise */
    enum dw_backend_login login;
    char *secret_file; /* jwt, token */
    char *ca_certificate, *ca_key; /* external */
    int proxy; /* version of the PROXY protocol, or 0 */
    int pool; /* streams without an identity that are kept waiting, for each worker */
};

struct dw_xmpp_domain_config {
    char *at; /* where it is written, as dw_config_where takes it: "domains[\"example.org\"]"; "": the listener */
    char *domain; /* lower case */
    char *hostname; /* of the connection manager (XEP-0233); NULL: <hostname/> is left out */
    char **hosts; /* further names that clients ask tickets for; NULL ends the list; may be NULL */
    char *certificate, *key;
    char *keytab; /* never NULL */
    char *realm; /* optional */
    struct dw_xmpp_backend_config backend;
};

struct dw_listener_config {
    enum dw_listener_kind kind;
    char *name;
    struct dw_address listen;
    mode_t mode; /* ipc; default 0600 */
    bool has_gid;
    gid_t gid; /* ipc `group` */
    struct dw_cidr *allow_from;
    size_t allow_from_count;
    /* zmtp and zmtp_out */
    char *service; /* zmtp: ours, "zmq@host"; zmtp_out: the peer's */
    char *realm; /* optional: the realm we answer in (zmtp), or that we ask for (zmtp_out) */
    char *keytab; /* zmtp: never NULL after loading; zmtp_out: client keytab or NULL */
    bool plaintext; /* protection = "plaintext" */
    bool allow_anonymous;
    /* zmtp */
    struct dw_address backend;
    enum dw_on_deny on_deny;
    double retry_hold_seconds;
    char **forward; /* NULL ends the list; may be NULL */
    enum dw_identity_mode identity;
    /* zmtp_out */
    struct dw_address connect;
    char *ccache;
    char *principal;
    /* xmpp */
    struct dw_xmpp_domain_config *domains; /* the first one's certificate is shown to who names none */
    size_t domain_count;
    bool direct_tls; /* tls from the first octet (XEP-0368) */
    char **mechanisms; /* as offered; {"GSSAPI"} unless said otherwise; NULL ends the list */
    char **hostname_namespaces; /* NULL ends the list; {"urn:xmpp:domain-based-name:1"} unless said otherwise */
    bool hostname_in_features; /* and once more in <features/>, where Gajim looks */
    bool require_mutual; /* a client that does not ask for mutual authentication is refused; dovecot too */
    double idle_seconds; /* 0: no limit */
    /* dovecot: services whose keys may be asked for; NULL ends the list; NULL: any */
    char **services;
    bool has_master; /* dovecot: another listener tells who has logged in here */
    char *of; /* dovecot_master: the name of that where clients log in */
};

struct dw_limits {
    double handshake_seconds, decision_seconds, drain_seconds;
    long connections, per_peer, per_user; /* per_user 0: not counted */
    size_t frame_bytes, memory;
};

struct dw_config {
    char *file; /* absolute path of the configuration */
    char **shadows; /* policies asked with no effect; NULL ends the list; may be NULL */
    char **policies; /* NULL ends the list; may be NULL: nobody passes */
    char *keytab, *journal, *state_dir;
    int workers;
    enum dw_log_level log_level;
    char **dns_servers; /* NULL ends the list; may be NULL: the system's */
    bool reload_on_change, test_on_reload;
    char **refuse_users; /* NULL ends the list; {"root"} unless said otherwise */
    struct dw_limits limits;
    struct dw_listener_config *listeners;
    size_t listener_count;
};

/* Reads, runs and checks the file.  Appends every mistake found to `findings`, one "file:line: message" a
 * line, and returns NULL when there was one.  Opens no port and reads no keytab. */
struct dw_config *dw_config_load(const char *path, struct dw_buf *findings);
/* For who looks at the rest: the same, but of a file with mistakes it gives what is sound.  A key that is wrong is as if
 * it were not there, one that must be there too.  NULL when the file itself cannot be run. */
struct dw_config *dw_config_load_sound(const char *path, struct dw_buf *findings);
struct dw_config *dw_config_hold(struct dw_config *config); /* one more holder; any thread */
void dw_config_release(struct dw_config **config); /* the last one frees; any thread */

/* Where a key stands, "file:line", for findings that only a look at the world can make: `key` is "keytab",
 * "policy[2]", ..; of `listener`, or of the whole configuration when that is NULL.  A key that is not
 * written there gives the nearest place that is.  Borrowed from the configuration. */
const char *dw_config_where(const struct dw_config *config, const struct dw_listener_config *listener,
                            const char *key);

/* Whether the configuration names that keytab, anywhere: only such are ever used, whatever a policy asks for. */
bool dw_config_names_keytab(const struct dw_config *config, const char *keytab);

/* Parses one address as the configuration does; a relative ipc path is taken from `folder`, or from the
 * current folder when that is NULL.  0, or -1 with `err` told in a sentence (`address` is then cleared). */
int dw_address_parse_in(struct dw_address *address, const char *text, const char *folder, struct dw_error *err);
int dw_address_parse(struct dw_address *address, const char *text, struct dw_error *err);
void dw_address_clear(struct dw_address *address);
/* Reached from this machine only: ipc, 127.0.0.0/8, ::1, localhost. */
bool dw_address_is_local(const struct dw_address *address);

/* "192.0.2.0/24", "2001:db8::/32", or a single address.  0, or -1 with `err` told. */
int dw_cidr_parse(struct dw_cidr *cidr, const char *text, struct dw_error *err);
/* `address`: 4 or 16 octets by `family`; an IPv4 address mapped into IPv6 is taken as IPv4. */
bool dw_cidr_contains(const struct dw_cidr *cidr, int family, const uint8_t *address);

#endif
