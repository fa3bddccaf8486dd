/* Limen: what one step of a node does, by how it takes. Included by limen_core.h. */

#if LIMEN_SOURCES
LIMEN_FN limen_read limen_ask(LIMEN_GRAPH *g, unsigned n, unsigned char *payload,
                              limen_stated *stated, limen_tick *cost);
LIMEN_FN limen_tick limen_due(LIMEN_GRAPH *g, unsigned n);
#endif
#if LIMEN_RESUMES
LIMEN_FN void limen_resume(LIMEN_GRAPH *g, unsigned n);
#endif

typedef enum { LIMEN_NO_INPUT, LIMEN_PROGRESS, LIMEN_ENDS } limen_progress;

/* What a step comes to by its calls: the last of them that said more decides. */
LIMEN_FN limen_progress limen_came_to(const limen_call *call) {
    if (call->came_to == LIMEN_YIELD) {
        call->graph->nodes[call->node].asleep_until = call->until;
    }
    return call->came_to == LIMEN_TERMINAL ? LIMEN_ENDS : LIMEN_PROGRESS;
}

/* Edges that end at a node are listed in the order of its inputs. */
LIMEN_FN unsigned limen_in_edge(unsigned n, unsigned i) {
    return limen_in_edges[limen_nodes[n].in_edges + i];
}

LIMEN_FN bool limen_is_latch(unsigned e) {
#if LIMEN_LATCHES
    return limen_edges[e].latch;
#else
    (void)e;
    return false;
#endif
}

/* A source. */

#if LIMEN_SOURCES
LIMEN_FN limen_progress limen_produce(LIMEN_GRAPH *g, unsigned n) {
    const limen_node_plan *const plan = &limen_nodes[n];
    limen_node *const node = &g->nodes[n];
    const unsigned p = plan->ports;
    const limen_tick begun = g->run.tick;
    const limen_tick due = limen_due(g, n);
    const unsigned slot = limen_claim(g, p);
    const uint32_t sequence = g->ports[p].made;
    limen_stated stated;
    limen_tick cost = 0;
    limen_read answer;
    limen_header *header;
    stated.creation = LIMEN_NONE;
#if LIMEN_DEADLINES
    stated.deadline_ns = LIMEN_NONE;
#endif
#if LIMEN_AGES
    stated.max_age_ns = LIMEN_NONE;
#endif
    stated.qos = LIMEN_BEST_EFFORT;
    stated.degrade_allowed = false;
    answer = limen_ask(g, n, limen_payload(g, p, slot), &stated, &cost);
    limen_after_call(g, n, begun, plan->cost + cost);
    limen_measure_call(g, n, LIMEN_FORM_FULL, sequence, g->run.tick - begun,
                       answer != LIMEN_READ_FAILED);
    if (answer != LIMEN_MESSAGE) {
        limen_unclaim(g, p, slot);
    }
    switch (answer) {
    case LIMEN_MESSAGE:
        break;
    case LIMEN_END:
        node->ended_stream = true;
        return LIMEN_ENDS;
    case LIMEN_NOTHING:
        node->produced_nothing = limen_due(g, n) == due;
        return LIMEN_NO_INPUT;
    default:
        limen_fail(g, n, -1);
        limen_recover(g, n, NULL);
        node->produced_nothing = limen_due(g, n) == due;
        return LIMEN_PROGRESS;
    }
    header = &g->headers[slot];
    *header = limen_new_header(g, n, sequence);
    if (stated.creation != LIMEN_NONE) {
        header->creation = stated.creation + plan->offset;
        header->origin = header->creation;
    }
#if LIMEN_DEADLINES
    header->deadline_ns =
        stated.deadline_ns == LIMEN_NONE ? LIMEN_NONE : stated.deadline_ns + plan->offset_ns;
#endif
#if LIMEN_AGES
    header->max_age_ns = stated.max_age_ns;
#endif
    header->qos = stated.qos;
    header->flags = stated.degrade_allowed ? LIMEN_DEGRADE_ALLOWED : 0;
    limen_note_age(g, n, header);
    g->ports[p].made++;
    g->run.idle_polls = 0;
    limen_send(g, p, slot);
    return LIMEN_PROGRESS;
}
#endif

/* Values of latches beside what is taken. */

#if LIMEN_LATCHES
LIMEN_FN void limen_add_latches(LIMEN_GRAPH *g, unsigned n, limen_call *call, limen_given *given) {
    unsigned i;
    for (i = 0; i < limen_nodes[n].inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (limen_is_latch(e) && g->edges[e].held != 0) {
            limen_hand(call, e, 0);
            given->beside[given->besides++] = (uint16_t)e;
        }
    }
}
#endif

/* Of what is handed over beside a result's own input, only the origin counts. */
LIMEN_FN void limen_age_by(LIMEN_GRAPH *g, limen_header *header, unsigned e) {
    const limen_header *const other = &g->headers[limen_held(g, e, 0)->slot];
    if (other->origin < header->origin) {
        header->origin = other->origin;
    }
}

#if LIMEN_PERIODS
/* Call a periodic node that can do without its only input, at a period without any. */
LIMEN_FN limen_progress limen_without_input(LIMEN_GRAPH *g, unsigned n, unsigned e, bool took) {
    const limen_given given = {{0}, {0}, 0, 0, 0, 0};
    limen_call call;
    if (limen_nodes[n].activation != LIMEN_PERIODIC || limen_edges[e].required) {
        return took ? LIMEN_PROGRESS : LIMEN_NO_INPUT;
    }
    limen_begin_call(g, n, &call);
    call.header = limen_own_header(g, n);
    if (limen_perform(g, n, &call, &given) == LIMEN_DROP_ERROR) {
        limen_recover(g, n, &call.header);
    }
    return limen_came_to(&call);
}
#endif

/* Take the prefix of an input and hand the messages over one by one. */
LIMEN_FN limen_progress limen_one_by_one(LIMEN_GRAPH *g, unsigned n, unsigned e) {
    limen_edge *const edge = &g->edges[e];
    bool took;
    limen_given given = {{(uint16_t)e}, {0}, 1, 0, 0, 1};
    limen_call call;
    unsigned i;
    took = limen_take_prefix(g, e);
    if (edge->held == 0) {
#if LIMEN_PERIODS
        return limen_without_input(g, n, e, took);
#else
        return took ? LIMEN_PROGRESS : LIMEN_NO_INPUT;
#endif
    }
    limen_begin_call(g, n, &call);
#if LIMEN_LATCHES
    limen_add_latches(g, n, &call, &given);
#endif
    for (i = 0; i < edge->held; i++) {
        limen_note_wait(g, n, limen_held(g, e, i));
    }
    while (edge->held != 0 && !limen_breaks_off(g, n)) {
        unsigned dropped;
        limen_set_view(g, &call.header, limen_held(g, e, 0));
        for (i = 0; i < given.besides; i++) {
            limen_age_by(g, &call.header, given.beside[i]);
        }
        limen_hand(&call, e, 0);
        dropped = limen_perform(g, n, &call, &given);
        limen_leave(g, e, dropped);
        if (dropped == LIMEN_DROP_ERROR) {
            limen_recover(g, n, &call.header);
        }
    }
    while (edge->held != 0) {
        limen_drop(g, e, 0,
                   (g->nodes[n].failing & LIMEN_RESTARTING) != 0 ? LIMEN_DROP_ERROR : LIMEN_DROP_CONSUMER_ENDED);
    }
    return limen_came_to(&call);
}

/* Whether the entries of a hold lie in slots side by side. */
LIMEN_FN bool limen_are_neighbours(LIMEN_GRAPH *g, unsigned e) {
    const unsigned first = limen_held(g, e, 0)->slot;
    unsigned i;
    for (i = 1; i < g->edges[e].held; i++) {
        if (limen_held(g, e, i)->slot != first + i) {
            return false;
        }
    }
    return true;
}

#if LIMEN_WINDOWS
/* Take the prefix of an input and hand it over in one call for one result. */
LIMEN_FN limen_progress limen_window(LIMEN_GRAPH *g, unsigned n, unsigned e) {
    limen_edge *const edge = &g->edges[e];
    bool took;
    const unsigned p = limen_edges[e].port;
    limen_given given = {{(uint16_t)e}, {0}, 1, 0, 0, 0};
    limen_call call;
    unsigned dropped;
    unsigned i;
    took = limen_take_prefix(g, e);
    if (edge->held == edge->presented) {
        return took ? LIMEN_PROGRESS : LIMEN_NO_INPUT;
    }
    given.from = edge->presented;
    given.to = edge->held;
    limen_begin_call(g, n, &call);
    call.items = edge->held;
    for (i = given.from; i < given.to; i++) {
        limen_note_wait(g, n, limen_held(g, e, i));
    }
    limen_window_header(g, e, &call.header);
    call.headers[0] = &g->headers[limen_held(g, e, edge->held - 1u)->slot];
    call.in[0] = limen_payload(g, p, limen_held(g, e, 0)->slot);
    if (!limen_are_neighbours(g, e)) {
        unsigned char *const gather = (unsigned char *)g + limen_nodes[n].gather;
        for (i = 0; i < edge->held; i++) {
            memcpy(gather + (size_t)i * limen_ports[p].slot_bytes,
                   limen_payload(g, p, limen_held(g, e, i)->slot), limen_ports[p].slot_bytes);
        }
        call.in[0] = gather;
    }
    dropped = limen_perform(g, n, &call, &given);
    if (dropped == LIMEN_DROP_ERROR) {
        while (edge->held != 0) {
            limen_drop(g, e, 0, LIMEN_DROP_ERROR);
        }
        limen_recover(g, n, &call.header);
        return limen_came_to(&call);
    }
    edge->presented = edge->held;
    for (i = edge->held < limen_edges[e].stride ? edge->held : limen_edges[e].stride; i != 0; i--) {
        limen_leave(g, e, dropped);
    }
    return limen_came_to(&call);
}
#endif

#if LIMEN_MODELS
/* Call a model on what is held, one result an item, each in its slot; the slots of the results. */
LIMEN_FN bool limen_infer(LIMEN_GRAPH *g, unsigned n, unsigned e, limen_form form,
                          limen_call *call, limen_form *instead) {
    const unsigned count = g->edges[e].held;
    const unsigned p = limen_nodes[n].ports;
    limen_result result;
    unsigned i;
    for (i = 0; i < count; i++) {
        const unsigned slot = limen_claim(g, p);
        call->slots[i] = (uint16_t)slot;
        call->ports[i] = (uint16_t)p;
        call->ins[i] =
            limen_payload(g, limen_edges[e].port, limen_held(g, e, i)->slot);
        call->outs[i] = limen_payload(g, p, slot);
    }
    call->made = (uint16_t)count;
    if (!limen_enter_and_sample(g, n, form, call, &result, instead)) {
        return false;
    }
    if (*instead != LIMEN_FORM_FULL) {
        limen_forget_made(call);
    }
    return true;
}

/* Take the prefix of an input and hand it over in one call, for a result an item. */
LIMEN_FN limen_progress limen_batch(LIMEN_GRAPH *g, unsigned n, unsigned e) {
    limen_edge *const edge = &g->edges[e];
    const unsigned p = limen_nodes[n].ports;
    bool took;
    limen_given given = {{(uint16_t)e}, {0}, 1, 0, 0, 0};
    limen_form form;
    limen_form instead = LIMEN_FORM_FULL;
    limen_call call;
    unsigned count;
    unsigned i;
    took = limen_take_prefix(g, e);
    count = edge->held;
    if (count == 0) {
        return took ? LIMEN_PROGRESS : LIMEN_NO_INPUT;
    }
    for (i = 0; i < count; i++) {
        limen_note_wait(g, n, limen_held(g, e, i));
    }
    given.to = (uint16_t)count;
    form = limen_choose_form(g, n, g->headers[limen_held(g, e, count - 1)->slot].sequence, &given);
    limen_begin_call(g, n, &call);
    if (form == LIMEN_FORM_FULL || form == LIMEN_FORM_VARIANT) {
        call.items = (uint16_t)count;
        /* For compilers that do not see that there is at least one. */
        call.ins[0] = NULL;
        call.outs[0] = NULL;
        limen_window_header(g, e, &call.header);
        if (!limen_infer(g, n, e, form, &call, &instead)) {
            limen_window_header(g, e, &call.header);
            while (edge->held != 0) {
                limen_drop(g, e, 0, LIMEN_DROP_ERROR);
            }
            limen_recover(g, n, &call.header);
            return limen_came_to(&call);
        }
        call.made = 0;
        if (instead == LIMEN_FORM_FULL) {
            LIMEN_COUNT_BY(g->nodes[n].counts.padded,
                           limen_nodes[n].fixed_batch == 0 ? 0u
                                                           : limen_nodes[n].fixed_batch - count);
        }
    }
    for (i = 0; i < count; i++) {
        limen_header header;
        limen_set_view(g, &header, limen_held(g, e, 0));
        given.to = 1;
        if (form == LIMEN_FORM_DISCARD) {
            limen_drop(g, e, 0, LIMEN_DROP_INFEASIBLE);
            continue;
        }
        if (form == LIMEN_FORM_FORWARD || form == LIMEN_FORM_DEFAULT) {
            limen_emit_instead(g, n, form, e, 0, &header);
            limen_consume(g, e);
            continue;
        }
        if (instead == LIMEN_FORM_FULL) {
            g->headers[call.slots[i]] = header;
            if (form == LIMEN_FORM_VARIANT) {
                g->headers[call.slots[i]].flags |= LIMEN_DEGRADED;
            }
            limen_send(g, p, call.slots[i]);
        } else {
            limen_emit_instead(g, n, instead, e, 0, &header);
        }
        limen_note_result(g, n, &header, &given);
        limen_consume(g, e);
    }
    return limen_came_to(&call);
}
#endif

/* The input that a node which takes from any takes from: pushed first, then the lowest. */
LIMEN_FN unsigned limen_selected(LIMEN_GRAPH *g, unsigned n) {
    unsigned best = LIMEN_NO_EDGE;
    unsigned i;
    for (i = 0; i < limen_nodes[n].inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (!limen_is_latch(e) && limen_is_ready(g, e) &&
            (best == LIMEN_NO_EDGE || limen_pushed(limen_at(g, e, 0, false)) <
                                          limen_pushed(limen_at(g, best, 0, false)))) {
            best = e;
        }
    }
    return best;
}

#if LIMEN_JOINS
/* Put a header in front of, or behind, what there is of a joined one. */
LIMEN_FN void limen_add_header(LIMEN_GRAPH *g, unsigned e, limen_header *header, unsigned *count) {
    limen_header other;
    limen_set_view(g, &other, limen_held(g, e, 0));
    if (*count == 0) {
        *header = other;
        header->flags &= LIMEN_DEGRADE_ALLOWED | LIMEN_INHERITED;
    } else {
        limen_join_headers(header, &other);
    }
    (*count)++;
}

LIMEN_FN void limen_joined_header(LIMEN_GRAPH *g, unsigned n, uint32_t taken,
                                  limen_header *header) {
    unsigned count = 0;
    unsigned pass;
    unsigned i;
    /* Flows are the trigger's own and then the others; state counts where there are no flows. */
    for (pass = 0; pass < 4; pass++) {
        const bool flows = pass < 3;
        if (pass == 3 && count != 0) {
            break;
        }
        for (i = 0; i < limen_nodes[n].inputs; i++) {
            const unsigned e = limen_in_edge(n, i);
            const bool latch = limen_is_latch(e);
            const bool is_state =
                latch ? !limen_edges[e].trigger : (bool)limen_edges[e].feedback;
            if (g->edges[e].held == 0 || (!latch && (taken >> i & 1u) == 0)) {
                continue;
            }
            if (flows ? is_state || (pass == 0 ? latch || !limen_edges[e].trigger
                                     : pass == 1 ? !latch
                                                 : latch || limen_edges[e].trigger)
                      : !is_state || !latch) {
                continue;
            }
            limen_add_header(g, e, header, &count);
        }
    }
    if (count == 0) {
        for (i = 0; i < limen_nodes[n].inputs; i++) {
            const unsigned e = limen_in_edge(n, i);
            if (!limen_is_latch(e) && (taken >> i & 1u) != 0) {
                limen_add_header(g, e, header, &count);
            }
        }
    }
    if (count == 0) {
        *header = limen_own_header(g, n);
        return;
    }
    for (i = 0; i < limen_nodes[n].inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (g->edges[e].held != 0 && (limen_is_latch(e) || (taken >> i & 1u) != 0)) {
            limen_age_by(g, header, e);
        }
    }
}

/* Take from several inputs and hand the messages over together. */
LIMEN_FN limen_progress limen_join(LIMEN_GRAPH *g, unsigned n) {
    const limen_node_plan *const plan = &limen_nodes[n];
    limen_given given = {{0}, {0}, 0, 0, 0, 1};
    limen_call call;
    uint32_t taken = 0;
    unsigned dropped;
    unsigned i;
    if (plan->activation == LIMEN_ANY) {
        const unsigned e = limen_selected(g, n);
        return e == LIMEN_NO_EDGE ? LIMEN_NO_INPUT : limen_one_by_one(g, n, e);
    }
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (plan->activation == LIMEN_ALL && !limen_is_latch(e) && limen_edges[e].required &&
            limen_waiting(g, e) == 0) {
            return LIMEN_NO_INPUT;
        }
    }
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (plan->activation != LIMEN_ALL && !limen_is_latch(e)) {
            limen_purge(g, e);
        }
    }
    limen_begin_call(g, n, &call);
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if (!limen_is_latch(e) && limen_waiting(g, e) != 0) {
            limen_take(g, e);
            limen_mark_stale(g, e, g->edges[e].held - 1u);
            taken |= (uint32_t)1 << i;
        }
    }
    for (i = 0; i < plan->inputs; i++) {
        const unsigned e = limen_in_edge(n, i);
        if ((taken >> i & 1u) != 0) {
            limen_note_wait(g, n, limen_held(g, e, 0));
            limen_hand(&call, e, 0);
            if (limen_edges[e].feedback) {
                given.beside[given.besides++] = (uint16_t)e;
            } else {
                given.edges[given.count++] = (uint16_t)e;
            }
        }
    }
#if LIMEN_LATCHES
    limen_add_latches(g, n, &call, &given);
#endif
    limen_joined_header(g, n, taken, &call.header);
    dropped = limen_perform(g, n, &call, &given);
    for (i = 0; i < plan->inputs; i++) {
        if ((taken >> i & 1u) != 0) {
            limen_leave(g, limen_in_edge(n, i), dropped);
        }
    }
    if (dropped == LIMEN_DROP_ERROR) {
        limen_recover(g, n, &call.header);
    }
    return limen_came_to(&call);
}
#endif

LIMEN_FN limen_progress limen_step_shape(LIMEN_GRAPH *g, unsigned n) {
    switch (limen_nodes[n].shape) {
#if LIMEN_SOURCES
    case LIMEN_SOURCE:
        return limen_produce(g, n);
#endif
#if LIMEN_WINDOWS
    case LIMEN_WINDOW:
        return limen_window(g, n, limen_in_edge(n, 0));
#endif
#if LIMEN_MODELS
    case LIMEN_MODEL:
        return limen_batch(g, n, limen_in_edge(n, 0));
#endif
#if LIMEN_JOINS
    case LIMEN_JOIN:
        return limen_join(g, n);
#endif
    default:
        return limen_one_by_one(g, n, limen_in_edge(n, 0));
    }
}
