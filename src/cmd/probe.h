/* The protocols that `durward probe` knows, one file each. */
#ifndef DW_CMD_PROBE_H
#define DW_CMD_PROBE_H

/* argv[0] is the protocol's name, argv[1] the URL, then options.  The process's exit code; 2 after a usage
 * error that has been told. */
int dw_probe_zmtp(int argc, char **argv);
/* The same login, of somebody whom the server's ZAP handler refuses: 0 when the server keeps them out, 1 when it lets them
 * in all the same, 4 when it cannot be told. */
int dw_probe_zap(int argc, char **argv);

/* argv[1] is the domain, or its URL. */
int dw_probe_xmpp(int argc, char **argv);

#endif
