/*
 * renameat2(RENAME_EXCHANGE): as the kernel tells it, and as a stream of the
 * test's own (replay), with what may stand between its records.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replay_stage.h"

TestSuite(exchange, .init = open_stage, .fini = close_stage, .timeout = 60);

static void exchange(const char *a, const char *b)
{
    cr_assert_eq(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0, "%s and %s: %s", a, b,
                 strerror(errno));
}

/* d/a/low, d/b/deep, d/p/c/more */
static tn_wd watch_tree(void)
{
    stage_start();
    recorder_init(&later);
    make_dirs("d/a/low");
    make_dirs("d/b/deep");
    make_dirs("d/p/c/more");
    return add(scratch("d"), ENTRIES, TN_WATCH_TREE);
}

/* What is below is told under its true path. */
static void expect_told(const char *directory)
{
    make_file(at("%s/probe", directory));
    remove_file(at("%s/probe", directory));
    settle(notifier);
    EXPECT(&seen, at("CREATE %s:probe", directory), at("DELETE %s:probe", directory));
}

Test(exchange, in_one_directory)
{
    watch_tree();
    tn_wd a = found(scratch("d/a")), b = found(scratch("d/b"));
    exchange("d/a", "d/b");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 4);
    cr_expect_eq(recorder_event(&seen, 0)->cookie, recorder_event(&seen, 2)->cookie);
    cr_expect_eq(recorder_event(&seen, 1)->cookie, recorder_event(&seen, 3)->cookie);
    EXPECT(&seen, "MOVED_FROM|ISDIR d:a", "MOVED_FROM|ISDIR d:b", "MOVED_TO|ISDIR d:b <- d/a",
           "MOVED_TO|ISDIR d:a <- d/b");
    cr_expect_eq(found(scratch("d/b")), a);
    cr_expect_eq(found(scratch("d/a")), b);
    expect_told("d/b/low");
    expect_told("d/a/deep");
    cr_expect_eq(stats().watches, 8);
}

Test(exchange, across_directories)
{
    watch_tree();
    exchange("d/a", "d/p/c");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR d:a", "MOVED_FROM|ISDIR d/p:c", "MOVED_TO|ISDIR d/p:c <- d/a",
           "MOVED_TO|ISDIR d:a <- d/p/c");
    expect_told("d/p/c/low");
    expect_told("d/a/more");
}

Test(exchange, twice)
{
    watch_tree();
    for (int i = 0; i < 10; i++) {
        exchange("d/a", "d/p/c");
        exchange("d/p/c", "d/b");
        exchange("d/b", "d/a");
    }
    settle(notifier);
    cr_expect_eq(recorder_count_of(&seen, IN_MOVE), 120);
    cr_expect_eq(recorder_count_of(&seen, IN_IGNORED), 0);
    recorder_clear(&seen);
    cr_expect_eq(stats().watches, 8);
    expect_told("d/a/low");
    expect_told("d/b/deep");
    expect_told("d/p/c/more");
}

Test(exchange, with_a_file)
{
    watch_tree();
    make_file("d/f");
    settle(notifier);
    recorder_clear(&seen);
    exchange("d/a", "d/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR d:a", "MOVED_FROM d:f", "MOVED_TO|ISDIR d:f <- d/a",
           "MOVED_TO d:a <- d/f");
    expect_told("d/f/low");
    exchange("d/a", "d/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM d:a", "MOVED_FROM|ISDIR d:f", "MOVED_TO d:f <- d/a",
           "MOVED_TO|ISDIR d:a <- d/f");
    expect_told("d/a/low");
    cr_expect_eq(stats().watches, 8);
}

Test(exchange, of_files)
{
    watch_tree();
    make_file("d/f");
    make_file("d/p/g");
    settle(notifier);
    recorder_clear(&seen);
    exchange("d/f", "d/p/g");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM d:f", "MOVED_FROM d/p:g", "MOVED_TO d/p:g <- d/f",
           "MOVED_TO d:f <- d/p/g");
}

/* d/a goes, and o/x takes its place. */
static void trade(const char *one, const char *other)
{
    watch_tree();
    make_dirs("o/x/inner");
    exchange(one, other);
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM|ISDIR d:a", "IGNORED d/a/low unknown", "IGNORED d/a unknown",
               "MOVED_TO|ISDIR d:a", "CREATE|ISDIR d/a:inner synthetic");
    expect_told("d/a/inner");
    make_file("o/x/low/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_expect_eq(stats().watches, 8);
}

Test(exchange, with_what_is_outside)
{
    trade("d/a", "o/x");
}

Test(exchange, of_what_is_outside)
{
    trade("o/x", "d/a");
}

Test(exchange, told_to_two_adds)
{
    watch_tree();
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                               .processor = later.processor));
    settle(notifier);
    exchange("d/a", "d/b");
    make_file("d/b/low/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR d:a", "MOVED_FROM|ISDIR d:b", "MOVED_TO|ISDIR d:b <- d/a",
           "MOVED_TO|ISDIR d:a <- d/b", "CREATE d/b/low:f");
    EXPECT(&later, "MOVED_FROM|ISDIR d:a", "MOVED_FROM|ISDIR d:b", "MOVED_TO|ISDIR d:b <- d/a",
           "MOVED_TO|ISDIR d:a <- d/b", "CREATE d/b/low:f");
}

static void trade_between_adds(const char *one, const char *other)
{
    watch_tree();
    add_options(scratch("d/p"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                 .processor = later.processor));
    settle(notifier);
    exchange(one, other);
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM|ISDIR d:a", "MOVED_FROM|ISDIR d/p:c",
               one[2] == 'a' ? "MOVED_TO|ISDIR d/p:c <- d/a" : "MOVED_TO|ISDIR d:a <- d/p/c",
               one[2] == 'a' ? "MOVED_TO|ISDIR d:a <- d/p/c" : "MOVED_TO|ISDIR d/p:c <- d/a");
    EXPECT_SET(&later, "MOVED_FROM|ISDIR d/p:c", "IGNORED d/p/c/more unknown",
               "IGNORED d/p/c unknown", "MOVED_TO|ISDIR d/p:c", "CREATE|ISDIR d/p/c:low synthetic");
    make_file("d/p/c/low/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/p/c/low:f");
    EXPECT(&later, "CREATE d/p/c/low:f");
    expect_told("d/a/more");
}

/* The one add has both places, the other one of them: that of the first arrival, or the other. */
Test(exchange, with_what_is_outside_of_one_add)
{
    trade_between_adds("d/a", "d/p/c");
}

Test(exchange, of_what_is_outside_of_one_add)
{
    trade_between_adds("d/p/c", "d/a");
}

/* All of it is read at once, in this thread. */
Test(exchange, of_directories_that_are_not_taken_in_yet)
{
    stage_new(NULL);
    make_dir("d");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    make_dirs("d/n/in_n");
    make_dirs("d/m/in_m");
    exchange("d/n", "d/m");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d:n", "CREATE|ISDIR d:m", "MOVED_FROM|ISDIR d:n",
           "MOVED_FROM|ISDIR d:m", "MOVED_TO|ISDIR d:m <- d/n", "MOVED_TO|ISDIR d:n <- d/m",
           "CREATE|ISDIR d/n:in_m synthetic", "CREATE|ISDIR d/m:in_n synthetic");
    expect_told("d/n/in_m");
    expect_told("d/m/in_n");
}

Test(exchange, in_a_directory_that_is_exchanged_then)
{
    stage_new(NULL);
    make_dirs("d/p");
    make_dirs("d/q");
    make_dirs("o/in");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    make_dir("d/p/n");
    exchange("o", "d/p/n");
    exchange("d/q", "d/p");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d/p:n", "MOVED_TO|ISDIR d/p:n", "MOVED_FROM|ISDIR d/p:n",
           "MOVED_FROM|ISDIR d:q", "MOVED_FROM|ISDIR d:p", "MOVED_TO|ISDIR d:p <- d/q",
           "MOVED_TO|ISDIR d:q <- d/p", "MOVED_TO|ISDIR d/q:n synthetic",
           "CREATE|ISDIR d/q/n:in synthetic");
    expect_told("d/q/n/in");
}

/* There and back, over an empty directory that someone holds open. */
Test(exchange, not_two_moves)
{
    stage_new(NULL);
    make_dirs("d/a/low");
    make_dir("d/b");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    int fd = open("d/b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    move("d/a", "d/b");
    move("d/b", "d/a");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR d:a", "MOVED_TO|ISDIR d:b <- d/a", "MOVED_FROM|ISDIR d:b",
           "MOVED_TO|ISDIR d:a <- d/b");
    close(fd);
    settle(notifier);
    cr_expect_eq(recorder_count_of(&seen, IN_IGNORED), 1);
    recorder_clear(&seen);
    expect_told("d/a/low");
}

Test(exchange, not_two_moves_of_a_file)
{
    stage_new(NULL);
    make_dir("d");
    make_file("d/f");
    make_file("d/g");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    move("d/f", "d/g");
    move("d/g", "d/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM d:f", "MOVED_TO d:g <- d/f", "MOVED_FROM d:g", "MOVED_TO d:f <- d/g");
}

/* The stream of the test */

static uint64_t top, key_a, key_b, key_p;

static void replay_tree(void (*hook)(void *context, enum tn__replay_call call))
{
    make_dirs("w/a/low");
    make_dirs("w/b/deep");
    make_dir("w/p");
    new_with_replay(hook);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    top = key_of("w");
    key_a = key_of("w/a");
    key_b = key_of("w/b");
    key_p = key_of("w/p");
}

static void push_half(uint64_t directory, uint32_t half, uint32_t cookie, const char *name)
{
    push_key(directory, half, cookie, name);
}

static void push_second(void)
{
    push_half(top, IN_MOVED_FROM | IN_ISDIR, 8, "b");
    push_half(key_p, IN_CREATE, 0, "foreign");
    push_half(top, IN_MOVED_TO | IN_ISDIR, 8, "a");
    push_key(key_b, IN_MOVE_SELF, 0, NULL);
}

static void expect_exchanged(void)
{
    settle(notifier);
    cr_expect_eq(recorder_count_of(&seen, IN_MOVE), 4);
    cr_expect_eq(recorder_count_of(&seen, IN_IGNORED), 0);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR w:b <- w/a"), 1);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR w:a <- w/b"), 1);
    recorder_clear(&seen);
    push_half(key_of("w/b/low"), IN_CREATE, 0, "probe");
    push_half(key_of("w/a/deep"), IN_CREATE, 0, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b/low:probe", "CREATE w/a/deep:probe");
}

Test(exchange, with_foreign_records_between)
{
    replay_tree(NULL);
    exchange("w/a", "w/b");
    push_half(top, IN_MOVED_FROM | IN_ISDIR, 7, "a");
    push_half(key_p, IN_CREATE, 0, "f");
    push_half(top, IN_MOVED_TO | IN_ISDIR, 7, "b");
    push_key(key_a, IN_MOVE_SELF, 0, NULL);
    push_half(key_p, IN_DELETE, 0, "f");
    push_second();
    expect_exchanged();
}

/* Marker 1 is of the first departure, marker 2 of the arrival over a directory. */
static void push_the_rest(void *context, enum tn__replay_call call)
{
    unsigned mark = mark_number(call);

    (void)context;
    if (mark == 1)
        push_half(top, IN_MOVED_TO | IN_ISDIR, 7, "b");
    if (mark == 2)
        push_second();
}

Test(exchange, read_piece_by_piece)
{
    replay_tree(push_the_rest);
    exchange("w/a", "w/b");
    atomic_store(&armed, true);
    push_half(top, IN_MOVED_FROM | IN_ISDIR, 7, "a");
    play();
    expect_exchanged();
}

/* A file that stands there is not waited for. */
Test(exchange, of_files_that_is_read_too_late)
{
    replay_tree(NULL);
    make_file("w/f");
    make_file("w/g");
    push_half(top, IN_MOVED_FROM, 7, "f");
    push_half(top, IN_MOVED_TO, 7, "g");
    play();
    EXPECT(&seen, "MOVED_FROM w:f", "MOVED_TO w:g <- w/f");
    push_half(top, IN_MOVED_FROM, 8, "g");
    push_half(top, IN_MOVED_TO, 8, "f");
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 0)->cookie, 0);
    EXPECT(&seen, "MOVED_TO w:f");
}

Test(exchange, of_a_directory_with_a_file_that_is_read_too_late)
{
    replay_tree(NULL);
    exchange("w/a", "w/b");
    remove_tree("w/a");
    make_file("w/a");
    push_half(top, IN_MOVED_FROM | IN_ISDIR, 7, "a");
    push_half(top, IN_MOVED_TO | IN_ISDIR, 7, "f");
    move("w/b", "w/f");
    play();
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w:f <- w/a");
    push_half(top, IN_MOVED_FROM, 8, "f");
    push_half(top, IN_MOVED_TO, 8, "a");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w:a");
    push_half(key_of("w/f/low"), IN_CREATE, 0, "probe");
    settle(notifier);
    EXPECT(&seen, "CREATE w/f/low:probe");
}

static void push_file_exchange(const char *f, const char *g, uint32_t cookie)
{
    push_half(top, IN_MOVED_FROM, cookie, f);
    push_half(top, IN_MOVED_TO, cookie, g);
    push_half(top, IN_MOVED_FROM, cookie + 1, g);
    push_half(top, IN_MOVED_TO, cookie + 1, f);
}

/* Whether the first was one is known by the second. */
Test(exchange, of_files_one_after_another)
{
    replay_tree(NULL);
    make_file("w/f");
    make_file("w/g");
    make_file("w/h");
    push_file_exchange("f", "g", 7);
    push_file_exchange("h", "g", 17);
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM w:f", "MOVED_FROM w:g", "MOVED_TO w:g <- w/f", "MOVED_TO w:f <- w/g",
           "MOVED_FROM w:h", "MOVED_FROM w:g", "MOVED_TO w:g <- w/h", "MOVED_TO w:h <- w/g");
}

/* It may have been one: then what is at f is not what was there before. */
Test(exchange, nobody_can_tell)
{
    replay_tree(NULL);
    make_file("w/f");
    make_file("w/g");
    push_file_exchange("f", "g", 7);
    push_half(top, IN_MOVED_FROM, 17, "h");
    push_half(top, IN_MOVED_TO, 17, "g");
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 3)->cookie, 0);
    EXPECT(&seen, "MOVED_FROM w:f", "MOVED_TO w:g <- w/f", "MOVED_FROM w:g", "MOVED_TO w:f",
           "MOVED_FROM w:h", "MOVED_TO w:g <- w/h");
}

static void expect_decided(uint32_t mask)
{
    replay_tree(NULL);
    push_file_exchange("f", "g", 7);
    push_half(top, mask, 0, "g");
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "MOVED_FROM w:g"), 1);
    cr_expect_eq(recorder_event(&seen, 1)->mask,
                 mask == IN_DELETE ? (uint32_t)IN_MOVED_FROM : (uint32_t)IN_MOVED_TO);
}

Test(exchange, what_is_deleted_was_there)
{
    expect_decided(IN_DELETE);
}

Test(exchange, what_is_made_was_not_there)
{
    expect_decided(IN_CREATE);
}

/* w/p was moved to w/q, and the record that tells it is behind. */
static void push_unseen(const char *name)
{
    replay_tree(NULL);
    move("w/p", "w/q");
    push_half(key_p, IN_MOVED_TO, 7, name);
    push_half(key_p, IN_MOVED_FROM, 8, name);
}

static void push_move(void)
{
    push_half(top, IN_MOVED_FROM | IN_ISDIR, 9, "p");
    push_half(top, IN_MOVED_TO | IN_ISDIR, 9, "q");
    settle(notifier);
}

Test(exchange, what_can_be_seen_later)
{
    push_unseen("f");
    make_file("w/q/f");
    push_move();
    EXPECT(&seen, "MOVED_TO w/p:f", "MOVED_FROM w/p:f", "MOVED_FROM|ISDIR w:p",
           "MOVED_TO|ISDIR w:q <- w/p", "MOVED_TO w/q:f synthetic");
}

Test(exchange, a_directory_that_can_be_seen_later)
{
    push_unseen("n");
    make_dirs("w/q/n/in");
    push_move();
    EXPECT(&seen, "MOVED_TO w/p:n", "MOVED_FROM w/p:n", "MOVED_FROM|ISDIR w:p",
           "MOVED_TO|ISDIR w:q <- w/p", "MOVED_TO|ISDIR w/q:n synthetic",
           "CREATE|ISDIR w/q/n:in synthetic");
}

Test(exchange, what_is_not_there_later)
{
    push_unseen("f");
    push_move();
    EXPECT(&seen, "MOVED_TO w/p:f", "MOVED_FROM w/p:f", "MOVED_FROM|ISDIR w:p",
           "MOVED_TO|ISDIR w:q <- w/p");
}
