/* What one call of a script may use: memory, instructions, time.
 *
 * A budget belongs to a host and is filled again for every call.  Memory is held by the state's own
 * allocator; instructions are counted by a hook, one count over all coroutines of the call; whatever can
 * run long in C asks dw_budget_charge first, since no hook interrupts C.  A limit once passed stays
 * passed: every later tick of the hook, and our own pcall, raise it again until the call is over. */
#ifndef DW_POLICY_BUDGET_H
#define DW_POLICY_BUDGET_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dw_limit { DW_LIMIT_NONE, DW_LIMIT_MEMORY, DW_LIMIT_INSTRUCTIONS, DW_LIMIT_TIME };

struct dw_budget {
    size_t memory, total; /* what a call may add, and what the state may hold at all */
    long instructions;
    double seconds;
    size_t held; /* octets that the state holds now */
    size_t ceiling; /* past which the allocator refuses, while a call runs */
    size_t fresh; /* octets given out since the clock was looked at */
    size_t unclocked; /* instructions since then */
    size_t refused; /* the size refused last; twice the same means that collecting did not help */
    long left; /* instructions */
    uint64_t deadline; /* nanoseconds of the monotonic clock; 0: no call runs */
    enum dw_limit hit;
};

/* A lua_Alloc; `ud` is the budget. */
void *dw_budget_alloc(void *ud, void *at, size_t old, size_t size);
/* Sets the hook on a thread; those that it makes inherit it. */
void dw_budget_watch(lua_State *L);
void dw_budget_begin(struct dw_budget *b);
void dw_budget_end(struct dw_budget *b);

/* What is left of it while a call waits: others are served from the same budget meanwhile. */
struct dw_budget_rest {
    long left;
    uint64_t time; /* nanoseconds; the clock stands still while it waits */
    size_t room; /* octets */
};
void dw_budget_pause(struct dw_budget *b, struct dw_budget_rest *rest);
void dw_budget_resume(struct dw_budget *b, const struct dw_budget_rest *rest);

/* The budget of the host whose state this is. */
struct dw_budget *dw_budget_of(lua_State *L);
/* Counts work done in C as `units` instructions; raises when none are left. */
void dw_budget_charge(lua_State *L, size_t units);
/* Raises again a limit that was passed; returns when none was. */
void dw_budget_recall(lua_State *L);
/* "instruction limit (10000000) reached"; "" when none was. */
const char *dw_budget_sentence(const struct dw_budget *b, char into[80]);
uint64_t dw_budget_clock(void); /* nanoseconds, monotonic */

#endif
