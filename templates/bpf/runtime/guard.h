// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#define MMF_OOM_SKIP 21
#define MAX_THREADS 1024 /* that are looked at for a memory map */
enum { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES };

/*
 * Two ways to read a field. LOAD goes through a pointer whose type the verifier
 * knows: one instruction, with a fault handler. PROBE is for an address that is
 * a mere number to the verifier, as it is behind container_of().
 */
#define LOAD(p, field) ((p)->field)
#define PROBE(p, field) BPF_CORE_READ(p, field)

/*
 * Macros, because CO-RE relocates an array's index only where it is a
 * constant, and because LOAD keeps its pointer's type only in place. The
 * verifier of the kernels before 6.2 does not look into an array of typedefs,
 * which their counters are: those are probed.
 */
#define MM_PAGES(READ, mm, member)								\
	maximum(bpf_core_field_exists((mm)->rss_stat[0].count) ?				\
		READ(mm, rss_stat[member].count) :						\
		PROBE((struct mm_struct___before_6_2 *)(mm), rss_stat.count[member].counter), 0)

#define MM_FLAGS(READ, mm)									\
	(bpf_core_field_exists(((struct mm_struct___bitmap *)(mm))->flags.__mm_flags) ?		\
	 READ((struct mm_struct___bitmap *)(mm), flags.__mm_flags[0]) : READ(mm, flags))

#define MM_OOM_SKIP(READ, mm) (MM_FLAGS(READ, mm) >> MMF_OOM_SKIP & 1)

/* What a memory map holds: pages, but bytes of page tables. */
struct memory {
	s64 file, anon, swap, shmem;
	u64 pgtables, total_vm;
};

#define READ_MEMORY(READ, mm)									\
	((struct memory){									\
		.file = MM_PAGES(READ, mm, MM_FILEPAGES),					\
		.anon = MM_PAGES(READ, mm, MM_ANONPAGES),					\
		.swap = MM_PAGES(READ, mm, MM_SWAPENTS),					\
		.shmem = MM_PAGES(READ, mm, MM_SHMEMPAGES),					\
		.pgtables = READ(mm, pgtables_bytes.counter), .total_vm = READ(mm, total_vm) })

/* What judge_threads() has read. */
struct memory threads_memory;

/*
 * The guards that ask about the memory map, for a process whose leader has none:
 * it may have exited while its threads hold all the memory. As in
 * find_lock_task_mm(), the first thread that has a map stands for all.
 *
 * Functions that are not static are verified once, on their own, and not again
 * for every call; what they take has to be plain numbers for that.
 */
__noinline int judge_threads(u64 signal)
{
	struct list_head *head =
		(void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	struct list_head *node = PROBE(head, next);
	struct mm_struct *mm = NULL;
	struct task_struct *thread;
	int i;

	for (i = 0; i < MAX_THREADS && node != head; i++) {
		thread = (void *)node - bpf_core_field_offset(thread->thread_node);
		mm = PROBE(thread, mm);
		if (mm)
			break;
		node = PROBE(node, next);
	}
	if (!mm)
		return NO_MM;
	if (MM_OOM_SKIP(PROBE, mm))
		return OOM_REAPED;
	if (PROBE(thread, vfork_done) && BPF_CORE_READ(thread, real_parent, mm) == mm)
		return IN_VFORK;
	threads_memory = READ_MEMORY(PROBE, mm);
	return PROBE(thread, mm) == mm ? NO_GUARD : NO_MM;
}

/*
 * The task's memory, or why it is no candidate. `sysrq`: a person asked for the kill.
 *
 * Nothing holds the memory map meanwhile. A task lets go of its map only after
 * task->mm has changed (exit_mm(), exec_mmap()), so where it still is the same
 * after all has been read, it was the task's own all the time. A map that went
 * away may have been anything: then the threads are asked again.
 */
static __always_inline int guard(struct task_struct *task, bool sysrq, struct memory *memory)
{
	struct mm_struct *oom_mm = task->signal->oom_mm;
	struct mm_struct *mm;
	int why;

	if (oom_mm && !sysrq)
		return MM_OOM_SKIP(LOAD, oom_mm) ? OOM_REAPED : VICTIM;
	if (task->signal->oom_score_adj == -1000)
		return OOM_SCORE_ADJ_MIN;
	mm = task->mm;
	if (mm) {
		if (MM_OOM_SKIP(LOAD, mm))
			return OOM_REAPED;
		if (task->vfork_done && task->real_parent->mm == mm)
			return IN_VFORK;
		*memory = READ_MEMORY(LOAD, mm);
		barrier();
		if (task->mm == mm)
			return NO_GUARD;
	}
	why = judge_threads((u64)PROBE(task, signal));
	*memory = threads_memory;
	return why;
}
