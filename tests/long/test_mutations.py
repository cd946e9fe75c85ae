"""Each safeguard taken out of a copy of the code: the named test must then fail, or it guards nothing."""

import asyncio
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.kasparro_process import ROOT, environment

TIMEOUT_SECONDS = 300
KILLED = "tests/recovery/test_kill_by_fork.py::test_killed_pass_is_ended_by_the_next_run"
FAILED = "tests/recovery/test_faults.py::test_pass_ends_as_an_undisturbed_one"


@dataclass(frozen=True)
class Mutation:
    """One change of one file, and the test that must see it."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation(
        "checkpoint outside the transaction",
        "ingestion/store.py",
        "            await checkpoints.advance(self._connection, self._stamp, batch)\n",
        "            await self._transaction.commit()\n"
        "            await checkpoints.advance(self._connection, self._stamp, batch)\n"
        "            self._transaction = self._connection.transaction()\n"
        "            await self._transaction.start()\n",
        "tests/integration/test_store.py::test_nothing_is_written_when_the_transaction_is_given_up",
    ),
    Mutation(
        "no coordinator's lock",
        "services/locks.py",
        'return bool(await connection.fetchval("select pg_try_advisory_lock($1, $2)", LOCK_SPACE, source_id))',
        "return True",
        "tests/integration/test_run.py::test_second_run_of_a_held_source_is_refused",
    ),
    Mutation(
        "no first equation",
        "schemas/counters.py",
        "        self._require_records(where)\n",
        "",
        "tests/integration/test_store.py::test_record_that_transform_lost_stops_the_batch",
    ),
    Mutation(
        "no second equation",
        "schemas/counters.py",
        "        self._require_raw_rows(where, from_raw=from_raw)\n",
        "",
        "tests/integration/test_store.py::test_raw_row_that_is_not_written_stops_the_batch",
    ),
    Mutation(
        "no equations over the run",
        "ingestion/coordinator.py",
        '            counters.require_conservation(f"run {stamp.run_id}, {partition}", from_raw=stamp.from_raw)\n',
        "",
        "tests/integration/test_run.py::test_run_whose_sums_do_not_add_up_is_failed_and_settles_nothing",
    ),
    Mutation(
        "no fence",
        "services/checkpoints.py",
        "    if found is None:\n",
        "    if False:\n",
        "tests/integration/test_store.py::test_old_run_cannot_write_after_a_claim",
    ),
    Mutation(
        "claim that does not wait for a batch in hand",
        "services/checkpoints.py",
        "from etl_checkpoints where source_id = $1::integer order by partition, lane for update",
        "from etl_checkpoints where source_id = $1::integer order by partition, lane",
        "tests/integration/test_store.py::test_claim_waits_for_a_batch_in_hand_and_counts_it",
    ),
    Mutation(
        "join that the planner may turn around",
        "services/classification.py",
        "left join lateral (\n             select id, raw_id, content_hash, record_hash, deleted_at, pass_id, "
        "mapping_version\n             from unified_data "
        "where source_id = $1::integer and record_key = s.record_key limit 1) u on true",
        "left join unified_data u on u.source_id = $1::integer and u.record_key = s.record_key",
        "tests/integration/test_batch_cost.py::"
        "test_second_source_costs_its_own_rows_when_statistics_know_only_the_first",
    ),
    Mutation(
        "going on from memory after a lost connection",
        "ingestion/passes.py",
        "last.cursor, last.ordinal, states)",
        "None, last.ordinal, states)",
        "tests/recovery/test_server_crash.py::test_run_that_survives_the_server_starts_again_from_the_database",
    ),
    Mutation(
        "data committed before its checkpoint",
        "ingestion/store.py",
        "            await checkpoints.advance(self._connection, self._stamp, batch)\n",
        "            await self._transaction.commit()\n"
        "            self._transaction = self._connection.transaction()\n"
        "            await self._transaction.start()\n"
        "            await checkpoints.advance(self._connection, self._stamp, batch)\n",
        f"{KILLED}[csv-1-commit:kill:2]",
    ),
    Mutation(
        "resume from the lane that is ahead",
        "ingestion/passes.py",
        "last = min(lanes",
        "last = max(lanes",
        "tests/unit/test_passes.py",
    ),
    Mutation(
        "records once more for a lane that is ahead",
        "ingestion/lanes.py",
        "share.take_rows(_beyond(part, behind[share.lane]))",
        "share.take_rows(part)",
        "tests/unit/test_lanes.py",
    ),
    Mutation(
        "run of a dead process that nobody closes",
        "ingestion/coordinator.py",
        "        for dead in unfinished:\n            await runs.close(",
        "        for dead in []:\n            await runs.close(",
        f"{KILLED}[csv-1-committed:kill:2]",
    ),
    Mutation(
        "batch written again in a transaction that failed",
        "ingestion/store.py",
        "        except ContentionError:\n            await store.rollback()\n",
        "        except ContentionError:\n",
        f"{FAILED}[csv-1-commit:error:1]",
    ),
    Mutation(
        "unknown outcome of a commit that ends the run",
        "ingestion/recovery.py",
        "_ALWAYS: Final = (\n    ConnectionLostError,\n",
        "_ALWAYS: Final = (\n",
        f"{FAILED}[csv-1-committed:timeout:1]",
    ),
    Mutation(
        "feed read on from a position that it does not have",
        "ingestion/run.py",
        "                    await coordinator.end_failed_partition(plan, partition)\n",
        "                    pass\n",
        f"{FAILED}[rss-1-fetch:error:2]",
    ),
    Mutation(
        "injected kill that kills nobody",
        "ingestion/faults/strikes.py",
        "        os.kill(os.getpid(), signal.SIGKILL)\n",
        "        pass\n",
        f"{KILLED}[csv-1-commit:kill:1]",
    ),
    Mutation(
        "injected disconnect that ends no socket",
        "ingestion/connections.py",
        "._transport.abort()",
        "._transport.is_closing()",
        f"{FAILED}[csv-1-load:disconnect:1]",
    ),
    Mutation(
        "injected fault that strikes any lane",
        "ingestion/faults/plans.py",
        "(plan.point, plan.batch, plan.lane) == (point, batch, lane)",
        "(plan.point, plan.batch) == (point, batch)",
        "tests/unit/test_faults.py::test_plan_for_another_lane_does_not_strike",
    ),
    Mutation(
        "injected fault that strikes again and again",
        "ingestion/faults/plans.py",
        "                self._pending.remove(plan)\n",
        "",
        "tests/unit/test_faults.py::test_batch_that_is_written_again_is_the_same_one",
    ),
    Mutation(
        "injected faults in production",
        "ingestion/faults/plans.py",
        'if environment == "production":',
        "if False:",
        "tests/unit/test_faults.py::test_production_refuses_every_plan",
    ),
    Mutation(
        "chaos that compares nothing",
        "ingestion/operations/chaos.py",
        "        if getattr(expected, name) != getattr(found, name)\n",
        "        if False\n",
        "tests/unit/test_chaos.py::test_what_is_lost_or_doubled_is_a_difference",
    ),
    Mutation(
        "chaos that believes the digest that is kept",
        "ingestion/operations/chaos.py",
        "    if found.digest != found.recomputed:\n",
        "    if False:\n",
        "tests/recovery/test_chaos.py::test_lost_record_is_found",
    ),
    Mutation(
        "grace without end",
        "ingestion/ending.py",
        "        await _wait(at_once, self._patience_seconds)\n",
        "        await at_once.wait()\n",
        "tests/unit/test_ending.py::test_work_is_given_up_when_the_grace_is_over",
    ),
    Mutation(
        "end at once that leaves the sessions of lanes alone",
        "ingestion/run.py",
        "            await locks.end_sessions(connection, [stamp.run_id], [])\n",
        "",
        "tests/integration/test_stopping.py::test_second_signal_ends_a_run_at_once_and_rolls_back_the_batch_in_hand",
    ),
    Mutation(
        "deadline that makes another configuration",
        "schemas/configuration/identity.py",
        '"schedule", "deadline", ',
        '"schedule", ',
        "tests/unit/test_configuration_identity.py::test_when_and_how_long_a_source_is_read_changes_no_hash",
    ),
    Mutation(
        "scheduler that reads again what another has just read",
        "ingestion/coordinator.py",
        "        if known is not None and known != await runs.newest(connection, source.name):\n",
        "        if False:\n",
        "tests/integration/test_scheduler.py::test_scheduled_run_leaves_the_source_to_a_run_that_was_faster",
    ),
    Mutation(
        "scheduler that believes a clock that was put back",
        "workers/scheduler.py",
        "            self._heed_clock(source)\n",
        "",
        "tests/integration/test_scheduler.py::test_clock_that_is_put_back_keeps_no_source_waiting",
    ),
    Mutation(
        "stopped writer that keeps its transaction",
        "ingestion/coordinator.py",
        "await locks.end_stuck_writers(connection, dead, older_than_seconds=self._stuck_after_seconds)",
        "pass",
        "tests/integration/test_locks.py::test_writer_stopped_inside_a_copy_is_ended_by_the_next_claim",
    ),
    Mutation(
        "empty reading that deletes everything",
        "ingestion/snapshot.py",
        "        if part.fetched == 0:\n",
        "        if False:\n",
        "tests/integration/test_deletes.py::test_empty_reading_deletes_nothing_and_says_so",
    ),
    Mutation(
        "deletes that nobody is asked about",
        "ingestion/snapshot.py",
        "    if snapshot.confirmed or gone <= snapshot.max_share * live:\n",
        "    if True:\n",
        "tests/integration/test_deletes.py::test_too_many_at_once_need_a_confirmation",
    ),
    Mutation(
        "comparison although a record has no name",
        "ingestion/snapshot.py",
        " or await _nameless(connection, stamp)\n",
        "\n",
        "tests/integration/test_deletes.py::test_one_reject_without_a_key_forbids_it",
    ),
    Mutation(
        "tombstones and records of one key written together",
        "ingestion/segments.py",
        "    if not shared:\n",
        "    if True:\n",
        "tests/integration/test_deletes.py::test_resumed_pass_with_tombstones_counts_like_an_undisturbed_one",
    ),
    Mutation(
        "record that cannot come back in the pass that deleted it",
        "services/classification.py",
        " and u.deleted_at is null as this_pass",
        " as this_pass",
        "tests/integration/test_deletes.py::test_resumed_pass_with_tombstones_counts_like_an_undisturbed_one",
    ),
    Mutation(
        "run that ends before it began",
        "services/runs.py",
        "greatest($3::timestamptz, started_at)",
        "$3::timestamptz",
        "tests/integration/test_clock_and_order.py::"
        "test_clock_that_jumps_between_batches_changes_no_record_counter_or_digest",
    ),
    Mutation(
        "plan that is applied whatever has changed",
        "ingestion/operations/replay.py",
        "        if now != planned.standing:\n",
        "        if False:\n",
        "tests/integration/test_replay.py::test_outdated_plan_is_refused",
    ),
    Mutation(
        "replay that begins from the first record again",
        "ingestion/replay_source.py",
        'int(start.cursor["after"]) if start.cursor else 0',
        "0",
        "tests/recovery/test_replay.py::test_replay_that_is_killed_is_ended_by_the_next",
    ),
    Mutation(
        "records that change their set while a replay is applied",
        "services/stored_pages.py",
        "    where source_id = $1::integer and id > $2::bigint and (deleted_at is null or deletion = 'replay'))\n",
        "    where source_id = $1::integer and id > $2::bigint and deleted_at is null)\n",
        "tests/integration/test_replay.py::test_left_out_records_come_back_when_the_mapping_takes_them_again",
    ),
    Mutation(
        "replay by which an open reading forgets what it has had",
        "services/loading.py",
        'None if stamp.operation == "replay" else stamp.pass_id',
        "stamp.pass_id",
        "tests/integration/test_replay.py::test_open_pass_is_not_disturbed",
    ),
    Mutation(
        "record that is left out and stays in the digest",
        "ingestion/replay_store.py",
        "            hashes += replaying.live_hashes(records)\n",
        "",
        "tests/integration/test_replay.py::test_apply_does_what_the_plan_says",
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
async def test_a_test_fails_without_the_safeguard(tmp_path: Path, mutation: Mutation) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "src" / "kasparro" / mutation.file
    text = changed.read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.file} does not hold the text to change exactly once"
    changed.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", mutation.test,
        env=environment(PYTHONPATH=str(tmp_path / "src"), PYTHONWARNINGS=""), cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(TIMEOUT_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 1, output.decode()
    assert " failed" in output.decode()
