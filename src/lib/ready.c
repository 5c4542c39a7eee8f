/* What a handler answers with: see ready.h. */
#include "lib/ready.h"

static int tell(struct dw_buf *findings, const char *where, const char *what)
{
    dw_buf_printf(findings, "%s%s%s", where ? where : "", where ? ": " : "", what);
    return -1;
}

/* What would be given silently less than it says is refused; what is merely for others is told of. */
static int check(const struct dw_config *config, struct dw_buf *findings)
{
    if (config->test_on_reload)
        return tell(findings, dw_config_where(config, NULL, "test_on_reload"),
                    "test_on_reload is for 'durward serve': a handler in process starts no other process; "
                    "run 'durward test' before a reload");
    return 0;
}

static void mention_listeners(const struct dw_config *config)
{
    for (size_t i = 0; i < config->listener_count; i++)
        dw_log(DW_LOG_INFO, "listener not opened: this handler answers in process", "listener",
               config->listeners[i].name, "at", dw_config_where(config, &config->listeners[i], "listen"), NULL);
}

int dw_ready_make(struct dw_ready *ready, const char *config_path, struct dw_archive *archive,
                  struct dw_buf *findings)
{
    struct dw_error err = {0};
    struct dw_host *host = NULL;
    struct dw_config *config = dw_config_load(config_path, findings);
    if (!config) {
        size_t len = dw_buf_len(findings);
        if (len > 0 && findings->at[findings->head + len - 1] == '\n')
            dw_buf_cut(findings, len - 1);
        return len > 0 ? -1 : tell(findings, NULL, "out of memory");
    }
    if (check(config, findings) < 0) {
        dw_config_release(&config);
        return -1;
    }
    if (!(ready->settings = dw_settings_new(config, archive, &err)) || !(host = dw_office_host(config, &err)))
        goto fail;
    if (!(ready->office = dw_office_new(host))) {
        dw_host_free(&host);
        dw_error_set(&err, DW_ERROR_INTERNAL, "out of memory");
        goto fail;
    }
    dw_log_threshold(config->log_level);
    mention_listeners(config);
    return 0;

fail:
    dw_ready_clear(ready);
    return tell(findings, NULL, err.detail);
}

void dw_ready_clear(struct dw_ready *ready)
{
    if (ready->office)
        dw_office_retire(ready->office);
    ready->office = NULL;
    dw_settings_release(&ready->settings);
}
