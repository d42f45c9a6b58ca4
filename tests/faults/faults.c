/*
 * The functions that the library's references lead to. One that was asked to
 * fail does nothing but set errno, except where the kernel does its work and
 * answers with an error all the same, or where an error without the work is
 * something that no kernel gives:
 *
 *   close              the descriptor is gone
 *   write, an eventfd  EAGAIN comes only when it is readable already
 *   inotify_rm_watch   EINVAL says that the watch has ended just before
 *   syscall, futex     a wake does not fail
 */
#include "faults.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KIND(call, ...) {#call, {__VA_ARGS__}},
const struct fault_kind fault_kinds[FAULT_COUNT] = {FAULT_CALLS(KIND)};

static struct fault_plan plan; /* written while disarmed */
static atomic_bool armed, fired;
static _Atomic uint32_t calls[FAULT_COUNT];
static atomic_int event_fd[64]; /* plus 1 */

void fault_arm(const struct fault_plan *new_plan)
{
    plan = *new_plan;
    for (int i = 0; i < FAULT_COUNT; i++)
        atomic_store(&calls[i], 0);
    atomic_store(&fired, false);
    atomic_store(&armed, true);
}

void fault_disarm(void)
{
    atomic_store(&armed, false);
}

bool fault_lasts(void)
{
    return atomic_load(&armed) && plan.lasting;
}

bool fault_fired(void)
{
    return atomic_load(&fired);
}

bool fault_lied(void)
{
    return fault_fired() && (plan.error == ENOENT || plan.error == ENOTDIR || plan.error == ELOOP);
}

uint32_t fault_calls(enum fault_call call)
{
    return atomic_load(&calls[call]);
}

/* The error that this call is to give; 0: none. */
static int due(enum fault_call call)
{
    if (!atomic_load(&armed))
        return 0;
    uint32_t n = atomic_fetch_add(&calls[call], 1) + 1;
    if (call != plan.call || n < plan.n || (n > plan.n && !plan.lasting))
        return 0;
    atomic_store(&fired, true);
    return plan.error;
}

static bool fails(enum fault_call call)
{
    int error = due(call);

    if (error)
        errno = error;
    return error != 0;
}

/* A call that gives `failed` and sets errno. */
#define FAULT(type, name, parameters, arguments, failed)                                           \
    type fault_##name parameters                                                                   \
    {                                                                                              \
        return fails(FAULT_##name) ? (failed) : name arguments;                                    \
    }

/* A call that gives the error itself. */
#define FAULT_RESULT(name, parameters, arguments)                                                  \
    int fault_##name parameters                                                                    \
    {                                                                                              \
        int error = due(FAULT_##name);                                                             \
        return error ? error : name arguments;                                                     \
    }

FAULT(void *, malloc, (size_t size), (size), NULL)
FAULT(void *, calloc, (size_t count, size_t size), (count, size), NULL)
FAULT(void *, realloc, (void *old, size_t size), (old, size), NULL)
FAULT(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size), NULL)
FAULT(void *, aligned_alloc, (size_t to, size_t size), (to, size), NULL)
FAULT(char *, strdup, (const char *text), (text), NULL)
FAULT(locale_t, newlocale, (int mask, const char *name, locale_t base), (mask, name, base),
      (locale_t)0)
FAULT(ssize_t, getline, (char **line, size_t *size, FILE *file), (line, size, file), -1)
FAULT(ssize_t, __getdelim, (char **line, size_t *size, int end, FILE *file),
      (line, size, end, file), -1)
FAULT_RESULT(glob,
             (const char *pattern, int flags, int (*failed)(const char *, int), glob_t *matches),
             (pattern, flags, failed, matches))
FAULT_RESULT(regcomp, (regex_t * regex, const char *pattern, int flags), (regex, pattern, flags))
FAULT_RESULT(regexec,
             (const regex_t *regex, const char *text, size_t count, regmatch_t matches[],
              int flags),
             (regex, text, count, matches, flags))
FAULT(char *, getcwd, (char *buffer, size_t size), (buffer, size), NULL)
FAULT(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL)
FAULT(DIR *, opendir, (const char *path), (path), NULL)
FAULT(DIR *, fdopendir, (int fd), (fd), NULL)
FAULT(struct dirent *, readdir, (DIR * directory), (directory), NULL)
FAULT(size_t, fwrite_unlocked, (const void *bytes, size_t size, size_t count, FILE *file),
      (bytes, size, count, file), 0)
FAULT(int, fflush_unlocked, (FILE * file), (file), EOF)
FAULT(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size), -1)
FAULT(off_t, lseek, (int fd, off_t to, int whence), (fd, to, whence), -1)
FAULT(ssize_t, getdents64, (int fd, void *buffer, size_t size), (fd, buffer, size), -1)
FAULT(int, fstat, (int fd, struct stat *status), (fd, status), -1)
FAULT(int, fstatat, (int fd, const char *path, struct stat *status, int flags),
      (fd, path, status, flags), -1)
FAULT(ssize_t, readlinkat, (int fd, const char *path, char *buffer, size_t size),
      (fd, path, buffer, size), -1)
FAULT(ssize_t, readlink, (const char *path, char *buffer, size_t size), (path, buffer, size), -1)
FAULT(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *status),
      (fd, path, flags, mask, status), -1)
FAULT(int, ferror, (FILE * file), (file), 1)
FAULT(int, fchdir, (int fd), (fd), -1)
FAULT(int, chdir, (const char *path), (path), -1)
FAULT(int, unlink, (const char *path), (path), -1)
FAULT(int, unshare, (int flags), (flags), -1)
FAULT(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout), -1)
FAULT(int, ppoll,
      (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *signals),
      (fds, count, timeout, signals), -1)
FAULT(int, epoll_create1, (int flags), (flags), -1)
FAULT(int, epoll_ctl, (int epoll, int call, int fd, struct epoll_event *event),
      (epoll, call, fd, event), -1)
FAULT(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
FAULT(int, inotify_init1, (int flags), (flags), -1)
FAULT(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), -1)
FAULT(ssize_t, getrandom, (void *buffer, size_t size, unsigned flags), (buffer, size, flags), -1)
FAULT(int, getrlimit, (__rlimit_resource_t which, struct rlimit *limit), (which, limit), -1)
FAULT(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set), -1)
FAULT(long, sysconf, (int name), (name), -1)
FAULT_RESULT(pthread_create,
             (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *),
              void *argument),
             (thread, attributes, run, argument))
FAULT_RESULT(pthread_attr_init, (pthread_attr_t * attributes), (attributes))
FAULT_RESULT(pthread_attr_setstacksize, (pthread_attr_t * attributes, size_t size),
             (attributes, size))
FAULT_RESULT(pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes),
             (mutex, attributes))
FAULT_RESULT(pthread_atfork, (void (*prepare)(void), void (*parent)(void), void (*child)(void)),
             (prepare, parent, child))

/* The mode is read also where the caller gave none: it is not used then. */
int fault_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list arguments;

    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    return fails(FAULT_open) ? -1 : open(path, flags, mode);
}

int fault_openat(int at, const char *path, int flags, ...)
{
    return fails(FAULT_openat) ? -1 : openat(at, path, flags, 0);
}

int fault_eventfd(unsigned value, int flags)
{
    int fd = fails(FAULT_eventfd) ? -1 : eventfd(value, flags);

    for (int i = 0; fd >= 0 && i < 64; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&event_fd[i], &none, fd + 1))
            break;
    }
    return fd;
}

static bool is_event_fd(int fd, bool forget)
{
    for (int i = 0; i < 64; i++)
        if (atomic_load(&event_fd[i]) == fd + 1) {
            if (forget)
                atomic_store(&event_fd[i], 0);
            return true;
        }
    return false;
}

int fault_close(int fd)
{
    is_event_fd(fd, true);
    int result = close(fd);
    return fails(FAULT_close) ? -1 : result;
}

ssize_t fault_write(int fd, const void *bytes, size_t size)
{
    bool event = is_event_fd(fd, false);
    int error = due(FAULT_write);

    if (!error)
        return write(fd, bytes, size);
    if (event && write(fd, bytes, size) >= 0)
        error = EAGAIN;
    errno = error;
    return -1;
}

int fault_inotify_rm_watch(int fd, int wd)
{
    int result = inotify_rm_watch(fd, wd);

    return fails(FAULT_inotify_rm_watch) ? -1 : result;
}

/* The futex calls of queue/park.c. */
long fault_syscall(long number, void *address, int call, uint32_t value, const void *timeout,
                   void *address2, uint32_t value3)
{
    bool wakes = number == SYS_futex && (call & FUTEX_CMD_MASK) == FUTEX_WAKE;

    if (!wakes && fails(FAULT_syscall))
        return -1;
    return syscall(number, address, call, value, timeout, address2, value3);
}
