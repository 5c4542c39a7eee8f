/* The lines of Dovecot's authentication protocol: see line.h. */
#include "dovecot/line.h"

/* A line that has not come whole is given room to double. */
enum { ESCAPE = 1, FIRST_ROOM = 1024 };

/* What a character that cannot be written stands as, behind ESCAPE. */
static const struct {
    uint8_t octet, letter;
} escapes[] = {{0, '0'}, {ESCAPE, '1'}, {'\t', 't'}, {'\r', 'r'}, {'\n', 'n'}};
enum { ESCAPES = sizeof escapes / sizeof escapes[0] };

/* The next field; absent when the line is at its end. */
static struct dw_span take_field(struct dw_span *rest)
{
    if (!rest->at)
        return DW_SPAN_NONE;
    const uint8_t *tab = rest->len ? memchr(rest->at, '\t', rest->len) : NULL;
    struct dw_span field = dw_span_make(rest->at, tab ? (size_t)(tab - rest->at) : rest->len);
    *rest = tab ? dw_span_make(tab + 1, rest->len - field.len - 1) : DW_SPAN_NONE;
    return field;
}

static bool take_number(struct dw_span *rest, uint32_t *number)
{
    struct dw_span field = take_field(rest);
    uint64_t value = 0;
    for (size_t i = 0; i < field.len; i++) {
        if (field.at[i] < '0' || field.at[i] > '9' || value > UINT32_MAX)
            return false;
        value = value * 10 + (field.at[i] - '0');
    }
    *number = (uint32_t)value;
    return field.len > 0 && value <= UINT32_MAX;
}

/* Whether `field` is "name=..": then `value` is what stands behind. */
static bool is_value(struct dw_span field, const char *name, struct dw_span *value)
{
    size_t len = strlen(name);
    if (field.len <= len || field.at[len] != '=' || memcmp(field.at, name, len) != 0)
        return false;
    *value = dw_span_make(field.at + len + 1, field.len - len - 1);
    return true;
}

static const char *parse_auth(struct dw_dovecot_line *line, struct dw_span rest)
{
    if (!take_number(&rest, &line->number))
        return "AUTH without an id";
    line->mechanism = take_field(&rest);
    if (line->mechanism.len == 0)
        return "AUTH without a mechanism";
    /* resp= is the last one: a TAB in it was the client's. */
    while (rest.at && !is_value(rest, "resp", &line->data)) {
        struct dw_span field = take_field(&rest);
        (void)(is_value(field, "service", &line->service) || is_value(field, "rip", &line->remote) ||
               is_value(field, "rport", &line->remote_port) || is_value(field, "local_name", &line->local_name));
    }
    return line->service.len ? NULL : "AUTH without a service";
}

static const char *parse_rest(struct dw_dovecot_line *line, struct dw_span name, struct dw_span rest)
{
    uint32_t minor;
    if (dw_span_equal(name, DW_SPAN_OF("AUTH"))) {
        line->command = DW_DOVECOT_AUTH;
        return parse_auth(line, rest);
    }
    if (dw_span_equal(name, DW_SPAN_OF("CONT"))) {
        line->command = DW_DOVECOT_CONT;
        if (!take_number(&rest, &line->number))
            return "CONT without an id";
        line->data = rest;
        return line->data.at ? NULL : "CONT without data";
    }
    if (dw_span_equal(name, DW_SPAN_OF("CANCEL"))) {
        line->command = DW_DOVECOT_CANCEL;
        return take_number(&rest, &line->number) ? NULL : "CANCEL without an id";
    }
    if (dw_span_equal(name, DW_SPAN_OF("VERSION"))) {
        line->command = DW_DOVECOT_VERSION;
        return take_number(&rest, &line->number) && take_number(&rest, &minor) ? NULL
                                                                               : "VERSION without two numbers";
    }
    if (dw_span_equal(name, DW_SPAN_OF("CPID"))) {
        line->command = DW_DOVECOT_CPID;
        return take_number(&rest, &line->number) && line->number ? NULL : "CPID without a number";
    }
    return "a command that is not known";
}

int dw_dovecot_parse(struct dw_dovecot_line *line, struct dw_span text, struct dw_error *err)
{
    struct dw_span rest = dw_span_make(text.at ? text.at : (const uint8_t *)"", text.len);
    *line = (struct dw_dovecot_line){.number = 0};
    struct dw_span name = take_field(&rest);
    const char *wrong = parse_rest(line, name, rest);
    return wrong ? dw_error_set(err, DW_ERROR_PROTOCOL, "%s", wrong) : 0;
}

static const char *parse_request(struct dw_dovecot_line *line, struct dw_span rest)
{
    line->command = DW_DOVECOT_REQUEST;
    if (!take_number(&rest, &line->number) || !take_number(&rest, &line->client) ||
        !take_number(&rest, &line->exchange))
        return "REQUEST without three numbers";
    line->cookie = take_field(&rest);
    return line->cookie.len == DW_DOVECOT_COOKIE * 2 ? NULL : "REQUEST without a cookie";
}

int dw_dovecot_parse_master(struct dw_dovecot_line *line, struct dw_span text, struct dw_error *err)
{
    static const char *const others[] = {"USER", "PASS", "LIST"};
    struct dw_span rest = dw_span_make(text.at ? text.at : (const uint8_t *)"", text.len);
    struct dw_span name = take_field(&rest);
    *line = (struct dw_dovecot_line){.number = 0};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (dw_span_equal(name, dw_span_str(others[i])))
            return dw_error_set(err, DW_ERROR_PROTOCOL,
                                "%s: users that have not logged in are for Dovecot's own userdb", others[i]);
    const char *wrong = dw_span_equal(name, DW_SPAN_OF("REQUEST"))   ? parse_request(line, rest)
                        : dw_span_equal(name, DW_SPAN_OF("VERSION")) ? parse_rest(line, name, rest)
                                                                     : "a command that is not known";
    return wrong ? dw_error_set(err, DW_ERROR_PROTOCOL, "%s", wrong) : 0;
}

bool dw_dovecot_next_line(struct dw_machine *m, size_t *looked, size_t most, struct dw_span *line,
                          struct dw_error *err)
{
    size_t left = m->left > *looked ? m->left - *looked : 0;
    const uint8_t *end = left ? memchr(m->at + *looked, '\n', left) : NULL;
    size_t len = end ? (size_t)(end - m->at) : m->left;
    if (len > most) {
        dw_error_set(err, DW_ERROR_LIMIT, "a line of more than %zu octets", most);
        return false;
    }
    if (!end) {
        *looked = m->left;
        m->wanted = m->left ? 2 * m->left + FIRST_ROOM : 0;
        return false;
    }
    *line = dw_span_make(m->at, len);
    dw_machine_consume(m, len + 1);
    *looked = 0;
    return true;
}

int dw_dovecot_unescape(struct dw_buf *out, struct dw_span value)
{
    size_t before = dw_buf_len(out);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t octet = value.at[i];
        if (octet == ESCAPE && i + 1 < value.len) {
            octet = value.at[++i];
            for (size_t j = 0; j < ESCAPES; j++)
                if (escapes[j].letter == value.at[i])
                    octet = escapes[j].octet;
        }
        if (dw_buf_put_u8(out, octet) < 0) {
            dw_buf_cut(out, before);
            return -1;
        }
    }
    return 0;
}

int dw_dovecot_escape(struct dw_buf *out, struct dw_span value)
{
    size_t before = dw_buf_len(out);
    int rc = 0;
    for (size_t i = 0; i < value.len && rc == 0; i++) {
        uint8_t letter = 0;
        for (size_t j = 0; j < ESCAPES; j++)
            if (escapes[j].octet == value.at[i])
                letter = escapes[j].letter;
        if (letter)
            rc = dw_buf_put_u8(out, ESCAPE);
        if (rc == 0)
            rc = dw_buf_put_u8(out, letter ? letter : value.at[i]);
    }
    if (rc < 0)
        dw_buf_cut(out, before);
    return rc;
}

int dw_dovecot_put_field(struct dw_buf *out, struct dw_span name, struct dw_span value)
{
    size_t before = dw_buf_len(out);
    int rc = dw_buf_put_u8(out, '\t');
    rc |= dw_dovecot_escape(out, name);
    rc |= dw_buf_put_u8(out, '=');
    rc |= dw_dovecot_escape(out, value);
    if (rc < 0)
        dw_buf_cut(out, before);
    return rc < 0 ? -1 : 0;
}
