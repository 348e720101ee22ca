"""Makes the archives that a build with CUDA is linked with: libcuda.a, libcublas.a and so on.

A binary that names CUDA's libraries does not start where one of them is missing, so that not even
`--device cpu` would work there. Each archive made here has every function of its library as a jump
through a slot. The first call loads the library (`dlopen`, which looks into LD_LIBRARY_PATH) and fills
the slot; where the library or the function is missing, the call returns an error code of the library.

Usage: shims.py CUDA_HOME FOLDER    (needs cc, ar and nm; x86_64 only)
"""

import pathlib
import re
import subprocess
import sys

# Archive, library that is loaded, and the status that says that it could not be: CUDA_ERROR_STUB_LIBRARY,
# CUBLAS_STATUS_NOT_INITIALIZED, CURAND_STATUS_NOT_INITIALIZED, NVRTC_ERROR_INTERNAL_ERROR.
LIBRARIES = [
    ("cuda", "libcuda.so.1", 34),
    ("cublas", "libcublas.so.13", 1),
    ("cublasLt", "libcublasLt.so.13", 1),
    ("curand", "libcurand.so.10", 101),
    ("nvrtc", "libnvrtc.so.13", 11),
]

RESOLVER = r"""
#include <dlfcn.h>
#include <stddef.h>

extern void *hashdb_NAME_slots[];
extern void hashdb_NAME_missing(void);
static const char *const names[] = {NAMES};

__attribute__((visibility("hidden"))) void *hashdb_NAME_resolve(size_t index)
{
    void *library = dlopen("FILE", RTLD_NOW);
    void *found = library ? dlsym(library, names[index]) : NULL;
    if (found == NULL)
        found = (void *)hashdb_NAME_missing;
    __atomic_store_n(&hashdb_NAME_slots[index], found, __ATOMIC_RELAXED);
    return found;
}
"""

# The arguments of the call are kept while the library is loaded. A function is entered with the stack 8
# bytes off a multiple of 16; the index and seven registers keep it so, and 136 bytes put it right.
ENTRY = """
    .text
hashdb_NAME_missing:
    movl $STATUS, %eax
    ret
hashdb_NAME_enter:
    pushq %rax
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %r8
    pushq %r9
    subq $136, %rsp
SAVE
    movq 192(%rsp), %rdi
    call hashdb_NAME_resolve
    movq %rax, %r11
RESTORE
    addq $136, %rsp
    popq %r9
    popq %r8
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    popq %rax
    addq $8, %rsp
    jmp *%r11
"""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def functions(home, archive, library):
    """The functions of a library. That of the driver comes with the driver, so its header tells."""
    if archive == "cuda":
        # The preprocessor turns names into those of the newest versions, such as cuMemAlloc_v2.
        text = run("cc", "-E", "-P", str(home / "include/cuda.h"))
        return sorted(set(re.findall(r"\b(cu[A-Z]\w*)\s*\(", text)))
    table = run("nm", "-D", "--defined-only", str(home / "lib" / library))
    rows = (line.split() for line in table.splitlines())
    return sorted({row[2].split("@")[0] for row in rows if len(row) == 3 and row[1] in "TW"})


def assembly(archive, status, names):
    moves = [f"    movups %xmm{i}, {16 * i}(%rsp)" for i in range(8)]
    back = [f"    movups {16 * i}(%rsp), %xmm{i}" for i in range(8)]
    entry = ENTRY.replace("SAVE", "\n".join(moves)).replace("RESTORE", "\n".join(back))
    lines = [entry.replace("NAME", archive).replace("STATUS", str(status))]
    lines.append(f"    .globl hashdb_{archive}_slots, hashdb_{archive}_missing")
    lines.append(f"    .hidden hashdb_{archive}_slots, hashdb_{archive}_missing, hashdb_{archive}_resolve")
    for index, name in enumerate(names):
        lines.append(f"    .globl {name}\n    .hidden {name}\n    .type {name}, @function\n{name}:")
        lines.append(f"    jmp *hashdb_{archive}_slots+{8 * index}(%rip)")
        lines.append(f".Lfirst{index}:\n    pushq ${index}\n    jmp hashdb_{archive}_enter")
    lines.append(f"    .data\n    .balign 8\nhashdb_{archive}_slots:")
    lines.extend(f"    .quad .Lfirst{index}" for index in range(len(names)))
    lines.append('    .section .note.GNU-stack,"",@progbits\n')
    return "\n".join(lines)


def make(home, folder, archive, library, status):
    names = functions(home, archive, library)
    if not names:
        raise SystemExit(f"shims: no function found for {library} in {home}")
    listed = ",\n".join(f'"{name}"' for name in names)
    code = RESOLVER.replace("NAMES", listed).replace("NAME", archive).replace("FILE", library)
    sources = {"resolve.c": code, "jump.s": assembly(archive, status, names)}
    objects = []
    for name, text in sources.items():
        source = folder / f"{archive}-{name}"
        source.write_text(text)
        objects.append(str(source.with_suffix(".o")))
        run("cc", "-c", "-O1", "-fPIC", "-o", objects[-1], str(source))
    target = folder / f"lib{archive}.a"
    target.unlink(missing_ok=True)
    run("ar", "crs", str(target), *objects)
    return len(names)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    home, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for archive, library, status in LIBRARIES:
        count = make(home, folder, archive, library, status)
        print(f"shims: lib{archive}.a has {count} functions of {library}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"shims: {' '.join(error.cmd)}: {error.stderr.strip()}") from None
