"""A proof is accepted without a database, and refused when anything in it is another."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from approvals import chain, proof, services
from approvals.exporting import proof_of
from approvals.models import ApprovalAction
from approvals.tests.makers import asks, decide, make_approver, make_delegation, make_request
from billing.entities.tests.makers import make_entity
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def decided():
    """Delegated, exchanged, commented, approved over levels A, A, B, A."""
    entity = make_entity()
    a, b, c, d = (make_approver(entity) for _ in range(4))
    controller = make_approver(entity, role="FC")
    request = make_request(entity, asks(a), asks(a), asks(b), asks(a), title="Büromöbel “neu”")
    make_delegation(a, c)
    decide(request, c, comment="für A")
    services.reassign_request(
        actor=f"user:{controller.pk}", request_id=request.pk, from_id=b.pk, to_id=d.pk, comment="left"
    )
    decide(request, d)
    services.comment_on_request(actor=f"user:{b.pk}", request_id=request.pk, comment="at last")
    decide(request, a)
    request.refresh_from_db()
    return request


def run(*arguments: str) -> subprocess.CompletedProcess:
    """As an auditor would: no settings, no database."""
    return subprocess.run(
        [sys.executable, "-m", "approvals.proof", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_proof_is_accepted_without_a_database(decided, tmp_path):
    out, file = StringIO(), tmp_path / "proof.json"
    call_command("export_proof", request=decided.pk, out=file, stdout=out)
    assert out.getvalue().startswith("approved: 6 actions in ")
    head = decided.actions.get(number=6).digest

    accepted = run(str(file), "--expect", head)

    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stdout == f"sound: request {decided.pk} is approved; 6 actions, the last one {head}\n"
    refused = run(str(file), "--expect", "0" * 64)
    assert (refused.returncode, refused.stderr) == (1, "refused: the last action is not the expected one\n")
    file.write_bytes(file.read_bytes().replace(b"at last", b"at lost"))
    assert run(str(file)).returncode == 1


def test_the_command_prints_and_knows_no_stranger(decided):
    out = StringIO()
    call_command("export_proof", request=decided.pk, stdout=out)
    assert out.getvalue() == proof_of(decided)
    with pytest.raises(CommandError):
        call_command("export_proof", request=uuid7())


def test_one_changed_byte_is_refused_wherever_it_is(decided):
    whole = proof_of(decided).encode()
    proof.check(whole.decode())
    accepted = []
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        try:
            proof.check(bytes(changed).decode())
            accepted.append(place)
        except (proof.Unsound, UnicodeDecodeError):
            continue
    assert accepted == []


def resealed(document) -> str:
    return proof.rendered(document)


def rechained(document) -> str:
    """As somebody would who knows how the chain is made."""
    request = document["request"]
    request["digest"] = chain.content_digest(request["content"])
    previous = chain.genesis(request["id"], request["digest"])
    for number, action in enumerate(document["actions"], start=1):
        action |= {"number": str(number), "previous_digest": previous}
        action["digest"] = previous = chain.link(previous, action)
    return proof.rendered(document)


@pytest.mark.parametrize(
    "forge",
    [
        lambda d: d["request"]["content"].update(amount="1.00"),
        lambda d: d["request"].update(state="rejected"),
        lambda d: d["actions"][2].update(comment="other"),
        lambda d: d["actions"].pop(2),
        lambda d: d["actions"].pop(),
        lambda d: d["actions"].reverse(),
        lambda d: d["actions"][1].update(person=str(uuid7())),
        lambda d: d["actions"][0].update(detail=json.dumps({"levels": [], "barred": []})),
    ],
)
def test_with_a_new_seal_the_chain_still_refuses(decided, forge):
    document = json.loads(proof_of(decided))
    forge(document)
    with pytest.raises(proof.Unsound):
        proof.check(resealed(document))


@pytest.mark.parametrize(
    "forge",
    [
        lambda d: d["actions"].pop(1),  # the approval to the first two levels
        lambda d: d["actions"].pop(2),  # the exchange of the third approver
        lambda d: d["actions"][1].update(person=_barred(d)),
        lambda d: d["actions"][1].update(on_behalf_of=_barred(d)),
        lambda d: d["actions"][5].update(content_digest="0" * 64),
        lambda d: d["actions"][5].update(person=d["actions"][3]["person"]),
        lambda d: d["actions"].append(dict(d["actions"][5])),
        lambda d: d["request"].update(state="pending"),
    ],
)
def test_with_a_new_chain_the_replay_still_refuses(decided, forge):
    document = json.loads(proof_of(decided))
    assert proof.check(rechained(document))
    forge(document)
    with pytest.raises(proof.Unsound):
        proof.check(rechained(document))


def _barred(document) -> str:
    return json.loads(document["actions"][0]["detail"])["barred"][0]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "approval-proof/1"}', "{" * 2000])
def test_what_is_no_proof_is_refused(text):
    with pytest.raises(proof.Unsound):
        proof.check(text)


@pytest.mark.parametrize("end", ["cancel", "expire", "reject", "supersede", "pending"])
def test_every_end_is_replayed(end):
    entity = make_entity()
    boss = make_approver(entity)
    request = make_request(entity, asks(boss))
    if end == "cancel":
        services.cancel_request(actor=f"user:{request.requester_id}", request_id=request.pk, comment="x")
    elif end == "expire":
        services.expire_requests(actor="task:x", as_of=request.expires_on)
    elif end == "reject":
        decide(request, boss, "reject")
    elif end == "supersede":
        make_request(entity, subject_id=request.subject_id, amount="1.00")
    request.refresh_from_db()
    assert proof.check(proof_of(request))["request"]["state"] == request.state


def test_the_head_of_the_chain_is_in_the_audit_trail(decided):
    last = ApprovalAction.objects.get(request=decided, number=6)
    line = AuditEntry.objects.get(action="approval.approve", detail__digest=last.digest)
    assert line.subject_id == str(decided.pk)


def test_expire_approvals_by_command_and_by_task():
    entity = make_entity()
    first, _ = make_request(entity), make_request(entity)
    day = first.expires_on
    out = StringIO()
    call_command("expire_approvals", as_of=day, dry_run=True, stdout=out)
    assert f"due=2 as_of={day}" in out.getvalue()
    call_command("expire_approvals", as_of=day, stdout=out)
    assert f"expired=2 failed=0 as_of={day}" in out.getvalue()
    first.refresh_from_db()
    assert first.state == "expired"
