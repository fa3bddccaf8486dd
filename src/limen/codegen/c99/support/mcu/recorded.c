#include "recorded.h"

#include <string.h>

/* PSRAM of the board. */
static const uint8_t *const recorded_base = (const uint8_t *)0x21000000u;

enum { MAGIC = 0x314d494c };

typedef struct {
    uint32_t magic, sources;
} recorded_head;

typedef struct {
    uint32_t offset, entries, bytes, reserved;
} recorded_row;

bool recorded_open(recorded_source *source, uint32_t index, uint32_t bytes)
{
    recorded_head head;
    memcpy(&head, recorded_base, sizeof head);
    if (head.magic != MAGIC || index >= head.sources) {
        return false;
    }
    recorded_row row;
    memcpy(&row, recorded_base + sizeof head + index * sizeof row, sizeof row);
    source->next = recorded_base + row.offset;
    source->bytes = bytes;
    source->delay = 0;
    return row.bytes == bytes;
}

const recorded_entry *recorded_front(const recorded_source *source)
{
    return (const recorded_entry *)(const void *)source->next;
}

int64_t recorded_due(const recorded_source *source, int64_t untimed)
{
    const recorded_entry *front = recorded_front(source);
    return (front->states & RECORDED_UNTIMED) != 0u ? untimed : front->due + source->delay;
}

void recorded_resume(recorded_source *source, int64_t now)
{
    const int64_t due = recorded_due(source, now);
    if (due < now) {
        source->delay += now - due;
    }
}

void recorded_take(recorded_source *source, void *payload)
{
    const recorded_entry *front = recorded_front(source);
    source->next += sizeof *front;
    if (front->what == RECORDED_MESSAGE) {
        memcpy(payload, source->next, source->bytes);
        source->next += (source->bytes + 7u) & ~(uint32_t)7u;
    }
}
