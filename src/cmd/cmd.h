/* The commands of the one binary: each a thin file of its own.  argv[0] is the command's name; the
 * result is the process's exit code (0 fine, 2 usage, others as each command says). */
#ifndef DW_CMD_CMD_H
#define DW_CMD_CMD_H

struct dw_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
};

int dw_cmd_check(int argc, char **argv);
int dw_cmd_explain(int argc, char **argv);
int dw_cmd_lab(int argc, char **argv);
int dw_cmd_lua(int argc, char **argv);
int dw_cmd_probe(int argc, char **argv);
int dw_cmd_replay(int argc, char **argv);
int dw_cmd_serve(int argc, char **argv);
int dw_cmd_spn(int argc, char **argv);
int dw_cmd_status(int argc, char **argv);
int dw_cmd_test(int argc, char **argv);
int dw_cmd_version(int argc, char **argv);

#endif
