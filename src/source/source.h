/*
 * Where raw records come from: a table of calls, so that the reader and the
 * tree do not know the kernel interface behind it. inotify.c is the real one,
 * replay.c a stream that tests write.
 *
 * An object that is watched is known by a 64-bit key, for inotify the kernel's
 * wd. Two watches of one object have one key. A key may come again after its
 * IN_IGNORED was read.
 *
 * One thread reads. watch, unwatch and mark may be called by any thread, also
 * at once. close comes last and alone.
 */
#ifndef TN_SRC_SOURCE_SOURCE_H
#define TN_SRC_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tn__source {
    const struct tn__source_ops *ops;
};

struct tn__source_ops {
    /* Readable when read has something to give, or the source has ended. */
    int (*fd)(struct tn__source *source);

    /* Whole records in inotify's layout. -EAGAIN: none now; 0: the source has ended;
     * -EINVAL: size is too small for the first record. EINTR is retried. */
    ssize_t (*read)(struct tn__source *source, void *buffer, size_t size);

    /* Watches what fd is open for (any descriptor, O_PATH too; IN_DONT_FOLLOW is moot, path is
     * not used), or with AT_FDCWD what path names. The mask may hold IN_MASK_CREATE (-EEXIST:
     * the object has a key already) or IN_MASK_ADD; with neither it replaces the mask. Otherwise
     * the errno of inotify_add_watch(2); -ENOENT for a descriptor: /proc is not there. */
    int (*watch)(struct tn__source *source, int fd, const char *path, uint32_t mask,
                 uint64_t *ret_key);

    /* Queues IN_IGNORED of that key. -EINVAL: no such key. */
    int (*unwatch)(struct tn__source *source, uint64_t key);

    /* The keys that are watched now, ascending, and others that stand for nothing else; the
     * caller frees them. After an overflow ends may have been lost. -ENOMEM, or -errno where it
     * can't be told. */
    int (*keys)(struct tn__source *source, uint64_t **ret_keys, size_t *ret_count);

    /* Puts IN_IGNORED of a key that stands for nothing else at the tail of the queue: when it is
     * read, all that was queued before has been read. A full queue drops it; its overflow
     * record, queued before, then stands in for it. */
    int (*mark)(struct tn__source *source, uint64_t *ret_key);

    void (*close)(struct tn__source *source);
};

/* Close-on-exec and non-blocking. -EMFILE, -ENFILE, -ENOMEM. */
int tn__source_new_inotify(struct tn__source **ret_source);

/* For qsort and bsearch: keys in the order that ops->keys gives them in. */
static inline int tn__source_compare_keys(const void *a, const void *b)
{
    const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

#endif
