/* Counts instructions by a timer of the emulated board, whose time the emulator makes of them. */
#ifndef LIMEN_COUNTER_H
#define LIMEN_COUNTER_H

#include <stdint.h>

/* Start the timer, and find out what reading it costs. */
void counter_start(void);

/* A reading of the timer. */
uint32_t counter_read(void);

/* Instructions since an earlier reading, without those of the two readings; exact below 10^9. */
uint32_t counter_since(uint32_t earlier);

#endif
