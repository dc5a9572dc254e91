"""The leaderboard: one table per dataset, from the text-free files of complete runs."""

from __future__ import annotations

import dataclasses
import io
import json
import shlex
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calf.comparing import titles_of
from calf.datasets.definitions import definition_files, read_definition
from calf.datasets.load import load_dataset
from calf.errors import UserError
from calf.formatting import duration, interval, number, whole, write_csv
from calf.ranking import ranking_of
from calf.runs.rows import PEOPLE
from calf.runs.run import describe_runs, open_run
from calf.runs.store import write_atomically
from calf.runs.usage import spent_columns, spent_of
from calf.types import SETTINGS
from calf.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from calf.datasets.dataset import Dataset
    from calf.runs.run import Run
    from calf.runs.usage import Spent

__all__ = ["Board", "Entry", "boards_of", "write_leaderboard"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a board.

    Attributes:
        metric: the name in tables, with the order where it is not "given".
        rows: the metric's rows by slice.
        run: None for people, and for a floor, which is no run but judged beside every one.
        command: what makes it again.
        signature: all that its values depend on.
        rank: 1 + how many runs of the board are significantly better; None if it is no run, or could not be made.
    """

    metric: str
    rows: Mapping[str, Mapping[str, Any]]
    run: Run | None
    command: str
    signature: str
    rank: int | None = None

    @property
    def spent(self) -> Spent | None:
        """What was sent and paid for it; None if it is no run, or no server was asked."""
        return None if self.run is None else spent_of(self.run.timing)

    @property
    def people(self) -> bool:
        """Whether it is no metric, but how far people agree with each other."""
        return self.run is None and self.metric == PEOPLE

    @property
    def floor(self) -> bool:
        """Whether it is a floor, be it a run of its own or one that stands in every table."""
        return not self.people if self.run is None else self.run.manifest["family"] == "floor"


@dataclass(frozen=True, slots=True)
class Board:
    """All complete runs on one dataset, best accuracy first, the floors among them.

    Attributes:
        partial: ids of runs that cover only a part of the dataset, which are left out.
        unranked: why there are no ranks; "" if there are.
    """

    dataset: str
    fingerprint: str
    notes: Sequence[str]
    comparisons: int
    groups: int
    entries: Sequence[Entry]
    partial: Sequence[str]
    unranked: str


def boards_of(runs: Path, datasets: Sequence[str] = ()) -> list[Board]:
    """The boards of all runs in a folder, by dataset name.

    Args:
        runs: the folder.
        datasets: only these, by name or by path; () for all. A path says where a dataset is that the runs do not find.

    Raises:
        UserError: one of `datasets` has no complete run.
        DataError: a run's files are broken.
    """
    known = describe_runs(runs)
    broken = [record["problem"] for record in known if record["state"] == "broken"]
    if broken:
        raise UserError(broken[0])
    complete = [open_run(runs / run["id"]) for run in known if run["state"] == "complete"]
    by_dataset: dict[tuple[str, str], list[Run]] = {}
    for run in complete:
        by_dataset.setdefault((run.manifest["dataset"], run.manifest["dataset_fingerprint"]), []).append(run)
    given: dict[str, Dataset] = {}
    wanted: set[tuple[str, str]] = set()
    for name in datasets:
        found = {key for key in by_dataset if key[0] == name}
        if not found:
            data = _dataset_at(name, [run for of_one in by_dataset.values() for run in of_one])
            found = {key for key in by_dataset if data is not None and key[1] == data.fingerprint}
            given |= {} if data is None else {data.fingerprint: data}
        if not found:
            raise UserError(f"no complete run on dataset {name!r} in {runs}; make one with: calf evaluate -d {name}")
        wanted |= found
    return [
        _board(
            name, mark, of_one, [r["id"] for r in known if r["state"] == "part" and r["fingerprint"] == mark],
            given.get(mark),
        )
        for (name, mark), of_one in sorted(by_dataset.items())
        if not datasets or (name, mark) in wanted
    ]  # fmt: skip


def _dataset_at(path: str, runs: Sequence[Run]) -> Dataset | None:
    """The dataset at a path, read as one of the runs on a file of that name read it; None if there is none."""
    if not Path(path.partition("#")[0]).exists():
        return None
    name = Path(path).name
    mappings = [
        run.manifest.get("dataset_mapping") for run in runs if Path(run.manifest["dataset_source"]).name == name
    ]
    return load_dataset(path, mapping=next((mapping for mapping in mappings if mapping), None))


def write_leaderboard(
    datasets: Sequence[str] = (),
    *,
    runs: Path | None = None,
    format: str = "markdown",  # noqa: A002  # the command line's name
    output: Path | None = None,
) -> Path | None:
    """Writes the leaderboard, and returns the file; None if it went to standard output.

    Args:
        datasets: only these; () for all.
        runs: the folder of runs; default: the workspace's, or `./runs`.
        format: markdown, latex, csv or json.
        output: "-" is standard output; default: `leaderboard.md` of the workspace for markdown, else "-".

    Raises:
        UserError: there is nothing to show, or the file cannot be written.
    """
    workspace = find_workspace()
    folder = runs or workspace.runs
    boards = boards_of(folder, datasets)
    if not boards:
        raise UserError(f"no complete run in {folder}; make one with: calf evaluate --metric rouge-l")
    text = _RENDERERS[format](boards)
    if output is None and format == "markdown":
        output = (workspace.root or Path.cwd()) / "leaderboard.md"
    if output is None or str(output) == "-":
        sys.stdout.write(text)
        return None
    try:
        write_atomically(output, text)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    return output


def _board(name: str, mark: str, runs: Sequence[Run], partial: Sequence[str], dataset: Dataset | None) -> Board:
    entries = []
    ranking = ranking_of(runs, dataset)
    for run, title in zip(runs, titles_of(runs), strict=True):
        rows = {row["slice"]: row for row in run.rows}
        manifest = run.manifest
        order, rule = manifest["order"], rows["overall"]["rule"]
        signature = manifest["signature"] + ("" if rule == "given" else f"|order:{order}|rule:{rule}")
        entries.append(Entry(title, rows, run, manifest["command"], signature, ranking.ranks.get(run.id)))
    floors: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in runs[0].beside:
        floors.setdefault(row["metric"], {})[row["slice"]] = row
    named = {run.manifest["metric"] for run in runs if run.is_floor}
    manifest = runs[0].manifest
    for floor, rows in floors.items():
        if floor not in named:
            words = ["calf", "evaluate", "--metric", runs[0].manifest["metric"] if floor == PEOPLE else floor]
            command = shlex.join([*words, "--dataset", manifest["dataset_source"]])
            signature = "leave-one-out" if floor == PEOPLE else f"{floor}|seed:{manifest['seed']}"
            entries.append(Entry(floor, rows, None, command, signature))
    entries.sort(key=lambda entry: (-entry.rows["overall"]["accuracy"], entry.metric))
    size = (manifest["dataset_comparisons"], manifest["dataset_groups"])
    return Board(name, mark, manifest["dataset_notes"], *size, entries, sorted(partial), ranking.reason)


def _columns(board: Board) -> list[tuple[str, Callable[[Entry], str]]]:
    """The titles and cells of a board's table."""

    def share(slice_name: str) -> Callable[[Entry], str]:
        return lambda e: interval(e.rows[slice_name], "accuracy") if slice_name in e.rows else "-"

    def plain(name: str) -> Callable[[Entry], str]:
        return lambda e: number(e.rows["overall"][name])

    settings = [s for s in SETTINGS if any(f"setting={s}" in entry.rows for entry in board.entries)]
    return [
        ("rank", lambda e: "-" if e.rank is None else str(e.rank)),
        ("accuracy", share("overall")),
        *((setting.replace("_", " "), share(f"setting={setting}")) for setting in settings),
        ("macro-F1", lambda e: interval(e.rows["overall"], "macro_f1_symmetric")),
        ("kappa", plain("kappa_symmetric")),
        ("tau-b", plain("kendall_tau_symmetric")),
        ("coverage", plain("coverage")),
        ("time", lambda e: "-" if e.run is None else duration(e.run.timing.get("seconds"))),
        *(_SPENT if _asks_servers(board) else ()),
    ]


_SPENT: Sequence[tuple[str, Callable[[Entry], str]]] = (
    ("cost", lambda e: "-" if e.spent is None or e.spent.cost is None else e.spent.priced),
    ("tokens", lambda e: "-" if e.spent is None else whole(e.spent.tokens)),
)


def _asks_servers(board: Board) -> bool:
    return any(entry.spent for entry in board.entries)


def _behind(board: Board) -> list[tuple[str, Callable[[Entry], str]]]:
    """The same of the table that says what stands behind the accuracy; columns that say nothing are left out."""

    def share(name: str) -> Callable[[Entry], str]:
        return lambda e: interval(e.rows["overall"], name)

    def plain(name: str) -> Callable[[Entry], str]:
        return lambda e: number(e.rows["overall"][name])

    columns = [
        ("acc_eq", "acc_eq_cv", share),
        ("chance", "acc_eq_chance", plain),
        ("ties", "tie_rate", plain),
        ("F1 same", "f1_same", plain),
        ("flips", "flip_rate", share),
        ("first", "first_position_rate", share),
        ("longer", "accuracy_longer_preferred", plain),
        ("shorter", "accuracy_shorter_preferred", plain),
        ("length-balanced", "accuracy_length_balanced", share),
        ("beyond length", "length_log_loss_gain", share),
        ("human", "human_preferred_rate", share),
        ("overlap gap", "overlap_gap", share),
        ("leave-one-out", "accuracy_leave_one_out", share),
        ("winning", "alt_winning_rate", plain),
        ("advantage", "alt_advantage", plain),
    ]
    overall = [entry.rows["overall"] for entry in board.entries]
    return [(title, kind(name)) for title, name, kind in columns if any(row[name] is not None for row in overall)]


_INTRODUCTION = (
    "Written by `calf leaderboard`; do not edit. Accuracy is agreement with people over three outcomes (a failed "
    "judgment counts as wrong), in brackets its 95 % interval by bootstrap over groups. Rank is 1 + the number of "
    "runs that are significantly better (paired sign-flip test over groups, adjusted for all pairs by step-down "
    "max-T, 0.05): runs of one rank are not told apart, and a run that failed on more than 5 % has none. "
    "Macro-F1, kappa and tau-b count every comparison in both orders, half weight each. Floors are in italics: no "
    "metric, but what a metric must beat. **human** is each annotator against the majority of the others. Time: "
    "of judging, on the machine of the run."
)
_SPENT_IT = (
    "Cost (by the prices in the metric's definition) and tokens (in and out, as the "
    "server counted them): of what was sent for the run, failed judgments included; answers that were in the cache "
    "cost nothing."
)
_BEHIND_IT = (
    "Behind the accuracy: acc_eq is tie-calibrated accuracy with the threshold from other groups, chance the same "
    "with scores shuffled; ties the share of `same` verdicts; flips the share of verdicts that change with the "
    "order, first how often the response shown first is preferred (in one order it also holds what that response "
    "deserves); longer and shorter the accuracy where people preferred it, length-balanced their mean; beyond "
    "length the out-of-fold gain in log-loss over length alone; human how often the human is preferred to the "
    "model; overlap gap how much more often the metric is right where the preferred response shares many words "
    "with the reference; leave-one-out the agreement with the majority of the other annotators; winning and "
    "advantage those of the alternative annotator test (epsilon 0.2)."
)


def _markdown(boards: Sequence[Board]) -> str:
    lines = [
        "# Leaderboard",
        "",
        *textwrap.wrap(" ".join([_INTRODUCTION, *([_SPENT_IT] if any(map(_asks_servers, boards)) else [])]), 115),
        "",
        *textwrap.wrap(_BEHIND_IT, 115),
    ]
    for board in boards:
        lines += ["", f"## {board.dataset}", ""]
        lines.append(
            f"{board.comparisons} comparisons in {board.groups} groups; fingerprint `{board.fingerprint[:12]}`."
        )
        lines += ["", *(f"**{note}**" for note in board.notes)] if board.notes else []
        lines += ["", *_table(board, _columns(board)), "", "Behind the accuracy:", "", *_table(board, _behind(board))]
        if not any(entry.run is None for entry in board.entries):
            lines += ["", "The floors are not here; any `calf evaluate` of the whole dataset makes them."]
        if board.unranked:
            lines += ["", f"Without ranks: {_escape(board.unranked)}."]
        if board.partial:
            lines += ["", f"Left out, since they cover only a part: {', '.join(f'`{p}`' for p in board.partial)}."]
        lines += ["", "How each row was made:", "", _row(["metric", "command", "signature"]), _row(["---"] * 3)]
        for entry in board.entries:
            lines.append(_row([_name(entry), _code(entry.command), _code(entry.signature)]))
    figures = _published()
    if figures:
        lines += ["", "## Published figures", "", "As reported by their sources; not measured here.", ""]
        lines += [_row(["dataset", "metric", "accuracy", "macro-F1", "of what", "source"]), _row(["---"] * 6)]
        lines += [_row([_escape(cell) for cell in _published_cells(figure)]) for figure in figures]
    return "\n".join(lines) + "\n"


def _table(board: Board, columns: Sequence[tuple[str, Callable[[Entry], str]]]) -> list[str]:
    head = [_row(["metric", *(title for title, _ in columns)]), _row(["---"] * (len(columns) + 1))]
    return head + [_row([_name(entry), *(cell(entry) for _, cell in columns)]) for entry in board.entries]


def _name(entry: Entry) -> str:
    if entry.people:
        return f"**{_escape(entry.metric)}** ({entry.rows['overall']['n']} comparisons)"
    return f"*{_escape(entry.metric)}* (floor)" if entry.floor else _escape(entry.metric)


def _published() -> list[dict[str, Any]]:
    """The figures that the definitions of known datasets report, with the dataset's name."""
    files = definition_files(find_workspace())
    return [
        {"dataset": name, **dataclasses.asdict(figure)}
        for name, path in sorted(files.items())
        for figure in read_definition(path).published
    ]


def _published_cells(figure: Mapping[str, Any]) -> list[str]:
    shares = ["-" if figure[key] is None else f"{figure[key]:g} %" for key in ("accuracy", "macro_f1")]
    return [figure["dataset"], figure["metric"], *shares, figure["what"], figure["source"]]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("|", "\\|").replace("`", "'") + "`"  # a prompt may stand in a signature


def _latex(boards: Sequence[Board]) -> str:
    lines = ["% Written by calf leaderboard; needs the packages booktabs and graphicx."]
    for board in boards:
        columns = _columns(board)
        size = f"{board.comparisons} comparisons in {board.groups} groups."
        caption = " ".join([f"{board.dataset}: {size}", *board.notes])
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(caption)}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
            r"\toprule",
            " & ".join(["metric", *(_tex(title) for title, _ in columns)]) + r" \\",
            r"\midrule",
        ]
        for entry in board.entries:
            name = rf"\emph{{{_tex(entry.metric)}}} (floor)" if entry.floor else _tex(entry.metric)
            lines.append(" & ".join([name, *(_tex(cell(entry)) for _, cell in columns)]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def _flat(boards: Sequence[Board]) -> list[dict[str, Any]]:
    rows = []
    for board in boards:
        for entry in board.entries:
            run = entry.run
            about = {
                "run": run.id if run else "",
                "rank": entry.rank,
                "fingerprint": board.fingerprint,
                "seconds": run.timing.get("seconds") if run else None,
                **spent_columns(run.timing if run else {}),
                "command": entry.command,
                "signature": entry.signature,
            }
            rows += [{**row, **about} for row in entry.rows.values()]
    return rows


def _csv(boards: Sequence[Board]) -> str:
    out = io.StringIO()
    write_csv(_flat(boards), out)
    return out.getvalue()


def _json(boards: Sequence[Board]) -> str:
    table = {"rows": _flat(boards), "published": _published()}
    return json.dumps(table, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


_RENDERERS: Mapping[str, Callable[[Sequence[Board]], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
    "json": _json,
}
