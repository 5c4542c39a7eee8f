/* The credentials of a worker, as far as they go without a KDC: what is missing is told each time, and keeps no
 * place; an initiator's is shared by those who name the same. */
#include "check.h"

#include "net/desk.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/durward-desk.XXXXXX";

static void test_a_keytab_that_is_not_there(void)
{
    struct dw_desk *desk = dw_desk_new(NULL);
    char keytab[64];
    snprintf(keytab, sizeof keytab, "%s/none.keytab", folder);
    for (int i = 0; i < 3; i++) {
        struct dw_error err = {0};
        CHECK(!dw_desk_acceptor(desk, keytab, "zmq@localhost", "HOME.EXAMPLE", &err));
        CHECK(err.kind != DW_ERROR_NONE);
        CHECK(strstr(err.detail, keytab) != NULL);
    }
    dw_desk_free(&desk);
    CHECK(!desk);
    dw_desk_free(&desk);
}

static void test_initiators_are_shared_by_what_they_name(void)
{
    struct dw_desk *desk = dw_desk_new("none:");
    struct dw_outbound *a = dw_desk_outbound(desk, "/run/a.cc", NULL, "app@HOME.EXAMPLE");
    CHECK(a != NULL);
    CHECK(dw_desk_outbound(desk, "/run/a.cc", NULL, "app@HOME.EXAMPLE") == a);
    CHECK(dw_desk_outbound(desk, "/run/b.cc", NULL, "app@HOME.EXAMPLE") != a);
    CHECK(dw_desk_outbound(desk, NULL, "/run/a.cc", "app@HOME.EXAMPLE") != a);
    CHECK(dw_desk_outbound(desk, "/run/a.cc", NULL, NULL) != a);
    dw_desk_free(&desk);
}

static void test_without_tickets_every_try_says_why(void)
{
    struct dw_desk *desk = dw_desk_new("none:");
    char cache[64];
    snprintf(cache, sizeof cache, "FILE:%s/none.cc", folder);
    struct dw_outbound *outbound = dw_desk_outbound(desk, cache, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        struct dw_context *context = NULL;
        struct dw_buf reply = {0};
        struct dw_error err = {0};
        CHECK_INT(dw_outbound_begin(outbound, "zmq@localhost", "HOME.EXAMPLE", &context, &reply, &err), -1);
        CHECK(!context);
        CHECK(err.kind != DW_ERROR_NONE && *err.detail);
        CHECK_INT(dw_buf_len(&reply), 0);
        dw_buf_free(&reply);
    }
    dw_desk_free(&desk);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    RUN(test_a_keytab_that_is_not_there);
    RUN(test_initiators_are_shared_by_what_they_name);
    RUN(test_without_tickets_every_try_says_why);
    rmdir(folder);
    return check_done();
}
