/* From realm to realm: see realms.h.  The rules are those of [capaths] in krb5.conf(5) and, without it,
 * of the DNS-like hierarchy (RFC 4120 section 1.2). */
#include "map/realms.h"

#define NOWHERE SIZE_MAX

/* Where the common parent begins in each of two realms; NOWHERE when they share none. */
struct parents {
    size_t client, server;
};

static bool begins_label(struct dw_span realm, size_t at)
{
    return at == 0 || realm.at[at - 1] == '.';
}

static struct parents common_parent(struct dw_span client, struct dw_span server)
{
    struct parents none = {NOWHERE, NOWHERE};
    size_t least = client.len < server.len ? client.len : server.len, shared = 0, dot = 0;
    while (shared < least && client.at[client.len - 1 - shared] == server.at[server.len - 1 - shared]) {
        shared++;
        if (client.at[client.len - shared] == '.')
            dot = shared;
    }
    if (shared == 0)
        return none;
    if (begins_label(client, client.len - shared) && begins_label(server, server.len - shared))
        return (struct parents){client.len - shared, server.len - shared};
    /* What is shared begins inside a label: go on to the next whole one, if any is left. */
    if (dot <= 1)
        return none;
    return (struct parents){client.len - dot + 1, server.len - dot + 1};
}

/* The realm and those above it, up to the parent, which is left out unless wanted. */
static size_t climb(struct dw_span realm, size_t parent, bool with_parent, struct dw_span *into)
{
    size_t count = 0, from = 0;
    for (size_t i = 0; i < realm.len; i++) {
        if (realm.at[i] != '.' && i + 1 != realm.len)
            continue;
        if (from == parent && !with_parent)
            break;
        into[count++] = dw_span_make(realm.at + from, realm.len - from);
        if (from == parent)
            break;
        from = i + 1;
    }
    return count;
}

static size_t hierarchy(struct dw_span client, struct dw_span server, struct dw_span *path)
{
    struct parents parent = common_parent(client, server);
    size_t count = climb(client, parent.client, true, path);
    if (count == 0)
        path[count++] = client;
    size_t down = climb(server, parent.server, false, path + count);
    for (size_t i = 0; i < down / 2; i++) {
        struct dw_span swap = path[count + i];
        path[count + i] = path[count + down - 1 - i];
        path[count + down - 1 - i] = swap;
    }
    return count + down;
}

static size_t labels(struct dw_span realm)
{
    size_t count = 1;
    for (size_t i = 0; i < realm.len; i++)
        count += realm.at[i] == '.';
    return count;
}

size_t dw_realm_path_max(struct dw_span client, struct dw_span server, size_t hop_count)
{
    return labels(client) + labels(server) + hop_count + 2;
}

/* A value ends at its first blank. */
static struct dw_span first_word(struct dw_span text)
{
    size_t len = 0;
    while (len < text.len && text.at[len] != ' ' && text.at[len] != '\t')
        len++;
    return dw_span_make(text.at, len);
}

size_t dw_realm_path(struct dw_span client, struct dw_span server, const struct dw_span *hops, size_t hop_count,
                     struct dw_span *path)
{
    size_t count = 0;
    if (dw_span_equal(client, server)) {
        path[count++] = client;
        return count;
    }
    if (!hops || hop_count == 0)
        return hierarchy(client, server, path);
    path[count++] = client;
    bool direct = hops[0].len > 0 && hops[0].at[0] == '.';
    for (size_t i = 0; i < hop_count && !direct; i++)
        path[count++] = first_word(hops[i]);
    path[count++] = server;
    return count;
}
