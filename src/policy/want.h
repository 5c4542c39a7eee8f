/* What a question may wait for, and who fulfils it.
 *
 * A hook that needs to know something says so with a want; the host's keeper fulfils it, at once or later,
 * and the hook goes on with the answer.  Answers are JSON, so that they can stand in the trace and be given
 * again when the journal is replayed:
 *
 *   A, AAAA   ["192.0.2.7", ..]                    groups    ["staff", ..]
 *   TXT       ["EXAMPLE.COM", ..]                  roster    {..}, or null when the key is not in it
 *   SRV       [{"target":"kdc.example.com","port":88,"priority":0,"weight":0}, ..]       sleep   true
 *   password  true or false: whether it is the one of a hash.  Neither stands in the trace
 *
 * A keeper belongs to the thread of its hosts and outlives their last question. */
#ifndef DW_POLICY_WANT_H
#define DW_POLICY_WANT_H

#include "base/span.h"

#include <jansson.h>

struct dw_ask;

enum dw_want_kind {
    DW_WANT_A,
    DW_WANT_AAAA,
    DW_WANT_TXT,
    DW_WANT_SRV,
    DW_WANT_SLEEP,
    DW_WANT_GROUPS,
    DW_WANT_ROW,
    DW_WANT_PASSWORD
};

struct dw_want {
    enum dw_want_kind kind;
    const char
        *source; /* the roster's name; the file of groups, NULL: the system's; the file of users; else NULL */
    const char *key; /* the name, the user, the seconds as text */
    double seconds; /* SLEEP */
    struct dw_span
        secret; /* PASSWORD, to be wiped where it is copied; what dw_secret_unknown points at: not known */
    const char *hash; /* PASSWORD */
};

/* The octet that stands for a secret of which only is known that there was one: replayed from a journal. */
extern const uint8_t dw_secret_unknown[1];

/* Starts as all zero. */
struct dw_answer {
    json_t *value; /* NULL: it failed */
    char *failed; /* why; the script is given nil and this */
    bool is_fatal; /* the script is not asked: `failed` is an error */
    uint64_t nanoseconds; /* PASSWORD: of this thread's time */
};

enum dw_fulfilment {
    DW_FULFIL_NOT_MINE, /* the keeper knows nothing of this kind; a PASSWORD is then looked at in place */
    DW_FULFIL_NOW, /* the answer is there */
    DW_FULFIL_LATER, /* it will be brought by dw_ask_resume, unless the job is dropped before */
    DW_FULFIL_LATE, /* it would come after the question's time */
};

struct dw_keeper {
    void *arg;
    /* The want is borrowed until this returns.  A keeper that answers later sets `job`. */
    enum dw_fulfilment (*begin)(void *arg, struct dw_ask *ask, const struct dw_want *want, struct dw_answer *answer,
                                void **job);
    /* Nobody waits for it any more. */
    void (*drop)(void *job);
    /* Whether a source's file need not be there, since begin answers for it ("roster:staff"); may be NULL. */
    bool (*covers)(void *arg, const char *source);
};

/* "TXT", "groups", "groups:/etc/group", "roster:staff": as the trace has it.  Cut at the end of `into`. */
const char *dw_want_word(const struct dw_want *want, char *into, size_t size);
/* "TXT", "A", ..: the kind, or -1. */
int dw_want_parse(const char *word);
void dw_answer_fail(struct dw_answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dw_answer_clear(struct dw_answer *answer);

#endif
