/* Domains compared, JIDs split: see jid.h. */
#include "xmpp/jid.h"

#include "base/text.h"

enum { MOST_DOMAIN = 1023, MOST_LABEL = 63 };

static void put_character(struct dw_jid_domain *into, uint32_t c)
{
    uint8_t *octets = into->octets + into->len;
    size_t len = 0;
    if (c < 0x80) {
        octets[len++] = (uint8_t)c;
    } else if (c < 0x800) {
        octets[len++] = (uint8_t)(0xc0 | c >> 6);
        octets[len++] = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        octets[len++] = (uint8_t)(0xe0 | c >> 12);
        octets[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        octets[len++] = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        octets[len++] = (uint8_t)(0xf0 | c >> 18);
        octets[len++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        octets[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        octets[len++] = (uint8_t)(0x80 | (c & 0x3f));
    }
    into->len += len;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* RFC 3492 section 6.1. */
static uint32_t adapt(uint32_t delta, uint32_t points, bool is_first)
{
    uint32_t k = 0;
    delta = is_first ? delta / 700 : delta / 2;
    delta += delta / points;
    for (; delta > (36 - 1) * 26 / 2; k += 36)
        delta /= 36 - 1;
    return k + 36 * delta / (delta + 38);
}

/* One number of variable length (RFC 3492 section 6.2); -1 when the digits end early or are none. */
static int take_number(struct dw_span *digits, uint32_t bias, uint32_t *value)
{
    uint64_t weight = 1, sum = *value;
    for (uint32_t k = 36;; k += 36) {
        if (digits->len == 0)
            return -1;
        uint8_t c = lower(*digits->at);
        uint32_t digit = c >= 'a' && c <= 'z' ? c - 'a' : c >= '0' && c <= '9' ? c - '0' + 26 : 36;
        *digits = dw_span_make(digits->at + 1, digits->len - 1);
        uint32_t threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
        sum += digit * weight;
        if (digit == 36 || sum > UINT32_MAX)
            return -1;
        if (digit < threshold) {
            *value = (uint32_t)sum;
            return 0;
        }
        weight *= 36 - threshold;
        if (weight > UINT32_MAX)
            return -1;
    }
}

/* What follows "xn--", into code points; how many, or -1 when it is no Punycode. */
static int decode(struct dw_span digits, uint32_t points[MOST_LABEL])
{
    size_t basic = 0, count = 0;
    for (size_t i = 0; i < digits.len; i++)
        if (digits.at[i] == '-')
            basic = i;
    if (digits.len > MOST_LABEL)
        return -1;
    for (; count < basic; count++)
        points[count] = lower(digits.at[count]);
    if (basic > 0 || (digits.len && digits.at[0] == '-'))
        digits = dw_span_make(digits.at + basic + 1, digits.len - basic - 1);
    for (uint32_t c = 128, at = 0, bias = 72; digits.len > 0; at++) {
        uint32_t before = at;
        if (count == MOST_LABEL || take_number(&digits, bias, &at) < 0)
            return -1;
        count++;
        bias = adapt(at - before, (uint32_t)count, before == 0);
        if (at / count > 0x10ffff - c)
            return -1;
        c += at / (uint32_t)count;
        at %= (uint32_t)count;
        if (c >= 0xd800 && c < 0xe000)
            return -1;
        memmove(&points[at + 1], &points[at], (count - 1 - at) * sizeof *points);
        points[at] = c;
    }
    return (int)count;
}

static bool is_forbidden(uint8_t c)
{
    return c <= ' ' || c == 0x7f || strchr("\"&'/:;<>@\\", c) != NULL;
}

static int put_label(struct dw_jid_domain *into, struct dw_span label)
{
    uint32_t points[MOST_LABEL];
    if (label.len == 0)
        return -1;
    for (size_t i = 0; i < label.len; i++)
        if (is_forbidden(label.at[i]))
            return -1;
    int count = -1;
    if (label.len > 4 && dw_span_equal_nocase(dw_span_make(label.at, 4), DW_SPAN_OF("xn--")))
        count = decode(dw_span_make(label.at + 4, label.len - 4), points);
    for (int i = 0; i < count; i++)
        put_character(into, points[i]);
    for (size_t i = 0; count <= 0 && i < label.len; i++)
        into->octets[into->len++] = lower(label.at[i]);
    return 0;
}

int dw_jid_prepare_domain(struct dw_jid_domain *into, struct dw_span domain)
{
    into->len = 0;
    if (domain.len > 0 && domain.at[domain.len - 1] == '.')
        domain.len--;
    if (domain.len > MOST_DOMAIN || !dw_text_is_utf8(domain))
        return -1;
    for (;;) {
        const uint8_t *dot = domain.len ? memchr(domain.at, '.', domain.len) : NULL;
        size_t len = dot ? (size_t)(dot - domain.at) : domain.len;
        if (put_label(into, dw_span_make(domain.at, len)) < 0)
            return -1;
        if (!dot)
            return 0;
        into->octets[into->len++] = '.';
        domain = dw_span_make(dot + 1, domain.len - len - 1);
    }
}

bool dw_jid_same_domain(struct dw_span a, struct dw_span b)
{
    struct dw_jid_domain pa, pb;
    return dw_jid_prepare_domain(&pa, a) == 0 && dw_jid_prepare_domain(&pb, b) == 0 && pa.len == pb.len &&
           memcmp(pa.octets, pb.octets, pa.len) == 0;
}

bool dw_jid_split(struct dw_span jid, struct dw_span *local, struct dw_span *domain, struct dw_span *resource)
{
    *local = *resource = DW_SPAN_NONE;
    *domain = jid;
    const uint8_t *slash = jid.len ? memchr(jid.at, '/', jid.len) : NULL;
    if (slash) {
        *resource = dw_span_make(slash + 1, jid.len - (size_t)(slash + 1 - jid.at));
        domain->len = (size_t)(slash - jid.at);
    }
    const uint8_t *at = domain->len ? memchr(domain->at, '@', domain->len) : NULL;
    if (at) {
        *local = dw_span_make(domain->at, (size_t)(at - domain->at));
        *domain = dw_span_make(at + 1, domain->len - local->len - 1);
    }
    return domain->len > 0 && (!local->at || local->len > 0) && (!resource->at || resource->len > 0);
}
