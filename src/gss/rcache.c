/* Which requests were seen before: see rcache.h. */
#include "gss/rcache.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <profile.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD = DW_RCACHE_TAG + 4, FIRST_TABLE = 1023, MOST_SIZE = INT32_MAX, USUAL_SKEW = 300 };

krb5_error_code dw_rcache_make(struct dw_rcache *rcache, krb5_context krb5, const char *path)
{
    profile_t profile = NULL;
    int skew = USUAL_SKEW;
    *rcache = (struct dw_rcache){.fd = -1};
    krb5_error_code code = krb5_get_profile(krb5, &profile);
    if (code)
        return code;
    profile_get_integer(profile, "libdefaults", "clockskew", NULL, USUAL_SKEW, &skew);
    profile_release(profile);
    rcache->skew = skew > 0 ? (uint32_t)skew : USUAL_SKEW;
    rcache->path = strdup(path);
    return rcache->path ? 0 : ENOMEM;
}

static void let_go(struct dw_rcache *rcache)
{
    if (rcache->fd >= 0)
        close(rcache->fd);
    rcache->fd = -1;
}

void dw_rcache_close(struct dw_rcache *rcache)
{
    if (!rcache->path)
        return;
    let_go(rcache);
    free(rcache->path);
    *rcache = (struct dw_rcache){.fd = -1};
}

static uint64_t turn(uint64_t word, int count)
{
    return word << count | word >> (64 - count);
}

static void rounds(uint64_t v[4], int count)
{
    while (count--) {
        v[0] += v[1], v[2] += v[3];
        v[1] = turn(v[1], 13) ^ v[0], v[3] = turn(v[3], 16) ^ v[2];
        v[0] = turn(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = turn(v[1], 17) ^ v[2], v[3] = turn(v[3], 21) ^ v[0];
        v[2] = turn(v[2], 32);
    }
}

static uint64_t little_endian(const uint8_t *at, size_t octets)
{
    uint64_t word = 0;
    for (size_t i = octets; i > 0; i--)
        word = word << 8 | at[i - 1];
    return word;
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012) of a tag: one whole word, half of another and the length. */
static uint64_t hash(const uint8_t tag[DW_RCACHE_TAG], const uint8_t seed[DW_RCACHE_SEED])
{
    uint64_t k0 = little_endian(seed, 8), k1 = little_endian(seed + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    uint64_t words[2] = {little_endian(tag, 8), little_endian(tag + 8, 4) | (uint64_t)DW_RCACHE_TAG << 56};
    for (int i = 0; i < 2; i++) {
        v[3] ^= words[i];
        rounds(v, 2);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The file that stands at the path now. */
static int open_again(struct dw_rcache *rcache)
{
    struct stat st;
    if (rcache->fd >= 0 &&
        (stat(rcache->path, &st) < 0 || st.st_dev != rcache->device || st.st_ino != rcache->inode))
        let_go(rcache);
    if (rcache->fd >= 0)
        return 0;
    rcache->fd = open(rcache->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (rcache->fd < 0 || fstat(rcache->fd, &st) < 0)
        return errno;
    rcache->device = st.st_dev;
    rcache->inode = st.st_ino;
    return 0;
}

static int lock(int fd, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    int rc;
    do
        rc = fcntl(fd, F_OFD_SETLKW, &whole);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

static int write_whole(int fd, const uint8_t *at, size_t len, off_t offset)
{
    ssize_t wrote = pwrite(fd, at, len, offset);
    return wrote < 0 ? errno : (size_t)wrote == len ? 0 : EIO;
}

/* Whoever comes first chooses it. */
static int find_seed(int fd, uint8_t seed[DW_RCACHE_SEED])
{
    ssize_t got = pread(fd, seed, DW_RCACHE_SEED, 0);
    if (got < 0)
        return errno;
    if (got == DW_RCACHE_SEED)
        return 0;
    return RAND_bytes(seed, DW_RCACHE_SEED) == 1 ? write_whole(fd, seed, DW_RCACHE_SEED, 0) : EIO;
}

static bool is_old(uint32_t seen, uint32_t now, uint32_t skew)
{
    return now > (uint64_t)seen + skew;
}

static int put(struct dw_rcache *rcache, const uint8_t tag[DW_RCACHE_TAG], uint32_t now)
{
    uint8_t seed[DW_RCACHE_SEED], record[RECORD];
    off_t table = DW_RCACHE_SEED, slots = FIRST_TABLE, free_slot = -1;
    int error = find_seed(rcache->fd, seed);
    if (error)
        return error;
    memcpy(record, tag, DW_RCACHE_TAG);
    dw_put_u32(record + DW_RCACHE_TAG, now);
    for (;; table += slots * RECORD, slots = slots == FIRST_TABLE ? 2 * (FIRST_TABLE + 1) : 2 * slots, seed[0]++) {
        uint8_t at[2 * RECORD];
        if (slots > MOST_SIZE / RECORD || table > MOST_SIZE - slots * RECORD)
            return EOVERFLOW;
        off_t place = table + (off_t)(hash(tag, seed) % (uint64_t)slots) * RECORD;
        ssize_t got = pread(rcache->fd, at, sizeof at, place);
        if (got < 0)
            return errno;
        bool never_used = got < 2 * RECORD;
        for (off_t i = 0; i < 2; i++) {
            struct dw_reader r = dw_reader_make(dw_span_make(at + i * RECORD, RECORD));
            bool whole = got >= (i + 1) * RECORD;
            struct dw_span seen_tag = dw_reader_take(&r, DW_RCACHE_TAG);
            uint32_t seen = whole ? dw_reader_u32(&r) : 0;
            if (seen && memcmp(seen_tag.at, tag, DW_RCACHE_TAG) == 0)
                return KRB5KRB_AP_ERR_REPEAT;
            if (free_slot < 0 && (!seen || is_old(seen, now, rcache->skew)))
                free_slot = place + i * RECORD;
            never_used = never_used || !seen;
        }
        if (never_used)
            return write_whole(rcache->fd, record, RECORD, free_slot);
    }
}

krb5_error_code dw_rcache_store(struct dw_rcache *rcache, krb5_context krb5, struct dw_span checksum)
{
    uint8_t tag[DW_RCACHE_TAG] = {0};
    krb5_timestamp now;
    krb5_error_code code = krb5_timeofday(krb5, &now);
    if (code)
        return code;
    memcpy(tag, checksum.at, checksum.len < sizeof tag ? checksum.len : sizeof tag);
    code = open_again(rcache);
    if (!code && (code = lock(rcache->fd, F_WRLCK)) == 0) {
        code = put(rcache, tag, (uint32_t)now);
        lock(rcache->fd, F_UNLCK);
    }
    if (code && code != KRB5KRB_AP_ERR_REPEAT)
        krb5_set_error_message(krb5, code, "%s (filename: %s)", strerror(code), rcache->path);
    return code;
}
