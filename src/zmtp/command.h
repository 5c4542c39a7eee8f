/* Commands and their properties (RFC 23), in the form that libzmq speaks (a length octet before the name)
 * and in the literal form of the GSSAPI draft (8 octets, padded with spaces). */
#ifndef DW_ZMTP_COMMAND_H
#define DW_ZMTP_COMMAND_H

#include "auth/event.h"
#include "base/buf.h"
#include "base/error.h"

enum dw_dialect { DW_DIALECT_LIBZMQ, DW_DIALECT_DRAFT };

/* Splits a command's body into name and the rest.  -1 with `err` told when it has no name. */
int dw_command_parse(enum dw_dialect dialect, struct dw_span command, struct dw_span *name, struct dw_span *rest,
                     struct dw_error *err);
/* Appends a name in its dialect; dw_command_name_size octets. */
int dw_command_name(struct dw_buf *out, enum dw_dialect dialect, const char *name);
size_t dw_command_name_size(enum dw_dialect dialect, const char *name);

/* INITIATE's and MESSAGE's payload: a 4-octet size and just that many octets. */
int dw_command_token(struct dw_span rest, struct dw_span *token, struct dw_error *err);

/* Walks properties: a length octet, a name, a 4-octet size, a value. */
struct dw_properties {
    struct dw_reader reader;
};
struct dw_properties dw_properties_make(struct dw_span meta);
bool dw_properties_next(struct dw_properties *walk, struct dw_pair *property);
/* Every property whole, named with 1 to 255 permitted octets, no name twice (names differ by more than
 * case), and at most 64 of them.  -1 with `err` told. */
int dw_properties_check(struct dw_span meta, struct dw_error *err);
/* The value of the property of that name (compared without case); an absent span when there is none. */
struct dw_span dw_properties_find(struct dw_span meta, const char *name);
int dw_property_put(struct dw_buf *out, struct dw_span name, struct dw_span value);

/* Whether RFC 23 lets two socket types talk. */
bool dw_socket_types_match(struct dw_span a, struct dw_span b);
bool dw_socket_type_is(struct dw_span type, const char *name);
bool dw_socket_type_known(struct dw_span type);

#endif
