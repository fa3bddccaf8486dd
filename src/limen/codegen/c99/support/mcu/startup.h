/* What the start-up code tells the application. */
#ifndef LIMEN_STARTUP_H
#define LIMEN_STARTUP_H

#include <stdint.h>

/* The most bytes of stack that were in use at once so far. */
uint32_t startup_stack_used(void);

#endif
