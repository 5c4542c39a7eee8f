/* AP-REQs made by hand, put to us and to libkrb5: we say yes to none that it refuses, and read what it reads.  No KDC
 * is needed. */
#include "gss_made.h"

#include <errno.h>
#include <unistd.h>

/* ---- Both readers. */

static void compare(const struct dw_ticket *t, krb5_auth_context auth, const krb5_ticket *ticket)
{
    krb5_authenticator *a = NULL;
    const krb5_authenticator *ours = &t->authenticator;
    krb5_keyblock *subkey = NULL;
    krb5_data reply;
    const krb5_enc_tkt_part *part = ticket->enc_part2;
    CHECK_INT(krb5_auth_con_getauthenticator(krb5, auth, &a), 0);
    CHECK(krb5_principal_compare(krb5, t->ticket.enc_part2->client, part->client));
    CHECK(krb5_principal_compare(krb5, t->ticket.server, ticket->server));
    CHECK(krb5_principal_compare(krb5, ours->client, a->client));
    CHECK_INT(t->part.flags, part->flags);
    CHECK_INT(t->part.times.authtime, part->times.authtime);
    CHECK_INT(t->part.times.endtime, part->times.endtime);
    CHECK_INT(t->part.times.renew_till, part->times.renew_till);
    CHECK(same_key(&t->session, part->session));
    CHECK(same_key(ours->subkey, a->subkey));
    CHECK_INT(ours->seq_number, a->seq_number);
    CHECK_INT(ours->ctime, a->ctime);
    CHECK_INT(ours->cusec, a->cusec);
    CHECK(ours->checksum->length == a->checksum->length &&
          memcmp(ours->checksum->contents, a->checksum->contents, a->checksum->length) == 0);
    CHECK(!ours->authorization_data == !a->authorization_data);
    for (size_t i = 0; ours->authorization_data && ours->authorization_data[i]; i++)
        CHECK(a->authorization_data[i] &&
              ours->authorization_data[i]->ad_type == a->authorization_data[i]->ad_type);
    /* The enctype that it negotiated shows in the answer that it would make. */
    krb5_auth_con_setflags(krb5, auth, KRB5_AUTH_CONTEXT_DO_SEQUENCE | KRB5_AUTH_CONTEXT_USE_SUBKEY);
    CHECK_INT(krb5_mk_rep(krb5, auth, &reply), 0);
    CHECK_INT(krb5_auth_con_getsendsubkey(krb5, auth, &subkey), 0);
    CHECK_INT(t->negotiated, subkey->enctype);
    krb5_free_keyblock(krb5, subkey);
    krb5_free_data_contents(krb5, &reply);
    krb5_free_authenticator(krb5, a);
}

struct outcome {
    bool ours;
    krb5_error_code library; /* 0: it lets in */
};

static struct outcome read_both(struct dw_ticket_keys *keys, struct dw_span token)
{
    struct dw_request request;
    struct dw_ticket t;
    struct dw_error err;
    struct outcome o = {.ours = false};
    krb5_auth_context auth = NULL;
    krb5_ticket *ticket = NULL;
    CHECK_INT(dw_request_parse(&request, token, &err), 0);
    krb5_data in = {.length = (unsigned)request.ap_req.len, .data = (char *)(uintptr_t)request.ap_req.at};
    krb5_auth_con_init(krb5, &auth);
    krb5_auth_con_setflags(krb5, auth, 0);
    o.library = krb5_rd_req(krb5, &auth, &in, service, keytab, NULL, &ticket);
    o.ours = dw_ticket_read(&t, keys, krb5, &request);
    if (!CHECK(!o.ours || o.library == 0))
        printf("    let in where the library says %d\n", (int)o.library);
    if (o.ours && o.library == 0)
        compare(&t, auth, ticket);
    if (o.ours)
        dw_ticket_wipe(&t);
    CHECK_INT(dw_buf_len(&keys->room), 0);
    krb5_free_ticket(krb5, ticket);
    krb5_auth_con_free(krb5, auth);
    return o;
}

static struct outcome outcome_of(struct made *m)
{
    struct dw_buf token = request_of(m);
    struct outcome o = read_both(&pinned, dw_buf_span(&token)), again = read_both(&unpinned, dw_buf_span(&token));
    CHECK_INT(o.ours, again.ours);
    dw_buf_free(&token);
    return o;
}

/* ---- Cases. */

static void nothing(struct made *m)
{
    (void)m;
}

static void no_start(struct made *m)
{
    m->part.times.starttime = 0;
}

static void renewable(struct made *m)
{
    m->part.times.renew_till = now() + 86400;
}

static void a_checked_path(struct made *m)
{
    m->part.transited.tr_contents = (krb5_data){.length = 13, .data = "OTHER.EXAMPLE"};
    m->part.flags |= TKT_FLG_TRANSIT_POLICY_CHECKED;
}

static void an_unchecked_path(struct made *m)
{
    a_checked_path(m);
    m->part.flags &= ~TKT_FLG_TRANSIT_POLICY_CHECKED;
}

static void a_subkey(struct made *m)
{
    m->subkey = key_of(2, ENCTYPE_AES128_CTS_HMAC_SHA256_128);
    m->authenticator.subkey = &m->subkey;
}

static void a_large_number(struct made *m)
{
    m->authenticator.seq_number = 0xfffffffe;
}

static void no_number(struct made *m)
{
    m->authenticator.seq_number = 0;
}

static void not_mutual(struct made *m)
{
    m->options = 0;
}

static void invalid(struct made *m)
{
    m->part.flags |= TKT_FLG_INVALID;
}

static void too_early(struct made *m)
{
    m->part.times.starttime = now() + 1000;
}

static void authenticated_later(struct made *m)
{
    m->part.times.starttime = 0;
    m->part.times.authtime = now() + 1000;
}

static void a_little_early(struct made *m)
{
    m->part.times.starttime = now() + 100;
}

static void too_late(struct made *m)
{
    m->part.times.endtime = now() - 1000;
}

static void a_little_late(struct made *m)
{
    m->part.times.endtime = now() - 10;
}

static void another_clock(struct made *m)
{
    m->authenticator.ctime = now() - 1000;
}

static void a_clock_ahead(struct made *m)
{
    m->authenticator.ctime = now() + 1000;
}

static void another_client(struct made *m)
{
    m->authenticator.client = bob;
}

static void another_key(struct made *m)
{
    m->service_key = key_of(5, SERVICE_ENCTYPE);
}

static void another_version(struct made *m)
{
    m->ticket.enc_part.kvno = KVNO + 1;
}

static void no_version(struct made *m)
{
    m->ticket.enc_part.kvno = 0;
}

static void another_enctype(struct made *m)
{
    m->ticket.enc_part.enctype = ENCTYPE_AES128_CTS_HMAC_SHA1_96;
}

static void an_address(struct made *m)
{
    m->address =
        (krb5_address){.addrtype = ADDRTYPE_INET, .length = 4, .contents = (krb5_octet *)(uintptr_t) "\1\2\3\4"};
    m->addresses[0] = &m->address;
    m->part.caddrs = m->addresses;
}

static void an_old_session_key(struct made *m)
{
    m->session = key_of(1, ENCTYPE_ARCFOUR_HMAC);
}

static void an_old_subkey(struct made *m)
{
    m->subkey = key_of(2, ENCTYPE_ARCFOUR_HMAC);
    m->authenticator.subkey = &m->subkey;
}

static void a_short_subkey(struct made *m)
{
    a_subkey(m);
    m->subkey.length--;
}

static void user_to_user(struct made *m)
{
    m->options |= AP_OPTS_USE_SESSION_KEY;
}

static void no_checksum(struct made *m)
{
    m->authenticator.checksum = NULL;
}

static void another_checksum(struct made *m)
{
    m->checksum.checksum_type = CKSUMTYPE_HMAC_SHA1_96_AES256;
}

static void put_data(krb5_authdata *item, krb5_authdata **list, int type, const void *at, size_t len)
{
    *item = (krb5_authdata){.ad_type = type, .length = (unsigned)len, .contents = (krb5_octet *)(uintptr_t)at};
    list[0] = item;
    list[1] = NULL;
}

/* One element in an AD-IF-RELEVANT; what it allocates is freed with the next. */
static void wrap(struct made *m, krb5_authdata **into, int type, const void *at, size_t len)
{
    static krb5_authdata **wrapped;
    krb5_authdata *inner[2];
    krb5_free_authdata(krb5, wrapped);
    wrapped = NULL;
    if (!at)
        return;
    put_data(&m->data[0], inner, type, at, len);
    CHECK_INT(krb5_encode_authdata_container(krb5, KRB5_AUTHDATA_IF_RELEVANT, inner, &wrapped), 0);
    into[0] = wrapped[0];
    into[1] = NULL;
}

/* A PAC of one empty buffer. */
static const uint8_t empty_pac[24] = {1, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 24};

static void a_pac(struct made *m)
{
    wrap(m, m->ticket_data, KRB5_AUTHDATA_WIN2K_PAC, empty_pac, sizeof empty_pac);
    m->part.authorization_data = m->ticket_data;
}

static void two_pacs(struct made *m)
{
    a_pac(m);
    m->ticket_data[1] = m->ticket_data[0];
    m->ticket_data[2] = NULL;
}

static void a_bare_pac(struct made *m)
{
    put_data(&m->data[1], m->ticket_data, KRB5_AUTHDATA_WIN2K_PAC, empty_pac, sizeof empty_pac);
    m->part.authorization_data = m->ticket_data;
}

static void a_broken_pac(struct made *m)
{
    wrap(m, m->ticket_data, KRB5_AUTHDATA_WIN2K_PAC, empty_pac, sizeof empty_pac - 1);
    m->part.authorization_data = m->ticket_data;
}

static void an_unknown_element(struct made *m)
{
    wrap(m, m->ticket_data, 4242, "what", 4);
    m->part.authorization_data = m->ticket_data;
}

static void a_broken_cammac(struct made *m)
{
    wrap(m, m->ticket_data, KRB5_AUTHDATA_CAMMAC, "what", 4);
    m->part.authorization_data = m->ticket_data;
}

/* SEQUENCE { 20, 17, 18 } */
static const uint8_t offer[] = {0x30, 9, 2, 1, 20, 2, 1, 17, 2, 1, 18};

static void an_offer(struct made *m)
{
    wrap(m, m->authenticator_data, KRB5_AUTHDATA_ETYPE_NEGOTIATION, offer, sizeof offer);
    m->authenticator.authorization_data = m->authenticator_data;
}

static void a_bare_offer(struct made *m)
{
    put_data(&m->data[1], m->authenticator_data, KRB5_AUTHDATA_ETYPE_NEGOTIATION, offer, sizeof offer);
    m->authenticator.authorization_data = m->authenticator_data;
}

static void a_broken_offer(struct made *m)
{
    wrap(m, m->authenticator_data, KRB5_AUTHDATA_ETYPE_NEGOTIATION, offer, sizeof offer - 1);
    m->authenticator.authorization_data = m->authenticator_data;
}

/* KERB_AP_OPTIONS_CBT, which others look for. */
static void bound_to_a_channel(struct made *m)
{
    wrap(m, m->authenticator_data, 143, "\0\x40\0\0", 4);
    m->authenticator.authorization_data = m->authenticator_data;
}

enum who { OURS, LIBRARY, NEITHER_OF_THEM };

static void each_case_is_decided_as_the_library_does(void)
{
    static const struct {
        const char *what;
        void (*change)(struct made *m);
        enum who wanted;
        krb5_error_code code;
    } cases[] = {
        {"nothing", nothing, OURS, 0},
        {"no start", no_start, OURS, 0},
        {"renewable", renewable, OURS, 0},
        {"a checked path", a_checked_path, OURS, 0},
        {"a subkey", a_subkey, OURS, 0},
        {"a large number", a_large_number, OURS, 0},
        {"no number", no_number, OURS, 0},
        {"not mutual", not_mutual, OURS, 0},
        {"a PAC", a_pac, OURS, 0},
        {"an offer", an_offer, OURS, 0},
        {"a bare offer", a_bare_offer, OURS, 0},
        {"bound to a channel", bound_to_a_channel, OURS, 0},
        {"a little early", a_little_early, LIBRARY, 0},
        {"a little late", a_little_late, LIBRARY, 0},
        {"no version", no_version, LIBRARY, 0},
        {"an address", an_address, LIBRARY, 0},
        {"an old session key", an_old_session_key, LIBRARY, 0},
        {"an old subkey", an_old_subkey, LIBRARY, 0},
        {"a short subkey", a_short_subkey, LIBRARY, 0},
        {"user to user", user_to_user, LIBRARY, 0},
        {"no checksum", no_checksum, LIBRARY, 0},
        {"another checksum", another_checksum, LIBRARY, 0},
        {"two PACs", two_pacs, LIBRARY, 0},
        {"a bare PAC", a_bare_pac, LIBRARY, 0},
        {"an unknown element", an_unknown_element, LIBRARY, 0},
        {"invalid", invalid, NEITHER_OF_THEM, KRB5KRB_AP_ERR_TKT_INVALID},
        {"too early", too_early, NEITHER_OF_THEM, KRB5KRB_AP_ERR_TKT_NYV},
        {"authenticated later", authenticated_later, NEITHER_OF_THEM, KRB5KRB_AP_ERR_TKT_NYV},
        {"too late", too_late, NEITHER_OF_THEM, KRB5KRB_AP_ERR_TKT_EXPIRED},
        {"another clock", another_clock, NEITHER_OF_THEM, KRB5KRB_AP_ERR_SKEW},
        {"a clock ahead", a_clock_ahead, NEITHER_OF_THEM, KRB5KRB_AP_ERR_SKEW},
        {"another client", another_client, NEITHER_OF_THEM, KRB5KRB_AP_ERR_BADMATCH},
        {"another key", another_key, NEITHER_OF_THEM, KRB5KRB_AP_ERR_BAD_INTEGRITY},
        {"another version", another_version, NEITHER_OF_THEM, KRB5KRB_AP_ERR_BADKEYVER},
        {"an unchecked path", an_unchecked_path, NEITHER_OF_THEM, 0},
        {"a broken PAC", a_broken_pac, NEITHER_OF_THEM, ERANGE},
        {"another enctype", another_enctype, NEITHER_OF_THEM, 0},
        {"a broken CAMMAC", a_broken_cammac, NEITHER_OF_THEM, 0},
        {"a broken offer", a_broken_offer, NEITHER_OF_THEM, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made m;
        int before = check_failed;
        make(&m);
        cases[i].change(&m);
        struct outcome o = outcome_of(&m);
        CHECK_INT(o.ours, cases[i].wanted == OURS);
        CHECK_INT(o.library != 0, cases[i].wanted == NEITHER_OF_THEM);
        if (cases[i].code)
            CHECK_INT(o.library, cases[i].code);
        if (check_failed != before)
            printf("    %s: library says %d\n", cases[i].what, (int)o.library);
    }
    wrap(NULL, NULL, 0, NULL, 0);
}

/* The name in clear is no part of the proof: a pinned key's own principal is what counts. */
static void a_name_that_is_not_the_keys(void)
{
    struct made m;
    make(&m);
    m.ticket.server = other_service;
    struct dw_buf token = request_of(&m);
    struct outcome o = read_both(&pinned, dw_buf_span(&token));
    CHECK(o.ours && o.library == 0);
    o = read_both(&unpinned, dw_buf_span(&token));
    CHECK(!o.ours);
    dw_buf_free(&token);
}

/* Every octet of both plaintexts, changed and sealed again: we are never the more lenient, and never read otherwise. */
static void no_octet_makes_us_more_lenient(void)
{
    static const uint8_t values[] = {0x00, 0x7f, 0x80, 0xff};
    void (*const kinds[])(struct made *) = {a_pac, an_offer, a_subkey};
    size_t let_in = 0;
    for (size_t kind = 0; kind < 3; kind++)
        for (enum place where = IN_TICKET; where <= IN_AUTHENTICATOR; where++)
            for (size_t place = 0; place < 340; place++) {
                struct made m;
                make(&m);
                kinds[kind](&m);
                m.changed = where;
                m.place = place;
                m.value = values[(place + kind) % 4] ^ (uint8_t)(place / 17);
                struct dw_buf token = request_of(&m);
                int before = check_failed;
                let_in += read_both(&pinned, dw_buf_span(&token)).ours;
                if (check_failed != before)
                    printf("    kind %zu, plaintext %d, octet %zu made %02x\n", kind, where, place, m.value);
                dw_buf_free(&token);
            }
    CHECK(let_in > 100 && let_in < 1000);
    wrap(NULL, NULL, 0, NULL, 0);
}

static void put_conf(const char *path, const char *permitted)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fprintf(f, "[libdefaults]\n    %s%s\n", permitted ? "permitted_enctypes = " : "",
                       permitted ? permitted : "") > 0);
    if (f)
        fclose(f);
}

static void what_krb5_conf_does_not_permit(void)
{
    char path[] = "/tmp/test_gss_ticket.XXXXXX";
    struct made m;
    krb5_context former = krb5;
    int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    put_conf(path, NULL);
    setenv("KRB5_CONFIG", path, 1);
    CHECK_INT(krb5_init_context(&krb5), 0);
    make(&m);
    a_subkey(&m);
    struct dw_buf token = request_of(&m);
    struct outcome o = read_both(&pinned, dw_buf_span(&token));
    CHECK(o.ours && o.library == 0);
    put_conf(path, "aes128-cts-hmac-sha1-96 aes128-cts-hmac-sha256-128");
    /* The library looks whether the file has changed at most once in a second of the clock. */
    for (int i = 0; i < 500 && o.library == 0; i++) {
        usleep(20000);
        o = read_both(&pinned, dw_buf_span(&token));
    }
    CHECK(!o.ours && o.library == KRB5_NOPERM_ETYPE);
    dw_buf_free(&token);
    krb5_free_context(krb5);
    krb5 = former;
    unlink(path);
    setenv("KRB5_CONFIG", "/dev/null", 1);
}

int main(void)
{
    begin();
    if (pinned.count == 0)
        printf("plug-ins of libkrb5 have a word on authorization data here: no request is read by us\n");
    else {
        RUN(each_case_is_decided_as_the_library_does);
        RUN(a_name_that_is_not_the_keys);
        RUN(no_octet_makes_us_more_lenient);
        RUN(what_krb5_conf_does_not_permit);
    }
    end();
    return check_done();
}
