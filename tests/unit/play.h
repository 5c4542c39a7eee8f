/* Plays conversations from a text file against a machine (auth/machine.h): a unit test, a seed for fuzzing and
 * documentation in one.
 *
 *   # a comment
 *   == what the conversation is about          begins one; a file holds many
 *   : acceptor limit=1000                      which machine, with what options
 *   @ an earlier conversation                  begin as that one went (other options may follow)
 *   > command INITIATE "toy:alice"             the peer says
 *   < command INITIATE "toy:done"              the machine says: the very octets
 *   ? admit principal=alice                    an effect of the machine, in order
 *   = allow                                    the driver does
 *   ! close protocol "part of the detail"      the machine closes, and says why
 *
 * Words are bare, "quoted" (with \xNN, \n, \r, \", \\), "repeated"*300, or key=value (the value may be quoted);
 * what they mean is the front's to say (play_zmtp.c, play_dovecot.c, play_xmpp.c).  Everything the machine says or does must be told: a
 * conversation ends with nothing left over.
 *
 * Every conversation is played whole, octet by octet, into a small scratch, and cut in two at every offset (of its
 * own lines); but one whose ':' line says `whole`, because it is about what arrives together, only so.
 * What was lent to the machine is overwritten between turns, so that a span kept too long is seen. */
#ifndef DW_TESTS_PLAY_H
#define DW_TESTS_PLAY_H

#include "auth/machine.h"

enum { PLAY_MOST_WORDS = 96 };

struct play_word {
    char *key; /* of key=value; else NULL */
    char *text; /* NUL-terminated; may hold NULs when quoted */
    size_t len, times;
    bool quoted;
};

struct play_line {
    int number;
    char mark; /* : > < ? = ! */
    char *source; /* as it stands in the file */
    size_t count;
    struct play_word word[PLAY_MOST_WORDS];
};

struct play_conversation {
    const char *file;
    char *title;
    struct play_line **line;
    size_t count;
    size_t own; /* the first line that is not of an earlier conversation */
};

struct play_script {
    struct play_conversation *conversation;
    size_t count;
};

/* How the peer's octets arrive. */
struct play_way {
    size_t piece; /* at most so many at once */
    size_t cut; /* no piece goes across this offset; 0: nowhere */
    size_t scratch; /* size of the driver's scratch */
    bool starved; /* memory may run out: then a conversation may also end early, with a failed call or a close */
};

/* An effect, kept. */
struct play_effect {
    enum dw_act act;
    unsigned flags;
    struct dw_buf bytes; /* frame, metadata, token; or what the front notes of a question */
    struct dw_error why;
};

struct play {
    const struct play_way *way;
    struct dw_machine *machine;
    struct play_effect *effect;
    size_t effects, seen;
    uint8_t *scratch;
    size_t fed;
    bool closed; /* DW_CLOSE was answered */
    bool broken; /* a call on the machine failed */
    char complaint[1200];
};

/* One protocol's words.  `say`, `act` and `expect` return 0, or -1 when the line makes no sense. */
struct play_front {
    /* The machine that a ':' line asks for; NULL when memory is out. */
    struct dw_machine *(*make)(const struct play_line *line);
    /* The octets of a '>' or '<' line. */
    int (*say)(const struct play_line *line, struct dw_buf *out);
    /* A '=' line; `broken` when a call on the machine failed, a complaint when something is not as told. */
    int (*act)(struct play *p, const struct play_line *line);
    /* The effect that a '?' line wants. */
    int (*expect)(const struct play_line *line, struct play_effect *effect);
    /* Adds to an effect what it has beside frame, metadata and token. */
    void (*note)(struct play *p, const struct dw_effect *fx, struct play_effect *effect);
};

/* Up while the machine runs: a failing allocator looks here. */
extern bool play_inside;

/* Loads a script, or says on stdout what is wrong with it and returns -1. */
int play_load(struct play_script *script, const char *path);
void play_free(struct play_script *script);

/* Plays one conversation one way.  False when it did not go as told, which stdout then says. */
bool play_once(const struct play_front *front, const struct play_conversation *c, const struct play_way *way);
/* In every way.  The number of ways that failed (it stops at the third). */
int play_every_way(const struct play_front *front, const struct play_conversation *c);
/* Every conversation of a file, in every way; the number of conversations that failed, or -1. */
int play_file(const struct play_front *front, const char *path);

/* For fronts: sets p->complaint unless there is one. */
void play_complain(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends a word's octets, as often as it says. */
void play_put(struct dw_buf *out, const struct play_word *word);
/* The value of key=value on a line, or NULL. */
const struct play_word *play_key(const struct play_line *line, const char *key);
bool play_is(const struct play_line *line, size_t index, const char *word);

extern const struct play_front play_zmtp, play_dovecot, play_xmpp;

#endif
