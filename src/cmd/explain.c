/* durward explain: decides one event and tells why, rule by rule. */
#include "auth/fields.h"
#include "auth/journal.h"
#include "base/log.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/given.h"
#include "cmd/terminal.h"
#include "net/wants.h"
#include "policy/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    POLICIES_MOST = 32,
    SERVERS_MOST = 8,
    REFUSED_MOST = 1000,
    DECISION_SECONDS = 5,
    EXIT_USAGE = 2,
    EXIT_DENY = 3,
    EXIT_TEMPORARY = 4
};

struct request {
    const char *policies[POLICIES_MOST + 1], *refuse_users[REFUSED_MOST + 1];
    size_t policy_count, refuse_count;
    json_t *event;
    char *dns_servers[SERVERS_MOST + 1];
    size_t dns_count;
    double seconds; /* for look-ups */
    struct dw_config *config; /* NULL: none was named */
    bool json, log;
};

/* Options that set one field of the event, or one of a group. */
static const struct {
    const char *option, *group, *field;
    enum { WORD, WHOLE, FLAG, LIST } kind;
} settings[] = {
    {"--principal", NULL, "principal", WORD},
    {"--front", NULL, "front", WORD},
    {"--mechanism", NULL, "mechanism", WORD},
    {"--domain", NULL, "domain", WORD},
    {"--authzid", NULL, "authzid", WORD},
    {"--service", NULL, "service", WORD},
    {"--listener", NULL, "listener", WORD},
    {"--hostname", NULL, "hostname", WORD},
    {"--stage", NULL, "stage", WORD},
    {"--id", NULL, "id", WORD},
    {"--time", NULL, "time", WORD},
    {"--identity", "zap", "identity", WORD},
    {"--username", "plain", "username", WORD},
    {"--curve-key", "curve", "key", WORD},
    {"--lifetime", "gss", "lifetime", WHOLE},
    {"--indicator", "gss", "indicators", LIST},
    {"--confidential", "gss", "confidential", FLAG},
    {"--cross-realm", "gss", "cross_realm", FLAG},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static int usage(FILE *out)
{
    fputs("usage: durward explain -p POLICY [-p POLICY]... EVENT [--json] [--log]\n"
          "       durward explain -c CONFIG EVENT [--json] [--log]\n\n"
          "Decides one event and tells why, rule by rule.  -c takes the policies of a configuration (or those\n"
          "of -p), with its refuse_users, DNS servers and limits.  EVENT is --event FILE (JSON, - is standard\n"
          "input; a line of the journal will do), or options, or both, the options then winning:\n\n"
          "  --principal NAME --front zmtp|zap|xmpp|dovecot --mechanism M --peer ADDRESS[:PORT]\n"
          "  --domain D --authzid A --service S --listener L --hostname H --stage connect|realm|map|close\n"
          "  --id ID --time WHEN --identity I --username U --curve-key Z85\n"
          "  --lifetime SECONDS --indicator I (repeated) --confidential --cross-realm\n\n"
          "Look-ups of the policy are made as in the broker and told in the trace; a sleep takes no time.\n"
          "  --dns ADDRESS[:PORT]   a DNS server to ask instead of the system's (repeated)\n\n"
          "  --json   the answer as JSON, for programs\n"
          "  --log    durward's own log lines too: tracebacks, what the policy prints\n\n"
          "exit: 0 allow, 3 deny, 4 temporary, 2 usage or a policy that does not load\n",
          out);
    return out == stdout ? 0 : EXIT_USAGE;
}

static int complain(const char *format, const char *word, const char *nearest)
{
    return dw_given_wrong("explain", format, word, nearest);
}

static json_t *group_of(struct request *r, const char *group)
{
    if (!group)
        return r->event;
    json_t *found = json_object_get(r->event, group);
    if (!json_is_object(found)) {
        found = json_object();
        json_object_set_new(r->event, group, found);
    }
    return found;
}

static json_t *text(const char *value)
{
    return dw_text_to_json(dw_span_str(value));
}

/* "192.0.2.7", "192.0.2.7:51234", "::1", "[::1]:51234" */
static int set_peer(struct request *r, const char *value)
{
    char address[256];
    const char *colon = strrchr(value, ':'), *bracket = *value == '[' ? strchr(value, ']') : NULL;
    size_t len = strlen(value);
    bool has_port = bracket ? bracket[1] == ':' : colon && strchr(value, ':') == colon;
    json_t *peer = group_of(r, "peer");
    if (bracket) {
        value++;
        len = (size_t)(bracket - value);
    } else if (has_port) {
        len = (size_t)(colon - value);
    }
    snprintf(address, sizeof address, "%.*s", (int)(len < 255 ? len : 255), value);
    if (has_port) {
        char *end;
        long port = strtol(colon + 1, &end, 10);
        if (*end || end == colon + 1 || port < 0 || port > 65535)
            return complain("--peer: '%s' is not a port", colon + 1, NULL);
        json_object_set_new(peer, "port", json_integer(port));
    }
    return json_object_set_new(peer, "address", text(address));
}

static int set_field(struct request *r, size_t i, const char *value)
{
    json_t *group = group_of(r, settings[i].group), *list;
    char *end;
    long number;
    switch (settings[i].kind) {
    case FLAG: return json_object_set_new(group, settings[i].field, json_true());
    case LIST:
        if (!json_is_array(list = json_object_get(group, settings[i].field))) {
            list = json_array();
            json_object_set_new(group, settings[i].field, list);
        }
        return json_array_append_new(list, text(value));
    case WHOLE:
        number = strtol(value, &end, 10);
        if (*end || end == value)
            return complain("'%s' is not a number", value, NULL);
        return json_object_set_new(group, settings[i].field, json_integer(number));
    case WORD: break;
    }
    if (strcmp(settings[i].option, "--time") == 0) {
        double seconds = strtod(value, &end);
        if (!*end && end != value)
            return json_object_set_new(group, "time", json_real(seconds));
    }
    return json_object_set_new(group, settings[i].field, text(value));
}

/* The event of a file; of a journal's line its event. */
static int read_event(struct request *r, const char *path)
{
    json_error_t where;
    json_t *read = strcmp(path, "-") == 0
                       ? json_loadf(stdin, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK, &where)
                       : json_load_file(path, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    if (!read) {
        if (where.line > 0)
            fprintf(stderr, "durward explain: %s:%d: %s\n", name, where.line, where.text);
        else
            fprintf(stderr, "durward explain: %s: %s\n", name, where.text);
        return -1;
    }
    if (json_object_get(read, "decision") && json_is_object(json_object_get(read, "event"))) {
        json_t *event = json_incref(json_object_get(read, "event"));
        json_decref(read);
        read = event;
    }
    if (!json_is_object(read)) {
        json_decref(read);
        return complain("%s: an event is a JSON object", name, NULL);
    }
    struct dw_event event;
    struct dw_event_store *store = NULL;
    struct dw_error err = {0};
    int wrong = dw_event_from_json(&event, read, &store, &err);
    dw_event_store_free(&store);
    if (wrong < 0) {
        json_decref(read);
        fprintf(stderr, "durward explain: %s: %s\n", name, err.detail);
        return -1;
    }
    /* What options said before stands. */
    json_object_update_missing(r->event, read);
    json_decref(read);
    return 0;
}

static int unknown_option(const char *option)
{
    const char *names[SETTINGS + 9] = {"--peer", "--event", "--json", "--policy",
                                       "--log",  "--help",  "--dns",  "--config"};
    for (size_t i = 0; i < SETTINGS; i++)
        names[8 + i] = settings[i].option;
    names[SETTINGS + 8] = NULL;
    return complain("unknown option '%s'", option, dw_text_nearest(option, names));
}

/* Options say more than the configuration: its policies and servers are taken where none was named. */
static int take_config(struct request *r, const char *path)
{
    struct dw_config *config = r->config = dw_given_config("explain", path);
    if (!config)
        return -1;
    r->refuse_count = 0;
    r->seconds = config->limits.decision_seconds;
    if ((!r->policy_count && dw_given_list("explain", "policies", config->policies, r->policies, &r->policy_count,
                                           POLICIES_MOST) < 0) ||
        dw_given_list("explain", "refuse_users", config->refuse_users, r->refuse_users, &r->refuse_count,
                      REFUSED_MOST) < 0)
        return -1;
    return r->policy_count ? 0 : complain("%s names no policy: nobody passes", path, NULL);
}

static int read_options(struct request *r, int argc, char **argv)
{
    const char *event_file = NULL, *config = NULL;
    for (int i = 1; i < argc; i++) {
        char *option = argv[i], *value = strncmp(option, "--", 2) == 0 ? strchr(option, '=') : NULL;
        size_t s = 0, len = value ? (size_t)(value - option) : strlen(option);
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), option);
        while (s < SETTINGS && strcmp(settings[s].option, name) != 0)
            s++;
        bool policy = !strcmp(name, "-p") || !strcmp(name, "--policy"), peer = !strcmp(name, "--peer");
        bool event = !strcmp(name, "--event"), dns = !strcmp(name, "--dns");
        bool is_config = !strcmp(name, "-c") || !strcmp(name, "--config");
        if (!strcmp(name, "--json") && !value) {
            r->json = true;
            continue;
        }
        if (!strcmp(name, "--log") && !value) {
            r->log = true;
            continue;
        }
        if (s == SETTINGS && !policy && !peer && !event && !dns && !is_config)
            return *option == '-' ? unknown_option(name) : complain("'%s' is not an option", option, NULL);
        if (s < SETTINGS && settings[s].kind == FLAG) {
            if (set_field(r, s, NULL) < 0)
                return -1;
            continue;
        }
        if (value)
            value++;
        else if (++i < argc)
            value = argv[i];
        else
            return complain("%s needs a value", name, NULL);
        if (policy && r->policy_count == POLICIES_MOST)
            return complain("too many policies at '%s'", value, NULL);
        if (dns && r->dns_count == SERVERS_MOST)
            return complain("too many DNS servers at '%s'", value, NULL);
        if (is_config && config)
            return complain("one configuration, not also %s", value, NULL);
        if (is_config)
            config = value;
        else if (dns)
            r->dns_servers[r->dns_count++] = value;
        else if (policy)
            r->policies[r->policy_count++] = value;
        else if (event)
            event_file = value;
        else if ((peer ? set_peer(r, value) : set_field(r, s, value)) < 0)
            return -1;
    }
    if (r->policy_count == 0 && !config)
        return complain("name a policy: %s FILE", "-p", NULL);
    if (config && take_config(r, config) < 0)
        return -1;
    if (!event_file && json_object_size(r->event) == 0)
        return complain("describe an event: %s and others", "--event FILE, --principal NAME", NULL);
    return event_file ? read_event(r, event_file) : 0;
}

/* Telling. */

/* Behind which a line that is too wide for the terminal goes on. */
enum { LABEL = 13 };

static void add_plain(struct dw_buf *line, const char *value)
{
    if (dw_text_is_utf8(dw_span_str(value)) && !dw_text_has_control(dw_span_str(value)))
        dw_buf_put(line, dw_span_str(value));
    else
        dw_text_quote(line, dw_span_str(value));
}

static void put(struct dw_buf *line)
{
    dw_terminal_put(stdout, dw_buf_span(line), LABEL);
    dw_buf_free(line);
}

static void put_line(const char *label, const char *value)
{
    struct dw_buf line = {0};
    if (!value)
        return;
    dw_buf_printf(&line, "  %-10s ", label);
    add_plain(&line, value);
    put(&line);
}

static void tell_grants(const struct dw_decision *d)
{
    char when[32];
    put_line("backend", d->backend);
    put_line("identity", d->identity);
    put_line("jid", d->jid);
    put_line("realm", d->realm);
    put_line("service", d->service);
    put_line("keytab", d->keytab);
    put_line("hostname", d->hostname);
    if (d->expires > 0)
        put_line("until", dw_text_time(when, (long long)(d->expires * 1e6)));
    for (size_t i = 0; i < d->property_count; i++) {
        struct dw_buf line = {0};
        dw_buf_printf(&line, "  %-10s %s=", i ? "" : "property", d->properties[i].name);
        add_plain(&line, d->properties[i].value);
        put(&line);
    }
    for (size_t i = 0; i < d->socket_count; i++)
        put_line(i ? "" : "sockets", d->sockets[i]);
}

static void tell(const struct dw_decision *d, enum dw_stage stage)
{
    bool colour = dw_terminal_has_colour(stdout);
    const char *paint = !colour                  ? ""
                        : d->verdict == DW_ALLOW ? "\033[32m"
                        : d->verdict == DW_DENY  ? "\033[31m"
                                                 : "\033[33m";
    bool goes_on =
        d->verdict == DW_ALLOW && (stage == DW_STAGE_CONNECT || stage == DW_STAGE_REALM || stage == DW_STAGE_CLOSE);
    printf("%s%s%s", paint, goes_on ? "goes on" : dw_verdict_word(d->verdict), colour ? "\033[0m" : "");
    struct dw_buf line = {0};
    if (d->user) {
        dw_buf_put_u8(&line, ' ');
        add_plain(&line, d->user);
    }
    put(&line);
    put_line("rule", d->rule);
    put_line("reason", d->reason);
    put_line("policy", d->policy_file);
    tell_grants(d);
    if (d->step_count)
        puts("trace");
    for (size_t i = 0; i < d->step_count; i++) {
        dw_buf_printf(&line, "  %-10s ", d->steps[i].hook);
        add_plain(&line, d->steps[i].text);
        if (d->steps[i].at) {
            dw_buf_put(&line, DW_SPAN_OF("  ("));
            add_plain(&line, d->steps[i].at);
            dw_buf_put_u8(&line, ')');
        }
        put(&line);
    }
}

static void tell_json(const struct dw_event *event, const struct dw_decision *d)
{
    json_t *all = json_object(), *policy = json_object();
    if (d->policy_file)
        json_object_set_new(policy, "file", text(d->policy_file));
    if (*d->policy_sha256)
        json_object_set_new(policy, "sha256", json_string(d->policy_sha256));
    json_object_set_new(all, "policy", policy);
    json_object_set_new(all, "event", dw_event_to_json(event));
    json_object_set_new(all, "decision", dw_decision_to_json(d));
    json_object_set_new(all, "trace", dw_decision_trace_to_json(d));
    json_object_set_new(all, "took_us", json_integer((json_int_t)d->took_us));
    json_dumpf(all, stdout, JSON_REAL_PRECISION(16) | (isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT));
    putchar('\n');
    json_decref(all);
}

struct telling {
    const struct request *request;
    const struct dw_event *event;
    enum dw_stage stage;
    int code;
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct telling *t = arg;
    if (t->request->json)
        tell_json(t->event, d);
    else
        tell(d, t->stage);
    t->code = d->verdict == DW_ALLOW ? 0 : d->verdict == DW_DENY ? EXIT_DENY : EXIT_TEMPORARY;
}

static int explain(struct request *r)
{
    struct dw_host_options options = {.policies = r->policies, .refuse_users = r->refuse_users, .detailed = true};
    struct dw_error err = {0};
    struct dw_event event;
    struct dw_event_store *store = NULL;
    struct timeval now;
    if (dw_event_from_json(&event, r->event, &store, &err) < 0) {
        fprintf(stderr, "durward explain: %s\n", err.detail);
        return EXIT_USAGE;
    }
    struct telling t = {.request = r, .event = &event, .code = EXIT_USAGE};
    gettimeofday(&now, NULL);
    if (event.time == 0)
        event.time = now.tv_sec * 1000000LL + now.tv_usec;
    if (!event.id)
        event.id = "explain";
    t.stage = event.stage == DW_STAGE_AUTHORIZE ? DW_STAGE_MAP : event.stage;
    if (!r->log)
        dw_log_threshold((enum dw_log_level)(DW_LOG_ERROR + 1));
    struct dw_lookup *lookup =
        dw_lookup_new(r->seconds, r->dns_count || !r->config ? r->dns_servers : r->config->dns_servers);
    struct dw_keeper keeper;
    if (lookup) {
        dw_lookup_keeper(lookup, &keeper);
        options.keeper = &keeper;
    }
    struct dw_host *host = dw_host_new(&options, &err);
    if (host)
        dw_ask_start(host, &event, t.stage, on_done, &t);
    else
        fprintf(stderr, "durward explain: %s\n", err.detail);
    dw_host_free(&host);
    dw_lookup_free(&lookup);
    dw_event_store_free(&store);
    return t.code;
}

int dw_cmd_explain(int argc, char **argv)
{
    struct request r = {.event = json_object(),
                        .refuse_users = {"root"}, /* as the configuration has it unless told otherwise */
                        .refuse_count = 1,
                        .seconds = DECISION_SECONDS};
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            json_decref(r.event);
            return usage(stdout);
        }
    int code = EXIT_USAGE;
    if (!r.event)
        fputs("durward explain: out of memory\n", stderr);
    else if (read_options(&r, argc, argv) < 0)
        fputs("'durward explain --help' tells more\n", stderr);
    else
        code = explain(&r);
    json_decref(r.event);
    if (r.config)
        dw_config_release(&r.config);
    return code;
}
