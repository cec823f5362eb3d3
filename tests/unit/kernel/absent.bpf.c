/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Attaches to a hook that no kernel has. */
#include "types.h"

SEC("fmod_ret/no_such_hook")
int evaluate(unsigned long long *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
