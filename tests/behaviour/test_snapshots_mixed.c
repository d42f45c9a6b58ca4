/*
 * TN_WATCH_SNAPSHOT while all sorts of things are done: at each point of the
 * stream what the reader keeps are the names that the events have told, and at
 * rest it is what is there.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kept.h"

TestSuite(snapshots_mixed, .init = stage_open, .fini = stage_close, .timeout = 120);

enum { ITEMS = 5, PATH_BYTES = 600, MODEL = 4096 };
static uint64_t random_state;

/* The paths that are there, by the events alone; what is on the move has its cookie before it. */
static char model[MODEL][PATH_BYTES];
static size_t model_count;

static size_t model_find(const char *path)
{
    size_t i = 0;

    while (i < model_count && strcmp(model[i], path) != 0)
        i++;
    return i;
}

static void model_add(const char *path)
{
    if (model_find(path) < model_count)
        return;
    cr_assert_lt(model_count, MODEL);
    snprintf(model[model_count++], PATH_BYTES, "%s", path);
}

/* The path and all below it, to another or, NULL, away. */
static void model_move(const char *path, const char *to)
{
    size_t length = strlen(path), kept = 0;
    char moved[PATH_BYTES];

    for (size_t i = 0; i < model_count; i++) {
        const char *below = model[i] + length;
        if (strncmp(model[i], path, length) == 0 && (!*below || *below == '/')) {
            if (!to)
                continue;
            snprintf(moved, sizeof(moved), "%.256s%.256s", to, below);
        } else {
            memcpy(moved, model[i], sizeof(moved));
        }
        memcpy(model[kept++], moved, sizeof(moved));
    }
    model_count = kept;
}

static const char *on_the_move(const struct tn_event *event)
{
    return at("%u", event->cookie);
}

static int model_apply(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    if (!event->name)
        return 0;
    if (event->mask & IN_DELETE)
        model_move(event->pathname, NULL);
    if (event->mask & IN_MOVED_FROM)
        model_move(event->pathname, event->cookie ? on_the_move(event) : NULL);
    if (event->mask & IN_MOVED_TO) {
        model_move(event->pathname, NULL);
        if (event->cookie)
            model_move(on_the_move(event), event->pathname);
    }
    if (event->mask & (IN_CREATE | IN_MOVED_TO))
        model_add(event->pathname);
    return 0;
}

static int expect_modelled(tn_wd wd, const char *path, void *userdata)
{
    const struct tn__snapshot *snapshot = snapshot_of(wd);
    size_t length = strlen(path), told = 0;

    if (!snapshot)
        return 0;
    for (size_t i = 0; i < model_count; i++) {
        const char *name = model[i] + length + 1;
        if (strncmp(model[i], path, length) != 0 || model[i][length] != '/' || strchr(name, '/'))
            continue;
        cr_assert(tn__snapshot_get(snapshot, name, strlen(name), NULL), "%s is not kept", model[i]);
        told++;
    }
    cr_assert_eq(told, tn__snapshot_count(snapshot), "%s: %zu told, %zu kept", path, told,
                 tn__snapshot_count(snapshot));
    ++*(size_t *)userdata;
    return 0;
}

static unsigned below(unsigned limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % limit;
}

static const char *some_path(void)
{
    const char *path = "t";

    for (unsigned depth = 1 + below(4); depth; depth--)
        path = at("%s/%c", path, "abcde"[below(ITEMS)]);
    return path;
}

static void some_operation(void)
{
    const char *path = scratch(some_path()), *other = scratch(some_path());
    FILE *file;

    switch (below(10)) {
    case 0:
    case 1:
    case 2:
        mkdir(path, 0700);
        break;
    case 3:
    case 4:
        file = fopen(path, "a");
        if (file) {
            fputs("some text", file);
            fclose(file);
        }
        break;
    case 5:
    case 6:
        rename(path, other);
        break;
    case 7:
        chmod(path, 0700 | below(64));
        break;
    case 8:
        if (below(2))
            symlink("nowhere", path);
        else
            rename(path, scratch(at("out%u", below(3))));
        break;
    default:
        if (unlink(path) < 0 && rmdir(path) < 0)
            rename(scratch(at("out%u", below(3))), path);
    }
}

/* What has been read is told, and then is in the model as it is in the snapshots. */
static size_t read_and_compare(void)
{
    size_t compared = 0;

    tn_notifier_read_events(notifier);
    tn_notifier_process_events(notifier);
    cr_assert_eq(tn_watch_each(notifier, NULL, expect_modelled, &compared), 0);
    return compared;
}

static void make_first(const char *path)
{
    make_dir(path);
    model_add(scratch(path));
}

/* In the caller's thread. Some names are there before the add, and change before it is read. */
static void begin(uint64_t seed)
{
    const char *names = "abc";

    random_state = seed;
    model_count = 0;
    make_dir("t");
    for (unsigned i = 0; i < 3; i++) {
        make_first(at("t/%c", names[i]));
        for (unsigned j = 0; j < 3; j++)
            make_first(at("t/%c/%c", names[i], names[j]));
    }
    if (seed % 3 == 0)
        model_count = 0;
    stage_new_with(processing(model_apply, NULL), NULL);
    add(scratch("t"), ALL,
        TN_WATCH_TREE | TN_WATCH_SNAPSHOT | (seed % 3 == 0 ? TN_WATCH_EXISTING : 0));
}

static void end(void)
{
    notifier = tn_notifier_free(notifier);
    remove_tree("t");
    for (unsigned i = 0; i < 3; i++)
        if (unlink(scratch(at("out%u", i))) < 0 && errno == EISDIR)
            remove_tree(at("out%u", i));
}

static void rest(void)
{
    size_t compared = 0;

    expect_equal(ANY);
    cr_assert_eq(tn_watch_each(notifier, NULL, expect_modelled, &compared), 0);
    cr_assert_geq(compared, 1);
}

Test(snapshots_mixed, read_now_and_then)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        begin(seed);
        for (unsigned round = 0; round < 20; round++) {
            for (unsigned i = 0; i < 200; i++) {
                some_operation();
                if (below(20) == 0)
                    read_and_compare();
            }
            rest();
        }
        end();
    }
}

/* Another process works while this one lists, and between its lists and its markers. */
Test(snapshots_mixed, while_another_works)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        size_t compared = 0;
        begin(seed);
        pid_t child = fork();
        if (child == 0) {
            for (unsigned i = 0; i < 6000; i++)
                some_operation();
            _exit(0);
        }
        cr_assert_gt(child, 0);
        while (waitpid(child, NULL, WNOHANG) == 0)
            compared += read_and_compare();
        cr_assert_gt(compared, 10);
        rest();
        end();
    }
}

Test(snapshots_mixed, with_a_reader_thread)
{
    random_state = 77;
    make_dirs("t/a/b/c");
    stage_start();
    add("t", ALL, TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 500; i++)
            some_operation();
        expect_equal(ANY);
    }
}
