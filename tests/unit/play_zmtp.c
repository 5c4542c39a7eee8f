/* ZMTP's words for conversations (play.h), over the toy GSSAPI (toy_gss.h).
 *
 *   : acceptor|initiator|null [plaintext] [error] [limit=N]
 *
 * Said, by the peer ('>') or by the machine ('<'):
 *   greeting [mechanism=M] [major=N] [minor=N] [as-server=N] [padding=N]    padding: the signature's last octet but one
 *   command NAME ARGS        a command frame; INITIATE's text is given its size; command "" has no body
 *   draft NAME ARGS          the same with a name of 8 octets; `draft NAME bare ARGS`: no size before the token
 *   message "..", message+ ".."       a frame of a message; with MORE
 *   frame FLAGS ARGS, header FLAGS N  any frame; the header alone of a frame of N octets
 *   octets ARGS              just that
 *   wrapped [HOW..] command NAME ARGS | message ".." | message+ ".." | subscribe ".." | cancel ".." | flags FF ARGS
 *            in MESSAGE, wrapped by the toy.  HOW: draft, outer=FF, clear (no confidentiality), again (the number of
 *            the one before), reflected, altered, cut (one octet short), nothing (not even flags)
 *   ARGS: "text", octets in hex, Name=value (a property)
 *
 * Effects ('?'):  realm [SERVICE] | admit [PRINCIPAL] | step [".."] | meta [ARGS] | message ".." | message+ ".." |
 *   subscribe ".." | cancel ".." | command NAME ARGS
 *
 * The driver ('='):  credential | allow | deny | ready ARGS | open | push (as '?') | refuse KIND ".." | initiate |
 *   stepped;  and looks: state "..", ttl N, silent, talking, commands, no-commands, small */
#include "play.h"
#include "toy_gss.h"
#include "zmtp/peer.h"

#include "zmtp/command.h"
#include "zmtp/frame.h"
#include "zmtp/greeting.h"

#include <stdlib.h>

/* What a conversation has come to; one is played at a time. */
static struct {
    bool accepts;
    uint32_t theirs, ours; /* wrapped messages so far */
    struct dw_span token;
    bool stepping;
} now;

static unsigned number_of(const struct play_line *line, const char *key, unsigned otherwise)
{
    const struct play_word *word = play_key(line, key);
    return word ? (unsigned)strtoul(word->text, NULL, 0) : otherwise;
}

static bool has(const struct play_line *line, const char *word)
{
    for (size_t i = 0; i < line->count; i++)
        if (play_is(line, i, word))
            return true;
    return false;
}

static struct dw_machine *make(const struct play_line *line)
{
    struct dw_zmtp_options options = {
        .role = has(line, "initiator") ? DW_ZMTP_INITIATOR
                : has(line, "null")    ? DW_ZMTP_NULL
                                       : DW_ZMTP_ACCEPTOR,
        .plaintext = has(line, "plaintext"),
        .error_on_deny = has(line, "error"),
        .frame_bytes = number_of(line, "limit", 1000000),
    };
    memset(&now, 0, sizeof now);
    now.accepts = options.role == DW_ZMTP_ACCEPTOR;
    return dw_zmtp_peer_new(&options);
}

static int put_args(const struct play_line *line, size_t from, struct dw_buf *out)
{
    for (size_t i = from; i < line->count; i++) {
        const struct play_word *word = &line->word[i];
        if (word->key) {
            struct dw_buf value = {0};
            play_put(&value, word);
            dw_property_put(out, dw_span_str(word->key), dw_buf_span(&value));
            dw_buf_free(&value);
        } else if (word->quoted) {
            play_put(out, word);
        } else {
            char *end;
            unsigned long octet = strtoul(word->text, &end, 16);
            if (word->len != 2 || *end)
                return -1;
            dw_buf_put_u8(out, (uint8_t)octet);
        }
    }
    return 0;
}

static int put_command(const struct play_line *line, size_t from, enum dw_dialect dialect, struct dw_buf *out)
{
    if (from == line->count || line->word[from].quoted)
        return put_args(line, from, out);
    const char *name = line->word[from++].text;
    bool has_token = strcmp(name, "INITIATE") == 0 || strcmp(name, "HELLO") == 0;
    /* Names that do not fit are for tests of names: spelled out by `frame`. */
    if (strlen(name) > (dialect == DW_DIALECT_DRAFT ? 8 : 15))
        return -1;
    dw_command_name(out, dialect, name);
    if (!has_token)
        return put_args(line, from, out);
    if (play_is(line, from, "bare"))
        return put_args(line, from + 1, out);
    struct dw_buf token = {0};
    int rc = put_args(line, from, &token);
    dw_buf_put_u32(out, (uint32_t)dw_buf_len(&token));
    dw_buf_put(out, dw_buf_span(&token));
    dw_buf_free(&token);
    return rc;
}

static void put_frame(struct dw_buf *out, uint8_t flags, struct dw_span body)
{
    if (flags & DW_WIRE_LONG && body.len <= 255) {
        dw_buf_put_u8(out, flags);
        dw_buf_put_u64(out, body.len);
    } else {
        dw_frame_begin(out, flags, body.len);
    }
    dw_buf_put(out, body);
}

static int say_greeting(const struct play_line *line, struct dw_buf *out)
{
    uint8_t raw[DW_GREETING_SIZE];
    const struct play_word *mechanism = play_key(line, "mechanism");
    dw_greeting_encode(raw, mechanism ? mechanism->text : "GSSAPI", number_of(line, "as-server", 0));
    raw[8] = (uint8_t)number_of(line, "padding", 0);
    raw[10] = (uint8_t)number_of(line, "major", 3);
    raw[11] = (uint8_t)number_of(line, "minor", 1);
    return dw_buf_put(out, dw_span_make(raw, sizeof raw));
}

static int put_inner(const struct play_line *line, size_t at, enum dw_dialect dialect, struct dw_buf *out)
{
    static const struct {
        const char *word;
        uint8_t flags;
    } kinds[] = {{"message", 0}, {"message+", 1}, {"subscribe", 4}, {"cancel", 8}};
    if (play_is(line, at, "command")) {
        dw_buf_put_u8(out, 2);
        return put_command(line, at + 1, dialect, out);
    }
    if (play_is(line, at, "flags"))
        return put_args(line, at + 1, out);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (play_is(line, at, kinds[i].word)) {
            dw_buf_put_u8(out, kinds[i].flags);
            return put_args(line, at + 1, out);
        }
    return play_is(line, at, "nothing") ? 0 : -1;
}

static int say_wrapped(const struct play_line *line, struct dw_buf *out)
{
    enum dw_dialect dialect = DW_DIALECT_LIBZMQ;
    bool theirs = line->mark == '>', altered = false, reflected = false;
    bool from_acceptor = theirs != now.accepts;
    unsigned flags = TOY_CONFIDENTIAL;
    size_t at = 1, short_by = 0;
    uint8_t outer = 0;
    uint32_t *number = theirs ? &now.theirs : &now.ours;
    for (;; at++) {
        if (play_is(line, at, "draft"))
            dialect = DW_DIALECT_DRAFT;
        else if (play_is(line, at, "clear"))
            flags = TOY_CLEAR;
        else if (play_is(line, at, "again"))
            --*number;
        else if (play_is(line, at, "reflected"))
            reflected = true;
        else if (play_is(line, at, "altered"))
            altered = true;
        else if (play_is(line, at, "cut"))
            short_by = 1;
        else if (at < line->count && line->word[at].key && strcmp(line->word[at].key, "outer") == 0)
            outer = (uint8_t)strtoul(line->word[at].text, NULL, 16);
        else
            break;
    }
    struct dw_buf plain = {0}, token = {0}, body = {0};
    int rc = put_inner(line, at, dialect, &plain);
    toy_wrap(&token, flags | (from_acceptor != reflected ? TOY_FROM_ACCEPTOR : 0), (*number)++,
             dw_buf_span(&plain));
    if (altered)
        token.at[token.tail - 1] ^= 1;
    token.tail -= short_by;
    dw_command_name(&body, dialect, "MESSAGE");
    dw_buf_put_u32(&body, (uint32_t)dw_buf_len(&token));
    dw_buf_put(&body, dw_buf_span(&token));
    put_frame(out, outer, dw_buf_span(&body));
    dw_buf_free(&plain);
    dw_buf_free(&token);
    dw_buf_free(&body);
    return rc;
}

static int say(const struct play_line *line, struct dw_buf *out)
{
    struct dw_buf body = {0};
    uint8_t flags = 0;
    int rc = -1;
    if (play_is(line, 0, "greeting"))
        return say_greeting(line, out);
    if (play_is(line, 0, "wrapped"))
        return say_wrapped(line, out);
    if (play_is(line, 0, "octets"))
        return put_args(line, 1, out);
    if (play_is(line, 0, "frame") || play_is(line, 0, "header"))
        flags = line->count > 1 ? (uint8_t)strtoul(line->word[1].text, NULL, 16) : 0;
    if (play_is(line, 0, "header") && line->count == 3) {
        dw_buf_put_u8(out, flags);
        unsigned long long size = strtoull(line->word[2].text, NULL, 0);
        return flags & DW_WIRE_LONG ? dw_buf_put_u64(out, size) : dw_buf_put_u8(out, (uint8_t)size);
    }
    if (play_is(line, 0, "frame"))
        rc = put_args(line, 2, &body);
    else if (play_is(line, 0, "message") || play_is(line, 0, "message+"))
        rc = put_args(line, 1, &body);
    else if (play_is(line, 0, "command"))
        rc = put_command(line, 1, DW_DIALECT_LIBZMQ, &body);
    else if (play_is(line, 0, "draft"))
        rc = put_command(line, 1, DW_DIALECT_DRAFT, &body);
    if (play_is(line, 0, "message+"))
        flags = DW_WIRE_MORE;
    if (play_is(line, 0, "command") || play_is(line, 0, "draft"))
        flags = DW_WIRE_COMMAND;
    put_frame(out, flags, dw_buf_span(&body));
    dw_buf_free(&body);
    return rc;
}

/* message, message+, subscribe, cancel, command: as '?' and after `= push`. */
static int take_frame(const struct play_line *line, size_t at, unsigned *flags, struct dw_buf *body)
{
    static const struct {
        const char *word;
        unsigned flags;
    } kinds[] = {{"message", 0},
                 {"message+", DW_FRAME_MORE},
                 {"subscribe", DW_FRAME_SUBSCRIBE},
                 {"cancel", DW_FRAME_CANCEL},
                 {"command", DW_FRAME_COMMAND}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!play_is(line, at, kinds[i].word))
            continue;
        *flags = kinds[i].flags;
        dw_buf_put(body, DW_SPAN_OF(" "));
        dw_buf_clear(body, SIZE_MAX);
        if (*flags == DW_FRAME_COMMAND)
            return put_command(line, at + 1, DW_DIALECT_LIBZMQ, body);
        return put_args(line, at + 1, body);
    }
    return -1;
}

static int expect(const struct play_line *line, struct play_effect *effect)
{
    static const struct {
        const char *word;
        enum dw_act act;
    } acts[] = {{"realm", DW_ASK_REALM}, {"admit", DW_ASK_ADMIT}, {"step", DW_STEP}, {"meta", DW_META}};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!play_is(line, 0, acts[i].word))
            continue;
        effect->act = acts[i].act;
        if (effect->act == DW_STEP || effect->act == DW_META)
            return put_args(line, 1, &effect->bytes);
        if (line->count > 1)
            play_put(&effect->bytes, &line->word[1]);
        return 0;
    }
    effect->act = DW_DATA;
    return take_frame(line, 0, &effect->flags, &effect->bytes);
}

/* Questions are noted by what a driver would look up to ask them. */
static void note(struct play *p, const struct dw_effect *fx, struct play_effect *effect)
{
    if (effect->act == DW_STEP) {
        now.token = fx->token;
        now.stepping = true;
    } else if (effect->act == DW_ASK_REALM) {
        dw_buf_clear(&effect->bytes, SIZE_MAX);
        dw_request_format(dw_zmtp_peer_request(p->machine), &effect->bytes);
    } else if (effect->act == DW_ASK_ADMIT) {
        dw_buf_clear(&effect->bytes, SIZE_MAX);
        dw_buf_put(&effect->bytes, dw_span_str(dw_context_peer(dw_zmtp_peer_context(p->machine))));
    }
}

static void initiate(struct play *p)
{
    struct dw_error err;
    struct dw_context *context = dw_context_initiate(toy_cred(), "zmq@hq.example.com", NULL, &err);
    p->broken = !context;
    if (context)
        dw_zmtp_peer_initiate(p->machine, context);
}

static void stepped(struct play *p)
{
    struct dw_context *context = dw_zmtp_peer_stepping(p->machine);
    struct dw_buf reply = {0};
    struct dw_error err = {0};
    if (!context || !now.stepping) {
        play_complain(p, "there is nothing to step");
        return;
    }
    now.stepping = false;
    int progress = dw_context_step(context, now.token, &reply, &err);
    dw_zmtp_peer_stepped(p->machine, progress, dw_buf_span(&reply), &err);
    dw_buf_free(&reply);
}

static int refuse(struct play *p, const struct play_line *line)
{
    for (int kind = DW_ERROR_NONE; line->count == 3 && kind <= DW_ERROR_INTERNAL; kind++)
        if (play_is(line, 1, dw_error_word((enum dw_error_kind)kind))) {
            dw_zmtp_peer_refuse(p->machine, (enum dw_error_kind)kind, line->word[2].text);
            return 0;
        }
    return -1;
}

/* Calls on the machine; 1 when the line is none. */
static int drive(struct play *p, const struct play_line *line)
{
    struct dw_machine *m = p->machine;
    struct dw_buf bytes = {0};
    struct dw_error err;
    int rc = 0;
    if (play_is(line, 0, "credential")) {
        dw_zmtp_peer_credential(m, toy_cred());
    } else if (play_is(line, 0, "allow") || play_is(line, 0, "deny")) {
        dw_machine_answer(m, play_is(line, 0, "allow"));
    } else if (play_is(line, 0, "open")) {
        dw_zmtp_peer_open(m);
    } else if (play_is(line, 0, "initiate")) {
        initiate(p);
    } else if (play_is(line, 0, "stepped")) {
        stepped(p);
    } else if (play_is(line, 0, "refuse")) {
        return refuse(p, line);
    } else if (play_is(line, 0, "ready")) {
        play_inside = false;
        rc = put_args(line, 1, &bytes);
        play_inside = true;
        p->broken = dw_zmtp_peer_ready(m, dw_buf_span(&bytes)) < 0;
    } else if (play_is(line, 0, "push")) {
        struct dw_frame frame = {0};
        play_inside = false;
        rc = take_frame(line, 1, &frame.flags, &bytes);
        play_inside = true;
        frame.body = dw_buf_span(&bytes);
        p->broken = rc == 0 && dw_machine_push(m, frame, &err) < 0;
    } else {
        rc = 1;
    }
    dw_buf_free(&bytes);
    return rc;
}

/* Looks at the machine; 1 when the line is none. */
static int look(struct play *p, const struct play_line *line)
{
    const struct dw_machine *m = p->machine;
    const char *word = line->count > 1 ? line->word[1].text : "";
    bool as_told;
    if (play_is(line, 0, "state"))
        as_told = strcmp(dw_zmtp_peer_state(m), word) == 0;
    else if (play_is(line, 0, "ttl"))
        as_told = dw_zmtp_peer_ttl(m) == strtoul(word, NULL, 10);
    else if (play_is(line, 0, "silent") || play_is(line, 0, "talking"))
        as_told = dw_zmtp_peer_is_silent(m) == play_is(line, 0, "silent");
    else if (play_is(line, 0, "commands") || play_is(line, 0, "no-commands"))
        as_told = dw_zmtp_peer_has_commands(m) == play_is(line, 0, "commands");
    else if (play_is(line, 0, "small"))
        as_told = m->held.cap == 0 && m->out.cap <= 1024;
    else
        return 1;
    if (!as_told)
        play_complain(p, "not so: the state is \"%s\", ttl %u, held %zu, out %zu", dw_zmtp_peer_state(m),
                      dw_zmtp_peer_ttl(m), m->held.cap, m->out.cap);
    return 0;
}

static int act(struct play *p, const struct play_line *line)
{
    play_inside = true;
    int rc = drive(p, line);
    play_inside = false;
    if (rc > 0)
        rc = look(p, line);
    return rc == 0 ? 0 : -1;
}

const struct play_front play_zmtp = {make, say, act, expect, note};
