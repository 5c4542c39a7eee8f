/* Guards of endpoints without a handler: see guard.h. */
#include "lib/guard.h"

#include "base/log.h"
#include "lib/handler.h"
#include "zap/zap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>
#include <zmq.h>

struct guard {
    struct guard *prev, *next;
    void *context;
    struct dw_inproc inproc;
    int relief; /* becomes readable when it is relieved */
    pthread_t thread;
    bool is_relieved;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct guard *guards;

static void refuse(struct guard *g)
{
    struct dw_zap_request request;
    struct dw_error err = {0};
    struct dw_buf reply = {0};
    enum dw_zap_sense sense = dw_zap_parse(&request, dw_buf_span(&g->inproc.message), &err);
    enum dw_zap_status status = sense == DW_ZAP_SOUND ? DW_ZAP_TEMPORARY : DW_ZAP_INTERNAL;
    if (sense != DW_ZAP_SENSELESS && dw_zap_reply(&reply, &request, status, NULL) == 0)
        dw_inproc_send(&g->inproc, dw_buf_span(&reply));
    dw_buf_free(&reply);
}

/* False: the context has ended. */
static bool refuse_all(struct guard *g)
{
    for (;;)
        switch (dw_inproc_receive(&g->inproc)) {
        case DW_INPROC_MESSAGE: refuse(g); break;
        case DW_INPROC_TOO_LONG:
        case DW_INPROC_NO_MEMORY: break;
        case DW_INPROC_NOTHING: return true;
        case DW_INPROC_ENDED: return false;
        }
}

static void *run(void *arg)
{
    struct guard *g = arg;
    bool goes_on = true;
    while (goes_on) {
        zmq_pollitem_t items[] = {{.socket = g->inproc.socket, .events = ZMQ_POLLIN},
                                  {.fd = g->relief, .events = ZMQ_POLLIN}};
        if (zmq_poll(items, 2, -1) < 0)
            goes_on = zmq_errno() == EINTR;
        else if (items[1].revents)
            return NULL;
        else
            goes_on = refuse_all(g);
    }
    pthread_mutex_lock(&lock);
    bool is_relieved = g->is_relieved;
    if (!is_relieved) {
        DL_DELETE(guards, g);
        pthread_detach(g->thread);
    }
    pthread_mutex_unlock(&lock);
    /* Whoever relieves it is told by the socket that the context has ended. */
    if (is_relieved)
        return NULL;
    close(g->relief);
    dw_inproc_close(&g->inproc);
    free(g);
    return NULL;
}

void dw_guard_post(void *context, struct dw_inproc *endpoint)
{
    struct guard *g = calloc(1, sizeof *g);
    if (g) {
        *g = (struct guard){.context = context, .inproc = *endpoint};
        g->relief = eventfd(0, EFD_CLOEXEC);
    }
    pthread_mutex_lock(&lock);
    bool is_posted = g && g->relief >= 0 && dw_handler_thread(&g->thread, "durward-guard", run, g) == 0;
    if (is_posted)
        DL_APPEND(guards, g);
    pthread_mutex_unlock(&lock);
    if (is_posted) {
        dw_log(DW_LOG_INFO, "the ZAP endpoint is guarded: everybody is refused until there is a handler again",
               NULL);
        return;
    }
    dw_log(DW_LOG_ERROR, "nobody guards the ZAP endpoint: libzmq lets clients in unasked", "why",
           "out of memory, descriptors or threads", NULL);
    dw_inproc_close(endpoint);
    if (g && g->relief >= 0)
        close(g->relief);
    free(g);
}

bool dw_guard_relieve(void *context, struct dw_inproc *endpoint)
{
    struct guard *g;
    pthread_mutex_lock(&lock);
    DL_SEARCH_SCALAR(guards, g, context, context);
    if (g) {
        DL_DELETE(guards, g);
        g->is_relieved = true;
    }
    pthread_mutex_unlock(&lock);
    if (!g)
        return false;
    eventfd_write(g->relief, 1);
    pthread_join(g->thread, NULL);
    *endpoint = g->inproc;
    close(g->relief);
    free(g);
    return true;
}

int dw_guard_count(void)
{
    struct guard *g;
    int count;
    pthread_mutex_lock(&lock);
    DL_COUNT(guards, g, count);
    pthread_mutex_unlock(&lock);
    return count;
}
