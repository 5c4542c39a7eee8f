/* Any octets, taken for a first token: what parses is printed, and neither reads outside. */
#include "gss/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_request request;
    struct dw_error err;
    struct dw_buf name = {0};
    if (dw_request_parse(&request, dw_span_make(data, size), &err) == 0) {
        if (request.component_count == 0 || request.realm.len == 0 || dw_request_format(&request, &name) < 0)
            __builtin_trap();
        dw_buf_free(&name);
    }
    return 0;
}
