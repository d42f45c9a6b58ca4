/*
 * A processor that keeps what it was told, and a directory of its own for each
 * test, which is then the current one, so that paths are short.
 */
#ifndef TN_TESTS_SEEN_H
#define TN_TESTS_SEEN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tnotify/tnotify.h>

/* What changes names and contents, and nothing that reading makes. */
#define CHANGES (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE | IN_DELETE)

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct tn_event **events; /* copies, in the order of the calls */
    size_t count, capacity;
    size_t flushes, releases;
};

/* As .init and .fini of a suite: a new current directory, and its removal. */
void enter_directory(void);
void leave_directory(void);

void seen_init(struct seen *seen);
void seen_done(struct seen *seen);
void seen_clear(struct seen *seen);

/* Its process_default, flush and release; for tables that differ in other functions. */
int seen_process(const struct tn_event *event, void *seen);
void seen_flush(void *seen);
void seen_release(void *seen);
struct tn_processor *seen_processor(struct seen *seen);

size_t seen_count(struct seen *seen);
size_t seen_count_of(struct seen *seen, uint32_t mask);
/* Until it has been told that many; the test's timeout bounds the wait. */
void seen_wait(struct seen *seen, size_t count);

/*
 * One line an event: "CREATE d/f", with a / after the kind of a directory's
 * event, "*" in front of what a scan found and " < path" behind a source.
 */
char *seen_text(struct seen *seen);
void assert_seen_at(struct seen *seen, const char *expected, const char *file, int line);
#define assert_seen(seen, expected) assert_seen_at(seen, expected, __FILE__, __LINE__)

/* A notifier with seen as its processor; options may be NULL. */
struct tn_notifier *notifier_with(struct seen *seen, const struct tn_notifier_options *options);
/* The same, started. */
struct tn_notifier *started_with(struct seen *seen, const struct tn_notifier_options *options);
tn_wd watch(struct tn_notifier *notifier, const char *path, uint32_t mask, uint32_t flags);
void settle(struct tn_notifier *notifier);
/* A stop and a join, and the end of it. */
void finish(struct tn_notifier *notifier, enum tn_finish how);
struct tn_stats stats_of(struct tn_notifier *notifier);

/* A path of printf's arguments; good until the thread's eighth after it. */
const char *at(const char *format, ...) __attribute__((format(printf, 1, 2)));
void make_file(const char *path); /* CREATE, CLOSE_WRITE */
void make_files(const char *prefix, unsigned count);
void append(const char *path, const char *text); /* MODIFY, CLOSE_WRITE; it exists */
void make_directory(const char *path);

/* What one thread opens and others wait for. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool open;
    unsigned waiting; /* how many have come to it, open or not */
};

void gate_init(struct gate *gate);
void gate_pass(struct gate *gate);
void gate_open(struct gate *gate);
void gate_wait_for(struct gate *gate, unsigned waiting);

#endif
