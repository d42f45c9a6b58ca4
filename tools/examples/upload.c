/*
 * Uploads each file that is in a directory, is written there or moved there: upload DIR TARGET,
 * until ^C, which finishes what is due first. To upload is to copy into TARGET.
 *
 * Eight workers upload different files at the same time. TN_ORDER_PATH keeps the events of one file
 * in order, one at a time: a file that is written again while it is uploaded is uploaded again
 * afterwards, so one partial file for each name is enough and the last upload has the last content.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tnotify/tnotify.h>

static int copy(int from, int to)
{
    ssize_t n;

    do
        n = sendfile(to, from, NULL, 1 << 20);
    while (n > 0);
    return n < 0 ? -errno : 0;
}

/* Returns 1 if it has been uploaded, 0 if there is nothing to upload. */
static int upload_file(const char *from, const char *part, const char *to)
{
    struct stat status;

    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (in < 0) /* Gone since, or a symbolic link: no error. */
        return errno == ENOENT || errno == ELOOP ? 0 : -errno;
    int r = fstat(in, &status) < 0 ? -errno : S_ISREG(status.st_mode);
    if (r > 0) {
        int out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        r = out < 0 ? -errno : copy(in, out);
        if (out >= 0 && close(out) < 0 && r == 0)
            r = -errno;
        if (r == 0)
            r = rename(part, to) < 0 ? -errno : 1;
    }
    close(in);
    return r;
}

/* [upload] */
/* Called by several threads at once, but never for the same file. */
static int process(const struct tn_event *event, void *userdata)
{
    const char *target = userdata;
    char part[PATH_MAX], to[PATH_MAX];

    if (event->name == NULL || tn_event_is_dir(event))
        return 0;
    if (snprintf(to, sizeof(to), "%s/%s", target, event->name) >= (int)sizeof(to) ||
        snprintf(part, sizeof(part), "%s/.%s.part", target, event->name) >= (int)sizeof(part))
        return -ENAMETOOLONG;
    printf("uploading %s\n", event->name);
    int r = upload_file(event->pathname, part, to);
    if (r < 0)
        printf("failed %s: %s\n", event->name, tn_strerror(r));
    else
        printf("%s %s\n", r > 0 ? "uploaded" : "skipped", event->name);
    return r < 0 ? r : 0; /* A failure is counted, too. */
}

static const struct tn_processor_ops ops = {
    .size = sizeof(ops),
    .process_close_write = process,
    .process_moved_to = process,
};
/* [upload] */

static int run(struct tn_notifier *notifier, const char *dir, const sigset_t *signals)
{
    /* [watch] */
    const struct tn_watch_options *each_file_in_order =
        TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE | IN_MOVED_TO, .flags = TN_WATCH_EXISTING,
                         .order = TN_ORDER_PATH);

    int r = tn_notifier_start(notifier);
    if (r == 0)
        r = tn_watch_add(notifier, dir, each_file_in_order, NULL);
    /* [watch] */
    if (r < 0)
        return r;
    printf("watching %s\n", dir);

    /* [drain] */
    int number;
    sigwait(signals, &number);
    r = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    if (r == 0)
        r = tn_notifier_join(notifier); /* All that was written before is uploaded. */
    /* [drain] */
    return r;
}

int main(int argc, char **argv)
{
    struct tn_notifier_options options = {.size = sizeof(options), .threads = 8};
    struct tn_stats stats = TN_STATS_INIT;
    struct tn_notifier *notifier = NULL;
    sigset_t signals;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR TARGET\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    int r = tn_processor_new(&ops, argv[2], &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = run(notifier, argv[1], &signals);
    if (r == 0)
        r = tn_notifier_get_stats(notifier, &stats);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    return r < 0 || stats.errors > 0;
}
