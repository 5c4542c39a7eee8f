/* Our answers to AP-REQs, read by libkrb5.  No KDC is needed. */
#include "gss_made.h"

#include "gss/ap_rep.h"

/* What the library exports and does not declare. */
krb5_error_code encode_krb5_ap_rep_enc_part(const krb5_ap_rep_enc_part *part, krb5_data **code);
krb5_error_code decode_krb5_ap_rep(const krb5_data *code, krb5_ap_rep **answer);
krb5_error_code decode_krb5_ap_rep_enc_part(const krb5_data *code, krb5_ap_rep_enc_part **part);

static void the_library_reads_our_answers(void)
{
    static const krb5_enctype enctypes[] = {17, 18, 19, 20};
    for (size_t i = 0; i < 16; i++) {
        struct made m;
        struct dw_request request;
        struct dw_ticket t;
        struct dw_ap_rep answer;
        struct dw_error err;
        krb5_data *code = NULL;
        krb5_ap_rep_enc_part *read = NULL;
        make(&m);
        m.session = key_of(1, enctypes[i % 4]);
        m.subkey = key_of(2, enctypes[i / 4]);
        m.authenticator.subkey = &m.subkey;
        struct dw_buf token = request_of(&m);
        CHECK_INT(dw_request_parse(&request, dw_buf_span(&token), &err), 0);
        if (!CHECK(dw_ticket_read(&t, &pinned, krb5, &request)))
            continue;
        CHECK_INT(dw_ap_rep_make(&answer, &t, i == 5 ? 0xfffffffe : 0, &err), 0);
        krb5_data message = {.length = (unsigned)answer.message.len, .data = (char *)(uintptr_t)answer.message.at};
        krb5_ap_rep *outer = NULL;
        CHECK_INT(decode_krb5_ap_rep(&message, &outer), 0);
        if (outer) {
            char plain[DW_AP_REP_SIZE];
            krb5_data opened = {.length = sizeof plain, .data = plain};
            CHECK_INT(krb5_c_decrypt(krb5, &m.session, 12, NULL, &outer->enc_part, &opened), 0);
            CHECK_INT(decode_krb5_ap_rep_enc_part(&opened, &read), 0);
            /* Written as the library would write it. */
            CHECK_INT(encode_krb5_ap_rep_enc_part(read, &code), 0);
            CHECK(code && code->length == opened.length && memcmp(code->data, plain, opened.length) == 0);
            krb5_free_data(krb5, code);
            krb5_free_data_contents(krb5, &outer->enc_part.ciphertext);
            free(outer);
        }
        if (read) {
            CHECK_INT(read->ctime, m.authenticator.ctime);
            CHECK_INT(read->cusec, m.authenticator.cusec);
            CHECK(same_key(read->subkey, &answer.subkey));
            CHECK_INT(read->subkey->enctype, t.negotiated);
            CHECK_INT(read->seq_number, answer.number);
            CHECK(i == 5 ? answer.number == 0xfffffffe : answer.number > 0 && answer.number < 0x40000000);
            krb5_free_ap_rep_enc_part(krb5, read);
        }
        dw_ticket_wipe(&t);
        dw_wipe(&answer, sizeof answer);
        dw_buf_free(&token);
    }
}

int main(void)
{
    begin();
    if (pinned.count > 0)
        RUN(the_library_reads_our_answers);
    else
        printf("plug-ins of libkrb5 have a word on authorization data here: no request is read by us\n");
    end();
    return check_done();
}
