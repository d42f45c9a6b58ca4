/* RENAME_EXCHANGE where records are lost: behind it, in the middle of it, before it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <tnotify/tnotify.h>

#include "replay_stage.h"

static uint64_t top;

/* w/a/low, w/b/deep and the files w/f and w/g */
static void watch_tree(uint32_t flags)
{
    make_dirs("w/a/low");
    make_dirs("w/b/deep");
    make_file("w/f");
    make_file("w/g");
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE | flags);
    settle(notifier);
    top = key_of("w");
}

TestSuite(exchange_gap, .init = open_stage, .fini = close_stage, .timeout = 60);

static void exchange(const char *a, const char *b)
{
    cr_assert_eq(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0);
}

static void lose(void)
{
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
}

/* The overflow is committed, and the marker put. */
static void gap(void)
{
    lose();
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
}

static void push_first(const char *b)
{
    push_key(top, IN_MOVED_FROM | IN_ISDIR, 7, "a");
    push_key(top, IN_MOVED_TO | IN_ISDIR, 7, b);
    push_key(key_of("w/a"), IN_MOVE_SELF, 0, NULL);
}

/* What was lost of a directory's end is told by nobody else. */
static void forget(const char *path)
{
    push_key(key_of(path), IN_IGNORED, 0, NULL);
}

static void expect_watched(const char *directory)
{
    push(directory, IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, at("CREATE %s:probe", directory));
}

Test(exchange_gap, of_a_directory_with_a_file_is_cut)
{
    watch_tree(TN_WATCH_SNAPSHOT);
    push_first("f");
    push_key(top, IN_MOVED_FROM, 8, "f");
    lose();
    exchange("w/a", "w/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM w:f", "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w:f <- w/a",
           "Q_OVERFLOW -", "CREATE w:a synthetic");
    expect_watched("w/f/low");
}

Test(exchange_gap, of_directories_is_cut)
{
    watch_tree(0);
    push_first("b");
    push_key(top, IN_MOVED_FROM | IN_ISDIR, 8, "b");
    lose();
    exchange("w/a", "w/b");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:b", "IGNORED w/b/deep unknown", "IGNORED w/b unknown",
           "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w:b <- w/a", "Q_OVERFLOW -",
           "CREATE|ISDIR w:a synthetic", "CREATE|ISDIR w/a:deep synthetic");
    expect_watched("w/b/low");
    expect_watched("w/a/deep");
}

/* Two moves, the second out of the tree: what stood there has ended. */
Test(exchange_gap, two_moves_are_cut)
{
    watch_tree(0);
    uint64_t a = key_of("w/a");
    forget("w/b/deep");
    push_key(key_of("w/b"), IN_DELETE | IN_ISDIR, 0, "deep");
    push_key(top, IN_MOVED_FROM | IN_ISDIR, 7, "a");
    push_key(top, IN_MOVED_TO | IN_ISDIR, 7, "b");
    push_key(a, IN_MOVE_SELF, 0, NULL);
    forget("w/b");
    push_key(top, IN_MOVED_FROM | IN_ISDIR, 8, "b");
    lose();
    remove_dir("w/b/deep");
    move("w/a", "w/b");
    move("w/b", "out");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "MOVED_FROM|ISDIR w:b"), 1);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR w:b <- w/a"), 1);
    cr_expect_eq(stats().watches, 1);
}

Test(exchange_gap, its_own_last_record_is_lost)
{
    watch_tree(0);
    push_first("b");
    push_key(top, IN_MOVED_FROM | IN_ISDIR, 8, "b");
    push_key(top, IN_MOVED_TO | IN_ISDIR, 8, "a");
    lose();
    exchange("w/a", "w/b");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "MOVED_FROM|ISDIR w:b", "MOVED_TO|ISDIR w:b <- w/a",
           "MOVED_TO|ISDIR w:a <- w/b", "Q_OVERFLOW -");
    expect_watched("w/b/low");
    expect_watched("w/a/deep");
}

/* The first half is lost: when b has left, the other one is there. */
Test(exchange_gap, the_loss_ends_in_the_middle)
{
    watch_tree(0);
    gap();
    exchange("w/a", "w/b");
    push_key(top, IN_MOVED_FROM | IN_ISDIR, 8, "b");
    push_key(top, IN_MOVED_TO | IN_ISDIR, 8, "a");
    push_key(key_of("w/b"), IN_MOVE_SELF, 0, NULL);
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR w:a <- w/b"), 1);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR w:b synthetic"), 1);
    recorder_clear(&seen);
    expect_watched("w/b/low");
    expect_watched("w/a/deep");
}

Test(exchange_gap, of_files_the_loss_ends_in_the_middle)
{
    watch_tree(TN_WATCH_SNAPSHOT);
    gap();
    exchange("w/f", "w/g");
    push_key(top, IN_MOVED_FROM, 8, "g");
    push_key(top, IN_MOVED_TO, 8, "f");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO w:f <- w/g"), 1);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO w:g synthetic"), 1);
}

/* A name that was a directory's, and by the next record is a file's, which leaves. */
Test(exchange_gap, a_name_changes_its_kind)
{
    watch_tree(TN_WATCH_SNAPSHOT);
    gap();
    remove_dir("w/b/deep");
    remove_dir("w/b");
    push_key(top, IN_MOVED_FROM, 8, "b");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "DELETE|ISDIR w:b synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "CREATE w:b synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "MOVED_FROM w:b"), 1);
}
