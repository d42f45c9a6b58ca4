/*
 * A notifier in an event loop that serves other descriptors, too: epoll DIR, until ^C or the end of
 * standard input. One thread does it all: signals come by a descriptor, lines from standard input.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <tnotify/tnotify.h>

static int process(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    /* IN_Q_OVERFLOW has no path. */
    printf("%s %s\n", tn_mask_name(event->mask), event->pathname != NULL ? event->pathname : "");
    return 0;
}

/* Returns 0 at the end of standard input. */
static int serve_input(void)
{
    char text[256];

    ssize_t n = read(STDIN_FILENO, text, sizeof(text));
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n > 0)
        printf("input: %.*s", (int)n, text);
    return n > 0;
}

/* [serve] */
/* Called when the descriptor is readable. */
static int serve_notifier(struct tn_notifier *notifier)
{
    int r = tn_notifier_read_events(notifier);

    if (r >= 0 || r == -ENOBUFS)
        r = tn_notifier_process_events(notifier);
    return r < 0 ? r : 1;
}
/* [serve] */

/* [loop] */
static int loop(struct tn_notifier *notifier, int epoll, int signals)
{
    const int fds[] = {tn_notifier_fd(notifier), signals, STDIN_FILENO};
    struct epoll_event ready = {.events = 0};
    int r = 1;

    for (size_t i = 0; i < 3; i++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fds[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &wanted) < 0)
            return -errno;
    }
    while (r > 0) {
        int n = epoll_wait(epoll, &ready, 1, -1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n <= 0)
            continue;
        if (ready.data.fd == signals)
            break;
        r = ready.data.fd == STDIN_FILENO ? serve_input() : serve_notifier(notifier);
    }
    if (r < 0)
        return r;
    r = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    return r < 0 ? r : tn_notifier_join(notifier); /* Processes what happened before, here. */
}
/* [loop] */

int main(int argc, char **argv)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier = NULL;
    sigset_t numbers;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&numbers);
    sigaddset(&numbers, SIGINT);
    sigaddset(&numbers, SIGTERM);
    sigprocmask(SIG_BLOCK, &numbers, NULL);
    int signals = signalfd(-1, &numbers, SFD_CLOEXEC);
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    int r = signals < 0 || epoll < 0 ? -errno : 0;
    if (r == 0)
        r = tn_processor_new(&ops, NULL, &options.processor);
    if (r == 0)
        r = tn_notifier_new(&options, &notifier);
    if (r == 0)
        r = tn_watch_add(notifier, argv[1],
                         TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE, .flags = TN_WATCH_TREE),
                         NULL);
    if (r == 0) {
        printf("watching %s\n", argv[1]);
        r = loop(notifier, epoll, signals);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], tn_strerror(r));
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    if (signals >= 0)
        close(signals);
    if (epoll >= 0)
        close(epoll);
    return r < 0;
}
