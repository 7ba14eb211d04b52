# SPDX-License-Identifier: GPL-2.0-or-later
"""What canonfs explain --ask runs in an interpreter (2.7, 3.4 and later, PyPy): it looks for
modules and loads their code, but runs none of it. Standard input has pairs of a folder and a
module's name, each ended by a NUL byte; cli/python/ask.c tells what comes back."""
import os
import sys

sys.path = [path for path in sys.path if path]
encode = getattr(os, 'fsencode', lambda text: text)
decode = getattr(os, 'fsdecode', lambda text: text)
if sys.version_info[0] > 2:
    from importlib import machinery, util
else:
    import imp


def say(*words):
    sys.stderr.write('canonfs-ask ' + ' '.join(words) + '\n')
    sys.stderr.flush()


def as_hex(path):
    return ''.join('%02x' % byte for byte in bytearray(encode(path)))


def find(folder, stem):
    """The loader of a module; a name with a dot is a file's that only a path leads to."""
    if '.' not in stem:
        spec = machinery.PathFinder.find_spec(stem, [folder])
        return spec and spec.loader
    path = os.path.join(folder, stem + '.py')
    return machinery.SourceFileLoader(stem, path) if os.path.isfile(path) else None


def ask(folder, stem):
    """3.4 and later: get_code() does all that an import does with bytecode."""
    loader = find(folder, stem)
    if not hasattr(loader, 'get_data'):
        return ['none', '-', '-', '-', 'ImportError']
    path = loader.get_filename(stem)
    is_source = hasattr(loader, 'path_stats')
    looked = util.cache_from_source(path) if is_source else path
    read, compiled, error = [], [], '-'
    get_data, to_code = loader.get_data, getattr(loader, 'source_to_code', None)
    def record_read(what):
        read.append(what)
        return get_data(what)
    def record_compile(*arguments, **options):
        compiled.append(1)
        return to_code(*arguments, **options)
    loader.get_data, loader.source_to_code = record_read, record_compile
    try:
        if loader.get_code(stem) is None:
            error = 'ImportError'
    except BaseException as problem:
        error = type(problem).__name__
    return ['source' if is_source else 'bytecode', as_hex(looked),
            str(int(is_source and path in read)), str(len(compiled)), error]


class Stop(BaseException):
    """The code was loaded, and would be run now."""


def stop(frame, event, argument):
    raise Stop


def ask2(folder, stem):
    """2.7: only an import looks at bytecode; no Python function may be called here once the
    trace function is set."""
    path = os.path.join(folder, stem + '.py')
    looked = path + (sys.flags.optimize and 'o' or 'c')
    if not os.access(path, os.R_OK) and not os.access(looked, os.R_OK):
        return ['none', '-', '-', '-', 'ImportError']
    kind = os.access(path, os.R_OK) and 'source' or 'bytecode'
    if kind == 'source' and not os.path.isfile(path):
        kind = 'irregular'
    package = sys.modules['canonfs_asks'] = imp.new_module('canonfs_asks')
    package.__path__ = [folder]
    load, arguments, error = __import__, ['canonfs_asks.' + stem], '-'
    if '.' in stem:
        load, arguments = imp.load_source, ['canonfs_dotted', path]
    sys.settrace(stop)
    try:
        load(*arguments)
    except Stop:
        pass
    except BaseException:
        error = sys.exc_info()[0].__name__
    sys.settrace(None)
    return [kind, as_hex(looked), '-', '-', error]


data = b''
while True:
    part = os.read(0, 65536)
    if not part:
        break
    data += part
words = [decode(word) for word in data.split(b'\0')[:-1]]
for number in range(len(words) // 2):
    say('begin', str(number))
    answer = (ask if sys.version_info[0] > 2 else ask2)(*words[2 * number:2 * number + 2])
    say('end', str(number), *answer)
sys.stderr.flush()
os._exit(0)
