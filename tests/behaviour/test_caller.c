/* A notifier in the caller's thread. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>
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

TestSuite(caller, .init = open_stage, .fini = close_stage, .timeout = 60);

static bool is_readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, 0) == 1;
}

Test(caller, nothing_is_read_or_processed_by_itself)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", CHANGES, TN_WATCH_TREE);
    make_files("f", 10);
    cr_expect_eq(seen_count(&seen), 0);
    cr_expect_eq(stats_of(notifier).read, 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
    cr_expect_eq(tn_notifier_read_events(notifier), 20);
    cr_expect_eq(seen_count(&seen), 0);
    cr_expect_eq(tn_notifier_read_events(notifier), 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 20);
    cr_expect_eq(seen_count(&seen), 20);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
    tn_notifier_free(notifier);
}

Test(caller, check_read_process)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", CHANGES, 0);
    cr_expect_eq(tn_notifier_check_events(notifier, 0), 0);
    make_file("f");
    cr_expect_eq(tn_notifier_check_events(notifier, -1), 1);
    cr_expect_eq(tn_notifier_read_events(notifier), 2);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), 1, "there is something to process");
    cr_expect_eq(tn_notifier_process_events(notifier), 2);
    assert_seen(&seen, "CREATE ./f\nCLOSE_WRITE ./f\n");
    cr_expect_eq(tn_notifier_check_events(notifier, 0), 0, "there is nothing left");
    tn_notifier_free(notifier);
}

Test(caller, check_events_waits_as_long_as_it_is_told)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    struct timespec start, end;

    watch(notifier, ".", CHANGES, 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    cr_expect_eq(tn_notifier_check_events(notifier, 50), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_expect_geq((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 49);
    tn_notifier_free(notifier);
}

Test(caller, fd_is_readable_while_there_is_work)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    int fd = tn_notifier_fd(notifier);

    cr_assert_geq(fd, 0);
    cr_expect_eq(tn_notifier_fd(notifier), fd);
    watch(notifier, ".", CHANGES, 0);
    cr_expect_not(is_readable(fd));
    make_file("f");
    cr_expect(is_readable(fd));
    cr_expect(is_readable(fd), "level triggered");
    cr_expect_eq(tn_notifier_read_events(notifier), 2);
    cr_expect(is_readable(fd), "something is to be processed");
    cr_expect(is_readable(fd));
    cr_expect_eq(tn_notifier_process_events(notifier), 2);
    cr_expect_not(is_readable(fd), "nothing is left");
    tn_notifier_free(notifier);
}

/* Small rounds: what was read is more than one turn of processing. */
Test(caller, event_loop_with_epoll)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, tn_notifier_fd(notifier), &event), 0);
    watch(notifier, ".", IN_CREATE, 0);
    make_files("f", 5000);
    while (seen_count(&seen) < 5000) {
        cr_assert_eq(epoll_wait(epoll, &event, 1, -1), 1);
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        cr_assert_geq(tn_notifier_process_events(notifier), 0);
    }
    close(epoll);
    tn_notifier_free(notifier);
}

static void *add_watch(void *notifier)
{
    watch(notifier, "d", CHANGES, TN_WATCH_TREE);
    return NULL;
}

static void *make_d_f(void *unused)
{
    make_file("d/f");
    return unused;
}

Test(caller, another_thread_wakes_it)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    pthread_t thread;

    make_directory("d");
    pthread_create(&thread, NULL, add_watch, notifier);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, make_d_f, NULL);
    while (seen_count(&seen) < 2) {
        cr_assert_eq(tn_notifier_check_events(notifier, -1), 1);
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        cr_assert_geq(tn_notifier_process_events(notifier), 0);
    }
    pthread_join(thread, NULL);
    assert_seen(&seen, "CREATE d/f\nCLOSE_WRITE d/f\n");
    tn_notifier_free(notifier);
}

/* The IN_IGNORED of a watch whose inode another one keeps is made by the library. */
Test(caller, a_removal_is_work)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    tn_wd wd = watch(notifier, ".", CHANGES, 0);

    watch(notifier, ".", IN_ATTRIB, 0);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    while (seen_count(&seen) < 1) {
        cr_assert_eq(tn_notifier_check_events(notifier, -1), 1);
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        cr_assert_geq(tn_notifier_process_events(notifier), 0);
    }
    cr_expect_eq(seen.events[0]->wd, wd);
    cr_expect_eq(seen.events[0]->mask, IN_IGNORED);
    tn_notifier_free(notifier);
}

Test(caller, reading_scans_new_directories)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_directory("a");
    make_directory("a/b");
    make_file("a/b/f");
    cr_expect_gt(tn_notifier_read_events(notifier), 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 3);
    assert_seen(&seen, "CREATE/ ./a\n*CREATE/ ./a/b\n*CREATE ./a/b/f\n");
    make_file("a/b/g");
    settle(notifier);
    cr_expect_eq(seen_count(&seen), 4);
    tn_notifier_free(notifier);
}

Test(caller, is_busy_while_threads_run)
{
    struct tn_notifier *notifier = started_with(&seen, NULL);

    cr_expect_eq(tn_notifier_fd(notifier), -EBUSY);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), -EBUSY);
    cr_expect_eq(tn_notifier_read_events(notifier), -EBUSY);
    cr_expect_eq(tn_notifier_process_events(notifier), -EBUSY);
    cr_expect_eq(tn_notifier_loop(notifier, NULL, NULL), -EBUSY);
    tn_notifier_free(notifier);
}

/* A bound on memory */

Test(caller, enobufs_with_a_small_queue)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    int read, rounds = 0;

    options.queue_bytes = 1;
    struct tn_notifier *notifier = notifier_with(&seen, &options);
    watch(notifier, ".", IN_CREATE, 0);
    make_files("a-file-with-quite-a-long-name-", 10000);
    while ((read = tn_notifier_read_events(notifier)) > 0)
        rounds++;
    cr_assert_eq(read, -ENOBUFS);
    cr_expect_gt(rounds, 0);
    cr_expect_leq(stats_of(notifier).queue_bytes, 128 * 1024);
    cr_expect_eq(tn_notifier_read_events(notifier), -ENOBUFS);
    cr_expect_gt(tn_notifier_process_events(notifier), 0);
    cr_expect_gt(tn_notifier_read_events(notifier), 0);
    settle(notifier);
    cr_expect_eq(seen_count(&seen), 10000);
    cr_expect_leq(stats_of(notifier).queue_bytes_high, 128 * 1024);
    cr_expect_eq(stats_of(notifier).dropped, 0);
    tn_notifier_free(notifier);
}

/* Settle and join */

Test(caller, settle_reads_and_processes_here)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE | IN_DELETE, TN_WATCH_TREE);
    make_directory("a");
    make_files("a/f", 5000);
    settle(notifier);
    cr_expect_eq(seen_count(&seen), 5001);
    cr_expect_eq(seen.flushes, 1);
    cr_expect_eq(unlink("a/f0"), 0);
    cr_expect_eq(tn_notifier_settle(notifier, 1000000), 0);
    cr_expect_eq(seen_count(&seen), 5002);
    cr_expect_eq(tn_notifier_settle(notifier, 0), 0, "nothing happened");
    tn_notifier_free(notifier);
}

Test(caller, settle_with_an_executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    const struct tn_pool_options pool = {.size = sizeof(pool), .threads = 2};

    cr_assert_eq(tn_executor_new_pool(&pool, &options.executor), 0);
    struct tn_notifier *notifier = notifier_with(&seen, &options);
    tn_executor_unref(options.executor);
    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 5000);
    settle(notifier);
    cr_expect_eq(seen_count(&seen), 5000);
    make_file("g");
    cr_expect_eq(tn_notifier_read_events(notifier), 1);
    seen_wait(&seen, 5001);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
    tn_notifier_free(notifier);
}

static void *settle_it(void *notifier)
{
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

Test(caller, settle_by_several_threads)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);
    pthread_t threads[4];
    void *result;

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    for (unsigned round = 0; round < 20; round++) {
        make_files(at("%u-", round), 200);
        for (size_t i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, settle_it, notifier);
        settle(notifier);
        cr_expect_eq(seen_count(&seen), (round + 1) * 200);
        for (size_t i = 0; i < 4; i++) {
            pthread_join(threads[i], &result);
            cr_expect_null(result);
        }
    }
    tn_notifier_free(notifier);
}

Test(caller, join_drains_here)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, TN_WATCH_TREE);
    make_directory("a");
    make_files("a/f", 5000);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(seen_count(&seen), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(seen_count(&seen), 5001);
    cr_expect_eq(seen.flushes, 1);
    tn_notifier_free(notifier);
}

Test(caller, join_after_a_discard_processes_nothing)
{
    struct tn_notifier *notifier = notifier_with(&seen, NULL);

    watch(notifier, ".", IN_CREATE, 0);
    make_files("f", 100);
    cr_expect_eq(tn_notifier_read_events(notifier), 100);
    make_files("g", 100);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(seen_count(&seen), 0);
    cr_expect_eq(seen.flushes, 0);
    cr_expect_geq(stats_of(notifier).dropped, 100);
    tn_notifier_free(notifier);
}
