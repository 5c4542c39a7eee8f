/* SASL exchanges on the toy GSSAPI: what clients really send, and what is refused. */
#include "check.h"
#include "toy_gss.h"

#include "auth/authzid.h"
#include "base/error.h"
#include "sasl/sasl.h"

#define NO_MESSAGE ((const char *)NULL)

/* An exchange, and what the last step gave. */
struct talk {
    struct dw_sasl *sasl;
    struct dw_buf challenge;
    struct dw_error err;
    int rc;
};

static const struct dw_sasl_binding exporter = {"tls-exporter", {(const uint8_t *)"EXPORTED", 8}};

static bool is_xmpp(void *arg, const char *target)
{
    return strncmp(target, arg, strlen(arg)) == 0;
}

static struct talk talk_with(const char *mechanism, const struct dw_sasl_options *options)
{
    struct talk t = {.sasl = dw_sasl_new(dw_span_str(mechanism), options)};
    CHECK(t.sasl != NULL);
    return t;
}

static struct talk talk(const char *mechanism)
{
    return talk_with(mechanism, &(struct dw_sasl_options){.cred = toy_cred()});
}

static int say_span(struct talk *t, struct dw_span message, bool has_message)
{
    dw_buf_clear(&t->challenge, 0);
    t->err = (struct dw_error){.kind = DW_ERROR_NONE};
    t->rc = dw_sasl_step(t->sasl, message, has_message, &t->challenge, &t->err);
    CHECK((t->rc < 0) == (t->err.kind != DW_ERROR_NONE));
    CHECK(t->rc >= 0 || (*t->err.detail && dw_buf_len(&t->challenge) == 0));
    return t->rc;
}

static int say(struct talk *t, const char *message)
{
    return say_span(t, message ? dw_span_str(message) : DW_SPAN_NONE, message != NULL);
}

/* The wrapped choice of a layer, with an authorization identity. */
static int choose(struct talk *t, unsigned flags, struct dw_span choice)
{
    struct dw_buf token = {0};
    toy_wrap(&token, flags, 0, choice);
    int rc = say_span(t, dw_buf_span(&token), true);
    dw_buf_free(&token);
    return rc;
}

static void offered(struct talk *t)
{
    struct dw_buf wanted = {0};
    toy_wrap(&wanted, TOY_FROM_ACCEPTOR, 0, DW_SPAN_OF("\1\0\0\0"));
    CHECK_INT(t->rc, DW_SASL_CHALLENGE);
    CHECK(dw_span_equal(dw_buf_span(&t->challenge), dw_buf_span(&wanted)));
    dw_buf_free(&wanted);
}

static void end(struct talk *t)
{
    dw_sasl_free(&t->sasl);
    CHECK(t->sasl == NULL);
    dw_sasl_free(&t->sasl);
    dw_buf_free(&t->challenge);
}

/* An exchange up to the offer of layers. */
static struct talk up_to_layers(void)
{
    struct talk t = talk("GSSAPI");
    CHECK_INT(say(&t, "toy:alice@HOME.EXAMPLE"), DW_SASL_CHALLENGE);
    CHECK_SPAN(dw_buf_span(&t.challenge), "toy:done");
    say(&t, "");
    offered(&t);
    return t;
}

static void known_mechanisms(void)
{
    CHECK(dw_sasl_knows(DW_SPAN_OF("GSSAPI")));
    CHECK(dw_sasl_knows(DW_SPAN_OF("GS2-KRB5")));
    CHECK(dw_sasl_knows(DW_SPAN_OF("GS2-KRB5-PLUS")));
    CHECK(!dw_sasl_knows(DW_SPAN_OF("gssapi")));
    CHECK(!dw_sasl_knows(DW_SPAN_OF("GSSAPI ")));
    CHECK(!dw_sasl_knows(DW_SPAN_OF("")));
    CHECK(dw_sasl_new(DW_SPAN_OF("PLAIN"), &(struct dw_sasl_options){.cred = toy_cred()}) == NULL);
}

/* Each in its own words: layer octet 1 or 0, a size that means nothing, an authorization identity or none. */
static void clients_as_they_are(void)
{
    static const struct {
        struct dw_span choice;
        unsigned flags;
        const char *authzid;
    } clients[] = {
        {DW_SPAN_OF("\1\0\0\0"), TOY_CLEAR, ""},
        {DW_SPAN_OF("\1\0\0\0alice"), TOY_CLEAR, "alice"},
        {DW_SPAN_OF("\0\0\0\0alice@HOME.EXAMPLE"), TOY_CLEAR, "alice@HOME.EXAMPLE"},
        {DW_SPAN_OF("\1\xff\xff\xff"
                    "alice"),
         TOY_CLEAR, "alice"},
        {DW_SPAN_OF("\1\0\0\0alice@example.com"), TOY_CONFIDENTIAL, "alice@example.com"},
        {DW_SPAN_OF("\1\0\0\0\xc3\xa9lo\xc3\xafse"), TOY_CLEAR, "\xc3\xa9lo\xc3\xafse"},
    };
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        struct talk t = up_to_layers();
        CHECK_INT(choose(&t, clients[i].flags, clients[i].choice), DW_SASL_DONE);
        CHECK_INT(dw_buf_len(&t.challenge), 0);
        CHECK(!dw_sasl_has_final(t.sasl) && !dw_sasl_channel_bound(t.sasl));
        CHECK_SPAN(dw_sasl_authzid(t.sasl), clients[i].authzid);
        CHECK_STR(dw_context_peer(dw_sasl_context(t.sasl)), "alice@HOME.EXAMPLE");
        CHECK_INT(say(&t, ""), -1);
        CHECK_INT(t.err.kind, DW_ERROR_PROTOCOL);
        end(&t);
    }
}

static void the_first_message(void)
{
    static const char *const nothing[] = {NO_MESSAGE, ""};
    for (size_t i = 0; i < 2; i++) {
        struct talk t = talk("GSSAPI");
        CHECK_INT(say(&t, nothing[i]), DW_SASL_CHALLENGE);
        CHECK_INT(dw_buf_len(&t.challenge), 0);
        CHECK_INT(say(&t, "toy:alice@HOME.EXAMPLE"), DW_SASL_CHALLENGE);
        CHECK_INT(say(&t, NO_MESSAGE), DW_SASL_CHALLENGE);
        offered(&t);
        end(&t);
        /* Once is enough. */
        t = talk("GSSAPI");
        say(&t, nothing[i]);
        CHECK_INT(say(&t, ""), -1);
        CHECK_INT(t.err.kind, DW_ERROR_PROTOCOL);
        end(&t);
        t = talk("GS2-KRB5");
        CHECK_INT(say(&t, nothing[i]), DW_SASL_CHALLENGE);
        CHECK_INT(dw_buf_len(&t.challenge), 0);
        CHECK_INT(say(&t, ""), -1);
        CHECK_INT(t.err.kind, DW_ERROR_PROTOCOL);
        end(&t);
    }
}

static void more_than_one_token(void)
{
    struct talk t = talk("GSSAPI");
    CHECK_INT(say(&t, "toy:more:alice@HOME.EXAMPLE"), DW_SASL_CHALLENGE);
    CHECK_SPAN(dw_buf_span(&t.challenge), "toy:more");
    CHECK_INT(say(&t, "toy:rest"), DW_SASL_CHALLENGE);
    CHECK_SPAN(dw_buf_span(&t.challenge), "toy:done");
    say(&t, "");
    offered(&t);
    end(&t);
}

/* The server has no token to send, so it goes on with the layers. */
static void without_mutual_authentication(void)
{
    struct talk t = talk("GSSAPI");
    say(&t, "toy:silent:alice@HOME.EXAMPLE");
    offered(&t);
    CHECK_INT(choose(&t, TOY_CLEAR, DW_SPAN_OF("\0\0\0\0")), DW_SASL_DONE);
    end(&t);
    t = talk_with("GSSAPI", &(struct dw_sasl_options){.cred = toy_cred(), .require_mutual = true});
    CHECK_INT(say(&t, "toy:silent:alice@HOME.EXAMPLE"), -1);
    CHECK_INT(t.err.kind, DW_ERROR_DENIED);
    end(&t);
    t = talk_with("GSSAPI", &(struct dw_sasl_options){.cred = toy_cred(), .require_mutual = true});
    CHECK_INT(say(&t, "toy:alice@HOME.EXAMPLE"), DW_SASL_CHALLENGE);
    end(&t);
}

static void tickets_for_others(void)
{
    const struct dw_sasl_options options = {.cred = toy_cred(), .is_ours = is_xmpp, .arg = "xmpp/"};
    struct talk t = talk_with("GSSAPI", &options);
    CHECK_INT(say(&t, "toy:for=zmq/a.example@R;alice@HOME.EXAMPLE"), -1);
    CHECK_INT(t.err.kind, DW_ERROR_DENIED);
    CHECK_INT(say(&t, "toy:for=xmpp/a.example@R;alice@HOME.EXAMPLE"), -1);
    end(&t);
    t = talk_with("GSSAPI", &options);
    CHECK_INT(say(&t, "toy:for=xmpp/a.example@R;alice@HOME.EXAMPLE"), DW_SASL_CHALLENGE);
    CHECK_STR(dw_context_target(dw_sasl_context(t.sasl)), "xmpp/a.example@R");
    end(&t);
}

static void wrong_tokens(void)
{
    static const struct {
        const char *token;
        enum dw_error_kind kind;
    } tokens[] = {
        {"NTLMSSP", DW_ERROR_PROTOCOL},
        {"toy:fail:denied", DW_ERROR_DENIED},
        {"toy:fail:temporary", DW_ERROR_TEMPORARY},
    };
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct talk t = talk("GSSAPI");
        CHECK_INT(say(&t, tokens[i].token), -1);
        CHECK_INT(t.err.kind, tokens[i].kind);
        end(&t);
    }
    struct talk t = talk("GSSAPI");
    say(&t, "toy:alice@HOME.EXAMPLE");
    CHECK_INT(say(&t, "toy:alice@HOME.EXAMPLE"), -1);
    CHECK_INT(t.err.kind, DW_ERROR_PROTOCOL);
    end(&t);
}

static void wrong_choices(void)
{
    static const struct dw_span choices[] = {
        DW_SPAN_OF(""),
        DW_SPAN_OF("\1\0\0"),
        DW_SPAN_OF("\2\0\0\0"),
        DW_SPAN_OF("\4\0\0\0"),
        DW_SPAN_OF("\3\0\0\0"),
        DW_SPAN_OF("\7\0\0\0"),
        DW_SPAN_OF("\x80\0\0\0"),
        DW_SPAN_OF("\1\0\0\0ali\0ce"),
        DW_SPAN_OF("\1\0\0\0alice\xff"),
        DW_SPAN_OF("\1\0\0\0\xc0\x80"),
    };
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        struct talk t = up_to_layers();
        CHECK_INT(choose(&t, TOY_CLEAR, choices[i]), -1);
        CHECK_INT(t.err.kind, DW_ERROR_PROTOCOL);
        CHECK_INT(choose(&t, TOY_CLEAR, DW_SPAN_OF("\1\0\0\0")), -1);
        end(&t);
    }
    /* Not wrapped at all; nothing; the server's own message, sent back. */
    struct talk t = up_to_layers();
    CHECK_INT(say_span(&t, DW_SPAN_OF("\1\0\0\0alice"), true), -1);
    CHECK_INT(t.err.kind, DW_ERROR_PROTOCOL);
    end(&t);
    t = up_to_layers();
    CHECK_INT(say(&t, ""), -1);
    end(&t);
    t = up_to_layers();
    CHECK_INT(choose(&t, TOY_FROM_ACCEPTOR, DW_SPAN_OF("\1\0\0\0")), -1);
    end(&t);
}

static void long_identities(void)
{
    static uint8_t choice[4 + 3072] = {1};
    memset(choice + 4, 'a', 3072);
    for (size_t len = 3071; len <= 3072; len++) {
        struct talk t = up_to_layers();
        CHECK_INT(choose(&t, TOY_CLEAR, dw_span_make(choice, 4 + len)), len == 3071 ? DW_SASL_DONE : -1);
        end(&t);
    }
}

/* ---- GS2. */

static const struct dw_sasl_options plus = {
    .bindings = &exporter,
    .binding_count = 1,
    .plus_offered = true,
};

static struct talk gs2(const char *mechanism, bool has_channel)
{
    struct dw_sasl_options options = has_channel ? plus : (struct dw_sasl_options){.cred = NULL};
    options.cred = toy_cred();
    return talk_with(mechanism, &options);
}

/* The real frame is that of Kerberos; the toy's tokens have none, and go as those of "F," do. */
static void gs2_headers(void)
{
    static const struct {
        const char *mechanism, *message;
        bool has_channel;
        enum dw_error_kind kind;
        const char *authzid;
    } cases[] = {
        {"GS2-KRB5", "F,n,,toy:bind=n,,;alice@R", false, DW_ERROR_NONE, ""},
        {"GS2-KRB5", "F,y,,toy:bind=y,,;alice@R", false, DW_ERROR_NONE, ""},
        {"GS2-KRB5", "F,n,a=bob,toy:bind=n,a=bob,;alice@R", false, DW_ERROR_NONE, "bob"},
        {"GS2-KRB5", "F,n,a=b=2Co=3Db,toy:bind=n,a=b=2Co=3Db,;alice@R", true, DW_ERROR_NONE, "b,o=b"},
        {"GS2-KRB5-PLUS", "F,p=tls-exporter,,toy:bind=p=tls-exporter,,EXPORTED;alice@R", true, DW_ERROR_NONE, ""},
        /* Bound to something else, or to nothing. */
        {"GS2-KRB5", "F,n,,toy:alice@R", false, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5", "F,n,a=bob,toy:bind=n,,;alice@R", false, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5", "F,n,,toy:bind=F,n,,;alice@R", false, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5", "F,n,,toy:bind=y,,;alice@R", false, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5-PLUS", "F,p=tls-exporter,,toy:bind=p=tls-exporter,,;alice@R", true, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5-PLUS", "F,p=tls-exporter,,toy:bind=p=tls-exporter,,OTHER;alice@R", true, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5-PLUS", "F,p=tls-exporter,,toy:alice@R", true, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5-PLUS", "F,p=tls-unique,,toy:bind=p=tls-unique,,EXPORTED;alice@R", true, DW_ERROR_DENIED, NULL},
        /* A downgrade: the client could, and was not shown that we can. */
        {"GS2-KRB5", "F,y,,toy:bind=y,,;alice@R", true, DW_ERROR_DENIED, NULL},
        {"GS2-KRB5-PLUS", "F,n,,toy:bind=n,,;alice@R", true, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5-PLUS", "F,y,,toy:bind=y,,;alice@R", true, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "F,p=tls-exporter,,toy:bind=p=tls-exporter,,EXPORTED;alice@R", true, DW_ERROR_PROTOCOL, NULL},
        /* No headers. */
        {"GS2-KRB5", "toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n,", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", ",,", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "F,", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "x,,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "nn,,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n,b=bob,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n,a=,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n,a=b=2,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n,a=b=2c,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5", "n,a=\xff,toy:alice@R", false, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5-PLUS", "p=,,toy:alice@R", true, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5-PLUS", "p,,toy:alice@R", true, DW_ERROR_PROTOCOL, NULL},
        {"GS2-KRB5-PLUS", "p=tls_exporter,,toy:alice@R", true, DW_ERROR_PROTOCOL, NULL},
        /* A frame of Kerberos is put before what is no Kerberos. */
        {"GS2-KRB5", "n,,toy:bind=n,,;alice@R", false, DW_ERROR_PROTOCOL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct talk t = gs2(cases[i].mechanism, cases[i].has_channel);
        say(&t, cases[i].message);
        if (!CHECK(t.err.kind == cases[i].kind))
            printf("    %s: %s\n", cases[i].message, t.err.detail);
        if (cases[i].authzid && CHECK(t.rc == DW_SASL_DONE)) {
            bool is_plus = strcmp(cases[i].mechanism, "GS2-KRB5-PLUS") == 0;
            struct dw_event event = {.id = NULL};
            CHECK_SPAN(dw_buf_span(&t.challenge), "toy:done");
            CHECK(dw_sasl_has_final(t.sasl));
            CHECK_SPAN(dw_sasl_authzid(t.sasl), cases[i].authzid);
            dw_context_describe(dw_sasl_context(t.sasl), &event);
            CHECK(dw_sasl_channel_bound(t.sasl) == is_plus && event.gss.channel_bound == is_plus);
        }
        end(&t);
    }
}

static void gs2_goes_on(void)
{
    struct talk t = gs2("GS2-KRB5", false);
    CHECK_INT(say(&t, "F,n,,toy:bind=n,,;more:alice@R"), DW_SASL_CHALLENGE);
    CHECK_SPAN(dw_buf_span(&t.challenge), "toy:more");
    CHECK_INT(say(&t, "toy:rest"), DW_SASL_DONE);
    CHECK_SPAN(dw_buf_span(&t.challenge), "toy:done");
    end(&t);
    t = gs2("GS2-KRB5", false);
    CHECK_INT(say(&t, "F,n,,toy:bind=n,,;silent:alice@R"), DW_SASL_DONE);
    CHECK(!dw_sasl_has_final(t.sasl) && dw_buf_len(&t.challenge) == 0);
    end(&t);
}

/* ---- Authorization identities. */

static bool own(const char *authzid, const char *user, const char *domain)
{
    return dw_authzid_is_own(dw_span_str(authzid), dw_span_str(user), dw_span_str(domain),
                             DW_SPAN_OF("alice/admin@HOME.EXAMPLE"));
}

static void own_identities(void)
{
    CHECK(own("", "alice", "example.com"));
    CHECK(own("alice", "alice", "example.com"));
    CHECK(own("alice@example.com", "alice", "example.com"));
    CHECK(own("alice@Example.COM", "alice", "example.com"));
    CHECK(own("alice/admin@HOME.EXAMPLE", "alice", "example.com"));
    CHECK(own("alice", "alice@example.com", "example.com"));
    CHECK(own("alice@example.com", "alice@example.com", "example.com"));
    CHECK(own("alice", "alice", ""));
    CHECK(own("alice@example.com", "alice", ""));
    CHECK(own("alice", "alice@example.com", ""));
    CHECK(own("alice@example.com", "alice@EXAMPLE.com", ""));

    CHECK(!own("bob", "alice", "example.com"));
    CHECK(!own("bob@example.com", "alice", "example.com"));
    CHECK(!own("alice@example.org", "alice", "example.com"));
    CHECK(!own("alice", "alice@example.org", "example.com"));
    CHECK(!own("alice@example.com", "alice@example.org", "example.com"));
    CHECK(!own("alice@example.com", "alice@example.org", ""));
    CHECK(!own("Alice", "alice", "example.com"));
    CHECK(!own("alice@", "alice", ""));
    CHECK(!own("@example.com", "alice", "example.com"));
    CHECK(!own("alice/admin", "alice", "example.com"));
    CHECK(!own("alice/admin@AWAY.EXAMPLE", "alice", "example.com"));
    CHECK(!own("alice@example.com/home", "alice", "example.com"));
    CHECK(!own("alic", "alice", ""));
    CHECK(!own("alicee", "alice", ""));
}

int main(void)
{
    RUN(known_mechanisms);
    RUN(clients_as_they_are);
    RUN(the_first_message);
    RUN(more_than_one_token);
    RUN(without_mutual_authentication);
    RUN(tickets_for_others);
    RUN(wrong_tokens);
    RUN(wrong_choices);
    RUN(long_identities);
    RUN(gs2_headers);
    RUN(gs2_goes_on);
    RUN(own_identities);
    return check_done();
}
