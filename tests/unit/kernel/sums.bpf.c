/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include "types.h"

SEC("syscall")
int add(int *numbers)
{
	numbers[2] = numbers[0] + numbers[1];
	return 7;
}

char LICENSE[] SEC("license") = "GPL";
