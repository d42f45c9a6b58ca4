/*
 * Leaves out what a list excludes: exclude DIR LIST, until ^C. LIST is a file with a regular
 * expression a line; an excluded directory is not even watched. Backup files are left out anyway.
 */
#include <signal.h>
#include <stdio.h>

#include <tnotify/tnotify.h>

/* [filter] */
/* The expressions are searched in the full path. */
static int new_filter(const char *list, struct tn_filter **ret_filter)
{
    struct tn_filter *filter = NULL;

    int r = tn_filter_new(&filter);
    if (r == 0)
        r = tn_filter_load(filter, list, TN_FILTER_REGEX);
    if (r == 0)
        r = tn_filter_add_regex(filter, "(~|\\.bak)$", TN_FILTER_ICASE);
    if (r < 0) {
        tn_filter_unref(filter);
        return r;
    }
    *ret_filter = filter;
    return 0;
}
/* [filter] */

/* [placed] */
/* Told of each directory while the tree is added. */
static int placed(const char *path, tn_wd wd, int error, void *data)
{
    (void)data;
    if (wd < 0)
        fprintf(stderr, "%s: %s\n", path, tn_strerror(error));
    else
        printf("watching %s\n", path);
    return 0;
}
/* [placed] */

static int process(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    /* IN_Q_OVERFLOW has no path. */
    printf("%s %s\n", tn_mask_name(event->mask), event->pathname != NULL ? event->pathname : "");
    return 0;
}

static struct tn_notifier *notifier;

static void on_interrupt(int number)
{
    (void)number;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}

static int run(const char *dir, struct tn_filter *filter)
{
    const struct sigaction interrupt = {.sa_handler = on_interrupt};

    /* [watch] */
    int r =
        tn_watch_add(notifier, dir,
                     TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE | IN_MOVE,
                                      .flags = TN_WATCH_TREE, .filter = filter, .placed = placed),
                     NULL);
    /* [watch] */
    if (r < 0) {
        /* [error] */
        char text[512];
        tn_error_format(r, text,
                        sizeof(text)); /* where it is a limit: its value, and who uses it */
        fprintf(stderr, "%s: %s\n", dir, text);
        /* [error] */
        return r;
    }
    sigaction(SIGINT, &interrupt, NULL);
    printf("ready\n");
    r = tn_notifier_loop(notifier, NULL, NULL);
    signal(SIGINT, SIG_DFL);
    return r;
}

int main(int argc, char **argv)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_filter *filter = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR LIST\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int r = new_filter(argv[2], &filter);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[2], tn_strerror(r));
    if (r == 0)
        r = tn_processor_new(&ops, NULL, &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = run(argv[1], filter);
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    tn_filter_unref(filter);
    return r < 0;
}
