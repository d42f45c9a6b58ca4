/* The memory of events in flight: queue/slab.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "queue/slab.h"

#define FLOOR_SLABS (TN__POOL_FLOOR / TN__SLAB_BYTES)

static struct tn__slab_pool pool;
static struct tn__slab *slabs[FLOOR_SLABS];

static void set_up(void)
{
    tn__slab_pool_init(&pool, TN__POOL_FLOOR);
}

static void tear_down(void)
{
    cr_expect(tn__slab_pool_is_valid(&pool));
    cr_expect_eq(tn__load(&pool.in_use, relaxed), 0);
    tn__slab_pool_done(&pool);
}

TestSuite(slab, .init = set_up, .fini = tear_down);

static void take(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        cr_assert_eq(tn__slab_pool_take(&pool, 100, &slabs[i]), 0);
        memset(slabs[i]->data, 1, slabs[i]->capacity);
    }
}

static void give(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        tn__slab_pool_give(&pool, slabs[i]);
}

/* As a worker does, in one chain. */
static void return_chain(size_t from, size_t to)
{
    for (size_t i = from; i + 1 < to; i++)
        slabs[i]->next = slabs[i + 1];
    tn__slab_pool_return(&pool, slabs[from], slabs[to - 1], (to - from) * TN__SLAB_BYTES);
}

/* What tn__slab_pool_is_valid() is for: each change is seen, and taken back. */
Test(slab, the_books_balance)
{
    take(0, 4);
    give(0, 2);
    cr_assert(tn__slab_pool_is_valid(&pool));
#define INVALID(field, value)                                                                      \
    do {                                                                                           \
        __typeof__(field) before = field;                                                          \
        field = value;                                                                             \
        cr_expect_not(tn__slab_pool_is_valid(&pool), #field);                                      \
        field = before;                                                                            \
    } while (0)
    INVALID(pool.free->capacity, 100);
    INVALID(pool.free_bytes, TN__SLAB_BYTES);
    INVALID(pool.held, TN__SLAB_BYTES);
    INVALID(pool.high, TN__SLAB_BYTES);
#undef INVALID
    cr_assert(tn__slab_pool_is_valid(&pool));
    give(2, 4);
}

Test(slab, the_bound_has_a_floor)
{
    struct tn__slab_pool small;

    tn__slab_pool_init(&small, 1);
    cr_expect_eq(small.limit, TN__POOL_FLOOR);
    tn__slab_pool_done(&small);
}

Test(slab, a_slab_takes_two_kilobytes)
{
    take(0, 1);
    cr_expect_eq(tn__slab_bytes(slabs[0]), TN__SLAB_BYTES);
    cr_expect_eq(tn__load(&pool.in_use, relaxed), TN__SLAB_BYTES);
    cr_expect_eq((uintptr_t)slabs[0]->data % 8, 0);
    give(0, 1);
}

Test(slab, the_bound_is_kept_to_the_byte)
{
    struct tn__slab *more = NULL;

    take(0, FLOOR_SLABS);
    cr_expect_eq(tn__slab_pool_take(&pool, 1, &more), -ENOBUFS);
    cr_expect_null(more);
    cr_expect_not(tn__slab_pool_has_space(&pool));
    tn__slab_pool_give(&pool, slabs[0]);
    cr_expect(tn__slab_pool_has_space(&pool));
    take(0, 1);
    cr_expect_eq(pool.held, TN__POOL_FLOOR);
    cr_expect_eq(tn__load(&pool.high, relaxed), TN__POOL_FLOOR);
    give(0, FLOOR_SLABS);
}

Test(slab, what_workers_return_is_taken_again)
{
    take(0, FLOOR_SLABS);
    return_chain(0, 3);
    return_chain(3, FLOOR_SLABS);
    cr_expect_eq(tn__load(&pool.in_use, relaxed), 0);
    take(0, FLOOR_SLABS);
    cr_expect_eq(pool.held, TN__POOL_FLOOR);
    give(0, FLOOR_SLABS);
}

Test(slab, an_odd_one_is_counted_and_makes_room_for_itself)
{
    struct tn__slab *odd, *none = NULL;

    take(0, FLOOR_SLABS);
    give(0, FLOOR_SLABS); /* all of the bound is in free slabs */
    cr_assert_eq(tn__slab_pool_take(&pool, 60000, &odd), 0);
    cr_expect_geq(odd->capacity, 60000);
    cr_expect_leq(pool.held, TN__POOL_FLOOR);
    take(0, 2);
    cr_expect_eq(tn__slab_pool_take(&pool, 60000, &none), -ENOBUFS);
    tn__slab_pool_give(&pool, odd);
    cr_expect(tn__slab_pool_has_space(&pool));
    give(0, 2);
    cr_expect_leq(pool.held, TN__POOL_FLOOR);
}

Test(slab, space_means_space_for_what_failed)
{
    struct tn__slab *odd = NULL;

    take(0, 20);
    cr_assert_eq(tn__slab_pool_take(&pool, 40000, &odd), -ENOBUFS);
    cr_expect_not(tn__slab_pool_has_space(&pool));
    give(13, 20);
    cr_expect_not(tn__slab_pool_has_space(&pool));
    give(12, 13);
    cr_expect(tn__slab_pool_has_space(&pool));
    cr_assert_eq(tn__slab_pool_take(&pool, 40000, &odd), 0);
    tn__slab_pool_give(&pool, odd);
    give(0, 12);
}

Test(slab, one_beyond_the_bound_passes_when_nothing_else_is_in_use)
{
    struct tn__slab *odd = NULL, *none = NULL;

    take(0, 1);
    cr_assert_eq(tn__slab_pool_take(&pool, 2 * TN__POOL_FLOOR, &odd), -ENOBUFS);
    cr_expect_not(tn__slab_pool_has_space(&pool));
    give(0, 1);
    cr_expect(tn__slab_pool_has_space(&pool));
    cr_assert_eq(tn__slab_pool_take(&pool, 2 * TN__POOL_FLOOR, &odd), 0);
    cr_expect_eq(tn__slab_pool_take(&pool, 100, &none), -ENOBUFS);
    cr_expect_not(tn__slab_pool_has_space(&pool));
    tn__slab_pool_return(&pool, odd, odd, tn__slab_bytes(odd));
    take(0, 1);
    cr_expect_leq(pool.held, TN__POOL_FLOOR);
    give(0, 1);
}

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SPACE_IS_TAKEN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SPACE_IS_TAKEN
#endif
#endif

#ifndef ADDRESS_SPACE_IS_TAKEN
Test(slab, without_memory_it_depends_on_what_may_come_back)
{
    struct rlimit limit = {1 << 28, 1 << 28};
    struct tn__slab_pool large;
    struct tn__slab *odd = NULL, *slab;

    tn__slab_pool_init(&large, (size_t)1 << 32);
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_expect_eq(tn__slab_pool_take(&large, (size_t)1 << 30, &odd), -ENOMEM);
    cr_assert_eq(tn__slab_pool_take(&large, 100, &slab), 0);
    cr_expect_eq(tn__slab_pool_take(&large, (size_t)1 << 30, &odd), -ENOBUFS);
    cr_expect_not(tn__slab_pool_has_space(&large));
    tn__slab_pool_give(&large, slab);
    cr_expect(tn__slab_pool_has_space(&large));
    cr_expect_eq(tn__slab_pool_take(&large, (size_t)1 << 30, &odd), -ENOMEM);
    cr_expect(tn__slab_pool_is_valid(&large));
    tn__slab_pool_done(&large);
}
#endif

/* The high half of a park's word is its epoch. */
static uint32_t wakes(void)
{
    return (uint32_t)(tn__load(&pool.park.word, relaxed) >> 32);
}

Test(slab, nobody_is_woken_who_does_not_wait)
{
    uint32_t before = wakes();

    tn__slab_pool_notify(&pool, true);
    cr_expect_eq(wakes(), before);
}

Test(slab, a_waiter_is_woken_when_enough_is_free)
{
    take(0, FLOOR_SLABS);
    uint32_t epoch = tn__slab_pool_prepare(&pool), before = wakes();

    return_chain(0, 1);
    tn__slab_pool_notify(&pool, false);
    cr_expect_eq(wakes(), before); /* one slab of the 4 that are a batch here */
    return_chain(1, 4);
    tn__slab_pool_notify(&pool, false);
    cr_expect_neq(wakes(), before);
    before = wakes();
    tn__slab_pool_notify(&pool, true);
    cr_expect_eq(wakes(), before); /* once is enough */
    tn__slab_pool_wait(&pool, epoch);
    give(4, FLOOR_SLABS);
}

Test(slab, a_worker_that_stops_wakes_for_any_space)
{
    take(0, FLOOR_SLABS);
    uint32_t epoch = tn__slab_pool_prepare(&pool), before = wakes();

    tn__slab_pool_notify(&pool, true);
    cr_expect_neq(wakes(), before);
    tn__slab_pool_wait(&pool, epoch);
    cr_expect_not(tn__load(&pool.waiting, relaxed));
    give(0, FLOOR_SLABS);
}

static void *return_all(void *arg)
{
    (void)arg;
    return_chain(0, FLOOR_SLABS);
    tn__slab_pool_notify(&pool, true);
    return NULL;
}

Test(slab, a_sleeping_producer_wakes)
{
    pthread_t thread;

    take(0, FLOOR_SLABS);
    uint32_t epoch = tn__slab_pool_prepare(&pool);
    cr_assert_eq(pthread_create(&thread, NULL, return_all, NULL), 0);
    tn__slab_pool_wait(&pool, epoch);
    while (!tn__slab_pool_has_space(&pool)) {
        epoch = tn__slab_pool_prepare(&pool);
        if (tn__slab_pool_has_space(&pool))
            tn__slab_pool_cancel(&pool);
        else
            tn__slab_pool_wait(&pool, epoch);
    }
    pthread_join(thread, NULL);
}
