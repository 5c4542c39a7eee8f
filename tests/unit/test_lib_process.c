/* libdurward in its process: the log, threads, fork, and what it leaves as it was. */
#include "check.h"
#include "lib_zap.h"

#include <durward.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

static struct durward_error error;

static struct durward_zap *start(void *context)
{
    struct durward_zap *zap = durward_zap_start(context, lib_path("durward.lua"), &error);
    if (!CHECK(zap != NULL))
        printf("    %d: %s\n", error.code, error.message);
    return zap;
}

static struct durward_zap_statistics figures(struct durward_zap *zap)
{
    struct durward_zap_statistics s;
    CHECK_INT(durward_zap_statistics(zap, &s, sizeof s), 0);
    return s;
}

static _Atomic int told, told_wrong;

static void hear(int level, const char *text, void *arg)
{
    if (strchr(text, '\n') || level < DURWARD_LOG_DEBUG || level > DURWARD_LOG_ERROR || arg != &told)
        told_wrong++;
    if ((level == DURWARD_LOG_WARN && !strncmp(text, "denied id=", 10) && strstr(text, "user=bob")) ||
        (level == DURWARD_LOG_INFO && !strncmp(text, "listener not opened", 19) && strstr(text, "durward.lua:")) ||
        (level == DURWARD_LOG_INFO && !strcmp(text, "the configuration says")))
        told++;
}

static void test_log(void)
{
    lib_write("durward.lua",
              "print('the configuration says')\n"
              "return { policy = 'policy.lua', zap = { { name = 'z', listen = 'ipc://zap.sock' } } }\n");
    void *context = zmq_ctx_new();
    durward_log(hear, &told);
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    CHECK_STR(lib_ask(asker, "1", "shut"), "1 400 access denied ");
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
    durward_log(NULL, NULL);
    CHECK_INT(told, 3);
    CHECK_INT(told_wrong, 0);
    CHECK(access(lib_path("zap.sock"), F_OK) < 0);
}

/* Threads that start, reload, look and ask at the same time. */
static _Atomic int unloaded;

static void *reload_on_and_on(void *arg)
{
    for (int i = 0; i < 20; i++) {
        struct durward_zap_statistics s;
        unloaded += durward_zap_reload(arg, NULL) < 0;
        unloaded += durward_zap_statistics(arg, &s, sizeof s) < 0;
    }
    return NULL;
}

static void test_threads(void)
{
    lib_configure("");
    pthread_t threads[3];
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, reload_on_and_on, zap);
    for (int i = 0; i < 300; i++)
        CHECK_STR(lib_ask(asker, "1", i % 50 ? "open" : "slow"), "1 200 OK alice");
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(unloaded, 0);
    CHECK_INT(figures(zap).reloads, 60);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

static void test_fork(void)
{
    lib_configure("");
    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct durward_zap_statistics s;
        struct durward_error why;
        int wrong = durward_zap_reload(zap, &why) != -1 || why.code != DURWARD_ERROR_USE;
        wrong |= durward_zap_statistics(zap, &s, sizeof s) != -1;
        wrong |= durward_zap_start(context, lib_path("durward.lua"), &why) != NULL || why.code != DURWARD_ERROR_USE;
        durward_zap_stop(&zap);
        _exit(wrong || zap);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STR(lib_ask(asker, "1", "open"), "1 200 OK alice");
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
#ifndef __SANITIZE_THREAD__ /* which does not follow threads into a child */
    /* None of the parent's is left. */
    fflush(stdout);
    child = fork();
    if (child == 0) {
        void *own = zmq_ctx_new();
        int before = check_failed;
        zap = start(own);
        asker = lib_asker(own);
        CHECK_STR(lib_ask(asker, "1", "open"), "1 200 OK alice");
        zmq_close(asker);
        durward_zap_stop(&zap);
        zmq_ctx_term(own);
        fflush(stdout);
        _exit(check_failed != before);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

static pthread_t interrupted;
static _Atomic int interruptions;

static void interrupt_me(int number)
{
    (void)number;
    interruptions++;
    if (!pthread_equal(pthread_self(), interrupted))
        interruptions += 100;
}

/* Nothing of the process is other than it was. */
static void test_process(void)
{
    lib_configure("shadow = 'policy.lua'");
    bool is_ours[64] = {false};
    struct sigaction before[64], after, mine = {.sa_handler = interrupt_me};
    struct rlimit files_before, files_after;
    char here[PATH_MAX], there[PATH_MAX];
    sigset_t mask_before, mask_after;
    interrupted = pthread_self();
    sigaction(SIGUSR1, &mine, NULL);
    for (int i = 1; i < 64; i++)
        is_ours[i] = sigaction(i, NULL, &before[i]) == 0;
    getrlimit(RLIMIT_NOFILE, &files_before);
    pthread_sigmask(SIG_BLOCK, NULL, &mask_before);
    CHECK(getcwd(here, sizeof here) != NULL);
    mode_t mode = umask(077);
    umask(mode);
    char *language = strdup(setlocale(LC_ALL, NULL));
    char *pool = getenv("UV_THREADPOOL_SIZE");

    void *context = zmq_ctx_new();
    struct durward_zap *zap = start(context);
    void *asker = lib_asker(context);
    CHECK_STR(lib_ask(asker, "1", "slow"), "1 200 OK alice");
    CHECK_STR(lib_ask(asker, "2", "groups"), "2 200 OK alice");
    CHECK_INT(durward_zap_reload(zap, &error), 0);
    for (int i = 0; i < 20; i++) {
        kill(getpid(), SIGUSR1);
        usleep(1000);
    }
    CHECK_INT(interruptions, 20);

    for (int i = 1; i < 64; i++) {
        if (is_ours[i] && sigaction(i, NULL, &after) == 0 &&
            !CHECK(before[i].sa_handler == after.sa_handler && before[i].sa_flags == after.sa_flags))
            printf("    signal %d\n", i);
    }
    getrlimit(RLIMIT_NOFILE, &files_after);
    CHECK(files_before.rlim_cur == files_after.rlim_cur && files_before.rlim_max == files_after.rlim_max);
    pthread_sigmask(SIG_BLOCK, NULL, &mask_after);
    for (int i = 1; i < 64; i++)
        CHECK_INT(sigismember(&mask_before, i), sigismember(&mask_after, i));
    CHECK(getcwd(there, sizeof there) != NULL);
    CHECK_STR(there, here);
    mode_t mode_after = umask(mode);
    umask(mode);
    CHECK_INT(mode_after, mode);
    CHECK_STR(setlocale(LC_ALL, NULL), language);
    CHECK(getenv("UV_THREADPOOL_SIZE") == pool);
    free(language);
    zmq_close(asker);
    durward_zap_stop(&zap);
    zmq_ctx_term(context);
}

/* Started and stopped again and again, it leaves no descriptor behind. */
static void test_descriptors(void)
{
    lib_configure("journal = 'journal.jsonl', shadow = 'policy.lua'");
    int first = 0;
    for (int i = 0; i < 6; i++) {
        void *context = zmq_ctx_new();
        struct durward_zap *zap = start(context);
        durward_zap_stop(&zap);
        zmq_ctx_term(context);
        for (int j = 0; i > 1 && j < 500 && lib_descriptors() != first; j++)
            usleep(10000);
        if (i == 1)
            first = lib_descriptors();
        else if (i > 1)
            CHECK_INT(lib_descriptors(), first);
    }
}

int main(void)
{
    lib_begin();
    RUN(test_log);
    RUN(test_threads);
    RUN(test_fork);
    RUN(test_process);
    RUN(test_descriptors);
    lib_end();
    return check_done();
}
