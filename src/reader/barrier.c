/*
 * Seeing now, and reading ahead to it: a directory is opened where the tree has
 * it and checked by its key, and what happened there before is read, without
 * committing it, up to a marker (rules 1 and 3 of resolve.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "reader/reader.h"

void tn__reader_forget_parent(struct tn__reader *reader)
{
    if (reader->parent_fd >= 0)
        close(reader->parent_fd);
    reader->parent_fd = -1;
    reader->parent_key = 0;
}

/* The directory of a watch, opened and checked; the last one stays open while there is more to
 * resolve. */
int tn__reader_open_directory(struct tn__reader *reader, uint32_t watch_id)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    uint32_t id = tn__load(&tn__registry_watch(registry, watch_id)->object, relaxed);
    uint64_t key = tn__registry_object(registry, id)->key;
    int fd = reader->parent_fd;
    if (fd < 0 || reader->parent_key != key) {
        tn__reader_forget_parent(reader);
        fd = tn__registry_open_verified_locked(registry, watch_id, 0);
        if (fd >= 0) {
            reader->parent_fd = fd;
            reader->parent_key = key;
        }
    }
    tn__registry_unlock(registry);
    return fd;
}

int tn__reader_open_object(struct tn__reader *reader, uint32_t first)
{
    int fd = -ENOENT;

    for (uint32_t id = first; id && fd < 0; id = tn__registry_next_watch(reader->registry, id))
        fd = tn__reader_open_directory(reader, id);
    return fd;
}

int tn__reader_read_ahead(struct tn__reader *reader)
{
    struct tn__source *source = reader->registry->source;
    uint64_t key;
    int result = source->ops->mark(source, &key);

    return result < 0 ? result : tn__stream_read_to(&reader->stream, key);
}

/* A lookup of a name that no one has used waits for whoever holds the directory's lock. */
int tn__reader_read_to_now(struct tn__reader *reader, int fd)
{
    char name[64];

    snprintf(name, sizeof(name), ".tnotify-barrier-%ld-%llu", (long)getpid(),
             (unsigned long long)++reader->barriers);
    int probe = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (probe >= 0)
        close(probe);
    return tn__reader_read_ahead(reader);
}

int tn__reader_read_barrier(struct tn__reader *reader, uint32_t watch)
{
    int fd = tn__reader_open_directory(reader, watch);
    int result = fd < 0 ? fd : tn__reader_read_to_now(reader, fd);

    tn__reader_forget_parent(reader);
    return result;
}

/*
 * A directory can't be opened where the tree has it. What took it away, or one
 * above it, was done under the lock of the directory that it was taken from:
 * the lowest one above that can still be opened.
 */
static int read_to_loss(struct tn__reader *reader, uint32_t watch)
{
    struct tn__registry *registry = reader->registry;
    uint32_t node = tn__load(&tn__registry_watch(registry, watch)->node, acquire);

    while (node && (node = tn__node_parent(&registry->tree, node))) {
        uint32_t above = tn__node_watch(&registry->tree, node);
        int fd = above ? tn__reader_open_directory(reader, above) : -ENOENT;
        if (fd >= 0)
            return tn__reader_read_to_now(reader, fd);
    }
    return tn__reader_read_ahead(reader);
}

/*
 * The parent is not where the tree has it. If something moved, the records that
 * tell it are ahead by now, and this is done again after them. If nothing is
 * ahead, nothing will tell: the root itself was moved, or may not be entered.
 */
static int tells_something(void *context, const struct tn__raw *raw)
{
    const struct tn__registry *registry = context;

    tn__rcu_read_lock();
    bool known = tn__index_get_rcu(&registry->by_key, raw->key) != 0;
    tn__rcu_read_unlock();
    return known || !(raw->mask & IN_IGNORED) ? -EEXIST : 0;
}

int tn__reader_not_found(struct tn__reader *reader, uint32_t watch, int error)
{
    struct tn__stream *stream = &reader->stream;
    /* Ahead is nothing but markers and the ends of strangers that were opened by mistake. */
    bool quiet = tn__stream_is_empty(stream) || stream->read == reader->quiet_read;
    uint64_t read = stream->read;

    if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
        return error;
    if (read_to_loss(reader, watch) < 0 || !quiet ||
        tn__stream_each(stream, read, tells_something, reader->registry) < 0)
        return -EAGAIN;
    reader->quiet_read = stream->read;
    return error == -ESTALE ? -ENOENT : error;
}
