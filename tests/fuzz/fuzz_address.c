/* Anything at all as an address or a range of addresses: whole, or refused with a sentence and nothing kept. */
#include "config/config.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static void one_address(const char *text)
{
    struct dw_address address;
    struct dw_error err = {0};
    if (dw_address_parse_in(&address, text, "/run", &err) < 0) {
        must(!address.text && !address.host && !address.path && err.detail[0]);
        return;
    }
    must(!strcmp(address.text, text));
    if (address.scheme == DW_TCP)
        must(address.host && address.host[0] && !address.path && address.port >= 0 && address.port <= 65535);
    else
        must(address.path && strchr("/@", address.path[0]) && !address.host && strlen(address.path) < 108);
    must(dw_address_is_local(&address) || address.scheme == DW_TCP);
    dw_address_clear(&address);
}

static void one_range(const char *text)
{
    struct dw_cidr cidr;
    struct dw_error err = {0};
    if (dw_cidr_parse(&cidr, text, &err) < 0) {
        must(err.detail[0]);
        return;
    }
    must(cidr.bits >= 0 && cidr.bits <= (cidr.family == AF_INET ? 32 : 128));
    must(dw_cidr_contains(&cidr, cidr.family, cidr.address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = data ? dw_text_dup(dw_span_make(data, size)) : NULL;
    if (!text)
        return 0;
    one_address(text);
    one_range(text);
    free(text);
    return 0;
}
