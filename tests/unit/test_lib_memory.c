/* Memory runs out at every so many points of a handler's life in process: it does not start, and says so; or a request
 * stays without an answer, or is refused; nobody is let in for it, nothing is lost and nothing ends the process.  Linked with
 * the library's files themselves, and malloc and its kin wrapped. */
#include "check.h"
#include "lib_zap.h"

#include <durward.h>
#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static _Atomic long made, fails_at; /* allocations so far; the one that fails, and RUN of them */
enum { RUN_OF = 3 };

static bool fails(void)
{
    long number = ++made, at = fails_at;
    return at > 0 && number >= at && number < at + RUN_OF;
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

static int refused, silent, reloaded;

/* One life, starved from the given allocation on; how many it made. */
static long live(long at)
{
    struct durward_error error;
    int patience = 400;
    const char *reply;
    void *context = zmq_ctx_new();
    made = 0;
    fails_at = at;
    struct durward_zap *zap = durward_zap_start(context, lib_path("durward.lua"), &error);
    if (!zap) {
        fails_at = 0;
        CHECK(error.code == DURWARD_ERROR_CONFIG || error.code == DURWARD_ERROR_SYSTEM);
        CHECK(error.message[0] != '\0');
        refused++;
        if (!(zap = durward_zap_start(context, lib_path("durward.lua"), &error)))
            CHECK_STR(error.message, "");
    }
    void *asker = lib_asker(context);
    zmq_setsockopt(asker, ZMQ_RCVTIMEO, &patience, sizeof patience);
    for (int i = 0; i < 3; i++) {
        static const char *const domains[] = {"open", "shut", "groups"};
        reply = lib_ask(asker, "1", domains[i]);
        if (!reply)
            silent++;
        else if (i == 1)
            CHECK(strncmp(reply, "1 200", 5) != 0);
    }
    reloaded += durward_zap_reload(zap, &error) == 0;
    durward_zap_stop(&zap);
    long count = made;
    fails_at = 0;
    /* By the guard, or, when there were no means for one, by nobody. */
    zmq_close(asker);
    CHECK_INT(zmq_ctx_term(context), 0);
    return count;
}

static void starve(void)
{
    lib_configure("journal = 'journal.jsonl', shadow = 'policy.lua'");
    long whole = live(0), lives = 0;
    CHECK_INT(refused, 0);
    CHECK_INT(silent, 0);
    CHECK_INT(reloaded, 1);
    /* Densely where our own code allocates, and across all that Lua does in between. */
    for (long at = 1; at < whole; at += at < 40 ? 1 : whole / 80) {
        live(at);
        lives++;
    }
    printf("    %ld allocations, %ld lives, %d did not start, %d requests unanswered, %d reloads\n", whole, lives,
           refused, silent, reloaded);
    CHECK(refused > 0);
    CHECK(reloaded > 0);
}

static void ignore(int level, const char *text, void *arg)
{
    (void)level, (void)text, (void)arg;
}

int main(void)
{
    lib_begin();
    durward_log(ignore, NULL);
    RUN(starve);
    lib_end();
    return check_done();
}
