/* The little of ASN.1 that Kerberos messages are made of: see der.h. */
#include "gss/der.h"

struct dw_reader dw_der_element(struct dw_reader *r, uint8_t tag)
{
    struct dw_span none = dw_span_make("", 0);
    if (dw_reader_u8(r) != tag)
        r->failed = true;
    size_t len = dw_reader_u8(r);
    if (len >= 0x80) {
        size_t octets = len & 0x7f;
        struct dw_span raw = dw_reader_take(r, octets);
        if (octets == 0 || octets > 4 || raw.len != octets || raw.at[0] == 0)
            r->failed = true;
        len = 0;
        for (size_t i = 0; !r->failed && i < octets; i++)
            len = len << 8 | raw.at[i];
        if (len < 0x80)
            r->failed = true;
    }
    struct dw_span inside = dw_reader_take(r, len);
    return dw_reader_make(r->failed ? none : inside);
}

struct dw_reader dw_der_field(struct dw_reader *r, uint8_t number)
{
    return dw_der_element(r, (uint8_t)(DW_DER_FIELD + number));
}

void dw_der_close(struct dw_reader *parent, const struct dw_reader *inner)
{
    if (inner->failed || inner->at != inner->end)
        parent->failed = true;
}

bool dw_der_has_field(const struct dw_reader *r, uint8_t number)
{
    return !r->failed && dw_reader_left(r) && *r->at == DW_DER_FIELD + number;
}

int64_t dw_der_integer(struct dw_reader *r)
{
    struct dw_reader in = dw_der_element(r, DW_DER_INTEGER);
    struct dw_span raw = dw_reader_rest(&in);
    bool padded = raw.len > 1 && ((raw.at[0] == 0 && raw.at[1] < 0x80) || (raw.at[0] == 0xff && raw.at[1] >= 0x80));
    if (raw.len < 1 || raw.len > 5 || padded)
        r->failed = true;
    uint64_t value = raw.len && raw.at[0] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; !r->failed && i < raw.len; i++)
        value = value << 8 | raw.at[i];
    return r->failed ? 0 : (int64_t)value;
}

struct dw_span dw_der_string(struct dw_reader *r, uint8_t tag)
{
    struct dw_reader in = dw_der_element(r, tag);
    return dw_reader_rest(&in);
}

int64_t dw_der_integer_field(struct dw_reader *r, uint8_t number, int64_t low, int64_t high)
{
    struct dw_reader in = dw_der_field(r, number);
    int64_t value = dw_der_integer(&in);
    if (value < low || value > high)
        r->failed = true;
    dw_der_close(r, &in);
    return value;
}

struct dw_span dw_der_string_field(struct dw_reader *r, uint8_t number, uint8_t tag)
{
    struct dw_reader in = dw_der_field(r, number);
    struct dw_span value = dw_der_string(&in, tag);
    dw_der_close(r, &in);
    return value;
}

uint32_t dw_der_flags_field(struct dw_reader *r, uint8_t number)
{
    struct dw_reader bits = dw_reader_make(dw_der_string_field(r, number, DW_DER_BIT_STRING));
    uint8_t unused = dw_reader_u8(&bits);
    uint32_t flags = dw_reader_u32(&bits);
    if (unused)
        r->failed = true;
    dw_der_close(r, &bits);
    return flags;
}

/* Of as many digits as `most` has; one that is greater, or no digit, is a failure. */
static int64_t digits(struct dw_reader *r, size_t count, int64_t least, int64_t most)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t c = dw_reader_u8(r);
        if (c < '0' || c > '9')
            r->failed = true;
        value = value * 10 + (c - '0');
    }
    if (value < least || value > most)
        r->failed = true;
    return value;
}

/* Days since 1970 in the Gregorian calendar, by years that start in March. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719468;
}

int64_t dw_der_time_field(struct dw_reader *r, uint8_t number)
{
    struct dw_reader in = dw_reader_make(dw_der_string_field(r, number, DW_DER_TIME));
    int64_t year = digits(&in, 4, 1970, 2105), month = digits(&in, 2, 1, 12), day = digits(&in, 2, 1, 31);
    int64_t hour = digits(&in, 2, 0, 23), minute = digits(&in, 2, 0, 59), second = digits(&in, 2, 0, 59);
    bool is_last = month == 12;
    if (dw_reader_u8(&in) != 'Z' ||
        days_of(year, month, day) >= days_of(year + is_last, is_last ? 1 : month + 1, 1)) /* no 30th of February */
        in.failed = true;
    dw_der_close(r, &in);
    return r->failed ? 0 : (days_of(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
}

/* PrincipalName ::= SEQUENCE { [0] name-type, [1] SEQUENCE OF KerberosString } */
size_t dw_der_name_field(struct dw_reader *r, uint8_t number, struct dw_span *components, size_t most)
{
    size_t count = 0;
    struct dw_reader in = dw_der_field(r, number), name = dw_der_element(&in, DW_DER_SEQUENCE);
    dw_der_integer_field(&name, 0, INT32_MIN, INT32_MAX);
    struct dw_reader list = dw_der_field(&name, 1), parts = dw_der_element(&list, DW_DER_SEQUENCE);
    while (dw_reader_left(&parts) && count < most)
        components[count++] = dw_der_string(&parts, DW_DER_GENERAL_STRING);
    if (count == 0)
        parts.failed = true;
    dw_der_close(&list, &parts);
    dw_der_close(&name, &list);
    dw_der_close(&in, &name);
    dw_der_close(r, &in);
    return count;
}

void dw_der_put(struct dw_der *d, struct dw_span octets)
{
    if (octets.len > (size_t)(d->at - d->start)) {
        d->failed = true;
        return;
    }
    d->at -= octets.len;
    if (octets.len)
        memcpy(d->at, octets.at, octets.len);
}

static void put_u8(struct dw_der *d, uint8_t value)
{
    dw_der_put(d, dw_span_make(&value, 1));
}

void dw_der_head(struct dw_der *d, uint8_t tag, const uint8_t *end)
{
    size_t len = (size_t)(end - d->at), octets = 0;
    if (len < 0x80) {
        put_u8(d, (uint8_t)len);
    } else {
        for (size_t left = len; left; left >>= 8, octets++)
            put_u8(d, (uint8_t)left);
        put_u8(d, (uint8_t)(0x80 | octets));
    }
    put_u8(d, tag);
}

void dw_der_put_integer(struct dw_der *d, uint32_t value)
{
    const uint8_t *end = d->at;
    do {
        put_u8(d, (uint8_t)value);
        value >>= 8;
    } while (value);
    /* It would be taken for a negative one. */
    if (!d->failed && *d->at >= 0x80)
        put_u8(d, 0);
    dw_der_head(d, DW_DER_INTEGER, end);
}
