/*
 * Settles from several threads while others start, stop and join the notifier,
 * which has threads, has none, or gets them in the middle. For ThreadSanitizer.
 *
 * Checked: a settle that returned 0 has seen to it that all its thread made
 * before was processed; it fails with -ESHUTDOWN alone, and only once a stop
 * was asked for; one of several starts makes the threads; with a drain all is
 * processed; a processor is flushed at least once by each settle.
 *
 * stress_settle [seed [seconds]]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

enum { SETTLERS = 3, STARTERS = 2, FILES = 12, TIMEOUT_MS = 60000, PATH_SIZE = 128 };

/* What one notifier goes through. */
struct round {
    struct tn_notifier *notifier;
    bool starts, stops, discards;
    atomic_bool stopping; /* set before the stop */
    _Atomic int started;
    atomic_bool made[SETTLERS][FILES]; /* before a stop was asked for */
    atomic_bool seen[SETTLERS][FILES];
};

struct part {
    struct round *round;
    int number;
    uint64_t random;
    pthread_t thread;
};

static char base[PATH_SIZE];
static uint64_t seed = 1;
static _Atomic uint64_t failures, settles, flushes;

static void fail(const char *what, int result)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "stress_settle: %s: %s\n", what, tn_strerror(result));
}

static unsigned next_random(uint64_t *random, unsigned limit)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (unsigned)(*random >> 33) % limit;
}

static void linger(uint64_t *random)
{
    for (unsigned i = next_random(random, 40); i > 0; i--)
        sched_yield();
}

/* Files are "settler-number". */
static int note(const struct tn_event *event, void *userdata)
{
    struct round *round = userdata;
    int settler, number;

    if (event->name && sscanf(event->name, "%d-%d", &settler, &number) == 2)
        if (atomic_exchange(&round->seen[settler][number], true))
            fail("a file was told twice", 0);
    return 0;
}

static void count_flush(void *userdata)
{
    (void)userdata;
    atomic_fetch_add(&flushes, 1);
}

static bool make_file(int settler, int number)
{
    char path[PATH_SIZE + 32];

    snprintf(path, sizeof(path), "%s/%d-%d", base, settler, number);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    unlink(path);
    return fd >= 0;
}

static void *settle_files(void *arg)
{
    struct part *part = arg;
    struct round *round = part->round;

    for (int i = 0; i < FILES; i++) {
        if (!make_file(part->number, i))
            fail("a file can't be made", -errno);
        if (!atomic_load(&round->stopping))
            atomic_store(&round->made[part->number][i], true);
        int result = tn_notifier_settle(round->notifier, TIMEOUT_MS);
        atomic_fetch_add(&settles, 1);
        if (result == -ESHUTDOWN && atomic_load(&round->stopping))
            break;
        if (result < 0)
            fail("settle", result);
        for (int j = 0; j <= i && result == 0; j++)
            if (!atomic_load(&round->seen[part->number][j]))
                fail("settled, and a file was not told", 0);
    }
    return NULL;
}

static void *start(void *arg)
{
    struct part *part = arg;
    struct round *round = part->round;

    linger(&part->random);
    int result = tn_notifier_start(round->notifier);
    if (result == 0)
        atomic_fetch_add(&round->started, 1);
    else if (result != -EALREADY && !(result == -ESHUTDOWN && atomic_load(&round->stopping)))
        fail("start", result);
    return NULL;
}

static void *stop(void *arg)
{
    struct part *part = arg;
    struct round *round = part->round;

    linger(&part->random);
    linger(&part->random);
    atomic_store(&round->stopping, true);
    int result =
        tn_notifier_stop(round->notifier, round->discards ? TN_FINISH_DISCARD : TN_FINISH_DRAIN);
    if (result < 0)
        fail("stop", result);
    result = tn_notifier_join(round->notifier);
    if (result < 0)
        fail("join", result);
    return NULL;
}

static void begin(struct part *part, struct round *round, int number, uint64_t *random,
                  void *(*run)(void *))
{
    *part = (struct part){.round = round,
                          .number = number,
                          .random = next_random(random, UINT32_MAX) + 1};
    if (pthread_create(&part->thread, NULL, run, part) != 0)
        abort();
}

static void check_files(struct round *round)
{
    for (int i = 0; i < SETTLERS && !round->discards; i++)
        for (int j = 0; j < FILES; j++)
            if (atomic_load(&round->made[i][j]) && !atomic_load(&round->seen[i][j]))
                fail("drained, and a file was not told", 0);
}

static void run_threads(struct round *round, uint64_t *random)
{
    struct part parts[SETTLERS + STARTERS + 1];
    int count = 0;

    for (int i = 0; i < SETTLERS; i++)
        begin(&parts[count++], round, i, random, settle_files);
    for (int i = 0; i < STARTERS && round->starts; i++)
        begin(&parts[count++], round, i, random, start);
    if (round->stops)
        begin(&parts[count++], round, 0, random, stop);
    while (count)
        pthread_join(parts[--count].thread, NULL);
    if (atomic_load(&round->started) > 1)
        fail("two starts made threads", 0);
    atomic_store(&round->stopping, true);
    tn_notifier_stop(round->notifier, round->discards ? TN_FINISH_DISCARD : TN_FINISH_DRAIN);
    int result = tn_notifier_join(round->notifier);
    if (result < 0)
        fail("join", result);
    check_files(round);
}

/* 77: there is no notifier to be had. */
static int run_round(uint64_t *random)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops),
                                         .process_default = note,
                                         .flush = count_flush};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct round round = {.starts = next_random(random, 4) != 0,
                          .stops = next_random(random, 3) == 0,
                          .discards = next_random(random, 3) == 0};

    if (tn_processor_new(&ops, &round, &options.processor) < 0)
        return 77;
    options.threads = next_random(random, 3) + 1;
    options.order = next_random(random, 2) ? TN_ORDER_TREE : TN_ORDER_NONE;
    int result = tn_notifier_new(&options, &round.notifier);
    tn_processor_unref(options.processor);
    if (result < 0)
        return 77;
    result = tn_watch_add(round.notifier, base, TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL);
    if (result < 0) {
        tn_notifier_free(round.notifier);
        return 77;
    }
    run_threads(&round, random);
    tn_notifier_free(round.notifier);
    return 0;
}

int main(int count, char **arguments)
{
    const char *directory = getenv("TMPDIR");
    unsigned rounds = 0;
    int result = 0;

    if (count > 1)
        seed = strtoull(arguments[1], NULL, 10);
    unsigned seconds = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 10) : 4;
    snprintf(base, sizeof(base), "%.80s/stress_settle-XXXXXX",
             directory && *directory ? directory : "/tmp");
    if (!mkdtemp(base))
        return 77;
    uint64_t random = seed * 0x9e3779b97f4a7c15 | 1;
    for (time_t end = time(NULL) + seconds; result == 0 && time(NULL) < end; rounds++)
        result = run_round(&random);
    rmdir(base);
    printf("stress_settle: %u rounds, %llu settles, %llu flushes\n", rounds,
           (unsigned long long)settles, (unsigned long long)flushes);
    if (result == 77 && rounds <= 1)
        return 77;
    return atomic_load(&failures) != 0 || result != 0;
}
