/*
 * What the scenarios share. Each runs in a process of its own, in an empty
 * directory that is its working directory.
 *
 * A call of the library that fails must give an error that its documentation
 * has, and may fail only because of the fault; asked again it must succeed. So
 * a scenario goes on to its end whatever fails, and at the end all must be as
 * if nothing had, or the failure was told.
 */
#ifndef TN_TESTS_FAULTS_STAGE_H
#define TN_TESTS_FAULTS_STAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <tnotify/tnotify.h>

#include "faults.h"

enum { SETTLE_MS = 30000 };

#define NAMES ((uint32_t)(IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE))

struct scenario {
    const char *name;
    void (*run)(void);
    bool is_long; /* the sample is a smaller one */
};
extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* 0; 3: the fault was not reached; 1: failed, and told on stderr. counts: FAULT_COUNT of them. */
int stage_run(const struct scenario *which, const struct fault_plan *which_plan, uint32_t *counts);

/* Of the running scenario. */
extern struct tn_notifier *notifier;
extern struct tn_processor *mirror; /* mirror.h's */

/* From here on calls are counted, and the fault may come. */
void arm(void);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * result = call. If it fails by the fault with one of the errors that are listed, the fault is
 * taken away and it is done again.
 */
#define TRY(result, call, ...)                                                                     \
    do {                                                                                           \
        (result) = (call);                                                                         \
        if ((result) < 0 && may_fail(#call, (result), (const int[]){__VA_ARGS__, 0}))              \
            (result) = (call);                                                                     \
        if ((result) < 0)                                                                          \
            fail("%s: %s", #call, tn_strerror((int)(result)));                                     \
    } while (0)
bool may_fail(const char *call, long result, const int *errors);

/* What could not be done or told while the fault lasted is, with the next event: makes one. */
void nudge(const char *directory);

/* A notifier with the mirror as its processor; options may be NULL. Freed at the end. */
void open_notifier(const struct tn_notifier_options *options);
void close_notifier(void);
void start(void);
void settle(void);
/* An add with a release, which is checked at the end. */
tn_wd add(const char *path, uint32_t mask, uint32_t flags);
tn_wd add_options(const char *path, const struct tn_watch_options *options);
/* Counts a release that is due. */
void expect_release(struct tn_watch_options *options);
/* Of several adds that share options, these were placed. */
void expect_releases(int more);

/* File operations; absolute or in the scenario's directory. */
const char *full(const char *path);
void make_dirs(const char *path);
void make_file(const char *path);
void move(const char *from, const char *to);
void remove_tree(const char *path);

#endif
