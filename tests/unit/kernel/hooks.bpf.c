/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Needs what no kernel has: a hook, a tracepoint, a kfunc, a field. Never loaded. */
#include "types.h"

struct oom_control { unsigned long long totalpages; int no_such_member; } CORE;
struct oom_control___guarded { int no_such_member_either; } CORE;

extern void no_such_kfunc(struct oom_control *oc, const char *name, unsigned long name__sz) __ksym;
extern void no_such_weak_kfunc(struct oom_control *oc) __ksym __weak;
extern void bpf_rcu_read_lock(int surplus) __ksym;

static __attribute__((noinline)) int only_where_it_exists(struct oom_control *oc)
{
	return ((struct oom_control___guarded *)oc)->no_such_member_either;
}

SEC("fmod_ret/no_such_hook")
int evaluate(unsigned long long *ctx)
{
	struct oom_control *oc = (void *)ctx[1];

	if (bpf_core_field_exists(((struct oom_control___guarded *)oc)->no_such_member_either))
		return only_where_it_exists(oc);
	if (oc->totalpages > 7)
		return oc->no_such_member;
	return 0;
}

SEC("fentry/out_of_memory")
int name(unsigned long long *ctx)
{
	no_such_kfunc((void *)ctx[0], "x", 2);
	no_such_weak_kfunc((void *)ctx[0]);
	bpf_rcu_read_lock(1);
	return 0;
}

SEC("tp_btf/no_such_tracepoint")
int end(unsigned long long *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
