/* Anything at all as a configuration: one that is sound, or findings, each a line with its place. */
#include "config/config.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct dw_buf findings = {0};
    int fd = data ? memfd_create("configuration", MFD_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    must(write(fd, data, size) == (ssize_t)size);
    int len = snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct dw_config *config = dw_config_load(path, &findings);
    must(!config == (dw_buf_len(&findings) > 0));
    struct dw_buf again = {0};
    struct dw_config *sound = dw_config_load_sound(path, &again);
    must(sound || !config);
    must(dw_span_equal(dw_buf_span(&again), dw_buf_span(&findings)));
    dw_config_release(&sound);
    dw_buf_free(&again);
    must(dw_buf_put_u8(&findings, 0) == 0);
    const char *at = (const char *)dw_buf_span(&findings).at;
    must(!strstr(at, "could not be checked"));
    for (const char *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        must(end && !strncmp(at, path, (size_t)len) && at[len] == ':');
    }
    dw_config_release(&config);
    dw_buf_free(&findings);
    close(fd);
    return 0;
}
