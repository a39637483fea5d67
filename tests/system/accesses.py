"""Lets a test act each time that somebody opens or reads a file (fanotify, which root may use)."""
import ctypes
import os
import select
import struct
import threading

CLASS_CONTENT, CLOEXEC, MARK_ADD, ALLOW, NO_FOLDER = 4, 1, 1, 1, -100
OPEN_PERM, ACCESS_PERM = 0x10000, 0x20000
EVENT, ANSWER = struct.Struct("=IBBHQii"), struct.Struct("=iI")
LIBC = ctypes.CDLL(None, use_errno=True)


class Cannot(Exception):
    """Why accesses cannot be watched here."""


def check(value, what):
    if value < 0:
        raise Cannot(f"{what}: {os.strerror(ctypes.get_errno())}")
    return value


class Watch:
    """with Watch(paths, act) as w: a program that opens or reads one of the paths waits until
    act(path, number) is done, which must not read it; number: of the accesses to that file, from 1.
    Afterwards w.counts: by path. Those of the process itself do not count."""

    def __init__(self, paths, act=lambda path, number: None):
        self.act, self.counts = act, dict.fromkeys(paths, 0)
        found = [(os.stat(path), path) for path in paths]
        self.paths = {(info.st_dev, info.st_ino): path for info, path in found}

    def __enter__(self):
        self.watch = check(LIBC.fanotify_init(CLASS_CONTENT | CLOEXEC, os.O_RDONLY), "fanotify_init")
        try:
            for path in self.counts:
                check(LIBC.fanotify_mark(self.watch, MARK_ADD,
                                         ctypes.c_uint64(OPEN_PERM | ACCESS_PERM), NO_FOLDER,
                                         os.fsencode(path)), "fanotify_mark")
        except Cannot:
            os.close(self.watch)
            raise
        self.wake, self.end = os.pipe()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self):
        while True:
            ready = select.select([self.watch, self.wake], [], [])[0]
            if self.watch not in ready:
                return
            events = os.read(self.watch, 4096)
            for place in range(0, len(events), EVENT.size):
                fd, process = EVENT.unpack_from(events, place)[5:]
                info = os.fstat(fd)
                path = self.paths.get((info.st_dev, info.st_ino))
                if path is not None and process != os.getpid():
                    self.counts[path] += 1
                    self.act(path, self.counts[path])
                os.write(self.watch, ANSWER.pack(fd, ALLOW))
                os.close(fd)

    def __exit__(self, *_):
        os.write(self.end, b"x")
        self.thread.join()
        for fd in (self.wake, self.end, self.watch):
            os.close(fd)


class Changing(Watch):
    """Writes the bytes at the offset right before the access number `at` to the path."""

    def __init__(self, path, at, offset, content):
        self.own = os.open(path, os.O_WRONLY)
        super().__init__([path], lambda _, number: number == at and os.pwrite(self.own, content, offset))

    def __exit__(self, *_):
        super().__exit__()
        os.close(self.own)
