// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a kernel engineer would write by hand for examples/cg_priority.oom: the
 * candidate whose memory cgroup has the lower priority dies first, then the
 * kernel's own score, the younger task, the higher pid. The kernel's guards
 * stay in force, a scan that finds nothing hands the next event of its scope
 * to the kernel, and what happened is counted. bench/instructions.py holds the
 * compiler's output against it.
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_LRU_HASH = 9 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define CORE __attribute__((preserve_access_index))
#define PAGE_SHIFT 12
#define MMF_OOM_SKIP 21

typedef struct CORE { __s64 counter; } atomic_long_t;
struct list_head { struct list_head *next; } CORE;
struct percpu_counter { __s64 count; } CORE;
struct mm_rss_stat { atomic_long_t count[4]; } CORE;
struct mm_struct {
	atomic_long_t pgtables_bytes;
	struct percpu_counter rss_stat[4];
	unsigned long flags;
} CORE;
struct mm_struct___old { struct mm_rss_stat rss_stat; } CORE;
typedef struct CORE { unsigned long __mm_flags[1]; } mm_flags_t;
struct mm_struct___new { mm_flags_t flags; } CORE;
struct signal_struct {
	short oom_score_adj;
	struct mm_struct *oom_mm;
	struct list_head thread_head;
} CORE;
struct cgroup;
struct cgroup_subsys_state { struct cgroup *cgroup; } CORE;
struct kernfs_node { __u64 id; } CORE;
struct cgroup { struct kernfs_node *kn; } CORE;
struct css_set { struct cgroup_subsys_state *subsys[16]; } CORE;
struct mem_cgroup { struct cgroup_subsys_state css; } CORE;
enum cgroup_subsys_id { memory_cgrp_id };
struct task_struct {
	int tgid;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct list_head thread_node;
	struct task_struct *real_parent;
	void *vfork_done;
	__u64 start_boottime;
	struct css_set *cgroups;
} CORE;
struct oom_control {
	struct mem_cgroup *memcg;
	const int order;
	unsigned long totalpages;
	struct task_struct *chosen;
} CORE;

enum { NO_BPF_POLICY, BPF_EVAL_ABORT, BPF_EVAL_NEXT, BPF_EVAL_SELECT };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __s32);
} priorities SEC(".maps");

struct failure { __u64 count, stand_aside; };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct failure);
} failures SEC(".maps");

/* The OOM killer is serialised by oom_lock, so one of each is enough. */
struct key { __u64 task; __s64 priority, points; __u64 start; __s64 tgid; } best;
struct { __u64 oc; int leave; __u64 scope; __s64 thousandth; bool sysrq; } now;
struct {
	__u64 events, stood_aside, nothing, candidates, selected;
	__u64 adj_min, no_mm, reaped, vfork, victim;
} stats;

extern void set_oom_policy_name(struct oom_control *oc, const char *src, unsigned long src__sz) __ksym;

#define COUNTER(mm, member) ({                                                             \
	__s64 n = bpf_core_field_exists((mm)->rss_stat[0].count) ?                            \
		  BPF_CORE_READ(mm, rss_stat[member].count) :                                 \
		  BPF_CORE_READ((struct mm_struct___old *)(mm), rss_stat.count[member].counter); \
	n > 0 ? n : 0; })

static bool oom_skip(struct mm_struct *mm)
{
	struct mm_struct___new *new = (void *)mm;

	if (bpf_core_field_exists(new->flags.__mm_flags))
		return BPF_CORE_READ(new, flags.__mm_flags[0]) >> MMF_OOM_SKIP & 1;
	return BPF_CORE_READ(mm, flags) >> MMF_OOM_SKIP & 1;
}

__noinline __u64 thread_with_mm(__u64 signal)
{
	struct list_head *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	struct list_head *node = BPF_CORE_READ(head, next);

	struct task_struct *t;

	for (int i = 0; i < 1024 && node != head; i++) {
		t = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);
		if (BPF_CORE_READ(t, mm))
			return (__u64)t;
		node = BPF_CORE_READ(node, next);
	}
	return 0;
}

SEC("fentry/bpf_set_policy_name")
int BPF_PROG(begin, struct oom_control *oc)
{
	char name[16] = "cg_priority";
	struct failure *f;

	best.task = 0;
	now.oc = (__u64)oc;
	now.leave = 0;
	now.scope = oc->memcg ? oc->memcg->css.cgroup->kn->id : 0;
	now.thousandth = oc->totalpages / 1000;
	now.sysrq = oc->order == -1;
	stats.events++;
	f = bpf_map_lookup_elem(&failures, &now.scope);
	if (f && f->stand_aside) {
		f->stand_aside = 0;
		now.leave = 1;
		stats.stood_aside++;
		return 0;
	}
	set_oom_policy_name(oc, name, sizeof(name));
	return 0;
}

static __noinline int judge(struct task_struct *task, int ahead)
{
	struct task_struct *thread = task;
	struct mm_struct *mm, *oom_mm = task->signal->oom_mm;
	__s64 adj = task->signal->oom_score_adj;
	int css = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct cgroup *cgroup;
	__s32 *priority;
	struct key k;
	__u64 id;

	if (oom_mm && !now.sysrq) {
		if (!oom_skip(oom_mm)) {
			stats.victim++;
			return BPF_EVAL_ABORT;
		}
		stats.reaped++;
		return BPF_EVAL_NEXT;
	}
	if (adj == -1000) {
		stats.adj_min++;
		return BPF_EVAL_NEXT;
	}
	mm = task->mm;
	if (!mm) {
		thread = (void *)thread_with_mm((__u64)BPF_CORE_READ(task, signal));
		if (!thread) {
			stats.no_mm++;
			return BPF_EVAL_NEXT;
		}
		mm = BPF_CORE_READ(thread, mm);
	}
	if (oom_skip(mm)) {
		stats.reaped++;
		return BPF_EVAL_NEXT;
	}
	if (BPF_CORE_READ(thread, vfork_done) && BPF_CORE_READ(thread, real_parent, mm) == mm) {
		stats.vfork++;
		return BPF_EVAL_NEXT;
	}

	cgroup = BPF_CORE_READ(task->cgroups->subsys[css], cgroup);
	id = BPF_CORE_READ(cgroup, kn, id);
	priority = bpf_map_lookup_elem(&priorities, &id);
	k.task = (__u64)task;
	k.priority = priority ? *priority : 0;
	k.points = COUNTER(mm, 0) + COUNTER(mm, 1) + COUNTER(mm, 2) + COUNTER(mm, 3) +
		   (BPF_CORE_READ(mm, pgtables_bytes.counter) >> PAGE_SHIFT) + adj * now.thousandth;
	k.start = task->start_boottime;
	k.tgid = task->tgid;

	if (!ahead) {
		if (k.priority != best.priority) {
			if (k.priority > best.priority)
				return BPF_EVAL_NEXT;
		} else if (k.points != best.points) {
			if (k.points < best.points)
				return BPF_EVAL_NEXT;
		} else if (k.start != best.start) {
			if (k.start < best.start)
				return BPF_EVAL_NEXT;
		} else if (k.tgid <= best.tgid) {
			return BPF_EVAL_NEXT;
		}
	}
	best = k;
	return BPF_EVAL_SELECT;
}

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(evaluate, struct task_struct *task, struct oom_control *oc)
{
	struct task_struct *chosen = oc->chosen;
	int verdict;

	if (now.oc != (__u64)oc || now.leave)
		return NO_BPF_POLICY;
	if (chosen && (__u64)chosen != best.task) {
		best.task = 0;
		judge(chosen, 1);
	}
	stats.candidates++;
	verdict = judge(task, !best.task);
	if (verdict == BPF_EVAL_SELECT)
		stats.selected++;
	return verdict;
}

SEC("tp_btf/select_bad_process_end")
int BPF_PROG(end, struct oom_control *oc)
{
	struct failure first = { 1, 1 };
	struct failure *f;

	if (now.oc != (__u64)oc || now.leave)
		return 0;
	stats.nothing++;
	f = bpf_map_lookup_elem(&failures, &now.scope);
	if (f) {
		f->count++;
		f->stand_aside = 1;
	} else {
		bpf_map_update_elem(&failures, &now.scope, &first, 0);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
