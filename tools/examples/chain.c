/*
 * A chain of processors, each with one task: chain DIR, until ^C. Hidden files go no further than
 * the first, the second prints each event, the third takes the pictures, and the last one gets the
 * rest.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <tnotify/tnotify.h>

/* [functions] */
static bool is_visible(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    return event->name != NULL && event->name[0] != '.';
}

static int take_picture(const struct tn_event *event, void *userdata)
{
    const char *dot = strrchr(event->name, '.');

    (void)userdata;
    if (dot == NULL || strcmp(dot, ".png") != 0)
        return 0; /* on to the next */
    printf("picture: %s\n", event->name);
    return TN_STOP; /* the next ones are not called */
}

static int take_rest(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    printf("other: %s\n", event->name);
    return 0;
}
/* [functions] */

/* [chain] */
static int new_chain(struct tn_processor **ret_chain)
{
    static const struct tn_processor_ops pictures = {.size = sizeof(pictures),
                                                     .process_default = take_picture};
    static const struct tn_processor_ops rest = {.size = sizeof(rest),
                                                 .process_default = take_rest};
    struct tn_processor *members[4] = {NULL};

    int r = tn_processor_new_if(is_visible, NULL, NULL, &members[0]);
    if (r == 0)
        r = tn_processor_new_print(stdout, &members[1]);
    if (r == 0)
        r = tn_processor_new(&pictures, NULL, &members[2]);
    if (r == 0)
        r = tn_processor_new(&rest, NULL, &members[3]);
    if (r == 0)
        r = tn_processor_new_chain(members, 4, ret_chain);
    for (size_t i = 0; i < 4; i++)
        tn_processor_unref(members[i]); /* The chain has references of its own. */
    return r;
}
/* [chain] */

static struct tn_notifier *notifier;

static void on_interrupt(int number)
{
    (void)number;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}

int main(int argc, char **argv)
{
    const uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    const struct sigaction interrupt = {.sa_handler = on_interrupt};

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int r = new_chain(&options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = tn_watch_add(notifier, argv[1], TN_WATCH_OPTIONS(.mask = mask), NULL);
    if (r == 0) {
        sigaction(SIGINT, &interrupt, NULL);
        printf("watching %s\n", argv[1]);
        r = tn_notifier_loop(notifier, NULL, NULL);
        signal(SIGINT, SIG_DFL);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0;
}
