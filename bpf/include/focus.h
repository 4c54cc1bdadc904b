/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which processes count. Both maps are shared by all programs of one ebtop: capture makes them, fills them, and puts
 * them in the place of the ones declared here before a program is loaded. The layout is that of capture/focus.py.
 */
#pragma once

#define FOCUS_PIDS 1
#define FOCUS_UID 2
#define FOCUS_CGROUP 4
#define FOCUS_COMM 8
#define FOCUS_COMMS 4

struct focus_rule {
    u32 by;
    u32 uid;
    u64 cgroup;
    u32 cgroup_level;
    u32 comm_count;
    u32 self[4]; /* ebtop's own processes, which never count */
    u64 comms[FOCUS_COMMS][2];
};

BPF_ARRAY(focus_rules, struct focus_rule, 1);
BPF_HASH(focus_pids, u32, u32, 65536);

static __always_inline bool rule_has_comm(struct focus_rule *rule, u64 *comm) {
#pragma unroll
    for (int i = 0; i < FOCUS_COMMS; i++)
        if (i < rule->comm_count && rule->comms[i][0] == comm[0] && rule->comms[i][1] == comm[1])
            return true;
    return false;
}

static __always_inline bool focus_comm(struct focus_rule *rule) {
    u64 comm[2];
    current_comm((char *)comm);
    return rule_has_comm(rule, comm);
}

/* Is the running task one that the rule is about? */
static __always_inline bool rule_holds(struct focus_rule *rule, u32 pid) {
    if (!rule->by)
        return true;
    if ((rule->by & FOCUS_PIDS) && !focus_pids.lookup(&pid))
        return false;
    if ((rule->by & FOCUS_UID) && (u32)bpf_get_current_uid_gid() != rule->uid)
        return false;
    if ((rule->by & FOCUS_CGROUP) && bpf_get_current_ancestor_cgroup_id(rule->cgroup_level) != rule->cgroup)
        return false;
    return !(rule->by & FOCUS_COMM) || focus_comm(rule);
}

/* Does the running task count? */
static __always_inline bool in_focus(void) {
    int zero = 0;
    struct focus_rule *rule = focus_rules.lookup(&zero);
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    if (!rule || pid == rule->self[0] || pid == rule->self[1] || pid == rule->self[2] || pid == rule->self[3])
        return false;
    return rule_holds(rule, pid);
}
