/*
 * Counts what happens in a tree: statistics DIR FILE, until ^C. SIGUSR1 prints the counters of the
 * notifier and those of the processor, by the kind of event; the end writes the latter to FILE,
 * which must not be there yet.
 */
#include <signal.h>
#include <stdio.h>

#include <tnotify/tnotify.h>

/* [print] */
static int print(struct tn_notifier *notifier, struct tn_processor *counting)
{
    struct tn_stats stats = TN_STATS_INIT;
    char text[4096];

    int r = tn_notifier_get_stats(notifier, &stats);
    if (r < 0)
        return r;
    tn_stats_format(&stats, text, sizeof(text));
    fputs(text, stdout);
    tn_processor_stats_format(counting, text, sizeof(text));
    fputs(text, stdout);
    printf("--\n");
    return 0;
}
/* [print] */

static int run(struct tn_notifier *notifier, struct tn_processor *counting, char **argv,
               const sigset_t *signals)
{
    int number = 0;

    int r = tn_notifier_start(notifier);
    if (r == 0)
        r = tn_watch_add(notifier, argv[1],
                         TN_WATCH_OPTIONS(.mask = IN_ALL_EVENTS, .flags = TN_WATCH_TREE), NULL);
    if (r < 0)
        return r;
    printf("watching %s\n", argv[1]);
    while (r == 0 && sigwait(signals, &number) == 0 && number == SIGUSR1) {
        r = tn_notifier_settle(notifier, -1);
        if (r == 0)
            r = print(notifier, counting);
    }
    if (r == 0)
        r = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    if (r == 0)
        r = tn_notifier_join(notifier);
    /* [dump] */
    if (r == 0)
        r = tn_processor_stats_dump(counting, argv[2]); /* -EEXIST: it is never written over. */
    /* [dump] */
    return r;
}

int main(int argc, char **argv)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier = NULL;
    sigset_t signals;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR FILE\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    /* [processor] */
    int r = tn_processor_new_stats(&options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    /* [processor] */
    if (r == 0)
        r = run(notifier, options.processor, argv, &signals);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[0], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0;
}
