/* durward status: what a running broker counts. */
#include "cmd/cmd.h"

#include "config/config.h"
#include "net/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "usage: durward status [-c CONFIG]\n\n"
                           "Asks the running broker over the control socket in its state_dir (that of CONFIG, or\n"
                           "/var/lib/durward) and prints what it counts, as JSON.\n\n"
                           "exit: 0 it answered, 1 it did not, 2 usage\n";

static char *state_dir_of(const char *path)
{
    struct dw_buf findings = {0};
    struct dw_config *config = dw_config_load(path, &findings);
    struct dw_span text = dw_buf_span(&findings);
    char *dir = config ? strdup(config->state_dir) : NULL;
    if (!config)
        fprintf(stderr, "%.*s", (int)text.len, (const char *)text.at);
    dw_buf_free(&findings);
    dw_config_release(&config);
    return dir;
}

int dw_cmd_status(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    bool named = argc == 3 && (!strcmp(argv[1], "-c") || !strcmp(argv[1], "--config"));
    if (argc != 1 && !named) {
        fprintf(stderr, "durward status: unknown argument '%s'\n\n%s", argv[1], help);
        return 2;
    }
    char *dir = named ? state_dir_of(argv[2]) : strdup("/var/lib/durward");
    if (!dir)
        return 1;
    struct dw_error err = {0};
    json_t *all = dw_control_ask(dir, &err);
    free(dir);
    if (!all) {
        fprintf(stderr, "durward: %s\n", err.detail);
        return 1;
    }
    int rc = json_dumpf(all, stdout, JSON_INDENT(2)) < 0;
    putchar('\n');
    json_decref(all);
    return rc;
}
