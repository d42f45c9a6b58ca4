#include "churn.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "trace.h"

enum { SLOTS = 4, DEPTH = 6, PAUSE_MS = 4, PATH_SIZE = 4096 };

struct thread {
    struct churn *churn;
    pthread_t thread;
    uint64_t random;
    tn_wd standing[SLOTS]; /* 0: none */
};

struct churn {
    struct tn_notifier *notifier;
    struct tn_processor *processor;
    const char *tree;
    pthread_rwlock_t steps; /* a step reads, a pause writes */
    atomic_bool stop;
    atomic_int error;
    atomic_uint adds, releases, events;
    unsigned count;
    struct thread threads[];
};

static int count_event(const struct tn_event *event, void *userdata)
{
    struct churn *churn = userdata;

    (void)event;
    atomic_fetch_add(&churn->events, 1);
    return 0;
}

static void count_release(void *data)
{
    struct churn *churn = data;

    atomic_fetch_add(&churn->releases, 1);
}

/* One of the directories in it, each as likely; false: none. The name is joined to path. */
static bool pick_below(uint64_t *random, char *path)
{
    DIR *directory = opendir(path);
    size_t length = strlen(path);
    struct dirent *entry;
    unsigned seen = 0;

    while (directory && (entry = readdir(directory)) != NULL) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
            strcmp(entry->d_name, "..") == 0 || length + strlen(entry->d_name) + 2 > PATH_SIZE)
            continue;
        if (random_below(random, ++seen) == 0)
            sprintf(path + length, "/%s", entry->d_name);
    }
    if (directory)
        closedir(directory);
    return seen;
}

static void pick_directory(struct thread *thread, char *path)
{
    unsigned depth = random_below(&thread->random, DEPTH);

    snprintf(path, PATH_SIZE, "%s", thread->churn->tree);
    while (depth-- && pick_below(&thread->random, path))
        ;
}

/* What a directory that goes away meanwhile, or a limit, is answered with. */
static bool is_explained(int result)
{
    return result == 0 || result == -ENOENT || result == -ENOTDIR || result == -ELOOP ||
           result == -ENOSPC;
}

static void trace_step(const char *what, tn_wd wd, const char *path, int result)
{
    char line[PATH_SIZE + 64];

    snprintf(line, sizeof(line), "churn %s wd %lld %s: %d", what, (long long)wd, path, result);
    trace_note(line);
}

static void note_result(struct churn *churn, int result)
{
    int none = 0;

    if (!is_explained(result))
        atomic_compare_exchange_strong(&churn->error, &none, result);
}

/* A symbolic link would lead out of what the comparison of kernel watches knows. */
static void add(struct thread *thread, tn_wd *standing)
{
    static const uint32_t masks[] = {IN_ALL_EVENTS, IN_CREATE | IN_DELETE, IN_ATTRIB | IN_MODIFY,
                                     IN_MOVE | IN_MOVE_SELF | IN_DELETE_SELF,
                                     IN_OPEN | IN_CLOSE | IN_ACCESS};
    static const uint32_t flags[] = {0, TN_WATCH_RECURSIVE, TN_WATCH_AUTO_ADD, TN_WATCH_TREE,
                                     TN_WATCH_TREE | TN_WATCH_EXISTING};
    static const enum tn_order orders[] = {TN_ORDER_TREE, TN_ORDER_NOTIFIER, TN_ORDER_DIRECTORY,
                                           TN_ORDER_PATH, TN_ORDER_NONE};
    struct churn *churn = thread->churn;
    char path[PATH_SIZE];

    pick_directory(thread, path);
    uint32_t how = flags[random_below(&thread->random, 5)];
    struct tn_watch_options options = {.size = sizeof(options),
                                       .mask = masks[random_below(&thread->random, 5)] |
                                               IN_DONT_FOLLOW | IN_ONLYDIR,
                                       .flags = how,
                                       .order = orders[random_below(&thread->random, 5)],
                                       .processor = churn->processor,
                                       .data = churn,
                                       .release = count_release};
    int result = tn_watch_add(churn->notifier, path, &options, standing);
    trace_step(how & TN_WATCH_AUTO_ADD ? "adds tree" : "adds", *standing, path, result);
    if (result == 0)
        atomic_fetch_add(&churn->adds, 1);
    note_result(churn, result);
}

static void remove_standing(struct churn *churn, tn_wd *standing, uint32_t flags)
{
    trace_step("removes", *standing, "", 0);
    note_result(churn, tn_watch_remove(churn->notifier, *standing, TN_REMOVE_RECURSIVE | flags));
    *standing = 0;
}

static void step(struct thread *thread)
{
    tn_wd *standing = &thread->standing[random_below(&thread->random, SLOTS)];
    bool is_sync = random_below(&thread->random, 2);

    if (*standing)
        remove_standing(thread->churn, standing, is_sync ? TN_REMOVE_SYNC : 0);
    else
        add(thread, standing);
}

static void *run(void *argument)
{
    struct thread *thread = argument;
    struct churn *churn = thread->churn;

    while (!atomic_load(&churn->stop)) {
        pthread_rwlock_rdlock(&churn->steps);
        step(thread);
        pthread_rwlock_unlock(&churn->steps);
        poll(NULL, 0, (int)random_below(&thread->random, PAUSE_MS));
    }
    return NULL;
}

static void init_steps(struct churn *churn)
{
    pthread_rwlockattr_t attributes;

    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&churn->steps, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

int churn_start(struct tn_notifier *notifier, const char *path, unsigned threads, uint64_t seed,
                struct churn **ret_churn)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = count_event};
    struct churn *churn = calloc(1, sizeof(*churn) + threads * sizeof(churn->threads[0]));
    int result = churn ? tn_processor_new(&ops, churn, &churn->processor) : -ENOMEM;

    if (result < 0) {
        free(churn);
        return result;
    }
    churn->notifier = notifier;
    churn->tree = path;
    init_steps(churn);
    *ret_churn = churn;
    for (unsigned i = 0; i < threads; i++) {
        struct thread *thread = &churn->threads[i];
        thread->churn = churn;
        thread->random = seed * 7919 + i;
        result = -pthread_create(&thread->thread, NULL, run, thread);
        if (result < 0)
            break;
        churn->count++;
    }
    return result;
}

int churn_pause(struct churn *churn, bool empty)
{
    if (!churn)
        return 0;
    pthread_rwlock_wrlock(&churn->steps);
    for (unsigned i = 0; empty && i < churn->count; i++)
        for (unsigned j = 0; j < SLOTS; j++)
            if (churn->threads[i].standing[j])
                remove_standing(churn, &churn->threads[i].standing[j], TN_REMOVE_SYNC);
    return atomic_load(&churn->error);
}

void churn_resume(struct churn *churn)
{
    if (churn)
        pthread_rwlock_unlock(&churn->steps);
}

int churn_stop(struct churn *churn)
{
    if (!churn)
        return 0;
    atomic_store(&churn->stop, true);
    for (unsigned i = 0; i < churn->count; i++)
        pthread_join(churn->threads[i].thread, NULL);
    return atomic_load(&churn->error);
}

unsigned churn_free(struct churn *churn)
{
    if (!churn)
        return 0;
    unsigned adds = atomic_load(&churn->adds), releases = atomic_load(&churn->releases);
    tn_processor_unref(churn->processor);
    pthread_rwlock_destroy(&churn->steps);
    free(churn);
    return adds > releases ? adds - releases : releases - adds;
}
