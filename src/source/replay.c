/*
 * A stream that a test writes. One mutex guards everything; an eventfd is
 * readable while there are records or the end has been declared.
 *
 * Each watched inode is held open by an O_PATH descriptor, so that its number
 * is not given to another file while the watch stands (a kernel watch pins the
 * inode likewise).
 */
#include "source/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler.h"

struct record {
    struct record *next;
    size_t size;
    char bytes[]; /* struct inotify_event and its name */
};

struct watch {
    struct watch *next;
    uint64_t key;
    uint32_t mask;
    int pin;
    dev_t device;
    ino_t inode;
};

struct failure {
    unsigned count;
    int error;
};

struct replay {
    struct tn__source source;
    int ready;            /* constant */
    pthread_mutex_t lock; /* guards all below but the hook */
    struct record *first, **last;
    struct watch *watches;
    uint64_t next_key;
    struct failure failures[TN__REPLAY_CALLS];
    bool ended;
    void (*hook)(void *context, enum tn__replay_call call); /* set while no call runs */
    void *hook_context;
};

static struct replay *replay(struct tn__source *source)
{
    return tn__container_of(source, struct replay, source);
}

static struct watch **find_key(struct replay *self, uint64_t key)
{
    struct watch **at = &self->watches;

    while (*at && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

static struct watch **find_inode(struct replay *self, const struct stat *stat)
{
    struct watch **at = &self->watches;

    while (*at && ((*at)->inode != stat->st_ino || (*at)->device != stat->st_dev))
        at = &(*at)->next;
    return at;
}

static void forget(struct watch **at)
{
    struct watch *watch = *at;

    if (!watch)
        return;
    *at = watch->next;
    close(watch->pin);
    free(watch);
}

/* Also skips the keys of standing watches, as the kernel does after its wds wrapped around. */
static uint64_t take_key(struct replay *self)
{
    do
        self->next_key = self->next_key >= INT32_MAX ? 1 : self->next_key + 1;
    while (*find_key(self, self->next_key));
    return self->next_key;
}

static int failure(struct replay *self, enum tn__replay_call call)
{
    struct failure *failure = &self->failures[call];

    if (failure->count == 0)
        return 0;
    failure->count--;
    return -failure->error;
}

static void set_ready(struct replay *self)
{
    eventfd_write(self->ready, 1);
}

static int push(struct replay *self, uint64_t key, uint32_t mask, uint32_t cookie, const char *name)
{
    size_t length = name ? strlen(name) : 0;
    size_t space = length ? (length + sizeof(struct inotify_event)) & ~(size_t)15 : 0;
    struct inotify_event head = {
        .wd = key == TN__REPLAY_NO_KEY ? -1 : (int)key,
        .mask = mask,
        .cookie = cookie,
        .len = (uint32_t)space,
    };
    struct record *record;

    if (key > INT32_MAX && key != TN__REPLAY_NO_KEY)
        return -EINVAL;
    record = calloc(1, sizeof(*record) + sizeof(head) + space);
    if (!record)
        return -ENOMEM;
    record->size = sizeof(head) + space;
    memcpy(record->bytes, &head, sizeof(head));
    if (length)
        memcpy(record->bytes + sizeof(head), name, length);
    *self->last = record;
    self->last = &record->next;
    if (mask & IN_IGNORED)
        forget(find_key(self, key));
    set_ready(self);
    return 0;
}

static int replay_fd(struct tn__source *source)
{
    return replay(source)->ready;
}

static ssize_t take(struct replay *self, char *buffer, size_t size)
{
    size_t used = 0;

    while (self->first && self->first->size <= size - used) {
        struct record *record = self->first;
        memcpy(buffer + used, record->bytes, record->size);
        used += record->size;
        self->first = record->next;
        free(record);
    }
    if (used == 0 && self->first)
        return -EINVAL;
    if (!self->first) {
        self->last = &self->first;
        if (!self->ended) {
            eventfd_t count;
            eventfd_read(self->ready, &count);
        }
    }
    if (used == 0 && !self->ended)
        return -EAGAIN;
    return (ssize_t)used;
}

static ssize_t replay_read(struct tn__source *source, void *buffer, size_t size)
{
    struct replay *self = replay(source);
    ssize_t result;

    pthread_mutex_lock(&self->lock);
    result = failure(self, TN__REPLAY_READ);
    if (result == 0)
        result = take(self, buffer, size);
    pthread_mutex_unlock(&self->lock);
    return result;
}

/* A descriptor of our own for what is to be watched, and its stat. */
static int pin(int fd, const char *path, uint32_t mask, struct stat *ret_stat)
{
    int flags = O_PATH | O_CLOEXEC | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0);
    int own = fd == AT_FDCWD ? open(path, flags) : fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (own < 0)
        return -errno;
    fstat(own, ret_stat);
    if ((mask & IN_ONLYDIR) && !S_ISDIR(ret_stat->st_mode)) {
        close(own);
        return -ENOTDIR;
    }
    return own;
}

static int rewatch(struct watch *watch, uint32_t mask, uint64_t *ret_key)
{
    if (mask & IN_MASK_CREATE)
        return -EEXIST;
    watch->mask = mask & IN_MASK_ADD ? watch->mask | mask : mask;
    *ret_key = watch->key;
    return 0;
}

/* Takes own over in every case. */
static int watch_locked(struct replay *self, int own, const struct stat *stat, uint32_t mask,
                        uint64_t *ret_key)
{
    struct watch *watch = *find_inode(self, stat);
    const bool is_exempt = watch && self->failures[TN__REPLAY_WATCH].error == ENOSPC;
    int result = is_exempt ? 0 : failure(self, TN__REPLAY_WATCH);

    if (result == 0 && watch)
        result = rewatch(watch, mask, ret_key);
    if (result < 0 || watch) {
        close(own);
        return result;
    }
    watch = malloc(sizeof(*watch));
    if (!watch) {
        close(own);
        return -ENOMEM;
    }
    *watch = (struct watch){
        .next = self->watches,
        .key = take_key(self),
        .mask = mask & ~(uint32_t)IN_MASK_CREATE,
        .pin = own,
        .device = stat->st_dev,
        .inode = stat->st_ino,
    };
    self->watches = watch;
    *ret_key = watch->key;
    return 0;
}

static void run_hook(struct replay *self, enum tn__replay_call call)
{
    if (self->hook)
        self->hook(self->hook_context, call);
}

static int replay_watch(struct tn__source *source, int fd, const char *path, uint32_t mask,
                        uint64_t *ret_key)
{
    struct replay *self = replay(source);
    struct stat stat;
    int result, own;

    run_hook(self, TN__REPLAY_WATCH);
    if (!(mask & IN_ALL_EVENTS) || ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE)))
        return -EINVAL;
    own = pin(fd, path, mask, &stat);
    if (own < 0)
        return own;
    pthread_mutex_lock(&self->lock);
    result = watch_locked(self, own, &stat, mask, ret_key);
    pthread_mutex_unlock(&self->lock);
    return result;
}

static int replay_unwatch(struct tn__source *source, uint64_t key)
{
    struct replay *self = replay(source);
    int result;

    run_hook(self, TN__REPLAY_UNWATCH);
    pthread_mutex_lock(&self->lock);
    result = failure(self, TN__REPLAY_UNWATCH);
    if (result == 0)
        result = *find_key(self, key) ? push(self, key, IN_IGNORED, 0, NULL) : -EINVAL;
    pthread_mutex_unlock(&self->lock);
    return result;
}

static int replay_keys(struct tn__source *source, uint64_t **ret_keys, size_t *ret_count)
{
    struct replay *self = replay(source);
    size_t count = 0;

    pthread_mutex_lock(&self->lock);
    for (const struct watch *watch = self->watches; watch; watch = watch->next)
        count++;
    uint64_t *keys = calloc(count + 1, sizeof(*keys));
    count = 0;
    for (const struct watch *watch = self->watches; keys && watch; watch = watch->next)
        keys[count++] = watch->key;
    pthread_mutex_unlock(&self->lock);
    if (!keys)
        return -ENOMEM;
    qsort(keys, count, sizeof(*keys), tn__source_compare_keys);
    *ret_keys = keys;
    *ret_count = count;
    return 0;
}

static int replay_mark(struct tn__source *source, uint64_t *ret_key)
{
    struct replay *self = replay(source);
    int result;

    run_hook(self, TN__REPLAY_MARK);
    pthread_mutex_lock(&self->lock);
    result = failure(self, TN__REPLAY_MARK);
    if (result == 0) {
        uint64_t key = take_key(self);
        result = push(self, key, IN_IGNORED, 0, NULL);
        if (result == 0)
            *ret_key = key;
    }
    pthread_mutex_unlock(&self->lock);
    return result;
}

static void replay_close(struct tn__source *source)
{
    struct replay *self = replay(source);

    while (self->watches)
        forget(&self->watches);
    while (self->first) {
        struct record *record = self->first;
        self->first = record->next;
        free(record);
    }
    close(self->ready);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct tn__source_ops replay_ops = {
    .fd = replay_fd,
    .read = replay_read,
    .watch = replay_watch,
    .unwatch = replay_unwatch,
    .keys = replay_keys,
    .mark = replay_mark,
    .close = replay_close,
};

int tn__source_new_replay(struct tn__source **ret_source)
{
    struct replay *self = calloc(1, sizeof(*self));

    if (!self)
        return -ENOMEM;
    self->source.ops = &replay_ops;
    self->last = &self->first;
    self->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->ready < 0) {
        int result = -errno;
        free(self);
        return result;
    }
    pthread_mutex_init(&self->lock, NULL);
    *ret_source = &self->source;
    return 0;
}

int tn__replay_push(struct tn__source *source, uint64_t key, uint32_t mask, uint32_t cookie,
                    const char *name)
{
    struct replay *self = replay(source);
    int result;

    pthread_mutex_lock(&self->lock);
    result = push(self, key, mask, cookie, name);
    pthread_mutex_unlock(&self->lock);
    return result;
}

void tn__replay_end(struct tn__source *source)
{
    struct replay *self = replay(source);

    pthread_mutex_lock(&self->lock);
    self->ended = true;
    set_ready(self);
    pthread_mutex_unlock(&self->lock);
}

uint64_t tn__replay_key_of(struct tn__source *source, const char *path)
{
    struct replay *self = replay(source);
    struct watch *watch;
    struct stat stat;
    uint64_t key;

    if (lstat(path, &stat) < 0)
        return 0;
    pthread_mutex_lock(&self->lock);
    watch = *find_inode(self, &stat);
    key = watch ? watch->key : 0;
    pthread_mutex_unlock(&self->lock);
    return key;
}

uint32_t tn__replay_mask_of(struct tn__source *source, uint64_t key)
{
    struct replay *self = replay(source);
    struct watch *watch;
    uint32_t mask;

    pthread_mutex_lock(&self->lock);
    watch = *find_key(self, key);
    mask = watch ? watch->mask : 0;
    pthread_mutex_unlock(&self->lock);
    return mask;
}

size_t tn__replay_watches(struct tn__source *source)
{
    struct replay *self = replay(source);
    size_t count = 0;

    pthread_mutex_lock(&self->lock);
    for (const struct watch *watch = self->watches; watch; watch = watch->next)
        count++;
    pthread_mutex_unlock(&self->lock);
    return count;
}

void tn__replay_fail(struct tn__source *source, enum tn__replay_call call, int error,
                     unsigned count)
{
    struct replay *self = replay(source);

    pthread_mutex_lock(&self->lock);
    self->failures[call] = (struct failure){count, error};
    pthread_mutex_unlock(&self->lock);
}

void tn__replay_next_key(struct tn__source *source, uint64_t key)
{
    struct replay *self = replay(source);

    pthread_mutex_lock(&self->lock);
    self->next_key = key - 1;
    pthread_mutex_unlock(&self->lock);
}

void tn__replay_hook(struct tn__source *source,
                     void (*hook)(void *context, enum tn__replay_call call), void *context)
{
    struct replay *self = replay(source);

    self->hook = hook;
    self->hook_context = context;
}
