/* The usual AP-REQ: see ticket.h. */
#include "gss/ticket.h"

#include "gss/der.h"

static const uint32_t usages[] = {11, 12}; /* authenticator and answer: RFC 4120 section 7.5.1 */
enum { TICKET_PART = DW_DER_APPLICATION + 3, AUTHENTICATOR = DW_DER_APPLICATION + 2 };
enum { CHECKSUM = 0x8003 }; /* RFC 4121 section 4.1.1 */
enum { MOST_ETYPES = 32, KEPT_ROOM = 8192 };

struct reading {
    struct dw_ticket *t;
    const struct dw_ticket_keys *keys;
    krb5_context krb5;
    const struct dw_request *request;
    const struct dw_cipher *cipher; /* the session key's */
    struct dw_span realm, names[DW_REQUEST_COMPONENTS]; /* the client's */
    size_t name_count;
    bool subkey;
    krb5_enctype offered[MOST_ETYPES]; /* RFC 4537 */
    size_t offered_count;
};

static krb5_data data_of(struct dw_span span)
{
    return (krb5_data){.data = (char *)span.at, .length = (unsigned)span.len};
}

/* ---- Parts that both messages have. */

/* EncryptionKey ::= SEQUENCE { [0] keytype, [1] keyvalue }; of one of our enctypes, and of its length. */
static const struct dw_cipher *key_field(struct dw_reader *r, uint8_t number, krb5_keyblock *key)
{
    struct dw_reader in = dw_der_field(r, number), body = dw_der_element(&in, DW_DER_SEQUENCE);
    krb5_enctype enctype = (krb5_enctype)dw_der_integer_field(&body, 0, INT32_MIN, INT32_MAX);
    struct dw_span octets = dw_der_string_field(&body, 1, DW_DER_OCTET_STRING);
    dw_der_close(&in, &body);
    dw_der_close(r, &in);
    const struct dw_cipher *cipher = dw_cipher_of(enctype);
    if (!cipher || octets.len != dw_cipher_key_len(cipher))
        r->failed = true;
    *key = (krb5_keyblock){
        .enctype = enctype, .length = (unsigned)octets.len, .contents = (krb5_octet *)(uintptr_t)octets.at};
    return cipher;
}

/* One element of AuthorizationData: SEQUENCE { [0] ad-type, [1] ad-data }. */
static struct dw_span authdata(struct dw_reader *r, int32_t *type)
{
    struct dw_reader body = dw_der_element(r, DW_DER_SEQUENCE);
    *type = (int32_t)dw_der_integer_field(&body, 0, INT32_MIN, INT32_MAX);
    struct dw_span octets = dw_der_string_field(&body, 1, DW_DER_OCTET_STRING);
    dw_der_close(r, &body);
    return octets;
}

/* Opens what `keys` seal, in place; the plaintext without its confounder. */
static bool open_in_place(const struct dw_cipher *cipher, const struct dw_cipher_keys *keys, uint8_t *at,
                          size_t len, struct dw_span *plain)
{
    size_t tag = dw_cipher_tag_len(cipher);
    if (len < 2 * DW_CIPHER_BLOCK + tag || len > INT32_MAX)
        return false;
    if (dw_cipher_decrypt(cipher, keys, at, len - tag, at + len - tag, NULL) < 0)
        return false;
    *plain = dw_span_make(at + DW_CIPHER_BLOCK, len - tag - DW_CIPHER_BLOCK);
    return true;
}

/* ---- The ticket. */

static bool is_named(const struct dw_ticket_key *key, const struct dw_request *request)
{
    const krb5_principal_data *name = key->principal;
    if ((size_t)name->length != request->component_count ||
        !dw_span_equal(dw_span_make(name->realm.data, name->realm.length), request->realm))
        return false;
    for (size_t i = 0; i < request->component_count; i++)
        if (!dw_span_equal(dw_span_make(name->data[i].data, name->data[i].length), request->components[i]))
            return false;
    return true;
}

/* The key by version and enctype, and by name where there are several. */
static const struct dw_ticket_key *find_key(const struct dw_ticket_keys *keys, const struct dw_request *request)
{
    const struct dw_cipher *cipher = dw_cipher_of(request->ticket.enctype);
    for (size_t i = 0; cipher && request->ticket.has_kvno && i < keys->count; i++) {
        const struct dw_ticket_key *key = &keys->at[i];
        if (key->cipher == cipher && key->kvno == request->ticket.kvno && (keys->pinned || is_named(key, request)))
            return key;
    }
    return NULL;
}

/* In a ticket nothing but one PAC, which AD-IF-RELEVANT wraps. */
static void ticket_authdata(struct reading *reading, struct dw_reader *r)
{
    int32_t type;
    krb5_pac pac = NULL;
    struct dw_reader in = dw_der_field(r, 10), all = dw_der_element(&in, DW_DER_SEQUENCE);
    struct dw_reader wrap = dw_reader_make(authdata(&all, &type));
    if (type != KRB5_AUTHDATA_IF_RELEVANT)
        r->failed = true;
    struct dw_reader wrapped = dw_der_element(&wrap, DW_DER_SEQUENCE);
    struct dw_span octets = authdata(&wrapped, &type);
    dw_der_close(&wrap, &wrapped);
    dw_der_close(&all, &wrap);
    dw_der_close(&in, &all);
    dw_der_close(r, &in);
    if (r->failed || type != KRB5_AUTHDATA_WIN2K_PAC ||
        krb5_pac_parse(reading->krb5, octets.at, octets.len, &pac) != 0)
        r->failed = true;
    if (pac)
        krb5_pac_free(reading->krb5, pac);
}

static void put_client(struct reading *reading)
{
    struct dw_ticket *t = reading->t;
    for (size_t i = 0; i < reading->name_count; i++)
        t->components[i] = data_of(reading->names[i]);
    t->client = (krb5_principal_data){.realm = data_of(reading->realm),
                                      .data = t->components,
                                      .length = (krb5_int32)reading->name_count,
                                      .type = KRB5_NT_PRINCIPAL};
}

/* EncTicketPart ::= [APPLICATION 3] SEQUENCE { [0] flags, [1] key, [2] crealm, [3] cname, [4] transited, [5] authtime,
 * [6] starttime OPTIONAL, [7] endtime, [8] renew-till OPTIONAL, [9] caddr OPTIONAL, [10] authdata OPTIONAL } */
static bool read_part(struct reading *reading, struct dw_span plain)
{
    krb5_enc_tkt_part *part = &reading->t->part;
    struct dw_reader r = dw_reader_make(plain), outer = dw_der_element(&r, TICKET_PART),
                     body = dw_der_element(&outer, DW_DER_SEQUENCE);
    part->flags = (krb5_flags)dw_der_flags_field(&body, 0);
    reading->cipher = key_field(&body, 1, &reading->t->session);
    reading->realm = dw_der_string_field(&body, 2, DW_DER_GENERAL_STRING);
    reading->name_count = dw_der_name_field(&body, 3, reading->names, DW_REQUEST_COMPONENTS);
    struct dw_reader field = dw_der_field(&body, 4), transited = dw_der_element(&field, DW_DER_SEQUENCE);
    dw_der_integer_field(&transited, 0, 0, UINT8_MAX);
    struct dw_span path = dw_der_string_field(&transited, 1, DW_DER_OCTET_STRING);
    dw_der_close(&field, &transited);
    dw_der_close(&body, &field);
    int64_t start = dw_der_time_field(&body, 5);
    part->times.authtime = (krb5_timestamp)start;
    int64_t later = dw_der_has_field(&body, 6) ? dw_der_time_field(&body, 6) : 0;
    if (later)
        start = later;
    int64_t end = dw_der_time_field(&body, 7);
    if (dw_der_has_field(&body, 8))
        part->times.renew_till = (krb5_timestamp)dw_der_time_field(&body, 8);
    if (dw_der_has_field(&body, 10))
        ticket_authdata(reading, &body);
    dw_der_close(&outer, &body);
    dw_der_close(&r, &outer);
    if (r.failed || dw_reader_left(&r) || (part->flags & TKT_FLG_INVALID) ||
        (path.len && !(part->flags & TKT_FLG_TRANSIT_POLICY_CHECKED)))
        return false;
    krb5_timestamp now;
    if (krb5_timeofday(reading->krb5, &now) || start > (int64_t)(uint32_t)now || end <= (int64_t)(uint32_t)now)
        return false;
    part->times.starttime = (krb5_timestamp)start;
    part->times.endtime = (krb5_timestamp)end;
    put_client(reading);
    part->client = &reading->t->client;
    return true;
}

/* ---- The authenticator. */

/* EtypeList ::= SEQUENCE OF Int32 (RFC 4537 section 4); the first one counts. */
static void etype_list(struct reading *reading, struct dw_reader *r, struct dw_span octets)
{
    struct dw_reader in = dw_reader_make(octets), list = dw_der_element(&in, DW_DER_SEQUENCE);
    while (dw_reader_left(&list) && !list.failed && reading->offered_count < MOST_ETYPES) {
        int64_t enctype = dw_der_integer(&list);
        if (enctype < INT32_MIN || enctype > INT32_MAX)
            list.failed = true;
        reading->offered[reading->offered_count++] = (krb5_enctype)enctype;
    }
    dw_der_close(&in, &list);
    dw_der_close(r, &in);
}

/* What is none of ours is left to whoever asks for it. */
static void authenticator_authdata(struct reading *reading, struct dw_reader *r)
{
    struct dw_ticket *t = reading->t;
    struct dw_reader in = dw_der_field(r, 8), all = dw_der_element(&in, DW_DER_SEQUENCE);
    size_t count = 0;
    bool found = false;
    while (dw_reader_left(&all) && count < DW_TICKET_AUTHDATA) {
        int32_t type, inner = 0;
        struct dw_span octets = authdata(&all, &type);
        t->data[count] = (krb5_authdata){
            .ad_type = type, .length = (unsigned)octets.len, .contents = (krb5_octet *)(uintptr_t)octets.at};
        t->list[count] = &t->data[count];
        count++;
        struct dw_reader wrap = dw_reader_make(octets), wrapped = dw_reader_make(dw_span_make("", 0));
        if (type == KRB5_AUTHDATA_IF_RELEVANT)
            wrapped = dw_der_element(&wrap, DW_DER_SEQUENCE);
        else
            dw_reader_rest(&wrap);
        if (type == KRB5_AUTHDATA_ETYPE_NEGOTIATION && !found) {
            etype_list(reading, &all, octets);
            found = true;
        }
        while (dw_reader_left(&wrapped) && !wrapped.failed) {
            octets = authdata(&wrapped, &inner);
            if (inner == KRB5_AUTHDATA_ETYPE_NEGOTIATION && !found) {
                etype_list(reading, &wrapped, octets);
                found = true;
            }
        }
        dw_der_close(&wrap, &wrapped);
        dw_der_close(&all, &wrap);
    }
    dw_der_close(&in, &all);
    dw_der_close(r, &in);
    t->list[count] = NULL;
    t->authenticator.authorization_data = t->list;
}

/* Checksum ::= SEQUENCE { [0] cksumtype, [1] checksum }; that of the GSSAPI, which its room reads. */
static void checksum_field(struct reading *reading, struct dw_reader *r)
{
    krb5_checksum *sum = &reading->t->checksum;
    struct dw_reader in = dw_der_field(r, 3), body = dw_der_element(&in, DW_DER_SEQUENCE);
    sum->checksum_type = (krb5_cksumtype)dw_der_integer_field(&body, 0, CHECKSUM, CHECKSUM);
    struct dw_span octets = dw_der_string_field(&body, 1, DW_DER_OCTET_STRING);
    sum->length = (unsigned)octets.len;
    sum->contents = (krb5_octet *)(uintptr_t)octets.at;
    dw_der_close(&in, &body);
    dw_der_close(r, &in);
    reading->t->authenticator.checksum = sum;
}

/* The octets of a field that is also kept as it stands; `inside` is read again. */
static struct dw_span peek(const struct dw_reader *r, uint8_t number)
{
    struct dw_reader copy = *r, in = dw_der_field(&copy, number);
    return dw_reader_rest(&in);
}

static bool is_client(const struct reading *reading, struct dw_span realm, const struct dw_span *names,
                      size_t count)
{
    bool same = dw_span_equal(realm, reading->realm) && count == reading->name_count;
    for (size_t i = 0; same && i < count; i++)
        same = dw_span_equal(names[i], reading->names[i]);
    return same;
}

/* Authenticator ::= [APPLICATION 2] SEQUENCE { [0] 5, [1] crealm, [2] cname, [3] cksum OPTIONAL, [4] cusec, [5] ctime,
 * [6] subkey OPTIONAL, [7] seq-number OPTIONAL, [8] authorization-data OPTIONAL } */
static bool read_authenticator(struct reading *reading, struct dw_span plain)
{
    struct dw_ticket *t = reading->t;
    krb5_authenticator *a = &t->authenticator;
    struct dw_span names[DW_REQUEST_COMPONENTS];
    struct dw_reader r = dw_reader_make(plain), outer = dw_der_element(&r, AUTHENTICATOR),
                     body = dw_der_element(&outer, DW_DER_SEQUENCE);
    dw_der_integer_field(&body, 0, 5, 5);
    struct dw_span realm = dw_der_string_field(&body, 1, DW_DER_GENERAL_STRING);
    size_t count = dw_der_name_field(&body, 2, names, DW_REQUEST_COMPONENTS);
    checksum_field(reading, &body);
    t->cusec = peek(&body, 4);
    a->cusec = (krb5_int32)dw_der_integer_field(&body, 4, 0, 999999);
    t->ctime = peek(&body, 5);
    a->ctime = (krb5_timestamp)dw_der_time_field(&body, 5);
    if (dw_der_has_field(&body, 6)) {
        key_field(&body, 6, &t->subkey);
        a->subkey = &t->subkey;
    }
    if (dw_der_has_field(&body, 7))
        a->seq_number = (krb5_ui_4)dw_der_integer_field(&body, 7, INT32_MIN, UINT32_MAX);
    if (dw_der_has_field(&body, 8))
        authenticator_authdata(reading, &body);
    dw_der_close(&outer, &body);
    dw_der_close(&r, &outer);
    if (r.failed || dw_reader_left(&r) || !is_client(reading, realm, names, count))
        return false;
    a->client = &t->client;
    return krb5_check_clockskew(reading->krb5, a->ctime) == 0;
}

/* ---- Enctypes. */

static bool is_among(const krb5_enctype *list, size_t count, krb5_enctype enctype)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == enctype)
            return true;
    return false;
}

/* The ticket's enctype, the session key's and the client's subkey's must be permitted; of these last two and those that
 * the client offers the one that we prefer is the answer's (RFC 4537 section 3). */
static bool choose(struct reading *reading, const krb5_enctype *permitted)
{
    struct dw_ticket *t = reading->t;
    krb5_enctype session = t->session.enctype, subkey = t->authenticator.subkey ? t->subkey.enctype : session;
    size_t count = 0;
    while (permitted[count])
        count++;
    if (!is_among(permitted, count, session) || !is_among(permitted, count, subkey) ||
        !is_among(permitted, count, reading->request->ticket.enctype))
        return false;
    for (size_t i = 0; i < count && !t->negotiated; i++)
        if (permitted[i] == session || permitted[i] == subkey ||
            is_among(reading->offered, reading->offered_count, permitted[i]))
            t->negotiated = permitted[i];
    return dw_cipher_of(t->negotiated) != NULL;
}

/* Asked each time, as krb5_rd_req does: the library reads a krb5.conf that has changed anew, and what it no longer
 * permits is not let in from then on. */
static bool negotiate(struct reading *reading)
{
    krb5_enctype *permitted = NULL;
    if (krb5_get_permitted_enctypes(reading->krb5, &permitted))
        return false;
    bool good = choose(reading, permitted);
    krb5_free_enctypes(reading->krb5, permitted);
    return good;
}

/* ---- All of it. */

static bool read_all(struct reading *reading, const struct dw_ticket_key *key)
{
    const struct dw_request *request = reading->request;
    struct dw_ticket *t = reading->t;
    struct dw_span sealed = request->ticket.octets, proof = request->authenticator.octets, plain;
    struct dw_cipher_keys keys[2] = {{.seal = {0}}};
    uint8_t *at = dw_buf_room(t->plain, sealed.len + proof.len);
    if (!at)
        return false;
    memcpy(at, sealed.at, sealed.len);
    memcpy(at + sealed.len, proof.at, proof.len);
    dw_buf_added(t->plain, sealed.len + proof.len);
    if (!open_in_place(key->cipher, &key->keys, at, sealed.len, &plain) || !read_part(reading, plain) ||
        request->authenticator.enctype != t->session.enctype)
        return false;
    bool good = dw_cipher_derive(reading->cipher, t->session.contents, usages, 2, keys, NULL) == 0 &&
                open_in_place(reading->cipher, &keys[0], at + sealed.len, proof.len, &plain) &&
                read_authenticator(reading, plain) && negotiate(reading);
    t->answer = keys[1];
    dw_wipe(keys, sizeof keys);
    t->ticket.server = key->principal;
    t->ticket.enc_part2 = &t->part;
    return good;
}

bool dw_ticket_read(struct dw_ticket *ticket, struct dw_ticket_keys *keys, krb5_context krb5,
                    const struct dw_request *request)
{
    struct reading reading = {.t = ticket, .keys = keys, .krb5 = krb5, .request = request};
    *ticket = (struct dw_ticket){.plain = &keys->room};
    const struct dw_ticket_key *key = find_key(keys, request);
    if (key && !(request->options & AP_OPTS_USE_SESSION_KEY) && read_all(&reading, key))
        return true;
    dw_ticket_wipe(ticket);
    if (reading.cipher)
        dw_cipher_forget(reading.cipher);
    return false;
}

void dw_ticket_wipe(struct dw_ticket *ticket)
{
    if (ticket->plain) {
        dw_wipe(ticket->plain->at, ticket->plain->tail);
        dw_buf_clear(ticket->plain, KEPT_ROOM);
    }
    dw_wipe(ticket, sizeof *ticket);
}
