"""Checks an exported proof of a request without a database and without this system running:

    python -m approvals.proof proof.json [--expect DIGEST]

A proof holds what was asked for, the people each level asked as it was frozen, and every action in a hash chain.
Accepted is only a file that is to the byte what was exported, whose content has the digest that was decided over,
whose chain is whole, and whose decisions, replayed level by level, lead to the state it names. Whoever can rewrite
all of it can make another chain; the digest of the last action is therefore in the sealed audit trail too: `--expect`
compares with one kept elsewhere.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from approvals import chain
from approvals.core.levels import Level, NotAsked, Vote, VotedBefore, agree, current

FORMAT = "approval-proof/1"
ENDS = {"cancel": "canceled", "expire": "expired", "supersede": "superseded"}


class Unsound(Exception):
    """Why a proof is refused."""


def rendered(document: Mapping) -> str:
    """The one spelling of a proof, with its seal."""
    bare = {name: value for name, value in document.items() if name != "seal"}
    return _spelled(bare | {"seal": chain.sha256(_spelled(bare))})


def check(text: str, *, expect: str = "") -> dict:
    """The proof, if it is sound. Raises Unsound, whatever the text is."""
    try:
        proof = json.loads(text)
        if not isinstance(proof, dict) or proof.get("format") != FORMAT:
            raise Unsound(f"it is not of the format {FORMAT}")
        if rendered(proof) != text:
            raise Unsound("it is not the file that was exported")
        _require_sound(proof["request"], proof["actions"], expect)
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Unsound("it is not shaped like a proof") from error
    return proof


def _require_sound(request: Mapping, actions: Sequence[Mapping], expect: str) -> None:
    if chain.content_digest(request["content"]) != request["digest"]:
        raise Unsound("the content is not the one that was decided over")
    if fault := chain.first_fault(request["id"], request["digest"], actions):
        raise Unsound(fault)
    if expect and actions[-1]["digest"] != expect:
        raise Unsound("the last action is not the expected one")
    if (state := replayed(actions, request["digest"])) != request["state"]:
        raise Unsound(f"the actions lead to '{state}', not to '{request['state']}'")


def replayed(actions: Sequence[Mapping], digest: str) -> str:
    """The state that the actions lead to, by the levels frozen in the first one. Raises Unsound."""
    frozen = json.loads(actions[0]["detail"])
    levels = [Level(frozenset(level["approvers"]), level["needed"]) for level in frozen["levels"]]
    votes: list[Vote] = []
    state = "pending"
    for action in actions[1:]:
        what, number = action["action"], action["number"]
        if what in {"approve", "reject"} and (state != "pending" or action["content_digest"] != digest):
            raise Unsound(f"action {number} decides what was not to be decided")
        if what in {"approve", "reject"} and {action["person"], action["on_behalf_of"]} & {*frozen["barred"]}:
            raise Unsound(f"action {number} is a decision of somebody involved")
        if what == "approve":
            approver = action["on_behalf_of"] or action["person"]
            try:
                votes += agree(levels, votes, approver=approver, person=action["person"])
            except (NotAsked, VotedBefore) as error:
                raise Unsound(f"action {number} is an approval of somebody who was not asked") from error
            if current(levels, votes) is None:
                state = "approved"
        elif what == "reject":
            state = "rejected"
        elif what == "reassign":
            levels = _exchanged(levels, votes, action["detail"])
        else:
            state = ENDS.get(what, state)
    return state


def _exchanged(levels: Sequence[Level], votes: Sequence[Vote], detail: str) -> list[Level]:
    """`from X to Y`: on every level that is not filled and waits for X."""
    _, old, _, new = detail.split(" ")
    first = current(levels, votes)
    return [
        Level(level.approvers - {old} | {new}, level.needed)
        if first is not None
        and position >= first
        and old in level.approvers
        and not any(vote.level == position and vote.approver == old for vote in votes)
        else level
        for position, level in enumerate(levels)
    ]


def _spelled(document: Mapping) -> str:
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m approvals.proof", description="Check an exported proof.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--expect", default="", help="The digest of the last action, kept elsewhere.")
    given = parser.parse_args()
    try:
        proof = check(given.file.read_bytes().decode(), expect=given.expect)
    except (Unsound, UnicodeDecodeError) as refusal:
        sys.stderr.write(f"refused: {refusal}\n")
        return 1
    last = proof["actions"][-1]
    sys.stdout.write(
        f"sound: request {proof['request']['id']} is {proof['request']['state']};"
        f" {len(proof['actions'])} actions, the last one {last['digest']}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
