/*
 * A stack of levels, one for each directory on the way from the start to where
 * the crawl is. Each level has been listed to its end before anything below it
 * is opened; the names of the directories that it holds and that are still to
 * be opened stand in one byte stack that all levels share:
 *
 *   level 0            level 1      level 2
 *   [a][b][c][d]       [e][f]       [g][h][i]
 *       ^next: c is        ^next        ^next
 *        level 1's own name is b
 *
 * So memory is that of the names beside the way, and nothing recurses.
 *
 * The descriptors of the lowest TN__OPEN_LEVELS levels stay open. When one
 * more is needed the topmost is closed, and its device and inode are kept. On
 * the way back it is found again by "..", or, when the directory was moved
 * meanwhile, by the names from the start; either is taken only when device and
 * inode are the same.
 */
#include "tree/crawl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler.h"

/* A reopening needs two more for a moment, an op perhaps one: below 64 in all. */
#define TN__OPEN_LEVELS 60

#define TN__OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define TN__OPEN_WAY (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

struct level {
    int fd; /* -1: closed for now */
    bool left;
    uint32_t id;
    size_t name;             /* its own name, in names; level 0 has none */
    size_t first, next, end; /* its directories, in names: all; the one to open; the end */
    dev_t device;            /* these two once it has been closed */
    ino_t inode;
};

struct walk {
    const struct tn__crawl_ops *ops;
    void *context;
    struct level *levels;
    size_t depth, levels_capacity;
    size_t top;  /* levels from here to depth are open, and level 0, the caller's descriptor */
    size_t lost; /* levels from here on cannot be found again */
    char *names;
    size_t names_size, names_capacity;
    void *buffer;
    int stopped; /* what an entry returned to end the crawl; else 0 */
    bool own_cwd;
};

/* Some file systems leave the type out. */
static unsigned char type_of(int fd, const struct dirent64 *item, const char *name)
{
    struct stat stat;

    if (item->d_type != DT_UNKNOWN || fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return item->d_type;
    return (unsigned char)IFTODT(stat.st_mode);
}

static int list(int fd, void *buffer, size_t size,
                int (*entry)(void *context, const char *name, size_t length, unsigned char type),
                void *context)
{
    for (;;) {
        ssize_t got = getdents64(fd, buffer, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        for (size_t at = 0; at < (size_t)got;) {
            const struct dirent64 *item = (void *)((char *)buffer + at);
            const char *name = (const char *)item + offsetof(struct dirent64, d_name);

            at += item->d_reclen;
            if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
                continue;
            int result = entry(context, name, strlen(name), type_of(fd, item, name));
            if (result < 0)
                return result;
        }
    }
}

int tn__dir_list(int fd, void *buffer, size_t size,
                 int (*entry)(void *context, const char *name, size_t length, unsigned char type),
                 void *context)
{
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    return list(fd, buffer, size, entry, context);
}

/* A name in names is its length in two bytes (a directory record has no more), the bytes, NUL. */
static const char *name_at(const struct walk *walk, size_t at, size_t *ret_length)
{
    uint16_t length;

    memcpy(&length, walk->names + at, sizeof(length));
    *ret_length = length;
    return walk->names + at + sizeof(length);
}

static size_t name_space(size_t length)
{
    return sizeof(uint16_t) + length + 1;
}

static int grow(void **array, size_t *capacity, size_t item, size_t needed)
{
    size_t wanted = *capacity ? *capacity : 64;
    void *grown;

    while (wanted < needed)
        wanted *= 2;
    grown = realloc(*array, wanted * item);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *capacity = wanted;
    return 0;
}

static int keep_name(struct walk *walk, const char *name, size_t length)
{
    size_t needed = walk->names_size + name_space(length);
    uint16_t stored = (uint16_t)length;
    char *at;

    if (TN__UNLIKELY(needed > walk->names_capacity)) {
        void *names = walk->names;
        if (grow(&names, &walk->names_capacity, 1, needed) < 0)
            return -ENOMEM;
        walk->names = names;
    }
    at = walk->names + walk->names_size;
    memcpy(at, &stored, sizeof(stored));
    memcpy(at + sizeof(stored), name, length + 1);
    walk->names_size = needed;
    return 0;
}

static int list_entry(void *context, const char *name, size_t length, unsigned char type)
{
    struct walk *walk = context;
    uint32_t parent = walk->levels[walk->depth - 1].id;
    int result = walk->ops->entry(walk->context, parent, name, length, type);

    if (type == DT_DIR && result > 0) {
        result = keep_name(walk, name, length);
        if (result < 0)
            result = walk->ops->failed(walk->context, parent, name, length, result);
    }
    if (result < 0)
        walk->stopped = result;
    return result;
}

static int open_below(struct walk *walk, int fd, const char *name, int flags);

static int list_level(struct walk *walk, bool rewind)
{
    struct level *level = &walk->levels[walk->depth - 1];
    uint32_t id = level->id;
    const bool quiet = walk->ops->left;
    int fd = quiet ? open_below(walk, level->fd, ".", TN__OPEN_DIR) : level->fd;
    int result = fd;

    if (fd >= 0)
        result = (rewind ? tn__dir_list : list)(fd, walk->buffer, TN__DIR_BUFFER, list_entry, walk);
    if (quiet && fd >= 0)
        close(fd);
    level->end = walk->names_size;
    if (walk->stopped)
        return walk->stopped;
    return result < 0 ? walk->ops->failed(walk->context, id, "", 0, result) : 0;
}

static int push_level(struct walk *walk, int fd, uint32_t id, size_t name)
{
    if (walk->depth == walk->levels_capacity) {
        void *levels = walk->levels;
        if (grow(&levels, &walk->levels_capacity, sizeof(struct level), walk->depth + 1) < 0)
            return -ENOMEM;
        walk->levels = levels;
    }
    walk->levels[walk->depth++] = (struct level){
        .fd = fd,
        .id = id,
        .name = name,
        .first = walk->names_size,
        .next = walk->names_size,
        .end = walk->names_size,
    };
    return 0;
}

static bool is_level(int fd, const struct level *level)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 && stat.st_dev == level->device && stat.st_ino == level->inode;
}

static void leave(struct walk *walk, const struct level *level)
{
    if (!walk->ops->left || walk->stopped)
        return;
    int result = walk->ops->left(walk->context, level->id, level->fd);
    walk->stopped = result < 0 ? result : 0;
}

/* Closes the topmost open level, but not the lowest. False: there is none. */
static bool close_top(struct walk *walk)
{
    struct level *level = &walk->levels[walk->top];
    struct stat stat = {0};

    if (walk->top + 1 >= walk->depth)
        return false;
    if (fstat(level->fd, &stat) == 0) {
        level->device = stat.st_dev;
        level->inode = stat.st_ino;
    }
    if (!level->left)
        leave(walk, level);
    level->left = true;
    close(level->fd);
    level->fd = -1;
    walk->top++;
    return true;
}

/* The caller makes room for one descriptor by closing a level when there is none left. */
static int open_below(struct walk *walk, int fd, const char *name, int flags)
{
    for (;;) {
        int opened = openat(fd, name, flags);
        if (opened >= 0)
            return opened;
        if (errno == EINTR || ((errno == EMFILE || errno == ENFILE) && close_top(walk)))
            continue;
        return -errno;
    }
}

static void reopened(struct walk *walk, size_t index, int fd)
{
    walk->levels[index].fd = fd;
    walk->top = index;
}

static void reopen_up(struct walk *walk, size_t index, int below)
{
    int fd = open_below(walk, below, "..", TN__OPEN_WAY);

    if (fd < 0)
        return;
    if (is_level(fd, &walk->levels[index]))
        reopened(walk, index, fd);
    else
        close(fd);
}

/* By the names from the start. A level that is not found there is lost, and those below it. */
static void reopen_down(struct walk *walk, size_t index)
{
    int fd = walk->levels[0].fd;

    for (size_t i = 1; i <= index; i++) {
        size_t length;
        const char *name = name_at(walk, walk->levels[i].name, &length);
        int next = open_below(walk, fd, name, TN__OPEN_WAY);

        if (i > 1)
            close(fd);
        if (next >= 0 && !is_level(next, &walk->levels[i])) {
            close(next);
            next = -1;
        }
        if (next < 0) {
            walk->lost = i;
            return;
        }
        fd = next;
    }
    reopened(walk, index, fd);
}

/* Ends the lowest level and sees to it that the one above is open again. */
static void pop_level(struct walk *walk)
{
    struct level *level = &walk->levels[--walk->depth];

    walk->names_size = level->first;
    if (walk->depth > 1 && walk->levels[walk->depth - 1].fd < 0 && level->fd >= 0)
        reopen_up(walk, walk->depth - 1, level->fd);
    if (walk->depth > 0 && !level->left)
        leave(walk, level);
    if (walk->depth > 0 && level->fd >= 0)
        close(level->fd);
    walk->top = tn__max(tn__min(walk->top, walk->depth), 1);
    if (walk->lost >= walk->depth)
        walk->lost = SIZE_MAX;
}

/* A directory was opened: shows it, and goes down into it when it is wanted. Takes fd over. */
static int enter(struct walk *walk, uint32_t parent, size_t name_offset, int fd)
{
    bool in_cwd = walk->own_cwd && fchdir(fd) == 0;
    uint32_t id = 0;
    size_t length;
    const char *name = name_at(walk, name_offset, &length);
    int result = walk->ops->directory(walk->context, parent, name, length, fd, in_cwd, &id);

    if (result <= 0) {
        close(fd);
        return result;
    }
    result = push_level(walk, fd, id, name_offset);
    if (result < 0) {
        close(fd);
        return walk->ops->failed(walk->context, id, "", 0, result);
    }
    return list_level(walk, false);
}

/* The next directory of the lowest level. */
static int step(struct walk *walk)
{
    size_t index = walk->depth - 1;
    struct level *level = &walk->levels[index];
    size_t length, offset = level->next;
    const char *name = name_at(walk, offset, &length);
    int fd;

    level->next += name_space(length);
    if (level->fd < 0 && index < walk->lost)
        reopen_down(walk, index);
    if (level->fd < 0)
        return walk->ops->failed(walk->context, level->id, name, length, -ESTALE);
    if (walk->depth - walk->top >= TN__OPEN_LEVELS)
        close_top(walk);
    fd = open_below(walk, level->fd, name, walk->ops->left ? TN__OPEN_WAY : TN__OPEN_DIR);
    if (fd < 0)
        return walk->ops->failed(walk->context, level->id, name, length, fd);
    return enter(walk, level->id, offset, fd);
}

static int run(struct walk *walk)
{
    int result = list_level(walk, true);

    while (result >= 0 && walk->depth > 0) {
        const struct level *level = &walk->levels[walk->depth - 1];
        if (level->next < level->end)
            result = step(walk);
        else
            pop_level(walk);
        result = walk->stopped < 0 ? walk->stopped : result;
    }
    for (size_t i = walk->top; i < walk->depth; i++)
        close(walk->levels[i].fd);
    return result < 0 ? result : 0;
}

int tn__crawl_walk(int fd, uint32_t id, bool own_cwd, const struct tn__crawl_ops *ops,
                   void *context)
{
    struct walk walk = {
        .ops = ops,
        .context = context,
        .top = 1,
        .lost = SIZE_MAX,
        .buffer = malloc(TN__DIR_BUFFER),
        .own_cwd = own_cwd,
    };
    int result = -ENOMEM;

    if (walk.buffer && push_level(&walk, fd, id, 0) == 0)
        result = run(&walk);
    if (own_cwd && chdir("/") < 0)
        result = result < 0 ? result : -errno;
    free(walk.buffer);
    free(walk.levels);
    free(walk.names);
    return result;
}
