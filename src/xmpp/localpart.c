/* Localparts: see localpart.h. */
#include "xmpp/localpart.h"

#include "base/text.h"

/* RFC 7622 section 3.3. */
enum { MOST = 1023 };

/* Letters beyond ASCII that are small or know no case, do not combine with a neighbour, and stay what they are under NFKC
 * and case folding, in Unicode 3.2 (which nodeprep has) and since: from, to, each so many. */
static const struct {
    uint32_t from, to, step;
} steady[] = {
    {0xe0, 0xf6, 1},     {0xf8, 0xff, 1}, /* Latin */
    {0x101, 0x12f, 2},   {0x135, 0x137, 2},   {0x13a, 0x13e, 2}, {0x142, 0x148, 2}, {0x14b, 0x177, 2},
    {0x17a, 0x17e, 2},   {0x3ac, 0x3af, 1},   {0x3b1, 0x3c1, 1}, {0x3c3, 0x3ce, 1}, /* Greek */
    {0x430, 0x45f, 1}, /* Cyrillic */
    {0x561, 0x586, 1}, /* Armenian */
    {0x5d0, 0x5ea, 1}, /* Hebrew */
    {0x621, 0x63a, 1},   {0x641, 0x64a, 1}, /* Arabic */
    {0x10d0, 0x10f5, 1}, /* Georgian */
    {0x3041, 0x3094, 1}, {0x30a1, 0x30fa, 1}, /* Kana */
    {0x3400, 0x4db5, 1}, {0x4e00, 0x9fa5, 1}, /* Han */
    {0xac00, 0xd7a3, 1}, /* Hangul */
};

static bool is_steady(uint32_t c)
{
    for (size_t i = 0; i < sizeof steady / sizeof steady[0]; i++)
        if (c >= steady[i].from && c <= steady[i].to)
            return (c - steady[i].from) % steady[i].step == 0;
    return false;
}

/* The next character of what is well-formed. */
static uint32_t take(struct dw_span *text)
{
    uint8_t first = text->at[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? first : first & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (text->at[i] & 0x3f);
    *text = dw_span_make(text->at + len, text->len - len);
    return c;
}

const char *dw_localpart_mistake(struct dw_span local)
{
    if (local.len == 0)
        return "is empty";
    if (local.len > MOST)
        return "is longer than 1023 octets";
    if (!dw_text_is_utf8(local) || dw_text_has_control(local))
        return "is not text";
    for (size_t i = 0; i < local.len; i++)
        if (strchr(" \"&'/:<>@", local.at[i]))
            return "has a character that no localpart may have";
    while (local.len > 0) {
        uint32_t c = take(&local);
        if (c >= 0x80 && !is_steady(c))
            return "has a character that a server may take for another, or drop: the policy has to write it "
                   "otherwise";
    }
    return NULL;
}
