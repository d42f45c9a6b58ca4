/* What comes in between in a healing, and what fails. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "gap_stage.h"

TestSuite(gap_faults, .init = open_tree, .fini = close_stage, .timeout = 60);

static void add_at_first_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call != TN__REPLAY_MARK || !atomic_load(&armed) || atomic_fetch_add(&marks, 1) != 0)
        return;
    make_dir("w/a/late");
    push_dir("w/a", IN_CREATE, 0, "late");
}

/* It stands before the walk and behind the loss. */
Test(gap_faults, added_between_the_loss_and_the_marker)
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

Test(gap_faults, removed_before_it_is_healed)
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
Test(gap_faults, asked_for_in_the_middle)
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
Test(gap_faults, existing_not_told_yet)
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
Test(gap_faults, existing_placed_before_the_marker)
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

Test(gap_faults, the_marker_of_the_gap_fails)
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
Test(gap_faults, the_marker_behind_the_walk_fails)
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

Test(gap_faults, a_directory_can_not_be_looked_into)
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

Test(gap_faults, no_watch_is_left)
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
Test(gap_faults, an_add_below_what_is_being_taken_in)
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
