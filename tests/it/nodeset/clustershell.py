"""Answers questions about node sets with ClusterShell itself.

One question a line on stdin, one answer a line on stdout, both JSON.
["expand", EXPRESSION]    the sorted names, or null if it is refused
["fold", [NAME, ...]]     the folded expression
The first line is {"hosts": EXPRESSION, "groups": {NAME: EXPRESSION}}.
"""

import json
import sys

import ClusterShell
from ClusterShell.NodeSet import NodeSet
from ClusterShell.NodeUtils import GroupResolver, GroupSource


def main():
    world = json.loads(sys.stdin.readline())
    source = GroupSource("test", world["groups"], world["hosts"])
    resolver = GroupResolver(source)
    for line in sys.stdin:
        verb, question = json.loads(line)
        print(json.dumps(answer(verb, question, resolver)))
    print(json.dumps(ClusterShell.__version__))


def answer(verb, question, resolver):
    if verb == "fold":
        return str(NodeSet.fromlist(question, resolver=resolver))
    try:
        return sorted(NodeSet(question, resolver=resolver))
    except Exception:
        return None


main()
