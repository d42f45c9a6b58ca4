/*
 * Notifiers live and end in all ways while events flow: with threads, with an
 * executor that several share, inline, in the caller's thread; stopped from
 * outside, from a processor, or not at all; joined by several threads; freed
 * inside a callback. For ThreadSanitizer, the address checks and valgrind.
 *
 * Checked: nothing is called once a join has returned; each add and the
 * processor are released once by the end of the free; a drain loses nothing.
 *
 * stress_notifier [seed [seconds]]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

enum { WATCHES = 4, PATH_SIZE = 128 };

enum way { THREADED, SHARED, INLINE, CALLER, LOOP, UNSTARTED, WAYS };

/* One notifier's life. */
struct life {
    struct tn_notifier *notifier;
    struct tn_processor *processor;
    enum way way;
    bool free_in_callback, stop_in_callback;
    uint64_t random, use_random;
    _Atomic uint64_t calls, closed;
    atomic_bool added, freeing, joined;
    _Atomic int released, processor_released, placed;
    sem_t gone; /* the processor's release: the last thing of a free */
};

static char base[64];
static uint64_t seed = 1;
static atomic_bool over;
static _Atomic uint64_t failures, lives;
static struct tn_executor *shared;

static void fail(const char *what, int error)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "stress_notifier: %s: %s\n", what, tn_strerror(error));
}

static unsigned below(uint64_t *random, unsigned bound)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((*random >> 33) % bound);
}

static void release_add(void *data)
{
    struct life *life = data;

    atomic_fetch_add(&life->released, 1);
}

static void release_processor(void *userdata)
{
    struct life *life = userdata;

    atomic_fetch_add(&life->processor_released, 1);
    sem_post(&life->gone);
}

static int process(const struct tn_event *event, void *userdata)
{
    struct life *life = userdata;
    uint64_t call = atomic_fetch_add(&life->calls, 1);

    if (atomic_load(&life->joined))
        fail("a call after the join", 0);
    if (event->wd > 0 && event->data != life)
        fail("data", 0);
    if (event->mask & IN_CLOSE_WRITE && event->name && event->name[0] == 'd')
        atomic_fetch_add(&life->closed, 1);
    if (call == 20 && life->stop_in_callback)
        tn_notifier_stop(life->notifier, TN_FINISH_DRAIN);
    if (call >= 30 && life->free_in_callback && atomic_load(&life->added) &&
        !atomic_exchange(&life->freeing, true))
        tn_notifier_free(life->notifier);
    return 0;
}

static void flush(void *userdata)
{
    struct life *life = userdata;

    if (atomic_load(&life->processor_released))
        fail("flush after the release", 0);
}

static void make_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd >= 0)
        close(fd);
}

/* Files and directories come and go until all is over. */
static void *disturb(void *arg)
{
    uint64_t random = seed * 29 + (uintptr_t)arg;
    char path[PATH_SIZE], other[PATH_SIZE];

    while (!atomic_load(&over)) {
        snprintf(path, sizeof(path), "%s/w%u/n%u", base, below(&random, WATCHES),
                 below(&random, 3));
        snprintf(other, sizeof(other), "%s/w%u/n%u", base, below(&random, WATCHES),
                 below(&random, 3));
        switch (below(&random, 5)) {
        case 0:
            mkdir(path, 0755);
            break;
        case 1:
            rename(path, other);
            break;
        case 2:
            if (rmdir(path) < 0)
                unlink(path);
            break;
        default:
            make_file(path);
            break;
        }
    }
    return NULL;
}

static bool is_freed_elsewhere(const struct life *life)
{
    return life->free_in_callback;
}

static void add_some(struct life *life, uint64_t *random)
{
    for (unsigned i = 0; i < WATCHES; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof(path), "%s/w%u", base, i);
        int result =
            tn_watch_add(life->notifier, path,
                         TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE,
                                          .flags = below(random, 2) ? TN_WATCH_TREE : 0,
                                          .order = (enum tn_order)below(random, 6), .data = life,
                                          .release = release_add),
                         NULL);
        if (result == 0)
            atomic_fetch_add(&life->placed, 1);
        else if (result != -ESHUTDOWN)
            fail("add", result);
    }
}

/* Another thread's use of the notifier, up to its end. */
static void *use(void *arg)
{
    struct life *life = arg;
    struct tn_stats stats = {.size = sizeof(stats)};
    uint64_t random = life->use_random;
    int result = 0;

    for (unsigned i = 0; i < 6 && result != -ESHUTDOWN; i++) {
        result = tn_notifier_settle(life->notifier, (int)below(&random, 10));
        if (result < 0 && result != -ESHUTDOWN && result != -ETIMEDOUT)
            fail("settle", result);
        tn_notifier_get_stats(life->notifier, &stats);
        if (below(&random, 3) == 0)
            add_some(life, &random);
        tn_notifier_set_ignore(life->notifier, below(&random, 2));
    }
    tn_notifier_set_ignore(life->notifier, false);
    return NULL;
}

static void *join_it(void *arg)
{
    struct life *life = arg;
    int result = tn_notifier_join(life->notifier);

    if (result < 0)
        fail("join", result);
    return NULL;
}

/* Files that the drain must not lose: each is told to the one watch on its directory. */
static void check_drain(struct life *life)
{
    uint64_t before = atomic_load(&life->closed);
    char path[PATH_SIZE];

    int result =
        tn_watch_add(life->notifier, base,
                     TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .data = life, .release = release_add),
                     NULL);
    if (result < 0) {
        if (result != -ESHUTDOWN)
            fail("add for the drain", result);
        return;
    }
    atomic_fetch_add(&life->placed, 1);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "%s/drain%u", base, i);
        make_file(path);
    }
    tn_notifier_stop(life->notifier, TN_FINISH_DRAIN);
    join_it(life);
    if (!life->stop_in_callback && atomic_load(&life->closed) - before < 20)
        fail("a drain lost something", 0);
}

static void run_caller(struct life *life)
{
    for (unsigned i = 0; i < 50; i++) {
        int result = tn_notifier_check_events(life->notifier, 1);
        if (result == -ESHUTDOWN)
            break;
        result = tn_notifier_read_events(life->notifier);
        if (result < 0 && result != -ENOBUFS)
            fail("read", result);
        tn_notifier_process_events(life->notifier);
    }
}

static int end_loop(struct tn_notifier *notifier, void *userdata)
{
    struct life *life = userdata;

    (void)notifier;
    return atomic_load(&life->calls) > 40 ? 5 : 0;
}

static void live(struct life *life)
{
    pthread_t user;

    if (life->way < CALLER) {
        int result = tn_notifier_start(life->notifier);
        if (result < 0)
            fail("start", result);
    }
    if (is_freed_elsewhere(life)) {
        add_some(life, &life->random);
        atomic_store(&life->added, true); /* a free must not meet another call */
        return;
    }
    pthread_create(&user, NULL, use, life);
    add_some(life, &life->random);
    if (life->way == CALLER)
        run_caller(life);
    else if (life->way == LOOP)
        tn_notifier_loop(life->notifier, end_loop, life);
    pthread_join(user, NULL);
}

static void end_life(struct life *life)
{
    pthread_t joiner;

    switch (is_freed_elsewhere(life) ? 3 : below(&life->random, 3)) {
    case 0:
        check_drain(life);
        break;
    case 1:
        pthread_create(&joiner, NULL, join_it, life);
        tn_notifier_stop(life->notifier, TN_FINISH_DISCARD);
        join_it(life);
        atomic_store(&life->joined, true);
        pthread_join(joiner, NULL);
        break;
    case 3:
        sem_wait(&life->gone);
        return;
    default:
        break;
    }
    tn_notifier_free(life->notifier);
    sem_wait(&life->gone);
}

static int make(struct life *life)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops),
                                         .process_default = process,
                                         .flush = flush,
                                         .release = release_processor};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_executor *executor = NULL;

    sem_init(&life->gone, 0, 0);
    int result = tn_processor_new(&ops, life, &life->processor);
    if (result == 0 && life->way == INLINE)
        result = tn_executor_new_inline(&executor);
    options.executor = life->way == SHARED ? shared : executor;
    options.threads = life->way == THREADED ? 1 + below(&life->random, 3) : 0;
    options.processor = life->processor;
    options.queue_bytes = below(&life->random, 2) ? 65536 : 0;
    if (result == 0)
        result = tn_notifier_new(&options, &life->notifier);
    tn_executor_unref(executor);
    tn_processor_unref(life->processor);
    return result;
}

static void run_life(uint64_t number)
{
    struct life life = {.random = seed * 1000 + number, .use_random = seed * 2000 + number};

    life.way = (enum way)below(&life.random, WAYS);
    life.free_in_callback = life.way < CALLER && below(&life.random, 4) == 0;
    life.stop_in_callback = !life.free_in_callback && below(&life.random, 4) == 0;
    int result = make(&life);
    if (result < 0) {
        fail("new", result);
        return;
    }
    live(&life);
    end_life(&life);
    if (life.released != life.placed)
        fail("releases of adds", 0);
    if (life.processor_released != 1)
        fail("releases of the processor", 0);
    sem_destroy(&life.gone);
    atomic_fetch_add(&lives, 1);
}

static void remove_base(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", base);
    if (system(command) != 0)
        fputs("stress_notifier: left behind its directory\n", stderr);
}

int main(int count, char **arguments)
{
    const struct tn_pool_options pool = {.size = sizeof(pool), .threads = 2};
    pthread_t writers[2];
    char path[PATH_SIZE];

    if (count > 1)
        seed = strtoull(arguments[1], NULL, 10);
    unsigned seconds = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 10) : 4;
    strcpy(base, "/tmp/stress_notifier-XXXXXX");
    if (!mkdtemp(base) || tn_executor_new_pool(&pool, &shared) < 0)
        return 77;
    for (unsigned i = 0; i < WATCHES; i++) {
        snprintf(path, sizeof(path), "%s/w%u", base, i);
        mkdir(path, 0755);
    }
    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&writers[i], NULL, disturb, (void *)i);
    uint64_t number = 0;
    for (time_t end = time(NULL) + seconds; time(NULL) < end; number++)
        run_life(number);
    atomic_store(&over, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    tn_executor_unref(shared);
    remove_base();
    printf("stress_notifier: %llu notifiers\n", (unsigned long long)lives);
    return atomic_load(&failures) != 0;
}
