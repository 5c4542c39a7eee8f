/* durward probe: which protocol, and nothing else. */
#include "cmd/probe.h"

#include "cmd/cmd.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: durward probe zmtp URL [OPTIONS]\n"
    "       durward probe xmpp DOMAIN|xmpp://DOMAIN [OPTIONS]\n"
    "       durward probe zap URL [OPTIONS]\n\n"
    "zmtp: logs in as a client and tells each step with its time; names the likely cause of a failure.\n"
    "xmpp: the same for an XMPP client, from the domain's SRV records to the bound address.\n"
    "zap: logs in to a libzmq server as somebody whom its ZAP handler refuses, and tells whether the server\n"
    "honours the refusal: released libzmq (up to 4.3.5) does not under GSSAPI, unless it has durward's form.\n\n"
    "  URL                 tcp://host:port, ipc://path or ipc://@name\n"
    "  --service NAME      what to ask a ticket for (zmq@HOST of the URL)\n"
    "  --realm REALM       in which realm to ask for it\n"
    "  --plaintext         GSSAPI without protection (ZMQ_GSSAPI_PLAINTEXT)\n"
    "  --type TYPE         our socket type (the counterpart of the server's)\n"
    "  --identity ID       our routing id\n"
    "  --property NAME=V   a property of our READY; may be repeated\n"
    "  --ccache CACHE      credential cache (KRB5CCNAME, or the default cache)\n"
    "  --keytab FILE       client keytab, with --principal\n"
    "  --principal NAME    who we are\n"
    "  --timeout SECONDS   for the whole login (15)\n\n"
    "of xmpp:\n"
    "  --connect HOST:PORT there, whatever the domain's SRV records say\n"
    "  --direct            TLS from the first octet (XEP-0368)\n"
    "  --ca FILE           authorities to trust, PEM (the system's)\n"
    "  --no-verify         goes on with any certificate, and shows it\n"
    "  --hostname HOST     as if the server had told that <hostname/> (XEP-0233)\n"
    "  --realm REALM       of the service (domain_realm of krb5.conf, else the domain in upper case)\n"
    "  --policy FILE       whose realm(event) chooses the realm, and maybe hostname or service\n"
    "  --service NAME      what to ask a ticket for, and nothing else\n"
    "  --authzid JID       who to act as\n"
    "  --dns SERVER        which name server to ask for SRV records\n"
    "  --ccache, --keytab, --principal, --timeout: as above\n\n"
    "exit of zmtp and xmpp: 0 logged in, 1 not, 2 usage\n"
    "exit of zap:  0 kept out, 1 let in, 2 usage, 4 cannot be told\n";

static const struct {
    const char *name;
    int (*probe)(int argc, char **argv);
} protocols[] = {{"zmtp", dw_probe_zmtp}, {"xmpp", dw_probe_xmpp}, {"zap", dw_probe_zap}};

int dw_cmd_probe(int argc, char **argv)
{
    if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    int (*probe)(int, char **) = NULL;
    for (size_t i = 0; argc >= 2 && i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(argv[1], protocols[i].name))
            probe = protocols[i].probe;
    if (argc >= 3 && probe) {
        int rc = probe(argc - 1, argv + 1);
        if (rc == 2)
            fputs(help, stderr);
        return rc;
    }
    if (argc >= 2 && !probe)
        fprintf(stderr, "durward probe: '%s' is no protocol that can be probed; zmtp, xmpp and zap are\n\n",
                argv[1]);
    fputs(help, stderr);
    return 2;
}
