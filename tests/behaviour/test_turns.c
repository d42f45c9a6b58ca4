/*
 * A large tree that appears at once is taken in by turns, and others are told
 * of their changes between them (reader/turns.c). The stream is the test's own,
 * so that what lies behind the tree's arrival is known.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "reader/scan.h"
#include "replay_stage.h"
#include "stages.h"

TestSuite(turns, .init = open_stage, .fini = close_stage, .timeout = 60);

enum { DIRECTORIES = 20, BELOW = 49, ALL = DIRECTORIES * (BELOW + 1) };

static void make_large(const char *path)
{
    for (unsigned i = 0; i < DIRECTORIES; i++)
        for (unsigned j = 0; j < BELOW; j++)
            make_dirs(at("%s/d%02u/e%02u", path, i, j));
}

enum { LEAVING = 12 };

static unsigned left;

/* Whenever the departure of a directory is looked into between two turns, the next one is read. */
static void push_more(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_MARK && notifier->reader.paused && left > 0 && left < LEAVING)
        push("other", IN_MOVED_FROM | IN_ISDIR, at("x%u", left++));
}

/* `one` is told to `seen`, `other` to `later`. */
static void watch_both(const struct tn_notifier_options *options, uint32_t flags)
{
    new_with_options(*options, NULL, push_more);
    make_dirs("one");
    make_dirs("other");
    make_large(flags & TN_WATCH_EXISTING ? "one/big" : "big");
    add("one", ENTRIES, TN_WATCH_TREE | flags);
    for (unsigned i = 0; i < LEAVING; i++)
        make_dir(at("other/x%u", i));
    add_options("other", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_RECURSIVE,
                                          .processor = later.processor));
}

static void move_in(void)
{
    move("big", "one/big");
    push("one", IN_MOVED_TO | IN_ISDIR, "big");
}

/* Each directory once, and none before the one that it is in. */
static void expect_large(size_t others)
{
    unsigned known[DIRECTORIES] = {0};
    size_t count = recorder_count(&seen), announced = 0;

    cr_assert_eq(count, 1 + ALL + others, "%zu", count);
    for (size_t i = 0; i < count; i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        const char *name = event->name;
        if (!(event->flags & TN_EVENT_SYNTHETIC) || (name && strcmp(name, "big") == 0))
            continue;
        unsigned directory = (unsigned)atoi(name + 1);
        announced++;
        if (name[0] == 'd')
            cr_expect_eq(known[directory]++, 0, "%s", name);
        else
            cr_expect_eq(known[(unsigned)atoi(strrchr(event->path, '/') + 2)], 1, "%s", name);
    }
    cr_expect_eq(announced, ALL);
}

static uint64_t sequence_of_last(struct recorder *recorder)
{
    return recorder_event(recorder, recorder_count(recorder) - 1)->sequence;
}

static struct tn_notifier_options options(void)
{
    struct tn_notifier_options result = TN_NOTIFIER_OPTIONS_INIT;

    result.threads = 1;
    return result;
}

static void expect_others_between(void)
{
    cr_assert_eq(recorder_count(&later), 1);
    cr_expect_lt(sequence_of_last(&later), sequence_of_last(&seen));
    cr_expect_gt(sequence_of_last(&later), recorder_event(&seen, 0)->sequence);
    EXPECT(&later, "CREATE other:probe");
}

Test(turns, others_are_told_meanwhile)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    push("other", IN_CREATE, "probe");
    settle(notifier);
    expect_others_between();
    expect_large(0);
}

Test(turns, others_are_told_meanwhile_by_the_thread)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    move_in();
    push("other", IN_CREATE, "probe");
    start();
    settle(notifier);
    expect_others_between();
    expect_large(0);
}

enum { FILES = TN__SCAN_READ_EVERY + 100 };

static unsigned asked;
static uint64_t read_first, read_last;

/* Asked for each entry that is announced. */
static bool note_read(const char *path, bool is_dir, void *userdata)
{
    (void)userdata;
    if (is_dir || !strstr(path, "/full/"))
        return false;
    if (asked++ == 0) {
        push("other", IN_CREATE, "probe");
        read_first = notifier->reader.stream.read;
    }
    if (asked == FILES)
        read_last = notifier->reader.stream.read;
    return false;
}

Test(turns, the_stream_is_read_while_a_large_directory_is_announced)
{
    const struct tn_notifier_options own = options();
    struct tn_filter *filter;

    watch_both(&own, 0);
    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_test(filter, note_read, NULL, NULL), 0);
    make_dirs("more/full");
    make_files("more/full/f", FILES);
    make_dir("filtered");
    add_options("filtered", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                             .processor = seen.processor, .filter = filter));
    tn_filter_unref(filter);
    move("more/full", "filtered/full");
    push("filtered", IN_MOVED_TO | IN_ISDIR, "full");
    settle(notifier);
    cr_assert_eq(asked, FILES);
    cr_expect_gt(read_last, read_first);
    cr_expect_eq(recorder_count_of(&seen, IN_CREATE), FILES);
}

/* Only what had been read at the end of a turn is committed before the next one. */
Test(turns, a_stream_that_does_not_end_leaves_room_for_turns)
{
    const struct tn_notifier_options own = options();
    size_t before = 0;

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    push("other", IN_MOVED_FROM | IN_ISDIR, "x0");
    left = 1;
    settle(notifier);
    cr_assert_eq(recorder_count_of(&later, IN_MOVED_FROM), LEAVING);
    for (size_t i = 0; i < recorder_count(&seen); i++)
        before += recorder_event(&seen, i)->sequence < sequence_of_last(&later);
    cr_expect_gt(before, ALL / 2, "%zu", before);
    cr_expect_lt(before, ALL);
    expect_large(0);
}

/* Of the tree that is taken in, in its own domain. */
Test(turns, what_happens_in_the_tree_meanwhile)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    push("one", IN_CREATE, "probe");
    settle(notifier);
    const struct tn_event *probe = recorder_find(&seen, IN_CREATE);
    for (size_t i = 0; i < recorder_count(&seen) && strcmp(probe->name, "probe") != 0; i++)
        probe = recorder_event(&seen, i);
    cr_expect_lt(probe->sequence, sequence_of_last(&seen));
    cr_expect_eq(recorder_lines(&seen, "CREATE one:probe"), 1);
    expect_large(1);
}

/* While most of it is not taken in. */
Test(turns, it_moves_meanwhile)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    cr_assert_gt(tn_notifier_read_events(notifier), 0);
    uint64_t key = key_of("one");
    move("one/big", "one/large");
    push_key(key, IN_MOVED_FROM | IN_ISDIR, 7, "big");
    push_key(key, IN_MOVED_TO | IN_ISDIR, 7, "large");
    push("one/large", IN_MOVE_SELF, NULL);
    settle(notifier);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR one:large <- one/big"), 1);
    expect_large(2);
    for (unsigned i = 0; i < DIRECTORIES; i++)
        for (unsigned j = 0; j < BELOW; j++)
            cr_expect(is_watched(at("one/large/d%02u/e%02u", i, j)));
}

Test(turns, what_exists_is_told_by_turns)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, TN_WATCH_EXISTING);
    push("other", IN_CREATE, "probe");
    settle(notifier);
    expect_others_between();
    expect_large(0);
}

Test(turns, the_descriptor_is_readable_between_turns)
{
    const struct tn_notifier_options own = options();
    unsigned turns = 0;

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    while (tn_notifier_check_events(notifier, 0) == 1) {
        cr_assert_geq(tn_notifier_read_events(notifier), 0);
        tn_notifier_process_events(notifier);
        turns++;
    }
    cr_expect_gt(turns, ALL / 64);
    expect_large(0);
}

Test(turns, no_turn_without_room)
{
    struct tn_notifier_options own = options();
    int result = 0;

    own.queue_bytes = 1; /* at least one slab */
    watch_both(&own, 0);
    settle(notifier);
    move_in();
    for (unsigned i = 0; result >= 0; i++) {
        cr_assert_lt(i, ALL);
        result = tn_notifier_read_events(notifier);
    }
    cr_expect_eq(result, -ENOBUFS);
    const uint64_t scans = stats().scans;
    cr_expect_eq(tn_notifier_read_events(notifier), -ENOBUFS);
    cr_expect_eq(stats().scans, scans);
    settle(notifier);
    expect_large(0);
}

static void stop_and_expect(void)
{
    notifier = finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(recorder_lines(&seen, "MOVED_TO|ISDIR one:big"), 1);
    expect_large(0);
}

Test(turns, drain_tells_all)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    cr_assert_gt(tn_notifier_read_events(notifier), 0);
    stop_and_expect();
}

Test(turns, drain_tells_all_in_the_thread)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    start();
    settle(notifier);
    move_in();
    stop_and_expect();
}

/* The end is where nothing is left to read. */
Test(turns, drain_tells_all_when_the_source_ends)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    start();
    settle(notifier);
    move_in();
    tn__replay_end(source);
    stop_and_expect();
}

/* And when none can be put. */
Test(turns, drain_tells_all_without_a_marker)
{
    const struct tn_notifier_options own = options();

    watch_both(&own, 0);
    settle(notifier);
    move_in();
    tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 1);
    stop_and_expect();
}
