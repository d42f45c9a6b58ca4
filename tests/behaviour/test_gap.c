/* Records were lost: the trees are healed, and what differs is told. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "gap_stage.h"

TestSuite(gap, .init = open_tree, .fini = close_stage, .timeout = 60);

Test(gap, nothing_differs)
{
    watch_tree();
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    expect_whole();
    cr_expect_eq(stats().overflows, 1);
}

Test(gap, made_with_contents)
{
    watch_tree();
    make_dirs("w/a/new/below");
    make_file("w/a/new/file");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w/a:new synthetic",
               "CREATE w/a/new:file synthetic", "CREATE|ISDIR w/a/new:below synthetic");
    expect_told("w/a/new/below");
    expect_told("w/a/new");
}

Test(gap, deleted_deeper_first)
{
    watch_tree();
    lose();
    forget_path("w/a/deep");
    forget_path("w/a");
    remove_tree("w/a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "DELETE|ISDIR w:a synthetic",
           "IGNORED w/a/deep", "IGNORED w/a");
    cr_expect_not(is_watched("w/a"));
    cr_expect_eq(stats().watches, 4);
}

Test(gap, moved_out)
{
    watch_tree();
    move("w/a", "a");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "DELETE|ISDIR w:a synthetic",
           "IGNORED w/a/deep", "IGNORED w/a");
    cr_expect_eq(stats().watches, 4);
    cr_expect_eq(tn__replay_watches(source), 4);
}

/* Two halves of one move: both are flagged, and have one cookie. */
static void expect_pair(size_t from, size_t to)
{
    const struct tn_event *left = recorder_event(&seen, from), *came = recorder_event(&seen, to);

    cr_expect(left->mask & IN_MOVED_FROM && came->mask & IN_MOVED_TO);
    cr_expect_neq(left->cookie, 0);
    cr_expect_eq(left->cookie, came->cookie);
}

Test(gap, moved_inside)
{
    watch_tree();
    move("w/a", "w/b/x");
    lose();
    settle(notifier);
    expect_pair(1, 2);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
           "MOVED_TO|ISDIR w/b:x <- w/a synthetic");
    expect_told("w/b/x/deep");
    expect_told("w/b/x");
    cr_expect_eq(stats().watches, 6);
}

Test(gap, swapped)
{
    watch_tree();
    move("w/a", "x");
    move("w/b", "w/a");
    move("x", "w/b");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
               "MOVED_FROM|ISDIR w:b synthetic", "MOVED_TO|ISDIR w:a <- w/b synthetic",
               "MOVED_TO|ISDIR w:b <- w/a synthetic");
    expect_told("w/b/deep");
    expect_told("w/a/low");
}

Test(gap, rotated)
{
    watch_tree();
    move("w/c", "x");
    move("w/b", "w/c");
    move("w/a", "w/b");
    move("x", "w/a");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
               "MOVED_FROM|ISDIR w:b synthetic", "MOVED_FROM|ISDIR w:c synthetic",
               "MOVED_TO|ISDIR w:b <- w/a synthetic", "MOVED_TO|ISDIR w:c <- w/b synthetic",
               "MOVED_TO|ISDIR w:a <- w/c synthetic");
    expect_told("w/b/deep");
    expect_told("w/c/low");
    expect_told("w/a");
    cr_expect_eq(stats().watches, 6);
}

/* a was above deep, and is below it now. */
Test(gap, turned_over)
{
    watch_tree();
    move("w/a/deep", "w/x");
    move("w/a", "w/x/a");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w/a:deep synthetic",
           "MOVED_FROM|ISDIR w:a synthetic", "MOVED_TO|ISDIR w:x <- w/a/deep synthetic",
           "MOVED_TO|ISDIR w/x:a <- w/a synthetic");
    expect_told("w/x/a");
    expect_told("w/x");
    cr_expect_eq(stats().watches, 6);
}

Test(gap, moved_below_one_that_moved)
{
    watch_tree();
    move("w/b", "w/c/b");
    move("w/a", "w/c/b/low/a");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
           "MOVED_FROM|ISDIR w:b synthetic", "MOVED_TO|ISDIR w/c:b <- w/b synthetic",
           "MOVED_TO|ISDIR w/c/b/low:a <- w/a synthetic");
    expect_told("w/c/b/low/a/deep");
}

/* What is below a new directory is announced with it. */
Test(gap, moved_into_a_new_one)
{
    watch_tree();
    make_dir("w/new");
    move("w/a", "w/new/a");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "DELETE|ISDIR w:a synthetic",
           "CREATE|ISDIR w:new synthetic", "IGNORED w/a/deep", "IGNORED w/a",
           "CREATE|ISDIR w/new:a synthetic", "CREATE|ISDIR w/new/a:deep synthetic");
    expect_told("w/new/a/deep");
    expect_told("w/new/a");
    cr_expect_eq(stats().watches, 7);
}

Test(gap, deleted_and_one_inside_saved)
{
    watch_tree();
    move("w/a/deep", "w/b/deep");
    lose();
    forget_path("w/a");
    remove_dir("w/a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w/a:deep synthetic",
           "DELETE|ISDIR w:a synthetic", "MOVED_TO|ISDIR w/b:deep <- w/a/deep synthetic",
           "IGNORED w/a");
    expect_told("w/b/deep");
}

Test(gap, made_again)
{
    watch_tree();
    lose();
    forget_path("w/a/deep");
    forget_path("w/a");
    remove_tree("w/a");
    make_dirs("w/a/other");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "DELETE|ISDIR w:a synthetic",
           "CREATE|ISDIR w:a synthetic", "IGNORED w/a/deep", "IGNORED w/a",
           "CREATE|ISDIR w/a:other synthetic");
    expect_told("w/a/other");
    expect_told("w/a");
    cr_expect_eq(stats().watches, 6);
}

Test(gap, replaced_by_one_that_was_known)
{
    watch_tree();
    lose();
    forget_path("w/a/deep");
    forget_path("w/a");
    remove_tree("w/a");
    move("w/b", "w/a");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic",
               "DELETE|ISDIR w:a synthetic", "MOVED_FROM|ISDIR w:b synthetic",
               "MOVED_TO|ISDIR w:a <- w/b synthetic", "IGNORED w/a/deep", "IGNORED w/a");
    expect_told("w/a/low");
}

Test(gap, a_file_where_a_directory_was)
{
    watch_tree();
    lose();
    forget_path("w/c");
    remove_dir("w/c");
    make_file("w/c");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w:c synthetic", "IGNORED w/c");
}

/* Behind the marker. */

Test(gap, made_and_removed_behind_it)
{
    watch_tree();
    make_dir("w/new");
    gap();
    remove_dir("w/new");
    push_dir("w", IN_DELETE, 0, "new");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:new synthetic", "DELETE|ISDIR w:new");
    expect_whole();
}

Test(gap, made_and_moved_behind_it)
{
    watch_tree();
    make_dirs("w/new/in");
    gap();
    move("w/new", "w/b/new");
    push_dir("w", IN_MOVED_FROM, 7, "new");
    push_dir("w/b", IN_MOVED_TO, 7, "new");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:new synthetic", "MOVED_FROM|ISDIR w:new",
           "MOVED_TO|ISDIR w/b:new <- w/new", "CREATE|ISDIR w/b/new:in synthetic");
    expect_told("w/b/new/in");
}

Test(gap, made_behind_it)
{
    watch_tree();
    gap();
    make_dir("w/new");
    push_dir("w", IN_CREATE, 0, "new");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:new");
    expect_told("w/new");
    cr_expect_eq(stats().watches, 7);
}

Test(gap, deleted_behind_it)
{
    watch_tree();
    gap();
    push_dir("w/a", IN_DELETE, 0, "deep");
    forget_path("w/a/deep");
    push_dir("w", IN_DELETE, 0, "a");
    forget_path("w/a");
    remove_tree("w/a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep", "IGNORED w/a/deep", "DELETE|ISDIR w:a",
           "IGNORED w/a");
}

Test(gap, moved_behind_it)
{
    watch_tree();
    gap();
    move("w/a", "w/b/a");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    push_dir("w/b", IN_MOVED_TO, 7, "a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w/b:a <- w/a");
    expect_told("w/b/a/deep");
}

Test(gap, moved_twice_behind_it)
{
    watch_tree();
    gap();
    move("w/a", "w/b/a");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    push_dir("w/b", IN_MOVED_TO, 7, "a");
    move("w/b/a", "w/c/x");
    push_dir("w/b", IN_MOVED_FROM, 8, "a");
    push_dir("w/c", IN_MOVED_TO, 8, "x");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w/b:a <- w/a",
           "MOVED_FROM|ISDIR w/b:a", "MOVED_TO|ISDIR w/c:x <- w/b/a");
    expect_told("w/c/x/deep");
}

Test(gap, moved_out_behind_it)
{
    watch_tree();
    gap();
    move("w/a", "a");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a", "IGNORED w/a/deep unknown",
           "IGNORED w/a unknown");
    cr_expect_eq(stats().watches, 4);
}

Test(gap, moved_into_what_was_made_behind_it)
{
    watch_tree();
    gap();
    make_dir("w/new");
    push_dir("w", IN_CREATE, 0, "new");
    move("w/a", "w/new/a");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:new", "CREATE|ISDIR w/new:a synthetic",
               "MOVED_FROM|ISDIR w:a synthetic", "MOVED_TO|ISDIR w/new:a <- w/a synthetic");
    expect_told("w/new/a/deep");
    cr_expect_eq(stats().watches, 7);
}

/* It stood at x when the stream was whole again. */
Test(gap, moved_and_moved_on_behind_it)
{
    watch_tree();
    move("w/a", "w/x");
    gap();
    move("w/x", "w/b/y");
    push_dir("w", IN_MOVED_FROM, 7, "x");
    push_dir("w/b", IN_MOVED_TO, 7, "y");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "DELETE|ISDIR w:a synthetic",
           "IGNORED w/a/deep", "IGNORED w/a", "CREATE|ISDIR w:x synthetic", "MOVED_FROM|ISDIR w:x",
           "MOVED_TO|ISDIR w/b:y <- w/x", "CREATE|ISDIR w/b/y:deep synthetic");
    expect_told("w/b/y/deep");
    expect_told("w/b/y");
}
