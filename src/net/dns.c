/* DNS by c-ares on a loop: see dns.h. */
#include "net/dns.h"

#include "auth/journal.h"
#include "base/buf.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { TRY_MS = 1500, TRIES = 3, ADDRESSES_MOST = 64 };

struct socket {
    struct socket *next;
    struct dw_dns *dns;
    ares_socket_t fd;
    uv_poll_t poll;
};

struct dw_dns {
    uv_loop_t *loop;
    ares_channel channel;
    uv_timer_t timer;
    struct socket *sockets;
    int queries, handles, depth;
    bool is_retired, is_ended;
    struct dw_dns *next, **list; /* of those retired */
};

struct query {
    struct dw_dns *dns;
    enum dw_want_kind kind;
    dw_dns_done done;
    void *arg;
};

static void settle(struct dw_dns *dns);

/* -- the loop ------------------------------------------------------------------------------------------------ */

static void let_go(struct dw_dns *dns)
{
    if (--dns->handles == 0)
        free(dns);
}

static void timer_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void socket_closed(uv_handle_t *handle)
{
    struct socket *s = handle->data;
    let_go(s->dns);
    free(s);
}

static void process(struct dw_dns *dns, ares_socket_t readable, ares_socket_t writable)
{
    dns->depth++;
    ares_process_fd(dns->channel, readable, writable);
    dns->depth--;
    settle(dns);
}

static void polled(uv_poll_t *poll, int status, int events)
{
    struct socket *s = poll->data;
    process(s->dns, status < 0 || (events & UV_READABLE) ? s->fd : ARES_SOCKET_BAD,
            status < 0 || (events & UV_WRITABLE) ? s->fd : ARES_SOCKET_BAD);
}

static void timed(uv_timer_t *timer)
{
    process(timer->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* One that the loop does not take is not heard: its query runs out of time. */
static struct socket *open_socket(struct dw_dns *dns, ares_socket_t fd)
{
    struct socket *s = calloc(1, sizeof *s);
    if (!s || uv_poll_init(dns->loop, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    s->dns = dns;
    s->fd = fd;
    s->next = dns->sockets;
    dns->sockets = s;
    dns->handles++;
    return s;
}

static void socket_changed(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dw_dns *dns = data;
    struct socket **at = &dns->sockets, *s;
    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    s = *at;
    if (!readable && !writable) {
        if (s) {
            *at = s->next;
            uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *)&s->poll, socket_closed);
        }
        return;
    }
    if (s || (s = open_socket(dns, fd)))
        uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), polled);
}

static void end(struct dw_dns *dns)
{
    dns->is_ended = true;
    if (dns->list)
        LL_DELETE(*dns->list, dns);
    ares_destroy(dns->channel);
    uv_close((uv_handle_t *)&dns->timer, timer_closed);
}

/* After anything that c-ares did: its next timeout, or its end. */
static void settle(struct dw_dns *dns)
{
    struct timeval wait;
    if (dns->depth > 0 || dns->is_ended)
        return;
    if (dns->is_retired && dns->queries == 0) {
        end(dns);
    } else if (ares_timeout(dns->channel, NULL, &wait)) {
        uint64_t ms = (uint64_t)wait.tv_sec * 1000 + (uint64_t)wait.tv_usec / 1000 + 1;
        uv_timer_start(&dns->timer, timed, ms, 0);
    } else {
        uv_timer_stop(&dns->timer);
    }
}

/* -- answers ------------------------------------------------------------------------------------------------- */

static json_t *addresses(int family, const unsigned char *reply, int len, int *status)
{
    char text[INET6_ADDRSTRLEN];
    struct ares_addrttl four[ADDRESSES_MOST];
    struct ares_addr6ttl six[ADDRESSES_MOST];
    int count = ADDRESSES_MOST;
    *status = family == AF_INET ? ares_parse_a_reply(reply, len, NULL, four, &count)
                                : ares_parse_aaaa_reply(reply, len, NULL, six, &count);
    json_t *list = json_array();
    for (int i = 0; *status == ARES_SUCCESS && i < count; i++)
        if (inet_ntop(family, family == AF_INET ? (void *)&four[i].ipaddr : (void *)&six[i].ip6addr, text,
                      sizeof text))
            json_array_append_new(list, json_string(text));
    return list;
}

static json_t *texts(const unsigned char *reply, int len, int *status)
{
    struct ares_txt_ext *found = NULL;
    struct dw_buf whole = {0};
    *status = ares_parse_txt_reply_ext(reply, len, &found);
    json_t *list = json_array();
    for (struct ares_txt_ext *t = found; t; t = t->next) {
        dw_buf_put(&whole, dw_span_make(t->txt, t->length));
        if (!t->next || t->next->record_start) {
            json_array_append_new(list, dw_text_to_json(dw_buf_span(&whole)));
            dw_buf_clear(&whole, SIZE_MAX);
        }
    }
    dw_buf_free(&whole);
    if (found)
        ares_free_data(found);
    return list;
}

static int by_priority(const void *a, const void *b)
{
    const struct ares_srv_reply *const *one = a, *const *two = b;
    if ((*one)->priority != (*two)->priority)
        return (*one)->priority < (*two)->priority ? -1 : 1;
    return (*one)->weight != (*two)->weight ? ((*one)->weight > (*two)->weight ? -1 : 1) : 0;
}

static json_t *services(const unsigned char *reply, int len, int *status)
{
    struct ares_srv_reply *found = NULL, *sorted[ADDRESSES_MOST];
    size_t count = 0;
    *status = ares_parse_srv_reply(reply, len, &found);
    json_t *list = json_array();
    for (struct ares_srv_reply *r = found; r && count < ADDRESSES_MOST; r = r->next)
        sorted[count++] = r;
    if (count > 0)
        qsort(sorted, count, sizeof *sorted, by_priority);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:i, s:i, s:i}", "target",
                                        dw_text_to_json(dw_span_str(sorted[i]->host)), "port", (int)sorted[i]->port,
                                        "priority", (int)sorted[i]->priority, "weight", (int)sorted[i]->weight));
    if (found)
        ares_free_data(found);
    return list;
}

static void tell_failure(struct dw_answer *answer, enum dw_want_kind kind, int status)
{
    char word[16];
    struct dw_want want = {.kind = kind};
    if (status == ARES_ENOTFOUND)
        dw_answer_fail(answer, "no such name");
    else if (status == ARES_ENODATA)
        dw_answer_fail(answer, "no %s record", dw_want_word(&want, word, sizeof word));
    else if (status == ARES_ETIMEOUT)
        dw_answer_fail(answer, "no DNS server answers");
    else
        dw_answer_fail(answer, "DNS: %s", ares_strerror(status));
}

static void replied(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    struct query *q = arg;
    struct dw_dns *dns = q->dns;
    struct dw_answer answer = {0};
    (void)timeouts;
    if (status == ARES_SUCCESS) {
        switch (q->kind) {
        case DW_WANT_AAAA: answer.value = addresses(AF_INET6, reply, len, &status); break;
        case DW_WANT_TXT: answer.value = texts(reply, len, &status); break;
        case DW_WANT_SRV: answer.value = services(reply, len, &status); break;
        default: answer.value = addresses(AF_INET, reply, len, &status); break;
        }
        if (status == ARES_SUCCESS && json_array_size(answer.value) == 0)
            status = ARES_ENODATA;
    }
    if (status != ARES_SUCCESS)
        tell_failure(&answer, q->kind, status);
    dns->queries--;
    q->done(q->arg, &answer);
    dw_answer_clear(&answer);
    free(q);
}

void dw_dns_ask(struct dw_dns *dns, enum dw_want_kind kind, const char *name, dw_dns_done done, void *arg)
{
    static const int types[] = {
        [DW_WANT_A] = ns_t_a, [DW_WANT_AAAA] = ns_t_aaaa, [DW_WANT_TXT] = ns_t_txt, [DW_WANT_SRV] = ns_t_srv};
    struct dw_answer none = {0};
    struct query *q = calloc(1, sizeof *q);
    if (!q) {
        done(arg, &none);
        return;
    }
    *q = (struct query){dns, kind, done, arg};
    dns->queries++;
    dns->depth++;
    ares_query(dns->channel, name, ns_c_in, types[kind], replied, q);
    dns->depth--;
    settle(dns);
}

/* -- beginning and end --------------------------------------------------------------------------------------- */

static int set_servers(ares_channel channel, char *const *servers, struct dw_error *err)
{
    struct dw_buf list = {0};
    int failed = 0;
    for (size_t i = 0; servers[i]; i++)
        failed |= dw_buf_printf(&list, "%s%s", i ? "," : "", servers[i]);
    failed |= dw_buf_put_u8(&list, 0);
    int status = failed ? ARES_ENOMEM : ares_set_servers_ports_csv(channel, (const char *)dw_buf_span(&list).at);
    dw_buf_free(&list);
    return status == ARES_SUCCESS ? 0
                                  : dw_error_set(err, DW_ERROR_INTERNAL, "DNS servers: %s", ares_strerror(status));
}

struct dw_dns *dw_dns_new(uv_loop_t *loop, char *const *servers, struct dw_error *err)
{
    struct dw_dns *dns = calloc(1, sizeof *dns);
    struct ares_options options = {
        .timeout = TRY_MS, .tries = TRIES, .sock_state_cb = socket_changed, .sock_state_cb_data = dns};
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status = dns ? ares_init_options(&dns->channel, &options, mask) : ARES_ENOMEM;
    if (status != ARES_SUCCESS) {
        dw_error_set(err, DW_ERROR_INTERNAL, "DNS: %s", ares_strerror(status));
        free(dns);
        return NULL;
    }
    if (servers && servers[0] && set_servers(dns->channel, servers, err) < 0) {
        ares_destroy(dns->channel);
        free(dns);
        return NULL;
    }
    dns->loop = loop;
    dns->handles = 1;
    dns->timer.data = dns;
    uv_timer_init(loop, &dns->timer);
    return dns;
}

static void cancel(struct dw_dns *dns)
{
    dns->depth++;
    ares_cancel(dns->channel);
    dns->depth--;
    settle(dns);
}

void dw_dns_retire(struct dw_dns **dns, struct dw_dns **list)
{
    struct dw_dns *d = *dns;
    *dns = NULL;
    if (!d)
        return;
    d->is_retired = true;
    d->list = list;
    if (!list) {
        cancel(d);
        return;
    }
    LL_PREPEND(*list, d);
    settle(d);
}

void dw_dns_end_all(struct dw_dns **list)
{
    struct dw_dns *dns, *next;
    LL_FOREACH_SAFE(*list, dns, next)
    {
        cancel(dns);
    }
}
