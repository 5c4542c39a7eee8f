/* Commands and their properties: see command.h. */
#include "zmtp/command.h"

#define MOST_PROPERTIES 64

int dw_command_parse(enum dw_dialect dialect, struct dw_span command, struct dw_span *name, struct dw_span *rest,
                     struct dw_error *err)
{
    struct dw_reader r = dw_reader_make(command);
    if (dialect == DW_DIALECT_LIBZMQ) {
        *name = dw_reader_take(&r, dw_reader_u8(&r));
    } else {
        *name = dw_reader_take(&r, 8);
        while (name->len > 0 && name->at[name->len - 1] == ' ')
            name->len--;
    }
    *rest = dw_reader_rest(&r);
    if (r.failed || name->len == 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a command frame without a command's name");
    return 0;
}

size_t dw_command_name_size(enum dw_dialect dialect, const char *name)
{
    return dialect == DW_DIALECT_LIBZMQ ? strlen(name) + 1 : 8;
}

int dw_command_name(struct dw_buf *out, enum dw_dialect dialect, const char *name)
{
    uint8_t raw[16];
    size_t len = strlen(name), size = dw_command_name_size(dialect, name);
    memset(raw, ' ', sizeof raw);
    raw[0] = (uint8_t)len;
    memcpy(raw + (dialect == DW_DIALECT_LIBZMQ), name, len);
    return dw_buf_put(out, dw_span_make(raw, size));
}

int dw_command_token(struct dw_span rest, struct dw_span *token, struct dw_error *err)
{
    struct dw_reader r = dw_reader_make(rest);
    *token = dw_reader_take(&r, dw_reader_u32(&r));
    if (r.failed || dw_reader_left(&r) != 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a token whose size is not that of its frame");
    return 0;
}

struct dw_properties dw_properties_make(struct dw_span meta)
{
    return (struct dw_properties){dw_reader_make(meta)};
}

bool dw_properties_next(struct dw_properties *walk, struct dw_pair *property)
{
    if (dw_reader_left(&walk->reader) == 0)
        return false;
    property->name = dw_reader_take(&walk->reader, dw_reader_u8(&walk->reader));
    property->value = dw_reader_take(&walk->reader, dw_reader_u32(&walk->reader));
    return !walk->reader.failed;
}

/* RFC 23: name-char is a letter, a digit, or one of - _ . + */
static bool is_name(struct dw_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.' && c != '+')
            return false;
    }
    return name.len > 0;
}

int dw_properties_check(struct dw_span meta, struct dw_error *err)
{
    struct dw_span seen[MOST_PROPERTIES];
    size_t count = 0;
    struct dw_properties walk = dw_properties_make(meta);
    for (struct dw_pair p; dw_properties_next(&walk, &p); count++) {
        if (!is_name(p.name))
            return dw_error_set(err, DW_ERROR_PROTOCOL, "malformed metadata: a property's name is not one");
        if (count == MOST_PROPERTIES)
            return dw_error_set(err, DW_ERROR_LIMIT, "more than %d properties", MOST_PROPERTIES);
        for (size_t i = 0; i < count; i++)
            if (dw_span_equal_nocase(seen[i], p.name))
                return dw_error_set(err, DW_ERROR_PROTOCOL, "malformed metadata: property %.*s stands twice",
                                    (int)p.name.len, (const char *)p.name.at);
        seen[count] = p.name;
    }
    if (walk.reader.failed)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "malformed metadata: a property is cut short");
    return 0;
}

struct dw_span dw_properties_find(struct dw_span meta, const char *name)
{
    struct dw_properties walk = dw_properties_make(meta);
    for (struct dw_pair p; dw_properties_next(&walk, &p);)
        if (dw_span_equal_nocase(p.name, dw_span_str(name)))
            return p.value;
    return DW_SPAN_NONE;
}

int dw_property_put(struct dw_buf *out, struct dw_span name, struct dw_span value)
{
    if (dw_buf_put_u8(out, (uint8_t)name.len) < 0 || dw_buf_put(out, name) < 0 ||
        dw_buf_put_u32(out, (uint32_t)value.len) < 0)
        return -1;
    return dw_buf_put(out, value);
}

/* RFC 23 and its companions (28 to 31, 41, 48, 49, 51): a type and those it talks to. */
static const struct {
    const char *type, *peers[4];
} pairs[] = {
    {"REQ", {"REP", "ROUTER", NULL}},
    {"REP", {"REQ", "DEALER", NULL}},
    {"DEALER", {"REP", "DEALER", "ROUTER", NULL}},
    {"ROUTER", {"REQ", "DEALER", "ROUTER", NULL}},
    {"PUB", {"SUB", "XSUB", NULL}},
    {"XPUB", {"SUB", "XSUB", NULL}},
    {"SUB", {"PUB", "XPUB", NULL}},
    {"XSUB", {"PUB", "XPUB", NULL}},
    {"PUSH", {"PULL", NULL}},
    {"PULL", {"PUSH", NULL}},
    {"PAIR", {"PAIR", NULL}},
    {"CLIENT", {"SERVER", NULL}},
    {"SERVER", {"CLIENT", NULL}},
    {"RADIO", {"DISH", NULL}},
    {"DISH", {"RADIO", NULL}},
    {"SCATTER", {"GATHER", NULL}},
    {"GATHER", {"SCATTER", NULL}},
    {"PEER", {"PEER", NULL}},
    {"CHANNEL", {"CHANNEL", NULL}},
};

bool dw_socket_type_is(struct dw_span type, const char *name)
{
    return dw_span_equal(type, dw_span_str(name));
}

bool dw_socket_type_known(struct dw_span type)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (dw_socket_type_is(type, pairs[i].type))
            return true;
    return false;
}

bool dw_socket_types_match(struct dw_span a, struct dw_span b)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (dw_socket_type_is(a, pairs[i].type))
            for (size_t j = 0; pairs[i].peers[j]; j++)
                if (dw_socket_type_is(b, pairs[i].peers[j]))
                    return true;
    return false;
}
