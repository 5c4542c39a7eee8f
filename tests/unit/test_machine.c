/* What all machines share: whose buffer the octets are in, from turn to turn. */
#include "check.h"

#include "auth/machine.h"

#include <stdlib.h>

/* A machine whose units are a length octet and so many octets; it gives each as DATA, unless told to wait. */
struct counted {
    struct dw_machine machine;
    bool waits;
};

static enum dw_act counted_next(struct dw_machine *m, struct dw_effect *fx)
{
    if (((struct counted *)(void *)m)->waits || m->left == 0)
        return DW_NEED;
    size_t size = 1 + (size_t)m->at[0] * 100;
    if (m->left < size) {
        m->wanted = size;
        return DW_NEED;
    }
    fx->frame = (struct dw_frame){0, dw_span_make(m->at + 1, size - 1)};
    dw_machine_consume(m, size);
    return DW_DATA;
}

static void counted_free(struct dw_machine *m)
{
    free(m);
}

static const struct dw_machine_ops ops = {.next = counted_next, .free = counted_free};

static uint8_t scratch[4096];

static struct dw_machine *make(struct dw_meter *meter)
{
    struct counted *c = calloc(1, sizeof *c);
    dw_machine_init(&c->machine, &ops, meter);
    return &c->machine;
}

static void wait_for(struct dw_machine *m, bool waits)
{
    ((struct counted *)(void *)m)->waits = waits;
}

/* Feeds as much as the machine has room for; says how much. */
static size_t feed(struct dw_machine *m, const uint8_t *bytes, size_t len)
{
    size_t room_len;
    uint8_t *room = dw_machine_room(m, scratch, sizeof scratch, &room_len);
    if (len > room_len)
        len = room_len;
    memcpy(room, bytes, len);
    dw_machine_filled(m, room, len);
    return len;
}

static int units(struct dw_machine *m)
{
    struct dw_effect fx;
    int count = 0;
    while (dw_machine_next(m, &fx) == DW_DATA)
        count++;
    return count;
}

static void whole_units_leave_nothing(void)
{
    struct dw_meter meter = {0};
    struct dw_machine *m = make(&meter);
    uint8_t bytes[303] = {1, [101] = 2};
    CHECK_INT(dw_machine_growth(m), 0);
    feed(m, bytes, 302);
    CHECK(m->at == scratch);
    CHECK_INT(units(m), 2);
    CHECK_INT(dw_machine_settle(m), 0);
    CHECK(!dw_machine_has_input(m));
    CHECK_INT(m->held.cap, 0);
    CHECK_INT(meter.held, 0);
    dw_machine_free(&m);
    CHECK(m == NULL);
    dw_machine_free(&m);
}

static void part_of_a_large_unit_gets_a_buffer_of_its_size(void)
{
    struct dw_meter meter = {0};
    struct dw_machine *m = make(&meter);
    uint8_t *bytes = calloc(1, 25501);
    bytes[0] = 255;
    size_t fed = feed(m, bytes, 10);
    CHECK_INT(units(m), 0);
    CHECK_INT(dw_machine_settle(m), 0);
    CHECK(dw_machine_has_input(m));
    CHECK_INT(dw_machine_growth(m), 25501);
    fed += feed(m, bytes + fed, 100);
    CHECK(m->held.cap >= 25501 && m->held.cap < 2 * 25501);
    CHECK_INT(meter.held, m->held.cap);
    CHECK_INT(units(m), 0);
    dw_machine_settle(m);
    CHECK_INT(dw_machine_growth(m), 0);
    const uint8_t *before = m->held.at;
    while (fed < 25501) {
        fed += feed(m, bytes + fed, 25501 - fed);
        CHECK_INT(units(m), fed == 25501);
        dw_machine_settle(m);
        CHECK(m->held.at == before || fed == 25501);
    }
    CHECK_INT(m->held.cap, 0);
    CHECK_INT(meter.held, 0);
    free(bytes);
    dw_machine_free(&m);
}

/* Never more than the unit in progress: what comes after it goes through the scratch again. */
static void room_ends_with_the_unit(void)
{
    struct dw_machine *m = make(NULL);
    uint8_t bytes[202] = {1, [101] = 1};
    size_t fed = feed(m, bytes, 50), len;
    units(m);
    dw_machine_settle(m);
    dw_machine_room(m, scratch, sizeof scratch, &len);
    CHECK_INT(len, 51);
    fed += feed(m, bytes + fed, 152);
    CHECK_INT(fed, 101);
    CHECK_INT(units(m), 1);
    dw_machine_settle(m);
    CHECK(dw_machine_room(m, scratch, sizeof scratch, &len) == scratch);
    CHECK_INT(len, sizeof scratch);
    dw_machine_free(&m);
}

static void units_that_have_to_wait_are_kept(void)
{
    struct dw_machine *m = make(NULL);
    uint8_t bytes[303] = {1, [101] = 1, [202] = 1};
    wait_for(m, true);
    for (size_t fed = 0; fed < sizeof bytes;) {
        fed += feed(m, bytes + fed, sizeof bytes - fed < 7 ? sizeof bytes - fed : 7);
        CHECK_INT(units(m), 0);
        CHECK_INT(dw_machine_settle(m), 0);
        memset(scratch, 0xff, sizeof scratch);
    }
    CHECK_INT(m->left, sizeof bytes);
    wait_for(m, false);
    struct dw_effect fx;
    CHECK_INT(dw_machine_next(m, &fx), DW_DATA);
    /* Paused again in the midst. */
    wait_for(m, true);
    CHECK_INT(dw_machine_settle(m), 0);
    CHECK_INT(m->left, 202);
    wait_for(m, false);
    CHECK_INT(units(m), 2);
    dw_machine_settle(m);
    CHECK_INT(m->held.cap, 0);
    dw_machine_free(&m);
}

static void an_empty_read_changes_nothing(void)
{
    struct dw_machine *m = make(NULL);
    feed(m, scratch, 0);
    CHECK_INT(units(m), 0);
    CHECK_INT(dw_machine_settle(m), 0);
    uint8_t bytes[] = {1, 2};
    feed(m, bytes, 2);
    units(m);
    dw_machine_settle(m);
    feed(m, bytes, 0);
    CHECK_INT(units(m), 0);
    dw_machine_settle(m);
    CHECK_INT(m->left, 2);
    dw_machine_free(&m);
}

int main(void)
{
    RUN(whole_units_leave_nothing);
    RUN(part_of_a_large_unit_gets_a_buffer_of_its_size);
    RUN(room_ends_with_the_unit);
    RUN(units_that_have_to_wait_are_kept);
    RUN(an_empty_read_changes_nothing);
    return check_done();
}
