/* The Dovecot machine held to its conversations, tests/transcripts/dovecot_*.txt; and what a text file cannot hold. */
#include "check.h"
#include "play.h"
#include "toy_gss.h"

#include "dovecot/line.h"
#include "dovecot/service.h"

#include <glob.h>
#include <stdlib.h>

static void transcripts(void)
{
    glob_t found = {0};
    glob("tests/transcripts/dovecot_*.txt", 0, NULL, &found);
    CHECK(found.gl_pathc > 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        int failed = play_file(&play_dovecot, found.gl_pathv[i]);
        CHECK_INT(failed, 0);
        printf("%s %s\n", failed ? "FAIL" : "ok  ", found.gl_pathv[i]);
    }
    globfree(&found);
}

/* What the last DW_ASK_REALM was about. */
static struct dw_dovecot_exchange *asked;

/* Feeds text; the last effect's act. */
static enum dw_act feed(struct dw_machine *m, const char *text, struct dw_effect *fx)
{
    static uint8_t scratch[65536];
    enum dw_act act = DW_NEED, last = DW_NEED;
    for (size_t len = strlen(text), room; len > 0 && last != DW_CLOSE;) {
        uint8_t *at = dw_machine_room(m, scratch, sizeof scratch, &room);
        if (room > len)
            room = len;
        memcpy(at, text, room);
        text += room;
        len -= room;
        dw_machine_filled(m, at, room);
        while ((act = dw_machine_next(m, fx)) != DW_NEED) {
            last = act;
            asked = act == DW_ASK_REALM ? dw_dovecot_exchange(m) : NULL;
            if (act == DW_CLOSE)
                break;
        }
        dw_machine_settle(m);
    }
    return last;
}

static struct dw_machine *joined(void)
{
    static const char *const mechanisms[] = {"GSSAPI", NULL};
    struct dw_effect fx;
    struct dw_machine *m =
        dw_dovecot_new(&(struct dw_dovecot_options){.mechanisms = mechanisms, .pid = 1, .number = 1});
    CHECK_INT(feed(m, "VERSION\t1\t1\nCPID\t1\n", &fx), DW_META);
    dw_buf_clear(&m->out, 0);
    return m;
}

/* No more than so many at once; those that are over make room. */
static void open_exchanges_are_bounded(void)
{
    struct dw_machine *m = joined();
    struct dw_effect fx;
    struct dw_dovecot_exchange *first = NULL;
    char line[64];
    for (int id = 0; id < DW_DOVECOT_MOST_OPEN; id++) {
        snprintf(line, sizeof line, "AUTH\t%d\tGSSAPI\tservice=smtp\n", id);
        CHECK_INT(feed(m, line, &fx), DW_ASK_REALM);
        if (id == 0)
            first = asked;
    }
    CHECK_INT(dw_buf_len(&m->out), 0);
    CHECK_INT(feed(m, "AUTH\t5000\tGSSAPI\tservice=smtp\n", &fx), DW_DATA);
    CHECK(!asked);
    CHECK_SPAN(dw_buf_span(&m->out), "FAIL\t5000\treason=Temporary authentication failure\ttemp\tcode=temp_fail\n");
    CHECK_INT(dw_dovecot_refuse(m, first, DW_DOVECOT_DENIED), 0);
    CHECK_INT(feed(m, "AUTH\t5000\tGSSAPI\tservice=smtp\n", &fx), DW_ASK_REALM);
    dw_machine_free(&m);
}

static void endless_lines(void)
{
    /* A token with a PAC passes; a line without an end does not. */
    size_t pac = (64 * 1024 + 2) / 3 * 4;
    char *line = calloc(1, DW_DOVECOT_LINE_BYTES + 200);
    struct dw_effect fx;
    size_t head = (size_t)sprintf(line, "AUTH\t1\tGSSAPI\tservice=smtp\tresp=");
    memset(line + head, 'A', pac);
    line[head + pac] = '\n';
    struct dw_machine *m = joined();
    CHECK_INT(feed(m, line, &fx), DW_ASK_REALM);
    dw_machine_free(&m);
    memset(line + head, 'A', DW_DOVECOT_LINE_BYTES + 100 - head);
    m = joined();
    CHECK_INT(feed(m, line, &fx), DW_CLOSE);
    CHECK_INT(fx.why.kind, DW_ERROR_LIMIT);
    CHECK(m->held.cap <= 4 * DW_DOVECOT_LINE_BYTES);
    dw_machine_free(&m);
    free(line);
}

static void escapes(void)
{
    struct dw_buf out = {0};
    const struct dw_span hard = DW_SPAN_OF("a\0b\1c\td\re\nf");
    CHECK_INT(dw_dovecot_escape(&out, hard), 0);
    CHECK_SPAN(dw_buf_span(&out), "a\001"
                                  "0b\001"
                                  "1c\001td\001re\001nf");
    struct dw_buf back = {0};
    CHECK_INT(dw_dovecot_unescape(&back, dw_buf_span(&out)), 0);
    CHECK(dw_span_equal(dw_buf_span(&back), hard));
    dw_buf_clear(&back, 0);
    CHECK_INT(dw_dovecot_unescape(&back, DW_SPAN_OF("x\001z\001")), 0);
    CHECK_SPAN(dw_buf_span(&back), "xz\001");
    dw_buf_free(&out);
    dw_buf_free(&back);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return play_file(&play_dovecot, argv[1]) != 0;
    RUN(transcripts);
    RUN(open_exchanges_are_bounded);
    RUN(endless_lines);
    RUN(escapes);
    return check_done();
}
