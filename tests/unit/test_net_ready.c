/* READYs of the broker's own: what a client says of itself, what the operator forwards, what the policy adds, and
 * that nobody speaks in durward's name. */
#include "check.h"

#include "net/ready.h"
#include "zmtp/command.h"

#include <stdlib.h>

static struct dw_buf meta;

static struct dw_span said(const char *const *pairs)
{
    dw_buf_clear(&meta, 0);
    for (; *pairs; pairs += 2)
        dw_property_put(&meta, dw_span_str(pairs[0]), dw_span_str(pairs[1]));
    return dw_buf_span(&meta);
}
#define SAID(...) said((const char *const[]){__VA_ARGS__, NULL})

/* Properties as text: "Socket-Type=DEALER User-Id=alice". */
static const char *printed(struct dw_buf *ready)
{
    static char text[2048];
    struct dw_properties walk = dw_properties_make(dw_buf_span(ready));
    text[0] = '\0';
    for (struct dw_pair p; dw_properties_next(&walk, &p);) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%.*s=%.*s", len ? " " : "", (int)p.name.len,
                 (const char *)p.name.at, (int)p.value.len, (const char *)p.value.at);
    }
    CHECK(!walk.reader.failed);
    dw_buf_free(ready);
    return text;
}

struct scene {
    struct dw_listener_config listener;
    struct dw_decision decision;
    struct dw_conn conn;
};

static struct scene *scene(char **forward)
{
    static struct scene s;
    s = (struct scene){.listener = {.name = "trades", .forward = forward}, .decision = {.verdict = DW_ALLOW}};
    s.conn.listener = &s.listener;
    s.conn.decision = &s.decision;
    s.conn.user = "alice";
    s.conn.peer = "192.0.2.7";
    return &s;
}

static const char *to_backend(const struct scene *s, struct dw_span client)
{
    struct dw_buf out = {0};
    CHECK_INT(dw_ready_for_backend(&s->conn, client, &out), 0);
    struct dw_error err = {0};
    CHECK_INT(dw_properties_check(dw_buf_span(&out), &err), 0);
    return printed(&out);
}

static void test_user_and_address_are_ours(void)
{
    struct scene *s = scene(NULL);
    CHECK_STR(to_backend(s, SAID("Socket-Type", "DEALER")),
              "Socket-Type=DEALER User-Id=alice X-Peer-Address=192.0.2.7");
    s->conn.identity = DW_SPAN_OF("desk-7");
    CHECK_STR(to_backend(s, SAID("socket-type", "REQ", "Identity", "another")),
              "Socket-Type=REQ Identity=desk-7 User-Id=alice X-Peer-Address=192.0.2.7");
}

static void test_what_is_not_forwarded_is_dropped(void)
{
    struct scene *s = scene(NULL);
    CHECK_STR(to_backend(s, SAID("Socket-Type", "DEALER", "X-App", "1", "Resource", "r", "User-Id", "root")),
              "Socket-Type=DEALER User-Id=alice X-Peer-Address=192.0.2.7");
}

static void test_forwarded_in_any_case_and_once(void)
{
    char *forward[] = {"X-App", "x-app", "x-version", NULL};
    struct scene *s = scene(forward);
    CHECK_STR(to_backend(s, SAID("Socket-Type", "DEALER", "x-APP", "one", "X-Version", "2", "X-Other", "no")),
              "Socket-Type=DEALER User-Id=alice X-Peer-Address=192.0.2.7 x-APP=one X-Version=2");
}

static void test_forwarding_cannot_forge(void)
{
    char *forward[] = {"user-id",      "X-PEER-ADDRESS", "Identity", "Socket-Type",
                       "Peer-Address", "X-Team",         "X-App",    NULL};
    struct scene *s = scene(forward);
    dw_decision_property(&s->decision, "X-Team", DW_SPAN_OF("ops"));
    CHECK_STR(
        to_backend(s, SAID("Socket-Type", "DEALER", "uSER-iD", "root", "x-peer-address", "127.0.0.1", "IDENTITY",
                           "desk-1", "peer-address", "127.0.0.1", "x-TEAM", "board", "X-App", "kept")),
        "Socket-Type=DEALER User-Id=alice X-Peer-Address=192.0.2.7 X-Team=ops X-App=kept");
    dw_decision_clear(&s->decision);
}

static void test_the_decisions_properties_may_hold_any_octet(void)
{
    struct scene *s = scene(NULL);
    struct dw_buf out = {0};
    dw_decision_property(&s->decision, "X-Raw", DW_SPAN_OF("a\0b"));
    dw_decision_property(&s->decision, "X-Empty", DW_SPAN_OF(""));
    CHECK_INT(dw_ready_for_backend(&s->conn, SAID("Socket-Type", "PUSH"), &out), 0);
    struct dw_span raw = dw_properties_find(dw_buf_span(&out), "X-Raw");
    CHECK(dw_span_equal(raw, DW_SPAN_OF("a\0b")));
    CHECK(dw_properties_find(dw_buf_span(&out), "X-Empty").at != NULL);
    dw_buf_free(&out);
    dw_decision_clear(&s->decision);
}

static void test_the_client_is_told_what_the_backend_is(void)
{
    struct dw_buf out = {0};
    CHECK_INT(dw_ready_for_client(SAID("Socket-Type", "ROUTER", "Identity", "hq", "X-Build", "7", "x-zone", "eu",
                                       "Resource", "r", "User-Id", "root", "X", "?"),
                                  &out),
              0);
    CHECK_STR(printed(&out), "Socket-Type=ROUTER Identity=hq X-Build=7 x-zone=eu");
}

static void test_socket_types_that_may_pass(void)
{
    struct dw_decision d = {.verdict = DW_ALLOW};
    CHECK(dw_ready_type_allowed(&d, DW_SPAN_OF("PUSH")));
    dw_decision_socket(&d, "SUB");
    dw_decision_socket(&d, "XSUB");
    CHECK(dw_ready_type_allowed(&d, DW_SPAN_OF("SUB")));
    CHECK(dw_ready_type_allowed(&d, DW_SPAN_OF("XSUB")));
    CHECK(!dw_ready_type_allowed(&d, DW_SPAN_OF("PUSH")));
    CHECK(!dw_ready_type_allowed(&d, DW_SPAN_OF("SU")));
    CHECK(!dw_ready_type_allowed(&d, DW_SPAN_NONE));
    dw_decision_clear(&d);
}

int main(void)
{
    RUN(test_user_and_address_are_ours);
    RUN(test_what_is_not_forwarded_is_dropped);
    RUN(test_forwarded_in_any_case_and_once);
    RUN(test_forwarding_cannot_forge);
    RUN(test_the_decisions_properties_may_hold_any_octet);
    RUN(test_the_client_is_told_what_the_backend_is);
    RUN(test_socket_types_that_may_pass);
    dw_buf_free(&meta);
    return check_done();
}
