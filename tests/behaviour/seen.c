#include "seen.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

void enter_directory(void)
{
    strcpy(directory, "/tmp/tn-test-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *where)
{
    (void)stat;
    (void)type;
    (void)where;
    return remove(path);
}

void leave_directory(void)
{
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void seen_init(struct seen *seen)
{
    memset(seen, 0, sizeof(*seen));
    pthread_mutex_init(&seen->lock, NULL);
    pthread_cond_init(&seen->more, NULL);
}

void seen_clear(struct seen *seen)
{
    pthread_mutex_lock(&seen->lock);
    while (seen->count > 0)
        tn_event_free(seen->events[--seen->count]);
    pthread_mutex_unlock(&seen->lock);
}

void seen_done(struct seen *seen)
{
    seen_clear(seen);
    free(seen->events);
    pthread_cond_destroy(&seen->more);
    pthread_mutex_destroy(&seen->lock);
}

int seen_process(const struct tn_event *event, void *userdata)
{
    struct seen *seen = userdata;
    struct tn_event *copy;

    cr_assert_eq(tn_event_dup(event, &copy), 0);
    pthread_mutex_lock(&seen->lock);
    if (seen->count == seen->capacity) {
        seen->capacity = seen->capacity ? seen->capacity * 2 : 64;
        seen->events = reallocarray(seen->events, seen->capacity, sizeof(*seen->events));
        cr_assert_not_null(seen->events);
    }
    seen->events[seen->count++] = copy;
    pthread_cond_broadcast(&seen->more);
    pthread_mutex_unlock(&seen->lock);
    return 0;
}

void seen_flush(void *userdata)
{
    struct seen *seen = userdata;

    pthread_mutex_lock(&seen->lock);
    seen->flushes++;
    pthread_mutex_unlock(&seen->lock);
}

void seen_release(void *userdata)
{
    struct seen *seen = userdata;

    pthread_mutex_lock(&seen->lock);
    seen->releases++;
    pthread_cond_broadcast(&seen->more);
    pthread_mutex_unlock(&seen->lock);
}

struct tn_processor *seen_processor(struct seen *seen)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;

    ops.process_default = seen_process;
    ops.flush = seen_flush;
    ops.release = seen_release;
    cr_assert_eq(tn_processor_new(&ops, seen, &processor), 0);
    return processor;
}

size_t seen_count(struct seen *seen)
{
    pthread_mutex_lock(&seen->lock);
    size_t count = seen->count;
    pthread_mutex_unlock(&seen->lock);
    return count;
}

size_t seen_count_of(struct seen *seen, uint32_t mask)
{
    size_t count = 0;

    pthread_mutex_lock(&seen->lock);
    for (size_t i = 0; i < seen->count; i++)
        count += (seen->events[i]->mask & mask) != 0;
    pthread_mutex_unlock(&seen->lock);
    return count;
}

void seen_wait(struct seen *seen, size_t count)
{
    pthread_mutex_lock(&seen->lock);
    while (seen->count < count)
        pthread_cond_wait(&seen->more, &seen->lock);
    pthread_mutex_unlock(&seen->lock);
}

static void print_event(FILE *out, const struct tn_event *event)
{
    fprintf(out, "%s%s%s %s", event->flags & TN_EVENT_SYNTHETIC ? "*" : "",
            tn_mask_name(event->mask) + strlen("IN_"), event->mask & IN_ISDIR ? "/" : "",
            event->pathname ? event->pathname : "-");
    if (event->src_pathname)
        fprintf(out, " < %s", event->src_pathname);
    fputc('\n', out);
}

char *seen_text(struct seen *seen)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert_not_null(out);
    pthread_mutex_lock(&seen->lock);
    for (size_t i = 0; i < seen->count; i++)
        print_event(out, seen->events[i]);
    pthread_mutex_unlock(&seen->lock);
    fclose(out);
    return text;
}

void assert_seen_at(struct seen *seen, const char *expected, const char *file, int line)
{
    char *text = seen_text(seen);

    cr_assert(strcmp(text, expected) == 0, "%s:%d: seen\n%sexpected\n%s", file, line, text,
              expected);
    free(text);
}

struct tn_notifier *notifier_with(struct seen *seen, const struct tn_notifier_options *options)
{
    struct tn_notifier_options own = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *notifier;

    if (options)
        own = *options;
    own.processor = seen_processor(seen);
    cr_assert_eq(tn_notifier_new(&own, &notifier), 0);
    tn_processor_unref(own.processor);
    return notifier;
}

struct tn_notifier *started_with(struct seen *seen, const struct tn_notifier_options *options)
{
    struct tn_notifier *notifier = notifier_with(seen, options);

    cr_assert_eq(tn_notifier_start(notifier), 0);
    return notifier;
}

tn_wd watch(struct tn_notifier *notifier, const char *path, uint32_t mask, uint32_t flags)
{
    tn_wd wd;
    int result = tn_watch_add(notifier, path, TN_WATCH_OPTIONS(.mask = mask, .flags = flags), &wd);

    cr_assert_eq(result, 0, "adding %s: %s", path, tn_strerror(result));
    return wd;
}

void settle(struct tn_notifier *notifier)
{
    int result = tn_notifier_settle(notifier, -1);

    cr_assert_eq(result, 0, "settle: %s", tn_strerror(result));
}

void finish(struct tn_notifier *notifier, enum tn_finish how)
{
    cr_assert_eq(tn_notifier_stop(notifier, how), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    tn_notifier_free(notifier);
}

struct tn_stats stats_of(struct tn_notifier *notifier)
{
    struct tn_stats stats = TN_STATS_INIT;

    cr_assert_eq(tn_notifier_get_stats(notifier, &stats), 0);
    return stats;
}

const char *at(const char *format, ...)
{
    static _Thread_local char texts[8][256];
    static _Thread_local unsigned next;
    char *text = texts[next++ % 8];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(texts[0]), format, arguments);
    va_end(arguments);
    return text;
}

void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0, "%s", path);
    close(fd);
}

void make_files(const char *prefix, unsigned count)
{
    char own[128];

    snprintf(own, sizeof(own), "%s", prefix);
    for (unsigned i = 0; i < count; i++)
        make_file(at("%s%u", own, i));
}

void append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

void make_directory(const char *path)
{
    cr_assert_eq(mkdir(path, 0700), 0, "%s", path);
}

void gate_init(struct gate *gate)
{
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->change, NULL);
    gate->open = false;
    gate->waiting = 0;
}

void gate_pass(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->change);
    while (!gate->open)
        pthread_cond_wait(&gate->change, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->change);
    pthread_mutex_unlock(&gate->lock);
}

void gate_wait_for(struct gate *gate, unsigned waiting)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting < waiting)
        pthread_cond_wait(&gate->change, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}
