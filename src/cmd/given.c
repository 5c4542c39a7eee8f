/* What commands are given: see given.h. */
#include "cmd/given.h"

int dw_given_wrong(const char *command, const char *format, const char *word, const char *nearest)
{
    fprintf(stderr, "durward %s: ", command);
    fprintf(stderr, format, word);
    if (nearest)
        fprintf(stderr, ", did you mean '%s'?", nearest);
    fputc('\n', stderr);
    return -1;
}

struct dw_config *dw_given_config(const char *command, const char *path)
{
    struct dw_buf findings = {0};
    struct dw_config *config = dw_config_load(path, &findings);
    struct dw_span told = dw_buf_span(&findings);
    if (!config) {
        fwrite(told.at, 1, told.len, stderr);
        dw_given_wrong(command, "%s has mistakes", path, NULL);
    }
    dw_buf_free(&findings);
    return config;
}

int dw_given_list(const char *command, const char *what, char *const *items, const char **list, size_t *count,
                  size_t most)
{
    for (; items && *items; items++) {
        if (*count == most)
            return dw_given_wrong(command, "too many %s", what, NULL);
        list[(*count)++] = *items;
    }
    list[*count] = NULL;
    return 0;
}
