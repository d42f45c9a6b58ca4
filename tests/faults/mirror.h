/*
 * A model of the trees that is kept from events alone, and what the library
 * has told that it could not see.
 */
#ifndef TN_TESTS_FAULTS_MIRROR_H
#define TN_TESTS_FAULTS_MIRROR_H

#include "stage.h"

/* A processing function for all events. */
int mirror_event(const struct tn_event *event, void *userdata);

/* The model takes what is below the directory now. Before the add. */
void mirror_take(const char *path);
/* It may differ below the path: the library has told so. */
void mirror_excuse(const char *path);
/* After a settle: the model is the tree, and each directory below is watched. */
void mirror_check(const char *path);
/* The same of the directories alone, which a gap is no excuse for. */
void mirror_check_directories(const char *path);
/* Whether an overflow was told. */
bool mirror_gap(void);
void mirror_forget(void);

#endif
