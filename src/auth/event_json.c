/* Events to JSON and back, field by field of the table in fields.h: see journal.h. */
#include "auth/fields.h"
#include "auth/journal.h"
#include "auth/principal.h"
#include "auth/writer.h"
#include "base/text.h"

#include <stdlib.h>
#include <time.h>

/* Out. */

json_t *dw_text_to_json(struct dw_span text)
{
    if (dw_text_is_utf8(text))
        return json_stringn_nocheck((const char *)text.at, text.len);
    struct dw_buf hex = {0};
    json_t *out = NULL;
    if (dw_text_hex(&hex, text) == 0)
        out = json_pack("{s:s%}", "hex", (const char *)dw_buf_span(&hex).at, dw_buf_len(&hex));
    dw_buf_free(&hex);
    return out;
}

static void indicators_out(struct dw_writer *w, const struct dw_event_gss *gss)
{
    dw_writer_list(w);
    for (size_t i = 0; i < gss->indicator_count; i++)
        dw_writer_text(w, gss->indicators[i]);
    dw_writer_end_list(w);
}

static bool stands_before(const struct dw_event_gss *gss, size_t place)
{
    for (size_t i = 0; i < place; i++)
        if (dw_span_equal(gss->attributes[i].name, gss->attributes[place].name))
            return true;
    return false;
}

/* A name once, with all its values. */
static void attributes_out(struct dw_writer *w, const struct dw_event_gss *gss)
{
    dw_writer_object(w);
    for (size_t i = 0; i < gss->attribute_count; i++) {
        struct dw_span name = gss->attributes[i].name;
        if (!dw_text_is_utf8(name) || stands_before(gss, i))
            continue;
        dw_writer_name_span(w, name);
        dw_writer_list(w);
        for (size_t j = i; j < gss->attribute_count; j++)
            if (dw_span_equal(gss->attributes[j].name, name))
                dw_writer_text(w, gss->attributes[j].value);
        dw_writer_end_list(w);
    }
    dw_writer_end_object(w);
}

static void group_out(struct dw_writer *w, const struct dw_event *event, const struct dw_field *fields);

static void field_out(struct dw_writer *w, const struct dw_event *event, const struct dw_field *field)
{
    const void *at = dw_field_at(event, field);
    char z85[41];
    switch (field->kind) {
    case DW_FIELD_TEXT: dw_writer_text(w, dw_span_str(*(const char *const *)at)); break;
    case DW_FIELD_OCTETS:
    case DW_FIELD_PRINCIPAL: dw_writer_text(w, *(const struct dw_span *)at); break;
    case DW_FIELD_KEY:
        dw_z85_encode(z85, ((const struct dw_span *)at)->at);
        dw_writer_text(w, dw_span_str(z85));
        break;
    case DW_FIELD_TIME: dw_writer_time(w, *(const long long *)at); break;
    case DW_FIELD_FRONT: dw_writer_text(w, dw_span_str(dw_front_word(*(const enum dw_front *)at))); break;
    case DW_FIELD_STAGE: dw_writer_text(w, dw_span_str(dw_stage_word(*(const enum dw_stage *)at))); break;
    case DW_FIELD_PORT: dw_writer_integer(w, *(const int *)at); break;
    case DW_FIELD_ID: dw_writer_integer(w, *(const long *)at); break;
    case DW_FIELD_LIFETIME: dw_writer_integer(w, *(const uint32_t *)at); break;
    case DW_FIELD_MOMENT:
    case DW_FIELD_SECONDS: dw_writer_real(w, *(const double *)at); break;
    case DW_FIELD_FLAG: dw_writer_flag(w, *(const bool *)at); break;
    case DW_FIELD_COUNT: dw_writer_integer(w, (long long)*(const uint64_t *)at); break;
    case DW_FIELD_INDICATORS: indicators_out(w, &event->gss); break;
    case DW_FIELD_ATTRIBUTES: attributes_out(w, &event->gss); break;
    case DW_FIELD_GROUP: group_out(w, event, field->fields); break;
    case DW_FIELD_SECRET:
    case DW_FIELD_RAW:
    case DW_FIELD_FRAMES: break;
    }
}

static bool is_for_scripts_only(enum dw_field_kind kind)
{
    return kind == DW_FIELD_SECRET || kind == DW_FIELD_FRAMES || kind == DW_FIELD_RAW;
}

static void group_out(struct dw_writer *w, const struct dw_event *event, const struct dw_field *fields)
{
    dw_writer_object(w);
    for (const struct dw_field *f = fields; f->name; f++) {
        if (is_for_scripts_only(f->kind) || !dw_field_present(event, f))
            continue;
        dw_writer_name(w, f->name);
        field_out(w, event, f);
    }
    dw_writer_end_object(w);
}

void dw_event_write(struct dw_writer *w, const struct dw_event *event)
{
    group_out(w, event, dw_event_fields);
}

static void write_event(struct dw_writer *w, const void *event)
{
    dw_event_write(w, event);
}

json_t *dw_event_to_json(const struct dw_event *event)
{
    return dw_writer_tree_of(write_event, event);
}

/* In.  What the event borrows is kept in a chain of blocks, wiped at the end: one may be a password. */

struct block {
    struct block *next;
    size_t len;
    uint8_t at[];
};

struct dw_event_store {
    struct block *blocks;
};

struct reading {
    struct dw_event *event;
    struct dw_event_store *store;
    struct dw_error *err;
};

void dw_event_store_free(struct dw_event_store **store)
{
    if (!*store)
        return;
    for (struct block *b = (*store)->blocks, *next; b; b = next) {
        next = b->next;
        dw_wipe(b->at, b->len);
        free(b);
    }
    free(*store);
    *store = NULL;
}

static void *keep(struct reading *r, const void *bytes, size_t len)
{
    struct block *b = malloc(sizeof *b + len + 1);
    if (!b) {
        dw_error_set(r->err, DW_ERROR_INTERNAL, "out of memory");
        return NULL;
    }
    *b = (struct block){r->store->blocks, len};
    r->store->blocks = b;
    if (len && bytes)
        memcpy(b->at, bytes, len);
    b->at[len] = '\0';
    return b->at;
}

static int wanted(struct reading *r, const char *path, const char *what, const json_t *got)
{
    static const char *const types[] = {"an object", "a list", "a string", "an integer",
                                        "a number",  "true",   "false",    "null"};
    return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': expected %s, got %s", path, what,
                        types[json_typeof(got)]);
}

/* A string, or {"hex":".."}. */
static int octets_in(struct reading *r, const char *path, const json_t *json, struct dw_span *out)
{
    if (json_is_string(json)) {
        size_t len = json_string_length(json);
        void *at = keep(r, json_string_value(json), len);
        *out = dw_span_make(at, len);
        return at ? 0 : -1;
    }
    const json_t *hex = json_object_size(json) == 1 ? json_object_get(json, "hex") : NULL;
    if (!json_is_string(hex))
        return wanted(r, path, "a string or {\"hex\":\"..\"}", json);
    struct dw_buf bytes = {0};
    void *at = NULL;
    if (dw_text_unhex(&bytes, dw_span_make(json_string_value(hex), json_string_length(hex))) < 0)
        dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': this is not hexadecimal", path);
    else
        at = keep(r, dw_buf_span(&bytes).at, dw_buf_len(&bytes));
    *out = dw_span_make(at, dw_buf_len(&bytes));
    dw_buf_free(&bytes);
    return at ? 0 : -1;
}

static int text_in(struct reading *r, const char *path, const json_t *json, const char **out)
{
    struct dw_span text;
    if (!json_is_string(json))
        return wanted(r, path, "a string", json);
    if (octets_in(r, path, json, &text) < 0)
        return -1;
    if (memchr(text.at, 0, text.len))
        return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s' holds a NUL", path);
    *out = (const char *)text.at;
    return 0;
}

static int number_in(struct reading *r, const char *path, const json_t *json, double least, double most,
                     double *out)
{
    if (!json_is_number(json))
        return wanted(r, path, "a number", json);
    double value = json_number_value(json);
    if (!(value >= least && value <= most))
        return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': %.15g is not between %.15g and %.15g",
                            path, value, least, most);
    *out = value;
    return 0;
}

static int integer_in(struct reading *r, const char *path, const json_t *json, double most, long long *out)
{
    double value = 0;
    if (number_in(r, path, json, 0, most, &value) < 0)
        return -1;
    if (value != (double)(long long)value)
        return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': %.15g is not whole", path, value);
    *out = (long long)value;
    return 0;
}

/* Seconds since 1970, or ISO 8601 in UTC as the journal writes it. */
static int time_in(struct reading *r, const char *path, const json_t *json, double *out)
{
    if (!json_is_string(json))
        return number_in(r, path, json, 0, 253402300799.0, out);
    struct tm tm = {0};
    const char *rest = strptime(json_string_value(json), "%Y-%m-%dT%H:%M:%S", &tm);
    char *end = NULL;
    double fraction = rest && *rest == '.' ? strtod(rest, &end) : 0;
    if (end)
        rest = end;
    if (!rest || strcmp(rest, "Z") != 0)
        return dw_error_set(r->err, DW_ERROR_PROTOCOL,
                            "event field '%s': expected seconds since 1970 or \"2026-11-22T10:00:00.123Z\"", path);
    *out = (double)timegm(&tm) + fraction;
    if (*out < 0)
        return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': before 1970", path);
    return 0;
}

static int word_in(struct reading *r, const char *path, const json_t *json, int (*parse)(const char *), int *out)
{
    static const char *const words[] = {"zmtp",  "zap", "xmpp",      "dovecot", "connect",
                                        "realm", "map", "authorize", "close",   NULL};
    if (!json_is_string(json))
        return wanted(r, path, "a string", json);
    const char *word = json_string_value(json), *nearest;
    if ((*out = parse(word)) >= 0)
        return 0;
    nearest = dw_text_nearest(word, parse == dw_front_parse
                                        ? (const char *const[]){words[0], words[1], words[2], words[3], NULL}
                                        : words + 4);
    return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': there is no %s '%s'%s%s%s", path, path, word,
                        nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

static int list_in(struct reading *r, const char *path, const json_t *json, const struct dw_span **out,
                   size_t *out_count)
{
    if (!json_is_array(json))
        return wanted(r, path, "a list of strings", json);
    size_t count = json_array_size(json);
    struct dw_span *list = keep(r, NULL, count * sizeof *list);
    if (!list)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (octets_in(r, path, json_array_get(json, i), &list[i]) < 0)
            return -1;
    *out = list;
    *out_count = count;
    return 0;
}

/* {"name":["value",..]}, or {"name":"value"}. */
static int attributes_in(struct reading *r, const char *path, json_t *json)
{
    const char *key;
    json_t *values;
    size_t count = 0;
    if (!json_is_object(json))
        return wanted(r, path, "an object of lists", json);
    json_object_foreach(json, key, values) count += json_is_array(values) ? json_array_size(values) : 1;
    struct dw_pair *list = keep(r, NULL, count * sizeof *list), *next = list;
    if (!list)
        return -1;
    json_object_foreach(json, key, values)
    {
        struct dw_span name = dw_span_str(keep(r, key, strlen(key)));
        size_t many = json_is_array(values) ? json_array_size(values) : 1;
        for (size_t i = 0; i < many; i++, next++) {
            next->name = name;
            if (!name.at ||
                octets_in(r, path, json_is_array(values) ? json_array_get(values, i) : values, &next->value) < 0)
                return -1;
        }
    }
    r->event->gss.attributes = list;
    r->event->gss.attribute_count = count;
    return 0;
}

static int unknown(struct reading *r, const char *group, const char *key, const char *nearest)
{
    const char *dot = *group ? "." : "";
    return nearest ? dw_error_set(r->err, DW_ERROR_PROTOCOL, "unknown event field '%s%s%s', did you mean '%s%s%s'?",
                                  group, dot, key, group, dot, nearest)
                   : dw_error_set(r->err, DW_ERROR_PROTOCOL, "unknown event field '%s%s%s'", group, dot, key);
}

/* A principal by its parts: realm, and components or primary and instance. */
static int parts_in(struct reading *r, const json_t *json, struct dw_span *out)
{
    struct dw_span parts[64];
    struct dw_principal p = {.components = parts, .realm_given = true};
    const json_t *components = json_object_get(json, "components");
    const json_t *primary = json_object_get(json, "primary"), *instance = json_object_get(json, "instance");
    if (components && !json_is_array(components))
        return wanted(r, "principal.components", "a list of strings", components);
    if (json_array_size(components) > 64)
        return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field 'principal.components': more than 64");
    for (size_t i = 0; i < json_array_size(components); i++)
        if (octets_in(r, "principal.components", json_array_get(components, i), &parts[p.component_count++]) < 0)
            return -1;
    if (!components && primary && octets_in(r, "principal.primary", primary, &parts[p.component_count++]) < 0)
        return -1;
    if (!components && primary && instance &&
        octets_in(r, "principal.instance", instance, &parts[p.component_count++]) < 0)
        return -1;
    if (!json_object_get(json, "realm") || p.component_count == 0)
        return dw_error_set(r->err, DW_ERROR_PROTOCOL,
                            "event field 'principal': expected a name, or 'realm' with 'primary' or 'components'");
    if (octets_in(r, "principal.realm", json_object_get(json, "realm"), &p.realm) < 0)
        return -1;
    struct dw_buf name = {0};
    void *at = NULL;
    if (dw_principal_format(&p, DW_PRINCIPAL_FULL, DW_SPAN_NONE, &name) == 0)
        at = keep(r, dw_buf_span(&name).at, dw_buf_len(&name));
    *out = dw_span_make(at, dw_buf_len(&name));
    dw_buf_free(&name);
    return at ? 0 : -1;
}

static int principal_in(struct reading *r, json_t *json, struct dw_span *out)
{
    if (!json_is_object(json) || json_object_get(json, "hex"))
        return octets_in(r, "principal", json, out);
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        bool known = false;
        for (const char *const *f = dw_principal_fields; *f; f++)
            known |= strcmp(key, *f) == 0;
        if (!known)
            return unknown(r, "principal", key, dw_text_nearest(key, dw_principal_fields));
    }
    const json_t *name = json_object_get(json, "name");
    return name ? octets_in(r, "principal.name", name, out) : parts_in(r, json, out);
}

static int key_in(struct reading *r, const char *path, const json_t *json, struct dw_span *out)
{
    if (json_is_string(json)) {
        uint8_t *key = keep(r, NULL, 32);
        *out = dw_span_make(key, 32);
        if (key && dw_z85_decode(key, dw_span_make(json_string_value(json), json_string_length(json))) == 0)
            return 0;
        return key ? dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': expected 40 characters of Z85",
                                  path)
                   : -1;
    }
    if (octets_in(r, path, json, out) < 0)
        return -1;
    return out->len == 32 ? 0
                          : dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s': expected 32 octets", path);
}

static int group_in(struct reading *r, const char *path, json_t *json, const struct dw_field *fields);

static int field_in(struct reading *r, const char *path, json_t *json, const struct dw_field *field)
{
    void *at = (uint8_t *)r->event + field->offset;
    double number = 0;
    long long whole = 0;
    int word = 0, failed = 0;
    switch (field->kind) {
    case DW_FIELD_TEXT: return text_in(r, path, json, at);
    case DW_FIELD_OCTETS:
    case DW_FIELD_SECRET: return octets_in(r, path, json, at);
    case DW_FIELD_KEY: return key_in(r, path, json, at);
    case DW_FIELD_RAW:
        return dw_error_set(r->err, DW_ERROR_PROTOCOL, "event field '%s' follows from curve.key: give that", path);
    case DW_FIELD_TIME:
        failed = time_in(r, path, json, &number);
        *(long long *)at = (long long)(number * 1e6 + 0.5);
        return failed;
    case DW_FIELD_FRONT:
        failed = word_in(r, path, json, dw_front_parse, &word);
        *(enum dw_front *)at = failed ? DW_FRONT_ZMTP : (enum dw_front)word;
        return failed;
    case DW_FIELD_STAGE:
        failed = word_in(r, path, json, dw_stage_parse, &word);
        *(enum dw_stage *)at = failed ? DW_STAGE_MAP : (enum dw_stage)word;
        return failed;
    case DW_FIELD_PORT:
        failed = integer_in(r, path, json, 65535, &whole);
        *(int *)at = (int)whole;
        return failed;
    case DW_FIELD_ID:
        failed = integer_in(r, path, json, UINT32_MAX, &whole);
        *(long *)at = (long)whole;
        r->event->peer.has_ids = true;
        return failed;
    case DW_FIELD_LIFETIME:
        failed = integer_in(r, path, json, UINT32_MAX, &whole);
        *(uint32_t *)at = (uint32_t)whole;
        return failed;
    case DW_FIELD_MOMENT: return time_in(r, path, json, at);
    case DW_FIELD_SECONDS: return number_in(r, path, json, 0, 1e15, at);
    case DW_FIELD_FLAG:
        *(bool *)at = json_is_true(json);
        return json_is_boolean(json) ? 0 : wanted(r, path, "true or false", json);
    case DW_FIELD_COUNT:
        failed = integer_in(r, path, json, 9007199254740992.0, &whole);
        *(uint64_t *)at = (uint64_t)whole;
        return failed;
    case DW_FIELD_INDICATORS:
        return list_in(r, path, json, &r->event->gss.indicators, &r->event->gss.indicator_count);
    case DW_FIELD_FRAMES: return list_in(r, path, json, &r->event->credentials, &r->event->credential_count);
    case DW_FIELD_ATTRIBUTES: return attributes_in(r, path, json);
    case DW_FIELD_PRINCIPAL: return principal_in(r, json, at);
    case DW_FIELD_GROUP:
        if (field->offset)
            *(bool *)at = true;
        return json_is_object(json) ? group_in(r, field->name, json, field->fields)
                                    : wanted(r, path, "an object", json);
    }
    return -1;
}

static int group_in(struct reading *r, const char *path, json_t *json, const struct dw_field *fields)
{
    const char *key;
    json_t *value;
    char full[80];
    json_object_foreach(json, key, value)
    {
        const struct dw_field *field = dw_field_find(fields, key);
        if (!field)
            return unknown(r, path, key, dw_field_nearest(fields, key));
        snprintf(full, sizeof full, "%s%s%s", path, *path ? "." : "", key);
        if (!json_is_null(value) && field_in(r, full, value, field) < 0)
            return -1;
    }
    return 0;
}

int dw_event_from_json(struct dw_event *event, const json_t *json, struct dw_event_store **store,
                       struct dw_error *err)
{
    memset(event, 0, sizeof *event);
    event->stage = DW_STAGE_MAP;
    event->gss.lifetime = UINT32_MAX;
    event->peer.uid = event->peer.gid = event->peer.pid = -1;
    *store = NULL;
    if (!json_is_object(json))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "an event is a JSON object");
    if (!(*store = calloc(1, sizeof **store)))
        return dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    struct reading r = {event, *store, err};
    /* jansson iterates over a const object only through a cast; nothing is changed. */
    if (group_in(&r, "", (json_t *)(uintptr_t)json, dw_event_fields) == 0)
        return 0;
    dw_event_store_free(store);
    memset(event, 0, sizeof *event);
    return -1;
}
