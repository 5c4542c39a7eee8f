/* Any octets as a core-site.xml: properties that can be asked for, or a sentence with its place. */
#include "map/a2l.h"
#include "map/core_site.h"

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
    struct dw_error err = {0};
    const struct dw_a2l_site options = {.default_realm = DW_SPAN_OF("HOME.TEST")};
    enum dw_a2l_code code;
    int fd = data ? memfd_create("core-site.xml", MFD_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    must(write(fd, data, size) == (ssize_t)size);
    int len = snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct dw_core_site *site = dw_core_site_read(path, &err);
    must(site || !strncmp(err.detail, path, (size_t)len) || strstr(err.detail, ": "));
    struct dw_buf value = {0};
    int found = site ? dw_core_site_get(site, "hadoop.security.auth_to_local", &value, &err) : 0;
    must(found >= 0 || err.detail[0]);
    must(found <= 0 || dw_core_site_where(site, "hadoop.security.auth_to_local"));
    dw_buf_free(&value);
    dw_core_site_free(&site);
    err = (struct dw_error){0};
    struct dw_a2l *a2l = dw_a2l_from_core_site(path, &options, &code, &err);
    must(a2l || err.detail[0]);
    dw_a2l_free(&a2l);
    close(fd);
    return 0;
}
