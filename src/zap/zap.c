/* ZAP's frames: see zap.h.  Sections are those of ZeroMQ RFC 27. */
#include "zap/zap.h"

#include "auth/principal.h"

#include <stdio.h>

int dw_zap_put(struct dw_buf *message, struct dw_span frame)
{
    size_t start = dw_buf_len(message);
    if (frame.len <= UINT32_MAX && dw_buf_put_u32(message, (uint32_t)frame.len) == 0 &&
        dw_buf_put(message, frame) == 0)
        return 0;
    dw_buf_cut(message, start);
    return -1;
}

bool dw_zap_next(struct dw_reader *message, struct dw_span *frame)
{
    if (message->failed || dw_reader_left(message) == 0)
        return false;
    *frame = dw_reader_take(message, dw_reader_u32(message));
    return !message->failed;
}

/* "All string fields are at most 255 characters and are ASCII only." */
static int check_text(const char *what, struct dw_span text, struct dw_error *err)
{
    if (text.len > DW_ZAP_TEXT)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "%s has %zu octets, more than 255", what, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] >= 0x80)
            return dw_error_set(err, DW_ERROR_PROTOCOL, "%s is not ASCII", what);
    return 0;
}

/* Text of ours from here on, so without control characters. */
static int take_word(const char *what, struct dw_span text, char into[DW_ZAP_TEXT + 1], struct dw_error *err)
{
    if (check_text(what, text, err) < 0)
        return -1;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] == 0x7f)
            return dw_error_set(err, DW_ERROR_PROTOCOL, "%s has a control character", what);
    memcpy(into, text.at, text.len);
    into[text.len] = '\0';
    return 0;
}

static int want_frames(const struct dw_zap_request *r, size_t count, struct dw_error *err)
{
    if (r->credential_count == count)
        return 0;
    return dw_error_set(err, DW_ERROR_PROTOCOL, "%s has %zu credential frames, not %zu", r->mechanism,
                        r->credential_count, count);
}

static bool is(const struct dw_zap_request *r, const char *mechanism)
{
    return strcmp(r->mechanism, mechanism) == 0;
}

static bool is_known(const struct dw_zap_request *r)
{
    return is(r, "NULL") || is(r, "PLAIN") || is(r, "CURVE") || is(r, "GSSAPI");
}

/* What gss_display_name gave libzmq: a principal in full. */
static int check_principal(struct dw_span name, struct dw_error *err)
{
    struct dw_principal principal;
    struct dw_error why = {0};
    if (dw_principal_parse(&principal, name, DW_SPAN_NONE, &why) < 0)
        return dw_error_set(err, why.kind, "GSSAPI: %s", why.detail);
    dw_principal_free(&principal);
    return 0;
}

static int check_credentials(const struct dw_zap_request *r, struct dw_error *err)
{
    if (is(r, "NULL"))
        return want_frames(r, 0, err);
    if (is(r, "PLAIN"))
        return want_frames(r, 2, err) < 0 || check_text("the username", r->credentials[0], err) < 0 ||
                       check_text("the password", r->credentials[1], err) < 0
                   ? -1
                   : 0;
    if (is(r, "CURVE") && want_frames(r, 1, err) == 0 && r->credentials[0].len != 32)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "CURVE's key has %zu octets, not 32", r->credentials[0].len);
    if (is(r, "CURVE"))
        return want_frames(r, 1, err);
    if (is(r, "GSSAPI"))
        return want_frames(r, 1, err) < 0 ? -1 : check_principal(r->credentials[0], err);
    return 0;
}

/* The frames from the domain on. */
static int take_body(struct dw_zap_request *r, struct dw_reader *message, struct dw_error *err)
{
    struct dw_span address, mechanism, more;
    bool whole = dw_zap_next(message, &r->domain) && dw_zap_next(message, &address) &&
                 dw_zap_next(message, &r->identity) && dw_zap_next(message, &mechanism);
    if (!whole)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "frames are missing: there is no mechanism");
    /* First: it decides how a refusal must look. */
    if (take_word("the mechanism", mechanism, r->mechanism, err) < 0)
        return -1;
    if (mechanism.len == 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the mechanism is empty");
    if (check_text("the domain", r->domain, err) < 0 || take_word("the address", address, r->address, err) < 0)
        return -1;
    if (r->identity.len > DW_ZAP_TEXT)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the identity has %zu octets, more than 255", r->identity.len);
    while (dw_zap_next(message, &more)) {
        if (r->credential_count == DW_ZAP_CREDENTIALS)
            return dw_error_set(err, DW_ERROR_PROTOCOL, "more than %d credential frames", DW_ZAP_CREDENTIALS);
        r->credentials[r->credential_count++] = more;
    }
    return check_credentials(r, err);
}

enum dw_zap_sense dw_zap_parse(struct dw_zap_request *r, struct dw_span bytes, struct dw_error *err)
{
    struct dw_reader message = dw_reader_make(bytes), ahead = message;
    struct dw_span frame, version;
    bool is_delimiter = false;
    *r = (struct dw_zap_request){.id = DW_SPAN_NONE};
    while (dw_zap_next(&ahead, &frame))
        is_delimiter = true;
    if (ahead.failed || !is_delimiter) {
        dw_error_set(err, DW_ERROR_PROTOCOL, "no message");
        return DW_ZAP_SENSELESS;
    }
    for (is_delimiter = false; !is_delimiter && dw_zap_next(&message, &frame);)
        is_delimiter = frame.len == 0;
    r->envelope = dw_span_make(bytes.at, (size_t)(message.at - bytes.at));
    if (!is_delimiter || !dw_zap_next(&message, &version) || !dw_zap_next(&message, &r->id)) {
        dw_error_set(err, DW_ERROR_PROTOCOL,
                     is_delimiter ? "frames are missing: there is no request id" : "there is no delimiter frame");
        return DW_ZAP_SENSELESS;
    }
    int rc = take_body(r, &message, err);
    if (!dw_span_equal(version, DW_SPAN_OF("1.0")))
        rc = dw_error_set(err, DW_ERROR_PROTOCOL, "the version is not 1.0");
    return rc < 0 ? DW_ZAP_MALFORMED : DW_ZAP_SOUND;
}

/* A number of the process's own, as libzmq printed it, with what ends it. */
static bool take_id(const char **at, char end, long *id)
{
    const char *start = *at;
    for (*id = 0; **at >= '0' && **at <= '9' && *at - start < 10; ++*at)
        *id = *id * 10 + (**at - '0');
    return *at > start && *(*at)++ == end;
}

/* Of a client on a unix socket libzmq says "localhost:uid:gid:pid". */
static void describe_peer(const char *address, struct dw_event_peer *peer)
{
    static const char local[] = "localhost";
    const char *at = strncmp(address, local, sizeof local - 1) == 0 ? address + sizeof local - 1 : address;
    struct dw_event_peer ids = {.address = "local", .has_ids = true};
    if (*at++ == ':' && take_id(&at, ':', &ids.uid) && take_id(&at, ':', &ids.gid) && take_id(&at, '\0', &ids.pid))
        *peer = ids;
    else
        peer->address = *address ? address : NULL;
}

void dw_zap_describe(const struct dw_zap_request *r, struct dw_event *event)
{
    event->front = DW_FRONT_ZAP;
    event->mechanism = r->mechanism;
    describe_peer(r->address, &event->peer);
    /* Stock libzmq sends an empty domain when none is set. */
    event->domain = r->domain;
    event->zap.present = true;
    event->zap.identity = r->identity;
    event->zap.request_id = r->id;
    if (is(r, "PLAIN")) {
        event->plain.present = true;
        event->plain.username = r->credentials[0];
        event->plain.password = r->credentials[1];
    } else if (is(r, "CURVE")) {
        event->curve_key = r->credentials[0];
    } else if (is(r, "GSSAPI")) {
        event->principal = r->credentials[0];
    } else if (!is_known(r)) {
        event->credentials = r->credentials;
        event->credential_count = r->credential_count;
    }
}

/* RFC 23: name-char. */
static bool is_name(struct dw_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit && (!c || !strchr("-_.+", c)))
            return false;
    }
    return name.len > 0 && name.len <= DW_ZAP_TEXT;
}

int dw_zap_check(const struct dw_decision *d, struct dw_error *err)
{
    if (d->verdict != DW_ALLOW)
        return 0;
    if (!d->user)
        return dw_error_set(err, DW_ERROR_INTERNAL, "there is no user to put into ZAP's reply");
    if (strlen(d->user) > DW_ZAP_TEXT)
        return dw_error_set(err, DW_ERROR_INTERNAL, "the user has %zu octets, and ZAP's reply takes 255",
                            strlen(d->user));
    for (size_t i = 0; i < d->property_count; i++) {
        const struct dw_property *p = &d->properties[i];
        struct dw_span name = dw_span_str(p->name);
        if (!is_name(name))
            return dw_error_set(err, DW_ERROR_INTERNAL, "a property's name is not fit for ZAP's metadata");
        if (dw_span_equal_nocase(name, DW_SPAN_OF("Socket-Type")))
            return dw_error_set(err, DW_ERROR_INTERNAL, "Socket-Type may not stand in ZAP's metadata");
        if (p->value_len > INT32_MAX)
            return dw_error_set(err, DW_ERROR_INTERNAL, "property '%s' is too long for ZAP's metadata", p->name);
        for (size_t j = 0; j < i; j++)
            if (dw_span_equal_nocase(name, dw_span_str(d->properties[j].name)))
                return dw_error_set(err, DW_ERROR_INTERNAL,
                                    "property '%s' is there twice; case makes no difference", p->name);
    }
    return 0;
}

enum dw_zap_status dw_zap_status_of(const struct dw_decision *d)
{
    switch (d->verdict) {
    case DW_ALLOW: return DW_ZAP_OK;
    case DW_DENY: return DW_ZAP_DENIED;
    case DW_TEMPORARY: return DW_ZAP_TEMPORARY;
    }
    return DW_ZAP_INTERNAL;
}

static const char *text_of(enum dw_zap_status status)
{
    switch (status) {
    case DW_ZAP_OK: return "OK";
    case DW_ZAP_DENIED: return dw_error_phrase(DW_ERROR_DENIED);
    case DW_ZAP_TEMPORARY: return dw_error_phrase(DW_ERROR_TEMPORARY);
    case DW_ZAP_INTERNAL: break;
    }
    return "internal error";
}

static int put_metadata(struct dw_buf *meta, const struct dw_zap_request *r, const struct dw_decision *granted)
{
    if (!granted)
        return is(r, "GSSAPI") ? dw_buf_put_u8(meta, 0) : 0;
    for (size_t i = 0; i < granted->property_count; i++) {
        const struct dw_property *p = &granted->properties[i];
        struct dw_span name = dw_span_str(p->name), value = dw_span_make(p->value, p->value_len);
        if (dw_buf_put_u8(meta, (uint8_t)name.len) < 0 || dw_buf_put(meta, name) < 0 ||
            dw_buf_put_u32(meta, (uint32_t)value.len) < 0 || dw_buf_put(meta, value) < 0)
            return -1;
    }
    return 0;
}

int dw_zap_reply(struct dw_buf *out, const struct dw_zap_request *r, enum dw_zap_status status,
                 const struct dw_decision *decision)
{
    const struct dw_decision *granted = status == DW_ZAP_OK ? decision : NULL;
    struct dw_buf meta = {0};
    size_t start = dw_buf_len(out);
    char digits[12];
    snprintf(digits, sizeof digits, "%d", (int)status);
    int rc = put_metadata(&meta, r, granted) < 0 || dw_buf_put(out, r->envelope) < 0 ||
                     dw_zap_put(out, DW_SPAN_OF("1.0")) < 0 || dw_zap_put(out, r->id) < 0 ||
                     dw_zap_put(out, dw_span_str(digits)) < 0 ||
                     dw_zap_put(out, dw_span_str(text_of(status))) < 0 ||
                     dw_zap_put(out, granted ? dw_span_str(granted->user) : DW_SPAN_OF("")) < 0 ||
                     dw_zap_put(out, dw_buf_span(&meta)) < 0
                 ? -1
                 : 0;
    if (rc < 0)
        dw_buf_cut(out, start);
    dw_buf_free(&meta);
    return rc;
}
