/*
 * The walk goes by descriptor, as a crawl does, and reads the source in between,
 * so that the kernel's queue does not fill up meanwhile.
 */
#include "reader/rescan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "filter.h"
#include "reader/snapshots.h"
#include "tree/crawl.h"
#include "tree/path.h"

enum { READ_EVERY = 4 }; /* the smallest queue that is healed without an overflow of its own */

static int keep_name(struct tn__rescan *rescan, const char *name, size_t length, size_t *ret_at)
{
    size_t need = rescan->names_size + length + 1;

    if (need > rescan->names_capacity) {
        size_t capacity = tn__max(4096, tn__max(need, rescan->names_capacity * 2));
        char *names = realloc(rescan->names, capacity);
        if (!names)
            return -ENOMEM;
        rescan->names = names;
        rescan->names_capacity = capacity;
    }
    memcpy(rescan->names + rescan->names_size, name, length);
    rescan->names[need - 1] = '\0';
    *ret_at = rescan->names_size;
    rescan->names_size = need;
    return 0;
}

int tn__rescan_add(struct tn__rescan *rescan, uint32_t parent, const char *name, size_t length,
                   uint32_t *ret_id)
{
    struct tn__seen *dirs =
        tn__array_room(rescan->dirs, rescan->count, &rescan->capacity, sizeof(*dirs));
    size_t at = 0;

    if (!dirs)
        return -ENOMEM;
    rescan->dirs = dirs;
    int result = keep_name(rescan, name, length, &at);
    if (result < 0)
        return result;
    dirs[rescan->count] =
        (struct tn__seen){.parent = parent, .name = at, .length = (uint32_t)length};
    *ret_id = (uint32_t)rescan->count++;
    return 0;
}

/* The path of an entry in scratch; NULL: no memory. */
static const char *path_of(struct tn__rescan *rescan, uint32_t parent, const char *name,
                           size_t length)
{
    const struct tn__registry *registry = rescan->reader->registry;
    uint32_t node = tn__load(&tn__registry_watch(registry, rescan->root)->node, relaxed);
    const struct tn__path_text *root = tn__reader_path(rescan->reader, node);
    size_t size = (root ? root->length : 0) + length + 3;

    for (uint32_t id = parent; id; id = rescan->dirs[id].parent)
        size += rescan->dirs[id].length + 1;
    if (size > rescan->path_capacity) {
        char *path = realloc(rescan->path, size);
        if (!path)
            return NULL;
        rescan->path = path;
        rescan->path_capacity = size;
    }
    if (!root)
        return NULL;
    char *at = rescan->path + size - 1;
    *at = '\0';
    at -= length;
    memcpy(at, name, length);
    for (uint32_t id = parent; id; id = rescan->dirs[id].parent) {
        *--at = '/';
        at -= rescan->dirs[id].length;
        memcpy(at, tn__rescan_name(rescan, &rescan->dirs[id]), rescan->dirs[id].length);
    }
    if (!root->length || root->text[root->length - 1] != '/')
        *--at = '/';
    at -= root->length;
    memcpy(at, root->text, root->length);
    return at;
}

static int read_meanwhile(struct tn__reader *reader)
{
    ssize_t size;

    do {
        size = tn__stream_read(&reader->stream);
    } while (size > 0);
    return size == -EAGAIN || size == 0 ? 0 : (int)size;
}

static int keep_entry(struct tn__rescan *rescan, uint32_t parent, const char *name, size_t length,
                      unsigned char type)
{
    struct tn__snapshot *list = rescan->dirs[parent].list;
    struct tn__status status;

    if (length > TN__SNAPSHOT_NAME)
        return 0;
    if (++rescan->listed % READ_EVERY == 0) {
        int result = read_meanwhile(rescan->reader);
        if (result < 0)
            return result;
    }
    tn__status_read(rescan->fd, name, type, &status);
    return tn__snapshot_put(list, name, length, &status);
}

/* A directory is about to be listed. */
static int begin_list(struct tn__rescan *rescan, uint32_t id, int fd)
{
    struct tn__seen *seen = &rescan->dirs[id];

    rescan->fd = fd;
    if (!(rescan->policy->flags & TN_WATCH_SNAPSHOT))
        return 0;
    seen->list = tn__reader_new_snapshot(rescan->reader);
    return seen->list ? 0 : -ENOMEM;
}

static int see_entry(void *context, uint32_t parent, const char *name, size_t length,
                     unsigned char type)
{
    struct tn__rescan *rescan = context;

    if (rescan->dirs[parent].list) {
        int result = keep_entry(rescan, parent, name, length, type);
        if (result < 0)
            return result;
    }
    if (type != DT_DIR || length >= TN__READER_NAME || !(rescan->policy->flags & TN_WATCH_TREE))
        return 0;
    if (!rescan->filter)
        return 1;
    const char *path = path_of(rescan, parent, name, length);
    if (!path)
        return -ENOMEM;
    return tn__filter_prunes(rescan->filter, path) ? 0 : 1;
}

static int see_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                         bool in_cwd, uint32_t *ret_id)
{
    struct tn__rescan *rescan = context;
    struct tn__registry *registry = rescan->reader->registry;
    struct tn__placed placed = {0};
    const uint32_t mask = tn__policy_kernel_mask(rescan->policy, false);

    int result = tn__rescan_add(rescan, parent, name, length, ret_id);
    if (result < 0)
        return result;
    tn__registry_lock(registry);
    result = tn__registry_place_locked(registry, in_cwd ? AT_FDCWD : fd, in_cwd ? "." : NULL, mask,
                                       &placed);
    if (result == 0 && rescan->quiet)
        tn__reader_note_self_locked(rescan->reader, placed.key, mask, false);
    /* Only an add that takes in what comes later has use for what it does not know. */
    bool stranger = result == 0 && placed.fresh && !(rescan->policy->flags & TN_WATCH_AUTO_ADD);
    if (stranger)
        registry->source->ops->unwatch(registry->source, placed.key);
    tn__registry_unlock(registry);
    if (result == -ENOMEM)
        return result;
    struct tn__seen *seen = &rescan->dirs[*ret_id];
    seen->key = result == 0 && !stranger ? placed.key : 0;
    seen->fresh = result == 0 && !stranger && placed.fresh;
    seen->blind = result;
    if (rescan->count % READ_EVERY == 0 && (result = read_meanwhile(rescan->reader)) < 0)
        return result;
    if (!seen->key)
        return 0;
    if (rescan->quiet)
        tn__reader_note_child(rescan->reader, rescan->dirs[parent].key, name, length);
    result = begin_list(rescan, *ret_id, fd);
    return result < 0 ? result : 1;
}

/* It is there, and what it is, or what is in it, can't be seen. */
static int see_failure(void *context, uint32_t parent, const char *name, size_t length, int error)
{
    struct tn__rescan *rescan = context;
    uint32_t id = parent;

    if (error == -ENOMEM || error == -EMFILE || error == -ENFILE)
        return error;
    if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -ESTALE)
        return 0;
    int result = length ? tn__rescan_add(rescan, parent, name, length, &id) : 0;
    if (result < 0)
        return result;
    rescan->dirs[id].blind = error;
    tn__snapshot_free(rescan->dirs[id].list);
    rescan->dirs[id].list = NULL;
    return 0;
}

static const struct tn__crawl_ops walk_ops = {.directory = see_directory,
                                              .entry = see_entry,
                                              .failed = see_failure};

static int see_left(void *context, uint32_t id, int fd)
{
    (void)context;
    (void)id;
    (void)fd;
    return 0;
}

/* With traces to be noted, a directory is opened to be listed after it was seen. */
static const struct tn__crawl_ops quiet_ops = {.directory = see_directory,
                                               .entry = see_entry,
                                               .failed = see_failure,
                                               .left = see_left};

static int walk(struct tn__rescan *rescan, int root)
{
    int fd = root;

    if (rescan->quiet)
        tn__reader_note_list(rescan->reader, rescan->dirs[0].node, root);
    else
        fd = tn__registry_open_list(root);
    int result = fd < 0 ? fd : begin_list(rescan, 0, fd);
    if (result == 0)
        result = tn__crawl_walk(fd, 0, false, rescan->quiet ? &quiet_ops : &walk_ops, rescan);
    if (fd >= 0 && fd != root)
        close(fd);
    return result;
}

int tn__rescan_walk(struct tn__rescan *rescan, struct tn__reader *reader, uint32_t root)
{
    struct tn__registry *registry = reader->registry;
    uint32_t first, object;

    *rescan = (struct tn__rescan){.reader = reader,
                                  .root = root,
                                  .quiet = tn__load(&registry->traces.asked, relaxed)};
    rescan->policy = tn__watch_policy(tn__registry_watch(registry, root));
    object = tn__load(&tn__registry_watch(registry, root)->object, relaxed);
    if (!rescan->policy || !object)
        return -ENOENT;
    rescan->filter = rescan->policy->filter ? rescan->policy->filter : registry->filter;
    int result = tn__rescan_add(rescan, 0, "", 0, &first);
    if (result < 0)
        return result;
    rescan->dirs[0].key = tn__registry_object(registry, object)->key;
    rescan->dirs[0].node = tn__load(&tn__registry_watch(registry, root)->node, relaxed);
    rescan->dirs[0].fate = TN__FATE_STAYED;
    int fd = tn__reader_open_directory(reader, root);
    result = fd < 0 ? fd : walk(rescan, fd);
    if (fd < 0 || result == -ENOENT)
        result = tn__reader_not_found(reader, root, result);
    tn__reader_forget_parent(reader);
    /* Each list's end took the directory's lock. */
    int read = tn__reader_read_ahead(reader);
    tn__reader_end_notes(reader);
    return result < 0 ? result : read;
}

/* What is new is taken in after this, and needs its watch. */
static bool keep_fresh(struct tn__reader *reader, uint64_t key)
{
    uint64_t *fresh =
        tn__array_room(reader->fresh, reader->fresh_count, &reader->fresh_capacity, sizeof(*fresh));

    if (!fresh)
        return false;
    reader->fresh = fresh;
    fresh[reader->fresh_count++] = key;
    return true;
}

void tn__rescan_done(struct tn__rescan *rescan)
{
    struct tn__source *source = rescan->reader->registry->source;

    for (size_t i = 1; i < rescan->count; i++)
        if (rescan->dirs[i].fresh && !keep_fresh(rescan->reader, rescan->dirs[i].key))
            source->ops->unwatch(source, rescan->dirs[i].key);
    for (size_t i = 0; i < rescan->count; i++)
        tn__snapshot_free(rescan->dirs[i].list);
    if (rescan->policy)
        tn__policy_unref(rescan->policy);
    free(rescan->dirs);
    free(rescan->names);
    free(rescan->path);
}

void tn__rescan_give_back(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    for (size_t i = 0; i < reader->fresh_count; i++) {
        tn__registry_lock(registry);
        if (!tn__index_get_rcu(&registry->by_key, reader->fresh[i]))
            registry->source->ops->unwatch(registry->source, reader->fresh[i]);
        tn__registry_unlock(registry);
        if (i % READ_EVERY == 0)
            read_meanwhile(reader); /* one that fails is told by the next */
    }
    reader->fresh_count = 0;
}
