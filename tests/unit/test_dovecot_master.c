/* What a master may ask, fed whole and octet by octet; and what it is told. */
#include "check.h"

#include "dovecot/master.h"

#include <stdlib.h>

#define COOKIE "000102030405060708090a0b0c0d0eff"

/* Feeds text in pieces; each request is told to be "al<TAB>ice", with a field.  The last act. */
static enum dw_act feed(struct dw_machine *m, const char *text, size_t piece, struct dw_effect *fx)
{
    static uint8_t scratch[16384];
    enum dw_act act = DW_NEED, last = DW_NEED;
    struct dw_buf fields = {0};
    dw_dovecot_put_field(&fields, DW_SPAN_OF("home"), DW_SPAN_OF("/srv/a\tb"));
    for (size_t left = strlen(text), len; left > 0 && last != DW_CLOSE; left -= len) {
        uint8_t *room = dw_machine_room(m, scratch, sizeof scratch, &len);
        if (len > left)
            len = left;
        if (len > piece)
            len = piece;
        memcpy(room, text, len);
        text += len;
        dw_machine_filled(m, room, len);
        while (last != DW_CLOSE && (act = dw_machine_next(m, fx)) != DW_NEED) {
            last = act;
            if (act == DW_ASK_ADMIT && dw_dovecot_request(m)->exchange == 3)
                dw_dovecot_master_user(m, DW_SPAN_OF("al\tice"), dw_buf_span(&fields));
            else if (act == DW_ASK_ADMIT)
                dw_dovecot_master_fail(m);
        }
        dw_machine_settle(m);
    }
    dw_buf_free(&fields);
    return last;
}

static void requests(void)
{
    static const uint8_t cookie[DW_DOVECOT_COOKIE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255};
    static const size_t pieces[] = {1000, 7, 1};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct dw_machine *m = dw_dovecot_master_new(42, NULL);
        struct dw_effect fx;
        CHECK_INT(feed(m, "VERSION\t1\t9\n", pieces[i], &fx), DW_META);
        CHECK_INT(feed(m,
                       "REQUEST\t4294967295\t2\t3\t" COOKIE "\tsession_pid=5\trequest_auth_token\n"
                       "REQUEST\t8\t2\t4\t" COOKIE "\n",
                       pieces[i], &fx),
                  DW_ASK_ADMIT);
        CHECK_INT(dw_dovecot_request(m)->id, 8);
        CHECK_INT(dw_dovecot_request(m)->client, 2);
        CHECK(memcmp(dw_dovecot_request(m)->cookie, cookie, sizeof cookie) == 0);
        CHECK_SPAN(dw_buf_span(&m->out), "VERSION\t1\t1\nSPID\t42\n"
                                         "USER\t4294967295\tal\001tice\thome=/srv/a\001tb\nFAIL\t8\n");
        dw_machine_free(&m);
    }
}

static void wrongs(void)
{
    static const struct {
        const char *said, *why;
    } all[] = {
        {"REQUEST\t1\t2\t3\t" COOKIE "\n", "VERSION has to come first"},
        {"VERSION\t2\t0\n", "another major version"},
        {"VERSION\t1\n", "two numbers"},
        {"VERSION\t1\t0\nVERSION\t1\t0\n", "second time"},
        {"VERSION\t1\t0\nCPID\t4\n", "not known"},
        {"VERSION\t1\t0\n\n", "not known"},
        {"VERSION\t1\t0\nAUTH\t1\tGSSAPI\tservice=imap\n", "not known"},
        {"VERSION\t1\t0\nUSER\t1\talice\tservice=lmtp\n", "USER: users that have not logged in"},
        {"VERSION\t1\t0\nLIST\t1\n", "LIST: users"},
        {"VERSION\t1\t0\nPASS\t1\talice\tservice=x\n", "PASS: users"},
        {"VERSION\t1\t0\nREQUEST\n", "three numbers"},
        {"VERSION\t1\t0\nREQUEST\t1\t2\t" COOKIE "\n", "three numbers"},
        {"VERSION\t1\t0\nREQUEST\t1\t2\t4294967296\t" COOKIE "\n", "three numbers"},
        {"VERSION\t1\t0\nREQUEST\t1\t2\t3\n", "without a cookie"},
        {"VERSION\t1\t0\nREQUEST\t1\t2\t3\t" COOKIE "00\n", "without a cookie"},
        {"VERSION\t1\t0\nREQUEST\t1\t2\t3\t0x0102030405060708090a0b0c0d0eff\n", "not hex"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct dw_machine *m = dw_dovecot_master_new(42, NULL);
        struct dw_effect fx;
        CHECK_INT(feed(m, all[i].said, 1000, &fx), DW_CLOSE);
        CHECK_INT(fx.why.kind, DW_ERROR_PROTOCOL);
        if (!strstr(fx.why.detail, all[i].why))
            CHECK_STR(fx.why.detail, all[i].why);
        /* And so at every further call. */
        CHECK_INT(dw_machine_next(m, &fx), DW_CLOSE);
        CHECK_SPAN(dw_buf_span(&m->out), "VERSION\t1\t1\nSPID\t42\n");
        dw_machine_free(&m);
    }
}

static void an_endless_line(void)
{
    struct dw_machine *m = dw_dovecot_master_new(42, NULL);
    struct dw_effect fx;
    char *line = calloc(1, 20000);
    memset(line, 'x', 19999);
    CHECK_INT(feed(m, line, 500, &fx), DW_CLOSE);
    CHECK_INT(fx.why.kind, DW_ERROR_LIMIT);
    free(line);
    dw_machine_free(&m);
}

int main(void)
{
    RUN(requests);
    RUN(wrongs);
    RUN(an_endless_line);
    return check_done();
}
