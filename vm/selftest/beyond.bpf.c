// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Says that its buffer is larger than it is: the verifier must refuse it. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct oom_control { int unused; } __attribute__((preserve_access_index));

extern void set_oom_policy_name(struct oom_control *oc, const char *src, __u64 src__sz) __ksym;

SEC("fentry/bpf_set_policy_name")
int BPF_PROG(name_policy, struct oom_control *oc)
{
	char name[8] = "abc";

	set_oom_policy_name(oc, name, 4096);
	return 0;
}
