/* The Lua state that a configuration runs in: it lives for one dw_config_load.
 *
 * It holds the embedded modules and Lua's own libraries, for the schema's use; what the configuration
 * itself reaches of them lua/durward/config/run.lua says.  Memory and instructions are bounded.  The
 * `door` is the table of what the modules need of C: files, addresses, groups, words. */
#ifndef DW_CONFIG_STATE_H
#define DW_CONFIG_STATE_H

#include "config/config.h"

#include <lua.h>

struct dw_config_state {
    lua_State *L;
    size_t held; /* octets of the state */
    struct dw_address scratch; /* the last address parsed: Lua may raise an error while it is looked at */
    const char *folder; /* borrowed; absolute */
    int error_file, error_line; /* where the configuration's own code raised the last error; 0: unknown */
};

/* 0, or -1 when memory is out.  `state` must not move before dw_config_state_close. */
int dw_config_state_open(struct dw_config_state *state, const char *folder);
void dw_config_state_close(struct dw_config_state *state);

/* In protected mode: opens libraries and modules. */
void dw_config_state_libraries(lua_State *L);
/* In protected mode: pushes the door. */
void dw_config_state_door(lua_State *L);

/* Reads a whole file, up to 4 MiB.  0, or -1 with `err` told ("No such file or directory"). */
int dw_config_read(const char *path, struct dw_buf *text, struct dw_error *err);

/* In protected mode: fills `config` from the checked table at the top of the stack. */
void dw_config_build(lua_State *L, struct dw_config *config, const char *folder);

#endif
