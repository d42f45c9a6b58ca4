/* A notifier in the caller's thread. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

TestSuite(caller, .init = stage_open, .fini = stage_close, .timeout = 60);

static bool is_readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, 0) == 1;
}

Test(caller, nothing_is_read_or_processed_by_itself)
{
    stage_new(NULL);
    add(".", CHANGES, TN_WATCH_TREE);
    make_files("f", 10);
    cr_expect_eq(recorder_count(&seen), 0);
    cr_expect_eq(stats().read, 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
    cr_expect_eq(tn_notifier_read_events(notifier), 20);
    cr_expect_eq(recorder_count(&seen), 0);
    cr_expect_eq(tn_notifier_read_events(notifier), 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 20);
    cr_expect_eq(recorder_count(&seen), 20);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
}

Test(caller, check_read_process)
{
    stage_new(NULL);
    add(".", CHANGES, 0);
    cr_expect_eq(tn_notifier_check_events(notifier, 0), 0);
    make_file("f");
    cr_expect_eq(tn_notifier_check_events(notifier, -1), 1);
    cr_expect_eq(tn_notifier_read_events(notifier), 2);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), 1, "there is something to process");
    cr_expect_eq(tn_notifier_process_events(notifier), 2);
    EXPECT(&seen, "CREATE .:f", "CLOSE_WRITE .:f");
    cr_expect_eq(tn_notifier_check_events(notifier, 0), 0, "there is nothing left");
}

Test(caller, check_events_waits_as_long_as_it_is_told)
{
    struct timespec start, end;

    stage_new(NULL);
    add(".", CHANGES, 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    cr_expect_eq(tn_notifier_check_events(notifier, 50), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_expect_geq((end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000, 49);
}

Test(caller, fd_is_readable_while_there_is_work)
{
    stage_new(NULL);
    int fd = tn_notifier_fd(notifier);
    cr_assert_geq(fd, 0);
    cr_expect_eq(tn_notifier_fd(notifier), fd);
    add(".", CHANGES, 0);
    cr_expect_not(is_readable(fd));
    make_file("f");
    cr_expect(is_readable(fd));
    cr_expect(is_readable(fd), "level triggered");
    cr_expect_eq(tn_notifier_read_events(notifier), 2);
    cr_expect(is_readable(fd), "something is to be processed");
    cr_expect(is_readable(fd));
    cr_expect_eq(tn_notifier_process_events(notifier), 2);
    cr_expect_not(is_readable(fd), "nothing is left");
}

/* Small rounds: what was read is more than one turn of processing. */
Test(caller, event_loop_with_epoll)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    stage_new(NULL);
    cr_assert_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, tn_notifier_fd(notifier), &event), 0);
    add(".", IN_CREATE, 0);
    make_files("f", 5000);
    while (recorder_count(&seen) < 5000) {
        cr_assert_eq(epoll_wait(epoll, &event, 1, -1), 1);
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        cr_assert_geq(tn_notifier_process_events(notifier), 0);
    }
    close(epoll);
}

static void *add_watch(void *unused)
{
    add("d", CHANGES, TN_WATCH_TREE);
    return unused;
}

static void *make_d_f(void *unused)
{
    make_file("d/f");
    return unused;
}

static void work_until(size_t count)
{
    while (recorder_count(&seen) < count) {
        cr_assert_eq(tn_notifier_check_events(notifier, -1), 1);
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        cr_assert_geq(tn_notifier_process_events(notifier), 0);
    }
}

Test(caller, another_thread_wakes_it)
{
    pthread_t thread;

    stage_new(NULL);
    make_dir("d");
    pthread_create(&thread, NULL, add_watch, NULL);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, make_d_f, NULL);
    work_until(2);
    pthread_join(thread, NULL);
    EXPECT(&seen, "CREATE d:f", "CLOSE_WRITE d:f");
}

/* The IN_IGNORED of a watch whose inode another one keeps is made by the library. */
Test(caller, a_removal_is_work)
{
    stage_new(NULL);
    tn_wd wd = add(".", CHANGES, 0);
    add(".", IN_ATTRIB, 0);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    work_until(1);
    cr_expect_eq(seen.events[0]->wd, wd);
    cr_expect_eq(seen.events[0]->mask, IN_IGNORED);
}

Test(caller, reading_scans_new_directories)
{
    stage_new(NULL);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_dir("a");
    make_dir("a/b");
    make_file("a/b/f");
    cr_expect_gt(tn_notifier_read_events(notifier), 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 3);
    EXPECT(&seen, "CREATE|ISDIR .:a", "CREATE|ISDIR ./a:b synthetic", "CREATE ./a/b:f synthetic");
    make_file("a/b/g");
    settle(notifier);
    EXPECT(&seen, "CREATE ./a/b:g");
}

Test(caller, is_busy_while_threads_run)
{
    stage_start();
    cr_expect_eq(tn_notifier_fd(notifier), -EBUSY);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), -EBUSY);
    cr_expect_eq(tn_notifier_read_events(notifier), -EBUSY);
    cr_expect_eq(tn_notifier_process_events(notifier), -EBUSY);
    cr_expect_eq(tn_notifier_loop(notifier, NULL, NULL), -EBUSY);
}

/* A bound on memory */

Test(caller, enobufs_with_a_small_queue)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    int read, rounds = 0;

    options.queue_bytes = 1;
    stage_new(&options);
    add(".", IN_CREATE, 0);
    make_files("a-file-with-quite-a-long-name-", 10000);
    while ((read = tn_notifier_read_events(notifier)) > 0)
        rounds++;
    cr_assert_eq(read, -ENOBUFS);
    cr_expect_gt(rounds, 0);
    cr_expect_leq(stats().queue_bytes, 128 * 1024);
    cr_expect_eq(tn_notifier_read_events(notifier), -ENOBUFS);
    cr_expect_gt(tn_notifier_process_events(notifier), 0);
    cr_expect_gt(tn_notifier_read_events(notifier), 0);
    settle(notifier);
    cr_expect_eq(recorder_count(&seen), 10000);
    cr_expect_leq(stats().queue_bytes_high, 128 * 1024);
    cr_expect_eq(stats().dropped, 0);
}

/* Settle and join */

Test(caller, settle_reads_and_processes_here)
{
    stage_new(NULL);
    add(".", IN_CREATE | IN_DELETE, TN_WATCH_TREE);
    make_dir("a");
    make_files("a/f", 5000);
    settle(notifier);
    cr_expect_eq(recorder_count(&seen), 5001);
    cr_expect_eq(seen.flushed, 1);
    remove_file("a/f0");
    cr_expect_eq(tn_notifier_settle(notifier, 1000000), 0);
    cr_expect_eq(recorder_count(&seen), 5002);
    cr_expect_eq(tn_notifier_settle(notifier, 0), 0, "nothing happened");
}

Test(caller, settle_with_an_executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    const struct tn_pool_options pool = {.size = sizeof(pool), .threads = 2};

    cr_assert_eq(tn_executor_new_pool(&pool, &options.executor), 0);
    stage_new(&options);
    tn_executor_unref(options.executor);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_files("f", 5000);
    settle(notifier);
    cr_expect_eq(recorder_count(&seen), 5000);
    make_file("g");
    cr_expect_eq(tn_notifier_read_events(notifier), 1);
    recorder_wait(&seen, 5001);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
}

static void *settle_it(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

Test(caller, settle_by_several_threads)
{
    pthread_t threads[4];
    void *result;

    stage_new(NULL);
    add(".", IN_CREATE, TN_WATCH_TREE);
    for (unsigned round = 0; round < 20; round++) {
        make_files(at("%u-", round), 200);
        for (size_t i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, settle_it, NULL);
        settle(notifier);
        cr_expect_eq(recorder_count(&seen), (round + 1) * 200);
        for (size_t i = 0; i < 4; i++) {
            pthread_join(threads[i], &result);
            cr_expect_null(result);
        }
    }
}

Test(caller, join_drains_here)
{
    stage_new(NULL);
    add(".", IN_CREATE, TN_WATCH_TREE);
    make_dir("a");
    make_files("a/f", 5000);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(recorder_count(&seen), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_count(&seen), 5001);
    cr_expect_eq(seen.flushed, 1);
}

Test(caller, join_after_a_discard_processes_nothing)
{
    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_files("f", 100);
    cr_expect_eq(tn_notifier_read_events(notifier), 100);
    make_files("g", 100);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_count(&seen), 0);
    cr_expect_eq(seen.flushed, 0);
    cr_expect_geq(stats().dropped, 100);
}
