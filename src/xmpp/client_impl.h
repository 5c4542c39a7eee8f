/* What the files of the client machine share among themselves: client.c (what the driver calls), client_stream.c
 * (headers, STARTTLS, the ends), client_sasl.c (authentication), client_traffic.c (once it is open). */
#ifndef DW_XMPP_CLIENT_IMPL_H
#define DW_XMPP_CLIENT_IMPL_H

#include "xmpp/boundary.h"
#include "xmpp/client.h"
#include "xmpp/xml.h"

enum { DW_CLIENT_BINDINGS = 2, DW_CLIENT_ATTEMPTS = 3 };

/* What only the login needs; gone once the stream is open. */
struct dw_client_login {
    struct dw_xml *xml;
    bool begun; /* something of the header in hand was there */
    char *asked; /* the header's `to` as written, or NULL */
    struct dw_buf restart; /* the header after SASL, as received */
    struct dw_buf offered; /* mechanisms, a space between */
    struct dw_sasl_options sasl_options;
    struct dw_sasl_binding binding[DW_CLIENT_BINDINGS];
    struct dw_buf binding_octets[DW_CLIENT_BINDINGS];
    struct dw_sasl *sasl; /* an exchange that is under way, or done and not refused */
    char mechanism[24]; /* of that exchange */
    struct dw_buf final; /* goes with success */
    struct dw_buf user; /* who the driver says it is */
    unsigned failures;
    struct dw_error failed; /* the last of them */
};

struct dw_xmpp_client {
    struct dw_machine machine; /* first: the machine is the client */
    enum dw_act (*state)(struct dw_xmpp_client *c, struct dw_effect *fx);
    struct dw_xmpp_client_options options;
    struct dw_client_login *login;
    struct dw_tls *tls;
    struct dw_buf plain; /* decrypted, not yet taken */
    size_t given; /* of `plain`, in the last effect */
    const char *domain; /* as configured; NULL until a header named it */
    char *from, *lang; /* as the client wrote them, or NULL */
    struct dw_error *why; /* once closed, or once TLS has failed */
    bool tls_up, tls_ended, tls_failed;
    bool header_sent; /* of the stream in hand */
    bool welcome; /* authenticated, and told so */
    struct dw_boundary down; /* what the backend sends */
    struct dw_buf ending; /* a stream error that waits for its place */
};

static inline struct dw_xmpp_client *dw_client_of(struct dw_machine *m)
{
    return (struct dw_xmpp_client *)(void *)m;
}

/* Decrypts what has been fed. */
void dw_client_read(struct dw_xmpp_client *c);
/* What has been fed and not been taken. */
struct dw_span dw_client_input(const struct dw_xmpp_client *c);
void dw_client_consume(struct dw_xmpp_client *c, size_t len);
/* Puts octets on their way to the client; -1 when that fails (c->why is told). */
int dw_client_say(struct dw_xmpp_client *c, struct dw_span octets);
/* The same, of a text that was put together; `failed`: memory ran out on the way.  Frees it. */
int dw_client_say_text(struct dw_xmpp_client *c, struct dw_buf *text, bool failed);

/* Closes, for the reason given, with nothing more said. */
enum dw_act dw_client_close(struct dw_xmpp_client *c, struct dw_effect *fx, enum dw_error_kind kind,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Closes with a stream error; the detail, which begins with the condition, is for the log. */
enum dw_act dw_client_fail(struct dw_xmpp_client *c, struct dw_effect *fx, enum dw_error_kind kind,
                           const char *condition, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Says the stream error alone, after a header when none has been sent, and the end. */
void dw_client_say_error(struct dw_xmpp_client *c, const char *condition, const char *text);
enum dw_act dw_client_closed(struct dw_xmpp_client *c, struct dw_effect *fx);
/* There is nothing more to look at: needs more, unless TLS has ended or failed. */
enum dw_act dw_client_need(struct dw_xmpp_client *c, struct dw_effect *fx);

/* A new stream begins, with a parser of its own; -1 when memory is out (c->why is told). */
int dw_client_begin(struct dw_xmpp_client *c);
/* The states of client_stream.c. */
enum dw_act dw_client_await_header(struct dw_xmpp_client *c, struct dw_effect *fx);
enum dw_act dw_client_await_starttls(struct dw_xmpp_client *c, struct dw_effect *fx);
enum dw_act dw_client_handshake(struct dw_xmpp_client *c, struct dw_effect *fx);
enum dw_act dw_client_await_offer(struct dw_xmpp_client *c, struct dw_effect *fx);
/* A header, stanza or end: DW_XML_..; DW_XML_MORE with `*act` when there is none, or the machine has closed. */
int dw_client_take(struct dw_xmpp_client *c, struct dw_effect *fx, enum dw_act *act);
/* What has no place where the stream stands. */
enum dw_act dw_client_unexpected(struct dw_xmpp_client *c, struct dw_effect *fx, int got);

/* client_sasl.c. */
enum dw_act dw_client_await_sasl(struct dw_xmpp_client *c, struct dw_effect *fx);
enum dw_act dw_client_await_verdict(struct dw_xmpp_client *c, struct dw_effect *fx);
/* A child of the stream in SASL's namespace: DW_NEED when it is done with. */
enum dw_act dw_client_sasl_stanza(struct dw_xmpp_client *c, struct dw_effect *fx, const struct dw_xml_node *node);

/* client_traffic.c. */
enum dw_act dw_client_await_data(struct dw_xmpp_client *c, struct dw_effect *fx);
int dw_client_push(struct dw_machine *m, struct dw_frame frame, struct dw_error *err);
/* Frees what only the login needed. */
void dw_client_forget_login(struct dw_xmpp_client *c);

/* For details: what a peer wrote, cut short, without controls. */
const char *dw_client_shown(char into[96], const char *text);

#endif
