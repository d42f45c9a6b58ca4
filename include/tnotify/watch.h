/**
 * @file
 * @brief Watches: adding, updating, removing and finding them.
 */
#ifndef TNOTIFY_WATCH_H
#define TNOTIFY_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <tnotify/event.h>
#include <tnotify/version.h>

TN_BEGIN_DECLS

struct tn_filter;
struct tn_notifier;
struct tn_processor;

/**
 * @defgroup watch Watches
 * @brief Adding, updating, removing and finding watches.
 *
 * One add places one watch, the root, and for a tree one more for each
 * directory below it. All of them share the add's options. Any number of
 * watches may stand on one path or reach one inode by several paths; none
 * disturbs another.
 *
 * Every function here may be called before the notifier is started, too.
 *
 * **Paths** are bytes. They are kept as given but for `//`, `/./` and a trailing
 * `/`; a relative one is resolved against the current directory when it is
 * added, and stays relative in events. Symbolic links are never followed below
 * a root; a root itself may be one.
 *
 * **The end of a watch.** It ends when it is removed, when its item is deleted,
 * unmounted or leaves the tree, and after the first event of an `IN_ONESHOT`.
 * Events of a removed watch that are still queued are not delivered, and
 * counted (@ref tn_stats.suppressed). Unless @ref TN_REMOVE_SYNC removed it, its
 * last event is `IN_IGNORED`, which needs no mask bit, nor do `IN_UNMOUNT` and
 * @ref TN_EVENT_UNWATCHED.
 *
 * **A file that is replaced.** A watch stands on a file, not on its name, unless it
 * was added with @ref TN_WATCH_FOLLOW_NAME, and then stays when an editor moves
 * a new file over the old one.
 *
 * @snippet reload.c reload
 * @snippet reload.c watch
 *
 * **What the library does itself.** It opens, lists and closes the directories that it
 * takes in, for which the kernel queues `IN_OPEN`, `IN_ACCESS` and
 * `IN_CLOSE_NOWRITE`. No watch is told of that. While a directory is listed, what
 * others do in it of these three is told as often as it can be told apart: the
 * kernel merges equal events in a row, and of equal ones the library may take the
 * other's for its own. A watch placed by a recursive add tells of these three once
 * all below it is placed.
 *
 * **Overflow.** When the kernel's queue was full, events were lost. The
 * notifier's processor gets one `IN_Q_OVERFLOW` (wd -1, paths NULL), and the
 * trees are scanned again. A watch that asks for `IN_Q_OVERFLOW` gets two of its
 * own, with its root's path: one with @ref TN_EVENT_GAP_BEGIN before the first
 * rebuilt event, one with @ref TN_EVENT_GAP_END after the last. For
 * @ref TN_ORDER_TREE and @ref TN_ORDER_NOTIFIER they stand in the order of the
 * stream; else the begin comes before the first rebuilt event is queued, and the
 * end after the last was processed. In between, what has changed is told with
 * @ref TN_EVENT_SYNTHETIC, in this order: what went, the deepest before what it was in;
 * what came, and directories that moved, as one pair of `IN_MOVED_FROM` and
 * `IN_MOVED_TO`; then the contents of new directories. Without
 * @ref TN_WATCH_SNAPSHOT of directories alone. What the kernel had queued right
 * behind the loss may lack something, too: it is dropped, and counted in
 * @ref tn_stats.dropped. A directory that can't be looked into stays as it was,
 * and is told with @ref TN_EVENT_UNWATCHED.
 * @{
 */

/** @brief And all directories below, now. Without meaning for a file. */
#define TN_WATCH_RECURSIVE 0x01u
/** @brief And the directories that appear below later, by creation or by a move. */
#define TN_WATCH_AUTO_ADD 0x02u
/** @brief The whole tree, now and later. */
#define TN_WATCH_TREE (TN_WATCH_RECURSIVE | TN_WATCH_AUTO_ADD)
/** @brief Keep what is in each watched directory, so that a gap (see Overflow above) is told entry
 *  by entry.
 *
 *  Between its begin and its end, all with @ref TN_EVENT_SYNTHETIC and as the mask asks:
 * `IN_CREATE` and `IN_DELETE` of what came and went; one `IN_MOVED_FROM` and `IN_MOVED_TO`, with
 * one cookie, where device and inode say that it moved; `IN_MODIFY`, and `IN_CLOSE_WRITE` of a
 * regular file, where size or modification time are others than when it was told last; `IN_ATTRIB`
 * where only the change time is. Of a directory only that it came, went or moved. A change that
 * leaves size and times as they were can't be seen.
 *
 *  Costs at most 48 bytes and its name for each entry, and 72 bytes for each directory
 *  (@ref tn_stats.snapshot_entries, @ref tn_stats.snapshot_bytes); the listing of what was there at
 *  first, by the reader, right after the add; and a statx(2) for each event that names an entry,
 *  and what it takes to open its directory. No file is opened. Without memory for it, a directory
 *  is listed again later, and a gap before that is told as without this flag. Without meaning for
 *  a file. */
#define TN_WATCH_SNAPSHOT 0x04u
/**
 * @brief Watch the name, the last part of the path: the watch outlives replacement, deletion and
 *        re-creation of what has it, a file or a directory, and nothing need have it yet.
 *
 * Beside what happens to the item that has the name, the watch is told, as its mask asks and with
 * `name` NULL:
 *
 * - `IN_CREATE` or `IN_MOVED_TO` (cookie 0) when a new item comes to the name, as its directory
 *   tells it. A regular file that came whole, moved or linked there, also gets an `IN_CLOSE_WRITE`
 *   with @ref TN_EVENT_SYNTHETIC, and so does one that was made and closed before it could be
 *   watched. (Not so a link to a file whose other names are gone by then.) Of a new directory,
 *   what is in it is announced, and with @ref TN_WATCH_AUTO_ADD watched.
 * - `IN_DELETE_SELF` when the name is deleted or what has it is replaced (then it comes before the
 *   arrival), and `IN_MOVE_SELF` when that is moved away, whether or not the inode lives on under
 *   another name or is still open. What has left the name is told no more, and what was watched
 *   below it ends.
 *
 * So arrivals and departures alternate, and the descriptor stays. There is no `IN_IGNORED` before
 * the name's directory is deleted, unmounted or moved, which ends the watch, or the watch is
 * removed. Two that are exchanged (renameat2(2)) are a departure and an arrival. If what came can't
 * be watched, that is told by a @ref TN_EVENT_UNWATCHED, and tried again with what comes next.
 *
 * The name may be that of a symbolic link: its target is watched, unless the mask has
 * `IN_DONT_FOLLOW`, and looked up again when the link is replaced. The target's own end is told as
 * above; one that comes to be later is not found before the link is replaced.
 *
 * It costs a second watch of the kernel, on the name's directory, of which no one is told, and
 * counts as one watch in @ref tn_stats.watches.
 */
#define TN_WATCH_FOLLOW_NAME 0x08u
/** @brief Announce what is already there: as the mask asks, an `IN_CREATE` for each entry and an
 *  `IN_CLOSE_WRITE` for each regular file, all with @ref TN_EVENT_SYNTHETIC, directories before
 *  what is in them, and then what happens, so that no entry is missed or told twice. For a file:
 *  itself, with `name` NULL. Announced in the background: tn_notifier_settle() waits for it. A
 *  directory that can't be listed ends, with @ref TN_EVENT_UNWATCHED. */
#define TN_WATCH_EXISTING 0x10u

/**
 * @brief Which events are kept in order: the ordering domain.
 *
 * Events of one domain are processed in the kernel's order, one at a time;
 * different domains run in parallel. The two halves of a move stand each in its
 * own domain; the arriving half has `src_pathname`.
 *
 * @snippet upload.c upload
 * @snippet upload.c watch
 * @snippet mirror.c apply
 * @snippet mirror.c watch
 */
enum tn_order {
    /** As the notifier says; @ref TN_ORDER_TREE if that says nothing either. */
    TN_ORDER_DEFAULT,
    /** All that one add placed is one domain: a consumer can mirror the tree. */
    TN_ORDER_TREE,
    /** Everything of the notifier that has this order is one domain. */
    TN_ORDER_NOTIFIER,
    /** Each watched directory is one. */
    TN_ORDER_DIRECTORY,
    /** Each entry is one: the most parallel order in which each file's events stay in order. */
    TN_ORDER_PATH,
    /** No order. */
    TN_ORDER_NONE
};

/** @brief What to watch and whom to tell; 0 in a field is its default, but `mask` has none. */
struct tn_watch_options {
    /** Size of this struct (@ref TN_WATCH_OPTIONS_INIT). */
    size_t size;
    /** `IN_*` events, at least one, and any of `IN_ONLYDIR`, `IN_DONT_FOLLOW` (both for the root),
     *  `IN_EXCL_UNLINK` and `IN_ONESHOT` (the first event ends the whole add). */
    uint32_t mask;
    /** `TN_WATCH_*` */
    uint32_t flags;
    /** The ordering domain. */
    enum tn_order order;
    /** Who is told; referenced while a watch of the add stands. NULL: the notifier's processor. */
    struct tn_processor *processor;
    /** What is left out; referenced, and frozen by this use. NULL: the notifier's filter. */
    struct tn_filter *filter;
    /** In every event of this add, and handed to `release` and `placed`. */
    void *data;
    /** Called exactly once, after the last call for the last watch of the add has returned;
     *  never for an add that failed. May be NULL. */
    void (*release)(void *data);
    /** Called in the caller's thread, before the add returns, for each directory (or the file) that
     *  was placed or failed: `wd` and 0, or -1 and the negative errno. `path` is valid until it
     *  returns. A negative result cancels the add: it is taken back and returns that value. May
     *  be NULL. */
    int (*placed)(const char *path, tn_wd wd, int error, void *data);
};

/** @brief Initial value of a struct tn_watch_options; `mask` must be set. */
#define TN_WATCH_OPTIONS_INIT TN_SIZED_INIT(struct tn_watch_options)

#ifndef __cplusplus
/**
 * @brief Options in place, for C:
 *        `TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE)`.
 *
 * A pointer to const options that live until the end of the enclosing block.
 */
#define TN_WATCH_OPTIONS(...)                                                                      \
    (&(const struct tn_watch_options){.size = sizeof(struct tn_watch_options), __VA_ARGS__})
#endif

/** @brief What became of one path of tn_watch_add_list(). */
struct tn_watch_result {
    /** The caller's own pointer from the list. */
    const char *path;
    /** The watch; -1 if it failed. */
    tn_wd wd;
    /** 0, or the negative errno that tn_watch_add() would have returned. */
    int error;
};

/** @brief What is known of a watch. */
struct tn_watch_info {
    /** Set by the caller (@ref TN_WATCH_INFO_INIT); no more than this is filled. */
    size_t size;
    /** The watch. */
    tn_wd wd;
    /** The watch that its tn_watch_add() returned; itself for a root. */
    tn_wd root;
    /** The watch of the same add on the directory above; -1 for a root. */
    tn_wd parent;
    /** The mask as asked for, not as the kernel has it. */
    uint32_t mask;
    /** `TN_WATCH_*` */
    uint32_t flags;
    /** The order in force; never @ref TN_ORDER_DEFAULT. */
    enum tn_order order;
    /** @ref tn_watch_options.data. The caller knows by other means that it is still alive. */
    void *data;
    /** Whether the watched item is a directory; if nothing has the name, whether the last was. */
    bool is_dir;
};

/** @brief Initial value of a struct tn_watch_info. */
#define TN_WATCH_INFO_INIT TN_SIZED_INIT(struct tn_watch_info)

/** @brief Take the mask of the options; with `IN_MASK_ADD` it is added to the old one. */
#define TN_UPDATE_MASK 0x01u
/** @brief Take the processor; NULL goes back to the notifier's. */
#define TN_UPDATE_PROCESSOR 0x02u
/** @brief Take the filter; NULL goes back to the notifier's. */
#define TN_UPDATE_FILTER 0x04u
/** @brief Take @ref TN_WATCH_AUTO_ADD, set or not, of the flags. */
#define TN_UPDATE_AUTO_ADD 0x08u
/** @brief And all watches of the same add below this one. */
#define TN_UPDATE_RECURSIVE 0x100u

/** @brief And all watches of the same add below this one. */
#define TN_REMOVE_RECURSIVE 0x01u
/**
 * @brief Wait until no call for the watch runs any more, and deliver no `IN_IGNORED`.
 *
 * Inside a callback it cannot wait: the watch is removed all the same, and
 * `-EDEADLK` returned.
 */
#define TN_REMOVE_SYNC 0x02u

/**
 * @brief Start watching a path.
 *
 * The kernel watch is live before this returns: a change made afterwards is
 * seen. One that races with the call may or may not be. Below a root with
 * @ref TN_WATCH_TREE that asks for `IN_CREATE` and `IN_MOVED_TO`, every entry
 * that came to be after the add is announced.
 *
 * A directory below that cannot be opened or watched does not fail the add,
 * unless a limit or memory is the cause: `placed` is told of it, it is counted,
 * and a @ref TN_EVENT_UNWATCHED is delivered.
 *
 * After a failure nothing is left of the add, and `release` is not called.
 *
 * @param      notifier  Notifier to add to.
 * @param      path      Path to watch, copied; resolved against the current
 *                       directory now, not at event time.
 * @param      options   What to watch and whom to tell; copied.
 * @param[out] ret_wd    Receives the watch descriptor, before its first event is
 *                       delivered. May be NULL.
 *
 * @retval 0            The watch is in place.
 * @retval -EINVAL      No event bit in the mask; `IN_MASK_ADD`, `IN_MASK_CREATE`
 *                      or an unknown bit in it; an unknown flag or order;
 *                      `options->size` too small; or a NULL argument. With
 *                      @ref TN_WATCH_FOLLOW_NAME also a path that ends in no name,
 *                      but in `.` or `..`, or is `/`.
 * @retval -E2BIG       `options` asks for what this version does not know.
 * @retval -ECANCELED   The filter excludes the path itself.
 * @retval -ENOENT      There is nothing at the path, or it is empty. With
 *                      @ref TN_WATCH_FOLLOW_NAME only if the name's directory is not
 *                      there.
 * @retval -EACCES      The item, or a name's directory, may not be read: inotify(7)
 *                      needs that.
 * @retval -ENOTDIR     `IN_ONLYDIR`, and it is no directory.
 * @retval -ENOSPC      fs.inotify.max_user_watches is used up; what this call had
 *                      placed is taken back.
 * @retval -ENOMEM      No memory; taken back as well.
 * @retval -ESHUTDOWN   The notifier is stopping or stopped.
 * @retval -ECHILD      In a forked child.
 * @return Otherwise the negative result of `placed`, or the negative errno of
 *         inotify_add_watch(2) or openat(2).
 *
 * @threadsafe
 * @mayblock{the registry's writer lock, and the directory walk when recursive}
 * @incallback{Allowed}
 *
 * @snippet watch_processor.c watch
 * @snippet exclude.c watch
 * @snippet exclude.c placed
 */
TN_EXPORT int tn_watch_add(struct tn_notifier *notifier, const char *path,
                           const struct tn_watch_options *options, tn_wd *ret_wd);

/**
 * @brief Start watching several paths.
 *
 * Each path is an add of its own, as by tn_watch_add(): one that fails does not
 * keep the others from being placed, and `release` is called once for each that
 * was placed.
 *
 * @param      notifier  Notifier to add to.
 * @param      paths     The paths.
 * @param      count     How many.
 * @param      options   What to watch and whom to tell; copied.
 * @param[out] results   Receives `count` results, in the order of the paths. May
 *                       be NULL.
 *
 * @retval -EINVAL     Options that no path could be added with, as in
 *                     tn_watch_add(), or a NULL argument.
 * @retval -E2BIG      `options` asks for what this version does not know.
 * @retval -ESHUTDOWN  The notifier is stopping or stopped.
 * @retval -ECHILD     In a forked child.
 * @return Otherwise how many were placed.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock, and the directory walks when recursive}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_watch_add_list(struct tn_notifier *notifier, const char *const *paths,
                                size_t count, const struct tn_watch_options *options,
                                struct tn_watch_result *results);

/**
 * @brief Start watching all paths that match a pattern now.
 *
 * Each is an add of its own, as in tn_watch_add_list(). What becomes of each is
 * told to `placed`.
 *
 * @param      notifier   Notifier to add to.
 * @param      pattern    A pattern of glob(7).
 * @param      options    What to watch and whom to tell; copied.
 * @param[out] ret_count  Receives how many were placed. May be NULL.
 *
 * @retval 0           Each match was tried.
 * @retval -ENOENT     Nothing matches.
 * @retval -EINVAL     As in tn_watch_add_list().
 * @retval -E2BIG      As in tn_watch_add_list().
 * @retval -ENOMEM     No memory for the matches.
 * @retval -ESHUTDOWN  The notifier is stopping or stopped.
 * @retval -ECHILD     In a forked child.
 *
 * @threadsafe
 * @mayblock{the search for matches, the registry's writer lock, and the directory walks}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_watch_add_glob(struct tn_notifier *notifier, const char *pattern,
                                const struct tn_watch_options *options, size_t *ret_count);

/**
 * @brief Change what a watch asks for and whom it tells.
 *
 * A new mask and a new filter decide about what is read from then on; a new
 * processor is told also of what is queued already. A failure changes nothing.
 *
 * @param notifier  The watch's notifier.
 * @param wd        The watch.
 * @param fields    `TN_UPDATE_*`: which fields of the options to take, and
 *                  whether to go on below.
 * @param options   The new values; copied.
 *
 * @retval 0           Changed.
 * @retval -ENOENT     No such watch; perhaps it has just ended.
 * @retval -EAGAIN     The item has just moved or vanished, and the kernel would
 *                     have to be asked for more: try again after the events.
 * @retval -EINVAL     No field or an unknown one, a mask as in tn_watch_add(),
 *                     `options->size` too small, or a NULL argument.
 * @retval -E2BIG      `options` asks for what this version does not know.
 * @retval -ENOMEM     No memory.
 * @retval -ESHUTDOWN  The notifier is stopping or stopped.
 * @retval -ECHILD     In a forked child.
 * @return Otherwise the negative errno of inotify_add_watch(2).
 *
 * @threadsafe
 * @mayblock{the registry's writer lock}
 * @incallback{Allowed}
 *
 * @snippet mask.c update
 */
TN_EXPORT int tn_watch_update(struct tn_notifier *notifier, tn_wd wd, uint32_t fields,
                              const struct tn_watch_options *options);

/**
 * @brief Change several watches, each as by tn_watch_update().
 *
 * @param      notifier  The watches' notifier.
 * @param      wds       The watches.
 * @param      count     How many.
 * @param      fields    `TN_UPDATE_*`.
 * @param      options   The new values; copied.
 * @param[out] errors    Receives for each watch 0 or a negative errno. May be
 *                       NULL.
 *
 * @retval -EINVAL     Fields or options that no watch could be changed with, or a
 *                     NULL argument.
 * @retval -E2BIG      `options` asks for what this version does not know.
 * @retval -ESHUTDOWN  The notifier is stopping or stopped.
 * @retval -ECHILD     In a forked child.
 * @return Otherwise how many were changed.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_watch_update_list(struct tn_notifier *notifier, const tn_wd *wds, size_t count,
                                   uint32_t fields, const struct tn_watch_options *options,
                                   int *errors);

/**
 * @brief Stop watching.
 *
 * From now on no new call for the watch begins, but for that of its `IN_IGNORED`;
 * with @ref TN_REMOVE_SYNC none at all, and when it returns 0 none runs.
 * The add's `release` is called once its last watch has ended and the last call
 * has returned, perhaps later and in another thread.
 *
 * @param notifier  The watch's notifier.
 * @param wd        The watch.
 * @param flags     `TN_REMOVE_*`, or 0.
 *
 * @retval 0          Removed.
 * @retval -EDEADLK   @ref TN_REMOVE_SYNC inside a callback: removed, not waited
 *                    for.
 * @retval -ENOENT    No such watch; also when it has been removed before.
 * @retval -EINVAL    An unknown flag, or NULL.
 * @retval -ECHILD    In a forked child.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock; with TN_REMOVE_SYNC also a call that is running elsewhere}
 * @incallback{Allowed, but with TN_REMOVE_SYNC it does not wait: -EDEADLK}
 *
 * @snippet threaded.c remove
 * @snippet threaded.c remove recursively
 */
TN_EXPORT int tn_watch_remove(struct tn_notifier *notifier, tn_wd wd, uint32_t flags);

/**
 * @brief Stop watching several, each as by tn_watch_remove().
 *
 * @param      notifier  The watches' notifier.
 * @param      wds       The watches.
 * @param      count     How many.
 * @param      flags     `TN_REMOVE_*`, or 0.
 * @param[out] errors    Receives for each watch 0 or a negative errno. May be
 *                       NULL.
 *
 * @retval -EINVAL    An unknown flag, or NULL.
 * @retval -ECHILD    In a forked child.
 * @return Otherwise for how many tn_watch_remove() would have returned 0.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock; with TN_REMOVE_SYNC also calls that are running elsewhere}
 * @incallback{Allowed, but with TN_REMOVE_SYNC it does not wait: -EDEADLK for each}
 */
TN_EXPORT int tn_watch_remove_list(struct tn_notifier *notifier, const tn_wd *wds, size_t count,
                                   uint32_t flags, int *errors);

/**
 * @brief Find a watch by its path.
 *
 * The tree is as the events that were read last have it, which may be behind
 * the file system. If several watches stand on the path, the oldest is found.
 * The cost grows with the depth of the path, not with the number of watches.
 *
 * @param      notifier  The notifier.
 * @param      path      The path, below a root's as it was given to the add.
 * @param[out] ret_wd    Receives the watch. May be NULL.
 *
 * @retval 0          Found.
 * @retval -ENOENT    No watch stands on the path.
 * @retval -EINVAL    `notifier` or `path` is NULL.
 * @retval -ENOMEM    No memory.
 * @retval -ECHILD    In a forked child.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock, if a move overtakes it or a name is followed}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_watch_find(struct tn_notifier *notifier, const char *path, tn_wd *ret_wd);

/**
 * @brief The path of a watch, as the events that were read last have it.
 *
 * As snprintf(3): the path is cut to `size` - 1 bytes and terminated, if `size`
 * is not 0. An event's own `path` is that of its point of the stream; this one
 * may be later.
 *
 * @param      notifier  The watch's notifier.
 * @param      wd        The watch.
 * @param[out] buffer    Receives the path. May be NULL if `size` is 0.
 * @param      size      Bytes at `buffer`.
 *
 * @retval -ENOENT    No such watch.
 * @retval -EINVAL    NULL where there must be something.
 * @retval -ECHILD    In a forked child.
 * @return Otherwise the length of the whole path, without its terminator.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock, if a move overtakes it or a name is followed}
 * @incallback{Allowed}
 */
TN_EXPORT ssize_t tn_watch_path(struct tn_notifier *notifier, tn_wd wd, char *buffer, size_t size);

/**
 * @brief The path of a watch, as by tn_watch_path(), in memory of its own.
 *
 * @param      notifier  The watch's notifier.
 * @param      wd        The watch.
 * @param[out] ret_path  Receives the path; the caller's, to be freed by free(3).
 *
 * @retval 0          Copied.
 * @retval -ENOENT    No such watch.
 * @retval -EINVAL    NULL.
 * @retval -ENOMEM    No memory.
 * @retval -ECHILD    In a forked child.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock, if a move overtakes it or a name is followed}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_watch_path_dup(struct tn_notifier *notifier, tn_wd wd, char **ret_path);

/**
 * @brief What is known of a watch.
 *
 * @param         notifier  The watch's notifier.
 * @param         wd        The watch.
 * @param[in,out] ret_info  The caller sets its `size`; receives the rest.
 *
 * @retval 0          Filled.
 * @retval -ENOENT    No such watch.
 * @retval -EINVAL    NULL, or a `size` that does not even hold itself.
 * @retval -E2BIG     A `size` that no version has.
 * @retval -ECHILD    In a forked child.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet mask.c info
 */
TN_EXPORT int tn_watch_get_info(struct tn_notifier *notifier, tn_wd wd,
                                struct tn_watch_info *ret_info);

/**
 * @brief Visit watches.
 *
 * Each watch that stands during the whole call is visited once; one that comes
 * or goes meanwhile may be or may not be.
 *
 * @param notifier  The notifier.
 * @param path      Visit what stands on this path and below it. NULL: all.
 * @param visit     Called in this thread, with no lock held: it may call any
 *                  function, also those that end watches. `path` is valid until
 *                  it returns. Another result than 0 ends the visit.
 * @param userdata  Handed to `visit`.
 *
 * @retval 0          All were visited; also if there was none.
 * @retval -EINVAL    `notifier` or `visit` is NULL.
 * @retval -ENOMEM    No memory.
 * @retval -ECHILD    In a forked child.
 * @return Otherwise the result of `visit` that ended it.
 *
 * @threadsafe
 * @mayblock{`visit`, and the registry's writer lock if a move overtakes it or a name is followed}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_watch_each(struct tn_notifier *notifier, const char *path,
                            int (*visit)(tn_wd wd, const char *path, void *userdata),
                            void *userdata);

/** @} */

TN_END_DECLS

#endif
