/*
 * What the move of a directory costs, by how many directories are watched below
 * it: from the rename to the processor's call for a file made below afterwards,
 * with its path.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

enum { ROUNDS = 101, BRANCH = 100 };

struct bench {
    struct tn_notifier *notifier;
    char root[64];       /* of the tree */
    char file[PATH_MAX]; /* that is made next */
    bool right, wrong;
};

static int process(const struct tn_event *event, void *userdata)
{
    struct bench *bench = userdata;

    if (event->mask & IN_CREATE && !(event->mask & IN_ISDIR)) {
        bool same = strcmp(event->pathname, bench->file) == 0;
        bench->right = bench->right || same;
        bench->wrong = bench->wrong || !same;
    }
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

/* a, and below it that many directories, a hundred in each. */
static int make_tree(const char *root, unsigned count)
{
    char path[PATH_MAX];

    for (unsigned i = 0; i < count; i++) {
        if (i % BRANCH == 0) {
            snprintf(path, sizeof(path), "%s/a/%u", root, i / BRANCH);
            if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        } else {
            snprintf(path, sizeof(path), "%s/a/%u/%u", root, i / BRANCH, i);
            if (mkdir(path, 0700) < 0)
                return -errno;
        }
    }
    return 0;
}

static int move_once(struct bench *bench, unsigned round, uint64_t *ret_ns)
{
    char from[80], to[80];

    snprintf(from, sizeof(from), "%s/%s", bench->root, round % 2 ? "b" : "a");
    snprintf(to, sizeof(to), "%s/%s", bench->root, round % 2 ? "a" : "b");
    snprintf(bench->file, sizeof(bench->file), "%s/0/file", to);
    bench->right = false;
    uint64_t start = now_ns();
    if (rename(from, to) < 0)
        return -errno;
    FILE *made = fopen(bench->file, "we");
    if (!made)
        return -errno;
    fclose(made);
    while (!bench->right && !bench->wrong) {
        int result = tn_notifier_read_events(bench->notifier);
        if (result >= 0)
            result = tn_notifier_process_events(bench->notifier);
        if (result < 0)
            return result;
    }
    *ret_ns = now_ns() - start;
    return unlink(bench->file) < 0 ? -errno : tn_notifier_settle(bench->notifier, -1);
}

static int measure(struct bench *bench, uint64_t *ret_median)
{
    uint64_t times[ROUNDS];
    int result = 0;

    for (unsigned i = 0; result >= 0 && i < ROUNDS; i++)
        result = move_once(bench, i, &times[i]);
    if (result < 0)
        return result;
    qsort(times, ROUNDS, sizeof(times[0]), compare);
    *ret_median = times[ROUNDS / 2];
    return 0;
}

static int run(const char *directory, unsigned count, uint64_t *ret_median)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct bench bench = {0};
    char command[128];

    snprintf(bench.root, sizeof(bench.root), "%.40s/tnbench-XXXXXX", directory);
    if (!mkdtemp(bench.root))
        return -errno;
    snprintf(command, sizeof(command), "mkdir -p %s/a/0", bench.root);
    int result = system(command) == 0 ? make_tree(bench.root, count) : -EIO;
    if (result == 0)
        result = tn_processor_new(&ops, &bench, &options.processor);
    if (result == 0)
        result = tn_notifier_new(&options, &bench.notifier);
    if (result == 0)
        result = tn_watch_add(bench.notifier, bench.root,
                              TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_MOVE | IN_DELETE,
                                               .flags = TN_WATCH_TREE),
                              NULL);
    if (result == 0)
        result = measure(&bench, ret_median);
    if (result == 0 && bench.wrong)
        result = -EBADMSG;
    tn_notifier_free(bench.notifier);
    tn_processor_unref(options.processor);
    snprintf(command, sizeof(command), "rm -rf %s", bench.root);
    return system(command) == 0 ? result : -EIO;
}

int main(int argc, char **argv)
{
    static const unsigned counts[] = {1, 1000, 50000};
    uint64_t first = 0, median = 0;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        puts("Usage: tnbench_move [DIRECTORY]\n"
             "Moves a directory with 1, 1,000 and 50,000 watched directories below it, and prints\n"
             "the median time to the first event below it, which has the new path, and its ratio "
             "to\n"
             "the first line's. DIRECTORY: where to make the trees (/dev/shm).");
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    puts("| watched below | median us | ratio |\n|---|---|---|");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int result = run(argc == 2 ? argv[1] : "/dev/shm", counts[i], &median);
        if (result < 0) {
            fprintf(stderr, "tnbench_move: %s\n", tn_strerror(result));
            return 1;
        }
        first = first ? first : median;
        printf("| %u | %.1f | %.2f |\n", counts[i], (double)median / 1000,
               (double)median / (double)first);
    }
    return 0;
}
