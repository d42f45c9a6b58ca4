/*
 * Counts events by kind. The counters are independent of each other: a text
 * made while events come in is one moment for each counter, not for all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "processor/processor.h"
#include "text.h"

/* IN_ISDIR is counted beside the event that carries it. */
#define TN__COUNTER_ISDIR TN__SLOT_COUNT
#define TN__COUNTER_COUNT (TN__SLOT_COUNT + 1)

#define TN__BAR_WIDTH 45

struct counters {
    _Atomic uint64_t count[TN__COUNTER_COUNT]; /* relaxed: nothing else is ordered by them */
    time_t started;                            /* CLOCK_MONOTONIC, constant */
};

/* Sorted by name; 0 is what has no event bit. */
static const uint32_t order[] = {
    IN_ACCESS,    IN_ATTRIB, IN_CLOSE_NOWRITE, IN_CLOSE_WRITE,
    IN_CREATE,    IN_DELETE, IN_DELETE_SELF,   IN_IGNORED,
    IN_ISDIR,     IN_MODIFY, IN_MOVED_FROM,    IN_MOVED_TO,
    IN_MOVE_SELF, IN_OPEN,   IN_Q_OVERFLOW,    0,
    IN_UNMOUNT,
};

static time_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

static unsigned counter_of(uint32_t mask)
{
    return mask == IN_ISDIR ? TN__COUNTER_ISDIR : tn__processor_slot(mask);
}

static const char *name_of(uint32_t mask)
{
    return mask == IN_ISDIR ? "IN_ISDIR" : tn_mask_name(mask);
}

static int stats_process(const struct tn_event *event, void *userdata)
{
    struct counters *counters = userdata;

    tn__fetch_add(&counters->count[tn__processor_slot(event->mask)], 1, relaxed);
    if ((event->mask & IN_ISDIR) != 0)
        tn__fetch_add(&counters->count[TN__COUNTER_ISDIR], 1, relaxed);
    return 0;
}

int tn_processor_new_stats(struct tn_processor **ret_processor)
{
    static const struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_default = stats_process,
        .release = free,
    };
    struct counters *counters = calloc(1, sizeof(*counters));

    if (counters == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < TN__COUNTER_COUNT; i++)
        atomic_init(&counters->count[i], 0);
    counters->started = now();
    int r = tn_processor_new(&ops, counters, ret_processor);
    if (r < 0)
        free(counters);
    return r;
}

static void put_elapsed(struct tn__text *text, int64_t seconds)
{
    if (seconds < 60)
        tn__text_printf(text, "%" PRId64 "sec", seconds);
    else if (seconds < 3600)
        tn__text_printf(text, "%" PRId64 "mn%" PRId64 "sec", seconds / 60, seconds % 60);
    else if (seconds < 86400)
        tn__text_printf(text, "%" PRId64 "h%" PRId64 "mn", seconds / 3600, seconds % 3600 / 60);
    else
        tn__text_printf(text, "%" PRId64 "d%" PRId64 "h", seconds / 86400, seconds % 86400 / 3600);
}

static void put_bar(struct tn__text *text, uint32_t mask, uint64_t count, uint64_t most)
{
    static const char bar[TN__BAR_WIDTH + 1] = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
    int width = (int)((double)count / (double)most * TN__BAR_WIDTH);

    tn__text_printf(text, "%-26s%-*.*s%" PRIu64 "\n", name_of(mask), TN__BAR_WIDTH + 1, width, bar,
                    count);
}

/* pyinotify's repr of its Stats, then its bars; kinds that never came are left out. */
static void put_stats(struct tn__text *text, struct counters *counters)
{
    uint64_t count[TN__COUNTER_COUNT];
    uint64_t most = 0;

    for (size_t i = 0; i < TN__COUNTER_COUNT; i++) {
        count[i] = tn__load(&counters->count[i], relaxed);
        most = count[i] > most ? count[i] : most;
    }
    tn__text_puts(text, "<Stats ElapsedTime=");
    put_elapsed(text, now() - counters->started);
    for (size_t i = 0; i < TN__COUNT(order); i++)
        if (count[counter_of(order[i])] > 0)
            tn__text_printf(text, " %s=%" PRIu64, name_of(order[i]), count[counter_of(order[i])]);
    tn__text_puts(text, " >\n");
    for (size_t i = 0; i < TN__COUNT(order); i++)
        if (count[counter_of(order[i])] > 0)
            put_bar(text, order[i], count[counter_of(order[i])], most);
}

/* NULL if it is another kind of processor. */
static struct counters *counters_of(const struct tn_processor *processor)
{
    if (processor == NULL || processor->slots[TN__SLOT_NONE] != stats_process)
        return NULL;
    return processor->userdata;
}

size_t tn_processor_stats_format(struct tn_processor *processor, char *buffer, size_t size)
{
    struct counters *counters = counters_of(processor);
    struct tn__text text;

    tn__text_init(&text, buffer, size);
    if (counters != NULL)
        put_stats(&text, counters);
    return text.length;
}

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            bytes += written;
            count -= (size_t)written;
        }
    }
    return 0;
}

/* The file is made new and for its owner only; it never follows a link or replaces anything. */
int tn_processor_stats_dump(struct tn_processor *processor, const char *file)
{
    struct counters *counters = counters_of(processor);
    char buffer[4096]; /* 17 kinds with numbers of 20 digits need 2.6 KiB */
    struct tn__text text;

    if (counters == NULL || file == NULL)
        return -EINVAL;
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    tn__text_init(&text, buffer, sizeof(buffer));
    put_stats(&text, counters);
    int r = write_all(fd, buffer, tn__min(text.length, sizeof(buffer) - 1));
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        unlink(file);
    return r;
}
