/* history.c - lines to operations: numbers of operations and names are looked up in two tables.
 */
#include "history.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"

#define NAME_BYTES_MAX 200
#define NAMES_ROOM     64 /* at first */

enum event { CALL, DONE, REFUSED, UNKNOWN, DROP, EVENTS_COUNT };

static const char *const event_texts[] = { "call", "done", "refused", "unknown", "drop" };

struct slot {
    size_t op;
    bool is_open, is_dropped;
};

struct reader {
    struct linear_history *h;
    struct mu_table *names;   /* to the number of the name, as a pointer */
    struct mu_table *numbers; /* of operations, to the place in `slots` + 1, as a pointer */
    struct slot *slots;       /* in step with h->ops */
    size_t slots_room;
    size_t names_room;
};

static void *as_pointer(size_t number)
{
    return (void *)(uintptr_t)number; /* never dereferenced */
}

static size_t as_number(const void *pointer)
{
    return (size_t)(uintptr_t)pointer;
}

static struct mu_span word(struct mu_span *rest)
{
    struct mu_span first = MU_SPAN_NONE;

    while (rest->bytes > 0 && first.bytes == 0) {
        first = mu_span_split(*rest, ' ', rest, NULL);
    }
    return first;
}

static uint64_t name_number(struct reader *r, struct mu_span name)
{
    struct linear_history *h = r->h;
    void *known = mu_table_find(r->names, name);

    if (known != NULL) {
        return as_number(known);
    }
    if (h->names_count == r->names_room) {
        r->names_room *= 2;
        h->names = mu_grow(h->names, r->names_room * sizeof *h->names);
    }
    h->names[h->names_count] = mu_strndup((const char *)name.data, name.bytes);
    mu_table_put(r->names, name, as_pointer(h->names_count));
    return h->names_count++;
}

/* -- the words of a line ---------------------------------------------------------------------- */

static bool detail(struct reader *r, struct linear_op *op, struct mu_span text)
{
    bool has_value;
    struct mu_span value;
    struct mu_span name = mu_span_split(text, '=', &value, &has_value);

    if (!has_value) {
        op->is_stale = op->kind == LINEAR_GET && mu_span_eq_text(name, "stale");
        return op->is_stale;
    }
    if (mu_span_eq_text(name, "index")) {
        return mu_span_u64(value, &op->index);
    }
    if (mu_span_eq_text(name, "modified")) {
        return op->kind == LINEAR_GET && mu_span_u64(value, &op->modified);
    }
    if (value.bytes == 0 || value.bytes > NAME_BYTES_MAX) {
        return false;
    }
    if (mu_span_eq_text(name, "value")) {
        op->value = name_number(r, value);
    } else if (mu_span_eq_text(name, "expected")) {
        op->expected = name_number(r, value);
    } else if (mu_span_eq_text(name, "session")) {
        op->session = name_number(r, value);
    } else {
        return false;
    }
    return true;
}

static bool details(struct reader *r, struct linear_op *op, struct mu_span rest)
{
    while (rest.bytes > 0) {
        struct mu_span text = word(&rest);

        if (text.bytes > 0 && !detail(r, op, text)) {
            return false;
        }
    }
    return linear_op_is_sound(op);
}

static bool on_call(struct reader *r, struct mu_span number, uint64_t time, struct mu_span rest)
{
    struct mu_span kind = word(&rest);
    struct mu_span key = word(&rest);
    struct linear_op *op;
    size_t k = 0;

    while (k < LINEAR_KINDS_COUNT &&
           !mu_span_eq_text(kind, linear_kind_text((enum linear_kind)k))) {
        k++;
    }
    if (k == LINEAR_KINDS_COUNT || key.bytes == 0 || key.bytes > NAME_BYTES_MAX ||
        mu_table_find(r->numbers, number) != NULL) {
        return false;
    }
    op = linear_add(r->h);
    if (r->h->count > r->slots_room) {
        r->slots_room = r->h->room;
        r->slots = mu_grow(r->slots, r->slots_room * sizeof *r->slots);
    }
    r->slots[r->h->count - 1] = (struct slot){ .is_open = true };
    mu_table_put(r->numbers, number, as_pointer(r->h->count));
    op->kind = (enum linear_kind)k;
    op->outcome = LINEAR_UNKNOWN;
    op->key = name_number(r, key);
    op->called = time;
    return details(r, op, rest);
}

static bool on_end(struct reader *r, enum event event, struct mu_span number, uint64_t time,
                   struct mu_span rest)
{
    size_t place = as_number(mu_table_find(r->numbers, number));
    struct linear_op *op;

    if (place == 0 || !r->slots[place - 1].is_open) {
        return false;
    }
    op = &r->h->ops[place - 1];
    r->slots[place - 1].is_open = false;
    r->slots[place - 1].is_dropped = event == DROP;
    op->returned = time;
    if (event == DONE || event == REFUSED) {
        op->outcome = event == DONE ? LINEAR_DONE : LINEAR_REFUSED;
    }
    return details(r, op, rest);
}

static bool on_line(struct reader *r, struct mu_span line)
{
    struct mu_span text = word(&line);
    struct mu_span number = word(&line);
    struct mu_span time_text = word(&line);
    uint64_t time = 0;
    size_t event = 0;

    while (event < EVENTS_COUNT && !mu_span_eq_text(text, event_texts[event])) {
        event++;
    }
    if (event == EVENTS_COUNT || number.bytes == 0 || number.bytes > NAME_BYTES_MAX ||
        (!mu_span_u64(time_text, &time) && !(event == DROP && time_text.bytes == 0))) {
        return false;
    }
    return event == CALL ? on_call(r, number, time, line)
                         : on_end(r, (enum event)event, number, time, line);
}

/* -- files ------------------------------------------------------------------------------------ */

static void dropped_remove(struct reader *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->h->count; i++) {
        if (!r->slots[i].is_dropped) {
            r->h->ops[kept++] = r->h->ops[i];
        }
    }
    r->h->count = kept;
}

static enum mu_code lines_read(struct reader *r, struct mu_span text, struct mu_err *err)
{
    for (size_t line_number = 1; text.bytes > 0; line_number++) {
        struct mu_span line = mu_span_split(text, '\n', &text, NULL);

        if (line.bytes == 0 || line.data[0] == '#') {
            continue;
        }
        if (!on_line(r, line)) {
            return mu_fail(err, MU_INVALID, "line %zu: '%.*s' is no event of a history",
                           line_number, (int)(line.bytes < 120 ? line.bytes : 120),
                           (const char *)line.data);
        }
        if (r->h->count > HISTORY_OPS_MAX) {
            return mu_fail(err, MU_TOO_BIG, "more than %u operations", HISTORY_OPS_MAX);
        }
    }
    return MU_OK;
}

enum mu_code history_parse(struct linear_history *h, struct mu_span text, struct mu_err *err)
{
    struct reader r = {
        .h = h, .names = mu_table_new(), .numbers = mu_table_new(), .names_room = NAMES_ROOM
    };
    enum mu_code rc = MU_OK;

    *h = LINEAR_HISTORY_NONE;
    h->names = mu_new_array(NAMES_ROOM, sizeof *h->names);
    h->names[h->names_count++] = mu_strdup("nothing"); /* 0 */
    if (text.bytes > HISTORY_BYTES_MAX) {
        rc = mu_fail(err, MU_TOO_BIG, "a history of %zu bytes", text.bytes);
    }
    if (rc == MU_OK) {
        rc = lines_read(&r, text, err);
    }
    if (rc == MU_OK) {
        dropped_remove(&r);
    } else {
        linear_history_deinit(h);
    }
    mu_free(r.slots);
    mu_table_free(r.numbers);
    mu_table_free(r.names);
    return rc;
}
