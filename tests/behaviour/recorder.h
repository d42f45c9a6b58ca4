/*
 * A processor that keeps what it was told.
 *
 * An event is compared as a line of text: mask (without "IN_"), a space, the
 * path below the scratch directory ("." for itself), ":" and the name if there
 * is one, " <- " and the source pathname if there is one, and the flags:
 *
 *     CREATE|ISDIR a:b
 *     MOVED_TO a:new <- a/old
 *     IGNORED a/b unknown
 *
 * "synthetic" is left out of an IN_IGNORED.
 */
#ifndef TN_TESTS_RECORDER_H
#define TN_TESTS_RECORDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tnotify/tnotify.h>

/* Keeps a copy of each event, in the order of the calls. */
struct recorder {
    pthread_mutex_t lock;  /* guards all but the processor */
    pthread_cond_t change; /* an event more, or released */
    struct tn_event **events;
    size_t count, capacity;
    size_t flushed, released; /* how often the processor's flush and release were called */
    struct tn_processor *processor;
};

void recorder_init(struct recorder *recorder);
/* Gives its reference to the processor back, so that the last of the others releases it. */
void recorder_let_go(struct recorder *recorder);
/* The end, which waits for nothing: free the notifier first. */
void recorder_done(struct recorder *recorder);
void recorder_clear(struct recorder *recorder);
/* Its process_default, for tables that differ in other functions; userdata is the recorder. */
int recorder_keep(const struct tn_event *event, void *userdata);
size_t recorder_count(struct recorder *recorder);
/* The events with any of these mask bits. */
size_t recorder_count_of(struct recorder *recorder, uint32_t mask);
/* Until it was told that many, and until it was released; the test's timeout bounds the wait. */
void recorder_wait(struct recorder *recorder, size_t count);
void recorder_wait_released(struct recorder *recorder);
/* The i-th event; the recorder's, until it is cleared. Fails the test if there is none. */
const struct tn_event *recorder_event(struct recorder *recorder, size_t i);
/* The first event with all these mask bits; NULL: none. */
const struct tn_event *recorder_find(struct recorder *recorder, uint32_t mask);
/* How many lines there are that equal this one. */
size_t recorder_lines(struct recorder *recorder, const char *line);

/*
 * The recorder has exactly these lines, in this order (EXPECT) or in any
 * (EXPECT_SET); then it is cleared. Settle first.
 */
#define EXPECT(recorder, ...)                                                                      \
    recorder_expect(recorder, __FILE__, __LINE__, false, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_SET(recorder, ...)                                                                  \
    recorder_expect(recorder, __FILE__, __LINE__, true, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_NONE(recorder)                                                                      \
    recorder_expect(recorder, __FILE__, __LINE__, false, (const char *const[]){NULL})
void recorder_expect(struct recorder *recorder, const char *file, int line, bool any_order,
                     const char *const *lines);

#endif
