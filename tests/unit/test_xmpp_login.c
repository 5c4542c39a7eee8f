/* Our stream to a server, against servers of every manner: what each sends is fed whole, octet by octet, and cut
 * everywhere. */
#include "tls_files.h"

#include "tls/issue.h"
#include "xmpp/login.h"

#define XML "<?xml version='1.0'?>"
#define STREAM(attributes)                                                                                         \
    XML "<stream:stream " attributes " xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
#define HEADER STREAM("from='example.com' id='1' version='1.0'")
#define SASL "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
#define ERRORS "xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
#define OFFER(inside) "<stream:features>" inside "</stream:features>"
#define MECHANISMS                                                                                                 \
    "<mechanisms " SASL "><mechanism>X-PLAIN</mechanism><mechanism>PLAIN</mechanism>"                              \
    "<mechanism>EXTERNAL</mechanism></mechanisms>"
#define FEATURES OFFER(MECHANISMS)
#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define PROCEED "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define SUCCESS "<success " SASL "/>"
#define OURS                                                                                                       \
    XML "<stream:stream to='example.com' version='1.0' xml:lang='en' xmlns='jabber:client' "                       \
        "xmlns:stream='http://etherx.jabber.org/streams'>"
#define PLAIN_OF_ALICE "<auth " SASL " mechanism='PLAIN'>AGFsaWNlAHRva2Vu</auth>"
#define EXTERNAL_OF_ALICE "<auth " SASL " mechanism='EXTERNAL'>YWxpY2VAZXhhbXBsZS5jb20=</auth>"
#define RESTART "<?xml version='1.0'?><stream:stream to='example.com'>"

struct world {
    struct dw_machine *m;
    const char *mechanism; /* NULL: PLAIN */
    bool hasty; /* the restart is pushed as soon as the user is in, not at the end */
    int metas;
    bool closed;
    struct dw_error why;
    struct dw_buf said, data; /* what we sent in the clear or under TLS; what DW_DATA showed */
    struct side server; /* its TLS, once it speaks it */
    size_t seen; /* of the features' end */
    bool impatient; /* the server does not wait for our <auth/> */
};

static void push(struct world *w, const char *text)
{
    struct dw_error err = {0};
    if (!CHECK(dw_machine_push(w->m, (struct dw_frame){.body = dw_span_str(text)}, &err) == 0))
        printf("    %s\n", err.detail);
}

static void go(struct world *w)
{
    bool external = w->mechanism && strcmp(w->mechanism, "EXTERNAL") == 0;
    dw_xmpp_login_go(
        w->m, &(struct dw_xmpp_credentials){.mechanism = w->mechanism ? w->mechanism : "PLAIN",
                                            .authzid = external ? DW_SPAN_OF("alice@example.com") : DW_SPAN_NONE,
                                            .authcid = external ? DW_SPAN_NONE : DW_SPAN_OF("alice"),
                                            .password = external ? DW_SPAN_NONE : DW_SPAN_OF("token")});
}

static void drain(struct world *w)
{
    struct dw_span out = dw_buf_span(&w->m->out);
    if (w->server.tls) {
        feed(&w->server, out);
        dw_buf_put(&w->said, dw_buf_span(&w->server.plain));
        dw_buf_clear(&w->server.plain, 0);
    } else {
        dw_buf_put(&w->said, out);
    }
    dw_buf_take(&w->m->out, out.len);
}

/* Until the machine wants more. */
static void settle(struct world *w)
{
    for (;;) {
        struct dw_effect fx = {0};
        enum dw_act act = dw_machine_next(w->m, &fx);
        if (act == DW_META) {
            CHECK_INT(fx.meta.len, 0);
            if (w->metas++ == 0)
                go(w);
            else if (w->hasty)
                push(w, RESTART);
        } else if (act == DW_DATA) {
            CHECK_INT(fx.frame.flags, 0);
            CHECK(fx.frame.body.len > 0);
            dw_buf_put(&w->data, fx.frame.body);
        } else {
            if (act == DW_CLOSE) {
                w->closed = true;
                w->why = fx.why;
            } else {
                CHECK_INT(act, DW_NEED);
            }
            CHECK_INT(dw_machine_settle(w->m), 0);
            drain(w);
            return;
        }
    }
}

/* A server's answer comes when it has been asked: what follows the features is another read. */
static size_t one_read(struct world *w, struct dw_span octets)
{
    static const char end[] = "</stream:features>";
    for (size_t i = 0; i < octets.len && !w->impatient; i++) {
        w->seen = octets.at[i] == (uint8_t)end[w->seen] ? w->seen + 1 : octets.at[i] == '<';
        if (w->seen == sizeof end - 1) {
            w->seen = 0;
            return i + 1;
        }
    }
    return octets.len;
}

static void give(struct world *w, struct dw_span octets)
{
    while (octets.len && !w->closed) {
        uint8_t scratch[512];
        size_t len, most = octets.len < sizeof scratch ? octets.len : sizeof scratch;
        uint8_t *room = dw_machine_room(w->m, scratch, most, &len);
        len = one_read(w, dw_span_make(octets.at, len < octets.len ? len : octets.len));
        memcpy(room, octets.at, len);
        dw_machine_filled(w->m, room, len);
        octets = dw_span_make(octets.at + len, octets.len - len);
        settle(w);
        memset(scratch, 'x', sizeof scratch); /* others use it meanwhile */
    }
}

static void give_in_pieces(struct world *w, struct dw_span octets, size_t piece)
{
    while (octets.len && !w->closed) {
        size_t len = piece && piece < octets.len ? piece : octets.len;
        give(w, dw_span_make(octets.at, len));
        octets = dw_span_make(octets.at + len, octets.len - len);
    }
}

static void begin(struct world *w, struct dw_tls_context *tls, const struct dw_tls_pair *pair)
{
    w->m = dw_xmpp_login_new(&(struct dw_xmpp_login_options){
        .domain = "example.com", .tls = tls, .pair = pair, .preamble = DW_SPAN_OF("PROXY UNKNOWN\r\n")});
    CHECK_SPAN(dw_buf_span(&w->m->out), "PROXY UNKNOWN\r\n" OURS);
    dw_buf_clear(&w->m->out, 0);
}

static void end(struct world *w)
{
    if (w->closed) { /* and the same ever after */
        struct dw_effect fx = {0};
        CHECK_INT(dw_machine_next(w->m, &fx), DW_CLOSE);
        CHECK_STR(fx.why.detail, w->why.detail);
        CHECK_STR(dw_xmpp_login_state(w->m), "closed");
    }
    dw_machine_free(&w->m);
    dw_buf_free(&w->said);
    dw_buf_free(&w->data);
    free_side(&w->server);
}

/* ---- In the clear. */

static void test_in(void)
{
    const char *all = HEADER FEATURES SUCCESS;
    for (size_t cut = 0; cut <= strlen(all); cut++) {
        struct world w = {0};
        begin(&w, NULL, NULL);
        CHECK_STR(dw_xmpp_login_state(w.m), "header");
        give(&w, dw_span_make(all, cut));
        give(&w, dw_span_str(all + cut));
        CHECK_INT(w.metas, 2);
        CHECK(!w.closed);
        CHECK_SPAN(dw_buf_span(&w.said), PLAIN_OF_ALICE);
        CHECK_STR(dw_xmpp_login_state(w.m), "restart");
        push(&w, RESTART);
        CHECK_STR(dw_xmpp_login_state(w.m), "open");
        push(&w, "<presence/>");
        settle(&w);
        CHECK_SPAN(dw_buf_span(&w.said), PLAIN_OF_ALICE RESTART "<presence/>");
        give(&w, DW_SPAN_OF("<?xml version='1.0'?><any thing"));
        give(&w, DW_SPAN_OF(" at <all"));
        CHECK_SPAN(dw_buf_span(&w.data), "<?xml version='1.0'?><any thing at <all");
        CHECK(!w.closed);
        CHECK(dw_xmpp_login_tls(w.m) == NULL);
        end(&w);
    }
}

static void test_external(void)
{
    struct world w = {.mechanism = "EXTERNAL", .hasty = true};
    begin(&w, NULL, NULL);
    give(&w, DW_SPAN_OF(HEADER FEATURES));
    give(&w, DW_SPAN_OF(SUCCESS));
    CHECK_SPAN(dw_buf_span(&w.said), EXTERNAL_OF_ALICE RESTART);
    end(&w);
}

/* What comes before it was asked for is no answer. */
static void test_answers_before_it_is_asked(void)
{
    struct world w = {.impatient = true};
    begin(&w, NULL, NULL);
    give(&w, DW_SPAN_OF(HEADER FEATURES SUCCESS));
    CHECK(w.closed);
    CHECK_STR(w.why.detail, "the backend of example.com answered before it was asked");
    CHECK_INT(dw_buf_len(&w.said), 0);
    CHECK_INT(w.metas, 1);
    end(&w);
}

/* A stream that waits in a pool, with a server that keeps it awake, and then does not. */
static void test_pooled(void)
{
    struct world w = {0};
    begin(&w, NULL, NULL);
    w.metas = 5; /* nobody goes */
    give(&w, DW_SPAN_OF(HEADER FEATURES));
    CHECK_STR(dw_xmpp_login_state(w.m), "ready");
    struct dw_error err = {0};
    CHECK_INT(dw_machine_push(w.m, (struct dw_frame){.body = DW_SPAN_OF("x")}, &err), -1);
    for (int i = 0; i < 100; i++)
        give(&w, DW_SPAN_OF(" \n"));
    CHECK(!w.closed);
    CHECK_INT(dw_buf_len(&w.said), 0);
    go(&w);
    give(&w, DW_SPAN_OF(SUCCESS));
    CHECK_INT(w.metas, 7);
    go(&w); /* too late to matter */
    settle(&w);
    CHECK_SPAN(dw_buf_span(&w.said), PLAIN_OF_ALICE);
    end(&w);

    struct world late = {0};
    begin(&late, NULL, NULL);
    late.metas = 5;
    give(&late, DW_SPAN_OF(HEADER FEATURES));
    give(&late, DW_SPAN_OF("<stream:error><connection-timeout " ERRORS "/></stream:error></stream:stream>"));
    CHECK(late.closed);
    CHECK_STR(late.why.detail, "the backend of example.com ended the stream: connection-timeout");
    end(&late);
}

struct manner {
    const char *sends;
    enum dw_error_kind kind;
    const char *words;
    const char *mechanism;
};

static const struct manner manners[] = {
    /* Refusals of the user, and others. */
    {HEADER FEATURES "<failure " SASL "><not-authorized/></failure>", DW_ERROR_DENIED,
     "refused the login: not-authorized", NULL},
    {HEADER FEATURES "<failure " SASL "><not-authorized/><text xml:lang='en'>token has expired</text></failure>",
     DW_ERROR_DENIED, "refused the login: not-authorized: token has expired", NULL},
    {HEADER FEATURES "<failure " SASL "><account-disabled/></failure>", DW_ERROR_DENIED, "account-disabled", NULL},
    {HEADER FEATURES "<failure " SASL "><temporary-auth-failure/></failure>", DW_ERROR_TEMPORARY,
     "temporary-auth-failure", NULL},
    {HEADER FEATURES "<failure " SASL "><encryption-required/></failure>", DW_ERROR_TEMPORARY,
     "encryption-required", NULL},
    {HEADER FEATURES "<failure " SASL "/>", DW_ERROR_TEMPORARY, "no condition", NULL},
    {HEADER FEATURES "<failure xmlns='urn:other'/>", DW_ERROR_TEMPORARY,
     "sent <failure xmlns='urn:other'/> where <success/> was due", NULL},
    {HEADER FEATURES "<challenge " SASL "/>", DW_ERROR_TEMPORARY, "sent <challenge ", NULL},
    /* Mechanisms. */
    {HEADER FEATURES, DW_ERROR_TEMPORARY, "does not offer SASL GSSAPI; it offers X-PLAIN PLAIN EXTERNAL", "GSSAPI"},
    {HEADER FEATURES, DW_ERROR_TEMPORARY, "does not offer SASL EXT;", "EXT"},
    {HEADER FEATURES, DW_ERROR_TEMPORARY, "does not offer SASL ;", ""},
    {HEADER OFFER(""), DW_ERROR_TEMPORARY, "does not offer SASL PLAIN; it offers nothing", NULL},
    {HEADER OFFER("<mechanisms " SASL "><mechanism>X-PLAIN</mechanism><mechanism/></mechanisms>"),
     DW_ERROR_TEMPORARY, "it offers X-PLAIN", NULL},
    {HEADER OFFER("<mechanisms xmlns='urn:other'><mechanism>PLAIN</mechanism></mechanisms>"), DW_ERROR_TEMPORARY,
     "it offers nothing", NULL},
    {HEADER OFFER("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"), DW_ERROR_TEMPORARY,
     "requires STARTTLS, and backend.tls is \"none\"", NULL},
    /* Lies about success. */
    {HEADER SUCCESS, DW_ERROR_TEMPORARY, "sent <success", NULL},
    {HEADER FEATURES "<success/>", DW_ERROR_TEMPORARY, "sent <success xmlns='jabber:client'/> where", NULL},
    {HEADER FEATURES SUCCESS "<", DW_ERROR_TEMPORARY, "octets between <success/> and the restart", NULL},
    {HEADER FEATURES SUCCESS HEADER FEATURES, DW_ERROR_TEMPORARY, "octets between <success/> and the restart",
     NULL},
    {HEADER FEATURES SUCCESS " ", DW_ERROR_TEMPORARY, "octets between <success/> and the restart", NULL},
    {HEADER FEATURES SUCCESS "</stream:stream>", DW_ERROR_TEMPORARY, "octets between <success/> and the restart",
     NULL},
    {HEADER FEATURES "<iq type='result'/>" SUCCESS, DW_ERROR_TEMPORARY, "sent <iq xmlns='jabber:client'/>", NULL},
    {HEADER FEATURES FEATURES, DW_ERROR_TEMPORARY, "sent <features ", NULL},
    /* Headers. */
    {STREAM("from='example.org' version='1.0'"), DW_ERROR_TEMPORARY, "of example.com answers as example.org", NULL},
    {STREAM("from='example.com' version='0.9'"), DW_ERROR_TEMPORARY, "speaks no XMPP 1.0", NULL},
    {"<stream:stream xmlns='jabber:server' version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>",
     DW_ERROR_TEMPORARY, "no XMPP server for clients", NULL},
    {"<html><body>", DW_ERROR_TEMPORARY, "no XMPP server for clients", NULL},
    /* Ends. */
    {HEADER "<stream:error><host-unknown " ERRORS "/></stream:error></stream:stream>", DW_ERROR_TEMPORARY,
     "the backend does not serve example.com", NULL},
    {STREAM("id='2'") "<stream:error><see-other-host " ERRORS ">[2001:db8::1]:5222</see-other-host></stream:error>",
     DW_ERROR_TEMPORARY, "name [2001:db8::1]:5222 in backend.connect", NULL},
    {HEADER FEATURES "<stream:error><policy-violation " ERRORS "/><text " ERRORS ">slow down</text></stream:error>",
     DW_ERROR_TEMPORARY, "ended the stream: policy-violation: slow down", NULL},
    {HEADER "<stream:error/>", DW_ERROR_TEMPORARY, "ended the stream: no condition", NULL},
    {HEADER FEATURES "</stream:stream>", DW_ERROR_TEMPORARY, "ended the stream before the user was in", NULL},
    {HEADER "</stream:stream>", DW_ERROR_TEMPORARY, "ended the stream before the user was in", NULL},
    /* Garbage. */
    {"SSH-2.0-OpenSSH_9.2p1\r\n", DW_ERROR_TEMPORARY, "speaks no XMPP", NULL},
    {"\x15\x03\x01\x02", DW_ERROR_TEMPORARY, "speaks no XMPP", NULL},
    {HEADER FEATURES "<a><b></a>", DW_ERROR_TEMPORARY, "the backend of example.com: ", NULL},
    {" word <a>", DW_ERROR_TEMPORARY, "the backend of example.com: ", NULL},
    {HEADER "<!-- remark -->", DW_ERROR_TEMPORARY, "the backend of example.com: ", NULL},
    {XML "<!DOCTYPE a [<!ENTITY b 'c'>]><a>", DW_ERROR_TEMPORARY, "the backend of example.com: ", NULL},
    {HEADER "</stream:wrong>", DW_ERROR_TEMPORARY, "the backend of example.com: ", NULL},
};

static void test_manners(void)
{
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        const char *all = manners[i].sends;
        size_t len = strlen(all);
        for (size_t cut = 0; cut <= len; cut++) {
            struct world w = {.mechanism = manners[i].mechanism};
            begin(&w, NULL, NULL);
            if (cut == len) { /* octet by octet, at the last */
                give_in_pieces(&w, dw_span_str(all), 1);
            } else {
                give(&w, dw_span_make(all, cut));
                give(&w, dw_span_str(all + cut));
            }
            bool good = CHECK(w.closed) && CHECK(w.why.kind == manners[i].kind) &&
                        CHECK(strstr(w.why.detail, manners[i].words) != NULL);
            if (!good)
                printf("    %zu cut at %zu, %s: %s\n", i, cut, dw_xmpp_login_state(w.m), w.why.detail);
            CHECK(!strstr((const char *)w.why.detail, "token\"") && !strstr(w.why.detail, "AGFsaWNl"));
            end(&w);
            if (!good)
                break;
        }
    }
}

/* More than a server has to say before anybody is in. */
static void test_huge(void)
{
    static const char *const begins[] = {
        HEADER "<stream:features><a>",
        HEADER "<a b='",
        "<stream:stream a='",
        HEADER FEATURES "<failure " SASL "><text>",
    };
    char *much = malloc(1 << 20);
    memset(much, 'a', 1 << 20);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        struct dw_meter meter = {0};
        struct world w = {0};
        w.m = dw_xmpp_login_new(&(struct dw_xmpp_login_options){.domain = "example.com", .meter = &meter});
        give(&w, dw_span_str(begins[i]));
        CHECK(!w.closed);
        size_t most = 0;
        for (int piece = 0; piece < 256 && !w.closed; piece++) {
            give(&w, dw_span_make(much, 4096));
            size_t held = atomic_load(&meter.held);
            most = held > most ? held : most;
        }
        CHECK(w.closed);
        CHECK_INT(w.why.kind, DW_ERROR_TEMPORARY);
        CHECK(most < 300000);
        end(&w);
        CHECK_INT(atomic_load(&meter.held), 0);
    }
    free(much);
}

/* A NUL in a field would make two of one. */
static void test_fields(void)
{
    struct world w = {0};
    begin(&w, NULL, NULL);
    w.metas = 5;
    give(&w, DW_SPAN_OF(HEADER FEATURES));
    dw_xmpp_login_go(w.m, &(struct dw_xmpp_credentials){.mechanism = "PLAIN",
                                                        .authcid = {(const uint8_t *)"bob\0x", 5},
                                                        .password = DW_SPAN_OF("token")});
    settle(&w);
    CHECK(w.closed);
    CHECK_INT(w.why.kind, DW_ERROR_INTERNAL);
    CHECK_INT(dw_buf_len(&w.said), 0);
    end(&w);
}

static void test_a_domain_is_escaped(void)
{
    struct dw_machine *m = dw_xmpp_login_new(&(struct dw_xmpp_login_options){.domain = "a'><b&"});
    CHECK(memmem(dw_buf_span(&m->out).at, dw_buf_len(&m->out), "to='a&apos;&gt;&lt;b&amp;'", 26) != NULL);
    dw_machine_free(&m);
}

/* ---- Under TLS. */

static void server_says(struct world *w, const char *text, size_t piece)
{
    if (w->server.tls)
        dw_tls_send(w->server.tls, dw_span_str(text), &w->server.out, &w->server.err);
    else
        dw_buf_put(&w->server.out, dw_span_str(text));
    struct dw_buf out = w->server.out;
    w->server.out = (struct dw_buf){0};
    give_in_pieces(w, dw_buf_span(&out), piece);
    dw_buf_free(&out);
}

static void start_tls(struct world *w, struct dw_tls_context *context, size_t piece)
{
    w->server.tls = dw_tls_accept(context, "example.com");
    struct dw_buf hello = w->said;
    w->said = (struct dw_buf){0};
    /* What was said in the clear stands before it. */
    const char *starttls = STARTTLS;
    struct dw_span all = dw_buf_span(&hello);
    CHECK(all.len > strlen(starttls) && memcmp(all.at, starttls, strlen(starttls)) == 0);
    feed(&w->server, dw_span_make(all.at + strlen(starttls), all.len - strlen(starttls)));
    dw_buf_free(&hello);
    for (int turn = 0; turn < 4 && dw_buf_len(&w->server.out); turn++) {
        struct dw_buf out = w->server.out;
        w->server.out = (struct dw_buf){0};
        give_in_pieces(w, dw_buf_span(&out), piece);
        dw_buf_free(&out);
    }
}

static void test_under_tls(void)
{
    struct dw_tls_context *s = server_of("server", NULL), *c = client_of("ca", false);
    static const size_t pieces[] = {0, 1, 7, 100};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct world w = {0};
        begin(&w, c, NULL);
        server_says(&w, HEADER OFFER(STARTTLS MECHANISMS), pieces[i]);
        CHECK_STR(dw_xmpp_login_state(w.m), "starttls");
        CHECK_SPAN(dw_buf_span(&w.said), STARTTLS);
        server_says(&w, PROCEED, pieces[i]);
        CHECK_STR(dw_xmpp_login_state(w.m), "tls");
        start_tls(&w, s, pieces[i]);
        CHECK_STR(dw_xmpp_login_state(w.m), "header");
        CHECK_STR(dw_tls_version(dw_xmpp_login_tls(w.m)), "TLSv1.3");
        CHECK_STR(dw_tls_sni(w.server.tls), "example.com");
        CHECK_SPAN(dw_buf_span(&w.said), OURS);
        server_says(&w, HEADER FEATURES, pieces[i]);
        CHECK_SPAN(dw_buf_span(&w.said), OURS PLAIN_OF_ALICE);
        server_says(&w, SUCCESS, pieces[i]);
        CHECK_INT(w.metas, 2);
        push(&w, RESTART);
        settle(&w);
        CHECK_SPAN(dw_buf_span(&w.said), OURS PLAIN_OF_ALICE RESTART);
        server_says(&w, "raw <octets", pieces[i]);
        server_says(&w, ", more", pieces[i]);
        CHECK_SPAN(dw_buf_span(&w.data), "raw <octets, more");
        dw_tls_end(w.server.tls, &w.server.out);
        struct dw_buf out = w.server.out;
        w.server.out = (struct dw_buf){0};
        give(&w, dw_buf_span(&out));
        dw_buf_free(&out);
        CHECK(w.closed);
        CHECK_INT(w.why.kind, DW_ERROR_CLOSED);
        end(&w);
    }
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

static void test_what_tls_gave_last_is_not_lost(void)
{
    struct dw_tls_context *s = server_of("server", NULL), *c = client_of("ca", false);
    struct world w = {.hasty = true};
    begin(&w, c, NULL);
    server_says(&w, HEADER OFFER(STARTTLS), 0);
    server_says(&w, PROCEED, 0);
    start_tls(&w, s, 0);
    server_says(&w, HEADER FEATURES, 0);
    server_says(&w, SUCCESS, 0);
    dw_tls_send(w.server.tls, DW_SPAN_OF("</stream:stream>"), &w.server.out, &w.server.err);
    dw_tls_end(w.server.tls, &w.server.out);
    struct dw_buf out = w.server.out;
    w.server.out = (struct dw_buf){0};
    give(&w, dw_buf_span(&out));
    dw_buf_free(&out);
    CHECK_SPAN(dw_buf_span(&w.data), "</stream:stream>");
    CHECK(w.closed);
    end(&w);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

/* A server whose STARTTLS is not to be had, or whose TLS is not to be trusted. */
static void test_bad_tls(void)
{
    static const struct {
        const char *sends, *certificate, *words;
    } cases[] = {
        {HEADER FEATURES, NULL, "offers no STARTTLS"},
        {HEADER OFFER(STARTTLS) "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", NULL, "cannot do STARTTLS"},
        {HEADER OFFER(STARTTLS) PROCEED "<", NULL, "octets in the clear behind <proceed/>"},
        {HEADER OFFER(STARTTLS) PROCEED HEADER FEATURES, NULL, "octets in the clear behind <proceed/>"},
        {HEADER OFFER(STARTTLS) "<proceed/>", NULL,
         "sent <proceed xmlns='jabber:client'/> where <proceed/> was due"},
        {HEADER OFFER(STARTTLS) SUCCESS, NULL, "where <proceed/> was due"},
        {HEADER OFFER(STARTTLS) PROCEED, "another", "is not for example.com: it holds DNS example.org"},
        {HEADER OFFER(STARTTLS) PROCEED, "stranger", "is its authority in ca_file?"},
        {HEADER OFFER(STARTTLS) PROCEED, "garbage", "is no TLS"},
    };
    struct dw_tls_context *c = client_of("ca", false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w = {0};
        begin(&w, c, NULL);
        server_says(&w, cases[i].sends, 0);
        if (cases[i].certificate && !strcmp(cases[i].certificate, "garbage")) {
            server_says(&w, "<stream:stream>", 0);
        } else if (cases[i].certificate) {
            struct dw_tls_context *s = server_of(cases[i].certificate, NULL);
            start_tls(&w, s, 0);
            dw_tls_context_release(&s);
        }
        CHECK(w.closed);
        CHECK_INT(w.why.kind, DW_ERROR_TEMPORARY);
        if (!CHECK(strstr(w.why.detail, cases[i].words) != NULL))
            printf("    %zu: %s\n", i, w.why.detail);
        end(&w);
    }
    dw_tls_context_release(&c);
}

/* The certificate may be for another name than the domain's, when the configuration says which. */
static void test_another_name(void)
{
    struct dw_tls_context *s = server_of("another", NULL), *c = client_of("ca", false);
    struct world w = {0};
    w.m = dw_xmpp_login_new(
        &(struct dw_xmpp_login_options){.domain = "example.com", .name = "example.org", .tls = c});
    dw_buf_clear(&w.m->out, 0);
    server_says(&w, HEADER OFFER(STARTTLS), 0);
    server_says(&w, PROCEED, 0);
    start_tls(&w, s, 0);
    CHECK(!w.closed);
    CHECK_STR(dw_tls_sni(w.server.tls), "example.org");
    CHECK_SPAN(dw_buf_span(&w.said), OURS);
    end(&w);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

int main(void)
{
    make_dir();
    make("ca", (struct wish){.authority = true});
    make("server", (struct wish){.issuer = "ca", .names = "DNS:example.com"});
    make("another", (struct wish){.issuer = "ca", .names = "DNS:example.org"});
    make("stranger", (struct wish){.names = "DNS:example.com"});
    RUN(test_in);
    RUN(test_external);
    RUN(test_answers_before_it_is_asked);
    RUN(test_pooled);
    RUN(test_manners);
    RUN(test_huge);
    RUN(test_fields);
    RUN(test_a_domain_is_escaped);
    RUN(test_under_tls);
    RUN(test_what_tls_gave_last_is_not_lost);
    RUN(test_bad_tls);
    RUN(test_another_name);
    return check_done();
}
