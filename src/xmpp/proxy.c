/* Preambles of the PROXY protocol: see proxy.h.  Section numbers are those of its text, version 2.2. */
#include "xmpp/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>

struct end {
    int family; /* AF_INET, AF_INET6, or AF_UNSPEC: no address */
    uint8_t octets[16];
    uint16_t port;
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* An IPv4 address that a socket of both families shows as IPv6 is IPv4; a zone says nothing to another machine. */
static struct end end_of(const char *address, int port)
{
    struct end end = {.family = AF_UNSPEC};
    char bare[INET6_ADDRSTRLEN];
    size_t len = address ? strcspn(address, "%") : 0;
    if (len == 0 || len >= sizeof bare || port < 0 || port > 65535)
        return end;
    memcpy(bare, address, len);
    bare[len] = '\0';
    end.port = (uint16_t)port;
    if (inet_pton(AF_INET, bare, end.octets) == 1)
        end.family = AF_INET;
    else if (inet_pton(AF_INET6, bare, end.octets) == 1)
        end.family = AF_INET6;
    if (end.family == AF_INET6 && memcmp(end.octets, mapped, sizeof mapped) == 0) {
        end.family = AF_INET;
        memmove(end.octets, end.octets + sizeof mapped, 4);
    }
    return end;
}

/* Section 2.1. */
static int put_text(struct dw_buf *out, const struct end *from, const struct end *to)
{
    char source[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN];
    if (from->family == AF_UNSPEC)
        return dw_buf_printf(out, "PROXY UNKNOWN\r\n");
    inet_ntop(from->family, from->octets, source, sizeof source);
    inet_ntop(to->family, to->octets, target, sizeof target);
    return dw_buf_printf(out, "PROXY %s %s %s %u %u\r\n", from->family == AF_INET ? "TCP4" : "TCP6", source, target,
                         from->port, to->port);
}

/* Section 2.2. */
static int put_binary(struct dw_buf *out, const struct end *from, const struct end *to)
{
    enum { VERSION_2 = 0x20, PROXY = 0x01, STREAM = 0x01, HEADER = 16 };
    static const uint8_t signature[] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
    bool known = from->family != AF_UNSPEC, four = from->family == AF_INET;
    size_t len = known ? four ? 4 : 16 : 0;
    uint8_t all[HEADER + 2 * 16 + 2 * 2], *at = all + sizeof signature;
    memcpy(all, signature, sizeof signature);
    *at++ = known ? VERSION_2 | PROXY : VERSION_2;
    *at++ = (uint8_t)(known ? (four ? 0x10 : 0x20) | STREAM : 0);
    *at++ = 0;
    *at++ = (uint8_t)(known ? 2 * len + 4 : 0);
    if (known) {
        memcpy(at, from->octets, len);
        memcpy(at + len, to->octets, len);
        at += 2 * len;
        *at++ = (uint8_t)(from->port >> 8);
        *at++ = (uint8_t)from->port;
        *at++ = (uint8_t)(to->port >> 8);
        *at++ = (uint8_t)to->port;
    }
    return dw_buf_put(out, dw_span_make(all, (size_t)(at - all)));
}

int dw_proxy_put(struct dw_buf *out, int version, const char *from, int from_port, const char *to, int to_port)
{
    struct end source = end_of(from, from_port), target = end_of(to, to_port);
    if (source.family != target.family)
        source.family = AF_UNSPEC;
    return version == 2 ? put_binary(out, &source, &target) : put_text(out, &source, &target);
}
