/* TZif files (RFC 8536): see zone.h. */
#include "policy/zone.h"

#include <string.h>

enum { HEADER = 44, DAY = 86400, OFFSET_MOST = 26 * 3600 };

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static long long i64(const uint8_t *at)
{
    return (long long)((uint64_t)u32(at) << 32 | u32(at + 4));
}

/* The octets of the block after the header at `at`, with times of `width` octets. */
static uint64_t block_size(const uint8_t *at, unsigned width)
{
    uint64_t uts = u32(at + 20), stds = u32(at + 24), leaps = u32(at + 28), times = u32(at + 32),
             types = u32(at + 36), chars = u32(at + 40);
    return times * (width + 1) + types * 6 + chars + leaps * (width + 4) + stds + uts;
}

/* Section 3.3: the TZ string, as POSIX has it with hours up to 167. */

struct reader {
    const char *at, *end;
    bool bad;
};

static char peek(const struct reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

static bool skip(struct reader *r, char c)
{
    if (peek(r) != c || !c)
        return false;
    r->at++;
    return true;
}

static long number(struct reader *r, long least, long most)
{
    long value = 0;
    const char *start = r->at;
    while (peek(r) >= '0' && peek(r) <= '9' && value <= most)
        value = value * 10 + (*r->at++ - '0');
    r->bad |= r->at == start || value < least || value > most;
    return value;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static long clock_time(struct reader *r, long hours_most)
{
    bool minus = skip(r, '-');
    if (!minus)
        skip(r, '+');
    long seconds = number(r, 0, hours_most) * 3600;
    if (skip(r, ':'))
        seconds += number(r, 0, 59) * 60;
    if (skip(r, ':'))
        seconds += number(r, 0, 59);
    return minus ? -seconds : seconds;
}

static void name(struct reader *r)
{
    const char *start = r->at;
    if (skip(r, '<')) {
        while (peek(r) && peek(r) != '>')
            r->at++;
        r->bad |= !skip(r, '>');
        return;
    }
    while ((peek(r) >= 'A' && peek(r) <= 'Z') || (peek(r) >= 'a' && peek(r) <= 'z'))
        r->at++;
    r->bad |= r->at - start < 3;
}

static struct dw_zone_turn turn(struct reader *r)
{
    struct dw_zone_turn t = {.kind = 'N', .at = 7200};
    r->bad |= !skip(r, ',');
    if (skip(r, 'M')) {
        t.kind = 'M';
        t.month = (int)number(r, 1, 12);
        r->bad |= !skip(r, '.');
        t.week = (int)number(r, 1, 5);
        r->bad |= !skip(r, '.');
        t.day = (int)number(r, 0, 6);
    } else if (skip(r, 'J')) {
        t.kind = 'J';
        t.day = (int)number(r, 1, 365);
    } else {
        t.day = (int)number(r, 0, 365);
    }
    if (skip(r, '/'))
        t.at = clock_time(r, 167);
    return t;
}

static bool read_rule(struct dw_zone *zone, struct dw_span text)
{
    struct reader r = {(const char *)text.at, (const char *)text.at + text.len, false};
    if (text.len == 0)
        return true;
    name(&r);
    zone->standard = -clock_time(&r, 24);
    zone->has_rule = true;
    if (peek(&r)) {
        name(&r);
        zone->summer = zone->standard + 3600;
        if (peek(&r) != ',')
            zone->summer = -clock_time(&r, 24);
        zone->begins = turn(&r);
        zone->ends = turn(&r);
        zone->has_summer = true;
    }
    return !r.bad && r.at == r.end;
}

static int damaged(struct dw_error *err)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "not a whole time zone file (TZif, version 2 or later)");
}

int dw_zone_read(struct dw_zone *zone, struct dw_span file, struct dw_error *err)
{
    *zone = (struct dw_zone){0};
    if (file.len < HEADER || memcmp(file.at, "TZif", 4) != 0 || file.at[4] < '2')
        return damaged(err);
    uint64_t start = HEADER + block_size(file.at, 4);
    if (start + HEADER > file.len || memcmp(file.at + start, "TZif", 4) != 0)
        return damaged(err);
    const uint8_t *header = file.at + start;
    uint64_t end = start + HEADER + block_size(header, 8);
    if (end >= file.len || file.at[end] != '\n' || u32(header + 36) == 0)
        return damaged(err);
    zone->moment_count = u32(header + 32);
    zone->type_count = u32(header + 36);
    zone->moments = header + HEADER;
    zone->kinds = zone->moments + zone->moment_count * 8;
    zone->types = zone->kinds + zone->moment_count;
    for (size_t i = 0; i < zone->moment_count; i++)
        if (zone->kinds[i] >= zone->type_count)
            return damaged(err);
    const uint8_t *rule = file.at + end + 1, *close = memchr(rule, '\n', file.len - end - 1);
    if (!close || !read_rule(zone, dw_span_make(rule, (size_t)(close - rule))))
        return damaged(err);
    return 0;
}

/* Days since 1970 of January 1st; years from 1970 on and, with 64 bits, far beyond. */
static long long days_before(long long year)
{
    long long y = year - 1;
    long long leaps = y / 4 - y / 100 + y / 400;
    return y * 365 + leaps - 719162;
}

static bool is_leap(long long year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The moment of a turn in local time, as seconds since 1970 of a clock that knows no zone. */
static long long moment_of(const struct dw_zone_turn *t, long long year)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    long long first = days_before(year), day = first + t->day;
    bool leap = is_leap(year);
    if (t->kind == 'J')
        day = first + t->day - 1 + (leap && t->day >= 60);
    if (t->kind == 'M') {
        long long month = first + before[t->month - 1] + (leap && t->month > 2);
        int length = before[t->month] - before[t->month - 1] + (leap && t->month == 2);
        int weekday = (int)(((month + 4) % 7 + 7) % 7); /* January 1st 1970 was a Thursday */
        int offset = (t->day - weekday + 7) % 7 + (t->week - 1) * 7;
        day = month + (offset >= length ? offset - 7 : offset);
    }
    return day * DAY + t->at;
}

static long by_rule(const struct dw_zone *zone, long long when)
{
    if (!zone->has_summer)
        return zone->standard;
    long long days = (when + zone->standard) / DAY, year = 1970 + days / 366;
    while (days_before(year + 1) <= days)
        year++;
    long long begins = moment_of(&zone->begins, year) - zone->standard;
    long long ends = moment_of(&zone->ends, year) - zone->summer;
    bool summer = begins < ends ? when >= begins && when < ends : when >= begins || when < ends;
    return summer ? zone->summer : zone->standard;
}

static long by_type(const struct dw_zone *zone, size_t type)
{
    int32_t offset = (int32_t)u32(zone->types + type * 6);
    return offset > OFFSET_MOST || offset < -OFFSET_MOST ? 0 : offset;
}

long dw_zone_offset(const struct dw_zone *zone, long long when)
{
    size_t low = 0, high = zone->moment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (i64(zone->moments + middle * 8) <= when)
            low = middle + 1;
        else
            high = middle;
    }
    /* Before the first transition type 0 holds (section 3.2); the rule is for what is to come. */
    if (low == zone->moment_count && zone->has_rule && when > 0)
        return by_rule(zone, when);
    return by_type(zone, low ? zone->kinds[low - 1] : 0);
}
