/* dns_ask.c - the two things that conformance/test_dns.py cannot do itself.
 *
 *   dns_ask fixture            the fixture of spec/dns.md 21.1, one catalog registration a line
 *   dns_ask ADDRESS:PORT       reads `ask` and `count` lines (lib/dns_talk.h) from its input, asks
 *                              a real server, prints what the answers say
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/web/dns_world.h"
#include "base/json.h"
#include "dns_talk.h"

#define ANSWER_S   5
#define LINE_BYTES 4096

/* -- fixture ----------------------------------------------------------------------------------- */

static void put_pairs(struct mu_json_out *o, const char *name, const struct mu_pairs *pairs)
{
    mu_json_key(o, name);
    mu_json_open(o, '{');
    for (size_t i = 0; i < pairs->count; i++) {
        mu_json_key_span(o, pairs->items[i].key);
        mu_json_put_span(o, pairs->items[i].value);
    }
    mu_json_close(o, '}');
}

static void put_node(struct mu_json_out *o, const struct catalog_node *n)
{
    mu_json_span(o, "Node", n->name);
    mu_json_span(o, "Address", n->address);
    if (n->id.bytes > 0) {
        mu_json_span(o, "ID", n->id);
    }
    put_pairs(o, "TaggedAddresses", &n->tagged_addresses);
    put_pairs(o, "NodeMeta", &n->meta);
}

static void put_service(struct mu_json_out *o, const struct catalog_service *s, const char *id)
{
    mu_json_key(o, "Service");
    mu_json_open(o, '{');
    mu_json_text(o, "ID", id);
    mu_json_span(o, "Service", s->name);
    mu_json_span(o, "Address", s->address);
    mu_json_u64(o, "Port", s->port);
    mu_json_key(o, "Tags");
    mu_json_open(o, '[');
    for (size_t i = 0; i < s->tags.count; i++) {
        mu_json_put_span(o, s->tags.items[i]);
    }
    mu_json_close(o, ']');
    mu_json_key(o, "TaggedAddresses");
    mu_json_open(o, '{');
    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        mu_json_key_span(o, s->tagged_addresses[i].name);
        mu_json_open(o, '{');
        mu_json_span(o, "Address", s->tagged_addresses[i].address);
        mu_json_u64(o, "Port", s->port);
        mu_json_close(o, '}');
    }
    mu_json_close(o, '}');
    mu_json_key(o, "Weights");
    mu_json_open(o, '{');
    mu_json_u64(o, "Passing", s->weight_passing);
    mu_json_u64(o, "Warning", s->weight_warning);
    mu_json_close(o, '}');
    mu_json_close(o, '}');
}

static void put_check(struct mu_json_out *o, const struct catalog_check *c, const char *service_id)
{
    char id[64];

    (void)snprintf(id, sizeof id, "check-%s", service_id);
    mu_json_key(o, "Check");
    mu_json_open(o, '{');
    mu_json_text(o, "CheckID", id);
    mu_json_text(o, "Name", id);
    mu_json_span(o, "Status", c->status);
    mu_json_text(o, "ServiceID", service_id);
    mu_json_close(o, '}');
}

static void print_line(struct mu_json_out *o, struct mu_buf *line)
{
    mu_json_out_end(o);
    (void)puts(mu_buf_text(line));
    mu_buf_clear(line);
}

static int print_fixture(void)
{
    struct world *w = world_new();
    struct mu_buf line = MU_BUF_NONE;
    struct mu_json_out o;
    char id[32];

    for (size_t i = 0; i < w->nodes_count; i++) {
        if (mu_span_eq_text(w->nodes[i].name, "srv1")) {
            continue; /* that is the agent itself */
        }
        mu_json_out_init(&o, &line, false);
        mu_json_open(&o, '{');
        put_node(&o, &w->nodes[i]);
        if (w->node_checks[i] != NULL) {
            put_check(&o, w->node_checks[i], "");
        }
        mu_json_close(&o, '}');
        print_line(&o, &line);
    }
    for (size_t i = 0; i < w->instances_count; i++) {
        const struct catalog_instance *in = &w->instances[i];
        struct mu_span own =
            mu_span_text(i < MU_LEN(world_services) ? world_services[i].check : "");
        struct catalog_check check = { .status = own };

        if (mu_span_eq_text(in->node->name, "srv1")) {
            continue;
        }
        (void)snprintf(id, sizeof id, "instance-%zu", i);
        mu_json_out_init(&o, &line, false);
        mu_json_open(&o, '{');
        put_node(&o, in->node);
        put_service(&o, &in->service, id);
        if (own.bytes > 0) {
            put_check(&o, &check, id);
        }
        mu_json_close(&o, '}');
        print_line(&o, &line);
    }
    mu_buf_deinit(&line);
    world_free(w);
    return 0;
}

/* -- asking ------------------------------------------------------------------------------------ */

static int open_socket(const struct mu_addr *to, bool is_tcp)
{
    struct sockaddr_storage sa;
    struct timeval patience = { ANSWER_S, 0 };

    mu_addr_to_sockaddr(to, &sa);
    int fd = socket(sa.ss_family, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    socklen_t bytes = to->ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (struct sockaddr *)&sa, bytes) != 0) {
        perror("dns_ask");
        exit(1);
    }
    return fd;
}

static bool read_all(int fd, uint8_t *to, size_t bytes)
{
    while (bytes > 0) {
        ssize_t got = recv(fd, to, bytes, 0);

        if (got <= 0) {
            return false;
        }
        to += got;
        bytes -= (size_t)got;
    }
    return true;
}

/* The bytes of the answer; 0: none came. */
static size_t exchange(const struct mu_addr *to, const struct dns_talk *t, uint8_t *answer)
{
    int fd = open_socket(to, t->is_tcp);
    struct mu_buf out = MU_BUF_NONE;
    uint8_t length[2] = { (uint8_t)(t->query.bytes >> 8), (uint8_t)t->query.bytes };
    size_t bytes = 0;

    mu_buf_add(&out, length, t->is_tcp ? 2 : 0);
    mu_buf_add(&out, t->query.data, t->query.bytes);
    if (send(fd, out.data, out.bytes, MSG_NOSIGNAL) == (ssize_t)out.bytes) {
        if (!t->is_tcp) {
            ssize_t got = recv(fd, answer, MU_DNS_TCP_MAX, 0);

            bytes = got > 0 ? (size_t)got : 0;
        } else if (read_all(fd, length, 2)) {
            bytes = (size_t)length[0] << 8 | length[1];
            bytes = read_all(fd, answer, bytes) ? bytes : 0;
        }
    }
    mu_buf_deinit(&out);
    (void)close(fd);
    return bytes;
}

static bool ask_line(const struct mu_addr *to, char *line)
{
    static uint8_t answer[MU_DNS_TCP_MAX];
    struct script_command c = { .file = "-" };
    struct mu_buf text = MU_BUF_NONE;
    struct dns_talk t;
    char *save = NULL;

    for (char *word = strtok_r(line, " \t\n", &save); word != NULL;
         word = strtok_r(NULL, " \t\n", &save)) {
        MU_ASSERT(c.words_count < SCRIPT_WORDS_MAX);
        c.words[c.words_count++] = word;
    }
    if (c.words_count == 0 || !dns_talk_read(&c, &t)) {
        return false;
    }
    size_t bytes = exchange(to, &t, answer);

    if (bytes > 0) {
        dns_talk_print(&t, mu_span_of(answer, bytes), &text);
    } else {
        mu_buf_add_text(&text, "no answer\n");
    }
    (void)fputs(mu_buf_text(&text), stdout);
    mu_buf_deinit(&text);
    mu_buf_deinit(&t.query);
    return true;
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];
    struct mu_addr to;
    struct mu_err err = MU_ERR_NONE;

    if (argc == 2 && strcmp(argv[1], "fixture") == 0) {
        return print_fixture();
    }
    if (argc != 2 || mu_addr_parse(mu_span_text(argv[1]), 8600, &to, &err) != MU_OK) {
        (void)fprintf(stderr, "usage: dns_ask fixture | ADDRESS:PORT\n");
        return 2;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (!ask_line(&to, line)) {
            (void)fprintf(stderr, "dns_ask: not a question: %s\n", line);
            return 2;
        }
    }
    return 0;
}
