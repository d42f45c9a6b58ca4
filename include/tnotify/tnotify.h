/**
 * @file
 * @brief All of tnotify.
 */
#ifndef TNOTIFY_TNOTIFY_H
#define TNOTIFY_TNOTIFY_H

/**
 * @mainpage tnotify
 *
 * Watches file trees on Linux with inotify and hands each change to processors
 * on worker threads.
 *
 * - @ref notifier : from the kernel's queue to the processors
 * - @ref watch : adding, updating, removing and finding watches
 * - @ref event : what a processor is told, and the text of masks
 * - @ref processor : what is called for each event
 * - @ref executor : the threads that run processors
 * - @ref filter : what is neither watched nor reported
 * - @ref limits : the kernel's limits, and the text of errors
 * - @ref stats : what a notifier has done
 * - @ref version : which tnotify this is
 *
 * @section conventions Conventions
 *
 * **Errors** are negative errno values, with one meaning for each function. A
 * NULL where there must be something is `-EINVAL`. Nothing is ever printed, and
 * the program never ended.
 *
 * **Results** go through `ret_` pointers, which come last and are untouched
 * after a failure.
 *
 * **Options and tables** have their `size` first, and in every field 0 is the
 * default. The `TN_…_INIT` macros set the size. What is passed in is copied; an
 * object in it is referenced. A larger `size` than the library knows is
 * `-E2BIG` if the part that it does not know is not zero. In structs that the
 * library fills, the caller sets `size`, and no more than that is filled.
 *
 * **Objects** are freed by `…_free` or, where they are counted by reference,
 * `…_unref`. Both take NULL and return NULL.
 *
 * **Callbacks** are the functions of processors and executors, the `release` of
 * anything, a filter's test, and the log. They run with no lock of the library
 * held. "Inside a callback" means a thread that is in one of them, called by the
 * notifier that is meant. `placed` of an add and `visit` of tn_watch_each() run
 * in the thread that made the call, and may call what that thread might.
 *
 * **Threads** of the library are named and block all signals. Descriptors are
 * close-on-exec.
 *
 * **Fork.** A child may call only tn_notifier_free() on a notifier that it
 * inherited, which then only gives memory back; everything else is `-ECHILD`.
 *
 * @section cannot What inotify cannot tell
 *
 * Changes through mmap(2); changes on remote file systems by other machines;
 * changes below a mount that was placed over a watched directory; moves of a
 * root's ancestors; two equal events in a row, which the kernel merges. See
 * inotify(7).
 */

#include <tnotify/event.h>
#include <tnotify/executor.h>
#include <tnotify/filter.h>
#include <tnotify/limits.h>
#include <tnotify/notifier.h>
#include <tnotify/processor.h>
#include <tnotify/stats.h>
#include <tnotify/version.h>
#include <tnotify/watch.h>

#endif
