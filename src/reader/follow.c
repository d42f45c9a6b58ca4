/*
 * Following a name (TN_WATCH_FOLLOW_NAME).
 *
 * The user's watch stands on the directory that the name is in: of its records
 * those about the name count, and nothing of them is told but through here. What
 * has the name is its item, a hidden watch on a node below the directory's, whose
 * news are told as the name's. So the item comes and goes like any directory in a
 * tree, files and links too:
 *
 *   1  A record says that something has left the name: the item ends, whatever
 *      becomes of the inode, and that is told as IN_DELETE_SELF or IN_MOVE_SELF.
 *      The kernel's own word about it comes before or after, or never where the file
 *      is open or has other names, and could be taken for the end of what came
 *      next: it counts for the target of a link alone, which leaves no name.
 *   2  A record says that something came: what had the name is deleted, the arrival
 *      is told, and a node of the name waits to be looked at (look.c).
 *   3  A departure by a move does not prove that nothing is there (two that
 *      are exchanged), so the name is looked at again, and what is found is told.
 *
 * A name is present for the user from the telling of its arrival to that of its
 * departure: as long as it has a node, unless what is found is still to be told
 * (tn__add.arrival).
 *
 * Checked by tests/behaviour/test_follow.c and test_follow_odd.c, and
 * tests/stress/stress_follow.c.
 */
#include "reader/follow.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <tnotify/limits.h>

void tn__name_tell(struct tn__reader *reader, uint32_t watch, uint32_t mask, uint32_t flags)
{
    const struct tn__news news = {.mask = mask, .flags = flags, .of_name = true};

    tn__reader_emit(reader, watch, &news);
}

void tn__name_set_kind(struct tn__reader *reader, uint32_t watch, bool is_dir)
{
    struct tn__watch *own = tn__registry_watch(reader->registry, watch);

    if (is_dir)
        tn__fetch_or(&own->state, TN__WATCH_DIR, acq_rel);
    else
        tn__fetch_and(&own->state, ~TN__WATCH_DIR, acq_rel);
}

static uint32_t node_of_name_locked(const struct tn__registry *registry, const struct tn__add *add)
{
    return tn__node_child_rcu(&registry->tree, add->root_node, add->name, strlen(add->name));
}

static uint32_t node_of_name(struct tn__reader *reader, const struct tn__add *add)
{
    tn__registry_lock(reader->registry);
    uint32_t node = node_of_name_locked(reader->registry, add);
    tn__registry_unlock(reader->registry);
    return node;
}

uint32_t tn__reader_node_of_name(struct tn__reader *reader, const struct tn__add *add)
{
    return add->name ? node_of_name(reader, add) : add->root_node;
}

/* It was deleted: what is below it ends by its own records. */
static void end_item(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    uint32_t own = tn__node_watch(&registry->tree, node);

    tn__registry_lock(registry);
    if (own)
        tn__registry_release_object_locked(registry, own);
    tn__reader_detach_locked(reader, node);
    tn__registry_unlock(registry);
    if (own)
        tn__reader_emit_final(reader, own, 0);
}

/* It has the name still, and so the node stays. */
void tn__reader_give_up_item(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    uint32_t child = tn__node_first_child(&registry->tree, node);

    while (child) {
        uint32_t next = tn__node_next_sibling(&registry->tree, child);
        tn__reader_end_subtree(reader, child, 0);
        child = next;
    }
    tn__registry_lock(registry);
    uint32_t own = tn__node_watch(&registry->tree, node);
    tn__registry_release_object_locked(registry, own);
    tn__registry_unlock(registry);
    tn__reader_emit_final(reader, own, 0);
}

void tn__reader_end_items(struct tn__reader *reader, uint32_t watch)
{
    struct tn__registry *registry = reader->registry;
    uint32_t own;

    do {
        uint32_t child = 0;
        tn__registry_lock(registry);
        uint32_t node = tn__load(&tn__registry_watch(registry, watch)->node, relaxed);
        own = tn__registry_next_item_locked(registry, node, &child);
        if (own)
            tn__registry_release_object_locked(registry, own);
        tn__registry_unlock(registry);
        if (own)
            tn__reader_emit_final(reader, own, 0);
    } while (own);
}

/* A node of the name that waits to be looked at, or stays as it is without memory for that; 0: nor
 * for the node. */
static uint32_t wait_for_look(struct tn__reader *reader, const struct tn__add *add, int *ret_result)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    uint32_t node = node_of_name_locked(registry, add);
    if (!node)
        node = tn__node_new_locked(&registry->tree, add->root_node, add->name, strlen(add->name));
    *ret_result = node ? tn__registry_unresolved_locked(registry, node) : -ENOMEM;
    if (node)
        tn__node_set_flags_locked(&registry->tree, node, TN__NODE_UNRESOLVED);
    tn__registry_unlock(registry);
    reader->retry_due = true;
    return node;
}

void tn__name_tell_unwatched(struct tn__reader *reader, uint32_t watch, int error)
{
    const struct tn__news news = {.flags = TN_EVENT_UNWATCHED,
                                  .error = error,
                                  .always = true,
                                  .of_name = true};

    tn__count(&reader->counts.unwatched);
    tn__log(reader->registry->log, TN_LOG_WARNING, "a new item of a name is not watched: %s",
            tn_strerror(error));
    tn__reader_emit(reader, watch, &news);
}

/* Rule 3, and where records were lost: what is found is told as that. */
static void look_again(struct tn__reader *reader, uint32_t watch, uint32_t arrival)
{
    struct tn__add *add = tn__reader_add_of(reader, watch);

    int result;

    add->arrival = arrival;
    add->whole = true;
    wait_for_look(reader, add, &result);
    if (result < 0)
        tn__name_tell_unwatched(reader, watch, result);
}

/* Rule 1. */
static void leave(struct tn__reader *reader, uint32_t watch, uint32_t node, uint32_t mask,
                  uint32_t flags)
{
    struct tn__add *add = tn__reader_add_of(reader, watch);

    if (!add->arrival)
        tn__name_tell(reader, watch, mask, flags);
    add->arrival = 0;
    if (mask & IN_DELETE_SELF && !flags)
        end_item(reader, node);
    else
        tn__reader_end_subtree(reader, node, flags);
}

/* Rule 2. What was replaced may live on elsewhere, with all below it. */
static void arrive(struct tn__reader *reader, uint32_t watch, uint32_t node,
                   const struct tn__raw *raw)
{
    struct tn__add *add = tn__reader_add_of(reader, watch);
    int result;

    if (node && !add->arrival)
        tn__name_tell(reader, watch, IN_DELETE_SELF, 0);
    if (node && tn__node_watch(&reader->registry->tree, node))
        tn__reader_end_subtree(reader, node, 0);
    add->arrival = 0;
    add->whole = raw->mask & IN_MOVED_TO;
    tn__name_set_kind(reader, watch, raw->mask & IN_ISDIR);
    if (wait_for_look(reader, add, &result))
        tn__name_tell(reader, watch, raw->mask, 0);
    if (result < 0)
        tn__name_tell_unwatched(reader, watch, result);
}

/* Rule 2 of young.c. */
static bool is_young(struct tn__reader *reader, const struct tn__add *add, uint32_t node)
{
    uint32_t own = tn__node_watch(&reader->registry->tree, node);

    return own && tn__load(&add->young, acquire) &&
           tn__load(&tn__registry_watch(reader->registry, own)->state, acquire) & TN__WATCH_YOUNG;
}

static void follow(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw)
{
    struct tn__add *add = tn__reader_add_of(reader, watch);
    uint32_t node = node_of_name(reader, add);

    if (raw->mask & IN_CLOSE_WRITE) {
        /* The item's own record tells it, or rule 2 of look.c. */
        if (node && !add->arrival && !tn__node_watch(&reader->registry->tree, node))
            tn__name_tell(reader, watch, IN_CLOSE_WRITE, 0);
        return;
    }
    if (node && is_young(reader, add, node)) {
        tn__reader_put_aside(reader, node);
        node = 0;
    }
    if (raw->mask & (IN_CREATE | IN_MOVED_TO)) {
        arrive(reader, watch, node, raw);
        return;
    }
    const bool moved = raw->mask & IN_MOVED_FROM;
    if (node)
        leave(reader, watch, node, moved ? IN_MOVE_SELF : IN_DELETE_SELF,
              moved ? TN_EVENT_PATH_UNKNOWN : 0);
    if (moved)
        look_again(reader, watch, IN_MOVED_TO);
}

/* Whether the record is meant for it. */
static bool is_followed(const struct tn__reader *reader, uint32_t id, const struct tn__raw *raw)
{
    struct tn__watch *watch = tn__registry_watch(reader->registry, id);
    const struct tn__add *add = tn__reader_add_of(reader, id);

    return tn__watch_is_live(watch) && !tn__load(&add->spent, relaxed) &&
           !(tn__load(&watch->state, acquire) & TN__WATCH_ASLEEP) &&
           strlen(add->name) == raw->name_length &&
           memcmp(add->name, raw->name, raw->name_length) == 0;
}

uint32_t tn__reader_next_name(const struct tn__reader *reader, uint32_t id)
{
    while (id && !tn__watch_is_name(tn__registry_watch(reader->registry, id)))
        id = tn__registry_next_watch(reader->registry, id);
    return id;
}

static uint32_t name_after(const struct tn__reader *reader, uint32_t watch)
{
    return tn__reader_next_name(reader, tn__registry_next_watch(reader->registry, watch));
}

void tn__reader_follow(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw)
{
    uint32_t id = watch;

    while (id) {
        uint32_t next = name_after(reader, id);
        if (is_followed(reader, id, raw))
            follow(reader, id, raw);
        id = next;
    }
}

void tn__reader_end_names(struct tn__reader *reader, uint32_t watch)
{
    uint32_t id = watch;

    while (id) {
        uint32_t next = name_after(reader, id);
        uint32_t node = tn__load(&tn__registry_watch(reader->registry, id)->node, relaxed);
        tn__reader_end_subtree(reader, node, TN_EVENT_PATH_UNKNOWN);
        id = next;
    }
}

static uint32_t next_item(const struct tn__reader *reader, uint32_t id)
{
    while (id && !tn__watch_is_item(tn__registry_watch(reader->registry, id)))
        id = tn__registry_next_watch(reader->registry, id);
    return id;
}

/* Of a link, whose target has gone. */
static void lose_target(struct tn__reader *reader, uint32_t item, uint32_t mask)
{
    const struct tn__registry *registry = reader->registry;
    uint32_t node = tn__load(&tn__registry_watch(registry, item)->node, relaxed);
    const uint32_t flags = mask & IN_MOVE_SELF ? TN_EVENT_PATH_UNKNOWN : 0;
    const struct tn__add *add = tn__reader_add_of(reader, item);

    if (!add->is_link || tn__node_flags(&registry->tree, node) & TN__NODE_DETACHED)
        return;
    uint32_t watch = tn__node_watch(&registry->tree, add->root_node);
    if (watch)
        leave(reader, watch, node, mask, flags);
}

void tn__reader_items_gone(struct tn__reader *reader, const struct tn__object *object,
                           uint32_t mask)
{
    uint32_t id = next_item(reader, tn__load(&object->first, acquire));

    while (id) {
        uint32_t next = next_item(reader, tn__registry_next_watch(reader->registry, id));
        lose_target(reader, id, mask);
        id = next;
    }
}

bool tn__reader_is_of_name(const struct tn__reader *reader, uint32_t node)
{
    const struct tn__registry *registry = reader->registry;
    uint32_t parent = tn__node_parent(&registry->tree, node);
    uint32_t watch = parent ? tn__node_watch(&registry->tree, parent) : 0;

    return watch && tn__watch_is_name(tn__registry_watch(registry, watch));
}

static bool is_deep(const struct tn__reader *reader, uint32_t own)
{
    struct tn__watch *watch = tn__registry_watch(reader->registry, own);

    tn__rcu_read_lock();
    const struct tn__policy *policy = tn__rcu_dereference(&watch->policy);
    bool deep = policy && policy->flags & TN_WATCH_TREE;
    tn__rcu_read_unlock();
    return deep && tn__load(&watch->state, relaxed) & TN__WATCH_DIR;
}

/* The item is what stands under the name at this point of the stream: 1; 0: it is not; -errno. */
static int has_stayed(struct tn__reader *reader, uint32_t watch, uint32_t own, bool *ret_ahead)
{
    struct tn__registry *registry = reader->registry;
    uint32_t object = tn__load(&tn__registry_watch(registry, watch)->object, relaxed);
    const char *name = tn__reader_add_of(reader, watch)->name;
    struct tn__raw raw;

    int fd = tn__reader_open_directory(reader, own);
    tn__reader_forget_parent(reader);
    if (fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE)
        return fd;
    int directory = tn__reader_open_directory(reader, watch);
    if (directory < 0)
        return tn__reader_not_found(reader, watch, directory);
    if (tn__reader_read_to_now(reader, directory) < 0)
        return -EAGAIN;
    int ahead = tn__stream_name_ahead(&reader->stream, tn__registry_object(registry, object)->key,
                                      name, strlen(name), &raw);
    *ret_ahead = ahead > 0;
    if (ahead <= 0)
        return ahead < 0 ? ahead : fd >= 0;
    return !(raw.mask & (IN_CREATE | IN_MOVED_TO));
}

int tn__reader_follow_again(struct tn__reader *reader, uint32_t watch)
{
    struct tn__registry *registry = reader->registry;
    struct tn__add *add = tn__reader_add_of(reader, watch);
    uint32_t node = node_of_name(reader, add);
    uint32_t own = node ? tn__node_watch(&registry->tree, node) : 0;
    bool ahead = false;

    if (!own) {
        int result = 0;
        if (!node)
            look_again(reader, watch, IN_CREATE);
        else
            wait_for_look(reader, add, &result);
        return result;
    }
    int stayed = has_stayed(reader, watch, own, &ahead);
    tn__reader_forget_parent(reader);
    if (stayed < 0)
        return stayed;
    if (!stayed) {
        leave(reader, watch, node, IN_DELETE_SELF, TN_EVENT_SYNTHETIC);
        if (!ahead)
            look_again(reader, watch, IN_CREATE);
        return 0;
    }
    return is_deep(reader, own) ? tn__reader_heal_tree(reader, own) : 0;
}
