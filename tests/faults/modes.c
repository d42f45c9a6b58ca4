/*
 * The ways in which a notifier is run and ended.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror.h"
#include "scenarios.h"

#if defined(__SANITIZE_THREAD__)
#define CAN_FORK false
#elif defined(__has_feature)
#define CAN_FORK !__has_feature(thread_sanitizer)
#else
#define CAN_FORK true
#endif

/* Life. */

/* Without the handlers of pthread_atfork a child would take the notifier for its own. */
static void check_fork(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit(tn_notifier_start(notifier) == -ECHILD ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fail("a forked child is not told");
}

void scenario_life(void)
{
    int result;

    arm();
    open_notifier(NULL);
    start();
    add("", IN_CREATE, 0);
    make_file("file");
    settle();
    TRY(result, tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    if (fault_lasts())
        fault_disarm();
    TRY(result, tn_notifier_join(notifier), 0);
    if (tn_watch_add(notifier, full("file"), TN_WATCH_OPTIONS(.mask = IN_OPEN), NULL) >= 0)
        fail("an add after the stop");
    if (CAN_FORK) /* ThreadSanitizer: not with threads */
        check_fork();
    notifier = tn_notifier_free(notifier);
    open_notifier(NULL);
    start();
    close_notifier();
}

/* In the caller's thread. */

static int end_loop(struct tn_notifier *own, void *userdata)
{
    (void)own;
    (void)userdata;
    return 1;
}

static int ring(struct tn_notifier *own, void *userdata)
{
    (void)userdata;
    return tn_notifier_stop(own, TN_FINISH_DRAIN);
}

void scenario_caller(void)
{
    int result;

    arm();
    watch_tree();
    add_options("top",
                TN_WATCH_OPTIONS(.mask = NAMES, .flags = TN_WATCH_TREE, .placed = excuse_placed));
    TRY(result, tn_notifier_fd(notifier), 0);
    change_tree();
    TRY(result, tn_notifier_check_events(notifier, SETTLE_MS), EINTR, ENOMEM);
    TRY(result, tn_notifier_read_events(notifier), ENOMEM, EIO);
    TRY(result, tn_notifier_process_events(notifier), 0);
    settle();
    mirror_check("top");
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof(name), "top/file-%d", i);
        make_file(name);
        TRY(result, tn_notifier_loop(notifier, end_loop, NULL), ENOMEM, EIO);
    }
    settle();
    mirror_check("top");
    fault_disarm();
    make_file("top/last");
    TRY(result, tn_notifier_loop(notifier, ring, NULL), ENOMEM, EIO);
    mirror_check("top");
    notifier = tn_notifier_free(notifier);
}

/* A stop with drain, from threads and in the caller's. */
void scenario_drain(void)
{
    int result;

    for (int threads = 0; threads < 2; threads++) {
        watch_tree();
        add("top", NAMES, TN_WATCH_TREE);
        if (threads)
            start();
        arm();
        change_tree();
        TRY(result, tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
        bool lasts = fault_lasts();
        if (lasts) /* and the join would last as long */
            fault_disarm();
        TRY(result, tn_notifier_join(notifier), 0);
        if (!lasts)
            mirror_check("top");
        notifier = tn_notifier_free(notifier);
        if (fault_fired())
            break;
        fault_disarm();
        mirror_forget();
        remove_tree("top");
        remove_tree("out");
        remove_tree("gone");
    }
}

static int refuse(void *executor, struct tn_task *task)
{
    int *calls = executor;

    if (__atomic_fetch_add(calls, 1, __ATOMIC_RELAXED) % 2)
        return -EAGAIN;
    tn_task_cancel(task);
    return 0;
}

/* Everything runs on the fallback thread; then inline. */
void scenario_executors(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_executor_ops ops = {.size = sizeof(ops), .submit = refuse};
    int result, calls = 0;

    for (int i = 0; i < 2; i++) {
        arm();
        if (i == 0)
            TRY(result, tn_executor_new(&ops, &calls, &options.executor), ENOMEM);
        else
            TRY(result, tn_executor_new_inline(&options.executor), ENOMEM);
        open_notifier(&options);
        add("", NAMES, 0);
        start();
        make_file(i ? "first" : "second");
        settle();
        bool over = fault_fired();
        close_notifier();
        tn_executor_unref(options.executor);
        mirror_forget();
        if (over)
            break;
    }
}

/* A processor that frees its notifier. When there is no thread to do it later, the log says so. */
static atomic_bool freed, kept;

static int free_it(const struct tn_event *event, void *userdata)
{
    (void)event;
    (void)userdata;
    tn_notifier_free(notifier);
    return 0;
}

static void note_kept(int level, const char *message, void *userdata)
{
    (void)userdata;
    if (level == TN_LOG_ERROR && strstr(message, "not freed"))
        atomic_store(&kept, true);
}

static void note_freed(void *userdata)
{
    (void)userdata;
    atomic_store(&freed, true);
}

void scenario_inside(void)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops),
                                         .process_default = free_it,
                                         .release = note_freed};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    tn_processor_new(&ops, NULL, &options.processor);
    options.threads = 2;
    options.log = note_kept;
    open_notifier(&options);
    tn_processor_unref(options.processor);
    add("", IN_CREATE, 0);
    start();
    arm();
    make_file("file");
    if (fault_lasts()) {
        fault_disarm();
        make_file("second");
    }
    while (!atomic_load(&freed) && !atomic_load(&kept))
        sched_yield();
    if (atomic_load(&kept))
        tn_notifier_free(notifier);
    notifier = NULL;
}
