"""What zipfile and its decompressors raise of a damaged zip file, beside OSError and ValueError.

A RuntimeError: of one that wants a password, or a compression that they do not know.
"""

import lzma
import zipfile
import zlib

DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, EOFError)
