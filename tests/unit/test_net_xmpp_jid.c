/* Who an admitted user is at the server, and for whom a client may act: the two rules that an allow of XMPP passes. */
#include "check.h"

#include "auth/authzid.h"
#include "net/xmpp_jid.h"

#include <stdlib.h>

static char *const refuse[] = {"root", NULL};

struct told {
    char jid[80], rule[40];
    enum dw_verdict verdict;
    bool bad_authzid;
};

static struct told decide(const char *user, const char *jid, const char *authzid)
{
    struct dw_decision d = {.verdict = DW_ALLOW};
    struct told told = {0};
    dw_decision_set(&d.user, user);
    if (jid)
        dw_decision_set(&d.jid, jid);
    struct dw_event event = {
        .front = DW_FRONT_XMPP,
        .domain = DW_SPAN_OF("example.com"),
        .principal = DW_SPAN_OF("Alice@EXAMPLE.COM"),
        .authzid = dw_span_str(authzid),
    };
    dw_authzid_hold(&d, &event);
    told.bad_authzid = dw_authzid_is_refused(&d, &event);
    char *made = d.verdict == DW_ALLOW ? dw_xmpp_jid_decide(&d, "example.com", refuse) : NULL;
    snprintf(told.jid, sizeof told.jid, "%s", made ? made : "");
    snprintf(told.rule, sizeof told.rule, "%s", d.rule ? d.rule : "");
    told.verdict = d.verdict;
    CHECK((made != NULL) == (d.verdict == DW_ALLOW));
    CHECK(made != NULL || d.reason != NULL);
    free(made);
    dw_decision_clear(&d);
    return told;
}

static void the_user_at_the_domain(void)
{
    CHECK_STR(decide("alice", NULL, NULL).jid, "alice@example.com");
    CHECK_STR(decide("alice", NULL, "").jid, "alice@example.com");
    CHECK_STR(decide("Alice", NULL, NULL).jid, "alice@example.com");
    CHECK_STR(decide("alice@example.com", NULL, NULL).jid, "alice@example.com");
    CHECK_STR(decide("alice@EXAMPLE.com", NULL, NULL).jid, "alice@example.com");
    CHECK_STR(decide("\xc3\xa9mile", NULL, NULL).jid, "\xc3\xa9mile@example.com");
    CHECK_STR(decide("alice", "ali", NULL).jid, "ali@example.com");
    CHECK_STR(decide("alice", "ali@example.com", NULL).jid, "ali@example.com");
}

static void as_clients_name_themselves(void)
{
    const char *own[] = {"alice", "alice@example.com", "Alice@EXAMPLE.COM"};
    for (int i = 0; i < 3; i++)
        CHECK_STR(decide("alice", NULL, own[i]).jid, "alice@example.com");
    CHECK_STR(decide("Alice", NULL, "alice").jid, "alice@example.com");
    CHECK_STR(decide("alice", NULL, "ALICE@Example.com").jid, "alice@example.com");
    CHECK_STR(decide("alice.partner", NULL, "alice.partner@example.com").jid, "alice.partner@example.com");
}

/* What a client is told whom the policy's own word keeps out. */
static bool is_told_of_its_authzid(enum dw_verdict verdict, const char *user, const char *authzid)
{
    struct dw_decision d = {.verdict = verdict};
    struct dw_event event = {
        .front = DW_FRONT_XMPP,
        .domain = DW_SPAN_OF("example.com"),
        .principal = DW_SPAN_OF("alice@EXAMPLE.COM"),
        .authzid = dw_span_str(authzid),
    };
    dw_decision_set(&d.user, user);
    dw_decision_set(&d.rule, "nobody acts as another");
    bool told = dw_authzid_is_refused(&d, &event);
    dw_decision_clear(&d);
    return told;
}

static void denied_by_the_policy_itself(void)
{
    CHECK(is_told_of_its_authzid(DW_DENY, "alice", "bob"));
    CHECK(is_told_of_its_authzid(DW_DENY, "alice", "bob@example.com"));
    CHECK(!is_told_of_its_authzid(DW_DENY, "alice", NULL));
    CHECK(!is_told_of_its_authzid(DW_DENY, "alice", "Alice@example.com"));
    CHECK(!is_told_of_its_authzid(DW_DENY, "alice", "alice@EXAMPLE.COM"));
    CHECK(!is_told_of_its_authzid(DW_DENY, NULL, "bob")); /* is nobody here */
    CHECK(!is_told_of_its_authzid(DW_TEMPORARY, "alice", "bob"));
}

static void acting_for_another(void)
{
    struct told told = decide("alice", NULL, "bob");
    CHECK(told.verdict == DW_DENY && told.bad_authzid);
    CHECK_STR(told.rule, "authzid");
    CHECK(decide("alice", NULL, "bob@example.com").bad_authzid);
    CHECK(decide("alice", NULL, "alice@example.org").bad_authzid);
    CHECK(decide("alice", NULL, "alice@example.com/phone").bad_authzid);
    CHECK(decide("alice", NULL, "@").bad_authzid);
    /* The policy names whom: then it may. */
    CHECK_STR(decide("alice", "bob@example.com", "bob@example.com").jid, "bob@example.com");
    CHECK_STR(decide("alice", "bob", "bob").jid, "bob@example.com");
    CHECK_STR(decide("bob", NULL, "bob").jid, "bob@example.com");
    CHECK(decide("alice", "bob", "carol").bad_authzid);
}

static void what_is_no_jid(void)
{
    const char *wrong[] = {"a b",
                           "a/b",
                           "a\"b",
                           "a&b",
                           "a'b",
                           "a:b",
                           "a<b",
                           "a>b",
                           "@example.com",
                           "alice@example.org",
                           "alice@example.com/x",
                           "a@b@example.com",
                           "alice@"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct told told = decide("alice", wrong[i], NULL);
        if (!CHECK(told.verdict == DW_TEMPORARY && !told.bad_authzid))
            printf("%s\n", wrong[i]);
    }
    char longer[1100];
    memset(longer, 'a', sizeof longer);
    longer[1024] = '\0';
    CHECK(decide(longer, NULL, NULL).verdict == DW_TEMPORARY);
    CHECK(decide("alice", "a\x01", NULL).verdict == DW_TEMPORARY);
    CHECK(decide("alice", "\xff", NULL).verdict == DW_TEMPORARY);
}

/* Servers fold case and width, compose, and drop what is not seen: "root" must not be told to them in another writing. */
static void what_a_server_would_take_for_another(void)
{
    const char *wrong[] = {
        "\xef\xbd\x92oot", /* full width */
        "ro\xc2\xado"
        "t", /* soft hyphen */
        "r\xe2\x80\x8boot", /* zero width space */
        "ro\xe2\x81\xa0ot", /* word joiner */
        "roo\xf0\x9d\x90\xad", /* mathematical */
        "r\xc2\xba"
        "ot", /* ordinal */
        "\xe2\x84\xaa"
        "arl", /* Kelvin */
        "stra\xc3\x9f"
        "e", /* becomes "ss" */
        "\xc3\x89mile", /* a capital */
        "e\xcc\x81mile", /* not composed */
        "\xef\xac\x81n", /* a ligature */
        "nikos\xcf\x82", /* final sigma */
        "\xcd\x85", /* iota subscript */
        "\xe2\x93\xa1oot", /* circled */
        "\xf3\xa0\x81\xb2oot", /* a tag */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct told told = decide("alice", wrong[i], NULL);
        if (!CHECK(told.verdict == DW_TEMPORARY))
            printf("%s became %s\n", wrong[i], told.jid);
    }
    const char *good[] = {"j\xc3\xb8rgen",
                          "zo\xc3\xab",
                          "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd",
                          "\xc5\x82ukasz",
                          "\xe4\xb8\xad\xe6\x96\x87",
                          "\xed\x95\x9c\xea\xb8\x80"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_INT(decide("alice", good[i], NULL).verdict, DW_ALLOW);
}

static void whom_nobody_becomes(void)
{
    const char *names[] = {"root", "ROOT", "root@example.com", "Root@example.com"};
    for (int i = 0; i < 4; i++) {
        struct told told = decide("alice", names[i], NULL);
        CHECK_INT(told.verdict, DW_DENY);
        CHECK_STR(told.rule, "refuse_users");
        CHECK(!told.bad_authzid);
    }
    CHECK_INT(decide("ROOT", NULL, NULL).verdict, DW_DENY);
    CHECK_INT(decide("rooty", NULL, NULL).verdict, DW_ALLOW);
}

int main(void)
{
    RUN(the_user_at_the_domain);
    RUN(as_clients_name_themselves);
    RUN(acting_for_another);
    RUN(denied_by_the_policy_itself);
    RUN(what_is_no_jid);
    RUN(what_a_server_would_take_for_another);
    RUN(whom_nobody_becomes);
    return check_done();
}
