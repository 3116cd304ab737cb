"""Runs a program as it stands, under asyncio or uvloop, with its log on standard error: run.py LOOP PROGRAM."""

import asyncio
import logging
import runpy
import sys

loop, program = sys.argv[1:]
if loop == "uvloop":
    import uvloop

    # The policy alone makes no loop: uvloop's does not, unlike asyncio's.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.set_event_loop(asyncio.new_event_loop())
logging.basicConfig(level=logging.INFO)
runpy.run_path(program, run_name="__main__")
