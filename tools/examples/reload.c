/*
 * Reloads a configuration when its file changes: reload FILE, until ^C. A file with a mistake in it
 * is told, and the old configuration stays.
 *
 * What is watched is the name: editors write a new file and move it over the old one, and a watch
 * on the old file would go with it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <tnotify/tnotify.h>

struct config {
    const char *file;
    unsigned threads;
    char title[64];
};

static int parse_line(const char *line, struct config *config)
{
    unsigned threads;

    if (line[0] == '#' || line[0] == '\0')
        return 0;
    if (sscanf(line, "threads = %3u", &threads) == 1 && threads >= 1 && threads <= 64) {
        config->threads = threads;
        return 0;
    }
    return sscanf(line, "title = %63[^\n]", config->title) == 1 ? 0 : -EINVAL;
}

/* Takes the whole file or, if anything is wrong with it, nothing. */
static int load(struct config *config)
{
    struct config new = {.file = config->file, .threads = 1, .title = "untitled"};
    char line[128];
    int r = 0;

    FILE *in = fopen(config->file, "re");
    if (in == NULL)
        return -errno;
    while (r == 0 && fgets(line, sizeof(line), in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        r = parse_line(line, &new);
    }
    if (r == 0 && ferror(in))
        r = -errno;
    fclose(in);
    if (r == 0)
        *config = new;
    return r;
}

static void print(const char *what, const struct config *config)
{
    printf("%s: threads %u, title %s\n", what, config->threads, config->title);
}

/* [reload] */
/* IN_CLOSE_WRITE: written in place, or replaced. IN_Q_OVERFLOW: perhaps one of them. */
static int reload(const struct tn_event *event, void *userdata)
{
    struct config *config = userdata;

    (void)event;
    int r = load(config);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", config->file, tn_strerror(r));
    print(r < 0 ? "kept" : "reloaded", config);
    return 0;
}

static const struct tn_processor_ops ops = {
    .size = sizeof(ops),
    .process_close_write = reload,
    .process_q_overflow = reload,
};
/* [reload] */

static struct tn_notifier *notifier;

static void on_interrupt(int number)
{
    (void)number;
    tn_notifier_stop(notifier, TN_FINISH_DRAIN);
}

static int run(struct config *config)
{
    const struct sigaction interrupt = {.sa_handler = on_interrupt};
    const struct tn_watch_options *options =
        TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .flags = TN_WATCH_FOLLOW_NAME);

    /* [watch] */
    /* First the watch, then the file: what is written in between is loaded again. */
    int r = tn_watch_add(notifier, config->file, options, NULL);
    if (r == 0)
        r = load(config);
    /* [watch] */
    if (r < 0)
        return r;
    sigaction(SIGINT, &interrupt, NULL);
    print("loaded", config);
    r = tn_notifier_loop(notifier, NULL, NULL);
    signal(SIGINT, SIG_DFL);
    return r;
}

int main(int argc, char **argv)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct config config = {.file = argv[1]};

    int r = tn_processor_new(&ops, &config, &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = run(&config);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0;
}
