/* What changed, for people and for programs: see replay.h. */
#include "cmd/replay.h"

#include "base/text.h"
#include "cmd/terminal.h"

#include <stdlib.h>

enum { NAME_MOST = 60 };

/* Prints what was gathered, cut at the terminal's edge. */
static void put_line(FILE *out, struct dw_buf *line)
{
    struct dw_span text = dw_buf_span(line);
    size_t width = dw_terminal_width(out), len = text.len;
    if (dw_terminal_columns(text) > width) {
        size_t column = 0;
        for (len = 0; len < text.len && column + ((text.at[len] & 0xc0) != 0x80) < width; len++)
            column += (text.at[len] & 0xc0) != 0x80;
        fwrite(text.at, 1, len, out);
        fputs("\xe2\x80\xa6\n", out);
    } else {
        fwrite(text.at, 1, len, out);
        fputc('\n', out);
    }
    dw_buf_clear(line, 4096);
}

static void put_heading(FILE *out, const char *title, const char *paint)
{
    if (dw_terminal_has_colour(out))
        fprintf(out, "\033[1;%sm%s\033[0m", paint, title);
    else
        fputs(title, out);
}

static const char *paint_of(enum dw_change change)
{
    return change == DW_NEWLY_ALLOWED  ? "32"
           : change == DW_NEWLY_DENIED ? "31"
           : change < DW_OTHER_USER    ? "33"
                                       : "36";
}

/* Values. */

static void put_text(struct dw_buf *line, struct dw_span text)
{
    if (dw_text_is_utf8(text) && !dw_text_has_control(text))
        dw_buf_put(line, text);
    else
        dw_text_quote(line, text);
}

static void put_value(struct dw_buf *line, const char *key, const json_t *value)
{
    char when[32];
    if (!value || json_is_null(value)) {
        dw_buf_put(line, DW_SPAN_OF("none"));
    } else if (json_is_string(value)) {
        put_text(line, dw_span_make(json_string_value(value), json_string_length(value)));
    } else if (strcmp(key, "expires") == 0 && json_is_number(value)) {
        double at = json_number_value(value);
        bool fits = at > 0 && at < 253402300799.0;
        dw_buf_put(line, dw_span_str(fits ? dw_text_time(when, (long long)(at * 1e6)) : "never"));
    } else {
        char *dumped = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
        put_text(line, dw_span_str(dumped ? dumped : "?"));
        free(dumped);
    }
}

static void put_change(FILE *out, struct dw_buf *line, const char *key, const json_t *old, const json_t *new)
{
    dw_buf_printf(line, "    %s ", key);
    put_value(line, key, old);
    dw_buf_put(line, DW_SPAN_OF(" -> "));
    put_value(line, key, new);
    put_line(out, line);
}

/* One of the two decisions. */

static void put_verdict(struct dw_buf *line, const json_t *side)
{
    const char *verdict = json_string_value(json_object_get(side, "verdict"));
    const char *stage = json_string_value(json_object_get(side, "stage"));
    bool early = stage && (strcmp(stage, "connect") == 0 || strcmp(stage, "realm") == 0);
    bool allows = verdict && strcmp(verdict, "allow") == 0;
    dw_buf_put(line, dw_span_str(early && allows ? "goes on" : verdict ? verdict : "?"));
    if (early)
        dw_buf_printf(line, " at %s", stage);
    if (allows && json_object_get(side, "user")) {
        dw_buf_put_u8(line, ' ');
        put_value(line, "user", json_object_get(side, "user"));
    }
}

static void put_cause(struct dw_buf *line, const json_t *side)
{
    const json_t *rule = json_object_get(side, "rule"), *reason = json_object_get(side, "reason");
    if (rule && !json_is_null(rule)) {
        dw_buf_put(line, DW_SPAN_OF("rule \""));
        put_value(line, "rule", rule);
        dw_buf_put_u8(line, '"');
    } else if (reason && !json_is_null(reason)) {
        put_value(line, "reason", reason);
    } else {
        dw_buf_put(line, DW_SPAN_OF("no rule"));
    }
    /* A script's error has its place in it. */
    const json_t *at = json_object_get(side, "at");
    const char *placed = json_is_string(rule) ? NULL : json_string_value(reason);
    if (!at || (placed && strstr(placed, ".lua:")))
        return;
    dw_buf_put(line, DW_SPAN_OF(" ("));
    put_value(line, "at", at);
    dw_buf_put_u8(line, ')');
}

static void put_causes(FILE *out, struct dw_buf *line, const json_t *old, const json_t *new)
{
    dw_buf_put(line, DW_SPAN_OF("    by "));
    put_cause(line, old);
    dw_buf_put(line, DW_SPAN_OF(" -> "));
    put_cause(line, new);
    put_line(out, line);
}

static void put_subject(struct dw_buf *line, const json_t *told)
{
    static const char *const names[] = {"principal", "username", "identity", "peer", NULL};
    const json_t *who = NULL;
    for (size_t i = 0; names[i] && !who; i++)
        who = json_object_get(told, names[i]);
    put_value(line, "who", who);
}

static void put_about(FILE *out, struct dw_buf *line, const json_t *told, size_t name_width, size_t count)
{
    static const char *const places[] = {"mechanism", "listener", "domain", NULL};
    dw_buf_put(line, DW_SPAN_OF("  "));
    put_subject(line, told);
    for (size_t at = dw_terminal_columns(dw_buf_span(line)); at < name_width + 2; at++)
        dw_buf_put_u8(line, ' ');
    for (size_t i = 0; places[i]; i++) {
        const json_t *place = json_object_get(told, places[i]);
        if (!place)
            continue;
        dw_buf_put(line, DW_SPAN_OF("  "));
        put_value(line, places[i], place);
    }
    dw_buf_put(line, DW_SPAN_OF("  "));
    if (count > 1)
        dw_buf_printf(line, "%zu times, first at ", count);
    put_value(line, "journal", json_object_get(told, "journal"));
    dw_buf_printf(line, ":%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(told, "line")));
    put_line(out, line);
}

static void put_differences(FILE *out, struct dw_buf *line, const json_t *told)
{
    const json_t *old = json_object_get(told, "old"), *new = json_object_get(told, "new"), *name;
    const json_t *users[] = {json_object_get(old, "user"), json_object_get(new, "user")};
    const json_t *backends[] = {json_object_get(old, "backend"), json_object_get(new, "backend")};
    size_t i;
    if (!json_equal(json_object_get(old, "verdict"), json_object_get(new, "verdict"))) {
        dw_buf_put(line, DW_SPAN_OF("    "));
        put_verdict(line, old);
        dw_buf_put(line, DW_SPAN_OF(" -> "));
        put_verdict(line, new);
        put_line(out, line);
    } else if (json_string_value(json_object_get(new, "verdict")) &&
               strcmp(json_string_value(json_object_get(new, "verdict")), "allow") == 0) {
        if ((users[0] || users[1]) && !json_equal(users[0], users[1]))
            put_change(out, line, "user", users[0], users[1]);
        if ((backends[0] || backends[1]) && !json_equal(backends[0], backends[1]))
            put_change(out, line, "backend", backends[0], backends[1]);
        json_array_foreach(json_object_get(told, "details"), i, name)
            put_change(out, line, json_string_value(name), json_object_get(old, json_string_value(name)),
                       json_object_get(new, json_string_value(name)));
    }
    put_causes(out, line, old, new);
}

void dw_replay_tell_one(FILE *out, const json_t *told)
{
    struct dw_buf line = {0};
    const json_t *change;
    size_t i;
    json_array_foreach(json_object_get(told, "changes"), i, change)
    {
        int which = dw_change_parse(json_string_value(change), json_string_length(change));
        if (which < 0)
            continue;
        fputs(i ? ", " : "", out);
        put_heading(out, dw_change_title((enum dw_change)which), paint_of((enum dw_change)which));
    }
    fputc('\n', out);
    put_about(out, &line, told, 0, 1);
    put_differences(out, &line, told);
    dw_buf_free(&line);
}

static void tell_group(FILE *out, enum dw_change change, const struct dw_tally_group *group)
{
    struct dw_buf line = {0};
    size_t name_width = 0;
    put_heading(out, dw_change_title(change), paint_of(change));
    fprintf(out, "  %zu\n", group->count);
    for (size_t i = 0; i < group->example_count; i++) {
        put_subject(&line, group->examples[i].told);
        size_t wide = dw_terminal_columns(dw_buf_span(&line));
        name_width = wide > name_width && wide <= NAME_MOST ? wide : name_width;
        dw_buf_clear(&line, 4096);
    }
    for (size_t i = 0; i < group->example_count; i++) {
        put_about(out, &line, group->examples[i].told, name_width, group->examples[i].count);
        put_differences(out, &line, group->examples[i].told);
    }
    if (group->example_count && group->count > group->told)
        fprintf(out, "  and %zu more\n", group->count - group->told);
    if (group->example_count)
        fputc('\n', out);
    dw_buf_free(&line);
}

static void note(FILE *out, size_t count, const char *one, const char *many)
{
    if (count)
        fprintf(out, "%zu %s\n", count, count == 1 ? one : many);
}

void dw_replay_tell(FILE *out, const struct dw_replay_tally *t, unsigned shown)
{
    bool is_dense = false;
    for (int i = 0; i < DW_CHANGES; i++)
        if (t->groups[i].count && shown & 1u << i) {
            tell_group(out, (enum dw_change)i, &t->groups[i]);
            is_dense = t->groups[i].example_count == 0;
        }
    if (is_dense)
        fputc('\n', out);
    fprintf(out, "%zu decision%s replayed: ", t->replayed, t->replayed == 1 ? "" : "s");
    if (t->differ)
        fprintf(out, "%zu the same, %zu differ%s\n", t->replayed - t->differ, t->differ, t->differ == 1 ? "s" : "");
    else
        fputs(t->replayed ? "all the same\n" : "nothing to compare\n", out);
    note(out, t->groups[DW_OTHER_RULE].count, "is the same by another rule", "are the same by another rule");
    note(out, t->not_policy, "line tells of a refusal of the broker's own, which no policy decides",
         "lines tell of refusals of the broker's own, which no policy decides");
    note(out, t->no_admission, "line is of a stage that decides nothing",
         "lines are of a stage that decides nothing");
    note(out, t->without_password,
         "log-in was by password, which no journal holds: a policy is told what came of verifying it, or fails",
         "log-ins were by password, which no journal holds: a policy is told what came of verifying it, or fails");
    note(out, t->bad, "bad line was skipped", "bad lines were skipped");
    note(out, t->torn, "torn line at a journal's end was left out", "torn lines at journals' ends were left out");
}

static json_t *group_to_json(const struct dw_tally_group *group)
{
    json_t *out = json_object(), *list = json_array();
    json_object_set_new(out, "count", json_integer((json_int_t)group->count));
    for (size_t i = 0; i < group->example_count; i++) {
        json_t *example = json_copy(group->examples[i].told);
        json_object_set_new(example, "count", json_integer((json_int_t)group->examples[i].count));
        json_array_append_new(list, example);
    }
    json_object_set_new(out, "examples", list);
    return out;
}

json_t *dw_replay_tally_to_json(const struct dw_replay_tally *t)
{
    const struct {
        const char *name;
        size_t count;
    } counts[] = {{"replayed", t->replayed},
                  {"same", t->replayed - t->differ},
                  {"differ", t->differ},
                  {"not_policy", t->not_policy},
                  {"no_admission", t->no_admission},
                  {"without_password", t->without_password},
                  {"bad", t->bad},
                  {"torn", t->torn}};
    json_t *out = json_object(), *groups = json_object();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_object_set_new(out, counts[i].name, json_integer((json_int_t)counts[i].count));
    for (int i = 0; i < DW_CHANGES; i++)
        json_object_set_new(groups, dw_change_word((enum dw_change)i), group_to_json(&t->groups[i]));
    json_object_set_new(out, "groups", groups);
    return out;
}
