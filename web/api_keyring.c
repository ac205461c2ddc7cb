/* /v1/operator/keyring: the gossip keys of all members (http-api 12). A client agent passes the
 * request on to a server. There is one pool, so one entry: the WAN's comes with the WAN. */
#include "agent/keys.h"
#include "front.h"
#include "handlers.h"
#include "write.h"

#define RELAY_FACTOR_MAX 5U

/* -- what went wrong, a line for each cause -----------------------------------------------------
 */

static void answer_failures(struct request *r, const struct agent_keys_report *report,
                            const struct mu_err *err)
{
    size_t count = 1 + report->errors + report->silent_count;
    struct mu_buf text = MU_BUF_NONE;

    mu_buf_addf(&text, "%zu error%s occurred:\n\t* %s (LAN) error: %s\n", count,
                count == 1 ? "" : "s", agent_datacenter(r->front->agent), err->text);
    for (size_t i = 0; i < report->messages_count && report->errors > 0; i++) {
        mu_buf_addf(&text, "\t* %.*s: %.*s\n", MU_SPAN_FMT(report->messages[i].key),
                    MU_SPAN_FMT(report->messages[i].value));
    }
    for (size_t i = 0; i < report->silent_count; i++) {
        mu_buf_addf(&text, "\t* %s: no answer\n", report->silent[i]);
    }
    mu_buf_add_text(&text, "\n");
    answer_text(r, 500, mu_buf_text(&text));
    mu_buf_deinit(&text);
}

/* -- list ---------------------------------------------------------------------------------------
 */

static void put_keys(struct mu_json_out *o, const char *name,
                     const struct agent_keys_report *report, bool only_primaries)
{
    mu_json_key(o, name);
    mu_json_open(o, '{');
    for (size_t i = 0; i < report->keys_count; i++) {
        const struct agent_key *k = &report->keys[i];
        size_t count = only_primaries ? k->primaries : k->holders;

        if (count > 0) {
            mu_json_u64(o, k->text, count);
        }
    }
    mu_json_close(o, '}');
}

static void on_listed(void *data, enum mu_code code, const struct agent_keys_report *report,
                      const struct mu_err *err)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (code != MU_OK) {
        answer_failures(r, report, err);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '[');
    mu_json_open(&o, '{');
    mu_json_boolean(&o, "WAN", false);
    mu_json_text(&o, "Datacenter", agent_datacenter(r->front->agent));
    mu_json_text(&o, "Segment", "");
    put_keys(&o, "Keys", report, false);
    put_keys(&o, "PrimaryKeys", report, true);
    mu_json_u64(&o, "NumNodes", report->nodes);
    mu_json_close(&o, '}');
    mu_json_close(&o, ']');
    answer_json(r, &o);
}

/* -- the requests -------------------------------------------------------------------------------
 */

/* False: answered. */
static bool read_params(struct request *r, unsigned *relay_factor)
{
    const struct mu_span *relays = params_find(&r->params, "relay-factor");
    const struct mu_span *local = params_find(&r->params, "local-only");
    struct mu_err err = MU_ERR_NONE;
    uint64_t factor = 0;
    bool is_local = false;

    if (relays != NULL && relays->bytes > 0 && params_u64(*relays, &factor, &err) != MU_OK) {
        answer_textf(r, 400, "Bad request: Error parsing relay factor: %s", err.text);
        return false;
    }
    if (factor > RELAY_FACTOR_MAX) {
        answer_text(r, 400,
                    "Bad request: Invalid relay-factor: Relay factor must be in range: [0, 5]");
        return false;
    }
    if (local != NULL && local->bytes > 0 && !params_bool(*local, &is_local)) {
        answer_textf(r, 400,
                     "Bad request: Error parsing local-only: strconv.ParseBool: parsing "
                     "\"%.*s\": invalid syntax",
                     MU_SPAN_FMT(*local));
        return false;
    }
    if (is_local && r->method != WEB_GET) {
        answer_text(r, 400,
                    "Bad request: Invalid use of local-only: local-only can only be set for list "
                    "requests");
        return false;
    }
    *relay_factor = (unsigned)factor;
    return true;
}

void api_keyring_list(struct request *r)
{
    unsigned relay_factor;

    if (read_params(r, &relay_factor)) {
        write_begin(r);
        agent_keys(r->front->agent, AGENT_KEY_LIST, MU_SPAN_NONE, relay_factor, on_listed, r);
    }
}

struct key_body {
    struct mu_span key;
};

static const struct mu_json_field key_fields[] = {
    { .name = "Key", .as = MU_JSON_AS_TEXT, .offset = offsetof(struct key_body, key) },
};

static const struct mu_json_shape key_shape = { .fields = key_fields,
                                                .fields_count = MU_LEN(key_fields),
                                                .bytes = sizeof(struct key_body) };

static void on_changed(void *data, enum mu_code code, const struct agent_keys_report *report,
                       const struct mu_err *err)
{
    struct request *r = data;

    write_end(r);
    if (code == MU_OK) {
        answer_empty(r, 200);
    } else {
        answer_failures(r, report, err);
    }
}

static void change(struct request *r, enum agent_key_op op)
{
    struct key_body body = { .key = MU_SPAN_NONE };
    struct mu_err err = MU_ERR_NONE;
    unsigned relay_factor;

    if (!read_params(r, &relay_factor)) {
        return;
    }
    if (mu_json_read(mu_buf_span(&r->body), &key_shape, &body, &r->arena, &err) != MU_OK) {
        answer_textf(r, 400, "Bad request: Request decode failed: %s", err.text);
        return;
    }
    write_begin(r);
    agent_keys(r->front->agent, op, body.key, relay_factor, on_changed, r);
}

void api_keyring_install(struct request *r)
{
    change(r, AGENT_KEY_INSTALL);
}

void api_keyring_use(struct request *r)
{
    change(r, AGENT_KEY_USE);
}

void api_keyring_remove(struct request *r)
{
    change(r, AGENT_KEY_REMOVE);
}
