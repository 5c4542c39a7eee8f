/* One question in flight: see ask.h. */
#include "policy/asking.h"

#include "auth/authzid.h"
#include "base/log.h"
#include "base/text.h"
#include "policy/decision_lua.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void dw_ask_note(struct dw_host *host, const char *text, const char *at)
{
    struct dw_ask *ask = host->asking;
    if (ask && ask->d.step_count < STEPS_MOST)
        dw_decision_step(&ask->d, dw_stage_word(ask->hook), at, "%.*s", STEP_TEXT_MOST, text);
}

/* A step of ours, at the hook that was asked. */
static void __attribute__((format(printf, 2, 3))) note(struct dw_ask *ask, const char *format, ...)
{
    char text[STEP_TEXT_MOST + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dw_ask_note(ask->host, text, dw_ask_policy(ask)->at[ask->hook]);
}

/* The answers of each hook.  A wrong one raises, which makes it temporary. */

static void wrong_answer(lua_State *L, const struct dw_ask *ask, const char *wanted)
{
    const char *got = dw_lua_is_decision(L, 2) ? lua_pushfstring(L, "durward.%s", luaL_tolstring(L, 2, NULL))
                                               : luaL_typename(L, 2);
    luaL_error(L, "%s: %s returned %s; expected %s", dw_ask_policy(ask)->at[ask->hook], dw_stage_word(ask->hook),
               got, wanted);
}

static void check_memory(lua_State *L, int failed)
{
    if (failed)
        luaL_error(L, "out of memory");
}

static void drop_mapped(struct dw_ask *ask)
{
    free(ask->mapped);
    ask->mapped = NULL;
    ask->event->user = DW_SPAN_NONE;
}

/* A NUL cannot be carried in the decision's text, and would be a control character to refuse. */
static bool holds_nul(lua_State *L, int index)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    return memchr(text, 0, len) != NULL;
}

static void take_decision(lua_State *L, struct dw_ask *ask)
{
    check_memory(L, dw_lua_take_decision(L, 2, &ask->d));
    ask->decided = true;
    if (!ask->d.rule)
        note(ask, "%s%s%s", dw_verdict_word(ask->d.verdict), ask->d.reason ? ": " : "",
             ask->d.reason ? ask->d.reason : "");
    if (!ask->d.user && ask->mapped)
        check_memory(L, dw_decision_set(&ask->d.user, ask->mapped));
}

static void next_policy(struct dw_ask *ask)
{
    ask->policy++;
    ask->hook = ask->stage;
}

static void take_connect(lua_State *L, struct dw_ask *ask)
{
    if (lua_isnil(L, 2)) {
        next_policy(ask);
        return;
    }
    if (!dw_lua_is_decision(L, 2) || *(enum dw_verdict *)lua_touserdata(L, 2) == DW_ALLOW)
        wrong_answer(L, ask, "nil, durward.deny or durward.temporary");
    take_decision(L, ask);
}

static void take_realm(lua_State *L, struct dw_ask *ask)
{
    int type = lua_type(L, 2);
    if (type == LUA_TSTRING && lua_rawlen(L, 2) > 0 && !holds_nul(L, 2)) {
        check_memory(L, dw_decision_set(&ask->d.realm, lua_tostring(L, 2)));
    } else if (type == LUA_TTABLE) {
        check_memory(L, dw_lua_take_realm(L, 2, &ask->d));
    } else if (type == LUA_TNIL || dw_lua_is_decision(L, 2)) {
        take_connect(L, ask);
        return;
    } else {
        wrong_answer(L, ask, "nil, a realm, a table, durward.deny or durward.temporary");
    }
    ask->d.verdict = DW_ALLOW;
    ask->decided = true;
    note(ask, "realm %s%s%s", ask->d.realm ? ask->d.realm : "as configured", ask->d.service ? ", service " : "",
         ask->d.service ? ask->d.service : "");
}

static void take_map(lua_State *L, struct dw_ask *ask)
{
    int type = lua_type(L, 2);
    if (type == LUA_TNIL) {
        const char *why = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : NULL;
        if (!why && !lua_isnil(L, 3))
            luaL_error(L, "%s: map returned nil and %s; expected nil and a reason",
                       dw_ask_policy(ask)->at[DW_STAGE_MAP], luaL_typename(L, 3));
        note(ask, "not mapped%s%s", why ? ": " : "", why ? why : "");
        if (why)
            check_memory(L, dw_decision_set(&ask->why, why));
        next_policy(ask);
        return;
    }
    if (type != LUA_TSTRING)
        wrong_answer(L, ask, "a user, or nil and a reason");
    if (holds_nul(L, 2)) {
        dw_decision_refuse(&ask->d, DW_DENY, "the user holds a control character");
        note(ask, "denied: the user holds a control character");
        ask->decided = true;
        return;
    }
    check_memory(L, dw_decision_set(&ask->mapped, lua_tostring(L, 2)));
    ask->event->user = dw_span_str(ask->mapped);
    note(ask, "user is %s", ask->mapped);
    ask->hook = DW_STAGE_AUTHORIZE;
}

static void take_authorize(lua_State *L, struct dw_ask *ask)
{
    if (!lua_isnil(L, 2)) {
        if (!dw_lua_is_decision(L, 2))
            wrong_answer(L, ask, "durward.allow, durward.deny, durward.temporary or nil");
        take_decision(L, ask);
        return;
    }
    note(ask, "did not decide");
    next_policy(ask);
}

static void take_answer(lua_State *L, struct dw_ask *ask)
{
    switch (ask->hook) {
    case DW_STAGE_CONNECT: take_connect(L, ask); break;
    case DW_STAGE_REALM: take_realm(L, ask); break;
    case DW_STAGE_MAP: take_map(L, ask); break;
    case DW_STAGE_AUTHORIZE: take_authorize(L, ask); break;
    case DW_STAGE_CLOSE:
        if (!lua_isnil(L, 2))
            wrong_answer(L, ask, "nothing");
        next_policy(ask);
        break;
    }
}

/* The coroutine. */

static bool find_hook(struct dw_ask *ask)
{
    for (; ask->policy < ask->host->policy_count; next_policy(ask)) {
        const struct dw_policy *p = dw_ask_policy(ask);
        if (ask->hook == DW_STAGE_MAP) {
            drop_mapped(ask);
            if (p->hooks[DW_STAGE_MAP] == LUA_NOREF)
                ask->hook = DW_STAGE_AUTHORIZE;
        }
        if (p->hooks[ask->hook] != LUA_NOREF)
            return true;
    }
    return false;
}

static int body(lua_State *L, int status, lua_KContext context)
{
    struct dw_ask *ask = (struct dw_ask *)context;
    (void)status;
    for (;;) {
        if (ask->called) {
            ask->called = false;
            take_answer(L, ask);
        }
        if (ask->decided || !find_hook(ask))
            return 0;
        ask->event->stage = ask->hook;
        lua_settop(L, 1);
        lua_rawgeti(L, LUA_REGISTRYINDEX, dw_ask_policy(ask)->hooks[ask->hook]);
        lua_pushvalue(L, 1);
        ask->called = true;
        lua_callk(L, 1, 2, context, body);
    }
}

static int start(lua_State *L)
{
    struct dw_ask *ask = lua_touserdata(L, 1);
    lua_settop(L, 0);
    ask->box = dw_lua_push_event(L, ask->event);
    return body(L, LUA_OK, (lua_KContext)ask);
}

static int make_thread(lua_State *L)
{
    struct dw_thread *thread = lua_touserdata(L, 1);
    thread->L = lua_newthread(L);
    thread->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int take_thread(struct dw_ask *ask)
{
    struct dw_host *host = ask->host;
    if (host->spare_count > 0) {
        ask->thread = host->spare[--host->spare_count];
        return 0;
    }
    lua_pushcfunction(host->L, make_thread);
    lua_pushlightuserdata(host->L, &ask->thread);
    int status = lua_pcall(host->L, 1, 0, 0);
    lua_settop(host->L, 0);
    return status == LUA_OK ? 0 : -1;
}

/* Sound: its stack may be emptied and it may serve again. */
static void give_thread(struct dw_ask *ask, bool sound)
{
    struct dw_host *host = ask->host;
    if (!ask->thread.L)
        return;
    if (sound && host->spare_count < sizeof host->spare / sizeof *host->spare) {
        lua_settop(ask->thread.L, 0);
        host->spare[host->spare_count++] = ask->thread;
    } else {
        luaL_unref(host->L, LUA_REGISTRYINDEX, ask->thread.ref);
    }
    ask->thread.L = NULL;
}

/* Protected.  The error's value, whose own code is not run again, as a message; and where it came from. */
static int describe(lua_State *L)
{
    lua_State *co = lua_touserdata(L, 1);
    if (lua_type(L, 2) == LUA_TSTRING)
        lua_pushvalue(L, 2);
    else
        lua_pushfstring(L, "an error that is a %s", luaL_typename(L, 2));
    luaL_traceback(L, co, NULL, 0);
    return 2;
}

/* The script failed: its value is on the coroutine's stack, which is still as it was then. */
static void fail(struct dw_ask *ask, bool yielded)
{
    struct dw_budget *b = &ask->host->budget;
    lua_State *L = ask->host->L, *co = ask->thread.L;
    const char *file = ask->policy < ask->host->policy_count ? dw_ask_policy(ask)->file : NULL;
    char sentence[80];
    uint64_t deadline = b->deadline;
    size_t ceiling = b->ceiling;
    b->deadline = 0;
    b->ceiling = SIZE_MAX;
    dw_budget_sentence(b, sentence);
    lua_pushcfunction(L, describe);
    lua_pushlightuserdata(L, co);
    if (!yielded && lua_gettop(co) > 0)
        lua_xmove(co, L, 1);
    else
        lua_pushnil(L);
    bool told = lua_pcall(L, 2, 2, 0) == LUA_OK;
    /* A buffer of Lua's that could not grow says so as a plain error. */
    bool memory = told && strcmp(lua_tostring(L, -2), "not enough memory") == 0;
    if (memory && !*sentence) {
        b->hit = DW_LIMIT_MEMORY;
        dw_budget_sentence(b, sentence);
    }
    const char *message = *sentence ? sentence
                          : yielded ? "the policy yielded, but not to durward"
                          : told    ? lua_tostring(L, -2)
                                    : "out of memory";
    dw_log(DW_LOG_ERROR, "policy failed", "id", ask->event->id, "policy", file, "hook", dw_stage_word(ask->hook),
           "error", message, "traceback", told ? lua_tostring(L, -1) : NULL, NULL);
    dw_decision_refuse(&ask->d, DW_TEMPORARY, "%s: %s", dw_stage_word(ask->hook), message);
    dw_decision_set(&ask->d.rule, NULL);
    dw_ask_note(ask->host, ask->d.reason ? ask->d.reason : "out of memory",
                file ? dw_ask_policy(ask)->at[ask->hook] : NULL);
    ask->decided = true;
    lua_settop(L, 0);
    b->deadline = deadline;
    b->ceiling = ceiling;
    /* Variables to be closed are closed, within what is left of the budget; not after a limit, since the
     * thread's hook is off once an error came from it (Lua 5.4.4, luaE_resetthread). */
    if (!*sentence)
        lua_resetthread(co);
}

/* The end.  The event may be gone: it is not looked at. */

static void release(struct dw_ask *ask)
{
    if (ask->is_kept)
        ask->host->keeper.drop(ask->job);
    dw_ask_forget_want(ask);
    dw_answer_clear(&ask->answer);
    free(ask->mapped);
    free(ask->why);
    dw_decision_clear(&ask->d);
    free(ask);
}

static double moment_of(const struct dw_event *event)
{
    return event->time ? (double)event->time / 1e6 : (double)time(NULL);
}

/* Nothing was decided, or all was: the last word is ours. */
static void settle(struct dw_ask *ask)
{
    struct dw_decision *d = &ask->d;
    const struct dw_event *event = ask->event;
    if (ask->stage == DW_STAGE_MAP && !ask->decided) {
        if (ask->host->policy_count == 0)
            dw_decision_refuse(d, DW_DENY, "there is no policy");
        else if (ask->mapped)
            dw_decision_refuse(d, DW_DENY, "no policy decided on user '%s'", ask->mapped);
        else
            dw_decision_refuse(d, DW_DENY, "not mapped%s%s", ask->why ? ": " : "", ask->why ? ask->why : "");
        if (ask->mapped)
            dw_decision_set(&d->user, ask->mapped);
    } else if (ask->stage == DW_STAGE_MAP) {
        dw_decision_hold(d, (const char *const *)ask->host->refuse_users,
                         event->gss.present ? event->gss.expires : 0, moment_of(event));
        dw_authzid_hold(d, event);
    } else if (!ask->decided) {
        d->verdict = DW_ALLOW;
    }
    /* Undecided by all: the last one's silence stands. */
    if (ask->policy < ask->host->policy_count)
        dw_decision_set(&d->policy_file, dw_ask_policy(ask)->file);
    else if (ask->stage == DW_STAGE_MAP && ask->policy > 0)
        dw_decision_set(&d->policy_file, ask->host->policies[ask->policy - 1].file);
    memcpy(d->policy_sha256, ask->host->sha256, sizeof d->policy_sha256);
    d->took_us = (dw_budget_clock() - ask->began) / 1000;
}

static void finish(struct dw_ask *ask)
{
    settle(ask);
    ask->done(ask->arg, &ask->d);
    release(ask);
}

/* Too late for the answer: what was waited for is told. */
static void late(struct dw_ask *ask)
{
    char word[STEP_TEXT_MOST];
    struct dw_answer none = {.failed = (char[]){"no answer in time"}};
    dw_decision_refuse(&ask->d, DW_TEMPORARY, "%s: no answer in time", dw_stage_word(ask->hook));
    if (ask->waits) {
        dw_want_word(&ask->want, word, sizeof word);
        dw_decision_refuse(&ask->d, DW_TEMPORARY, "%s: no answer in time to %s %s", dw_stage_word(ask->hook), word,
                           ask->want.key);
        ask->host->asking = ask;
        dw_ask_note_answer(ask->host, &ask->want, ask->want_at, &none);
        ask->host->asking = NULL;
    }
    dw_decision_set(&ask->d.rule, NULL);
    ask->decided = true;
}

enum progress { ENDED, FAILED, WAITS };

/* Runs the coroutine as far as it goes. */
static enum progress go(struct dw_ask *ask)
{
    struct dw_host *host = ask->host;
    bool is_new = !ask->thread.L;
    int results;
    if (is_new && take_thread(ask) < 0) {
        dw_decision_refuse(&ask->d, DW_TEMPORARY, "out of memory");
        ask->decided = true;
        return ENDED;
    }
    if (is_new)
        dw_budget_begin(&host->budget);
    else
        dw_budget_resume(&host->budget, &ask->rest);
    host->asking = ask;
    if (is_new) {
        lua_pushcfunction(ask->thread.L, start);
        lua_pushlightuserdata(ask->thread.L, ask);
    }
    int status = lua_resume(ask->thread.L, host->L, is_new ? 1 : 0, &results);
    if (status == LUA_YIELD && ask->waits && host->budget.hit == DW_LIMIT_NONE) {
        lua_pop(ask->thread.L, results);
        dw_budget_pause(&host->budget, &ask->rest);
        host->asking = NULL;
        return WAITS;
    }
    /* At once: the next collection may take what a finished coroutine held. */
    if (ask->box)
        ask->box->event = NULL;
    ask->box = NULL;
    bool sound = status == LUA_OK && host->budget.hit == DW_LIMIT_NONE;
    if (!sound)
        fail(ask, status == LUA_YIELD);
    host->asking = NULL;
    dw_budget_end(&host->budget);
    give_thread(ask, sound);
    return sound ? ENDED : FAILED;
}

/* To its end (true), or until something is waited for.  A failed `close` hook does not keep the next policy's
 * from running. */
static bool run(struct dw_ask *ask)
{
    for (;;) {
        switch (go(ask)) {
        case ENDED: return true;
        case FAILED:
            if (ask->stage != DW_STAGE_CLOSE)
                return true;
            next_policy(ask);
            ask->decided = ask->called = false;
            if (ask->policy >= ask->host->policy_count)
                return true;
            break;
        case WAITS:
            switch (dw_ask_fulfil(ask)) {
            case DW_FULFIL_NOT_MINE:
            case DW_FULFIL_NOW: dw_ask_take_in(ask); break;
            case DW_FULFIL_LATER: ask->is_kept = true; return false;
            case DW_FULFIL_LATE:
                late(ask);
                give_thread(ask, false);
                return true;
            }
            break;
        }
    }
}

struct dw_ask *dw_ask_start(struct dw_host *host, struct dw_event *event, enum dw_stage stage, dw_ask_done done,
                            void *arg)
{
    struct dw_ask *ask = calloc(1, sizeof *ask);
    if (!ask) {
        struct dw_decision d = {.verdict = DW_TEMPORARY};
        done(arg, &d);
        return NULL;
    }
    *ask = (struct dw_ask){.host = host,
                           .event = event,
                           .stage = stage,
                           .hook = stage,
                           .done = done,
                           .arg = arg,
                           .user = event->user,
                           .began = dw_budget_clock()};
    event->stage = stage;
    if (find_hook(ask) && !run(ask))
        return ask;
    finish(ask);
    return NULL;
}

void dw_ask_resume(struct dw_ask *ask, struct dw_answer *answer)
{
    dw_answer_clear(&ask->answer);
    ask->answer = *answer;
    *answer = (struct dw_answer){0};
    dw_ask_take_in(ask);
    if (run(ask))
        finish(ask);
}

void dw_ask_cancel(struct dw_ask **ask)
{
    if (!*ask)
        return;
    if ((*ask)->box)
        (*ask)->box->event = NULL;
    (*ask)->box = NULL;
    give_thread(*ask, false);
    (*ask)->event->user = (*ask)->user;
    release(*ask);
    *ask = NULL;
}

void dw_ask_expire(struct dw_ask **ask)
{
    if (!*ask)
        return;
    struct dw_ask *one = *ask;
    *ask = NULL;
    late(one);
    if (one->is_kept)
        one->host->keeper.drop(one->job);
    one->is_kept = false;
    if (one->box)
        one->box->event = NULL;
    one->box = NULL;
    give_thread(one, false);
    finish(one);
}
