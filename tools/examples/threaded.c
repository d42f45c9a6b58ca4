/*
 * Watches two trees on threads of the notifier, while the main thread does
 * something else: threaded DIR OTHER. Each line on standard input is a step.
 */
#include <stdio.h>

#include <tnotify/tnotify.h>

/* Runs on a worker thread. */
static int process(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    /* IN_Q_OVERFLOW has no path. */
    printf("%s %s\n", tn_mask_name(event->mask), event->pathname != NULL ? event->pathname : "");
    return 0;
}

/* The main thread's work: waits for the end of a line. */
static void wait_for_line(void)
{
    int c;

    do
        c = getchar();
    while (c != '\n' && c != EOF);
}

static int run(struct tn_notifier *notifier, char **dirs)
{
    /* [add] */
    const struct tn_watch_options *tree =
        TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE, .flags = TN_WATCH_TREE);
    tn_wd dir = -1;
    tn_wd other = -1;

    /* The threads run. Watches may be added at any time, from any thread. */
    int r = tn_notifier_start(notifier);
    if (r == 0)
        r = tn_watch_add(notifier, dirs[0], tree, &dir);
    if (r == 0)
        r = tn_watch_add(notifier, dirs[1], tree, &other);
    if (r < 0)
        return r;
    /* [add] */
    printf("watching %s and %s\n", dirs[0], dirs[1]);
    wait_for_line();

    /* [remove] */
    /* This directory alone: what is below it is still watched. */
    r = tn_watch_remove(notifier, dir, TN_REMOVE_SYNC);
    if (r < 0)
        return r;
    /* [remove] */
    printf("removed %s alone\n", dirs[0]);
    wait_for_line();

    /* [remove recursively] */
    /* And all below it. After this nothing is called for any of them. */
    r = tn_watch_remove(notifier, other, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    if (r < 0)
        return r;
    /* [remove recursively] */
    printf("removed %s and all below\n", dirs[1]);
    wait_for_line();

    /* [stop] */
    r = tn_notifier_stop(notifier, TN_FINISH_DRAIN); /* asks, */
    if (r == 0)
        r = tn_notifier_join(notifier); /* and this waits: all that happened is processed */
    /* [stop] */
    if (r == 0)
        printf("stopped\n");
    return r;
}

int main(int argc, char **argv)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR OTHER\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int r = tn_processor_new(&ops, NULL, &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = run(notifier, argv + 1);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[0], tn_strerror(r));
    tn_notifier_free(notifier); /* stops and joins, if that has not been done */
    tn_processor_unref(options.processor);
    return r < 0;
}
