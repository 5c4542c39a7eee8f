/* The Lua modules that were embedded at build time (cmake/embed.cmake). */
#ifndef DW_BASE_EMBED_H
#define DW_BASE_EMBED_H

#include <stddef.h>

struct dw_lua_file {
    const char *module; /* "durward.rule"; NULL ends the table */
    const char *path; /* "durward/rule.lua", for messages */
    const unsigned char *text;
    size_t len;
};

extern const struct dw_lua_file dw_lua_files[];

#endif
