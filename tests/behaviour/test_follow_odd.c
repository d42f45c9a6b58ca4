/*
 * Names that are followed while the stream, or another thread, is not where one
 * expects it: the stream is the test's own (replay).
 */
#include <errno.h>
#include <sys/inotify.h>

#include "replay_stage.h"

#define ASKED (NAMES | (uint32_t)(IN_MODIFY | IN_CLOSE_WRITE))

/* The first mark is the settle's own, the second that of the look at a name. */
enum { LOOK = 2 };

static void open_name(void)
{
    open_stage();
    make_dir("w");
    make_file("w/f");
}

TestSuite(follow_odd, .init = open_name, .fini = close_stage, .timeout = 60);

static tn_wd follow(const char *path)
{
    return add(path, ASKED, TN_WATCH_FOLLOW_NAME);
}

static void expect_modified(const char *path)
{
    push(path, IN_MODIFY, NULL);
    settle(notifier);
    EXPECT(&seen, at("MODIFY %s", path));
}

static void replace(const char *path)
{
    make_file("w/tmp");
    move("w/tmp", path);
}

Test(follow_odd, the_end_of_the_old_one_comes_late)
{
    new_with_replay(NULL);
    follow("w/f");
    uint64_t old = key_of("w/f");
    replace("w/f");
    push("w", IN_MOVED_TO, "f");
    push_key(old, IN_MODIFY, 0, NULL);
    push_key(old, IN_DELETE_SELF, 0, NULL);
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
    cr_assert_eq(tn__replay_watches(source), 2);
}

/* In the order of no known kernel; told once. */
Test(follow_odd, the_end_of_the_old_one_comes_first)
{
    new_with_replay(NULL);
    follow("w/f");
    uint64_t old = key_of("w/f");
    remove_file("w/f");
    push_key(old, IN_DELETE_SELF, 0, NULL);
    push_key(old, IN_IGNORED, 0, NULL);
    push("w", IN_DELETE, "f");
    make_file("w/f");
    push("w", IN_CREATE, "f");
    push("w", IN_CLOSE_WRITE, "f");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f", "CREATE w/f", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
}

/* Its end alone: the file system was unmounted, say. */
Test(follow_odd, nothing_but_the_end)
{
    new_with_replay(NULL);
    tn_wd wd = follow("w/f");
    push("w/f", IN_UNMOUNT, NULL);
    push("w/f", IN_IGNORED, NULL);
    settle(notifier);
    EXPECT(&seen, "UNMOUNT w/f");
    cr_assert_eq(found("w/f"), wd);
    push("w", IN_MOVED_TO, "f");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
}

Test(follow_odd, closings_before_and_after_the_watch)
{
    new_with_replay(NULL);
    tn_wd wd = follow("w/g");
    make_file("w/g");
    push("w", IN_CREATE, "g");
    push("w", IN_CLOSE_WRITE, "g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/g", "CLOSE_WRITE w/g synthetic");
    push("w", IN_CLOSE_WRITE, "g");
    push("w/g", IN_CLOSE_WRITE, NULL);
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE w/g");
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_SYNC), 0);
}

/* The last of them is on its way when the file is watched. */
static void close_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) != LOOK)
        return;
    push("w", IN_CLOSE_WRITE, "g");
    push("w/g", IN_CLOSE_WRITE, NULL);
}

Test(follow_odd, a_closing_while_it_is_looked_at)
{
    new_with_replay(close_now);
    follow("w/g");
    make_file("w/g");
    atomic_store(&armed, true);
    push("w", IN_CREATE, "g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/g", "CLOSE_WRITE w/g");
}

Test(follow_odd, what_is_ahead_decides)
{
    new_with_replay(NULL);
    follow("w/g");
    make_file("w/g");
    push("w", IN_CREATE, "g");
    push("w", IN_CLOSE_WRITE, "g");
    push("w", IN_DELETE, "g");
    push("w", IN_CREATE, "g");
    push("w", IN_MOVED_FROM, "g");
    push("w", IN_MOVED_TO, "g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/g", "CLOSE_WRITE w/g", "DELETE_SELF w/g", "CREATE w/g",
           "MOVE_SELF w/g unknown", "MOVED_TO w/g", "CLOSE_WRITE w/g synthetic");
    expect_modified("w/g");
    cr_assert_eq(tn__replay_watches(source), 2);
}

/* No record tells what took it away: it is told all the same. */
Test(follow_odd, an_arrival_that_is_not_there)
{
    new_with_replay(NULL);
    follow("w/g");
    push("w", IN_CREATE, "g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/g", "DELETE_SELF w/g synthetic");
}

/* Others of the add see nothing of what the directory tells. */
Test(follow_odd, other_names)
{
    new_with_replay(NULL);
    follow("w/f");
    push("w", IN_CREATE | IN_ISDIR, "ff");
    push("w", IN_MOVED_FROM, "tmp");
    push("w", IN_MOVED_TO | IN_ISDIR, "fff");
    push("w", IN_DELETE | IN_ISDIR, "x");
    push("w", IN_ATTRIB, NULL);
    push("w", IN_DELETE_SELF, NULL);
    settle(notifier);
    EXPECT_NONE(&seen);
    expect_modified("w/f");
}

static void expect_unwatched(const char *path, int error)
{
    const struct tn_event *event = recorder_event(&seen, recorder_count(&seen) - 1);

    cr_assert_eq(event->flags, TN_EVENT_UNWATCHED);
    cr_assert_eq(event->error, error);
    cr_assert_str_eq(event->path, path);
    cr_assert_null(event->name);
    recorder_clear(&seen);
}

/* The first two verify the directory. */
static void fail_third_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed) && atomic_fetch_add(&marks, 1) == 2)
        tn__replay_fail(source, TN__REPLAY_WATCH, ENOSPC, 1);
}

Test(follow_odd, no_watch_left)
{
    new_with_replay(fail_third_watch);
    tn_wd wd = follow("w/g");
    play();
    make_file("w/g");
    push("w", IN_CREATE, "g");
    atomic_store(&armed, true);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    expect_unwatched("w/g", -ENOSPC);
    cr_assert_eq(stats().unwatched, 1);
    cr_assert_eq(found("w/g"), wd);
    remove_file("w/g");
    push("w", IN_DELETE, "g");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/g");
    make_file("w/g");
    push("w", IN_MOVED_TO, "g");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w/g", "CLOSE_WRITE w/g synthetic");
    expect_modified("w/g");
}

/* A root's own ancestors may move unheard. */
Test(follow_odd, its_directory_is_not_where_it_was)
{
    new_with_replay(NULL);
    follow("w/g");
    make_file("w/g");
    move("w", "x");
    push_key(1, IN_CREATE, 0, "g");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    expect_unwatched("w/g", -ENOENT);
    push_key(1, IN_MOVED_FROM, 0, "g");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert(recorder_event(&seen, 0)->mask & IN_MOVE_SELF);
    expect_unwatched("w/g", -ENOENT);
}

/* Between the two watches of an add something else comes to the name. */
static void replace_at_second_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call != TN__REPLAY_WATCH || !atomic_load(&armed) || atomic_fetch_add(&marks, 1) != 1)
        return;
    replace("w/f");
    push("w", IN_MOVED_TO, "f");
}

Test(follow_odd, replaced_while_it_is_added)
{
    new_with_replay(replace_at_second_watch);
    atomic_store(&armed, true);
    tn_wd wd = follow("w/f");
    cr_assert_gt(atomic_load(&marks), 1);
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
    cr_assert_eq(found("w/f"), wd);
    cr_assert_eq(tn__replay_watches(source), 2);
}

/* The record of what it has found itself. */
static void tell_at_second_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed) && atomic_fetch_add(&marks, 1) == 1)
        push("w", IN_MOVED_TO, "f");
}

Test(follow_odd, come_while_it_is_added)
{
    new_with_replay(tell_at_second_watch);
    atomic_store(&armed, true);
    follow("w/f");
    push("w/f", IN_MODIFY, NULL);
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic", "MODIFY w/f");
    cr_assert_eq(tn__replay_watches(source), 2);
    push("w", IN_DELETE, "f");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f");
    cr_assert_eq(tn__replay_watches(source), 1);
}

static void take_away_at_second_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call != TN__REPLAY_WATCH || !atomic_load(&armed) || atomic_fetch_add(&marks, 1) != 1)
        return;
    remove_file("w/f");
    push("w", IN_DELETE, "f");
}

Test(follow_odd, deleted_while_it_is_added)
{
    new_with_replay(take_away_at_second_watch);
    atomic_store(&armed, true);
    follow("w/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(tn__replay_watches(source), 1);
    make_file("w/f");
    push("w", IN_CREATE, "f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/f");
    expect_modified("w/f");
}

/* The directory has told it before the add was there; nothing of it is meant for the add. */
Test(follow_odd, added_behind_older_records)
{
    new_with_replay(NULL);
    add("w", IN_CREATE, 0);
    push("w", IN_CREATE, "f");
    push("w", IN_DELETE, "f");
    push("w", IN_CREATE, "f");
    follow("w/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w:f", "CREATE w:f");
    expect_modified("w/f");
}

/* What stands there now has come later than the stream is: it is told in its turn, once. */
static void come_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == LOOK)
        push("w", IN_MOVED_TO | IN_ISDIR, "g");
}

Test(follow_odd, replaced_while_it_is_looked_at)
{
    new_with_replay(come_now);
    follow("w/g");
    play();
    make_dir("w/g");
    make_file("w/g/x");
    push("w", IN_CREATE | IN_ISDIR, "g");
    atomic_store(&armed, true);
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w/g", "DELETE_SELF w/g", "MOVED_TO|ISDIR w/g",
           "CREATE w/g:x synthetic", "CLOSE_WRITE w/g:x synthetic");
    cr_assert_eq(tn__replay_watches(source), 2);
}

static tn_wd followed;

/* Something else is asked for while the reader looks at the name. */
static void update_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == LOOK)
        cr_assert_eq(tn_watch_update(notifier, followed, TN_UPDATE_MASK,
                                     TN_WATCH_OPTIONS(.mask = IN_ATTRIB)),
                     0);
}

Test(follow_odd, updated_while_it_is_looked_at)
{
    new_with_replay(update_now);
    followed = follow("w/g");
    play();
    make_file("w/g");
    push("w", IN_CREATE, "g");
    atomic_store(&armed, true);
    settle(notifier);
    recorder_clear(&seen);
    cr_assert(tn__replay_mask_of(source, key_of("w/g")) & IN_ATTRIB);
    push("w/g", IN_MODIFY, NULL);
    push("w/g", IN_ATTRIB, NULL);
    settle(notifier);
    EXPECT(&seen, "ATTRIB w/g");
}

static void remove_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == LOOK)
        cr_assert_eq(tn_watch_remove(notifier, followed, 0), 0);
}

Test(follow_odd, removed_while_it_is_looked_at)
{
    new_with_replay(remove_now);
    followed = follow("w/g");
    play();
    make_file("w/g");
    push("w", IN_CREATE, "g");
    atomic_store(&armed, true);
    settle(notifier);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/g");
    cr_assert_eq(tn__replay_watches(source), 0);
    cr_assert_eq(stats().watches, 0);
}

/* Its end is queued, and the name changes meanwhile. */
Test(follow_odd, removed_before_it_is_looked_at)
{
    new_with_replay(NULL);
    tn_wd wd = follow("w/f");
    uint64_t old = key_of("w/f");
    replace("w/f");
    push("w", IN_MOVED_TO, "f");
    push_key(old, IN_DELETE_SELF, 0, NULL);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/f");
    cr_assert_eq(tn__replay_watches(source), 0);
}

/* It stays another's, who was there before. */
Test(follow_odd, removed_beside_others)
{
    new_with_replay(NULL);
    add("w", ASKED, 0);
    add("w/f", ASKED, 0);
    tn_wd wd = follow("w/f");
    settle(notifier);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/f");
    cr_assert_eq(tn__replay_watches(source), 2);
    expect_modified("w/f");
}

/* Of an unmount of the directory alone: the name was a mount point. */
Test(follow_odd, its_directory_is_unmounted)
{
    new_with_replay(NULL);
    follow("w/f");
    push("w", IN_UNMOUNT, NULL);
    push("w", IN_IGNORED, NULL);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/f");
    settle(notifier);
    cr_assert_eq(tn__replay_watches(source), 0);
    cr_assert_eq(stats().watches, 0);
}

/* Its first shot was told before it was looked at. */
Test(follow_odd, once)
{
    new_with_replay(NULL);
    add("w/g", IN_CREATE | IN_ONESHOT, TN_WATCH_FOLLOW_NAME);
    make_file("w/g");
    push("w", IN_CREATE, "g");
    push("w", IN_DELETE, "g");
    settle(notifier);
    EXPECT(&seen, "CREATE w/g", "IGNORED w/g");
    settle(notifier);
    cr_assert_eq(tn__replay_watches(source), 0);
}

/* Another add has asked for less of a directory that takes the name. */
Test(follow_odd, a_directory_that_others_watch)
{
    make_dir("d");
    make_file("d/x");
    new_with_replay(NULL);
    add("d", IN_ATTRIB, 0);
    follow("w/g");
    settle(notifier);
    move("d", "w/g");
    push("w", IN_MOVED_TO | IN_ISDIR, "g");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO|ISDIR w/g", "CREATE w/g:x synthetic", "CLOSE_WRITE w/g:x synthetic");
    push("w/g", IN_CREATE, "y");
    settle(notifier);
    EXPECT(&seen, "CREATE w/g:y");
}
