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
#include "reader/stream.h"
#include "registry/registry.h"

enum {
    TN__READER_PATHS = 64, /* directories whose path text is kept */
    TN__READER_FILE_MOVES = 64,
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

/* A half of a move that was committed: where the item came from. */
struct tn__half {
    uint32_t cookie; /* 0: none */
    uint64_t key;    /* of the directory that it left */
    size_t length;
    char name[TN__READER_NAME];
};

/* What is told of a record to one watch. */
struct tn__news {
    uint32_t mask, cookie, flags;
    int error;
    uint32_t kind; /* TN__ENTRY_* */
    bool always;   /* needs no bit in the watch's mask */
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
        moves;
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
    struct tn__half file_moves[TN__READER_FILE_MOVES];
    unsigned file_move;
    struct tn__half *directory_moves; /* left, and their arrival lies ahead */
    size_t directory_move_count, directory_move_capacity;
    struct tn__departure {
        uint32_t cookie;
        const struct tn__add *add;
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
    struct tn__add *spent_adds; /* one-shots that were told */
    bool markers_due;           /* they could not be put again for want of memory */
    bool may_wait;              /* for space in the lanes: others make it */
    bool ignoring;              /* events are dropped, the tree is kept true */
    bool gap;                   /* a drop must still be announced */
    bool settle_due;            /* a settle waits for its ticket */
    bool drain_begun;           /* its marker was put */
    bool drain_by_read;         /* or could not be: it ends when nothing is left to read */
    atomic_bool drained;        /* all that happened before the stop was committed */
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
const struct tn__path_text *tn__reader_path(struct tn__reader *reader, uint32_t node);
void tn__reader_forget_paths(struct tn__reader *reader);
/* The directory of a node was deleted, or another was moved over it. */
void tn__reader_detach_locked(struct tn__reader *reader, uint32_t node);
/* Node's path joined with a name (NULL: none), as a src_pathname; its length, 0: no memory. */
size_t tn__reader_source_path(struct tn__reader *reader, uint32_t node, const char *name,
                              size_t length);

/* commit.c */
void tn__reader_commit(struct tn__reader *reader, const struct tn__raw *raw);
/* After an overflow, whose record stands in for the markers that it may have eaten. */
void tn__reader_put_markers_again(struct tn__reader *reader);
/* Ends all watches of a node and below, as the stream tells it. */
void tn__reader_end_subtree(struct tn__reader *reader, uint32_t root, uint32_t flags);

/* moves.c */
void tn__reader_file_move(struct tn__reader *reader, struct tn__object *object,
                          const struct tn__raw *raw);
void tn__reader_directory_from(struct tn__reader *reader, struct tn__object *object,
                               const struct tn__raw *raw);
void tn__reader_directory_to(struct tn__reader *reader, struct tn__object *object,
                             const struct tn__raw *raw);
/* An arrival in a directory that no tree has: what left is gone. */
void tn__reader_directory_left(struct tn__reader *reader, uint32_t cookie);
/* Whether the next that the stream tells of a node is its departure. */
bool tn__reader_departs(struct tn__reader *reader, uint32_t node, uint32_t *ret_cookie);
/* Whether its departure was committed, and waits for the arrival. */
bool tn__reader_has_left(const struct tn__reader *reader, uint32_t node);
/* A scan has told that departure: it is not told to the add again. */
void tn__reader_swallow_from(struct tn__reader *reader, const struct tn__add *add, uint32_t cookie);
void tn__reader_forget_moves(struct tn__reader *reader);

/* resolve.c: takes in the directories that are known by name only. */
void tn__reader_resolve(struct tn__reader *reader);
void tn__reader_retry_unresolved(struct tn__reader *reader);
/* Whether new directories below the watch are taken into the tree. */
bool tn__reader_takes_in(struct tn__reader *reader, uint32_t watch);
/* After a move: a directory that the filter excludes at its new place is dropped. */
void tn__reader_recheck_filter(struct tn__reader *reader, uint32_t watch, uint32_t node);
/* A directory that came to be in a watch's directory, committed. */
void tn__reader_new_directory(struct tn__reader *reader, uint32_t watch, const char *name,
                              size_t length);
/* The same, whether or not the watch takes in new ones. */
void tn__reader_take_in(struct tn__reader *reader, uint32_t watch, const char *name, size_t length);
/* Whether records ahead come from before the source was asked to tell all of an object that it is
 * asked for now; widened: the object's. */
bool tn__reader_is_widening(struct tn__reader *reader, uint32_t widened);
/* Later, when more was committed; the node stays until then. 0 or -ENOMEM. */
int tn__reader_retry_later(struct tn__reader *reader, uint32_t node);

/* young.c: a record about the name of a directory that an add which still runs has placed. */
void tn__reader_set_aside(struct tn__reader *reader, struct tn__object *object,
                          const struct tn__raw *raw);
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

/* barrier.c: the directory of a watch, opened where the tree has it, and checked. It stays open
 * until tn__reader_forget_parent. */
int tn__reader_open_directory(struct tn__reader *reader, uint32_t watch);
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
