"""A call through a shim is the call itself: arguments of every kind, in registers and on the stack, the
result, and a status where the library or the function is missing. Run by `cargo test`."""

import os
import pathlib
import platform
import subprocess
import tempfile
import unittest

import shims

ARGUMENTS = "int a,long b,double c,float d,void*e,int f,int g,double h,int i,long j,double k,double l," \
    "double m,double n,double o,double p,double q,int r"
LIBRARY = f"""
double mix({ARGUMENTS}) {{
    return a+b*2+c*3+d*4+(long)e*5+f*6+g*7+h*8+i*9+j*10+k*11+l*12+m*13+n*14+o*15+p*16+q*17+r*18;
}}
int seven(void) {{ return 7; }}
"""
PROGRAM = f"""
#include <stdio.h>
double mix({ARGUMENTS});
int seven(void);
int absent(void);
int main(void) {{
    for (int turn = 0; turn < 2; turn++)
        printf("%d %d %.1f\\n", seven(), absent(),
            mix(1,2,3.5,4.25f,(void*)5,6,7,8.5,9,10,11.5,12.5,13.5,14.5,15.5,16.5,17.5,18));
}}
"""


@unittest.skipUnless(platform.machine() == "x86_64", "the shims are for x86_64")
class Shims(unittest.TestCase):
    def test_calls_reach_the_library_and_fail_with_a_status_without_it(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for file, text in [("library.c", LIBRARY), ("program.c", PROGRAM)]:
                (folder / file).write_text(text)
            (folder / "lib").mkdir()
            library = folder / "lib/libfake.so.1"
            shims.run("cc", "-shared", "-fPIC", "-o", str(library), str(folder / "library.c"))
            names = shims.functions(folder, "fake", "libfake.so.1")
            self.assertLessEqual({"mix", "seven"}, set(names))
            listed = shims.functions
            shims.functions = lambda *_: ["absent", "mix", "seven"]
            try:
                self.assertEqual(shims.make(folder, folder, "fake", "libfake.so.1", 34), 3)
            finally:
                shims.functions = listed
            program = str(folder / "program")
            shims.run("cc", "-O2", "-o", program, str(folder / "program.c"), str(folder / "libfake.a"))

            found = os.environ | {"LD_LIBRARY_PATH": str(folder / "lib")}
            self.assertEqual(shims.run(program, env=found), "7 34 2164.5\n" * 2)
            missing = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
            for line in shims.run(program, env=missing).splitlines():
                self.assertEqual(line.split()[:2], ["34", "34"])


if __name__ == "__main__":
    unittest.main()
