#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "registry/store.h"

struct item {
    uint64_t value;
    uint32_t link;
    uint32_t other;
};

static struct tn__store store;

static void set_up(void)
{
    cr_assert_eq(tn__store_init(&store, sizeof(struct item), offsetof(struct item, link)), 0);
}

static void tear_down(void)
{
    tn__rcu_barrier();
    tn__store_done(&store);
}

TestSuite(store, .init = set_up, .fini = tear_down);

static struct item *item_at(uint32_t id)
{
    return tn__store_get(&store, id);
}

Test(store, ids_count_from_one_and_items_start_as_zero)
{
    for (uint32_t id = 1; id <= 5000; id++) {
        cr_assert_eq(tn__store_alloc_locked(&store), id);
        cr_assert_eq(item_at(id)->value, 0);
        cr_assert_eq(item_at(id)->link, 0);
        cr_assert_eq(tn__store_count(&store), id);
        cr_assert_eq(tn__store_end(&store), id + 1);
    }
}

Test(store, items_never_move_nor_overlap)
{
    enum { COUNT = 20000 };
    static struct item *address[COUNT + 1];

    for (uint32_t i = 1; i <= COUNT; i++) {
        uint32_t id = tn__store_alloc_locked(&store);

        cr_assert_eq(id, i);
        address[id] = item_at(id);
        memset(address[id], (int)(id % 251), sizeof(struct item));
    }
    for (uint32_t id = 1; id <= COUNT; id++) {
        unsigned char expected[sizeof(struct item)];

        memset(expected, (int)(id % 251), sizeof(expected));
        cr_assert_eq(item_at(id), address[id]);
        cr_assert_arr_eq(address[id], expected, sizeof(expected));
    }
}

Test(store, at_and_get_agree_at_segment_borders)
{
    static const uint32_t ids[] = {1, 2, 64, 65, 191, 192, 193, 448, 449};

    while (tn__store_end(&store) < 500)
        tn__store_alloc_locked(&store);
    for (size_t i = 0; i < TN__COUNT(ids); i++)
        cr_assert_eq(tn__store_at(&store, ids[i], sizeof(struct item)), item_at(ids[i]));
    cr_assert_eq(tn__store_segment(64), 0);
    cr_assert_eq(tn__store_segment(65), 1);
    cr_assert_eq(tn__store_segment(192), 1);
    cr_assert_eq(tn__store_segment(193), 2);
    cr_assert_eq(tn__store_segment(UINT32_MAX - 63), TN__STORE_SEGMENTS - 1);
}

Test(store, freed_slot_rests_while_a_reader_is_inside)
{
    uint32_t id = tn__store_alloc_locked(&store);

    item_at(id)->value = 42;
    tn__rcu_read_lock();
    tn__store_free_locked(&store, id);
    for (int i = 0; i < 100; i++)
        cr_assert_neq(tn__store_alloc_locked(&store), id);
    cr_assert_eq(item_at(id)->value, 42);
    tn__rcu_read_unlock();
    tn__rcu_barrier();
    cr_assert_eq(tn__store_alloc_locked(&store), id);
    cr_assert_eq(item_at(id)->value, 42, "old bytes are kept");
}

Test(store, slot_freed_during_a_grace_period_waits_for_the_next)
{
    uint32_t first = tn__store_alloc_locked(&store);
    uint32_t second = tn__store_alloc_locked(&store);

    tn__rcu_read_lock();
    tn__store_free_locked(&store, first);
    tn__store_free_locked(&store, second);
    tn__rcu_read_unlock();
    tn__rcu_barrier();

    tn__rcu_read_lock();
    cr_assert_eq(tn__store_alloc_locked(&store), first);
    cr_assert_gt(tn__store_alloc_locked(&store), second);
    tn__rcu_read_unlock();
    tn__rcu_barrier();
    cr_assert_eq(tn__store_alloc_locked(&store), second);
}

Test(store, every_freed_slot_comes_back_once)
{
    enum { COUNT = 1000 };
    bool seen[COUNT + 1] = {false};

    for (uint32_t i = 0; i < COUNT; i++)
        tn__store_alloc_locked(&store);
    for (uint32_t id = 1; id <= COUNT; id++)
        tn__store_free_locked(&store, id);
    cr_assert_eq(tn__store_count(&store), 0);
    tn__rcu_barrier();
    cr_assert_eq(tn__store_alloc_locked(&store), 1, "freed first, alone in the first grace period");
    seen[1] = true;
    tn__rcu_barrier();
    for (uint32_t i = 1; i < COUNT; i++) {
        uint32_t id = tn__store_alloc_locked(&store);

        cr_assert(id >= 1 && id <= COUNT);
        cr_assert_not(seen[id]);
        seen[id] = true;
    }
    cr_assert_eq(tn__store_alloc_locked(&store), COUNT + 1);
    cr_assert_eq(tn__store_count(&store), COUNT + 1);
}

/* Four thousand million: as if they had been handed out. */
Test(store, ids_come_to_an_end)
{
    store.end = UINT32_MAX - TN__STORE_FIRST + 1;
    cr_assert_eq(tn__store_alloc_locked(&store), 0);
    cr_assert_eq(tn__store_count(&store), 0);
    store.end = 1;
    cr_assert_eq(tn__store_alloc_locked(&store), 1);
}

Test(store, init_refuses_a_link_that_does_not_fit)
{
    struct tn__store bad;

    cr_assert_eq(tn__store_init(&bad, 16, 16), -EINVAL);
    cr_assert_eq(tn__store_init(&bad, 16, 14), -EINVAL);
    cr_assert_eq(tn__store_init(&bad, 13, 0), -EINVAL);
    cr_assert_eq(tn__store_init(&bad, 0, 0), -EINVAL);
    cr_assert_eq(tn__store_init(&bad, 16, 12), 0);
    tn__store_done(&bad);
}
