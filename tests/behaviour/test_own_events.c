/*
 * What the library does itself, opening and listing directories, is told to
 * nobody; what others do is.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "stages.h"
#include "support.h"

#define OWN ((uint32_t)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE))

static struct recorder other;

static void open_stage(void)
{
    stage_open();
    recorder_init(&other);
}

static void close_stage(void)
{
    notifier = tn_notifier_free(notifier);
    recorder_done(&other);
    stage_close();
}

TestSuite(own_events, .init = open_stage, .fini = close_stage, .timeout = 60);

static void add_other(const char *path, uint32_t mask, uint32_t flags)
{
    add_options(path, TN_WATCH_OPTIONS(.mask = mask, .flags = flags, .processor = other.processor));
}

static size_t count_traces(struct recorder *recorder)
{
    size_t traces = 0;

    for (size_t i = 0; i < recorder_count(recorder); i++) {
        const struct tn_event *event = recorder_event(recorder, i);
        bool is_trace = event->mask & OWN && event->mask & IN_ISDIR;
        traces += is_trace;
        if (is_trace)
            cr_log_warn("%x %s", event->mask, event->pathname);
    }
    recorder_clear(recorder);
    return traces;
}

/* Whatever else there was; the tests themselves open no directory meanwhile. */
static void expect_no_trace(void)
{
    settle(notifier);
    cr_assert_eq(stats().overflows, 0);
    cr_expect_eq(count_traces(&seen), 0);
    cr_expect_eq(count_traces(&other), 0);
}

static void list(const char *path)
{
    DIR *dir = opendir(path);

    cr_assert_not_null(dir);
    while (readdir(dir))
        ;
    closedir(dir);
    settle(notifier);
}

/* Another's listing is told in full: of d in t, to t's watch and to its own. */
static void expect_listing(struct recorder *recorder)
{
    recorder_clear(recorder);
    list("t/d");
    EXPECT_SET(recorder, "OPEN|ISDIR t:d", "OPEN|ISDIR t/d", "ACCESS|ISDIR t:d", "ACCESS|ISDIR t/d",
               "ACCESS|ISDIR t:d", "ACCESS|ISDIR t/d", "CLOSE_NOWRITE|ISDIR t:d",
               "CLOSE_NOWRITE|ISDIR t/d");
}

static void make_tree(void)
{
    for (unsigned i = 0; i < 20; i++) {
        make_dirs(at("t/d/%u/deep/er", i));
        make_files(at("t/d/%u/f", i), 3);
    }
}

static const uint32_t masks[] = {IN_ALL_EVENTS, IN_OPEN, IN_ACCESS, IN_CLOSE_NOWRITE};

Test(own_events, an_add)
{
    stage_start();
    make_tree();
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE);
    expect_no_trace();
    cr_expect_leq(stats().read, 1, "nothing but the question about its parent");
    expect_listing(&seen);
}

Test(own_events, an_add_in_the_callers_thread)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    stage_new(&options);
    make_tree();
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE | TN_WATCH_EXISTING);
    expect_no_trace();
    make_dirs("t/n/m/o");
    make_file("t/n/m/o/f");
    expect_no_trace();
    expect_listing(&seen);
}

Test(own_events, an_add_of_what_exists)
{
    stage_start();
    make_tree();
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE | TN_WATCH_EXISTING);
    expect_no_trace();
    expect_listing(&seen);
}

/* A crawl closes the topmost of many levels and comes back to it. */
Test(own_events, an_add_of_a_deep_tree)
{
    char path[512] = "t/d";

    stage_start();
    for (unsigned i = 0; i < 150; i++)
        strcat(path, "/x");
    make_dirs(path);
    make_dirs("t/d/x/x/y/z");
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE);
    expect_no_trace();
    expect_listing(&seen);
    list(path);
    cr_expect_eq(recorder_count_of(&seen, IN_OPEN), 2);
    list("t/d/x/x/y");
    cr_expect_eq(recorder_count_of(&seen, IN_OPEN), 4);
}

Test(own_events, new_directories)
{
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        stage_start();
        make_dir("t");
        add("t", masks[i], TN_WATCH_TREE);
        make_tree();
        make_dirs("away/a/b");
        move("away", "t/in");
        expect_no_trace();
        list("t/in/a");
        cr_expect_gt(recorder_count_of(&seen, OWN), 1);
        if (masks[i] == IN_ALL_EVENTS)
            expect_listing(&seen);
        make_dir("t/last");
        settle(notifier);
        cr_expect_leq(atomic_load(&notifier->registry.traces.count), 4, "of the last directory");
        notifier = tn_notifier_free(notifier);
        recorder_done(&seen);
        remove_tree("t");
    }
    stage_start();
}

/* Each lists what the other has asked to be told of. */
Test(own_events, two_adds_on_one_tree)
{
    stage_start();
    make_tree();
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE);
    settle(notifier);
    add_other("t", IN_ALL_EVENTS, TN_WATCH_TREE);
    expect_no_trace();
    make_dirs("t/n/m/o");
    make_file("t/n/m/o/f");
    expect_no_trace();
    expect_listing(&other);
    recorder_clear(&seen);
    expect_listing(&seen);
}

Test(own_events, two_adds_of_what_exists)
{
    stage_start();
    make_tree();
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE | TN_WATCH_EXISTING);
    add_other("t", IN_ALL_EVENTS, TN_WATCH_TREE | TN_WATCH_EXISTING);
    expect_no_trace();
    expect_listing(&other);
}

/* What a crawl has noted and nobody was told is forgotten when the add has ended. */
Test(own_events, nothing_is_left_behind_by_an_add)
{
    stage_start();
    make_tree();
    add("t", IN_OPEN, TN_WATCH_TREE);
    add_other("t", ENTRIES, TN_WATCH_TREE);
    expect_no_trace();
    cr_expect_eq(atomic_load(&notifier->registry.traces.count), 0);
}

/* A watch that asks for no openings is placed first, and its mask widened then. */
Test(own_events, beside_one_that_does_not_ask)
{
    stage_start();
    make_tree();
    add_other("t", ENTRIES, TN_WATCH_TREE);
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE);
    expect_no_trace();
    make_dirs("t/n/m/o");
    expect_no_trace();
    expect_listing(&seen);
}

/* The reader has not been told of it by any add. */
Test(own_events, asked_for_by_an_update)
{
    stage_start();
    make_dir("t");
    tn_wd wd = add("t", ENTRIES, TN_WATCH_TREE);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_ALL_EVENTS)),
                 0);
    make_tree();
    expect_no_trace();
    expect_listing(&seen);
}

static void watch_parent(uint32_t flags)
{
    stage_start();
    make_tree();
    add(".", IN_ALL_EVENTS, 0);
    add_other("t", ENTRIES, TN_WATCH_TREE | flags);
    expect_no_trace();
    list("t");
    EXPECT(&seen, "OPEN|ISDIR .:t", "ACCESS|ISDIR .:t", "CLOSE_NOWRITE|ISDIR .:t");
}

Test(own_events, what_the_parent_of_a_root_is_told)
{
    watch_parent(0);
}

Test(own_events, what_the_parent_of_a_root_is_told_of_its_list)
{
    watch_parent(TN_WATCH_EXISTING);
}

Test(own_events, what_the_parent_of_a_new_directory_is_told)
{
    stage_start();
    make_dir("t");
    add("t", IN_ALL_EVENTS, 0);
    add_other("t", ENTRIES, TN_WATCH_TREE);
    make_tree();
    expect_no_trace();
    list("t/d");
    EXPECT(&seen, "OPEN|ISDIR t:d", "ACCESS|ISDIR t:d", "CLOSE_NOWRITE|ISDIR t:d");
}

/* A question about its parent leaves nothing there. */
Test(own_events, the_parent_of_a_root_is_not_watched)
{
    stage_start();
    make_dirs("p/t/d");
    add("p/t", IN_ALL_EVENTS, TN_WATCH_TREE);
    expect_no_trace();
    uint64_t *keys = NULL;
    size_t count = 0;
    struct tn__source *source = notifier->registry.source;
    cr_assert_eq(source->ops->keys(source, &keys, &count), 0);
    free(keys);
    cr_expect_eq(count, 2 + 1, "the tree and the marker: %zu", count);
    make_file("p/f");
    settle(notifier);
    EXPECT_NONE(&seen);
}

/* A listing that finds nothing leaves nothing to be taken out. */
Test(own_events, openings_of_a_new_directory_by_others)
{
    stage_start();
    make_dir("t");
    add("t", IN_ALL_EVENTS, TN_WATCH_TREE);
    for (unsigned i = 0; i < 200; i++) {
        make_dir(at("t/%u", i));
        remove_dir(at("t/%u", i));
    }
    expect_no_trace();
    for (unsigned i = 0; i < 200; i++)
        make_dir(at("t/%u", i));
    expect_no_trace();
    for (unsigned i = 0; i < 200; i++) {
        int fd = open(at("t/%u", i), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        close(fd);
    }
    settle(notifier);
    cr_expect_eq(recorder_count_of(&seen, IN_OPEN), 2 * 200);
    cr_expect_eq(recorder_count_of(&seen, IN_CLOSE_NOWRITE), 2 * 200);
}
