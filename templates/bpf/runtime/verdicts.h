// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
enum verdict {
	LEAVE_TO_KERNEL = 0, /* NO_BPF_POLICY */
	END_SCAN = 1, /* BPF_EVAL_ABORT */
	SKIP = 2, /* BPF_EVAL_NEXT */
	SELECT = 3, /* BPF_EVAL_SELECT */
	RANK = 4,
};

/* Why a task is no candidate. The kernel's own guards, which a policy would otherwise bypass. */
enum guard {
	NO_GUARD = 0,
	OOM_SCORE_ADJ_MIN, /* oom_score_adj is -1000 */
	NO_MM, /* no thread has a memory map */
	OOM_REAPED, /* MMF_OOM_SKIP: its memory is gone already */
	IN_VFORK, /* it borrows its parent's memory */
	VICTIM, /* it is dying already and will free memory soon */
	GLOBAL_INIT, /* the kernel never kills pid 1 ... */
	KERNEL_THREAD, /* ... nor a kernel thread */
	OUTSIDE, /* not in the cgroup that ran out */
	NR_GUARDS,
};
