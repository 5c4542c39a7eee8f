/* Addresses and ranges of addresses, of every shape. */
#include "check.h"

#include "config/config.h"

#include <arpa/inet.h>
#include <stdlib.h>

static void addresses(void)
{
    static const struct {
        const char *text, *host;
        int port;
        const char *path, *mistake;
        bool local;
    } cases[] = {
        {.text = "tcp://*:5570", .host = "*", .port = 5570},
        {.text = "tcp://[::1]:5570", .host = "::1", .port = 5570, .local = true},
        {.text = "tcp://[fe80::1%eth0]:1", .host = "fe80::1%eth0", .port = 1},
        {.text = "tcp://[::]:0", .host = "::", .port = 0},
        {.text = "tcp://127.8.9.1:65535", .host = "127.8.9.1", .port = 65535, .local = true},
        {.text = "tcp://LOCALHOST:1", .host = "LOCALHOST", .port = 1, .local = true},
        {.text = "tcp://broker-1.example.com:0", .host = "broker-1.example.com", .port = 0},
        {.text = "ipc:///run/durward/x", .path = "/run/durward/x", .local = true},
        {.text = "ipc://rel/x", .path = "/base/rel/x", .local = true},
        {.text = "ipc://@name", .path = "@name", .local = true},
        {.text = "", .mistake = "an address is missing, as in tcp://*:5570"},
        {.text = "tcp://", .mistake = "'tcp://' is no address: a port is missing, as in tcp://*:5570"},
        {.text = "tcp://:1",
         .mistake = "'tcp://:1' is no address: a host is missing; '*' stands for every address "
                    "of this machine"},
        {.text = "tcp://h:", .mistake = "'tcp://h:' is no address: its port is not a number from 0 to 65535"},
        {.text = "tcp://h:65536",
         .mistake = "'tcp://h:65536' is no address: its port is not a number from 0 to "
                    "65535"},
        {.text = "tcp://h:-1", .mistake = "'tcp://h:-1' is no address: its port is not a number from 0 to 65535"},
        {.text = "tcp://h:*", .mistake = "'tcp://h:*' is no address: port 0 has one chosen, not '*'"},
        {.text = "tcp://::1:5",
         .mistake = "'tcp://::1:5' is no address: an IPv6 address stands in brackets, as in "
                    "tcp://[::1]:5570"},
        {.text = "tcp://[::1:5", .mistake = "'tcp://[::1:5' is no address: the bracket '[' is not closed"},
        {.text = "tcp://[::1]5",
         .mistake = "'tcp://[::1]5' is no address: a port is missing, as in "
                    "tcp://[::1]:5570"},
        {.text = "tcp://[h]:5",
         .mistake = "'tcp://[h]:5' is no address: what stands in brackets is not an IPv6 "
                    "address"},
        {.text = "tcp://300.1.1.1:5",
         .mistake = "'tcp://300.1.1.1:5' is no address: its host is not an IPv4 "
                    "address"},
        {.text = "tcp://a b:5",
         .mistake = "'tcp://a b:5' is no address: its host has a character that no host name "
                    "has"},
        {.text = "tcp://a/b:5",
         .mistake = "'tcp://a/b:5' is no address: its host has a character that no host name "
                    "has"},
        {.text = "tcp://-a:5", .mistake = "'tcp://-a:5' is no address: its host is not a host name"},
        {.text = "tpc://h:5",
         .mistake = "'tpc://h:5' is no address: unknown scheme 'tpc'; tcp:// and ipc:// are known"},
        {.text = "tcps://h:5",
         .mistake = "'tcps://h:5' is no address: unknown scheme 'tcps'; tcp:// and ipc:// are known"},
        {.text = "udp://h:5",
         .mistake = "'udp://h:5' is no address: unknown scheme 'udp'; tcp:// and ipc:// are "
                    "known"},
        {.text = "inproc://x",
         .mistake = "'inproc://x' is no address: inproc does not reach out of a process; "
                    "tcp:// and ipc:// do"},
        {.text = "localhost:5", .mistake = "'localhost:5' is no address: it starts with neither tcp:// nor ipc://"},
        {.text = "ipc://",
         .mistake = "'ipc://' is no address: a path is missing, as in ipc:///run/durward/app, or a "
                    "name, as in ipc://@app"},
        {.text = "ipc://@",
         .mistake = "'ipc://@' is no address: a path is missing, as in ipc:///run/durward/app, or "
                    "a name, as in ipc://@app"},
        {.text = "ipc://*",
         .mistake = "'ipc://*' is no address: '*' is no path; name one, as in "
                    "ipc:///run/durward/app"},
        {.text = "ipc:///run/", .mistake = "'ipc:///run/' is no address: its path names a folder, not a socket"},
        {.text = "tcp://h\n:5", .mistake = "an address of printable characters is wanted"},
        {.text = "ipc:///\xff", .mistake = "an address of printable characters is wanted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dw_address address;
        struct dw_error err = {0};
        int failed = dw_address_parse_in(&address, cases[i].text, "/base", &err);
        CHECK_STR(failed ? err.detail : NULL, cases[i].mistake);
        if (!failed) {
            CHECK_STR(address.text, cases[i].text);
            CHECK_STR(address.host, cases[i].host);
            CHECK_STR(address.path, cases[i].path);
            CHECK_INT(address.port, cases[i].port);
            CHECK_INT(dw_address_is_local(&address), cases[i].local);
        } else {
            CHECK(!address.text && !address.host && !address.path);
        }
        dw_address_clear(&address);
    }
}

static void long_addresses(void)
{
    char text[600];
    struct dw_address address;
    struct dw_error err = {0};
    snprintf(text, sizeof text, "ipc:///%0*d", 106, 0);
    CHECK_INT(dw_address_parse(&address, text, &err), 0);
    CHECK_INT(strlen(address.path), 107);
    dw_address_clear(&address);
    snprintf(text, sizeof text, "ipc:///%0*d", 107, 0);
    CHECK_INT(dw_address_parse(&address, text, &err), -1);
    CHECK(strstr(err.detail, "has 108 octets, a local socket's at most 107") != NULL);
    snprintf(text, sizeof text, "tcp://%0*dx:5", 500, 0);
    CHECK_INT(dw_address_parse(&address, text, &err), -1);
    CHECK(strstr(err.detail, "longer than 253") != NULL);
    CHECK_INT(dw_address_parse(&address, "ipc://here", NULL), 0);
    CHECK(address.path[0] == '/');
    dw_address_clear(&address);
}

/* Whatever is made of pieces of addresses parses to something whole, or is told and leaves nothing behind. */
static void strange_addresses(void)
{
    static const char *const pieces[] = {"tcp://",    "ipc://", "[", "]",  ":",        "*",    "::1",
                                         "127.0.0.1", "@",      "/", ".",  "%",        "0",    "65535",
                                         " ",         "h",      "-", "\n", "\xc3\xa9", "\xff", "://"};
    unsigned random = 7;
    for (int round = 0; round < 200000; round++) {
        char text[128] = "";
        struct dw_address address;
        struct dw_error err = {0};
        for (unsigned count = round % 9; count; count--) {
            random = random * 1103515245 + 12345;
            strcat(text, pieces[random / 65536 % (sizeof pieces / sizeof *pieces)]);
        }
        if (dw_address_parse_in(&address, text, "/", &err) < 0) {
            if (address.text || address.host || address.path || !*err.detail)
                CHECK(!"a refused address leaves nothing but a sentence");
            continue;
        }
        bool whole = !strcmp(address.text, text) &&
                     (address.scheme == DW_TCP ? address.host && *address.host && address.port >= 0 &&
                                                     address.port <= 65535 && !address.path
                                               : address.path && address.path[0] && !address.host);
        if (!whole)
            CHECK(!"an address is whole");
        dw_address_clear(&address);
    }
    CHECK(true);
}

static bool contains(const char *range, const char *text)
{
    struct dw_cidr cidr;
    struct dw_error err = {0};
    uint8_t address[16];
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (!CHECK(dw_cidr_parse(&cidr, range, &err) == 0) || !CHECK(inet_pton(family, text, address) == 1))
        return false;
    return dw_cidr_contains(&cidr, family, address);
}

static void ranges_of_addresses(void)
{
    CHECK(contains("192.0.2.0/24", "192.0.2.255") && !contains("192.0.2.0/24", "192.0.3.0"));
    CHECK(contains("192.0.2.128/25", "192.0.2.129") && !contains("192.0.2.128/25", "192.0.2.127"));
    CHECK(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
    CHECK(contains("0.0.0.0/0", "255.1.2.3") && !contains("0.0.0.0/0", "2001:db8::1"));
    CHECK(contains("192.0.2.0/24", "::ffff:192.0.2.9") && !contains("192.0.2.0/24", "::ffff:192.0.3.9"));
    CHECK(contains("2001:db8::/33", "2001:db8:7fff::1") && !contains("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(contains("::/0", "::1") && !contains("::1", "::2"));
    struct dw_cidr cidr;
    struct dw_error err = {0};
    static const char *const bad[] = {
        "",         "/8",         "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/33", "::/129",
        "10.0.0/8", "10.0.0.1/8", "x",         "10.0.0.0/8x", "::1%lo/8",    "2001:db8::/32/1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK(dw_cidr_parse(&cidr, bad[i], &err) == -1))
            printf("    %s\n", bad[i]);
}

int main(void)
{
    RUN(addresses);
    RUN(long_addresses);
    RUN(strange_addresses);
    RUN(ranges_of_addresses);
    return check_done();
}
