/* An object that is not ours: its own maps, helpers and license. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_RINGBUF = 27 };

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct pair {
	__u32 a;
	__u32 b[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 7);
	__uint(key_size, 4);
	__type(value, struct pair);
} pairs SEC(".maps");

static __noinline int deep(int n)
{
	char text[100];

	bpf_get_current_comm(text, sizeof(text));
	return text[n & 63];
}

SEC("tracepoint/sched/sched_switch")
int on_switch(void *ctx)
{
	__u32 key = deep((long)ctx);
	struct pair *pair = bpf_map_lookup_elem(&pairs, &key);

	if (pair)
		bpf_ringbuf_output(&events, pair, sizeof(*pair), 0);
	return 0;
}

char LICENSE[] SEC("license") = "Proprietary";
