/*
 * Prints what is created and deleted in a directory and all below it, in the
 * main thread, with the loop written by hand: monitor DIR, until ^C.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include <tnotify/tnotify.h>

/* [process] */
static int process_create(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    printf("Create: %s\n", event->pathname);
    return 0;
}

static int process_delete(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    printf("Remove: %s\n", event->pathname);
    return 0;
}
/* [process] */

/* [signal] */
static struct tn_notifier *notifier;

/* tn_notifier_stop() may be called in a signal handler. */
static void on_interrupt(int number)
{
    (void)number;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}
/* [signal] */

/* [loop] */
/* Returns 0 once the notifier has been stopped. */
static int run(void)
{
    for (;;) {
        /* Wait for something to do; here a time limit would leave room for other work. */
        int r = tn_notifier_check_events(notifier, -1);

        if (r == -EINTR)
            continue;
        if (r >= 0)
            r = tn_notifier_read_events(notifier); /* from the kernel into the queue */
        if (r >= 0 || r == -ENOBUFS)
            r = tn_notifier_process_events(notifier); /* from the queue to the functions above */
        if (r < 0)
            return r == -ESHUTDOWN ? 0 : r;
    }
}
/* [loop] */

int main(int argc, char **argv)
{
    const struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_create = process_create,
        .process_delete = process_delete,
    };
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    const struct sigaction interrupt = {.sa_handler = on_interrupt};

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    int r = tn_processor_new(&ops, NULL, &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = tn_watch_add(notifier, argv[1],
                         TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE, .flags = TN_WATCH_TREE),
                         NULL);
    if (r == 0) {
        sigaction(SIGINT, &interrupt, NULL);
        printf("Watching: %s\n", argv[1]);
        r = run();
        if (r == 0)
            r = tn_notifier_join(notifier); /* processes what happened before the stop */
        signal(SIGINT, SIG_DFL);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0;
}
