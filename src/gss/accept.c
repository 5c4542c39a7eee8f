/* The acceptor's handshake (RFC 4121 section 4.1) on libkrb5 itself: what gss_accept_sec_context does, without the
 * library context that it opens anew for every call and keeps for every connection. */
#include "gss/ap_rep.h"
#include "gss/library.h"
#include "gss/name.h"
#include "gss/request.h"
#include "gss/session.h"
#include "gss/status.h"

#include <gssapi/gssapi_ext.h>
#include <stdlib.h>
#include <time.h>

enum { AP_REP = 0x0200, KRB_ERROR = 0x0300 }; /* RFC 4121 section 4.1 */
enum { MOST_NUMBER = 127, GENERIC = 60 }; /* RFC 4120 section 7.5.9 */
enum { CHECKSUM = 0x8003, FIXED_PART = 24, BINDINGS = 16, DELEGATION = 1 }; /* RFC 4121 section 4.1.1 */

/* What a client may ask of a context. */
static const uint32_t asked = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG |
                              GSS_C_INTEG_FLAG | GSS_C_DCE_STYLE | GSS_C_IDENTIFY_FLAG | GSS_C_EXTENDED_ERROR_FLAG;

struct login {
    struct dw_held *held;
    krb5_context krb5; /* the held one's */
    struct dw_request request;
    krb5_auth_context auth;
    krb5_flags options;
    krb5_ticket *ticket;
    krb5_authenticator *authenticator;
    krb5_data answer;
    bool usual; /* read here, with what follows in place of the library's own */
    struct dw_ticket proven;
    struct dw_ap_rep made;
};

static void login_end(struct login *l)
{
    if (l->usual) {
        dw_ticket_wipe(&l->proven);
        dw_wipe(&l->made, sizeof l->made);
        return;
    }
    if (l->answer.data)
        krb5_free_data_contents(l->krb5, &l->answer);
    krb5_free_authenticator(l->krb5, l->authenticator);
    krb5_free_ticket(l->krb5, l->ticket);
    /* The replay cache is the credential's. */
    if (l->auth)
        krb5_auth_con_setrcache(l->krb5, l->auth, NULL);
    krb5_auth_con_free(l->krb5, l->auth);
    l->answer.data = NULL;
    l->authenticator = NULL;
    l->ticket = NULL;
    l->auth = NULL;
}

static int tell(struct login *l, krb5_error_code code, struct dw_error *err)
{
    struct dw_buf service = {0};
    dw_request_format(&l->request, &service);
    dw_status_tell_krb5(err, l->krb5, code, "ticket for %.*s", (int)dw_buf_len(&service),
                        (const char *)dw_buf_span(&service).at);
    dw_buf_free(&service);
    return -1;
}

static krb5_error_code read_for(struct login *l, krb5_const_principal server)
{
    krb5_data in = {.length = (unsigned)l->request.ap_req.len, .data = (char *)l->request.ap_req.at};
    krb5_error_code code = krb5_auth_con_init(l->krb5, &l->auth);
    /* Without one of ours, and with the flags of a new one, the library takes the environment's. */
    if (!code)
        code = l->held->rcache ? krb5_auth_con_setrcache(l->krb5, l->auth, l->held->rcache)
                               : krb5_auth_con_setflags(l->krb5, l->auth, 0);
    if (!code)
        code = krb5_rd_req(l->krb5, &l->auth, &in, server, l->held->keytab_copy, &l->options, &l->ticket);
    return code;
}

/* Before the request was proven, and so before it was taken down in the replay cache. */
static bool is_of_keys(krb5_error_code code)
{
    return code == KRB5KRB_AP_ERR_NOKEY || code == KRB5KRB_AP_ERR_BADKEYVER || code == KRB5KRB_AP_ERR_NOT_US ||
           code == KRB5KRB_AP_WRONG_PRINC || code == KRB5KRB_AP_ERR_BAD_INTEGRITY || code == KRB5_KT_NOTFOUND ||
           code == KRB5_KT_KVNONOTFOUND;
}

/* The last of all proofs, as what is taken down will not be let in again. */
static krb5_error_code remember(struct login *l)
{
    const struct dw_encrypted *proof = &l->request.authenticator;
    struct dw_span sealed = proof->octets;
    size_t tag = dw_cipher_tag_len(dw_cipher_of(proof->enctype));
    if (l->held->seen.path)
        return dw_rcache_store(&l->held->seen, l->krb5, dw_span_make(sealed.at + sealed.len - tag, tag));
    const krb5_enc_data message = {
        .enctype = proof->enctype,
        .ciphertext = {.length = (unsigned)sealed.len, .data = (char *)(uintptr_t)sealed.at},
    };
    return l->held->rcache ? k5_rc_store(l->krb5, l->held->rcache, &message) : 0;
}

static bool is_usual(struct login *l)
{
    l->usual = dw_ticket_read(&l->proven, &l->held->keys, l->krb5, &l->request);
    if (!l->usual)
        return false;
    l->ticket = &l->proven.ticket;
    l->authenticator = &l->proven.authenticator;
    l->options = (krb5_flags)(l->request.options & AP_OPTS_WIRE_MASK);
    return true;
}

/* The service that the ticket is for, borrowed from the request and with room for its parts. */
struct asked_for {
    krb5_data parts[sizeof((struct dw_request *)0)->components / sizeof(struct dw_span)];
    krb5_principal_data name;
};

static krb5_const_principal name_asked_for(const struct dw_request *request, struct asked_for *into)
{
    for (size_t i = 0; i < request->component_count; i++)
        into->parts[i] =
            (krb5_data){.data = (char *)request->components[i].at, .length = (unsigned)request->components[i].len};
    into->name = (krb5_principal_data){
        .realm = {.data = (char *)request->realm.at, .length = (unsigned)request->realm.len},
        .data = into->parts,
        .length = (krb5_int32)request->component_count,
        .type = KRB5_NT_PRINCIPAL,
    };
    return &into->name;
}

/* Proves ticket and authenticator.  The key is looked up by principal, version and enctype; when that one does not open
 * the ticket, each is tried, which also finds what there is to say about it.  Of keys that several services share the one
 * that was asked for tells which of them it was. */
static krb5_error_code read_request(struct login *l)
{
    struct asked_for asked_for;
    if (is_usual(l))
        return remember(l);
    krb5_error_code code = read_for(l, l->held->only ? l->held->only : name_asked_for(&l->request, &asked_for));
    if (is_of_keys(code)) {
        login_end(l);
        code = read_for(l, NULL);
    }
    return code ? code : krb5_auth_con_getauthenticator(l->krb5, l->auth, &l->authenticator);
}

/* Samba's clients send an ordinary checksum, of nothing. */
static int check_plain_checksum(struct login *l, struct dw_error *err)
{
    const krb5_data nothing = {.data = ""};
    krb5_keyblock *key = NULL;
    krb5_boolean valid = FALSE;
    krb5_error_code code = krb5_auth_con_getkey(l->krb5, l->auth, &key);
    if (!code && key)
        code = krb5_c_verify_checksum(l->krb5, key, KRB5_KEYUSAGE_AP_REQ_AUTH_CKSUM, &nothing,
                                      l->authenticator->checksum, &valid);
    krb5_free_keyblock(l->krb5, key);
    if (code || !valid)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "an authenticator whose checksum is of something else");
    return 0;
}

static uint32_t little_endian(struct dw_span octets)
{
    uint32_t value = 0;
    for (size_t i = octets.len; i > 0; i--)
        value = value << 8 | octets.at[i - 1];
    return value;
}

/* RFC 4121 section 4.1.1: what the client asks of the context stands in place of a checksum.  Its channel bindings are
 * kept for who has a channel; a credential that it delegates is left where it is. */
static int read_checksum(struct login *l, uint32_t *flags, uint8_t bindings[BINDINGS], struct dw_error *err)
{
    const krb5_checksum *checksum = l->authenticator->checksum;
    *flags = 0;
    if (!checksum)
        return 0;
    if (checksum->checksum_type != CHECKSUM) {
        *flags = GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG;
        if (l->options & AP_OPTS_MUTUAL_REQUIRED)
            *flags |= GSS_C_MUTUAL_FLAG;
        return check_plain_checksum(l, err);
    }
    struct dw_reader r = dw_reader_make(dw_span_make(checksum->contents, checksum->length));
    bool good = checksum->length >= FIXED_PART && little_endian(dw_reader_take(&r, 4)) == BINDINGS;
    struct dw_span bound = dw_reader_take(&r, BINDINGS);
    if (bound.len == BINDINGS)
        memcpy(bindings, bound.at, BINDINGS);
    uint32_t given = good ? little_endian(dw_reader_take(&r, 4)) : 0;
    *flags = given & asked;
    if ((given & GSS_C_DELEG_FLAG) && dw_reader_left(&r) >= 4) {
        good = little_endian(dw_reader_take(&r, 2)) == DELEGATION;
        dw_reader_take(&r, little_endian(dw_reader_take(&r, 2)));
        *flags |= GSS_C_DELEG_FLAG;
    }
    /* Extensions: number and length in network order. */
    while (good && !r.failed && dw_reader_left(&r)) {
        dw_reader_u32(&r);
        dw_reader_take(&r, dw_reader_u32(&r));
    }
    if (!good || r.failed)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "an authenticator checksum that is not as RFC 4121 has it");
    return 0;
}

static int take_key(struct dw_context *ctx, const krb5_keyblock *key, uint32_t ours, uint32_t theirs,
                    struct dw_error *err)
{
    bool mutual = (ctx->flags & GSS_C_MUTUAL_FLAG) != 0;
    const struct dw_seal_key taken = {key->enctype, dw_span_make(key->contents, key->length), mutual};
    return dw_seal_make(&ctx->seal, &taken, false, ours, theirs, err);
}

/* As make_keys has it from the library, down to the number that a client gets who asks for an answer in one place only. */
static int make_usual_keys(struct login *l, struct dw_context *ctx, struct dw_error *err)
{
    struct dw_ticket *t = &l->proven;
    uint32_t theirs = t->authenticator.seq_number;
    if (!(ctx->flags & GSS_C_MUTUAL_FLAG))
        return take_key(ctx, t->authenticator.subkey ? &t->subkey : &t->session, theirs, theirs, err);
    if (dw_ap_rep_make(&l->made, t, l->options & AP_OPTS_MUTUAL_REQUIRED ? 0 : theirs, err) < 0)
        return -1;
    struct dw_span message = l->made.message;
    l->answer = (krb5_data){.length = (unsigned)message.len, .data = (char *)(uintptr_t)message.at};
    return take_key(ctx, &l->made.subkey, l->made.number, theirs, err);
}

/* Makes the answer, if one is wanted, with a subkey of our own; and takes the keys that it leaves us with. */
static int make_keys(struct login *l, struct dw_context *ctx, struct dw_error *err)
{
    if (l->usual)
        return make_usual_keys(l, ctx, err);
    bool mutual = (ctx->flags & GSS_C_MUTUAL_FLAG) != 0;
    krb5_int32 theirs = 0, ours = 0;
    krb5_keyblock *key = NULL;
    krb5_int32 flags = KRB5_AUTH_CONTEXT_DO_SEQUENCE | (mutual ? KRB5_AUTH_CONTEXT_USE_SUBKEY : 0);
    krb5_error_code code = krb5_auth_con_setflags(l->krb5, l->auth, flags);
    if (!code)
        code = krb5_auth_con_getremoteseqnumber(l->krb5, l->auth, &theirs);
    ours = theirs;
    if (!code && mutual)
        code = krb5_mk_rep(l->krb5, l->auth, &l->answer);
    if (!code && mutual)
        code = krb5_auth_con_getlocalseqnumber(l->krb5, l->auth, &ours);
    if (!code)
        code = mutual ? krb5_auth_con_getsendsubkey(l->krb5, l->auth, &key)
                      : krb5_auth_con_getrecvsubkey(l->krb5, l->auth, &key);
    if (!code && !key)
        code = krb5_auth_con_getkey(l->krb5, l->auth, &key);
    if (code || !key)
        return tell(l, code ? code : KRB5KDC_ERR_NULL_KEY, err);
    int rc = take_key(ctx, key, (uint32_t)ours, (uint32_t)theirs, err);
    krb5_free_keyblock(l->krb5, key);
    return rc;
}

static char *printed(struct login *l, krb5_const_principal principal)
{
    char *name = NULL;
    if (krb5_unparse_name(l->krb5, principal, &name))
        return NULL;
    char *copy = strdup(name);
    krb5_free_unparsed_name(l->krb5, name);
    return copy;
}

static bool same(const krb5_data *a, const krb5_data *b)
{
    return dw_span_equal(dw_span_make(a->data, a->length), dw_span_make(b->data, b->length));
}

/* The library tolerates some clock skew and takes a ticket that has just ended; a connection may not outlive its ticket,
 * so for us it has. */
static int set_lifetime(struct login *l, struct dw_context *ctx, struct dw_error *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t end = (uint32_t)l->ticket->enc_part2->times.endtime; /* unsigned: until 2106 */
    if (end <= now.tv_sec)
        return tell(l, KRB5KRB_AP_ERR_TKT_EXPIRED, err);
    ctx->expires = (double)end;
    ctx->lifetime = (uint32_t)(end - now.tv_sec);
    return 0;
}

static int know_peer(struct login *l, struct dw_context *ctx, struct dw_error *err)
{
    const krb5_enc_tkt_part *ticket = l->ticket->enc_part2;
    ctx->peer = printed(l, ticket->client);
    ctx->target = printed(l, l->ticket->server);
    if (!ctx->peer || !ctx->target)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    ctx->cross_realm = !same(&ticket->client->realm, &l->ticket->server->realm);
    ctx->anonymous = (ticket->flags & TKT_FLG_ANONYMOUS) ||
                     krb5_principal_compare_any_realm(l->krb5, ticket->client, krb5_anonymous_principal()) ||
                     same(&ticket->client->realm, krb5_anonymous_realm());
    if (set_lifetime(l, ctx, err) < 0)
        return -1;
    return l->usual ? 0 : dw_facts_gather(l->krb5, l->auth, &ctx->facts, err);
}

/* RFC 2743 section 3.1, as RFC 4121 section 4.1 has it. */
static int put_token(struct dw_buf *reply, uint16_t id, const krb5_data *message)
{
    static const struct dw_span mech = DW_SPAN_OF("\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
    size_t inside = mech.len + 2 + message->length, octets = 0, before = dw_buf_len(reply);
    while (inside >> 8 * octets)
        octets++;
    bool good = dw_buf_put_u8(reply, 0x60) == 0;
    if (inside >= 0x80)
        good = good && dw_buf_put_u8(reply, (uint8_t)(0x80 | octets)) == 0;
    else
        octets = 1;
    for (size_t i = octets; i > 0; i--)
        good = good && dw_buf_put_u8(reply, (uint8_t)(inside >> 8 * (i - 1))) == 0;
    good = good && dw_buf_put(reply, mech) == 0 && dw_buf_put_u8(reply, (uint8_t)(id >> 8)) == 0 &&
           dw_buf_put_u8(reply, (uint8_t)id) == 0 &&
           dw_buf_put(reply, dw_span_make(message->data, message->length)) == 0;
    if (!good)
        dw_buf_cut(reply, before);
    return good ? 0 : -1;
}

/* Tells the peer what was wrong, in Kerberos' own words; of no consequence when memory is out for it. */
static void put_error(struct login *l, krb5_error_code code, struct dw_buf *reply)
{
    struct asked_for server;
    krb5_data message;
    name_asked_for(&l->request, &server);
    krb5_error_code number = code - ERROR_TABLE_BASE_krb5;
    krb5_error said = {
        .error = number < 0 || number > MOST_NUMBER ? GENERIC : (krb5_ui_4)number,
        .server = &server.name,
    };
    krb5_us_timeofday(l->krb5, &said.stime, &said.susec);
    if (krb5_mk_error(l->krb5, &said, &message))
        return;
    put_token(reply, KRB_ERROR, &message);
    krb5_free_data_contents(l->krb5, &message);
}

static int establish(struct login *l, struct dw_context *ctx, struct dw_buf *reply, struct dw_error *err)
{
    if (read_checksum(l, &ctx->flags, ctx->bindings, err) < 0)
        return -1;
    /* Its messages are not laid out as ours, and it takes a third leg. */
    if (ctx->flags & GSS_C_DCE_STYLE)
        return dw_error_set(err, DW_ERROR_PROTOCOL,
                            "the client asks for a DCE style context, which is not spoken here");
    if (make_keys(l, ctx, err) < 0 || know_peer(l, ctx, err) < 0)
        return -1;
    if (l->answer.data && put_token(reply, AP_REP, &l->answer) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    ctx->done = true;
    return 0;
}

int dw_accept_step(struct dw_context *ctx, struct dw_span token, struct dw_buf *reply, struct dw_error *err)
{
    struct login l = {.held = ctx->held, .krb5 = ctx->held->krb5};
    /* Nothing reaches the library that is not a Kerberos AP-REQ through and through. */
    if (dw_request_parse(&l.request, token, err) < 0)
        return -1;
    krb5_error_code code = read_request(&l);
    int rc = code ? tell(&l, code, err) : establish(&l, ctx, reply, err);
    if (rc < 0 && (l.request.mutual || (ctx->flags & GSS_C_MUTUAL_FLAG)))
        put_error(&l, code, reply);
    login_end(&l);
    return rc;
}
