/* Who is calling: see caller.h. */
#include "net/caller.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

int dw_caller_of(struct dw_caller *caller, int fd)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    *caller = (struct dw_caller){.address = "local"};
    char *text = caller->address;
    if (getpeername(fd, (struct sockaddr *)&from, &len) < 0)
        return -1;
    if (from.ss_family == AF_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)&from;
        uv_ip4_name(in, text, sizeof caller->address);
        caller->port = ntohs(in->sin_port);
    } else if (from.ss_family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&from;
        uv_ip6_name(in6, text, sizeof caller->address);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            memmove(text, text + 7, strlen(text + 7) + 1);
        caller->port = ntohs(in6->sin6_port);
    } else {
        struct ucred ids;
        len = sizeof ids;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ids, &len) == 0) {
            caller->has_ids = true;
            caller->uid = (long)ids.uid;
            caller->gid = (long)ids.gid;
            caller->pid = ids.pid;
        }
    }
    return 0;
}

bool dw_caller_allowed(const struct dw_listener_config *listener, int fd)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    if (listener->allow_from_count == 0)
        return true;
    if (getpeername(fd, (struct sockaddr *)&from, &len) < 0)
        return false;
    if (from.ss_family == AF_UNIX)
        return true;
    int family = from.ss_family;
    const uint8_t *address = (const uint8_t *)&((struct sockaddr_in *)&from)->sin_addr;
    if (family == AF_INET6) {
        const struct in6_addr *six = &((struct sockaddr_in6 *)&from)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(six);
        address = six->s6_addr + (mapped ? 12 : 0);
        family = mapped ? AF_INET : AF_INET6;
    }
    for (size_t i = 0; i < listener->allow_from_count; i++)
        if (dw_cidr_contains(&listener->allow_from[i], family, address))
            return true;
    return false;
}
