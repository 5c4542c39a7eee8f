/* Memory runs out at every allocation of a login's life: what was asked for fails and says so, or is done without,
 * and nothing leaks (which the sanitizer sees).  Linked with malloc and its kin wrapped; run it inside tests/realm. */
#include "gss_realm.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static long left; /* allocations before one fails; 0: none does */
static bool armed;

static bool fails(void)
{
    return armed && left > 0 && --left == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return fails() ? NULL : __real_realloc(at, size);
}

/* Everything that a credential and a context are asked for in a login; where it ends early, it says why. */
static int one_login(const char *cache, struct dw_span token, struct dw_error *err)
{
    struct dw_acceptor_options server = {.keytab = getenv("REALM_KEYTAB"), .service = "zmq@localhost"};
    struct dw_initiator_options client = {.ccache = cache};
    struct dw_event event = {.id = NULL};
    struct dw_buf out = {0}, back = {0};
    struct dw_span plain;
    struct dw_context *theirs = NULL, *ours = NULL;
    int rc = -1;
    struct dw_cred *acceptor_cred = dw_cred_acceptor(&server, err), *initiator_cred = NULL;
    if (!acceptor_cred || dw_cred_refresh(acceptor_cred, err) < 0)
        goto done;
    if (!(theirs = dw_context_accept(acceptor_cred))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "no context");
        goto done;
    }
    if (dw_context_step(theirs, token, &out, err) < 0)
        goto done;
    dw_context_describe(theirs, &event);
    if (dw_context_wrap(theirs, DW_SPAN_OF("a"), DW_SPAN_OF("b"), &out, err) < 0)
        goto done;
    dw_context_settle(theirs);
    if (!(initiator_cred = dw_cred_initiator(&client, err)))
        goto done;
    if (!(ours = dw_context_initiate(initiator_cred, "zmq@localhost", NULL, err)))
        goto done;
    dw_buf_clear(&out, 0);
    if (dw_context_step(ours, DW_SPAN_NONE, &out, err) < 0)
        goto done;
    dw_context_free(&theirs);
    if (!(theirs = dw_context_accept(acceptor_cred))) {
        dw_error_set(err, DW_ERROR_INTERNAL, "no context");
        goto done;
    }
    if (dw_context_step(theirs, dw_buf_span(&out), &back, err) < 0)
        goto done;
    dw_buf_clear(&out, 0);
    if (dw_context_step(ours, dw_buf_span(&back), &out, err) < 0)
        goto done;
    dw_buf_clear(&out, 0);
    if (dw_context_wrap(ours, DW_SPAN_OF("a"), DW_SPAN_OF("b"), &out, err) < 0)
        goto done;
    rc = dw_context_unwrap(theirs, out.at, dw_buf_len(&out), &plain, err);
done:
    dw_context_free(&theirs);
    dw_context_free(&ours);
    dw_cred_free(&acceptor_cred);
    dw_cred_free(&initiator_cred);
    dw_buf_free(&out);
    dw_buf_free(&back);
    return rc;
}

static void a_login_fails_or_succeeds_whole(void)
{
    const char *cache = login("alice");
    struct stock s = stock_start(cache, "zmq/localhost@HOME.TEST", LIBZMQ_FLAGS);
    long n = 0;
    do {
        struct dw_error err = {.kind = DW_ERROR_NONE};
        left = ++n;
        armed = true;
        int rc = one_login(cache, dw_buf_span(&s.token), &err);
        armed = false;
        if (!CHECK(rc >= 0 || (err.kind == DW_ERROR_INTERNAL && *err.detail)))
            printf("    allocation %ld was refused: %s, %s\n", n, dw_error_word(err.kind), err.detail);
    } while (left == 0 && n < 1000);
    CHECK(n > 10 && n < 1000);
    stock_end(&s);
}

int main(void)
{
    if (!getenv("REALM_DIR")) {
        printf("run me inside tests/realm\n");
        return 2;
    }
    RUN(a_login_fails_or_succeeds_whole);
    return check_done();
}
