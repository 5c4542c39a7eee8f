/* The words of Dovecot's authentication protocol for conversations (play.h), over the toy GSSAPI (toy_gss.h).
 *
 *   : service [mechanisms=GSSAPI,GS2-KRB5]
 *
 * Said, by the server that asks ('>') or by the machine ('<'): a line, its words separated by TAB.  What is quoted, by
 * itself or behind name=, goes as base64; wrap="..", as the toy's client (or the machine) wraps it, in base64 too.
 *   handshake            what the machine says at once, and octets ".." just that: no TAB, no LF
 *
 * Effects ('?'):  meta | realm ID SERVICE [REMOTE PORT LOCAL-NAME] | admit ID PRINCIPAL TARGET [authzid] |
 *   data ID KIND         the exchange is over; ID is 0 when there is none
 *
 * The driver ('='):  begin ID [mutual] [ours=xmpp/] | pass ID USER | refuse ID denied|authzid|temporary | expire ID */
#include "play.h"
#include "toy_gss.h"

#include "base/base64.h"
#include "dovecot/service.h"

#include <stdio.h>
#include <stdlib.h>

/* What a conversation has come to; one is played at a time. */
static struct {
    char mechanisms[256];
    const char *list[8];
    struct dw_dovecot_exchange *open[64]; /* by id */
    char ours[64];
} now;

enum { MOST_IDS = sizeof now.open / sizeof now.open[0] };

static struct dw_machine *make(const struct play_line *line)
{
    const struct play_word *mechanisms = play_key(line, "mechanisms");
    struct dw_dovecot_options options = {.mechanisms = now.list, .pid = 7, .number = 9, .cookie = {1, 2, 3}};
    size_t count = 0;
    char *rest = NULL;
    memset(&now, 0, sizeof now);
    snprintf(now.mechanisms, sizeof now.mechanisms, "%s", mechanisms ? mechanisms->text : "GSSAPI");
    for (char *at = strtok_r(now.mechanisms, ",", &rest); at && count < 7; at = strtok_r(NULL, ",", &rest))
        now.list[count++] = at;
    return dw_dovecot_new(&options);
}

static void put_value(struct dw_buf *out, const struct play_line *line, const struct play_word *word)
{
    struct dw_buf value = {0}, wrapped = {0};
    play_put(&value, word);
    if (word->key && strcmp(word->key, "wrap") == 0) {
        toy_wrap(&wrapped, line->mark == '<' ? TOY_FROM_ACCEPTOR : TOY_CLEAR, 0, dw_buf_span(&value));
        dw_base64_put(out, dw_buf_span(&wrapped));
    } else if (word->quoted) {
        dw_base64_put(out, dw_buf_span(&value));
    } else {
        dw_buf_put(out, dw_buf_span(&value));
    }
    dw_buf_free(&value);
    dw_buf_free(&wrapped);
}

static int say(const struct play_line *line, struct dw_buf *out)
{
    if (play_is(line, 0, "handshake")) {
        dw_buf_printf(out, "VERSION\t1\t1\n");
        for (const char **at = now.list; *at; at++)
            dw_buf_printf(out, "MECH\t%s\tmutual-auth\n", *at);
        return dw_buf_printf(out, "SPID\t7\nCUID\t9\nCOOKIE\t01020300000000000000000000000000\nDONE\n");
    }
    if (play_is(line, 0, "octets")) {
        for (size_t i = 1; i < line->count; i++)
            play_put(out, &line->word[i]);
        return 0;
    }
    for (size_t i = 0; i < line->count; i++) {
        const struct play_word *word = &line->word[i];
        if (i > 0)
            dw_buf_put_u8(out, '\t');
        if (word->key && strcmp(word->key, "wrap") != 0)
            dw_buf_printf(out, "%s=", word->key);
        put_value(out, line, word);
    }
    return dw_buf_put_u8(out, '\n');
}

static bool is_ours(void *arg, const char *target)
{
    return strncmp(target, arg, strlen(arg)) == 0;
}

static int act(struct play *p, const struct play_line *line)
{
    unsigned long id = line->count > 1 ? strtoul(line->word[1].text, NULL, 10) : 0;
    struct dw_dovecot_exchange *x = id < MOST_IDS ? now.open[id] : NULL;
    if (!x)
        return -1;
    if (play_is(line, 0, "begin")) {
        const struct play_word *ours = play_key(line, "ours");
        struct dw_sasl_options options = {.cred = toy_cred(), .require_mutual = play_is(line, 2, "mutual")};
        if (ours) {
            snprintf(now.ours, sizeof now.ours, "%s", ours->text);
            options.is_ours = is_ours;
            options.arg = now.ours;
        }
        p->broken = dw_dovecot_begin(p->machine, x, &options) < 0;
        return 0;
    }
    now.open[id] = NULL;
    if (play_is(line, 0, "expire")) {
        p->broken = dw_dovecot_expire(p->machine, x) < 0;
    } else if (play_is(line, 0, "pass") && line->count > 2) {
        struct dw_span user = dw_span_make(line->word[2].text, line->word[2].len);
        p->broken = dw_dovecot_pass(p->machine, x, user) < 0;
    } else if (play_is(line, 0, "refuse")) {
        enum dw_dovecot_refusal how = play_is(line, 2, "denied")    ? DW_DOVECOT_DENIED
                                      : play_is(line, 2, "authzid") ? DW_DOVECOT_AUTHZID
                                                                    : DW_DOVECOT_TEMPORARY;
        p->broken = dw_dovecot_refuse(p->machine, x, how) < 0;
    } else {
        return -1;
    }
    return 0;
}

static int expect(const struct play_line *line, struct play_effect *effect)
{
    static const struct {
        const char *word;
        enum dw_act act;
    } acts[] = {{"meta", DW_META}, {"realm", DW_ASK_REALM}, {"admit", DW_ASK_ADMIT}, {"data", DW_DATA}};
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (play_is(line, 0, acts[i].word)) {
            effect->act = acts[i].act;
            for (size_t j = 1; j < line->count; j++) {
                if (j > 1)
                    dw_buf_put_u8(&effect->bytes, ' ');
                play_put(&effect->bytes, &line->word[j]);
            }
            return 0;
        }
    return -1;
}

static void note(struct play *p, const struct dw_effect *fx, struct play_effect *effect)
{
    const struct dw_dovecot_exchange *x = dw_dovecot_exchange(p->machine);
    if (effect->act == DW_ASK_REALM || effect->act == DW_ASK_ADMIT) {
        if (x->id < MOST_IDS)
            now.open[x->id] = dw_dovecot_exchange(p->machine);
        dw_buf_printf(&effect->bytes, "%u ", x->id);
    }
    if (effect->act == DW_ASK_REALM) {
        dw_buf_printf(&effect->bytes, "%s", x->service);
        if (x->remote || x->local_name)
            dw_buf_printf(&effect->bytes, " %s %d %s", x->remote ? x->remote : "-", x->remote_port,
                          x->local_name ? x->local_name : "-");
    } else if (effect->act == DW_ASK_ADMIT) {
        const struct dw_context *context = dw_sasl_context(dw_dovecot_sasl(x));
        struct dw_span authzid = dw_sasl_authzid(dw_dovecot_sasl(x));
        dw_buf_printf(&effect->bytes, "%s %s", dw_context_peer(context), dw_context_target(context));
        if (authzid.len)
            dw_buf_printf(&effect->bytes, " %.*s", (int)authzid.len, (const char *)authzid.at);
    } else if (effect->act == DW_DATA) {
        if (x && x->id < MOST_IDS)
            now.open[x->id] = NULL;
        dw_buf_printf(&effect->bytes, "%u %s", x ? x->id : 0, dw_error_word(fx->why.kind));
    }
}

const struct play_front play_dovecot = {make, say, act, expect, note};
