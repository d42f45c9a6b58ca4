/*
 * A watch, what it asks for, the inode that it stands on, and the add that
 * placed it.
 *
 *   add      what one tn_watch_add placed: its lane, its data, its release
 *   policy   mask, flags, processor and filter; immutable, shared by the
 *            watches of an add until an update gives some of them another
 *   object   an inode that the source watches, by the source's key; all the
 *            watches on it, each with its own policy and its own node
 *   watch    joins the four: object, node (its place in the add's tree),
 *            policy, and the descriptor that the user holds
 *
 * Watches and objects live in type-stable slots (store.h), so that a stale id
 * reads a watch that is dead or another, never freed memory.
 */
#ifndef TN_SRC_REGISTRY_WATCH_H
#define TN_SRC_REGISTRY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <tnotify/filter.h>
#include <tnotify/processor.h>
#include <tnotify/watch.h>

#include "atomic.h"
#include "queue/park.h"
#include "rcu.h"

/*
 * The state word: references | running calls | flags. See watch.c for the
 * argument.
 */
#define TN__WATCH_REF     (UINT64_C(1) << 0)
#define TN__WATCH_REFS    (((UINT64_C(1) << 28) - 1) << 0)
#define TN__WATCH_RUN     (UINT64_C(1) << 28)
#define TN__WATCH_RUNS    (((UINT64_C(1) << 20) - 1) << 28)
#define TN__WATCH_REMOVED (UINT64_C(1) << 48) /* by the user or its one-shot: no further call */
#define TN__WATCH_MUTE    (UINT64_C(1) << 49) /* its end is not told */
#define TN__WATCH_ENDED   (UINT64_C(1) << 50) /* its last call is over */
#define TN__WATCH_WAITER  (UINT64_C(1) << 51) /* someone waits for its running calls */
#define TN__WATCH_STALLED (UINT64_C(1) << 52) /* a lane waits for its other references */
#define TN__WATCH_ASLEEP  (UINT64_C(1) << 53) /* its marker has not been committed yet */
#define TN__WATCH_DIR     (UINT64_C(1) << 54) /* of a directory */
#define TN__WATCH_YOUNG   (UINT64_C(1) << 56) /* a crawl attached it; see reader/young.c */
#define TN__WATCH_UNTOLD  (UINT64_C(1) << 55) /* what existed at first is still to be announced */
#define TN__WATCH_DEAD    (TN__WATCH_REMOVED | TN__WATCH_ENDED)
#define TN__WATCH_NAME    (UINT64_C(1) << 57) /* of a name: on its directory; see reader/follow.c */
#define TN__WATCH_ITEM    (UINT64_C(1) << 58) /* what has that name: hidden, told as the name's */

struct tn__add {
    _Atomic uint32_t watches;    /* alive ones, and one while the add runs; at 0: release */
    _Atomic uint32_t references; /* on this memory: its policies, and one for the watches */
    tn_wd root;
    uint32_t root_node;
    uint32_t lane;           /* TREE order: its own */
    _Atomic uint32_t ending; /* watches whose final record is on the way */
    enum tn_order order;
    bool silent;       /* the add failed: release is not called */
    atomic_bool young; /* its marker has not been committed: see reader/young.c */
    uint32_t young_id;
    struct tn__add *next_young;
    bool gap;      /* the reader's: records were lost, and its tree is not healed */
    bool gap_told; /* and it was told the beginning */
    bool healed, heal_failed;
    atomic_bool spent; /* one-shot: told */
    bool guarded;      /* write_lock: a guard is reserved for its root node */
    bool follow_root;  /* the root may be a symlink */
    bool snapshot;     /* what its directories hold is kept: see reader/snapshots.c */
    char *open_path;   /* absolute, for later opens; of the root node */
    char *name;        /* TN_WATCH_FOLLOW_NAME: in the root node's directory; else NULL */
    uint32_t arrival;  /* the reader's: what is found under the name is told as this; 0: it was */
    bool whole;        /* and is no file that is being made */
    bool is_link;      /* the name is a link's, and its item elsewhere */
    void *data;
    void (*release)(void *data);
    struct tn__add *next; /* while it waits for tn__registry_reap_locked */
};

struct tn__policy {
    _Atomic uint32_t references;
    uint32_t mask;  /* IN_* as the user gave it */
    uint32_t flags; /* TN_WATCH_* */
    struct tn__add *add;
    struct tn_processor *processor; /* NULL: the notifier's */
    struct tn_filter *filter;       /* NULL: the notifier's */
    struct tn__rcu_head rcu;
};

struct tn__watch {
    _Atomic int64_t wd;                /* 0: a free slot */
    _Atomic uint64_t state;            /* TN__WATCH_* */
    struct tn__policy *_Atomic policy; /* RCU */
    _Atomic uint32_t object;           /* constant while it is on the object's list */
    _Atomic uint32_t
        next; /* on the object's list: added under write_lock, taken off by the reader */
    _Atomic uint32_t node; /* 0 once its end was queued */
    uint32_t link;         /* the store's; before: a stalled lane, the graveyard */
};

struct tn__object {
    uint64_t key;           /* the source's */
    _Atomic uint32_t first; /* its watches */
    uint32_t kernel_mask;   /* write_lock: what the source was last asked for */
    uint32_t widened;       /* write_lock: of registry.widenings, its last; 0: none */
    uint32_t moves_widened; /* write_lock: the one that asked for IN_MOVE_SELF */
    _Atomic uint32_t older; /* the object that had this key before, until its IN_IGNORED */
};

struct tn__add *tn__add_new(const struct tn_watch_options *options, enum tn_order order);
void tn__add_unref(struct tn__add *add);

/* Keeps a reference on the processor, the filter and the add. */
struct tn__policy *tn__policy_new(struct tn__add *add, uint32_t mask, uint32_t flags,
                                  struct tn_processor *processor, struct tn_filter *filter);
struct tn__policy *tn__policy_ref(struct tn__policy *policy);
void tn__policy_unref(struct tn__policy *policy);

/* Takes a reference unless the last one has gone: NULL. The first inside a read-side section. */
struct tn__policy *tn__watch_policy_rcu(struct tn__watch *watch);
struct tn__policy *tn__watch_policy(struct tn__watch *watch);

/* Whether the events of one watch go to several lanes: each queued one holds a reference then. */
static inline bool tn__add_spreads(const struct tn__add *add)
{
    return add->order == TN_ORDER_PATH || add->order == TN_ORDER_NONE;
}

/* What the source must be asked for. */
uint32_t tn__policy_kernel_mask(const struct tn__policy *policy, bool is_root);

/* Counts a call in; false when it was removed: then it is not counted and must not be called. */
bool tn__watch_enter(struct tn__watch *watch, struct tn__park *quiet);
void tn__watch_leave(struct tn__watch *watch, struct tn__park *quiet);

/* For the final record: false only when its end is not to be told. */
bool tn__watch_enter_final(struct tn__watch *watch, struct tn__park *quiet);

/* Sets REMOVED and the flags; false when it had ended or was removed before. */
bool tn__watch_kill(struct tn__watch *watch, uint64_t flags);

/* Waits until no call of it runs. The slot may come to hold another watch: then it returns. */
void tn__watch_wait_quiet(struct tn__watch *watch, tn_wd wd, struct tn__park *quiet);

static inline bool tn__watch_is_name(struct tn__watch *watch)
{
    return tn__load(&watch->state, relaxed) & TN__WATCH_NAME;
}

static inline bool tn__watch_is_item(struct tn__watch *watch)
{
    return tn__load(&watch->state, relaxed) & TN__WATCH_ITEM;
}

static inline bool tn__watch_is_live(struct tn__watch *watch)
{
    return !(tn__load(&watch->state, acquire) & (TN__WATCH_REMOVED | TN__WATCH_ENDED)) &&
           tn__load(&watch->wd, acquire) > 0;
}

#endif
