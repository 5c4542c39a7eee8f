/* What the files of this room share, and nobody else sees. */
#ifndef DW_POLICY_INSIDE_H
#define DW_POLICY_INSIDE_H

#include "policy/ask.h"
#include "policy/budget.h"
#include "policy/host.h"
#include "policy/want.h"

#include <lua.h>

enum { DW_LINE_COST = 10000 }; /* instructions that a line in the log counts as */

enum { DW_HOOK_COUNT = 5 }; /* indexed by enum dw_stage */

struct dw_policy {
    char *file;
    char *text; /* while it is being loaded */
    size_t len;
    int hooks[DW_HOOK_COUNT]; /* references; LUA_NOREF: it has none */
    char *at[DW_HOOK_COUNT]; /* "file:line" of the hook's function */
};

/* A coroutine between two questions. */
struct dw_thread {
    lua_State *L;
    int ref;
};

struct dw_host {
    lua_State *L;
    struct dw_budget budget;
    struct dw_policy *policies;
    size_t policy_count;
    char **refuse_users;
    bool detailed; /* this and the next: as in struct dw_host_options */
    struct dw_buf *findings;
    json_t *coverage;
    char scope[32]; /* what durward.limit counts in */
    char sha256[65];
    struct dw_thread spare[8];
    size_t spare_count;
    struct dw_ask *asking; /* the question that Lua is running for, or NULL */
    struct dw_keeper keeper;
    int pinned; /* functions in C on the stack that Lua cannot leave to wait */
    lua_KContext tickets; /* wants so far */
    void *digest; /* while loading: EVP_MD_CTX over every file read */
    bool loading;
};

static inline struct dw_host *dw_host_of(lua_State *L)
{
    return *(struct dw_host **)lua_getextraspace(L);
}

/* sandbox.c: makes what a policy can reach; raises. */
void dw_sandbox_open(lua_State *L);
/* Pushes a new environment for a file in `folder` (NULL: one of our own, with no files beside it). */
void dw_sandbox_env(lua_State *L, const char *folder);
/* Replaces the table on top by one that reads the same and cannot be changed. */
void dw_sandbox_freeze(lua_State *L);

/* modules.c: `require` for files of `folder`; and a file's text, counted into the digest. */
void dw_modules_push_require(lua_State *L, const char *folder);
char *dw_modules_read(struct dw_host *host, const char *path, size_t *len, struct dw_error *err);
/* 0 with the chunk pushed, its environment set; else Lua's status with the message pushed. */
int dw_modules_compile(lua_State *L, const char *text, size_t len, const char *path, const char *folder);

/* The libraries that replace Lua's, each pushing its table. */
void dw_lua_open_strings(lua_State *L);
void dw_lua_open_tables(lua_State *L);
void dw_lua_open_coroutines(lua_State *L);
/* A C function of Lua's, called after its string arguments have been charged for. */
void dw_lua_push_charged(lua_State *L, lua_CFunction function);

/* event_lua.c: pushes the event's proxy and gives what ends it. */
struct dw_event_box {
    struct dw_event *event; /* NULL once the question is over */
};
struct dw_event_box *dw_lua_push_event(lua_State *L, struct dw_event *event);
void dw_lua_open_event(lua_State *L); /* makes the metatables; pushes nothing */

/* The registry key of a light userdata: the host whose state it is. */
extern const char dw_host_key;

/* ask.c: a step of the trace of the question that is being asked; nothing when there is none. */
void dw_ask_note(struct dw_host *host, const char *text, const char *at);

/* ask.c, for await_lua.c: the question that is being asked begins to wait (0, and the ticket that its answer is
 * asked for with), or is told why it cannot (-1).  `at` is where, or NULL. */
int dw_ask_want(struct dw_host *host, const struct dw_want *want, const char *at, lua_KContext *ticket,
                struct dw_error *err);
/* What came of it; NULL when that ticket is not the one that was waited for. */
const struct dw_answer *dw_ask_answer(struct dw_host *host, lua_KContext ticket);
/* What this question has already been told of the same. */
const struct dw_step *dw_ask_found(const struct dw_host *host, const struct dw_want *want);
bool dw_ask_waits(const struct dw_host *host);
/* A look-up that was answered without waiting, into the trace. */
void dw_ask_note_answer(struct dw_host *host, const struct dw_want *want, const char *at,
                        const struct dw_answer *answer);

/* host.c: notes that a line was run, or that a rule was built or decided; nothing without coverage. */
void dw_host_cover_line(struct dw_host *host, const char *file, int line);
void dw_host_cover_rule(struct dw_host *host, const char *at, const char *name, bool decided);

#endif
