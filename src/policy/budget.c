/* Memory, instructions, time: see budget.h. */
#include "policy/budget.h"

#include "policy/inside.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TICK = 250, CLOCK_EVERY_BYTES = 1 << 20, CLOCK_EVERY_UNITS = 1000 };

uint64_t dw_budget_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct dw_budget *dw_budget_of(lua_State *L)
{
    return &dw_host_of(L)->budget;
}

/* Large strings are copied without an instruction being counted, so the clock is looked at here too. */
static bool too_late(struct dw_budget *b, size_t more)
{
    if (!b->deadline || (b->fresh += more) < CLOCK_EVERY_BYTES)
        return false;
    b->fresh = 0;
    if (dw_budget_clock() > b->deadline)
        b->hit = DW_LIMIT_TIME;
    return b->hit == DW_LIMIT_TIME;
}

void *dw_budget_alloc(void *ud, void *at, size_t old, size_t size)
{
    struct dw_budget *b = ud;
    if (!at)
        old = 0; /* a kind of object, not a size */
    if (size == 0) {
        b->held -= old;
        free(at);
        return NULL;
    }
    if (size > old && (b->held + (size - old) > b->ceiling || too_late(b, size - old))) {
        /* Lua collects its garbage and asks once more, so only the second refusal is final. */
        if (b->refused == size && b->hit == DW_LIMIT_NONE)
            b->hit = DW_LIMIT_MEMORY;
        b->refused = size;
        return NULL;
    }
    void *moved = realloc(at, size);
    if (moved) {
        b->held += size - old;
        b->refused = 0;
    } else if (size <= old) { /* Lua relies on shrinking never to fail */
        b->held -= old - size;
        return at;
    }
    return moved;
}

const char *dw_budget_sentence(const struct dw_budget *b, char into[80])
{
    switch (b->hit) {
    case DW_LIMIT_NONE: into[0] = '\0'; break;
    case DW_LIMIT_MEMORY: snprintf(into, 80, "memory limit (%zu octets) reached", b->memory); break;
    case DW_LIMIT_INSTRUCTIONS: snprintf(into, 80, "instruction limit (%ld) reached", b->instructions); break;
    case DW_LIMIT_TIME: snprintf(into, 80, "time limit (%g seconds) reached", b->seconds); break;
    }
    return into;
}

static void tick(lua_State *L, lua_Debug *ar);

void dw_budget_recall(lua_State *L)
{
    char sentence[80];
    struct dw_budget *b = dw_budget_of(L);
    if (b->hit == DW_LIMIT_NONE)
        return;
    /* From here on every instruction of this thread raises, so that no loop around a pcall of any kind
     * gets further than its next step. */
    lua_sethook(L, tick, LUA_MASKCOUNT, 1);
    luaL_error(L, "%s", dw_budget_sentence(b, sentence));
}

void dw_budget_charge(lua_State *L, size_t units)
{
    struct dw_budget *b = dw_budget_of(L);
    if (!b->deadline)
        return;
    if ((b->unclocked += units) >= CLOCK_EVERY_UNITS) {
        b->unclocked = 0;
        if (b->hit == DW_LIMIT_NONE && dw_budget_clock() > b->deadline)
            b->hit = DW_LIMIT_TIME;
    }
    if (units > (size_t)b->left) {
        b->left = 0;
        if (b->hit == DW_LIMIT_NONE)
            b->hit = DW_LIMIT_INSTRUCTIONS;
    } else {
        b->left -= (long)units;
    }
    dw_budget_recall(L);
}

static void tick(lua_State *L, lua_Debug *ar)
{
    if (ar->event != LUA_HOOKLINE) {
        dw_budget_charge(L, TICK);
    } else if (lua_getinfo(L, "S", ar) && *ar->source == '@') {
        dw_host_cover_line(dw_host_of(L), ar->source + 1, ar->currentline);
    }
}

void dw_budget_watch(lua_State *L)
{
    lua_sethook(L, tick, LUA_MASKCOUNT | (dw_host_of(L)->coverage ? LUA_MASKLINE : 0), TICK);
}

void dw_budget_begin(struct dw_budget *b)
{
    size_t ceiling = b->held + b->memory;
    b->ceiling = ceiling < b->total ? ceiling : b->total;
    b->left = b->instructions;
    b->deadline = dw_budget_clock() + (uint64_t)(b->seconds * 1e9);
    b->hit = DW_LIMIT_NONE;
    b->fresh = b->refused = b->unclocked = 0;
}

void dw_budget_end(struct dw_budget *b)
{
    b->ceiling = SIZE_MAX;
    b->deadline = 0;
    b->hit = DW_LIMIT_NONE;
}

void dw_budget_pause(struct dw_budget *b, struct dw_budget_rest *rest)
{
    uint64_t now = dw_budget_clock();
    rest->left = b->left;
    rest->time = b->deadline > now ? b->deadline - now : 0;
    rest->room = b->ceiling > b->held ? b->ceiling - b->held : 0;
    dw_budget_end(b);
}

void dw_budget_resume(struct dw_budget *b, const struct dw_budget_rest *rest)
{
    size_t ceiling = b->held + rest->room;
    dw_budget_begin(b);
    b->ceiling = ceiling < b->total ? ceiling : b->total;
    b->left = rest->left;
    b->deadline = dw_budget_clock() + rest->time;
}
