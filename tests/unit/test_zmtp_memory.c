/* Memory runs out at every point of every conversation: the machine closes for that reason or the call fails, and
 * nothing leaks (which the sanitizer sees).  Linked with malloc and its kin wrapped. */
#include "check.h"
#include "play.h"

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
    for (long n = 1; n < 10000; n++) {
        left = n;
        if (!CHECK(play_once(&play_zmtp, c, &way)))
            printf("    allocation %ld was refused%s\n", n, stays ? ", and all later ones" : "");
        if (left > 0)
            return;
    }
    CHECK(!"the conversation ends");
}

int main(void)
{
    const struct play_way ways[] = {
        {.piece = SIZE_MAX / 2, .scratch = 65536, .starved = true},
        {.piece = 7, .scratch = 4096, .starved = true},
    };
    glob_t found = {0};
    glob("tests/transcripts/zmtp_*.txt", 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct play_script script;
        if (!CHECK(play_load(&script, found.gl_pathv[i]) == 0))
            continue;
        for (size_t j = 0; j < script.count; j++)
            for (int k = 0; k < 4; k++) {
                stays = k & 1;
                starve(&script.conversation[j], ways[k >> 1]);
            }
        play_free(&script);
    }
    globfree(&found);
    return check_done();
}
