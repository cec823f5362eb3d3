/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Lists the machine's tasks; touches what moves between kernels. Changes nothing. */
#include "types.h"

struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; } CORE;
struct percpu_counter { __s64 count; } CORE;
struct mm_struct { struct percpu_counter rss_stat[4]; } CORE;
struct mm_rss_stat___6_1 { __s64 count[4]; } CORE;
struct mm_struct___6_1 { struct mm_rss_stat___6_1 rss_stat; } CORE;
struct kernfs_node { __u64 id; } CORE;
struct kernfs_node___6_12 { struct kernfs_node *parent; } CORE;
struct kernfs_node___6_18 { struct kernfs_node *__parent; } CORE;
struct cgroup { struct kernfs_node *kn; } CORE;
struct cgroup_subsys_state { struct cgroup *cgroup; } CORE;
struct css_set { struct cgroup_subsys_state *subsys[16]; } CORE;
enum cgroup_subsys_id { memory_cgrp_id = 99 };
struct task_struct { int pid; int tgid; char comm[16]; struct mm_struct *mm; struct css_set *cgroups; } CORE;
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; } CORE;

struct row { int pid, tgid; __u64 cgroup, parent; __s64 anon; char comm[16]; };

const volatile int only_leaders = 0;
__u64 visited = 0;

struct {
	__uint(type, 1); /* BPF_MAP_TYPE_HASH */
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, int);
} priorities SEC(".maps");

struct {
	__uint(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, int);
} per_cpu SEC(".maps");

SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct row row = {};
	__u64 none = 0;

	if (!task || (only_leaders && task->pid != task->tgid))
		return 0;
	row.pid = task->pid;
	row.tgid = task->tgid;

	struct mm_struct *mm = task->mm;
	struct mm_struct___6_1 *old = (void *)mm;
	if (bpf_core_field_exists(old->rss_stat.count))
		row.anon = BPF_CORE_READ(old, rss_stat.count[1]);
	else
		row.anon = BPF_CORE_READ(mm, rss_stat[1].count);

	int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct kernfs_node *kn = BPF_CORE_READ(task, cgroups, subsys[memory], cgroup, kn);
	row.cgroup = BPF_CORE_READ(kn, id);
	struct kernfs_node___6_18 *newer = (void *)kn;
	if (bpf_core_field_exists(newer->__parent))
		row.parent = (__u64)BPF_CORE_READ(newer, __parent);
	else
		row.parent = (__u64)BPF_CORE_READ((struct kernfs_node___6_12 *)kn, parent);

	bpf_core_read(&row.comm, sizeof(row.comm), &task->comm);
	visited++;
	bpf_map_lookup_elem(&priorities, &none);
	bpf_map_lookup_elem(&per_cpu, &none);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
