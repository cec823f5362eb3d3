"""libbpf's C interface, as far as it is used here, through cffi.

Out: `bindings()`: the library opened once, with its messages caught instead of printed.

ABI mode: no C compiler at run time. The declarations are those of libbpf 1.0, checked against 1.1; structures
that libbpf or the kernel may extend carry their size, so newer ones work too. Header files: bpf/libbpf.h,
bpf/bpf.h, linux/bpf.h. cffi is imported here at the first call, because most commands never need it.
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oomlang.diagnostics import EnvironmentLacks

MINIMUM_VERSION = (1, 0)
_MEND = "install libbpf 1.0 or newer (Debian, Ubuntu: libbpf1; Fedora, RHEL: libbpf; Arch: libbpf)"

_DECLARATIONS = """
typedef unsigned int __u32;
typedef unsigned long long __u64;

/* va_list: passed as a pointer by the ABI of every machine that matters here (x86-64, arm64, s390x, riscv64,
   ppc64le), and given on to vsnprintf() unopened. */
typedef int (*libbpf_print_fn_t)(int level, const char *format, void *arguments);
int vsnprintf(char *buffer, size_t size, const char *format, void *arguments);

libbpf_print_fn_t libbpf_set_print(libbpf_print_fn_t fn);
__u32 libbpf_major_version(void);
__u32 libbpf_minor_version(void);
int libbpf_strerror(int err, char *buf, size_t size);
const char *libbpf_bpf_prog_type_str(int type);
const char *libbpf_bpf_map_type_str(int type);
const char *libbpf_bpf_link_type_str(int type);
const char *libbpf_bpf_attach_type_str(int type);

struct bpf_object; struct bpf_program; struct bpf_map; struct bpf_link;

struct bpf_object_open_opts {
    size_t sz;
    const char *object_name;
    _Bool relaxed_maps;
    const char *pin_root_path;
    __u32 reserved;
    const char *kconfig;
    const char *btf_custom_path;
    char *kernel_log_buf;
    size_t kernel_log_size;
    __u32 kernel_log_level;
};

struct bpf_object *bpf_object__open_mem(const void *image, size_t size,
                                        const struct bpf_object_open_opts *opts);
int bpf_object__load(struct bpf_object *obj);
void bpf_object__close(struct bpf_object *obj);
struct bpf_program *bpf_object__next_program(const struct bpf_object *obj, struct bpf_program *prog);
struct bpf_map *bpf_object__next_map(const struct bpf_object *obj, const struct bpf_map *map);
struct bpf_map *bpf_object__find_map_by_name(const struct bpf_object *obj, const char *name);

const char *bpf_program__name(const struct bpf_program *prog);
const char *bpf_program__section_name(const struct bpf_program *prog);
int bpf_program__type(const struct bpf_program *prog);
size_t bpf_program__insn_cnt(const struct bpf_program *prog);
int bpf_program__fd(const struct bpf_program *prog);
int bpf_program__set_autoload(struct bpf_program *prog, _Bool autoload);
int bpf_program__set_log_level(struct bpf_program *prog, __u32 log_level);
int bpf_program__set_log_buf(struct bpf_program *prog, char *log_buf, size_t log_size);
int bpf_program__pin(struct bpf_program *prog, const char *path);
struct bpf_link *bpf_program__attach(const struct bpf_program *prog);

const char *bpf_map__name(const struct bpf_map *map);
int bpf_map__type(const struct bpf_map *map);
__u32 bpf_map__key_size(const struct bpf_map *map);
__u32 bpf_map__value_size(const struct bpf_map *map);
__u32 bpf_map__max_entries(const struct bpf_map *map);
_Bool bpf_map__is_internal(const struct bpf_map *map);
int bpf_map__fd(const struct bpf_map *map);
int bpf_map__reuse_fd(struct bpf_map *map, int fd);
int bpf_map__set_initial_value(struct bpf_map *map, const void *data, size_t size);
const void *bpf_map__initial_value(struct bpf_map *map, size_t *psize);
int bpf_map__pin(struct bpf_map *map, const char *path);

int bpf_link__fd(const struct bpf_link *link);
int bpf_link__pin(struct bpf_link *link, const char *path);
int bpf_link__destroy(struct bpf_link *link);

int bpf_obj_get(const char *path);
int bpf_obj_pin(int fd, const char *path);
int bpf_map_create(int map_type, const char *map_name, __u32 key_size, __u32 value_size, __u32 max_entries,
                   const void *opts);
int libbpf_find_vmlinux_btf_id(const char *name, int attach_type);
int bpf_map_lookup_elem(int fd, const void *key, void *value);
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int bpf_map_delete_elem(int fd, const void *key);
int bpf_map_get_next_key(int fd, const void *key, void *next_key);
int bpf_map_freeze(int fd);
int bpf_iter_create(int link_fd);
int bpf_enable_stats(int type);
int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *info_len);
int bpf_prog_get_fd_by_id(__u32 id);
int bpf_map_get_fd_by_id(__u32 id);
int bpf_link_get_fd_by_id(__u32 id);
int bpf_prog_get_next_id(__u32 start_id, __u32 *next_id);
int bpf_map_get_next_id(__u32 start_id, __u32 *next_id);
int bpf_link_get_next_id(__u32 start_id, __u32 *next_id);

struct bpf_test_run_opts {
    size_t sz;
    const void *data_in;
    void *data_out;
    __u32 data_size_in;
    __u32 data_size_out;
    const void *ctx_in;
    void *ctx_out;
    __u32 ctx_size_in;
    __u32 ctx_size_out;
    __u32 retval;
    int repeat;
    __u32 duration;
    __u32 flags;
    __u32 cpu;
    __u32 batch_size;
};
int bpf_prog_test_run_opts(int prog_fd, struct bpf_test_run_opts *opts);

struct bpf_prog_info {
    __u32 type, id;
    unsigned char tag[8];
    __u32 jited_prog_len, xlated_prog_len;
    __u64 jited_prog_insns, xlated_prog_insns, load_time;
    __u32 created_by_uid, nr_map_ids;
    __u64 map_ids;
    char name[16];
    __u32 ifindex, gpl_compatible;
    __u64 netns_dev, netns_ino;
    __u32 nr_jited_ksyms, nr_jited_func_lens;
    __u64 jited_ksyms, jited_func_lens;
    __u32 btf_id, func_info_rec_size;
    __u64 func_info;
    __u32 nr_func_info, nr_line_info;
    __u64 line_info, jited_line_info;
    __u32 nr_jited_line_info, line_info_rec_size, jited_line_info_rec_size, nr_prog_tags;
    __u64 prog_tags, run_time_ns, run_cnt, recursion_misses;
    __u32 verified_insns, attach_btf_obj_id, attach_btf_id, padding;
};

struct bpf_map_info {
    __u32 type, id, key_size, value_size, max_entries, map_flags;
    char name[16];
    __u32 ifindex, btf_vmlinux_value_type_id;
    __u64 netns_dev, netns_ino;
    __u32 btf_id, btf_key_type_id, btf_value_type_id, padding;
    __u64 map_extra;
};

struct bpf_link_info {
    __u32 type, id, prog_id, padding;
    union {
        struct { __u32 attach_type, target_obj_id, target_btf_id; } tracing;
        struct { __u64 name; __u32 name_len; } target; /* iter and raw_tracepoint begin alike */
        struct { __u32 map_id; } struct_ops;
        __u64 room[6];
    };
};
"""


class LibbpfError(Exception):
    """A call of libbpf or the kernel failed.

    `action`: what was tried, in words; `errno`: positive; `messages`: what libbpf said about it, oldest
    first.
    """

    def __init__(self, action: str, *, errno: int, messages: tuple[str, ...] = (), words: str = "") -> None:
        self.action = action
        self.errno = errno
        self.messages = messages
        super().__init__("\n".join((f"cannot {action}: {words or os.strerror(errno)}", *messages)))


class VerifierRefusal(LibbpfError):
    """The kernel refused a program. `program` is its name; `log` the verifier's own log, not empty."""

    def __init__(self, action: str, *, errno: int, messages: tuple[str, ...], program: str, log: str) -> None:
        super().__init__(action, errno=errno, messages=messages)
        self.program = program
        self.log = log


class Bindings:
    """The opened library: `ffi`, `lib`, and the messages of the calls that are going on."""

    def __init__(self, ffi: Any, lib: Any, libc: Any) -> None:
        self.ffi = ffi
        self.lib = lib
        self.version = (int(lib.libbpf_major_version()), int(lib.libbpf_minor_version()))
        self._libc = libc
        self._messages: list[str] = []
        # libbpf keeps a pointer to the callback for as long as it lives: so does this object, which is
        # cached.
        self._callback = ffi.callback("libbpf_print_fn_t", self._note)
        lib.libbpf_set_print(self._callback)

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Within it, the list that libbpf's warnings are added to. Without it they are dropped."""
        outer, self._messages = self._messages, []
        try:
            yield self._messages
        finally:
            self._messages = outer

    def check(self, result: int, action: str) -> int:
        """`result` where it is no error. Errors: as `failure` makes them."""
        if result < 0:
            raise self.failure(action, -result)
        return result

    def check_pointer(self, pointer: Any, action: str) -> Any:
        """`pointer` where it is not NULL. Errors: as `failure` makes them."""
        code = self.ffi.errno
        if pointer == self.ffi.NULL:
            raise self.failure(action, code)
        return pointer

    def failure(self, action: str, code: int) -> Exception:
        """The exception for a failed call: `EnvironmentLacks` for missing privileges, else `LibbpfError`."""
        if code in (errno.EPERM, errno.EACCES):
            from oomlang.kernel.probe import why_not_permitted

            lacks = why_not_permitted(action)
            if lacks is not None:
                return lacks
        # libbpf has error numbers of its own, from 4000.
        words = self.ffi.new("char[]", 256)
        self.lib.libbpf_strerror(code, words, len(words))
        return LibbpfError(action, errno=code, messages=tuple(self._messages), words=self.text(words))

    def text(self, pointer: Any) -> str:
        """A C string; empty for NULL."""
        return (
            "" if pointer == self.ffi.NULL else self.ffi.string(pointer).decode("utf-8", "backslashreplace")
        )

    def _note(self, level: int, format_: Any, arguments: Any) -> int:
        if level > 0:  # LIBBPF_WARN is 0; information and debugging output are not for users
            return 0
        buffer = self.ffi.new("char[]", 4096)
        self._libc.vsnprintf(buffer, len(buffer), format_, arguments)
        message = self.text(buffer).rstrip()
        if message:
            self._messages.append(message)
        return 0


@functools.cache
def bindings() -> Bindings:
    """The library, opened at the first call. Errors: `EnvironmentLacks` where it is missing or too old."""
    try:
        cffi = importlib.import_module("cffi")
    except ImportError as exc:
        raise EnvironmentLacks(
            "loading BPF programs needs the Python package cffi", mend="install it: pip install cffi"
        ) from exc
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        lib = ffi.dlopen("libbpf.so.1")
        libc = ffi.dlopen(None)
    except OSError as exc:
        raise EnvironmentLacks(
            f"loading BPF programs needs libbpf, and it cannot be opened: {exc}", mend=_MEND
        ) from exc
    version = (lib.libbpf_major_version(), lib.libbpf_minor_version())
    if version < MINIMUM_VERSION:
        raise EnvironmentLacks(f"libbpf {version[0]}.{version[1]} is too old", mend=_MEND)
    return Bindings(ffi, lib, libc)
