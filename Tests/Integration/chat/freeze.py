#!/usr/bin/env python3
"""Stops the threads of a process whose names begin with a prefix, and no others, until it is ended itself: a client library that hangs in a live server.

    freeze.py PID PREFIX

Prints how many it stopped. They go on when it ends. Threads that are made later run.
"""
import ctypes, os, sys

SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request, thread):
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(0), ctypes.c_void_p(0)) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace of thread {thread}")


pid, prefix = int(sys.argv[1]), sys.argv[2]
stopped = 0
for thread in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
    with open(f"/proc/{pid}/task/{thread}/comm") as name:
        if not name.read().startswith(prefix):
            continue
    ptrace(SEIZE, thread)
    ptrace(INTERRUPT, thread)
    stopped += 1
print(f"stopped {stopped}", flush=True)
# A thread that is killed meanwhile is gone only when its tracer has heard of it.
while stopped:
    _, status = os.waitpid(-1, WALL)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        stopped -= 1
