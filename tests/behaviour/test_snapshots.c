/*
 * TN_WATCH_SNAPSHOT: at rest, what the reader keeps of each watched directory
 * is what is in it.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "kept.h"

TestSuite(snapshots, .init = stage_open, .fini = stage_close);

/* How many allocations succeed until one fails; below 0: none fails any more. */
static atomic_int allowed = -1;
static atomic_bool failed;

static bool fails(void)
{
    if (atomic_load(&allowed) < 0 || atomic_fetch_sub(&allowed, 1) != 0)
        return false;
    atomic_store(&failed, true);
    return true;
}

#define WRAP(name, parameters, arguments)                                                          \
    void *__real_##name parameters;                                                                \
    void *__wrap_##name parameters;                                                                \
    void *__wrap_##name parameters                                                                 \
    {                                                                                              \
        return fails() ? NULL : __real_##name arguments;                                           \
    }
WRAP(malloc, (size_t size), (size))
WRAP(realloc, (void *old, size_t size), (old, size))
WRAP(calloc, (size_t count, size_t size), (count, size))
WRAP(reallocarray, (void *old, size_t count, size_t size), (old, count, size))

Test(snapshots, what_was_there_at_first)
{
    make_dirs("t/a/b");
    write_file("t/f", "text");
    write_file("t/a/b/g", "more text");
    link_to("nowhere", "t/a/link");
    stage_start();
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    expect_equal(3);
    cr_assert_eq(stats().snapshot_entries, 5);
    EXPECT_NONE(&seen);
}

Test(snapshots, of_one_directory_that_tells_only_one_thing)
{
    make_dirs("t/a");
    stage_start();
    add("t", IN_ATTRIB, TN_WATCH_SNAPSHOT);
    expect_equal(1);
    make_file("t/f");
    make_file("t/g");
    move("t/g", "t/h");
    remove_dir("t/a");
    expect_equal(1);
    EXPECT_NONE(&seen);
    change_mode("t/f", 0400);
    expect_equal(1);
    EXPECT(&seen, "ATTRIB t:f");
}

Test(snapshots, a_file_has_none)
{
    make_file("f");
    stage_start();
    add("f", ALL, TN_WATCH_SNAPSHOT);
    settle(notifier);
    cr_assert_eq(stats().snapshot_entries + stats().snapshot_bytes, 0);
}

Test(snapshots, with_what_exists_told)
{
    make_dirs("t/a/b");
    write_file("t/f", "text");
    write_file("t/a/b/g", "text");
    stage_start();
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT | TN_WATCH_EXISTING);
    expect_equal(3);
    EXPECT_SET(&seen, "CREATE|ISDIR t:a synthetic", "CREATE|ISDIR t/a:b synthetic",
               "CREATE t:f synthetic", "CLOSE_WRITE t:f synthetic", "CREATE t/a/b:g synthetic",
               "CLOSE_WRITE t/a/b:g synthetic");
}

Test(snapshots, what_comes_changes_and_goes)
{
    make_dirs("t/a/b");
    stage_start();
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    expect_equal(3);
    write_file("t/a/f", "text");
    expect_equal(3);
    append("t/a/f", "more");
    link_to("f", "t/a/link");
    expect_equal(3);
    change_mode("t/a/f", 0400);
    move("t/a/f", "t/a/b/g");
    expect_equal(3);
    make_dirs("t/n/e/s/t");
    make_files("t/n/e/s/t/f", 50);
    make_files("t/n/e/g", 50);
    expect_equal(7);
    remove_tree("t/n/e/s");
    remove_file("t/a/link");
    expect_equal(5);
    move("t/n", "t/a/m");
    expect_equal(5);
    cr_assert_not_null(snapshot_of(found("t/a/m/e")));
}

Test(snapshots, directories_that_move)
{
    make_dirs("t/a/b");
    make_dirs("t/c");
    make_dirs("u/v");
    make_files("u/v/f", 20);
    stage_new(NULL);
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    expect_equal(4);
    make_file("t/a/b/f");
    append("t/a/b/f", "it moves on before this is read");
    move("t/a/b", "t/c/d");
    expect_equal(4);
    move("u", "t/a/u");
    expect_equal(6);
    append("t/a/u/v/f3", "x");
    move("t/a", "t/c/a");
    append("t/c/a/u/v/f4", "y");
    make_file("t/c/a/u/v/new");
    move("t/c", "t/a");
    expect_equal(6);
    append("t/a/a/u/v/f5", "z");
    move("t/a/a/u", "gone");
    expect_equal(4);
    /* Two names for one place, and a directory over an empty one. */
    make_dirs("t/x/1");
    make_dirs("t/y/2");
    expect_equal(8);
    move("t/x", "t/z");
    move("t/y", "t/x");
    move("t/z", "t/y");
    remove_dir("t/x/2");
    move("t/y", "t/x");
    expect_equal(6);
}

Test(snapshots, a_name_that_becomes_another_kind)
{
    make_dirs("t/d");
    stage_new(NULL);
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    expect_equal(2);
    for (unsigned i = 0; i < 3; i++) {
        remove_dir("t/d");
        write_file("t/d", "a file");
        write_file("t/e", "another");
        move("t/e", "t/d");
        make_dirs("t/n/m");
        make_file("t/n/m/f");
        remove_tree("t/n");
        write_file("t/n", "was one");
        expect_equal(1);
        remove_file("t/d");
        make_dir("t/d");
        remove_file("t/n");
        expect_equal(2);
    }
}

Test(snapshots, each_add_has_its_own_until_it_ends)
{
    make_dirs("t/a/b");
    make_files("t/a/f", 10);
    stage_start();
    tn_wd all = add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    tn_wd one = add("t/a", IN_CREATE, TN_WATCH_SNAPSHOT);
    expect_equal(4);
    make_files("t/a/g", 10);
    expect_equal(4);
    cr_assert_eq(stats().snapshot_entries, 1 + 21 + 21);
    cr_assert_eq(tn_watch_remove(notifier, all, TN_REMOVE_RECURSIVE), 0);
    expect_equal(1);
    cr_assert_eq(tn_watch_remove(notifier, one, TN_REMOVE_SYNC), 0);
    expect_equal(0);
    /* In the slots that those had. */
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    expect_equal(3);
    add("t", ALL, TN_WATCH_TREE);
    settle(notifier);
    cr_assert_eq(stats().snapshot_entries, 1 + 21);
}

Test(snapshots, of_a_directory_that_others_watch_already)
{
    make_dirs("t/a/b");
    make_files("t/a/f", 10);
    stage_new(NULL);
    tn_wd other = add("t", IN_OPEN, TN_WATCH_RECURSIVE);
    settle(notifier);
    make_file("t/a/g");
    remove_file("t/a/f1");
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    make_file("t/a/h");
    remove_file("t/a/f2");
    make_dirs("t/n/m");
    settle(notifier);
    cr_assert_eq(tn_watch_remove(notifier, other, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC), 0);
    expect_equal(5);
}

/* A name of 255 bytes is the longest that there is. */
Test(snapshots, names_of_any_bytes)
{
    char name[300] = "t/";

    make_dir("t");
    stage_start();
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    memset(name + 2, '\xff', 255);
    make_file(name);
    make_file("t/\n");
    make_file("t/\xc3\x28");
    expect_equal(1);
    cr_assert_eq(stats().snapshot_entries, 3);
}

/* At the point of the stream where an event is told; its filter is asked there. */
static unsigned asked;
static tn_wd root;

static bool look(const char *path, bool is_dir, void *userdata)
{
    const struct tn__snapshot *snapshot = snapshot_of(root);
    struct tn__status status;

    (void)userdata;
    if (!snapshot || !strstr(path, "/t/n"))
        return false;
    asked++;
    const char *name = strrchr(path, '/') + 1;
    cr_assert_eq(tn__snapshot_count(snapshot), asked < 6 ? asked : 6,
                 "%zu are kept at the event %u", tn__snapshot_count(snapshot), asked);
    cr_assert(tn__snapshot_get(snapshot, name, strlen(name), &status));
    cr_assert_eq(status.type == DT_DIR, is_dir);
    cr_assert_eq(status.known, !is_dir);
    return false;
}

static struct tn_filter *looking(void)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_test(filter, look, NULL, NULL), 0);
    return filter;
}

/* What is listed comes before what has happened since; one name has become another kind. */
Test(snapshots, at_one_point_of_the_stream)
{
    struct tn_filter *filter = looking();

    make_dir("t");
    stage_new(NULL);
    asked = 0;
    root = add_options(scratch("t"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_SNAPSHOT,
                                                      .filter = filter));
    tn_filter_unref(filter);
    make_files("t/n", 5);
    make_dir("t/n5");
    remove_dir("t/n5");
    write_file("t/n5", "text");
    tn_notifier_read_events(notifier);
    cr_assert_eq(asked, 7);
}

Test(snapshots, what_an_unlinked_file_tells_is_not_kept)
{
    make_dir("t");
    stage_start();
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    FILE *file = fopen(scratch("t/f"), "w");
    cr_assert_not_null(file);
    expect_equal(1);
    remove_file("t/f");
    fputs("text", file);
    fclose(file);
    expect_equal(1);
    cr_assert_eq(recorder_count(&seen), 4, "it was told all the same");
}

static struct tn__status untold(uint32_t mask, const char *name, bool *ret_kept)
{
    const struct tn__news news = {.mask = mask, .name = name, .name_length = strlen(name)};
    struct tn__status status = {0};
    uint32_t id;

    tn__rcu_read_lock();
    id = tn__registry_find_rcu(&notifier->registry, root);
    tn__rcu_read_unlock();
    tn__reader_note_untold(&notifier->reader, id, &news);
    *ret_kept = tn__snapshot_get(snapshot_of(root), name, news.name_length, &status);
    return status;
}

/* What was dropped still differs from what is there. */
Test(snapshots, what_was_not_told_is_not_kept)
{
    bool kept;

    make_dirs("t/d");
    make_file("t/f");
    stage_new(NULL);
    root = add("t", ALL, TN_WATCH_SNAPSHOT);
    expect_equal(1);
    struct tn__status status = untold(IN_MODIFY, "f", &kept);
    cr_assert(kept && status.type == DT_REG && !status.known);
    untold(IN_MODIFY, "g", &kept);
    cr_assert_not(kept);
    untold(IN_OPEN, "h", &kept);
    cr_assert_not(kept);
    untold(IN_MOVED_TO, "f", &kept);
    cr_assert_not(kept);
    status = untold(IN_DELETE | IN_ISDIR, "gone", &kept);
    cr_assert(kept && status.type == DT_DIR && !status.known);
}

static void one_of_all(void)
{
    make_dirs("t/n/e");
    make_files("t/n/e/f", 12);
    append("t/n/e/f3", "text");
    move("t/n", "t/a/n");
    make_file("t/a/n/e/g");
    remove_file("t/a/n/e/f1");
    move("t/a/n/e", "t/e");
    tn_notifier_settle(notifier, -1); /* may lack memory itself */
}

/* Nothing is kept wrong for want of memory; and all is kept again, once something happens. */
Test(snapshots, without_memory, .timeout = 120)
{
    unsigned number = 0;

    do {
        make_dirs("t/a/b");
        make_files("t/a/b/f", 12);
        stage_new_with(NULL, NULL);
        add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
        atomic_store(&failed, false);
        atomic_store(&allowed, (int)number++);
        tn_notifier_read_events(notifier);
        one_of_all();
        atomic_store(&allowed, -1);
        make_file("t/last");
        settle(notifier);
        if (stats().overflows == 0 && stats().unwatched == 0)
            expect_equal(ANY);
        notifier = tn_notifier_free(notifier);
        remove_tree("t");
    } while (atomic_load(&failed));
    cr_assert_gt(number, 20);
}
