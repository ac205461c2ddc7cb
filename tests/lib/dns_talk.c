#include "dns_talk.h"

#include <string.h>

static bool has_word(const struct script_command *c, const char *word)
{
    for (size_t i = 3; i < c->words_count; i++) {
        if (strcmp(c->words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static void put_option(struct mu_buf *to, unsigned code, const void *data, size_t bytes)
{
    const uint8_t head[] = { (uint8_t)(code >> 8), (uint8_t)code, 0, (uint8_t)bytes };

    mu_buf_add(to, head, sizeof head);
    mu_buf_add(to, data, bytes);
}

static void put_options(const struct script_command *c, struct mu_buf *to)
{
    static const uint8_t subnet[] = { 0, 1, 16, 0, 10, 9 };
    static const uint8_t broken[] = { 0, 1, 16, 0, 10, 9, 1 };

    if (has_word(c, "subnet")) {
        put_option(to, 8, subnet, sizeof subnet);
    }
    if (has_word(c, "badsubnet")) {
        put_option(to, 8, broken, sizeof broken);
    }
    if (has_word(c, "keepalive")) {
        put_option(to, 11, "", 0);
    }
    if (has_word(c, "cookie")) {
        put_option(to, 10, "12345678", 8);
        put_option(to, 3, "", 0);
        put_option(to, 12, "\0\0\0", 3);
        put_option(to, 65001, "x", 1);
    }
}

static uint16_t flags_of(const struct script_command *c)
{
    unsigned flags = has_word(c, "nord") ? 0 : 0x100;

    flags |= has_word(c, "cd") ? 0x10 : 0;
    flags |= has_word(c, "ad") ? 0x20 : 0;
    return (uint16_t)(flags | (unsigned)script_number(c, "opcode", 0) << 11);
}

bool dns_talk_read(const struct script_command *c, struct dns_talk *out)
{
    bool is_count = strcmp(c->words[0], "count") == 0;
    struct mu_buf options = MU_BUF_NONE;

    *out = (struct dns_talk){ .form = is_count ? DNS_CHECK_COUNTS : DNS_CHECK_RECORDS };
    if (c->words_count < 3 || (!is_count && strcmp(c->words[0], "ask") != 0)) {
        return false;
    }
    put_options(c, &options);
    struct dns_check_query q = {
        .name = c->words[1],
        .id = 4711,
        .type = dns_check_type(c->words[2]),
        .class = (uint16_t)script_number(c, "class", 1),
        .flags = flags_of(c),
        .udp_bytes = (uint16_t)script_number(c, "edns", 1232),
        .version = (uint8_t)script_number(c, "version", 0),
        .options = mu_buf_span(&options),
    };

    q.has_edns = script_number(c, "edns", 0) > 0 || options.bytes > 0 || q.version > 0;
    out->is_tcp = has_word(c, "tcp");
    out->has_catalog = !has_word(c, "no_catalog");
    out->is_seeded = has_word(c, "seeded");
    out->wants_bytes = has_word(c, "bytes");
    out->bytes_max = out->is_tcp ? 65535 : q.has_edns && q.udp_bytes > 512 ? q.udp_bytes : 512;
    bool is_query = dns_check_ask(&q, &out->query);

    mu_buf_deinit(&options);
    return is_query;
}

void dns_talk_print(const struct dns_talk *t, struct mu_span answer, struct mu_buf *out)
{
    (void)dns_check(mu_buf_span(&t->query), answer, t->bytes_max, t->form, out);
    if (t->wants_bytes) {
        mu_buf_addf(out, "%zu bytes\n", answer.bytes);
    }
}
