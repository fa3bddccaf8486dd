/* A double of the support header, with what bodies of nodes use, and a program that is told on
   standard input which body to call with what, and answers with what it emitted.
   Payloads and states lie in memory of their exact size, so that a sanitizer sees each step aside. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t limen_tick;

typedef struct limen_header {
    limen_tick creation;
    limen_tick origin;
    uint32_t sequence;
    uint16_t source;
    uint8_t qos;
    uint8_t flags;
} limen_header;

typedef enum { LIMEN_DONE, LIMEN_SKIP } limen_result;

enum { MOST_INPUTS = 4, MOST_MADE = 32 };

typedef struct limen_call {
    limen_tick now;
    limen_header header;
    const limen_header *headers[MOST_INPUTS];
    const void *in[MOST_INPUTS];
    const uint32_t *sizes; /* of the inputs' payloads, then the outputs' */
    uint32_t inputs;
    uint32_t made;
    uint32_t ports[MOST_MADE];
    limen_header sent[MOST_MADE];
    void *payloads[MOST_MADE];
} limen_call;

static inline void *limen_emit(limen_call *call, unsigned output, const limen_header *header)
{
    const uint32_t place = call->made++;
    if (place >= MOST_MADE) {
        abort();
    }
    call->ports[place] = output;
    call->sent[place] = *header;
    call->payloads[place] = malloc(call->sizes[call->inputs + output]);
    return call->payloads[place];
}

static inline void limen_join_headers(limen_header *into, const limen_header *other)
{
    if (other->creation < into->creation) {
        into->creation = other->creation;
    }
    if (other->origin < into->origin) {
        into->origin = other->origin;
    }
}

typedef struct limen_case {
    size_t state_bytes;
    uint32_t inputs;
    const uint32_t *sizes;
    void (*start)(void *state);
    limen_result (*call)(void *state, limen_call *call);
} limen_case;

static void take(void *into, size_t size)
{
    if (size != 0 && fread(into, size, 1, stdin) != 1) {
        exit(0);
    }
}

static void give(const void *from, size_t size)
{
    fwrite(from, size, 1, stdout);
}

static void one_call(const limen_case *one, void *state)
{
    limen_call call;
    limen_header headers[MOST_INPUTS];
    void *payloads[MOST_INPUTS];
    uint8_t there;
    uint32_t result;
    memset(&call, 0, sizeof call);
    call.sizes = one->sizes;
    call.inputs = one->inputs;
    take(&call.now, sizeof call.now);
    take(&call.header, sizeof call.header);
    for (uint32_t i = 0; i < one->inputs; i++) {
        payloads[i] = NULL;
        take(&there, 1);
        if (there) {
            take(&headers[i], sizeof headers[i]);
            payloads[i] = malloc(one->sizes[i]);
            take(payloads[i], one->sizes[i]);
            call.headers[i] = &headers[i];
            call.in[i] = payloads[i];
        }
    }
    result = (uint32_t)one->call(state, &call);
    for (uint32_t i = 0; i < one->inputs; i++) {
        free(payloads[i]);
    }
    give(&result, sizeof result);
    give(&call.made, sizeof call.made);
    for (uint32_t i = 0; i < call.made; i++) {
        give(&call.ports[i], sizeof call.ports[i]);
        give(&call.sent[i], sizeof call.sent[i]);
        give(call.payloads[i], one->sizes[one->inputs + call.ports[i]]);
        free(call.payloads[i]);
    }
    fflush(stdout);
}

/* N and a number begin a case anew, R restarts it, C and what it is given calls it. */
static inline int serve(const limen_case *cases)
{
    const limen_case *one = cases;
    void *state = NULL;
    for (;;) {
        char asked;
        uint32_t number;
        if (fread(&asked, 1, 1, stdin) != 1) {
            free(state);
            return 0;
        }
        if (asked == 'N') {
            take(&number, sizeof number);
            one = &cases[number];
            free(state);
            state = calloc(1, one->state_bytes);
        }
        if (asked == 'C') {
            one_call(one, state);
        } else {
            one->start(state);
        }
    }
}
