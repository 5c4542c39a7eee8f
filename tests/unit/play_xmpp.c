/* XMPP's words for conversations with a client (play.h), over the toy GSSAPI (toy_gss.h) and the toy TLS (toy_tls.h).
 *
 *   : client [whole] [direct] [limit=N]      domains: example.com, other.example, xn--bcher-kva.example
 *
 * Said, by the client ('>') or by the machine ('<'); `tls` before any of them puts it into TLS:
 *   "text"                       just that
 *   hello, bye, wrong            TLS itself
 *   header [to=] [from=] [lang=] [version=]      the client's; version=1.0 unless told otherwise, `version=none`
 *   header [from=] [to=]         the machine's; its id is taken as it stands, and looked at
 *   starttls, proceed            and the features that offer it: `starttls-features`
 *   features [mechanisms=".."] [hostname=..] [in-features]     in the namespace ":1"
 *   auth MECHANISM [DATA], response [DATA], challenge [DATA], success [DATA]
 *        DATA, put into base64: "text", octets in hex; `sealed` before them wraps them by the toy
 *   failure CONDITION, error CONDITION ["text"]          the latter with the end of the stream, for both sides
 *   end                          of the stream
 *
 * Effects ('?'):  realm DOMAIN | admit PRINCIPAL ["authzid"] | meta (as said) | data ".."
 *   (data that came in one run of '>' lines is one effect)
 *
 * The driver ('='):  offer [mechanisms=".."] [hostname=..] [namespaces=".."] [in-features] [bindings] [mutual]
 *   [target=..] | welcome | user JID | deny | refuse not-authorized|invalid-authzid|temporary | push ".." |
 *   end CONDITION ["text"] (at once) | ending CONDITION ["text"] (has to wait) |
 *   push-fails "..";  and looks: state "..", from "..", lang "..", mechanism "..", failures N "part", bound, name ".." (that TLS
 *   was begun for), small */
#include "base/base64.h"
#include "play.h"
#include "toy_gss.h"
#include "toy_tls.h"
#include "xmpp/client.h"
#include "xmpp/xml.h"

#include <stdio.h>
#include <stdlib.h>

#define STREAM "<stream:stream xmlns='jabber:client' xmlns:stream='" DW_XML_STREAMS "'"

static const char *const domains[] = {"example.com", "other.example", "xn--bcher-kva.example", NULL};

/* One conversation is played at a time. */
static struct {
    struct dw_machine *machine;
    struct dw_meter meter;
    char last_id[64];
    const char *target;
} now;

static bool has(const struct play_line *line, const char *word)
{
    for (size_t i = 0; i < line->count; i++)
        if (play_is(line, i, word))
            return true;
    return false;
}

static const char *text_of(const struct play_line *line, const char *key)
{
    const struct play_word *word = play_key(line, key);
    return word ? word->text : NULL;
}

static struct dw_machine *make(const struct play_line *line)
{
    const char *limit = text_of(line, "limit");
    memset(&now, 0, sizeof now);
    const struct dw_xmpp_client_options options = {
        .domains = domains,
        .tls = toy_tls_context(),
        .direct_tls = has(line, "direct"),
        .pre_auth_bytes = limit ? strtoul(limit, NULL, 10) : 0,
        .meter = &now.meter,
    };
    return now.machine = dw_xmpp_client_new(&options);
}

/* ---- What is said. */

static void put_attribute(struct dw_buf *out, const char *name, const char *value)
{
    if (value)
        dw_buf_printf(out, " %s='%s'", name, value);
}

static void say_their_header(const struct play_line *line, struct dw_buf *out)
{
    const char *version = text_of(line, "version");
    dw_buf_printf(out, "<?xml version='1.0'?>" STREAM);
    put_attribute(out, "to", text_of(line, "to"));
    put_attribute(out, "from", text_of(line, "from"));
    put_attribute(out, "xml:lang", text_of(line, "lang"));
    if (!version || strcmp(version, "none") != 0)
        put_attribute(out, "version", version ? version : "1.0");
    dw_buf_printf(out, ">");
}

/* Ids are of 24 hex digits, and never the same again. */
static int take_id(char id[25])
{
    struct dw_span out = dw_buf_span(&now.machine->out);
    struct dw_buf mark = {0}, clear = {0};
    toy_tls_put(&mark, DW_SPAN_OF(" id='"));
    const uint8_t *at = memmem(out.at, out.len, " id='", 5), *secret = memmem(out.at, out.len, mark.at, 5);
    dw_buf_free(&mark);
    if (!at && secret) {
        toy_tls_put(&clear, dw_span_make(secret, out.len - (size_t)(secret - out.at)));
        out = dw_buf_span(&clear);
        at = out.at;
    }
    bool whole = at && out.len - (size_t)(at - out.at) >= 5 + 24;
    snprintf(id, 25, "%.24s", whole ? (const char *)at + 5 : "none");
    dw_buf_free(&clear);
    bool good = whole && strspn(id, "0123456789abcdef") == 24 && strcmp(id, now.last_id) != 0;
    snprintf(now.last_id, sizeof now.last_id, "%s", id);
    return good ? 0 : -1;
}

static int say_our_header(const struct play_line *line, struct dw_buf *out)
{
    char id[25];
    if (take_id(id) < 0)
        snprintf(id, sizeof id, "none, or no good");
    dw_buf_printf(out, "<?xml version='1.0'?>" STREAM " id='%s'", id);
    put_attribute(out, "from", text_of(line, "from"));
    put_attribute(out, "to", text_of(line, "to"));
    return dw_buf_printf(out, " version='1.0' xml:lang='en'>");
}

static int put_octets(const struct play_line *line, size_t from, struct dw_buf *out)
{
    for (size_t i = from; i < line->count; i++) {
        const struct play_word *word = &line->word[i];
        char *end;
        if (word->quoted) {
            play_put(out, word);
            continue;
        }
        unsigned long octet = strtoul(word->text, &end, 16);
        if (word->len != 2 || *end || word->key)
            return -1;
        dw_buf_put_u8(out, (uint8_t)octet);
    }
    return 0;
}

static int put_data(const struct play_line *line, size_t from, struct dw_buf *out)
{
    struct dw_buf data = {0}, sealed = {0};
    bool seal = play_is(line, from, "sealed");
    int rc = put_octets(line, from + seal, &data);
    if (seal)
        toy_wrap(&sealed, TOY_CLEAR | (line->mark == '<' ? TOY_FROM_ACCEPTOR : 0), 0, dw_buf_span(&data));
    dw_base64_put(out, dw_buf_span(seal ? &sealed : &data));
    dw_buf_free(&data);
    dw_buf_free(&sealed);
    return rc;
}

static int say_sasl(const struct play_line *line, size_t at, const char *name, struct dw_buf *out)
{
    dw_buf_printf(out, "<%s xmlns='" DW_XML_SASL "'", name);
    if (strcmp(name, "auth") == 0 && ++at < line->count)
        put_attribute(out, "mechanism", line->word[at].text);
    dw_buf_printf(out, ">");
    int rc = put_data(line, at + 1, out);
    dw_buf_printf(out, "</%s>", name);
    return rc;
}

static int say_features(const struct play_line *line, struct dw_buf *out)
{
    const char *mechanisms = text_of(line, "mechanisms"), *hostname = text_of(line, "hostname");
    char host[200] = "";
    if (hostname)
        snprintf(host, sizeof host, "<hostname xmlns='urn:xmpp:domain-based-name:1'>%s</hostname>", hostname);
    dw_buf_printf(out, "<stream:features>");
    if (mechanisms)
        dw_buf_printf(out, "<mechanisms xmlns='" DW_XML_SASL "'>");
    for (const char *word = mechanisms; word && *word; word += strspn(word, " ")) {
        int len = (int)strcspn(word, " ");
        dw_buf_printf(out, "<mechanism>%.*s</mechanism>", len, word);
        word += len;
    }
    if (mechanisms)
        dw_buf_printf(out, "%s</mechanisms>", host);
    return dw_buf_printf(out, "%s</stream:features>", has(line, "in-features") ? host : "");
}

static int say_error(const struct play_line *line, size_t at, struct dw_buf *out)
{
    if (at + 1 >= line->count)
        return -1;
    dw_buf_printf(out, "<stream:error><%s xmlns='" DW_XML_STREAM_ERRORS "'/>", line->word[at + 1].text);
    if (at + 2 < line->count)
        dw_buf_printf(out, "<text xmlns='" DW_XML_STREAM_ERRORS "' xml:lang='en'>%s</text>",
                      line->word[at + 2].text);
    return dw_buf_printf(out, "</stream:error></stream:stream>");
}

static int say_words(const struct play_line *line, size_t at, struct dw_buf *out)
{
    const char *word = at < line->count ? line->word[at].text : "";
    if (at >= line->count)
        return -1;
    if (line->word[at].quoted)
        return put_octets(line, at, out);
    if (strcmp(word, "header") == 0 && line->mark == '<')
        return say_our_header(line, out);
    if (strcmp(word, "header") == 0)
        return say_their_header(line, out), 0;
    if (strcmp(word, "starttls") == 0 || strcmp(word, "proceed") == 0)
        return dw_buf_printf(out, "<%s xmlns='" DW_XML_TLS "'/>", word);
    if (strcmp(word, "starttls-features") == 0)
        return dw_buf_printf(out, "<stream:features><starttls xmlns='" DW_XML_TLS
                                  "'><required/></starttls></stream:features>");
    if (strcmp(word, "features") == 0)
        return say_features(line, out);
    if (strcmp(word, "failure") == 0 && at + 1 < line->count)
        return dw_buf_printf(out, "<failure xmlns='" DW_XML_SASL "'><%s/></failure>", line->word[at + 1].text);
    if (strcmp(word, "error") == 0)
        return say_error(line, at, out);
    if (strcmp(word, "end") == 0)
        return dw_buf_printf(out, "</stream:stream>");
    return say_sasl(line, at, word, out);
}

static int say(const struct play_line *line, struct dw_buf *out)
{
    if (play_is(line, 0, "hello"))
        return dw_buf_put_u8(out, TOY_TLS_HELLO);
    if (play_is(line, 0, "bye"))
        return dw_buf_put_u8(out, TOY_TLS_BYE);
    if (play_is(line, 0, "wrong"))
        return dw_buf_put_u8(out, TOY_TLS_WRONG);
    if (!play_is(line, 0, "tls"))
        return say_words(line, 0, out);
    struct dw_buf plain = {0};
    int rc = say_words(line, 1, &plain);
    toy_tls_put(out, dw_buf_span(&plain));
    dw_buf_free(&plain);
    return rc;
}

/* ---- Effects. */

static int expect(const struct play_line *line, struct play_effect *effect)
{
    struct dw_buf *bytes = &effect->bytes;
    if (play_is(line, 0, "realm") || play_is(line, 0, "admit")) {
        effect->act = play_is(line, 0, "realm") ? DW_ASK_REALM : DW_ASK_ADMIT;
        for (size_t i = 1; i < line->count; i++)
            dw_buf_printf(bytes, "%s%s", i > 1 ? " " : "", line->word[i].text);
        return line->count > 1 ? 0 : -1;
    }
    effect->act = play_is(line, 0, "meta") ? DW_META : DW_DATA;
    if (effect->act == DW_DATA && !play_is(line, 0, "data"))
        return -1;
    return say_words(line, 1, bytes);
}

static void note(struct play *p, const struct dw_effect *fx, struct play_effect *effect)
{
    struct play_effect *before = p->effects > 1 ? effect - 1 : NULL;
    (void)fx;
    if (effect->act == DW_ASK_REALM) {
        dw_buf_clear(&effect->bytes, SIZE_MAX);
        dw_buf_put(&effect->bytes, dw_span_str(dw_xmpp_client_domain(p->machine)));
    } else if (effect->act == DW_ASK_ADMIT) {
        const struct dw_sasl *sasl = dw_xmpp_client_sasl(p->machine);
        struct dw_span authzid = dw_sasl_authzid(sasl);
        dw_buf_clear(&effect->bytes, SIZE_MAX);
        dw_buf_printf(&effect->bytes, "%s%s%.*s", dw_context_peer(dw_sasl_context(sasl)), authzid.len ? " " : "",
                      (int)authzid.len, (const char *)authzid.at);
    } else if (effect->act == DW_DATA && before && before->act == DW_DATA && p->seen < p->effects - 1) {
        dw_buf_put(&before->bytes, dw_buf_span(&effect->bytes));
        dw_buf_free(&effect->bytes);
        p->effects--;
    }
}

/* ---- The driver. */

static bool is_ours(void *arg, const char *target)
{
    (void)arg;
    return !now.target || strcmp(target, now.target) == 0;
}

/* Words, into a list that NULL ends. */
static void cut(char *text, const char *list[8])
{
    size_t count = 0;
    for (char *word = text ? strtok(text, " ") : NULL; word && count < 7; word = strtok(NULL, " "))
        list[count++] = word;
    list[count] = NULL;
}

static void offer(struct play *p, const struct play_line *line)
{
    char mechanisms[200], namespaces[200];
    const char *mechanism[8], *ns[8], *value = text_of(line, "mechanisms"), *spaces = text_of(line, "namespaces");
    snprintf(mechanisms, sizeof mechanisms, "%s", value ? value : "");
    snprintf(namespaces, sizeof namespaces, "%s", spaces ? spaces : "urn:xmpp:domain-based-name:1");
    cut(mechanisms, mechanism);
    cut(namespaces, ns);
    now.target = text_of(line, "target");
    const struct dw_xmpp_offer it = {
        .mechanisms = mechanism,
        .hostname = text_of(line, "hostname"),
        .hostname_namespaces = ns,
        .hostname_in_features = has(line, "in-features"),
        .binding_types = has(line, "bindings"),
        .sasl = {.cred = toy_cred(), .is_ours = is_ours, .require_mutual = has(line, "mutual")},
    };
    p->broken = dw_xmpp_client_offer(p->machine, &it) < 0;
    /* All of it is copied. */
    memset(mechanisms, 'x', sizeof mechanisms - 1);
    memset(namespaces, 'x', sizeof namespaces - 1);
}

static int refuse(struct play *p, const struct play_line *line)
{
    if (play_is(line, 1, "not-authorized"))
        dw_xmpp_client_refuse(p->machine, DW_XMPP_NOT_AUTHORIZED);
    else if (play_is(line, 1, "invalid-authzid"))
        dw_xmpp_client_refuse(p->machine, DW_XMPP_INVALID_AUTHZID);
    else if (play_is(line, 1, "temporary"))
        dw_xmpp_client_refuse(p->machine, DW_XMPP_TEMPORARY);
    else
        return -1;
    return 0;
}

static void push(struct play *p, const struct play_line *line)
{
    struct dw_error err = {0};
    struct dw_buf bytes = {0};
    bool must_fail = play_is(line, 0, "push-fails");
    play_inside = false;
    put_octets(line, 1, &bytes);
    play_inside = true;
    int rc = dw_machine_push(p->machine, (struct dw_frame){.body = dw_buf_span(&bytes)}, &err);
    play_inside = false;
    if (must_fail && rc == 0)
        play_complain(p, "the push was taken");
    p->broken = rc < 0 && !must_fail;
    dw_buf_free(&bytes);
}

static void end(struct play *p, const struct play_line *line)
{
    const char *text = line->count > 2 ? line->word[2].text : NULL;
    bool now_it_ends = dw_xmpp_client_end(p->machine, line->word[1].text, text);
    if (now_it_ends != play_is(line, 0, "end") && !p->way->starved)
        play_complain(p, now_it_ends ? "it ended at once" : "it did not end at once");
}

/* Calls on the machine; 1 when the line is none. */
static int drive(struct play *p, const struct play_line *line)
{
    if (play_is(line, 0, "offer"))
        offer(p, line);
    else if (play_is(line, 0, "welcome"))
        dw_xmpp_client_welcome(p->machine);
    else if (play_is(line, 0, "user") && line->count > 1)
        p->broken = dw_xmpp_client_user(p->machine, dw_span_str(line->word[1].text)) < 0;
    else if (play_is(line, 0, "deny"))
        dw_machine_answer(p->machine, false);
    else if (play_is(line, 0, "refuse"))
        return refuse(p, line);
    else if (play_is(line, 0, "push") || play_is(line, 0, "push-fails"))
        push(p, line);
    else if ((play_is(line, 0, "end") || play_is(line, 0, "ending")) && line->count > 1)
        end(p, line);
    else
        return 1;
    return 0;
}

static bool failed_as(const struct dw_machine *m, const struct play_line *line)
{
    const struct dw_error *last;
    unsigned count = dw_xmpp_client_failures(m, &last);
    return line->count > 2 && count == strtoul(line->word[1].text, NULL, 10) && last &&
           strstr(last->detail, line->word[2].text);
}

static int look(struct play *p, const struct play_line *line)
{
    const struct dw_machine *m = p->machine;
    const char *word = line->count > 1 ? line->word[1].text : "";
    bool as_told;
    if (play_is(line, 0, "state"))
        as_told = strcmp(dw_xmpp_client_state(m), word) == 0;
    else if (play_is(line, 0, "from"))
        as_told = dw_span_equal(dw_xmpp_client_from(m), dw_span_str(word));
    else if (play_is(line, 0, "lang"))
        as_told = dw_span_equal(dw_xmpp_client_lang(m), dw_span_str(word));
    else if (play_is(line, 0, "mechanism"))
        as_told = strcmp(dw_xmpp_client_mechanism(m), word) == 0;
    else if (play_is(line, 0, "failures"))
        as_told = failed_as(m, line);
    else if (play_is(line, 0, "bound"))
        as_told = dw_sasl_channel_bound(dw_xmpp_client_sasl(m));
    else if (play_is(line, 0, "name"))
        as_told = dw_xmpp_client_tls(m) && toy_tls_name(dw_xmpp_client_tls(m)) &&
                  strcmp(toy_tls_name(dw_xmpp_client_tls(m)), word) == 0;
    else if (play_is(line, 0, "small"))
        as_told = now.meter.held == 0 && !dw_xmpp_client_sasl(m) && toy_tls_is_settled(dw_xmpp_client_tls(m));
    else
        return -1;
    if (!as_told && !p->closed)
        play_complain(p, "not so: the state is \"%s\", from \"%.*s\", mechanism \"%s\", %zu octets held",
                      dw_xmpp_client_state(m), (int)dw_xmpp_client_from(m).len,
                      (const char *)dw_xmpp_client_from(m).at, dw_xmpp_client_mechanism(m), now.meter.held);
    return 0;
}

static int act(struct play *p, const struct play_line *line)
{
    play_inside = true;
    int rc = drive(p, line);
    play_inside = false;
    return rc > 0 ? look(p, line) : rc;
}

const struct play_front play_xmpp = {make, say, act, expect, note};
