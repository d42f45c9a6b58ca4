/*
 * Names of the IN_* bits.
 */
#ifndef TN_SRC_MASK_H
#define TN_SRC_MASK_H

#include <stdint.h>
#include <sys/inotify.h>

#include "text.h"

/* The bits that say what happened: one of them is in every event of the kernel. */
#define TN__MASK_EVENTS ((uint32_t)(IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED))

/* "IN_CREATE|IN_ISDIR"; bits without a name as one hexadecimal number; "0" for 0. */
void tn__mask_put(struct tn__text *text, uint32_t mask);

#endif
