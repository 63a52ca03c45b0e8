#!/usr/bin/env python3
# ---
# id: disk-report
# title: Tell which file systems are fuller than they should be
# interpreter: [/usr/bin/env, python3]
# os: [linux, macos]
# timeout: 30s
# parameters:
#   - name: limit
#     description: per cent that may be in use
#     type: int
#     pattern: '[1-9]?[0-9]'
#     default: 90
#   - name: path
#     description: a path on the file system to look at
#     type: path
#     default: /
#   - name: format
#     type: enum
#     values: [text, json]
#     default: text
# ---
"""Ends with 1 if the file system of a path is fuller than the limit."""

import json
import os
import shutil
import sys

path = os.environ["PARAM_PATH"]
limit = int(os.environ["PARAM_LIMIT"])
usage = shutil.disk_usage(path)
used = round(100 * (usage.total - usage.free) / usage.total)
if os.environ["PARAM_FORMAT"] == "json":
    print(json.dumps({"path": path, "used_percent": used, "limit": limit}))
else:
    print(f"{path}: {used} % used, limit {limit} %")
sys.exit(1 if used > limit else 0)
