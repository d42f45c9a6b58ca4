#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"
#include "walk.h"

static const char probe_name[] = ".tnstress-probe";

struct probe {
    struct model *model;
    struct pace pace;
    bool expect;
};

static int make_probe(const char *path, int fd, const char *name, const struct stat *status,
                      void *context)
{
    char file[4096];

    (void)path;
    if (!S_ISDIR(status->st_mode))
        return 0;
    if (snprintf(file, sizeof(file), "%s/%s", name, probe_name) >= (int)sizeof(file))
        return -ENAMETOOLONG;
    int probe = openat(fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (probe < 0)
        return -errno;
    close(probe);
    return pace_step(&((struct probe *)context)->pace);
}

static int remove_probe(const char *path, int fd, const char *name, const struct stat *status,
                        void *context)
{
    (void)path;
    if (!S_ISREG(status->st_mode) || strcmp(name, probe_name) != 0)
        return 0;
    if (unlinkat(fd, name, 0) < 0)
        return -errno;
    return pace_step(&((struct probe *)context)->pace);
}

static int look_for_probe(const char *path, int fd, const char *name, const struct stat *status,
                          void *context)
{
    struct probe *probe = context;
    struct entry *entry = model_find(probe->model, path);

    (void)fd;
    (void)name;
    if (!entry || !S_ISDIR(status->st_mode) || model_is_lossy(probe->model))
        return 0;
    if (!model_child(probe->model, entry, probe_name) == probe->expect)
        model_fault(probe->model, &model_verdict(probe->model)->unwatched,
                    probe->expect ? "its watch does not tell" : "its watch does not tell the end",
                    path);
    return pace_step(&probe->pace);
}

int compare_probe(struct model *model, struct pace pace)
{
    const char *root = model_root_path(model);
    struct tn_notifier *notifier = pace.notifier;
    struct probe probe = {.model = model, .pace = pace, .expect = true};
    int result = walk_tree(root, make_probe, &probe);

    if (result == 0)
        result = tn_notifier_settle(notifier, -1);
    if (result == 0)
        result = walk_tree(root, look_for_probe, &probe);
    if (result == 0)
        result = walk_tree(root, remove_probe, &probe);
    if (result == 0)
        result = tn_notifier_settle(notifier, -1);
    probe.expect = false;
    return result < 0 ? result : walk_tree(root, look_for_probe, &probe);
}

struct inodes {
    unsigned long long *items;
    size_t count, capacity;
};

static int keep_inode(const char *path, int fd, const char *name, const struct stat *status,
                      void *context)
{
    struct inodes *inodes = context;

    (void)path;
    (void)fd;
    (void)name;
    if (!S_ISDIR(status->st_mode))
        return 0;
    if (inodes->count == inodes->capacity) {
        size_t capacity = inodes->capacity ? inodes->capacity * 2 : 256;
        unsigned long long *items = reallocarray(inodes->items, capacity, sizeof(*items));
        if (!items)
            return -ENOMEM;
        inodes->items = items;
        inodes->capacity = capacity;
    }
    inodes->items[inodes->count++] = status->st_ino;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    unsigned long long left = *(const unsigned long long *)a;
    unsigned long long right = *(const unsigned long long *)b;

    return (left > right) - (left < right);
}

static unsigned count_strays(const char *file, const struct inodes *inodes)
{
    FILE *info = fopen(file, "re");
    unsigned strays = 0;
    char line[512];

    while (info && fgets(line, sizeof(line), info)) {
        const char *at = strstr(line, " ino:");
        if (strncmp(line, "inotify wd:", 11) != 0 || !at)
            continue;
        unsigned long long inode = strtoull(at + 5, NULL, 16);
        strays += !bsearch(&inode, inodes->items, inodes->count, sizeof(inode), compare_numbers);
    }
    if (info)
        fclose(info);
    return strays;
}

int compare_kernel(struct model *model, unsigned extra)
{
    struct inodes inodes = {0};
    unsigned strays = 0;
    int result = walk_tree(model_root_path(model), keep_inode, &inodes);
    DIR *directory = result == 0 ? opendir("/proc/self/fdinfo") : NULL;
    struct dirent *entry;
    char text[320];

    if (inodes.count)
        qsort(inodes.items, inodes.count, sizeof(*inodes.items), compare_numbers);
    while (directory && (entry = readdir(directory)) != NULL) {
        snprintf(text, sizeof(text), "/proc/self/fdinfo/%s", entry->d_name);
        strays += count_strays(text, &inodes);
    }
    if (directory)
        closedir(directory);
    free(inodes.items);
    if (strays > extra) {
        snprintf(text, sizeof(text), "%u kernel watches", strays - extra);
        model_fault(model, &model_verdict(model)->stray, "on nothing of the tree", text);
    }
    return result;
}
