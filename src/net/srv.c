/* SRV records, asked while the caller waits; see srv.h. */
#include "net/srv.h"

#include "net/dns.h"

#include <stdio.h>
#include <string.h>

static void resolved(void *arg, struct dw_answer *answer)
{
    struct dw_answer *into = arg;
    *into = *answer;
    *answer = (struct dw_answer){0};
}

static int ask(const char *name, char *const *servers, struct dw_answer *answer, struct dw_error *err)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) < 0)
        return dw_error_set(err, DW_ERROR_INTERNAL, "no loop for the DNS");
    struct dw_dns *retired = NULL, *dns = dw_dns_new(&loop, servers, err);
    int rc = dns ? 0 : -1;
    if (dns) {
        dw_dns_ask(dns, DW_WANT_SRV, name, resolved, answer);
        dw_dns_retire(&dns, &retired);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&loop);
    return rc;
}

static int of_json(struct dw_srv *srv, json_t *record)
{
    const char *target = NULL;
    *srv = (struct dw_srv){0};
    if (json_unpack(record, "{s:s, s:i, s:i, s:i}", "target", &target, "port", &srv->port, "priority",
                    &srv->priority, "weight", &srv->weight) < 0 ||
        strlen(target) >= sizeof srv->target)
        return -1;
    snprintf(srv->target, sizeof srv->target, "%s", target);
    size_t len = strlen(srv->target);
    if (len > 0 && srv->target[len - 1] == '.')
        srv->target[len - 1] = '\0';
    return 0;
}

int dw_srv_find(const char *name, char *const *servers, struct dw_srv list[DW_SRV_MOST], struct dw_error *err)
{
    struct dw_answer answer = {0};
    json_t *record;
    size_t i;
    int count = 0;
    if (ask(name, servers, &answer, err) < 0) {
        count = -1;
    } else if (!answer.value) {
        bool is_none = answer.failed && !strncmp(answer.failed, "no ", 3) && !strstr(answer.failed, "server");
        if (!is_none)
            count = dw_error_set(err, DW_ERROR_TEMPORARY, "%s: %s", name,
                                 answer.failed ? answer.failed : "out of memory");
    } else {
        json_array_foreach(answer.value, i, record)
        {
            if (count < DW_SRV_MOST && of_json(&list[count], record) == 0)
                count++;
        }
    }
    dw_answer_clear(&answer);
    return count;
}
