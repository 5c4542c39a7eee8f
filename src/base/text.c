/* Octets as text: see text.h. */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* One code point, and how many octets it took; 0 octets when the sequence is ill-formed. */
static size_t utf8_point(const uint8_t *at, size_t len, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = at[0];
    size_t size = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (size == 0 || size > len)
        return 0;
    uint32_t value = size == 1 ? first : first & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return size;
}

bool dw_text_is_utf8(struct dw_span text)
{
    uint32_t point;
    for (size_t i = 0, n; i < text.len; i += n)
        if ((n = text.at[i] < 0x80 ? 1 : utf8_point(text.at + i, text.len - i, &point)) == 0)
            return false;
    return true;
}

bool dw_text_has_control(struct dw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < text.len && text.at[i + 1] >= 0x80 && text.at[i + 1] <= 0x9f)
            return true;
    }
    return false;
}

int dw_text_hex(struct dw_buf *out, struct dw_span bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *room = dw_buf_room(out, bytes.len * 2 + 1);
    if (!room)
        return -1;
    for (size_t i = 0; i < bytes.len; i++) {
        room[2 * i] = (uint8_t)digits[bytes.at[i] >> 4];
        room[2 * i + 1] = (uint8_t)digits[bytes.at[i] & 15];
    }
    dw_buf_added(out, bytes.len * 2);
    return 0;
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int dw_text_unhex(struct dw_buf *out, struct dw_span hex)
{
    if (hex.len % 2)
        return -1;
    for (size_t i = 0; i < hex.len; i += 2) {
        int high = nibble(hex.at[i]), low = nibble(hex.at[i + 1]);
        if (high < 0 || low < 0 || dw_buf_put_u8(out, (uint8_t)(high << 4 | low)) < 0)
            return -1;
    }
    return 0;
}

static bool is_plain(struct dw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return false;
    }
    return text.len > 0 && dw_text_is_utf8(text) && !dw_text_has_control(text);
}

int dw_text_quote(struct dw_buf *out, struct dw_span text)
{
    if (is_plain(text))
        return dw_buf_put(out, text);
    int failed = dw_buf_put_u8(out, '"');
    for (size_t i = 0; i < text.len && !failed;) {
        uint8_t c = text.at[i];
        uint32_t point = 0;
        size_t size = utf8_point(text.at + i, text.len - i, &point);
        if (c == '"' || c == '\\')
            failed = dw_buf_printf(out, "\\%c", c);
        else if (c == '\n')
            failed = dw_buf_put(out, DW_SPAN_OF("\\n"));
        else if (c == '\t')
            failed = dw_buf_put(out, DW_SPAN_OF("\\t"));
        else if (size == 0 || point < 0x20 || (point >= 0x7f && point <= 0x9f))
            failed = dw_buf_printf(out, "\\x%02x", c), size = 1;
        else
            failed = dw_buf_put(out, dw_span_make(text.at + i, size));
        i += size ? size : 1;
    }
    return failed || dw_buf_put_u8(out, '"') ? -1 : 0;
}

/* Levenshtein's distance, two swapped neighbours counting as one mistake; words here are short. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][65], la = strlen(a), lb = strlen(b);
    if (la > 64 || lb > 64)
        return 64;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[la % 3][lb];
}

const char *dw_text_nearest(const char *word, const char *const words[])
{
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 2;
    for (size_t i = 0; words[i]; i++) {
        size_t d = distance(word, words[i]);
        if (d < least) {
            least = d;
            best = words[i];
        }
    }
    return best;
}

const char *dw_text_time(char into[32], long long microseconds)
{
    long long below = microseconds % 1000000 < 0 ? 1000000 : 0;
    time_t seconds = (time_t)((microseconds - below) / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(into, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(into + n, 32 - n, ".%03dZ", (int)((microseconds % 1000000 + below) / 1000));
    return into;
}

char *dw_text_dup(struct dw_span text)
{
    if (!text.at)
        return NULL;
    char *copy = malloc(text.len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return copy;
}
