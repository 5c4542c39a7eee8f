/* The sandbox holds: whatever a script does, its call ends, and the next one is answered. */
#include "base/log.h"
#include "check.h"
#include "policy/ask.h"
#include "policy/budget.h"

#include <stdlib.h>
#include <unistd.h>

static char file[] = "/tmp/dw-limits-XXXXXX";

struct answer {
    enum dw_verdict verdict;
    char reason[400];
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct answer *a = arg;
    a->verdict = d->verdict;
    snprintf(a->reason, sizeof a->reason, "%s", d->reason ? d->reason : "");
}

static long instructions = 2000000;

static struct dw_host *host_of(const char *map, const char *prelude, double seconds)
{
    const char *files[] = {file, NULL};
    struct dw_host_options options = {
        .policies = files, .memory = 4 << 20, .instructions = instructions, .seconds = seconds};
    struct dw_error err = {0};
    FILE *f = fopen(file, "w");
    fprintf(f,
            "local calls = 0\n%s\nreturn { map = function(event)\ncalls = calls + 1\n"
            "if calls == 2 then return nil, 'still here' end\n%s\nreturn nil, 'ended'\nend }\n",
            prelude, map);
    fclose(f);
    struct dw_host *host = dw_host_new(&options, &err);
    CHECK_STR(err.detail, "");
    return host;
}

static struct answer ask(struct dw_host *host)
{
    struct answer a = {0};
    struct dw_event event = {.id = "1", .principal = DW_SPAN_OF("alice@HOME.EXAMPLE")};
    dw_ask_start(host, &event, DW_STAGE_MAP, on_done, &a);
    return a;
}

/* The script runs into `limit`, or (NULL) ends in any way; then the host is asked again. */
static void hits(const char *limit, const char *map)
{
    if (getenv("TRACE"))
        fprintf(stderr, "%s\n", map);
    /* Where a certain limit is expected, a loaded machine may not turn it into that of time. */
    bool is_certain = limit && strcmp(limit, "map: ") != 0;
    struct dw_host *host = host_of(map, "", is_certain ? 60 : 1);
    if (!host)
        return;
    uint64_t began = dw_budget_clock();
    struct answer a = ask(host);
    double took = (double)(dw_budget_clock() - began) / 1e9;
    if (!check_that(took < 60, __FILE__, __LINE__, map))
        printf("    took %.1f seconds\n", took);
    if (limit && (a.verdict != DW_TEMPORARY || !strstr(a.reason, limit))) {
        CHECK_STR(a.reason, limit);
        printf("    %s\n", map);
    }
    size_t held = dw_host_memory(host);
    CHECK(held < 12u << 20);
    CHECK_STR(ask(host).reason, "not mapped: still here");
    dw_host_free(&host);
}

#define INSTRUCTIONS "map: instruction limit (2000000) reached"
#define MEMORY "map: memory limit (4194304 octets) reached"

static void loops_end(void)
{
    hits(INSTRUCTIONS, "while true do end");
    hits(INSTRUCTIONS, "local function f() return f() end f()");
    hits(INSTRUCTIONS, "while true do pcall(function() while true do end end) end");
    hits(INSTRUCTIONS, "while true do pcall(pcall, error) end");
    hits(INSTRUCTIONS,
         "repeat until xpcall(function() while true do end end, function() while true do end end) and nil");
    hits(INSTRUCTIONS, "local function f() pcall(f) while true do end end f()");
    hits(INSTRUCTIONS, "while true do coroutine.wrap(function() while true do end end)() end");
    hits(INSTRUCTIONS, "while true do pcall(coroutine.wrap(function() while true do end end)) end");
    hits(INSTRUCTIONS, "while true do coroutine.resume(coroutine.create(function() while true do end end)) end");
    hits(INSTRUCTIONS, "while true do coroutine.wrap(function() end)() end");
    hits(INSTRUCTIONS,
         "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end");
    hits(INSTRUCTIONS, "local x <close> = setmetatable({}, { __close = function() while true do end end })");
    hits(INSTRUCTIONS,
         "local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end");
    hits("map: ", "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do "
                  "pcall(function() return t[1] end) end");
    hits(INSTRUCTIONS,
         "for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end");
    hits("map: ", "error(setmetatable({}, { __tostring = function() while true do end end }))");
}

static void memory_ends(void)
{
    hits(MEMORY, "local t = {} for i = 1, 1e9 do t[i] = i end");
    hits(MEMORY, "local s = 'x' while true do s = s .. s end");
    hits(MEMORY, "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end");
    hits("map: ", "do return string.rep('x', 1e9) end");
    hits("map: ", "do return string.rep('x', 2^40) end");
    hits("map: ", "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end");
    hits("map: ", "do return nil, string.format(('%s'):rep(200), table.unpack({ ('x'):rep(1e6) }, 1, 1))  end");
    hits("map: ", "local s = ('x'):rep(1e6) do return nil, s:gsub('x', s) end");
    hits("map: ", "do return nil, table.concat(setmetatable({}, { __len = function() return 1e6 end, __index = "
                  "function() return ('x'):rep(1000) end })) end");
    hits("map: ", "local function f(...) return f(1, ...) end f()");
    hits("map: ", "local function f() return 1 + f() end f()");
    hits("map: ", "local t = {} for i = 1, 1e7 do t[i] = { i } end");
}

static void nothing_runs_long_in_c(void)
{
    hits(NULL, "string.rep('', 2^40)");
    hits("map: ", "table.move({}, 1, 2^40, 2)");
    hits("map: ", "table.move({}, 1, math.maxinteger, 2)");
    hits(INSTRUCTIONS, "table.insert(setmetatable({}, { __len = function() return 2^40 | 0 end }), 1, 1)");
    hits(INSTRUCTIONS, "table.remove(setmetatable({}, { __len = function() return 2^40 | 0 end }), 1)");
    hits("map: ", "table.concat(setmetatable({}, { __len = function() return 2^40 | 0 end, __index = function() "
                  "return '' end }))");
    hits("map: ", "table.unpack(setmetatable({}, { __len = function() return 2^40 | 0 end }))");
    hits("map: ", "table.unpack({}, 1, 2^40 | 0)");
    hits("map: ", "table.unpack({}, math.mininteger, math.maxinteger)");
    hits("map: ", "table.insert(setmetatable({}, { __len = function() return math.maxinteger end }), 1)");
    hits(NULL, "table.remove(setmetatable({}, { __len = function() return math.maxinteger end }))");
    hits(INSTRUCTIONS, "local t = {} for i = 1, 1e5 do t[i] = i end table.sort(t, function() return true end) "
                       "while true do table.sort(t) end");
    hits("map: ", "table.sort(setmetatable({}, { __len = function() return 2^30 | 0 end }))");
    hits(INSTRUCTIONS, "local s = ('a'):rep(1e5) while true do s:find(('a-'):rep(100) .. 'b') end");
    hits(INSTRUCTIONS, "(('a'):rep(1e5)):find(('a-'):rep(100) .. 'b')");
    hits(INSTRUCTIONS, "(('a'):rep(1e5)):find('.-.-.-.-b')");
    hits(INSTRUCTIONS, "(('a'):rep(1e5)):match('(.-)(.-)(.-)b')");
    hits(INSTRUCTIONS, "(('a'):rep(1e5)):gsub('.-.-.-b', '')");
    hits(INSTRUCTIONS, "for _ in (('a'):rep(1e5)):gmatch('.-.-.-b') do end");
    hits(INSTRUCTIONS, "(('('):rep(1e5)):find('%b()%b()')");
    hits(INSTRUCTIONS, "while true do (('x'):rep(1e6)):upper() end");
    hits(INSTRUCTIONS, "local s = ('x'):rep(1e6) while true do s:find('y', 1, true) end");
    hits(INSTRUCTIONS, "local s = ('1'):rep(1e6) while true do tonumber(s) end");
    hits(INSTRUCTIONS, "local s = ('1'):rep(1e6) while true do tonumber(s, 10) end");
    hits(INSTRUCTIONS, "local s = ('x'):rep(1e6) while true do utf8.len(s) end");
    hits("map: ", "local s = ('x'):rep(1e6) while true do local t = s .. calls end");
    hits("map: ", "local a, b = ('x'):rep(1e6), ('x'):rep(1e6) while true do local t = a == b end");
}

/* However much it may do, and wherever it spends its time, the clock ends it soon. */
static void time_ends(void)
{
    static const char *const scripts[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local s = ('x'):rep(1e6) while true do local t = s .. calls end",
        "local s = ('x'):rep(1e5) while true do s:find('y') end",
        "local t = {} for i = 1, 1e5 do t[i] = i % 1000 end while true do table.sort(t) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
    };
    instructions = 2000000000;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct dw_host *host = host_of(scripts[i], "", 0.2);
        uint64_t began = dw_budget_clock();
        struct answer a = ask(host);
        double took = (double)(dw_budget_clock() - began) / 1e9;
        CHECK_STR(a.reason, "map: time limit (0.2 seconds) reached");
        if (!check_that(took < 20, __FILE__, __LINE__, scripts[i]))
            printf("    took %.1f seconds\n", took);
        CHECK_STR(ask(host).reason, "not mapped: still here");
        dw_host_free(&host);
    }
    instructions = 2000000;
}

/* A policy that hoards: each call adds a little, and in the end none may. */
static void a_hoard_is_bounded(void)
{
    struct dw_host *host =
        host_of("if calls > 2 then hoard[#hoard + 1] = ('x'):rep(1000000) .. calls end", "local hoard = {}", 1);
    struct answer a = {0};
    for (int i = 0; i < 40; i++)
        a = ask(host);
    CHECK_INT(a.verdict, DW_TEMPORARY);
    CHECK(strstr(a.reason, "limit"));
    CHECK(dw_host_memory(host) <= (4u << 20) * 4 + (1 << 20));
    dw_host_free(&host);
}

/* Garbage of earlier calls does not count against later ones. */
static void garbage_is_no_crime(void)
{
    struct dw_host *host = host_of("local t = {} for i = 1, 20000 do t[i] = { i } end", "", 1);
    for (int i = 0; i < 50; i++)
        CHECK_INT(ask(host).verdict, DW_DENY);
    dw_host_free(&host);
}

static void what_works_still_works(void)
{
    static const char *const scripts[] = {
        "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) assert(co(1) == "
        "2) assert(co(5) == 10)",
        "local ok, err = pcall(error, 'x') assert(not ok and err == 'x')",
        "local ok, err = xpcall(function() error('y', 0) end, function(m) return m .. '!' end) assert(err == 'y!')",
        "assert(select('#', pcall(function(...) return ... end, 1, 2, 3)) == 4)",
        "local co = coroutine.create(function() error('z', 0) end) local ok, e = coroutine.resume(co) assert(not "
        "ok and e == 'z' and coroutine.status(co) == 'dead')",
        "local t = { 5, 3, 9, 1, 7 } table.sort(t) assert(table.concat(t, ',') == '1,3,5,7,9')",
        "local t = { 'b', 'a', 'c' } table.sort(t, function(a, b) return a > b end) assert(table.concat(t) == "
        "'cba')",
        "local t = {} for i = 1, 500 do t[i] = (i * 7919) % 503 end table.sort(t) for i = 2, 500 do assert(t[i - "
        "1] <= t[i]) end",
        "local t = { 1, 2, 3 } table.insert(t, 1, 0) table.insert(t, 4) assert(table.concat(t, '-') == "
        "'0-1-2-3-4') assert(table.remove(t) == 4 and table.remove(t, 1) == 0 and #t == 3)",
        "local t = table.move({ 1, 2, 3 }, 1, 3, 2) assert(table.concat(t) == '1123') "
        "assert(table.concat(table.move({ 1, 2, 3 }, 2, 3, 1)) == '233')",
        "local p = table.pack(1, nil, 3) assert(p.n == 3) assert(select('#', table.unpack(p, 1, 3)) == 3)",
        "local n = 0 for k in pairs(string) do n = n + 1 end assert(n > 10) assert(next(math))",
        "assert(('x'):rep(3, ',') == 'x,x,x' and #('ab'):rep(0) == 0 and tostring(1) == '1' and tonumber('0x10') "
        "== 16)",
        "assert(math.floor(1.5) == 1 and utf8.char(228) == '\\u{e4}' and utf8.len('\\u{e4}') == 1)",
        "local t = setmetatable({}, { __index = { a = 1 } }) assert(t.a == 1 and rawget(t, 'a') == nil) rawset(t, "
        "'a', 2) assert(t.a == 2)",
        "assert(getmetatable('') == false and type(string.format('%5.1f|%s|%q', 1.25, 'x', 'y')) == 'string')",
        "assert(_ENV and not pcall(function() return _G end))",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct dw_host *host = host_of(scripts[i], "", 1);
        struct answer a = ask(host);
        if (a.verdict != DW_DENY)
            CHECK_STR(a.reason, scripts[i]);
        dw_host_free(&host);
    }
}

int main(void)
{
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    close(fd);
    dw_log_threshold((enum dw_log_level)4);
    RUN(loops_end);
    RUN(memory_ends);
    RUN(nothing_runs_long_in_c);
    RUN(time_ends);
    RUN(a_hoard_is_bounded);
    RUN(garbage_is_no_crime);
    RUN(what_works_still_works);
    unlink(file);
    return check_done();
}
