"""Prints a capture of N different swaps, with each strategy in turn: python3 swaps.py N."""

import json
import sys

from captures import line, request, swap

for number in range(1, int(sys.argv[1]) + 1):
    strategy = ("copy", "rebase")[number % 2]
    print(json.dumps(line(request("swap_volume", swap(number, options={"strategy": strategy})))))
