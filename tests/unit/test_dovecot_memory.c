/* Memory runs out at every point of a connection with several exchanges: each is failed or the connection is closed for
 * that reason, what was said are whole lines, and nothing leaks (which the sanitizer sees).  Linked with malloc and its
 * kin wrapped. */
#include "check.h"
#include "toy_gss.h"

#include "base/base64.h"
#include "dovecot/service.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static long left; /* allocations before one fails; below zero: it has */
static bool counts, stays;

static bool fails(void)
{
    if (!counts)
        return false;
    left--;
    return left == 0 || (stays && left < 0);
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

/* What a server says: two exchanges at once, of which the second is given up; then GS2. */
static void script(struct dw_buf *out)
{
    static const char *const steps[] = {
        "VERSION\t1\t1\nCPID\t9\nAUTH\t1\tGSSAPI\tservice=smtp\trip=192.0.2.7\tresp=",
        "toy:alice@HOME.EXAMPLE",
        "\nAUTH\t2\tGSSAPI\tservice=imap\tlocal_name=mail.example.com\nCONT\t2\t",
        "toy:bob@HOME.EXAMPLE",
        "\nCONT\t1\t=\nCANCEL\t2\nCONT\t1\t",
        "",
        "\nAUTH\t3\tGS2-KRB5\tservice=xmpp\tresp=",
        "F,n,a=carol,toy:bind=n,a=carol,;alice@HOME.EXAMPLE",
        "\n"};
    struct dw_buf wrapped = {0};
    toy_wrap(&wrapped, TOY_CLEAR, 0, DW_SPAN_OF("\1\0\0\0alice"));
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (i % 2 == 0)
            dw_buf_put(out, dw_span_str(steps[i]));
        else
            dw_base64_put(out, *steps[i] ? dw_span_str(steps[i]) : dw_buf_span(&wrapped));
    }
    dw_buf_free(&wrapped);
}

static int drive(struct dw_machine *m, enum dw_act act)
{
    struct dw_dovecot_exchange *x = dw_dovecot_exchange(m);
    if (act == DW_ASK_REALM)
        return dw_dovecot_begin(m, x, &(struct dw_sasl_options){.cred = toy_cred()});
    return act == DW_ASK_ADMIT ? dw_dovecot_pass(m, x, dw_sasl_authzid(dw_dovecot_sasl(x))) : 0;
}

/* How many exchanges came to OK; -1: the connection ended. */
static int run(struct dw_span said, size_t piece)
{
    static const char *const mechanisms[] = {"GSSAPI", "GS2-KRB5", NULL};
    static uint8_t scratch[4096];
    struct dw_effect fx = {.why = {.kind = DW_ERROR_NONE}};
    enum dw_act act = DW_NEED;
    int passed = 0;
    struct dw_machine *m =
        dw_dovecot_new(&(struct dw_dovecot_options){.mechanisms = mechanisms, .pid = 1, .number = 1});
    if (!m)
        return -1;
    bool ended = false;
    while (said.len && !ended) {
        size_t len;
        uint8_t *room = dw_machine_room(m, scratch, sizeof scratch, &len);
        if (!room) {
            ended = true;
            break;
        }
        len = len < piece ? len : piece;
        len = len < said.len ? len : said.len;
        memcpy(room, said.at, len);
        said = dw_span_make(said.at + len, said.len - len);
        dw_machine_filled(m, room, len);
        while ((act = dw_machine_next(m, &fx)) != DW_NEED && act != DW_CLOSE)
            passed += drive(m, act) == 0 && act == DW_ASK_ADMIT;
        ended = act == DW_CLOSE || dw_machine_settle(m) < 0;
    }
    if (act == DW_CLOSE)
        CHECK_INT(fx.why.kind, DW_ERROR_INTERNAL);
    struct dw_span out = dw_buf_span(&m->out);
    CHECK(out.len == 0 || out.at[out.len - 1] == '\n');
    dw_machine_free(&m);
    return ended ? -1 : passed;
}

static void every_allocation(void)
{
    struct dw_buf said = {0};
    script(&said);
    CHECK_INT(run(dw_buf_span(&said), 4096), 2);
    for (int way = 0; way < 4; way++) {
        long n = 0;
        do {
            left = ++n;
            stays = way & 1;
            counts = true;
            run(dw_buf_span(&said), way & 2 ? 11 : 4096);
            counts = false;
        } while (left <= 0 && n < 10000);
        CHECK(n > 10 && n < 10000);
    }
    dw_buf_free(&said);
}

int main(void)
{
    RUN(every_allocation);
    return check_done();
}
