/* What questions are asked with: the settings in force, and the policy host of a thread.
 *
 * A reload puts new ones in their place; who asks holds those that it asked with until its question has an answer. */
#ifndef DW_NET_OFFICE_H
#define DW_NET_OFFICE_H

#include "auth/journal.h"
#include "config/config.h"
#include "policy/ask.h"

/* The journals of a process, each path opened once.  They stay open as long as the archive, so that questions asked
 * before a reload can be written down after it.  Starts as all zero; one thread at a time. */
struct dw_archive {
    struct dw_archived *journals;
};
void dw_archive_close(struct dw_archive *archive);

/* A configuration in force, with what was opened for it.  Counted; any thread may hold and release. */
struct dw_settings {
    _Atomic int holders;
    struct dw_config *config;
    struct dw_journal *journal; /* borrowed from the archive; NULL: none is kept */
    long connections; /* limits.connections, as far as descriptors go */
    struct dw_xmpp_means *xmpp; /* what xmpp listeners need (net/xmpp_means.h); NULL: there are none */
    void (*free_xmpp)(struct dw_xmpp_means **means);
};

/* Takes `config`, and opens its journal, or opens it again.  NULL with `err` told. */
struct dw_settings *dw_settings_new(struct dw_config *config, struct dw_archive *archive, struct dw_error *err);
struct dw_settings *dw_settings_hold(struct dw_settings *settings);
void dw_settings_release(struct dw_settings **settings);

/* A host with the configuration's policies.  NULL with `err` told. */
struct dw_host *dw_office_host(const struct dw_config *config, struct dw_error *err);

/* A policy host and the questions that are still with it.  It belongs to the thread that asks. */
struct dw_office {
    struct dw_host *host;
    int asks;
    bool retired;
};

/* NULL when memory is out; the host is then still the caller's. */
struct dw_office *dw_office_new(struct dw_host *taken);
void dw_office_enter(struct dw_office *office);
/* Ends one question; a retired office goes with its last. */
void dw_office_leave(struct dw_office *office);
void dw_office_retire(struct dw_office *office);

#endif
