/* The server that an admitted user is handed to, and its login there.  See xmpp.h. */
#include "net/xmpp.h"

#include "net/admit.h"
#include "net/broker.h"
#include "net/dial.h"
#include "net/xmpp_pool.h"
#include "xmpp/login.h"
#include "xmpp/proxy.h"
#include "xmpp/token.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Made for one login, which is at once. */
#define TOKEN_SECONDS 15
#define CERTIFICATE_SECONDS 60
/* Of the handshake's time this much is left for telling the client that the server did not answer. */
#define TELLING_SECONDS 1

static const struct dw_xmpp_backend_config *config_of(const struct dw_conn *conn)
{
    return &conn->own->domain->backend;
}

static bool is_overridden(const struct dw_conn *conn)
{
    return conn->backend_address.text != NULL;
}

void dw_xmpp_backend_drop(struct dw_conn *conn)
{
    dw_conn_close_far(conn);
    dw_machine_free(&conn->far.machine);
    dw_dial_free(conn);
    dw_tls_pair_free(&conn->own->pair);
    dw_address_clear(&conn->backend_address);
    free(conn->backend);
    conn->backend = NULL;
    conn->far_ready = false;
    conn->own->stage = DW_XMPP_ALONE;
    conn->own->is_pooled = false;
    dw_conn_no_deadline(conn, DW_AT_BACKEND);
    dw_conn_no_deadline(conn, DW_AT_DIAL);
}

static void failed(struct dw_conn *conn, const char *why)
{
    char what[160];
    dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_BACKEND_FAILED, 1);
    snprintf(what, sizeof what, "the server did not take the user: %s", conn->backend ? conn->backend : "");
    dw_xmpp_temporary(conn, what, why);
}

/* -- credentials ---------------------------------------------------------------------------------------- */

static double clock_now(void)
{
    uv_timeval64_t now;
    uv_gettimeofday(&now);
    return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

static int make_token(struct dw_conn *conn, struct dw_buf *token, struct dw_error *err)
{
    struct dw_xmpp_own *own = conn->own;
    struct dw_span secret = dw_buf_span(&own->way->secret);
    return (config_of(conn)->login == DW_LOGIN_JWT ? dw_token_jwt : dw_token_one_use)(secret, own->jid, clock_now(),
                                                                                      TOKEN_SECONDS, token, err);
}

static void log_in(struct dw_conn *conn)
{
    struct dw_xmpp_own *own = conn->own;
    struct dw_xmpp_credentials c = {.mechanism = "EXTERNAL", .authzid = dw_span_str(own->jid)};
    struct dw_buf token = {0};
    struct dw_error err = {0};
    int rc = 0;
    if (config_of(conn)->login != DW_LOGIN_EXTERNAL) {
        rc = make_token(conn, &token, &err);
        c = (struct dw_xmpp_credentials){
            .mechanism = "PLAIN",
            .authcid = dw_span_make(own->jid, (size_t)(strchr(own->jid, '@') - own->jid)),
            .password = dw_buf_span(&token),
        };
    }
    if (rc == 0) {
        own->stage = DW_XMPP_LOGGING_IN;
        dw_xmpp_login_go(conn->far.machine, &c);
    }
    dw_buf_free(&token);
    if (rc < 0)
        failed(conn, err.detail);
}

/* -- a stream ------------------------------------------------------------------------------------------- */

static int put_preamble(struct dw_conn *conn, struct dw_buf *out)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    char here[INET6_ADDRSTRLEN] = "";
    int port = 0, version = config_of(conn)->proxy;
    if (version == 0)
        return 0;
    if (getsockname(conn->near.fd, (struct sockaddr *)&at, &len) == 0 && at.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&at;
        inet_ntop(AF_INET, &in->sin_addr, here, sizeof here);
        port = ntohs(in->sin_port);
    } else if (at.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&at;
        inet_ntop(AF_INET6, &in6->sin6_addr, here, sizeof here);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            memmove(here, here + 7, strlen(here + 7) + 1);
        port = ntohs(in6->sin6_port);
    }
    return dw_proxy_put(out, version, conn->peer, conn->port, here, port);
}

int dw_xmpp_backend_connected(struct dw_conn *conn)
{
    struct dw_xmpp_own *own = conn->own;
    struct dw_buf preamble = {0};
    struct dw_error err = {0};
    dw_machine_free(&conn->far.machine);
    dw_tls_pair_free(&own->pair);
    if (own->way->issuer && !(own->pair = dw_tls_issue(own->way->issuer, own->jid, CERTIFICATE_SECONDS, &err))) {
        failed(conn, err.detail);
        return 0;
    }
    if (put_preamble(conn, &preamble) == 0) {
        struct dw_xmpp_login_options options = {
            .domain = own->domain->domain,
            .name = config_of(conn)->name,
            .tls = own->way->tls,
            .pair = own->pair,
            .preamble = dw_buf_span(&preamble),
            .meter = dw_tally_meter(dw_broker_tally(conn->worker->broker)),
        };
        conn->far.machine = dw_xmpp_login_new(&options);
    }
    dw_buf_free(&preamble);
    return conn->far.machine ? 0 : -1;
}

static void dial(struct dw_conn *conn)
{
    conn->own->stage = DW_XMPP_DIALLED;
    conn->own->is_pooled = false;
    dw_dial_start(conn, is_overridden(conn) ? &conn->backend_address : &config_of(conn)->connect);
}

/* One that waits for a user, if there is one; another then takes its place. */
static bool take_pooled(struct dw_conn *conn)
{
    int fd;
    struct dw_machine *machine;
    if (is_overridden(conn) || config_of(conn)->pool == 0 ||
        !dw_xmpp_pool_take(conn->worker, conn->own->domain, &fd, &machine))
        return false;
    conn->far.machine = machine;
    if (dw_leg_open(&conn->far, conn, &conn->worker->loop, fd) < 0) {
        dw_machine_free(&conn->far.machine);
        return false;
    }
    conn->own->is_pooled = true;
    conn->own->stage = DW_XMPP_DIALLED;
    conn->far_ready = true;
    return true;
}

void dw_xmpp_backend_start(struct dw_conn *conn)
{
    uint64_t end = conn->deadlines[DW_AT_HANDSHAKE], now = dw_worker_now(conn->worker);
    double left = end > now ? (double)(end - now) / 1000 : 0;
    dw_conn_deadline(conn, DW_AT_BACKEND, left > 2 * TELLING_SECONDS ? left - TELLING_SECONDS : left / 2);
    /* A look-up of the attempt before would bring its address to this one. */
    if (conn->works > 0)
        failed(conn, "the attempt before is still being given up");
    else if (take_pooled(conn)) {
        log_in(conn);
        dw_conn_pump(conn, &conn->far); /* it may have found at once that it cannot */
    } else
        dial(conn);
}

void dw_xmpp_backend_effect(struct dw_conn *conn, enum dw_act act)
{
    struct dw_xmpp_own *own = conn->own;
    if (act != DW_META)
        return;
    if (own->stage == DW_XMPP_DIALLED) {
        conn->far_ready = true;
        log_in(conn);
    } else if (own->stage == DW_XMPP_LOGGING_IN) {
        if (!is_overridden(conn))
            dw_xmpp_pool_fill(conn, own->domain, own->way);
        dw_xmpp_welcome(conn);
    }
}

/* -- when it fails -------------------------------------------------------------------------------------- */

void dw_xmpp_backend_lost(struct dw_conn *conn, const struct dw_error *why)
{
    struct dw_xmpp_own *own = conn->own;
    const char *reason = why ? why->detail : "it closed the connection during the login";
    if (own->stage == DW_XMPP_IN) {
        dw_conn_log(conn, DW_LOG_ERROR, "the server was lost after it had let the user in", "why", reason);
        dw_tally_add(dw_broker_tally(conn->worker->broker), DW_COUNT_BACKEND_FAILED, 1);
        dw_conn_close_far(conn);
        if (!conn->front->farewell(conn, DW_PARTING_FAR_LOST))
            dw_conn_doom(conn, "backend closed");
        else
            dw_conn_pump(conn, &conn->near);
    } else if (own->is_pooled && (!why || why->kind != DW_ERROR_DENIED)) {
        /* Servers end streams that have waited long, perhaps just now: it is no word about the user. */
        dw_conn_close_far(conn);
        dw_machine_free(&conn->far.machine);
        conn->far_ready = false;
        dial(conn);
    } else if (!why && own->stage == DW_XMPP_DIALLED && conn->dial) {
        dw_dial_retry(conn, "closed during the login");
    } else {
        failed(conn, reason);
    }
}

void dw_xmpp_backend_late(struct dw_conn *conn)
{
    const char *why = conn->far_ready     ? "it does not answer the login"
                      : conn->far.machine ? "it does not offer a login in time"
                                          : "it cannot be reached";
    if (conn->phase == DW_PHASE_HANDSHAKE && conn->own->stage != DW_XMPP_IN)
        failed(conn, why);
}
