/* What a configuration needs before it comes into force: see prepare.h. */
#include "net/prepare.h"

#include "gss/cred.h"
#include "net/xmpp.h"
#include "net/xmpp_means.h"

#include <stdio.h>
#include <sys/resource.h>

/* Descriptors kept for listeners, journal, loops, the pool's files. */
#define SPARE_DESCRIPTORS 128

/* Two descriptors a connection; as many as the system lets us have. */
static long clamp_connections(long wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return wanted;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    long most = files.rlim_cur > SPARE_DESCRIPTORS + 2 ? (long)((files.rlim_cur - SPARE_DESCRIPTORS) / 2) : 1;
    if (wanted <= most)
        return wanted;
    char asked[24], got[24];
    snprintf(asked, sizeof asked, "%ld", wanted);
    snprintf(got, sizeof got, "%ld", most);
    dw_log(DW_LOG_WARN, "limits.connections is clamped: two descriptors each are needed (ulimit -n)", "asked",
           asked, "connections", got, NULL);
    return most;
}

struct dw_settings *dw_prepare_settings(struct dw_config *config, struct dw_archive *archive,
                                        const struct dw_settings *old, struct dw_error *err)
{
    struct dw_settings *s = dw_settings_new(config, archive, err);
    if (!s)
        return NULL;
    s->connections = clamp_connections(config->limits.connections);
    s->xmpp = dw_xmpp_means_new(config, old ? old->xmpp : NULL, err);
    s->free_xmpp = dw_xmpp_means_free;
    if (!s->xmpp)
        dw_settings_release(&s);
    return s;
}

static int check_acceptor(const struct dw_listener_config *l, struct dw_error *err)
{
    struct dw_acceptor_options options = {l->keytab, l->service, l->realm, NULL};
    struct dw_error why = {0};
    struct dw_cred *cred = dw_cred_acceptor(&options, &why);
    if (!cred)
        return dw_error_set(err, why.kind, "listener '%s': %s", l->name, why.detail);
    dw_cred_free(&cred);
    return 0;
}

int dw_prepare_credentials(const struct dw_config *config, struct dw_error *err)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct dw_listener_config *l = &config->listeners[i];
        if ((l->kind == DW_LISTEN_ZMTP || l->kind == DW_LISTEN_DOVECOT) && check_acceptor(l, err) < 0)
            return -1;
        if (l->kind == DW_LISTEN_XMPP && dw_xmpp_check_keys(l, err) < 0)
            return -1;
    }
    return 0;
}
