/*
 * Walks directories by descriptor, so that what is watched is what was opened
 * and no path is too long. Depth first; symlinks are never followed; fewer
 * than 64 descriptors are open at once, however deep the tree.
 */
#ifndef TN_SRC_TREE_CRAWL_H
#define TN_SRC_TREE_CRAWL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A good size for tn__dir_list's buffer. */
#define TN__DIR_BUFFER ((size_t)32 * 1024)

/*
 * Lists the directory from its start to its end, "." and ".." left out. The
 * type is a DT_*; DT_UNKNOWN only where a file system gives none and the entry
 * was gone when it was looked at. The name is NUL-terminated, in the buffer
 * (aligned as malloc does), and may be longer than NAME_MAX. An entry that
 * returns < 0 ends the listing with that value. Otherwise 0, or the negative
 * errno of getdents64(2): -ENOENT when the directory was removed.
 *
 * The last getdents64, which finds the end, takes the directory's lock.
 */
int tn__dir_list(int fd, void *buffer, size_t size,
                 int (*entry)(void *context, const char *name, size_t length, unsigned char type),
                 void *context);

struct tn__crawl_ops {
    /*
     * A directory was opened (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
     * the crawl's own descriptor) and not yet listed. in_cwd: it is the
     * thread's working directory, so that "." may be watched. 1: descend, its
     * entries get *ret_id as their parent; 0: do not; < 0: end the crawl.
     */
    int (*directory)(void *context, uint32_t parent, const char *name, size_t length, int fd,
                     bool in_cwd, uint32_t *ret_id);

    /*
     * Each entry as it is listed. For DT_DIR: 1 opens it, later, after the
     * whole listing of its parent; 0 leaves it out. < 0: end the crawl.
     */
    int (*entry)(void *context, uint32_t parent, const char *name, size_t length,
                 unsigned char type);

    /*
     * The directory `name` below parent could not be opened; or, with length
     * 0, the directory `parent` itself, opened before, could not be listed to
     * its end. The error is a negative errno. 0: go on; < 0: end the crawl.
     */
    int (*failed)(void *context, uint32_t parent, const char *name, size_t length, int error);

    /*
     * May be NULL. Else all descriptors are O_PATH, and a directory is opened to
     * be listed, and closed, after it was shown; and this is called once for each
     * that the crawl went down into, but the start, when all below it is done or
     * its descriptor is closed for now. < 0: end the crawl.
     */
    int (*left)(void *context, uint32_t id, int fd);
};

/*
 * Everything below fd, which is already placed as id and stays the caller's.
 * The ops run on a thread of the library, "tn-crawl", that has a working
 * directory of its own, while the caller waits. Where no thread can be made
 * the ops run in the caller, and where it can't have its own working directory
 * in_cwd is false; the caller's working directory never changes.
 *
 * 0, or the value that ended it, or -ENOMEM before the first op.
 */
int tn__crawl_run(int fd, uint32_t id, const struct tn__crawl_ops *ops, void *context);

/* From inside an op: fn(arg) in the thread that called tn__crawl_run, and its result. */
int tn__crawl_in_caller(int (*fn)(void *arg), void *arg);

/*
 * The same crawl in the calling thread. own_cwd: tn__crawl_own_cwd has
 * succeeded in this thread before; its working directory is / afterwards.
 */
int tn__crawl_walk(int fd, uint32_t id, bool own_cwd, const struct tn__crawl_ops *ops,
                   void *context);

/* Gives the calling thread, one of the library's, a working directory of its own. False: not
 * permitted here (some containers). */
bool tn__crawl_own_cwd(void);

#endif
