#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tnotify/limits.h>

#define WATCHES   2000
#define INSTANCES 3

static uint64_t value_of(const char *name)
{
    char path[128];
    uint64_t value = 0;

    snprintf(path, sizeof(path), "/proc/sys/fs/inotify/%s", name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%" SCNu64, &value), 1);
    fclose(file);
    return value;
}

Test(limits, get_reads_the_sysctls)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    cr_assert_eq(tn_limits_get(&limits), 0);
    cr_assert_eq(limits.size, sizeof(limits));
    cr_assert_eq(limits.queued_events, value_of("max_queued_events"));
    cr_assert_eq(limits.user_instances, value_of("max_user_instances"));
    cr_assert_eq(limits.user_watches, value_of("max_user_watches"));
}

Test(limits, get_fills_no_more_than_asked)
{
    struct tn_limits limits = {.size = offsetof(struct tn_limits, instances_used),
                               .instances_used = 77};

    cr_assert_eq(tn_limits_get(&limits), 0);
    cr_assert_eq(limits.size, offsetof(struct tn_limits, instances_used));
    cr_assert_eq(limits.user_instances, value_of("max_user_instances"));
    cr_assert_eq(limits.instances_used, 77);
    limits.size = 0;
    cr_assert_eq(tn_limits_get(&limits), -EINVAL);
    cr_assert_eq(tn_limits_get(NULL), -EINVAL);
}

struct place {
    const char *root;
    int others_fd;
};

/*
 * As a user that nobody else is, so that the numbers are exact, but with all
 * capabilities, so that /proc shows the instances of other users too.
 */
static int count_as_nobody_else(const void *argument)
{
    const struct place *place = argument;
    struct tn_limits limits = TN_LIMITS_INIT;
    int fds[INSTANCES];
    char path[64];

    close(place->others_fd);
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0 || setresuid(54321, 54321, 54321) < 0)
        return 77;
    if (tn_limits_get(&limits) < 0 || limits.instances_used != 0 || limits.watches_used != 0)
        return 1;
    for (int i = 0; i < INSTANCES; i++)
        if ((fds[i] = inotify_init1(IN_CLOEXEC)) < 0)
            return 2;
    for (int i = 0; i < WATCHES; i++) {
        snprintf(path, sizeof(path), "%s/%d", place->root, i);
        if (inotify_add_watch(fds[i % 2], path, IN_OPEN) < 0)
            return 3;
    }
    if (tn_limits_get(&limits) < 0 || limits.instances_used != INSTANCES)
        return 4;
    return limits.watches_used == WATCHES ? 0 : 5;
}

/* The step that failed; 0: none. */
static int run_child(int (*run)(const void *argument), const void *argument)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(run(argument));
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void judge(int step)
{
    if (step == 77)
        cr_skip_test("needs root to become another user");
    cr_assert_eq(step, 0, "step %d", step);
}

Test(limits, counts_what_this_user_holds)
{
    char root[] = "/tmp/tn-limits-XXXXXX";
    char path[64];

    cr_assert_not_null(mkdtemp(root));
    cr_assert_eq(chmod(root, 0755), 0);
    for (int i = 0; i < WATCHES; i++) {
        snprintf(path, sizeof(path), "%s/%d", root, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        cr_assert_geq(fd, 0);
        close(fd);
    }
    struct place place = {.root = root, .others_fd = inotify_init1(IN_CLOEXEC)};
    cr_assert_gt(inotify_add_watch(place.others_fd, root, IN_OPEN), 0);
    int step = run_child(count_as_nobody_else, &place);
    close(place.others_fd);
    for (int i = 0; i < WATCHES; i++) {
        snprintf(path, sizeof(path), "%s/%d", root, i);
        unlink(path);
    }
    rmdir(root);
    judge(step);
}

/* Sets what is already set: the limits of the machine stay. */
Test(limits, set_writes_or_tells_why_not)
{
    uint64_t value = value_of("max_queued_events");
    int r = tn_limits_set(TN_LIMIT_QUEUED_EVENTS, value);

    cr_assert(r == 0 || r == -EACCES || r == -EPERM || r == -EROFS, "%d", r);
    cr_assert_eq(value_of("max_queued_events"), value);
}

/* Without the right to write, so that a bug here does not change the machine's limits. */
static int set_as_another(const void *argument)
{
    (void)argument;
    if (geteuid() == 0 && seteuid(54321) < 0)
        return 77;
    if (tn_limits_set(TN_LIMIT_USER_WATCHES, 0) != -EINVAL)
        return 1;
    if (tn_limits_set((enum tn_limit)3, 1) != -EINVAL ||
        tn_limits_set((enum tn_limit)99, 1) != -EINVAL)
        return 2;
    int r = tn_limits_set(TN_LIMIT_USER_WATCHES, 8192);
    return r == -EACCES || r == -EPERM || r == -EROFS ? 0 : 3;
}

Test(limits, set_refuses_nonsense_and_needs_permission)
{
    judge(run_child(set_as_another, NULL));
}
