/* The client's side of SASL GSSAPI, against our own acceptor and against servers that offer what they should not.  Run it
 * inside tests/realm. */
#include "gss_realm.h"

#include "sasl/initiator.h"
#include "sasl/sasl.h"

static struct dw_cred *client_cred(void)
{
    struct dw_error err = {0};
    struct dw_initiator_options options = {.ccache = login("alice")};
    struct dw_cred *cred = dw_cred_initiator(&options, &err);
    if (!CHECK(cred != NULL))
        printf("    %s\n", err.detail);
    return cred;
}

/* Both sides until the server is content. */
static void log_in(const struct dw_cred *client, const struct dw_cred *server, const char *authzid)
{
    struct dw_error err = {0};
    struct dw_buf there = {0}, back = {0};
    struct dw_context *context = dw_context_initiate(client, "zmq/localhost@HOME.TEST", NULL, &err);
    struct dw_sasl_initiator *ours = dw_sasl_initiator_new(context, dw_span_str(authzid));
    struct dw_sasl *theirs = dw_sasl_new(DW_SPAN_OF("GSSAPI"), &(struct dw_sasl_options){.cred = server});
    int rc = DW_SASL_CHALLENGE;
    for (int turn = 0; rc == DW_SASL_CHALLENGE && turn < 5; turn++) {
        CHECK(!dw_sasl_initiator_is_done(ours));
        dw_buf_clear(&there, 0);
        CHECK_INT(dw_sasl_initiator_step(ours, dw_buf_span(&back), &there, &err), 0);
        dw_buf_clear(&back, 0);
        rc = dw_sasl_step(theirs, dw_buf_span(&there), true, &back, &err);
    }
    if (!CHECK(rc == DW_SASL_DONE))
        printf("    %s\n", err.detail);
    CHECK(dw_sasl_initiator_is_done(ours));
    CHECK_INT(dw_sasl_initiator_layers(ours), 1);
    CHECK_STR(dw_context_peer(dw_sasl_context(theirs)), "alice@HOME.TEST");
    CHECK(dw_span_equal(dw_sasl_authzid(theirs), dw_span_str(authzid)));
    CHECK_INT(dw_sasl_initiator_step(ours, DW_SPAN_OF("more"), &there, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    dw_sasl_initiator_free(&ours);
    dw_sasl_initiator_free(&ours);
    dw_sasl_free(&theirs);
    dw_context_free(&context);
    dw_buf_free(&there);
    dw_buf_free(&back);
}

/* A server that has the keys and offers `offer`; `broken` changes the token on its way. */
static int offered(const struct dw_cred *client, const struct dw_cred *server, struct dw_span offer, bool broken,
                   struct dw_error *err)
{
    struct dw_buf there = {0}, back = {0};
    struct dw_context *context = dw_context_initiate(client, "zmq/localhost@HOME.TEST", NULL, err);
    struct dw_context *theirs = dw_context_accept(server);
    struct dw_sasl_initiator *ours = dw_sasl_initiator_new(context, DW_SPAN_NONE);
    CHECK_INT(dw_sasl_initiator_step(ours, DW_SPAN_NONE, &there, err), 0);
    CHECK_INT(dw_context_step(theirs, dw_buf_span(&there), &back, err), DW_CONTEXT_DONE);
    dw_buf_clear(&there, 0);
    CHECK_INT(dw_sasl_initiator_step(ours, dw_buf_span(&back), &there, err), 0);
    CHECK_INT(dw_buf_len(&there), 0);
    dw_buf_clear(&back, 0);
    CHECK_INT(dw_context_sign(theirs, offer, &back, err), 0);
    if (broken)
        back.at[back.head + 16] ^= 1;
    int rc = dw_sasl_initiator_step(ours, dw_buf_span(&back), &there, err);
    CHECK(rc < 0 ? *err->detail != '\0' : dw_sasl_initiator_is_done(ours));
    dw_sasl_initiator_free(&ours);
    dw_context_free(&theirs);
    dw_context_free(&context);
    dw_buf_free(&there);
    dw_buf_free(&back);
    return rc;
}

static void offers(void)
{
    struct dw_cred *client = client_cred(), *server = usual_acceptor();
    struct dw_error err = {0};
    CHECK_INT(offered(client, server, DW_SPAN_OF("\1\0\0\0"), false, &err), 0);
    CHECK_INT(offered(client, server, DW_SPAN_OF("\7\0\xff\xff"), false, &err), 0);
    CHECK_INT(offered(client, server, DW_SPAN_OF("\6\0\xff\xff"), false, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_DENIED);
    CHECK_INT(offered(client, server, DW_SPAN_OF("\1\0\0"), false, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    CHECK_INT(offered(client, server, DW_SPAN_OF("\1\0\0\0\0"), false, &err), -1);
    CHECK_INT(offered(client, server, DW_SPAN_NONE, false, &err), -1);
    CHECK_INT(offered(client, server, DW_SPAN_OF("\1\0\0\0"), true, &err), -1);
    CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    dw_cred_free(&client);
    dw_cred_free(&server);
}

static void logins(void)
{
    struct dw_cred *client = client_cred(), *server = acceptor(getenv("REALM_KEYTAB"), NULL, NULL, NULL);
    log_in(client, server, "");
    log_in(client, server, "alice@example.com");
    dw_cred_free(&client);
    dw_cred_free(&server);
}

int main(void)
{
    RUN(logins);
    RUN(offers);
    return check_done();
}
