/* durward check: finds mistakes in a configuration or in policies before they run. */
#include "cmd/check.h"
#include "cmd/cmd.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *out)
{
    fputs("usage: durward check -c CONFIG\n"
          "       durward check POLICY...\n\n"
          "Finds mistakes before they run, each told as file:line: message.  Of a configuration it checks\n"
          "every key, and what it names: policies load, keytabs hold the listeners' keys and are nobody\n"
          "else's to read, folders are there and writable.  No port is opened, no KDC is asked.\n\n"
          "  -c, --config CONFIG   a configuration, as for 'durward serve'\n"
          "  -h, --help            this text\n\n"
          "A line that says 'warning:' tells of a risk that may have been chosen, such as a backend on\n"
          "another machine.\n\n"
          "exit code: 0 clean, or warnings only; 1 findings; 2 usage\n",
          out);
    return out == stdout ? 0 : 2;
}

void dw_check_tell(struct dw_check *check, enum dw_check_weight weight, const char *where, const char *format, ...)
{
    char message[1024];
    struct dw_buf line = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (weight == DW_CHECK_WARNING)
        check->warnings++;
    else
        check->findings++;
    if (dw_buf_printf(&line, "%s: %s%s\n", where, weight == DW_CHECK_WARNING ? "warning: " : "", message) < 0) {
        printf("%s: %s\n", where, message);
        return;
    }
    struct dw_span told = dw_buf_span(&check->told), now = dw_buf_span(&line);
    if (!memmem(told.at, told.len, now.at, now.len)) {
        fwrite(now.at, 1, now.len, stdout);
        dw_buf_put(&check->told, now);
    }
    dw_buf_free(&line);
}

static void check_configuration(struct dw_check *check, const char *path)
{
    struct dw_buf findings = {0};
    struct dw_config *config = dw_config_load_sound(path, &findings);
    struct dw_span told = dw_buf_span(&findings);
    bool is_sound = told.len == 0;
    fwrite(told.at, 1, told.len, stdout);
    dw_buf_free(&findings);
    if (!is_sound || !config)
        check->findings++;
    if (!config)
        return;
    const char *where = dw_config_where(config, NULL, "");
    dw_check_trust(check, where, "configuration", config->file);
    if (is_sound && !config->listener_count)
        dw_check_tell(check, DW_CHECK_WARNING, where, "no listener is configured: there is nothing to serve");
    if (is_sound && !config->policies)
        dw_check_tell(check, DW_CHECK_WARNING, where, "no policy is configured: nobody passes");
    for (size_t i = 0; config->policies && config->policies[i]; i++) {
        char key[32];
        snprintf(key, sizeof key, "policy[%zu]", i + 1);
        dw_check_policy(check, config->policies[i], dw_config_where(config, NULL, key),
                        (const char *const *)config->refuse_users);
    }
    for (size_t i = 0; config->shadows && config->shadows[i]; i++) {
        char key[32];
        snprintf(key, sizeof key, "shadow[%zu]", i + 1);
        dw_check_policy(check, config->shadows[i], dw_config_where(config, NULL, key),
                        (const char *const *)config->refuse_users);
    }
    dw_check_world(check, config);
    dw_config_release(&config);
}

int dw_cmd_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    static const char *const refuse_unless_told[] = {"root", NULL}; /* as the configuration has it */
    struct dw_check check = {0};
    const char *config = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'h')
            return usage(stdout);
        if (option != 'c' || config)
            return usage(stderr);
        config = optarg;
    }
    if (!config == (optind == argc))
        return usage(stderr);
    if (config)
        check_configuration(&check, config);
    for (; optind < argc; optind++)
        dw_check_policy(&check, argv[optind], NULL, refuse_unless_told);
    dw_buf_free(&check.told);
    if (fflush(stdout) != 0)
        return 1;
    return check.findings ? 1 : 0;
}
