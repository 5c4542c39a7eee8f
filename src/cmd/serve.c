/* durward serve: the broker, in the foreground. */
#include "cmd/cmd.h"

#include "net/broker.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: durward serve -c CONFIG\n\n"
    "Runs the broker in the foreground.  Says 'durward: ready' on standard error when every listener is bound\n"
    "(and tells systemd).  SIGHUP reads configuration and policy anew; SIGTERM drains and ends, a second one\n"
    "ends at once.\n\n"
    "  -c CONFIG   the configuration, a Lua file ('durward check -c CONFIG' finds its mistakes)\n\n"
    "exit: 0 ended by a signal, 1 a configuration or policy that cannot be served, 2 usage\n";

int dw_cmd_serve(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(help, stdout);
        return 0;
    }
    if (argc == 3 && (!strcmp(argv[1], "-c") || !strcmp(argv[1], "--config")))
        return dw_broker_run(argv[2]);
    if (argc > 1 && strcmp(argv[1], "-c") && strcmp(argv[1], "--config"))
        fprintf(stderr, "durward serve: unknown argument '%s'\n\n", argv[1]);
    else
        fprintf(stderr, "durward serve: -c CONFIG is needed\n\n");
    fputs(help, stderr);
    return 2;
}
