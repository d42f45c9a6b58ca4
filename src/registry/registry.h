/*
 * The registry: descriptor → watch, source key → object, and the trees of
 * names; the one writer lock; and the work that other threads leave to the
 * reader.
 *
 * Readers by descriptor take no lock. Writers hold write_lock over the
 * source's call and the publication, never across a user's code, a grace
 * period or a whole crawl.
 */
#ifndef TN_SRC_REGISTRY_REGISTRY_H
#define TN_SRC_REGISTRY_REGISTRY_H

#include <pthread.h>
#include <tnotify/notifier.h>

#include "log.h"
#include "registry/index.h"
#include "registry/store.h"
#include "registry/trace.h"
#include "registry/watch.h"
#include "source/source.h"
#include "tree/node.h"

struct tn__lanes;

/* Why a marker was put: what the reader does when it commits it. */
enum tn__mark_purpose {
    TN__MARK_AWAKE = 1, /* a watch on a known object begins here */
    TN__MARK_SETTLE,    /* a settle waits for what came before */
    TN__MARK_IGNORE,    /* from here on events are dropped (id 1) or not (0) */
    TN__MARK_DRAIN,     /* a stop with drain: the stream ends here */
    TN__MARK_PLACED,    /* an add had placed all that it found */
    TN__MARK_HEAL,      /* an overflow was read: from here on nothing is missing */
};
#define TN__MARK_ID_BITS 28

struct tn__ids {
    uint32_t *items;
    size_t count, capacity;
};

/* False: no memory. */
bool tn__ids_append(struct tn__ids *ids, uint32_t id);

struct tn__registry {
    struct tn__source *source;
    struct tn__lanes *lanes;
    const struct tn__log *log;
    void (*wake)(void *context); /* the reader has work beside the source */
    void *wake_context;
    struct tn_filter *filter; /* the notifier's */
    enum tn_order order;      /* the notifier's */
    struct tn__park quiet;    /* synchronous removers */

    pthread_mutex_t write_lock;
    /* guarded by write_lock for writers; RCU for readers */
    struct tn__tree tree;
    struct tn__store watches, objects;
    struct tn__index by_wd, by_key, markers;
    struct tn__traces traces;
    tn_wd last_wd;
    struct tn__ids unresolved; /* nodes that the reader must take in; the last first */
    struct tn__ids finals;     /* watches whose end the reader must queue */
    bool sweep;                /* and all removed ones, because that list could not grow */
    uint32_t widenings;        /* how often the source was asked to tell more of an object */
    struct tn__add *young;     /* recursive adds that run, or whose marker is on its way */
    uint32_t last_young;
    struct tn__ids guards; /* nodes that someone holds on to while the lock is given back */
    size_t guards_reserved;
    _Atomic uint32_t work;      /* changes with every entry in unresolved and finals, and sweep */
    _Atomic uint32_t live;      /* watches that stand, but for items of names */
    _Atomic uint32_t names;     /* watches of names that stand */
    atomic_bool flushers;       /* a processor with a flush was given: settle must look for it */
    _Atomic uint32_t shuffles;  /* directories that went or moved, as the reader committed it */
    _Atomic uint64_t unwatched; /* directories that adds could not watch */
    atomic_bool closed;         /* no add or update any more */

    /* lock-free stacks of what has ended, emptied under write_lock */
    _Atomic uint32_t ended_watches;
    struct tn__add *_Atomic ended_adds;
};

int tn__registry_init(struct tn__registry *registry);
/* Ends every watch that still stands, quietly; nobody else may use the registry any more. */
void tn__registry_done(struct tn__registry *registry);
/* Only gives memory back, in a forked child. */
void tn__registry_free_memory(struct tn__registry *registry);

void tn__registry_lock(struct tn__registry *registry);
void tn__registry_unlock(struct tn__registry *registry);

static inline struct tn__watch *tn__registry_watch(const struct tn__registry *registry, uint32_t id)
{
    return tn__store_get(&registry->watches, id);
}

/* The one after it on its object's list; 0: none. */
static inline uint32_t tn__registry_next_watch(const struct tn__registry *registry, uint32_t id)
{
    return tn__load(&tn__registry_watch(registry, id)->next, acquire);
}

static inline struct tn__object *tn__registry_object(const struct tn__registry *registry,
                                                     uint32_t id)
{
    return tn__store_get(&registry->objects, id);
}

/* The key of a watch's object; 0: no watch, or it has none any more. */
static inline uint64_t tn__registry_key_of(const struct tn__registry *registry, uint32_t watch)
{
    uint32_t object = watch ? tn__load(&tn__registry_watch(registry, watch)->object, relaxed) : 0;

    return object ? tn__registry_object(registry, object)->key : 0;
}

/* Of objects that had one key after the other, the one that the next record with it is about. For
 * the reader, who ends them; the id is the newest's, or 0. */
static inline uint32_t tn__registry_oldest(const struct tn__registry *registry, uint32_t id)
{
    uint32_t older;

    while (id && (older = tn__load(&tn__registry_object(registry, id)->older, acquire)) != 0)
        id = older;
    return id;
}

/* The live watch of a descriptor; 0: none. */
uint32_t tn__registry_find_rcu(const struct tn__registry *registry, tn_wd wd);
/* The same, for a user, from whom items of names are hidden. */
uint32_t tn__registry_find_user_rcu(const struct tn__registry *registry, tn_wd wd);

/* The next item below the node of a name, after that child of it (0: from the first on): its watch;
 * 0: none. */
uint32_t tn__registry_next_item_locked(const struct tn__registry *registry, uint32_t node,
                                       uint32_t *child);

/* What the source said. */
struct tn__placed {
    uint64_t key;
    bool fresh;       /* it did not watch it before */
    uint32_t widened; /* it did, and was asked to tell more, now or before: tn__object.widened */
};

/* The source is asked for more of an object: these bits. */
void tn__registry_widened_locked(struct tn__registry *registry, struct tn__object *object,
                                 uint32_t more);

/* Asks the source to watch what fd (or, AT_FDCWD, path) is, adding to what it watches already. A
 * mask that leaves out what tells of the library's own listing is widened afterwards. */
int tn__registry_place_locked(struct tn__registry *registry, int fd, const char *path,
                              uint32_t mask, struct tn__placed *ret_placed);

/* Adds what was left out when a watch was placed; fd is its directory. 0 or -errno. */
int tn__registry_widen_locked(struct tn__registry *registry, uint32_t id, int fd);

/*
 * Makes a watch of the policy on the object of a placed key, at a node. Not
 * fresh and marked: asleep until a marker put now is committed, because older
 * records of the object are not meant for it.
 */
struct tn__attach {
    struct tn__policy *policy;
    uint32_t node;
    struct tn__placed placed;
    uint32_t left_out; /* of the mask, when it was placed */
    bool marked;
    bool young;
    bool untold; /* the reader announces its contents before anything else of it */
    bool is_dir;
    uint64_t role; /* TN__WATCH_NAME, TN__WATCH_ITEM or 0 */
    tn_wd *ret_wd; /* written before the watch can be found; may be NULL */
};
int tn__registry_attach_locked(struct tn__registry *registry, const struct tn__attach *attach,
                               uint32_t *ret_id);

/* The watch of the add on the object; 0: none. That of a name is not meant. */
uint32_t tn__registry_of_add_locked(const struct tn__registry *registry, uint32_t object,
                                    const struct tn__add *add);

/*
 * Removes a live watch, in two steps. After the first no call of it begins any
 * more, and nothing is taken in below it; false: it had ended. After the second
 * the reader queues its end.
 */
bool tn__registry_mark_removed_locked(struct tn__registry *registry, uint32_t id, uint64_t flags);
void tn__registry_finish_removed_locked(struct tn__registry *registry, uint32_t id);
bool tn__registry_has_live_watch_locked(struct tn__registry *registry, uint32_t object);

/* The next watch below a node, from *node on, whose state has none of the flags; 0: none. */
uint32_t tn__registry_next_below_locked(struct tn__registry *registry, uint32_t root,
                                        uint64_t flags, uint32_t *node);

/* Leaves a node to the reader to take in, or a watch to end; -ENOMEM: the node stays as it is.
 * Another thread then tells the reader of the node. */
int tn__registry_unresolved_locked(struct tn__registry *registry, uint32_t node);
void tn__registry_tell_reader(struct tn__registry *registry);
uint32_t tn__registry_take_unresolved_locked(struct tn__registry *registry);
void tn__registry_final_locked(struct tn__registry *registry, uint32_t watch);

/* Drops what markers hold that will never be committed: nobody reads any more. */
void tn__registry_forget_markers(struct tn__registry *registry);

/* Puts a marker into the stream. */
int tn__registry_mark_locked(struct tn__registry *registry, enum tn__mark_purpose purpose,
                             uint32_t id);

/* An add is young from before its first watch until the reader takes it by its marker's id; NULL:
 * it was taken. The one who takes it drops the reference. */
void tn__registry_begin_young_locked(struct tn__registry *registry, struct tn__add *add);
struct tn__add *tn__registry_take_young_locked(struct tn__registry *registry, uint32_t id);

/* Ends one of the watches of an add, or the bias that it holds on itself while it runs. */
void tn__add_drop(struct tn__registry *registry, struct tn__add *add);

/* Drops references of a watch; the last one ends it. Any thread, no lock needed. */
void tn__registry_drop(struct tn__registry *registry, uint32_t id, uint64_t references);

/* The source stops watching the watch's object, unless another live watch is on it. */
void tn__registry_release_object_locked(struct tn__registry *registry, uint32_t id);

/* Takes a watch off its object and its node, for good. True: the object went too, it was the last.
 */
bool tn__registry_unlink_locked(struct tn__registry *registry, uint32_t id);

/* Gives back what has ended. */
void tn__registry_reap_locked(struct tn__registry *registry);

/* A guarded node is not freed. Guards are reserved before, so that guarding can't fail: one for the
 * reader (NULL), one for each add that may come to be spent, until it ends. */
int tn__registry_reserve_guard_locked(struct tn__registry *registry, struct tn__add *add);
void tn__registry_give_guard_back_locked(struct tn__registry *registry, struct tn__add *add);
void tn__registry_guard_locked(struct tn__registry *registry, uint32_t node);
void tn__registry_unguard_locked(struct tn__registry *registry, uint32_t node);

/* What the node stands for is no longer there: it is not found by its name any more, and freed
 * once its watch has ended and nothing is below it. */
void tn__registry_detach_node_locked(struct tn__registry *registry, uint32_t node);

/* Frees the node and the ones above it that nothing needs any more. */
void tn__registry_prune_node_locked(struct tn__registry *registry, uint32_t node);

/* The path of a node, from any thread: malloc'ed. */
int tn__registry_path_dup(struct tn__registry *registry, uint32_t node, char **ret_path);

/*
 * Opens the directory of a node, O_PATH, as the tree says that it is reached
 * now; the caller must check that what it opened is what was meant.
 */
int tn__registry_open_locked(struct tn__registry *registry, uint32_t node,
                             const struct tn__add *add);

/*
 * The same for the item of a watch that has a node, checked: the source says that it is the
 * watch's object, and watches it with the mask's bits added. -ESTALE: something
 * else stands there now.
 */
int tn__registry_open_verified_locked(struct tn__registry *registry, uint32_t id, uint32_t mask);

/*
 * The key of the directory that an open one is in, if anything watches that, and the open one's
 * name in it, of at most size bytes with its NUL.
 */
bool tn__registry_find_above_locked(struct tn__registry *registry, int fd, uint64_t *ret_key,
                                    char *name, size_t size);

/* The directory that an O_PATH descriptor stands for, to be listed. -errno. */
int tn__registry_open_list(int directory);

/* open(2) of a path of any length, which is cut to pieces; close-on-exec. -errno. */
int tn__registry_open_path(char *path, int flags);

#endif
