/* Limen: one call into a node, or what takes its place: headers, budgets, results, failures.
   Included by limen_core.h. */

typedef enum {
    LIMEN_DONE,
    LIMEN_SKIP,
    LIMEN_FAIL,
    LIMEN_TERMINAL,
    LIMEN_YIELD
} limen_result;

/* What a call is given, and what it emits. */
typedef struct limen_call {
    LIMEN_GRAPH *graph;
    limen_tick now;      /* ahead of the call */
    limen_tick until;    /* of a call that yields */
    limen_tick cost;     /* on simulated time, what this call takes beyond the declared cost */
    limen_header header; /* of the result */
    const limen_header *headers[LIMEN_MOST_INPUTS];
    const void *in[LIMEN_MOST_INPUTS];
    const void *ins[LIMEN_MOST_ITEMS]; /* of a model: the items, and where its results go */
    void *outs[LIMEN_MOST_ITEMS];
#if LIMEN_MARKS
    limen_header views[LIMEN_MOST_INPUTS];
#endif
    limen_result came_to; /* what the step comes to, where a call says more than that it is done */
    uint16_t node;
    uint16_t items;
    uint16_t made;
    bool overflows;
    uint16_t slots[LIMEN_MOST_EMITS];
    uint16_t ports[LIMEN_MOST_EMITS];
} limen_call;

/* What was never presented before: places [from, to) of the holds of some edges; and what else is
   handed over: places [0, from) of the first, and the fronts of more edges. */
typedef struct limen_given {
    uint16_t edges[LIMEN_MOST_INPUTS];
    uint16_t beside[LIMEN_MOST_INPUTS];
    uint16_t count;
    uint16_t besides;
    uint16_t from;
    uint16_t to;
} limen_given;

typedef enum {
    LIMEN_FORM_FULL,
    LIMEN_FORM_VARIANT,
    LIMEN_FORM_DISCARD,
    LIMEN_FORM_FORWARD,
    LIMEN_FORM_DEFAULT
} limen_form;

LIMEN_FN limen_result limen_enter(LIMEN_GRAPH *g, unsigned n, bool variant, limen_call *call);
#if LIMEN_DECLARED
LIMEN_FN void limen_declare(unsigned n, bool failsafe, unsigned char *payload);
#endif
LIMEN_FN bool limen_begin(LIMEN_GRAPH *g, unsigned n);

LIMEN_FN limen_result limen_yield(limen_call *call, limen_tick until) {
    call->until = until;
    return LIMEN_YIELD;
}

/* Return where the payload of the next message of an output of the node in call lies. */
LIMEN_FN void *limen_emit(limen_call *call, unsigned output, const limen_header *header) {
    LIMEN_GRAPH *const g = call->graph;
    const unsigned p = limen_nodes[call->node].ports + output;
    unsigned count = 0;
    unsigned slot = 0;
    unsigned i;
    for (i = 0; i < call->made; i++) {
        if (call->ports[i] == p) {
            slot = call->slots[i];
            count++;
        }
    }
    if (count == limen_ports[p].max_emit) {
        call->overflows = true;
        return limen_payload(g, p, slot);
    }
    slot = limen_claim(g, p);
    g->headers[slot] = *header;
    call->slots[call->made] = (uint16_t)slot;
    call->ports[call->made] = (uint16_t)p;
    call->made++;
    return limen_payload(g, p, slot);
}

LIMEN_FN void limen_forget_made(limen_call *call) {
    unsigned i;
    for (i = call->made; i != 0; i--) {
        limen_unclaim(call->graph, call->ports[i - 1], call->slots[i - 1]);
    }
    call->made = 0;
    call->overflows = false;
}

/* Send what a call made, output by output; false where it made more than was declared. */
LIMEN_FN bool limen_settle(limen_call *call) {
    LIMEN_GRAPH *const g = call->graph;
    const limen_node_plan *const plan = &limen_nodes[call->node];
    unsigned p;
    unsigned i;
    if (call->overflows) {
        limen_forget_made(call);
        return false;
    }
    for (p = plan->ports; p < (unsigned)plan->ports + plan->outputs; p++) {
        for (i = 0; i < call->made; i++) {
            if (call->ports[i] == p) {
                limen_send(g, p, call->slots[i]);
            }
        }
    }
    call->made = 0;
    return true;
}

/* Headers. */

#define LIMEN_INHERITED (LIMEN_DEGRADED | LIMEN_DEFAULTED | LIMEN_STALE)

LIMEN_FN uint8_t limen_flags(const LIMEN_GRAPH *g, const limen_entry *entry) {
#if LIMEN_MARKS
    return (uint8_t)(g->headers[entry->slot].flags | entry->marks);
#else
    return g->headers[entry->slot].flags;
#endif
}

/* Add a second header to the first, as for a result made of one message an input. */
LIMEN_FN void limen_join_headers(limen_header *into, const limen_header *other) {
    const unsigned allowed = into->flags & other->flags & LIMEN_DEGRADE_ALLOWED;
    const unsigned marks = (unsigned)(into->flags | other->flags) & LIMEN_INHERITED;
    into->flags = (uint8_t)(allowed | marks);
    if (other->creation < into->creation) {
        into->creation = other->creation;
    }
    if (other->origin < into->origin) {
        into->origin = other->origin;
    }
#if LIMEN_DEADLINES
    if (other->deadline_ns < into->deadline_ns) {
        into->deadline_ns = other->deadline_ns;
    }
#endif
#if LIMEN_AGES
    if (other->max_age_ns < into->max_age_ns) {
        into->max_age_ns = other->max_age_ns;
    }
#endif
    if (other->qos > into->qos) {
        into->qos = other->qos;
    }
}

LIMEN_FN limen_header limen_new_header(const LIMEN_GRAPH *g, unsigned n, uint32_t sequence) {
    limen_header header;
    header.creation = g->run.tick;
    header.origin = g->run.tick;
#if LIMEN_DEADLINES
    header.deadline_ns = LIMEN_NONE;
#endif
#if LIMEN_AGES
    header.max_age_ns = LIMEN_NONE;
#endif
    header.sequence = sequence;
    header.source = (uint16_t)n;
    header.qos = LIMEN_BEST_EFFORT;
    header.flags = 0;
    return header;
}

/* The header of a result that nothing went into. */
LIMEN_FN limen_header limen_own_header(LIMEN_GRAPH *g, unsigned n) {
    return limen_new_header(g, n, g->nodes[n].made_alone++);
}

LIMEN_FN void limen_set_view(LIMEN_GRAPH *g, limen_header *view, const limen_entry *entry) {
    *view = g->headers[entry->slot];
    view->flags = limen_flags(g, entry);
}

/* Hand over what lies in a hold as one input. */
LIMEN_FN void limen_hand(limen_call *call, unsigned e, unsigned place) {
    LIMEN_GRAPH *const g = call->graph;
    const limen_entry *const entry = limen_held(g, e, place);
    const unsigned input = limen_edges[e].input;
    call->in[input] = limen_payload(g, limen_edges[e].port, entry->slot);
    call->headers[input] = &g->headers[entry->slot];
#if LIMEN_MARKS
    if (entry->marks != 0) {
        limen_set_view(g, &call->views[input], entry);
        call->headers[input] = &call->views[input];
    }
#endif
}

/* The newest of what is held, with the oldest origin. */
LIMEN_FN void limen_window_header(LIMEN_GRAPH *g, unsigned e, limen_header *header) {
    const unsigned held = g->edges[e].held;
    unsigned flags;
    unsigned i;
    *header = g->headers[limen_held(g, e, held - 1)->slot];
    flags = header->flags & LIMEN_DEGRADE_ALLOWED;
    for (i = 0; i < held; i++) {
        const limen_entry *const entry = limen_held(g, e, i);
        flags |= limen_flags(g, entry) & LIMEN_INHERITED;
        if (g->headers[entry->slot].origin < header->origin) {
            header->origin = g->headers[entry->slot].origin;
        }
    }
    header->flags = (uint8_t)flags;
}

/* Calls, samples, failures. */

LIMEN_FN void limen_sample(LIMEN_GRAPH *g, limen_tick now) {
    if (now >= g->run.tick) {
        g->run.tick = now;
    }
}

LIMEN_FN void limen_after_call(LIMEN_GRAPH *g, unsigned n, limen_tick begun, limen_tick cost) {
#if LIMEN_SIM
    LIMEN_CHARGE(g, cost);
#else
    (void)cost;
#endif
    limen_sample(g, LIMEN_NOW(g));
    LIMEN_COUNT(g->nodes[n].counts.calls);
#if LIMEN_TIMES
    limen_record(&g->nodes[n].times.latency, limen_to_ns(g->run.tick - begun));
#else
    (void)n;
    (void)begun;
#endif
}

LIMEN_FN void limen_note_wait(LIMEN_GRAPH *g, unsigned n, const limen_entry *entry) {
#if LIMEN_TIMES
    limen_record(&g->nodes[n].times.wait, limen_to_ns(g->run.tick - limen_pushed(entry)));
#else
    (void)g;
    (void)n;
    (void)entry;
#endif
}

LIMEN_FN void limen_note_age(LIMEN_GRAPH *g, unsigned n, const limen_header *header) {
#if LIMEN_TIMES
    limen_record(&g->nodes[n].times.age, limen_to_ns(g->run.tick - header->creation));
#else
    (void)g;
    (void)n;
    (void)header;
#endif
}

LIMEN_FN void limen_note_result(LIMEN_GRAPH *g, unsigned n, const limen_header *header,
                                const limen_given *given) {
#if LIMEN_LATENESS
    const int64_t now_ns = limen_to_ns(g->run.tick);
    int64_t worst_ns = INT64_MIN;
    bool missed = false;
    unsigned i;
    unsigned place;
    for (i = 0; i < given->count; i++) {
        const unsigned e = given->edges[i];
        for (place = given->from; place < given->to; place++) {
            const limen_entry *const entry = limen_held(g, e, place);
            const int64_t deadline_ns = limen_deadline(g, e, entry);
            if (deadline_ns == LIMEN_NONE) {
                continue;
            }
            if (now_ns - deadline_ns > worst_ns) {
                worst_ns = now_ns - deadline_ns;
            }
            if (now_ns - deadline_ns > limen_edges[e].slack_ns) {
                missed = true;
                if (limen_nodes[n].shape == LIMEN_WINDOW) {
                    LIMEN_COUNT(g->nodes[n].counts.misses);
                    LIMEN_NOTE(limen_node_names[n], "miss", g->headers[entry->slot].sequence, "");
                }
            }
        }
    }
    if (missed && limen_nodes[n].shape != LIMEN_WINDOW) {
        LIMEN_COUNT(g->nodes[n].counts.misses);
        LIMEN_NOTE(limen_node_names[n], "miss", header->sequence, "");
    }
#if LIMEN_TIMES
    if (worst_ns != INT64_MIN) {
        limen_record(&g->nodes[n].times.lateness, worst_ns);
    }
#endif
#else
    (void)given;
#endif
    limen_note_age(g, n, header);
}

/* Restarts that still count. */
#if LIMEN_RESTARTS
LIMEN_RARE unsigned limen_restarts_within(LIMEN_GRAPH *g, unsigned n) {
    limen_tick *const restarts = &g->restarts[limen_nodes[n].restarts];
    limen_node *const node = &g->nodes[n];
    unsigned i;
    while (node->restarted != 0 && g->run.tick - restarts[0] > limen_nodes[n].restart_per) {
        node->restarted--;
        for (i = 0; i < node->restarted; i++) {
            restarts[i] = restarts[i + 1];
        }
    }
    return node->restarted;
}
#endif

/* Count a failed call and decide what it leads to; sequence -1 where there was no input. */
LIMEN_RARE void limen_fail(LIMEN_GRAPH *g, unsigned n, int64_t sequence) {
    limen_node *const node = &g->nodes[n];
    const char *action = "continue";
    LIMEN_COUNT(node->counts.errors);
    g->run.errors++;
    g->run.idle_polls = 0;
    switch (limen_nodes[n].on_error) {
    case LIMEN_HALT_GRAPH:
        node->failing |= LIMEN_HALTS;
        action = "halt_graph";
        break;
    case LIMEN_QUIESCE:
        node->failing |= LIMEN_QUIESCES;
        action = "quiesce";
        break;
    case LIMEN_FAILSAFE:
        action = "emit_failsafe";
        break;
#if LIMEN_RESTARTS
    case LIMEN_RESTART:
        if (limen_restarts_within(g, n) < limen_nodes[n].restart_max) {
            node->failing |= LIMEN_RESTARTING;
            action = "restart";
        } else {
            node->failing |= LIMEN_HALTS;
            action = "halt_graph";
        }
        break;
#endif
    default:
        break;
    }
    LIMEN_NOTE(limen_node_names[n], "error", sequence, action);
    (void)action;
    (void)sequence;
}

LIMEN_FN bool limen_breaks_off(const LIMEN_GRAPH *g, unsigned n) {
    return g->nodes[n].failing != 0;
}

#if LIMEN_DECLARED
LIMEN_RARE void limen_emit_declared(LIMEN_GRAPH *g, unsigned n, bool failsafe,
                                    const limen_header *header) {
    const unsigned p = failsafe ? limen_nodes[n].failsafe_port : limen_nodes[n].default_port;
    const limen_header flagged = *header;
    const unsigned slot = limen_claim(g, p);
    g->headers[slot] = flagged;
    g->headers[slot].flags |= LIMEN_DEFAULTED;
    limen_declare(n, failsafe, limen_payload(g, p, slot));
    limen_send(g, p, slot);
}
#endif

/* Do what a failed call leads to, once what it lost has been dropped; header as its result would
   have had, NULL where there was no input. */
LIMEN_RARE void limen_recover(LIMEN_GRAPH *g, unsigned n, const limen_header *header) {
#if LIMEN_DECLARED
    const limen_node_plan *const plan = &limen_nodes[n];
    limen_header own;
    if (plan->on_error != LIMEN_FAILSAFE) {
        return;
    }
    if (plan->failsafe_quiesces) {
        g->nodes[n].failing |= LIMEN_QUIESCES;
    }
    if (header == NULL) {
        own = plan->shape == LIMEN_SOURCE
                  ? limen_new_header(g, n, g->ports[plan->failsafe_port].made++)
                  : limen_own_header(g, n);
        header = &own;
    }
    limen_emit_declared(g, n, true, header);
#else
    (void)g;
    (void)n;
    (void)header;
#endif
}

/* Budgets. */

#if LIMEN_BUDGETS
LIMEN_FN bool limen_is_infeasible(const LIMEN_GRAPH *g, unsigned e, const limen_entry *entry) {
    const int64_t deadline_ns = limen_deadline(g, e, entry);
    return deadline_ns != LIMEN_NONE && limen_to_ns(g->run.tick) + limen_edges[e].budget_ns >
                                            deadline_ns + limen_edges[e].slack_ns;
}

LIMEN_FN limen_form limen_replaced(LIMEN_GRAPH *g, unsigned n, limen_form form) {
    (void)g;
    (void)n;
    switch (form) {
    case LIMEN_FORM_DISCARD:
        LIMEN_COUNT(g->nodes[n].counts.discarded);
        break;
    case LIMEN_FORM_FORWARD:
        LIMEN_COUNT(g->nodes[n].counts.forwarded);
        break;
    default:
        LIMEN_COUNT(g->nodes[n].counts.defaulted);
        break;
    }
    return form;
}

LIMEN_FN limen_form limen_instead(unsigned n) {
    switch (limen_nodes[n].over_budget) {
    case LIMEN_OVER_DROP:
        return LIMEN_FORM_DISCARD;
    case LIMEN_OVER_SKIP_STAGE:
        return LIMEN_FORM_FORWARD;
    case LIMEN_OVER_DEFAULT:
        return LIMEN_FORM_DEFAULT;
    default:
        return LIMEN_FORM_FULL;
    }
}

#if LIMEN_DEGRADES
LIMEN_RARE bool limen_degrades_now(LIMEN_GRAPH *g, unsigned n) {
    limen_degrade *const state = &g->nodes[n].degrade;
    state->over++;
    if (state->over < limen_nodes[n].degrade_after) {
        return false;
    }
    state->degraded = true;
    state->over = 0;
    state->within = 0;
    state->wait = limen_nodes[n].recover_after;
    return true;
}

LIMEN_RARE limen_form limen_degraded_form(LIMEN_GRAPH *g, unsigned n, int64_t sequence,
                                          bool infeasible, bool allowed) {
    limen_degrade *const state = &g->nodes[n].degrade;
    (void)sequence;
    state->counts = allowed;
    if (!allowed) {
        return LIMEN_FORM_FULL;
    }
    if (infeasible) {
        if (!state->degraded && limen_degrades_now(g, n)) {
            LIMEN_NOTE(limen_node_names[n], "degrade", sequence, "variant");
        }
        return LIMEN_FORM_VARIANT;
    }
    if (state->degraded && state->within >= state->wait) {
        LIMEN_NOTE(limen_node_names[n], "degrade", sequence, "probe");
        return LIMEN_FORM_FULL;
    }
    return state->degraded ? LIMEN_FORM_VARIANT : LIMEN_FORM_FULL;
}

LIMEN_RARE void limen_note_form(LIMEN_GRAPH *g, unsigned n, limen_form form, int64_t sequence,
                                bool overran) {
    limen_degrade *const state = &g->nodes[n].degrade;
    (void)sequence;
    if (form == LIMEN_FORM_VARIANT) {
        LIMEN_COUNT(g->nodes[n].counts.degraded);
        if (state->degraded && state->within < state->wait) {
            state->within = overran ? 0 : (uint16_t)(state->within + 1);
        }
        return;
    }
    if (!state->counts) {
        return;
    }
    if (state->degraded && overran) {
        const unsigned most = LIMEN_MOST_RECOVERY_FACTOR * limen_nodes[n].recover_after;
        state->over = 0;
        state->within = 0;
        state->wait = (uint16_t)(2u * state->wait < most ? 2u * state->wait : most);
        LIMEN_NOTE(limen_node_names[n], "degrade", sequence, "variant");
    } else if (state->degraded) {
        state->degraded = false;
        state->over = 0;
        state->within = 0;
        state->wait = limen_nodes[n].recover_after;
        LIMEN_NOTE(limen_node_names[n], "degrade", sequence, "full");
    } else if (!overran) {
        state->over = 0;
    } else if (limen_degrades_now(g, n)) {
        LIMEN_NOTE(limen_node_names[n], "degrade", sequence, "variant");
    }
}
#endif

LIMEN_FN bool limen_allows(const LIMEN_GRAPH *g, unsigned e, const limen_entry *entry) {
    return !limen_edges[e].needs_degrade_allowed ||
           (g->headers[entry->slot].flags & LIMEN_DEGRADE_ALLOWED) != 0;
}
#endif

/* Say whether to call, and what. */
LIMEN_FN limen_form limen_choose_form(LIMEN_GRAPH *g, unsigned n, int64_t sequence,
                                      const limen_given *given) {
#if LIMEN_BUDGETS
    bool infeasible = false;
    bool allowed = true;
    unsigned i;
    unsigned place;
    if (limen_nodes[n].over_budget == LIMEN_OVER_NOTHING) {
        return LIMEN_FORM_FULL;
    }
    for (i = 0; i < given->count; i++) {
        const unsigned e = given->edges[i];
        for (place = given->from; place < given->to; place++) {
            const limen_entry *const entry = limen_held(g, e, place);
            if (!infeasible && limen_is_infeasible(g, e, entry)) {
                infeasible = true;
                sequence = g->headers[entry->slot].sequence;
            }
            allowed = allowed && limen_allows(g, e, entry);
        }
    }
    for (place = 0; place < given->from; place++) {
        allowed = allowed &&
                  limen_allows(g, given->edges[0], limen_held(g, given->edges[0], place));
    }
    for (i = 0; i < given->besides; i++) {
        allowed = allowed && limen_allows(g, given->beside[i], limen_held(g, given->beside[i], 0));
    }
    if (infeasible) {
        LIMEN_NOTE(limen_node_names[n], "budget", sequence, "infeasible");
    }
#if LIMEN_DEGRADES
    if (limen_nodes[n].over_budget == LIMEN_OVER_DEGRADE) {
        return limen_degraded_form(g, n, sequence, infeasible, allowed);
    }
#endif
    (void)allowed;
    if (infeasible && limen_instead(n) != LIMEN_FORM_FULL) {
        return limen_replaced(g, n, limen_instead(n));
    }
#else
    (void)g;
    (void)n;
    (void)given;
#endif
    (void)sequence;
    return LIMEN_FORM_FULL;
}

/* Measure a call; what takes the place of its result, LIMEN_FORM_FULL where nothing does. */
LIMEN_FN limen_form limen_measure_call(LIMEN_GRAPH *g, unsigned n, limen_form form,
                                       int64_t sequence, limen_tick elapsed, bool gave) {
#if LIMEN_BUDGETS
    const limen_node_plan *const plan = &limen_nodes[n];
    const bool overran = plan->tick_budget != LIMEN_NONE && elapsed > plan->tick_budget;
    if (overran) {
        LIMEN_COUNT(g->nodes[n].counts.overruns);
        LIMEN_NOTE(limen_node_names[n], "budget", sequence, "overrun");
    }
    if (plan->watchdog != LIMEN_NONE && elapsed > plan->watchdog) {
        LIMEN_COUNT(g->nodes[n].counts.watchdogs);
        LIMEN_NOTE(limen_node_names[n], "budget", sequence, "watchdog");
    }
#if LIMEN_DEGRADES
    if (plan->over_budget == LIMEN_OVER_DEGRADE) {
        limen_note_form(g, n, form, sequence, overran);
    }
#endif
    if (overran && gave && limen_instead(n) != LIMEN_FORM_FULL) {
        return limen_replaced(g, n, limen_instead(n));
    }
#else
    (void)g;
    (void)n;
    (void)elapsed;
    (void)gave;
#endif
    (void)form;
    (void)sequence;
    return LIMEN_FORM_FULL;
}

/* Emit what takes the place of one result. */
LIMEN_FN void limen_emit_instead(LIMEN_GRAPH *g, unsigned n, limen_form form, unsigned e,
                                 unsigned place, const limen_header *header) {
#if LIMEN_BUDGETS
    if (form == LIMEN_FORM_FORWARD && limen_nodes[n].outputs != 0) {
        const unsigned p = limen_nodes[n].ports;
        const unsigned slot = limen_claim(g, p);
        g->headers[slot] = *header;
        memcpy(limen_payload(g, p, slot),
               limen_payload(g, limen_edges[e].port, limen_held(g, e, place)->slot),
               limen_ports[p].slot_bytes);
        limen_send(g, p, slot);
    }
#if LIMEN_DECLARED
    if (form == LIMEN_FORM_DEFAULT) {
        LIMEN_NOTE(limen_node_names[n], "default", header->sequence, "");
        limen_emit_declared(g, n, false, header);
    }
#endif
#else
    (void)g;
    (void)n;
    (void)form;
    (void)e;
    (void)place;
    (void)header;
#endif
}

/* Emit what takes the place of a result; a discarded one leaves nothing. */
LIMEN_FN void limen_replace(LIMEN_GRAPH *g, unsigned n, limen_form form, const limen_given *given,
                            const limen_header *header) {
    if (given->count != 0) {
        limen_emit_instead(g, n, form, given->edges[0], given->from, header);
    } else if (form == LIMEN_FORM_DEFAULT) {
        limen_emit_instead(g, n, form, 0, 0, header);
    }
}

LIMEN_FN void limen_begin_call(LIMEN_GRAPH *g, unsigned n, limen_call *call) {
    unsigned i;
    call->graph = g;
    call->node = (uint16_t)n;
    call->now = g->run.tick;
    call->until = 0;
    call->cost = 0;
    call->came_to = LIMEN_DONE;
    call->items = 1;
    call->made = 0;
    call->slots[0] = 0;
    call->ports[0] = 0;
    call->overflows = false;
    for (i = 0; i < limen_nodes[n].input_ports; i++) {
        call->in[i] = NULL;
        call->headers[i] = NULL;
    }
}

/* Enter the node, or its variant, and sample; what takes the place of its results. False where
   the call failed, which has been accounted for. */
LIMEN_FN bool limen_enter_and_sample(LIMEN_GRAPH *g, unsigned n, limen_form form,
                                     limen_call *call, limen_result *result,
                                     limen_form *instead) {
    const limen_tick begun = g->run.tick;
    const int64_t sequence = call->header.sequence;
    limen_tick cost = limen_nodes[n].cost;
    call->now = begun;
#if LIMEN_DEGRADES
    if (form == LIMEN_FORM_VARIANT) {
        cost = limen_nodes[n].variant_cost;
        call->header.flags |= LIMEN_DEGRADED;
    }
    *result = limen_enter(g, n, form == LIMEN_FORM_VARIANT, call);
#else
    *result = limen_enter(g, n, false, call);
#endif
    limen_after_call(g, n, begun, cost + call->cost);
    call->cost = 0;
    *instead = limen_measure_call(g, n, form, sequence, g->run.tick - begun, *result != LIMEN_FAIL);
    if (*result == LIMEN_FAIL) {
        limen_forget_made(call);
        limen_fail(g, n, sequence);
        return false;
    }
    if (*result == LIMEN_TERMINAL || *result == LIMEN_YIELD) {
        call->came_to = *result;
    }
    return true;
}

/* Call, sample, send; or do what takes the place of that. Returns why the input counts as dropped:
   LIMEN_KEPT where it does not, LIMEN_DROP_ERROR where the call failed. */
LIMEN_FN unsigned limen_perform(LIMEN_GRAPH *g, unsigned n, limen_call *call,
                                const limen_given *given) {
    const limen_form form = limen_choose_form(g, n, call->header.sequence, given);
    limen_form instead = LIMEN_FORM_FULL;
    limen_result result = LIMEN_DONE;
    unsigned dropped = LIMEN_KEPT;
    const limen_tick origin = call->header.origin;
    const uint8_t flags = call->header.flags;
    if (form == LIMEN_FORM_DISCARD) {
        return LIMEN_DROP_INFEASIBLE;
    }
    if (form == LIMEN_FORM_FORWARD || form == LIMEN_FORM_DEFAULT) {
        limen_replace(g, n, form, given, &call->header);
        return LIMEN_KEPT;
    }
    if (!limen_enter_and_sample(g, n, form, call, &result, &instead)) {
        dropped = LIMEN_DROP_ERROR;
    } else if (instead != LIMEN_FORM_FULL) {
        limen_forget_made(call);
    } else if (!limen_settle(call)) {
        limen_fail(g, n, call->header.sequence);
        dropped = LIMEN_DROP_ERROR;
    }
    /* What a call says of its result does not hold for what takes the place of that. */
    call->header.origin = origin;
    call->header.flags = flags;
    if (dropped != LIMEN_KEPT) {
        return dropped;
    }
    if (instead != LIMEN_FORM_FULL) {
        limen_replace(g, n, instead, given, &call->header);
    } else if (result == LIMEN_SKIP) {
        dropped = LIMEN_DROP_SKIPPED;
    }
    limen_note_result(g, n, &call->header, given);
    return dropped;
}
