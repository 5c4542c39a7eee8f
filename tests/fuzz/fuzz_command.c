/* Commands, greetings and properties in both dialects: what is accepted is well-formed, and reads back the same. */
#include "zmtp/command.h"
#include "zmtp/frame.h"
#include "zmtp/greeting.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static void metadata(struct dw_span meta)
{
    struct dw_buf again = {0};
    struct dw_error err;
    if (dw_properties_check(meta, &err) < 0) {
        must(err.kind == DW_ERROR_PROTOCOL || err.kind == DW_ERROR_LIMIT);
        dw_properties_find(meta, "Identity");
        return;
    }
    struct dw_properties walk = dw_properties_make(meta);
    for (struct dw_pair p; dw_properties_next(&walk, &p);) {
        char name[256] = {0};
        memcpy(name, p.name.at, p.name.len);
        must(strlen(name) == p.name.len);
        must(dw_properties_find(meta, name).at == p.value.at);
        dw_property_put(&again, p.name, p.value);
    }
    must(dw_span_equal(dw_buf_span(&again), meta));
    dw_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dw_span all = dw_span_make(data, size), name, rest, token;
    struct dw_error err;
    for (int dialect = DW_DIALECT_LIBZMQ; dialect <= DW_DIALECT_DRAFT; dialect++) {
        if (dw_command_parse(dialect, all, &name, &rest, &err) < 0)
            continue;
        must(name.len > 0 && rest.at + rest.len == data + size);
        metadata(rest);
        if (dw_command_token(rest, &token, &err) == 0)
            must(token.len + 4 == rest.len);
    }
    struct dw_frame_header h = {0};
    if (dw_frame_parse(&h, all, 1000, &err) > 0)
        must(h.size <= 1000 && h.header <= size);
    struct dw_greeting g;
    if (dw_greeting_parse(&g, all, &err) > 0)
        must(size >= DW_GREETING_SIZE && g.major >= 3 && g.mechanism[0]);
    return 0;
}
