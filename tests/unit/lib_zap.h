/* What tests of libdurward stand on: a folder with a configuration and a policy, and a socket that asks ZAP's
 * questions itself.
 *
 * The policy goes by the domain: open and slow (which waits) and groups (which looks the system's up) let in alice,
 * shut denies bob, later is temporary, broken is an error of the script, endless waits for an hour. */
#ifndef DW_TESTS_LIB_ZAP_H
#define DW_TESTS_LIB_ZAP_H

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

static char lib_folder[64];

static const char lib_policy[] =
    "local durward = require('durward')\n"
    "local users = { open = 'alice', slow = 'alice', groups = 'alice', shut = 'bob', later = 'carol',\n"
    "  broken = 'dave', endless = 'alice' }\n"
    "return {\n"
    "  map = function(event) return users[event.domain], 'nobody' end,\n"
    "  authorize = function(event)\n"
    "    if event.domain == 'slow' then durward.await.sleep(0.2)\n"
    "    elseif event.domain == 'groups' then durward.await.groups('root')\n"
    "    elseif event.domain == 'endless' then durward.await.sleep(3600)\n"
    "    elseif event.domain == 'broken' then error('broken')\n"
    "    elseif event.user == 'bob' then return durward.deny({ reason = 'out' })\n"
    "    elseif event.user == 'carol' then return durward.temporary({ reason = 'later' }) end\n"
    "    return durward.allow()\n"
    "  end,\n"
    "}\n";

/* Good until the next but one. */
static inline const char *lib_path(const char *name)
{
    static char paths[2][PATH_MAX];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", lib_folder, name);
    return paths[turn];
}

static inline void lib_write(const char *name, const char *text)
{
    FILE *file = fopen(lib_path(name), "w");
    if (file) {
        fputs(text, file);
        fclose(file);
    }
}

/* A configuration with the policy, and more. */
static inline void lib_configure(const char *more)
{
    char text[512];
    snprintf(text, sizeof text, "return { policy = 'policy.lua', log = { level = 'error' }, %s }\n", more);
    unlink(lib_path("journal.jsonl"));
    lib_write("policy.lua", lib_policy);
    lib_write("durward.lua", text);
}

static inline void lib_begin(void)
{
    const char *folder = getenv("TMPDIR");
    snprintf(lib_folder, sizeof lib_folder, "%.40s/durward-lib-XXXXXX", folder ? folder : "/tmp");
    if (!mkdtemp(lib_folder))
        abort();
    lib_write("policy.lua", lib_policy);
}

static inline void lib_end(void)
{
    DIR *dir = opendir(lib_folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (*e->d_name != '.')
            unlink(lib_path(e->d_name));
    if (dir)
        closedir(dir);
    rmdir(lib_folder);
}

/* Lines of a file that have this in them. */
static inline int lib_count(const char *name, const char *text)
{
    static char line[65536];
    int count = 0;
    FILE *file = fopen(lib_path(name), "r");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, text) != NULL;
    if (file)
        fclose(file);
    return count;
}

static inline int lib_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static inline void *lib_asker(void *context)
{
    int none = 0, patience = 60000;
    void *asker = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(asker, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(asker, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(asker, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(asker, ZMQ_RCVTIMEO, &patience, sizeof patience);
    if (zmq_connect(asker, "inproc://zeromq.zap.01") < 0)
        printf("nobody is bound to inproc://zeromq.zap.01\n");
    return asker;
}

static inline void lib_send_all(void *asker, const char *first, va_list more)
{
    for (const char *frame = first, *next; frame; frame = next) {
        next = va_arg(more, const char *);
        zmq_send(asker, frame, strlen(frame), next ? ZMQ_SNDMORE : 0);
    }
}

/* Frames, from the delimiter on; NULL ends them. */
static inline void lib_send(void *asker, const char *first, ...)
{
    va_list more;
    va_start(more, first);
    lib_send_all(asker, first, more);
    va_end(more);
}

/* "id status text user", and the metadata in hexadecimal when there is any; NULL when nothing came. */
static inline const char *lib_reply(void *asker)
{
    static char text[512];
    size_t at = 0;
    int more = 1, number = 0;
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, asker, 0) < 0)
            return NULL;
        const unsigned char *body = zmq_msg_data(&frame);
        int size = (int)zmq_msg_size(&frame);
        if (number >= 2 && number <= 5)
            at +=
                (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", number > 2 ? " " : "", size, (char *)body);
        for (int i = 0; number == 6 && i < size && at + 4 < sizeof text; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%02x", i ? "" : " ", body[i]);
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
        number++;
    }
    return number == 7 ? text : "not a reply";
}

static inline const char *lib_ask_frames(void *asker, const char *first, ...)
{
    va_list more;
    va_start(more, first);
    lib_send_all(asker, first, more);
    va_end(more);
    return lib_reply(asker);
}

/* By NULL. */
static inline const char *lib_ask(void *asker, const char *id, const char *domain)
{
    return lib_ask_frames(asker, "", "1.0", id, domain, "127.0.0.1", "", "NULL", NULL);
}

#endif
