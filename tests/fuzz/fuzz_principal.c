/* Any octets as a principal: what parses must print to something that parses to the same. */
#include "auth/principal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_span home = DW_SPAN_OF("HOME.TEST");
    struct dw_principal p = {0}, again = {0};
    struct dw_error err = {0};
    struct dw_buf text = {0};
    if (dw_principal_parse(&p, dw_span_make(data, size), home, &err) < 0) {
        if (!err.detail[0])
            abort();
        return 0;
    }
    for (enum dw_principal_form form = DW_PRINCIPAL_FULL; form <= DW_PRINCIPAL_DISPLAY; form++) {
        dw_buf_clear(&text, 4096);
        if (dw_principal_format(&p, form, home, &text) < 0)
            abort();
        if (form != DW_PRINCIPAL_FULL && form != DW_PRINCIPAL_SHORT)
            continue;
        if (dw_principal_parse(&again, dw_buf_span(&text), home, &err) < 0 || !dw_principal_equal(&p, &again))
            abort();
        dw_principal_free(&again);
    }
    dw_principal_is_anonymous(&p);
    dw_principal_free(&p);
    dw_buf_free(&text);
    return 0;
}
