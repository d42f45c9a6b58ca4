/* A crawl on its own thread: tree/crawl_thread.c. */
#include "crawl_seen.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>

static bool forbid_unshare;

/* In front of libc's. */
int unshare(int flags)
{
    if (forbid_unshare) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_unshare, flags);
}

TestSuite(crawl_thread, .init = set_up, .fini = tear_down);

static int check_thread(void *context, uint32_t parent, const char *name, size_t length, int fd,
                        bool in_cwd, uint32_t *ret_id)
{
    pthread_t *caller = context;
    char thread_name[16];
    sigset_t blocked;

    cr_assert_not(pthread_equal(*caller, pthread_self()));
    cr_assert_eq(pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name)), 0);
    cr_assert_str_eq(thread_name, "tn-crawl");
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    cr_assert(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1) &&
              sigismember(&blocked, SIGINT));
    return see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
}

Test(crawl_thread, the_thread_is_named_and_takes_no_signal)
{
    static const struct tn__crawl_ops ops = {check_thread, see_entry, see_failed, NULL};
    pthread_t self = pthread_self();
    sigset_t blocked;

    make("a");
    cr_assert_eq(crawl(&ops, &self), 0);
    cr_assert_eq(seen.directories, 1);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &blocked), 0);
    cr_assert_not(sigismember(&blocked, SIGTERM), "the caller's mask is as before");
}

struct calls {
    pthread_t caller;
    int count;
    bool wrong_thread, wrong_cwd;
};

static int in_caller(void *arg)
{
    struct calls *calls = arg;
    char cwd[PATH_MAX];

    calls->wrong_thread |= !pthread_equal(calls->caller, pthread_self());
    calls->wrong_cwd |= !getcwd(cwd, sizeof(cwd)) || strcmp(cwd, directory) != 0;
    return ++calls->count;
}

static int ask_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                         bool in_cwd, uint32_t *ret_id)
{
    struct calls *calls = context;
    int answer = tn__crawl_in_caller(in_caller, calls);

    see_directory(NULL, parent, name, length, fd, in_cwd, ret_id);
    return answer == calls->count ? 1 : -EINVAL;
}

static const struct tn__crawl_ops asking = {ask_directory, see_entry, see_failed, NULL};

Test(crawl_thread, a_call_in_the_caller)
{
    struct calls calls = {.caller = pthread_self()};

    make_deep(100, 10);
    cr_assert_eq(tn__crawl_in_caller(in_caller, &calls), 1, "outside of a crawl: at once");
    cr_assert_eq(crawl(&asking, &calls), 0);
    cr_assert_eq(calls.count, 1101);
    cr_assert_not(calls.wrong_thread);
    cr_assert_not(calls.wrong_cwd);
}

static int crawl_again(void *arg)
{
    int fd = open_dir("."), result = tn__crawl_run(fd, 0, &asking, arg);

    close(fd);
    return result;
}

static int nest_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                          bool in_cwd, uint32_t *ret_id)
{
    (void)parent, (void)name, (void)length, (void)fd, (void)in_cwd, (void)ret_id;
    return tn__crawl_in_caller(crawl_again, context);
}

static int want(void *context, uint32_t parent, const char *name, size_t length, unsigned char type)
{
    (void)context, (void)parent, (void)name, (void)length;
    return type == DT_DIR;
}

Test(crawl_thread, a_crawl_in_a_call_in_the_caller)
{
    static const struct tn__crawl_ops ops = {nest_directory, want, see_failed, NULL};
    struct calls calls = {.caller = pthread_self()};

    make("a");
    make("b");
    cr_assert_eq(crawl(&ops, &calls), 0);
    cr_assert_eq(calls.count, 4);
    cr_assert_not(calls.wrong_thread);
}

Test(crawl_thread, without_a_cwd_of_its_own)
{
    forbid_unshare = true;
    make_deep(100, 2);
    cr_assert_not(tn__crawl_own_cwd());
    cr_assert_eq(crawl(&see, NULL), 0);
    cr_assert_eq(seen.directories, 300);
    cr_assert_eq(seen.in_cwd, 0);
    assert_all_seen();
}

static void *walk_own(void *arg)
{
    char cwd[PATH_MAX];

    cr_assert(tn__crawl_own_cwd());
    int fd = open_dir(directory);
    *(int *)arg = tn__crawl_walk(fd, 0, true, &see, NULL);
    close(fd);
    cr_assert_str_eq(getcwd(cwd, sizeof(cwd)), "/", "nothing is kept busy");
    return NULL;
}

/* No thread has room for a stack of this size. */
Test(crawl_thread, without_a_thread)
{
    struct calls calls = {.caller = pthread_self()};
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    cr_assert_eq(pthread_attr_setstacksize(&attributes, (size_t)1 << 50), 0);
    cr_assert_eq(pthread_setattr_default_np(&attributes), 0);
    cr_assert_neq(pthread_create(&thread, NULL, walk_own, NULL), 0);
    make_deep(100, 2);
    cr_assert_eq(crawl(&asking, &calls), 0);
    cr_assert_eq(seen.directories, 300);
    cr_assert_eq(seen.in_cwd, 0, "the caller's working directory is left alone");
    cr_assert_eq(calls.count, 300);
    cr_assert_not(calls.wrong_thread);
}

Test(crawl_thread, a_walk_in_a_thread_with_its_own_cwd)
{
    char cwd[PATH_MAX];
    pthread_t thread;
    int result = 1;

    make("a");
    make("a/b");
    cr_assert_eq(pthread_create(&thread, NULL, walk_own, &result), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(result, 0);
    cr_assert_eq(seen.directories, 2);
    cr_assert_eq(seen.in_cwd, 2);
    cr_assert_str_eq(getcwd(cwd, sizeof(cwd)), directory);
}

static atomic_bool stop_changing;
static atomic_int rounds;

static void *change_tree(void *arg)
{
    char from[128], to[128];

    (void)arg;
    for (unsigned i = 0; !atomic_load(&stop_changing); i++) {
        snprintf(from, sizeof(from), "%s/x%u", directory, i % 7);
        snprintf(to, sizeof(to), "%s/x%u/y%u", directory, i * 5 % 7, i % 3);
        mkdir(from, 0700);
        rename(from, to);
        rmdir(to);
        snprintf(to, sizeof(to), "%s/stable", directory);
        symlink(to, from);
        unlink(from);
        atomic_fetch_add(&rounds, 1);
    }
    return NULL;
}

/* Directories that come and go never take those that stay out of sight, nor show them twice. */
Test(crawl_thread, a_tree_that_changes)
{
    pthread_t thread;
    char name[64];

    make("stable");
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "stable/s%d", i);
        make(name);
    }
    cr_assert_eq(pthread_create(&thread, NULL, change_tree, NULL), 0);
    for (int i = 0; i < 300 || atomic_load(&rounds) < 300; i++) {
        int stable = 0;
        memset(found, 0, sizeof(found));
        found_count = 0;
        memset(&seen, 0, sizeof(seen));
        cr_assert_eq(crawl(&see, NULL), 0);
        for (uint32_t id = 1; id <= found_count; id++)
            stable += found[id].name[0] == 's' && found[id].opened == 1;
        cr_assert_eq(stable, 51);
    }
    atomic_store(&stop_changing, true);
    pthread_join(thread, NULL);
}
