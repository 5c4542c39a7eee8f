/* Time zones against the C library's, which knows one at a time. */
#include "check.h"

#include "policy/zone.h"

#include <stdlib.h>
#include <time.h>

static uint8_t file[1 << 16];

static struct dw_span read_zone(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *in = fopen(path, "rb");
    size_t len = in ? fread(file, 1, sizeof file, in) : 0;
    if (in)
        fclose(in);
    return dw_span_make(file, len);
}

static long by_libc(long long when)
{
    struct tm tm;
    time_t t = (time_t)when;
    return localtime_r(&t, &tm) ? tm.tm_gmtoff : -1;
}

/* Steps of 31 hours and a bit over 130 years, and every hour about the turns of one year. */
static void test_as_the_c_library(void)
{
    static const char *const names[] = {
        "UTC",           "Europe/Berlin",     "America/New_York",  "Australia/Lord_Howe",
        "Asia/Kolkata",  "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Chatham",
        "Europe/Dublin", "America/Santiago",  "Etc/GMT+5"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct dw_zone zone;
        struct dw_error err = {0};
        setenv("TZ", names[i], 1);
        tzset();
        CHECK_INT(dw_zone_read(&zone, read_zone(names[i]), &err), 0);
        int wrong = 0;
        long long first = 0;
        for (long long when = 0; when < 4102444800; when += 31 * 3600 + 7)
            if (dw_zone_offset(&zone, when) != by_libc(when) && !wrong++)
                first = when;
        for (long long when = 1767225600; when < 1798761600; when += 1800)
            for (int near = -1; near <= 1; near++)
                if (dw_zone_offset(&zone, when + near) != by_libc(when + near) && !wrong++)
                    first = when + near;
        if (!CHECK(wrong == 0))
            printf("    %s at %lld: %d times\n", names[i], first, wrong);
    }
}

/* After the last transition the rule goes on. */
static void test_by_rule(void)
{
    static const struct {
        const char *rule;
        long long when;
        long offset;
    } cases[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 4109000400 - 86400 * 5, 3600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 4118000000, 7200},
        {"<+0330>-3:30", 4118000000, 12600},
        {"EST5EDT,J60/0,J300", 951782400 - 1 + 18000, -18000}, /* before March 1st, in a leap year */
        {"EST5EDT,J60/0,J300", 951868800 + 18000, -14400},
        {"EST5EDT,59/0,300", 951782400 + 18000, -14400}, /* February 29th counts */
        {"XXX3<EDT>2,0/0,J365/25", 951782400, -7200}, /* summer all year */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_zone zone;
        uint8_t bytes[256] = "TZif2", *at = bytes + 44;
        bytes[39] = 1; /* one type, no transition */
        memcpy(at + 6, "TZif2", 5);
        at[6 + 39] = 1;
        int len = snprintf((char *)at + 6 + 44 + 6, 100, "\n%s\n", cases[i].rule);
        struct dw_error err = {0};
        if (CHECK(dw_zone_read(&zone, dw_span_make(bytes, (size_t)(44 + 6 + 44 + 6 + len)), &err) == 0))
            CHECK_INT(dw_zone_offset(&zone, cases[i].when), cases[i].offset);
        else
            printf("    %s\n", cases[i].rule);
    }
}

static void test_damaged(void)
{
    struct dw_zone zone;
    struct dw_error err;
    struct dw_span whole = read_zone("Europe/Berlin");
    for (size_t len = 0; len < whole.len; len++) {
        uint8_t *cut = malloc(len ? len : 1);
        memcpy(cut, whole.at, len);
        if (dw_zone_read(&zone, dw_span_make(cut, len), &err) == 0)
            CHECK(len + 1 > whole.len);
        free(cut);
    }
    for (size_t i = 0; i < whole.len; i++) {
        uint8_t *changed = malloc(whole.len);
        memcpy(changed, whole.at, whole.len);
        changed[i] ^= 0xff;
        if (dw_zone_read(&zone, dw_span_make(changed, whole.len), &err) == 0) {
            dw_zone_offset(&zone, 0);
            dw_zone_offset(&zone, 1795305600);
            dw_zone_offset(&zone, 99999999999);
        }
        free(changed);
    }
}

int main(void)
{
    RUN(test_as_the_c_library);
    RUN(test_by_rule);
    RUN(test_damaged);
    return check_done();
}
