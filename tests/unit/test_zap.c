/* ZAP's frames: requests of every mechanism and every way of being malformed, and the replies, held to what
 * ZeroMQ RFC 27 says of them by a reader of its own.  The case file tells what stock libzmq makes of replies; its
 * rejected ones show that the reader here is no laxer than libzmq. */
#include "check.h"
#include "zap/zap.h"

#include "base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 32

/* -- requests ---------------------------------------------------------------------------------------------- */

static struct dw_buf message;
static struct dw_zap_request request;
static struct dw_error why;

/* Frames as C strings, up to a NULL. */
static enum dw_zap_sense parse(const char *const frames[])
{
    dw_buf_free(&message);
    for (; *frames; frames++)
        dw_zap_put(&message, dw_span_str(*frames));
    why = (struct dw_error){0};
    return dw_zap_parse(&request, dw_buf_span(&message), &why);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})
#define KEY "abcdefghijklmnopqrstuvwxyz012345"

static struct dw_event described(void)
{
    struct dw_event event = {0};
    dw_zap_describe(&request, &event);
    return event;
}

static void mechanisms(void)
{
    CHECK_INT(PARSE("", "1.0", "1", "", "192.0.2.7", "", "NULL"), DW_ZAP_SOUND);
    struct dw_event e = described();
    CHECK_INT(e.front, DW_FRONT_ZAP);
    CHECK_STR(e.mechanism, "NULL");
    CHECK_STR(e.peer.address, "192.0.2.7");
    CHECK(e.domain.at && e.domain.len == 0);
    CHECK(!e.plain.present && !e.curve_key.at && !e.principal.at && !e.credentials && !e.gss.present);

    CHECK_INT(PARSE("", "1.0", "\1\2", "trades", "::1", "srv", "PLAIN", "alice", "s3cret"), DW_ZAP_SOUND);
    e = described();
    CHECK_SPAN(e.domain, "trades");
    CHECK_SPAN(e.zap.identity, "srv");
    CHECK_SPAN(e.zap.request_id, "\1\2");
    CHECK_SPAN(e.plain.username, "alice");
    CHECK_SPAN(e.plain.password, "s3cret");

    CHECK_INT(PARSE("", "1.0", "1", "", "", "", "CURVE", KEY), DW_ZAP_SOUND);
    e = described();
    CHECK_SPAN(e.curve_key, KEY);
    CHECK(!e.peer.address);

    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "GSSAPI", "alice/admin@HOME.EXAMPLE"), DW_ZAP_SOUND);
    e = described();
    CHECK_SPAN(e.principal, "alice/admin@HOME.EXAMPLE");
    CHECK(!e.gss.present);

    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "SCRAM", "one", "", "two"), DW_ZAP_SOUND);
    e = described();
    CHECK_INT(e.credential_count, 3);
    CHECK_SPAN(e.credentials[2], "two");
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "null"), DW_ZAP_SOUND);
    CHECK(described().credentials && described().credential_count == 0);
}

static void addresses(void)
{
    CHECK_INT(PARSE("", "1.0", "1", "", "localhost:1000:100:4711", "", "NULL"), DW_ZAP_SOUND);
    struct dw_event e = described();
    CHECK_STR(e.peer.address, "local");
    CHECK(e.peer.has_ids);
    CHECK_INT(e.peer.uid, 1000);
    CHECK_INT(e.peer.gid, 100);
    CHECK_INT(e.peer.pid, 4711);
    static const char *const others[] = {
        "localhost",      "localhost:1:2", "localhost:1:2:", "localhost:1:2:3:4", "localhost:1:2:x",
        "localhost::2:3", "::1",           "1:2:3",          "1:2:3:4:5:6:7:8",   "localhost:1:2:99999999999",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        CHECK_INT(PARSE("", "1.0", "1", "", others[i], "", "NULL"), DW_ZAP_SOUND);
        e = described();
        CHECK_STR(e.peer.address, others[i]);
        CHECK(!e.peer.has_ids);
    }
    CHECK_INT(PARSE("", "1.0", "1", "", "", "", "NULL"), DW_ZAP_SOUND);
    CHECK(!described().peer.address);
}

static void envelopes(void)
{
    struct dw_buf reply = {0}, wanted = {0};
    CHECK_INT(PARSE("\5\6", "router", "1.0", "", "1.0", "77", "", "h", "", "NULL"), DW_ZAP_SOUND);
    CHECK_INT(dw_zap_reply(&reply, &request, DW_ZAP_DENIED, NULL), 0);
    static const char *const frames[] = {"\5\6", "router", "1.0", "", "1.0", "77", "400", "access denied", "", ""};
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        dw_zap_put(&wanted, dw_span_str(frames[i]));
    CHECK(dw_span_equal(dw_buf_span(&reply), dw_buf_span(&wanted)));
    dw_buf_free(&reply);
    dw_buf_free(&wanted);
}

static void malformed(void)
{
    char longer[257], longest[256];
    memset(longer, 'x', 256);
    longer[256] = '\0';
    memset(longest, 'x', 255);
    longest[255] = '\0';
    CHECK_INT(PARSE("", "1.0", "1", longest, longest, longest, longest), DW_ZAP_SOUND);
    CHECK_INT(PARSE("", "1.0", "1", longer, "h", "", "NULL"), DW_ZAP_MALFORMED);
    CHECK_STR(why.detail, "the domain has 256 octets, more than 255");
    CHECK_INT(PARSE("", "1.0", "1", "", longer, "", "NULL"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", longer, "NULL"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", longer), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", ""), DW_ZAP_MALFORMED);
    CHECK_STR(why.detail, "the mechanism is empty");
    CHECK_INT(PARSE("", "1.0", "1", "d\xc3\xb6", "h", "", "NULL"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h\x80", "", "NULL"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "\x80", "NULL"), DW_ZAP_SOUND);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "NULL\n"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "NULL", "x"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "PLAIN", "alice"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "PLAIN", "alice", "b", "c"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "PLAIN", "al\xefice", "b"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "PLAIN", "alice", longer), DW_ZAP_MALFORMED);
    CHECK(!strstr(why.detail, "xxx"));
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "CURVE", "short"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "CURVE"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "CURVE", KEY, KEY), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "GSSAPI"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "GSSAPI", ""), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", "", "GSSAPI", "a@B", "a@B"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0", "1", "", "h", ""), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "2.0", "1", "", "h", "", "NULL"), DW_ZAP_MALFORMED);
    CHECK_STR(why.detail, "the version is not 1.0");
    CHECK_INT(PARSE("", "1.0", "1"), DW_ZAP_MALFORMED);
    CHECK_INT(PARSE("", "1.0"), DW_ZAP_SENSELESS);
    CHECK_INT(PARSE("1.0", "1", "d", "h", "i", "NULL"), DW_ZAP_SENSELESS);
    CHECK_INT(PARSE("x"), DW_ZAP_SENSELESS);
    CHECK_INT(dw_zap_parse(&request, DW_SPAN_NONE, &why), DW_ZAP_SENSELESS);
    CHECK_INT(dw_zap_parse(&request,
                           DW_SPAN_OF("\0\0\0\0\0\0\0\3"
                                      "1.0\0\0\0\2x"),
                           &why),
              DW_ZAP_SENSELESS);
}

/* -- replies -------------------------------------------------------------------------------------------------- */

static bool is_metadata(struct dw_span meta)
{
    struct dw_reader r = dw_reader_make(meta);
    while (!r.failed && dw_reader_left(&r) > 0) {
        struct dw_span name = dw_reader_take(&r, dw_reader_u8(&r));
        dw_reader_take(&r, dw_reader_u32(&r));
        for (size_t i = 0; i < name.len; i++)
            if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+", name.at[i]))
                return false;
        if (name.len == 0 || dw_span_equal_nocase(name, DW_SPAN_OF("Socket-Type")))
            return false;
    }
    return !r.failed;
}

/* Whether frames without the envelope make a reply as the RFC wants it. */
static bool is_reply(const struct dw_span *frames, size_t count, struct dw_span id)
{
    static const char *const statuses[] = {"200", "300", "400", "500"};
    bool known = false;
    if (count != 6 || !dw_span_equal(frames[0], DW_SPAN_OF("1.0")) || !dw_span_equal(frames[1], id))
        return false;
    for (int i = 0; i < 4; i++)
        known |= dw_span_equal(frames[2], dw_span_str(statuses[i]));
    bool granted = dw_span_equal(frames[2], DW_SPAN_OF("200"));
    return known && frames[3].len <= 255 && frames[4].len <= 255 && (granted || frames[4].len == 0) &&
           (granted || frames[5].len == 0) && is_metadata(frames[5]);
}

/* The reply to what was parsed last, cut into frames, without its envelope. */
static size_t reply(struct dw_buf *out, enum dw_zap_status status, const struct dw_decision *d,
                    struct dw_span frames[MOST])
{
    size_t count = 0;
    dw_buf_free(out);
    CHECK_INT(dw_zap_reply(out, &request, status, d), 0);
    struct dw_reader r = dw_reader_make(dw_buf_span(out));
    dw_reader_take(&r, request.envelope.len);
    while (count < MOST && dw_zap_next(&r, &frames[count]))
        count++;
    CHECK(!r.failed);
    return count;
}

static void granted(void)
{
    struct dw_buf out = {0};
    struct dw_span frames[MOST];
    struct dw_decision d = {.verdict = DW_ALLOW};
    PARSE("", "1.0", "id", "", "h", "", "PLAIN", "alice", "x");
    CHECK(dw_zap_check(&d, &why) < 0);
    dw_decision_set(&d.user, "alice");
    dw_decision_property(&d, "X-Team", DW_SPAN_OF("ops"));
    dw_decision_property(&d, "X.role+_1", DW_SPAN_OF("a\0b"));
    CHECK_INT(dw_zap_check(&d, &why), 0);
    CHECK_INT(dw_zap_status_of(&d), DW_ZAP_OK);
    CHECK_INT(reply(&out, DW_ZAP_OK, &d, frames), 6);
    CHECK(is_reply(frames, 6, request.id));
    CHECK_SPAN(frames[4], "alice");
    CHECK(dw_span_equal(frames[5], DW_SPAN_OF("\6X-Team\0\0\0\3ops\11X.role+_1\0\0\0\3a\0b")));
    dw_decision_property(&d, "socket-TYPE", DW_SPAN_OF("REP"));
    CHECK(dw_zap_check(&d, &why) < 0);
    dw_decision_clear(&d);

    static const char *const bad[] = {"", "X Team", "X:Team", "X-T\xc3\xa9m"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d.verdict = DW_ALLOW;
        dw_decision_set(&d.user, "alice");
        dw_decision_property(&d, bad[i], DW_SPAN_OF("v"));
        CHECK(dw_zap_check(&d, &why) < 0);
        dw_decision_clear(&d);
    }
    d.verdict = DW_ALLOW;
    dw_decision_set(&d.user, "alice");
    dw_decision_property(&d, "X-Team", DW_SPAN_OF("a"));
    dw_decision_property(&d, "x-team", DW_SPAN_OF("b"));
    CHECK(dw_zap_check(&d, &why) < 0);
    dw_decision_clear(&d);
    char user[257];
    memset(user, 'u', 256);
    for (size_t len = 255; len <= 256; len++) {
        user[len] = '\0';
        d.verdict = DW_ALLOW;
        dw_decision_set(&d.user, user);
        CHECK_INT(dw_zap_check(&d, &why), len == 255 ? 0 : -1);
        dw_decision_clear(&d);
        user[len] = 'u';
    }
    dw_buf_free(&out);
}

static void refused(void)
{
    static const enum dw_zap_status statuses[] = {DW_ZAP_TEMPORARY, DW_ZAP_DENIED, DW_ZAP_INTERNAL};
    static const char *const words[] = {"300", "400", "500"};
    struct dw_buf out = {0};
    struct dw_span frames[MOST];
    /* What a refusal must not carry out with it. */
    struct dw_decision d = {.verdict = DW_DENY};
    dw_decision_set(&d.user, "alice");
    dw_decision_set(&d.reason, "for the log");
    dw_decision_property(&d, "X-Team", DW_SPAN_OF("ops"));
    CHECK_INT(dw_zap_check(&d, &why), 0);
    CHECK_INT(dw_zap_status_of(&d), DW_ZAP_DENIED);
    CHECK_INT(dw_zap_status_of(&(struct dw_decision){.verdict = DW_TEMPORARY}), DW_ZAP_TEMPORARY);
    for (int i = 0; i < 3; i++) {
        PARSE("", "1.0", "id", "", "h", "", "CURVE", KEY);
        CHECK_INT(reply(&out, statuses[i], &d, frames), 6);
        CHECK(is_reply(frames, 6, request.id));
        CHECK_SPAN(frames[2], words[i]);
        PARSE("", "1.0", "id", "", "h", "", "GSSAPI", "alice@HOME.EXAMPLE");
        CHECK_INT(reply(&out, statuses[i], &d, frames), 6);
        CHECK_SPAN(frames[2], words[i]);
        CHECK_SPAN(frames[4], "");
        CHECK(dw_span_equal(frames[5], DW_SPAN_OF("\0")));
    }
    /* Malformed or not, a peer under GSSAPI stays out. */
    CHECK_INT(PARSE("", "1.0", "id", "d\x80", "h", "", "GSSAPI", "alice@HOME.EXAMPLE"), DW_ZAP_MALFORMED);
    CHECK_INT(reply(&out, DW_ZAP_INTERNAL, NULL, frames), 6);
    CHECK(dw_span_equal(frames[5], DW_SPAN_OF("\0")));
    dw_decision_clear(&d);
    dw_buf_free(&out);
}

/* -- the case file -------------------------------------------------------------------------------------------- */

static void put_case_frame(struct dw_buf *out, const json_t *frame)
{
    const json_t *hex = json_object_get(frame, "hex"), *repeat = json_object_get(frame, "repeat");
    if (json_is_string(frame) && strcmp(json_string_value(frame), "$ID") == 0)
        dw_zap_put(out, DW_SPAN_OF("1"));
    else if (json_is_string(frame))
        dw_zap_put(out, dw_span_make(json_string_value(frame), json_string_length(frame)));
    else if (hex) {
        struct dw_buf bytes = {0};
        dw_text_unhex(&bytes, dw_span_str(json_string_value(hex)));
        dw_zap_put(out, dw_buf_span(&bytes));
        dw_buf_free(&bytes);
    } else {
        size_t size = (size_t)json_integer_value(json_object_get(frame, "size"));
        char *at = malloc(size);
        memset(at, json_string_value(repeat)[0], size);
        dw_zap_put(out, dw_span_make(at, size));
        free(at);
    }
}

static bool says(const json_t *events, const char *what)
{
    const char *event = json_string_value(json_array_get(events, 0));
    return event && strstr(event, what);
}

static void cases(void)
{
    FILE *file = fopen("tests/cases/zap_replies.jsonl", "r");
    char *line = NULL;
    size_t room = 0, count = 0, i;
    CHECK(file != NULL);
    while (file && getline(&line, &room, file) > 0) {
        json_t *one = json_loads(line, 0, NULL), *frame;
        struct dw_buf out = {0};
        struct dw_span frames[MOST];
        size_t frame_count = 0;
        json_array_foreach(json_object_get(one, "reply"), i, frame) put_case_frame(&out, frame);
        struct dw_reader r = dw_reader_make(dw_buf_span(&out));
        while (frame_count < MOST && dw_zap_next(&r, &frames[frame_count]))
            frame_count++;
        const json_t *events = json_object_get(json_object_get(one, "expect"), "events");
        if (says(events, "failed_protocol") && !CHECK(!is_reply(frames, frame_count, DW_SPAN_OF("1"))))
            printf("    %s\n", json_string_value(json_object_get(one, "id")));
        dw_buf_free(&out);
        json_decref(one);
        count++;
    }
    CHECK(count > 20);
    free(line);
    if (file)
        fclose(file);
}

int main(void)
{
    RUN(mechanisms);
    RUN(addresses);
    RUN(envelopes);
    RUN(malformed);
    RUN(granted);
    RUN(refused);
    RUN(cases);
    dw_buf_free(&message);
    return check_done();
}
