/*
 * Faults in what the library calls: each of these functions answers the n-th
 * call that the library makes with an error, from any of its threads.
 *
 * The test links the library's objects with their references to these names
 * renamed to fault_NAME (calls.txt, tests/CMakeLists.txt), so neither the test
 * nor the C library itself is hit.
 */
#ifndef TN_TESTS_FAULTS_H
#define TN_TESTS_FAULTS_H

#include <errno.h>
#include <glob.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#define OPEN_ERRORS ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, ELOOP, ENOTDIR, EINTR
#define LOOK_ERRORS ENOENT, EACCES, ENOMEM, ELOOP, ENOTDIR
#define FD_ERRORS   EMFILE, ENFILE, ENOMEM

/* What each may give: an errno, or for glob and regcomp their own results. */
#define FAULT_CALLS(CALL)                                                                          \
    CALL(malloc, ENOMEM)                                                                           \
    CALL(calloc, ENOMEM)                                                                           \
    CALL(realloc, ENOMEM)                                                                          \
    CALL(reallocarray, ENOMEM)                                                                     \
    CALL(aligned_alloc, ENOMEM)                                                                    \
    CALL(strdup, ENOMEM)                                                                           \
    CALL(newlocale, ENOMEM)                                                                        \
    CALL(getline, ENOMEM, EIO)                                                                     \
    CALL(__getdelim, ENOMEM, EIO)                                                                  \
    CALL(glob, GLOB_NOSPACE, GLOB_ABORTED)                                                         \
    CALL(regcomp, REG_ESPACE)                                                                      \
    CALL(regexec, REG_ESPACE)                                                                      \
    CALL(getcwd, ENOMEM, ENOENT, EACCES)                                                           \
    CALL(fopen, OPEN_ERRORS)                                                                       \
    CALL(opendir, OPEN_ERRORS)                                                                     \
    CALL(fdopendir, ENOMEM)                                                                        \
    CALL(readdir, ENOENT, EIO)                                                                     \
    CALL(fwrite_unlocked, ENOSPC, EIO)                                                             \
    CALL(fflush_unlocked, ENOSPC, EIO)                                                             \
    CALL(open, OPEN_ERRORS)                                                                        \
    CALL(openat, OPEN_ERRORS)                                                                      \
    CALL(close, EINTR, EIO)                                                                        \
    CALL(read, EINTR, EAGAIN, EIO)                                                                 \
    CALL(write, EAGAIN, EINTR, ENOSPC, EIO)                                                        \
    CALL(lseek, EINVAL)                                                                            \
    CALL(getdents64, EINTR, ENOENT, EIO, ENOMEM)                                                   \
    CALL(fstat, EIO, ENOMEM)                                                                       \
    CALL(fstatat, LOOK_ERRORS)                                                                     \
    CALL(readlink, ENOENT, EACCES)                                                                 \
    CALL(readlinkat, ENOENT, EACCES)                                                               \
    CALL(statx, LOOK_ERRORS)                                                                       \
    CALL(ferror, EIO)                                                                              \
    CALL(fchdir, EACCES, ENOENT)                                                                   \
    CALL(chdir, EACCES)                                                                            \
    CALL(unlink, EACCES)                                                                           \
    CALL(unshare, EPERM, ENOMEM)                                                                   \
    CALL(poll, EINTR, ENOMEM)                                                                      \
    CALL(ppoll, EINTR, ENOMEM)                                                                     \
    CALL(eventfd, FD_ERRORS)                                                                       \
    CALL(epoll_create1, FD_ERRORS)                                                                 \
    CALL(epoll_ctl, ENOMEM, ENOSPC)                                                                \
    CALL(memfd_create, FD_ERRORS, EINVAL)                                                          \
    CALL(inotify_init1, FD_ERRORS)                                                                 \
    CALL(inotify_add_watch, ENOSPC, ENOMEM, EACCES, ENOENT)                                        \
    CALL(inotify_rm_watch, EINVAL)                                                                 \
    CALL(getrandom, EAGAIN, ENOSYS)                                                                \
    CALL(getrlimit, EINVAL)                                                                        \
    CALL(sched_getaffinity, EINVAL)                                                                \
    CALL(sysconf, EINVAL)                                                                          \
    CALL(syscall, EINTR, EAGAIN)                                                                   \
    CALL(pthread_create, EAGAIN)                                                                   \
    CALL(pthread_attr_init, ENOMEM)                                                                \
    CALL(pthread_attr_setstacksize, EINVAL)                                                        \
    CALL(pthread_mutex_init, ENOMEM)                                                               \
    CALL(pthread_atfork, ENOMEM)

#define FAULT_ENUM(name, ...) FAULT_##name,
enum fault_call { FAULT_CALLS(FAULT_ENUM) FAULT_COUNT, FAULT_NONE = FAULT_COUNT };

enum { FAULT_ERRORS = 10 };

struct fault_kind {
    const char *name;
    int errors[FAULT_ERRORS]; /* up to the first 0 */
};
extern const struct fault_kind fault_kinds[FAULT_COUNT];

struct fault_plan {
    enum fault_call call; /* FAULT_NONE: only counts */
    uint32_t n;           /* which call from the arming on, from 1 */
    int error;
    bool lasting; /* and all after it, until disarmed */
};

/* Counting begins at 0. */
void fault_arm(const struct fault_plan *plan);
void fault_disarm(void);
/* Whether each call from the n-th on fails now. */
bool fault_lasts(void);
/* Whether a call has failed since the arming. */
bool fault_fired(void);
/* It said that something is not there which is: what the library did not see then, no one tells. */
bool fault_lied(void);
uint32_t fault_calls(enum fault_call call);

#endif
