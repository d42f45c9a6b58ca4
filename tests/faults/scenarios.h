/*
 * The scenarios, and the trees that they share.
 */
#ifndef TN_TESTS_FAULTS_SCENARIOS_H
#define TN_TESTS_FAULTS_SCENARIOS_H

#include "stage.h"

/* Directories and files below a path. */
void make_tree(const char *top);
/* "top" and "out" are made, and a notifier. */
void watch_tree(void);
/* All kinds of changes in "top", which "out" moves into. */
void change_tree(void);
/* For tn_watch_options.placed: what is told to have failed may be missing in the mirror. */
int excuse_placed(const char *path, tn_wd wd, int error, void *data);

void scenario_life(void);
void scenario_crawl(void);
void scenario_deep(void);
void scenario_lists(void);
void scenario_events(void);
void scenario_twice(void);
void scenario_names(void);
void scenario_trickle(void);
void scenario_orders(void);
void scenario_changes(void);
void scenario_caller(void);
void scenario_drain(void);
void scenario_plugs(void);
void scenario_executors(void);
void scenario_ignoring(void);
void scenario_overflow(void);
void scenario_full(void);
void scenario_gap(void);
void scenario_numbers(void);
void scenario_inside(void);

#endif
