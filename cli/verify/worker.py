# SPDX-License-Identifier: GPL-2.0-or-later
#
# What canonfs verify runs in each interpreter: compiles sources and hands the bytecode
# back. It neither loads bytecode nor runs code of anybody's; the comparison is done outside.
# For Python 2.7, 3.2 and later, and PyPy. Runs with -c and without site-packages, so what it
# imports is what every interpreter has built in or in its own library.
#
# On standard output, first of all, the magic (4 bytes). Then, for each request on standard
# input, an answer; numbers are 4 bytes, little-endian:
#
#	request: optimisation level, length, the source
#	answer:  0, length, the marshalled code object
#	         1, length, what is wrong with the source, as text
#
# Python 2 has no parameter for the level: there the program itself runs with -O or -OO.
import marshal
import sys

try:
    from _frozen_importlib_external import MAGIC_NUMBER
except ImportError:
    import imp
    MAGIC_NUMBER = imp.get_magic()

requests = getattr(sys.stdin, "buffer", sys.stdin)
answers = getattr(sys.stdout, "buffer", sys.stdout)


def number(data):
    low, b, c, high = bytearray(data)
    return low | b << 8 | c << 16 | high << 24


def packed(n):
    return bytes(bytearray((n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24 & 255)))


def compiled(source, level):
    # The name does not matter, as long as it is the same in all of the code.
    if sys.version_info < (3, 2):
        return compile(source, "source.py", "exec", 0, True)
    return compile(source, "source.py", "exec", 0, True, level)


def answer(source, level):
    try:
        return 0, marshal.dumps(compiled(source, level))
    except Exception as error:
        text = "%s: %s" % (type(error).__name__, error)
        return 1, text.encode("ascii", "backslashreplace")[:200]


def send(*parts):
    for part in parts:
        answers.write(part)
    answers.flush()


send(MAGIC_NUMBER)
while True:
    head = requests.read(8)
    if len(head) < 8:
        break
    status, data = answer(requests.read(number(head[4:])), number(head[:4]))
    send(packed(status), packed(len(data)), data)
