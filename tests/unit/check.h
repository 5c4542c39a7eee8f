/* Asserts for unit tests: each says what it saw and goes on; the program's exit code tells the sum.
 *
 *   CHECK(condition)                     CHECK_INT(got, wanted)
 *   CHECK_STR(got, wanted)               CHECK_SPAN(span, "wanted")
 *   int main(void) { RUN(test_one); RUN(test_two); return check_done(); } */
#ifndef DW_TESTS_CHECK_H
#define DW_TESTS_CHECK_H

#include "base/span.h"

#include <stdio.h>
#include <string.h>

static int check_passed, check_failed;

static inline int check_that(int ok, const char *file, int line, const char *what)
{
    if (ok) {
        check_passed++;
    } else {
        check_failed++;
        printf("%s:%d: %s\n", file, line, what);
    }
    return ok;
}

#define CHECK(c) check_that(!!(c), __FILE__, __LINE__, #c)
#define CHECK_INT(got, wanted)                                                                                     \
    do {                                                                                                           \
        long long g_ = (long long)(got), w_ = (long long)(wanted);                                                 \
        if (!check_that(g_ == w_, __FILE__, __LINE__, #got))                                                       \
            printf("    got %lld, wanted %lld\n", g_, w_);                                                         \
    } while (0)
#define CHECK_STR(got, wanted)                                                                                     \
    do {                                                                                                           \
        const char *g_ = (got), *w_ = (wanted);                                                                    \
        if (!check_that(g_ == w_ || (g_ && w_ && !strcmp(g_, w_)), __FILE__, __LINE__, #got))                      \
            printf("    got \"%s\", wanted \"%s\"\n", g_ ? g_ : "(null)", w_ ? w_ : "(null)");                     \
    } while (0)
#define CHECK_SPAN(got, wanted)                                                                                    \
    do {                                                                                                           \
        struct dw_span g_ = (got);                                                                                 \
        const char *w_ = (wanted);                                                                                 \
        if (!check_that(g_.len == strlen(w_) && !memcmp(g_.at ? (const char *)g_.at : "", w_, g_.len), __FILE__,   \
                        __LINE__, #got))                                                                           \
            printf("    got \"%.*s\", wanted \"%s\"\n", (int)g_.len, (const char *)g_.at, w_);                     \
    } while (0)
#define RUN(test)                                                                                                  \
    do {                                                                                                           \
        int before_ = check_failed;                                                                                \
        test();                                                                                                    \
        printf("%s %s\n", before_ == check_failed ? "ok  " : "FAIL", #test);                                       \
    } while (0)

static inline int check_done(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed || !check_passed;
}

#endif
