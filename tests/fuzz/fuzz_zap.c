/* Any octets, taken for a ZAP request: what is sound is described, and what can be answered is answered with its
 * envelope and id, under whichever decision. */
#include "zap/zap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct dw_zap_request *request, enum dw_zap_status status, const struct dw_decision *d)
{
    struct dw_buf reply = {0};
    struct dw_span frame = DW_SPAN_NONE, id = DW_SPAN_NONE;
    size_t count = 0;
    if (dw_zap_reply(&reply, request, status, d) < 0)
        __builtin_trap();
    struct dw_reader r = dw_reader_make(dw_buf_span(&reply));
    if (!dw_span_equal(dw_reader_take(&r, request->envelope.len), request->envelope))
        __builtin_trap();
    for (; dw_zap_next(&r, &frame); count++)
        if (count == 1)
            id = frame;
    if (r.failed || count != 6 || !dw_span_equal(id, request->id))
        __builtin_trap();
    dw_buf_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_zap_request request;
    struct dw_event event = {0};
    struct dw_error err;
    struct dw_decision allow = {.verdict = DW_ALLOW};
    enum dw_zap_sense sense = dw_zap_parse(&request, dw_span_make(data, size), &err);
    if (sense == DW_ZAP_SENSELESS)
        return 0;
    answer(&request, DW_ZAP_INTERNAL, NULL);
    if (sense == DW_ZAP_MALFORMED)
        return 0;
    dw_zap_describe(&request, &event);
    if (!event.mechanism || !*event.mechanism || (event.curve_key.at && event.curve_key.len != 32))
        __builtin_trap();
    dw_decision_set(&allow.user, "alice");
    answer(&request, DW_ZAP_OK, &allow);
    dw_decision_clear(&allow);
    return 0;
}
