/* Addresses and address ranges as text: see config.h. */
#include "config/config.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_ROOM (sizeof((struct sockaddr_un *)0)->sun_path)

static int bad(struct dw_error *err, const char *text, const char *why)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "'%.120s' is no address: %s", text, why);
}

static int no_memory(struct dw_error *err)
{
    return dw_error_set(err, DW_ERROR_INTERNAL, "memory is out");
}

static int parse_port(const char *digits, int *port)
{
    long value = 0;
    size_t len = strlen(digits);
    if (len == 0 || len > 5 || strspn(digits, "0123456789") != len)
        return -1;
    value = strtol(digits, NULL, 10);
    if (value > 65535)
        return -1;
    *port = (int)value;
    return 0;
}

/* Letters, digits, hyphens, dots and underscores; a name that could only be an IPv4 address must be one. */
static const char *name_mistake(const char *host)
{
    struct in_addr v4;
    size_t len = strlen(host);
    if (len > 253)
        return "its host is longer than 253 characters";
    if (strspn(host, "0123456789.") == len)
        return inet_pton(AF_INET, host, &v4) == 1 ? NULL : "its host is not an IPv4 address";
    if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != len)
        return "its host has a character that no host name has";
    if (host[0] == '.' || host[0] == '-' || strstr(host, ".."))
        return "its host is not a host name";
    return NULL;
}

static const char *v6_mistake(const char *host)
{
    struct in6_addr v6;
    char bare[64];
    size_t len = strcspn(host, "%");
    if (host[len] && (!host[len + 1] || strlen(host + len + 1) > 15))
        return "the zone after '%' is not an interface's name";
    if (len >= sizeof bare)
        return "what stands in brackets is not an IPv6 address";
    memcpy(bare, host, len);
    bare[len] = '\0';
    return inet_pton(AF_INET6, bare, &v6) == 1 ? NULL : "what stands in brackets is not an IPv6 address";
}

static int parse_tcp(struct dw_address *address, const char *text, struct dw_error *err)
{
    const char *host = text + strlen("tcp://"), *colon = strrchr(host, ':'), *why = NULL;
    if (*host == '[') {
        const char *end = strchr(host, ']');
        if (!end)
            return bad(err, text, "the bracket '[' is not closed");
        if (end[1] != ':')
            return bad(err, text, "a port is missing, as in tcp://[::1]:5570");
        address->host = dw_text_dup(dw_span_make(host + 1, (size_t)(end - host) - 1));
        colon = end + 1;
        if (address->host)
            why = v6_mistake(address->host);
    } else {
        if (!colon)
            return bad(err, text, "a port is missing, as in tcp://*:5570");
        if (memchr(host, ':', (size_t)(colon - host)))
            return bad(err, text, "an IPv6 address stands in brackets, as in tcp://[::1]:5570");
        if (colon == host)
            return bad(err, text, "a host is missing; '*' stands for every address of this machine");
        address->host = dw_text_dup(dw_span_make(host, (size_t)(colon - host)));
        if (address->host && strcmp(address->host, "*"))
            why = name_mistake(address->host);
    }
    if (!address->host)
        return no_memory(err);
    if (why)
        return bad(err, text, why);
    if (!strcmp(colon + 1, "*"))
        return bad(err, text, "port 0 has one chosen, not '*'");
    if (parse_port(colon + 1, &address->port) < 0)
        return bad(err, text, "its port is not a number from 0 to 65535");
    return 0;
}

static char *absolute(const char *path, const char *folder)
{
    char *here = NULL, *whole = NULL;
    if (path[0] == '/' || path[0] == '@')
        return strdup(path);
    if (!folder)
        folder = here = getcwd(NULL, 0);
    if (!folder || asprintf(&whole, "%s/%s", strcmp(folder, "/") ? folder : "", path) < 0)
        whole = NULL;
    free(here);
    return whole;
}

static int parse_ipc(struct dw_address *address, const char *text, const char *folder, struct dw_error *err)
{
    const char *path = text + strlen("ipc://");
    if (!*path || !strcmp(path, "@"))
        return bad(err, text, "a path is missing, as in ipc:///run/durward/app, or a name, as in ipc://@app");
    if (!strcmp(path, "*"))
        return bad(err, text, "'*' is no path; name one, as in ipc:///run/durward/app");
    if (*path != '@' && path[strlen(path) - 1] == '/')
        return bad(err, text, "its path names a folder, not a socket");
    address->path = absolute(path, folder);
    if (!address->path)
        return no_memory(err);
    if (strlen(address->path) >= PATH_ROOM)
        return dw_error_set(err, DW_ERROR_INTERNAL,
                            "'%.120s' is no address: its path has %zu octets, a local socket's at most %zu", text,
                            strlen(address->path), PATH_ROOM - 1);
    return 0;
}

static int parse_other(const char *text, struct dw_error *err)
{
    const char *sign = strstr(text, "://");
    char scheme[32];
    if (!sign)
        return bad(err, text, "it starts with neither tcp:// nor ipc://");
    snprintf(scheme, sizeof scheme, "%.*s", (int)(sign - text < 31 ? sign - text : 31), text);
    if (!strcmp(scheme, "inproc"))
        return bad(err, text, "inproc does not reach out of a process; tcp:// and ipc:// do");
    return dw_error_set(err, DW_ERROR_INTERNAL,
                        "'%.120s' is no address: unknown scheme '%s'; tcp:// and ipc:// are known", text, scheme);
}

int dw_address_parse_in(struct dw_address *address, const char *text, const char *folder, struct dw_error *err)
{
    int failed;
    *address = (struct dw_address){0};
    if (!*text)
        return dw_error_set(err, DW_ERROR_INTERNAL, "an address is missing, as in tcp://*:5570");
    struct dw_span whole = dw_span_str(text);
    if (!dw_text_is_utf8(whole) || dw_text_has_control(whole))
        return dw_error_set(err, DW_ERROR_INTERNAL, "an address of printable characters is wanted");
    if (!strncmp(text, "tcp://", 6)) {
        address->scheme = DW_TCP;
        failed = parse_tcp(address, text, err);
    } else if (!strncmp(text, "ipc://", 6)) {
        address->scheme = DW_IPC;
        failed = parse_ipc(address, text, folder, err);
    } else {
        failed = parse_other(text, err);
    }
    if (!failed && !(address->text = strdup(text)))
        failed = no_memory(err);
    if (failed)
        dw_address_clear(address);
    return failed;
}

int dw_address_parse(struct dw_address *address, const char *text, struct dw_error *err)
{
    return dw_address_parse_in(address, text, NULL, err);
}

void dw_address_clear(struct dw_address *address)
{
    free(address->text);
    free(address->host);
    free(address->path);
    *address = (struct dw_address){0};
}

bool dw_address_is_local(const struct dw_address *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (address->scheme == DW_IPC)
        return true;
    if (!strcasecmp(address->host, "localhost"))
        return true;
    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

int dw_cidr_parse(struct dw_cidr *cidr, const char *text, struct dw_error *err)
{
    char bare[64], clean[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    *cidr = (struct dw_cidr){0};
    if (len >= sizeof bare)
        return dw_error_set(err, DW_ERROR_INTERNAL, "'%.80s' is no address range, as in 192.0.2.0/24", text);
    memcpy(bare, text, len);
    bare[len] = '\0';
    if (inet_pton(AF_INET, bare, cidr->address) == 1)
        cidr->family = AF_INET, cidr->bits = 32;
    else if (inet_pton(AF_INET6, bare, cidr->address) == 1)
        cidr->family = AF_INET6, cidr->bits = 128;
    else
        return dw_error_set(err, DW_ERROR_INTERNAL,
                            "'%.80s' is no address range, as in 192.0.2.0/24 or 2001:db8::/32", text);
    int most = cidr->bits;
    if (text[len]) {
        int bits;
        if (parse_port(text + len + 1, &bits) < 0 || bits > most)
            return dw_error_set(err, DW_ERROR_INTERNAL, "'%.80s' has a prefix that is not a number from 0 to %d",
                                text, most);
        cidr->bits = bits;
    }
    bool spill = false;
    for (int bit = cidr->bits; bit < most; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        spill |= cidr->address[bit / 8] & mask;
        cidr->address[bit / 8] &= (uint8_t)~mask;
    }
    if (spill)
        return dw_error_set(err, DW_ERROR_INTERNAL, "'%.80s' has bits past its prefix, did you mean '%s/%d'?", text,
                            inet_ntop(cidr->family, cidr->address, clean, sizeof clean), cidr->bits);
    return 0;
}

bool dw_cidr_contains(const struct dw_cidr *cidr, int family, const uint8_t *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (family == AF_INET6 && cidr->family == AF_INET && !memcmp(address, mapped, sizeof mapped)) {
        family = AF_INET;
        address += sizeof mapped;
    }
    if (family != cidr->family)
        return false;
    size_t whole = (size_t)cidr->bits / 8;
    int rest = cidr->bits % 8;
    if (memcmp(cidr->address, address, whole))
        return false;
    return !rest || (cidr->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}
