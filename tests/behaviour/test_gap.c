/*
 * Records were lost: the trees are healed, and what differs is told. The stream
 * is the test's own (replay).
 *
 * What is done before gap() is not told by any record; after it the marker of
 * the gap stands, and records that are pushed come behind it.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "replay_stage.h"

#define WITH_GAP (ENTRIES | (uint32_t)IN_Q_OVERFLOW)

static void open_tree(void)
{
    open_stage();
    make_dirs("w/a/deep");
    make_dirs("w/b/low");
    make_dir("w/c");
}

TestSuite(gap, .init = open_tree, .fini = close_stage, .timeout = 60);

static void watch_tree(void)
{
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
}

static void lose(void)
{
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
}

/* The records of the ends are lost as well. */
static void forget(uint64_t key)
{
    push_key(key, IN_IGNORED, 0, NULL);
}

static void forget_path(const char *path)
{
    forget(key_of(path));
}

/* The overflow is committed, and the marker put. */
static void gap(void)
{
    lose();
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
}

static void push_dir(const char *directory, uint32_t mask, uint32_t cookie, const char *name)
{
    push_key(key_of(directory), mask | IN_ISDIR, cookie, name);
}

/* A file there is told, once. */
static void expect_told(const char *directory)
{
    push(directory, IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, at("CREATE %s:probe", directory));
    cr_assert(is_watched(directory));
}

/* The whole tree that open_tree() made, as it is. */
static void expect_whole(void)
{
    expect_told("w");
    expect_told("w/a");
    expect_told("w/a/deep");
    expect_told("w/b");
    expect_told("w/b/low");
    expect_told("w/c");
    cr_expect_eq(stats().watches, 6);
}

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

/* Two directories left one name, and only one of them behind the marker. */
static void leave_one_name(void)
{
    watch_tree();
    move("w/a", "w/x");
    make_dirs("w/a/second");
    gap();
}

Test(gap, another_of_the_name_moves_on)
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
Test(gap, both_of_the_name_move_on)
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
Test(gap, the_first_of_the_name_comes_back)
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
Test(gap, both_of_the_name_come_to_one_place)
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

Test(gap, another_of_the_name_is_deleted)
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
Test(gap, another_of_the_name_is_deleted_and_the_first_is_out)
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
Test(gap, two_of_a_name_are_deleted)
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

static void watch_tree_hooked(void (*hook)(void *context, enum tn__replay_call call), uint32_t mask)
{
    new_with_replay(hook);
    add_options("w",
                TN_WATCH_OPTIONS(.mask = mask, .flags = TN_WATCH_TREE, .order = TN_ORDER_NOTIFIER));
    settle(notifier);
}

/* Before the marker behind the walk. */
Test(gap, lost_again_in_the_walk)
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
Test(gap, lost_again_in_the_middle_of_the_walk)
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
Test(gap, lost_again_before_the_marker)
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

Test(gap, one_after_the_other)
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
Test(gap, lost_again_behind_the_marker)
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

Test(gap, what_lies_before_the_marker_is_counted)
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
Test(gap, moved_out_before_the_loss)
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

Test(gap, the_root_is_deleted)
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
Test(gap, the_root_is_moved)
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

Test(gap, another_stands_at_the_root)
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
Test(gap, the_root_is_deleted_behind_it)
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

Test(gap, plain_watches)
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

Test(gap, a_file_is_deleted)
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

Test(gap, one_shot)
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

Test(gap, filtered)
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
Test(gap, recursive_without_auto_add)
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
Test(gap, auto_add_without_recursive)
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
Test(gap, a_watch_in_the_middle_was_removed)
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

Test(gap, two_adds_on_one_tree)
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
Test(gap, from_one_add_to_another)
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

Test(gap, overlapping_trees)
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
Test(gap, a_root_moves_in_another_tree)
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

Test(gap, an_alias_of_the_tree)
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

static tn_wd add_in_order(enum tn_order order)
{
    return add_options("w",
                       TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .order = order));
}

Test(gap, begins_before_and_ends_behind_in_the_tree_order)
{
    new_with_replay(NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE,
                                      .processor = later.processor));
    settle(notifier);
    make_dirs("w/new/in");
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w:new synthetic",
           "CREATE|ISDIR w/new:in synthetic", "Q_OVERFLOW w gap-end");
}

Test(gap, not_told_to_who_does_not_ask)
{
    watch_tree();
    add_options("w/a", TN_WATCH_OPTIONS(.mask = IN_ALL_EVENTS, .processor = later.processor));
    settle(notifier);
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
    EXPECT_NONE(&later);
}

/* In other orders the lanes run by themselves: the end waits for all that was rebuilt. */
static struct gate gate;
static atomic_bool gated;

static int keep_behind_gate(const struct tn_event *event, void *userdata)
{
    if (atomic_load(&gated) && event->mask & IN_CREATE)
        gate_pass(&gate);
    return recorder_keep(event, userdata);
}

static void start_gated(enum tn_order order, unsigned threads)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *slow = processing(keep_behind_gate, &later);

    gate_init(&gate);
    atomic_store(&gated, true);
    options.threads = threads;
    new_with_options(options, NULL, NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .order = order,
                                      .processor = slow));
    tn_processor_unref(slow);
    start();
    settle(notifier);
}

static void end_after_all(enum tn_order order)
{
    start_gated(order, 4);
    make_dir("w/a/new");
    lose();
    gate_wait_for(&gate, 1);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-begin"), 1);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 0);
    gate_open(&gate);
    recorder_wait(&later, 3);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap, end_after_all_in_the_directory_order)
{
    end_after_all(TN_ORDER_DIRECTORY);
}

Test(gap, end_after_all_in_the_path_order)
{
    end_after_all(TN_ORDER_PATH);
}

Test(gap, end_after_all_without_order)
{
    end_after_all(TN_ORDER_NONE);
}

/* The end of the first was not told when records were lost again: it is one gap. */
Test(gap, goes_on_when_the_end_still_waits)
{
    start_gated(TN_ORDER_DIRECTORY, 4);
    make_dir("w/a/new");
    lose();
    gate_wait_for(&gate, 1);
    make_dir("w/b/newer");
    lose();
    gate_wait_for(&gate, 2);
    gate_open(&gate);
    recorder_wait(&later, 4);
    settle(notifier);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-begin"), 1);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 1);
    cr_expect(recorder_event(&later, 3)->flags & TN_EVENT_GAP_END);
}

Test(gap, removed_while_the_end_waits)
{
    start_gated(TN_ORDER_DIRECTORY, 4);
    make_dir("w/a/new");
    lose();
    gate_wait_for(&gate, 1);
    cr_assert_eq(tn_watch_remove(notifier, found("w"), TN_REMOVE_RECURSIVE), 0);
    gate_open(&gate);
    settle(notifier);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 0);
    cr_expect_eq(stats().watches, 0);
}

/* The stop waits for what was rebuilt, and the end is told. */
Test(gap, stop_with_drain_tells_all)
{
    start_gated(TN_ORDER_TREE, 1);
    gate_open(&gate);
    make_dirs("w/a/new/in");
    lose();
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "CREATE|ISDIR w/a/new:in synthetic", "Q_OVERFLOW w gap-end");
}

Test(gap, stop_with_drain_tells_the_end_in_other_orders)
{
    start_gated(TN_ORDER_DIRECTORY, 2);
    make_dirs("w/a/new");
    lose();
    gate_wait_for(&gate, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    gate_open(&gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap, stop_with_discard_does_not_wait)
{
    start_gated(TN_ORDER_TREE, 1);
    make_dirs("w/a/new/in");
    lose();
    gate_wait_for(&gate, 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    gate_open(&gate);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_expect_eq(recorder_lines(&later, "Q_OVERFLOW w gap-end"), 0);
}

Test(gap, settle_waits_for_the_end)
{
    start_gated(TN_ORDER_DIRECTORY, 2);
    make_dir("w/a/new");
    lose();
    gate_wait_for(&gate, 1);
    cr_expect_eq(tn_notifier_settle(notifier, 1), -ETIMEDOUT);
    gate_open(&gate);
    settle(notifier);
    EXPECT(&later, "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
           "Q_OVERFLOW w gap-end");
}

Test(gap, in_the_callers_thread_in_other_orders)
{
    new_with_replay(NULL);
    add_in_order(TN_ORDER_DIRECTORY);
    settle(notifier);
    make_dir("w/a/new");
    lose();
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w/a:new synthetic",
               "Q_OVERFLOW w gap-end");
}

Test(gap, coalesced)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 1;
    options.flags = TN_NOTIFIER_COALESCE;
    new_with_options(options, NULL, NULL);
    add_in_order(TN_ORDER_NOTIFIER);
    settle(notifier);
    lose();
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "Q_OVERFLOW w gap-end");
}

/* The tree is healed, and nothing is told of it. */
Test(gap, while_events_are_ignored)
{
    watch_tree_hooked(NULL, WITH_GAP);
    cr_assert_eq(tn_notifier_set_ignore(notifier, true), 0);
    settle(notifier);
    make_dir("w/new");
    move("w/a", "w/c/a");
    lose();
    settle(notifier);
    cr_assert_eq(tn_notifier_set_ignore(notifier, false), 0);
    settle(notifier);
    recorder_clear(&seen);
    expect_told("w/new");
    expect_told("w/c/a/deep");
}

/* Adds, removes and updates meanwhile. */

static void add_at_first_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call != TN__REPLAY_MARK || !atomic_load(&armed) || atomic_fetch_add(&marks, 1) != 0)
        return;
    make_dir("w/a/late");
    push_dir("w/a", IN_CREATE, 0, "late");
}

/* It stands before the walk and behind the loss. */
Test(gap, added_between_the_loss_and_the_marker)
{
    watch_tree_hooked(add_at_first_watch, ENTRIES);
    gap();
    add_options("w/b", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE,
                                        .processor = later.processor));
    make_dir("w/b/low/new");
    settle(notifier);
    recorder_clear(&seen);
    recorder_clear(&later);
    push("w/b/low", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b/low:probe");
    EXPECT(&later, "CREATE w/b/low:probe");
}

Test(gap, removed_before_it_is_healed)
{
    watch_tree_hooked(NULL, WITH_GAP);
    make_dir("w/new");
    gap();
    cr_assert_eq(tn_watch_remove(notifier, found("w"), TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    cr_expect_eq(stats().watches, 0);
    cr_expect_eq(tn__replay_watches(source), 0);
    cr_expect_eq(recorder_lines(&seen, "Q_OVERFLOW w gap-end"), 0);
    cr_expect_eq(recorder_lines(&seen, "IGNORED w"), 1);
}

/* Who asks only then is told no end of what it was not told the beginning of. */
Test(gap, asked_for_in_the_middle)
{
    watch_tree_hooked(NULL, ENTRIES);
    gap();
    cr_assert_eq(tn_watch_update(notifier, found("w"), TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = WITH_GAP)),
                 0);
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -");
}

/* What was there before: it is told when the tree is true. */
Test(gap, existing_not_told_yet)
{
    new_with_replay(NULL);
    add_options("w",
                TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE | TN_WATCH_EXISTING));
    lose();
    move("w/a", "w/c/a");
    make_dir("w/new");
    forget_path("w/b/low");
    remove_dir("w/b/low");
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:b synthetic", "CREATE|ISDIR w:c synthetic",
               "CREATE|ISDIR w:new synthetic", "CREATE|ISDIR w/c:a synthetic",
               "CREATE|ISDIR w/c/a:deep synthetic", "IGNORED w/b/low", "IGNORED w/a/deep",
               "IGNORED w/a");
    expect_told("w/c/a/deep");
    expect_told("w/new");
}

/* The marker of the add lies before that of the gap. */
Test(gap, existing_placed_before_the_marker)
{
    new_with_replay(NULL);
    lose();
    add_options("w", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE | TN_WATCH_EXISTING));
    make_dir("w/new");
    push_dir("w", IN_CREATE, 0, "new");
    make_file("w/file");
    push("w", IN_CREATE, "file");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w:new synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "CREATE w:file synthetic"), 1);
    recorder_clear(&seen);
    expect_told("w/new");
    expect_told("w/a/deep");
}

/* Ways to fail. */

Test(gap, the_marker_of_the_gap_fails)
{
    watch_tree();
    make_dir("w/new");
    tn__replay_fail(source, TN__REPLAY_MARK, ENOMEM, 1);
    lose();
    play();
    EXPECT(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:new synthetic");
    expect_told("w/new");
}

static void fail_second_mark(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == 1)
        tn__replay_fail(source, TN__REPLAY_MARK, ENOMEM, 1);
}

/* It is tried again when more was committed. */
Test(gap, the_marker_behind_the_walk_fails)
{
    watch_tree_hooked(fail_second_mark, WITH_GAP);
    make_dir("w/new");
    gap();
    atomic_store(&armed, true);
    play();
    push("w/a", IN_CREATE, "file");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w:new synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "Q_OVERFLOW w gap-end"), 1);
    recorder_clear(&seen);
    expect_told("w/new");
}

/* What can't be looked into is not gone. The first two verify the root. */
static void refuse_one(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed) && atomic_fetch_add(&marks, 1) == 2)
        tn__replay_fail(source, TN__REPLAY_WATCH, EACCES, 1);
}

Test(gap, a_directory_can_not_be_looked_into)
{
    new_with_replay(refuse_one);
    make_dirs("v/a/deep/deeper");
    add("v", WITH_GAP, TN_WATCH_TREE);
    settle(notifier);
    gap();
    atomic_store(&armed, true);
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "Q_OVERFLOW v gap-begin",
               "ISDIR v/a unwatched Permission denied", "Q_OVERFLOW v gap-end");
    expect_told("v/a/deep/deeper");
    cr_expect_eq(stats().watches, 4);
}

static void fail_watches(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed))
        tn__replay_fail(source, TN__REPLAY_WATCH, ENOSPC, 100);
}

Test(gap, no_watch_is_left)
{
    watch_tree_hooked(fail_watches, WITH_GAP);
    make_dir("w/new");
    atomic_store(&armed, true);
    lose();
    settle(notifier);
    atomic_store(&armed, false);
    tn__replay_fail(source, TN__REPLAY_WATCH, 0, 0);
    EXPECT(&seen, "Q_OVERFLOW -", "Q_OVERFLOW w gap-begin", "CREATE|ISDIR w:new synthetic",
           "ISDIR w:new unwatched No space left on device", "Q_OVERFLOW w gap-end");
    expect_whole();
}

/* Between the two halves of its move the queue is full: the arrival is dropped. */
Test(gap, full_in_the_middle_of_a_move)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *slow = processing(keep_behind_gate, &later);

    gate_init(&gate);
    atomic_store(&gated, true);
    options.threads = 2;
    options.when_full = TN_FULL_DROP;
    options.queue_bytes = 64 << 10;
    new_with_options(options, NULL, NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .processor = slow));
    tn_processor_unref(slow);
    push("w", IN_CREATE, "first");
    move("w/a/deep", "w/b/deep");
    push_dir("w/a", IN_MOVED_FROM, 7, "deep");
    for (unsigned i = 0; i < 4000; i++)
        push("w", IN_CREATE, at("a-name-that-takes-some-room-%u", i));
    push_dir("w/b", IN_MOVED_TO, 7, "deep");
    start();
    gate_wait_for(&gate, 1);
    while (!stats().dropped)
        sched_yield();
    gate_open(&gate);
    settle(notifier);
    recorder_clear(&later);
    make_dir("w/a/deep");
    push_dir("w/a", IN_CREATE, 0, "deep");
    settle(notifier);
    EXPECT(&later, "CREATE|ISDIR w/a:deep");
    push("w/a/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&later, "CREATE w/a/deep:probe");
}

/* It is healed without a marker, and nothing else happens. */
Test(gap, the_marker_fails_when_it_is_no_longer_full)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *slow = processing(keep_behind_gate, &later);

    gate_init(&gate);
    atomic_store(&gated, true);
    options.threads = 2;
    options.when_full = TN_FULL_DROP;
    options.queue_bytes = 64 << 10;
    new_with_options(options, NULL, NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = WITH_GAP, .flags = TN_WATCH_TREE, .processor = slow));
    tn_processor_unref(slow);
    for (unsigned i = 0; i < 4000; i++)
        push("w", IN_CREATE, at("a-name-that-takes-some-room-%u", i));
    start();
    gate_wait_for(&gate, 1);
    while (!stats().dropped)
        sched_yield();
    tn__replay_fail(source, TN__REPLAY_MARK, ENOMEM, 1);
    gate_open(&gate);
    while (!recorder_lines(&later, "Q_OVERFLOW w gap-end"))
        sched_yield();
}

static struct tn__source_ops reading;
static ssize_t (*replay_read)(struct tn__source *source, void *buffer, size_t size);
static unsigned reads;

/* The first read is of the record, the second behind the barrier. */
static ssize_t read_and_add(struct tn__source *from, void *buffer, size_t size)
{
    if (atomic_load(&armed) && ++reads == 2)
        add("w/new/sub", IN_OPEN, TN_WATCH_TREE);
    return replay_read(from, buffer, size);
}

/* An add asks who watches the directory above, which the reader has placed and not attached. */
Test(gap, an_add_below_what_is_being_taken_in)
{
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    replay_read = source->ops->read;
    reading = *source->ops;
    reading.read = read_and_add;
    source->ops = &reading;
    make_dirs("w/new/sub");
    push_dir("w", IN_CREATE, 0, "new");
    atomic_store(&armed, true);
    cr_assert_geq(tn_notifier_read_events(notifier), 0);
    cr_assert_geq(reads, 2);
    settle(notifier);
    cr_assert(is_watched("w/new"));
    recorder_clear(&seen);
    expect_told("w/new");
}
