/*
 * Names that are followed, and the calls of the library.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "follow_stage.h"
#include "gate.h"

TestSuite(follow_calls, .init = open_follow, .fini = stage_close, .timeout = 120);

static void expect_released(struct released *released)
{
    settle(notifier);
    cr_assert_eq(atomic_load(&released->count), 1);
    atomic_store(&released->count, 0);
    cr_assert_eq(stats().watches, 0);
    cr_assert_not(is_watched("w/f"));
}

static tn_wd follow_released(struct released *released)
{
    return add_options("w/f", TN_WATCH_OPTIONS(.mask = ASKED, .flags = TN_WATCH_FOLLOW_NAME,
                                               .data = released, .release = count_release));
}

Test(follow_calls, removed)
{
    static struct released released;

    stage_start();
    for (int there = 0; there < 2; there++) {
        for (uint32_t flags = 0; flags <= (TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE); flags++) {
            tn_wd wd = follow_released(&released);
            cr_assert_eq(tn_watch_remove(notifier, wd, flags), 0);
            cr_assert_eq(tn_watch_remove(notifier, wd, flags), -ENOENT);
            expect_released(&released);
            if (flags & TN_REMOVE_SYNC)
                EXPECT_NONE(&seen);
            else
                EXPECT(&seen, "IGNORED w/f");
        }
        make_file("w/f");
    }
}

/* What its watch is made of is nobody's to see. */
Test(follow_calls, the_item_is_hidden)
{
    make_file("w/f");
    stage_start();
    tn_wd wd = follow("w/f");
    for (tn_wd other = 1; other < wd + 10; other++) {
        struct tn_watch_info kept = TN_WATCH_INFO_INIT;
        if (other == wd)
            continue;
        cr_assert_eq(tn_watch_get_info(notifier, other, &kept), -ENOENT);
        cr_assert_eq(tn_watch_path(notifier, other, NULL, 0), -ENOENT);
        cr_assert_eq(tn_watch_remove(notifier, other, 0), -ENOENT);
        cr_assert_eq(tn_watch_update(notifier, other, TN_UPDATE_MASK,
                                     TN_WATCH_OPTIONS(.mask = IN_CREATE)),
                     -ENOENT);
    }
    cr_assert_eq(info(wd).flags, TN_WATCH_FOLLOW_NAME);
    cr_assert_eq(info(wd).mask, ASKED);
}

static int count_visit(tn_wd wd, const char *path, void *userdata)
{
    (void)wd;
    cr_assert_str_eq(path, "w/f");
    ++*(int *)userdata;
    return 0;
}

Test(follow_calls, visited_once)
{
    int count = 0;

    stage_start();
    follow("w/f");
    make_file("w/f");
    settle(notifier);
    cr_assert_eq(tn_watch_each(notifier, NULL, count_visit, &count), 0);
    cr_assert_eq(tn_watch_each(notifier, "w", count_visit, &count), 0);
    cr_assert_eq(tn_watch_each(notifier, "w/f", count_visit, &count), 0);
    cr_assert_eq(tn_watch_each(notifier, "x", count_visit, &count), 0);
    cr_assert_eq(count, 3);
}

Test(follow_calls, updated)
{
    stage_start();
    tn_wd wd = add("w/f", IN_MOVED_TO, TN_WATCH_FOLLOW_NAME);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_CLOSE_WRITE)),
                 0);
    write_file("w/f", "x");
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_CLOSE_WRITE), 1);
    cr_assert_eq(recorder_count(&seen), 2);
    recorder_clear(&seen);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_MODIFY | IN_MASK_ADD)),
                 0);
    expect_written("w/f");
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                                 TN_WATCH_OPTIONS(.mask = IN_DELETE_SELF)),
                 0);
    append("w/f", "x");
    remove_file("w/f");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f");
}

Test(follow_calls, what_exists_is_announced)
{
    write_file("w/f", "x");
    make_tree("w/t", "g");
    stage_start();
    add("w/f", ASKED, TN_WATCH_FOLLOW_NAME | TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT(&seen, "CREATE w/f synthetic", "CLOSE_WRITE w/f synthetic");
    expect_written("w/f");
    add("w/absent", ASKED, TN_WATCH_FOLLOW_NAME | TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT_NONE(&seen);
    add("w/t", ASKED, TN_WATCH_FOLLOW_NAME | TN_WATCH_EXISTING | TN_WATCH_TREE);
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w/t:a synthetic", "CREATE|ISDIR w/t/a:b synthetic",
           "CREATE w/t/a/b:g synthetic", "CLOSE_WRITE w/t/a/b:g synthetic");
}

Test(follow_calls, once)
{
    static struct released released;

    stage_start();
    add_options("w/f",
                TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ONESHOT, .flags = TN_WATCH_FOLLOW_NAME,
                                 .data = &released, .release = count_release));
    make_file("w/f");
    make_file("w/g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/f", "IGNORED w/f");
    expect_released(&released);
}

Test(follow_calls, only_a_directory)
{
    make_file("w/f");
    stage_start();
    tn_wd wd = -1;
    cr_assert_eq(tn_watch_add(notifier, "w/f",
                              TN_WATCH_OPTIONS(.mask = ASKED | IN_ONLYDIR,
                                               .flags = TN_WATCH_FOLLOW_NAME),
                              &wd),
                 -ENOTDIR);
    cr_assert_eq(wd, -1);
    cr_assert_eq(stats().watches, 0);
    add("w/d", ASKED | IN_ONLYDIR, TN_WATCH_FOLLOW_NAME);
    move("w/f", "w/d");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert_eq(recorder_event(&seen, 1)->error, -ENOTDIR);
    recorder_clear(&seen);
    remove_file("w/d");
    make_dir("w/d");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/d", "CREATE|ISDIR w/d");
    make_file("w/d/x");
    settle(notifier);
    EXPECT(&seen, "CREATE w/d:x", "CLOSE_WRITE w/d:x");
}

static void refuse(const char *path, int error)
{
    tn_wd wd = -1;

    cr_assert_eq(tn_watch_add(notifier, path,
                              TN_WATCH_OPTIONS(.mask = ASKED, .flags = TN_WATCH_FOLLOW_NAME), &wd),
                 error, "%s", path);
    cr_assert_eq(wd, -1);
}

Test(follow_calls, what_can_not_be_followed)
{
    make_file("f");
    link_to("two", "one");
    link_to("one", "two");
    stage_start();
    refuse("/", -EINVAL);
    refuse(".", -EINVAL);
    refuse("..", -EINVAL);
    refuse("w/..", -EINVAL);
    refuse("", -ENOENT);
    refuse("none/f", -ENOENT);
    refuse("f/g", -ENOTDIR);
    refuse("one", -ELOOP);
    cr_assert_eq(stats().watches, 0);
}

Test(follow_calls, a_filter)
{
    stage_start();
    make_file("w/f.o");
    struct tn_filter *filter = regex_filter("\\.o$", 0);
    tn_wd wd = -1;
    const struct tn_watch_options *options =
        TN_WATCH_OPTIONS(.mask = ASKED, .flags = TN_WATCH_FOLLOW_NAME | TN_WATCH_TREE,
                         .filter = filter);
    cr_assert_eq(tn_watch_add(notifier, "w/f.o", options, &wd), -ECANCELED);
    remove_file("w/f.o");
    add_options("w/f.o", options);
    add_options("w/g", options);
    make_dir("w/f.o");
    make_dirs("w/g/a.o");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w/g");
    cr_assert_not(is_watched("w/g/a.o"));
    tn_filter_unref(filter);
}

/* In each order, what the watch is told comes in the order of the stream. */
Test(follow_calls, in_any_order)
{
    for (enum tn_order order = TN_ORDER_TREE; order <= TN_ORDER_NONE; order++) {
        static struct released released;
        stage_start();
        tn_wd wd =
            add_options("w/f", TN_WATCH_OPTIONS(.mask = ASKED, .order = order,
                                                .flags = TN_WATCH_FOLLOW_NAME, .data = &released,
                                                .release = count_release));
        for (int i = 0; i < 100; i++) {
            make_file("w/tmp");
            move("w/tmp", "w/f");
        }
        remove_file("w/f");
        settle(notifier);
        cr_assert_eq(recorder_count_of(&seen, IN_DELETE_SELF), 100);
        cr_assert_eq(recorder_count_of(&seen, IN_MOVED_TO), 100);
        cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
        settle(notifier);
        cr_assert_eq(atomic_load(&released.count), 1);
        released.count = 0;
        notifier = tn_notifier_free(notifier);
        recorder_done(&seen);
    }
    stage_start();
}

/* Added before the start: what happens until then is told after it. */
Test(follow_calls, before_the_start)
{
    make_file("w/f");
    stage_new(NULL);
    follow("w/f");
    append("w/f", "x");
    make_file("w/tmp");
    move("w/tmp", "w/f");
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    EXPECT(&seen, "MODIFY w/f", "CLOSE_WRITE w/f", "DELETE_SELF w/f", "MOVED_TO w/f",
           "CLOSE_WRITE w/f synthetic");
}
