/*
 * One function for related events, and one for all the rest: family DIR, until
 * ^C. An event goes to the function of its own kind, else to that of its family,
 * else to process_default.
 */
#include <signal.h>
#include <stdio.h>

#include <tnotify/tnotify.h>

/* [family] */
/* IN_CLOSE_WRITE and IN_CLOSE_NOWRITE */
static int process_close(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    printf("close: %s %s\n", tn_mask_name(event->mask), event->pathname);
    return 0;
}

/* IN_MOVED_FROM and IN_MOVED_TO; the second knows both names. */
static int process_move(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    printf("move: %s %s", tn_mask_name(event->mask), event->pathname);
    if (event->src_pathname != NULL)
        printf(" from %s", event->src_pathname);
    printf("\n");
    return 0;
}

static int process_default(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    /* IN_Q_OVERFLOW has no path. */
    printf("default: %s %s\n", tn_mask_name(event->mask),
           event->pathname != NULL ? event->pathname : "");
    return 0;
}

static const struct tn_processor_ops ops = {
    .size = sizeof(ops),
    .process_close = process_close,
    .process_move = process_move,
    .process_default = process_default,
};
/* [family] */

static struct tn_notifier *notifier;

static void on_interrupt(int number)
{
    (void)number;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}

int main(int argc, char **argv)
{
    const uint32_t mask = IN_CREATE | IN_DELETE | IN_CLOSE | IN_MOVE;
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
        r = tn_watch_add(notifier, argv[1], TN_WATCH_OPTIONS(.mask = mask), NULL);
    if (r == 0) {
        sigaction(SIGINT, &interrupt, NULL);
        printf("watching %s\n", argv[1]);
        /* [loop] */
        r = tn_notifier_loop(notifier, NULL, NULL); /* reads and processes here until a stop */
        /* [loop] */
        signal(SIGINT, SIG_DFL);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0;
}
