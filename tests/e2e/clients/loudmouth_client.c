/* A client over loudmouth (mcabber's library): logs in with the ticket of KRB5CCNAME, fetches the roster, sends one
 * message and waits for its echo.
 *
 *   loudmouth_client JID HOST PORT CA-FILE [TO TEXT]
 *
 * Says what happened as purple_client does; the same exit codes. */
#include <loudmouth/loudmouth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINE = 0, FAILED = 1, USAGE = 2, LATE = 4, PATIENCE = 30 };

static GMainLoop *loop;
static const char *recipient, *text, *user;
static int outcome = LATE;

static void say(const char *what, const char *who, const char *words)
{
    printf("%s %s%s%s\n", what, who, words ? " " : "", words ? words : "");
    fflush(stdout);
}

static void end(int code)
{
    outcome = code;
    g_main_loop_quit(loop);
}

static void fail(const char *why)
{
    say("failed", why, NULL);
    end(FAILED);
}

static LmHandlerResult on_message(LmMessageHandler *handler, LmConnection *connection, LmMessage *message,
                                  gpointer arg)
{
    (void)handler, (void)connection, (void)arg;
    LmMessageNode *body = lm_message_node_get_child(lm_message_get_node(message), "body");
    const char *words = body ? lm_message_node_get_value(body) : NULL;
    const char *from = lm_message_node_get_attribute(lm_message_get_node(message), "from");
    if (words) {
        say("received", from ? from : "nobody", words);
        if (g_str_has_prefix(words, "echo: "))
            end(FINE);
    }
    return LM_HANDLER_RESULT_REMOVE_MESSAGE;
}

static void send_message(LmConnection *connection)
{
    LmMessage *message = lm_message_new_with_sub_type(recipient, LM_MESSAGE_TYPE_MESSAGE, LM_MESSAGE_SUB_TYPE_CHAT);
    lm_message_node_add_child(lm_message_get_node(message), "body", text);
    if (lm_connection_send(connection, message, NULL))
        say("sent", recipient, text);
    else
        fail("the message was not sent");
    lm_message_unref(message);
}

static LmHandlerResult on_roster(LmMessageHandler *handler, LmConnection *connection, LmMessage *answer,
                                 gpointer arg)
{
    (void)handler, (void)arg;
    int count = 0;
    LmMessageNode *query = lm_message_node_get_child(lm_message_get_node(answer), "query");
    for (LmMessageNode *item = query ? query->children : NULL; item; item = item->next)
        count++;
    if (!query || lm_message_get_sub_type(answer) != LM_MESSAGE_SUB_TYPE_RESULT) {
        fail("no roster");
        return LM_HANDLER_RESULT_REMOVE_MESSAGE;
    }
    printf("roster %d\n", count);
    LmMessage *presence = lm_message_new(NULL, LM_MESSAGE_TYPE_PRESENCE);
    lm_connection_send(connection, presence, NULL);
    lm_message_unref(presence);
    if (recipient)
        send_message(connection);
    else
        end(FINE);
    return LM_HANDLER_RESULT_REMOVE_MESSAGE;
}

static void on_authenticated(LmConnection *connection, gboolean fine, gpointer arg)
{
    (void)arg;
    if (!fine) {
        fail("not authenticated");
        return;
    }
    gchar *full = lm_connection_get_full_jid(connection);
    say("bound", full ? full : "nothing", NULL);
    g_free(full);
    LmMessage *request = lm_message_new_with_sub_type(NULL, LM_MESSAGE_TYPE_IQ, LM_MESSAGE_SUB_TYPE_GET);
    LmMessageNode *query = lm_message_node_add_child(lm_message_get_node(request), "query", NULL);
    lm_message_node_set_attribute(query, "xmlns", "jabber:iq:roster");
    LmMessageHandler *handler = lm_message_handler_new(on_roster, NULL, NULL);
    if (!lm_connection_send_with_reply(connection, request, handler, NULL))
        fail("the roster was not asked for");
    lm_message_handler_unref(handler);
    lm_message_unref(request);
}

static void on_open(LmConnection *connection, gboolean fine, gpointer arg)
{
    (void)arg;
    GError *error = NULL;
    if (!fine)
        fail("not connected");
    else if (!lm_connection_authenticate(connection, user, "", "loudmouth", on_authenticated, NULL, NULL, &error))
        fail(error->message);
}

static void on_end(LmConnection *connection, LmDisconnectReason reason, gpointer arg)
{
    (void)connection, (void)arg;
    if (reason != LM_DISCONNECT_REASON_OK)
        fail("disconnected");
}

static LmSSLResponse on_certificate(LmSSL *ssl, LmSSLStatus status, gpointer arg)
{
    (void)ssl, (void)arg;
    printf("failed certificate status %d\n", (int)status);
    return LM_SSL_RESPONSE_STOP;
}

static gboolean on_late(gpointer arg)
{
    (void)arg;
    say("failed", "nothing more came in time", NULL);
    end(LATE);
    return FALSE;
}

int main(int argc, char **argv)
{
    if ((argc != 5 && argc != 7) || !strchr(argv[1], '@')) {
        fputs("usage: loudmouth_client JID HOST PORT CA-FILE [TO TEXT]\n", stderr);
        return USAGE;
    }
    GError *error = NULL;
    recipient = argc == 7 ? argv[5] : NULL;
    text = argc == 7 ? argv[6] : NULL;
    user = g_strndup(argv[1], (gsize)(strchr(argv[1], '@') - argv[1]));
    loop = g_main_loop_new(NULL, FALSE);
    LmConnection *connection = lm_connection_new(argv[2]);
    lm_connection_set_port(connection, (guint)atoi(argv[3]));
    lm_connection_set_jid(connection, argv[1]);
    LmSSL *ssl = lm_ssl_new(NULL, on_certificate, NULL, NULL);
    lm_ssl_use_starttls(ssl, TRUE, TRUE);
    lm_ssl_set_ca(ssl, argv[4]);
    lm_connection_set_ssl(connection, ssl);
    lm_connection_set_disconnect_function(connection, on_end, NULL, NULL);
    LmMessageHandler *handler = lm_message_handler_new(on_message, NULL, NULL);
    lm_connection_register_message_handler(connection, handler, LM_MESSAGE_TYPE_MESSAGE,
                                           LM_HANDLER_PRIORITY_NORMAL);
    g_timeout_add_seconds(PATIENCE, on_late, NULL);
    if (lm_connection_open(connection, on_open, NULL, NULL, &error))
        g_main_loop_run(loop);
    else
        fail(error->message);
    if (lm_connection_is_open(connection))
        lm_connection_close(connection, NULL);
    return outcome;
}
