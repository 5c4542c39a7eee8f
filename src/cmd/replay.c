/* durward replay: puts the events of a journal to another policy and tells what changes. */
#include "cmd/replay.h"
#include "base/log.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/given.h"
#include "policy/ask.h"
#include "policy/stubs.h"

#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    DECISION_SECONDS = 5,
    LIST_MOST = 1000,
    EXIT_USAGE = 2,
    EXIT_DIFFERS = 3,
    EXAMPLES = 10,
    EXAMPLES_MOST = 10000
};

struct request {
    const char *policies[LIST_MOST + 1], *refuse_users[LIST_MOST + 1];
    size_t policy_count, refuse_count;
    char **journals; /* of argv, moved to its front */
    size_t journal_count;
    const char *config_path;
    struct dw_config *config; /* NULL: none was named */
    unsigned fail_on; /* 0: whatever differs */
    size_t examples;
    bool json, verbose, skip_bad, log;
};

static int usage(FILE *out)
{
    fputs("usage: durward replay -p POLICY [-p POLICY]... JOURNAL... [--json] [--fail-on GROUP,..]\n"
          "       durward replay -c CONFIG [-p POLICY]... JOURNAL... [--json] [--fail-on GROUP,..]\n\n"
          "Puts the events of journals (- is standard input) to a policy, each at its own time, and tells\n"
          "what changes: newly-allowed, newly-denied, newly-temporary, no-longer-temporary, other-user,\n"
          "other-backend, other-details (expiry, properties, ..).  What is the same by another rule\n"
          "(other-rule) is counted, and is no difference.\n\n"
          "  --fail-on GROUP,..   only these groups make the exit code 3\n"
          "  --verbose            every difference as it is found, not examples; and other-rule\n"
          "  --examples N         of each group; 10\n"
          "  --json               for programs; with --verbose a line for each difference comes first\n"
          "  --skip-bad           passes over lines that are no decisions, which else end it\n"
          "  -c, --config CONFIG  its refuse_users hold, and without -p its policies are asked\n"
          "  --refuse-user NAME   stands in refuse_users as well; without -c root does (repeated)\n"
          "  --log                durward's own log lines too: tracebacks, what the policy prints\n\n"
          "exit: 0 same, 3 differs, 2 usage, a policy that does not load or a journal that cannot be read\n",
          out);
    return out == stdout ? 0 : EXIT_USAGE;
}

static int complain(const char *format, const char *word, const char *nearest)
{
    return dw_given_wrong("replay", format, word, nearest);
}

/* Options. */

static int set_fail_on(struct request *r, const char *list)
{
    for (const char *word = list;; word++) {
        size_t len = strcspn(word, ",");
        int change = dw_change_parse(word, len);
        if (change < 0) {
            char copy[64];
            snprintf(copy, sizeof copy, "%.*s", (int)(len < 63 ? len : 63), word);
            const char *nearest = dw_change_nearest(copy);
            return complain("--fail-on: there is no group '%s'", copy, nearest);
        }
        r->fail_on |= 1u << change;
        word += len;
        if (!*word)
            return 0;
    }
}

static int set_examples(struct request *r, const char *value)
{
    char *end;
    long count = strtol(value, &end, 10);
    if (*end || end == value || count < 0 || count > EXAMPLES_MOST)
        return complain("--examples: '%s' is not a number from 0 to 10000", value, NULL);
    r->examples = (size_t)count;
    return 0;
}

static int add(const char **list, size_t *count, const char *value, const char *what)
{
    if (*count == LIST_MOST)
        return complain("too many of %s", what, NULL);
    list[(*count)++] = value;
    return 0;
}

static int set_value(struct request *r, const char *name, const char *value)
{
    if (!strcmp(name, "--fail-on"))
        return set_fail_on(r, value);
    if (!strcmp(name, "--examples"))
        return set_examples(r, value);
    if (!strcmp(name, "-c") || !strcmp(name, "--config")) {
        if (r->config_path)
            return complain("one configuration, not also %s", value, NULL);
        r->config_path = value;
        return 0;
    }
    if (!strcmp(name, "--refuse-user"))
        return add(r->refuse_users, &r->refuse_count, value, name);
    return add(r->policies, &r->policy_count, value, name);
}

static bool *flag_of(struct request *r, const char *name)
{
    return !strcmp(name, "--json")       ? &r->json
           : !strcmp(name, "--verbose")  ? &r->verbose
           : !strcmp(name, "--skip-bad") ? &r->skip_bad
           : !strcmp(name, "--log")      ? &r->log
                                         : NULL;
}

/* What the configuration refuses stands in place of root; its policies are asked where none was named. */
static int take_config(struct request *r)
{
    struct dw_config *config = r->config = dw_given_config("replay", r->config_path);
    if (!config)
        return -1;
    r->refuse_users[0] = r->refuse_users[--r->refuse_count];
    r->refuse_users[r->refuse_count] = NULL;
    if (dw_given_list("replay", "refuse_users", config->refuse_users, r->refuse_users, &r->refuse_count,
                      LIST_MOST) < 0 ||
        (!r->policy_count &&
         dw_given_list("replay", "policies", config->policies, r->policies, &r->policy_count, LIST_MOST) < 0))
        return -1;
    return r->policy_count ? 0 : complain("%s names no policy: nobody passes", r->config_path, NULL);
}

static int read_options(struct request *r, int argc, char **argv)
{
    enum { VALUED = 7 };
    static const char *const known[] = {
        "-p",        "-c",         "--policy", "--config", "--fail-on", "--examples", "--refuse-user",
        "--verbose", "--skip-bad", "--json",   "--log",    "--help",    NULL};
    bool only_journals = false;
    r->journals = argv;
    for (int i = 1; i < argc; i++) {
        char *option = argv[i], *value = strncmp(option, "--", 2) == 0 ? strchr(option, '=') : NULL;
        char name[64];
        size_t len = value ? (size_t)(value - option) : strlen(option), k = 0;
        snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), option);
        if (only_journals || *option != '-' || !option[1]) {
            r->journals[r->journal_count++] = option;
            continue;
        }
        only_journals = !strcmp(option, "--");
        bool *flag = value || only_journals ? NULL : flag_of(r, name);
        if (flag)
            *flag = true;
        if (flag || only_journals)
            continue;
        while (k < VALUED && strcmp(known[k], name) != 0)
            k++;
        if (k == VALUED)
            return complain(value && flag_of(r, name) ? "%s takes no value" : "unknown option '%s'", name,
                            value && flag_of(r, name) ? NULL : dw_text_nearest(name, known));
        if (value)
            value++;
        else if (++i < argc)
            value = argv[i];
        else
            return complain("%s needs a value", name, NULL);
        if (set_value(r, name, value) < 0)
            return -1;
    }
    if (r->policy_count == 0 && !r->config_path)
        return complain("name a policy: %s FILE", "-p", NULL);
    if (r->config_path && take_config(r) < 0)
        return -1;
    return r->journal_count ? 0 : complain("name a journal, or %s for standard input", "-", NULL);
}

/* The new decision. */

struct answer {
    json_t *decision;
    char *at;
    enum dw_verdict verdict;
    enum dw_stage stage;
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct answer *a = arg;
    a->decision = dw_decision_to_json(d);
    a->verdict = d->verdict;
    const char *at = d->step_count ? d->steps[d->step_count - 1].at : NULL;
    a->at = at ? strdup(at) : NULL;
}

static void ask_one(struct dw_host *host, struct dw_event *event, enum dw_stage stage, struct answer *answer)
{
    json_decref(answer->decision);
    free(answer->at);
    *answer = (struct answer){.stage = stage};
    struct dw_ask *ask = dw_ask_start(host, event, stage, on_done, answer);
    dw_ask_expire(&ask);
    answer->stage = event->stage;
}

/* "smtp" of "smtp/host@REALM". */
static struct dw_span protocol_of(struct dw_span service)
{
    const uint8_t *slash = service.len ? memchr(service.at, '/', service.len) : NULL;
    return slash ? dw_span_make(service.at, (size_t)(slash - service.at)) : service;
}

/* What was known at an earlier stage already.  A server that asks by Dovecot's protocol says at once for which service,
 * before there is a ticket. */
static struct dw_event earlier(const struct dw_event *event, enum dw_stage stage)
{
    struct dw_event then = {
        .id = event->id,
        .time = event->time,
        .front = event->front,
        .stage = stage,
        .mechanism = event->mechanism,
        .listener = event->listener,
        .peer = event->peer,
        .hostname = event->hostname,
        .gss.lifetime = UINT32_MAX,
    };
    bool is_dovecot = event->front == DW_FRONT_DOVECOT;
    if (stage == DW_STAGE_REALM || is_dovecot) {
        then.service = is_dovecot ? protocol_of(event->service) : event->service;
        then.domain = event->domain;
        then.tls = event->tls;
    }
    return then;
}

/* As the broker would: connect and realm come first, and may refuse who was let on then. */
static void ask(struct dw_host *host, struct dw_event *event, struct answer *answer)
{
    enum dw_stage last = event->stage == DW_STAGE_AUTHORIZE ? DW_STAGE_MAP : event->stage;
    bool by_ticket = event->mechanism && strcmp(event->mechanism, "GSSAPI") == 0;
    *answer = (struct answer){0};
    for (enum dw_stage stage = DW_STAGE_CONNECT; stage < last; stage++) {
        if (!dw_host_has(host, stage) || event->front == DW_FRONT_ZAP || (stage == DW_STAGE_REALM && !by_ticket))
            continue;
        struct dw_event then = earlier(event, stage);
        ask_one(host, &then, stage, answer);
        if (answer->verdict != DW_ALLOW)
            return;
    }
    if (last == DW_STAGE_MAP)
        event->user = DW_SPAN_NONE;
    /* What came of verifying it stands in the journal; nothing else of it. */
    if (event->plain.present && !event->plain.password.at)
        event->plain.password = dw_span_make(dw_secret_unknown, 1);
    ask_one(host, event, last, answer);
}

/* One line. */

/* What the broker refused by itself stands without a policy, by a rule of its own or before anybody was known. */
static bool is_not_policy(const json_t *line, const struct dw_event *event)
{
    const json_t *policy = json_object_get(line, "policy");
    const json_t *rule = json_object_get(json_object_get(line, "decision"), "rule");
    return json_is_object(policy) && json_object_size(policy) == 0 &&
           json_array_size(json_object_get(line, "trace")) == 0 &&
           ((rule && !json_is_null(rule)) || (event->stage == DW_STAGE_AUTHORIZE && !event->principal.at));
}

static const char *old_at(const json_t *line)
{
    const json_t *trace = json_object_get(line, "trace");
    size_t count = json_array_size(trace);
    return count ? json_string_value(json_object_get(json_array_get(trace, count - 1), "at")) : NULL;
}

/* An event without a time has its line's; without that, now. */
static int give_time(struct dw_event *event, json_t *line, struct dw_error *err)
{
    struct dw_event timed;
    struct dw_event_store *store = NULL;
    struct timeval now;
    json_t *when = json_object_get(line, "time");
    if (event->time)
        return 0;
    if (when) {
        json_t *one = json_pack("{s:O}", "time", when);
        int failed = dw_event_from_json(&timed, one, &store, err);
        event->time = timed.time;
        dw_event_store_free(&store);
        json_decref(one);
        return failed;
    }
    gettimeofday(&now, NULL);
    event->time = now.tv_sec * 1000000LL + now.tv_usec;
    return 0;
}

static int read_line(json_t *line, struct dw_event *event, struct dw_event_store **store, struct dw_error *err)
{
    const json_t *decision = json_object_get(line, "decision");
    const char *verdict = json_string_value(json_object_get(decision, "verdict"));
    *store = NULL;
    if (!json_is_object(json_object_get(line, "event")) || !json_is_object(decision))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "a line of a journal has an event and a decision");
    if (!verdict || (strcmp(verdict, "allow") && strcmp(verdict, "deny") && strcmp(verdict, "temporary")))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the decision's verdict is none of allow, deny, temporary");
    if (dw_event_from_json(event, json_object_get(line, "event"), store, err) < 0)
        return -1;
    if (!event->id)
        event->id = json_string_value(json_object_get(line, "id"));
    if (!event->id)
        event->id = "replay";
    return give_time(event, line, err);
}

struct replay {
    const struct request *request;
    struct dw_host *host;
    struct dw_stubs recorded; /* what the line's look-ups were answered */
    struct dw_replay_tally tally;
};

static int tell_now(const struct request *r, const struct dw_difference *difference)
{
    json_t *told = dw_replay_describe(difference);
    if (told && r->json) {
        json_dumpf(told, stdout, JSON_COMPACT | JSON_REAL_PRECISION(16));
        putchar('\n');
    } else if (told) {
        dw_replay_tell_one(stdout, told);
    }
    json_decref(told);
    return told ? 0 : -1;
}

static int compare(struct replay *run, const struct dw_lines *lines, const json_t *line, struct dw_event *event)
{
    struct answer answer;
    json_t *names = json_array();
    enum dw_stage stage = event->stage;
    int failed = -1;
    if (dw_stubs_record(&run->recorded, json_object_get(line, "trace")) < 0) {
        json_decref(names);
        return -1;
    }
    ask(run->host, event, &answer);
    event->stage = stage;
    if (names && answer.decision) {
        const json_t *old = json_object_get(line, "decision");
        struct dw_difference d = {
            .journal = lines->name,
            .line = lines->number,
            .event = event,
            .old = old,
            .new = answer.decision,
            .old_at = old_at(line),
            .new_at = answer.at,
            .stage = answer.stage,
            .names = names,
        };
        d.changes = dw_replay_compare(old, answer.decision, names);
        run->tally.replayed++;
        if (event->plain.present)
            run->tally.without_password++;
        failed = d.changes ? dw_replay_count(&run->tally, &d) : 0;
        if (!failed && d.changes && run->request->verbose)
            failed = tell_now(run->request, &d);
    }
    json_decref(names);
    json_decref(answer.decision);
    free(answer.at);
    return failed;
}

/* 0, 1 for a bad line (told), -1 when memory is out. */
static int replay_line(struct replay *run, const struct dw_lines *lines, json_t *line)
{
    struct dw_event event;
    struct dw_event_store *store;
    struct dw_error err = {0};
    int result = 0;
    if (read_line(line, &event, &store, &err) < 0) {
        fprintf(stderr, "durward replay: %s:%zu: %s\n", lines->name, lines->number, err.detail);
        result = 1;
    } else if (event.stage == DW_STAGE_CLOSE) {
        run->tally.no_admission++;
    } else if (is_not_policy(line, &event)) {
        run->tally.not_policy++;
    } else {
        result = compare(run, lines, line, &event);
    }
    dw_event_store_free(&store);
    return result;
}

static int replay_journal(struct replay *run, struct dw_lines *lines)
{
    for (;;) {
        struct dw_error err = {0};
        json_t *line;
        enum dw_line kind = dw_lines_next(lines, &line, &err);
        int failed = kind == DW_LINE_BAD;
        if (kind == DW_LINE_END)
            return 0;
        if (kind == DW_LINE_WHOLE)
            failed = replay_line(run, lines, line);
        else
            fprintf(stderr, "durward replay: %s\n", err.detail);
        json_decref(line);
        run->tally.torn += kind == DW_LINE_TORN;
        run->tally.bad += failed > 0;
        if (failed < 0)
            return complain("%s", "out of memory", NULL);
        if (kind == DW_LINE_LOST || (failed && !run->request->skip_bad))
            return -1;
    }
}

/* A name that is mistyped is told before the others are replayed. */
static int check_journals(const struct request *r)
{
    struct dw_lines lines;
    struct dw_error err = {0};
    for (size_t i = 0; i < r->journal_count; i++) {
        if (dw_lines_open(&lines, r->journals[i], &err) < 0)
            return complain("%s", err.detail, NULL);
        dw_lines_close(&lines);
    }
    return 0;
}

static int replay_all(struct replay *run)
{
    const struct request *r = run->request;
    if (check_journals(r) < 0)
        return -1;
    for (size_t i = 0; i < r->journal_count; i++) {
        struct dw_lines lines;
        struct dw_error err = {0};
        if (dw_lines_open(&lines, r->journals[i], &err) < 0)
            return complain("%s", err.detail, NULL);
        int failed = replay_journal(run, &lines);
        dw_lines_close(&lines);
        if (failed)
            return -1;
    }
    return 0;
}

static int finish(struct replay *run)
{
    const struct request *r = run->request;
    const struct dw_replay_tally *t = &run->tally;
    unsigned found = 0, differences = ~(1u << DW_OTHER_RULE);
    for (int i = 0; i < DW_CHANGES; i++)
        found |= t->groups[i].count ? 1u << i : 0;
    if (r->json) {
        json_t *all = dw_replay_tally_to_json(t);
        json_object_set_new(all, "policy", json_pack("{s:s}", "sha256", dw_host_sha256(run->host)));
        json_dumpf(all, stdout, JSON_REAL_PRECISION(16) | (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT));
        putchar('\n');
        json_decref(all);
    } else {
        if (r->verbose && found)
            putchar('\n');
        dw_replay_tell(stdout, t, differences | r->fail_on | (r->verbose ? 1u << DW_OTHER_RULE : 0));
    }
    return found & (r->fail_on ? r->fail_on : differences) ? EXIT_DIFFERS : 0;
}

static int replay(struct request *r)
{
    struct dw_host_options options = {.policies = r->policies, .refuse_users = r->refuse_users};
    struct replay run = {.request = r};
    struct dw_keeper keeper;
    struct dw_error err = {0};
    int code = EXIT_USAGE;
    if (!r->log)
        dw_log_threshold((enum dw_log_level)(DW_LOG_ERROR + 1));
    run.tally.example_most = r->verbose ? 0 : r->examples;
    run.tally.exemplified = ~(1u << DW_OTHER_RULE) | r->fail_on;
    run.recorded.missing = "the journal has no answer to ";
    run.recorded.seconds = DECISION_SECONDS;
    dw_stubs_keeper(&run.recorded, &keeper);
    options.keeper = &keeper;
    run.host = dw_host_new(&options, &err);
    if (!run.host)
        complain("%s", err.detail, NULL);
    else if (replay_all(&run) == 0)
        code = finish(&run);
    dw_replay_tally_clear(&run.tally);
    dw_host_free(&run.host);
    dw_stubs_clear(&run.recorded);
    return code;
}

int dw_cmd_replay(int argc, char **argv)
{
    struct request r = {.examples = EXAMPLES, .refuse_users = {"root"}, .refuse_count = 1};
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return usage(stdout);
    int code = EXIT_USAGE;
    if (read_options(&r, argc, argv) == 0)
        code = replay(&r);
    else
        fputs("'durward replay --help' tells more\n", stderr);
    if (r.config)
        dw_config_release(&r.config);
    if (fflush(stdout) == 0)
        return code;
    complain("%s", "the output cannot be written", NULL);
    return EXIT_USAGE;
}
