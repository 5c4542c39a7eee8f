/* The groups of a user: see groups.h. */
#include "net/groups.h"

#include "auth/journal.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_LEAST = 1024, RECORD_MOST = 1 << 22, GROUPS_MOST = 65536 };

/* The user's own group; 0 with errno 0: there is no such user. */
static bool find_user(const char *user, gid_t *gid, int *error)
{
    struct passwd entry, *found = NULL;
    for (size_t size = RECORD_LEAST; size <= RECORD_MOST; size *= 4) {
        char *room = malloc(size);
        *error = room ? getpwnam_r(user, &entry, room, size, &found) : ENOMEM;
        *gid = found ? entry.pw_gid : 0;
        free(room);
        if (*error != ERANGE)
            break;
    }
    return found != NULL;
}

static json_t *name_of(gid_t gid)
{
    struct group entry, *found = NULL;
    json_t *name = NULL;
    for (size_t size = RECORD_LEAST; size <= RECORD_MOST; size *= 4) {
        char *room = malloc(size);
        int error = room ? getgrgid_r(gid, &entry, room, size, &found) : ENOMEM;
        if (found)
            name = dw_text_to_json(dw_span_str(entry.gr_name));
        free(room);
        if (error != ERANGE)
            break;
    }
    char number[24];
    snprintf(number, sizeof number, "%lu", (unsigned long)gid);
    return name ? name : json_string(number);
}

void dw_groups_of(const char *user, struct dw_answer *answer)
{
    gid_t own, *list = NULL;
    int error = 0, count = 64, rc = -1;
    if (!find_user(user, &own, &error)) {
        /* What getpwnam(3) gives for "not found" differs between sources. */
        answer->is_fatal = error != 0 && error != ENOENT && error != ESRCH;
        if (answer->is_fatal)
            dw_answer_fail(answer, "user '%s': %s", user, strerror(error));
        else
            dw_answer_fail(answer, "the system knows no user '%s'", user);
        return;
    }
    while (rc < 0 && count <= GROUPS_MOST) {
        int room = count;
        gid_t *more = reallocarray(list, (size_t)room, sizeof *list);
        if (!more)
            break;
        list = more;
        rc = getgrouplist(user, own, list, &count);
        if (rc < 0 && count <= room)
            count = room * 2;
    }
    if (rc < 0) {
        dw_answer_fail(answer, "the groups of '%s': out of memory", user);
        answer->is_fatal = true;
    } else {
        answer->value = json_array();
        for (int i = 0; i < count; i++)
            json_array_append_new(answer->value, name_of(list[i]));
    }
    free(list);
}
