/* durward probe zmtp: a login over ZMTP's GSSAPI mechanism, step by step.  It drives the same machine as the
 * broker's own client side (zmtp/peer.h), over a plain blocking socket. */
#include "cmd/probe.h"

#include "base/text.h"
#include "cmd/probe_step.h"
#include "config/config.h"
#include "zmtp/command.h"
#include "zmtp/peer.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST_PROPERTIES 16
/* A server that does not like our READY closes at once: it is given this long to do so. */
#define AFTERMATH_MS 300

struct probe {
    struct dw_address address;
    const char *url, *service, *realm, *type, *identity, *properties[MOST_PROPERTIES];
    struct dw_initiator_options who;
    bool plaintext;
    double timeout;
    char default_service[300];
    int property_count;
    struct dw_steps steps;
    int fd;
    struct dw_machine *machine;
    struct dw_cred *cred;
    const char *what; /* the protocol that was asked for */
    bool context_done, server_ready, closed;
};

#define tell(p, ...) dw_step_tell(&(p)->steps, __VA_ARGS__)

static int failed(const struct probe *p, const char *step, const char *what, const char *cause)
{
    return dw_step_failed(&p->steps, step, what, cause);
}

/* -- connecting ------------------------------------------------------------------------------------------- */

static int connect_to(int family, const struct sockaddr *to, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, to, len) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int dial_ipc(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(at.sun_path, path, size);
    if (path[0] == '@')
        at.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] != '@'));
    return connect_to(AF_UNIX, (struct sockaddr *)&at, len);
}

static int dial(struct probe *p)
{
    if (p->address.scheme == DW_IPC) {
        p->fd = dial_ipc(p->address.path);
    } else {
        p->fd = dw_step_dial(&p->steps, p->address.host, p->address.port, p->steps.started + p->timeout * 1000);
        if (p->fd < 0)
            return -1;
    }
    if (p->fd < 0)
        return failed(p, "connect", strerror(errno),
                      errno == ECONNREFUSED ? "nothing listens there" : "the host, or a firewall before it");
    tell(p, "connect", "%s", p->url);
    return 0;
}

/* -- the login --------------------------------------------------------------------------------------------- */

static int step(struct probe *p, struct dw_span token)
{
    struct dw_error err = {0};
    struct dw_buf reply = {0};
    struct dw_context *context = dw_zmtp_peer_stepping(p->machine);
    if (!context) {
        tell(p, "greeting", "the server speaks ZMTP 3 with GSSAPI");
        p->cred = dw_step_credential(&p->who, &err);
        if (!p->cred || !(context = dw_context_initiate(p->cred, p->service, p->realm, &err)))
            return failed(p, "ticket", err.detail, dw_step_cause_of_ticket(&err));
        dw_zmtp_peer_initiate(p->machine, context);
    }
    int progress = dw_context_step(context, token, &reply, &err);
    if (progress < 0) {
        dw_buf_free(&reply);
        return failed(p, token.len ? "context" : "ticket", err.detail, dw_step_cause_of_ticket(&err));
    }
    tell(p, token.len ? "context" : "ticket", "%s %s: %zu octets to send",
         dw_cred_name(p->cred) ? dw_cred_name(p->cred) : "", token.len ? "got the server's token" : "got a ticket",
         dw_buf_len(&reply));
    dw_zmtp_peer_stepped(p->machine, progress, dw_buf_span(&reply), &err);
    dw_buf_free(&reply);
    if (progress == DW_CONTEXT_DONE) {
        struct dw_event event = {0};
        dw_context_describe(context, &event);
        p->context_done = true;
        tell(p, "context", "whole with %s%s, %u s left",
             dw_context_target(context) ? dw_context_target(context) : p->service,
             event.gss.mutual ? ", the server proved itself" : "", event.gss.lifetime);
    }
    return 0;
}

/* A type that the server's talks to. */
static const char *counterpart(struct dw_span type)
{
    static const char *const types[] = {"DEALER", "REQ", "PUSH", "SUB", "PUB", "PULL", "PAIR", "XSUB", "REP", NULL};
    for (int i = 0; types[i]; i++)
        if (dw_socket_types_match(dw_span_str(types[i]), type))
            return types[i];
    return "DEALER";
}

static int put_ours(const struct probe *p, const char *type, struct dw_buf *ours)
{
    int rc = dw_property_put(ours, DW_SPAN_OF("Socket-Type"), dw_span_str(type));
    if (rc == 0 && p->identity)
        rc = dw_property_put(ours, DW_SPAN_OF("Identity"), dw_span_str(p->identity));
    for (int i = 0; rc == 0 && i < p->property_count; i++) {
        const char *equals = strchr(p->properties[i], '=');
        size_t len = (size_t)(equals - p->properties[i]);
        rc = dw_property_put(ours, dw_span_make(p->properties[i], len), dw_span_str(equals + 1));
    }
    return rc;
}

static int server_ready(struct probe *p, struct dw_span meta)
{
    struct dw_properties walk = dw_properties_make(meta);
    for (struct dw_pair pair; dw_properties_next(&walk, &pair);) {
        struct dw_buf line = {0};
        dw_text_quote(&line, pair.name);
        dw_buf_put_u8(&line, '=');
        dw_text_quote(&line, pair.value);
        struct dw_span text = dw_buf_span(&line);
        tell(p, "READY", "%.*s", (int)text.len, (const char *)text.at);
        dw_buf_free(&line);
    }
    const char *type = p->type ? p->type : counterpart(dw_properties_find(meta, "Socket-Type"));
    struct dw_buf ours = {0};
    int rc = put_ours(p, type, &ours);
    if (rc == 0)
        rc = dw_zmtp_peer_ready(p->machine, dw_buf_span(&ours));
    dw_buf_free(&ours);
    if (rc < 0)
        return failed(p, "READY", "out of memory", NULL);
    tell(p, "READY", "sent ours: Socket-Type=%s", type);
    dw_zmtp_peer_open(p->machine);
    p->server_ready = true;
    return 0;
}

static const char *cause_of_close(const struct probe *p)
{
    if (p->server_ready)
        return "it does not take our socket type, identity or protection (--type, --identity, --plaintext)";
    if (p->context_done)
        return "authenticated, and then refused by its policy, or its backend is not there; its log says which";
    if (dw_zmtp_peer_stepping(p->machine))
        return "it did not take the ticket: its keytab has not this key, the clocks differ, or the realm is not "
               "trusted; its log says which";
    return "it speaks another mechanism than GSSAPI, or another protocol than ZMTP 3";
}

/* The machine has given up: of what the server sent, or because it was sent ERROR. */
static const char *cause_of_refusal(const struct probe *p, const struct dw_error *why)
{
    if (why->kind == DW_ERROR_CLOSED)
        return "the server refused, and wants us to stay away";
    if (p->context_done && strstr(why->detail, "mode"))
        return "the protection: the other of encrypted and plaintext (--plaintext)";
    if (p->context_done)
        return NULL;
    return cause_of_close(p);
}

static int effects(struct probe *p)
{
    struct dw_effect fx;
    for (;;) {
        const char *state = dw_zmtp_peer_state(p->machine);
        int rc = 0;
        switch (dw_machine_next(p->machine, &fx)) {
        case DW_NEED: return 0;
        case DW_STEP: rc = step(p, fx.token); break;
        case DW_META: rc = server_ready(p, fx.meta); break;
        case DW_CLOSE: rc = failed(p, state, fx.why.detail, cause_of_refusal(p, &fx.why)); break;
        default: break;
        }
        if (rc < 0)
            return -1;
    }
}

static int flush(struct probe *p)
{
    struct dw_buf *out = &p->machine->out;
    while (dw_buf_len(out) > 0) {
        struct dw_span waiting = dw_buf_span(out);
        ssize_t n = send(p->fd, waiting.at, waiting.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return failed(p, "send", strerror(errno), cause_of_close(p));
        if (n > 0)
            dw_buf_take(out, (size_t)n);
    }
    return 0;
}

/* 1 when octets came, 0 when the time is over, -1 when the login is. */
static int receive(struct probe *p, double deadline)
{
    static uint8_t scratch[65536];
    struct pollfd poller = {.fd = p->fd, .events = POLLIN};
    double left = deadline - dw_step_now();
    int rc = poll(&poller, 1, left > 0 ? (int)left + 1 : 0);
    if (rc <= 0)
        return rc < 0 && errno != EINTR ? failed(p, "poll", strerror(errno), NULL) : 0;
    size_t len;
    uint8_t *room = dw_machine_room(p->machine, scratch, sizeof scratch, &len);
    ssize_t n = room ? read(p->fd, room, len) : -1;
    p->closed = n == 0 || (n < 0 && errno == ECONNRESET);
    if (n <= 0)
        return failed(p, dw_zmtp_peer_state(p->machine), "the server closed the connection", cause_of_close(p));
    dw_machine_filled(p->machine, room, (size_t)n);
    return 1;
}

static int login(struct probe *p)
{
    struct dw_zmtp_options options = {.role = DW_ZMTP_INITIATOR, .plaintext = p->plaintext, .frame_bytes = 1 << 26};
    if (dial(p) < 0)
        return -1;
    p->machine = dw_zmtp_peer_new(&options);
    if (!p->machine)
        return failed(p, "connect", "out of memory", NULL);
    double deadline = p->steps.started + p->timeout * 1000;
    bool settling = false;
    for (;;) {
        if (effects(p) < 0 || flush(p) < 0 || dw_machine_settle(p->machine) < 0)
            return -1;
        if (p->server_ready && !settling) {
            settling = true;
            deadline = dw_step_now() + AFTERMATH_MS;
        }
        int rc = receive(p, deadline);
        if (rc < 0)
            return -1;
        if (rc == 0 && settling)
            break;
        if (rc == 0 && dw_step_now() >= deadline)
            return failed(p, dw_zmtp_peer_state(p->machine), "nothing more comes: out of time",
                          p->context_done
                              ? "the server holds us: refused by its policy, or its backend is not there"
                              : cause_of_close(p));
    }
    tell(p, "done", "logged in");
    return 0;
}

/* -- the command line --------------------------------------------------------------------------------------- */

static int usage(const struct probe *p, const char *what, const char *word)
{
    fprintf(stderr, "durward probe %s: %s%s%s\n\n", p->what, what, word ? " " : "", word ? word : "");
    return 2;
}

static int parse(struct probe *p, int argc, char **argv)
{
    enum { SERVICE = 1, REALM, PLAINTEXT, TYPE, IDENTITY, PROPERTY, CCACHE, KEYTAB, PRINCIPAL, TIMEOUT };
    static const struct option options[] = {
        {"service", required_argument, NULL, SERVICE},
        {"realm", required_argument, NULL, REALM},
        {"plaintext", no_argument, NULL, PLAINTEXT},
        {"type", required_argument, NULL, TYPE},
        {"identity", required_argument, NULL, IDENTITY},
        {"property", required_argument, NULL, PROPERTY},
        {"ccache", required_argument, NULL, CCACHE},
        {"keytab", required_argument, NULL, KEYTAB},
        {"principal", required_argument, NULL, PRINCIPAL},
        {"timeout", required_argument, NULL, TIMEOUT},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case SERVICE: p->service = optarg; break;
        case REALM: p->realm = optarg; break;
        case PLAINTEXT: p->plaintext = true; break;
        case TYPE: p->type = optarg; break;
        case IDENTITY: p->identity = optarg; break;
        case CCACHE: p->who.ccache = optarg; break;
        case KEYTAB: p->who.keytab = optarg; break;
        case PRINCIPAL: p->who.principal = optarg; break;
        case TIMEOUT: p->timeout = strtod(optarg, NULL); break;
        case PROPERTY:
            if (!strchr(optarg, '=') || p->property_count == MOST_PROPERTIES)
                return usage(p, "--property takes NAME=VALUE:", optarg);
            p->properties[p->property_count++] = optarg;
            break;
        default: fputc('\n', stderr); return 2;
        }
    }
    if (optind + 1 != argc)
        return usage(p, optind == argc ? "a URL is needed" : "one URL only, not also",
                     optind == argc ? NULL : argv[argc - 1]);
    if (!(p->timeout > 0))
        return usage(p, "--timeout takes a number of seconds", NULL);
    if (p->type && !dw_socket_type_known(dw_span_str(p->type)))
        return usage(p, "--type takes a socket type such as DEALER, not", p->type);
    p->url = argv[optind];
    struct dw_error err = {0};
    if (dw_address_parse(&p->address, p->url, &err) < 0)
        return usage(p, err.detail, NULL);
    if (!p->service) {
        snprintf(p->default_service, sizeof p->default_service, "zmq@%s",
                 p->address.scheme == DW_TCP ? p->address.host : "localhost");
        p->service = p->default_service;
    }
    return 0;
}

static void release(struct probe *p)
{
    if (p->fd >= 0)
        close(p->fd);
    dw_machine_free(&p->machine);
    dw_cred_free(&p->cred);
    dw_address_clear(&p->address);
}

int dw_probe_zmtp(int argc, char **argv)
{
    struct probe p = {.timeout = 15, .fd = -1, .what = "zmtp"};
    int rc = parse(&p, argc, argv);
    if (rc == 0) {
        p.steps.started = dw_step_now();
        rc = login(&p) < 0 ? 1 : 0;
    }
    release(&p);
    return rc;
}

/* A server asks its handler when the context is whole, and sends READY to those that it lets in. */
int dw_probe_zap(int argc, char **argv)
{
    struct probe p = {.timeout = 15, .fd = -1, .what = "zap"};
    int rc = parse(&p, argc, argv);
    if (rc == 0) {
        p.steps.started = dw_step_now();
        login(&p);
        rc = p.server_ready ? 1 : p.context_done && p.closed ? 0 : 4;
        tell(&p, "verdict",
             rc == 1
                 ? "LET IN: if the handler refuses this principal, the server does not honour refusals; give it "
                   "durward's, which hold"
             : rc == 0 ? "kept out: the server honours its handler's refusal"
                       : "cannot be told: the login did not come as far as the handler");
    }
    release(&p);
    return rc;
}
