// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every part of the kernel interface once, by hand: what the compiler emits is tested elsewhere.
 *
 * Which verdict `evaluate` gives, and which name `name_policy` sets, is in the map `config`.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node { __u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[16]; };
struct task_struct { struct css_set *cgroups; char comm[16]; };
struct oom_control { struct task_struct *chosen; };
enum cgroup_subsys_id { memory_cgrp_id = 0 };
#pragma clang attribute pop

enum verdict { NO_BPF_POLICY, BPF_EVAL_ABORT, BPF_EVAL_NEXT, BPF_EVAL_SELECT };

enum mode {
	PRIORITY,	/* the lowest number of `priority` dies, tasks elsewhere are passed over */
	ALWAYS,		/* config.verdict for everyone */
	ONE_OR_KERNEL,	/* select the task named config.comm, leave the others to the kernel */
};

struct config {
	__u32 mode, verdict;
	__u32 skip_first;	/* pass over everyone until the tracepoint has fired */
	__u32 late_name;	/* also try to set a name when the selection is over */
	__u32 name_size;
	char name[64];
	char comm[16];
};

struct counts {
	__u64 named, evaluated, selected, nothing;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, int);
} priority SEC(".maps");

extern void set_oom_policy_name(struct oom_control *oc, const char *src, __u64 src__sz) __ksym;

static int *priority_of(struct task_struct *task)
{
	int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = NULL;
	__u64 id;

	bpf_core_read(&css, sizeof(css), &set->subsys[memory]);
	id = BPF_CORE_READ(css, cgroup, kn, id);
	return bpf_map_lookup_elem(&priority, &id);
}

static int by_priority(struct task_struct *task, struct oom_control *oc)
{
	int *mine = priority_of(task), *best;

	if (!mine)
		return BPF_EVAL_NEXT;
	if (!oc->chosen)
		return BPF_EVAL_SELECT;
	best = priority_of(oc->chosen);
	return best && *best <= *mine ? BPF_EVAL_NEXT : BPF_EVAL_SELECT;
}

static int verdict(struct config *c, struct counts *n, struct task_struct *task, struct oom_control *oc)
{
	char comm[16] = {};

	if (c->skip_first && !n->nothing)
		return BPF_EVAL_NEXT;
	if (c->mode == PRIORITY)
		return by_priority(task, oc);
	if (c->mode == ALWAYS)
		return c->verdict;
	bpf_core_read_str(comm, sizeof(comm), &task->comm);
	for (int i = 0; i < 16; i++)
		if (comm[i] != c->comm[i])
			return NO_BPF_POLICY;
	return BPF_EVAL_SELECT;
}

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(evaluate, struct task_struct *task, struct oom_control *oc, int before)
{
	__u32 zero = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct counts *n = bpf_map_lookup_elem(&counts, &zero);
	int result;

	if (!c || !n)
		return before;
	n->evaluated++;
	result = verdict(c, n, task, oc);
	n->selected += result == BPF_EVAL_SELECT;
	return result;
}

SEC("fentry/bpf_set_policy_name")
int BPF_PROG(name_policy, struct oom_control *oc)
{
	__u32 zero = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct counts *n = bpf_map_lookup_elem(&counts, &zero);
	__u64 size;

	if (!c || !n)
		return 0;
	n->named++;
	size = c->name_size;
	if (size > sizeof(c->name))
		size = sizeof(c->name);
	set_oom_policy_name(oc, c->name, size);
	return 0;
}

SEC("fentry/oom_kill_process")
int BPF_PROG(name_late, struct oom_control *oc)
{
	__u32 zero = 0;
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	char late[] = "too late";

	if (c && c->late_name)
		set_oom_policy_name(oc, late, sizeof(late));
	return 0;
}

SEC("tp_btf/select_bad_process_end")
int BPF_PROG(found_nothing, struct oom_control *oc)
{
	__u32 zero = 0;
	struct counts *n = bpf_map_lookup_elem(&counts, &zero);

	if (n && !oc->chosen)
		n->nothing++;
	return 0;
}
