/* The inside of `durward probe xmpp`, shared by its files: the way to the server (probe_find.c), the realm
 * (probe_realm.c), the login (probe_login.c), and the steps in their order (probe_xmpp.c). */
#ifndef DW_CMD_PROBE_XMPP_H
#define DW_CMD_PROBE_XMPP_H

#include "cmd/probe_step.h"
#include "cmd/probe_stream.h"
#include "net/srv.h"

enum { DW_PROBE_MECHANISMS = 32, DW_PROBE_HOSTNAMES = 8 };

struct dw_probe_xmpp {
    /* asked for */
    char domain[256]; /* in lower case */
    char connect_host[256]; /* --connect */
    int connect_port;
    const char *realm, *policy, *service, *hostname, *authzid, *ca_file;
    struct dw_initiator_options who;
    char *servers[2]; /* --dns; NULL ends the list */
    bool direct; /* TLS from the first octet */
    bool unverified;
    double timeout;

    /* found out on the way */
    struct dw_steps steps;
    struct dw_probe_stream stream;
    char host[256]; /* connected to */
    char told[256]; /* <hostname/>, or empty */
    char policy_realm[256], policy_service[256]; /* what the policy chose, or empty */
    bool has_gssapi;
};

/* Resolves and connects.  -1, told. */
int dw_probe_find(struct dw_probe_xmpp *p);
/* Which realm, and what says so; a policy may also choose service and hostname.  -1, told. */
int dw_probe_realm(struct dw_probe_xmpp *p, char realm[256], const char **why);
/* SASL GSSAPI, up to <success/>.  -1, told. */
int dw_probe_login(struct dw_probe_xmpp *p);

#endif
