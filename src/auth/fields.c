/* The event as a table of named fields: see fields.h. */
#include "auth/fields.h"

#include "base/text.h"

#define AT(member) offsetof(struct dw_event, member)

static const struct dw_field peer[] = {
    {"address", DW_FIELD_TEXT, AT(peer.address), NULL}, {"port", DW_FIELD_PORT, AT(peer.port), NULL},
    {"uid", DW_FIELD_ID, AT(peer.uid), NULL},           {"gid", DW_FIELD_ID, AT(peer.gid), NULL},
    {"pid", DW_FIELD_ID, AT(peer.pid), NULL},           {NULL, 0, 0, NULL},
};

static const struct dw_field gss[] = {
    {"lifetime", DW_FIELD_LIFETIME, AT(gss.lifetime), NULL},
    {"expires", DW_FIELD_MOMENT, AT(gss.expires), NULL},
    {"indicators", DW_FIELD_INDICATORS, AT(gss.indicators), NULL},
    {"attributes", DW_FIELD_ATTRIBUTES, AT(gss.attributes), NULL},
    {"mutual", DW_FIELD_FLAG, AT(gss.mutual), NULL},
    {"confidential", DW_FIELD_FLAG, AT(gss.confidential), NULL},
    {"delegated", DW_FIELD_FLAG, AT(gss.delegated), NULL},
    {"channel_bound", DW_FIELD_FLAG, AT(gss.channel_bound), NULL},
    {"cross_realm", DW_FIELD_FLAG, AT(gss.cross_realm), NULL},
    {NULL, 0, 0, NULL},
};

static const struct dw_field zap[] = {
    {"identity", DW_FIELD_OCTETS, AT(zap.identity), NULL},
    {"request_id", DW_FIELD_OCTETS, AT(zap.request_id), NULL},
    {NULL, 0, 0, NULL},
};

static const struct dw_field plain[] = {
    {"username", DW_FIELD_OCTETS, AT(plain.username), NULL},
    {"password", DW_FIELD_SECRET, AT(plain.password), NULL},
    {NULL, 0, 0, NULL},
};

static const struct dw_field curve[] = {
    {"key", DW_FIELD_KEY, AT(curve_key), NULL},
    {"raw", DW_FIELD_RAW, AT(curve_key), NULL},
    {NULL, 0, 0, NULL},
};

static const struct dw_field tls[] = {
    {"version", DW_FIELD_TEXT, AT(tls.version), NULL},
    {"cipher", DW_FIELD_TEXT, AT(tls.cipher), NULL},
    {NULL, 0, 0, NULL},
};

static const struct dw_field closed[] = {
    {"reason", DW_FIELD_TEXT, AT(closed.reason), NULL},
    {"seconds", DW_FIELD_SECONDS, AT(closed.seconds), NULL},
    {"bytes_in", DW_FIELD_COUNT, AT(closed.bytes_in), NULL},
    {"bytes_out", DW_FIELD_COUNT, AT(closed.bytes_out), NULL},
    {NULL, 0, 0, NULL},
};

const struct dw_field dw_event_fields[] = {
    {"id", DW_FIELD_TEXT, AT(id), NULL},
    {"time", DW_FIELD_TIME, AT(time), NULL},
    {"front", DW_FIELD_FRONT, AT(front), NULL},
    {"stage", DW_FIELD_STAGE, AT(stage), NULL},
    {"mechanism", DW_FIELD_TEXT, AT(mechanism), NULL},
    {"listener", DW_FIELD_TEXT, AT(listener), NULL},
    {"peer", DW_FIELD_GROUP, 0, peer},
    {"principal", DW_FIELD_PRINCIPAL, AT(principal), NULL},
    {"user", DW_FIELD_OCTETS, AT(user), NULL},
    {"service", DW_FIELD_OCTETS, AT(service), NULL},
    {"domain", DW_FIELD_OCTETS, AT(domain), NULL},
    {"hostname", DW_FIELD_TEXT, AT(hostname), NULL},
    {"authzid", DW_FIELD_OCTETS, AT(authzid), NULL},
    {"gss", DW_FIELD_GROUP, AT(gss.present), gss},
    {"zap", DW_FIELD_GROUP, AT(zap.present), zap},
    {"plain", DW_FIELD_GROUP, AT(plain.present), plain},
    {"curve", DW_FIELD_GROUP, 0, curve},
    {"credentials", DW_FIELD_FRAMES, AT(credentials), NULL},
    {"tls", DW_FIELD_GROUP, 0, tls},
    {"closed", DW_FIELD_GROUP, AT(closed.present), closed},
    {NULL, 0, 0, NULL},
};

const char *const dw_principal_fields[] = {"name", "realm", "primary", "instance", "components", NULL};

bool dw_field_present(const struct dw_event *event, const struct dw_field *field)
{
    const void *at = dw_field_at(event, field);
    switch (field->kind) {
    case DW_FIELD_TEXT: return *(const char *const *)at != NULL;
    case DW_FIELD_OCTETS:
    case DW_FIELD_SECRET:
    case DW_FIELD_PRINCIPAL: return ((const struct dw_span *)at)->at != NULL;
    case DW_FIELD_KEY:
    case DW_FIELD_RAW: return ((const struct dw_span *)at)->at && ((const struct dw_span *)at)->len == 32;
    case DW_FIELD_PORT: return *(const int *)at != 0;
    case DW_FIELD_ID: return event->peer.has_ids && *(const long *)at >= 0;
    case DW_FIELD_LIFETIME: return *(const uint32_t *)at != UINT32_MAX;
    case DW_FIELD_MOMENT: return *(const double *)at != 0;
    case DW_FIELD_TIME: return *(const long long *)at != 0;
    case DW_FIELD_INDICATORS: return event->gss.indicator_count > 0;
    case DW_FIELD_ATTRIBUTES: return event->gss.attribute_count > 0;
    case DW_FIELD_FRAMES: return event->credentials != NULL;
    case DW_FIELD_FRONT:
    case DW_FIELD_STAGE:
    case DW_FIELD_SECONDS:
    case DW_FIELD_FLAG:
    case DW_FIELD_COUNT: return true;
    case DW_FIELD_GROUP:
        if (field->offset)
            return *(const bool *)at;
        for (const struct dw_field *f = field->fields; f->name; f++)
            if (dw_field_present(event, f))
                return true;
        return false;
    }
    return false;
}

const struct dw_field *dw_field_find(const struct dw_field *fields, const char *name)
{
    for (const struct dw_field *f = fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

const char *dw_field_nearest(const struct dw_field *fields, const char *name)
{
    const char *names[32];
    size_t count = 0;
    for (const struct dw_field *f = fields; f->name && count < 31; f++)
        names[count++] = f->name;
    names[count] = NULL;
    return dw_text_nearest(name, names);
}

static const char z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

void dw_z85_encode(char text[41], const uint8_t key[32])
{
    for (int i = 0; i < 8; i++) {
        uint32_t word = (uint32_t)key[4 * i] << 24 | (uint32_t)key[4 * i + 1] << 16 |
                        (uint32_t)key[4 * i + 2] << 8 | key[4 * i + 3];
        for (int j = 4; j >= 0; j--, word /= 85)
            text[5 * i + j] = z85[word % 85];
    }
    text[40] = '\0';
}

int dw_z85_decode(uint8_t key[32], struct dw_span text)
{
    if (text.len != 40)
        return -1;
    for (int i = 0; i < 8; i++) {
        uint64_t word = 0;
        for (int j = 0; j < 5; j++) {
            uint8_t c = text.at[5 * i + j];
            const char *digit = c ? strchr(z85, c) : NULL;
            if (!digit)
                return -1;
            word = word * 85 + (uint64_t)(digit - z85);
        }
        if (word > UINT32_MAX)
            return -1;
        dw_put_u32(key + 4 * i, (uint32_t)word);
    }
    return 0;
}
