/* tn_notifier_get_stats(): what each counter counts. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "support.h"

TestSuite(notifier_stats, .init = stage_open, .fini = stage_close, .timeout = 60);

Test(notifier_stats, size)
{
    struct {
        struct tn_stats known;
        uint64_t later;
    } large = {.known = {.size = sizeof(large)}, .later = 7};
    struct tn_stats stats = {.size = offsetof(struct tn_stats, delivered), .delivered = 7};

    stage_new(NULL);
    add(".", IN_CREATE, 0);
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
}

Test(notifier_stats, of_a_new_one)
{
    stage_new(NULL);
    struct tn_stats got = stats(), zero = {.size = got.size};
    cr_expect_eq(memcmp(&got, &zero, sizeof(got)), 0);
}

Test(notifier_stats, read_and_delivered)
{
    uint64_t samples = 0;

    stage_start();
    add(".", IN_CREATE, TN_WATCH_TREE);
    add(".", IN_CREATE, 0);
    make_files("f", 100);
    settle(notifier);
    struct tn_stats got = stats();
    cr_expect_geq(got.read, 100, "one for each record");
    cr_expect_leq(got.read, 110);
    cr_expect_eq(got.delivered, 200, "one for each watch");
    cr_expect_eq(got.watches, 2);
    cr_expect_gt(got.wakeups, 0);
    cr_expect_gt(got.queue_bytes_high, 0);
    cr_expect_leq(got.queue_bytes, got.queue_bytes_high);
    for (size_t i = 0; i < 32; i++)
        samples += got.latency_ns[i];
    cr_expect_eq(samples, 200);
    cr_expect_eq(got.suppressed + got.dropped + got.unhandled + got.errors, 0);
    cr_expect_eq(got.overflows + got.unwatched + got.synthetic + got.moves, 0);
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned bucket = 0;

    while (bucket < 31 && ns >> (bucket + 1))
        bucket++;
    return bucket;
}

Test(notifier_stats, latency)
{
    uint64_t samples = 0;

    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_files("f", 10);
    cr_assert_eq(tn_notifier_read_events(notifier), 10);
    cr_assert_eq(tn_notifier_check_events(notifier, 0), 1);
    make_files("g", 1000);
    uint64_t before = tn__now_ns();
    cr_assert_eq(tn_notifier_process_events(notifier), 10);
    uint64_t after = tn__now_ns();
    /* All were read at once, so all latencies lie between these two. */
    uint64_t read = recorder_event(&seen, 0)->read_ns;
    cr_expect_eq(recorder_event(&seen, 9)->read_ns, read);
    for (unsigned i = bucket_of(before - read); i <= bucket_of(after - read); i++)
        samples += stats().latency_ns[i];
    cr_expect_eq(samples, 10);
    cr_expect_geq(bucket_of(before - read), 10, "making a thousand files takes more than a us");
}

Test(notifier_stats, suppressed_by_a_removal)
{
    stage_new(NULL);
    tn_wd wd = add(".", IN_CREATE, 0);
    make_files("f", 100);
    cr_assert_eq(tn_notifier_read_events(notifier), 100);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    cr_expect_eq(stats().suppressed, 100);
    cr_expect_eq(stats().delivered, 1);
    cr_expect_eq(stats().watches, 0);
    cr_expect_eq(recorder_count_of(&seen, IN_IGNORED), 1);
}

Test(notifier_stats, scans_and_synthetic)
{
    stage_new(NULL);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_dir("a");
    make_dir("a/b");
    make_file("a/b/f");
    settle(notifier);
    struct tn_stats got = stats();
    cr_expect_eq(got.synthetic, 2);
    cr_expect_geq(got.scans, 2);
    cr_expect_eq(got.delivered, 3);
    cr_expect_eq(got.watches, 3);
}

Test(notifier_stats, moves)
{
    stage_start();
    make_dir("a");
    make_dir("b");
    add(".", IN_MOVE, TN_WATCH_TREE);
    for (unsigned i = 0; i < 10; i++) {
        move(i % 2 ? "b/c" : "a", i % 2 ? "a" : "b/c");
        settle(notifier);
    }
    cr_expect_eq(stats().moves, 10);
    cr_expect_eq(stats().delivered, 20);
    make_file("f");
    move("f", "g");
    settle(notifier);
    cr_expect_eq(stats().moves, 10, "of directories");
}

Test(notifier_stats, dropped_by_a_discard)
{
    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_files("f", 100);
    cr_assert_eq(tn_notifier_read_events(notifier), 100);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(stats().dropped, 100);
    cr_expect_eq(stats().delivered, 0);
}

Test(notifier_stats, unwatched)
{
    stage_start();
    if (geteuid() == 0)
        SKIP("root may open everything");
    make_dir("a");
    make_dir("a/closed");
    change_mode("a/closed", 0);
    add("a", IN_CREATE, TN_WATCH_TREE);
    settle(notifier);
    cr_expect_eq(stats().unwatched, 1);
    cr_assert_eq(chmod("a/closed", 0700), 0);
}

/* At rest the memory is given back, but for what idle lanes keep. */
Test(notifier_stats, queue_bytes)
{
    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_files("a-file-with-quite-a-long-name-", 2000);
    settle(notifier);
    cr_expect_lt(stats().queue_bytes, 16 * 1024);
    cr_expect_gt(stats().queue_bytes_high, 64 * 1024);
}
