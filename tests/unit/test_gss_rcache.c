/* A replay cache that libkrb5 and we use in turn. */
#include "check.h"

#include "gss/library.h"
#include "gss/rcache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static krb5_context krb5;

enum { REQUESTS = 3000, CHECKSUM_LEN = 12 };

static const uint8_t *checksum_of(int i)
{
    static uint8_t sum[16 + CHECKSUM_LEN];
    memset(sum, 0xee, sizeof sum);
    dw_put_u32(sum + 16, (uint32_t)i * 2654435761u);
    dw_put_u32(sum + 20, (uint32_t)i);
    return sum;
}

static krb5_error_code by_us(struct dw_rcache *rcache, int i)
{
    return dw_rcache_store(rcache, krb5, dw_span_make(checksum_of(i) + 16, CHECKSUM_LEN));
}

static krb5_error_code by_the_library(krb5_rcache rcache, int i)
{
    krb5_enc_data message = {
        .enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96,
        .ciphertext = {.length = 16 + CHECKSUM_LEN, .data = (char *)(uintptr_t)checksum_of(i)},
    };
    return k5_rc_store(krb5, rcache, &message);
}

/* One file, written by both in turn: each refuses what the other has seen. */
static void share_a_cache(bool library_first)
{
    char dir[] = "/tmp/test_gss_ticket.XXXXXX", path[64], name[80];
    struct dw_rcache ours;
    krb5_rcache theirs = NULL;
    struct stat st;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/rcache", dir);
    snprintf(name, sizeof name, "file2:%s", path);
    CHECK_INT(dw_rcache_make(&ours, krb5, path), 0);
    CHECK_INT(k5_rc_resolve(krb5, name, &theirs), 0);
    int refused = 0, missed = 0;
    for (int i = 0; i < REQUESTS; i++)
        refused += (i % 2 == library_first ? by_us(&ours, i) : by_the_library(theirs, i)) != 0;
    CHECK_INT(refused, 0);
    for (int i = 0; i < REQUESTS; i++)
        missed += (i % 3 ? by_us(&ours, i) : by_the_library(theirs, i)) != KRB5KRB_AP_ERR_REPEAT;
    CHECK_INT(missed, 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);

    /* What is too old to be let in makes room: the file does not grow. */
    krb5_set_real_time(krb5, (krb5_timestamp)time(NULL) + 1000, 0);
    for (int i = REQUESTS; i < 2 * REQUESTS; i++)
        refused += by_us(&ours, i) != 0;
    CHECK_INT(refused, 0);
    struct stat later;
    CHECK(stat(path, &later) == 0 && later.st_size <= st.st_size * 2);
    CHECK_INT(by_the_library(theirs, REQUESTS), KRB5KRB_AP_ERR_REPEAT);
    krb5_set_real_time(krb5, (krb5_timestamp)time(NULL), 0);

    /* Removed under us: the new file is everybody's. */
    CHECK_INT(unlink(path), 0);
    CHECK_INT(by_us(&ours, 1), 0);
    CHECK_INT(by_the_library(theirs, 1), KRB5KRB_AP_ERR_REPEAT);
    unlink(path);
    rmdir(dir);
    CHECK_INT(by_us(&ours, 2), ENOENT);
    k5_rc_close(krb5, theirs);
    dw_rcache_close(&ours);
}

static void the_library_and_we_share_a_cache(void)
{
    share_a_cache(false);
    share_a_cache(true);
}

int main(void)
{
    setenv("KRB5_CONFIG", "/dev/null", 1);
    CHECK_INT(krb5_init_context(&krb5), 0);
    RUN(the_library_and_we_share_a_cache);
    krb5_free_context(krb5);
    return check_done();
}
