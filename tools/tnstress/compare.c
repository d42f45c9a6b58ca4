#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tnotify/watch.h>
#include <unistd.h>

#include "walk.h"

/* The paths of all watches of the add, sorted. */
struct watches {
    struct tn_notifier *notifier;
    tn_wd root;
    char **paths;
    bool *used;
    size_t count, capacity;
};

struct comparison {
    struct model *model;
    struct verdict *verdict;
    struct watches watches;
    struct pace pace;
    bool check_closed;
    bool had_gap;  /* what was closed may not have been told */
    bool is_lossy; /* files are taken as they are */
};

int pace_step(struct pace *pace)
{
    if (--pace->left)
        return 0;
    pace->left = pace->batch;
    return tn_notifier_settle(pace->notifier, -1);
}

static int keep_watch(tn_wd wd, const char *path, void *context)
{
    struct watches *watches = context;
    struct tn_watch_info info = TN_WATCH_INFO_INIT;

    if (tn_watch_get_info(watches->notifier, wd, &info) < 0 || info.root != watches->root)
        return 0;
    if (watches->count == watches->capacity) {
        size_t capacity = watches->capacity ? watches->capacity * 2 : 256;
        char **paths = reallocarray(watches->paths, capacity, sizeof(*paths));
        if (!paths)
            return -ENOMEM;
        watches->paths = paths;
        watches->capacity = capacity;
    }
    watches->paths[watches->count] = strdup(path);
    return watches->paths[watches->count++] ? 0 : -ENOMEM;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool find_watch(const struct watches *watches, const char *path)
{
    char **found =
        bsearch(&path, watches->paths, watches->count, sizeof(*watches->paths), compare_paths);

    if (found)
        watches->used[found - watches->paths] = true;
    return found;
}

static int compare_entry(const char *path, int fd, const char *name, const struct stat *status,
                         void *context)
{
    struct comparison *comparison = context;
    struct verdict *verdict = comparison->verdict;
    struct model *model = comparison->model;
    bool is_dir = S_ISDIR(status->st_mode);

    (void)fd;
    (void)name;
    if (comparison->is_lossy && !is_dir)
        model_keep_file(model, path);
    struct entry *entry = model_find(model, path);
    if (entry) {
        entry->seen = true;
        entry->closed = entry->closed || comparison->had_gap;
    }
    if (!entry)
        model_fault(model, &verdict->missed, "is there, but was not told", path);
    else if (entry->is_dir != is_dir)
        model_fault(model, &verdict->missed, "was told as another type", path);
    else if (comparison->check_closed && S_ISREG(status->st_mode) && !entry->closed)
        model_fault(model, &verdict->missed, "was not told to be complete", path);
    if (is_dir && !find_watch(&comparison->watches, path))
        model_fault(model, &verdict->unwatched, "is not watched", path);
    return is_dir ? pace_step(&comparison->pace) : 0;
}

static void fault_ghosts(struct model *model, struct entry *directory, char *path, size_t length)
{
    for (struct entry *entry = directory->child; entry; entry = entry->next) {
        size_t whole = length + (size_t)sprintf(path + length, "/%s", entry->name);
        if (!entry->seen)
            model_fault(model, &model_verdict(model)->missed, "has gone, but that was not told",
                        path);
        entry->seen = false;
        if (entry->is_dir)
            fault_ghosts(model, entry, path, whole);
    }
    path[length] = '\0';
}

static void fault_watches(struct comparison *comparison)
{
    const struct watches *watches = &comparison->watches;

    for (size_t i = 0; i < watches->count; i++)
        if (!watches->used[i])
            model_fault(comparison->model, &comparison->verdict->wrong_path,
                        i && strcmp(watches->paths[i], watches->paths[i - 1]) == 0
                            ? "a second watch"
                            : "a watch's path",
                        watches->paths[i]);
}

int compare_tree(struct model *model, struct pace pace, tn_wd root, bool check_closed)
{
    struct comparison comparison = {.model = model,
                                    .verdict = model_verdict(model),
                                    .pace = pace,
                                    .watches = {.notifier = pace.notifier, .root = root},
                                    .had_gap = model_had_gap(model),
                                    .check_closed = check_closed,
                                    .is_lossy = model_is_lossy(model)};
    struct watches *watches = &comparison.watches;
    static char path[65536];
    int result = tn_watch_each(pace.notifier, NULL, keep_watch, watches);

    if (comparison.is_lossy)
        model_forget_files(model);
    watches->used = calloc(watches->count + 1, sizeof(*watches->used));
    if (!watches->used)
        result = -ENOMEM;
    if (result == 0) {
        if (watches->count)
            qsort(watches->paths, watches->count, sizeof(*watches->paths), compare_paths);
        result = walk_tree(model_root_path(model), compare_entry, &comparison);
    }
    if (result == 0) {
        model_rest(model);
        fault_ghosts(model, model_root(model), path,
                     (size_t)sprintf(path, "%s", model_root_path(model)));
        fault_watches(&comparison);
    }
    for (size_t i = 0; i < watches->count; i++)
        free(watches->paths[i]);
    free(watches->paths);
    free(watches->used);
    return result;
}
