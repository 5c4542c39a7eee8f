/* Where the clients of an XMPP domain connect to: its SRV records (RFC 6120 section 3.2.1, XEP-0368), else the domain
 * itself. */
#include "cmd/probe_xmpp.h"

#include <stdio.h>
#include <string.h>

enum { STANDARD_PORT = 5222, MOST = 2 * DW_SRV_MOST };

struct place {
    char host[256];
    int port, priority;
    bool direct;
};

/* Adds the records of one service behind the others of no higher priority. */
static int add(struct dw_probe_xmpp *p, const char *service, bool direct, struct place places[MOST], int count,
               bool *refused)
{
    struct dw_srv found[DW_SRV_MOST];
    struct dw_error err = {0};
    char name[300];
    snprintf(name, sizeof name, "%s.%s", service, p->domain);
    int records = dw_srv_find(name, p->servers[0] ? p->servers : NULL, found, &err);
    if (records <= 0)
        dw_step_tell(&p->steps, "resolve", "SRV %s: %s", name, records < 0 ? err.detail : "none");
    for (int i = 0; i < records && i < DW_SRV_MOST; i++) {
        dw_step_tell(&p->steps, "resolve", "SRV %s: %s port %d, priority %d, weight %d", name,
                     found[i].target[0] ? found[i].target : ".", found[i].port, found[i].priority, found[i].weight);
        if (!found[i].target[0]) {
            *refused = *refused || !direct;
            continue;
        }
        int at = count++;
        for (; at > 0 && places[at - 1].priority > found[i].priority; at--)
            places[at] = places[at - 1];
        places[at] = (struct place){.port = found[i].port, .priority = found[i].priority, .direct = direct};
        memcpy(places[at].host, found[i].target, sizeof places[at].host);
    }
    return count;
}

static int dial(struct dw_probe_xmpp *p, const char *host, int port, bool direct)
{
    p->stream.fd = dw_step_dial(&p->steps, host, port, p->stream.deadline);
    if (p->stream.fd < 0)
        return -1;
    snprintf(p->host, sizeof p->host, "%s", host);
    p->direct = direct;
    dw_step_tell(&p->steps, "connect", "%s port %d%s", host, port, direct ? ", TLS at once" : "");
    return 0;
}

int dw_probe_find(struct dw_probe_xmpp *p)
{
    struct place places[MOST] = {{.port = 0}};
    bool refused = false;
    if (p->connect_host[0])
        return dial(p, p->connect_host, p->connect_port, p->direct);
    int count = p->direct ? 0 : add(p, "_xmpp-client._tcp", false, places, 0, &refused);
    count = add(p, "_xmpps-client._tcp", true, places, count, &refused);
    if (count == 0 && refused)
        return dw_step_failed(&p->steps, "resolve", "the domain's SRV record says that it serves no clients", NULL);
    if (count == 0) {
        dw_step_tell(&p->steps, "resolve", "no SRV record: the domain itself, port %d", STANDARD_PORT);
        return dial(p, p->domain, STANDARD_PORT, p->direct);
    }
    for (int i = 0; i < count; i++)
        if (dial(p, places[i].host, places[i].port, places[i].direct) == 0)
            return 0;
    return -1;
}
