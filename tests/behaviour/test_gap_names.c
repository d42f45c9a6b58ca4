/* Gaps in which one name had more than one directory; losses in a healing; roots. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "gap_stage.h"

TestSuite(gap_names, .init = open_tree, .fini = close_stage, .timeout = 60);

/* Two directories left one name, and only one of them behind the marker. */
static void leave_one_name(void)
{
    watch_tree();
    move("w/a", "w/x");
    make_dirs("w/a/second");
    gap();
}

Test(gap_names, another_of_the_name_moves_on)
{
    leave_one_name();
    move("w/a", "w/b/two");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    push_dir("w/b", IN_MOVED_TO, 7, "two");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a synthetic",
           "MOVED_TO|ISDIR w:x <- w/a synthetic", "CREATE|ISDIR w:a synthetic",
           "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w/b:two <- w/a",
           "CREATE|ISDIR w/b/two:second synthetic");
    expect_told("w/x/deep");
    expect_told("w/b/two/second");
}

/* What a walk sees, and what left the name that it had, are two. */
Test(gap_names, both_of_the_name_move_on)
{
    leave_one_name();
    move("w/a", "w/b/two");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    push_dir("w/b", IN_MOVED_TO, 7, "two");
    move("w/x", "w/c/one");
    push_dir("w", IN_MOVED_FROM, 8, "x");
    push_dir("w/c", IN_MOVED_TO, 8, "one");
    settle(notifier);
    recorder_clear(&seen);
    expect_told("w/b/two/second");
    expect_told("w/b/two");
    expect_told("w/c/one/deep");
    expect_told("w/c/one");
    cr_expect_eq(stats().watches, 8);
}

/* The first of the name comes back to it. */
Test(gap_names, the_first_of_the_name_comes_back)
{
    leave_one_name();
    move("w/a", "w/b/two");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    push_dir("w/b", IN_MOVED_TO, 7, "two");
    move("w/x", "w/a");
    push_dir("w", IN_MOVED_FROM, 8, "x");
    push_dir("w", IN_MOVED_TO, 8, "a");
    settle(notifier);
    recorder_clear(&seen);
    expect_told("w/b/two/second");
    expect_told("w/b/two");
    expect_told("w/a/deep");
    expect_told("w/a");
    cr_expect_eq(stats().watches, 8);
}

/* One after the other at one place. */
Test(gap_names, both_of_the_name_come_to_one_place)
{
    leave_one_name();
    move("w/a", "w/b/two");
    push_dir("w", IN_MOVED_FROM, 7, "a");
    push_dir("w/b", IN_MOVED_TO, 7, "two");
    move("w/b/two", "w/c/two");
    push_dir("w/b", IN_MOVED_FROM, 8, "two");
    push_dir("w/c", IN_MOVED_TO, 8, "two");
    move("w/x", "w/b/two");
    push_dir("w", IN_MOVED_FROM, 9, "x");
    push_dir("w/b", IN_MOVED_TO, 9, "two");
    settle(notifier);
    recorder_clear(&seen);
    expect_told("w/c/two/second");
    expect_told("w/b/two/deep");
    cr_expect_eq(stats().watches, 8);
}

Test(gap_names, another_of_the_name_is_deleted)
{
    watch_tree();
    move("w/a", "w/x");
    make_dir("w/a");
    gap();
    remove_dir("w/a");
    push_dir("w", IN_DELETE, 0, "a");
    move("w/x", "w/c/one");
    push_dir("w", IN_MOVED_FROM, 8, "x");
    push_dir("w/c", IN_MOVED_TO, 8, "one");
    push("w/c/one", IN_CREATE, "file");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "CREATE w/a:file"), 0);
    recorder_clear(&seen);
    expect_told("w/c/one/deep");
    expect_told("w/c/one");
}

/* It left the tree, and what is told of it still is not told under the name that it had. */
Test(gap_names, another_of_the_name_is_deleted_and_the_first_is_out)
{
    watch_tree();
    const uint64_t key = key_of("w/a");
    move("w/a", "w/x");
    make_dir("w/a");
    gap();
    remove_dir("w/a");
    push_dir("w", IN_DELETE, 0, "a");
    move("w/x", "out");
    push_dir("w", IN_MOVED_FROM, 8, "x");
    push_key(key, IN_CREATE, 0, "file");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "CREATE w/a:file"), 0);
    cr_expect_eq(stats().watches, 4);
    cr_expect_eq(tn__replay_watches(source), 4);
}

/* Deleted in the gap, and another of its name is deleted behind it: its end was lost. */
Test(gap_names, two_of_a_name_are_deleted)
{
    watch_tree();
    lose();
    forget_path("w/c");
    remove_dir("w/c");
    make_dir("w/c");
    cr_assert_eq(tn_notifier_read_events(notifier), 2);
    remove_dir("w/c");
    push_dir("w", IN_DELETE, 0, "c");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "IGNORED w/c"), 1);
    cr_expect_eq(stats().watches, 5);
}

/* More losses. */

static void lose_at_first_mark(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) != 1)
        return;
    make_dir("w/b/late");
    lose();
}

/* Before the marker behind the walk. */
Test(gap_names, lost_again_in_the_walk)
{
    watch_tree_hooked(lose_at_first_mark, ENTRIES);
    make_dir("w/new");
    gap();
    atomic_store(&armed, true);
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "Q_OVERFLOW -"), 2);
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w:new synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w/b:late synthetic"), 1);
    recorder_clear(&seen);
    expect_told("w/new");
    expect_told("w/b/late");
}

static void lose_when_watching(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed) && atomic_fetch_add(&marks, 1) == 3) {
        push_dir("w", IN_CREATE, 0, "ghost");
        lose();
        push_dir("w", IN_CREATE, 0, "ghost2");
    }
}

/* What comes before the second overflow is not told either: it may be contradicted by what was
 * lost. */
Test(gap_names, lost_again_in_the_middle_of_the_walk)
{
    watch_tree_hooked(lose_when_watching, WITH_GAP);
    make_dir("w/new");
    gap();
    atomic_store(&armed, true);
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW -",
           "CREATE|ISDIR w:new synthetic", "Q_OVERFLOW w gap-end");
    expect_told("w/new");
}

/* The marker is not needed then: the records behind the second stand in for it. */
Test(gap_names, lost_again_before_the_marker)
{
    watch_tree_hooked(NULL, WITH_GAP);
    make_dir("w/new");
    lose();
    push_dir("w", IN_CREATE, 0, "ghost");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW -",
           "CREATE|ISDIR w:new synthetic", "Q_OVERFLOW w gap-end");
    expect_told("w/new");
}

Test(gap_names, one_after_the_other)
{
    watch_tree_hooked(NULL, WITH_GAP);
    lose();
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW -", "Q_OVERFLOW w gap-end");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW w gap-end");
    expect_whole();
    cr_expect_eq(stats().overflows, 3);
}

/* Behind the marker, when it was committed: the tree is healed to the first, then to the second. */
Test(gap_names, lost_again_behind_the_marker)
{
    watch_tree_hooked(NULL, WITH_GAP);
    make_dir("w/new");
    gap();
    make_dir("w/c/newer");
    push_dir("w/c", IN_CREATE, 0, "newer");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW -",
           "CREATE|ISDIR w:new synthetic", "CREATE|ISDIR w/c:newer synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap_names, what_lies_before_the_marker_is_counted)
{
    watch_tree();
    lose();
    push("w", IN_CREATE, "one");
    push("w", IN_CREATE, "two");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    cr_expect_eq(stats().dropped, 2);
}

/* The arrival is lost, or will be told by the healing: nothing waits for it. */
Test(gap_names, moved_out_before_the_loss)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 1;
    options.move_timeout_ms = 1000 * 1000;
    new_with_options(options, NULL, NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    move("w/c", "c");
    push_dir("w", IN_MOVED_FROM, 7, "c");
    move("w/a", "w/b/a");
    push_dir("w", IN_MOVED_FROM, 8, "a");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM|ISDIR w:c", "IGNORED w/c unknown", "MOVED_FROM|ISDIR w:a",
               "IGNORED w/a/deep unknown", "IGNORED w/a unknown", "Q_OVERFLOW -",
               "CREATE|ISDIR w/b:a synthetic", "CREATE|ISDIR w/b/a:deep synthetic");
    expect_told("w/b/a/deep");
}

/* Roots. */

Test(gap_names, the_root_is_deleted)
{
    watch_tree_hooked(NULL, WITH_GAP);
    lose();
    forget_path("w/a/deep");
    forget_path("w/a");
    forget_path("w/b/low");
    forget_path("w/b");
    forget_path("w/c");
    forget_path("w");
    remove_tree("w");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "IGNORED w/a/deep", "IGNORED w/a",
               "IGNORED w/b/low", "IGNORED w/b", "IGNORED w/c", "IGNORED w");
    cr_expect_eq(stats().watches, 0);
}

/* It lives on elsewhere: its tree stays as it is, and that it can't be seen is told. */
Test(gap_names, the_root_is_moved)
{
    watch_tree_hooked(NULL, WITH_GAP);
    move("w", "v");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin",
           "ISDIR w unwatched No such file or directory", "Q_OVERFLOW w gap-end");
    cr_expect_eq(stats().watches, 6);
    cr_expect_eq(stats().unwatched, 1);
    move("v", "w");
    lose();
    settle(notifier);
    recorder_clear(&seen);
    expect_whole();
}

Test(gap_names, another_stands_at_the_root)
{
    watch_tree();
    move("w", "v");
    make_dirs("w/other");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "ISDIR w unwatched No such file or directory");
    cr_expect_eq(stats().watches, 6);
    cr_expect_eq(tn__replay_key_of(source, "w"), 0);
    cr_expect_eq(tn__replay_key_of(source, "w/other"), 0);
}

/* A record ahead of the root's own move. */
Test(gap_names, the_root_is_deleted_behind_it)
{
    watch_tree_hooked(NULL, WITH_GAP);
    gap();
    push_dir("w/a", IN_DELETE, 0, "deep");
    forget_path("w/a/deep");
    push_dir("w", IN_DELETE, 0, "a");
    forget_path("w/a");
    push_dir("w/b", IN_DELETE, 0, "low");
    forget_path("w/b/low");
    push_dir("w", IN_DELETE, 0, "b");
    forget_path("w/b");
    push_dir("w", IN_DELETE, 0, "c");
    forget_path("w/c");
    forget_path("w");
    remove_tree("w");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "DELETE|ISDIR w/a:deep",
           "IGNORED w/a/deep", "DELETE|ISDIR w:a", "IGNORED w/a", "DELETE|ISDIR w/b:low",
           "IGNORED w/b/low", "DELETE|ISDIR w:b", "IGNORED w/b", "DELETE|ISDIR w:c", "IGNORED w/c",
           "IGNORED w");
    cr_expect_eq(stats().watches, 0);
}

/* Plain watches, and files. */
