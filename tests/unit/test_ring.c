#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>

#include "queue/ring.h"

static int items[64];

Test(ring, init_refuses_nothing_and_too_much)
{
    struct tn__ring ring;

    cr_assert_eq(tn__ring_init(&ring, 0), -EINVAL);
    cr_assert_eq(tn__ring_init(&ring, SIZE_MAX), -EINVAL);
}

static void check_capacity(size_t asked, size_t expected)
{
    struct tn__ring ring;
    size_t count = 0;

    cr_assert_eq(tn__ring_init(&ring, asked), 0);
    while (count < TN__COUNT(items) && tn__ring_push(&ring, &items[count]))
        count++;
    cr_assert_eq(count, expected);
    tn__ring_done(&ring);
}

Test(ring, capacity_is_a_power_of_two)
{
    check_capacity(1, 2);
    check_capacity(2, 2);
    check_capacity(3, 4);
    check_capacity(32, 32);
    check_capacity(33, 64);
}

Test(ring, pop_gives_nothing_when_empty)
{
    struct tn__ring ring;

    cr_assert_eq(tn__ring_init(&ring, 4), 0);
    cr_assert(tn__ring_empty(&ring));
    cr_assert_null(tn__ring_pop(&ring));
    cr_assert(tn__ring_push(&ring, &items[0]));
    cr_assert_not(tn__ring_empty(&ring));
    cr_assert_eq(tn__ring_pop(&ring), &items[0]);
    cr_assert(tn__ring_empty(&ring));
    cr_assert_null(tn__ring_pop(&ring));
    tn__ring_done(&ring);
}

/* Each fill from 1 to full, over many laps. */
Test(ring, items_keep_their_order_over_laps)
{
    struct tn__ring ring;

    cr_assert_eq(tn__ring_init(&ring, 8), 0);
    for (int lap = 0; lap < 100; lap++) {
        for (int fill = 1; fill <= 8; fill++) {
            for (int i = 0; i < fill; i++)
                cr_assert(tn__ring_push(&ring, &items[i]));
            cr_assert_eq(tn__ring_push(&ring, &items[8]), fill < 8);
            for (int i = 0; i < fill; i++)
                cr_assert_eq(tn__ring_pop(&ring), &items[i]);
            cr_assert_eq(tn__ring_pop(&ring), fill < 8 ? &items[8] : NULL);
        }
    }
    tn__ring_done(&ring);
}

Test(ring, positions_come_round)
{
    struct tn__ring ring;
    size_t start = SIZE_MAX - 3;

    cr_assert_eq(tn__ring_init(&ring, 4), 0);
    tn__store(&ring.push_position, start, relaxed);
    tn__store(&ring.pop_position, start, relaxed);
    for (size_t i = 0; i < 4; i++)
        tn__store(&ring.cells[(start + i) & ring.mask].sequence, start + i, relaxed);
    for (int i = 0; i < 32; i++) {
        cr_assert(tn__ring_push(&ring, &items[i]));
        cr_assert_not(tn__ring_empty(&ring));
        cr_assert_eq(tn__ring_pop(&ring), &items[i]);
        cr_assert_null(tn__ring_pop(&ring));
    }
    tn__ring_done(&ring);
}
