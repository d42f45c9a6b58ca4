#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tnstress/model.h"
#include "tnstress/trace.h"
#include "tnstress/walk.h"

struct tree {
    struct model *model; /* NULL: the add does not ask for enough */
    uint64_t held;       /* entries that were there at the add */
    struct tn_notifier *notifier;
    tn_wd root;
    size_t directories, watches;
    bool is_lossy; /* files were lost: they are taken as they are */
    char path[];
};

void trace_note(const char *text)
{
    (void)text;
}

/* What is there already, as an event that comes before all others. */
static int hold(const char *path, int fd, const char *name, const struct stat *status,
                void *context)
{
    struct tree *tree = context;
    char parent[4096];

    (void)fd;
    if (strcmp(path, tree->path) == 0)
        return 0;
    snprintf(parent, sizeof(parent), "%.*s", (int)(strlen(path) - strlen(name) - 1), path);
    const struct tn_event event = {.mask =
                                       S_ISDIR(status->st_mode) ? IN_CREATE | IN_ISDIR : IN_CREATE,
                                   .path = parent,
                                   .name = name,
                                   .pathname = path,
                                   .sequence = ++tree->held};
    model_apply(tree->model, &event);
    return 0;
}

struct tree *tree_new(const char *path, bool has_all, uint32_t flags)
{
    struct tree *tree = calloc(1, sizeof(*tree) + strlen(path) + 1);

    if (!tree)
        exit(2);
    strcpy(tree->path, path);
    tree->model = has_all ? model_new(path) : NULL;
    if (tree->model)
        model_expect_all(tree->model, flags & TN_WATCH_SNAPSHOT);
    if (tree->model && !(flags & TN_WATCH_EXISTING))
        walk_tree(path, hold, tree);
    return tree;
}

void tree_free(struct tree *tree)
{
    model_free(tree->model);
    free(tree);
}

void tree_apply(struct tree *tree, const struct tn_event *event)
{
    struct tn_event behind = *event;

    if (!tree->model)
        return;
    behind.sequence += tree->held;
    model_apply(tree->model, &behind);
}

struct search {
    const struct tree *tree;
    const char *path;
    tn_wd wd;
};

static bool is_own(const struct tree *tree, tn_wd wd)
{
    struct tn_watch_info info = TN_WATCH_INFO_INIT;

    return tn_watch_get_info(tree->notifier, wd, &info) == 0 && info.root == tree->root;
}

static int look(tn_wd wd, const char *path, void *context)
{
    struct search *search = context;

    if (strcmp(path, search->path) == 0 && is_own(search->tree, wd))
        search->wd = wd;
    return 0;
}

/* The add's watch at a path; -1: none. */
static tn_wd watch_at(const struct tree *tree, const char *path)
{
    struct search search = {.tree = tree, .path = path, .wd = -1};

    tn_watch_each(tree->notifier, NULL, look, &search);
    return search.wd;
}

static int count_own(tn_wd wd, const char *path, void *context)
{
    struct tree *tree = context;

    (void)path;
    tree->watches += is_own(tree, wd);
    return 0;
}

static int compare(const char *path, int fd, const char *name, const struct stat *status,
                   void *context)
{
    struct tree *tree = context;
    bool is_dir = S_ISDIR(status->st_mode);
    struct verdict *verdict = model_verdict(tree->model);

    (void)fd;
    (void)name;
    if (tree->is_lossy && !is_dir)
        model_keep_file(tree->model, path);
    struct entry *entry = model_find(tree->model, path);
    if (entry)
        entry->seen = true;
    if (!entry || (entry != model_root(tree->model) && entry->is_dir != is_dir))
        model_fault(tree->model, &verdict->missed, "is there, and was not told", path);
    tree->directories += is_dir;
    if (is_dir && watch_at(tree, path) < 0)
        model_fault(tree->model, &verdict->unwatched, "has no watch", path);
    return 0;
}

static void find_ghosts(struct tree *tree, struct entry *directory)
{
    for (struct entry *entry = directory->child; entry; entry = entry->next) {
        if (!entry->seen)
            model_fault(tree->model, &model_verdict(tree->model)->missed,
                        "is not there, and its going was not told", entry->name);
        find_ghosts(tree, entry);
    }
}

static bool is_true(const struct tree *tree)
{
    const struct verdict *verdict = model_verdict(tree->model);

    return !(verdict->missed || verdict->duplicated || verdict->wrong_path || verdict->unwatched);
}

bool tree_check(struct tree *tree, struct tn_notifier *notifier, tn_wd root)
{
    struct tn_watch_info info = TN_WATCH_INFO_INIT;

    if (!tree->model)
        return true;
    tree->notifier = notifier;
    tree->root = root;
    /* An add that has ended is told nothing more. */
    if (tn_watch_get_info(notifier, root, &info) < 0)
        return is_true(tree);
    tree->is_lossy = model_is_lossy(tree->model);
    if (tree->is_lossy)
        model_forget_files(tree->model);
    walk_tree(tree->path, compare, tree);
    model_rest(tree->model);
    find_ghosts(tree, model_root(tree->model));
    tn_watch_each(notifier, NULL, count_own, tree);
    if (tree->watches != tree->directories)
        fprintf(stderr, "%s: %zu directories, but %zu watches\n", tree->path, tree->directories,
                tree->watches);
    return is_true(tree) && tree->watches == tree->directories;
}
