/* tn_watch_add_list() and tn_watch_add_glob(). */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>

TestSuite(watch_add_list, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(watch_add_glob, .init = stage_open, .fini = stage_close, .timeout = 60);

enum { KEPT_WD = 77 };

Test(watch_add_list, each_path_is_an_add_of_its_own)
{
    static struct released released;
    struct tn_watch_result results[4];

    stage_start();
    make_dirs("a/deep");
    make_dir("b");
    const char *paths[] = {scratch("a"), scratch("missing"), scratch("b"), ""};
    int placed = tn_watch_add_list(notifier, paths, 4,
                                   TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                    .data = &released, .release = count_release),
                                   results);
    cr_assert_eq(placed, 2);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(results[i].path, paths[i]);
        cr_assert_eq(results[i].error, i % 2 ? -ENOENT : 0);
        cr_assert_eq(results[i].wd, i % 2 ? -1 : found(paths[i]));
    }
    make_file("a/deep/f");
    make_file("b/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE a/deep:f", "CREATE b:f");
    cr_assert_eq(tn_watch_remove(notifier, results[2].wd, 0), 0);
    settle(notifier);
    cr_assert_eq(released.count, 1);
    EXPECT(&seen, "IGNORED b");
    notifier = tn_notifier_free(notifier);
    cr_assert_eq(released.count, 2);
}

Test(watch_add_list, bad_input)
{
    const char *paths[] = {scratch(""), NULL};
    struct tn_watch_result results[2] = {{.wd = KEPT_WD}, {.wd = KEPT_WD}};
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);

    stage_start();
    cr_assert_eq(tn_watch_add_list(NULL, paths, 1, options, results), -EINVAL);
    cr_assert_eq(tn_watch_add_list(notifier, NULL, 1, options, results), -EINVAL);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 1, NULL, results), -EINVAL);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 2, options, results), -EINVAL);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 1, TN_WATCH_OPTIONS(.mask = 0), results),
                 -EINVAL);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 1,
                                   TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = 0x8000), results),
                 -EINVAL);
    cr_assert_eq(results[0].wd, KEPT_WD);
    cr_assert_eq(stats().watches, 0);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 0, options, NULL), 0);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 1, options, NULL), 1);
}

Test(watch_add_glob, adds_each_match)
{
    struct placing placing = {.thread = pthread_self()};
    size_t count = 99;

    stage_start();
    make_dir("log-a");
    make_dir("log-b");
    make_file("log-c");
    make_dir("other");
    cr_assert_eq(tn_watch_add_glob(notifier, scratch("log-*"),
                                   TN_WATCH_OPTIONS(.mask = ENTRIES | IN_ONLYDIR, .data = &placing,
                                                    .placed = note_placed),
                                   &count),
                 0);
    cr_assert_eq(count, 2);
    cr_assert_eq(stats().watches, 2);
    cr_assert_eq(placing.count, 3);
    cr_assert_eq(placing.errors, 1);
    make_file("log-a/f");
    make_file("log-b/f");
    make_file("other/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE log-a:f", "CREATE log-b:f");
}

Test(watch_add_glob, bad_input)
{
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);
    size_t count = 99;

    stage_start();
    make_dir("d");
    cr_assert_eq(tn_watch_add_glob(notifier, scratch("none-*"), options, &count), -ENOENT);
    cr_assert_eq(tn_watch_add_glob(NULL, scratch("*"), options, &count), -EINVAL);
    cr_assert_eq(tn_watch_add_glob(notifier, NULL, options, &count), -EINVAL);
    cr_assert_eq(tn_watch_add_glob(notifier, scratch("*"), NULL, &count), -EINVAL);
    cr_assert_eq(tn_watch_add_glob(notifier, scratch("*"), TN_WATCH_OPTIONS(.mask = 0), &count),
                 -EINVAL);
    cr_assert_eq(tn_watch_add_glob(notifier, scratch("*"),
                                   TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = 0x8000), &count),
                 -EINVAL);
    cr_assert_eq(count, 99);
    cr_assert_eq(stats().watches, 0);
    cr_assert_eq(tn_watch_add_glob(notifier, scratch("*"), options, NULL), 0);
    cr_assert_eq(stats().watches, 1);
}
