/* durward.process: running programs, and the little of the system that Lua's libraries lack. */
#include "cmd/script.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static int fail(lua_State *L, const char *what)
{
    int code = errno;
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, strerror(code));
    return 2;
}

static int done(lua_State *L, int result, const char *what)
{
    if (result < 0)
        return fail(L, what);
    lua_pushboolean(L, 1);
    return 1;
}

static int process_guard(lua_State *L) /* from now on a signal is noted, not fatal: interrupted() tells */
{
    struct sigaction act = {.sa_handler = on_signal};
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &act, NULL);
    (void)L;
    return 0;
}

static int process_interrupted(lua_State *L)
{
    lua_pushboolean(L, interrupted != 0);
    return 1;
}

static int input_file(const char *text, size_t len)
{
    if (!text)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = memfd_create("input", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static pid_t start(char *const argv[], char *const env[], int in, int out, int *error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t restored;
    pid_t pid = -1;
    sigemptyset(&restored);
    sigaddset(&restored, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    posix_spawnattr_setsigdefault(&attributes, &restored);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    *error = posix_spawn(&pid, argv[0], &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return *error ? -1 : pid;
}

/* The strings of the list at `index`, borrowed from Lua, as a NULL-ended array that Lua owns too. */
static char **string_list(lua_State *L, int index)
{
    size_t count = (size_t)luaL_len(L, index);
    char **list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 0);
    for (size_t i = 0; i < count; i++) {
        lua_geti(L, index, (lua_Integer)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "a list of strings expected");
        list[i] = (char *)(uintptr_t)lua_tostring(L, -1); /* the table keeps it alive */
        lua_pop(L, 1);
    }
    list[count] = NULL;
    return list;
}

/* run({program, arguments..}, {"NAME=value", ..} or nil, input or nil) -> exit code, what it wrote to
 * stdout and stderr; or nil and why it could not be started.  A program ended by a signal: 128 + signal. */
static int process_run(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t len = 0;
    const char *input = luaL_optlstring(L, 3, NULL, &len);
    char **argv = string_list(L, 1);
    char **env = lua_istable(L, 2) ? string_list(L, 2) : environ;
    luaL_argcheck(L, argv[0], 1, "no program named");

    int pipes[2] = {-1, -1}, error = 0, status = 0;
    int in = input_file(input, len);
    if (in < 0 || pipe2(pipes, O_CLOEXEC) < 0) {
        error = errno;
        if (in >= 0)
            close(in);
        errno = error;
        return fail(L, argv[0]);
    }
    pid_t pid = start(argv, env, in, pipes[1], &error);
    close(in), close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        errno = error;
        return fail(L, argv[0]);
    }
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (;;) {
        char piece[1024];
        ssize_t got = read(pipes[0], piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        luaL_addlstring(&out, piece, (size_t)got);
    }
    close(pipes[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    luaL_pushresult(&out);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    lua_insert(L, -2);
    return 2;
}

static int process_which(lua_State *L) /* which(name, "dir:dir:..") -> path or nil */
{
    const char *name = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
    while (*path) {
        size_t len = strcspn(path, ":");
        if (len) {
            lua_pushlstring(L, path, len);
            lua_pushfstring(L, "%s/%s", lua_tostring(L, -1), name);
            if (!access(lua_tostring(L, -1), X_OK))
                return 1;
            lua_pop(L, 2);
        }
        path += len + (path[len] == ':');
    }
    lua_pushnil(L);
    return 1;
}

static int process_kill(lua_State *L) /* kill(pid [, signal]): signal 0 asks whether it lives */
{
    lua_Integer pid = luaL_checkinteger(L, 1), number = luaL_optinteger(L, 2, SIGTERM);
    luaL_argcheck(L, pid > 1 && pid <= INT32_MAX, 1, "not a process");
    return done(L, kill((pid_t)pid, (int)number), "kill");
}

static int process_sleep(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
    return 0;
}

static int bind_loopback(int type, in_port_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int process_free_port(lua_State *L) /* free on loopback for TCP and UDP alike, when it was asked */
{
    for (int attempt = 0; attempt < 50; attempt++) {
        struct sockaddr_in address;
        socklen_t len = sizeof address;
        int udp = -1, tcp = bind_loopback(SOCK_STREAM, 0);
        if (tcp >= 0 && !getsockname(tcp, (struct sockaddr *)&address, &len))
            udp = bind_loopback(SOCK_DGRAM, address.sin_port);
        if (tcp >= 0)
            close(tcp);
        if (udp < 0)
            continue;
        close(udp);
        lua_pushinteger(L, ntohs(address.sin_port));
        return 1;
    }
    return fail(L, "no free port on 127.0.0.1");
}

static int process_mkdir(lua_State *L) /* mode 0700 */
{
    const char *path = luaL_checkstring(L, 1);
    return done(L, mkdir(path, 0700), path);
}

static int process_chmod(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return done(L, chmod(path, (mode_t)luaL_checkinteger(L, 2)), path);
}

static int process_realpath(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char *real = realpath(path, NULL);
    if (!real)
        return fail(L, path);
    lua_pushstring(L, real);
    free(real);
    return 1;
}

static int process_stat(lua_State *L) /* the link itself: { type=, mode=, mine= } or nil and why */
{
    const char *path = luaL_checkstring(L, 1);
    struct stat st;
    if (lstat(path, &st) < 0)
        return fail(L, path);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, S_ISDIR(st.st_mode) ? "directory" : S_ISREG(st.st_mode) ? "file" : "other");
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, st.st_mode & 07777);
    lua_setfield(L, -2, "mode");
    lua_pushboolean(L, st.st_uid == geteuid());
    lua_setfield(L, -2, "mine");
    return 1;
}

static int process_rmdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    return done(L, rmdir(path), path);
}

static int process_lock(lua_State *L) /* waits for the file's lock and holds it until this process ends */
{
    const char *path = luaL_checkstring(L, 1);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(L, path);
    if (flock(fd, LOCK_EX) < 0) {
        int code = errno;
        close(fd);
        errno = code;
        return fail(L, path);
    }
    lua_pushinteger(L, fd);
    return 1;
}

static int process_uid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)geteuid());
    return 1;
}

static int process_hostname(lua_State *L) /* in lower case, as service names have it */
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0)
        return fail(L, "hostname");
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    lua_pushstring(L, name);
    return 1;
}

static int process_environ(lua_State *L) /* { NAME = value } */
{
    lua_newtable(L);
    for (char **entry = environ; *entry; entry++) {
        const char *sign = strchr(*entry, '=');
        if (!sign)
            continue;
        lua_pushlstring(L, *entry, (size_t)(sign - *entry));
        lua_pushstring(L, sign + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

int dw_open_process(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"run", process_run},
        {"which", process_which},
        {"kill", process_kill},
        {"sleep", process_sleep},
        {"free_port", process_free_port},
        {"mkdir", process_mkdir},
        {"chmod", process_chmod},
        {"realpath", process_realpath},
        {"stat", process_stat},
        {"rmdir", process_rmdir},
        {"lock", process_lock},
        {"uid", process_uid},
        {"hostname", process_hostname},
        {"environ", process_environ},
        {"guard", process_guard},
        {"interrupted", process_interrupted},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
