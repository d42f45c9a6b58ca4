/*
 * A notifier without threads whose stream a script writes, the adds in it, and
 * what is done in the middle of its calls.
 */
#ifndef TN_TESTS_REPLAY_STAGE_H
#define TN_TESTS_REPLAY_STAGE_H

#include "script.h"

/* unchecked: the trees are not compared. */
void stage_open(const struct script *whole, uint32_t move_timeout_ms, bool unchecked);
/* The whole: settles, checks the trees, and ends all. False: something is wrong. */
bool stage_close(const struct line *last);

void stage_label(const struct line *line);
void stage_record(const struct line *line);
void stage_overflow(const struct line *line);
void stage_add(const struct line *line);
void stage_unwatch(const struct line *line);
void stage_fail(const struct line *line);
void stage_next_key(const struct line *line);
void stage_before(const struct line *line);
void stage_read(const struct line *line);
void stage_settle(const struct line *line);
void stage_anything(const struct line *line);
void stage_watched(const struct line *line);
void stage_stats(const struct line *line);

#endif
