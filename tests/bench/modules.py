# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benchmarks and the demonstration import: most of the standard library.

A tool that a person waits for (a package manager, a cloud's command line) imports a few
hundred modules before it says anything. The standard library has as many, on every
machine, so numbers from different machines can be compared: more than 300 source files
on Python 3.9 to 3.15. Left out is what does something when it is imported (this,
antigravity), what is deprecated and warns, and what distributions package apart.
"""

MODULES = """
argparse ast asyncio base64 bdb bz2 calendar cmd code codeop colorsys compileall
concurrent.futures.process concurrent.futures.thread configparser contextlib contextvars
copy cProfile csv ctypes.util curses.ascii curses.panel curses.textpad dataclasses
datetime dbm.dumb dbm.gnu dbm.ndbm decimal difflib dis doctest email.charset
email.contentmanager email.generator email.headerregistry email.iterators
email.mime.application email.mime.audio email.mime.image email.mime.message
email.mime.multipart email.mime.nonmultipart email.mime.text email.parser email.policy
encodings.ascii encodings.cp1252 encodings.cp437 encodings.hex_codec encodings.idna
encodings.iso8859_15 encodings.latin_1 encodings.punycode encodings.rot_13
encodings.unicode_escape encodings.utf_16 encodings.utf_32 encodings.utf_8_sig enum
filecmp fileinput fnmatch fractions ftplib functools getopt getpass gettext glob graphlib
gzip hashlib heapq hmac html.parser http.client http.cookiejar http.cookies http.server
imaplib importlib.abc importlib.machinery importlib.metadata importlib.resources
importlib.util inspect io ipaddress json.tool keyword linecache locale logging.config
logging.handlers lzma mailbox mimetypes modulefinder multiprocessing.dummy
multiprocessing.managers multiprocessing.pool multiprocessing.shared_memory
multiprocessing.sharedctypes netrc ntpath numbers opcode operator optparse pathlib pdb
pickle pickletools pkgutil platform plistlib poplib pprint pstats pty py_compile pyclbr
pydoc queue quopri random re readline reprlib rlcompleter runpy sched secrets selectors
shelve shlex shutil signal smtplib socket socketserver sqlite3.dbapi2 sqlite3.dump ssl
statistics string stringprep struct subprocess symtable sysconfig tabnanny tarfile
tempfile textwrap threading timeit token tokenize trace traceback tracemalloc tty types
typing unittest.async_case unittest.mock urllib.error urllib.parse urllib.request
urllib.response urllib.robotparser uuid venv warnings wave weakref webbrowser
wsgiref.handlers wsgiref.headers wsgiref.simple_server wsgiref.util wsgiref.validate
xml.dom.domreg xml.dom.expatbuilder xml.dom.minidom xml.dom.pulldom xml.dom.xmlbuilder
xml.etree.ElementInclude xml.etree.ElementTree xml.sax.expatreader xml.sax.handler
xml.sax.saxutils xml.sax.xmlreader xmlrpc.client xmlrpc.server zipapp zipfile zipimport
zoneinfo
""".split()

# For python3 -c. A module that this version or this build lacks is no error.
IMPORT_ALL = f"""\
for name in {" ".join(MODULES)!r}.split():
    try:
        __import__(name)
    except ImportError:
        pass
"""
