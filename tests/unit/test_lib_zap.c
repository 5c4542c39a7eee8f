/* libdurward, as a program that is linked to it sees it: start, requests, reload, statistics, errors, stop, the
 * context's end.  Stock libzmq asks; who is let in by real servers is tested end to end. */
#include "check.h"
#include "lib_zap.h"

#include <durward.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

static struct durward_error error;

static struct durward_zap *start(void *context)
{
    struct durward_zap *zap = durward_zap_start(context, lib_path("durward.lua"), &error);
    if (!CHECK(zap != NULL))
        printf("    %d: %s\n", error.code, error.message);
    return zap;
}

static struct durward_zap_statistics figures(struct durward_zap *zap)
{
    struct durward_zap_statistics s;
    CHECK_INT(durward_zap_statistics(zap, &s, sizeof s), 0);
    return s;
}

static void test_requests(void)
{
    lib_configure("journal = 'journal.jsonl'");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    CHECK_STR(lib_ask(asker, "1", "open"), "1 200 OK alice");
    CHECK_STR(lib_ask(asker, "2", "shut"), "2 400 access denied ");
    CHECK_STR(lib_ask(asker, "3", "later"), "3 300 temporary failure ");
    CHECK_STR(lib_ask(asker, "4", "broken"), "4 300 temporary failure ");
    CHECK_STR(lib_ask(asker, "5", "nobody"), "5 400 access denied ");
    struct durward_zap_statistics s = figures(zap);
    CHECK_INT(s.allowed, 1);
    CHECK_INT(s.denied, 2);
    CHECK_INT(s.temporary, 2);
    CHECK_INT(s.malformed, 0);
    CHECK_INT(s.waiting, 0);
    CHECK_INT(strlen(s.policy_sha256), 64);
    CHECK_INT(lib_count("journal.jsonl", "\"listener\":\"inproc\""), 5);
    CHECK_INT(lib_count("journal.jsonl", "\"front\":\"zap\""), 5);
    durward_zap_stop(&zap);
    CHECK(zap == NULL);
    durward_zap_stop(&zap);
    durward_zap_stop(NULL);
    zmq_close(asker);
    zmq_ctx_term(context);
}

static void test_malformed_requests(void)
{
    lib_configure("");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    char *huge = malloc(70000);
    memset(huge, 'x', 70000);
    CHECK_STR(lib_ask_frames(asker, "", "2.0", "7", "open", "127.0.0.1", "", "NULL", NULL),
              "7 500 internal error ");
    CHECK_STR(lib_ask_frames(asker, "", "1.0", "8", "open", "127.0.0.1", "", "", NULL), "8 500 internal error ");
    zmq_send(asker, "no delimiter", 12, 0);
    zmq_send(asker, "", 0, ZMQ_SNDMORE);
    zmq_send(asker, huge, 70000, 0);
    CHECK_STR(lib_ask(asker, "9", "open"), "9 200 OK alice");
    CHECK_INT(figures(zap).malformed, 4);
    CHECK_INT(figures(zap).allowed, 1);
    free(huge);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

/* Each gets its own reply, however many wait. */
static void ten_thousand(const char *domain, const char *wanted)
{
    enum { COUNT = 10000 };
    static unsigned char seen[COUNT];
    char id[16], text[64];
    int right = 0;
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "%d", i);
        lib_send(asker, "", "1.0", id, i % 2 ? domain : "shut", "127.0.0.1", "", "NULL", NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        const char *reply = lib_reply(asker);
        int number = reply ? atoi(reply) : -1;
        if (number < 0 || number >= COUNT || seen[number]++)
            break;
        snprintf(text, sizeof text, "%d %s", number, number % 2 ? wanted : "400 access denied ");
        right += strcmp(reply, text) == 0;
    }
    CHECK_INT(right, COUNT);
    CHECK_INT(figures(zap).allowed + figures(zap).denied, COUNT);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_ten_thousand(void)
{
    lib_configure("");
    ten_thousand("open", "200 OK alice");
}

static void test_ten_thousand_that_wait(void)
{
    lib_configure("limits = { decision_seconds = 60 }");
    ten_thousand("slow", "200 OK alice");
}

/* A policy that waits holds nobody else. */
static void test_waiting(void)
{
    lib_configure("limits = { decision_seconds = 1 }");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    lib_send(asker, "", "1.0", "1", "endless", "127.0.0.1", "", "NULL", NULL);
    lib_send(asker, "", "1.0", "2", "slow", "127.0.0.1", "", "NULL", NULL);
    CHECK_STR(lib_ask(asker, "3", "open"), "3 200 OK alice");
    CHECK_STR(lib_reply(asker), "2 200 OK alice");
    CHECK_INT(figures(zap).waiting, 1);
    CHECK_STR(lib_reply(asker), "1 300 temporary failure ");
    CHECK_INT(figures(zap).temporary, 1);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

/* Those for whom there is no room wait for it. */
static void test_more_than_are_open_at_once(void)
{
#ifdef __SANITIZE_THREAD__ /* which keeps much of each coroutine that waits */
    enum { COUNT = 100 };
#else
    enum { COUNT = 6000 };
#endif
    lib_configure("limits = { decision_seconds = 1 }");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    int refused_late = 0;
    for (int i = 0; i < COUNT; i++)
        lib_send(asker, "", "1.0", "1", "endless", "127.0.0.1", "", "NULL", NULL);
    for (int i = 0; i < COUNT; i++) {
        const char *reply = lib_reply(asker);
        refused_late += reply && strcmp(reply, "1 300 temporary failure ") == 0;
    }
    CHECK_INT(refused_late, COUNT);
    CHECK_STR(lib_ask(asker, "2", "open"), "2 200 OK alice");
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_another_folder(void)
{
    lib_configure("");
    char here[PATH_MAX];
    CHECK(getcwd(here, sizeof here) && chdir(lib_folder) == 0);
    void *context = zmq_ctx_new();
    struct durward_zap *zap = durward_zap_start(context, "durward.lua", &error);
    CHECK(zap != NULL && chdir(here) == 0);
    CHECK_INT(durward_zap_reload(zap, &error), 0);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_reload(void)
{
    lib_configure("journal = 'journal.jsonl'");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    char before[72], moved[PATH_MAX];
    snprintf(before, sizeof before, "%s", figures(zap).policy_sha256);
    CHECK_STR(lib_ask(asker, "1", "shut"), "1 400 access denied ");
    /* What waits is finished by the policy that it was put to. */
    lib_send(asker, "", "1.0", "2", "slow", "127.0.0.1", "", "NULL", NULL);
    while (figures(zap).waiting == 0)
        usleep(1000);
    lib_write("policy.lua", "return { map = function() return 'bob' end,"
                            " authorize = function() return require('durward').allow() end }");
    snprintf(moved, sizeof moved, "%s.1", lib_path("journal.jsonl"));
    CHECK_INT(rename(lib_path("journal.jsonl"), moved), 0);
    CHECK_INT(durward_zap_reload(zap, &error), 0);
    CHECK_INT(error.code, DURWARD_OK);
    CHECK_STR(lib_ask(asker, "3", "shut"), "3 200 OK bob");
    CHECK_STR(lib_reply(asker), "2 200 OK alice");
    CHECK(strcmp(before, figures(zap).policy_sha256) != 0);
    CHECK_INT(lib_count("journal.jsonl", "\"request_id\":\"3\""), 1);
    /* A mistake leaves everything as it is. */
    lib_write("policy.lua", "return { authorise = function() end }");
    CHECK_INT(durward_zap_reload(zap, &error), -1);
    CHECK_INT(error.code, DURWARD_ERROR_CONFIG);
    CHECK(strstr(error.message, "policy.lua:1:") && strstr(error.message, "authorize"));
    CHECK_STR(lib_ask(asker, "4", "shut"), "4 200 OK bob");
    CHECK_INT(figures(zap).reloads, 1);
    CHECK_INT(figures(zap).reloads_refused, 1);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_reload_on_change(void)
{
    lib_configure("reload_on_change = true");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    CHECK_STR(lib_ask(asker, "1", "shut"), "1 400 access denied ");
    usleep(700000);
    lib_write("policy.lua", "return { map = function() return 'bob' end,"
                            " authorize = function() return require('durward').allow() end }");
    for (int i = 0; i < 1000 && figures(zap).reloads == 0; i++)
        usleep(20000);
    CHECK_STR(lib_ask(asker, "2", "shut"), "2 200 OK bob");
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void refused(void *context, const char *path, enum durward_code code, const char *word)
{
    struct durward_zap *zap = durward_zap_start(context, path, &error);
    CHECK(zap == NULL);
    CHECK_INT(error.code, code);
    if (!CHECK(strstr(error.message, word) != NULL))
        printf("    %s\n", error.message);
    CHECK(error.message[0] && error.message[strlen(error.message) - 1] != '\n');
    durward_zap_stop(&zap);
}

static void test_errors(void)
{
    lib_configure("");
    void *context = zmq_ctx_new();
    refused(NULL, lib_path("durward.lua"), DURWARD_ERROR_USE, "context");
    refused(context, NULL, DURWARD_ERROR_USE, "configuration");
    refused(context, lib_path("none.lua"), DURWARD_ERROR_CONFIG, "none.lua:1:");
    lib_write("wrong.lua", "return {\n  polizy = 'policy.lua',\n  workers = 'two',\n}\n");
    refused(context, lib_path("wrong.lua"), DURWARD_ERROR_CONFIG, "wrong.lua:2:");
    CHECK(strstr(error.message, "'policy'") != NULL && strstr(error.message, "\n") != NULL);
    CHECK(strstr(error.message, "wrong.lua:3:") != NULL);
    lib_write("wrong.lua", "return { policy = 'broken.lua' }\n");
    lib_write("broken.lua", "local x =\n");
    refused(context, lib_path("wrong.lua"), DURWARD_ERROR_CONFIG, "broken.lua:2:");
    lib_write("wrong.lua", "return {\n policy = 'policy.lua',\n test_on_reload = true }\n");
    refused(context, lib_path("wrong.lua"), DURWARD_ERROR_CONFIG, "wrong.lua:3: test_on_reload");
    lib_write("wrong.lua", "return { policy = 'policy.lua', journal = 'no/such/folder' }\n");
    refused(context, lib_path("wrong.lua"), DURWARD_ERROR_CONFIG, "no/such/folder");
    /* Without an error to be told. */
    CHECK(durward_zap_start(context, lib_path("none.lua"), NULL) == NULL);
    CHECK_INT(durward_zap_reload(NULL, &error), -1);
    CHECK_INT(error.code, DURWARD_ERROR_USE);
    struct durward_zap_statistics s;
    memset(&s, 1, sizeof s);
    CHECK_INT(durward_zap_statistics(NULL, &s, sizeof s), -1);
    CHECK_INT(s.allowed, 0);
    /* After all of that the context is free. */
    struct durward_zap *zap = start(context);
    refused(context, lib_path("durward.lua"), DURWARD_ERROR_BOUND, "already");
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_another_handler(void)
{
    lib_configure("");
    void *context = zmq_ctx_new(), *other = zmq_socket(context, ZMQ_REP);
    CHECK_INT(zmq_bind(other, "inproc://zeromq.zap.01"), 0);
    refused(context, lib_path("durward.lua"), DURWARD_ERROR_BOUND, "inproc://zeromq.zap.01");
    zmq_close(other);
    /* libzmq closes a socket when it gets to it. */
    struct durward_zap *zap = NULL;
    for (int i = 0; i < 1000 && !(zap = durward_zap_start(context, lib_path("durward.lua"), &error)); i++)
        usleep(10000);
    CHECK(zap != NULL);
    durward_zap_stop(&zap);
    zmq_ctx_shutdown(context);
    refused(context, lib_path("durward.lua"), DURWARD_ERROR_CONTEXT, "terminated");
    zmq_ctx_term(context);
}

static void test_contexts(void)
{
    lib_configure("");
    enum { COUNT = 3 };
    void *contexts[COUNT], *askers[COUNT];
    struct durward_zap *zaps[COUNT];
    for (int i = 0; i < COUNT; i++) {
        contexts[i] = zmq_ctx_new();
        zaps[i] = start(contexts[i]);
        askers[i] = lib_asker(contexts[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j <= i; j++)
            CHECK_STR(lib_ask(askers[i], "1", "open"), "1 200 OK alice");
        CHECK_INT(figures(zaps[i]).allowed, i + 1);
    }
    for (int i = 0; i < COUNT; i++) {
        zmq_close(askers[i]);
        durward_zap_stop(&zaps[i]);
        zmq_ctx_term(contexts[i]);
    }
}

/* What waits is answered; what comes then is refused; and another handler goes on. */
static void test_stop_and_start_again(void)
{
    lib_configure("journal = 'journal.jsonl', limits = { decision_seconds = 60 }");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    lib_send(asker, "", "1.0", "1", "endless", "127.0.0.1", "", "NULL", NULL);
    while (figures(zap).waiting == 0)
        usleep(1000);
    durward_zap_stop(&zap);
    CHECK_STR(lib_reply(asker), "1 300 temporary failure ");
    CHECK_INT(lib_count("journal.jsonl", "\"verdict\":\"temporary\""), 1);
    CHECK_STR(lib_ask(asker, "2", "open"), "2 300 temporary failure ");
    CHECK_STR(lib_ask_frames(asker, "", "1.0", "3", "", "127.0.0.1", "", "", NULL), "3 500 internal error ");
    CHECK_STR(lib_ask_frames(asker, "", "1.0", "4", "", "127.0.0.1", "", "GSSAPI", "alice@HOME.EXAMPLE", NULL),
              "4 300 temporary failure  00");
    refused(context, lib_path("none.lua"), DURWARD_ERROR_CONFIG, "none.lua:1:");
    CHECK_STR(lib_ask(asker, "5", "open"), "5 300 temporary failure ");
    zap = start(context);
    CHECK_STR(lib_ask(asker, "6", "open"), "6 200 OK alice");
    CHECK_INT(figures(zap).allowed, 1);
    durward_zap_stop(&zap);
    CHECK_STR(lib_ask(asker, "7", "open"), "7 300 temporary failure ");
    zmq_close(asker);
    zmq_ctx_term(context);
}

static void test_context_ends_first(void)
{
    lib_configure("limits = { decision_seconds = 60 }");
    for (int wait = 0; wait < 2; wait++) {
        void *context = zmq_ctx_new();
        struct durward_zap *zap = start(context);
        void *asker = lib_asker(context);
        lib_send(asker, "", "1.0", "1", wait ? "endless" : "open", "127.0.0.1", "", "NULL", NULL);
        while (figures(zap).waiting + figures(zap).allowed == 0)
            usleep(1000);
        zmq_close(asker);
        CHECK_INT(zmq_ctx_term(context), 0);
        if (!wait)
            CHECK_INT(figures(zap).allowed, 1);
        CHECK_INT(durward_zap_reload(zap, &error), -1);
        CHECK(strstr(error.message, "context") != NULL);
        durward_zap_stop(&zap);
        CHECK(zap == NULL);
    }
}

/* Who asked has gone when its answer is there. */
static void test_unreachable(void)
{
    lib_configure("");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    lib_send(asker, "", "1.0", "1", "slow", "127.0.0.1", "", "NULL", NULL);
    while (figures(zap).waiting == 0)
        usleep(1000);
    zmq_close(asker);
    for (int i = 0; i < 1000 && figures(zap).unreachable == 0; i++)
        usleep(10000);
    CHECK_INT(figures(zap).unreachable, 1);
    CHECK_INT(figures(zap).allowed, 1);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_older_statistics(void)
{
    lib_configure("");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    struct durward_zap_statistics s[2];
    CHECK_STR(lib_ask(asker, "1", "open"), "1 200 OK alice");
    memset(s, 0xaa, sizeof s);
    CHECK_INT(durward_zap_statistics(zap, s, sizeof s[0].allowed), 0); /* of a program that knew of one figure */
    CHECK_INT(s[0].allowed, 1);
    CHECK_INT(s[0].denied, 0xaaaaaaaaaaaaaaaaull);
    CHECK_INT(durward_zap_statistics(zap, s, sizeof s), 0); /* of one that knows of more */
    CHECK_INT(s[1].allowed, 0);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

int main(void)
{
    lib_begin();
    CHECK_STR(durward_version(), DURWARD_VERSION);
    RUN(test_requests);
    RUN(test_malformed_requests);
    RUN(test_ten_thousand);
    RUN(test_ten_thousand_that_wait);
    RUN(test_waiting);
    RUN(test_more_than_are_open_at_once);
    RUN(test_reload);
    RUN(test_another_folder);
    RUN(test_reload_on_change);
    RUN(test_errors);
    RUN(test_another_handler);
    RUN(test_contexts);
    RUN(test_stop_and_start_again);
    RUN(test_context_ends_first);
    RUN(test_unreachable);
    RUN(test_older_statistics);
    lib_end();
    return check_done();
}
