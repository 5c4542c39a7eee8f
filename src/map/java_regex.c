/* Java's matching on PCRE2: see java_regex.h. */
#include "map/java_regex.h"

#include "map/java_syntax.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define MATCH_STEPS 200000
#define MATCH_STEPS_LEAST 2000
#define MATCH_DEPTH 20000
#define MATCH_HEAP_KIB 4096

struct dw_java_regex {
    struct dw_java_pattern pattern; /* group names; its text is freed once compiled */
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

struct dw_java_regex *dw_java_regex_new(struct dw_span pattern, struct dw_error *err)
{
    int problem;
    PCRE2_SIZE where;
    struct dw_java_regex *re = calloc(1, sizeof *re);
    if (!re) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    if (dw_java_translate(pattern, &re->pattern, err) < 0)
        goto failed;
    struct dw_span text = dw_buf_span(&re->pattern.pcre);
    re->code = pcre2_compile(text.at, text.len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &problem, &where, NULL);
    if (!re->code) {
        unsigned char why[160] = "";
        pcre2_get_error_message(problem, why, sizeof why);
        dw_error_set(err, DW_ERROR_INTERNAL, "%s%s", (const char *)why,
                     problem == PCRE2_ERROR_LOOKBEHIND_NOT_FIXED_LENGTH ? ", and no other is supported here" : "");
        goto failed;
    }
    re->match = pcre2_match_data_create_from_pattern(re->code, NULL);
    re->limits = pcre2_match_context_create(NULL);
    if (!re->match || !re->limits) {
        dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
        goto failed;
    }
    pcre2_set_depth_limit(re->limits, MATCH_DEPTH);
    pcre2_set_heap_limit(re->limits, MATCH_HEAP_KIB);
    dw_buf_free(&re->pattern.pcre);
    return re;
failed:
    dw_java_regex_free(&re);
    return NULL;
}

void dw_java_regex_free(struct dw_java_regex **re)
{
    struct dw_java_regex *gone = *re;
    *re = NULL;
    if (!gone)
        return;
    pcre2_match_context_free(gone->limits);
    pcre2_match_data_free(gone->match);
    pcre2_code_free(gone->code);
    dw_buf_free(&gone->pattern.pcre);
    free(gone);
}

static enum dw_java_result run(struct dw_java_regex *re, struct dw_span text, size_t from, uint32_t options,
                               struct dw_error *err)
{
    int got = pcre2_match(re->code, text.at, text.len, from, options, re->match, re->limits);
    if (got > 0)
        return DW_JAVA_YES;
    if (got == PCRE2_ERROR_NOMATCH)
        return DW_JAVA_NO;
    unsigned char why[160] = "";
    pcre2_get_error_message(got, why, sizeof why);
    dw_error_set(err, DW_ERROR_LIMIT, "%s", (const char *)why);
    return DW_JAVA_LIMIT;
}

enum dw_java_result dw_java_regex_matches(struct dw_java_regex *re, struct dw_span text, struct dw_error *err)
{
    pcre2_set_match_limit(re->limits, MATCH_STEPS);
    return run(re, text, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, err);
}

struct replacer {
    struct dw_java_regex *re;
    struct dw_span text, with;
    size_t at; /* in `with` */
    struct dw_buf *out;
    struct dw_error *err;
};

static int bad(struct replacer *r, const char *why)
{
    dw_error_set(r->err, DW_ERROR_INTERNAL, "%s", why);
    return DW_JAVA_BAD_REPLACEMENT;
}

static int put(struct replacer *r, struct dw_span text)
{
    if (dw_buf_put(r->out, text) == 0)
        return DW_JAVA_YES;
    dw_error_set(r->err, DW_ERROR_INTERNAL, "out of memory");
    return DW_JAVA_LIMIT;
}

static int put_group(struct replacer *r, size_t number)
{
    if (number > r->re->pattern.groups)
        return bad(r, "it refers to a group that the pattern does not have");
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->re->match);
    if (at[2 * number] == PCRE2_UNSET)
        return DW_JAVA_YES;
    return put(r, dw_span_make(r->text.at + at[2 * number], at[2 * number + 1] - at[2 * number]));
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* ${name}, the cursor on its brace. */
static int put_named(struct replacer *r)
{
    size_t start = ++r->at;
    while (r->at < r->with.len && is_alnum(r->with.at[r->at]))
        r->at++;
    size_t len = r->at - start;
    if (len == 0 || r->at == r->with.len || r->with.at[r->at] != '}')
        return bad(r, "its ${ is not followed by a name and '}'");
    r->at++;
    for (size_t i = 0; i < r->re->pattern.name_count; i++) {
        const struct dw_java_group *group = &r->re->pattern.names[i];
        if (strlen(group->name) == len && !memcmp(group->name, r->with.at + start, len))
            return put_group(r, group->number);
    }
    return bad(r, "it refers to a group name that the pattern does not have");
}

/* $n: as many digits as still name a group, at least one. */
static int put_numbered(struct replacer *r)
{
    size_t number = r->with.at[r->at++] - '0';
    while (r->at < r->with.len && is_digit(r->with.at[r->at])) {
        size_t longer = number * 10 + (r->with.at[r->at] - '0');
        if (longer > r->re->pattern.groups)
            break;
        number = longer;
        r->at++;
    }
    return put_group(r, number);
}

static int put_replacement(struct replacer *r)
{
    int result = DW_JAVA_YES;
    for (r->at = 0; r->at < r->with.len && result == DW_JAVA_YES;) {
        uint8_t c = r->with.at[r->at++];
        bool last = r->at == r->with.len;
        if (c == '\\') {
            if (last)
                return bad(r, "it ends in a backslash");
            result = put(r, dw_span_make(r->with.at + r->at++, 1));
        } else if (c == '$') {
            if (last)
                return bad(r, "it ends in a '$'");
            if (r->with.at[r->at] == '{')
                result = put_named(r);
            else if (is_digit(r->with.at[r->at]))
                result = put_numbered(r);
            else
                return bad(r, "its '$' is not followed by a group's number");
        } else {
            result = put(r, dw_span_make(&c, 1));
        }
    }
    return result;
}

static size_t point_size(struct dw_span text, size_t at)
{
    size_t size = 1;
    while (at + size < text.len && (text.at[at + size] & 0xc0) == 0x80)
        size++;
    return size;
}

enum dw_java_result dw_java_regex_replace(struct dw_java_regex *re, struct dw_span text, struct dw_span with,
                                          bool all, size_t most, struct dw_buf *out, size_t *count,
                                          struct dw_error *err)
{
    struct replacer r = {.re = re, .text = text, .with = with, .out = out, .err = err};
    size_t from = 0, copied = 0, before = dw_buf_len(out);
    *count = 0;
    pcre2_set_match_limit(re->limits, MATCH_STEPS); /* for the first; the rest share about as much again */
    while (from <= text.len && (all || *count == 0)) {
        int found = run(re, text, from, 0, err);
        if (found < 0)
            return found;
        if (found == DW_JAVA_NO)
            break;
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->match);
        size_t start = at[0], end = at[1], steps = MATCH_STEPS / (1 + ++*count);
        pcre2_set_match_limit(re->limits, (uint32_t)(steps > MATCH_STEPS_LEAST ? steps : MATCH_STEPS_LEAST));
        if ((found = put(&r, dw_span_make(text.at + copied, start - copied))) < 0 ||
            (found = put_replacement(&r)) < 0)
            return found;
        copied = end;
        /* After an empty match Java looks on from the next character, whatever could match here. */
        from = end > start ? end : end < text.len ? end + point_size(text, end) : end + 1;
        if (dw_buf_len(out) - before > most)
            break;
    }
    if (put(&r, dw_span_make(text.at + copied, text.len - copied)) < 0)
        return DW_JAVA_LIMIT;
    if (dw_buf_len(out) - before > most) {
        dw_error_set(err, DW_ERROR_LIMIT, "the result is longer than %zu octets", most);
        return DW_JAVA_LIMIT;
    }
    return *count > 0 ? DW_JAVA_YES : DW_JAVA_NO;
}
