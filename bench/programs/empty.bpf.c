// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that decides nothing: what calling one costs, and what measuring it does. */

__attribute__((section("fmod_ret/bpf_oom_evaluate_task"), used))
int evaluate(void *ctx)
{
	return 0; /* NO_BPF_POLICY */
}

char LICENSE[] __attribute__((section("license"), used)) = "Dual BSD/GPL";
