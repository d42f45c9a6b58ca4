/* A forked child may free the notifier that it inherited, and do nothing else with it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

TestSuite(inherited, .init = stage_open, .fini = stage_close, .timeout = 60);

#define CHECK(call)                                                                                \
    if ((call) != -ECHILD)                                                                         \
    _exit(__LINE__ % 256)

static void in_child(tn_wd wd)
{
    struct tn_stats stats = TN_STATS_INIT;
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    char text[16], *path;

    CHECK(tn_notifier_start(notifier));
    CHECK(tn_notifier_stop(notifier, TN_FINISH_DRAIN));
    CHECK(tn_notifier_join(notifier));
    CHECK(tn_notifier_settle(notifier, -1));
    CHECK(tn_notifier_set_ignore(notifier, true));
    CHECK(tn_notifier_get_stats(notifier, &stats));
    CHECK(tn_notifier_fd(notifier));
    CHECK(tn_notifier_check_events(notifier, -1));
    CHECK(tn_notifier_read_events(notifier));
    CHECK(tn_notifier_process_events(notifier));
    CHECK(tn_notifier_loop(notifier, NULL, NULL));
    CHECK(tn_watch_add(notifier, ".", TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL));
    CHECK(tn_watch_update(notifier, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_OPEN)));
    CHECK(tn_watch_remove(notifier, wd, 0));
    CHECK(tn_watch_find(notifier, ".", &wd));
    CHECK(tn_watch_path(notifier, wd, text, sizeof(text)));
    CHECK(tn_watch_path_dup(notifier, wd, &path));
    CHECK(tn_watch_get_info(notifier, wd, &info));
    if (tn_notifier_free(notifier) != NULL)
        _exit(1);
    _exit(0);
}

/* The parent's goes on as if nothing had been. */
static void fork_and_go_on(tn_wd wd)
{
    pid_t child = fork();
    int status;

    cr_assert_geq(child, 0);
    if (child == 0)
        in_child(wd);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0, "status %#x", (unsigned)status);
    make_file("after");
    settle(notifier);
    EXPECT(&seen, "CREATE .:after");
    recorder_let_go(&seen);
    cr_expect_eq(seen.released, 0);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(seen.released, 1);
}

Test(inherited, started)
{
    stage_start();
    tn_wd wd = add(".", IN_CREATE, TN_WATCH_TREE);
    settle(notifier);
    fork_and_go_on(wd);
}

Test(inherited, without_a_start)
{
    stage_new(NULL);
    tn_wd wd = add(".", IN_CREATE, TN_WATCH_TREE);
    fork_and_go_on(wd);
}

/* A signal handler in the child must not end the parent's. */
Test(inherited, stopped_in_the_child)
{
    stage_start();
    add(".", IN_CREATE, 0);
    for (unsigned i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(tn_notifier_stop(notifier, TN_FINISH_DISCARD) == -ECHILD ? 0 : 1);
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect_eq(status, 0);
        make_file(at("f%u", i));
        settle(notifier);
        cr_expect_eq(recorder_count(&seen), i + 1);
    }
}
