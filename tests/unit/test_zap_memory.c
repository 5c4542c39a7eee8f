/* Memory runs out at every point of a ZAP request and its reply: the request is malformed or the reply not made, and
 * what was there before stays as it was.  Linked with malloc and its kin wrapped. */
#include "check.h"
#include "zap/zap.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static long left; /* allocations before one fails; 0: none does */

static bool fails(void)
{
    return left > 0 && --left == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return fails() ? NULL : __real_realloc(at, size);
}

static void put_all(struct dw_buf *message, const char *const frames[])
{
    for (; *frames; frames++)
        dw_zap_put(message, dw_span_str(*frames));
}

static void starved(void)
{
    static const char *const frames[] = {"router", "", "1.0", "1", "", "h", "", "GSSAPI", "alice@HOME.EXAMPLE",
                                         NULL};
    struct dw_buf message = {0};
    struct dw_decision allow = {.verdict = DW_ALLOW};
    put_all(&message, frames);
    dw_decision_set(&allow.user, "alice");
    for (int i = 0; i < 40; i++) {
        char name[8];
        snprintf(name, sizeof name, "X-%d", i);
        dw_decision_property(&allow, name, DW_SPAN_OF("a value that takes some room in the reply's metadata"));
    }
    int parsed = 0, replied = 0;
    for (long n = 1; n < 100 && !(parsed && replied); n++) {
        struct dw_zap_request request;
        struct dw_error err = {0};
        struct dw_buf out = {0};
        left = n;
        enum dw_zap_sense sense = dw_zap_parse(&request, dw_buf_span(&message), &err);
        parsed = left > 0;
        left = 0;
        CHECK(sense == (parsed ? DW_ZAP_SOUND : DW_ZAP_MALFORMED));
        dw_buf_put(&out, DW_SPAN_OF("before"));
        left = n;
        int rc = dw_zap_reply(&out, &request, DW_ZAP_OK, &allow);
        replied = left > 0;
        left = 0;
        CHECK_INT(rc, replied ? 0 : -1);
        if (!replied)
            CHECK_SPAN(dw_buf_span(&out), "before");
        dw_buf_free(&out);
    }
    CHECK(parsed && replied);
    dw_decision_clear(&allow);
    dw_buf_free(&message);
}

int main(void)
{
    RUN(starved);
    return check_done();
}
