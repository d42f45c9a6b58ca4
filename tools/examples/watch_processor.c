/*
 * A watch with a processor of its own, beside one whose events go to the
 * notifier's: watch_processor DIR OTHER, until the end of standard input.
 */
#include <stdio.h>

#include <tnotify/tnotify.h>

/* Both processors are made of this function; userdata tells which one it is. */
static int process(const struct tn_event *event, void *userdata)
{
    /* The notifier's gets IN_Q_OVERFLOW, too, which has no path. */
    printf("%s: %s %s\n", (const char *)userdata, tn_mask_name(event->mask),
           event->pathname != NULL ? event->pathname : "");
    return 0;
}

/* [release] */
/* Called once, when the last reference goes: the place to free userdata. */
static void release(void *userdata)
{
    printf("released: %s\n", (const char *)userdata);
}
/* [release] */

static int run(struct tn_notifier *notifier, struct tn_processor *own, char **dirs)
{
    /* [watch] */
    const uint32_t mask = IN_CREATE | IN_DELETE;

    int r = tn_watch_add(notifier, dirs[0], TN_WATCH_OPTIONS(.mask = mask), NULL);
    if (r == 0)
        r = tn_watch_add(notifier, dirs[1], TN_WATCH_OPTIONS(.mask = mask, .processor = own), NULL);
    /* [watch] */
    if (r == 0)
        r = tn_notifier_start(notifier);
    if (r < 0)
        return r;
    printf("watching %s and %s\n", dirs[0], dirs[1]);
    while (getchar() != EOF)
        continue;
    r = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    return r < 0 ? r : tn_notifier_join(notifier);
}

int main(int argc, char **argv)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier = NULL;
    struct tn_processor *own = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR OTHER\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* [processors] */
    const struct tn_processor_ops ops = {.size = sizeof(ops),
                                         .process_default = process,
                                         .release = release};

    int r = tn_processor_new(&ops, "notifier's", &options.processor);
    if (r == 0)
        r = tn_processor_new(&ops, "own", &own);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    /* [processors] */
    if (r == 0)
        r = run(notifier, own, argv + 1);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[0], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(own);
    tn_processor_unref(options.processor);
    return r < 0;
}
