/* A client's whole stream through real TLS, in any pieces: what the conversations (test_xmpp_conversations.c) show over a
 * toy is so over OpenSSL. */
#include "tls_files.h"

#include "base/base64.h"
#include "toy_gss.h"
#include "xmpp/client.h"
#include "xmpp/xml.h"

static const char *const domains[] = {"example.com", NULL};

/* A client's side and the machine, with what lies between them. */
struct scene {
    struct side client;
    struct dw_machine *m;
    struct dw_buf asked; /* effects as words */
    struct dw_buf data, meta;
    struct dw_error why;
    size_t piece;
    bool closed;
    uint8_t scratch[65536];
};

static void pump(struct scene *s)
{
    struct dw_effect fx;
    enum dw_act act;
    while (!s->closed && (act = dw_machine_next(s->m, &fx)) != DW_NEED) {
        if (act == DW_ASK_REALM)
            dw_buf_printf(&s->asked, "realm ");
        else if (act == DW_ASK_ADMIT)
            dw_buf_printf(&s->asked, "admit %s ", dw_context_peer(dw_sasl_context(dw_xmpp_client_sasl(s->m))));
        else if (act == DW_META)
            dw_buf_put(&s->meta, fx.meta);
        else if (act == DW_DATA)
            dw_buf_put(&s->data, fx.frame.body);
        s->closed = act == DW_CLOSE;
        if (s->closed)
            s->why = fx.why;
    }
    CHECK_INT(dw_machine_settle(s->m), 0);
    memset(s->scratch, 0xa5, sizeof s->scratch);
}

/* The client's octets to the machine. */
static void carry_up(struct scene *s, struct dw_buf *from)
{
    pump(s);
    while (dw_buf_len(from) > 0 && !s->closed) {
        size_t len;
        uint8_t *room = dw_machine_room(s->m, s->scratch, sizeof s->scratch, &len);
        len = len < s->piece ? len : s->piece;
        len = len < dw_buf_len(from) ? len : dw_buf_len(from);
        memcpy(room, dw_buf_span(from).at, len);
        dw_buf_take(from, len);
        dw_machine_filled(s->m, room, len);
        pump(s);
    }
}

/* The machine's octets to the client, through TLS. */
static void carry_down(struct scene *s)
{
    while (dw_buf_len(&s->m->out) > 0 && s->client.state >= 0) {
        struct dw_span all = dw_buf_span(&s->m->out);
        all.len = all.len < s->piece ? all.len : s->piece;
        feed(&s->client, all);
        dw_buf_take(&s->m->out, all.len);
    }
}

static void exchange(struct scene *s)
{
    do {
        carry_up(s, &s->client.out);
        carry_down(s);
    } while (dw_buf_len(&s->client.out) > 0 && !s->closed && s->client.state >= 0);
}

static void say(struct scene *s, const char *text)
{
    CHECK_INT(dw_tls_send(s->client.tls, dw_span_str(text), &s->client.out, &s->client.err), 0);
    exchange(s);
}

static void say_token(struct scene *s, const char *before, struct dw_span token, const char *after)
{
    struct dw_buf text = {0};
    dw_buf_printf(&text, "%s", before);
    dw_base64_put(&text, token);
    dw_buf_printf(&text, "%s", after);
    CHECK_INT(dw_tls_send(s->client.tls, dw_buf_span(&text), &s->client.out, &s->client.err), 0);
    dw_buf_free(&text);
    exchange(s);
}

static bool heard(struct scene *s, const char *part)
{
    struct dw_span all = dw_buf_span(&s->client.plain);
    bool is_there = memmem(all.at, all.len, part, strlen(part)) != NULL;
    if (!is_there)
        printf("    heard %.*s\n", (int)all.len, (const char *)all.at);
    dw_buf_clear(&s->client.plain, 0);
    return is_there;
}

#define HEADER                                                                                                     \
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='" DW_XML_STREAMS                      \
    "' to='example.com' version='1.0'>"

static void begin(struct scene *s, struct dw_tls_context *server, struct dw_tls_context *client, const char *alpn,
                  bool direct, size_t piece)
{
    const struct dw_xmpp_client_options options = {.domains = domains, .tls = server, .direct_tls = direct};
    *s = (struct scene){.piece = piece, .m = dw_xmpp_client_new(&options)};
    s->client.tls = dw_tls_connect(client, "example.com", alpn, NULL);
    if (!direct) {
        struct dw_buf clear = {0};
        dw_buf_printf(&clear, HEADER);
        carry_up(s, &clear);
        CHECK(memmem(s->m->out.at, dw_buf_len(&s->m->out), "<required/>", 11));
        dw_buf_clear(&s->m->out, 0);
        dw_buf_printf(&clear, "<starttls xmlns='" DW_XML_TLS "'/>");
        carry_up(s, &clear);
        CHECK_SPAN(dw_buf_span(&s->m->out), "<proceed xmlns='" DW_XML_TLS "'/>");
        dw_buf_clear(&s->m->out, 0);
        dw_buf_free(&clear);
    }
    feed(&s->client, DW_SPAN_NONE);
    exchange(s);
}

static void finish(struct scene *s)
{
    free_side(&s->client);
    dw_machine_free(&s->m);
    dw_buf_free(&s->asked);
    dw_buf_free(&s->data);
    dw_buf_free(&s->meta);
}

/* To the open stream. */
static void log_in(struct scene *s)
{
    static const char *const mechanisms[] = {"GS2-KRB5-PLUS", "GSSAPI", NULL};
    const struct dw_xmpp_offer offer = {
        .mechanisms = mechanisms, .binding_types = true, .sasl = {.cred = toy_cred()}};
    struct dw_buf layers = {0};
    say(s, HEADER);
    CHECK_SPAN(dw_buf_span(&s->asked), "realm ");
    CHECK_STR(dw_tls_sni(dw_xmpp_client_tls(s->m)), "example.com");
    CHECK_INT(dw_xmpp_client_offer(s->m, &offer), 0);
    exchange(s);
    CHECK(heard(s, "<mechanism>GS2-KRB5-PLUS</mechanism><mechanism>GSSAPI</mechanism></mechanisms>"
                   "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>"
                   "<channel-binding type='tls-server-end-point'/></sasl-channel-binding>"));
    say_token(s, "<auth xmlns='" DW_XML_SASL "' mechanism='GSSAPI'>", DW_SPAN_OF("toy:silent:alice@HOME.EXAMPLE"),
              "</auth>");
    CHECK(heard(s, "<challenge "));
    toy_wrap(&layers, TOY_CLEAR, 0, dw_span_make("\1\0\0\0", 4));
    say_token(s, "<response xmlns='" DW_XML_SASL "'>", dw_buf_span(&layers), "</response>");
    dw_buf_free(&layers);
    CHECK_SPAN(dw_buf_span(&s->asked), "realm admit alice@HOME.EXAMPLE ");
    dw_xmpp_client_welcome(s->m);
    exchange(s);
    CHECK(heard(s, "<success "));
    say(s, HEADER "<presence/>");
    CHECK_SPAN(dw_buf_span(&s->meta), HEADER);
    CHECK_SPAN(dw_buf_span(&s->data), "<presence/>");
    CHECK_STR(dw_xmpp_client_state(s->m), "open");
}

static void push(struct scene *s, struct dw_span octets)
{
    struct dw_error err = {0};
    CHECK_INT(dw_machine_push(s->m, (struct dw_frame){.body = octets}, &err), 0);
    exchange(s);
}

static struct dw_tls_context *server, *trusting;

static void test_whole_streams(void)
{
    static const size_t pieces[] = {1, 5, 37, 1000, SIZE_MAX / 2};
    for (size_t i = 0; i < 2 * sizeof pieces / sizeof *pieces; i++) {
        static struct scene s;
        begin(&s, server, trusting, "xmpp-client", i & 1, pieces[i / 2]);
        CHECK_INT(s.client.state, DW_TLS_UP);
        log_in(&s);
        push(&s, DW_SPAN_OF("<stream:stream><stream:features/>"));
        CHECK_SPAN(dw_buf_span(&s.client.plain), "<stream:stream><stream:features/>");
        dw_buf_clear(&s.client.plain, 0);
        CHECK(dw_xmpp_client_end(s.m, "policy-violation", NULL));
        exchange(&s);
        CHECK(heard(&s, "<stream:error><policy-violation "));
        CHECK_INT(s.client.state, DW_TLS_ENDED);
        CHECK_INT(s.why.kind, DW_ERROR_CLOSED);
        finish(&s);
    }
}

static void test_much_data_and_its_end(void)
{
    static struct scene s;
    static uint8_t much[300000];
    for (size_t i = 0; i < sizeof much; i++)
        much[i] = (uint8_t)(i * 7 + i / 256);
    begin(&s, server, trusting, NULL, true, 1400);
    log_in(&s);
    dw_buf_clear(&s.data, 0);
    CHECK_INT(dw_tls_send(s.client.tls, dw_span_make(much, sizeof much), &s.client.out, &s.client.err), 0);
    dw_tls_end(s.client.tls, &s.client.out);
    push(&s, dw_span_make(much, sizeof much));
    CHECK(dw_span_equal(dw_buf_span(&s.client.plain), dw_span_make(much, sizeof much)));
    CHECK(dw_span_equal(dw_buf_span(&s.data), dw_span_make(much, sizeof much)));
    CHECK_INT(s.why.kind, DW_ERROR_CLOSED);
    CHECK(s.closed && strstr(s.why.detail, "ended TLS"));
    finish(&s);
}

static void test_an_altered_record(void)
{
    static struct scene s;
    begin(&s, server, trusting, NULL, false, SIZE_MAX / 2);
    log_in(&s);
    CHECK_INT(dw_tls_send(s.client.tls, DW_SPAN_OF("<message/>"), &s.client.out, &s.client.err), 0);
    s.client.out.at[s.client.out.tail - 1] ^= 1;
    exchange(&s);
    CHECK(s.closed);
    CHECK_INT(s.why.kind, DW_ERROR_PROTOCOL);
    CHECK_SPAN(dw_buf_span(&s.data), "<presence/>");
    finish(&s);
}

/* RFC 7301 section 3.2. */
static void test_another_protocol_by_alpn(void)
{
    static struct scene s;
    begin(&s, server, trusting, "h2", true, SIZE_MAX / 2);
    CHECK(s.closed);
    CHECK(s.client.state != DW_TLS_UP);
    CHECK_INT(s.why.kind, DW_ERROR_PROTOCOL);
    finish(&s);
}

static void test_no_tls_at_all(void)
{
    static struct scene s;
    struct dw_buf clear = {0};
    const struct dw_xmpp_client_options options = {.domains = domains, .tls = server, .direct_tls = true};
    s = (struct scene){.piece = SIZE_MAX / 2, .m = dw_xmpp_client_new(&options)};
    dw_buf_printf(&clear, HEADER);
    carry_up(&s, &clear);
    CHECK(s.closed);
    CHECK_INT(s.why.kind, DW_ERROR_PROTOCOL);
    CHECK(!memmem(dw_buf_span(&s.m->out).at, dw_buf_len(&s.m->out), "stream", 6));
    dw_buf_free(&clear);
    finish(&s);
}

int main(void)
{
    make_dir();
    make("ca", (struct wish){.authority = true});
    make("example", (struct wish){.issuer = "ca", .names = "DNS:example.com"});
    server = server_of("example", "xmpp-client");
    trusting = client_of("ca", false);
    RUN(test_whole_streams);
    RUN(test_much_data_and_its_end);
    RUN(test_an_altered_record);
    RUN(test_another_protocol_by_alpn);
    RUN(test_no_tls_at_all);
    dw_tls_context_release(&server);
    dw_tls_context_release(&trusting);
    return check_done();
}
