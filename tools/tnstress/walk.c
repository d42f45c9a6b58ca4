#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 16384 };

struct walk {
    walk_fn visit;
    void *context;
    char path[PATH_SIZE];
};

static int walk_below(struct walk *walk, int fd, size_t length);

static int walk_entry(struct walk *walk, int fd, const char *name, size_t length)
{
    bool is_root = fd == AT_FDCWD;
    struct stat status;

    if (fstatat(fd, name, &status, is_root ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    int result = walk->visit(walk->path, fd, name, &status, walk->context);
    if (result || !S_ISDIR(status.st_mode))
        return result;
    int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_root ? 0 : O_NOFOLLOW));
    if (below < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
    return walk_below(walk, below, length);
}

/* Takes fd. */
static int walk_below(struct walk *walk, int fd, size_t length)
{
    DIR *directory = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        size_t more = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (length + more + 2 > PATH_SIZE) {
            result = -ENAMETOOLONG;
            break;
        }
        walk->path[length] = '/';
        memcpy(walk->path + length + 1, entry->d_name, more + 1);
        result = walk_entry(walk, fd, entry->d_name, length + 1 + more);
        walk->path[length] = '\0';
    }
    closedir(directory);
    return result;
}

int walk_tree(const char *root, walk_fn visit, void *context)
{
    struct walk walk = {.visit = visit, .context = context};
    size_t length = strlen(root);

    if (length + 1 > PATH_SIZE)
        return -ENAMETOOLONG;
    memcpy(walk.path, root, length + 1);
    return walk_entry(&walk, AT_FDCWD, root, length);
}

static void remove_below(int fd)
{
    DIR *directory = fdopendir(fd);
    struct dirent *entry;

    if (!directory) {
        close(fd);
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) == 0 || (errno != EISDIR && errno != EPERM))
            continue;
        int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            remove_below(below);
        unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
    closedir(directory);
}

void walk_remove(const char *root)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        unlink(root);
        return;
    }
    remove_below(fd);
    rmdir(root);
}
