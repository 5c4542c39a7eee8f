/* What a question may wait for: see want.h. */
#include "policy/want.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {"A", "AAAA", "TXT", "SRV", "sleep", "groups", "roster", "password"};
enum { WORDS = sizeof words / sizeof *words };

const char *dw_want_word(const struct dw_want *want, char *into, size_t size)
{
    snprintf(into, size, "%s%s%s", words[want->kind], want->source ? ":" : "", want->source ? want->source : "");
    return into;
}

int dw_want_parse(const char *word)
{
    for (int i = 0; i < WORDS; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

void dw_answer_fail(struct dw_answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    free(answer->failed);
    if (vasprintf(&answer->failed, format, args) < 0)
        answer->failed = NULL;
    va_end(args);
    json_decref(answer->value);
    answer->value = NULL;
}

void dw_answer_clear(struct dw_answer *answer)
{
    json_decref(answer->value);
    free(answer->failed);
    *answer = (struct dw_answer){0};
}
