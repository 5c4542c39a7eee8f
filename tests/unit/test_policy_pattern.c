/* Our patterns against Lua's own: the same script, with thousands of made-up patterns and texts, gives the same
 * answers in a plain Lua and in a policy. */
#include "base/log.h"
#include "check.h"
#include "policy/ask.h"
#include "policy/pattern.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <unistd.h>

/* Both sides append to `out`; what is random is made by a counter of our own.  %d is the seed. */
static const char script[] =
    "local seed, out = %d, {}\n"
    "local function random(n) seed = (seed * 1103515245 + 12345) & 0x7fffffff return (seed >> 8) %% n + 1 end\n"
    "local items = { 'a', 'b', 'c', '.', '%%a', '%%d', '%%w', '%%s', '%%S', '[ab]', '[^a]', '[a-c]', '[%%d_]', "
    "'[]]', '[^]a]',\n"
    "  '[a-]', '%%.', '%%%%', '(', ')', '()', '%%1', '%%2', '%%b()', '%%bab', '%%f[a]', '%%f[^%%w]', '$', '^', "
    "']', '-', '*', '%%', '[' ,\n"
    "  '%%f', '%%b', '[%%', '(a)', '(.-)', '(b*)', '\\0', '[%%z\\0]', '%%x', '%%P', '%%u', '\\228' }\n"
    "local suffixes = { '', '', '', '', '*', '+', '-', '?' }\n"
    "local letters = { 'a', 'b', 'c', 'A', ' ', '.', '(', ')', '1', '%%', '-', '\\0', '\\228', '_' }\n"
    "local function make(list, most, tails) local t = {} for i = 1, random(most) - 1 do\n"
    "  t[i] = list[random(#list)] .. (tails and tails[random(#tails)] or '') end return table.concat(t) end\n"
    "local function note(...) local t = table.pack(...) for i = 1, t.n do t[i] = tostring(t[i]) end out[#out + 1] "
    "= table.concat(t, '|', 1, t.n) end\n"
    "local function try(f, ...) local r = table.pack(pcall(f, ...)) if r[1] then note(table.unpack(r, 1, r.n)) "
    "else note(false) end end\n"
    "for i = 1, 400 do\n"
    "  local p, s = make(items, 6, suffixes), make(letters, 12)\n"
    "  local init, many = random(12) - 4, random(4) - 1\n"
    "  note(i, ('%%q'):format(p), ('%%q'):format(s), init)\n"
    "  try(string.find, s, p) try(string.find, s, p, init) try(string.match, s, p, init) try(string.find, s, p, 1, "
    "true)\n"
    "  try(string.gsub, s, p, '<%%0>') try(string.gsub, s, p, '%%1', many) try(string.gsub, s, p, { a = 'X', b = "
    "false })\n"
    "  try(string.gsub, s, p, function(...) return select('#', ...) .. tostring((...)) end)\n"
    "  try(function() local t = {} for x, y in s:gmatch(p) do t[#t + 1] = tostring(x) .. ',' .. tostring(y) end "
    "return table.concat(t, ';') end)\n"
    "  try(function() local t = {} for x in s:gmatch(p, init) do t[#t + 1] = tostring(x) end return "
    "table.concat(t, ';') end)\n"
    "  try(string.rep, s, many, p)\n"
    "end\n"
    "local answer = table.concat(out, '\\n')\n";

static char *ours;

static void on_done(void *arg, const struct dw_decision *d)
{
    (void)arg;
    free(ours);
    ours = strdup(d->reason ? d->reason : "");
}

static char *plain(const char *text)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    struct dw_buf all = {0};
    dw_buf_printf(&all, "%s return (answer:gsub('\\0', '0'))", text);
    char *answer = NULL;
    if (luaL_loadbuffer(L, (const char *)dw_buf_span(&all).at, dw_buf_len(&all), "plain") == LUA_OK &&
        lua_pcall(L, 0, 1, 0) == LUA_OK)
        answer = strdup(lua_tostring(L, -1));
    else
        printf("%s\n", lua_tostring(L, -1));
    dw_buf_free(&all);
    lua_close(L);
    return answer;
}

/* Prints the first line where the two part, with the line that tells the case. */
static void show_first(const char *a, const char *b)
{
    const char *heading = a, *line = a;
    for (; *a && *a == *b; a++, b++)
        if (*a == '\n') {
            line = a + 1;
            if (line[0] >= '0' && line[0] <= '9' && strchr(line, '"') && strchr(line, '"') - line < 6)
                heading = line;
        }
    printf("    case  %.*s\n    plain %.*s\n    ours  %.*s\n", (int)strcspn(heading, "\n"), heading,
           (int)strcspn(line, "\n"), line, (int)strcspn(b - (a - line), "\n"), b - (a - line));
}

static void as_lua_does(void)
{
    char path[] = "/tmp/dw-pattern-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    dw_log_threshold((enum dw_log_level)4);
    for (int seed = 1; seed <= 12; seed++) {
        char text[sizeof script + 16];
        struct dw_error err = {0};
        snprintf(text, sizeof text, script, seed * 7919);
        char *wanted = plain(text);
        FILE *f = fopen(path, "w");
        /* A reason holds no NUL. */
        fprintf(f, "%s answer = answer:gsub('\\0', '0') return { map = function() return nil, answer end }", text);
        fclose(f);
        const char *files[] = {path, NULL};
        struct dw_host_options options = {.policies = files, .instructions = 100000000, .memory = 64 << 20};
        struct dw_host *host = dw_host_new(&options, &err);
        CHECK_STR(err.detail, "");
        if (host && wanted) {
            struct dw_event event = {.id = "1"};
            dw_ask_start(host, &event, DW_STAGE_MAP, on_done, NULL);
            const char *got = !strncmp(ours, "not mapped: ", 12) ? ours + 12 : ours;
            if (!CHECK(strcmp(got, wanted) == 0))
                show_first(wanted, got);
        }
        dw_host_free(&host);
        free(wanted);
    }
    free(ours);
    ours = NULL;
    unlink(path);
}

static void says_what_is_wrong(void)
{
    static const struct {
        const char *pattern, *wrong;
    } cases[] = {{"[a", "malformed pattern (missing ']')"},
                 {"a%", "malformed pattern (ends with '%')"},
                 {"%f", "missing '[' after '%f' in the pattern"},
                 {"%b(", "malformed pattern (missing arguments to '%b')"},
                 {"a)", "invalid pattern capture"},
                 {"%1", "invalid capture index in the pattern"},
                 {"(a%1)", "invalid capture index in the pattern"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_pattern m = {.steps = 1000};
        CHECK_INT(dw_pattern_find(&m, DW_SPAN_OF("aaa"), dw_span_str(cases[i].pattern), 0, false), DW_PATTERN_BAD);
        CHECK_STR(m.wrong, cases[i].wrong);
    }
}

static void grows_weary(void)
{
    static uint8_t text[10000];
    memset(text, 'a', sizeof text);
    struct dw_pattern m = {.steps = 100000};
    CHECK_INT(dw_pattern_find(&m, dw_span_make(text, sizeof text), DW_SPAN_OF("a-a-a-a-b"), 0, true),
              DW_PATTERN_WEARY);
    m.steps = 100000;
    CHECK_INT(dw_pattern_find(&m, dw_span_make(text, sizeof text), DW_SPAN_OF("^%a+$"), 0, false), DW_PATTERN_NO);
    m.steps = 100000;
    CHECK_INT(dw_pattern_find(&m, dw_span_make(text, sizeof text), DW_SPAN_OF("%a+$"), 0, true), DW_PATTERN_YES);
}

int main(void)
{
    RUN(as_lua_does);
    RUN(says_what_is_wrong);
    RUN(grows_weary);
    return check_done();
}
