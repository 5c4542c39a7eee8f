/* What is compared and what is written around a stream: domains, JIDs, features, errors. */
#include "base/buf.h"
#include "check.h"
#include "xmpp/errors.h"
#include "xmpp/features.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

#include <stdlib.h>

static bool same(const char *a, const char *b)
{
    return dw_jid_same_domain(dw_span_str(a), dw_span_str(b));
}

static void domains(void)
{
    CHECK(same("example.com", "example.com"));
    CHECK(same("EXAMPLE.com.", "example.COM"));
    CHECK(!same("example.com", "example.com.."));
    CHECK(!same("example.com", "example.comm"));
    CHECK(!same("example.com", "xexample.com"));
    CHECK(!same("", ""));
    CHECK(!same(".", "."));
    CHECK(!same("a..b", "a..b"));
    CHECK(!same("a b", "a b"));
    CHECK(!same("a@b", "a@b"));
    CHECK(!same("a/b", "a/b"));
    CHECK(!same("[::1]", "[::1]"));
    CHECK(!same("a\xff", "a\xff"));
    CHECK(same("127.0.0.1", "127.0.0.1"));
    char longest[1100] = "";
    for (size_t i = 0; i < 1023; i++)
        longest[i] = i % 50 == 49 ? '.' : 'a';
    CHECK(same(longest, longest));
    strcat(longest, "b");
    CHECK(!same(longest, longest));
}

/* RFC 3492 section 7.1, and what is no Punycode. */
static void a_labels(void)
{
    CHECK(same("xn--bcher-kva.example", "b\xc3\xbc"
                                        "cher.example"));
    CHECK(same("XN--BCHER-KVA.example", "b\xc3\xbc"
                                        "cher.example"));
    CHECK(same("xn--ihqwcrb4cv8a8dqg056pqjye", "\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4"
                                               "\xb8\x8d\xe8\xaf\xb4\xe4\xb8\xad\xe6\x96\x87"));
    CHECK(same("xn--MajiKoi5-783gue6qz075azm5e", "majikoi5\xe3\x81\xa7\xe3\x82\x8b"
                                                 "5\xe7\xa7\x92\xe5\x89\x8d") ==
          same("xn--majikoi5-783gue6qz075azm5e", "majikoi5\xe3\x81\xa7\xe3\x82\x8b"
                                                 "5\xe7\xa7\x92\xe5\x89\x8d"));
    CHECK(same("xn--de-jg4avhby1noc0d", "\xe3\x83\x91\xe3\x83\x95\xe3\x82\xa3\xe3\x83\xbc"
                                        "de\xe3\x83\xab\xe3\x83\xb3\xe3\x83\x90"));
    CHECK(!same("xn--bcher-kva.example", "bucher.example"));
    CHECK(same("xn--a!", "XN--A!"));
    CHECK(same("xn--99999999", "xn--99999999"));
    CHECK(!same("xn--99999999", "xn--99999998"));
    CHECK(same("xn--", "xn--"));
    CHECK(same("xn---", "xn---"));
    CHECK(!same("xn--a-", "xn--b-"));
}

static void jids(void)
{
    struct dw_span local, domain, resource;
    CHECK(dw_jid_split(DW_SPAN_OF("alice@example.com/a@b/c"), &local, &domain, &resource));
    CHECK_SPAN(local, "alice");
    CHECK_SPAN(domain, "example.com");
    CHECK_SPAN(resource, "a@b/c");
    CHECK(dw_jid_split(DW_SPAN_OF("example.com"), &local, &domain, &resource));
    CHECK(!local.at && !resource.at);
    CHECK_SPAN(domain, "example.com");
    CHECK(dw_jid_split(DW_SPAN_OF("example.com/x@y"), &local, &domain, &resource) && !local.at);
    CHECK(!dw_jid_split(DW_SPAN_OF("@example.com"), &local, &domain, &resource));
    CHECK(!dw_jid_split(DW_SPAN_OF("alice@"), &local, &domain, &resource));
    CHECK(!dw_jid_split(DW_SPAN_OF("alice@/x"), &local, &domain, &resource));
    CHECK(!dw_jid_split(DW_SPAN_OF("alice@example.com/"), &local, &domain, &resource));
    CHECK(!dw_jid_split(DW_SPAN_OF(""), &local, &domain, &resource));
}

#define OPEN "<stream:stream xmlns='jabber:client' xmlns:stream='" DW_XML_STREAMS "'>"

/* What is written is read again, by who knows XML. */
static struct dw_xml *read_back(struct dw_buf *text)
{
    struct dw_xml *xml = dw_xml_new(NULL, NULL);
    struct dw_error err = {0};
    size_t used;
    CHECK_INT(dw_xml_feed(xml, DW_SPAN_OF(OPEN), &used, &err), DW_XML_HEADER);
    if (!CHECK(dw_xml_feed(xml, dw_buf_span(text), &used, &err) == DW_XML_STANZA))
        printf("    %s\n", err.detail);
    return xml;
}

static void features(void)
{
    const char *const spaces[] = {"urn:xmpp:domain-based-name:1", "urn:x:'\"<&>", "urn:xmpp:tmp:domain-based-name",
                                  NULL};
    const char *const types[] = {"tls-exporter", NULL};
    const struct dw_features all = {
        .mechanisms = DW_SPAN_OF("GS2-KRB5-PLUS GSSAPI"),
        .hostname = "cm7<&>.example.com",
        .hostname_namespaces = spaces,
        .hostname_in_features = true,
        .binding_types = types,
    };
    struct dw_buf out = {0};
    CHECK_INT(dw_features_put(&out, &all), 0);
    struct dw_xml *xml = read_back(&out);
    const struct dw_xml_node *node = dw_xml_node(xml), *list = dw_xml_child(node, DW_XML_SASL, "mechanisms");
    CHECK(dw_xml_is(node, DW_XML_STREAMS, "features") && list);
    CHECK_SPAN(dw_xml_text(list->first), "GS2-KRB5-PLUS");
    CHECK_SPAN(dw_xml_text(list->first->next), "GSSAPI");
    for (size_t i = 0; spaces[i]; i++) {
        const struct dw_xml_node *inside = dw_xml_child(list, spaces[i], "hostname"),
                                 *again = dw_xml_child(node, spaces[i], "hostname");
        if (!CHECK(inside && again))
            continue;
        CHECK_SPAN(dw_xml_text(inside), "cm7<&>.example.com");
        CHECK_SPAN(dw_xml_text(again), "cm7<&>.example.com");
        CHECK_STR(dw_xml_attribute(inside, "mechanism"), i == 2 ? "GSSAPI" : NULL);
    }
    const struct dw_xml_node *bindings = dw_xml_child(node, "urn:xmpp:sasl-cb:0", "sasl-channel-binding");
    CHECK(bindings && bindings->first && !bindings->first->next);
    CHECK_STR(dw_xml_attribute(bindings->first, "type"), "tls-exporter");
    dw_xml_free(&xml);
    dw_buf_clear(&out, 0);
    CHECK_INT(dw_features_put(&out, &(struct dw_features){.hostname = "x", .hostname_namespaces = spaces}), 0);
    CHECK_SPAN(dw_buf_span(&out), "<stream:features></stream:features>");
    dw_buf_free(&out);
}

static void errors(void)
{
    struct dw_buf out = {0};
    CHECK_INT(dw_stream_error_put(&out, "policy-violation", "<&> \xff"), 0);
    struct dw_xml *xml = read_back(&out);
    const struct dw_xml_node *node = dw_xml_node(xml);
    CHECK(dw_xml_is(node, DW_XML_STREAMS, "error") && dw_xml_child(node, DW_XML_STREAM_ERRORS, "policy-violation"));
    CHECK_SPAN(dw_xml_text(dw_xml_child(node, DW_XML_STREAM_ERRORS, "text")), "<&> \xef\xbf\xbd");
    CHECK_STR(dw_xml_lang(dw_xml_child(node, DW_XML_STREAM_ERRORS, "text")), "en");
    dw_xml_free(&xml);
    dw_buf_clear(&out, 0);
    CHECK_INT(dw_stream_error_put(&out, "<evil/>", NULL), 0);
    xml = read_back(&out);
    CHECK(dw_xml_child(dw_xml_node(xml), DW_XML_STREAM_ERRORS, "undefined-condition"));
    CHECK(!dw_xml_node(xml)->first->next);
    dw_xml_free(&xml);
    dw_buf_clear(&out, 0);
    CHECK_INT(dw_sasl_failure_put(&out, "aborted"), 0);
    CHECK_SPAN(dw_buf_span(&out), "<failure xmlns='" DW_XML_SASL "'><aborted/></failure>");
    dw_buf_free(&out);
}

int main(void)
{
    RUN(domains);
    RUN(a_labels);
    RUN(jids);
    RUN(features);
    RUN(errors);
    return check_done();
}
