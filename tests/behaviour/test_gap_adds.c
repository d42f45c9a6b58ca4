/* Gaps under watches of all kinds, and several adds. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "gap_stage.h"

TestSuite(gap_adds, .init = open_tree, .fini = close_stage, .timeout = 60);

Test(gap_adds, plain_watches)
{
    new_with_replay(NULL);
    make_file("file");
    add("w/a", WITH_GAP, 0);
    add("file", IN_MODIFY | IN_Q_OVERFLOW, 0);
    add("w/c", WITH_GAP, 0);
    settle(notifier);
    lose();
    forget_path("w/c");
    remove_dir("w/c");
    make_dir("w/a/new");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w/a gap-begin", "Q_OVERFLOW file gap-begin",
               "Q_OVERFLOW w/c gap-begin", "IGNORED w/c", "Q_OVERFLOW w/a gap-end",
               "Q_OVERFLOW file gap-end");
    expect_told("w/a");
    cr_expect_eq(stats().watches, 2);
}

Test(gap_adds, a_file_is_deleted)
{
    new_with_replay(NULL);
    make_file("file");
    add("file", IN_MODIFY | IN_Q_OVERFLOW, 0);
    settle(notifier);
    lose();
    forget_path("file");
    remove_file("file");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW file gap-begin", "IGNORED file");
    cr_expect_eq(stats().watches, 0);
}

Test(gap_adds, one_shot)
{
    new_with_replay(NULL);
    add("w/a", IN_CREATE | IN_ONESHOT, 0);
    settle(notifier);
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    push("w/a", IN_CREATE, "file");
    settle(notifier);
    EXPECT(&seen, "CREATE w/a:file", "IGNORED w/a");
}

/* Kinds of adds. */

Test(gap_adds, filtered)
{
    struct tn_filter *filter = regex_filter("/no$", 0);

    new_with_replay(NULL);
    make_dir("w/no");
    add_options("w", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE, .filter = filter));
    tn_filter_unref(filter);
    settle(notifier);
    make_dirs("w/a/no/below");
    move("w/b", "w/a/deep/no");
    make_dirs("w/new/no");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/b:low synthetic", "DELETE|ISDIR w:b synthetic",
           "CREATE|ISDIR w:new synthetic", "IGNORED w/b/low", "IGNORED w/b");
    cr_expect_eq(stats().watches, 5);
    cr_expect_eq(tn__replay_watches(source), 5);
    expect_told("w/new");
}

/* What it does not take in it does not know: only what it watches can be told to differ. */
Test(gap_adds, recursive_without_auto_add)
{
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_RECURSIVE);
    settle(notifier);
    make_dir("w/before");
    push_dir("w", IN_CREATE, 0, "before");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:before");
    make_dir("w/new");
    move("w/a", "w/c/a");
    lose();
    forget_path("w/b/low");
    remove_dir("w/b/low");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/b:low synthetic",
               "MOVED_FROM|ISDIR w:a synthetic", "MOVED_TO|ISDIR w/c:a <- w/a synthetic",
               "IGNORED w/b/low");
    expect_told("w/c/a/deep");
    cr_expect_eq(stats().watches, 5);
    cr_expect_eq(tn__replay_watches(source), 5);
}

/* What was there before the add is not taken in, and is not new. */
Test(gap_adds, auto_add_without_recursive)
{
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_AUTO_ADD);
    settle(notifier);
    make_dir("w/new");
    push_dir("w", IN_CREATE, 0, "new");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:new");
    make_dir("w/new/below");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w/new:below synthetic");
    expect_told("w/new/below");
    cr_expect_eq(stats().watches, 3);
}

/* A watch that was removed by itself stays removed, with what is above and below it. */
Test(gap_adds, a_watch_in_the_middle_was_removed)
{
    watch_tree();
    cr_assert_eq(tn_watch_remove(notifier, found("w/a"), 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/a");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    expect_told("w/a/deep");
    cr_expect_eq(stats().watches, 5);
    lose();
    forget_path("w/a/deep");
    remove_tree("w/a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w:a synthetic", "IGNORED w/a/deep");
    cr_expect_eq(stats().watches, 4);
}

/* Several adds. */

Test(gap_adds, two_adds_on_one_tree)
{
    watch_tree();
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE,
                                      .processor = later.processor));
    settle(notifier);
    make_dirs("w/new/in");
    move("w/a", "w/c/a");
    lose();
    forget_path("w/b/low");
    remove_dir("w/b/low");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/b:low synthetic",
               "MOVED_FROM|ISDIR w:a synthetic", "MOVED_TO|ISDIR w/c:a <- w/a synthetic",
               "IGNORED w/b/low", "CREATE|ISDIR w:new synthetic",
               "CREATE|ISDIR w/new:in synthetic");
    EXPECT_SET(&later, "Q_OVERFLOW w gap-begin", "DELETE|ISDIR w/b:low synthetic",
               "MOVED_FROM|ISDIR w:a synthetic", "MOVED_TO|ISDIR w/c:a <- w/a synthetic",
               "IGNORED w/b/low", "CREATE|ISDIR w:new synthetic", "CREATE|ISDIR w/new:in synthetic",
               "Q_OVERFLOW w gap-end");
    push("w/new/in", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/new/in:probe");
    EXPECT(&later, "CREATE w/new/in:probe");
    cr_expect_eq(stats().watches, 14);
}

/* It left the one and came to the other. */
Test(gap_adds, from_one_add_to_another)
{
    new_with_replay(NULL);
    add("w/a", ENTRIES, TN_WATCH_TREE);
    add_options("w/b", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                        .processor = later.processor));
    settle(notifier);
    move("w/a/deep", "w/b/deep");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "IGNORED w/a/deep");
    EXPECT(&later, "CREATE|ISDIR w/b:deep synthetic");
    push("w/b/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&later, "CREATE w/b/deep:probe");
    EXPECT_NONE(&seen);
    cr_expect_eq(stats().watches, 4);
}

Test(gap_adds, overlapping_trees)
{
    watch_tree();
    add_options("w/a", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                        .processor = later.processor));
    settle(notifier);
    make_dir("w/a/deep/new");
    move("w/c", "w/a/c");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w/a/deep:new synthetic",
               "MOVED_FROM|ISDIR w:c synthetic", "MOVED_TO|ISDIR w/a:c <- w/c synthetic");
    EXPECT_SET(&later, "CREATE|ISDIR w/a/deep:new synthetic", "CREATE|ISDIR w/a:c synthetic");
    push("w/a/c", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/a/c:probe");
    EXPECT(&later, "CREATE w/a/c:probe");
}

/* The root of one moved inside the other. */
Test(gap_adds, a_root_moves_in_another_tree)
{
    watch_tree();
    add_options("w/a", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                        .processor = later.processor));
    settle(notifier);
    move("w/a", "w/c/a");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
           "MOVED_TO|ISDIR w/c:a <- w/a synthetic");
    EXPECT(&later, "ISDIR w/a unwatched No such file or directory");
    push("w/c/a/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/c/a/deep:probe");
}

Test(gap_adds, an_alias_of_the_tree)
{
    link_to("w", "alias");
    watch_tree();
    add_options("alias", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                          .processor = later.processor));
    settle(notifier);
    make_dir("w/new");
    move("w/a", "w/c/a");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
               "MOVED_TO|ISDIR w/c:a <- w/a synthetic", "CREATE|ISDIR w:new synthetic");
    EXPECT_SET(&later, "MOVED_FROM|ISDIR alias:a synthetic",
               "MOVED_TO|ISDIR alias/c:a <- alias/a synthetic", "CREATE|ISDIR alias:new synthetic");
    push("w/c/a/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/c/a/deep:probe");
    EXPECT(&later, "CREATE alias/c/a/deep:probe");
}

/* Beginning and end. */
