/* A child may use the library as its parent did: threads and locks are not inherited. */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

TestSuite(fork, .init = stage_open, .fini = stage_close, .timeout = 60);

/* All that needs a grace period or a thread of the library: exits with where it failed. */
static int live_once(void)
{
    struct tn_notifier *own;
    tn_wd wd = -1;

    if (tn_notifier_new(NULL, &own) < 0)
        return 1;
    if (tn_notifier_start(own) < 0)
        return 2;
    if (tn_watch_add(own, "w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE), &wd) <
        0)
        return 3;
    if (tn_watch_update(own, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE)) < 0)
        return 4;
    if (tn_watch_remove(own, wd, TN_REMOVE_SYNC) < 0)
        return 5;
    if (tn_notifier_settle(own, 20000) < 0)
        return 6;
    tn_notifier_free(own);
    return 0;
}

/* With a child of its own, until the last generation. One that hangs goes with its parent. */
static void live_as_child(int generations)
{
    int status = 0;

    for (;;) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int result = live_once();
        pid_t child = --generations > 0 ? fork() : -1;
        if (child == 0)
            continue;
        if (child > 0 && (waitpid(child, &status, 0) != child || status))
            result = 100;
        _exit(result);
    }
}

static void check_child(void)
{
    int status;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0)
        live_as_child(2);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "status %#x", (unsigned)status);
}

Test(fork, a_child_lives_as_its_parent_did)
{
    make_dir("w");
    cr_assert_eq(live_once(), 0);
    check_child();
    cr_expect_eq(live_once(), 0);
}

static int fork_in_call(const struct tn_event *event, void *unused)
{
    (void)event;
    (void)unused;
    check_child();
    return 0;
}

Test(fork, a_child_that_is_made_inside_a_callback)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;

    ops.process_create = fork_in_call;
    cr_assert_eq(tn_processor_new(&ops, NULL, &processor), 0);
    stage_start();
    make_dir("w");
    add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor));
    tn_processor_unref(processor);
    make_file("w/f");
    settle(notifier);
    cr_expect_eq(stats().delivered, 1);
}
