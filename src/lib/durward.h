/* libdurward: the ZAP handler of durward (ZeroMQ RFC 27) inside a program of your own.
 *
 *   struct durward_error error;
 *   struct durward_zap *zap = durward_zap_start(context, "/etc/durward/app.lua", &error);
 *   if (!zap)
 *       die(error.message);
 *   ... server sockets bind; their clients are let in by the Lua policy that the file names ...
 *   durward_zap_stop(&zap);
 *   zmq_ctx_term(context);
 *
 * The handler is a thread that answers inproc://zeromq.zap.01 in the program's own ZeroMQ context, for NULL, PLAIN,
 * CURVE and GSSAPI.  Start it before any server socket binds: while nobody answers there, libzmq lets NULL, CURVE and
 * GSSAPI clients in unasked.
 *
 * The file is the configuration of `durward serve`.  Of it are used: policy, shadow, journal, log, refuse_users, dns,
 * reload_on_change, and limits.decision_seconds.  Its listeners are not opened (a line in the log says so), and what
 * belongs to them or to the daemon (keytab, state_dir, workers, other limits) has no effect; test_on_reload is an
 * error, since a library does not start processes.  Events have front "zap" and listener "inproc".
 *
 * Threads: every function may be called from any thread, by several at once; durward_zap_stop must be the last call
 * for its handler.  A handler answers in one thread; policies that wait (for the DNS, the clock, the system's groups)
 * hold no other request.  No thread of the library takes signals: they are blocked there.
 *
 * The library changes nothing of the process: no signal handler, working directory, environment, locale or limit.  It
 * writes to the journal that the configuration names, and to standard error or the function that durward_log was
 * given; never to standard output.  Nothing makes it end the process.
 *
 * fork: the handler's thread is not in the child, and neither is ZeroMQ's context of any use there.  A child may exec or
 * exit at any time; durward_zap_stop does nothing there but clear the pointer, and the other functions fail.  To use
 * the library in a child, fork before the first handler starts, or after the contexts of all have been terminated.
 *
 * Fits C99 and C++.  Structures are opaque or passed with their size; functions are not taken away and do not change
 * their meaning while the soname stays. */
#ifndef DURWARD_H
#define DURWARD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DURWARD_API __attribute__((visibility("default")))
#else
#define DURWARD_API
#endif

/* "0.1.0": of the library that is running. */
DURWARD_API const char *durward_version(void);

/* -- errors -------------------------------------------------------------------------------------------------- */

enum durward_code {
    DURWARD_OK = 0,
    DURWARD_ERROR_CONFIG = 1, /* the configuration, a policy, or a file that they name */
    DURWARD_ERROR_BOUND = 2, /* the context has a ZAP handler already */
    DURWARD_ERROR_CONTEXT = 3, /* it is no ZeroMQ context, or is being terminated, or has no socket left */
    DURWARD_ERROR_SYSTEM = 4, /* memory, descriptors, threads */
    DURWARD_ERROR_USE = 5 /* called where it may not be: NULL, or in a forked child */
};

/* `code` is one of the above.  `message` is a sentence, without a newline at its end; of a configuration with several
 * mistakes each is a line, "file:line: message".  UTF-8, cut where it would not fit. */
struct durward_error {
    int code;
    char message[2044];
};

/* -- the handler --------------------------------------------------------------------------------------------- */

struct durward_zap;

/* Loads configuration and policies, binds, and starts the thread.  `zmq_context` is what zmq_ctx_new gave, and stays
 * yours; `config_path` is read now and at each reload, and is made absolute now.  NULL when it cannot, with `error`
 * (which may be NULL) told.  One handler for each context; any number of contexts.  Blocks while files are read. */
DURWARD_API struct durward_zap *durward_zap_start(void *zmq_context, const char *config_path,
                                                  struct durward_error *error);

/* Reads configuration and policies anew and opens the journal again (after a rotation).  When it returns 0, every
 * request sent from then on is answered by the new policy; requests that wait are finished by the old one.  -1 with
 * `error` told: everything stays as it was. */
DURWARD_API int durward_zap_reload(struct durward_zap *zap, struct durward_error *error);

/* Ends the handler.  Requests that wait for their policy are answered as temporary (300) and journalled; all that the
 * handler held is released but the ZAP endpoint: libzmq without a handler lets clients in unasked, so until the context
 * ends, or a handler is started in it again, every request is refused as temporary.  Clients that were refused
 * try again by themselves.  zmq_ctx_term does not wait for that.  Another kind of handler cannot be bound in the
 * context any more.
 *
 * Frees the handler and sets *zap to NULL; NULL is fine.  Blocks until its thread has ended: as long as a hook of a
 * policy runs, at most limits.decision_seconds, or a look-up of the system's groups takes.
 *
 * A context may be terminated first: the handler's thread then ends by itself, and durward_zap_stop, which is still to
 * be called, frees what is left. */
DURWARD_API void durward_zap_stop(struct durward_zap **zap);

/* -- statistics ---------------------------------------------------------------------------------------------- */

/* Counted since durward_zap_start. */
struct durward_zap_statistics {
    uint64_t allowed, denied,
        temporary; /* decisions, by verdict; the sum is the number of requests that made sense */
    uint64_t malformed; /* requests that made none */
    uint64_t waiting; /* requests whose policy waits for something, now */
    uint64_t unreachable; /* replies whose asker had gone */
    uint64_t journal_failed; /* decisions that became temporary because the journal could not be written */
    uint64_t reloads, reloads_refused;
    char policy_sha256[72]; /* of the policy files in force; hexadecimal */
};

/* `size` is sizeof *statistics as you were compiled: so much is filled in.  0, or -1 in a forked child or for NULL, all
 * zero. */
DURWARD_API int durward_zap_statistics(struct durward_zap *zap, struct durward_zap_statistics *statistics,
                                       size_t size);

/* -- log ----------------------------------------------------------------------------------------------------- */

enum durward_level { DURWARD_LOG_DEBUG = 0, DURWARD_LOG_INFO = 1, DURWARD_LOG_WARN = 2, DURWARD_LOG_ERROR = 3 };

/* `text` is one fact, "denied id=.. user=..": no time, no level, no newline; values are quoted so that nothing a peer
 * sends can forge a line.  Borrowed until it returns.  Called from the library's threads, by several at once; it may
 * not call durward_zap_reload or durward_zap_stop. */
typedef void durward_log_function(int level, const char *text, void *arg);

/* Where the lines of all handlers of the process go; NULL: standard error, as at the start, with time and level.  Best
 * called before the first start: for a moment the old function may be called still.  Lines below log.level of the
 * configuration (of several handlers: the one loaded last) are dropped. */
DURWARD_API void durward_log(durward_log_function *function, void *arg);

#ifdef __cplusplus
}
#endif

#endif
