/* Anything at all as a policy: it does not load, and a sentence says why; or it answers one question, within its
 * limits. */
#include "base/log.h"
#include "policy/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static void on_done(void *arg, const struct dw_decision *d)
{
    ++*(int *)arg;
    must(d->verdict == DW_ALLOW || d->reason || d->rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = data ? memfd_create("policy", MFD_CLOEXEC) : -1, answers = 0;
    if (fd < 0)
        return 0;
    must(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char *const files[] = {path, NULL};
    struct dw_host_options options = {.policies = files, .memory = 2 << 20, .instructions = 100000, .seconds = 1};
    struct dw_error err = {0};
    struct dw_event event = {
        .id = "1", .time = 1, .mechanism = "GSSAPI", .principal = DW_SPAN_OF("alice@HOME.EXAMPLE")};
    event.peer.address = "192.0.2.7";
    event.plain.present = true;
    event.plain.username = event.plain.password = DW_SPAN_OF("alice");
    dw_log_threshold((enum dw_log_level)(DW_LOG_ERROR + 1));
    struct dw_host *host = dw_host_new(&options, &err);
    must(host || err.detail[0]);
    for (int stage = DW_STAGE_CONNECT; host && stage <= DW_STAGE_CLOSE; stage++)
        if (stage != DW_STAGE_AUTHORIZE) {
            dw_ask_start(host, &event, (enum dw_stage)stage, on_done, &answers);
            must(--answers == 0);
            event.user = DW_SPAN_NONE;
        }
    dw_host_free(&host);
    close(fd);
    return 0;
}
