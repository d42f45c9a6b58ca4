#include <criterion/criterion.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "rcu.h"
#include "registry/index.h"

static struct tn__index index_;

static void set_up(void)
{
    tn__index_init(&index_);
}

static void tear_down(void)
{
    tn__rcu_barrier();
    tn__index_done(&index_);
}

TestSuite(index, .init = set_up, .fini = tear_down);

static const uint64_t odd_keys[] = {
    0,
    1,
    511,
    512,
    513,
    (1u << 18) - 1,
    1u << 18,
    UINT32_MAX,
    1ull << 32,
    1ull << 45,
    (1ull << 54) - 1,
    1ull << 54,
    (1ull << 63) - 1,
    1ull << 63,
    (1ull << 63) + 1,
    UINT64_MAX - 1,
    UINT64_MAX,
};

Test(index, empty_has_nothing)
{
    uint64_t key = 0;
    uint32_t value = 7;

    cr_assert_eq(tn__index_get_rcu(&index_, 0), 0);
    cr_assert_eq(tn__index_get_rcu(&index_, UINT64_MAX), 0);
    cr_assert_not(tn__index_next_rcu(&index_, &key, &value));
    cr_assert_eq(key, 0);
    cr_assert_eq(value, 7);
    tn__index_clear_locked(&index_, 5);
}

Test(index, keys_of_every_height)
{
    for (uint32_t i = 0; i < TN__COUNT(odd_keys); i++) {
        cr_assert_eq(tn__index_set_locked(&index_, odd_keys[i], i + 1), 0);
        for (uint32_t j = 0; j < TN__COUNT(odd_keys); j++)
            cr_assert_eq(tn__index_get_rcu(&index_, odd_keys[j]), j <= i ? j + 1 : 0);
    }
}

Test(index, high_key_first)
{
    for (uint32_t i = TN__COUNT(odd_keys); i-- > 0;)
        cr_assert_eq(tn__index_set_locked(&index_, odd_keys[i], i + 1), 0);
    for (uint32_t i = 0; i < TN__COUNT(odd_keys); i++)
        cr_assert_eq(tn__index_get_rcu(&index_, odd_keys[i]), i + 1);
}

Test(index, next_goes_through_in_order)
{
    uint64_t key = 0;
    uint32_t value = 0;

    for (uint32_t i = 0; i < TN__COUNT(odd_keys); i++)
        cr_assert_eq(tn__index_set_locked(&index_, odd_keys[i], i + 1), 0);
    for (uint32_t i = 0; i < TN__COUNT(odd_keys); i++) {
        cr_assert(tn__index_next_rcu(&index_, &key, &value));
        cr_assert_eq(key, odd_keys[i]);
        cr_assert_eq(value, i + 1);
        key++;
    }
    cr_assert_eq(key, 0, "the last key was the highest there is");
    tn__index_clear_locked(&index_, UINT64_MAX);
    key = UINT64_MAX;
    cr_assert_not(tn__index_next_rcu(&index_, &key, &value));
    cr_assert_eq(key, UINT64_MAX);
}

Test(index, next_ends_below_the_top)
{
    uint64_t key = 101;
    uint32_t value = 0;

    cr_assert_eq(tn__index_set_locked(&index_, 100, 1), 0);
    cr_assert_not(tn__index_next_rcu(&index_, &key, &value));
    key = 1ull << 40;
    cr_assert_not(tn__index_next_rcu(&index_, &key, &value));
    cr_assert_eq(tn__index_set_locked(&index_, 1ull << 63, 2), 0);
    tn__index_clear_locked(&index_, 1ull << 63);
    cr_assert_not(tn__index_next_rcu(&index_, &key, &value));
}

Test(index, set_replaces_and_clear_is_once)
{
    cr_assert_eq(tn__index_set_locked(&index_, 9, 1), 0);
    cr_assert_eq(tn__index_set_locked(&index_, 9, 2), 0);
    cr_assert_eq(tn__index_set_locked(&index_, 10, 3), 0);
    cr_assert_eq(tn__index_get_rcu(&index_, 9), 2);
    tn__index_clear_locked(&index_, 9);
    tn__index_clear_locked(&index_, 9);
    cr_assert_eq(tn__index_get_rcu(&index_, 9), 0);
    cr_assert_eq(tn__index_get_rcu(&index_, 10), 3);
}

Test(index, emptied_pages_are_given_back)
{
    for (uint32_t i = 0; i < TN__COUNT(odd_keys); i++)
        cr_assert_eq(tn__index_set_locked(&index_, odd_keys[i], 1), 0);
    for (uint32_t i = 0; i < TN__COUNT(odd_keys); i++)
        tn__index_clear_locked(&index_, odd_keys[i]);
    cr_assert_null(atomic_load(&index_.root));

    /* A window of keys that moves up keeps few pages. */
    size_t before = mallinfo2().uordblks;

    for (uint64_t key = 0; key < 1u << 20; key++) {
        cr_assert_eq(tn__index_set_locked(&index_, key, 1), 0);
        if (key >= 10)
            tn__index_clear_locked(&index_, key - 10);
    }
    tn__rcu_barrier();
    cr_assert_lt(mallinfo2().uordblks, before + 64 * 1024);
}

Test(index, page_outlives_the_readers_in_it)
{
    uint64_t key = 3;
    uint32_t value = 0;

    cr_assert_eq(tn__index_set_locked(&index_, 5, 1), 0);
    tn__rcu_read_lock();
    void *page = atomic_load(&index_.root);

    tn__index_clear_locked(&index_, 5);
    cr_assert_eq(tn__index_set_locked(&index_, 5, 2), 0);
    cr_assert_neq(atomic_load(&index_.root), page);
    cr_assert(tn__index_next_rcu(&index_, &key, &value));
    cr_assert_eq(value, 2);
    tn__rcu_read_unlock();
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Against a sorted array. */
Test(index, random_changes_agree_with_a_model)
{
    enum { KEYS = 3000, ROUNDS = 100000 };
    static uint64_t keys[KEYS];
    static uint32_t values[KEYS];
    size_t count = 0;

    srandom(1);
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t wide = (uint64_t)random() << 33 ^ (uint64_t)random() << 12 ^ (uint64_t)random();

        keys[i] = wide >> (random() % 60);
    }
    qsort(keys, KEYS, sizeof(*keys), by_value);
    for (size_t i = 0; i < KEYS; i++) {
        if (!count || keys[count - 1] != keys[i])
            keys[count++] = keys[i];
    }
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = (size_t)random() % count;
        uint64_t key = keys[at];
        uint32_t value;
        size_t next = at;

        /* Phases of filling and of emptying. */
        if (random() % 100 < (round / 10000 % 2 ? 20 : 80)) {
            values[at] = (uint32_t)random() | 1;
            cr_assert_eq(tn__index_set_locked(&index_, key, values[at]), 0);
        } else {
            values[at] = 0;
            tn__index_clear_locked(&index_, key);
        }
        cr_assert_eq(tn__index_get_rcu(&index_, key), values[at]);
        at = (size_t)random() % count;
        cr_assert_eq(tn__index_get_rcu(&index_, keys[at]), values[at]);
        next = at;
        while (next < count && !values[next])
            next++;
        key = keys[at];
        cr_assert_eq(tn__index_next_rcu(&index_, &key, &value), next < count);
        if (next < count)
            cr_assert(key == keys[next] && value == values[next]);
    }
}

#if !defined(__SANITIZE_ADDRESS__)
Test(index, no_memory_changes_nothing)
{
    enum { KEYS = 100000 };
    struct rlimit limit;
    int error = 0;
    uint64_t key = 0;

    tn__index_set_locked(&index_, 0, 1);
    getrlimit(RLIMIT_AS, &limit);
    rlim_t old = limit.rlim_cur;

    limit.rlim_cur = 0;
    setrlimit(RLIMIT_AS, &limit);
    while (!error && key < KEYS) {
        key++;
        error = tn__index_set_locked(&index_, key << 27, 1);
    }
    limit.rlim_cur = old;
    setrlimit(RLIMIT_AS, &limit);

    cr_assert_eq(error, -ENOMEM);
    cr_assert_eq(tn__index_get_rcu(&index_, key << 27), 0);
    for (uint64_t i = 0; i < key; i++)
        cr_assert_eq(tn__index_get_rcu(&index_, i << 27), 1);
    cr_assert_eq(tn__index_set_locked(&index_, key << 27, 5), 0);
    for (uint64_t i = 0; i <= key; i++)
        tn__index_clear_locked(&index_, i << 27);
    cr_assert_null(atomic_load(&index_.root), "the failed call left no empty page");
}
#endif
