/* Programs on the host are functions. */
#define BPF_PROG(name, args...) name(args)
