// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * examples/cg_priority.oom as somebody would write it by hand who knows the
 * kernel and wants it fast: the task whose memory cgroup has the lower priority
 * dies first, then the one with the higher badness, the younger, the higher
 * pid. The kernel's guards hold, a scan that finds nothing hands the next event
 * of its scope to the kernel, and what happens is counted.
 *
 * bench/vm.py and bench/instructions.py hold the compiler's output against it.
 *
 * Fields are read through pointers whose type the verifier knows: one load
 * each, which gives 0 where it faults. The rare way, a process whose leader has
 * no memory map, starts from container_of() and calls a helper for each field.
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
#define NULL ((void *)0)

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_LRU_HASH = 9, BPF_ANY = 0 };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define KERNEL __attribute__((preserve_access_index))
#define PAGE_SHIFT 12
#define MMF_OOM_SKIP 21
#define OOM_SCORE_ADJ_MIN (-1000)
#define ORDER_OF_SYSRQ (-1)
#define MAX_THREADS 1024

/* --- The kernel's types ------------------------------------------------- */

typedef struct KERNEL {
	__s64 counter;
} atomic_long_t;

struct list_head {
	struct list_head *next;
} KERNEL;

struct percpu_counter {
	__s64 count;
} KERNEL;

struct mm_struct {
	atomic_long_t pgtables_bytes;
	struct percpu_counter rss_stat[4];
	unsigned long flags;
} KERNEL;

/* Up to Linux 6.1 the counters lie in a structure. */
struct mm_rss_stat {
	atomic_long_t count[4];
} KERNEL;

struct mm_struct___in_a_struct {
	struct mm_rss_stat rss_stat;
} KERNEL;

/* From Linux 6.18 on the flags are a bitmap. */
typedef struct KERNEL {
	unsigned long __mm_flags[1];
} mm_flags_t;

struct mm_struct___with_bitmap {
	mm_flags_t flags;
} KERNEL;

struct kernfs_node {
	__u64 id;
} KERNEL;

struct cgroup {
	struct kernfs_node *kn;
} KERNEL;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
} KERNEL;

struct css_set {
	struct cgroup_subsys_state *subsys[16];
} KERNEL;

enum cgroup_subsys_id { memory_cgrp_id };

struct mem_cgroup {
	struct cgroup_subsys_state css;
} KERNEL;

struct completion;

struct signal_struct {
	short oom_score_adj;
	struct mm_struct *oom_mm;
	struct list_head thread_head;
} KERNEL;

struct task_struct {
	int tgid;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct list_head thread_node;
	struct task_struct *real_parent;
	struct completion *vfork_done;
	__u64 start_boottime;
	struct css_set *cgroups;
} KERNEL;

struct oom_control {
	struct mem_cgroup *memcg;
	const int order;
	unsigned long totalpages;
	struct task_struct *chosen;
} KERNEL;

/* --- State: oom_lock serialises the OOM killer, so there is one of each --- */

enum answer { KERNEL_DECIDES, END_SCAN, PASS_OVER, TAKE };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __s32);
} priorities SEC(".maps");

struct fruitless {
	__u64 times;
	__u64 kernels_turn;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct fruitless);
} fruitless SEC(".maps");

struct {
	__u64 oc;
	__u64 scope;
	__s64 adj_unit; /* pages that one point of oom_score_adj is worth */
	bool sysrq;
	bool kernels_turn;
} event;

struct standing {
	__s64 priority;
	__s64 points;
	__u64 start;
	__s64 tgid;
};

struct standing worst;
__u64 worst_task; /* 0: none yet */

/* The cgroup that was looked at last: a scan goes through them one by one. */
struct {
	__u64 id; /* 0: none in this event */
	__s64 priority;
} last;

struct {
	__u64 events, kernels_turns, fruitless_scans, asked, taken;
	__u64 unkillable, without_mm, reaped, in_vfork, dying;
} seen;

extern void set_oom_policy_name(struct oom_control *oc, const char *src, unsigned long src__sz) __ksym;

/* --- A task's memory ---------------------------------------------------- */

#define TYPED(p, field) ((p)->field)
#define UNTYPED(p, field) BPF_CORE_READ(p, field)

#define AT_LEAST_0(number) ({ __s64 n = (number); n > 0 ? n : 0; })

/* The verifier before 6.2 does not look into arrays of typedefs: the old counters are never loaded. */
#define PAGES(READ, mm, kind)                                                                        \
	AT_LEAST_0(bpf_core_field_exists((mm)->rss_stat[0].count) ? READ(mm, rss_stat[kind].count) : \
		   UNTYPED((struct mm_struct___in_a_struct *)(mm), rss_stat.count[kind].counter))

#define FOOTPRINT(READ, mm)                                                                      \
	(PAGES(READ, mm, 0) + PAGES(READ, mm, 1) + PAGES(READ, mm, 2) + PAGES(READ, mm, 3) +     \
	 (READ(mm, pgtables_bytes.counter) >> PAGE_SHIFT))

#define IS_REAPED(READ, mm)                                                                      \
	((bpf_core_field_exists(((struct mm_struct___with_bitmap *)(mm))->flags.__mm_flags) ?    \
	  READ((struct mm_struct___with_bitmap *)(mm), flags.__mm_flags[0]) : READ(mm, flags))   \
	 >> MMF_OOM_SKIP & 1)

/* The pages of the first thread that has a memory map, or -1. */
__noinline __s64 threads_footprint(__u64 signal)
{
	struct list_head *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	struct list_head *node = UNTYPED(head, next);
	struct task_struct *thread;
	struct mm_struct *mm;
	__s64 pages;

	for (int i = 0; i < MAX_THREADS && node != head; i++) {
		thread = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);
		mm = UNTYPED(thread, mm);
		if (!mm) {
			node = UNTYPED(node, next);
			continue;
		}
		if (IS_REAPED(UNTYPED, mm)) {
			seen.reaped++;
			return -1;
		}
		if (UNTYPED(thread, vfork_done) && BPF_CORE_READ(thread, real_parent, mm) == mm) {
			seen.in_vfork++;
			return -1;
		}
		pages = FOOTPRINT(UNTYPED, mm);
		if (UNTYPED(thread, mm) == mm)
			return pages;
		break;
	}
	seen.without_mm++;
	return -1;
}

/* The task's pages, or -1 where a guard says that it must not die. */
static __always_inline __s64 footprint(struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	__s64 pages;

	if (mm) {
		if (IS_REAPED(TYPED, mm)) {
			seen.reaped++;
			return -1;
		}
		if (task->vfork_done && task->real_parent->mm == mm) {
			seen.in_vfork++;
			return -1;
		}
		pages = FOOTPRINT(TYPED, mm);
		barrier();
		/* A task lets go of its map only after this has changed: it was the task's own while it was read. */
		if (task->mm == mm)
			return pages;
	}
	return threads_footprint((__u64)UNTYPED(task, signal));
}

/* --- The order ---------------------------------------------------------- */

static __always_inline __s64 priority_of(struct task_struct *task)
{
	struct cgroup_subsys_state **memory = (void *)task->cgroups +
		bpf_core_field_offset(struct css_set, subsys) +
		bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id) * sizeof(*memory);
	__u64 id = (*memory)->cgroup->kn->id;
	__s32 *priority;

	if (id != last.id) {
		priority = bpf_map_lookup_elem(&priorities, &id);
		last.priority = priority ? *priority : 0;
		last.id = id;
	}
	return last.priority;
}

static __always_inline bool dies_before_worst(const struct standing *its)
{
	if (its->priority != worst.priority)
		return its->priority < worst.priority;
	if (its->points != worst.points)
		return its->points > worst.points;
	if (its->start != worst.start)
		return its->start > worst.start;
	return its->tgid > worst.tgid;
}

static __noinline int judge(struct task_struct *task, int first)
{
	struct mm_struct *victims_mm = task->signal->oom_mm;
	__s64 adj = task->signal->oom_score_adj;
	struct standing its;
	__s64 pages;

	if (victims_mm && !event.sysrq) {
		if (IS_REAPED(TYPED, victims_mm)) {
			seen.reaped++;
			return PASS_OVER;
		}
		seen.dying++;
		return END_SCAN;
	}
	if (adj == OOM_SCORE_ADJ_MIN) {
		seen.unkillable++;
		return PASS_OVER;
	}
	pages = footprint(task);
	if (pages < 0)
		return PASS_OVER;
	its.priority = priority_of(task);
	its.points = pages + adj * event.adj_unit;
	its.start = task->start_boottime;
	its.tgid = task->tgid;
	if (!first && !dies_before_worst(&its))
		return PASS_OVER;
	worst = its;
	worst_task = (__u64)task;
	return TAKE;
}

/* --- The hooks ---------------------------------------------------------- */

SEC("fentry/bpf_set_policy_name")
int BPF_PROG(begin, struct oom_control *oc)
{
	char name[16] = "cg_priority";
	struct fruitless *before;

	worst_task = 0;
	last.id = 0;
	event.oc = (__u64)oc;
	event.scope = oc->memcg ? oc->memcg->css.cgroup->kn->id : 0;
	event.adj_unit = oc->totalpages / 1000;
	event.sysrq = oc->order == ORDER_OF_SYSRQ;
	event.kernels_turn = 0;
	seen.events++;
	before = bpf_map_lookup_elem(&fruitless, &event.scope);
	if (before && before->kernels_turn) {
		before->kernels_turn = 0;
		event.kernels_turn = 1;
		seen.kernels_turns++;
		return 0;
	}
	set_oom_policy_name(oc, name, sizeof(name));
	return 0;
}

SEC("fmod_ret/bpf_oom_evaluate_task")
int BPF_PROG(evaluate, struct task_struct *task, struct oom_control *oc)
{
	struct task_struct *chosen = oc->chosen;
	int answer;

	if (event.oc != (__u64)oc || event.kernels_turn)
		return KERNEL_DECIDES;
	if ((__u64)chosen != worst_task) {
		/* Somebody else's choice, or none after all: compare with that. */
		worst_task = 0;
		if (chosen)
			judge(chosen, 1);
	}
	seen.asked++;
	answer = judge(task, !worst_task);
	if (answer == TAKE)
		seen.taken++;
	return answer;
}

SEC("tp_btf/select_bad_process_end")
int BPF_PROG(end, struct oom_control *oc)
{
	struct fruitless once = { .times = 1, .kernels_turn = 1 };
	struct fruitless *before;

	if (event.oc != (__u64)oc || event.kernels_turn)
		return 0;
	seen.fruitless_scans++;
	before = bpf_map_lookup_elem(&fruitless, &event.scope);
	if (before) {
		before->times++;
		before->kernels_turn = 1;
	} else {
		bpf_map_update_elem(&fruitless, &event.scope, &once, BPF_ANY);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
