/* A headless client over libpurple (Pidgin's and finch's library, with Cyrus SASL): logs in with the ticket of KRB5CCNAME,
 * fetches the roster, sends one message and waits for its echo.
 *
 *   purple_client JID HOST PORT CA-FILE [TO TEXT]
 *
 * Says what happened, a line each: "bound JID", "roster N", "sent TO TEXT", "received FROM TEXT", "failed WHY".  Exit 0 when
 * all of it did, 1 when something failed, 4 when time ran out. */
#include <glib.h>
#include <glib/gstdio.h>
#include <libpurple/purple.h>
#include <libpurple/xmlnode.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FINE = 0, FAILED = 1, USAGE = 2, LATE = 4, PATIENCE = 30 };

static GMainLoop *loop;
static const char *recipient, *text;
static int outcome = LATE;
static gboolean signed_on, has_roster;

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

/* -- libpurple's event loop, on GLib's ----------------------------------------------------------------------- */

struct watch {
    PurpleInputFunction act;
    gpointer arg;
};

static gboolean ready(GIOChannel *channel, GIOCondition condition, gpointer arg)
{
    struct watch *watch = arg;
    int wanted = 0;
    if (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))
        wanted |= PURPLE_INPUT_READ;
    if (condition & (G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL))
        wanted |= PURPLE_INPUT_WRITE;
    watch->act(watch->arg, g_io_channel_unix_get_fd(channel), (PurpleInputCondition)wanted);
    return TRUE;
}

static guint add_input(int fd, PurpleInputCondition condition, PurpleInputFunction act, gpointer arg)
{
    GIOCondition wanted = G_IO_HUP | G_IO_ERR | G_IO_NVAL;
    struct watch *watch = g_new0(struct watch, 1);
    GIOChannel *channel = g_io_channel_unix_new(fd);
    if (condition & PURPLE_INPUT_READ)
        wanted |= G_IO_IN;
    if (condition & PURPLE_INPUT_WRITE)
        wanted |= G_IO_OUT;
    watch->act = act;
    watch->arg = arg;
    guint id = g_io_add_watch_full(channel, G_PRIORITY_DEFAULT, wanted, ready, watch, g_free);
    g_io_channel_unref(channel);
    return id;
}

static PurpleEventLoopUiOps on_glib = {
    .timeout_add = g_timeout_add,
    .timeout_remove = g_source_remove,
    .input_add = add_input,
    .input_remove = g_source_remove,
    .timeout_add_seconds = g_timeout_add_seconds,
};

/* -- what happens -------------------------------------------------------------------------------------------- */

static void go_on(PurpleConnection *connection)
{
    if (!signed_on || !has_roster)
        return;
    if (!recipient) {
        end(FINE);
        return;
    }
    serv_send_im(connection, recipient, text, PURPLE_MESSAGE_SEND);
    say("sent", recipient, text);
}

static void on_signed_on(PurpleConnection *connection)
{
    signed_on = TRUE;
    say("bound", purple_connection_get_display_name(connection), NULL);
    go_on(connection);
}

/* The answer with the roster. */
static void on_stanza(PurpleConnection *connection, xmlnode **packet)
{
    xmlnode *query = *packet ? xmlnode_get_child(*packet, "query") : NULL;
    const char *ns = query ? xmlnode_get_namespace(query) : NULL;
    if (has_roster || !ns || strcmp(ns, "jabber:iq:roster") != 0)
        return;
    int count = 0;
    for (xmlnode *item = xmlnode_get_child(query, "item"); item; item = xmlnode_get_next_twin(item))
        count++;
    printf("roster %d\n", count);
    has_roster = TRUE;
    go_on(connection);
}

static void on_message(PurpleAccount *account, char *sender, char *message)
{
    (void)account;
    char *plain = purple_markup_strip_html(message);
    say("received", sender, plain);
    if (g_str_has_prefix(plain, "echo: "))
        end(FINE);
    g_free(plain);
}

static void on_error(PurpleConnection *connection, PurpleConnectionError kind, const char *description)
{
    (void)connection, (void)kind;
    say("failed", description, NULL);
    end(FAILED);
}

/* What Pidgin does next when a ticket got nobody in. */
static void *on_question(const char *title, const char *primary, const char *secondary, PurpleRequestFields *fields,
                         const char *ok, GCallback on_ok, const char *cancel, GCallback on_cancel,
                         PurpleAccount *account, const char *who, PurpleConversation *conversation, void *arg)
{
    (void)title, (void)secondary, (void)fields, (void)ok, (void)on_ok, (void)cancel, (void)on_cancel;
    (void)account, (void)who, (void)conversation, (void)arg;
    say("failed", primary, NULL);
    end(FAILED);
    return NULL;
}

static PurpleRequestUiOps questions = {.request_fields = on_question};

static gboolean on_late(gpointer arg)
{
    (void)arg;
    say("failed", "nothing more came in time", NULL);
    end(LATE);
    return FALSE;
}

/* -- the account --------------------------------------------------------------------------------------------- */

static gboolean trust(const char *file)
{
    PurpleCertificateScheme *scheme = purple_certificate_find_scheme("x509");
    PurpleCertificatePool *pool = purple_certificate_find_pool("x509", "ca");
    PurpleCertificate *authority = scheme ? purple_certificate_import(scheme, file) : NULL;
    return authority && pool && purple_certificate_pool_store(pool, "durward-test", authority);
}

static void listen_to(PurplePlugin *jabber)
{
    static int handle;
    purple_signal_connect(purple_connections_get_handle(), "signed-on", &handle, PURPLE_CALLBACK(on_signed_on),
                          NULL);
    purple_signal_connect(purple_connections_get_handle(), "connection-error", &handle, PURPLE_CALLBACK(on_error),
                          NULL);
    purple_signal_connect(purple_conversations_get_handle(), "received-im-msg", &handle,
                          PURPLE_CALLBACK(on_message), NULL);
    purple_signal_connect(jabber, "jabber-receiving-xmlnode", &handle, PURPLE_CALLBACK(on_stanza), NULL);
}

static int run(const char *jid, const char *host, int port, const char *authority)
{
    PurplePlugin *jabber = purple_find_prpl("prpl-jabber");
    if (!jabber || !trust(authority)) {
        say("failed", jabber ? "the CA was not taken" : "libpurple has no XMPP", NULL);
        return FAILED;
    }
    listen_to(jabber);
    char *name = g_strdup_printf("%s/purple", jid);
    PurpleAccount *account = purple_account_new(name, "prpl-jabber");
    g_free(name);
    purple_account_set_string(account, "connect_server", host);
    purple_account_set_int(account, "port", port);
    purple_account_set_string(account, "connection_security", "require_tls");
    purple_accounts_add(account);
    purple_account_set_enabled(account, purple_core_get_ui(), TRUE);
    g_timeout_add_seconds(PATIENCE, on_late, NULL);
    g_main_loop_run(loop);
    return outcome;
}

static void remove_tree(const char *path)
{
    GDir *folder = g_dir_open(path, 0, NULL);
    for (const char *name; folder && (name = g_dir_read_name(folder));) {
        char *inside = g_build_filename(path, name, NULL);
        remove_tree(inside);
        g_free(inside);
    }
    if (folder)
        g_dir_close(folder);
    g_remove(path);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 7) {
        fputs("usage: purple_client JID HOST PORT CA-FILE [TO TEXT]\n", stderr);
        return USAGE;
    }
    recipient = argc == 7 ? argv[5] : NULL;
    text = argc == 7 ? argv[6] : NULL;
    signal(SIGPIPE, SIG_IGN);
    char *home = g_dir_make_tmp("durward-purple-XXXXXX", NULL);
    if (!home)
        return FAILED;
    loop = g_main_loop_new(NULL, FALSE);
    purple_util_set_user_dir(home);
    purple_debug_set_enabled(g_getenv("PURPLE_CLIENT_DEBUG") != NULL);
    purple_eventloop_set_ui_ops(&on_glib);
    purple_request_set_ui_ops(&questions);
    if (!purple_core_init("durward-test")) {
        say("failed", "libpurple does not start", NULL);
        return FAILED;
    }
    purple_set_blist(purple_blist_new());
    int code = run(argv[1], argv[2], atoi(argv[3]), argv[4]);
    purple_core_quit();
    remove_tree(home);
    g_free(home);
    return code;
}
