/* Lines typed at a terminal: see typed.h. */
#include "cmd/typed.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef DURWARD_LIBEDIT
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <sys/stat.h>

enum { HISTORY_MOST = 1000 };
#endif

struct dw_typed {
    char *line;
    size_t room;
#ifdef DURWARD_LIBEDIT
    EditLine *edit; /* NULL: plain lines */
    History *history;
    char *path; /* NULL: nothing outlives us */
    locale_t locale; /* of the terminal; the process itself stays in "C" */
    const char *prompt;
#endif
};

#ifdef DURWARD_LIBEDIT

static char *prompt_of(EditLine *edit)
{
    static char none[] = "";
    struct dw_typed *typed = NULL;
    el_get(edit, EL_CLIENTDATA, &typed);
    return typed && typed->prompt ? (char *)(uintptr_t)typed->prompt : none;
}

/* Makes every folder of the path that is missing. */
static void make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
}

static char *history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int made = -1;
    if (state && *state == '/')
        made = asprintf(&path, "%s/durward/lua_history", state);
    else if (home && *home == '/')
        made = asprintf(&path, "%s/.local/state/durward/lua_history", home);
    return made < 0 ? NULL : path;
}

static void load_history(struct dw_typed *typed)
{
    HistEvent event;
    if (!(typed->history = history_init()))
        return;
    history(typed->history, &event, H_SETSIZE, HISTORY_MOST);
    history(typed->history, &event, H_SETUNIQUE, 1);
    if ((typed->path = history_path()))
        history(typed->history, &event, H_LOAD, typed->path);
    el_set(typed->edit, EL_HIST, history, typed->history);
}

/* At each line, since a script may end the process at any. */
static void keep(struct dw_typed *typed, const char *line)
{
    HistEvent event;
    if (!typed->history || *line == ' ' || line[strspn(line, " \t\n")] == '\0')
        return;
    history(typed->history, &event, H_ENTER, line);
    if (!typed->path)
        return;
    make_folders(typed->path);
    int fd = open(typed->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file) {
        fchmod(fd, 0600);
        history(typed->history, &event, H_SAVE_FP, file);
        fclose(file);
    } else if (fd >= 0) {
        close(fd);
    }
}

static void open_editor(struct dw_typed *typed)
{
    const char *terminal = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !terminal || !*terminal || !strcmp(terminal, "dumb"))
        return;
    typed->locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    locale_t before = typed->locale ? uselocale(typed->locale) : (locale_t)0;
    typed->edit = el_init("durward", stdin, stdout, stderr);
    if (typed->edit) {
        el_set(typed->edit, EL_CLIENTDATA, typed);
        el_set(typed->edit, EL_PROMPT, prompt_of);
        el_set(typed->edit, EL_EDITOR, "emacs");
        el_set(typed->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
        /* A Ctrl-D that came before the terminal was set for editing arrives as a NUL. */
        el_set(typed->edit, EL_BIND, "^@", "em-delete-or-list", NULL);
        load_history(typed);
        el_source(typed->edit, NULL);
    }
    if (before)
        uselocale(before);
}

static void close_editor(struct dw_typed *typed)
{
    if (typed->edit)
        el_end(typed->edit);
    if (typed->history)
        history_end(typed->history);
    if (typed->locale)
        freelocale(typed->locale);
    free(typed->path);
}

static enum dw_typed_end edited_line(struct dw_typed *typed, const char **line)
{
    int count = 0;
    locale_t before = typed->locale ? uselocale(typed->locale) : (locale_t)0;
    el_resize(typed->edit);
    errno = 0;
    *line = el_gets(typed->edit, &count);
    bool interrupted = errno == EINTR;
    if (*line && count > 0)
        keep(typed, *line);
    if (before)
        uselocale(before);
    if (*line && count > 0)
        return DW_TYPED_LINE;
    return interrupted ? DW_TYPED_INTERRUPTED : DW_TYPED_END;
}

#endif

struct dw_typed *dw_typed_open(void)
{
    struct dw_typed *typed = calloc(1, sizeof *typed);
#ifdef DURWARD_LIBEDIT
    if (typed)
        open_editor(typed);
#endif
    return typed;
}

void dw_typed_free(struct dw_typed **typed)
{
    if (!*typed)
        return;
#ifdef DURWARD_LIBEDIT
    close_editor(*typed);
#endif
    free((*typed)->line);
    free(*typed);
    *typed = NULL;
}

static enum dw_typed_end plain_line(struct dw_typed *typed, const char *prompt, const char **line)
{
    fputs(prompt, stdout);
    fflush(stdout);
    errno = 0;
    ssize_t len = getline(&typed->line, &typed->room, stdin);
    *line = typed->line;
    if (len >= 0)
        return DW_TYPED_LINE;
    if (errno != EINTR)
        return DW_TYPED_END;
    clearerr(stdin);
    return DW_TYPED_INTERRUPTED;
}

enum dw_typed_end dw_typed_line(struct dw_typed *typed, const char *prompt, const char **line)
{
#ifdef DURWARD_LIBEDIT
    if (typed->edit) {
        typed->prompt = prompt;
        return edited_line(typed, line);
    }
#endif
    return plain_line(typed, prompt, line);
}
