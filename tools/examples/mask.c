/*
 * Asks for more events of a tree, and for fewer again, while they flow: mask DIR, until ^C. SIGUSR1
 * adds writes to creations and deletions, SIGUSR2 goes back.
 */
#include <signal.h>
#include <stdio.h>

#include <tnotify/tnotify.h>

static int process(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    /* IN_Q_OVERFLOW has no path. */
    printf("%s %s\n", tn_mask_name(event->mask), event->pathname != NULL ? event->pathname : "");
    return 0;
}

/* [update] */
/* For the root of the tree and all watches below it. Their flags, processor and data stay. */
static int ask_for_more(struct tn_notifier *notifier, tn_wd root)
{
    return tn_watch_update(notifier, root, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                           TN_WATCH_OPTIONS(.mask = IN_MODIFY | IN_CLOSE_WRITE | IN_MASK_ADD));
}

static int ask_for_fewer(struct tn_notifier *notifier, tn_wd root)
{
    return tn_watch_update(notifier, root, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                           TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE));
}
/* [update] */

/* [info] */
static int print_mask(struct tn_notifier *notifier, tn_wd wd)
{
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    char text[128];

    int r = tn_watch_get_info(notifier, wd, &info);
    if (r < 0)
        return r;
    tn_mask_format(info.mask, text, sizeof(text));
    printf("now %s\n", text);
    return 0;
}
/* [info] */

static int run(struct tn_notifier *notifier, const char *dir, const sigset_t *signals)
{
    tn_wd root = -1;
    int number = 0;

    int r = tn_watch_add(notifier, dir,
                         TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE, .flags = TN_WATCH_TREE),
                         &root);
    if (r == 0)
        r = tn_notifier_start(notifier);
    if (r == 0)
        r = print_mask(notifier, root);
    while (r == 0 && sigwait(signals, &number) == 0 && (number == SIGUSR1 || number == SIGUSR2)) {
        r = number == SIGUSR1 ? ask_for_more(notifier, root) : ask_for_fewer(notifier, root);
        if (r == 0)
            r = print_mask(notifier, root);
    }
    if (r == 0)
        r = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    return r < 0 ? r : tn_notifier_join(notifier);
}

int main(int argc, char **argv)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier = NULL;
    sigset_t signals;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    int r = tn_processor_new(&ops, NULL, &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = run(notifier, argv[1], &signals);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0;
}
