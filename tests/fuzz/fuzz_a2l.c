/* Lines of text as rules, the last as a name, the first octet choosing the dialect: mapping, explaining and
 * linting must end, and mapping must say the same whether it is explained or not. */
#include "map/a2l.h"

#include <stdlib.h>

enum { LINES_MOST = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(const uint8_t *data, size_t size, struct dw_span lines[LINES_MOST])
{
    size_t count = 0;
    while (count < LINES_MOST) {
        const uint8_t *end = size && count + 1 < LINES_MOST ? memchr(data, '\n', size) : NULL;
        size_t len = end ? (size_t)(end - data) : size;
        lines[count++] = dw_span_make(data, len);
        if (!end)
            break;
        data += len + 1;
        size -= len + 1;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_span lines[LINES_MOST];
    struct dw_a2l_options options = {.default_realm = DW_SPAN_OF("HOME.TEST")};
    struct dw_error err = {0};
    enum dw_a2l_code code;
    if (size < 1 || size > 2000)
        return 0;
    options.dialect = (enum dw_a2l_dialect)(data[0] % 3);
    size_t count = split(data + 1, size - 1, lines) - 1;
    struct dw_a2l *a2l = dw_a2l_compile(lines, count, &options, &code, &err);
    if (!a2l)
        return err.detail[0] ? 0 : (abort(), 0);
    struct dw_buf plain = {0}, told = {0};
    struct dw_a2l_report report = {0};
    struct dw_a2l_findings findings;
    code = dw_a2l_map(a2l, lines[count], &plain, NULL, &err);
    if (dw_a2l_map(a2l, lines[count], &told, &report, &err) != code ||
        !dw_span_equal(dw_buf_span(&plain), dw_buf_span(&told)))
        abort();
    dw_a2l_lint(a2l, &findings);
    dw_a2l_findings_free(&findings);
    dw_a2l_report_free(&report);
    dw_buf_free(&plain);
    dw_buf_free(&told);
    dw_a2l_free(&a2l);
    return 0;
}
