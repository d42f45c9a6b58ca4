/*
 * The kernel's inotify. The only file that makes inotify system calls.
 *
 * The marker. Two private memfd inodes, of which one has a standing watch that
 * nothing can fire. A mark adds a watch on the other one and removes the
 * standing one, which queues IN_IGNORED of a wd that only we know. The add
 * comes first, so that a failure to add loses nothing; where it fails because
 * the user's watches are used up, the removal makes room for it. When another
 * process takes that room the mark still stands, and the next mark has to get
 * a watch first.
 */
#include "source/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "array.h"
#include "compiler.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* An event that a memfd never has. */
#define TN__MARK_MASK IN_MOVE_SELF

struct inotify_source {
    struct tn__source source;
    int fd;                    /* constant */
    int memfd[2];              /* constant */
    pthread_mutex_t mark_lock; /* guards the two below */
    int standing;              /* wd of the standing watch, -1: none */
    unsigned side;             /* the memfd that it is on, or that the next one goes on */
};

static struct inotify_source *inotify_source(struct tn__source *source)
{
    return tn__container_of(source, struct inotify_source, source);
}

static int inotify_fd(struct tn__source *source)
{
    return inotify_source(source)->fd;
}

static ssize_t inotify_read(struct tn__source *source, void *buffer, size_t size)
{
    int fd = inotify_source(source)->fd;
    ssize_t got;

    do
        got = read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* The wd or a negative errno. */
static int add_path(int inotify, const char *path, uint32_t mask)
{
    int wd = inotify_add_watch(inotify, path, mask);

    return wd < 0 ? -errno : wd;
}

/*
 * The links in /proc must be followed. /proc/self is the main thread's: when
 * that has ended and others go on, its fd directory is empty. A link to an
 * open file always resolves, so ENOENT can only come from the way there.
 */
static int add_fd(int inotify, int fd, uint32_t mask)
{
    char path[48];
    int wd;

    mask &= ~(uint32_t)IN_DONT_FOLLOW;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    wd = add_path(inotify, path, mask);
    if (wd != -ENOENT)
        return wd;
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
    return add_path(inotify, path, mask);
}

static int inotify_watch(struct tn__source *source, int fd, const char *path, uint32_t mask,
                         uint64_t *ret_key)
{
    int inotify = inotify_source(source)->fd;
    int wd = fd == AT_FDCWD ? add_path(inotify, path, mask) : add_fd(inotify, fd, mask);

    if (wd < 0)
        return wd;
    *ret_key = (uint64_t)wd;
    return 0;
}

static int inotify_unwatch(struct tn__source *source, uint64_t key)
{
    if (key > INT32_MAX)
        return -EINVAL;
    return inotify_rm_watch(inotify_source(source)->fd, (int)key) < 0 ? -errno : 0;
}

/* proc_pid_fdinfo(5) has a line for each watch. */
static int read_keys(FILE *file, uint64_t **keys, size_t *count)
{
    size_t capacity = 0;
    char line[256];
    unsigned wd;

    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "inotify wd:%x", &wd) != 1)
            continue;
        uint64_t *more = tn__array_room(*keys, *count, &capacity, sizeof(**keys));
        if (!more)
            return -ENOMEM;
        *keys = more;
        more[(*count)++] = wd;
    }
    return ferror(file) ? -EIO : 0;
}

static int inotify_keys(struct tn__source *source, uint64_t **ret_keys, size_t *ret_count)
{
    uint64_t *keys = NULL;
    size_t count = 0;
    char path[48];

    snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", inotify_source(source)->fd);
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    int result = read_keys(file, &keys, &count);
    fclose(file);
    if (result < 0) {
        free(keys);
        return result;
    }
    if (count)
        qsort(keys, count, sizeof(*keys), tn__source_compare_keys);
    *ret_keys = keys;
    *ret_count = count;
    return 0;
}

static int add_standing(const struct inotify_source *self, unsigned side)
{
    return add_fd(self->fd, self->memfd[side], TN__MARK_MASK);
}

static int mark_locked(struct inotify_source *self, uint64_t *ret_key)
{
    unsigned other = self->side ^ 1;
    int next;

    if (self->standing < 0) {
        int wd = add_standing(self, self->side);
        if (wd < 0)
            return wd;
        self->standing = wd;
    }
    next = add_standing(self, other);
    if (inotify_rm_watch(self->fd, self->standing) < 0) {
        int error = -errno;
        self->standing = next;
        self->side = other;
        return error;
    }
    *ret_key = (uint64_t)self->standing;
    self->standing = next >= 0 ? next : add_standing(self, other);
    self->side = other;
    return 0;
}

static int inotify_mark(struct tn__source *source, uint64_t *ret_key)
{
    struct inotify_source *self = inotify_source(source);
    int result;

    pthread_mutex_lock(&self->mark_lock);
    result = mark_locked(self, ret_key);
    pthread_mutex_unlock(&self->mark_lock);
    return result;
}

/* The instance goes first: the end of a memfd would be an event. */
static void inotify_close(struct tn__source *source)
{
    struct inotify_source *self = inotify_source(source);

    if (self->fd >= 0)
        close(self->fd);
    for (size_t i = 0; i < TN__COUNT(self->memfd); i++)
        if (self->memfd[i] >= 0)
            close(self->memfd[i]);
    pthread_mutex_destroy(&self->mark_lock);
    free(self);
}

static const struct tn__source_ops inotify_ops = {
    .fd = inotify_fd,
    .read = inotify_read,
    .watch = inotify_watch,
    .unwatch = inotify_unwatch,
    .keys = inotify_keys,
    .mark = inotify_mark,
    .close = inotify_close,
};

/* Kernels before 6.3 do not know the flag; some later ones insist on it. */
static int open_memfd(void)
{
    int fd = memfd_create("tnotify-marker", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("tnotify-marker", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Opens all descriptors; what was opened before a failure is left to inotify_close. */
static int open_all(struct inotify_source *self)
{
    self->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (self->fd < 0)
        return -errno;
    for (size_t i = 0; i < TN__COUNT(self->memfd); i++) {
        self->memfd[i] = open_memfd();
        if (self->memfd[i] < 0)
            return self->memfd[i];
    }
    /* Without room for a watch now, the first mark tries again. */
    self->standing = add_standing(self, self->side);
    return 0;
}

int tn__source_new_inotify(struct tn__source **ret_source)
{
    struct inotify_source *self = malloc(sizeof(*self));
    int result;

    if (!self)
        return -ENOMEM;
    *self = (struct inotify_source){
        .source.ops = &inotify_ops,
        .fd = -1,
        .memfd = {-1, -1},
        .standing = -1,
    };
    result = pthread_mutex_init(&self->mark_lock, NULL);
    if (result) {
        free(self);
        return -result;
    }
    result = open_all(self);
    if (result < 0) {
        inotify_close(&self->source);
        return result;
    }
    *ret_source = &self->source;
    return 0;
}
