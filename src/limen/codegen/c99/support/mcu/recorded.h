/* Inputs that were recorded, which the emulator lays into the board's memory beside the firmware. */
#ifndef LIMEN_RECORDED_H
#define LIMEN_RECORDED_H

#include <stdbool.h>
#include <stdint.h>

enum { RECORDED_MESSAGE = 0, RECORDED_FAILURE = 1, RECORDED_END = 2 };
enum {
    RECORDED_UNTIMED = 1,
    RECORDED_CREATION = 2,
    RECORDED_DEADLINE = 4,
    RECORDED_MAX_AGE = 8,
    RECORDED_DEGRADE = 16
};

/* One entry: what a source gave, when, and what it stated; the payload follows. */
typedef struct {
    int64_t due, creation, deadline_ns, max_age_ns;
    uint32_t what, states, qos, reserved;
} recorded_entry;

/* Where a source is in its recording. */
typedef struct {
    const uint8_t *next;
    uint32_t bytes;
    int64_t delay; /* by which the schedule was moved */
} recorded_source;

/* Find the recording of a source; false where there is none for this graph. */
bool recorded_open(recorded_source *source, uint32_t index, uint32_t bytes);

/* The next entry; the last one, which stays, says that the recording ends. */
const recorded_entry *recorded_front(const recorded_source *source);

/* The instant of the next entry; the one given, where there is no schedule. */
int64_t recorded_due(const recorded_source *source, int64_t untimed);

/* Move the schedule so that an entry that was held back is due now. */
void recorded_resume(recorded_source *source, int64_t now);

/* Copy the front's payload, where there is one, and move on. */
void recorded_take(recorded_source *source, void *payload);

#endif
