#include "counter.h"

/* CMSDK timer 0 of the board; it counts down. */
static volatile uint32_t *const timer = (volatile uint32_t *)0x40000000u;

enum { CONTROL = 0, VALUE = 1, RELOAD = 2, ENABLE = 1 };

static uint32_t counter_overhead;

/*
 * At 25 MHz and, as the emulator is started, 128 ns an instruction, these are 3.2 ticks each: as more
 * than two lie between any two instructions, rounding gives their exact number.
 */
static uint32_t counter_instructions(uint32_t ticks)
{
    return (uint32_t)(((uint64_t)ticks * 5u + 8u) / 16u);
}

void counter_start(void)
{
    timer[CONTROL] = 0;
    timer[RELOAD] = UINT32_MAX;
    timer[VALUE] = UINT32_MAX;
    timer[CONTROL] = ENABLE;
    counter_overhead = 0;
    const uint32_t first = counter_read();
    counter_overhead = counter_since(first);
}

uint32_t counter_read(void)
{
    return UINT32_MAX - timer[VALUE];
}

uint32_t counter_since(uint32_t earlier)
{
    return counter_instructions(counter_read() - earlier) - counter_overhead;
}
