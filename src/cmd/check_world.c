/* What the world makes of a configuration: keytabs, folders, sockets; see check.h.  Of one with mistakes anything may
 * be missing. */
#include "cmd/check.h"

#include "gss/cred.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* One configuration under check. */
struct world {
    struct dw_check *check;
    const struct dw_config *config;
};

#define FINDING(w, where, ...) dw_check_tell((w)->check, DW_CHECK_FINDING, where, __VA_ARGS__)
#define WARNING(w, where, ...) dw_check_tell((w)->check, DW_CHECK_WARNING, where, __VA_ARGS__)

/* The folder that holds `path`, which is absolute or has none: then the current one. */
static const char *folder_of(const char *path, char *room, size_t size)
{
    const char *slash = strrchr(path, '/');
    int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    snprintf(room, size, "%.*s", len, slash ? path : ".");
    return room;
}

void dw_check_trust(struct dw_check *check, const char *where, const char *what, const char *path)
{
    struct stat st;
    char room[4200];
    if (stat(path, &st) == 0) {
        unsigned mode = st.st_mode & 07777;
        if (mode & S_IWOTH)
            dw_check_tell(check, DW_CHECK_FINDING, where, "%s %s can be changed by anyone (mode %04o)", what, path,
                          mode);
        else if (mode & S_IWGRP)
            dw_check_tell(check, DW_CHECK_WARNING, where, "%s %s can be changed by its group (mode %04o)", what,
                          path, mode);
        if (st.st_uid != 0 && st.st_uid != geteuid())
            dw_check_tell(check, DW_CHECK_WARNING, where, "%s %s belongs to user %ld, who can change it", what,
                          path, (long)st.st_uid);
    }
    if (stat(folder_of(path, room, sizeof room), &st) == 0 && st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX))
        dw_check_tell(check, DW_CHECK_FINDING, where, "%s %s can be replaced by anyone: its folder has mode %04o",
                      what, path, (unsigned)st.st_mode & 07777);
}

/* Secrets: nobody but the owner reads them.  A group that was chosen, as in root:durward 0640, is a risk taken
 * knowingly. */
static void check_secret(struct world *w, const char *where, const char *what, const char *path,
                         const struct stat *st)
{
    unsigned mode = st->st_mode & 07777;
    bool chosen = st->st_uid != geteuid() || st->st_gid != getegid();
    if (mode & (S_IROTH | S_IWOTH))
        FINDING(w, where, "%s %s is open to anyone (mode %04o): make it 0600", what, path, mode);
    else if (mode & S_IWGRP || (mode & S_IRGRP && !chosen))
        FINDING(w, where, "%s %s is open to its group (mode %04o): make it 0600", what, path, mode);
    else if (mode & S_IRGRP)
        WARNING(w, where, "%s %s can be read by group %ld (mode %04o)", what, path, (long)st->st_gid, mode);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        WARNING(w, where, "%s %s belongs to user %ld, who can read and change it", what, path, (long)st->st_uid);
}

void dw_check_secret(struct dw_check *check, const char *where, const char *what, const char *path)
{
    struct world w = {check, NULL};
    struct stat st;
    if (stat(path, &st) < 0 || access(path, R_OK) < 0)
        FINDING(&w, where, "%s %s cannot be read: %s", what, path, strerror(errno));
    else
        check_secret(&w, where, what, path, &st);
}

/* Whether the keytab can be read at all; its principals are then in `names`. */
static bool check_keytab(struct world *w, const char *where, const char *path, struct dw_buf *names)
{
    struct stat st;
    struct dw_error err = {0};
    if (stat(path, &st) < 0 || access(path, R_OK) < 0) {
        FINDING(w, where, "keytab %s cannot be read: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        FINDING(w, where, "keytab %s is not a file", path);
        return false;
    }
    check_secret(w, where, "keytab", path, &st);
    if (dw_keytab_list(path, names, &err) < 0) {
        FINDING(w, where, "%s", err.detail);
        return false;
    }
    if (dw_buf_len(names) == 0)
        FINDING(w, where, "keytab %s holds no key", path);
    return dw_buf_len(names) > 0;
}

bool dw_check_keytab(struct dw_check *check, const char *where, const char *path)
{
    struct world w = {check, NULL};
    struct dw_buf names = {0};
    bool is_sound = check_keytab(&w, where, path, &names);
    dw_buf_free(&names);
    return is_sound;
}

/* Of the keytab that a listener uses: its own key, or the one for all. */
static const char *keytab_where(const struct world *w, const struct dw_listener_config *one)
{
    const struct dw_config *config = w->config;
    bool shared = config->keytab && !strcmp(config->keytab, one->keytab);
    return dw_config_where(config, shared ? NULL : one, "keytab");
}

static void check_acceptor(struct world *w, const struct dw_listener_config *one)
{
    struct dw_buf names = {0};
    struct dw_error err = {0};
    if (one->keytab && check_keytab(w, keytab_where(w, one), one->keytab, &names) && one->service) {
        struct dw_acceptor_options options = {.keytab = one->keytab, .service = one->service, .realm = one->realm};
        struct dw_cred *cred = dw_cred_acceptor(&options, &err);
        if (!cred)
            FINDING(w, dw_config_where(w->config, one, "service"), "%s", err.detail);
        dw_cred_free(&cred);
    }
    dw_buf_free(&names);
}

/* Whether a list of dw_keytab_list has `principal`, in whichever realm when it names none. */
static bool lists(const struct dw_buf *names, const char *principal)
{
    const char *at = (const char *)dw_buf_span(names).at, *end = at + dw_buf_len(names);
    size_t len = strlen(principal);
    bool realm = strchr(principal, '@') != NULL;
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        size_t line = (size_t)((next ? next : end) - at);
        if (line > len && !memcmp(at, principal, len) && at[len] == (realm ? ' ' : '@'))
            return true;
        at += line + 1;
    }
    return false;
}

static void check_ccache(struct world *w, const struct dw_listener_config *one)
{
    const char *path = strncmp(one->ccache, "FILE:", 5) ? one->ccache : one->ccache + 5;
    const char *where = dw_config_where(w->config, one, "ccache");
    struct stat st;
    if (path[0] != '/')
        return;
    if (stat(path, &st) < 0)
        WARNING(w, where, "ticket cache %s: %s; until it is there, '%s' cannot log in", path, strerror(errno),
                one->name ? one->name : "it");
    else if (access(path, R_OK) < 0)
        FINDING(w, where, "ticket cache %s cannot be read: %s", path, strerror(errno));
    else
        check_secret(w, where, "ticket cache", path, &st);
}

static void check_initiator(struct world *w, const struct dw_listener_config *one)
{
    struct dw_buf names = {0};
    if (one->ccache)
        check_ccache(w, one);
    if (one->keytab && check_keytab(w, keytab_where(w, one), one->keytab, &names) && one->principal &&
        !lists(&names, one->principal))
        FINDING(w, dw_config_where(w->config, one, "principal"), "keytab %s has no key for %s", one->keytab,
                one->principal);
    dw_buf_free(&names);
}

/* A folder that durward makes files in. */
static bool check_folder(struct world *w, const char *where, const char *what, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        FINDING(w, where, "%s %s: %s%s", what, path, strerror(errno),
                errno == ENOENT ? "; create it for the user that durward runs as, or name another" : "");
    else if (!S_ISDIR(st.st_mode))
        FINDING(w, where, "%s %s is not a folder", what, path);
    else if (access(path, W_OK | X_OK) < 0)
        FINDING(w, where, "%s %s is not writable for user %ld: %s", what, path, (long)geteuid(), strerror(errno));
    else if (st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX))
        FINDING(w, where, "%s %s is open to anyone (mode %04o)", what, path, (unsigned)st.st_mode & 07777);
    else
        return true;
    return false;
}

/* serve makes the folder itself, but not the ones above it; its control socket stands there. */
static void check_state_dir(struct world *w)
{
    const char *path = w->config->state_dir, *where = dw_config_where(w->config, NULL, "state_dir");
    char room[4200];
    struct stat st;
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/control.sock";
    if (strlen(path) > most)
        FINDING(w, where, "state_dir %s is too long: a socket in it has room for %zu octets of path", path, most);
    else if (stat(path, &st) == 0 || errno != ENOENT)
        check_folder(w, where, "state_dir", path);
    else if (access(folder_of(path, room, sizeof room), W_OK | X_OK) < 0)
        FINDING(w, where, "state_dir %s is not there and cannot be made: %s: %s", path, room, strerror(errno));
}

static void check_journal(struct world *w)
{
    const char *path = w->config->journal, *where = dw_config_where(w->config, NULL, "journal");
    char room[4200];
    struct stat st;
    if (!check_folder(w, where, "the journal's folder", folder_of(path, room, sizeof room)) || stat(path, &st) < 0)
        return;
    if (!S_ISREG(st.st_mode))
        FINDING(w, where, "journal %s is not a file", path);
    else if (access(path, W_OK) < 0)
        FINDING(w, where, "journal %s cannot be written: %s", path, strerror(errno));
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        WARNING(w, where, "journal %s is open to others (mode %04o): it tells who logged in", path,
                (unsigned)st.st_mode & 07777);
}

static void check_socket(struct world *w, const struct dw_listener_config *one)
{
    const char *path = one->listen.path, *where = dw_config_where(w->config, one, "listen");
    char room[4200];
    struct stat st;
    if (check_folder(w, where, "the socket's folder", folder_of(path, room, sizeof room)) &&
        lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        FINDING(w, where, "%s is there already and is not a socket", path);
}

static void check_backend(struct world *w, const struct dw_listener_config *one)
{
    const char *where = dw_config_where(w->config, one, "backend");
    char room[4200];
    struct stat st;
    if (!one->backend.text)
        return;
    if (!dw_address_is_local(&one->backend))
        WARNING(
            w, where,
            "backend %s is on another machine: it believes whoever can reach it, and what goes there is neither "
            "encrypted nor signed",
            one->backend.text);
    else if (one->backend.scheme == DW_IPC && one->backend.path[0] == '/' &&
             stat(folder_of(one->backend.path, room, sizeof room), &st) < 0)
        WARNING(w, where, "the folder of backend %s: %s", one->backend.text, strerror(errno));
}

void dw_check_world(struct dw_check *check, const struct dw_config *config)
{
    struct world w = {check, config};
    check_state_dir(&w);
    if (config->journal)
        check_journal(&w);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct dw_listener_config *one = &config->listeners[i];
        if (one->listen.text && one->listen.scheme == DW_IPC && one->listen.path[0] == '/')
            check_socket(&w, one);
        if (one->kind == DW_LISTEN_ZMTP) {
            check_acceptor(&w, one);
            check_backend(&w, one);
        } else if (one->kind == DW_LISTEN_ZMTP_OUT) {
            check_initiator(&w, one);
        } else if (one->kind == DW_LISTEN_XMPP) {
            dw_check_xmpp(check, config, one);
        } else if (one->kind == DW_LISTEN_DOVECOT) {
            dw_check_dovecot(check, config, one);
        }
    }
}
