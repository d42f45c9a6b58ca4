/*
 * One limit of inotify alone: tn_limits_get also counts what is in use, which
 * takes a walk through /proc.
 */
#ifndef TN_SRC_LIMIT_H
#define TN_SRC_LIMIT_H

#include <stdint.h>
#include <tnotify/limits.h>

int tn__limit_value(enum tn_limit which, uint64_t *ret_value);

#endif
