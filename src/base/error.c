/* What went wrong: see error.h. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int dw_error_set(struct dw_error *err, enum dw_error_kind kind, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    vsnprintf(err->detail, sizeof err->detail, format, args);
    va_end(args);
    err->kind = kind;
    return -1;
}

const char *dw_error_word(enum dw_error_kind kind)
{
    switch (kind) {
    case DW_ERROR_NONE: return "none";
    case DW_ERROR_PROTOCOL: return "protocol";
    case DW_ERROR_LIMIT: return "limit";
    case DW_ERROR_DENIED: return "denied";
    case DW_ERROR_TEMPORARY: return "temporary";
    case DW_ERROR_CLOSED: return "closed";
    case DW_ERROR_INTERNAL: return "internal";
    }
    return "unknown";
}

const char *dw_error_phrase(enum dw_error_kind kind)
{
    switch (kind) {
    case DW_ERROR_PROTOCOL: return "protocol error";
    case DW_ERROR_LIMIT: return "limit exceeded";
    case DW_ERROR_DENIED: return "access denied";
    default: return "temporary failure";
    }
}
