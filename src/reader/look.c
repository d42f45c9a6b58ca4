/*
 * Looking at a name that is followed: what has it now is taken in as a new
 * directory is (the rules of resolve.c), a file or a link's target too.
 *
 *   1  It is opened in the checked directory, watched, all is read that happened
 *      there before, and it is not taken if a record ahead is about the name. That
 *      record will decide.
 *   2  A file that was closed before it was watched gets a flagged IN_CLOSE_WRITE.
 *      The directory tells each closing with the name, and the item tells those that
 *      came after its watch: some were missed if the directory has told more.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader/follow.h"
#include "reader/scan.h"

/* What one look at a name works on. */
struct look {
    uint32_t node, watch; /* of the name */
    struct tn__add *add;
    struct tn__policy *policy; /* the watch's, referenced */
    uint64_t key;              /* of the directory */
    int fd;                    /* of the item, O_PATH */
    struct stat item;
    bool is_there, is_link; /* the entry, whatever it leads to */
    bool unreachable;       /* the directory can't be opened */
    struct tn__placed placed;
    uint32_t older;    /* the object that had the key then */
    bool widening;     /* rule 6 of resolve.c */
    uint64_t position; /* of the stream before the item's watch stood */
    uint32_t own;      /* the item's watch */
    struct tn__scan scan;
};

static bool begin(struct tn__reader *reader, uint32_t node, struct look *look)
{
    struct tn__registry *registry = reader->registry;

    *look = (struct look){.node = node, .fd = -1};
    look->watch = tn__node_watch(&registry->tree, tn__node_parent(&registry->tree, node));
    struct tn__watch *watch = tn__registry_watch(registry, look->watch);
    if (!tn__watch_is_live(watch))
        return false;
    look->add = tn__reader_add_of(reader, look->watch);
    if (tn__load(&look->add->spent, relaxed))
        return false;
    look->policy = tn__watch_policy(watch);
    uint32_t object = tn__load(&watch->object, relaxed);
    look->key = tn__registry_object(registry, object)->key;
    return look->policy;
}

static void done(struct look *look)
{
    if (look->fd >= 0)
        close(look->fd);
    tn__policy_unref(look->policy);
    tn__scan_done(&look->scan);
}

static int name_ahead(struct tn__reader *reader, const struct look *look, struct tn__raw *ret_raw)
{
    return tn__stream_name_ahead(&reader->stream, look->key, look->add->name,
                                 strlen(look->add->name), ret_raw);
}

static int open_item(struct look *look, int directory)
{
    const uint32_t only_dir = look->policy->mask & IN_ONLYDIR;
    const char *name = look->add->name;
    struct stat entry;

    do {
        look->fd = openat(directory, name,
                          O_PATH | O_CLOEXEC | (look->add->follow_root ? 0 : O_NOFOLLOW) |
                              (only_dir ? O_DIRECTORY : 0));
    } while (look->fd < 0 && errno == EINTR);
    int result = look->fd < 0 || fstat(look->fd, &look->item) < 0 ? -errno : 0;
    look->is_there = fstatat(directory, name, &entry, AT_SYMLINK_NOFOLLOW) == 0;
    look->is_link = look->is_there && S_ISLNK(entry.st_mode);
    return result;
}

static int place(struct tn__reader *reader, struct look *look)
{
    struct tn__registry *registry = reader->registry;
    const uint32_t mask = tn__policy_kernel_mask(look->policy, false);

    look->position = reader->stream.read;
    tn__registry_lock(registry);
    int result = tn__registry_place_locked(registry, look->fd, NULL, mask, &look->placed);
    if (result == 0)
        look->older = tn__index_get_rcu(&registry->by_key, look->placed.key);
    tn__registry_unlock(registry);
    if (result == 0 && !look->placed.fresh)
        look->position = reader->stream.committed; /* another watch has its records */
    if (result < 0 || !S_ISDIR(look->item.st_mode))
        return result;
    int fd = tn__registry_open_list(look->fd);
    if (fd < 0)
        return fd;
    result = tn__scan_read(&look->scan, fd, reader->dir_buffer);
    close(fd);
    return result;
}

/* Rule 1. 0; -EAGAIN: later; -ENOENT: there is nothing; -ECANCELED: it is left out; else why it
 * can't be watched. */
static int observe(struct tn__reader *reader, struct look *look)
{
    struct tn__raw raw;
    int directory = tn__reader_open_directory(reader, look->watch);

    if (directory < 0) {
        look->unreachable = true;
        return tn__reader_not_found(reader, look->watch, directory);
    }
    int result = open_item(look, directory);
    if (result == 0 && S_ISDIR(look->item.st_mode) &&
        tn__reader_is_pruned(reader, look->watch, look->add->root_node, look->add->name,
                             strlen(look->add->name)))
        result = -ECANCELED;
    if (result == 0)
        result = place(reader, look);
    if (tn__reader_read_to_now(reader, directory) < 0)
        return -EAGAIN;
    look->widening =
        S_ISDIR(look->item.st_mode) && tn__reader_is_widening(reader, look->placed.widened);
    return name_ahead(reader, look, &raw) != 0 ? -EAGAIN : result;
}

/* Unless another thread has put a watch on the object meanwhile. */
static bool is_still_fresh_locked(const struct tn__registry *registry, const struct look *look)
{
    return look->placed.key && look->placed.fresh &&
           tn__index_get_rcu(&registry->by_key, look->placed.key) == look->older;
}

static void take_back(struct tn__reader *reader, const struct look *look)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    if (is_still_fresh_locked(registry, look))
        registry->source->ops->unwatch(registry->source, look->placed.key);
    tn__registry_unlock(registry);
}

/* The add's item on the object that was set aside; 0: none. */
static uint32_t aside_locked(const struct tn__registry *registry, uint32_t object,
                             const struct look *look)
{
    uint32_t id = object ? tn__load(&tn__registry_object(registry, object)->first, acquire) : 0;

    for (; id; id = tn__registry_next_watch(registry, id)) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        const struct tn__policy *policy = tn__load(&watch->policy, acquire);
        if (tn__watch_is_item(watch) && tn__watch_is_live(watch) && policy->add == look->add &&
            tn__node_flags(&registry->tree, tn__load(&watch->node, relaxed)) & TN__NODE_DETACHED)
            break;
    }
    return id;
}

/* One that was set aside gets its place again. */
static int restore_locked(struct tn__registry *registry, struct look *look, uint32_t aside)
{
    struct tn__watch *watch = tn__registry_watch(registry, aside);
    uint32_t node = tn__load(&watch->node, relaxed);
    const char *name = look->add->name;
    int result =
        tn__node_move_locked(&registry->tree, node, look->add->root_node, name, strlen(name));

    if (result < 0)
        return result;
    tn__registry_detach_node_locked(registry, look->node);
    look->node = node;
    look->own = aside;
    tn__fetch_and(&watch->state, ~TN__WATCH_YOUNG, acq_rel);
    return 0;
}

/* -ESTALE: what the watch asks for has changed; -ECANCELED: the watch has ended. */
static int attach_locked(struct tn__registry *registry, struct look *look)
{
    struct tn__watch *watch = tn__registry_watch(registry, look->watch);
    const bool is_dir = S_ISDIR(look->item.st_mode);
    struct tn__attach attach = {.policy = look->policy,
                                .node = look->node,
                                .placed = {.key = look->placed.key},
                                .untold = look->widening,
                                .is_dir = is_dir,
                                .role = TN__WATCH_ITEM};

    attach.placed.fresh = is_still_fresh_locked(registry, look);
    if (!tn__watch_is_live(watch))
        return -ECANCELED;
    if (tn__load(&watch->policy, acquire) != look->policy)
        return -ESTALE;
    uint32_t object =
        attach.placed.fresh ? 0 : tn__index_get_rcu(&registry->by_key, look->placed.key);
    /* The others were removed meanwhile: the source ends the object, and this is done again. */
    if (object && !tn__registry_has_live_watch_locked(registry, object))
        return -EAGAIN;
    uint32_t aside = aside_locked(registry, object, look);
    if (aside)
        return restore_locked(registry, look, aside);
    int result = tn__registry_attach_locked(registry, &attach, &look->own);
    if (result == 0)
        tn__node_clear_flags_locked(&registry->tree, look->node, TN__NODE_UNRESOLVED);
    return result;
}

static int look_once(struct tn__reader *reader, uint32_t node, struct look *look)
{
    struct tn__raw raw;

    if (!begin(reader, node, look))
        return -ECANCELED;
    tn__count(&reader->counts.scans);
    int result = name_ahead(reader, look, &raw) != 0 ? -EAGAIN : observe(reader, look);
    if (result == 0) {
        tn__registry_lock(reader->registry);
        result = attach_locked(reader->registry, look);
        tn__registry_unlock(reader->registry);
    }
    if (result < 0)
        take_back(reader, look);
    return result;
}

struct closings {
    const struct look *look;
    long missed; /* told by the directory, and not by the item */
};

static int count_closing(void *context, const struct tn__raw *raw)
{
    struct closings *closings = context;
    const struct look *look = closings->look;
    const size_t length = strlen(look->add->name);

    if (!(raw->mask & IN_CLOSE_WRITE))
        return 0;
    if (raw->key == look->placed.key && !raw->name)
        closings->missed--;
    else if (raw->key == look->key && raw->name && raw->name_length == length &&
             memcmp(raw->name, look->add->name, length) == 0)
        closings->missed++;
    return 0;
}

/* Rule 2. What was linked or moved there was not made there. */
static bool is_whole(struct tn__reader *reader, const struct look *look)
{
    struct closings closings = {.look = look};

    if (look->add->whole || look->is_link || look->item.st_nlink > 1)
        return true;
    tn__stream_each(&reader->stream, reader->stream.committed, count_closing, &closings);
    return closings.missed > 0;
}

static void tell_arrival(struct tn__reader *reader, const struct look *look)
{
    const bool is_dir = look->fd >= 0 && S_ISDIR(look->item.st_mode);

    tn__name_set_kind(reader, look->watch, is_dir);
    look->add->is_link = look->is_link;
    if (look->add->arrival)
        tn__name_tell(reader, look->watch,
                      look->add->arrival | (is_dir && !look->is_link ? (uint32_t)IN_ISDIR : 0),
                      TN_EVENT_SYNTHETIC);
    look->add->arrival = 0;
}

static void tell_found(struct tn__reader *reader, struct look *look)
{
    tn__reader_forget_paths(reader);
    tell_arrival(reader, look);
    if (look->widening && tn__reader_retry_later(reader, look->node) == 0)
        return;
    tn__reader_set_told(reader, look->own);
    if (S_ISDIR(look->item.st_mode)) {
        const struct tn__announce found = {.reader = reader,
                                           .watch = look->own,
                                           .key = look->placed.key,
                                           .position = look->position,
                                           .scan = &look->scan,
                                           .takes_in = tn__reader_takes_in(reader, look->own)};
        tn__announce(&found);
    } else if (S_ISREG(look->item.st_mode) && is_whole(reader, look)) {
        tn__name_tell(reader, look->watch, IN_CLOSE_WRITE, TN_EVENT_SYNTHETIC);
    }
}

static void drop_node(struct tn__reader *reader, uint32_t node)
{
    tn__registry_lock(reader->registry);
    tn__registry_detach_node_locked(reader->registry, node);
    tn__registry_unlock(reader->registry);
}

/* The node stays, until a record tells more of the name, but where nothing has it. */
static void tell_not_found(struct tn__reader *reader, struct look *look, int error)
{
    if (error == -ENOENT && !look->is_there && !look->unreachable) {
        if (!look->add->arrival)
            tn__name_tell(reader, look->watch, IN_DELETE_SELF, TN_EVENT_SYNTHETIC);
        look->add->arrival = 0;
        drop_node(reader, look->node);
        return;
    }
    if (look->is_there)
        tell_arrival(reader, look);
    if (error != -ECANCELED)
        tn__name_tell_unwatched(reader, look->watch, error);
}

void tn__reader_look_at_name(struct tn__reader *reader, uint32_t node)
{
    struct look look;
    int result;

    while ((result = look_once(reader, node, &look)) == -ESTALE)
        done(&look);
    if (result == -EAGAIN)
        result = tn__reader_retry_later(reader, node) == 0 ? -EAGAIN : -ENOMEM;
    if (result == 0)
        tell_found(reader, &look); /* the node may have gone: its item got another one back */
    else if (!look.policy || !tn__watch_is_live(tn__registry_watch(reader->registry, look.watch)))
        drop_node(reader, node);
    else if (result != -EAGAIN)
        tell_not_found(reader, &look, result);
    done(&look);
}
