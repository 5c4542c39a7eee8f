/* Decisions a second, on one core: bench_policy [-j JOURNAL] POLICY [COUNT]
 *
 * One event of alice@HOME.EXAMPLE is put to the policy COUNT times; with -j every decision is journalled too. */
#include "auth/journal.h"
#include "policy/ask.h"
#include "policy/budget.h"

#include <stdio.h>
#include <stdlib.h>

struct bench {
    const struct dw_event *event;
    struct dw_journal *journal;
    long allowed;
};

static void on_done(void *arg, const struct dw_decision *d)
{
    struct bench *b = arg;
    struct dw_error err;
    b->allowed += d->verdict == DW_ALLOW;
    if (b->journal && dw_journal_write(b->journal, b->event, d, &err) < 0)
        fprintf(stderr, "%s\n", err.detail);
}

int main(int argc, char **argv)
{
    const char *journal = argc > 2 && !strcmp(argv[1], "-j") ? argv[2] : NULL;
    argv += journal ? 2 : 0;
    argc -= journal ? 2 : 0;
    if (argc < 2)
        return fputs("usage: bench_policy [-j JOURNAL] POLICY [COUNT]\n", stderr), 2;
    long count = argc > 2 ? atol(argv[2]) : 500000;
    const char *files[] = {argv[1], NULL};
    struct dw_host_options options = {.policies = files};
    struct dw_error err = {0};
    struct dw_event event = {.id = "7f2a", .time = 1763805600123456, .mechanism = "GSSAPI", .listener = "trades"};
    event.peer.address = "192.0.2.7";
    event.peer.port = 51234;
    event.principal = DW_SPAN_OF("alice@HOME.EXAMPLE");
    event.service = DW_SPAN_OF("zmq/broker.example.com@HOME.EXAMPLE");
    event.gss.present = true;
    event.gss.lifetime = UINT32_MAX;
    struct dw_host *host = dw_host_new(&options, &err);
    struct bench b = {.event = &event, .journal = journal && host ? dw_journal_open(journal, &err) : NULL};
    if (!host || (journal && !b.journal))
        return fprintf(stderr, "bench_policy: %s\n", err.detail), 1;
    uint64_t began = dw_budget_clock();
    for (long i = 0; i < count; i++)
        dw_ask_start(host, &event, DW_STAGE_MAP, on_done, &b);
    double took = (double)(dw_budget_clock() - began) / 1e9;
    printf("%s: %.0f decisions/s (%.2f us each), %ld of %ld allowed, the state holds %zu KiB\n", argv[1],
           (double)count / took, took * 1e6 / (double)count, b.allowed, count, dw_host_memory(host) / 1024);
    dw_journal_free(&b.journal);
    dw_host_free(&host);
    return 0;
}
