/* Text for terminals and pipes: see terminal.h. */
#include "cmd/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t dw_terminal_width(FILE *out)
{
    struct winsize size;
    if (!isatty(fileno(out)))
        return SIZE_MAX;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 80;
}

bool dw_terminal_has_colour(FILE *out)
{
    const char *no = getenv("NO_COLOR");
    return isatty(fileno(out)) && !(no && *no);
}

static bool begins(uint8_t octet)
{
    return (octet & 0xc0) != 0x80;
}

size_t dw_terminal_columns(struct dw_span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += begins(text.at[i]);
    return count;
}

/* How many octets of `text` fit into `room` columns: up to a space past `least`, if there is one. */
static size_t fitting(struct dw_span text, size_t room, size_t least)
{
    size_t column = 0, end = 0, space = 0;
    for (; end < text.len && column + begins(text.at[end]) <= room; end++) {
        if (text.at[end] == ' ' && column > least)
            space = end;
        column += begins(text.at[end]);
    }
    if (end == text.len || text.at[end] == ' ')
        return end;
    return space ? space : end;
}

void dw_terminal_put(FILE *out, struct dw_span line, size_t indent)
{
    size_t width = dw_terminal_width(out);
    bool is_first = true;
    if (indent + 20 > width)
        indent = 0;
    do {
        size_t len = fitting(line, is_first ? width : width - indent, is_first ? indent : 0);
        fprintf(out, "%*s", is_first ? 0 : (int)indent, "");
        fwrite(line.at, 1, len, out);
        fputc('\n', out);
        while (len < line.len && line.at[len] == ' ')
            len++;
        line = dw_span_make(line.at + len, line.len - len);
        is_first = false;
    } while (line.len > 0);
}
