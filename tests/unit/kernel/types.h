/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What bpf_helpers.h expects of linux/types.h, without the kernel's headers. */
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16, __be16, __sum16;
typedef int __s32;
typedef unsigned int __u32, __be32, __wsum;
typedef long long __s64;
typedef unsigned long long __u64;
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))
