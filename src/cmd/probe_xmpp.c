/* durward probe xmpp: a login of an XMPP client by GSSAPI (RFC 6120, RFC 4752, XEP-0233), step by step. */
#include "cmd/probe_xmpp.h"

#include "base/text.h"
#include "cmd/probe.h"
#include "config/config.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPN "xmpp-client"
#define BIND "urn:ietf:params:xml:ns:xmpp-bind"

static const char *const hostname_namespaces[] = {"urn:xmpp:domain-based-name:1", "urn:xmpp:domain-based-name:0",
                                                  "urn:xmpp:tmp:domain-based-name", NULL};

static int failed_in_stream(struct dw_probe_xmpp *p, const char *step, const struct dw_error *err)
{
    const char *cause = NULL;
    if (strstr(err->detail, "host-unknown"))
        cause = "that domain is not served there";
    else if (strstr(err->detail, "no XMPP stream") || strstr(err->detail, "not-well-formed"))
        cause = "it speaks another protocol, or TLS from the first octet (--direct)";
    else if (err->kind == DW_ERROR_CLOSED && !p->stream.tls)
        cause = "it speaks TLS from the first octet (--direct), or another protocol";
    return dw_step_failed(&p->steps, step, err->detail, cause);
}

/* -- TLS ------------------------------------------------------------------------------------------------------ */

static const char *cause_of_certificate(const struct dw_error *err)
{
    if (strstr(err->detail, "is not for"))
        return "a certificate for another name: it has to be for the domain, wherever its server is";
    if (strcasestr(err->detail, "expired"))
        return "the certificate was not renewed, or this host's clock is wrong";
    if (strcasestr(err->detail, "not yet valid"))
        return "this host's clock is wrong";
    if (err->kind == DW_ERROR_DENIED)
        return "its authority is not known here: --ca FILE names one";
    return "it speaks no TLS there, or none that this one takes";
}

static int put_tls_on(struct dw_probe_xmpp *p)
{
    struct dw_error err = {0};
    struct dw_tls_client_options options = {.ca_file = p->ca_file, .verify_nothing = p->unverified};
    struct dw_tls_context *context = dw_tls_client_new(&options, &err);
    struct dw_buf line = {0};
    if (!context)
        return dw_step_failed(&p->steps, "TLS", err.detail, NULL);
    int rc = dw_probe_secure(&p->stream, context, p->domain, p->direct ? ALPN : NULL, &err);
    dw_tls_context_release(&context);
    if (rc < 0)
        return dw_step_failed(&p->steps, "TLS", err.detail, cause_of_certificate(&err));
    dw_step_tell(&p->steps, "TLS", "%s, %s", dw_tls_version(p->stream.tls), dw_tls_cipher(p->stream.tls));
    if (dw_tls_describe_peer(p->stream.tls, &line) == 0)
        dw_step_tell(&p->steps, "TLS", "%s: %.*s",
                     p->unverified ? "certificate NOT verified" : "certificate verified", (int)dw_buf_len(&line),
                     (const char *)dw_buf_span(&line).at);
    dw_buf_free(&line);
    return 0;
}

static int start_tls(struct dw_probe_xmpp *p, const struct dw_xml_node *features)
{
    struct dw_error err = {0};
    if (!dw_xml_child(features, DW_XML_TLS, "starttls"))
        return dw_step_failed(&p->steps, "STARTTLS", "the server offers no STARTTLS",
                              "it is not set up there, or TLS goes from the first octet (--direct)");
    if (dw_probe_send(&p->stream, DW_SPAN_OF("<starttls xmlns='" DW_XML_TLS "'/>"), &err) < 0)
        return failed_in_stream(p, "STARTTLS", &err);
    const struct dw_xml_node *answer = dw_probe_next(&p->stream, &err);
    if (!answer)
        return failed_in_stream(p, "STARTTLS", &err);
    if (!dw_xml_is(answer, DW_XML_TLS, "proceed"))
        return dw_step_failed(&p->steps, "STARTTLS", "the server will not go on with TLS", "its log says why");
    if (dw_buf_len(&p->stream.plain) > 0)
        return dw_step_failed(&p->steps, "STARTTLS", "octets in the clear follow <proceed/>",
                              "somebody on the way puts in words of their own");
    dw_step_tell(&p->steps, "STARTTLS", "proceeds");
    return put_tls_on(p);
}

/* -- features ------------------------------------------------------------------------------------------------- */

static const struct dw_xml_node *open_stream(struct dw_probe_xmpp *p, const char *step)
{
    struct dw_error err = {0};
    const struct dw_xml_node *features = NULL;
    if (dw_probe_open(&p->stream, p->domain, &err) == 0)
        features = dw_probe_next(&p->stream, &err);
    if (!features) {
        failed_in_stream(p, step, &err);
        return NULL;
    }
    if (dw_xml_is(features, DW_XML_STREAMS, "features"))
        return features;
    dw_step_failed(&p->steps, step, "no features came", "its log says why");
    return NULL;
}

static void read_hostnames(struct dw_probe_xmpp *p, const struct dw_xml_node *within, const char *place)
{
    for (const char *const *ns = hostname_namespaces; *ns; ns++) {
        const struct dw_xml_node *told = dw_xml_child(within, *ns, "hostname");
        struct dw_span name = told ? dw_xml_text(told) : DW_SPAN_NONE;
        if (name.len == 0 || name.len >= sizeof p->told)
            continue;
        struct dw_buf shown = {0};
        dw_text_quote(&shown, name);
        dw_step_tell(&p->steps, "hostname", "%.*s, in <%s/> (%s)", (int)dw_buf_len(&shown),
                     (const char *)dw_buf_span(&shown).at, place, *ns);
        dw_buf_free(&shown);
        if (!p->told[0] && !dw_text_has_control(name))
            memcpy(p->told, name.at, name.len);
    }
}

static int read_mechanisms(struct dw_probe_xmpp *p, const struct dw_xml_node *features)
{
    const struct dw_xml_node *list = dw_xml_child(features, DW_XML_SASL, "mechanisms");
    char line[400] = "";
    for (const struct dw_xml_node *at = list ? list->first : NULL; at; at = at->next) {
        struct dw_span name = dw_xml_text(at);
        if (!dw_xml_is(at, DW_XML_SASL, "mechanism") || name.len == 0 || name.len > 64 || dw_text_has_control(name))
            continue;
        p->has_gssapi = p->has_gssapi || dw_span_equal(name, DW_SPAN_OF("GSSAPI"));
        size_t used = strlen(line);
        snprintf(line + used, sizeof line - used, "%s%.*s", used ? " " : "", (int)name.len, (const char *)name.at);
    }
    dw_step_tell(&p->steps, "features", "mechanisms: %s", line[0] ? line : "none");
    if (list)
        read_hostnames(p, list, "mechanisms");
    read_hostnames(p, features, "features");
    if (p->hostname)
        snprintf(p->told, sizeof p->told, "%s", p->hostname);
    if (p->has_gssapi)
        return 0;
    return dw_step_failed(
        &p->steps, "features", "the server offers no GSSAPI",
        "its keytab has no key for this domain, or it is not set up for Kerberos; its log says which");
}

/* -- behind the login ------------------------------------------------------------------------------------------- */

static int bind_resource(struct dw_probe_xmpp *p)
{
    struct dw_error err = {0};
    const struct dw_xml_node *features = open_stream(p, "restart"), *answer;
    if (!features)
        return -1;
    if (!dw_xml_child(features, BIND, "bind"))
        return dw_step_failed(&p->steps, "restart", "the server offers no resource binding", NULL);
    dw_step_tell(&p->steps, "restart", "the server goes on with its own features");
    if (dw_probe_send(&p->stream, DW_SPAN_OF("<iq type='set' id='probe'><bind xmlns='" BIND "'/></iq>"), &err) < 0)
        return failed_in_stream(p, "bind", &err);
    do
        answer = dw_probe_next(&p->stream, &err);
    while (answer && !dw_xml_is(answer, DW_XML_CLIENT, "iq"));
    if (!answer)
        return failed_in_stream(p, "bind", &err);
    const struct dw_xml_node *bound = dw_xml_child(answer, BIND, "bind"),
                             *jid = bound ? dw_xml_child(bound, BIND, "jid") : NULL;
    if (!jid)
        return dw_step_failed(&p->steps, "bind", "no address was bound",
                              "the user may not come in, or comes too often");
    struct dw_buf shown = {0};
    dw_text_quote(&shown, dw_xml_text(jid));
    dw_step_tell(&p->steps, "bind", "%.*s", (int)dw_buf_len(&shown), (const char *)dw_buf_span(&shown).at);
    dw_buf_free(&shown);
    return 0;
}

static int log_in(struct dw_probe_xmpp *p)
{
    const struct dw_xml_node *features;
    if (dw_probe_find(p) < 0 || (p->direct && put_tls_on(p) < 0))
        return -1;
    features = open_stream(p, "stream");
    if (!features)
        return -1;
    if (!p->direct) {
        dw_step_tell(&p->steps, "stream", "an XMPP server for %s", p->domain);
        if (start_tls(p, features) < 0 || !(features = open_stream(p, "stream")))
            return -1;
    }
    if (read_mechanisms(p, features) < 0 || dw_probe_login(p) < 0 || bind_resource(p) < 0)
        return -1;
    dw_probe_leave(&p->stream);
    dw_step_tell(&p->steps, "done", "logged in");
    return 0;
}

/* -- the command line --------------------------------------------------------------------------------------- */

static int usage(const char *what, const char *word)
{
    fprintf(stderr, "durward probe xmpp: %s%s%s\n\n", what, word ? " " : "", word ? word : "");
    return 2;
}

/* "example.com", "xmpp://example.com", "xmpp:example.com"; a trailing slash or dot is no part of it. */
static int read_domain(struct dw_probe_xmpp *p, const char *text)
{
    const char *at = text;
    if (!strncmp(at, "xmpp:", 5))
        at += 5;
    if (!strncmp(at, "//", 2))
        at += 2;
    size_t len = strlen(at);
    while (len > 0 && (at[len - 1] == '/' || at[len - 1] == '.'))
        len--;
    if (len == 0 || len >= sizeof p->domain || strcspn(at, "/:@?# \t") < len)
        return usage("a domain is needed, such as example.com or xmpp://example.com, not", text);
    for (size_t i = 0; i < len; i++)
        p->domain[i] = (char)tolower((unsigned char)at[i]);
    return 0;
}

static int read_connect(struct dw_probe_xmpp *p, const char *text)
{
    struct dw_address address = {0};
    char full[300];
    if (snprintf(full, sizeof full, "%s%s", strstr(text, "://") ? "" : "tcp://", text) >= (int)sizeof full ||
        dw_address_parse(&address, full, NULL) < 0 || address.scheme != DW_TCP || !strcmp(address.host, "*") ||
        address.port == 0 || strlen(address.host) >= sizeof p->connect_host) {
        dw_address_clear(&address);
        return usage("--connect takes host:port, not", text);
    }
    snprintf(p->connect_host, sizeof p->connect_host, "%s", address.host);
    p->connect_port = address.port;
    dw_address_clear(&address);
    return 0;
}

static int parse(struct dw_probe_xmpp *p, int argc, char **argv)
{
    enum {
        CONNECT = 1,
        DIRECT,
        CA,
        UNVERIFIED,
        DNS,
        HOSTNAME,
        REALM,
        POLICY,
        SERVICE,
        AUTHZID,
        CCACHE,
        KEYTAB,
        PRINCIPAL,
        TIMEOUT
    };
    static const struct option options[] = {
        {"connect", required_argument, NULL, CONNECT},
        {"direct", no_argument, NULL, DIRECT},
        {"ca", required_argument, NULL, CA},
        {"no-verify", no_argument, NULL, UNVERIFIED},
        {"dns", required_argument, NULL, DNS},
        {"hostname", required_argument, NULL, HOSTNAME},
        {"realm", required_argument, NULL, REALM},
        {"policy", required_argument, NULL, POLICY},
        {"service", required_argument, NULL, SERVICE},
        {"authzid", required_argument, NULL, AUTHZID},
        {"ccache", required_argument, NULL, CCACHE},
        {"keytab", required_argument, NULL, KEYTAB},
        {"principal", required_argument, NULL, PRINCIPAL},
        {"timeout", required_argument, NULL, TIMEOUT},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case CONNECT:
            if (read_connect(p, optarg) != 0)
                return 2;
            break;
        case DIRECT: p->direct = true; break;
        case CA: p->ca_file = optarg; break;
        case UNVERIFIED: p->unverified = true; break;
        case DNS: p->servers[0] = optarg; break;
        case HOSTNAME: p->hostname = optarg; break;
        case REALM: p->realm = optarg; break;
        case POLICY: p->policy = optarg; break;
        case SERVICE: p->service = optarg; break;
        case AUTHZID: p->authzid = optarg; break;
        case CCACHE: p->who.ccache = optarg; break;
        case KEYTAB: p->who.keytab = optarg; break;
        case PRINCIPAL: p->who.principal = optarg; break;
        case TIMEOUT: p->timeout = strtod(optarg, NULL); break;
        default: fputc('\n', stderr); return 2;
        }
    }
    if (optind + 1 != argc)
        return usage(optind == argc ? "a domain is needed" : "one domain only, not also",
                     optind == argc ? NULL : argv[argc - 1]);
    if (!(p->timeout > 0))
        return usage("--timeout takes a number of seconds", NULL);
    return read_domain(p, argv[optind]);
}

int dw_probe_xmpp(int argc, char **argv)
{
    struct dw_probe_xmpp p = {.timeout = 15, .stream = {.fd = -1}};
    int rc = parse(&p, argc, argv);
    if (rc != 0)
        return rc;
    p.steps.started = dw_step_now();
    p.stream.deadline = p.steps.started + p.timeout * 1000;
    rc = log_in(&p) < 0 ? 1 : 0;
    dw_probe_stream_free(&p.stream);
    return rc;
}
