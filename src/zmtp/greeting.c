/* The greeting: see greeting.h. */
#include "zmtp/greeting.h"

enum { AT_SIGNATURE_END = 9, AT_MAJOR = 10, AT_MINOR = 11, AT_MECHANISM = 12, AT_AS_SERVER = 32 };

void dw_greeting_encode(uint8_t into[DW_GREETING_SIZE], const char *mechanism, bool as_server)
{
    memset(into, 0, DW_GREETING_SIZE);
    into[0] = 0xff;
    into[AT_SIGNATURE_END] = 0x7f;
    into[AT_MAJOR] = 3;
    into[AT_MINOR] = 1;
    for (size_t i = 0; i < AT_AS_SERVER - AT_MECHANISM && mechanism[i]; i++)
        into[AT_MECHANISM + i] = (uint8_t)mechanism[i];
    into[AT_AS_SERVER] = as_server;
}

/* Printable ASCII, then nothing but NUL to the end (RFC 23: mechanism-char is A-Z, digits, - _ . +). */
static int take_mechanism(struct dw_greeting *greeting, const uint8_t *at)
{
    size_t len = strnlen((const char *)at, 20);
    for (size_t i = 0; i < 20; i++)
        if (i < len ? at[i] <= ' ' || at[i] > '~' : at[i] != 0)
            return -1;
    memcpy(greeting->mechanism, at, len);
    greeting->mechanism[len] = '\0';
    return len > 0 ? 0 : -1;
}

int dw_greeting_parse(struct dw_greeting *greeting, struct dw_span bytes, struct dw_error *err)
{
    if (bytes.len > 0 && bytes.at[0] != 0xff)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "no ZMTP greeting: the first octet is %02x, not ff",
                            bytes.at[0]);
    if (bytes.len > AT_SIGNATURE_END && !(bytes.at[AT_SIGNATURE_END] & 1))
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the peer speaks ZMTP 1.0, which knows no security");
    if (bytes.len > AT_MAJOR && bytes.at[AT_MAJOR] < 3)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "the peer speaks ZMTP 2.0, which knows no security");
    if (bytes.len < DW_GREETING_SIZE)
        return 0;
    if (take_mechanism(greeting, bytes.at + AT_MECHANISM) < 0)
        return dw_error_set(err, DW_ERROR_PROTOCOL, "malformed mechanism name in the greeting");
    greeting->major = bytes.at[AT_MAJOR];
    greeting->minor = bytes.at[AT_MINOR];
    greeting->as_server = bytes.at[AT_AS_SERVER] & 1;
    return 1;
}
