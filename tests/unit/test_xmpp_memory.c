/* Memory runs out at every point of every conversation with an XMPP client: the machine closes for that reason, or refuses
 * for now, or the call fails, and nothing leaks (which the sanitizer sees).  Linked with malloc and its kin wrapped. */
#include "check.h"
#include "play.h"
#include "toy_tls.h"

#include <glob.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static long left; /* allocations inside the machine before one fails; below zero: it has */
static bool stays; /* once out, memory stays out */

static bool fails(void)
{
    if (!play_inside)
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

/* Until a whole conversation goes by without reaching the failing allocation. */
static void starve(const struct play_conversation *c, struct play_way way)
{
    for (long n = 1; n < 20000; n++) {
        left = n;
        if (!CHECK(play_once(&play_xmpp, c, &way)))
            printf("    allocation %ld was refused%s\n", n, stays ? ", and all later ones" : "");
        if (left > 0)
            return;
    }
    CHECK(!"the conversation ends");
}

int main(int argc, char **argv)
{
    const struct play_way way = {.piece = SIZE_MAX / 2, .scratch = 65536, .starved = true};
    glob_t found = {0};
    glob(argc > 1 ? argv[1] : "tests/transcripts/xmpp_client_*.txt", 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct play_script script;
        if (!CHECK(play_load(&script, found.gl_pathv[i]) == 0)) {
            play_free(&script);
            continue;
        }
        for (size_t j = 0; j < script.count; j++)
            for (int k = 0; k < 2; k++) {
                stays = k;
                starve(&script.conversation[j], way);
            }
        play_free(&script);
    }
    CHECK_INT(toy_tls_alive(), 0);
    globfree(&found);
    return check_done();
}
