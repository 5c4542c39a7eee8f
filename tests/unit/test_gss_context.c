/* Credentials and handshakes against a real KDC; run it inside tests/realm. */
#include "gss_realm.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HAS(text, part) CHECK(strstr(text, part) || (printf("    \"%s\" has no \"%s\"\n", text, part), 0))

static const char *const zmq_home = "zmq/localhost@HOME.TEST";
static const char *const zmq_away = "zmq/localhost@AWAY.TEST";

static void nap(int milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000L}, NULL);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct dw_cred *initiator(const char *ccache, const char *keytab, const char *principal,
                                 struct dw_error *err)
{
    struct dw_initiator_options options = {.ccache = ccache, .keytab = keytab, .principal = principal};
    *err = (struct dw_error){.kind = DW_ERROR_NONE};
    return dw_cred_initiator(&options, err);
}

/* Both sides ours, until both are done. */
static void meet(const struct dw_cred *client, const struct dw_cred *server, const char *service, const char *realm)
{
    struct dw_error err = {0};
    struct dw_buf there = {0}, back = {0};
    struct dw_context *ours = dw_context_initiate(client, service, realm, &err),
                      *theirs = dw_context_accept(server);
    int rc = -1;
    if (CHECK(ours != NULL))
        rc = dw_context_step(ours, DW_SPAN_NONE, &there, &err);
    if (!CHECK(rc == DW_CONTEXT_MORE))
        printf("    %s\n", err.detail);
    CHECK(dw_context_peer(theirs) == NULL);
    CHECK_INT(dw_context_step(theirs, dw_buf_span(&there), &back, &err), DW_CONTEXT_DONE);
    dw_buf_clear(&there, 0);
    CHECK_INT(dw_context_step(ours, dw_buf_span(&back), &there, &err), DW_CONTEXT_DONE);
    CHECK_INT(dw_buf_len(&there), 0);
    CHECK_STR(dw_context_peer(ours), dw_context_target(theirs));
    CHECK_STR(dw_context_peer(theirs), dw_cred_name(client));

    struct dw_event event = {.id = "7"};
    dw_context_describe(theirs, &event);
    CHECK(event.gss.present && event.gss.mutual && event.gss.confidential && !event.gss.delegated);
    CHECK(event.gss.lifetime > 80000 && event.gss.lifetime <= 86400);
    CHECK(event.gss.expires == dw_context_expires(theirs));
    CHECK(event.gss.expires > now() + 80000 && event.gss.expires <= now() + 86400);
    CHECK_STR(event.id, "7");

    struct dw_span plain;
    CHECK_INT(dw_context_step(theirs, dw_buf_span(&there), &back, &err), -1);
    for (int i = 0; i < 3; i++) {
        dw_buf_clear(&there, 0);
        CHECK_INT(dw_context_wrap(i % 2 ? ours : theirs, DW_SPAN_OF("he"), DW_SPAN_OF("llo"), &there, &err), 0);
        CHECK_INT(dw_context_unwrap(i % 2 ? theirs : ours, there.at, dw_buf_len(&there), &plain, &err), 0);
        CHECK_SPAN(plain, "hello");
        dw_context_settle(ours);
        dw_context_settle(theirs);
    }
    CHECK_STR(dw_context_peer(theirs), dw_cred_name(client));
    dw_context_free(&ours);
    dw_context_free(&theirs);
    dw_buf_free(&there);
    dw_buf_free(&back);
}

static void both_sides_ours(void)
{
    struct dw_error err;
    struct dw_cred *server = usual_acceptor();
    CHECK_STR(dw_cred_name(server), zmq_home);
    struct dw_cred *cached = initiator(login("alice"), NULL, NULL, &err);
    CHECK_STR(dw_cred_name(cached), "alice@HOME.TEST");
    meet(cached, server, "zmq@localhost", NULL);
    meet(cached, server, "zmq@localhost", "HOME.TEST");
    meet(cached, server, "zmq/localhost", NULL);
    meet(cached, server, "zmq/localhost@HOME.TEST", "AWAY.TEST");
    struct dw_cred *keyed = initiator(NULL, getenv("REALM_USERS"), "admin/admin", &err);
    CHECK_STR(dw_cred_name(keyed), "admin/admin@HOME.TEST");
    meet(keyed, server, "zmq@localhost", NULL);
    meet(keyed, server, "zmq@localhost", NULL);
    struct dw_cred *first = initiator(NULL, getenv("REALM_USERS"), NULL, &err);
    CHECK_STR(dw_cred_name(first), "alice@HOME.TEST");
    meet(first, server, "zmq@localhost", NULL);
    const char *cache = in_dir("made.cache");
    struct dw_cred *both = initiator(cache, getenv("REALM_USERS"), "bob@HOME.TEST", &err);
    CHECK_STR(dw_cred_name(both), "bob@HOME.TEST");
    meet(both, server, "zmq@localhost", NULL);
    CHECK_INT(access(cache, R_OK), 0);
    dw_cred_free(&cached);
    dw_cred_free(&keyed);
    dw_cred_free(&first);
    dw_cred_free(&both);
    dw_cred_free(&server);
}

static void a_stock_client_is_known(void)
{
    struct dw_cred *cred = usual_acceptor();
    const char *cache = login("admin/admin");
    struct stock s;
    struct dw_context *ctx = join(cred, &s, cache, zmq_home, LIBZMQ_FLAGS);
    CHECK_STR(dw_context_peer(ctx), "admin/admin@HOME.TEST");
    CHECK_STR(dw_context_target(ctx), zmq_home);
    CHECK(!dw_context_is_anonymous(ctx));
    dw_context_free(&ctx);
    stock_end(&s);
    /* Without mutual authentication there is nothing to answer. */
    struct dw_error err;
    struct dw_buf reply = {0};
    s = stock_start(cache, zmq_home, 0);
    ctx = accept_token(cred, dw_buf_span(&s.token), &reply, &err);
    struct dw_event event = {.id = NULL};
    dw_context_describe(ctx, &event);
    CHECK(!event.gss.mutual && dw_buf_len(&reply) == 0);
    dw_context_free(&ctx);
    stock_end(&s);
    /* DCE style's messages are laid out otherwise. */
    s = stock_start(cache, zmq_home, LIBZMQ_FLAGS | GSS_C_DCE_STYLE);
    CHECK(accept_token(cred, dw_buf_span(&s.token), &reply, &err) == NULL);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    stock_end(&s);
    dw_buf_free(&reply);
    dw_cred_free(&cred);
}

static void another_key_in_the_same_keytab_is_refused(void)
{
    struct dw_error err;
    const char *cache = login("alice");
    struct dw_cred *cred = usual_acceptor();
    CHECK_INT(try_login(cred, cache, zmq_home, &err), DW_ERROR_NONE);
    CHECK_INT(try_login(cred, cache, "other/localhost@HOME.TEST", &err), DW_ERROR_DENIED);
    HAS(err.detail, "ticket for other/localhost@HOME.TEST");
    CHECK_INT(try_login(cred, cache, zmq_away, &err), DW_ERROR_DENIED);
    dw_cred_free(&cred);

    /* The environment and the host's configuration have no say in it. */
    cred = acceptor(fmt("FILE:%s", getenv("REALM_KEYTAB")), "zmq/localhost@AWAY.TEST", "HOME.TEST", NULL);
    CHECK_STR(dw_cred_name(cred), zmq_away);
    setenv("KRB5_KTNAME", getenv("REALM_KEYTAB"), 1);
    CHECK_INT(try_login(cred, cache, zmq_away, &err), DW_ERROR_NONE);
    CHECK_INT(try_login(cred, cache, zmq_home, &err), DW_ERROR_DENIED);
    setenv("KRB5_KTNAME", in_dir("no-default.keytab"), 1);
    dw_cred_free(&cred);

    cred = acceptor(getenv("REALM_KEYTAB"), "zmq@localhost", "AWAY.TEST", NULL);
    CHECK_STR(dw_cred_name(cred), zmq_away);
    CHECK_INT(try_login(cred, cache, zmq_home, &err), DW_ERROR_DENIED);
    dw_cred_free(&cred);
}

static void no_realm_named_is_each_of_them(void)
{
    struct dw_error err;
    struct stock s;
    const char *cache = login("alice");
    struct dw_cred *cred = acceptor(getenv("REALM_KEYTAB"), "zmq@LocalHost", NULL, NULL);
    struct dw_context *ctx = join(cred, &s, cache, zmq_away, LIBZMQ_FLAGS);
    CHECK_STR(dw_context_target(ctx), zmq_away);
    dw_context_free(&ctx);
    stock_end(&s);
    ctx = join(cred, &s, cache, zmq_home, LIBZMQ_FLAGS);
    CHECK_STR(dw_context_target(ctx), zmq_home);
    dw_context_free(&ctx);
    stock_end(&s);
    CHECK_INT(try_login(cred, cache, "other/localhost@HOME.TEST", &err), DW_ERROR_DENIED);
    dw_cred_free(&cred);

    cred = acceptor(getenv("REALM_KEYTAB"), NULL, NULL, NULL);
    CHECK(dw_cred_name(cred) == NULL);
    ctx = join(cred, &s, cache, "other/localhost@HOME.TEST", LIBZMQ_FLAGS);
    CHECK_STR(dw_context_target(ctx), "other/localhost@HOME.TEST");
    dw_context_free(&ctx);
    stock_end(&s);
    dw_cred_free(&cred);
}

static void keytab_mistakes_are_named(void)
{
    struct dw_error err;
    const char *real = getenv("REALM_KEYTAB");
    struct {
        struct dw_acceptor_options options;
        const char *said;
    } mistakes[] = {
        {{.keytab = in_dir("absent"), .service = "zmq@localhost"}, "No such file"},
        {{.keytab = getenv("REALM_DIR"), .service = "zmq@localhost"}, "not a regular file"},
        {{.keytab = "/dev/zero", .service = "zmq@localhost"}, "not a regular file"},
        {{.keytab = getenv("KRB5_CONFIG"), .service = "zmq@localhost"}, "krb5.conf"},
        {{.keytab = real, .service = "zmq@localhots"}, "is zmq/localhost@HOME.TEST meant?"},
        {{.keytab = real, .service = "imap@localhost"},
         "it holds zmq/localhost@HOME.TEST, other/localhost@HOME.TEST"},
        {{.keytab = real, .service = "zmq/localhost@OTHER.TEST"}, "no key for zmq/localhost@OTHER.TEST"},
        {{.keytab = real, .service = "zmq@localhost", .realm = "OTHER.TEST"}, "zmq/localhost@OTHER.TEST"},
        {{.keytab = real, .service = "ZMQ@localhost"}, "ZMQ/localhost"},
        {{.keytab = real, .service = "zmq@"}, "empty part"},
        {{.keytab = real, .service = "zmq/localhost@@"}, "@"},
        {{.keytab = real, .realm = "NOWHERE.TEST"}, "the realm NOWHERE.TEST"},
        {{.keytab = real, .service = "zmq@localhost", .rcache = "nonsense:x"}, "nonsense"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        err = (struct dw_error){.kind = DW_ERROR_NONE};
        CHECK(dw_cred_acceptor(&mistakes[i].options, &err) == NULL);
        CHECK(err.kind != DW_ERROR_NONE && !strchr(err.detail, '\n'));
        HAS(err.detail, mistakes[i].said);
    }
    struct dw_buf list = {0};
    CHECK_INT(dw_keytab_list(real, &list, &err), 0);
    dw_buf_put_u8(&list, 0);
    HAS((const char *)list.at, "zmq/localhost@AWAY.TEST kvno=2 enctype=aes256-cts-hmac-sha1-96\n");
    dw_buf_clear(&list, 0);
    CHECK_INT(dw_keytab_list(in_dir("absent"), &list, &err), -1);
    CHECK_INT(dw_keytab_list(getenv("KRB5_CONFIG"), &list, &err), -1);
    CHECK_INT(dw_buf_len(&list), 0);
    dw_buf_free(&list);
}

static void keys_roll_over_without_a_restart(void)
{
    struct dw_error err = {0};
    struct dw_buf reply = {0};
    const char *keytab = in_dir("roll.keytab"), *service = "roll/localhost@HOME.TEST";
    kadmin("addprinc -randkey roll/localhost");
    kadmin(fmt("ktadd -k %s roll/localhost", keytab));
    struct dw_cred *cred = acceptor(keytab, "roll@localhost", NULL, NULL);
    const char *old = login("alice"), *young = login("alice");
    CHECK_INT(try_login(cred, old, service, &err), DW_ERROR_NONE);
    CHECK_INT(dw_cred_refresh(cred, &err), 0);

    /* One handshake is under way, its context made of the old keys. */
    struct stock s = stock_start(old, service, LIBZMQ_FLAGS);
    struct dw_context *under_way = dw_context_accept(cred);

    kadmin(fmt("ktadd -k %s roll/localhost", keytab));
    CHECK_INT(try_login(cred, young, service, &err), DW_ERROR_TEMPORARY);
    HAS(err.detail, "kvno 3");
    CHECK_INT(dw_cred_refresh(cred, &err), 0);
    CHECK_INT(try_login(cred, young, service, &err), DW_ERROR_NONE);
    CHECK_INT(try_login(cred, old, service, &err), DW_ERROR_NONE);
    CHECK_INT(dw_context_step(under_way, dw_buf_span(&s.token), &reply, &err), DW_CONTEXT_DONE);
    CHECK_STR(dw_context_peer(under_way), "alice@HOME.TEST");
    CHECK_INT(stock_step(&s, dw_buf_span(&reply), LIBZMQ_FLAGS), DW_CONTEXT_DONE);
    stock_end(&s);

    /* A file that cannot be used is told of once, and the keys go on serving. */
    CHECK_INT(run(fmt("cp %s %s.kept && echo garbage >%s", keytab, keytab, keytab)), 0);
    CHECK_INT(dw_cred_refresh(cred, &err), -1);
    HAS(err.detail, "roll.keytab");
    nap(80);
    dw_cred_refresh(cred, &err); /* it was young: looked at once more */
    CHECK_INT(dw_cred_refresh(cred, &err), 0);
    CHECK_INT(try_login(cred, young, service, &err), DW_ERROR_NONE);
    CHECK_INT(unlink(keytab), 0);
    CHECK_INT(dw_cred_refresh(cred, &err), -1);
    HAS(err.detail, "No such file");
    CHECK_INT(dw_cred_refresh(cred, &err), 0);
    CHECK_INT(try_login(cred, young, service, &err), DW_ERROR_NONE);
    CHECK_INT(run(fmt("cp %s %s", getenv("REALM_KEYTAB"), keytab)), 0);
    CHECK_INT(dw_cred_refresh(cred, &err), -1);
    HAS(err.detail, "no key for roll/localhost");
    CHECK_INT(run(fmt("mv %s.kept %s", keytab, keytab)), 0);
    CHECK_INT(dw_cred_refresh(cred, &err), 0);
    CHECK_INT(try_login(cred, young, service, &err), DW_ERROR_NONE);

    /* The context outlives its credential. */
    struct dw_span plain;
    dw_cred_free(&cred);
    dw_buf_clear(&reply, 0);
    CHECK_INT(dw_context_wrap(under_way, DW_SPAN_NONE, DW_SPAN_OF("x"), &reply, &err), 0);
    CHECK_INT(dw_context_unwrap(under_way, reply.at, dw_buf_len(&reply), &plain, &err), -1);
    dw_context_free(&under_way);
    dw_buf_free(&reply);
}

static void a_token_seen_before_is_refused(void)
{
    struct dw_error err;
    const char *cache = fmt("file2:%s", in_dir("rcache")), *tickets = login("alice");
    for (int round = 0; round < 2; round++) {
        struct dw_cred *cred = acceptor(getenv("REALM_KEYTAB"), "zmq@localhost", NULL, round ? NULL : cache);
        struct stock s = stock_start(tickets, zmq_home, LIBZMQ_FLAGS);
        struct dw_buf reply = {0};
        struct dw_context *ctx = accept_token(cred, dw_buf_span(&s.token), NULL, &err);
        CHECK(ctx != NULL);
        dw_context_free(&ctx);
        if (round == 0) {
            CHECK(accept_token(cred, dw_buf_span(&s.token), &reply, &err) == NULL);
            CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
            HAS(err.detail, "seen before");
            CHECK(dw_buf_len(&reply) > 0); /* an error token for the peer */
            dw_cred_free(&cred); /* a restart changes nothing */
            cred = acceptor(getenv("REALM_KEYTAB"), "zmq@localhost", NULL, cache);
        }
        ctx = accept_token(cred, dw_buf_span(&s.token), NULL, &err);
        CHECK((ctx == NULL) == (round == 0));
        dw_context_free(&ctx);
        stock_end(&s);
        dw_buf_free(&reply);
        dw_cred_free(&cred);
    }
    struct stat st;
    CHECK(stat(in_dir("rcache"), &st) == 0 && (st.st_mode & 0777) == 0600);
    /* A replay cache that cannot be written is our trouble, and nobody passes. */
    struct dw_cred *cred =
        acceptor(getenv("REALM_KEYTAB"), "zmq@localhost", NULL, fmt("file2:%s", in_dir("no/such/dir/rcache")));
    CHECK_INT(try_login(cred, tickets, zmq_home, &err), DW_ERROR_INTERNAL);
    dw_cred_free(&cred);
}

/* A copy of the realm's configuration with another clock skew and KDC port; the old one's name is kept. */
static void configure(const char *name, int clockskew, const char *more)
{
    const char *path = in_dir(name);
    CHECK_INT(run(fmt("sed 's/^.libdefaults.$/&\\n    clockskew = %d/; %s' %s >%s", clockskew, more,
                      in_dir("krb5.conf"), path)),
              0);
    setenv("KRB5_CONFIG", path, 1);
}

static void time_and_its_troubles(void)
{
    struct dw_error err;
    struct stock s;
    struct dw_event event = {.id = NULL};
    struct dw_cred *cred = usual_acceptor();
    struct dw_context *ctx = join(cred, &s, login_for("alice", "-l 60s"), zmq_home, LIBZMQ_FLAGS);
    dw_context_describe(ctx, &event);
    CHECK(event.gss.lifetime > 30 && event.gss.lifetime <= 60);
    CHECK(event.gss.expires > now() + 30 && event.gss.expires <= now() + 60);
    dw_context_free(&ctx);
    stock_end(&s);

    /* A ticket that has just ended has ended, however much clocks may differ. */
    s = stock_start(login_for("alice", "-l 2s"), zmq_home, LIBZMQ_FLAGS);
    struct stock lasting = stock_start(login("alice"), zmq_home, LIBZMQ_FLAGS);
    nap(4000);
    ctx = accept_token(cred, dw_buf_span(&s.token), NULL, &err);
    CHECK(ctx == NULL);
    CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
    HAS(err.detail, "expired");
    dw_context_free(&ctx);
    /* A credential goes by the configuration that it was made under. */
    configure("strict.conf", 1, "");
    dw_cred_free(&cred);
    cred = usual_acceptor();
    CHECK(accept_token(cred, dw_buf_span(&s.token), NULL, &err) == NULL);
    CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
    HAS(err.detail, "expired");
    CHECK(accept_token(cred, dw_buf_span(&lasting.token), NULL, &err) == NULL);
    CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
    HAS(err.detail, "clock");
    setenv("KRB5_CONFIG", in_dir("krb5.conf"), 1);
    stock_end(&s);
    stock_end(&lasting);
    dw_cred_free(&cred);
}

static void realms_that_differ_are_told(void)
{
    struct stock s;
    const char *cache = login("carol@AWAY.TEST");
    struct dw_cred *cred = acceptor(getenv("REALM_KEYTAB"), "zmq@localhost", NULL, NULL);
    const char *services[] = {zmq_home, zmq_away};
    for (int i = 0; i < 2; i++) {
        struct dw_event event = {.id = NULL};
        struct dw_context *ctx = join(cred, &s, cache, services[i], LIBZMQ_FLAGS);
        dw_context_describe(ctx, &event);
        CHECK_STR(dw_context_peer(ctx), "carol@AWAY.TEST");
        /* HOME.TEST is this host's default realm, which must not matter. */
        CHECK(event.gss.cross_realm == (i == 0));
        dw_context_free(&ctx);
        stock_end(&s);
    }
    dw_cred_free(&cred);
}

static void indicators_and_attributes_are_read(void)
{
    struct stock s;
    struct dw_event event = {.id = NULL};
    struct dw_cred *cred = usual_acceptor();
    kadmin("addprinc -pw dave +requires_preauth dave");
    kadmin(fmt("ktadd -norandkey -k %s dave", getenv("REALM_USERS")));
    struct dw_context *ctx = join(cred, &s, login("dave"), zmq_home, LIBZMQ_FLAGS);
    dw_context_describe(ctx, &event);
    if (CHECK(event.gss.indicator_count == 1))
        CHECK_SPAN(event.gss.indicators[0], "spake");
    bool found = false;
    for (size_t i = 0; i < event.gss.attribute_count; i++)
        found = found || dw_span_equal(event.gss.attributes[i].name, DW_SPAN_OF("auth-indicators"));
    CHECK(found);
    dw_context_settle(ctx);
    dw_context_describe(ctx, &event);
    CHECK(event.gss.present && event.gss.indicator_count == 0 && event.gss.attribute_count == 0);
    dw_context_free(&ctx);
    stock_end(&s);
    event = (struct dw_event){.id = NULL};
    ctx = join(cred, &s, login("alice"), zmq_home, LIBZMQ_FLAGS);
    dw_context_describe(ctx, &event);
    CHECK_INT(event.gss.indicator_count, 0);
    dw_context_free(&ctx);
    stock_end(&s);
    dw_cred_free(&cred);
}

static void anonymous_clients_are_told(void)
{
    struct stock s;
    struct dw_cred *cred = usual_acceptor();
    const char *service = in_dir("service.cache"), *cache = in_dir("anonymous.cache");
    /* Anonymous PKINIT needs certificates; a service may also get a ticket to itself in anyone's name. */
    kadmin("addprinc -randkey WELLKNOWN/ANONYMOUS");
    CHECK_INT(run(fmt("kinit -k -t %s -c %s zmq/localhost", getenv("REALM_KEYTAB"), service)), 0);
    CHECK_INT(run(fmt("kvno -c %s -I WELLKNOWN/ANONYMOUS --out-cache %s zmq/localhost", service, cache)), 0);
    struct dw_context *ctx = join(cred, &s, cache, zmq_home, LIBZMQ_FLAGS);
    CHECK(ctx && dw_context_is_anonymous(ctx));
    dw_context_free(&ctx);
    stock_end(&s);
    dw_cred_free(&cred);
}

static void clients_mistakes_are_classed(void)
{
    struct dw_error err;
    const char *cache = login("alice");
    CHECK(initiator(NULL, NULL, NULL, &err) == NULL);
    CHECK(initiator(in_dir("absent"), NULL, NULL, &err) == NULL);
    CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
    HAS(err.detail, "kinit");
    CHECK(initiator(NULL, in_dir("absent"), NULL, &err) == NULL);
    HAS(err.detail, "absent");
    CHECK(initiator(NULL, getenv("REALM_USERS"), "alicf", &err) == NULL);
    HAS(err.detail, "is alice@HOME.TEST meant?");
    CHECK(initiator(NULL, getenv("REALM_KEYTAB"), "alice@HOME.TEST", &err) == NULL);
    HAS(err.detail, "alice@HOME.TEST");
    CHECK(initiator(cache, NULL, "bob@HOME.TEST", &err) == NULL);
    HAS(err.detail, "bob@HOME.TEST");
    CHECK(initiator(getenv("KRB5_CONFIG"), NULL, NULL, &err) == NULL);
    CHECK(err.kind != DW_ERROR_NONE);
    /* The environment's client keytab and cache have no say. */
    setenv("KRB5_CLIENT_KTNAME", getenv("REALM_USERS"), 1);
    setenv("KRB5CCNAME", cache, 1);
    CHECK(initiator(in_dir("absent"), NULL, NULL, &err) == NULL);
    CHECK(initiator(in_dir("absent"), NULL, "alice@HOME.TEST", &err) == NULL);
    struct dw_buf name = {0};
    CHECK_INT(dw_ccache_default(&name, &err), 0);
    CHECK_SPAN(dw_buf_span(&name), cache);
    dw_buf_free(&name);

    struct dw_cred *cred = initiator(cache, NULL, NULL, &err);
    struct dw_buf out = {0};
    struct dw_context *ctx = dw_context_initiate(cred, "nothing@localhost", NULL, &err);
    CHECK_INT(dw_context_step(ctx, DW_SPAN_NONE, &out, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    HAS(err.detail, "nothing/localhost@HOME.TEST");
    CHECK_INT(dw_context_step(ctx, DW_SPAN_NONE, &out, &err), -1);
    dw_context_free(&ctx);
    CHECK(dw_context_initiate(cred, "zmq@", NULL, &err) == NULL);
    HAS(err.detail, "empty part");

    /* No KDC: port 9 of this host answers nobody. */
    configure("nobody.conf", 300, "s/127.0.0.1:[0-9]*/127.0.0.1:9/");
    ctx = dw_context_initiate(cred, "other@localhost", NULL, &err);
    CHECK_INT(dw_context_step(ctx, DW_SPAN_NONE, &out, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_TEMPORARY);
    HAS(err.detail, "no KDC answers");
    dw_context_free(&ctx);
    setenv("KRB5_CONFIG", in_dir("krb5.conf"), 1);
    setenv("KRB5_CLIENT_KTNAME", in_dir("no-default.keytab"), 1);

    /* Answers that are none. */
    static const char *const answers[] = {"", "nonsense",
                                          "\x60\x0f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02\x00\x6f\x00",
                                          "\x60\x05\x06\x03\x2a\x03\x04"};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        ctx = dw_context_initiate(cred, "zmq@localhost", NULL, &err);
        CHECK_INT(dw_context_step(ctx, DW_SPAN_NONE, &out, &err), DW_CONTEXT_MORE);
        struct dw_span answer = dw_span_make(answers[i], i == 2 ? 17 : strlen(answers[i]));
        err = (struct dw_error){.kind = DW_ERROR_NONE};
        CHECK_INT(dw_context_step(ctx, answer, &out, &err), -1);
        CHECK(err.kind != DW_ERROR_NONE);
        dw_context_free(&ctx);
    }
    dw_buf_free(&out);
    dw_cred_free(&cred);
}

static void a_refused_client_learns_why(void)
{
    struct dw_error err;
    struct dw_buf there = {0}, back = {0}, out = {0};
    struct dw_cred *server = acceptor(getenv("REALM_KEYTAB"), "other@localhost", NULL, NULL);
    struct dw_cred *client = initiator(login("alice"), NULL, NULL, &err);
    struct dw_context *ours = dw_context_initiate(client, "zmq@localhost", NULL, &err);
    CHECK_INT(dw_context_step(ours, DW_SPAN_NONE, &there, &err), DW_CONTEXT_MORE);
    struct dw_context *theirs = accept_token(server, dw_buf_span(&there), &back, &err);
    CHECK(theirs == NULL && dw_buf_len(&back) > 0);
    CHECK_INT(dw_context_step(ours, dw_buf_span(&back), &out, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    HAS(err.detail, "login to zmq/localhost@HOME.TEST");
    dw_context_free(&ours);
    dw_cred_free(&server);
    dw_cred_free(&client);
    dw_buf_free(&there);
    dw_buf_free(&back);
    dw_buf_free(&out);
}

static void tokens_that_are_none_are_refused(void)
{
    struct dw_error err;
    struct dw_cred *cred = usual_acceptor();
    struct stock s = stock_start(login("alice"), zmq_home, LIBZMQ_FLAGS);
    size_t len = dw_buf_len(&s.token), huge = 4 << 20;
    uint8_t *octets = malloc(huge);
    memset(octets, 0x60, huge);
    CHECK(accept_token(cred, DW_SPAN_NONE, NULL, &err) == NULL);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    CHECK(accept_token(cred, dw_span_make(octets, huge), NULL, &err) == NULL);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    unsigned seed = 11;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 100; i++)
            octets[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
        CHECK(accept_token(cred, dw_span_make(octets, 100), NULL, &err) == NULL);
    }
    for (size_t cut = 0; cut < len; cut += 9)
        CHECK(accept_token(cred, dw_span_make(s.token.at, cut), NULL, &err) == NULL);
    /* An altered token may get in where nothing proves what was altered; but only as who made it. */
    int admitted = 0;
    for (size_t bit = 0; bit < 8 * len; bit += 5) {
        s.token.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct dw_context *ctx = accept_token(cred, dw_buf_span(&s.token), NULL, &err);
        s.token.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (!ctx)
            continue;
        admitted++;
        CHECK_STR(dw_context_peer(ctx), "alice@HOME.TEST");
        CHECK_STR(dw_context_target(ctx), zmq_home);
        dw_context_free(&ctx);
    }
    CHECK(admitted < 100);
    free(octets);
    stock_end(&s);
    dw_cred_free(&cred);
}

int main(void)
{
    if (!getenv("REALM_DIR")) {
        printf("run me inside tests/realm\n");
        return 2;
    }
    RUN(both_sides_ours);
    RUN(a_stock_client_is_known);
    RUN(another_key_in_the_same_keytab_is_refused);
    RUN(no_realm_named_is_each_of_them);
    RUN(keytab_mistakes_are_named);
    RUN(keys_roll_over_without_a_restart);
    RUN(a_token_seen_before_is_refused);
    RUN(time_and_its_troubles);
    RUN(realms_that_differ_are_told);
    RUN(indicators_and_attributes_are_read);
    RUN(anonymous_clients_are_told);
    RUN(clients_mistakes_are_classed);
    RUN(a_refused_client_learns_why);
    RUN(tokens_that_are_none_are_refused);
    return check_done();
}
