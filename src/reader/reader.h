/*
 * The reader: the only consumer of the source and the only producer of the
 * lanes. It commits raw records in order, keeps the tree true, and pushes an
 * entry for each watch that gets the event.
 *
 * One thread at a time plays it: the notifier's reader thread, or whoever holds
 * the stream of a notifier in the caller's thread. All but the fields marked
 * otherwise are that thread's.
 */
#ifndef TN_SRC_READER_READER_H
#define TN_SRC_READER_READER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <tnotify/notifier.h>

#include "atomic.h"
#include "queue/lane.h"
#include "reader/snapshots.h"
#include "reader/stream.h"
#include "registry/registry.h"

struct tn__scan;

enum {
    TN__READER_PATHS = 64, /* directories whose path text is kept */
    TN__READER_FILE_MOVES = 64,
    TN__READER_ARRIVALS = 8,
    TN__READER_HASHED_LANES = 1024,
    TN__READER_NAME = 256,
};

enum tn__stop { TN__STOP_NO, TN__STOP_DRAIN, TN__STOP_DISCARD };

/* The path text of a node, as long as the generation stands. */
struct tn__path_text {
    uint32_t node;
    uint64_t generation;
    uint64_t key; /* tn__entry.path_key */
    char *text;
    size_t length, capacity;
    bool unknown; /* it, or one above, has left its place and not come to another */
    bool gone;    /* or was deleted */
};

/* The end of an add's gap. */
struct tn__gap_end {
    tn_wd root;
    uint64_t ticket; /* of the epoch; 0: not given yet */
};

/* A half of a move that was committed: where the item came from. */
struct tn__half {
    uint32_t cookie; /* 0: none */
    uint64_t key;    /* of the directory that it left */
    bool is_dir;
    size_t length;
    char name[TN__READER_NAME];
};

/* What is told of a record to one watch. */
struct tn__news {
    uint32_t mask, cookie, flags;
    int error;
    uint32_t kind; /* TN__ENTRY_* */
    bool always;   /* needs no bit in the watch's mask */
    bool noted;    /* its status was kept by the news before */
    bool of_name;  /* to a watch of a name, of the name itself */
    const char *name;
    size_t name_length;
    const char *src_pathname;
    size_t src_length;
};

/* A settle that waits; on the caller's stack, in the list under write_lock. */
struct tn__settle {
    uint32_t id;
    struct tn__settle *next;
    bool marked;             /* its marker was committed */
    _Atomic uint64_t ticket; /* of the epoch to wait for; 0: not yet */
};

struct tn__reader_options {
    uint32_t batch_delay_us;
    uint32_t move_timeout_ms;
    enum tn_full when_full;
};

/* Written by the reader, read by any thread, relaxed. */
struct tn__reader_counts {
    _Atomic uint64_t read, synthetic, suppressed, dropped, overflows, unwatched, wakeups, scans,
        moves, snapshot_entries, snapshot_bytes;
};

struct tn__reader {
    /* constant while it runs */
    struct tn__registry *registry;
    struct tn__lanes *lanes;
    struct tn__reader_options options;
    uint32_t notifier_lane;
    uint32_t hashed_lanes[TN__READER_HASHED_LANES]; /* 0: not made yet; under write_lock */
    int wake_fd;

    struct tn__stream stream;
    uint64_t read_ns; /* of the record that is committed */
    uint64_t sequence;
    uint64_t generation; /* of path texts: changes with every move */
    uint64_t path_keys;
    struct tn__path_text paths[TN__READER_PATHS];
    char *text; /* scratch */
    size_t text_capacity;
    char *source; /* the text of a src_pathname */
    size_t source_capacity;
    char *name_text; /* the path of a name */
    size_t name_text_capacity;
    struct tn__half file_moves[TN__READER_FILE_MOVES];
    unsigned file_move;
    struct tn__half arrivals[TN__READER_ARRIVALS]; /* the last ones, see exchange.c */
    uint64_t arrival_keys[TN__READER_ARRIVALS];    /* where; 0: none */
    unsigned arrival;
    struct tn__half *doubts; /* see doubt.c */
    size_t doubt_count, doubt_capacity;
    struct tn__half *directory_moves; /* left, and their arrival lies ahead */
    size_t directory_move_count, directory_move_capacity;
    struct tn__departure {
        uint32_t cookie;
        const struct tn__add *add;
        uint64_t until;                 /* position up to which it comes; of swallows */
    } swallows[TN__READER_FILE_MOVES],  /* departures that a scan has told already */
        unheard[TN__READER_FILE_MOVES]; /* that were committed while the add was not told */
    unsigned swallow, unheard_next;
    uint32_t next_lane;   /* for order NONE */
    uint32_t work_seen;   /* of registry->work */
    uint64_t barriers;    /* fresh names */
    uint32_t own_cookie;  /* of moves that a scan told */
    struct tn__ids retry; /* unresolved nodes that a record ahead decides */
    tn_wd *aside;         /* watches that were set aside, see young.c */
    size_t aside_count, aside_capacity;
    bool retry_due;
    size_t turn;                /* what the turn has cost so far, see turns.c */
    bool paused;                /* a turn has ended, and more is to be taken in */
    uint64_t resume_at;         /* position up to which is committed before the next turn */
    struct tn__add *spent_adds; /* one-shots that were told */
    bool heal_due;              /* an add has a gap, see gap.c */
    bool skipping; /* records are dropped, up to a marker or, if lost_again, to an overflow */
    bool lost_again;
    bool overfull;            /* they are dropped until what was queued has been processed */
    uint64_t overfull_ticket; /* of the epoch; 0: not given yet */
    bool heal_later;          /* an add could not be healed yet */
    uint64_t *keys;           /* what the source watches, while trees are healed */
    size_t key_count;
    uint64_t *fresh; /* keys that a rescan has placed and that nothing stands on yet */
    size_t fresh_count, fresh_capacity;
    struct tn__gap_end *gap_ends; /* to be told when an epoch has been reached */
    size_t gap_end_count, gap_end_capacity;
    bool markers_due;    /* they could not be put again for want of memory */
    bool may_wait;       /* for space in the lanes: others make it */
    bool ignoring;       /* events are dropped, the tree is kept true */
    bool gap;            /* a drop must still be announced */
    bool settle_due;     /* a settle waits for its ticket */
    bool drain_begun;    /* its marker was put */
    bool drain_marked;   /* and committed */
    bool drain_by_read;  /* or could not be: it ends when nothing is left to read */
    atomic_bool drained; /* all that happened before the stop was committed */
    struct tn__snapshots snapshots;
    void *dir_buffer;
    int parent_fd; /* the last directory that was opened and verified */
    uint64_t parent_key;
    uint64_t full_from;   /* position behind which all is told that was asked for up to `asked` */
    uint32_t asked, full; /* of registry.widenings; full: full_from was committed */
    uint64_t quiet_read;  /* position up to which nothing ahead tells anything, see not_found */

    /* guarded by the registry's write_lock */
    struct tn__settle *settles;
    uint32_t last_settle;

    struct tn__reader_counts counts;
    _Atomic uint32_t stop; /* enum tn__stop; async-signal-safe writers */
    pthread_t thread;
};

int tn__reader_init(struct tn__reader *reader, struct tn__registry *registry,
                    struct tn__lanes *lanes, const struct tn__reader_options *options);
void tn__reader_done(struct tn__reader *reader);

/* The reader thread, until a stop is committed. */
void tn__reader_run(struct tn__reader *reader);
/* Without a thread: one read and its commits. The records committed; -EAGAIN, -ENOBUFS. */
int tn__reader_step(struct tn__reader *reader, size_t queue_bytes);
void tn__reader_clear_wake(struct tn__reader *reader);
/* After a read that failed, before the next try; a wake ends it. */
void tn__reader_rest(struct tn__reader *reader);
bool tn__reader_has_work(const struct tn__reader *reader);

/* Any thread, a signal handler too. */
void tn__reader_wake(struct tn__reader *reader);
void tn__reader_ask_stop(struct tn__reader *reader, enum tn__stop how);
static inline enum tn__stop tn__reader_stop(struct tn__reader *reader)
{
    return (enum tn__stop)tn__load(&reader->stop, acquire);
}

/* Puts a settle's marker; the caller then waits for its ticket. */
int tn__reader_settle_begin(struct tn__reader *reader, struct tn__settle *settle);
void tn__reader_settle_marked(struct tn__reader *reader, uint32_t id);
void tn__reader_settle_end(struct tn__reader *reader, struct tn__settle *settle);

/* emit.c: one watch gets the news, if it asked for it. */
void tn__reader_emit(struct tn__reader *reader, uint32_t id, const struct tn__news *news);
/* To every watch of an object. */
void tn__reader_emit_all(struct tn__reader *reader, struct tn__object *object,
                         const struct tn__news *news);
/* To the notifier's own processor. False: no space, it is told later. */
bool tn__reader_emit_overflow(struct tn__reader *reader, uint32_t flags);
/* The last of a watch: takes it off its object and its node, and queues its final record. True:
 * the object has gone with it. */
bool tn__reader_emit_final(struct tn__reader *reader, uint32_t id, uint32_t flags);
/* The add of a watch whose end was not queued yet. */
struct tn__add *tn__reader_add_of(const struct tn__reader *reader, uint32_t id);
/* Ends the adds whose one shot was told. */
void tn__reader_end_spent(struct tn__reader *reader);
/* paths.c */
const struct tn__path_text *tn__reader_path(struct tn__reader *reader, uint32_t node);
void tn__reader_forget_paths(struct tn__reader *reader);
/* False: no memory. */
bool tn__reader_grow_text(char **text, size_t *capacity, size_t size);
/* The directory of a node was deleted, or another was moved over it. */
void tn__reader_detach_locked(struct tn__reader *reader, uint32_t node);
/* Node's path joined with a name (NULL: none), as a src_pathname; its length, 0: no memory. */
size_t tn__reader_source_path(struct tn__reader *reader, uint32_t node, const char *name,
                              size_t length);

/* commit.c */
void tn__reader_commit(struct tn__reader *reader, const struct tn__raw *raw);
/* After an overflow, whose record stands in for the markers that it may have eaten. */
void tn__reader_put_markers_again(struct tn__reader *reader);
/* What was removed and has no end yet gets it: its IN_IGNORED may have been lost. */
void tn__reader_sweep_later(struct tn__reader *reader);
/* Ends all watches of a node and below, as the stream tells it. */
void tn__reader_end_subtree(struct tn__reader *reader, uint32_t root, uint32_t flags);

/* gap.c: records were lost; and the trees made true again, as far as they can be now. */
void tn__reader_begin_gap(struct tn__reader *reader);
/* Something could not be told for want of memory. */
void tn__reader_tell_loss(struct tn__reader *reader);
/* Under TN_FULL_DROP, before a record is committed; and when what was queued then is processed. */
void tn__reader_drop_when_full(struct tn__reader *reader);
void tn__reader_end_drop(struct tn__reader *reader);
void tn__reader_heal(struct tn__reader *reader);
/* Whether the source still watches the key, when trees are healed. */
bool tn__reader_stands(struct tn__reader *reader, uint64_t key);
/* The ends of gaps whose last event was processed. */
void tn__reader_tell_gap_ends(struct tn__reader *reader);
/* heal.c: one add's tree, by its root's watch. 0; or why not, as tn__rescan_walk. */
int tn__reader_heal_tree(struct tn__reader *reader, uint32_t root);

/* moves.c */
void tn__reader_file_move(struct tn__reader *reader, struct tn__object *object,
                          const struct tn__raw *raw);
void tn__reader_directory_from(struct tn__reader *reader, struct tn__object *object,
                               const struct tn__raw *raw);
void tn__reader_directory_to(struct tn__reader *reader, struct tn__object *object,
                             const struct tn__raw *raw);
/* An arrival in a directory that no tree has: what left is gone. */
void tn__reader_directory_left(struct tn__reader *reader, uint32_t cookie);
/* exchange.c: whether an arrival, or the departure behind it, is of an exchange; then it is told,
 * and the rest of the exchange with it. was_doubtful: the record has ended a doubt. */
bool tn__reader_exchange(struct tn__reader *reader, struct tn__object *object,
                         const struct tn__raw *raw, bool was_doubtful);
/* A name in the object changed by that record: what stands right behind it is of another time. */
void tn__reader_forget_arrival(struct tn__reader *reader, const struct tn__raw *raw);
/* doubt.c: after the departure nobody knows whether something is at that name. */
void tn__reader_doubt(struct tn__reader *reader, const struct tn__raw *raw);
/* The same of a departure that is ahead. */
void tn__reader_doubt_ahead(struct tn__reader *reader, const struct tn__raw *raw);
/* A record about a name: whether there was a doubt about it, which it ends. */
bool tn__reader_end_doubt(struct tn__reader *reader, const struct tn__raw *raw);
void tn__reader_look_at_doubts(struct tn__reader *reader);
/* moves.c: whether the next that the stream tells of a node is its departure. */
bool tn__reader_departs(struct tn__reader *reader, uint32_t node, uint32_t *ret_cookie);
/* Whether its departure was committed, and waits for the arrival. */
bool tn__reader_has_left(const struct tn__reader *reader, uint32_t node);
/* A scan has told that departure: it is not told to the add again. */
void tn__reader_swallow_from(struct tn__reader *reader, const struct tn__add *add, uint32_t cookie);
void tn__reader_forget_moves(struct tn__reader *reader);

/* follow.c: the first watch of a name on an object's list, from that one on; 0: none. It stays
 * while watches of other adds are ended. */
uint32_t tn__reader_next_name(const struct tn__reader *reader, uint32_t id);
/* A record about an entry of the directory, from such a watch on. */
void tn__reader_follow(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw);
/* The directory has moved: the names in it end, from such a watch on. */
void tn__reader_end_names(struct tn__reader *reader, uint32_t watch);
/* A directory has gone: what had the watch's name ends before it. */
void tn__reader_end_items(struct tn__reader *reader, uint32_t watch);
/* An inode was deleted or moved: it may be the target of a link whose name is followed. */
void tn__reader_items_gone(struct tn__reader *reader, const struct tn__object *object,
                           uint32_t mask);
/* What has a name can't be watched any more. */
void tn__reader_give_up_item(struct tn__reader *reader, uint32_t node);
/* Whether a node is the place of a name that is followed. */
bool tn__reader_is_of_name(const struct tn__reader *reader, uint32_t node);
/* look.c: what has the name of such a node is taken in. */
void tn__reader_look_at_name(struct tn__reader *reader, uint32_t node);
/* The node of what the user calls the add's root; 0: a name that nothing has. */
uint32_t tn__reader_node_of_name(struct tn__reader *reader, const struct tn__add *add);
/* After records were lost: what has the name now, and the tree below it. 0; or why not, as
 * tn__reader_heal_tree, of the name's directory. */
int tn__reader_follow_again(struct tn__reader *reader, uint32_t watch);

/* turns.c: takes in the directories that are known by name only, all of them. */
void tn__reader_resolve(struct tn__reader *reader);
/* Or for one turn, unless there was one since the last resume. */
void tn__reader_resolve_turn(struct tn__reader *reader);
/* Another turn may be taken, if all was committed that the last one had read. */
void tn__reader_resume(struct tn__reader *reader);
/* Whether the next turn has nothing to wait for but commits. */
static inline bool tn__reader_has_turn(const struct tn__reader *reader)
{
    return reader->paused && !reader->skipping;
}
/* A directory was listed: counts into the turn. */
void tn__reader_took(struct tn__reader *reader, const struct tn__scan *scan);
/* Whether a directory of that name below the node is left out. */
bool tn__reader_is_pruned(struct tn__reader *reader, uint32_t watch, uint32_t node,
                          const char *name, size_t length);
void tn__reader_retry_unresolved(struct tn__reader *reader);
/* Later, when more was committed; the node stays until then. 0 or -ENOMEM. */
int tn__reader_retry_later(struct tn__reader *reader, uint32_t node);

/* resolve.c: one of them. */
void tn__reader_resolve_one(struct tn__reader *reader, uint32_t node);
/* Whether new directories below the watch are taken into the tree. */
bool tn__reader_takes_in(struct tn__reader *reader, uint32_t watch);
/* After a move: a directory that the filter excludes at its new place is dropped. */
void tn__reader_recheck_filter(struct tn__reader *reader, uint32_t watch, uint32_t node);
/* A name in a watch's directory, or (NULL) the directory itself. */
void tn__reader_tell_unwatched(struct tn__reader *reader, uint32_t watch, const char *name,
                               size_t length, int error);
/* A directory that came to be in a watch's directory, committed. */
void tn__reader_new_directory(struct tn__reader *reader, uint32_t watch, const char *name,
                              size_t length);
/* The same, whether or not the watch takes in new ones. */
void tn__reader_take_in(struct tn__reader *reader, uint32_t watch, const char *name, size_t length);
/* Whether records ahead come from before the source was asked to tell all of an object that it is
 * asked for now; widened: the object's. */
bool tn__reader_is_widening(struct tn__reader *reader, uint32_t widened);

/* young.c: a record about the name of a directory that an add which still runs has placed. */
void tn__reader_set_aside(struct tn__reader *reader, struct tn__object *object,
                          const struct tn__raw *raw);
/* A young watch of a node is set aside. */
void tn__reader_put_aside(struct tn__reader *reader, uint32_t node);
/* The marker of an add that has placed all. */
void tn__reader_placed(struct tn__reader *reader, uint32_t id);

/* existing.c: watches that stand, and whose contents are still to be announced. */
bool tn__reader_is_untold(const struct tn__reader *reader, uint32_t watch);
void tn__reader_set_told(struct tn__reader *reader, uint32_t watch);
/* Announces the contents of a node that has a watch. */
void tn__reader_tell_existing(struct tn__reader *reader, uint32_t node);
/* What is below a node came to where nothing is told yet: it is told again, in its turn. */
void tn__reader_forget_told_locked(struct tn__reader *reader, uint32_t node);
/* An untold watch ends: what is below it is told by itself. */
void tn__reader_tell_below_locked(struct tn__reader *reader, uint32_t node);

/* trace.c: a directory is being listed; what the directory that it is in may tell of that. */
void tn__reader_note_child(struct tn__reader *reader, uint64_t parent_key, const char *name,
                           size_t length);
/* And itself, by the mask that it has, or this one; opened: that was before. */
void tn__reader_note_self_locked(struct tn__reader *reader, uint64_t key, uint32_t mask,
                                 bool opened);
/* The same of a directory of the tree that is open already. */
void tn__reader_note_list(struct tn__reader *reader, uint32_t node, int directory);
/* All that was noted has been closed, and the stream was read up to there. */
void tn__reader_end_notes(struct tn__reader *reader);
/* Whether a record tells of the library's own listing, and of nothing else. */
bool tn__reader_is_trace(struct tn__reader *reader, const struct tn__raw *raw);

/* barrier.c: the directory of a watch, opened where the tree has it, and checked. It stays open
 * until tn__reader_forget_parent. */
int tn__reader_open_directory(struct tn__reader *reader, uint32_t watch);
/* The same, by the first watch on an object's list that leads to it. */
int tn__reader_open_object(struct tn__reader *reader, uint32_t first);
/* Reads ahead until all is read that happened in the open directory before now. */
int tn__reader_read_to_now(struct tn__reader *reader, int fd);
/* What it means that a watch's item can't be opened there. -EAGAIN: records tell why; else the
 * error. */
int tn__reader_not_found(struct tn__reader *reader, uint32_t watch, int error);
/* Reads ahead until all is read that happened in the watch's directory before now. 0; -errno: it
 * can't be opened where the tree has it, or records were lost. */
int tn__reader_read_barrier(struct tn__reader *reader, uint32_t watch);
/* The node of that name in a watch's directory; 0: none. */
uint32_t tn__reader_child(struct tn__reader *reader, uint32_t watch, const char *name,
                          size_t length);
/* Reads ahead until all is read that was queued before now. 0, or -errno. */
int tn__reader_read_ahead(struct tn__reader *reader);
void tn__reader_forget_parent(struct tn__reader *reader);

#endif
