/* The player: see play.h. */
#include "play.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool play_inside;

void play_complain(struct play *p, const char *format, ...)
{
    if (p->complaint[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(p->complaint, sizeof p->complaint, format, args);
    va_end(args);
}

/* Octets for a complaint: quoted, and only their beginning. */
static const char *shown(struct dw_buf *into, struct dw_span bytes)
{
    dw_text_quote(into, dw_span_make(bytes.at, bytes.len < 120 ? bytes.len : 120));
    dw_buf_printf(into, "%s (%zu octets)", bytes.len > 120 ? ".." : "", bytes.len);
    return (const char *)dw_buf_span(into).at;
}

static void complain_of(struct play *p, const char *what, struct dw_span got, struct dw_span wanted)
{
    struct dw_buf a = {0}, b = {0};
    play_complain(p, "%s\n      got    %s\n      wanted %s", what, shown(&a, got), shown(&b, wanted));
    dw_buf_free(&a);
    dw_buf_free(&b);
}

static const char *act_word(enum dw_act act)
{
    static const char *const words[] = {"need", "realm", "admit", "step", "meta", "data", "close"};
    return words[act];
}

static void keep_effect(struct play *p, const struct play_front *front, enum dw_act act, const struct dw_effect *fx)
{
    p->effect = realloc(p->effect, (p->effects + 1) * sizeof *p->effect);
    if (!p->effect)
        abort();
    struct play_effect *e = &p->effect[p->effects++];
    *e = (struct play_effect){.act = act, .flags = act == DW_DATA ? fx->frame.flags : 0};
    if (act == DW_CLOSE)
        e->why = fx->why;
    else
        dw_buf_put(&e->bytes, act == DW_DATA ? fx->frame.body : act == DW_META ? fx->meta : fx->token);
    if (front->note)
        front->note(p, fx, e);
}

static void pump(struct play *p, const struct play_front *front)
{
    while (!p->closed) {
        struct dw_effect fx;
        memset(&fx, 0xa5, sizeof fx);
        play_inside = true;
        enum dw_act act = dw_machine_next(p->machine, &fx);
        play_inside = false;
        if (act == DW_NEED)
            return;
        keep_effect(p, front, act, &fx);
        p->closed = act == DW_CLOSE;
    }
    struct dw_effect again;
    if (dw_machine_next(p->machine, &again) != DW_CLOSE)
        play_complain(p, "once closed, the machine goes on");
}

/* What a driver does before it goes back to its loop; what it lent is then another's. */
static void turn(struct play *p, const struct play_front *front)
{
    pump(p, front);
    play_inside = true;
    p->broken = dw_machine_settle(p->machine) < 0;
    play_inside = false;
    memset(p->scratch, 0xa5, p->way->scratch);
    if (!p->broken && !dw_machine_has_input(p->machine) && p->machine->held.cap > 0)
        play_complain(p, "an idle machine holds a buffer of %zu octets", p->machine->held.cap);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void feed(struct play *p, const struct play_front *front, struct dw_span bytes)
{
    struct dw_machine *m = p->machine;
    while (bytes.len > 0 && !p->closed && !p->broken) {
        size_t len, held = m->held.cap, growth = dw_machine_growth(m);
        play_inside = true;
        uint8_t *room = dw_machine_room(m, p->scratch, p->way->scratch, &len);
        play_inside = false;
        if (!room) {
            p->broken = true;
            return;
        }
        if (m->held.cap > held && growth == 0)
            play_complain(p, "the machine acquired %zu octets unannounced", m->held.cap);
        len = least(least(len, p->way->piece), bytes.len);
        if (p->fed < p->way->cut)
            len = least(len, p->way->cut - p->fed);
        memcpy(room, bytes.at, len);
        bytes = dw_span_make(bytes.at + len, bytes.len - len);
        p->fed += len;
        dw_machine_filled(m, room, len);
        turn(p, front);
    }
}

static void heard(struct play *p, const struct play_front *front, const struct play_line *line)
{
    struct dw_buf wanted = {0};
    struct dw_buf *out = &p->machine->out;
    if (front->say(line, &wanted) < 0) {
        play_complain(p, "the line makes no sense");
    } else {
        size_t len = least(dw_buf_len(out), dw_buf_len(&wanted));
        struct dw_span got = dw_span_make(dw_buf_span(out).at, len);
        if (!dw_span_equal(got, dw_buf_span(&wanted)))
            complain_of(p, "the machine said otherwise", dw_buf_span(out), dw_buf_span(&wanted));
        dw_buf_take(out, len);
        /* As a driver does with what was written. */
        if (dw_buf_len(out) == 0)
            dw_buf_clear(out, 0);
    }
    dw_buf_free(&wanted);
}

static struct play_effect *next_effect(struct play *p)
{
    return p->seen < p->effects ? &p->effect[p->seen++] : NULL;
}

static void effect(struct play *p, const struct play_front *front, const struct play_line *line)
{
    struct play_effect wanted = {0}, *got = next_effect(p);
    if (front->expect(line, &wanted) < 0)
        play_complain(p, "the line makes no sense");
    else if (!got)
        play_complain(p, "the machine did nothing more");
    else if (got->act != wanted.act)
        play_complain(p, "the machine did %s, not %s: %s", act_word(got->act), act_word(wanted.act),
                      got->act == DW_CLOSE ? got->why.detail : "");
    else if (got->flags != wanted.flags)
        play_complain(p, "flags %x, not %x", got->flags, wanted.flags);
    else if (wanted.bytes.at && !dw_span_equal(dw_buf_span(&got->bytes), dw_buf_span(&wanted.bytes)))
        complain_of(p, act_word(got->act), dw_buf_span(&got->bytes), dw_buf_span(&wanted.bytes));
    dw_buf_free(&wanted.bytes);
}

/* ! close KIND ["part of the detail"] */
static void closing(struct play *p, const struct play_line *line)
{
    struct play_effect *got = next_effect(p);
    if (!play_is(line, 0, "close") || line->count < 2)
        play_complain(p, "the line makes no sense");
    else if (!got || got->act != DW_CLOSE)
        play_complain(p, "the machine did %s, it did not close", got ? act_word(got->act) : "nothing more");
    else if (strcmp(dw_error_word(got->why.kind), line->word[1].text) != 0)
        play_complain(p, "closed for %s: %s", dw_error_word(got->why.kind), got->why.detail);
    else if (line->count > 2 && !strstr(got->why.detail, line->word[2].text))
        play_complain(p, "closed for \"%s\"", got->why.detail);
}

static void one_line(struct play *p, const struct play_front *front, const struct play_line *line)
{
    switch (line->mark) {
    case '<': heard(p, front, line); break;
    case '?': effect(p, front, line); break;
    case '!': closing(p, line); break;
    case '=':
        if (front->act(p, line) < 0)
            play_complain(p, "the line makes no sense");
        if (!p->broken)
            turn(p, front);
        break;
    default: play_complain(p, "a line that has no place here");
    }
}

/* What the peer says without waiting for us arrives together. */
static size_t peer_lines(struct play *p, const struct play_front *front, const struct play_conversation *c,
                         size_t at)
{
    struct dw_buf bytes = {0};
    for (; at < c->count && c->line[at]->mark == '>'; at++)
        if (front->say(c->line[at], &bytes) < 0)
            play_complain(p, "the line makes no sense");
    feed(p, front, dw_buf_span(&bytes));
    dw_buf_free(&bytes);
    return at;
}

static void left_over(struct play *p)
{
    if (p->seen < p->effects)
        play_complain(p, "untold: the machine did %s %s", act_word(p->effect[p->seen].act),
                      p->effect[p->seen].why.detail);
    if (dw_buf_len(&p->machine->out) > 0)
        complain_of(p, "untold: the machine said more", dw_buf_span(&p->machine->out), DW_SPAN_OF(""));
}

/* Out of memory: only a failed call, a close for that very reason, or the close that was due in any case (but for want
 * of the words that were to go with it) may end a conversation early. */
static bool ended_cleanly(const struct play *p, const struct play_conversation *c)
{
    if (p->broken)
        return true;
    if (!p->closed)
        return false;
    enum dw_error_kind kind = p->effect[p->effects - 1].why.kind;
    for (size_t i = 0; i < c->count; i++)
        if (c->line[i]->mark == '!' && strcmp(c->line[i]->word[1].text, dw_error_word(kind)) == 0)
            return true;
    return kind == DW_ERROR_INTERNAL;
}

static int converse(struct play *p, const struct play_front *front, const struct play_conversation *c)
{
    size_t at = 1;
    play_inside = true;
    p->machine = front->make(c->line[0]);
    play_inside = false;
    p->broken = !p->machine;
    if (p->broken)
        play_complain(p, "no machine");
    else
        turn(p, front);
    while (at < c->count && !p->complaint[0] && !p->broken) {
        if (c->line[at]->mark == '>')
            at = peer_lines(p, front, c, at);
        else
            one_line(p, front, c->line[at++]);
    }
    if (p->broken)
        play_complain(p, "a call on the machine failed");
    if (!p->complaint[0])
        left_over(p);
    return c->line[at ? at - 1 : 0]->number;
}

bool play_once(const struct play_front *front, const struct play_conversation *c, const struct play_way *way)
{
    struct play p = {.way = way, .scratch = malloc(way->scratch)};
    if (!p.scratch)
        abort();
    int number = c->count ? converse(&p, front, c) : 0;
    if (way->starved && ended_cleanly(&p, c))
        p.complaint[0] = '\0';
    if (p.complaint[0])
        printf("%s:%d: in \"%s\" (pieces of %zd, cut at %zu, scratch %zu):\n      %s\n", c->file, number, c->title,
               (ssize_t)way->piece, way->cut, way->scratch, p.complaint);
    play_inside = true;
    dw_machine_free(&p.machine);
    play_inside = false;
    for (size_t i = 0; i < p.effects; i++)
        dw_buf_free(&p.effect[i].bytes);
    free(p.effect);
    free(p.scratch);
    return !p.complaint[0];
}

/* Octets that the peer says in the lines before `end`. */
static size_t input_size(const struct play_front *front, const struct play_conversation *c, size_t end)
{
    struct dw_buf bytes = {0};
    struct dw_machine *m = front->make(c->line[0]);
    for (size_t i = 0; i < end; i++)
        if (c->line[i]->mark == '>')
            front->say(c->line[i], &bytes);
    size_t size = dw_buf_len(&bytes);
    dw_buf_free(&bytes);
    dw_machine_free(&m);
    return size;
}

int play_every_way(const struct play_front *front, const struct play_conversation *c)
{
    /* A large conversation would take too long octet by octet at every offset. */
    size_t size = input_size(front, c, c->count), shared = input_size(front, c, c->own),
           octet = size > 20000 ? 97 : 1, stride = 1 + size / 600;
    const struct play_way plain[] = {
        {.piece = SIZE_MAX / 2, .scratch = 65536},
        {.piece = octet, .scratch = 65536},
        {.piece = SIZE_MAX / 2, .scratch = 18 + octet},
        {.piece = 700, .scratch = 4096},
    };
    int failed = 0;
    for (size_t i = 0; i < c->line[0]->count; i++)
        if (play_is(c->line[0], i, "whole"))
            return !play_once(front, c, &plain[0]);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        failed += !play_once(front, c, &plain[i]);
    if (size > 20000)
        stride = size / 20;
    for (size_t cut = shared + 1; cut < size && failed < 3; cut += stride) {
        struct play_way way = {.piece = SIZE_MAX / 2, .cut = cut, .scratch = 65536};
        failed += !play_once(front, c, &way);
    }
    return failed;
}

int play_file(const struct play_front *front, const char *path)
{
    struct play_script script;
    int failed = play_load(&script, path);
    for (size_t i = 0; failed >= 0 && i < script.count; i++)
        failed += play_every_way(front, &script.conversation[i]) > 0;
    if (failed == 0 && script.count == 0) {
        printf("%s: holds no conversation\n", path);
        failed = -1;
    }
    play_free(&script);
    return failed;
}
