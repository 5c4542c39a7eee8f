/* The parser of streams: what it gives out, where it stops, and what it does not take. */
#include "check.h"
#include "xmpp/xml.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADER                                                                                                     \
    "<stream:stream to='example.com' xmlns='jabber:client' xmlns:stream='" DW_XML_STREAMS "' version='1.0'>"

static void put_tree(struct dw_buf *out, const struct dw_xml_node *node, bool close)
{
    dw_buf_printf(out, "<{%s}%s", node->ns, node->name);
    for (size_t i = 0; i < node->attributes; i++)
        dw_buf_printf(out, " {%s}%s='%s'", node->attribute[i].ns, node->attribute[i].name,
                      node->attribute[i].value);
    dw_buf_printf(out, ">%.*s", (int)dw_xml_text(node).len, (const char *)dw_xml_text(node).at);
    for (const struct dw_xml_node *child = node->first; child; child = child->next)
        put_tree(out, child, true);
    if (close)
        dw_buf_printf(out, "</>");
}

/* All that a document gives, as a line of text: fed in pieces of at most `piece`, cut at `cut`. */
static void told(struct dw_buf *out, const struct dw_xml_limits *limits, struct dw_span text, size_t piece,
                 size_t cut)
{
    struct dw_xml *xml = dw_xml_new(limits, NULL);
    struct dw_error err = {0};
    size_t at = 0;
    int got = 0;
    while (got >= 0 && got != DW_XML_END) {
        size_t len = text.len - at < piece ? text.len - at : piece, used;
        if (at < cut && at + len > cut)
            len = cut - at;
        uint8_t *exact = malloc(len + 1); /* so that a look past the end is seen */
        memcpy(exact, text.at + at, len);
        got = dw_xml_feed(xml, dw_span_make(exact, len), &used, &err);
        free(exact);
        at += used;
        CHECK(used <= len && (got != DW_XML_MORE || used == len));
        if (got == DW_XML_HEADER || got == DW_XML_STANZA)
            put_tree(out, dw_xml_node(xml), got == DW_XML_STANZA);
        if (got == DW_XML_MORE && at == text.len)
            break;
    }
    if (got < 0) {
        CHECK(err.kind != DW_ERROR_NONE && strstr(err.detail, dw_xml_condition(xml)));
        dw_buf_printf(out, "!%s", dw_xml_condition(xml));
    } else if (got == DW_XML_END) {
        dw_buf_printf(out, "END+%zu", text.len - at);
    } else if (dw_xml_is_amid(xml)) {
        dw_buf_printf(out, "..");
    }
    dw_xml_free(&xml);
}

static void gives_within(const struct dw_xml_limits *limits, struct dw_span text, const char *wanted)
{
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct dw_buf out = {0};
        told(&out, limits, text, cut == 1 ? 1 : SIZE_MAX / 2, cut);
        if (!CHECK(dw_span_equal(dw_buf_span(&out), dw_span_str(wanted)))) {
            printf("    cut at %zu of %.*s\n    gave %.*s\n    not  %s\n", cut, (int)text.len,
                   (const char *)text.at, (int)dw_buf_len(&out), (const char *)dw_buf_span(&out).at, wanted);
            cut = text.len;
        }
        dw_buf_free(&out);
        if (text.len > 5000)
            cut += text.len / 50;
    }
}

#define GIVES(text, wanted) gives_within(NULL, DW_SPAN_OF(text), wanted)
#define TOP "<{" DW_XML_STREAMS "}stream {}to='example.com' {}version='1.0'>"

static void whole_streams(void)
{
    GIVES(HEADER, TOP);
    GIVES("<?xml version='1.0'?>" HEADER, TOP);
    GIVES("<?xml version=\"1.0\" encoding='utf-8' standalone='yes'?>\n " HEADER "\n", TOP);
    GIVES(HEADER "<a/><b x='>'/> \n<c>t&lt;<d y=\"'/>\"> </d>u<![CDATA[<]]]></c>",
          TOP "<{jabber:client}a></><{jabber:client}b {}x='>'></><{jabber:client}c>t<u<]<{jabber:client}d "
              "{}y=''/>'> </></>");
    GIVES(HEADER "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='GSSAPI'>YQ==</auth></stream:stream>  ",
          TOP "<{" DW_XML_SASL "}auth {}mechanism='GSSAPI'>YQ==</>END+2");
    GIVES("<s:stream xmlns:s='" DW_XML_STREAMS "'/>", "<{" DW_XML_STREAMS "}stream>END+0");
    GIVES("<s:stream xmlns:s='" DW_XML_STREAMS "'/>rest", "<{" DW_XML_STREAMS "}stream>END+4");
    GIVES(HEADER "<a xml:lang='en' z:q='1' xmlns:z='urn:z'>&#x41;&#66;&amp;&quot;&apos;&gt;</a>",
          TOP "<{jabber:client}a {http://www.w3.org/XML/1998/namespace}lang='en' {urn:z}q='1'>AB&\"'></>");
    GIVES(HEADER "<a><b>", TOP "..");
    GIVES(HEADER "<a", TOP "..");
    GIVES(HEADER " ", TOP);
    GIVES("", "");
}

static void wrongs(void)
{
    GIVES("<!DOCTYPE x><x/>", "!restricted-xml");
    GIVES("<!DOCTYPE x [<!ENTITY a 'b'>", "!restricted-xml");
    GIVES("<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY l1 '&lol;&lol;'>]><lolz>&l1;</lolz>",
          "!restricted-xml");
    GIVES("<!-- -->" HEADER, "!restricted-xml");
    GIVES(HEADER "<!-- -->", TOP "!restricted-xml");
    GIVES(HEADER "<a><!-- --></a>", TOP "!restricted-xml");
    GIVES(HEADER "<?pi?>", TOP "!restricted-xml");
    GIVES("<?pi x?>" HEADER, "!restricted-xml");
    GIVES(HEADER "<a>&lol;</a>", TOP "!restricted-xml");
    GIVES(HEADER "<a b='&lol;'/>", TOP "!restricted-xml");
    GIVES(HEADER "<a>&#0;</a>", TOP "!not-well-formed");
    GIVES(HEADER "<a>\0</a>", TOP "!not-well-formed");
    GIVES(HEADER "<a b='\0'/>", TOP "!not-well-formed");
    GIVES(HEADER "<a>\xff</a>", TOP "!not-well-formed");
    GIVES(HEADER "<a>\xc0\x80</a>", TOP "!not-well-formed");
    GIVES(HEADER "<a>\xed\xa0\x80</a>", TOP "!not-well-formed");
    GIVES(HEADER "<a></b>", TOP "!not-well-formed");
    GIVES(HEADER "<a b='1' b='2'/>", TOP "!not-well-formed");
    GIVES(HEADER "<n:a/>", TOP "!not-well-formed");
    GIVES(HEADER "<a b=1/>", TOP "!not-well-formed");
    GIVES(HEADER "<a b='<'/>", TOP "!not-well-formed");
    GIVES(HEADER "<?xml version='1.0'?>", TOP "!not-well-formed");
    GIVES(HEADER "<a>]]></a>", TOP "!not-well-formed");
    GIVES(HEADER "text<a/>", TOP "!bad-format");
    GIVES(HEADER "&amp;<a/>", TOP "!bad-format");
    GIVES(HEADER "<![CDATA[x]]><a/>", TOP "!bad-format");
    GIVES("GET / HTTP/1.1\r\n\r\n", "!not-well-formed");
    GIVES("\x16\x03\x01\x02\x05", "!not-well-formed");
    GIVES("<?xml version='1.0' encoding='ISO-8859-1'?>" HEADER, "!unsupported-encoding");
    GIVES("<?xml version='1.0' encoding='UTF-16'?>" HEADER, "!unsupported-encoding");
    GIVES("<?xml version='1.1'?>" HEADER, "!not-well-formed");
    GIVES("\xff\xfe<\0a\0", "!unsupported-encoding");
    GIVES("\xfe\xff\0<", "!unsupported-encoding");
    GIVES("<\0s\0", "!unsupported-encoding");
    GIVES("\0<\0s", "!unsupported-encoding");
    GIVES("<a/ ><b/>", "!not-well-formed");
}

/* Exactly what is agreed to is taken, one more is not. */
static void bounds(void)
{
    const struct dw_xml_limits limits = {.bytes = 400, .depth = 3, .elements = 5, .attributes = 4};
    gives_within(&limits, DW_SPAN_OF(HEADER "<a><b><c/></b></a>"),
                 TOP "<{jabber:client}a><{jabber:client}b><{jabber:client}c></></></>");
    gives_within(&limits, DW_SPAN_OF(HEADER "<a><b><c><d/></c></b></a>"), TOP "!policy-violation");
    gives_within(&limits, DW_SPAN_OF(HEADER "<a><b/><b/><b/><b/></a><a/>"),
                 TOP "<{jabber:client}a><{jabber:client}b></><{jabber:client}b></><{jabber:client}b></>"
                     "<{jabber:client}b></></><{jabber:client}a></>");
    gives_within(&limits, DW_SPAN_OF(HEADER "<a><b/><b/><b/><b/><b/></a>"), TOP "!policy-violation");
    gives_within(&limits, DW_SPAN_OF(HEADER "<a b='' c='' d='' e=''/>"),
                 TOP "<{jabber:client}a {}b='' {}c='' {}d='' {}e=''></>");
    gives_within(&limits, DW_SPAN_OF(HEADER "<a b='' c='' d='' e='' f=''/>"), TOP "!policy-violation");
    for (size_t over = 0; over < 2; over++)
        for (int kind = 0; kind < 3; kind++) {
            static const char *const begin[] = {"<a b='", "<a>", "<a><![CDATA["}, *const end[] = {"'/>", "</a>",
                                                                                                  "]]></a>"};
            struct dw_buf text = {0}, out = {0};
            dw_buf_printf(&text, "%s%s", HEADER, begin[kind]);
            size_t fill = 400 - strlen(begin[kind]) - strlen(end[kind]) + over;
            for (size_t i = 0; i < fill; i++)
                dw_buf_put_u8(&text, 'x');
            dw_buf_printf(&text, "%s", end[kind]);
            for (size_t piece = 1; piece < 500; piece += 113) {
                dw_buf_clear(&out, 0);
                told(&out, &limits, dw_buf_span(&text), piece, 0);
                CHECK((memmem(out.at, dw_buf_len(&out), "!policy-violation", 17) != NULL) == (over > 0));
            }
            dw_buf_free(&text);
            dw_buf_free(&out);
        }
    /* Keepalives between stanzas are of no stanza. */
    struct dw_xml *xml = dw_xml_new(&limits, NULL);
    size_t used;
    CHECK(dw_xml_feed(xml, DW_SPAN_OF(HEADER), &used, NULL) == DW_XML_HEADER);
    CHECK(strcmp(dw_xml_content_ns(xml), DW_XML_CLIENT) == 0);
    for (int i = 0; i < 1000; i++)
        CHECK(dw_xml_feed(xml, DW_SPAN_OF(" \n"), &used, NULL) == DW_XML_MORE);
    dw_xml_free(&xml);
}

static void escapes(void)
{
    struct dw_buf out = {0};
    CHECK(dw_xml_escape(&out, DW_SPAN_OF("a<b>&'\"\t\r\nz\xc3\xa9\xf0\x9f\x98\x80")) == 0);
    CHECK(dw_span_equal(dw_buf_span(&out),
                        DW_SPAN_OF("a&lt;b&gt;&amp;&apos;&quot;&#9;&#13;&#10;z\xc3\xa9\xf0\x9f\x98\x80")));
    dw_buf_clear(&out, 0);
    CHECK(dw_xml_escape(&out, DW_SPAN_OF("\0\x1b\xff\xc3\xef\xbf\xbe.\xed\xa0\x80")) == 0);
#define U "\xef\xbf\xbd"
    CHECK(dw_span_equal(dw_buf_span(&out), DW_SPAN_OF(U U U U U U U "." U U U)));
    dw_buf_free(&out);
}

int main(void)
{
    RUN(whole_streams);
    RUN(wrongs);
    RUN(bounds);
    RUN(escapes);
    return check_done();
}
