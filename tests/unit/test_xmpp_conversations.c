/* The client's stream held to its conversations, tests/transcripts/xmpp_client_*.txt. */
#include "check.h"
#include "play.h"
#include "toy_tls.h"

#include <glob.h>

int main(int argc, char **argv)
{
    glob_t found = {0};
    if (argc > 1)
        return play_file(&play_xmpp, argv[1]) != 0;
    glob("tests/transcripts/xmpp_client_*.txt", 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        int failed = play_file(&play_xmpp, found.gl_pathv[i]);
        CHECK_INT(failed, 0);
        printf("%s %s\n", failed ? "FAIL" : "ok  ", found.gl_pathv[i]);
    }
    CHECK_INT(toy_tls_alive(), 0);
    globfree(&found);
    return check_done();
}
