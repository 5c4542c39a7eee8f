/* Any octets, as a file of users and as a certificate: both are read from real files, since that is what they are. */
#include "policy/credentials.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/durward-fuzz-XXXXXX";

static void clean_up(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/one", folder);
    unlink(path);
    rmdir(folder);
}

static void try_users(const uint8_t *data, size_t size)
{
    char path[64];
    struct dw_error err = {0};
    int fd = memfd_create("users", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    struct dw_users *users = dw_users_open(path, &err);
    if (!users && !err.detail[0])
        __builtin_trap();
    const char *hash = users ? dw_users_hash(users, DW_SPAN_NONE) : NULL;
    if (hash && (!*hash || strchr(hash, ':')))
        __builtin_trap();
    dw_users_free(&users);
    close(fd);
}

static void try_certificate(const uint8_t *data, size_t size)
{
    char path[64];
    struct dw_error err = {0};
    static const uint8_t key[32] = "\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B";
    snprintf(path, sizeof path, "%s/one", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    struct dw_certificates *all = dw_certificates_open(folder, &err);
    if (!all)
        __builtin_trap();
    const struct dw_certificate *found = dw_certificates_find(all, key);
    for (size_t i = 0; found && i < found->metadata_count; i++)
        if (found->metadata[i].name.len + found->metadata[i].value.len > size)
            __builtin_trap();
    dw_certificates_free(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    if (!is_ready) {
        is_ready = true;
        dw_log_threshold(DW_LOG_ERROR);
        if (!mkdtemp(folder) || atexit(clean_up) != 0)
            abort();
    }
    try_users(data, size);
    try_certificate(data, size);
    return 0;
}
