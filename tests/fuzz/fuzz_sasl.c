/* Any octets, taken for what a SASL client says, over the toy GSSAPI.  The first octet chooses the mechanism and what
 * there is; then each message has its length before it. */
#include "toy_gss.h"

#include "base/text.h"
#include "sasl/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const mechanisms[] = {"GSSAPI", "GS2-KRB5", "GS2-KRB5-PLUS"};
    static const struct dw_sasl_binding exporter = {"tls-exporter", DW_SPAN_OF("EXPORTED")};
    struct dw_reader r = dw_reader_make(dw_span_make(data, size));
    unsigned choice = dw_reader_u8(&r);
    const char *mechanism = mechanisms[choice % 3];
    const struct dw_sasl_options options = {
        .cred = toy_cred(),
        .require_mutual = choice & 64,
        .bindings = &exporter,
        .binding_count = choice & 32 ? 0 : 1,
        .plus_offered = choice & 16,
    };
    toy_trusts = choice & 128;
    struct dw_sasl *sasl = dw_sasl_new(dw_span_str(mechanism), &options);
    struct dw_buf challenge = {0};
    struct dw_error err;
    int rc = DW_SASL_CHALLENGE;
    while (sasl && rc == DW_SASL_CHALLENGE && dw_reader_left(&r) >= 2) {
        struct dw_span message = dw_reader_take(&r, dw_reader_u16(&r));
        if (r.failed)
            break;
        dw_buf_clear(&challenge, 0);
        rc = dw_sasl_step(sasl, message, true, &challenge, &err);
        if (rc < 0 && dw_buf_len(&challenge))
            __builtin_trap();
    }
    if (sasl && rc == DW_SASL_DONE) {
        struct dw_span authzid = dw_sasl_authzid(sasl);
        if (!dw_context_peer(dw_sasl_context(sasl)) || authzid.len > 3071 || !dw_text_is_utf8(authzid) ||
            (authzid.len && memchr(authzid.at, 0, authzid.len)))
            __builtin_trap();
        if (dw_sasl_channel_bound(sasl) != (choice % 3 == 2))
            __builtin_trap();
    }
    dw_buf_free(&challenge);
    dw_sasl_free(&sasl);
    return 0;
}
