/* Entry by entry after a gap, under TN_WATCH_SNAPSHOT. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

#include "replay_stage.h"
#include "support.h"

enum { ALL = IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE };

TestSuite(snapshot_gap, .init = open_stage, .fini = close_stage, .timeout = 60);

static void watch(uint32_t mask, uint32_t flags)
{
    new_with_replay(NULL);
    add("w", mask, flags | TN_WATCH_SNAPSHOT);
    settle(notifier);
    recorder_clear(&seen);
}

/* a/f, a/g, b/h, and what the test adds before. */
static void watch_tree(void)
{
    make_dirs("w/a");
    make_dirs("w/b");
    write_file("w/a/f", "f");
    write_file("w/a/g", "g");
    write_file("w/b/h", "h");
    watch(ALL, TN_WATCH_TREE);
}

static void lose_records(void)
{
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
}

static void heal(void)
{
    lose_records();
    settle(notifier);
}

/* The next gap finds no difference. */
static void expect_healed(void)
{
    heal();
    EXPECT(&seen, "Q_OVERFLOW -");
}

Test(snapshot_gap, nothing_changed)
{
    watch_tree();
    expect_healed();
    expect_healed();
}

Test(snapshot_gap, files_that_came)
{
    watch_tree();
    write_file("w/a/new", "new");
    link_to("nowhere", "w/b/link");
    cr_assert_eq(mkfifo(scratch("w/fifo"), 0600), 0);
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE w/a:new synthetic", "CLOSE_WRITE w/a:new synthetic",
               "CREATE w/b:link synthetic", "CREATE w:fifo synthetic");
    expect_healed();
}

Test(snapshot_gap, files_that_went)
{
    watch_tree();
    remove_file("w/a/f");
    remove_file("w/b/h");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "DELETE w/a:f synthetic", "DELETE w/b:h synthetic");
    expect_healed();
}

Test(snapshot_gap, files_that_moved)
{
    watch_tree();
    move("w/a/f", "w/a/x");
    move("w/a/g", "w/b/g");
    heal();
    cr_assert_eq(recorder_count(&seen), 5);
    for (size_t i = 1; i < 5; i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        cr_expect_neq(event->cookie, 0);
        if (event->mask & IN_MOVED_FROM)
            continue;
        size_t pairs = 0;
        for (size_t j = 1; j < i; j++)
            pairs += recorder_event(&seen, j)->cookie == event->cookie;
        cr_expect_eq(pairs, 1);
    }
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM w/a:f synthetic",
               "MOVED_TO w/a:x <- w/a/f synthetic", "MOVED_FROM w/a:g synthetic",
               "MOVED_TO w/b:g <- w/a/g synthetic");
    expect_healed();
}

/* What it went over is gone. */
Test(snapshot_gap, a_file_that_moved_over_another)
{
    watch_tree();
    move("w/a/f", "w/b/h");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM w/a:f synthetic", "DELETE w/b:h synthetic",
               "MOVED_TO w/b:h <- w/a/f synthetic");
    expect_healed();
}

Test(snapshot_gap, two_files_that_changed_places)
{
    watch_tree();
    move("w/a/f", "w/a/x");
    move("w/a/g", "w/a/f");
    move("w/a/x", "w/a/g");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM w/a:f synthetic", "MOVED_FROM w/a:g synthetic",
               "MOVED_TO w/a:g <- w/a/f synthetic", "MOVED_TO w/a:f <- w/a/g synthetic");
    expect_healed();
}

Test(snapshot_gap, files_that_changed)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}};

    watch_tree();
    append("w/a/f", "more");
    change_mode("w/a/g", 0600);
    cr_assert_eq(utimensat(AT_FDCWD, scratch("w/b/h"), times, 0), 0);
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MODIFY w/a:f synthetic", "CLOSE_WRITE w/a:f synthetic",
               "ATTRIB w/a:g synthetic", "MODIFY w/b:h synthetic", "CLOSE_WRITE w/b:h synthetic");
    expect_healed();
}

/* The inode number may be used again at once: it is another file all the same. */
Test(snapshot_gap, a_file_that_was_made_again)
{
    watch_tree();
    remove_file("w/a/f");
    write_file("w/a/f", "f");
    heal();
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE w/a:f synthetic", "CREATE w/a:f synthetic",
           "CLOSE_WRITE w/a:f synthetic");
    expect_healed();
}

Test(snapshot_gap, a_file_where_a_directory_was_and_the_other_way_round)
{
    watch_tree();
    remove_tree("w/b");
    write_file("w/b", "b");
    remove_file("w/a/f");
    make_dir("w/a/f");
    write_file("w/a/f/deep", "deep");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "DELETE w/b:h synthetic", "DELETE|ISDIR w:b synthetic",
               "IGNORED w/b", "CREATE w:b synthetic", "CLOSE_WRITE w:b synthetic",
               "DELETE w/a:f synthetic", "CREATE|ISDIR w/a:f synthetic",
               "CREATE w/a/f:deep synthetic", "CLOSE_WRITE w/a/f:deep synthetic");
    expect_healed();
}

/* A file told before its directory leaves has the old path; one that is new in it has the new. */
Test(snapshot_gap, a_directory_that_moved_with_changes_in_it)
{
    watch_tree();
    remove_file("w/a/f");
    move("w/a", "w/b/a");
    write_file("w/b/a/new", "new");
    append("w/b/a/g", "more");
    heal();
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE w/a:f synthetic", "MOVED_FROM|ISDIR w:a synthetic",
           "MOVED_TO|ISDIR w/b:a <- w/a synthetic", "CREATE w/b/a:new synthetic",
           "CLOSE_WRITE w/b/a:new synthetic", "MODIFY w/b/a:g synthetic",
           "CLOSE_WRITE w/b/a:g synthetic");
    expect_healed();
}

Test(snapshot_gap, a_file_that_left_a_directory_before_that_was_deleted)
{
    watch_tree();
    move("w/a/f", "w/b/f");
    remove_tree("w/a");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM w/a:f synthetic", "DELETE w/a:g synthetic",
               "DELETE|ISDIR w:a synthetic", "IGNORED w/a", "MOVED_TO w/b:f <- w/a/f synthetic");
    expect_healed();
}

Test(snapshot_gap, only_what_the_mask_asks_for)
{
    make_dirs("w/a");
    write_file("w/a/f", "f");
    write_file("w/a/g", "g");
    watch(IN_CREATE | IN_CLOSE_WRITE, TN_WATCH_TREE);
    append("w/a/f", "more");
    remove_file("w/a/g");
    write_file("w/a/new", "new");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CLOSE_WRITE w/a:f synthetic", "CREATE w/a:new synthetic",
               "CLOSE_WRITE w/a:new synthetic");
    expect_healed();
}

Test(snapshot_gap, one_directory_alone)
{
    make_dirs("w/a");
    make_dirs("w/b");
    write_file("w/a/f", "f");
    watch(ALL, 0);
    make_dir("w/c");
    remove_tree("w/b");
    write_file("w/f", "f");
    write_file("w/a/not-watched", "");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE|ISDIR w:c synthetic", "DELETE|ISDIR w:b synthetic",
               "CREATE w:f synthetic", "CLOSE_WRITE w:f synthetic");
    expect_healed();
}

/* Those that are not watched are told like files; those that are, like directories of the tree. */
Test(snapshot_gap, a_tree_that_takes_nothing_in)
{
    make_dirs("w/a");
    make_dirs("w/b");
    watch(ALL, TN_WATCH_RECURSIVE);
    make_dir("w/c");
    push("w", IN_CREATE | IN_ISDIR, "c");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:c");
    expect_healed();
    remove_dir("w/c");
    remove_dir("w/b");
    make_dir("w/d");
    move("w/a", "w/x");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w:c synthetic", "DELETE|ISDIR w:b synthetic",
               "CREATE|ISDIR w:d synthetic", "MOVED_FROM|ISDIR w:a synthetic",
               "MOVED_TO|ISDIR w:x <- w/a synthetic", "IGNORED w/b");
    expect_healed();
}

/* Records behind the heal decide: what they bring is not told twice, what they take away was there.
 */
static void change_behind(void *context, enum tn__replay_call call)
{
    (void)context;
    /* The settle's, twice, the healing's, the walk's. */
    if (mark_number(call) != 4)
        return;
    push("w/a", IN_CREATE, "brought");
    push("w/a", IN_DELETE, "taken");
    push("w/a", IN_DELETE, "f");
}

Test(snapshot_gap, records_behind_it_decide)
{
    make_dirs("w/a");
    write_file("w/a/f", "f");
    new_with_replay(change_behind);
    add("w", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    settle(notifier);
    recorder_clear(&seen);
    write_file("w/a/brought", "");
    remove_file("w/a/f");
    lose_records();
    atomic_store(&armed, true);
    settle(notifier);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE w/a:taken synthetic", "CREATE w/a:brought",
               "DELETE w/a:taken", "DELETE w/a:f");
    atomic_store(&armed, false);
    expect_healed();
}

/* What the stream told before the gap is not told again. */
Test(snapshot_gap, what_was_told_before)
{
    watch_tree();
    write_file("w/a/told", "told");
    push("w/a", IN_CREATE, "told");
    push("w/a", IN_CLOSE_WRITE, "told");
    remove_file("w/a/f");
    push("w/a", IN_DELETE, "f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/a:told", "CLOSE_WRITE w/a:told", "DELETE w/a:f");
    expect_healed();
    append("w/a/told", "more");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MODIFY w/a:told synthetic",
               "CLOSE_WRITE w/a:told synthetic");
}

Test(snapshot_gap, each_add_is_told)
{
    make_dirs("w/a");
    new_with_replay(NULL);
    add("w", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE | TN_WATCH_SNAPSHOT,
                                      .processor = later.processor));
    add_options("w/a", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = later.processor));
    settle(notifier);
    make_file("w/a/f");
    heal();
    EXPECT_SET(&seen, "Q_OVERFLOW -", "CREATE w/a:f synthetic", "CLOSE_WRITE w/a:f synthetic");
    EXPECT(&later, "CREATE w/a:f synthetic");
}

/* The kernel's queue: what it lost is found. */
Test(snapshot_gap, forty_thousand_files)
{
    enum { count = 40000 };
    static unsigned char times[count];

    stage_new(NULL);
    make_dirs("w/a");
    add("w", IN_CREATE, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    settle(notifier);
    make_files("w/a/f", count);
    settle(notifier);
    cr_assert_eq(stats().overflows, 1);
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        if (event->mask & IN_CREATE)
            times[strtoul(event->name + 1, NULL, 10)]++;
    }
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(times[i], 1, "f%u was told %u times", i, times[i]);
    cr_expect_geq(stats().snapshot_entries, count);
    cr_expect_leq(stats().snapshot_bytes, stats().snapshot_entries * (48 + 8) + 64 * 1024);
}
