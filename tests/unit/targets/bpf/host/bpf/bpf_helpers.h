/* BPF's helpers on the host: memory is just memory, a map is a list. For programs that the tests run in user space. */
#include <stdlib.h>
#include <string.h>

#define SEC(name)
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __ksym
#define barrier() asm volatile("" ::: "memory")
#define barrier_var(var) asm volatile("" : "+r"(var))

static inline long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

/* What lies behind the end of the string stays as it was, as in strncpy_from_kernel_nofault(). */
static inline long bpf_probe_read_kernel_str(void *to, __u32 size, const void *from)
{
	__u32 length;

	if (!from) {
		memset(to, 0, size);
		return -14; /* EFAULT */
	}
	length = strnlen(from, size - 1);
	memcpy(to, from, length);
	((char *)to)[length] = 0;
	return length + 1;
}

struct entry {
	struct entry *next;
	const void *map;
	__u64 key;
	char value[];
};

static struct entry *entries;

static inline void *bpf_map_lookup_elem(const void *map, const void *key)
{
	struct entry *entry;

	for (entry = entries; entry; entry = entry->next)
		if (entry->map == map && entry->key == *(const __u64 *)key)
			return entry->value;
	return 0;
}

static inline long update(const void *map, const void *key, const void *value, __u32 size)
{
	struct entry *entry = malloc(sizeof(*entry) + size);

	entry->next = entries;
	entry->map = map;
	entry->key = *(const __u64 *)key;
	memcpy(entry->value, value, size);
	entries = entry;
	return 0;
}

#define bpf_map_update_elem(map, key, value, flags) update(map, key, value, sizeof(*(value)))

static inline __u64 bpf_ktime_get_boot_ns(void)
{
	return 0;
}

static inline __u64 bpf_get_current_pid_tgid(void)
{
	return 0;
}

static inline long bpf_seq_write(void *seq, const void *data, __u32 size)
{
	return 0;
}
