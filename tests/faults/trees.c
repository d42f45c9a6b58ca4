/*
 * Adds, trees and their changes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "mirror.h"
#include "scenarios.h"

#define UPDATE_ERRORS                                                                              \
    ENOMEM, ENOSPC, ENOENT, EACCES, EMFILE, ENFILE, ELOOP, ENOTDIR, EIO, EINVAL, EAGAIN

void make_tree(const char *top)
{
    static const char *const directories[] = {"a/b/c", "a/d", "e", "f/a-name-that-is-long-enough"};
    static const char *const files[] = {"file", "a/file", "a/b/file", "a/b/c/file", "e/file"};
    char path[256];

    for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++) {
        snprintf(path, sizeof(path), "%s/%s", top, directories[i]);
        make_dirs(path);
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        snprintf(path, sizeof(path), "%s/%s", top, files[i]);
        make_file(path);
    }
}

/* The crawl of an add, and questions. */

int excuse_placed(const char *path, tn_wd wd, int error, void *data)
{
    (void)data;
    if (wd < 0 && error < 0)
        mirror_excuse(path);
    return 0;
}

static int visit(tn_wd wd, const char *path, void *userdata)
{
    (void)path;
    *(int *)userdata += wd > 0;
    return 0;
}

static void ask(tn_wd root)
{
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    char buffer[8], *path = NULL;
    int result, count = 0;
    ssize_t length;

    TRY(result, tn_watch_find(notifier, full("top"), NULL), ENOMEM);
    TRY(result, tn_watch_path_dup(notifier, root, &path), ENOMEM);
    if (result == 0 && strcmp(path, full("top")) != 0)
        fail("the path is %s", path);
    free(path);
    TRY(length, tn_watch_path(notifier, root, buffer, sizeof(buffer)), ENOMEM);
    if ((size_t)length != strlen(full("top")))
        fail("the length of the path is %zd", length);
    TRY(result, tn_watch_get_info(notifier, root, &info), 0);
    TRY(result, tn_watch_each(notifier, full("top"), visit, &count), ENOMEM);
    if (count < 1)
        fail("none was visited");
}

void scenario_crawl(void)
{
    make_tree("top");
    mirror_take("top");
    open_notifier(NULL);
    arm();
    tn_wd root = add_options("top", TN_WATCH_OPTIONS(.mask = NAMES, .flags = TN_WATCH_TREE,
                                                     .placed = excuse_placed));
    ask(root);
    start();
    settle();
    mirror_check("top");
    close_notifier();
}

/* So deep that the crawl closes some levels for a while, and a path is opened in pieces. */
void scenario_deep(void)
{
    char path[1024] = "top";

    for (int i = 0; i < 70; i++)
        strcat(path, i % 2 ? "/d" : "/e");
    make_dirs(path);
    make_dirs("top/z");
    mirror_take("top");
    open_notifier(NULL);
    arm();
    add_options("top",
                TN_WATCH_OPTIONS(.mask = NAMES, .flags = TN_WATCH_TREE, .placed = excuse_placed));
    strcat(path, "/new/below");
    make_dirs(path);
    settle();
    mirror_check("top");
    close_notifier();
}

/* Several at once, relative ones, files. */
void scenario_lists(void)
{
    const char *const paths[] = {"top/a", "top/file", "top/none"};
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    struct tn_watch_result results[3];
    size_t count = 0;
    int result, errors[3];
    tn_wd wds[3];

    make_tree("top");
    open_notifier(NULL);
    arm();
    start();
    options.mask = NAMES;
    options.flags = TN_WATCH_RECURSIVE;
    expect_release(&options);
    TRY(result, tn_watch_add_list(notifier, paths, 3, &options, results), 0);
    expect_releases(result);
    if (result != 2 && !fault_fired())
        fail("%d of a list were placed", result);
    for (int i = 0; i < 3; i++) {
        wds[i] = results[i].wd;
        if ((wds[i] > 0) != (results[i].error == 0))
            fail("a result has wd and error");
    }
    TRY(result, tn_watch_add_glob(notifier, "top/*", &options, &count), ENOMEM, ENOENT);
    expect_releases((int)count);
    if (count != 4 && !fault_fired())
        fail("%zu of a pattern were placed", count);
    settle();
    TRY(result, tn_watch_remove_list(notifier, wds, 3, TN_REMOVE_RECURSIVE, errors), 0);
    settle();
    close_notifier();
}

/* Events. */

void change_tree(void)
{
    make_dirs("top/new/below/more");
    make_file("top/new/below/more/file");
    make_file("top/file2");
    move("top/file2", "top/a/file3");
    move("top/a/b", "top/e/b2");
    make_file("top/e/b2/c/late");
    move("out", "top/in");
    make_file("top/in/a/late");
    move("top/f", "gone");
    remove_tree("top/a/d");
    make_dirs("top/a/d/again");
    move("top/new", "top/a/d/again/new");
    remove_tree("top/in/e");
}

void watch_tree(void)
{
    make_tree("top");
    make_tree("out");
    mirror_take("top");
    open_notifier(NULL);
}

void scenario_events(void)
{
    watch_tree();
    add("top", NAMES, TN_WATCH_TREE);
    arm();
    start();
    change_tree();
    settle();
    mirror_check("top");
    close_notifier();
}

/* Two adds reach the same directories. */
void scenario_twice(void)
{
    watch_tree();
    arm();
    start();
    add_options("top",
                TN_WATCH_OPTIONS(.mask = NAMES, .flags = TN_WATCH_TREE, .placed = excuse_placed));
    add_options("top/a", TN_WATCH_OPTIONS(.mask = IN_OPEN | IN_EXCL_UNLINK, .flags = TN_WATCH_TREE,
                                          .placed = excuse_placed));
    change_tree();
    settle();
    mirror_check("top");
    close_notifier();
}

/* Names that are followed: arrivals and departures alternate, and the last is as it is. */
static struct {
    const char *path;
    atomic_bool heard, present, unwatched, twice;
} names[2];

static int follow_event(const struct tn_event *event, void *userdata)
{
    const uint32_t arrivals = IN_CREATE | IN_MOVED_TO, departures = IN_DELETE_SELF | IN_MOVE_SELF;

    (void)userdata;
    for (size_t i = 0; i < 2; i++) {
        if (event->name || strcmp(event->path, names[i].path) != 0)
            continue;
        if (event->flags & TN_EVENT_UNWATCHED)
            atomic_store(&names[i].unwatched, true);
        if (!(event->mask & (arrivals | departures)))
            continue;
        const bool present = event->mask & arrivals;
        const bool again = atomic_exchange(&names[i].present, present) == present;
        /* A lookup that failed at the add may have found nothing there. */
        if (atomic_exchange(&names[i].heard, true) && again)
            atomic_store(&names[i].twice, true);
    }
    return 0;
}

static void expect_names(bool present)
{
    settle();
    for (size_t i = 0; i < 2; i++)
        if (atomic_load(&names[i].twice) && !mirror_gap())
            fail("%s came or left twice", names[i].path);
        else if (atomic_load(&names[i].present) != present && !mirror_gap() &&
                 !atomic_load(&names[i].unwatched) && !fault_lasts())
            fail("%s was %s", names[i].path, present ? "missed" : "not told to have gone");
}

void scenario_names(void)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = follow_event};
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    tn_wd wds[2];
    int result;

    make_tree("top");
    open_notifier(NULL);
    if (tn_processor_new(&ops, NULL, &options.processor) < 0)
        fail("no processor");
    options.mask = NAMES | IN_DELETE_SELF | IN_MOVE_SELF;
    arm();
    start();
    for (size_t i = 0; i < 2; i++) {
        options.flags = TN_WATCH_FOLLOW_NAME | (i ? TN_WATCH_TREE | TN_WATCH_EXISTING : 0);
        names[i].path = strdup(full(i ? "top/a" : "top/file"));
        atomic_store(&names[i].present, true);
        wds[i] = add_options(names[i].path, &options);
    }
    settle();
    make_file("top/new");
    move("top/new", "top/file");
    move("top/e", "top/new");
    move("top/a", "gone");
    move("top/new", "top/a");
    expect_names(true);
    remove_tree("top/file");
    remove_tree("top/a");
    expect_names(false);
    make_dirs("top/a/b");
    make_file("top/file");
    make_file("top/a/b/late");
    expect_names(true);
    for (size_t i = 0; i < 2; i++)
        TRY(result, tn_watch_remove(notifier, wds[i], TN_REMOVE_RECURSIVE), ENOENT);
    settle();
    tn_processor_unref(options.processor);
    close_notifier();
    for (size_t i = 0; i < 2; i++)
        free((char *)names[i].path);
}

/* With little done at a time, so that each is taken in while nothing lies ahead. */
void scenario_trickle(void)
{
    watch_tree();
    add("top", NAMES, TN_WATCH_TREE);
    start();
    arm();
    make_dirs("top/x");
    settle();
    move("top/x", "top/y");
    settle();
    make_dirs("top/y/z");
    make_file("top/y/z/file");
    settle();
    move("top/y", "gone");
    settle();
    move("gone", "top/y");
    settle();
    remove_tree("top/y");
    settle();
    mirror_check("top");
    close_notifier();
}

/* Changes of watches. */
void scenario_changes(void)
{
    struct tn_watch_options more = TN_WATCH_OPTIONS_INIT;
    struct tn_filter *filter = NULL;
    tn_wd e = 0, a = 0;
    int result;

    watch_tree();
    tn_wd root = add("top", NAMES, TN_WATCH_TREE);
    tn_wd second = add("top/e", IN_ATTRIB | IN_EXCL_UNLINK, 0);
    start();
    arm();
    TRY(result, tn_filter_new(&filter), ENOMEM);
    more.mask = IN_ATTRIB | IN_MASK_ADD;
    more.filter = filter;
    TRY(result, tn_watch_update(notifier, root, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE, &more),
        UPDATE_ERRORS);
    TRY(result, tn_watch_update(notifier, root, TN_UPDATE_FILTER | TN_UPDATE_RECURSIVE, &more),
        UPDATE_ERRORS);
    more.mask = IN_OPEN | IN_ONESHOT;
    TRY(result, tn_watch_update_list(notifier, &second, 1, TN_UPDATE_MASK, &more, NULL), 0);
    TRY(result, tn_watch_find(notifier, full("top/a"), &a), ENOMEM);
    TRY(result, tn_watch_find(notifier, full("top/e"), &e), ENOMEM);
    make_file("top/a/b/late");
    make_file("top/e/late");
    settle();
    mirror_check("top");
    TRY(result, tn_watch_remove(notifier, a, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC), 0);
    TRY(result, tn_watch_remove(notifier, e, 0), 0);
    make_file("top/a/unseen");
    TRY(result, tn_watch_remove(notifier, root, TN_REMOVE_RECURSIVE), 0);
    settle();
    tn_filter_unref(filter);
    close_notifier();
}

void scenario_ignoring(void)
{
    struct tn_stats stats = TN_STATS_INIT;
    int result;

    watch_tree();
    add("top", NAMES, TN_WATCH_TREE);
    start();
    arm();
    TRY(result, tn_notifier_set_ignore(notifier, true), ENOMEM, ENOSPC, EACCES, ENOENT, EINVAL);
    make_dirs("top/unseen/below");
    settle();
    mirror_take("top");
    tn_notifier_get_stats(notifier, &stats);
    if (stats.unwatched || fault_lasts()) /* only the count tells */
        mirror_excuse(full("top/unseen"));
    TRY(result, tn_notifier_set_ignore(notifier, false), ENOMEM, ENOSPC, EACCES, ENOENT, EINVAL);
    make_file("top/unseen/below/file");
    settle();
    mirror_check("top");
    close_notifier();
}
