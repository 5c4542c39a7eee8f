/* Memory runs out at every point of a login at a backend: the stream closes with a word about memory, or it goes on; no
 * user is in who should not be, and nothing stays behind.  Linked with malloc and its kin wrapped. */
#include "check.h"

#include "xmpp/login.h"

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

static const char said[] =
    "<?xml version='1.0'?><stream:stream from='example.com' id='1' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'><stream:features>"
    "<mechanisms "
    "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";
/* When it has been asked. */
static const char answered[] = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/* DW_NEED when the user came in, DW_CLOSE, or -1 when there was no machine. */
static int log_in(struct dw_error *why, size_t piece, struct dw_meter *meter)
{
    struct dw_machine *m = dw_xmpp_login_new(&(struct dw_xmpp_login_options){
        .domain = "example.com", .preamble = DW_SPAN_OF("PROXY UNKNOWN\r\n"), .meter = meter});
    struct dw_span octets = dw_span_str(said), next = dw_span_str(answered);
    int end = m ? DW_NEED : -1, metas = 0;
    while (m && octets.len && end == DW_NEED) {
        uint8_t scratch[512];
        size_t len;
        uint8_t *room = dw_machine_room(m, scratch, sizeof scratch, &len);
        len = len < piece ? len : piece;
        len = len < octets.len ? len : octets.len;
        memcpy(room, octets.at, len);
        octets = dw_span_make(octets.at + len, octets.len - len);
        if (octets.len == 0) {
            octets = next;
            next = DW_SPAN_NONE;
        }
        dw_machine_filled(m, room, len);
        struct dw_effect fx = {0};
        enum dw_act act;
        while ((act = dw_machine_next(m, &fx)) == DW_META)
            if (metas++ == 0)
                dw_xmpp_login_go(m, &(struct dw_xmpp_credentials){.mechanism = "PLAIN",
                                                                  .authcid = DW_SPAN_OF("alice"),
                                                                  .password = DW_SPAN_OF("token")});
        CHECK(act == DW_NEED || act == DW_CLOSE);
        end = act;
        *why = fx.why;
        if (end == DW_NEED && dw_machine_settle(m) < 0)
            end = DW_CLOSE, why->kind = DW_ERROR_INTERNAL;
    }
    if (end == DW_NEED) {
        CHECK_INT(metas, 2);
        if (dw_machine_push(m, (struct dw_frame){.body = DW_SPAN_OF("<restart>")}, why) < 0)
            end = DW_CLOSE;
    }
    dw_machine_free(&m);
    return end;
}

static void test_starved(void)
{
    static const size_t pieces[] = {sizeof said, 1, 50};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        int failed = 0;
        bool over = false;
        for (long n = 1; !over && n < 2000; n++) {
            struct dw_meter meter = {0};
            struct dw_error why = {0};
            left = n;
            int end = log_in(&why, pieces[i], &meter);
            over = left > 0;
            left = 0;
            failed += end != DW_NEED;
            if (end == DW_CLOSE && !CHECK(why.kind == DW_ERROR_INTERNAL))
                printf("    at %ld: %s\n", n, why.detail);
            CHECK_INT(atomic_load(&meter.held), 0);
        }
        CHECK(over);
        CHECK(failed > 5);
    }
}

int main(void)
{
    RUN(test_starved);
    return check_done();
}
