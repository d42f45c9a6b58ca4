/*
 * Names of directories and of links that are followed.
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

TestSuite(follow_trees, .init = open_follow, .fini = stage_close, .timeout = 120);

Test(follow_trees, a_tree_that_is_replaced)
{
    make_tree("w/t", "one");
    make_tree("new", "two");
    stage_start();
    tn_wd wd = add("w/t", ASKED, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    cr_assert_eq(stats().watches, 3);
    make_file("w/t/a/b/x");
    settle(notifier);
    EXPECT(&seen, "CREATE w/t/a/b:x", "CLOSE_WRITE w/t/a/b:x");
    tn_wd below = found("w/t/a");
    cr_assert_eq(info(below).parent, wd);
    cr_assert_eq(info(below).root, wd);
    move("w/t", "old");
    move("new", "w/t");
    settle(notifier);
    EXPECT_SET(&seen, "MOVE_SELF w/t unknown", "IGNORED w/t/a unknown", "IGNORED w/t/a/b unknown",
               "MOVED_TO|ISDIR w/t", "CREATE|ISDIR w/t:a synthetic",
               "CREATE|ISDIR w/t/a:b synthetic", "CREATE w/t/a/b:two synthetic",
               "CLOSE_WRITE w/t/a/b:two synthetic");
    cr_assert_eq(found("w/t"), wd);
    cr_assert_eq(info(wd).is_dir, true);
    cr_assert_eq(info(wd).parent, -1);
    make_file("w/t/y");
    make_file("w/t/a/b/y");
    make_file("old/a/y");
    settle(notifier);
    EXPECT(&seen, "CREATE w/t:y", "CLOSE_WRITE w/t:y", "CREATE w/t/a/b:y", "CLOSE_WRITE w/t/a/b:y");
    remove_tree("w/t");
    settle(notifier);
    cr_assert_not_null(recorder_find(&seen, IN_DELETE_SELF));
    cr_assert_eq(recorder_lines(&seen, "DELETE_SELF w/t"), 1);
    cr_assert_eq(stats().watches, 1);
    recorder_clear(&seen);
    make_tree("w/t", "three");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR w/t"), 1);
    cr_assert_eq(stats().watches, 3);
    cr_assert_eq(found("w/t"), wd);
}

Test(follow_trees, a_directory_without_what_is_below_it)
{
    make_tree("new", "f");
    stage_start();
    follow("w/d");
    move("new", "w/d");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO|ISDIR w/d", "CREATE|ISDIR w/d:a synthetic");
    make_file("w/d/a/x");
    make_file("w/d/x");
    settle(notifier);
    EXPECT(&seen, "CREATE w/d:x", "CLOSE_WRITE w/d:x");
    cr_assert_eq(stats().watches, 1);
}

/* What moves from a tree to its name. */
Test(follow_trees, a_directory_takes_the_place_of_the_one_above_it)
{
    make_tree("w/t", "f");
    stage_start();
    add("w/t", ASKED, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    move("w/t/a", "w/x");
    move("w/t", "w/y");
    move("w/x", "w/t");
    settle(notifier);
    recorder_clear(&seen);
    make_file("w/t/b/g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/t/b:g", "CLOSE_WRITE w/t/b:g");
    cr_assert_eq(stats().watches, 2);
}

Test(follow_trees, one_kind_after_another)
{
    stage_start();
    tn_wd wd = add("w/n", ASKED, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    make_file("w/n");
    settle(notifier);
    cr_assert_not(info(wd).is_dir);
    remove_file("w/n");
    make_dirs("w/n/a");
    settle(notifier);
    cr_assert(info(wd).is_dir);
    cr_assert(is_watched("w/n/a"));
    remove_tree("w/n");
    cr_assert_eq(mkfifo(scratch("w/n"), 0600), 0);
    settle(notifier);
    cr_assert_not(info(wd).is_dir);
    cr_assert_not(is_watched("w/n/a"));
    cr_assert_eq(found("w/n"), wd);
}

Test(follow_trees, a_link_is_followed_when_it_is_replaced)
{
    make_file("one");
    make_file("two");
    link_to("../one", "w/l");
    stage_start();
    follow("w/l");
    append("one", "x");
    settle(notifier);
    EXPECT(&seen, "MODIFY w/l", "CLOSE_WRITE w/l");
    link_to("../two", "w/tmp");
    move("w/tmp", "w/l");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/l", "MOVED_TO w/l", "CLOSE_WRITE w/l synthetic");
    append("one", "x");
    append("two", "x");
    settle(notifier);
    EXPECT(&seen, "MODIFY w/l", "CLOSE_WRITE w/l");
    remove_file("two");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/l");
    remove_file("w/l");
    settle(notifier);
    EXPECT_NONE(&seen);
    link_to("../nowhere", "w/l");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert_eq(recorder_event(&seen, 1)->flags & TN_EVENT_UNWATCHED, TN_EVENT_UNWATCHED);
    cr_assert_eq(recorder_event(&seen, 1)->error, -ENOENT);
    recorder_clear(&seen);
    remove_file("w/l");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/l");
}

/* Kubernetes' way: a link to a directory, replaced by another. */
Test(follow_trees, a_tree_behind_a_link)
{
    make_tree("v1", "f");
    make_tree("v2", "f");
    link_to("../v1", "w/data");
    stage_start();
    tn_wd wd = add("w/data", ASKED, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    append("v1/a/b/f", "x");
    settle(notifier);
    EXPECT(&seen, "MODIFY w/data/a/b:f", "CLOSE_WRITE w/data/a/b:f");
    link_to("../v2", "w/tmp");
    move("w/tmp", "w/data");
    settle(notifier);
    EXPECT_SET(&seen, "DELETE_SELF w/data", "IGNORED w/data/a", "IGNORED w/data/a/b",
               "MOVED_TO w/data", "CREATE|ISDIR w/data:a synthetic",
               "CREATE|ISDIR w/data/a:b synthetic", "CREATE w/data/a/b:f synthetic",
               "CLOSE_WRITE w/data/a/b:f synthetic");
    append("v1/a/b/f", "x");
    append("v2/a/b/f", "x");
    settle(notifier);
    EXPECT(&seen, "MODIFY w/data/a/b:f", "CLOSE_WRITE w/data/a/b:f");
    cr_assert(info(wd).is_dir);
}

/* What it leads to is watched by two of the add's watches. */
Test(follow_trees, a_link_to_its_own_directory)
{
    link_to(".", "w/l");
    stage_start();
    follow("w/l");
    make_file("w/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/l:f", "CLOSE_WRITE w/l:f");
    remove_file("w/l");
    settle(notifier);
    EXPECT(&seen, "DELETE w/l:l", "DELETE_SELF w/l");
    make_file("w/g");
    move("w", "x");
    settle(notifier);
    EXPECT(&seen, "IGNORED w/l unknown");
}

Test(follow_trees, the_link_itself)
{
    link_to("nowhere", "w/l");
    stage_start();
    add("w/l", ASKED | IN_ATTRIB | IN_DONT_FOLLOW, TN_WATCH_FOLLOW_NAME);
    cr_assert_eq(utimensat(AT_FDCWD, scratch("w/l"), (struct timespec[2]){{0}, {0}},
                           AT_SYMLINK_NOFOLLOW),
                 0);
    settle(notifier);
    EXPECT(&seen, "ATTRIB w/l");
    link_to("elsewhere", "w/tmp");
    move("w/tmp", "w/l");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/l", "MOVED_TO w/l");
}

Test(follow_trees, a_name_alone_is_relative)
{
    make_file("f");
    stage_start();
    tn_wd wd = follow("f");
    append("f", "x");
    settle(notifier);
    cr_assert_str_eq(recorder_event(&seen, 0)->path, "f");
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, "f");
    EXPECT(&seen, "MODIFY f", "CLOSE_WRITE f");
    move("w", "f.d");
    make_dirs("new/a");
    cr_assert_eq(found("f"), wd);
    cr_assert_not(is_watched(""));
    tn_wd tree = add("t", ASKED, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    move("new", "t");
    make_file("t/a/x");
    settle(notifier);
    cr_assert(is_watched("t/a"));
    cr_assert_eq(found("t"), tree);
    cr_assert_eq(tn_watch_remove(notifier, tree, TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "IGNORED t"), 1);
}

Test(follow_trees, at_the_top)
{
    stage_start();
    tn_wd wd = follow("/tnotify-test-nothing-of-this-name");
    cr_assert_eq(found("/tnotify-test-nothing-of-this-name"), wd);
    cr_assert_not(is_watched("/"));
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_SYNC), 0);
}
