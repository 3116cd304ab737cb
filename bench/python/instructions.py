"""What the instructions of one message are spent on, function by function: callgrind counts two runs of different length, and the
difference leaves out whatever happens once. Outside the kernel, and whatever else the machine does."""

import collections
import re
import subprocess

#: Messages of the two runs.
FEW, MANY = 500, 2500
LINE = re.compile(r"\s*([\d,]+) .*?:(\S.*?)(?: \[.*\])?$")


def profile(command, folder, rows=40):
    """`command(count)` gives a client's; the total, and the functions with the most, with what they call and without."""
    few, many = (counted(command(count), folder / f"callgrind.{count}") for count in (FEW, MANY))
    print(f"{difference(few, many, False).total():,.0f} instructions a message")
    for title, inclusive in (("with what it calls", True), ("by itself", False)):
        print(f"\n{'':>9} {title}")
        for name, instructions in difference(few, many, inclusive).most_common(rows):
            print(f"{instructions:9,.0f} {name[:110]}")


def counted(command, out):
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    subprocess.run([*valgrind, *command], check=True, capture_output=True)
    return out


def difference(few, many, inclusive):
    few, many = functions(few, inclusive), functions(many, inclusive)
    return collections.Counter({name: (many[name] - few[name]) / (MANY - FEW) for name in many})


def functions(out, inclusive):
    annotate = ["callgrind_annotate", "--auto=no", "--threshold=100", "--show-percs=no", f"--inclusive={'yes' if inclusive else 'no'}", out]
    found = collections.Counter()
    for line in subprocess.run(annotate, check=True, capture_output=True, text=True).stdout.splitlines():
        if match := LINE.match(line):
            name, instructions = match[2].removesuffix("'2"), int(match[1].replace(",", ""))
            # A function that a call from itself reaches is listed twice, and the larger count has the other in it.
            found[name] = max(found[name], instructions) if inclusive else found[name] + instructions
    return found
