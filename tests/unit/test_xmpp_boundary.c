/* The scanner of tags held to the parser: over documents made at random, cut anywhere, both must say at every octet
 * whether the stream stands between stanzas. */
#include "check.h"
#include "xmpp/boundary.h"
#include "xmpp/xml.h"

#include <expat.h>
#include <stdlib.h>

static uint64_t seed = 0x9e3779b97f4a7c15;

static unsigned below(unsigned limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % limit;
}

static void put(struct dw_buf *out, const char *text)
{
    dw_buf_put(out, dw_span_str(text));
}

#define ONE_OF(...)                                                                                                \
    one_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
static const char *one_of(const char *const list[], size_t count)
{
    return list[below((unsigned)count)];
}

static void put_attributes(struct dw_buf *out)
{
    static const char *const names[] = {"a", "b", "n:c"};
    for (unsigned i = 0; i < 3; i++) {
        if (below(3))
            continue;
        put(out, ONE_OF(" ", "\n\t", "  "));
        put(out, names[i]);
        put(out, ONE_OF("=", " = "));
        if (below(2)) {
            put(out, "\"");
            put(out, ONE_OF("", ">", "/>", "'", "]]>", "&lt;", "\xc3\xa9", "/stream>", "='"));
            put(out, "\"");
        } else {
            put(out, "'");
            put(out, ONE_OF("", ">", "/", "\"", "-->", "?>", "&#60;", "\xe2\x82\xac", "/>"));
            put(out, "'");
        }
    }
    put(out, ONE_OF("", "", " "));
}

static void put_text(struct dw_buf *out)
{
    put(out,
        ONE_OF("", "text", ">", "]] ", "'\"", "/", "!", "&amp;", "<![CDATA[]]>", "<![CDATA[<a>]]>", "<![CDATA[]]]>",
               "<![CDATA[]]]]>", "<![CDATA[> ]] ]> ]]>", "<![CDATA[</stream:stream>'\"]]>", "\xf0\x9f\x98\x80"));
}

/* As a server sends it may hold these too. */
static void put_aside(struct dw_buf *out)
{
    put(out, ONE_OF("", "", "", "", "<!-- <a> -x> -\t- > -->", "<!---->", "<?pi <a> ? > ?\x3f>", "<?x?>"));
}

static void put_element(struct dw_buf *out, unsigned depth)
{
    const char *name = ONE_OF("a", "message", "n:b", "\xc3\xa9");
    put(out, "<");
    put(out, name);
    put_attributes(out);
    if (below(3) == 0) {
        put(out, "/>");
        return;
    }
    put(out, ">");
    for (unsigned i = below(4); i > 0; i--) {
        put_text(out);
        put_aside(out);
        if (depth < 4 && below(2))
            put_element(out, depth + 1);
    }
    put(out, "</");
    put(out, name);
    put(out, ONE_OF(">", " >", "\n>"));
}

static void put_stream(struct dw_buf *out)
{
    put(out, ONE_OF("", "<?xml version='1.0'?>", "<?xml version='1.0' encoding='UTF-8' ?>\n"));
    put_aside(out);
    put(out, ONE_OF("<stream:stream xmlns:n='urn:n' xmlns:stream='urn:s>' a=\"/>\" >",
                    "<stream:stream xmlns:n='urn:n' xmlns:stream='urn:s'>"));
    for (unsigned i = below(6); i > 0; i--) {
        put(out, ONE_OF("", " ", "\n", " \t "));
        put_aside(out);
        put_element(out, 1);
    }
    if (below(2))
        put(out, "</stream:stream>");
}

/* What the parser makes of it. */
static struct {
    XML_Parser parser;
    unsigned depth;
    bool ended[20000]; /* a markup's last octet */
    unsigned depth_at[20000]; /* behind that octet */
} told;

static void mark(void)
{
    size_t end = (size_t)XML_GetCurrentByteIndex(told.parser) + (size_t)XML_GetCurrentByteCount(told.parser);
    if (!CHECK(end > 0 && end <= sizeof told.ended / sizeof *told.ended))
        return;
    told.ended[end - 1] = true;
    told.depth_at[end - 1] = told.depth;
}

static void on_start(void *arg, const char *name, const char **pairs)
{
    (void)arg, (void)name, (void)pairs;
    told.depth++;
    mark();
}

static void on_end(void *arg, const char *name)
{
    (void)arg, (void)name;
    told.depth--;
    mark();
}

static void parse(struct dw_span text)
{
    memset(&told, 0, sizeof told);
    told.parser = XML_ParserCreateNS("UTF-8", '\1');
    XML_SetElementHandler(told.parser, on_start, on_end);
    if (!CHECK(XML_Parse(told.parser, (const char *)text.at, (int)text.len, XML_FALSE) == XML_STATUS_OK))
        printf("    %s at %ld of %.*s\n", XML_ErrorString(XML_GetErrorCode(told.parser)),
               (long)XML_GetCurrentByteIndex(told.parser), (int)text.len, (const char *)text.at);
    XML_ParserFree(told.parser);
}

/* An octet at a time: the depth changes where the parser says, and nowhere else. */
static void compare(struct dw_span text)
{
    struct dw_boundary scan = {0};
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        dw_boundary_follow(&scan, dw_span_make(text.at + i, 1));
        if (told.ended[i])
            depth = told.depth_at[i];
        bool fits = scan.depth == depth && (!told.ended[i] || dw_boundary_is_text(&scan)) &&
                    (!dw_boundary_is_between(&scan) || depth == 1);
        if (!CHECK(fits)) {
            printf("    behind octet %zu of %.*s\n", i, (int)text.len, (const char *)text.at);
            return;
        }
    }
}

/* In pieces of any size: the same, and `reach` stops at the first place between stanzas, not behind it. */
static void compare_cut(struct dw_span text)
{
    struct dw_boundary at_once = {0}, cut = {0};
    for (size_t at = 0; at < text.len;) {
        size_t piece = 1 + below(40);
        piece = piece < text.len - at ? piece : text.len - at;
        struct dw_span bytes = dw_span_make(text.at + at, piece);
        struct dw_boundary before = at_once, slow = before;
        size_t reach = dw_boundary_reach(&before, bytes), first = 0;
        while (!dw_boundary_is_between(&slow) && first < piece)
            dw_boundary_follow(&slow, dw_span_make(bytes.at + first++, 1));
        CHECK_INT(reach, first);
        CHECK(dw_boundary_is_between(&before) == dw_boundary_is_between(&slow));
        dw_boundary_follow(&at_once, bytes);
        for (size_t taken = 0; taken < piece;)
            taken += dw_boundary_markup(&cut, dw_span_make(bytes.at + taken, piece - taken));
        CHECK(memcmp(&cut, &at_once, sizeof cut) == 0);
        at += piece;
    }
}

static void random_documents(void)
{
    for (int i = 0; i < 1500; i++) {
        struct dw_buf text = {0};
        put_stream(&text);
        if (dw_buf_len(&text) < 20000) {
            parse(dw_buf_span(&text));
            compare(dw_buf_span(&text));
            compare_cut(dw_buf_span(&text));
        }
        dw_buf_free(&text);
    }
}

static void markup_ends(void)
{
    struct dw_boundary scan = {0};
    struct dw_span text = DW_SPAN_OF(" <?xml?><a b='>'><c/>text</a> <![CDATA[>]]>x");
    const char *const ends[] = {" <?xml?>", "<a b='>'>", "<c/>", "text</a>", " <![CDATA[>]]>", "x"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t len = dw_boundary_markup(&scan, text);
        CHECK_SPAN(dw_span_make(text.at, len), ends[i]);
        text = dw_span_make(text.at + len, text.len - len);
    }
    CHECK_INT(text.len, 0);
    CHECK(!scan.declaration);
    scan = (struct dw_boundary){0};
    dw_boundary_follow(&scan, DW_SPAN_OF("<!DOCTYPE"));
    CHECK(scan.declaration && !dw_boundary_is_text(&scan));
    scan = (struct dw_boundary){0};
    dw_boundary_follow(&scan, DW_SPAN_OF("</a></b>"));
    CHECK_INT(scan.depth, 0);
    CHECK_INT(dw_boundary_markup(&scan, DW_SPAN_OF("")), 0);
}

int main(void)
{
    RUN(markup_ends);
    RUN(random_documents);
    return check_done();
}
