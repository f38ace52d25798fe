"""How answers are given: inputs as they arrive, answers as JSON lines or CSV, files whole."""

from __future__ import annotations

import csv
import io
import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from rnn_cookbook.files import log

__all__ = ["MAX_BATCH", "answer_lines", "as_they_arrive", "write_answers"]

MAX_BATCH = 64  # inputs that are answered together

T = TypeVar("T")


def as_they_arrive(inputs: Iterable[T], limit: int = MAX_BATCH) -> Iterator[list[T]]:
    """Groups inputs into lists of what has arrived by now: a slow pipe is answered input by input,
    a file in batches.

    A daemon thread reads ahead by a few batches, no more. What reading raises is raised here, after
    the inputs before it.

    Args:
        inputs: any iterable, which may wait between its items.
        limit: maximum number of inputs in a list.
    """
    arrived: queue.Queue = queue.Queue(maxsize=4 * limit)
    end = object()

    def read() -> None:
        try:
            for item in inputs:
                arrived.put(item)
            arrived.put(end)
        except BaseException as error:  # handed to the thread that answers
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        batch: list[T] = []
        item = arrived.get()
        while item is not end and not isinstance(item, BaseException):
            batch.append(item)
            if len(batch) == limit:
                break
            try:
                item = arrived.get_nowait()
            except queue.Empty:
                break
        if batch:
            yield batch
        if isinstance(item, BaseException):
            raise item
        if item is end:
            return


def answer_lines(answers: Iterable[dict], form: Literal["jsonl", "csv"]) -> Iterator[str]:
    """Formats answers as JSON lines; or as CSV, with the first answer's keys as the header.

    In CSV, lists and dictionaries are cells of JSON.
    """
    if form == "jsonl":
        for answer in answers:
            yield json.dumps(answer, ensure_ascii=False) + "\n"
        return
    columns: list[str] = []
    for answer in answers:
        line = io.StringIO()
        writer = csv.writer(line, lineterminator="\n")
        if not columns:
            columns = list(answer)
            writer.writerow(columns)
        writer.writerow(_csv_cell(answer.get(column, "")) for column in columns)
        yield line.getvalue()


def _csv_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def write_answers(path: Path, lines: Iterable[str]) -> None:
    """Writes lines into a file that appears when all of them are there.

    What was answered before an error or a stop is kept in `<path>.partial`, which the log names.
    """
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    try:
        with open(partial, "w", encoding="utf-8", newline="") as file:
            for line in lines:
                file.write(line)
                file.flush()
                count += 1
    except BaseException:
        if count:
            log.warning("the %d lines answered before the end are in %s", count, partial)
        else:
            partial.unlink(missing_ok=True)
        raise
    os.replace(partial, path)
