/* What libkrb5 exports and its own GSSAPI library uses, but no header of it declares: replay caches by name, and the
 * attributes that it verified in a ticket.  As MIT's krb5 has had them since 1.18 and 1.8, under the symbol version
 * krb5_3_MIT.
 *
 * Internal to this room. */
#ifndef DW_GSS_LIBRARY_H
#define DW_GSS_LIBRARY_H

#include <krb5.h>

/* A cache by type and name, as "file2:/run/x"; nothing is opened yet. */
krb5_error_code k5_rc_resolve(krb5_context krb5, const char *name, krb5_rcache *rcache);
void k5_rc_close(krb5_context krb5, krb5_rcache rcache);
/* Takes down a request by its authenticator; KRB5KRB_AP_ERR_REPEAT when it stands there. */
krb5_error_code k5_rc_store(krb5_context krb5, krb5_rcache rcache, const krb5_enc_data *authenticator);

typedef struct _krb5_authdata_context *krb5_authdata_context;

/* Borrowed from `auth`, once krb5_rd_req has read a request. */
krb5_error_code krb5_auth_con_get_authdata_context(krb5_context krb5, krb5_auth_context auth,
                                                   krb5_authdata_context *attributes);
/* The names, up to one without data; the caller's to krb5int_free_data_list. */
krb5_error_code krb5_authdata_get_attribute_types(krb5_context krb5, krb5_authdata_context attributes,
                                                  krb5_data **names);
void krb5int_free_data_list(krb5_context krb5, krb5_data *list);
/* One value, and text for people; `more` is -1 for the first, and 0 after the last. */
krb5_error_code krb5_authdata_get_attribute(krb5_context krb5, krb5_authdata_context attributes,
                                            const krb5_data *name, krb5_boolean *authenticated,
                                            krb5_boolean *complete, krb5_data *value, krb5_data *shown, int *more);

#endif
