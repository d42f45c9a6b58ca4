/*
 * What a scan finds that the stream tells later, or never: the stream is the
 * test's own (replay), and its hook runs between the scan and the barrier.
 */
#include <errno.h>

#include "replay_stage.h"

TestSuite(scan_moves, .init = open_stage, .fini = close_stage, .timeout = 60);

static void watch_tree(void (*hook)(void *context, enum tn__replay_call call))
{
    new_with_replay(hook);
    add("w", ENTRIES | IN_CLOSE_WRITE, TN_WATCH_TREE);
    settle(notifier);
}

static void push_directory(const char *directory, uint32_t mask, uint32_t cookie, const char *name)
{
    push_key(key_of(directory), mask | IN_ISDIR, cookie, name);
}

/* A directory at two places, as bind mounts make them: both are told. */
static void expect_both(const char *one, const char *two)
{
    push(two, IN_CREATE, "probe");
    settle(notifier);
    EXPECT_SET(&seen, at("CREATE %s:probe", one), at("CREATE %s:probe", two));
}

Test(scan_moves, nothing_tells_of_the_departure)
{
    make_dirs("w/a");
    watch_tree(NULL);
    move("w/a", "w/x");
    push_directory("w", IN_CREATE, 0, "x");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:x");
    expect_both("w/a", "w/x");
}

Test(scan_moves, the_next_record_of_the_old_name_is_no_departure)
{
    make_dirs("w/a");
    watch_tree(NULL);
    move("w/a", "w/x");
    push_directory("w", IN_CREATE, 0, "x");
    push("w", IN_CREATE, "a");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:x", "CREATE w:a");
    expect_both("w/a", "w/x");
}

Test(scan_moves, from_a_directory_that_is_watched_no_more)
{
    make_dirs("w/p/a");
    watch_tree(NULL);
    cr_assert_eq(tn_watch_remove(notifier, found("w/p"), 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/p");
    move("w/p/a", "w/x");
    push_directory("w", IN_MOVED_TO, 7, "x");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO|ISDIR w:x");
    expect_both("w/p/a", "w/x");
}

/* The scan tells the move to its own add; the other is told by the record. */
Test(scan_moves, told_to_one_add_and_not_to_another)
{
    make_dirs("w/a");
    watch_tree(NULL);
    add_options("w", TN_WATCH_OPTIONS(.mask = ENTRIES, .processor = later.processor));
    settle(notifier);
    make_dir("w/n");
    move("w/a", "w/n/a");
    push_directory("w", IN_CREATE, 0, "n");
    push_directory("w", IN_MOVED_FROM, 7, "a");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:n", "CREATE|ISDIR w/n:a synthetic",
           "MOVED_FROM|ISDIR w:a synthetic", "MOVED_TO|ISDIR w/n:a <- w/a synthetic");
    EXPECT(&later, "CREATE|ISDIR w:n", "MOVED_FROM|ISDIR w:a");
}

/* The scan saw f, which goes; what comes later has another name. */
static void change_after_scan(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) != 1)
        return;
    remove_file("w/x/f");
    push("w/x", IN_CREATE, "f2");
    push("w/x", IN_CREATE, "g");
    push("w/x", IN_DELETE, "f");
}

Test(scan_moves, what_the_scan_saw_is_what_goes)
{
    make_dir("w");
    watch_tree(change_after_scan);
    make_dir("w/x");
    make_file("w/x/f");
    atomic_store(&armed, true);
    push_directory("w", IN_CREATE, 0, "x");
    play();
    EXPECT(&seen, "CREATE|ISDIR w:x", "CREATE w/x:f synthetic", "CLOSE_WRITE w/x:f synthetic",
           "CREATE w/x:f2", "CREATE w/x:g", "DELETE w/x:f");
}

Test(scan_moves, nothing_is_taken_in_below_a_removed_watch)
{
    make_dir("w");
    watch_tree(NULL);
    make_dir("w/x");
    push_directory("w", IN_CREATE, 0, "x");
    cr_assert_eq(tn_watch_remove(notifier, found("w"), 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED w");
    cr_expect_eq(tn__replay_watches(source), 0);
}

static atomic_uint watches; /* that the source was asked for */

static void refuse_second_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed) && atomic_fetch_add(&watches, 1) == 1)
        tn__replay_fail(source, TN__REPLAY_WATCH, ENOSPC, 1);
}

/* The first call opens w, the second is for x. */
Test(scan_moves, a_one_shot_goes_on_when_a_directory_stays_unwatched)
{
    make_dir("w");
    new_with_replay(refuse_second_watch);
    add("w", IN_DELETE | IN_ONESHOT, TN_WATCH_TREE);
    settle(notifier);
    make_dir("w/x");
    atomic_store(&armed, true);
    push_directory("w", IN_CREATE, 0, "x");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1);
    cr_expect(recorder_event(&seen, 0)->flags & TN_EVENT_UNWATCHED);
    recorder_clear(&seen);
    push("w", IN_DELETE, "f");
    settle(notifier);
    EXPECT(&seen, "DELETE w:f", "IGNORED w");
}

/* TN_WATCH_EXISTING. Marker 1 is of the list of t, marker 2 of the list of t/a. */

static void watch_existing(void (*hook)(void *context, enum tn__replay_call call))
{
    new_with_replay(hook);
    make_dirs("t/a/one/deep");
    add("t", ENTRIES, TN_WATCH_TREE | TN_WATCH_EXISTING);
    atomic_store(&armed, true);
}

/* The list of t/a is put off, and once again at the next try: what is in it is untold then. */
static void put_off(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == 2)
        tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 2);
}

Test(scan_moves, out_of_an_untold_directory)
{
    watch_existing(put_off);
    move("t/a/one", "t/one");
    push_directory("t/a", IN_MOVED_FROM, 7, "one");
    push_directory("t", IN_MOVED_TO, 7, "one");
    play();
    cr_expect_eq(recorder_find(&seen, IN_MOVED_TO)->cookie, 0);
    EXPECT(&seen, "CREATE|ISDIR t:a synthetic", "MOVED_TO|ISDIR t:one",
           "CREATE|ISDIR t/one:deep synthetic");
    push("t/one/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE t/one/deep:probe");
}

/* At its turn t/a is told as it is then, before the departure. */
Test(scan_moves, found_out_of_an_untold_directory)
{
    watch_existing(put_off);
    make_dir("t/n");
    move("t/a/one", "t/n/one");
    push_directory("t", IN_CREATE, 0, "n");
    push_directory("t/a", IN_MOVED_FROM, 7, "one");
    play();
    EXPECT(&seen, "CREATE|ISDIR t:a synthetic", "CREATE|ISDIR t:n",
           "CREATE|ISDIR t/n:one synthetic", "CREATE|ISDIR t/n/one:deep synthetic",
           "CREATE|ISDIR t/a:one synthetic", "MOVED_FROM|ISDIR t/a:one");
    push("t/n/one/deep", IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE t/n/one/deep:probe");
}

static void remove_untold(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == 1)
        cr_expect_eq(tn_watch_remove(notifier, found("t/a"), TN_REMOVE_RECURSIVE), 0);
}

Test(scan_moves, removed_before_its_turn)
{
    watch_existing(remove_untold);
    play();
    settle(notifier);
    EXPECT_SET(&seen, "CREATE|ISDIR t:a synthetic", "IGNORED t/a", "IGNORED t/a/one",
               "IGNORED t/a/one/deep");
}

static uint64_t doomed;

/* The second call opens t/a: between that and its list it goes. */
static void delete_before_list(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call != TN__REPLAY_WATCH || !atomic_load(&armed) || atomic_fetch_add(&watches, 1) != 1)
        return;
    remove_tree("t/a");
    push("t", IN_DELETE | IN_ISDIR, "a");
    push_key(doomed, IN_IGNORED, 0, NULL);
}

Test(scan_moves, deleted_before_its_list)
{
    new_with_replay(delete_before_list);
    make_dirs("t/a");
    add("t", ENTRIES, TN_WATCH_TREE | TN_WATCH_EXISTING);
    doomed = key_of("t/a");
    atomic_store(&armed, true);
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR t:a synthetic", "DELETE|ISDIR t:a", "IGNORED t/a");
}
