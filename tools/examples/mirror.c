/*
 * Keeps a list of all that is below a directory, from events alone: mirror DIR, until ^C. SIGUSR1
 * prints the list, and so does the end.
 *
 * TN_WATCH_EXISTING tells what is there at the start as if it came then. With TN_ORDER_TREE, the
 * default, all events of the tree come in order, one at a time: applied one by one, they make the
 * list equal to the tree.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tnotify/tnotify.h>

struct item {
    struct item *next;
    char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct item *items; /* guarded by lock */

static int add(const char *path, const char *below)
{
    size_t size = strlen(path) + strlen(below) + 1;
    struct item *item = malloc(sizeof(*item) + size);

    if (item == NULL)
        return -ENOMEM;
    snprintf(item->path, size, "%s%s", path, below);
    item->next = items;
    items = item;
    return 0;
}

/* Takes the path and all below it off the list, and puts it back as `to` unless that is NULL. */
static int move(const char *path, const char *to)
{
    size_t length = strlen(path);
    struct item *kept = NULL, *taken = NULL;
    int r = 0;

    while (items != NULL) {
        struct item *item = items;
        bool is_below = strncmp(item->path, path, length) == 0 &&
                        (item->path[length] == '\0' || item->path[length] == '/');
        struct item **list = is_below ? &taken : &kept;

        items = item->next;
        item->next = *list;
        *list = item;
    }
    items = kept;
    while (taken != NULL) {
        struct item *item = taken;

        taken = item->next;
        if (to != NULL && r == 0)
            r = add(to, item->path + length);
        free(item);
    }
    return r;
}

/* [apply] */
/* What a directory's move takes is neither here nor there between its two halves, which the cookie
 * ties together; without a cookie it left the tree, or came from outside. Returns NULL for anything
 * else: a file goes and comes by itself. The path of an event never holds "//". */
static const char *between(const struct tn_event *event, char text[16])
{
    if (event->cookie == 0 || !tn_event_is_dir(event))
        return NULL;
    snprintf(text, 16, "//%u", event->cookie);
    return text;
}

static int went(const struct tn_event *event, void *userdata)
{
    char text[16];

    (void)userdata;
    pthread_mutex_lock(&lock); /* against the main thread; events come one at a time */
    int r = move(event->pathname, between(event, text));
    pthread_mutex_unlock(&lock);
    return r;
}

static int came(const struct tn_event *event, void *userdata)
{
    char text[16];
    const char *from = between(event, text);

    (void)userdata;
    pthread_mutex_lock(&lock);
    int r = move(event->pathname, NULL); /* what stood there is replaced */
    if (r == 0)
        r = from != NULL ? move(from, event->pathname) : add(event->pathname, "");
    pthread_mutex_unlock(&lock);
    return r;
}

/* IN_Q_OVERFLOW: events were lost; TN_EVENT_UNWATCHED: those below a directory are not told. */
static int warn(const struct tn_event *event, void *userdata)
{
    char text[512];

    (void)userdata;
    if ((event->mask & IN_IGNORED) != 0)
        return 0; /* the end of a watch */
    tn_event_format(event, text, sizeof(text));
    fprintf(stderr, "the list may be wrong: %s\n", text);
    return 0;
}

static const struct tn_processor_ops ops = {
    .size = sizeof(ops),
    .process_create = came,
    .process_delete = went,
    .process_moved_from = went,
    .process_moved_to = came,
    .process_default = warn,
};
/* [apply] */

static void print(void)
{
    pthread_mutex_lock(&lock);
    for (const struct item *item = items; item != NULL; item = item->next)
        printf("%s\n", item->path);
    printf("--\n");
    pthread_mutex_unlock(&lock);
}

static int run(struct tn_notifier *notifier, const char *dir, const sigset_t *signals)
{
    int number, r;

    /* [watch] */
    const struct tn_watch_options *whole_tree =
        TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE | IN_MOVE,
                         .flags = TN_WATCH_TREE | TN_WATCH_EXISTING, .order = TN_ORDER_TREE);

    r = tn_watch_add(notifier, dir, whole_tree, NULL);
    /* [watch] */
    if (r == 0)
        r = tn_notifier_start(notifier);
    if (r < 0)
        return r;
    printf("watching %s\n", dir);
    /* [settle] */
    while (sigwait(signals, &number) == 0 && number == SIGUSR1) {
        r = tn_notifier_settle(notifier, -1); /* All that happened so far is in the list. */
        if (r < 0)
            return r;
        print();
    }
    /* [settle] */
    r = tn_notifier_stop(notifier, TN_FINISH_DRAIN);
    if (r == 0)
        r = tn_notifier_join(notifier);
    if (r == 0)
        print();
    return r;
}

int main(int argc, char **argv)
{
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
    while (items != NULL) {
        struct item *item = items;
        items = item->next;
        free(item);
    }
    return r < 0;
}
