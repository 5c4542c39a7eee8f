/* Logs one user in at a real server through xmpp/login.h, over a real socket, for tests/e2e/test_xmpp_backends.py:
 *
 *   drive_xmpp_login PORT DOMAIN CA_FILE USER jwt|token SECRET_FILE [v1|v2] [LIFETIME [BACKWARDS]]
 *   drive_xmpp_login PORT DOMAIN CA_FILE USER external CA_CERTIFICATE CA_KEY [v1|v2]
 *   drive_xmpp_login PORT DOMAIN CA_FILE USER password FILE
 *
 * CA_FILE "-" is no TLS.  Each step is a line on standard output; once the user is in, the client's own restart and a
 * resource binding are sent, and what the server answers is shown ("< .."), until the binding's result.  Exit 0 then; 3
 * when the server refused the user, 4 for anything else, with "closed KIND: why". */
#include "base/text.h"
#include "tls/issue.h"
#include "xmpp/login.h"
#include "xmpp/proxy.h"
#include "xmpp/token.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

struct plan {
    int port, proxy;
    const char *domain, *ca_file, *user, *method;
    char jid[256];
    struct dw_buf password, seen;
    struct dw_tls_pair *pair;
};

static void stop(const char *what)
{
    printf("closed driver: %s\n", what);
    exit(5);
}

static void read_file(const char *path, struct dw_buf *out)
{
    char octets[4096];
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(octets, 1, sizeof octets, file) : 0;
    if (!file || dw_buf_put(out, dw_span_make(octets, len)) < 0)
        stop(path);
    fclose(file);
}

static void make_password(struct plan *plan, const char *path, int lifetime, int backwards)
{
    struct dw_buf file = {0}, secret = {0};
    struct dw_error err = {0};
    read_file(path, &file);
    double now = (double)time(NULL) - backwards;
    int rc = 0;
    if (strcmp(plan->method, "password") == 0)
        rc = dw_buf_put(&plan->password, dw_buf_span(&file));
    else if (dw_token_secret(dw_buf_span(&file), &secret, &err) < 0)
        stop(err.detail);
    else if (strcmp(plan->method, "jwt") == 0)
        rc = dw_token_jwt(dw_buf_span(&secret), plan->jid, now, (unsigned)lifetime, &plan->password, &err);
    else
        rc = dw_token_one_use(dw_buf_span(&secret), plan->jid, now, (unsigned)lifetime, &plan->password, &err);
    if (rc < 0)
        stop(err.detail);
    dw_buf_free(&file);
    dw_buf_free(&secret);
}

static void log_in(struct plan *plan, struct dw_machine *m)
{
    if (plan->pair)
        dw_xmpp_login_go(m,
                         &(struct dw_xmpp_credentials){.mechanism = "EXTERNAL", .authzid = dw_span_str(plan->jid)});
    else
        dw_xmpp_login_go(m, &(struct dw_xmpp_credentials){.mechanism = "PLAIN",
                                                          .authcid = dw_span_str(plan->user),
                                                          .password = dw_buf_span(&plan->password)});
}

static void restart(struct plan *plan, struct dw_machine *m)
{
    struct dw_buf text = {0};
    struct dw_error err = {0};
    dw_buf_printf(
        &text,
        "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'>"
        "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>",
        plan->domain);
    if (dw_machine_push(m, (struct dw_frame){.body = dw_buf_span(&text)}, &err) < 0)
        stop(err.detail);
    dw_buf_free(&text);
}

/* 0: the binding's result is there; 1: go on; else what to end with, and one more. */
static int turn(struct plan *plan, struct dw_machine *m, int *metas)
{
    for (;;) {
        struct dw_effect fx = {0};
        switch (dw_machine_next(m, &fx)) {
        case DW_NEED: return 1;
        case DW_META:
            printf("%s %s\n", dw_xmpp_login_state(m),
                   dw_xmpp_login_tls(m) ? dw_tls_version(dw_xmpp_login_tls(m)) : "in the clear");
            if ((*metas)++ == 0)
                log_in(plan, m);
            else
                restart(plan, m);
            break;
        case DW_DATA:
            printf("< %.*s\n", (int)fx.frame.body.len, (const char *)fx.frame.body.at);
            if (dw_buf_put(&plan->seen, fx.frame.body) < 0 || dw_buf_put_u8(&plan->seen, 0) < 0)
                stop("memory");
            if (strstr((const char *)dw_buf_span(&plan->seen).at, "<jid>"))
                return 0;
            dw_buf_cut(&plan->seen, dw_buf_len(&plan->seen) - 1);
            break;
        default:
            printf("closed %s: %s\n", dw_error_word(fx.why.kind), fx.why.detail);
            return fx.why.kind == DW_ERROR_DENIED ? 4 : 5;
        }
    }
}

static int drive(struct plan *plan, struct dw_machine *m, int fd)
{
    uint8_t scratch[16384];
    int metas = 0;
    for (;;) {
        int rc = turn(plan, m, &metas);
        if (rc != 1)
            return rc ? rc - 1 : 0;
        while (dw_buf_len(&m->out)) {
            ssize_t n = send(fd, dw_buf_span(&m->out).at, dw_buf_len(&m->out), MSG_NOSIGNAL);
            if (n <= 0)
                stop("the server is gone");
            dw_buf_take(&m->out, (size_t)n);
        }
        if (dw_machine_settle(m) < 0)
            stop("memory");
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        size_t len;
        uint8_t *room = dw_machine_room(m, scratch, sizeof scratch, &len);
        ssize_t n = poll(&ready, 1, PATIENCE_MS) == 1 ? read(fd, room, len) : -1;
        if (n <= 0)
            stop(n < 0 ? "the server is silent" : "the server closed the connection");
        dw_machine_filled(m, room, (size_t)n);
    }
}

static int argument(int argc, char **argv, int at, int otherwise)
{
    return at < argc ? atoi(argv[at]) : otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 7)
        return 2;
    struct plan plan = {
        .port = atoi(argv[1]), .domain = argv[2], .ca_file = argv[3], .user = argv[4], .method = argv[5]};
    struct dw_error err = {0};
    struct dw_tls_context *tls = NULL;
    struct dw_tls_issuer *issuer = NULL;
    struct dw_buf preamble = {0};
    bool external = strcmp(plan.method, "external") == 0;
    int more = external ? 8 : 7;
    snprintf(plan.jid, sizeof plan.jid, "%s@%s", plan.user, plan.domain);
    if (more < argc && argv[more][0] == 'v')
        plan.proxy = atoi(argv[more] + 1);
    if (strcmp(plan.ca_file, "-") != 0 &&
        !(tls = dw_tls_client_new(&(struct dw_tls_client_options){.ca_file = plan.ca_file}, &err)))
        stop(err.detail);
    if (external && (!(issuer = dw_tls_issuer_new(argv[6], argv[7], &err)) ||
                     !(plan.pair = dw_tls_issue(issuer, plan.jid, 60, &err))))
        stop(err.detail);
    if (!external)
        make_password(&plan, argv[6], argument(argc, argv, 8, 20), argument(argc, argv, 9, 0));
    if (plan.proxy && dw_proxy_put(&preamble, plan.proxy, "192.0.2.77", 4711, "127.0.0.1", plan.port) < 0)
        stop("memory");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)plan.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        stop("cannot connect");
    struct dw_machine *m = dw_xmpp_login_new(&(struct dw_xmpp_login_options){
        .domain = plan.domain, .tls = tls, .pair = plan.pair, .preamble = dw_buf_span(&preamble)});
    int rc = m ? drive(&plan, m, fd) : 5;
    dw_machine_free(&m);
    dw_tls_pair_free(&plan.pair);
    dw_tls_issuer_release(&issuer);
    dw_tls_context_release(&tls);
    dw_buf_free(&plan.password);
    dw_buf_free(&plan.seen);
    dw_buf_free(&preamble);
    close(fd);
    return rc;
}
