/* What all probes have; see probe_step.h. */
#include "cmd/probe_step.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

double dw_step_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

void dw_step_tell(const struct dw_steps *steps, const char *step, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("%9.1f ms  %-9s %s\n", dw_step_now() - steps->started, step, text);
    fflush(stdout);
}

int dw_step_failed(const struct dw_steps *steps, const char *step, const char *what, const char *cause)
{
    dw_step_tell(steps, step, "FAILED: %s", what);
    if (cause)
        printf("              likely    %s\n", cause);
    return -1;
}

/* Connects within the time that is left; -1 with errno. */
static int connect_in_time(int fd, const struct sockaddr *to, socklen_t len, double deadline)
{
    int error = 0, flags = fcntl(fd, F_GETFL);
    socklen_t size = sizeof error;
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (connect(fd, to, len) < 0 && errno != EINPROGRESS)
        return -1;
    double left = deadline - dw_step_now();
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    if (poll(&poller, 1, left > 0 ? (int)left + 1 : 0) <= 0)
        error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    fcntl(fd, F_SETFL, flags);
    errno = error;
    return error ? -1 : 0;
}

static const char *cause_of_refusal(int error)
{
    switch (error) {
    case ECONNREFUSED: return "nothing listens there";
    case ETIMEDOUT: return "a firewall that drops what it does not like, or the wrong address";
    default: return "the host, or a firewall before it";
    }
}

int dw_step_dial(const struct dw_steps *steps, const char *host, int port, double deadline)
{
    char service[8];
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    int fd = -1, error = 0;
    snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return dw_step_failed(steps, "resolve", gai_strerror(rc), "the host name is wrong, or DNS is not reached");
    for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect_in_time(fd, at->ai_addr, at->ai_addrlen, deadline) < 0) {
            error = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        return dw_step_failed(steps, "connect", strerror(error), cause_of_refusal(error));
    return fd;
}

const char *dw_step_cause_of_ticket(const struct dw_error *err)
{
    const char *d = err->detail;
    if (strcasestr(d, "skew"))
        return "the clocks of this host and of the KDC differ by more than a few minutes";
    if (strcasestr(d, "not found in Kerberos database"))
        return "the service name: the KDC knows no such principal (--service, --realm)";
    if (strcasestr(d, "cannot contact") || strcasestr(d, "cannot find KDC"))
        return "the KDC is not reached: krb5.conf, DNS or the network";
    if (strcasestr(d, "expired"))
        return "the ticket has expired: kinit again";
    if (strcasestr(d, "No Kerberos credentials") || strcasestr(d, "cache") || strcasestr(d, "credential"))
        return "there is no ticket: kinit first, or name a cache or keytab";
    return NULL;
}

struct dw_cred *dw_step_credential(const struct dw_initiator_options *who, struct dw_error *err)
{
    struct dw_initiator_options named = *who;
    struct dw_buf cache = {0};
    struct dw_cred *cred = NULL;
    if (named.ccache || named.keytab)
        return dw_cred_initiator(&named, err);
    if (dw_ccache_default(&cache, err) == 0) {
        if (dw_buf_put_u8(&cache, 0) < 0) {
            dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        } else {
            named.ccache = (const char *)dw_buf_span(&cache).at;
            cred = dw_cred_initiator(&named, err);
        }
    }
    dw_buf_free(&cache);
    return cred;
}
