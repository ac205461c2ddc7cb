/* keyring.c - the keys of this agent: where they come from, and who uses them.
 *
 * A keyring file, <data>/gossip/keyring, wins over the configuration's `encrypt`: keys are changed
 * through the cluster, and a restart must not bring an old one back. `encrypt` makes the file at
 * the first start. Without a data directory, or with disable_keyring_file, the ring lives in
 * memory.
 *
 * Beside it, in keyring.state, stands when each key was changed last and which were removed of late
 * (gossip/keys.h); without it nobody who was away can be told of a change.
 *
 * The same ring seals gossip (gossip/seal.c) and RPC (TLS with a pre-shared key, proto/tls.h): with
 * a key nothing travels in clear between agents, but for the steps of a roll-out, which
 * encrypt_verify_incoming and encrypt_verify_outgoing allow.
 */
#include <stdio.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "proto/tls.h"

#define FILE_NAME  "gossip/keyring"
#define STATE_NAME "gossip/keyring.state"
#define MODE       0600

static char *ring_path(const struct agent *a)
{
    const char *own = a->config->serf.keyring_file;

    return own != NULL ? mu_strdup(own) : agent__data_path(a, FILE_NAME);
}

bool agent__keyring_keeps(const struct agent *a)
{
    return a->config->serf.keyring_file != NULL ||
           (!a->config->disable_keyring_file && !a->data.is_temporary);
}

void agent__key_files_make(const struct agent *a, const struct gossip_keys *keys,
                           struct agent__key_files *out)
{
    *out = (struct agent__key_files){ .ring_path = ring_path(a),
                                      .state_path = agent__data_path(a, STATE_NAME) };
    gossip_keyring_encode(&keys->ring, &out->ring);
    gossip_keys_encode(keys, &out->state);
}

/* The ring first: were the times newer than the ring, nobody could tell us of it any more. */
enum mu_code agent__key_files_write(const struct agent__key_files *f, struct mu_err *err)
{
    enum mu_code rc = mu_file_replace(f->ring_path, mu_buf_span(&f->ring), MODE, err);

    return rc == MU_OK ? mu_file_replace(f->state_path, mu_buf_span(&f->state), MODE, err) : rc;
}

static void wipe(struct mu_buf *text)
{
    sodium_memzero(text->data, text->bytes);
    mu_buf_deinit(text);
}

void agent__key_files_deinit(struct agent__key_files *f)
{
    wipe(&f->ring);
    wipe(&f->state);
    mu_free(f->ring_path);
    mu_free(f->state_path);
}

static enum mu_code save(const struct agent *a, struct mu_err *err)
{
    struct agent__key_files files;

    agent__key_files_make(a, &a->keys, &files);
    enum mu_code rc = agent__key_files_write(&files, err);

    agent__key_files_deinit(&files);
    return rc;
}

/* Without it the ring is as good as ever. */
static void load_state(struct agent *a)
{
    char *path = agent__data_path(a, STATE_NAME);
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = mu_file_read(path, GOSSIP_KEYRING_TEXT_MAX, &text, &err);

    if (rc == MU_OK) {
        rc = gossip_keys_decode(mu_buf_span(&text), &a->keys, &err);
        sodium_memzero(text.data, text.bytes);
    }
    if (rc != MU_OK && rc != MU_NOT_FOUND) {
        mu_log(MU_WARN, "agent", "Ignoring what was known of earlier changes of keys",
               mu_kv("path", path), mu_kv("error", err.text));
    }
    mu_buf_deinit(&text);
    mu_free(path);
}

/* MU_NOT_FOUND: there is no file. */
static enum mu_code load(struct agent *a, struct mu_err *err)
{
    char *path = ring_path(a);
    struct mu_buf text = MU_BUF_NONE;
    enum mu_code rc = mu_file_read(path, GOSSIP_KEYRING_TEXT_MAX, &text, err);

    if (rc == MU_OK) {
        rc = gossip_keyring_decode(mu_buf_span(&text), &a->keys.ring, err);
        if (rc == MU_OK && a->keys.ring.count == 0) {
            rc = mu_fail(err, MU_INVALID, "Keyring file contains no keys");
        }
        if (rc != MU_OK) {
            (void)mu_wrap(err, rc, "Failed to load the keyring %s", path);
        }
        sodium_memzero(text.data, text.bytes);
    }
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

static enum mu_code from_config(struct agent *a, const struct gossip_key *key, struct mu_err *err)
{
    a->keys.ring = (struct gossip_keyring){ .count = 1 };
    a->keys.ring.keys[0] = *key;
    return agent__keyring_keeps(a) ? save(a, err) : MU_OK;
}

/* The file wins, but nobody should wonder why (wish 20). */
static void warn_of_others(const struct agent *a, const struct gossip_key *given)
{
    if (given != NULL && !gossip_keyring_has(&a->keys.ring, given)) {
        mu_log(MU_WARN, "agent",
               "LAN keyring doesn't include key provided with -encrypt, using keyring");
    } else if (given != NULL && !gossip_key_eq(&a->keys.ring.keys[0], given)) {
        mu_log(MU_WARN, "agent",
               "The key provided with -encrypt is not the primary one any more, using keyring");
    }
}

static enum mu_code ring_find(struct agent *a, struct mu_err *err)
{
    const char *given = a->config->encrypt;
    struct mu_err missing = MU_ERR_NONE;
    struct gossip_key key = { .count = 0 };
    enum mu_code rc = MU_NOT_FOUND;

    if (given != NULL) {
        rc = gossip_key_parse(given, &key, err);
        MU_ASSERT(rc == MU_OK); /* the configuration was checked */
    }
    rc = agent__keyring_keeps(a) ? load(a, &missing) : MU_NOT_FOUND;
    if (rc == MU_NOT_FOUND && a->config->serf.keyring_file != NULL) {
        return mu_fail(err, rc, "%s", missing.text); /* Serf makes none of its own */
    }
    if (rc == MU_NOT_FOUND) {
        rc = given != NULL ? from_config(a, &key, err) : MU_OK;
    } else if (rc != MU_OK) {
        rc = mu_fail(err, rc, "%s", missing.text);
    } else {
        warn_of_others(a, given != NULL ? &key : NULL);
        load_state(a);
    }
    sodium_memzero(&key, sizeof key);
    return rc;
}

/* Identities are the key ids that gossip shows in clear as well. */
static void tls_keys(struct agent *a)
{
    struct mu_tls_key keys[GOSSIP_KEYS_MAX];

    _Static_assert(GOSSIP_KEYS_MAX <= MU_TLS_KEYS_MAX, "all keys of the ring");
    _Static_assert(GOSSIP_SUBKEY_BYTES == MU_TLS_KEY_BYTES, "a subkey is the pre-shared key");
    for (size_t i = 0; i < a->keys.ring.count; i++) {
        const struct gossip_key *key = &a->keys.ring.keys[i];

        (void)snprintf(keys[i].identity, sizeof keys[i].identity, "%08x", gossip_key_id(key));
        gossip_key_derive(key, GOSSIP_KEY_RPC, keys[i].bytes);
    }
    mu_tls_context_keys(a->tls, keys, a->keys.ring.count);
    sodium_memzero(keys, sizeof keys);
}

enum mu_code agent__keyring_open(struct agent *a, struct mu_err *err)
{
    enum mu_code rc = ring_find(a, err);

    if (rc != MU_OK || a->keys.ring.count == 0) {
        return rc;
    }
    rc = mu_tls_context_new(&a->tls, err);
    if (rc == MU_OK) {
        tls_keys(a);
    }
    return rc;
}

struct gossip_sealing agent__gossip_sealing(const struct agent *a)
{
    return (struct gossip_sealing){ .keyring = &a->keys.ring,
                                    .keys = &a->keys,
                                    .takes_clear = !a->config->encrypt_verify_incoming,
                                    .sends_clear = !a->config->encrypt_verify_outgoing };
}

struct rpc_sealing agent__rpc_sealing(const struct agent *a)
{
    return (struct rpc_sealing){ .tls = a->tls,
                                 .takes_clear = !a->config->encrypt_verify_incoming,
                                 .sends_clear = !a->config->encrypt_verify_outgoing };
}

void agent__reseal(struct agent *a)
{
    struct gossip_sealing gossip = agent__gossip_sealing(a);
    struct rpc_sealing rpc = agent__rpc_sealing(a);

    gossip_driver_seal(a->gossip, &gossip);
    rpc_seal(a->rpc, &rpc);
}

void agent__keyring_adopt(struct agent *a, const struct gossip_keys *keys)
{
    a->keys = *keys;
    tls_keys(a);
    agent__reseal(a);
}

void agent__keyring_close(struct agent *a)
{
    mu_tls_context_free(a->tls);
    a->tls = NULL;
    gossip_keys_wipe(&a->keys);
}
