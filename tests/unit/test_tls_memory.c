/* What a session holds, and what becomes of it when memory runs out, at any point, in our code or in OpenSSL's.  Linked
 * with malloc and its kin wrapped; OpenSSL is given the same. */
#include "tls_files.h"

#include "tls/issue.h"

#include <malloc.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);

static long left; /* allocations before one fails; 0: none does */
static bool keeps_failing;
static long held; /* octets in OpenSSL's hands */
static long most;

static bool fails(void)
{
    return left > 0 && --left == 0 && (!keeps_failing || (left = 1));
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

static void *grow(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    void *at = fails() || size == 0 ? NULL : __real_malloc(size);
    held += (long)malloc_usable_size(at);
    most = held > most ? held : most;
    return at;
}

static void shrink(void *at, const char *file, int line)
{
    (void)file, (void)line;
    held -= (long)malloc_usable_size(at);
    free(at);
}

static void *change(void *at, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (size == 0) {
        shrink(at, file, line);
        return NULL;
    }
    long before = (long)malloc_usable_size(at);
    void *new = fails() ? NULL : __real_realloc(at, size);
    if (new)
        held += (long)malloc_usable_size(new) - before;
    most = held > most ? held : most;
    return new;
}

/* Once through everything; whether it all went well.  What fails says so, in a sentence. */
static bool go_through(void)
{
    bool good = false;
    struct dw_error err = {0};
    struct dw_buf line = {0}, binding = {0};
    struct side client = {0}, server = {0};
    struct dw_tls_pair *pair = NULL;
    struct dw_tls_certificate one = {pem("example"), key("example"), (const char *const[]){"example.com", NULL}};
    struct dw_tls_context *s = dw_tls_server_new(&one, 1, "xmpp-client", &err), *c = NULL;
    struct dw_tls_issuer *issuer = s ? dw_tls_issuer_new(pem("ca"), key("ca"), &err) : NULL;
    if (issuer)
        c = dw_tls_client_new(&(struct dw_tls_client_options){.ca_file = pem("ca")}, &err);
    if (c)
        pair = dw_tls_issue(issuer, "alice@example.com", 60, &err);
    if (!pair) {
        CHECK(err.kind != DW_ERROR_NONE && *err.detail);
        goto done;
    }
    client.tls = dw_tls_connect(c, "example.com", "xmpp-client", pair);
    server.tls = dw_tls_accept(s, "example.com");
    if (!client.tls || !server.tls)
        goto done;
    feed(&client, DW_SPAN_NONE);
    for (int turn = 0; turn < 3 && client.state >= 0 && server.state >= 0; turn++) {
        feed(&server, dw_buf_span(&client.out));
        dw_buf_clear(&client.out, 0);
        if (server.state >= 0)
            feed(&client, dw_buf_span(&server.out));
        dw_buf_clear(&server.out, 0);
    }
    if (client.state < 0 || server.state < 0) {
        CHECK(client.state < 0 ? client.err.kind != DW_ERROR_NONE : server.err.kind != DW_ERROR_NONE);
        goto done;
    }
    if (dw_tls_describe_peer(client.tls, &line) < 0 ||
        dw_tls_binding(client.tls, "tls-exporter", &binding, &err) < 0 ||
        dw_tls_binding(server.tls, "tls-server-end-point", &binding, &err) < 0 ||
        dw_tls_send(client.tls, DW_SPAN_OF("hello"), &client.out, &client.err) < 0)
        goto done;
    dw_tls_end(client.tls, &client.out);
    feed(&server, dw_buf_span(&client.out));
    CHECK(server.state < 0 || server.state == DW_TLS_ENDED || server.state == DW_TLS_UP);
    good = server.state == DW_TLS_ENDED && dw_span_equal(dw_buf_span(&server.plain), DW_SPAN_OF("hello"));
done:
    free_side(&client);
    free_side(&server);
    dw_tls_pair_free(&pair);
    dw_tls_issuer_release(&issuer);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
    dw_buf_free(&line);
    dw_buf_free(&binding);
    return good;
}

static void test_starved(void)
{
    left = 0;
    CHECK(go_through());
    left = 1 << 24;
    CHECK(go_through());
    long all = (1 << 24) - left;
    printf("     %ld allocations\n", all);
    for (int kind = 0; kind < 2; kind++) {
        keeps_failing = kind == 1;
        int failed = 0;
        for (long n = 1; n <= all; n += n < 60 ? 1 : 67) {
            left = n;
            failed += !go_through();
        }
        left = 0;
        keeps_failing = false;
        CHECK(failed > 20);
    }
    CHECK(go_through());
}

/* An idle session is small; one that has just begun cannot be made to hold much. */
static void test_idle(void)
{
    enum { COUNT = 50 };
    struct dw_tls_context *s = server_of("example", "xmpp-client"), *c = client_of("ca", false);
    struct side servers[COUNT] = {0};
    long settled = 0;
    for (int i = 0; i < COUNT; i++) {
        struct side client = {.tls = dw_tls_connect(c, "example.com", "xmpp-client", NULL)};
        servers[i].tls = dw_tls_accept(s, NULL);
        talk(&client, &servers[i], 0);
        CHECK_INT(servers[i].state, DW_TLS_UP);
        for (int turn = 0; turn < 3; turn++) {
            CHECK_INT(dw_tls_send(client.tls, DW_SPAN_OF("<presence/>"), &client.out, &client.err), 0);
            CHECK_INT(dw_tls_send(servers[i].tls, DW_SPAN_OF("<presence/>"), &servers[i].out, &servers[i].err), 0);
            carry(&client, &servers[i], 0);
            carry(&servers[i], &client, 0);
        }
        free_side(&client);
        dw_tls_settle(servers[i].tls);
        if (i == 9)
            settled = held;
    }
    settled = (held - settled) / (COUNT - 10);
    printf("     %ld octets for an idle session\n", settled);
    CHECK(settled > 0 && settled < 16384);
    for (int i = 0; i < COUNT; i++)
        free_side(&servers[i]);

    /* A hello that never ends. */
    struct side endless = {.tls = dw_tls_accept(s, NULL)};
    long before = held;
    uint8_t record[5 + 16384] = {0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff};
    most = held;
    for (int i = 0; i < 100 && endless.state >= 0; i++)
        feed(&endless, dw_span_make(record, sizeof record));
    CHECK_INT(endless.state, -1);
    CHECK(most - before < 400000);
    free_side(&endless);
    dw_tls_context_release(&s);
    dw_tls_context_release(&c);
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(grow, change, shrink))
        return 1;
    make_dir();
    make("ca", (struct wish){.authority = true});
    make("example", (struct wish){.issuer = "ca", .names = "DNS:example.com"});
    RUN(test_idle);
    RUN(test_starved);
    return check_done();
}
