/* tell.c - what happened, in words. */
#include <stdio.h>

#include "state.h"
#include "work.h"

const char *const x_names[X_NODES_MAX] = { "a", "b", "c", "d", "e" };

void x__tell_effects(const struct x__work *w, const struct consensus_effects *fx)
{
    char text[512];

    for (size_t i = 0; i < fx->notices_count; i++) {
        uint32_t peer = x__place_of(&fx->notices[i].peer);

        (void)printf("      %s: %s\n", x_names[w->place],
                     consensus_notice_text(&fx->notices[i],
                                           peer < X_NODES_MAX ? x_names[peer] : "?", text,
                                           sizeof text));
    }
}

void x_action_print(uint32_t action)
{
    static const char *const kinds[] = {
        [X_TIMEOUT] = "its election timer fires",
        [X_HEARTBEAT] = "a round of heartbeats",
        [X_DEPOSE] = "hears no quorum",
        [X_PROPOSE] = "a client proposes",
        [X_READ] = "a client reads",
        [X_PERSIST] = "its oldest write is durable",
        [X_CHANGE] = "is to change its members",
        [X_TRANSFER] = "is to give its office away",
        [X_RESTART] = "crashes and starts again",
        [X_COMPACT] = "its state is durable, its log may go",
        [X_PAUSE] = "goes on after a pause",
    };
    enum x_kind kind = X_ACTION_KIND(action);
    const char *to = x_names[X_ACTION_PLACE(action)];

    if (kind != X_DELIVER && kind != X_LOSE) {
        (void)printf("  %s: %s\n", to, kinds[kind]);
        return;
    }
    const struct x_message *m = x_message_at(X_ACTION_ARG(action) & 0x7fffff);
    const struct consensus_msg *msg = &m->msg;

    (void)printf("  %s > %s%s: ", x_names[m->from], to,
                 kind == X_LOSE                    ? " (lost)"
                 : X_ACTION_ARG(action) & 0x800000 ? " (and stays under way)"
                                                   : "");
    switch (msg->kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ:
        (void)printf("vote? term %llu, last %llu/%llu\n", U(msg->ask.next_term),
                     U(msg->ask.last_index), U(msg->ask.last_term));
        break;
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_VOTE_RES:
        (void)printf("vote %s, term %llu\n", msg->answer.is_granted ? "yes" : "no", U(msg->term));
        break;
    case CONSENSUS_APPEND_REQ:
        (void)printf("append term %llu, prev %llu/%llu, %u entries, commit %llu\n", U(msg->term),
                     U(msg->append.prev_index), U(msg->append.prev_term), msg->append.entries_count,
                     U(msg->append.commit));
        break;
    case CONSENSUS_APPEND_RES:
        (void)printf("append %s, term %llu, %llu\n", msg->ack.is_accepted ? "ok" : "no",
                     U(msg->term), U(msg->ack.is_accepted ? msg->ack.match : msg->ack.hint_index));
        break;
    case CONSENSUS_HEARTBEAT:
        (void)printf("heartbeat term %llu, round %llu, commit %llu\n", U(msg->term),
                     U(msg->heartbeat.read_seq), U(msg->heartbeat.commit));
        break;
    case CONSENSUS_HEARTBEAT_RES:
        (void)printf("heartbeat answered, term %llu, round %llu\n", U(msg->term),
                     U(msg->alive.read_seq));
        break;
    case CONSENSUS_TIMEOUT_NOW:
        (void)printf("stand now, last %llu\n", U(msg->timeout_now.last_index));
        break;
    case CONSENSUS_MEMBER_REQ: (void)printf("am I still one of you?\n"); break;
    case CONSENSUS_MEMBER_RES: (void)printf("you were removed\n"); break;
    case CONSENSUS_INVITE: (void)printf("come in\n"); break;
    case CONSENSUS_SNAP_OFFER:
        (void)printf("a snapshot of %llu, term %llu\n", U(msg->snapshot.snap.index), U(msg->term));
        break;
    case CONSENSUS_SNAP_CHUNK:
    case CONSENSUS_SNAP_RES: (void)printf("about a snapshot, term %llu\n", U(msg->term)); break;
    }
}
