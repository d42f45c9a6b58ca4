/*
 * Lanes under load: one producer, several workers, more lanes than the bound on
 * memory has slabs, lanes that end and are used again, stalls, epochs.
 *
 * Each lane carries a stream of numbered records. The fields of a stream that
 * workers write are plain, so ThreadSanitizer sees it if two runs of a lane
 * meet. What is lost makes the program hang, and the alarm ends it.
 *
 * stress_lane [records [workers]]
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/lane.h"

#define STREAMS      60
#define LIMIT        TN__POOL_FLOOR
#define EPOCHS_MOST  4096
#define STREAMS_MOST 65536
#define FLAG_STALL   0x100u
#define LONG_PATH    5000

struct stream {
    uint32_t lane;
    uint32_t pushed, length; /* the producer's */
    uint32_t path_number;
    uint32_t next; /* the run's, as the rest */
    bool released; /* the record that stalls may pass now */
    bool ended;
};

static struct stream streams[STREAMS_MOST];
static uint32_t stream_count;

static struct tn__lanes lanes;
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t pushed_in[EPOCHS_MOST];
static _Atomic uint64_t consumed_in[EPOCHS_MOST];
static uint64_t tickets[EPOCHS_MOST];
static uint32_t epoch_count; /* closed */
static _Atomic uint64_t stalls, waits;

static void fail(const char *what)
{
    fprintf(stderr, "stress_lane: %s\n", what);
    _exit(1);
}

static void on_alarm(int signal_number)
{
    static const char text[] = "stress_lane: hangs\n";

    (void)signal_number;
    if (write(2, text, sizeof(text) - 1) < 0)
        _exit(2);
    _exit(1);
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 33) % below;
}

/* A queue of tasks, for the workers and for the thread that resumes. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct tn_task *first, **last;
    bool closed;
};

static struct queue ready = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, NULL,
                             false};
static struct queue stalled = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, NULL,
                               false};

static void queue_push(struct queue *queue, struct tn_task *task)
{
    pthread_mutex_lock(&queue->lock);
    task->next = NULL;
    if (queue->first)
        *queue->last = task;
    else
        queue->first = task;
    queue->last = &task->next;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

static struct tn_task *queue_pop(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (!queue->first && !queue->closed)
        pthread_cond_wait(&queue->filled, &queue->lock);
    struct tn_task *task = queue->first;
    if (task)
        queue->first = task->next;
    pthread_mutex_unlock(&queue->lock);
    return task;
}

static void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

static void *work(void *arg)
{
    struct tn_task *task;

    (void)arg;
    while ((task = queue_pop(&ready))) {
        struct tn__task *own = tn__container_of(task, struct tn__task, task);
        own->run(own);
    }
    return NULL;
}

/* Text that both sides can tell from the numbers. */

static size_t path_of(const struct stream *stream, uint32_t number, char *buffer)
{
    int length = sprintf(buffer, "/s%u/p%u", (unsigned)(stream - streams), number);

    if (number % 64 != 63)
        return (size_t)length;
    memset(buffer + length, 'x', LONG_PATH);
    buffer[length + LONG_PATH] = '\0';
    return (size_t)length + LONG_PATH;
}

/* A lane passes from stream to stream, so a key says which stream it is of. */
static uint64_t path_key_of(const struct stream *stream)
{
    uint64_t key = (uint64_t)(stream - streams) << 32 | stream->path_number;

    return stream->path_number % 3 ? key : 0;
}

static size_t name_of(uint32_t number, char *buffer)
{
    return (size_t)sprintf(buffer, "n%u", number);
}

static void check_text(const struct stream *stream, const struct tn_event *event)
{
    char path[LONG_PATH + 64], name[32], joined[LONG_PATH + 128];

    path_of(stream, (uint32_t)event->read_ns, path);
    if (strcmp(event->path, path) != 0)
        fail("wrong path");
    if (event->cookie % 8 == 7) {
        if (event->name || event->pathname != event->path)
            fail("a name out of nowhere");
        return;
    }
    name_of(event->cookie, name);
    sprintf(joined, "%s/%s", path, name);
    if (strcmp(event->name, name) != 0 || strcmp(event->pathname, joined) != 0)
        fail("wrong name");
    if (event->cookie % 16 == 1 && strcmp(event->src_pathname, name) != 0)
        fail("wrong source");
}

static void consume(struct stream *stream, const struct tn__record *record)
{
    struct tn_event event;

    tn__record_event(record, &event);
    if (stream->ended)
        fail("a record after the final one");
    if (event.cookie != stream->next)
        fail("out of order, lost or twice");
    stream->next++;
    stream->released = false;
    check_text(stream, &event);
    tn__fetch_add(&consumed_in[event.sequence], 1, relaxed);
    if (record->kind != TN__ENTRY_FINAL)
        return;
    stream->ended = true;
    pthread_mutex_lock(&write_lock);
    tn__lanes_free(&lanes, stream->lane);
    pthread_mutex_unlock(&write_lock);
}

static size_t deliver(void *context, struct tn__lane *lane, const struct tn__record *const *records,
                      size_t count)
{
    (void)context;
    for (size_t i = 0; i < count; i++) {
        struct stream *stream = &streams[records[i]->watch];
        if (stream->lane != lane->id)
            fail("wrong lane");
        if ((records[i]->flags & FLAG_STALL) && !stream->released)
            return i;
        consume(stream, records[i]);
    }
    return count;
}

static bool stall(void *context, struct tn__lane *lane, const struct tn__record *record)
{
    struct stream *stream = &streams[record->watch];

    (void)context;
    tn__fetch_add(&stalls, 1, relaxed);
    stream->released = true;
    if (record->cookie % 2)
        return false;
    queue_push(&stalled, &lane->task.task); /* the task is nobody's while it stalls */
    return true;
}

static void *resume(void *arg)
{
    struct tn_task *task;

    (void)arg;
    while ((task = queue_pop(&stalled))) {
        struct tn__task *own = tn__container_of(task, struct tn__task, task);
        tn__lane_resume(&lanes, tn__container_of(own, struct tn__lane, task));
    }
    return NULL;
}

static void submit(void *context, struct tn__task *task)
{
    (void)context;
    queue_push(&ready, &task->task);
}

/* The producer. */

static struct stream *stream_new(uint64_t *random)
{
    if (stream_count == STREAMS_MOST)
        return NULL;
    struct stream *stream = &streams[stream_count];

    pthread_mutex_lock(&write_lock);
    stream->lane = tn__lanes_alloc(&lanes);
    pthread_mutex_unlock(&write_lock);
    if (stream->lane == 0)
        fail("no lane");
    stream->length = 1 + draw(random, 400);
    stream_count++;
    return stream;
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static void push(struct stream *stream, uint64_t *random)
{
    char path[LONG_PATH + 64], name[32];
    uint32_t number = stream->pushed;
    bool final = number + 1 == stream->length;
    struct tn__lane *lane = tn__lanes_get(&lanes, stream->lane);

    if (draw(random, 8) == 0)
        stream->path_number++;
    struct tn__entry entry = {
        .wd = 1,
        .root = 1,
        .watch = (uint32_t)(stream - streams),
        .cookie = number,
        .flags = draw(random, 50) == 0 ? FLAG_STALL : 0,
        .kind = final ? TN__ENTRY_FINAL : TN__ENTRY_EVENT,
        .path = path,
        .path_length = path_of(stream, stream->path_number, path),
        .path_key = path_key_of(stream),
        .read_ns = stream->path_number,
        .sequence = epoch_count,
    };
    if (number % 8 != 7) {
        entry.name_length = name_of(number, name);
        entry.name = name;
    }
    if (number % 16 == 1) {
        entry.src_length = entry.name_length;
        entry.src_pathname = name;
    }
    while (tn__lane_push(&lanes, lane, &entry) == -ENOBUFS) {
        tn__fetch_add(&waits, 1, relaxed);
        if (tn__lanes_wait_space(&lanes, never, NULL) < 0)
            fail("a wait for space was cancelled");
    }
    stream->pushed++;
    pushed_in[epoch_count]++;
    if (tn__lanes_bytes(&lanes) > LIMIT)
        fail("the bound is passed");
    if (!tn__lane_is_valid(lane) || !tn__slab_pool_is_valid(&lanes.pool))
        fail("invalid");
}

static void check_epochs(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (tn__load(&consumed_in[i], relaxed) != pushed_in[i])
            fail("an epoch was reached before its records were consumed");
    }
}

static void epoch_wait(uint64_t ticket)
{
    struct tn__park *park = tn__lanes_epoch_park(&lanes);

    while (!tn__lanes_epoch_reached(&lanes, ticket)) {
        uint32_t epoch = tn__park_prepare(park);
        if (tn__lanes_epoch_reached(&lanes, ticket)) {
            tn__park_cancel(park);
            return;
        }
        tn__park_wait(park, epoch, -1);
    }
}

static bool epoch_close(void)
{
    if (epoch_count + 1 == EPOCHS_MOST)
        return false;
    uint64_t ticket = tn__lanes_epoch_close(&lanes);
    if (ticket == 0)
        return false;
    tickets[epoch_count++] = ticket;
    return true;
}

/* Looks at the tickets in their order, as another thread's settle does. */
static pthread_mutex_t settle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t settle_more = PTHREAD_COND_INITIALIZER;
static uint32_t settle_count; /* tickets that the settling thread may look at */
static bool settle_end;

static void *settle(void *arg)
{
    uint32_t done = 0, count;

    (void)arg;
    for (;;) {
        pthread_mutex_lock(&settle_lock);
        while (settle_count == done && !settle_end)
            pthread_cond_wait(&settle_more, &settle_lock);
        count = settle_count;
        pthread_mutex_unlock(&settle_lock);
        if (count == done)
            return NULL;
        epoch_wait(tickets[count - 1]);
        check_epochs(count);
        done = count;
    }
}

static void settle_tell(bool end)
{
    pthread_mutex_lock(&settle_lock);
    settle_count = epoch_count;
    settle_end = end;
    pthread_cond_signal(&settle_more);
    pthread_mutex_unlock(&settle_lock);
}

static void produce(uint64_t records)
{
    static struct stream *live[STREAMS];
    uint64_t random = 88172645463325252u;
    uint64_t every = tn__max(records / 1500, 1);

    for (size_t i = 0; i < STREAMS; i++)
        live[i] = stream_new(&random);
    for (uint64_t n = 0; n < records; n++) {
        /* Now a few lanes at a time, now all of them. */
        struct stream **slot = &live[draw(&random, n / 4096 % 2 ? 3 : STREAMS)];
        push(*slot, &random);
        if ((*slot)->pushed == (*slot)->length && !(*slot = stream_new(&random)))
            break;
        if (draw(&random, n / 1024 % 2 ? 2 : 40) == 0)
            tn__lanes_publish(&lanes);
        if (n % every == 0 && epoch_close())
            settle_tell(false);
        if (draw(&random, 500) == 0 && epoch_count > 0) {
            tn__lanes_publish(&lanes);
            epoch_wait(tickets[epoch_count - 1]);
        }
    }
    tn__lanes_publish(&lanes);
    if (epoch_close())
        epoch_wait(tickets[epoch_count - 1]);
    check_epochs(epoch_count);
    settle_tell(true);
}

int main(int argc, char **argv)
{
    uint64_t records = argc > 1 ? strtoull(argv[1], NULL, 10) : 400000;
    size_t workers = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
    static const struct tn__lanes_ops ops = {.submit = submit, .deliver = deliver, .stall = stall};
    pthread_t threads[64], resumer, settler;

    workers = tn__min(tn__max(workers, 1), 64);
    signal(SIGALRM, on_alarm);
    alarm(120);
    tn__lanes_init(&lanes, &ops, NULL, LIMIT, 0);
    for (size_t i = 0; i < workers; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    pthread_create(&resumer, NULL, resume, NULL);
    pthread_create(&settler, NULL, settle, NULL);
    produce(records);

    pthread_join(settler, NULL);
    queue_close(&stalled);
    pthread_join(resumer, NULL);
    queue_close(&ready);
    for (size_t i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    check_epochs(epoch_count + 1);
    tn__lanes_reclaim(&lanes);
    if (tn__lanes_bytes(&lanes) != 0 || !tn__slab_pool_is_valid(&lanes.pool))
        fail("slabs are missing");
    if (lanes.count > 4 * STREAMS)
        fail("lanes are not recycled");
    printf("streams %u, lanes %u, epochs %u, stalls %llu, waits %llu, high %zu\n", stream_count,
           lanes.count, epoch_count, (unsigned long long)tn__load(&stalls, relaxed),
           (unsigned long long)tn__load(&waits, relaxed), tn__lanes_bytes_high(&lanes));
    tn__lanes_done(&lanes);
    return 0;
}
