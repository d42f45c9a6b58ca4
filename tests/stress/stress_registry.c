/*
 * Threads add, update, remove and look watches up on overlapping trees while
 * others change the trees and workers process; processors do the same from
 * inside. For ThreadSanitizer, the address checks and valgrind.
 *
 * Checked: a synchronous remove that returned 0 is quiet; an add is released
 * once, after its last call; an event's data lives; all adds are released when
 * the notifier has been freed.
 *
 * stress_registry [seed [seconds]]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

enum { SLOTS = 24, NAMES = 3, DEPTH = 3, PATH_SIZE = 256, WRITERS = 2, ADDERS = 2, PROCESSORS = 3 };

/* What stands behind an add; freed when all is over, so that late calls are seen. */
struct add {
    struct add *next;
    char *body; /* freed by the release */
    atomic_bool quiet;
    _Atomic int calls, running, released;
};

struct slot {
    struct add *add;
    tn_wd wd;
};

static struct tn_notifier *notifier;
static struct tn_processor *processors[PROCESSORS];
static char base[64];
static uint64_t seed = 1;
static atomic_bool over;
static _Atomic uint64_t failures, calls, adds, removes, quiet_removes;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[SLOTS]; /* under lock */
static struct add *all;          /* under lock */

static void fail(const char *what, const char *path)
{
    if (atomic_fetch_add(&failures, 1) < 10)
        fprintf(stderr, "stress_registry: %s: %s\n", what, path ? path : "-");
}

static void fail_event(const char *what, const struct tn_event *event)
{
    char text[512];

    tn_event_format(event, text, sizeof(text));
    fail(what, text);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static unsigned below(uint64_t *random, unsigned bound)
{
    return (unsigned)(next_random(random) % bound);
}

static void pick_path(uint64_t *random, char *path)
{
    int length = snprintf(path, PATH_SIZE, "%s", base);

    for (unsigned depth = below(random, DEPTH + 1); depth; depth--)
        length += snprintf(path + length, PATH_SIZE - (size_t)length, "/n%u", below(random, NAMES));
}

static void release(void *data)
{
    struct add *add = data;

    if (atomic_fetch_add(&add->released, 1))
        fail("released twice", NULL);
    if (atomic_load(&add->running))
        fail("released during a call", NULL);
    free(add->body);
}

static uint32_t pick_mask(uint64_t *random)
{
    static const uint32_t masks[] = {
        IN_ALL_EVENTS, IN_CREATE | IN_DELETE | IN_MOVE, IN_CLOSE_WRITE,
        IN_CREATE,     IN_DELETE_SELF | IN_MOVE_SELF,   IN_MODIFY | IN_ATTRIB | IN_CREATE};

    return masks[below(random, sizeof(masks) / sizeof(*masks))];
}

static void do_add(uint64_t *random)
{
    static const uint32_t flags[] = {0, TN_WATCH_RECURSIVE, TN_WATCH_TREE,
                                     TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME};
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    struct add *add = calloc(1, sizeof(*add));
    char path[PATH_SIZE];
    tn_wd wd = 0;

    if (!add || !(add->body = strdup("alive")))
        abort();
    pick_path(random, path);
    options.mask = pick_mask(random) | (below(random, 16) ? 0u : (uint32_t)IN_ONESHOT);
    options.flags = flags[below(random, 4)];
    if (strcmp(path, base) == 0)
        options.flags &= ~TN_WATCH_FOLLOW_NAME; /* what is above is not the test's own */
    options.order = (enum tn_order)below(random, TN_ORDER_NONE + 1);
    options.processor = below(random, 3) ? processors[below(random, PROCESSORS)] : NULL;
    options.data = add;
    options.release = release;
    int result = tn_watch_add(notifier, path, &options, &wd);
    if (result < 0) {
        if (atomic_load(&add->released))
            fail("released though the add failed", path);
        free(add->body);
        atomic_store(&add->released, 1);
        if (result != -ENOENT && result != -ENOTDIR && result != -ESHUTDOWN)
            fail(tn_strerror(result), path);
    }
    pthread_mutex_lock(&lock);
    add->next = all;
    all = add;
    struct slot *slot = &slots[below(random, SLOTS)];
    if (result == 0 && !slot->add) {
        *slot = (struct slot){.add = add, .wd = wd};
        wd = 0;
    }
    pthread_mutex_unlock(&lock);
    if (result == 0 && wd)
        tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE);
    atomic_fetch_add(&adds, result == 0);
}

static void do_remove(uint64_t *random, bool in_callback)
{
    pthread_mutex_lock(&lock);
    struct slot *at = &slots[below(random, SLOTS)], slot = *at;
    *at = (struct slot){.add = NULL};
    pthread_mutex_unlock(&lock);
    if (!slot.add)
        return;
    uint32_t flags = below(random, 2) ? TN_REMOVE_SYNC : 0;
    /* An update may have given any add watches below. */
    if (flags || below(random, 2))
        flags |= TN_REMOVE_RECURSIVE;
    int result = tn_watch_remove(notifier, slot.wd, flags);
    if (result == 0 && flags & TN_REMOVE_SYNC) {
        if (in_callback)
            fail("a synchronous remove waited in a callback", NULL);
        if (atomic_load(&slot.add->running))
            fail("a call runs after a synchronous remove", NULL);
        atomic_store(&slot.add->quiet, true);
        atomic_fetch_add(&quiet_removes, 1);
    }
    if (result < 0 && result != -ENOENT && result != -EDEADLK)
        fail(tn_strerror(result), "remove");
    atomic_fetch_add(&removes, 1);
}

static tn_wd pick_wd(uint64_t *random)
{
    pthread_mutex_lock(&lock);
    tn_wd wd = slots[below(random, SLOTS)].wd;
    pthread_mutex_unlock(&lock);
    return wd + (below(random, 4) ? 0 : 1);
}

static void do_update(uint64_t *random, tn_wd wd)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    uint32_t fields = TN_UPDATE_MASK;

    options.mask = pick_mask(random) | (below(random, 2) ? 0u : (uint32_t)IN_MASK_ADD);
    options.processor = processors[below(random, PROCESSORS)];
    options.flags = below(random, 2) ? TN_WATCH_AUTO_ADD : 0;
    fields |= below(random, 2) ? TN_UPDATE_PROCESSOR : 0;
    fields |= below(random, 4) ? 0 : TN_UPDATE_AUTO_ADD;
    fields |= below(random, 2) ? TN_UPDATE_RECURSIVE : 0;
    int result = tn_watch_update(notifier, wd, fields, &options);
    if (result < 0 && result != -ENOENT && result != -EAGAIN && result != -ESHUTDOWN)
        fail(tn_strerror(result), "update");
}

static int visit(tn_wd wd, const char *path, void *userdata)
{
    (void)userdata;
    if (wd <= 0 || strncmp(path, base, strlen(base)) != 0)
        fail("visited", path);
    return 0;
}

static void do_look(uint64_t *random, tn_wd wd)
{
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    char path[PATH_SIZE], *copy;

    if (wd > 0 && tn_watch_path(notifier, wd, path, sizeof(path)) >= 0 &&
        strncmp(path, base, strlen(base)) != 0)
        fail("path", path);
    if (wd > 0 && tn_watch_path_dup(notifier, wd, &copy) == 0)
        free(copy);
    if (wd > 0 && tn_watch_get_info(notifier, wd, &info) == 0 && info.wd != wd)
        fail("info of another watch", NULL);
    pick_path(random, path);
    if (tn_watch_find(notifier, path, &wd) == 0 && wd <= 0)
        fail("found", path);
    if (below(random, 8) == 0)
        tn_watch_each(notifier, below(random, 2) ? NULL : path, visit, NULL);
}

static void check_event(const struct tn_event *event)
{
    struct add *add = event->data;

    atomic_fetch_add(&calls, 1);
    if (event->wd < 0) {
        if (!(event->mask & IN_Q_OVERFLOW))
            fail("an event of no watch", event->pathname);
        return;
    }
    atomic_fetch_add(&add->running, 1);
    atomic_fetch_add(&add->calls, 1);
    if (atomic_load(&add->quiet))
        fail_event("a call after a synchronous remove", event);
    if (atomic_load(&add->released))
        fail_event("a call after the release", event);
    else if (strcmp(add->body, "alive") != 0)
        fail_event("data", event);
    if (!event->path || strncmp(event->path, base, strlen(base)) != 0)
        fail("path of an event", event->path);
}

static void leave_event(const struct tn_event *event)
{
    struct add *add = event->data;

    if (!add)
        return;
    if (atomic_load(&add->quiet))
        fail_event("a call ran after a synchronous remove", event);
    atomic_fetch_sub(&add->running, 1);
}

static int process(const struct tn_event *event, void *userdata)
{
    uint64_t random = event->sequence * 7919 + seed;

    (void)userdata;
    check_event(event);
    switch (event->wd > 0 ? below(&random, 64) : 63) {
    case 0:
        tn_watch_remove(notifier, event->wd, 0);
        break;
    case 1:
        if (tn_watch_remove(notifier, event->wd, TN_REMOVE_SYNC) == 0)
            fail("a synchronous remove waited for itself", event->pathname);
        break;
    case 2:
        do_add(&random);
        break;
    case 3:
        do_update(&random, event->wd);
        break;
    case 4:
        do_look(&random, event->wd);
        break;
    case 5:
        do_remove(&random, true);
        break;
    case 6:
        if (tn_notifier_settle(notifier, -1) != -EDEADLK || tn_notifier_join(notifier) != -EDEADLK)
            fail("waited for itself", NULL);
        break;
    default:
        break;
    }
    leave_event(event);
    return 0;
}

static int process_batch(const struct tn_event *const *events, size_t count, void *userdata)
{
    (void)userdata;
    for (size_t i = 0; i < count; i++) {
        check_event(events[i]);
        leave_event(events[i]);
    }
    return 0;
}

/* Directories move to the top only: else moves would nest them without end. */
static bool may_move(const char *path, const char *other)
{
    struct stat status;
    const char *name = strrchr(other, '/');

    if (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode))
        return true;
    return (size_t)(name - other) == strlen(base);
}

static void change_tree(uint64_t *random)
{
    char path[PATH_SIZE], other[PATH_SIZE];

    pick_path(random, path);
    pick_path(random, other);
    if (strcmp(path, base) == 0)
        return;
    switch (below(random, 8)) {
    case 0:
    case 1:
    case 2:
        mkdir(path, 0755);
        break;
    case 3:
        if (may_move(path, other))
            rename(path, other);
        break;
    case 4:
        rmdir(path);
        break;
    case 5:
        unlink(path);
        break;
    default: {
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0)
            close(fd);
    }
    }
}

static void *write_tree(void *arg)
{
    uint64_t random = seed * 31 + (uintptr_t)arg;

    while (!atomic_load(&over))
        change_tree(&random);
    return NULL;
}

static void *churn(void *arg)
{
    uint64_t random = seed * 37 + (uintptr_t)arg;

    while (!atomic_load(&over)) {
        do_add(&random);
        do_remove(&random, false);
    }
    return NULL;
}

static void *look(void *arg)
{
    uint64_t random = seed * 41 + (uintptr_t)arg;

    while (!atomic_load(&over)) {
        do_look(&random, pick_wd(&random));
        do_update(&random, pick_wd(&random));
    }
    return NULL;
}

static void remove_base(char *path)
{
    size_t length = strlen(path);

    for (unsigned i = 0; i < NAMES && length < PATH_SIZE - 8; i++) {
        snprintf(path + length, PATH_SIZE - length, "/n%u", i);
        if (unlink(path) < 0 && errno == EISDIR)
            remove_base(path);
    }
    path[length] = '\0';
    rmdir(path);
}

static void make_processors(void)
{
    const struct tn_processor_ops single = {.size = sizeof(single), .process_default = process};
    const struct tn_processor_ops batch = {.size = sizeof(batch), .process_batch = process_batch};

    if (tn_processor_new(&single, NULL, &processors[0]) < 0 ||
        tn_processor_new(&batch, NULL, &processors[1]) < 0 ||
        tn_processor_new_chain(processors, 1, &processors[2]) < 0)
        abort();
}

static void run(unsigned seconds)
{
    pthread_t threads[WRITERS + ADDERS + 1];
    unsigned count = 0;

    for (uintptr_t i = 0; i < WRITERS; i++)
        pthread_create(&threads[count++], NULL, write_tree, (void *)i);
    for (uintptr_t i = 0; i < ADDERS; i++)
        pthread_create(&threads[count++], NULL, churn, (void *)i);
    pthread_create(&threads[count++], NULL, look, NULL);
    for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
        int result = tn_notifier_settle(notifier, 100);
        if (result < 0 && result != -ETIMEDOUT)
            fail(tn_strerror(result), "settle");
    }
    atomic_store(&over, true);
    while (count)
        pthread_join(threads[--count], NULL);
}

static void check_end(void)
{
    while (all) {
        struct add *add = all;
        all = add->next;
        if (atomic_load(&add->released) != 1)
            fail("never released", NULL);
        if (atomic_load(&add->running))
            fail("a call never ended", NULL);
        free(add);
    }
}

int main(int count, char **arguments)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    char path[PATH_SIZE];

    if (count > 1)
        seed = strtoull(arguments[1], NULL, 10);
    unsigned seconds = count > 2 ? (unsigned)strtoul(arguments[2], NULL, 10) : 4;
    strcpy(base, "/tmp/stress_registry-XXXXXX");
    if (!mkdtemp(base))
        return 77;
    make_processors();
    options.processor = processors[0];
    options.threads = 3;
    if (tn_notifier_new(&options, &notifier) < 0 || tn_notifier_start(notifier) < 0)
        return 77;
    run(seconds);
    tn_notifier_stop(notifier, seed % 2 ? TN_FINISH_DRAIN : TN_FINISH_DISCARD);
    tn_notifier_join(notifier);
    uint64_t before = atomic_load(&calls);
    notifier = tn_notifier_free(notifier);
    if (atomic_load(&calls) != before)
        fail("calls after the join", NULL);
    check_end();
    for (int i = PROCESSORS; i--;)
        tn_processor_unref(processors[i]);
    snprintf(path, sizeof(path), "%s", base);
    remove_base(path);
    printf("stress_registry: %llu adds, %llu removes, %llu of them quiet, %llu calls\n",
           (unsigned long long)adds, (unsigned long long)removes, (unsigned long long)quiet_removes,
           (unsigned long long)calls);
    return atomic_load(&failures) != 0;
}
