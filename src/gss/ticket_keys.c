/* The keys that tickets are read with: see ticket.h. */
#include "gss/ticket.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const uint32_t usage_ticket = 2; /* RFC 4120 section 7.5.1 */

/* The library loads whatever stands in a directory beside it.  True also when that cannot be told. */
static bool has_plugins(void)
{
    Dl_info where;
    char path[4096];
    if (!dladdr((void *)(uintptr_t)krb5_init_context, &where) || !where.dli_fname)
        return true;
    const char *slash = strrchr(where.dli_fname, '/');
    if (!slash || strncmp(slash, "/libkrb5", 8) != 0)
        return true;
    int len =
        snprintf(path, sizeof path, "%.*s/krb5/plugins/authdata", (int)(slash - where.dli_fname), where.dli_fname);
    if (len < 0 || (size_t)len >= sizeof path)
        return true;
    DIR *dir = opendir(path);
    if (!dir)
        return errno != ENOENT;
    bool found = false;
    for (const struct dirent *entry; !found && (entry = readdir(dir));)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return found;
}

/* A fresh block rather than realloc, which would leave an unwiped copy behind. */
static struct dw_ticket_key *room_for_one(struct dw_ticket_keys *keys)
{
    struct dw_ticket_key *more = calloc(keys->count + 1, sizeof *more);
    if (!more)
        return NULL;
    if (keys->count)
        memcpy(more, keys->at, keys->count * sizeof *more);
    dw_wipe(keys->at, keys->count * sizeof *more);
    free(keys->at);
    keys->at = more;
    return &more[keys->count];
}

static krb5_error_code add_key(struct dw_ticket_keys *keys, krb5_context krb5, const krb5_keytab_entry *entry)
{
    const struct dw_cipher *cipher = dw_cipher_of(entry->key.enctype);
    if (!cipher || entry->key.length != dw_cipher_key_len(cipher))
        return 0;
    struct dw_ticket_key *key = room_for_one(keys);
    if (!key)
        return ENOMEM;
    krb5_error_code code = ENOMEM;
    if (dw_cipher_derive(cipher, entry->key.contents, &usage_ticket, 1, &key->keys, NULL) == 0)
        code = krb5_copy_principal(krb5, entry->principal, &key->principal);
    /* What it was derived from is not needed here again. */
    dw_cipher_forget(cipher);
    if (code) {
        dw_wipe(key, sizeof *key);
        return code;
    }
    key->kvno = entry->vno;
    key->cipher = cipher;
    keys->count++;
    return 0;
}

krb5_error_code dw_ticket_keys_make(struct dw_ticket_keys *keys, krb5_context krb5, krb5_keytab keytab, bool pinned)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    *keys = (struct dw_ticket_keys){.pinned = pinned};
    if (has_plugins())
        return 0;
    krb5_error_code code = krb5_kt_start_seq_get(krb5, keytab, &cursor);
    if (code)
        goto done;
    while (!code && (code = krb5_kt_next_entry(krb5, keytab, &entry, &cursor)) == 0) {
        code = add_key(keys, krb5, &entry);
        krb5_free_keytab_entry_contents(krb5, &entry);
    }
    krb5_kt_end_seq_get(krb5, keytab, &cursor);
    if (code == KRB5_KT_END)
        code = 0;
done:
    if (code)
        dw_ticket_keys_wipe(keys, krb5);
    return code;
}

void dw_ticket_keys_wipe(struct dw_ticket_keys *keys, krb5_context krb5)
{
    for (size_t i = 0; i < keys->count; i++) {
        krb5_free_principal(krb5, keys->at[i].principal);
        dw_cipher_forget(keys->at[i].cipher);
        dw_wipe(&keys->at[i], sizeof keys->at[i]);
    }
    free(keys->at);
    dw_buf_free(&keys->room);
    *keys = (struct dw_ticket_keys){.count = 0};
}
