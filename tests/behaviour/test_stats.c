/* tn_notifier_get_stats(): what each counter counts. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seen.h"

static struct seen seen;

static void open_stage(void)
{
    enter_directory();
    seen_init(&seen);
}

static void close_stage(void)
{
    seen_done(&seen);
    leave_directory();
}

TestSuite(notifier_stats, .init = open_stage, .fini = close_stage, .timeout = 60);

Test(notifier_stats, size)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    struct {
        struct tn_stats known;
        uint64_t later;
    } large = {.known = {.size = sizeof(large)}, .later = 7};
    struct tn_stats stats = {.size = offsetof(struct tn_stats, delivered), .delivered = 7};

    watch(notifier, ".", IN_CREATE, 0);
    make_file("f");
    settle(notifier);
    cr_expect_eq(tn_notifier_get_stats(notifier, NULL), -EINVAL);
    cr_expect_eq(tn_notifier_get_stats(notifier, &stats), 0);
    cr_expect_eq(stats.size, offsetof(struct tn_stats, delivered));
    cr_expect_gt(stats.read, 0);
    cr_expect_eq(stats.delivered, 7, "no more than size is filled");
    cr_expect_eq(tn_notifier_get_stats(notifier, &large.known), 0);
    cr_expect_eq(large.known.delivered, 1);
    cr_expect_eq(large.later, 0);
    stats.size = 1;
    cr_expect_eq(tn_notifier_get_stats(notifier, &stats), -EINVAL);
    stats.size = 1 << 20;
    cr_expect_eq(tn_notifier_get_stats(notifier, &stats), -E2BIG);
    tn_notifier_free(notifier);
}

Test(notifier_stats, of_a_new_one)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    struct tn_stats stats = stats_of(notifier), zero = {.size = stats.size};

    cr_expect_eq(memcmp(&stats, &zero, sizeof(stats)), 0);
    tn_notifier_free(notifier);
}

Test(notifier_stats, read_and_delivered)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);
    uint64_t samples = 0;

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    watch(notifier, ".", IN_CREATE, 0);
    make_files("f", 100);
    settle(notifier);
    struct tn_stats stats = stats_of(notifier);
    cr_expect_geq(stats.read, 100, "one for each record");
    cr_expect_leq(stats.read, 110);
    cr_expect_eq(stats.delivered, 200, "one for each watch");
    cr_expect_eq(stats.watches, 2);
    cr_expect_gt(stats.wakeups, 0);
    cr_expect_gt(stats.queue_bytes_high, 0);
    cr_expect_leq(stats.queue_bytes, stats.queue_bytes_high);
    for (size_t i = 0; i < 32; i++)
        samples += stats.latency_ns[i];
    cr_expect_eq(samples, 200);
    cr_expect_eq(stats.suppressed + stats.dropped + stats.unhandled + stats.errors, 0);
    cr_expect_eq(stats.overflows + stats.unwatched + stats.synthetic + stats.moves, 0);
    tn_notifier_free(notifier);
}

Test(notifier_stats, latency)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    uint64_t late = 0;

    watch(notifier, ".", IN_CREATE, 0);
    make_files("f", 10);
    cr_assert_eq(tn_notifier_read_events(notifier), 10);
    cr_assert_eq(tn_notifier_check_events(notifier, 0), 1);
    usleep(20000);
    cr_assert_eq(tn_notifier_process_events(notifier), 10);
    for (size_t i = 24; i < 32; i++) /* 2^24 ns are 16.8 ms */
        late += stats_of(notifier).latency_ns[i];
    cr_expect_eq(late, 10);
    tn_notifier_free(notifier);
}

Test(notifier_stats, suppressed_by_a_removal)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    tn_wd wd = watch(notifier, ".", IN_CREATE, 0);

    make_files("f", 100);
    cr_assert_eq(tn_notifier_read_events(notifier), 100);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_eq(stats_of(notifier).suppressed, 100);
    cr_expect_eq(stats_of(notifier).delivered, 1);
    cr_expect_eq(stats_of(notifier).watches, 0);
    cr_expect_eq(seen_count_of(&seen, IN_IGNORED), 1);
    tn_notifier_free(notifier);
}

Test(notifier_stats, scans_and_synthetic)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_directory("a");
    make_directory("a/b");
    make_file("a/b/f");
    settle(notifier);
    struct tn_stats stats = stats_of(notifier);
    cr_expect_eq(stats.synthetic, 2);
    cr_expect_geq(stats.scans, 2);
    cr_expect_eq(stats.delivered, 3);
    cr_expect_eq(stats.watches, 3);
    tn_notifier_free(notifier);
}

Test(notifier_stats, moves)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    make_directory("a");
    make_directory("b");
    watch(notifier, ".", IN_MOVE, TN_WATCH_TREE);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(rename(i % 2 ? "b/c" : "a", i % 2 ? "a" : "b/c"), 0);
        settle(notifier);
    }
    cr_expect_eq(stats_of(notifier).moves, 10);
    cr_expect_eq(stats_of(notifier).delivered, 20);
    make_file("f");
    cr_assert_eq(rename("f", "g"), 0);
    settle(notifier);
    cr_expect_eq(stats_of(notifier).moves, 10, "of directories");
    tn_notifier_free(notifier);
}

Test(notifier_stats, dropped_by_a_discard)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, 0);
    make_files("f", 100);
    cr_assert_eq(tn_notifier_read_events(notifier), 100);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(stats_of(notifier).dropped, 100);
    cr_expect_eq(stats_of(notifier).delivered, 0);
    tn_notifier_free(notifier);
}

Test(notifier_stats, unwatched)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    if (geteuid() == 0)
        cr_skip_test("root may open everything");
    make_directory("a");
    make_directory("a/closed");
    cr_assert_eq(chmod("a/closed", 0), 0);
    watch(notifier, "a", IN_CREATE, TN_WATCH_TREE);
    settle(notifier);
    cr_expect_eq(stats_of(notifier).unwatched, 1);
    cr_assert_eq(chmod("a/closed", 0700), 0);
    tn_notifier_free(notifier);
}

/* At rest the memory is given back, but for what idle lanes keep. */
Test(notifier_stats, queue_bytes)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, 0);
    make_files("a-file-with-quite-a-long-name-", 2000);
    settle(notifier);
    cr_expect_lt(stats_of(notifier).queue_bytes, 16 * 1024);
    cr_expect_gt(stats_of(notifier).queue_bytes_high, 64 * 1024);
    tn_notifier_free(notifier);
}
