/* Slabs of idle lanes, waiting for space, and lanes that come and go: queue/lanes.c. */
#include "lane_hand.h"

TestSuite(reclaim, .init = set_up, .fini = tear_down);
TestSuite(space, .init = set_up, .fini = tear_down);
TestSuite(recycle, .init = set_up, .fini = tear_down);

/* Slabs of idle lanes. */

Test(reclaim, an_idle_lane_keeps_its_slab_until_it_is_asked_for)
{
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    struct tn__slab *slab = lane->tail;
    push_numbers(lane, 1, 2);
    cr_expect_eq(lane->tail, slab);
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect_eq(tn__lanes_bytes(&lanes), TN__SLAB_BYTES);
    cr_expect(tn__lanes_reclaim(&lanes));
    cr_expect_eq(tn__lanes_bytes(&lanes), 0);
    cr_expect_not(tn__lanes_reclaim(&lanes));
    cr_expect(tn__lane_is_valid(lane));

    push_numbers(lane, 2, 3);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, 3);
}

Test(reclaim, what_workers_returned_counts)
{
    push_numbers(lane, 0, 130);
    tn__lanes_publish(&lanes);
    run_one();
    cr_expect(tn__lanes_reclaim(&lanes));
    cr_expect_not(tn__lanes_reclaim(&lanes));
    run_all();
    expect_numbers(0, 130);
}

Test(reclaim, a_lane_with_records_keeps_its_slab)
{
    push_numbers(lane, 0, 1);
    cr_expect_not(tn__lanes_reclaim(&lanes)); /* unpublished */
    tn__lanes_publish(&lanes);
    cr_expect_not(tn__lanes_reclaim(&lanes)); /* scheduled */
    stall_at = 5;
    stall_answer = true;
    push_numbers(lane, 5, 6);
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect_not(tn__lanes_reclaim(&lanes)); /* stalled */
    stall_at = 0;
    tn__lane_resume(&lanes, lane);
    run_all();
    cr_expect(tn__lanes_reclaim(&lanes));
    cr_expect_eq(logged, 2);
}

Test(reclaim, more_idle_lanes_than_the_bound_has_slabs)
{
    static struct tn__lane *many[1000];

    for (size_t i = 0; i < TN__COUNT(many); i++) {
        many[i] = lane_new();
        for (uint32_t n = 0; n < 3; n++) {
            struct tn__lane *to = many[n == 2 ? i / 2 : i];
            while (push_number(to, n) == -ENOBUFS)
                cr_assert_eq(tn__lanes_wait_space(&lanes, NULL, NULL), 0);
            tn__lanes_publish(&lanes);
            run_all();
            cr_assert_leq(tn__lanes_bytes(&lanes), TN__POOL_FLOOR);
        }
    }
    cr_expect_eq(logged, 3 * TN__COUNT(many));
}

/* Waiting for space. */

static uint32_t fill(void)
{
    uint32_t n = 0;

    while (push_number(lane, n) == 0)
        n++;
    cr_assert_eq(push_number(lane, n), -ENOBUFS);
    cr_assert_eq(tn__lanes_bytes(&lanes), TN__POOL_FLOOR);
    return n;
}

static int stop_after;

static bool stop(void *context)
{
    cr_assert_eq(context, &stop_after);
    return stop_after-- == 0;
}

Test(space, a_wait_can_be_stopped)
{
    uint32_t n = fill();

    cr_expect_eq(tn__lanes_wait_space(&lanes, stop, &stop_after), -ECANCELED);
    cr_expect_not(tn__load(&lanes.pool.waiting, relaxed));
    cr_expect_eq((uint32_t)tn__load(&lanes.pool.park.word, relaxed), 0); /* no waiter is left */
    cr_expect_eq(ready_count, 1);                                        /* it has published */
    run_all();
    expect_numbers(0, n);
}

static void *wake_space(void *arg)
{
    (void)arg;
    tn__park_wake(tn__lanes_space_park(&lanes), 1);
    return NULL;
}

static bool stop_second(void *context)
{
    pthread_t *thread = context;

    if (stop_after++ > 0)
        return true;
    cr_assert_eq(pthread_create(thread, NULL, wake_space, NULL), 0);
    return false;
}

Test(space, a_sleeping_wait_can_be_stopped)
{
    pthread_t thread;

    fill();
    cr_expect_eq(tn__lanes_wait_space(&lanes, stop_second, &thread), -ECANCELED);
    pthread_join(thread, NULL);
    run_all();
}

static bool start_worker(void *context)
{
    pthread_t *thread = context;

    if (stop_after++ == 0)
        cr_assert_eq(pthread_create(thread, NULL, run_all_thread, NULL), 0);
    return false;
}

Test(space, a_worker_ends_the_wait)
{
    pthread_t thread;
    uint32_t n = fill();

    cr_expect_eq(tn__lanes_wait_space(&lanes, start_worker, &thread), 0);
    push_numbers(lane, n, n + 1);
    pthread_join(thread, NULL);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, n + 1);
}

Test(space, an_inline_executor_makes_it_at_once)
{
    uint32_t n = fill();

    inline_runs = true;
    cr_expect_eq(tn__lanes_wait_space(&lanes, NULL, NULL), 0);
    push_numbers(lane, n, n + n / 2);
    tn__lanes_publish(&lanes);
    expect_numbers(0, n + n / 2);
}

Test(space, a_push_takes_an_idle_lane_s_slab)
{
    struct tn__lane *idle = lane_new();

    push_numbers(idle, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    for (uint32_t n = 0; idle->tail; n++)
        cr_assert_eq(push_number(lane, n), 0);
    cr_expect_eq(tn__lanes_bytes(&lanes), TN__POOL_FLOOR);
    cr_expect_eq(lanes.held_count, 1);
    tn__lanes_publish(&lanes);
    run_all();
}

/* What an idle lane gives back may not be enough. */
Test(space, a_large_record_needs_more_than_an_idle_lane_s_slab)
{
    static char path[TN__POOL_FLOOR / 2];
    struct tn__entry large = entry_of(path, NULL, 0);
    struct tn__lane *other = lane_new();

    memset(path, 'p', sizeof(path) - 1);
    large.path_length = sizeof(path) - 1;
    push_numbers(other, 0, 1);
    tn__lanes_publish(&lanes);
    fill();
    cr_assert_eq(tn__lane_push(&lanes, lane, &large), -ENOBUFS);
    run_one();
    cr_expect_eq(tn__lanes_wait_space(&lanes, stop, &stop_after), -ECANCELED);
    cr_expect_null(other->tail, "it was taken all the same");
    run_all();
    cr_expect_eq(tn__lanes_wait_space(&lanes, stop, &stop_after), 0);
    cr_expect_eq(tn__lane_push(&lanes, lane, &large), 0);
    tn__lanes_publish(&lanes);
    run_all();
}

Test(space, a_record_beyond_the_bound_gets_through)
{
    static char long_text[2 * TN__POOL_FLOOR];

    memset(long_text, 'p', sizeof(long_text) - 1);
    struct tn__entry entry = entry_of(long_text, "n", 1);
    entry.cookie = 10;
    push_numbers(lane, 0, 10);
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), -ENOBUFS);
    cr_expect_eq(tn__lanes_wait_space(&lanes, stop, &stop_after), -ECANCELED);
    run_all();
    cr_expect_eq(tn__lanes_wait_space(&lanes, NULL, NULL), 0);
    cr_expect_eq(tn__lane_push(&lanes, lane, &entry), 0);
    tn__lanes_publish(&lanes);
    cr_expect_eq(push_number(lane, 11), -ENOBUFS);
    run_all();
    cr_expect_eq(tn__lanes_wait_space(&lanes, NULL, NULL), 0);
    push_numbers(lane, 11, 12);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, 12);
    cr_expect_leq(lanes.pool.held, TN__POOL_FLOOR);
}

/* Lanes that come and go. */

Test(recycle, ids_start_at_one_and_find_their_lane)
{
    cr_expect_eq(lane->id, 1);
    for (uint32_t id = 2; id <= 3000; id++) {
        cr_assert_eq(tn__lanes_alloc(&lanes), id);
        cr_assert_eq(tn__lanes_get(&lanes, id)->id, id);
    }
    cr_expect_eq(tn__lanes_get(&lanes, 1), lane);
}

Test(recycle, ids_have_an_end)
{
    uint32_t count = lanes.count;

    lanes.count = (64u << TN__LANE_SEGMENTS) - 64;
    cr_expect_eq(tn__lanes_alloc(&lanes), 0);
    lanes.count = count;
}

Test(recycle, an_idle_lane_is_used_again_with_its_slab)
{
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    tn__lanes_free(&lanes, lane->id);
    cr_expect_eq(tn__lanes_alloc(&lanes), lane->id);
    cr_expect_eq(tn__lanes_alloc(&lanes), 2);
    push_numbers(lane, 1, 2);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, 2);
}

static void free_and_alloc(struct tn__lane *of)
{
    tn__lanes_free(&lanes, of->id);
    cr_expect_neq(tn__lanes_alloc(&lanes), of->id); /* its turn has not ended */
}

Test(recycle, a_running_lane_is_used_again_after_its_turn)
{
    on_deliver = free_and_alloc;
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect_eq(tn__load(&lane->state, relaxed), 0);
    cr_expect_eq(tn__lanes_alloc(&lanes), lane->id);
    cr_expect_neq(tn__lanes_alloc(&lanes), lane->id);
}

static void free_lane(struct tn__lane *of)
{
    if (delivers == 1)
        tn__lanes_free(&lanes, of->id);
}

Test(recycle, a_late_run_of_a_freed_lane_is_in_vain)
{
    on_deliver = free_lane;
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    /* As if the worker had taken the record before the producer said so. */
    tn__fetch_or(&lane->state, TN__LANE_DIRTY | TN__LANE_SCHEDULED, seq_cst);
    cr_expect_eq(tn__lanes_alloc(&lanes), lane->id);
    push_numbers(lane, 1, 2);
    tn__lanes_publish(&lanes);
    cr_expect_eq(ready_count, 0);
    lane->task.run(&lane->task);
    expect_numbers(0, 2);
    cr_expect_neq(tn__lanes_alloc(&lanes), lane->id); /* was recycled once, not twice */
}
