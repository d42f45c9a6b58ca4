/* The life of a notifier, in every order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

TestSuite(notifier, .init = stage_open, .fini = stage_close, .timeout = 60);

static void make(void)
{
    cr_assert_eq(tn_notifier_new(NULL, &notifier), 0);
}

Test(notifier, new_checks_its_options)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *untouched = (struct tn_notifier *)&options, *made = untouched;
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    cr_expect_eq(tn_notifier_new(NULL, NULL), -EINVAL);
    options.size = 1;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.size = sizeof(options);
    options.flags = 0x80000000u;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.flags = 0;
    options.threads = 1025;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.threads = 1;
    options.executor = executor;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.threads = 0;
    options.executor = NULL;
    options.order = (enum tn_order)99;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.order = TN_ORDER_DEFAULT;
    options.when_full = (enum tn_full)99;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.when_full = TN_FULL_BLOCK;
    options.log_level = TN_LOG_DEBUG + 1;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    options.log_level = -1;
    cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
    cr_expect_eq(made, untouched);
    tn_executor_unref(executor);
}

Test(notifier, new_of_a_later_version)
{
    struct {
        struct tn_notifier_options known;
        uint64_t later;
    } options = {.known = {.size = sizeof(options)}, .later = 1};

    cr_expect_eq(tn_notifier_new(&options.known, &notifier), -E2BIG);
    options.later = 0;
    cr_assert_eq(tn_notifier_new(&options.known, &notifier), 0);
}

Test(notifier, null_is_an_error)
{
    struct tn_stats stats = TN_STATS_INIT;

    cr_expect_eq(tn_notifier_start(NULL), -EINVAL);
    cr_expect_eq(tn_notifier_stop(NULL, TN_FINISH_DRAIN), -EINVAL);
    cr_expect_eq(tn_notifier_join(NULL), -EINVAL);
    cr_expect_eq(tn_notifier_settle(NULL, 0), -EINVAL);
    cr_expect_eq(tn_notifier_set_ignore(NULL, true), -EINVAL);
    cr_expect_eq(tn_notifier_get_stats(NULL, &stats), -EINVAL);
    cr_expect_eq(tn_notifier_fd(NULL), -EINVAL);
    cr_expect_eq(tn_notifier_check_events(NULL, 0), -EINVAL);
    cr_expect_eq(tn_notifier_read_events(NULL), -EINVAL);
    cr_expect_eq(tn_notifier_process_events(NULL), -EINVAL);
    cr_expect_eq(tn_notifier_loop(NULL, NULL, NULL), -EINVAL);
    cr_expect_null(tn_notifier_free(NULL));
}

Test(notifier, stop_checks_how)
{
    make();
    cr_expect_eq(tn_notifier_stop(notifier, (enum tn_finish)7), -EINVAL);
    cr_expect_eq(tn_notifier_start(notifier), 0, "a stop that failed stopped it");
}

Test(notifier, free_at_once)
{
    make();
    cr_expect_null(tn_notifier_free(notifier));
    notifier = NULL;
}

Test(notifier, free_with_watches)
{
    make();
    add(".", CHANGES, TN_WATCH_TREE);
    make_files("f", 100);
}

Test(notifier, free_while_it_runs)
{
    make();
    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", CHANGES, TN_WATCH_TREE);
    make_files("f", 100);
}

Test(notifier, start_twice)
{
    make();
    cr_assert_eq(tn_notifier_start(notifier), 0);
    cr_expect_eq(tn_notifier_start(notifier), -EALREADY);
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    int result = tn_notifier_start(notifier);
    cr_expect(result == -EALREADY || result == -ESHUTDOWN, "%d", result);
}

Test(notifier, stop_before_start)
{
    make();
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_start(notifier), -ESHUTDOWN);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
}

Test(notifier, stop_any_number_of_times)
{
    make();
    cr_assert_eq(tn_notifier_start(notifier), 0);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(tn_notifier_stop(notifier, i % 2 ? TN_FINISH_DRAIN : TN_FINISH_DISCARD), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
}

static void check_stopped(tn_wd wd)
{
    struct tn_stats stats = TN_STATS_INIT;
    const char *path = ".";

    cr_expect_eq(tn_notifier_settle(notifier, -1), -ESHUTDOWN);
    cr_expect_eq(tn_watch_add(notifier, ".", TN_WATCH_OPTIONS(.mask = IN_CREATE), &wd), -ESHUTDOWN);
    cr_expect_eq(tn_watch_add_list(notifier, &path, 1, TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL),
                 -ESHUTDOWN);
    cr_expect_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_CREATE)),
                 -ESHUTDOWN);
    cr_expect_eq(tn_notifier_get_stats(notifier, &stats), 0);
    cr_expect_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(tn_watch_remove(notifier, wd, TN_REMOVE_SYNC), 0);
    cr_expect_eq(tn_watch_remove(notifier, wd, 0), -ENOENT);
}

Test(notifier, calls_after_the_end)
{
    make();
    tn_wd wd = add(".", IN_CREATE, 0);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_stopped(wd);
}

Test(notifier, calls_after_an_end_without_a_start)
{
    make();
    tn_wd wd = add(".", IN_CREATE, 0);
    tn_notifier_stop(notifier, TN_FINISH_DISCARD);
    cr_expect_eq(tn_notifier_check_events(notifier, -1), -ESHUTDOWN);
    cr_expect_eq(tn_notifier_loop(notifier, NULL, NULL), 0);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
    check_stopped(wd);
}

Test(notifier, start_after_events_were_read)
{
    stage_new(NULL);
    add(".", IN_CREATE, 0);
    make_file("read");
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    make_file("queued");
    cr_assert_eq(tn_notifier_start(notifier), 0);
    make_file("later");
    settle(notifier);
    EXPECT(&seen, "CREATE .:read", "CREATE .:queued", "CREATE .:later");
}

/* Join */

static void *join(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)tn_notifier_join(notifier);
}

Test(notifier, join_by_several_threads)
{
    for (unsigned started = 0; started < 2; started++) {
        pthread_t threads[8];
        void *result;

        make();
        if (started)
            cr_assert_eq(tn_notifier_start(notifier), 0);
        for (size_t i = 0; i < 8; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, join, NULL), 0);
        cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
        for (size_t i = 0; i < 8; i++) {
            pthread_join(threads[i], &result);
            cr_expect_null(result);
        }
        notifier = tn_notifier_free(notifier);
    }
}

Test(notifier, threads_are_named_and_block_signals)
{
    char name[32];
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    FILE *list;
    unsigned readers = 0, workers = 0;

    options.threads = 3;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    list = popen(at("for t in /proc/%d/task/*; do cat $t/comm; grep SigBlk $t/status; done",
                    (int)getpid()),
                 "r");
    cr_assert_not_null(list);
    while (fscanf(list, "%31s", name) == 1) {
        bool reader = strcmp(name, "tn-reader") == 0;
        bool worker = strncmp(name, "tn-worker-", 10) == 0;
        unsigned long long blocked;

        cr_assert_eq(fscanf(list, " SigBlk: %llx", &blocked), 1);
        if (reader || worker)
            cr_expect_eq(blocked & 0x7ffe, 0x7ffe & ~(1u << 8) & ~(1u << 18), "%s %llx", name,
                         blocked);
        readers += reader;
        workers += worker;
    }
    pclose(list);
    cr_expect_geq(readers, 1); /* liburcu's own thread inherits a name */
    cr_expect_eq(workers, 3);
}
