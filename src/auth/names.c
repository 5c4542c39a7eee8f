/* The words that operators see for stages, fronts and verdicts. */
#include "auth/decision.h"

static const char *const stages[] = {"connect", "realm", "map", "authorize", "close"};
static const char *const fronts[] = {"zmtp", "zap", "xmpp", "dovecot"};
static const char *const verdicts[] = {"deny", "allow", "temporary"};

const char *dw_stage_word(enum dw_stage stage)
{
    return stages[stage];
}

const char *dw_front_word(enum dw_front front)
{
    return fronts[front];
}

const char *dw_verdict_word(enum dw_verdict verdict)
{
    return verdicts[verdict];
}

static int find(const char *word, const char *const words[], int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

int dw_stage_parse(const char *word)
{
    return find(word, stages, 5);
}

int dw_front_parse(const char *word)
{
    return find(word, fronts, 4);
}
