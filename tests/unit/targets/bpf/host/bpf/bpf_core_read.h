/* CO-RE on the host: every type is as the program declares it. What cannot be read is 0. */
#define READ_1(p, a) ((p) ? (p)->a : 0)
#define READ_2(p, a, b) READ_1(READ_1(p, a), b)
#define READ_3(p, a, b, c) READ_1(READ_2(p, a, b), c)
#define PICK(_1, _2, _3, which, ...) which
#define BPF_CORE_READ(p, members...) PICK(members, READ_3, READ_2, READ_1)(p, members)

#define bpf_core_field_offset(type, member) __builtin_offsetof(type, member)
#define bpf_core_field_exists(field) 1
#define bpf_core_enum_value(type, value) (value)
