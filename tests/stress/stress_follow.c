/*
 * Names that are followed while several threads change what has them, and
 * another adds and removes more of them. A second notifier, which nobody reads
 * meanwhile, loses records and heals.
 *
 * Checked: told arrivals and departures alternate; at rest a name is present for its
 * watch if and only if it exists; a regular file was told closed since it
 * arrived; what has the name is watched: a write and a new entry are told, once; an
 * add is released once.
 *
 * stress_follow [seed [rounds]]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

enum { NAMES = 3, PATHS = 6, WRITERS = 2, OPERATIONS = 1500, UNREAD_ROUNDS = 16 };

/* Of one name and one notifier; its processor's alone, or anyone's at rest. */
struct follow {
    const char *path;
    _Atomic tn_wd wd;
    atomic_bool present, closed; /* the kernel orders them, which the sanitizer can't see */
    _Atomic unsigned writes,
        entries; /* IN_CLOSE_WRITE and IN_CREATE in it, since they were reset */
};

struct world {
    struct tn_notifier *notifier;
    struct follow follows[NAMES];
};

static char base[64], paths[PATHS][96]; /* the first ones are followed */
static char linked[96];                 /* a file that stays, so that its links are known as such */
static struct world read_world, unread_world;
static _Atomic unsigned failures;
static atomic_bool over;
static _Atomic long adds, released;
static uint64_t seed = 1;

static void fail(const char *what, const char *path)
{
    if (atomic_fetch_add(&failures, 1) < 20)
        fprintf(stderr, "stress_follow: %s: %s\n", what, path);
}

static unsigned below(uint64_t *random, unsigned bound)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*random >> 33) % bound;
}

static int process(const struct tn_event *event, void *userdata)
{
    const uint32_t arrivals = IN_CREATE | IN_MOVED_TO, departures = IN_DELETE_SELF | IN_MOVE_SELF;
    struct follow *follow = event->data;

    (void)userdata;
    if (!follow || event->wd != follow->wd)
        return 0;
    if (strcmp(event->path, follow->path) != 0)
        fail("the path of an event", event->path);
    if (event->name) {
        follow->entries += (event->mask & IN_CREATE) != 0;
        return 0;
    }
    if (event->mask & (arrivals | departures)) {
        bool present = event->mask & arrivals;
        if (present == follow->present)
            fail(present ? "came twice" : "left twice", follow->path);
        follow->present = present;
        follow->closed = false;
    }
    if (event->mask & IN_CLOSE_WRITE) {
        follow->closed = true;
        follow->writes++;
    }
    return 0;
}

static void make_file(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);

    if (fd >= 0)
        close(fd);
}

static void remove_directory(const char *path)
{
    char below_it[128];

    snprintf(below_it, sizeof(below_it), "%s/d", path);
    rmdir(below_it);
    snprintf(below_it, sizeof(below_it), "%s/probe", path);
    unlink(below_it);
    rmdir(path);
}

static void change(uint64_t *random)
{
    const char *path = paths[below(random, PATHS)], *other = paths[below(random, PATHS)];
    char below_it[128];

    switch (below(random, 9)) {
    case 0:
        make_file(path, O_CREAT);
        break;
    case 1:
        make_file(path, O_CREAT | O_EXCL);
        break;
    case 2:
        unlink(path);
        break;
    case 3:
        mkdir(path, 0700);
        snprintf(below_it, sizeof(below_it), "%s/d", path);
        mkdir(below_it, 0700);
        break;
    case 4:
        remove_directory(path);
        break;
    case 5:
    case 6:
        rename(path, other);
        break;
    case 7:
        if (link(linked, path) < 0)
            make_file(path, 0);
        break;
    default:
        syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */);
        break;
    }
}

static void *write_names(void *arg)
{
    uint64_t random = *(uint64_t *)arg;

    for (int i = 0; i < OPERATIONS; i++)
        change(&random);
    return NULL;
}

static void release(void *data)
{
    (void)data;
    atomic_fetch_add(&released, 1);
}

static void *churn(void *arg)
{
    uint64_t random = seed * 31;
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    tn_wd wd;

    (void)arg;
    options.mask = IN_ALL_EVENTS;
    options.release = release;
    while (!atomic_load(&over)) {
        options.flags = TN_WATCH_FOLLOW_NAME | (below(&random, 2) ? TN_WATCH_TREE : 0) |
                        (below(&random, 3) ? 0 : TN_WATCH_EXISTING);
        options.order = (enum tn_order)below(&random, TN_ORDER_NONE + 1);
        int result = tn_watch_add(read_world.notifier, paths[below(&random, NAMES)], &options, &wd);
        if (result < 0 && result != -ENOENT)
            fail(tn_strerror(result), "add");
        if (result < 0)
            continue;
        atomic_fetch_add(&adds, 1);
        for (uint32_t turns = below(&random, 2000); turns; turns--)
            sched_yield();
        result = tn_watch_remove(read_world.notifier, wd,
                                 TN_REMOVE_RECURSIVE | (below(&random, 2) ? TN_REMOVE_SYNC : 0));
        if (result < 0)
            fail(tn_strerror(result), "remove");
    }
    return NULL;
}

/* A name is told when it exists, and is watched then. */
static void check_name(struct world *world, struct follow *follow)
{
    struct stat status;
    char probe[128];
    const bool present = lstat(follow->path, &status) == 0;

    if (present != follow->present)
        fail(present ? "missed" : "not there", follow->path);
    if (!present)
        return;
    follow->writes = follow->entries = 0;
    if (S_ISREG(status.st_mode)) {
        if (!follow->closed && world != &unread_world) /* a closing that was lost is not told */
            fail("not told closed", follow->path);
        make_file(follow->path, 0);
    } else {
        snprintf(probe, sizeof(probe), "%s/probe", follow->path);
        unlink(probe);
        make_file(probe, O_CREAT);
    }
    if (tn_notifier_settle(world->notifier, -1) < 0)
        fail("settle", follow->path);
    if (S_ISREG(status.st_mode) ? follow->writes != 1 : follow->entries != 1)
        fail(S_ISREG(status.st_mode) ? "a write" : "an entry", follow->path);
}

static void check(struct world *world)
{
    if (tn_notifier_settle(world->notifier, -1) < 0)
        fail("settle", base);
    for (int i = 0; i < NAMES; i++)
        check_name(world, &world->follows[i]);
}

static void run_round(uint64_t *random)
{
    pthread_t writers[WRITERS];
    uint64_t seeds[WRITERS];

    for (int i = 0; i < WRITERS; i++) {
        seeds[i] = below(random, 1u << 30);
        if (pthread_create(&writers[i], NULL, write_names, &seeds[i]))
            abort();
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
}

static void open_world(struct world *world, struct tn_processor *processor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 2;
    options.processor = processor;
    if (tn_notifier_new(&options, &world->notifier) < 0)
        abort();
    for (int i = 0; i < NAMES; i++) {
        struct follow *follow = &world->follows[i];
        struct tn_watch_options watch = TN_WATCH_OPTIONS_INIT;
        follow->path = paths[i];
        watch.mask = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_CLOSE_WRITE;
        watch.flags = TN_WATCH_FOLLOW_NAME | (i ? TN_WATCH_TREE : 0);
        watch.data = follow;
        tn_wd wd;
        if (tn_watch_add(world->notifier, follow->path, &watch, &wd) < 0)
            abort();
        follow->wd = wd;
    }
}

static void open_base(void)
{
    const char *top = getenv("TMPDIR");

    snprintf(base, sizeof(base), "%.40s/stress_follow-XXXXXX", top ? top : "/tmp");
    if (!mkdtemp(base))
        abort();
    for (int i = 0; i < PATHS; i++)
        snprintf(paths[i], sizeof(paths[i]), "%s/n%d", base, i);
    snprintf(linked, sizeof(linked), "%s/linked", base);
    make_file(linked, O_CREAT);
}

static void remove_base(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", base);
    if (system(command) != 0)
        fail("not removed", base);
}

int main(int argc, char **argv)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_processor *processor;
    struct tn_stats stats = TN_STATS_INIT;
    pthread_t churner;

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const int rounds = argc > 2 ? atoi(argv[2]) : 32;
    uint64_t random = seed;
    open_base();
    if (tn_processor_new(&ops, NULL, &processor) < 0)
        abort();
    open_world(&read_world, processor);
    open_world(&unread_world, processor);
    if (tn_notifier_start(read_world.notifier) < 0 || pthread_create(&churner, NULL, churn, NULL))
        abort();
    for (int i = 1; i <= rounds; i++) {
        run_round(&random);
        check(&read_world);
        if (i % UNREAD_ROUNDS == 0)
            check(&unread_world);
    }
    atomic_store(&over, true);
    pthread_join(churner, NULL);
    tn_notifier_get_stats(unread_world.notifier, &stats);
    tn_notifier_free(read_world.notifier);
    tn_notifier_free(unread_world.notifier);
    tn_processor_unref(processor);
    if (atomic_load(&adds) != atomic_load(&released))
        fail("not released once each", base);
    remove_base();
    printf("stress_follow: %d rounds, %ld adds, %llu overflows, %u failures\n", rounds,
           atomic_load(&adds), (unsigned long long)stats.overflows, atomic_load(&failures));
    return atomic_load(&failures) != 0;
}
