/* String.toLowerCase(Locale.ENGLISH): Unicode's simple mapping, and its two exceptions. */
#include "map/java_regex.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

static locale_t utf8;

static void open_locale(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static size_t decode(struct dw_span text, size_t at, uint32_t *point)
{
    uint8_t first = text.at[at];
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *point = size == 1 ? first : first & (0x7fu >> size);
    for (size_t i = 1; i < size && at + i < text.len; i++)
        *point = *point << 6 | (text.at[at + i] & 0x3fu);
    return size;
}

static int put_point(struct dw_buf *out, uint32_t point)
{
    uint8_t text[4];
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; point >>= 6)
        text[i] = (uint8_t)(0x80 | (point & 0x3f));
    text[0] = (uint8_t)(lead[size] | point);
    return dw_buf_put(out, dw_span_make(text, size));
}

static bool is_cased(uint32_t point)
{
    wint_t c = (wint_t)point;
    return iswupper_l(c, utf8) || iswlower_l(c, utf8) || towlower_l(c, utf8) != c || towupper_l(c, utf8) != c;
}

/* What Java's word iterator keeps inside a word. */
static bool is_wordy(uint32_t point)
{
    static const uint32_t joiners[] = {'\'', '-', '.', '_', 0xad, 0xb7, 0x2010, 0x2011, 0x2019, 0x2027};
    for (size_t i = 0; i < sizeof joiners / sizeof *joiners; i++)
        if (point == joiners[i])
            return true;
    return iswalnum_l((wint_t)point, utf8) || (point >= 0x300 && point <= 0x36f);
}

/* A capital sigma that ends a word: in its word a cased letter stands before it, and none after it. */
static bool ends_word(struct dw_span text, size_t at, size_t size)
{
    uint32_t point = 0;
    bool before = false;
    for (size_t i = 0; i < at;) {
        i += decode(text, i, &point);
        before = is_wordy(point) && (before || is_cased(point));
    }
    for (size_t i = at + size; i < text.len && before;) {
        i += decode(text, i, &point);
        if (!is_wordy(point))
            break;
        if (is_cased(point))
            return false;
    }
    return before;
}

int dw_java_lower(struct dw_span text, struct dw_buf *out, struct dw_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int failed = 0;
    pthread_once(&once, open_locale);
    for (size_t i = 0; i < text.len && !failed;) {
        uint32_t point;
        size_t size = decode(text, i, &point);
        if (point < 0x80)
            failed = dw_buf_put_u8(out, (uint8_t)(point >= 'A' && point <= 'Z' ? point + 32 : point));
        else if (!utf8)
            return dw_error_set(err, DW_ERROR_INTERNAL, "the system has no C.UTF-8 locale to lower letters with");
        else if (point == 0x130)
            failed = dw_buf_put(out, DW_SPAN_OF("i\xcc\x87"));
        else if (point == 0x3a3)
            failed = put_point(out, ends_word(text, i, size) ? 0x3c2 : 0x3c3);
        else
            failed = put_point(out, (uint32_t)towlower_l((wint_t)point, utf8));
        i += size;
    }
    return failed ? dw_error_set(err, DW_ERROR_INTERNAL, "out of memory") : 0;
}
