/* tn_watch_remove() and tn_watch_remove_list(); with calls that run, test_watch_quiet.c. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(watch_remove, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(watch_remove_list, .init = stage_open, .fini = stage_close, .timeout = 60);

static void remove_watch(tn_wd wd, uint32_t flags)
{
    int result = tn_watch_remove(notifier, wd, flags);

    cr_assert_eq(result, 0, "tn_watch_remove: %s", tn_strerror(result));
}

Test(watch_remove, ends_with_ignored)
{
    static struct released released;

    stage_start();
    make_dir("d");
    tn_wd wd = add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .data = &released,
                                                          .release = count_release));
    make_file("d/f");
    settle(notifier);
    remove_watch(wd, 0);
    make_file("d/g");
    settle(notifier);
    const struct tn_event *last = recorder_event(&seen, 1);
    cr_assert_eq(last->wd, wd);
    cr_assert_eq(last->root, wd);
    cr_assert_eq(last->data, &released);
    cr_assert_null(last->name);
    cr_assert(tn_event_is_dir(last));
    EXPECT(&seen, "CREATE d:f", "IGNORED d");
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, of_a_file)
{
    stage_start();
    make_file("f");
    tn_wd wd = add(scratch("f"), IN_CLOSE_WRITE, 0);
    remove_watch(wd, 0);
    write_file("f", "x");
    settle(notifier);
    const struct tn_event *last = recorder_event(&seen, 0);
    cr_assert_not(tn_event_is_dir(last));
    EXPECT(&seen, "IGNORED f");
}

Test(watch_remove, sync_delivers_no_ignored)
{
    static struct released released;

    stage_start();
    make_dir("d");
    tn_wd wd = add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .data = &released,
                                                          .release = count_release));
    remove_watch(wd, TN_REMOVE_SYNC);
    make_file("d/g");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, twice_is_an_error)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    remove_watch(wd, 0);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), -ENOENT);
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_SYNC), -ENOENT);
    settle(notifier);
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE), -ENOENT);
    EXPECT(&seen, "IGNORED d");
    tn_wd again = add(scratch("d"), ENTRIES, 0);
    remove_watch(again, TN_REMOVE_SYNC);
    cr_assert_eq(tn_watch_remove(notifier, again, TN_REMOVE_SYNC), -ENOENT);
}

Test(watch_remove, is_gone_at_once)
{
    stage_new(NULL);
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    char buffer[8];
    struct tn_watch_info got = TN_WATCH_INFO_INIT;
    remove_watch(wd, 0);
    cr_assert_not(is_watched(scratch("d")));
    cr_assert_eq(tn_watch_path(notifier, wd, buffer, sizeof(buffer)), -ENOENT);
    cr_assert_eq(tn_watch_get_info(notifier, wd, &got), -ENOENT);
    settle(notifier);
    EXPECT(&seen, "IGNORED d");
}

Test(watch_remove, not_recursive_leaves_what_is_below)
{
    static struct released released;

    stage_start();
    make_dirs("d/a/b");
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                   .data = &released, .release = count_release));
    tn_wd below = found(scratch("d/a"));
    remove_watch(wd, 0);
    make_file("d/f");
    make_file("d/a/f");
    make_file("d/a/b/f");
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED d", "CREATE d/a:f", "CREATE d/a/b:f");
    cr_assert_eq(released.count, 0);
    cr_assert_eq(info(below).root, wd);
    make_dir("d/a/new");
    settle(notifier);
    make_file("d/a/new/f");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d/a:new", "CREATE d/a/new:f");
    remove_watch(below, TN_REMOVE_RECURSIVE);
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED d/a", "IGNORED d/a/b", "IGNORED d/a/new");
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, of_one_directory_in_the_middle)
{
    stage_start();
    make_dirs("d/a/b");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    remove_watch(found(scratch("d/a")), 0);
    make_dir("d/a/new");
    make_file("d/a/b/f");
    make_file("d/f");
    settle(notifier);
    make_file("d/a/new/f");
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED d/a", "CREATE d/a/b:f", "CREATE d:f");
    cr_assert_eq(stats().watches, 2);
}

Test(watch_remove, recursive_ends_all_below)
{
    static struct released released;

    stage_start();
    make_dirs("d/a/b");
    make_dir("d/x");
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                   .data = &released, .release = count_release));
    tn_wd other = add(scratch("d"), IN_CLOSE_WRITE, TN_WATCH_TREE);
    remove_watch(wd, TN_REMOVE_RECURSIVE);
    make_file("d/a/b/f");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CLOSE_WRITE d/a/b:f"), 1);
    EXPECT_SET(&seen, "IGNORED d", "IGNORED d/a", "IGNORED d/a/b", "IGNORED d/x",
               "CLOSE_WRITE d/a/b:f");
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 4);
    cr_assert_eq(found(scratch("d")), other);
    remove_watch(other, TN_REMOVE_RECURSIVE);
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED d", "IGNORED d/a", "IGNORED d/a/b", "IGNORED d/x");
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, recursive_of_a_part)
{
    stage_start();
    make_dirs("d/a/b");
    make_dir("d/x");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    remove_watch(found(scratch("d/a")), TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    make_file("d/a/b/f");
    make_file("d/x/f");
    make_dir("d/y");
    settle(notifier);
    EXPECT(&seen, "CREATE d/x:f", "CREATE|ISDIR d:y");
    cr_assert_eq(stats().watches, 3);
}

Test(watch_remove, recursive_of_a_large_tree)
{
    static struct released released;

    stage_start();
    for (int i = 0; i < 1300; i++) {
        char path[64];
        snprintf(path, sizeof(path), "d/%d/%d", i / 20, i % 20);
        make_dirs(path);
    }
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                   .data = &released, .release = count_release));
    cr_assert_eq(stats().watches, 1366);
    remove_watch(wd, TN_REMOVE_RECURSIVE);
    cr_assert_eq(stats().watches, 0);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1366);
    cr_assert_eq(released.count, 1);
}

Test(watch_remove, adds_nothing_behind_its_back)
{
    stage_new(NULL);
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    make_dirs("d/a/b/c");
    remove_watch(wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, queued_events_are_not_delivered_but_counted)
{
    stage_new(NULL);
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    make_file("d/f");
    make_file("d/g");
    cr_assert_geq(tn_notifier_read_events(notifier), 2);
    remove_watch(wd, 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED d");
    cr_assert_eq(stats().suppressed, 2);
}

Test(watch_remove, the_kernel_watch_goes_with_the_last)
{
    stage_start();
    make_dir("d");
    tn_wd one = add(scratch("d"), IN_CREATE, 0);
    tn_wd two = add(scratch("d"), IN_CREATE, 0);
    remove_watch(one, TN_REMOVE_SYNC);
    remove_watch(two, TN_REMOVE_SYNC);
    settle(notifier);
    uint64_t before = stats().read;
    for (int i = 0; i < 50; i++)
        write_file("d/f", "");
    settle(notifier);
    /* Only the markers of the two settles. */
    cr_assert_lt(stats().read, before + 10);
}

Test(watch_remove, can_be_added_again)
{
    stage_start();
    make_dirs("d/a");
    for (int i = 0; i < 20; i++) {
        tn_wd wd = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
        make_file("d/a/f");
        settle(notifier);
        EXPECT(&seen, "CREATE d/a:f");
        remove_watch(wd, TN_REMOVE_RECURSIVE | (i % 2 ? TN_REMOVE_SYNC : 0));
        remove_file("d/a/f");
        settle(notifier);
        if (i % 2)
            EXPECT_NONE(&seen);
        else
            EXPECT_SET(&seen, "IGNORED d", "IGNORED d/a");
    }
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, before_the_ignored_of_the_old_is_read_it_can_be_added_again)
{
    stage_new(NULL);
    make_dirs("d/a");
    tn_wd old = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    remove_watch(old, TN_REMOVE_RECURSIVE);
    tn_wd wd = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    make_file("d/a/f");
    settle(notifier);
    cr_assert_eq(found(scratch("d")), wd);
    const struct tn_event *event = recorder_find(&seen, IN_CREATE);
    cr_assert_not_null(event);
    cr_assert_eq(event->root, wd);
    cr_assert_eq(recorder_count(&seen), 3);
    cr_assert_eq(stats().watches, 2);
}

Test(watch_remove, deletion_of_the_item_ends_it)
{
    static struct released released;

    stage_start();
    make_dirs("d/a");
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE,
                                                   .data = &released, .release = count_release));
    remove_dir("d/a");
    settle(notifier);
    EXPECT(&seen, "IGNORED d/a");
    cr_assert_eq(released.count, 0);
    remove_dir("d");
    settle(notifier);
    EXPECT(&seen, "IGNORED d");
    cr_assert_eq(released.count, 1);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), -ENOENT);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove, bad_input)
{
    int status;

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    cr_assert_eq(tn_watch_remove(NULL, wd, 0), -EINVAL);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0x100), -EINVAL);
    cr_assert_eq(tn_watch_remove(notifier, wd + 1, 0), -ENOENT);
    cr_assert_eq(tn_watch_remove(notifier, 0, 0), -ENOENT);
    cr_assert_eq(tn_watch_remove(notifier, -1, TN_REMOVE_RECURSIVE), -ENOENT);
    cr_assert_eq(tn_watch_remove(notifier, INT64_MIN, 0), -ENOENT);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(tn_watch_remove(notifier, wd, 0) != -ECHILD ||
              tn_watch_remove_list(notifier, &wd, 1, 0, NULL) != -ECHILD);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
    make_file("d/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d:f");
}

Test(watch_remove, of_a_stopped_notifier)
{
    static struct released released;

    stage_start();
    make_dir("d");
    tn_wd wd = add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .data = &released,
                                                          .release = count_release));
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    remove_watch(wd, TN_REMOVE_SYNC);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), -ENOENT);
    notifier = tn_notifier_free(notifier);
    cr_assert_eq(released.count, 1);
}

Test(watch_remove_list, removes_each)
{
    int errors[4] = {1, 1, 1, 1};

    stage_start();
    make_dirs("a/deep");
    make_dir("b");
    tn_wd first = add(scratch("a"), ENTRIES, TN_WATCH_TREE);
    tn_wd second = add(scratch("b"), ENTRIES, 0);
    const tn_wd wds[] = {first, 54321, second, first};
    cr_assert_eq(tn_watch_remove_list(notifier, wds, 4, TN_REMOVE_RECURSIVE, errors), 2);
    cr_assert_eq(errors[0], 0);
    cr_assert_eq(errors[1], -ENOENT);
    cr_assert_eq(errors[2], 0);
    cr_assert_eq(errors[3], -ENOENT);
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED a", "IGNORED a/deep", "IGNORED b");
    cr_assert_eq(stats().watches, 0);
}

Test(watch_remove_list, sync)
{
    stage_start();
    make_dir("a");
    make_dir("b");
    const tn_wd wds[] = {add(scratch("a"), ENTRIES, 0), add(scratch("b"), ENTRIES, 0)};
    cr_assert_eq(tn_watch_remove_list(notifier, wds, 2, TN_REMOVE_SYNC, NULL), 2);
    make_file("a/f");
    settle(notifier);
    EXPECT_NONE(&seen);
}

Test(watch_remove_list, bad_input)
{
    int errors[1] = {1};

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    cr_assert_eq(tn_watch_remove_list(NULL, &wd, 1, 0, errors), -EINVAL);
    cr_assert_eq(tn_watch_remove_list(notifier, NULL, 1, 0, errors), -EINVAL);
    cr_assert_eq(tn_watch_remove_list(notifier, &wd, 1, 0x100, errors), -EINVAL);
    cr_assert_eq(errors[0], 1);
    cr_assert_eq(tn_watch_remove_list(notifier, NULL, 0, 0, NULL), 0);
    cr_assert(is_watched(scratch("d")));
}
