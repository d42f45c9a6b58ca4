/* When all that was pushed has been consumed: queue/epoch.c. */
#include "lane_hand.h"

TestSuite(epoch, .init = set_up, .fini = tear_down);

Test(epoch, is_reached_when_its_last_record_was_consumed)
{
    struct tn__lane *other = lane_new();

    push_numbers(lane, 0, 100);
    push_numbers(other, 0, 1);
    uint64_t ticket = tn__lanes_epoch_close(&lanes);
    cr_assert_neq(ticket, 0);
    push_numbers(lane, 100, 120); /* of the next one */
    cr_expect_not(tn__lanes_epoch_reached(&lanes, ticket));
    tn__lanes_publish(&lanes);
    run_one();
    run_one();
    cr_expect_not(tn__lanes_epoch_reached(&lanes, ticket));
    stall_at = 100;
    stall_answer = true;
    run_one();
    cr_expect_eq(logged, 101);
    cr_expect(tn__lanes_epoch_reached(&lanes, ticket));

    uint64_t next = tn__lanes_epoch_close(&lanes);
    cr_expect_gt(next, ticket);
    cr_expect_not(tn__lanes_epoch_reached(&lanes, next));
    stall_at = 0;
    tn__lane_resume(&lanes, lane);
    run_all();
    cr_expect(tn__lanes_epoch_reached(&lanes, next));
    cr_expect(tn__lanes_epoch_reached(&lanes, ticket));
}

Test(epoch, nothing_pushed_is_reached_at_once)
{
    uint64_t ticket = tn__lanes_epoch_close(&lanes);

    cr_assert_neq(ticket, 0);
    cr_expect(tn__lanes_epoch_reached(&lanes, ticket));
    for (int i = 0; i < 200; i++)
        cr_expect_eq(tn__lanes_epoch_close(&lanes), ticket); /* takes no room */
}

Test(epoch, one_that_is_not_closed_is_not_reached)
{
    uint64_t ticket = tn__lanes_epoch_close(&lanes);

    cr_expect_not(tn__lanes_epoch_reached(&lanes, ticket + 1));
    push_numbers(lane, 0, 1);
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect_not(tn__lanes_epoch_reached(&lanes, ticket + 1));
    cr_expect_eq(tn__lanes_epoch_close(&lanes), ticket + 1);
    cr_expect(tn__lanes_epoch_reached(&lanes, ticket + 1));
}

Test(epoch, what_is_consumed_before_the_close_does_not_count)
{
    push_numbers(lane, 0, 10);
    tn__lanes_publish(&lanes);
    run_all();
    push_numbers(lane, 10, 20);
    uint64_t ticket = tn__lanes_epoch_close(&lanes);
    cr_expect_not(tn__lanes_epoch_reached(&lanes, ticket));
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect(tn__lanes_epoch_reached(&lanes, ticket));
}

Test(epoch, without_room_a_close_fails_until_the_oldest_is_complete)
{
    uint64_t tickets[TN__EPOCHS], last = 0;
    size_t count = 0;

    for (uint32_t i = 0; i < TN__EPOCHS + 5; i++) {
        push_numbers(lane, i, i + 1);
        uint64_t ticket = tn__lanes_epoch_close(&lanes);
        if (ticket == 0)
            break;
        cr_expect_gt(ticket, last);
        tickets[count++] = last = ticket;
    }
    cr_expect_eq(count, TN__EPOCHS - 1);
    cr_expect_eq(tn__lanes_epoch_close(&lanes), 0);
    stall_at = 1;
    stall_answer = true;
    tn__lanes_publish(&lanes);
    run_all();
    cr_expect(tn__lanes_epoch_reached(&lanes, tickets[0]));
    cr_expect_not(tn__lanes_epoch_reached(&lanes, tickets[1]));
    cr_expect_gt(tn__lanes_epoch_close(&lanes), last);
    stall_at = 0;
    tn__lane_resume(&lanes, lane);
    run_all();
    cr_expect(tn__lanes_epoch_reached(&lanes, last));
}

Test(epoch, numbers_go_round_many_times)
{
    for (uint32_t i = 0; i < 1000; i++) {
        push_numbers(lane, i, i + 1);
        uint64_t ticket = tn__lanes_epoch_close(&lanes);
        cr_assert_neq(ticket, 0);
        cr_assert_not(tn__lanes_epoch_reached(&lanes, ticket));
        tn__lanes_publish(&lanes);
        run_all();
        if (i % 3 == 0)
            cr_assert(tn__lanes_epoch_reached(&lanes, ticket));
    }
}

Test(epoch, wakes_who_waits)
{
    struct tn__park *park = tn__lanes_epoch_park(&lanes);
    pthread_t thread;

    push_numbers(lane, 0, 200);
    uint64_t ticket = tn__lanes_epoch_close(&lanes);
    tn__lanes_publish(&lanes);
    uint32_t seen = tn__park_prepare(park);
    cr_assert_not(tn__lanes_epoch_reached(&lanes, ticket));
    cr_assert_eq(pthread_create(&thread, NULL, run_all_thread, NULL), 0);
    tn__park_wait(park, seen, -1); /* the test's time limit if nobody wakes */
    pthread_join(thread, NULL);
    cr_expect(tn__lanes_epoch_reached(&lanes, ticket));
}
