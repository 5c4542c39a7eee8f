/* Requests that no GSSAPI makes, put to us and to the library's own acceptor: who lets in what, and with which flags.
 * Run it inside tests/realm. */
#include "gss_realm.h"

#include "gss/ticket.h"

#include <krb5.h>

static const char *const zmq_home = "zmq/localhost@HOME.TEST";

static krb5_context krb5;
static krb5_creds *ticket;

static void get_ticket(const char *cache)
{
    krb5_ccache from = NULL;
    krb5_creds wanted = {.magic = 0};
    CHECK_INT(krb5_cc_resolve(krb5, cache, &from), 0);
    CHECK_INT(krb5_cc_get_principal(krb5, from, &wanted.client), 0);
    CHECK_INT(krb5_parse_name(krb5, zmq_home, &wanted.server), 0);
    CHECK_INT(krb5_get_credentials(krb5, 0, from, &wanted, &ticket), 0);
    krb5_free_cred_contents(krb5, &wanted);
    krb5_cc_close(krb5, from);
}

/* An AP-REQ in its frame; its authenticator has a checksum of `type` (0x8003: `octets` themselves), if any. */
static struct dw_buf request(int type, const struct dw_span *octets, krb5_flags options, krb5_int32 flags)
{
    static const uint8_t frame[] = {0x60, 0x82, 0, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0};
    krb5_auth_context auth = NULL;
    krb5_data in = {.data = octets ? (char *)octets->at : NULL, .length = octets ? (unsigned)octets->len : 0}, out;
    struct dw_buf token = {0};
    CHECK_INT(krb5_auth_con_init(krb5, &auth), 0);
    krb5_auth_con_setflags(krb5, auth, flags);
    if (type)
        krb5_auth_con_set_req_cksumtype(krb5, auth, type);
    if (CHECK(krb5_mk_req_extended(krb5, &auth, options, octets ? &in : NULL, ticket, &out) == 0)) {
        dw_buf_put(&token, dw_span_make(frame, sizeof frame));
        dw_buf_put(&token, dw_span_make(out.data, out.length));
        size_t inside = dw_buf_len(&token) - 4;
        token.at[2] = (uint8_t)(inside >> 8);
        token.at[3] = (uint8_t)inside;
        krb5_free_data_contents(krb5, &out);
    }
    krb5_auth_con_free(krb5, auth);
    return token;
}

struct outcome {
    bool in, answered, mutual, confidential, delegated;
};

static struct outcome stock_outcome(gss_cred_id_t cred, struct dw_span token)
{
    OM_uint32 minor, flags = 0;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc in = {token.len, (void *)token.at}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_accept_sec_context(&minor, &ctx, cred, &in, NULL, NULL, NULL, &out, &flags, NULL, NULL);
    struct outcome o = {.in = major == GSS_S_COMPLETE, .answered = out.length > 0};
    if (o.in) {
        o.mutual = flags & GSS_C_MUTUAL_FLAG;
        o.confidential = flags & GSS_C_CONF_FLAG;
        o.delegated = flags & GSS_C_DELEG_FLAG;
    }
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &ctx, NULL);
    return o;
}

static struct outcome our_outcome(const struct dw_cred *cred, struct dw_span token)
{
    struct dw_error err;
    struct dw_buf reply = {0};
    struct dw_event event = {.id = NULL};
    struct dw_context *ctx = accept_token(cred, token, &reply, &err);
    struct outcome o = {.in = ctx != NULL, .answered = dw_buf_len(&reply) > 0};
    if (ctx) {
        dw_context_describe(ctx, &event);
        CHECK_STR(dw_context_peer(ctx), "alice@HOME.TEST");
        o.mutual = event.gss.mutual;
        o.confidential = event.gss.confidential;
        o.delegated = event.gss.delegated;
    } else {
        CHECK_INT(err.kind, DW_ERROR_PROTOCOL);
    }
    dw_context_free(&ctx);
    dw_buf_free(&reply);
    return o;
}

#define BINDINGS "\x10\0\0\0................"
#define UNBOUND "\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void checksums_mean_what_they_mean_to_the_library(void)
{
    static const struct {
        int type;
        struct dw_span octets;
        enum { REFUSED, LET_IN, LET_IN_BY_US } wanted; /* the library reads a delegated credential at once */
    } cases[] = {
        {0, {NULL, 0}, LET_IN}, /* no checksum: no flags */
        {0, DW_SPAN_OF(""), LET_IN}, /* an ordinary one, of nothing */
        {0, DW_SPAN_OF("something"), REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x3e\0\0\0"), LET_IN},
        {0x8003, DW_SPAN_OF(UNBOUND "\0\0\0\0"), LET_IN},
        {0x8003, DW_SPAN_OF(UNBOUND "\xff\xef\xff\xff"), LET_IN}, /* all that there is, but DCE style */
        {0x8003, DW_SPAN_OF(UNBOUND "\x02\x10\0\0"), REFUSED}, /* DCE style */
        {0x8003, DW_SPAN_OF(BINDINGS "\x3e\0\0\0"), LET_IN}, /* bound to a channel that is not looked at */
        {0x8003, DW_SPAN_OF(UNBOUND "\x3e\0\0"), REFUSED},
        {0x8003, DW_SPAN_OF(""), REFUSED},
        {0x8003,
         DW_SPAN_OF("\x0f\0\0\0................"
                    "\x3e\0\0\0"),
         REFUSED},
        {0x8003,
         DW_SPAN_OF("\0\0\0\x10................"
                    "\x3e\0\0\0"),
         REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x03\0\0\0"), LET_IN}, /* delegation announced and left out */
        {0x8003, DW_SPAN_OF(UNBOUND "\x03\0\0\0\x01\0\0\0"), LET_IN_BY_US},
        {0x8003, DW_SPAN_OF(UNBOUND "\x03\0\0\0\x01\0\x03\0abc"), LET_IN_BY_US},
        {0x8003, DW_SPAN_OF(UNBOUND "\x03\0\0\0\x02\0\x03\0abc"), REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x03\0\0\0\x01\0\x04\0abc"), REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x03\0\0\0\x01\0\x03"), REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x02\0\0\0\0\0\0\x63\0\0\0\x02xy"), LET_IN}, /* an extension */
        {0x8003, DW_SPAN_OF(UNBOUND "\x02\0\0\0\0\0\0\x63\0\0\0\x03xy"), REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x02\0\0\0\0\0\0\x63\xff\xff\xff\xff"), REFUSED},
        {0x8003, DW_SPAN_OF(UNBOUND "\x02\0\0\0x"), REFUSED},
    };
    static const krb5_flags options[] = {0, AP_OPTS_MUTUAL_REQUIRED, AP_OPTS_USE_SUBKEY,
                                         AP_OPTS_MUTUAL_REQUIRED | AP_OPTS_USE_SUBKEY | AP_OPTS_ETYPE_NEGOTIATION};
    static const krb5_int32 flags[] = {0, KRB5_AUTH_CONTEXT_DO_SEQUENCE};
    struct dw_cred *cred = usual_acceptor();
    gss_key_value_element_desc elements[] = {{"keytab", getenv("REALM_KEYTAB")}, {"rcache", "none:"}};
    gss_key_value_set_desc store = {2, elements};
    gss_cred_id_t stock = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    CHECK_INT(gss_acquire_cred_from(&minor, NULL, 0, NULL, GSS_C_ACCEPT, &store, &stock, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t j = 0; j < 8; j++) {
            struct dw_buf token =
                request(cases[i].type, cases[i].octets.at ? &cases[i].octets : NULL, options[j / 2], flags[j % 2]);
            struct outcome theirs = stock_outcome(stock, dw_buf_span(&token)),
                           ours = our_outcome(cred, dw_buf_span(&token));
            if (cases[i].wanted == LET_IN_BY_US) {
                CHECK(ours.in && ours.delegated && !theirs.in);
                theirs = ours;
            }
            if (!CHECK(ours.in == (cases[i].wanted != REFUSED) && memcmp(&ours, &theirs, sizeof ours) == 0))
                printf("    case %zu, options %zu: in %d %d, answered %d %d, mutual %d %d, delegated %d %d\n", i, j,
                       ours.in, theirs.in, ours.answered, theirs.answered, ours.mutual, theirs.mutual,
                       ours.delegated, theirs.delegated);
            dw_buf_free(&token);
        }
    gss_release_cred(&minor, &stock);
    dw_cred_free(&cred);
}

/* A stock client that sends its credential along, and one whose channel is bound. */
static void what_a_stock_client_may_add(void)
{
    struct stock s;
    struct dw_event event = {.id = NULL};
    struct dw_cred *cred = usual_acceptor();
    struct dw_context *ctx =
        join(cred, &s, login_for("alice", "-f"), zmq_home, LIBZMQ_FLAGS | GSS_C_DELEG_FLAG | GSS_C_CONF_FLAG);
    dw_context_describe(ctx, &event);
    CHECK(event.gss.delegated && event.gss.confidential && event.gss.mutual && !event.gss.channel_bound);
    dw_context_free(&ctx);
    stock_end(&s);
    dw_cred_free(&cred);
}

/* What the KDC gives is the usual ticket, PAC and all, and what the library sends the usual request. */
static void a_usual_request_is_not_left_to_the_library(void)
{
    static const struct dw_span octets = DW_SPAN_OF(UNBOUND "\x3e\0\0\0");
    krb5_keytab keytab = NULL;
    struct dw_ticket_keys keys;
    struct dw_request parsed;
    struct dw_ticket read;
    struct dw_error err;
    CHECK_INT(krb5_kt_resolve(krb5, fmt("FILE:%s", getenv("REALM_KEYTAB")), &keytab), 0);
    CHECK_INT(dw_ticket_keys_make(&keys, krb5, keytab, false), 0);
    struct dw_buf token = request(0x8003, &octets, AP_OPTS_MUTUAL_REQUIRED | AP_OPTS_ETYPE_NEGOTIATION,
                                  KRB5_AUTH_CONTEXT_DO_SEQUENCE);
    CHECK_INT(dw_request_parse(&parsed, dw_buf_span(&token), &err), 0);
    if (keys.count == 0)
        printf("    plug-ins of libkrb5 have a word on authorization data here: no request is read by us\n");
    else if (CHECK(dw_ticket_read(&read, &keys, krb5, &parsed)))
        dw_ticket_wipe(&read);
    dw_buf_free(&token);
    dw_ticket_keys_wipe(&keys, krb5);
    krb5_kt_close(krb5, keytab);
}

int main(void)
{
    if (!getenv("REALM_DIR")) {
        printf("run me inside tests/realm\n");
        return 2;
    }
    CHECK_INT(krb5_init_context(&krb5), 0);
    get_ticket(login("alice"));
    RUN(checksums_mean_what_they_mean_to_the_library);
    RUN(what_a_stock_client_may_add);
    RUN(a_usual_request_is_not_left_to_the_library);
    krb5_free_creds(krb5, ticket);
    krb5_free_context(krb5);
    return check_done();
}
