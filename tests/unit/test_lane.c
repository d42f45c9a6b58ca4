/* Order, turns, stalls and coalescing: queue/lane.c. */
#include "lane_hand.h"

static void set_up_coalesce(void)
{
    set_up_flags(TN__LANES_COALESCE);
}

TestSuite(lane, .init = set_up, .fini = tear_down);
TestSuite(coalesce, .init = set_up_coalesce, .fini = tear_down);

/* Order and turns. */

Test(lane, nothing_is_seen_before_it_is_published)
{
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    push_numbers(lane, 1, 3);
    run_all();
    expect_numbers(0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, 3);
}

Test(lane, is_submitted_once_while_it_is_scheduled)
{
    for (uint32_t i = 0; i < 10; i++) {
        push_numbers(lane, i, i + 1);
        tn__lanes_publish(&lanes);
    }
    tn__lanes_publish(&lanes);
    cr_expect_eq(submits, 1);
    run_all();
    cr_expect_eq(submits, 1);
    expect_numbers(0, 10);
    push_numbers(lane, 10, 11);
    tn__lanes_publish(&lanes);
    cr_expect_eq(submits, 2);
    run_all();
}

Test(lane, keeps_order_over_many_slabs)
{
    push_numbers(lane, 0, 300);
    cr_expect_gt(tn__lanes_bytes(&lanes), 5 * TN__SLAB_BYTES);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, 300);
    cr_expect_eq(tn__lanes_bytes(&lanes), TN__SLAB_BYTES);
}

Test(lane, a_turn_ends_after_64_events)
{
    push_numbers(lane, 0, 130);
    tn__lanes_publish(&lanes);
    run_one();
    expect_numbers(0, 64);
    cr_expect_eq(submits, 2);
    run_one();
    expect_numbers(0, 128);
    run_one();
    expect_numbers(0, 130);
    cr_expect_eq(ready_count, 0);
    cr_expect_eq(most_at_once, 64);
}

Test(lane, a_turn_of_just_64_events_leaves_nothing_behind)
{
    push_numbers(lane, 0, 64);
    tn__lanes_publish(&lanes);
    run_one();
    expect_numbers(0, 64);
    cr_expect_eq(ready_count, 0);
}

static void push_one_more(struct tn__lane *of)
{
    if (delivers > 100)
        return;
    cr_assert_eq(push_number(of, (uint32_t)delivers), 0);
    tn__lanes_publish(&lanes);
}

Test(lane, what_comes_during_a_turn_is_in_it_up_to_64)
{
    on_deliver = push_one_more;
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_one();
    expect_numbers(0, 64);
    cr_expect_eq(submits, 2);
    run_all();
    expect_numbers(0, 101);
}

static void push_one_more_late(struct tn__lane *of)
{
    struct timespec start, now;

    push_one_more(of);
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < TN__TURN_NS);
}

Test(lane, a_turn_ends_after_a_millisecond)
{
    on_deliver = push_one_more_late;
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_one();
    expect_numbers(0, 1);
    cr_expect_eq(ready_count, 1);
    on_deliver = NULL;
    run_all();
    expect_numbers(0, 2);
}

Test(lane, runs_inside_publish)
{
    inline_runs = true;
    on_deliver = push_one_more;
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    expect_numbers(0, 101);
}

static struct tn__lane *others[3];

static void push_to_others(struct tn__lane *of)
{
    if (of != lane)
        return;
    for (size_t i = 0; i < TN__COUNT(others); i++)
        push_numbers(others[i], (uint32_t)i + 1, (uint32_t)i + 2);
    tn__lanes_publish(&lanes);
}

Test(lane, a_deliver_inside_publish_may_publish)
{
    for (size_t i = 0; i < TN__COUNT(others); i++)
        others[i] = lane_new();
    inline_runs = true;
    on_deliver = push_to_others;
    push_numbers(lane, 4, 5);
    push_numbers(others[2], 0, 1);
    tn__lanes_publish(&lanes);
    /* The first lane's deliver publishes the rest before its own record is written down. */
    cr_assert_eq(logged, 5);
    cr_expect_eq(cookies[0], 0);
    cr_expect_eq(cookies[4], 4);
    cr_expect_null(lanes.dirty);
}

Test(lane, a_cancelled_task_is_not_lost)
{
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    ready_count = 0;
    lane->task.cancel(&lane->task);
    cr_expect_eq(cancels, 1);
    lanes.ops.cancel = NULL;
    ready_count = 0;
    lane->task.cancel(&lane->task);
    cr_expect_eq(submits, 2);
    run_all();
    expect_numbers(0, 1);
}

Test(lane, stalls_until_it_is_resumed)
{
    stall_at = 70;
    stall_answer = true;
    push_numbers(lane, 0, 100);
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, 70);
    cr_expect_eq(stall_count, 1);

    push_numbers(lane, 100, 110);
    tn__lanes_publish(&lanes);
    cr_expect_eq(ready_count, 0); /* it is still SCHEDULED */
    tn__lane_resume(&lanes, lane);
    run_all();
    expect_numbers(0, 70);
    cr_expect_eq(stall_count, 2);

    stall_at = 0;
    tn__lane_resume(&lanes, lane);
    run_all();
    expect_numbers(0, 110);
}

Test(lane, goes_on_when_a_stall_is_over_already)
{
    stall_at = 10;
    stall_answer = false;
    push_numbers(lane, 0, 20);
    tn__lanes_publish(&lanes);
    run_one();
    cr_expect_eq(stall_count, 1);
    expect_numbers(0, 20);
    cr_expect_eq(ready_count, 0);
}

Test(lane, stalls_at_the_first_record_of_a_slab)
{
    uint32_t first = 0;

    while (!lane->head || lane->tail == lane->head)
        push_numbers(lane, first, first + 1), first++;
    stall_at = first - 1;
    stall_answer = true;
    tn__lanes_publish(&lanes);
    run_all();
    expect_numbers(0, first - 1);
    stall_at = 0;
    tn__lane_resume(&lanes, lane);
    run_all();
    expect_numbers(0, first);
    cr_expect_eq(tn__lanes_bytes(&lanes), TN__SLAB_BYTES);
}

/* Coalescing. */

static int push_as(struct tn__entry entry)
{
    return tn__lane_push(&lanes, lane, &entry);
}

Test(coalesce, an_equal_event_is_dropped_and_counted)
{
    struct tn__entry entry = entry_of("/p", "n", 1);

    cr_expect_eq(push_as(entry), 0);
    entry.sequence = 5;
    entry.read_ns = 6;
    cr_expect_eq(push_as(entry), 1);
    cr_expect_eq(push_as(entry), 1);
    cr_expect_eq(tn__lanes_coalesced(&lanes), 2);
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect_eq(logged, 1);
}

Test(coalesce, not_with_a_published_one)
{
    cr_expect_eq(push_as(entry_of("/p", "n", 1)), 0);
    tn__lanes_publish(&lanes);
    cr_expect_eq(push_as(entry_of("/p", "n", 1)), 0);
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect_eq(logged, 2);
}

Test(coalesce, any_difference_counts)
{
    struct tn__entry base = entry_of("/p", "name", 1), other;

#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        cr_expect_eq(push_as(base), 0, "before " #change);                                         \
        other = base;                                                                              \
        change;                                                                                    \
        cr_expect_eq(push_as(other), 0, #change);                                                  \
    } while (0)

    DIFFERS(other.wd = 8);
    DIFFERS(other.mask = IN_MODIFY);
    DIFFERS(other.cookie = 1);
    DIFFERS(other.flags = TN_EVENT_SYNTHETIC);
    DIFFERS(other.error = -ENOSPC);
    DIFFERS(other.name = "nbme");
    DIFFERS(other.name_length = 3);
    DIFFERS(other.name = NULL);
    DIFFERS(other.path_key = 2);
    DIFFERS(other.path_key = 0);
    DIFFERS(other.kind = TN__ENTRY_FINAL);
    DIFFERS((other.path = NULL, other.path_length = 0));
    DIFFERS((other.src_pathname = "/s", other.src_length = 2));
#undef DIFFERS
    cr_expect_eq(push_as(base), 0, "after one with a source");
    cr_expect_eq(tn__lanes_coalesced(&lanes), 0);
    tn__lanes_publish(&lanes);
}

Test(coalesce, never_final_ones_or_those_without_a_key)
{
    struct tn__entry entry = entry_of("/p", "n", 1);

    entry.kind = TN__ENTRY_FINAL;
    cr_expect_eq(push_as(entry), 0);
    cr_expect_eq(push_as(entry), 0);
    cr_expect_eq(push_as(entry_of("/p", "n", 0)), 0);
    cr_expect_eq(push_as(entry_of("/p", "n", 0)), 0);
    tn__lanes_publish(&lanes);
}

Test(coalesce, only_if_asked_for)
{
    lanes.flags = 0;
    cr_expect_eq(push_as(entry_of("/p", "n", 1)), 0);
    cr_expect_eq(push_as(entry_of("/p", "n", 1)), 0);
    tn__lanes_publish(&lanes);
}

/* What tn__lane_is_valid() is for: each change is seen, and taken back. */

#define INVALID(change)                                                                            \
    do {                                                                                           \
        struct tn__lane before = *lane;                                                            \
        change;                                                                                    \
        cr_expect_not(tn__lane_is_valid(lane), #change);                                           \
        *lane = before;                                                                            \
        cr_assert(tn__lane_is_valid(lane));                                                        \
    } while (0)

Test(lane, an_empty_one_has_nothing)
{
    struct tn__slab slab = {.capacity = TN__SLAB_ROOM};

    INVALID(lane->state = TN__LANE_SCHEDULED);
    INVALID(lane->fresh = &slab);
    INVALID(lane->head = &slab);
    INVALID(lane->tail_used = 8);
}

Test(lane, an_idle_one_has_been_read_to_its_end)
{
    struct tn__slab slab = {.capacity = TN__SLAB_ROOM};

    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    INVALID(lane->state = TN__LANE_DIRTY);
    INVALID(lane->head = &slab);
    INVALID(lane->head_at = 0);
    INVALID(lane->tail_used = lane->tail->capacity + 8);
    INVALID(lane->tail_used += 4);
    INVALID(lane->tail_used += 8);
}

Test(lane, unpublished_slabs_are_a_chain)
{
    push_numbers(lane, 0, 100);
    struct tn__slab *first = lane->fresh, *second = first->next;
    cr_assert_neq(second, lane->tail);
    uint32_t end = first->end;
    first->end = first->capacity + 1;
    cr_expect_not(tn__lane_is_valid(lane));
    first->end = end;
    first->next = NULL;
    cr_expect_not(tn__lane_is_valid(lane));
    first->next = second;
    lane->tail->next = first;
    cr_expect_not(tn__lane_is_valid(lane));
    lane->tail->next = NULL;
}
