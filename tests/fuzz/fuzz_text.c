/* Anything at all as text: what is quoted for the log is one printable line, and hex comes back as it was. */
#include "base/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"keytab", "journal", "policy", "listen", NULL};
    struct dw_span text = dw_span_make(data, size);
    struct dw_buf quoted = {0}, hex = {0}, back = {0};
    if (!data)
        return 0;
    must(dw_text_quote(&quoted, text) == 0);
    must(dw_buf_len(&quoted) > 0);
    must(dw_text_is_utf8(dw_buf_span(&quoted)));
    must(!dw_text_has_control(dw_buf_span(&quoted)));
    must(dw_text_hex(&hex, text) == 0 && dw_text_unhex(&back, dw_buf_span(&hex)) == 0);
    must(dw_span_equal(dw_buf_span(&back), text));
    dw_buf_clear(&back, SIZE_MAX);
    dw_text_unhex(&back, text);
    char *word = dw_text_dup(text);
    dw_text_nearest(word, words);
    free(word);
    dw_buf_free(&quoted);
    dw_buf_free(&hex);
    dw_buf_free(&back);
    return 0;
}
