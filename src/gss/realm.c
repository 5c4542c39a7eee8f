/* The realm of a host; see realm.h. */
#include "gss/realm.h"

#include "gss/status.h"

#include <krb5.h>

int dw_realm_of_host(const char *host, struct dw_buf *realm, struct dw_error *err)
{
    krb5_context krb5 = NULL;
    char **realms = NULL;
    int rc = 0;
    krb5_error_code code = krb5_init_context(&krb5);
    if (!code)
        code = krb5_get_host_realm(krb5, host, &realms);
    if (code)
        rc = dw_status_tell_krb5(err, krb5, code, "the realm of %s", host);
    else if (realms && realms[0] && dw_buf_put(realm, dw_span_str(realms[0])) < 0)
        rc = dw_error_set(err, DW_ERROR_INTERNAL, "out of memory");
    if (realms)
        krb5_free_host_realm(krb5, realms);
    krb5_free_context(krb5);
    return rc;
}
