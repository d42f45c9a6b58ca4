/*
 * What was told, as lines of text, against what a script expects. One list for
 * each name that the script gives to adds, and one, "notifier", for what is
 * told to no add.
 */
#ifndef TN_TESTS_REPLAY_TOLD_H
#define TN_TESTS_REPLAY_TOLD_H

#include <tnotify/event.h>

#include "script.h"

struct told;

/* Made if there is none of that name yet. */
struct told *told_list(const char *name);
/* wrong: what of it can't be; NULL: nothing. */
void told_keep(struct told *told, const struct tn_event *event, const char *wrong);

/* Whether the words of an expecting line make sense; it fails if not. */
void told_check_words(const struct line *line);
/* All that was told since the last time is what these lines expect; then it is forgotten. */
void told_expect(const struct line *at, const struct line *lines, size_t count);
/* Whatever it was. */
void told_forget(void);
void told_done(void);

#endif
